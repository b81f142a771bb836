//! A simulated Entra connector: the token endpoint, and Begin, End and the list of methods. It checks credentials,
//! assertions, tokens, content types, the order of elements (a misplaced child is not read, as with .NET data
//! contracts), and that a session is finished where and by whom it was begun.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use quick_xml::Reader;
use quick_xml::events::Event;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha1::Digest as _;
use std::time::Duration;

use crate::factor::entra::wire::element;
use crate::secret::Secret;
use crate::simulate::desk::Desk;
use crate::simulate::prompt::{Asking, State};
use crate::simulate::scenario::{Scenario, Step};
use crate::simulate::service::{About, Call, Reply, Service};

/// Where the operations are.
const CONNECTOR: &str = "/StrongAuthenticationService.svc/Connector/";

/// How long a token is good for, in seconds.
const TOKEN_LIVES: u64 = 3600;

/// How long a session can be finished.
const SESSION_LIVES: Duration = Duration::from_secs(180);

/// Tokens, sessions and codes remembered at most, each.
const REMEMBERED: usize = 100_000;

/// The cookie that pins a session.
const COOKIE: &str = "x-ms-gateway-slice=simulated";

/// Children of `BeginTwoWayAuthenticationRequest` in their order.
const BEGIN: [&str; 16] = [
    "Version",
    "UserPrincipalName",
    "TenantId",
    "Lcid",
    "AuthenticationMethodId",
    "AuthenticationMethodProperties",
    "AuthenticationPurpose",
    "ContextId",
    "OtpRetryCount",
    "SyncCall",
    "RequireUserMatch",
    "CallerName",
    "CallerIP",
    "ReplicationScope",
    "ObjectId",
    "CompanyName",
];

/// Children of `EndTwoWayAuthenticationRequest` in their order.
const END: [&str; 5] = ["Version", "SessionId", "ContextId", "AdditionalAuthData", "UserPrincipalName"];

/// Children of `GetAvailableAuthenticationMethodsRequest` in their order.
const METHODS: [&str; 3] = ["Version", "UserPrincipalName", "ContextId"];

/// What the application proves itself with.
#[derive(Debug)]
pub enum Credential {
    /// Its secret.
    Secret(Secret),
    /// The certificate whose key signs assertions, in PEM.
    Certificate(Vec<u8>),
}

