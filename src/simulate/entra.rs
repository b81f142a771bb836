//! A simulated Entra connector: the token endpoint, and Begin, End and the list of methods. It checks credentials,
//! assertions, tokens, content types, the order of elements (a misplaced child is not read, as with .NET data
//! contracts), and that a session is finished where and by whom it was begun.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header;
use futures_util::future::BoxFuture;
use std::time::Duration;

use crate::secret::Secret;
use crate::simulate::desk::{Desk, Typed};
use crate::simulate::prompt::{Asking, State};
use crate::simulate::scenario::Step;
use crate::simulate::service::{About, Call, Reply, Service};
use xml::{BEGIN, END, METHODS, More, children, response};

mod login;
mod xml;

/// Where the operations are.
const CONNECTOR: &str = "/StrongAuthenticationService.svc/Connector/";

/// Sessions are finished below this path: where they began.
const PIN: &str = "/slice-1";

/// How long a session can be finished.
const SESSION_LIVES: Duration = Duration::from_secs(180);

/// Tokens and sessions remembered at most, each.
const REMEMBERED: usize = 100_000;

/// The cookie that pins a session.
const COOKIE: &str = "x-ms-gateway-slice=simulated";

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
    /// Sessions by id, in the order of their beginning, and the questions' own ids.
    sessions: HashMap<String, Session>,
    order: VecDeque<String>,
    contexts: HashSet<String>,
}

impl Memory {
    /// Remembers a session; false when there was a question of this id before.
    fn remember(&mut self, id: &str, session: Session) -> bool {
        if !self.contexts.insert(session.context.clone()) {
            return false;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
            && let Some(session) = self.sessions.remove(&oldest)
        {
            self.contexts.remove(&session.context);
        }
        self.order.push_back(id.to_owned());
        self.sessions.insert(id.to_owned(), session);
        true
    }
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
        let sync = get("SyncCall");
        let fit = !user.is_empty() && get("Version") == "1.0" && matches!(sync, "true" | "false");
        if !fit || uuid::Uuid::parse_str(context).is_err() {
            desk.refused();
            return Reply::new(400, "text/html", "Bad Request");
        }
        let scenario = desk.scenario(user);
        let is_push = matches!(get("AuthenticationMethodId"), "PhoneAppNotification" | "");
        let overridden = get("AuthenticationMethodProperties").contains("OverrideNumberMatchingWithOTPtrue");
        // A number is told beside a prompt that is asked about; an answer that waits for the person comes too late for it.
        let shown = scenario.number.clone().filter(|_| is_push && !overridden && sync == "false");
        let scheme = if call.tls { "https" } else { "http" };
        let pinned = format!("{scheme}://{}{PIN}{CONNECTOR}EndTwoWayAuthentication", call.header("host"));
        let answer = |value: &str, result: Option<&str>, session: Option<&str>| {
            let number = shown.as_deref().filter(|_| session.is_some() && result.is_none());
            let more = More { session, affinity: session.map(|_| &*pinned), user: Some(user), number };
            response("BeginTwoWayAuthenticationResponse", value, result, more)
                .header(header::SET_COOKIE, format!("{COOKIE}; path=/; secure; samesite=none; httponly"))
        };
        if scenario.has("unknown") {
            // Whoever asks for no match gets an approval of somebody who was never asked.
            let lax = get("RequireUserMatch") == "false";
            return if lax {
                answer("Success", Some("true"), None)
            } else {
                answer("UserNotFound", Some("false"), None)
            };
        }
        let (typed, word) = match get("AuthenticationMethodId") {
            "PhoneAppNotification" | "" => (scenario.number.is_some() && overridden, "push"),
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
        let begun = std::time::Instant::now();
        let session = Session { user: user.to_owned(), context: context.to_owned(), begun, typed };
        if !self.memory().remember(&id, session) {
            return answer("UserAuthFailedDuplicateRequest", Some("false"), None);
        }
        if !typed || word == "sms" {
            desk.begin(Asking {
                id: id.clone(),
                person: user.to_owned(),
                application: get("CallerName").to_owned(),
                method: word.to_owned(),
                address: Some(get("CallerIP").to_owned()).filter(|address| address != "UNKNOWN:"),
                shown: shown.clone(),
                lives: None,
            });
        }
        if typed {
            return answer("Success", Some("challenge"), Some(&id));
        }
        if sync != "true" {
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
                && call.path().starts_with(PIN)
        });
        let Some(session) = session else { return response(ROOT, "InvalidSession", Some("false"), More::default()) };
        let (value, result) = if session.typed {
            match desk.check_code(&session.user, get("AdditionalAuthData")) {
                Typed::Right => ("Success", Some("true")),
                Typed::Wrong => ("OathCodeIncorrect", Some("false")),
                Typed::Used => ("OathCodeDuplicate", Some("false")),
            }
        } else {
            state(desk.fetch(get("SessionId")).map(|prompt| prompt.state))
        };
        response(ROOT, value, result, More::default())
    }
}

/// Which operation of the connector a request is for.
fn operation(call: &Call) -> Option<&str> {
    call.path().strip_prefix(PIN).unwrap_or(call.path()).strip_prefix(CONNECTOR)
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

impl Service for Entra {
    fn word(&self) -> &'static str {
        "entra"
    }

    fn about(&self, call: &Call, _: &Desk) -> About {
        let operation = operation(call).unwrap_or_default();
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

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            if call.method == "POST" && call.path().ends_with("/oauth2/token") {
                return self.token(call, desk);
            }
            let Some(operation) = operation(call) else { return Reply::new(404, "text/html", "") };
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
                    let more = More { user: Some(&user), ..More::default() };
                    response("GetAvailableAuthenticationMethodsResponse", value, None, more)
                }
                _ => Reply::new(404, "text/html", ""),
            }
        })
    }

    fn refusal(&self, step: Step, status: u16) -> Reply {
        if step == Step::Token && matches!(status, 401 | 403) {
            let (code, word, text) = match status {
                401 => (7_000_215, "invalid_client", "Invalid client secret provided."),
                _ => (7_000_112, "unauthorized_client", "The application is disabled."),
            };
            return login::refusal(status, code, word, text);
        }
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
            response(root, value, result, More { session: session.as_deref(), user, ..More::default() }).body
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