/// A simulated Entra.
#[derive(Debug)]
pub struct Entra {
    tenant: String,
    client_id: String,
    resource: String,
    credential: Credential,
    state: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    last: u64,
    /// Tokens and their ends in seconds since 1970.
    tokens: HashMap<String, u64>,
    /// Ids of assertions that were used.
    assertions: Vec<String>,
    /// Sessions by id.
    sessions: HashMap<String, Session>,
    /// Codes that were right once.
    codes: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Session {
    user: String,
    context: String,
    begun: std::time::Instant,
    /// Whether a code is to be handed in, and not a prompt answered.
    typed: bool,
}

impl Entra {
    /// A tenant with one application.
    pub fn new(tenant: &str, client_id: &str, resource: &str, credential: Credential) -> Self {
        let [tenant, client_id, resource] = [tenant, client_id, resource].map(str::to_owned);
        Entra { tenant, client_id, resource, credential, state: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, call: &Call, desk: &Desk) -> Reply {
        let field = |name: &str| call.field(name).unwrap_or_default();
        let refused = |code: u32, word: &str, text: &str| {
            desk.refused();
            let text = format!("AADSTS{code}: {text} Trace ID: 0 Correlation ID: 0");
            Reply::json(
                if code == 7_000_215 { 401 } else { 400 },
                &json!({ "error": word, "error_description": text, "error_codes": [code] }),
            )
        };
        if call.media_type() != "application/x-www-form-urlencoded" {
            return refused(
                900_144,
                "invalid_request",
                "The request body must contain the following parameter: 'grant_type'.",
            );
        }
        if call.path() != format!("/{}/oauth2/token", self.tenant) {
            return refused(90_002, "invalid_request", "Tenant not found.");
        }
        if field("grant_type") != "client_credentials" {
            return refused(70_003, "unsupported_grant_type", "The app requested an unsupported grant type.");
        }
        if field("client_id") != self.client_id {
            return refused(700_016, "unauthorized_client", "Application was not found in the directory.");
        }
        if field("resource") != self.resource {
            return refused(500_011, "invalid_resource", "The resource principal was not found in the tenant.");
        }
        let proven = match &self.credential {
            Credential::Secret(secret) => secret
                .matches(field("client_secret").as_bytes())
                .then_some(())
                .ok_or((7_000_215, "Invalid client secret provided.")),
            Credential::Certificate(pem) => self.assertion(call, pem),
        };
        if let Err((code, text)) = proven {
            return refused(code, "invalid_client", text);
        }
        let mut memory = self.memory();
        memory.last += 1;
        if memory.tokens.len() >= REMEMBERED {
            memory.tokens.clear();
        }
        let token = format!("eyJ0eXAi.simulated.{}", memory.last);
        memory.tokens.insert(token.clone(), call.now.saturating_add(TOKEN_LIVES));
        // The first version of the endpoint says numbers as text.
        Reply::json(
            200,
            &json!({ "token_type": "Bearer", "expires_in": TOKEN_LIVES.to_string(), "resource": self.resource, "access_token": token }),
        )
    }

    /// Checks a signed assertion as the real endpoint does.
    fn assertion(&self, call: &Call, pem: &[u8]) -> Result<(), (u32, &'static str)> {
        const WRONG: (u32, &str) = (700_027, "Client assertion failed signature validation.");
        if call.field("client_assertion_type").as_deref()
            != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        {
            return Err((7_000_218, "The request body must contain client_assertion or client_secret."));
        }
        let token = call.field("client_assertion").unwrap_or_default();
        let (signed, signature) = token.rsplit_once('.').ok_or(WRONG)?;
        let (head, claims) = signed.split_once('.').ok_or(WRONG)?;
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (head, claims) = (part(head).ok_or(WRONG)?, part(claims).ok_or(WRONG)?);
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| WRONG)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&certificate));
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        if text(&head, "alg") != "RS256" || text(&head, "typ") != "JWT" || text(&head, "x5t") != thumbprint {
            return Err((700_027, "The certificate with the thumbprint is not registered."));
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|_| WRONG)?;
        let key = &parsed.public_key().subject_public_key.data;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| WRONG)?;
        let known = aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
        let rs256 = known.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256).ok_or(WRONG)?;
        let right =
            rs256.1.iter().any(|algorithm| algorithm.verify_signature(key, signed.as_bytes(), &signature).is_ok());
        if !right {
            return Err(WRONG);
        }
        if text(&claims, "iss") != self.client_id || text(&claims, "sub") != self.client_id {
            return Err((700_030, "Invalid issuer or subject of the assertion."));
        }
        if !text(&claims, "aud").ends_with(&format!("/{}/oauth2/token", self.tenant)) {
            return Err((700_023, "Client assertion audience claim does not match."));
        }
        if number("nbf") > call.now.saturating_add(300) || number("exp") < call.now {
            return Err((700_024, "Client assertion is not within its valid time range."));
        }
        let (id, mut memory) = (text(&claims, "jti"), self.memory());
        if id.is_empty() || memory.assertions.contains(&id) {
            return Err((700_026, "Client assertion was used before."));
        }
        if memory.assertions.len() >= 1000 {
            memory.assertions.remove(0);
        }
        memory.assertions.push(id);
        Ok(())
    }

    /// Whether a request of the connector may be read at all.
    fn admitted(&self, call: &Call) -> Result<(), Reply> {
        let token = call.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        let good = self.memory().tokens.get(token).is_some_and(|ends| call.now < *ends);
        if !good {
            return Err(Reply::new(401, "text/html", ""));
        }
        if !matches!(&*call.media_type(), "application/xml" | "text/xml") {
            return Err(Reply::new(415, "", ""));
        }
        Ok(())
    }

    async fn begin(&self, call: &Call, desk: &Desk) -> Reply {
        let Some(asked) = children("BeginTwoWayAuthenticationRequest", &BEGIN, &call.body) else {
            desk.refused();
            return Reply::new(400, "text/html", "Bad Request");
        };
        let get = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let (user, context) = (get("UserPrincipalName"), get("ContextId"));
        if user.is_empty() || get("Version") != "1.0" || context.is_empty() {
            desk.refused();
            return Reply::new(400, "text/html", "Bad Request");
        }
        let answer = |value: &str, result: Option<&str>, session: Option<&str>| {
            response("BeginTwoWayAuthenticationResponse", value, result, session, Some(user))
                .header(header::SET_COOKIE, format!("{COOKIE}; path=/; secure; samesite=none; httponly"))
        };
        let scenario = desk.scenario(user);
        if scenario.has("unknown") {
            return answer("UserNotFound", Some("false"), None);
        }
        let (typed, word) = match get("AuthenticationMethodId") {
            "PhoneAppNotification" | "" => (
                scenario.number.is_some()
                    && get("AuthenticationMethodProperties").contains("OverrideNumberMatchingWithOTPtrue"),
                "push",
            ),
            "PhoneAppOTP" => (true, "totp"),
            "OneWaySMS" => (true, "sms"),
            "TwoWaySMS" => (false, "sms"),
            "TwoWayVoiceMobile" | "TwoWayVoiceOffice" | "TwoWayVoiceAlternateMobile" => (false, "call"),
            _ => return answer("AuthenticationMethodFailed", Some("false"), None),
        };
        if !scenario.has(word) {
            return answer("ProofDataNotFound", Some("false"), None);
        }
        let id = uuid::Uuid::new_v4().to_string();
        {
            let mut memory = self.memory();
            if memory.sessions.values().any(|session| session.context == context) {
                return answer("UserAuthFailedDuplicateRequest", Some("false"), None);
            }
            if memory.sessions.len() >= REMEMBERED {
                memory.sessions.clear();
            }
            let session =
                Session { user: user.to_owned(), context: context.to_owned(), begun: std::time::Instant::now(), typed };
            memory.sessions.insert(id.clone(), session);
        }
        if typed {
            return answer("Success", Some("challenge"), Some(&id));
        }
        desk.begin(Asking {
            id: id.clone(),
            person: user.to_owned(),
            application: get("CallerName").to_owned(),
            method: word.to_owned(),
            address: Some(get("CallerIP").to_owned()).filter(|address| address != "UNKNOWN:"),
            shown: None,
        });
        if get("SyncCall") != "true" {
            return answer("AuthenticationPending", None, Some(&id));
        }
        let (value, result) = state(desk.wait(&id, SESSION_LIVES).await.map(|prompt| prompt.state));
        answer(value, result, Some(&id))
    }

    fn end(&self, call: &Call, desk: &Desk) -> Reply {
        const ROOT: &str = "EndTwoWayAuthenticationResponse";
        let Some(asked) = children("EndTwoWayAuthenticationRequest", &END, &call.body) else {
            desk.refused();
            return Reply::new(400, "text/html", "Bad Request");
        };
        let get = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let session = self.memory().sessions.get(get("SessionId")).cloned();
        let session = session.filter(|session| {
            session.user == get("UserPrincipalName")
                && session.context == get("ContextId")
                && session.begun.elapsed() < SESSION_LIVES
                && call.header("cookie").contains(COOKIE)
        });
        let Some(session) = session else { return response(ROOT, "InvalidSession", Some("false"), None, None) };
        let (value, result) = if session.typed {
            self.code(&session.user, get("AdditionalAuthData"), &desk.scenario(&session.user))
        } else {
            state(desk.fetch(get("SessionId")).map(|prompt| prompt.state))
        };
        response(ROOT, value, result, None, None)
    }

    /// What comes of a typed code. Each is good for one time.
    fn code(&self, user: &str, typed: &str, scenario: &Scenario) -> (&'static str, Option<&'static str>) {
        let used = (user.to_owned(), typed.to_owned());
        let mut memory = self.memory();
        if typed != scenario.code {
            return ("OathCodeIncorrect", Some("false"));
        }
        if memory.codes.contains(&used) {
            return ("OathCodeDuplicate", Some("false"));
        }
        if memory.codes.len() >= 1000 {
            memory.codes.remove(0);
        }
        memory.codes.push(used);
        ("Success", Some("true"))
    }
}

/// A prompt's state in the words of the connector.
fn state(state: Option<State>) -> (&'static str, Option<&'static str>) {
    match state {
        Some(State::Approved) => ("Success", Some("true")),
        Some(State::Pending) => ("AuthenticationPending", None),
        Some(State::Denied) => ("PhoneAppDenied", Some("false")),
        Some(State::Fraud) => ("PhoneAppFraudReported", Some("false")),
        Some(State::Lockout) => ("UserIsBlocked", Some("false")),
        Some(State::Undeliverable) => ("PhoneAppNotificationFailed", Some("false")),
        Some(State::Expired | State::Cancelled) => ("PhoneAppNoResponse", Some("false")),
        None => ("InvalidSession", Some("false")),
    }
}

fn response(root: &str, value: &str, result: Option<&str>, session: Option<&str>, user: Option<&str>) -> Reply {
    let mut body = format!("<{root} xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">");
    element(&mut body, "Version", "1.0");
    body.push_str("<Result>");
    element(&mut body, "Value", value);
    body.push_str("<Message i:nil=\"true\"/>");
    element(&mut body, "Retry", if value == "AuthenticationPending" { "true" } else { "false" });
    body.push_str("<Exception i:nil=\"true\"/></Result>");
    if let Some(session) = session {
        element(&mut body, "SessionId", session);
    }
    match result {
        Some(result) => element(&mut body, "AuthenticationResult", result),
        None => body.push_str("<AuthenticationResult i:nil=\"true\"/>"),
    }
    if let Some(user) = user {
        element(&mut body, "UserPrincipalName", user);
    }
    body.push_str(&format!("</{root}>"));
    Reply::new(200, "application/xml; charset=utf-8", body)
}

/// The children of a request's root by name; those out of their order are not read. `None` where it is not that
/// request, or has a namespace.
fn children(root: &str, order: &[&str], body: &[u8]) -> Option<HashMap<String, String>> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let (mut found, mut depth, mut name, mut text) = (HashMap::new(), 0_usize, String::new(), String::new());
    let mut next = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let here = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                match depth {
                    0 if here != root || start.attributes().count() > 0 => return None,
                    1 => (name, text) = (here, String::new()),
                    _ => {}
                }
                depth += 1;
            }
            Event::End(_) => {
                depth = depth.checked_sub(1)?;
                let place = order.iter().position(|known| *known == name).filter(|place| *place >= next);
                if depth == 1
                    && let Some(place) = place
                {
                    found.insert(std::mem::take(&mut name), std::mem::take(&mut text));
                    next = place + 1;
                }
            }
            Event::Text(more) => text.push_str(&more.decode().ok()?),
            Event::GeneralRef(reference) => text.push_str(match &*reference.decode().ok()? {
                "lt" => "<",
                "gt" => ">",
                "amp" => "&",
                "quot" => "\"",
                "apos" => "'",
                _ => return None,
            }),
            Event::Eof => return (depth == 0 && !found.is_empty()).then_some(found),
            _ => {}
        }
    }
}

impl Service for Entra {
    fn word(&self) -> &'static str {
        "entra"
    }

    fn about(&self, call: &Call, _: &Desk) -> About {
        let operation = call.path().strip_prefix(CONNECTOR).unwrap_or_default();
        let read = |root: &str, order: &[&str]| children(root, order, &call.body).unwrap_or_default();
        match operation {
            "BeginTwoWayAuthentication" => {
                let asked = read("BeginTwoWayAuthenticationRequest", &BEGIN);
                let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
                About::new(Step::Begin, asked.get("UserPrincipalName").cloned())
                    .showing("method", get("AuthenticationMethodId"))
                    .showing("sync", get("SyncCall"))
                    .showing("caller", get("CallerIP"))
            }
            "EndTwoWayAuthentication" => {
                let asked = read("EndTwoWayAuthenticationRequest", &END);
                let typed = asked.get("AdditionalAuthData").is_some_and(|code| !code.is_empty());
                About::new(if typed { Step::Code } else { Step::Poll }, asked.get("UserPrincipalName").cloned())
                    .showing("session", asked.get("SessionId").cloned().unwrap_or_default())
            }
            "GetAvailableAuthenticationMethods" => About::new(Step::Ping, None),
            _ if call.path().ends_with("/oauth2/token") => {
                About::new(Step::Token, None).showing("client", call.field("client_id").unwrap_or_default())
            }
            _ => About::new(Step::Other, None),
        }
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Desk) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            if call.method == "POST" && call.path().ends_with("/oauth2/token") {
                return self.token(call, desk);
            }
            let Some(operation) = call.path().strip_prefix(CONNECTOR) else { return Reply::new(404, "text/html", "") };
            if call.method != "POST" {
                return Reply::new(403, "text/html", "");
            }
            if let Err(refused) = self.admitted(call) {
                desk.refused();
                return refused;
            }
            match operation {
                "BeginTwoWayAuthentication" => self.begin(call, desk).await,
                "EndTwoWayAuthentication" => self.end(call, desk),
                "GetAvailableAuthenticationMethods" => {
                    let asked = children("GetAvailableAuthenticationMethodsRequest", &METHODS, &call.body);
                    let user = asked.and_then(|asked| asked.get("UserPrincipalName").cloned()).unwrap_or_default();
                    let value = if desk.is_named(&user) { "Success" } else { "UserNotFound" };
                    response("GetAvailableAuthenticationMethodsResponse", value, None, None, Some(&user))
                }
                _ => Reply::new(404, "text/html", ""),
            }
        })
    }

    fn refusal(&self, status: u16) -> Reply {
        Reply::new(status, "text/html", format!("<html><body>{status}</body></html>"))
    }

    fn halves(&self) -> usize {
        6
    }

    fn half_success(&self, mut reply: Reply, which: usize) -> Reply {
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        let Some(root) = body
            .strip_prefix('<')
            .and_then(|rest| rest.split([' ', '>']).next())
            .filter(|root| root.ends_with("TwoWayAuthenticationResponse"))
        else {
            return reply;
        };
        let session = body.split("<SessionId>").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
        let made = |value: &str, result: Option<&str>, user: Option<&str>| {
            response(root, value, result, session.as_deref(), user).body
        };
        reply.body = match which {
            0 => made("Success", Some("challenge"), None),
            1 => made("PhoneAppDenied", Some("true"), None),
            2 => made("AuthenticationPending", Some("true"), None),
            3 => made("Success", Some("false"), None),
            4 => made("Success", Some("true"), Some("mallory@corp.example")),
            _ => String::from_utf8_lossy(&made("Success", Some("true"), None))
                .replace(
                    "<AuthenticationResult>",
                    "<AuthenticationResult>false</AuthenticationResult><AuthenticationResult>",
                )
                .into_bytes(),
        };
        reply
    }
}
