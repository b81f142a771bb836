//! A simulated Okta: users, factors, `verify` and transactions of the management API, and the token service that an
//! app with a key pair asks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderName;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::factor::native::signing::push_hex;
use crate::secret::Secret;
use crate::simulate::desk::{Desk, Typed};
use crate::simulate::jwt::{self, Assertion};
use crate::simulate::prompt::{Asking, State};
use crate::simulate::scenario::{Decision, Scenario, Step};
use crate::simulate::service::{About, Call, Reply, Service};

/// How long an access token is good for, in seconds.
const TOKEN_LIVES: u64 = 3600;

/// Tokens and assertions remembered at most.
const REMEMBERED: usize = 10_000;

/// The scenario's word for a method, the factor's id and type.
const FACTORS: [(&str, &str, &str); 5] = [
    ("push", "opf1", "push"),
    ("sms", "mbl1", "sms"),
    ("call", "clf1", "call"),
    ("email", "emf1", "email"),
    ("totp", "ostf1", "token:software:totp"),
];

/// An app with a key pair.
#[derive(Debug)]
pub struct App {
    /// Its client id.
    pub client_id: String,
    /// The public key of its key pair, `PUBLIC KEY` in PEM.
    pub public_key: Vec<u8>,
}

/// A simulated Okta.
#[derive(Debug)]
pub struct Okta {
    token: Secret,
    app: Option<App>,
    /// Access tokens given out, with their ends; and the ids of assertions that were used.
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    tokens: Vec<(String, u64)>,
    assertions: HashSet<String>,
}

impl Okta {
    /// An organisation with one API token, and perhaps an app.
    pub fn new(token: Secret, app: Option<App>) -> Self {
        Okta { token, app, given: Mutex::default() }
    }

    fn admitted(&self, call: &Call) -> bool {
        let header = call.header("authorization");
        if let Some(token) = header.strip_prefix("SSWS") {
            // Okta's own client for Python leaves the blank out.
            return self.token.matches(token.trim_start_matches(' ').as_bytes());
        }
        let Some(token) = header.strip_prefix("Bearer ") else { return false };
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.tokens.iter().any(|(known, ends)| known == token && call.now < *ends)
    }

    /// The token service (RFC 7523): the assertion must be signed, fresh, for this very address, and never used before.
    fn grant(&self, call: &Call, desk: &Desk) -> Reply {
        let refuse = |error: &str, why: &str| {
            desk.refused();
            Reply::json(
                if error == "invalid_client" { 401 } else { 400 },
                &json!({ "error": error, "error_description": why }),
            )
        };
        if call.media_type() != "application/x-www-form-urlencoded" {
            return refuse("invalid_request", "The content type must be application/x-www-form-urlencoded.");
        }
        if call.field("grant_type").as_deref() != Some("client_credentials") {
            return refuse("unsupported_grant_type", "The grant type is not supported.");
        }
        if call.field("client_assertion_type").as_deref() != Some(jwt::ASSERTION_TYPE) {
            return refuse("invalid_client", "The client_assertion_type is invalid.");
        }
        let scope = call.field("scope").unwrap_or_default();
        if !scope.split(' ').any(|one| one == "okta.users.manage") {
            return refuse("invalid_scope", "okta.users.manage is missing.");
        }
        let Some(app) = &self.app else { return refuse("invalid_client", "There is no such app.") };
        let text = call.field("client_assertion").unwrap_or_default();
        let key = jwt::public_key(&app.public_key);
        let Some(assertion) = key.and_then(|key| Assertion::verified(&text, &key)) else {
            return refuse("invalid_client", "The client_assertion signature is invalid.");
        };
        let here = format!("://{}/oauth2/v1/token", call.header("host"));
        let (now, ends) = (call.now, assertion.number("exp"));
        let fresh = ends > now && ends <= now.saturating_add(3600) && assertion.number("iat") <= now.saturating_add(60);
        if assertion.text("iss") != app.client_id || assertion.text("sub") != app.client_id || !fresh {
            return refuse("invalid_client", "The client_assertion token is expired or not for this client.");
        }
        if !assertion.text("aud").ends_with(&here) {
            return refuse(
                "invalid_client",
                "The audience claim must be the endpoint you are requesting the token from.",
            );
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let id = assertion.text("jti").to_owned();
        if id.is_empty() || given.assertions.len() >= REMEMBERED || !given.assertions.insert(id) {
            return refuse("invalid_client", "The client_assertion token was used before.");
        }
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() || given.tokens.len() >= REMEMBERED {
            return refuse("server_error", "no more tokens");
        }
        let mut token = String::from("eyJ");
        push_hex(&mut token, &random);
        given.tokens.push((token.clone(), now.saturating_add(TOKEN_LIVES)));
        let granted =
            json!({ "token_type": "Bearer", "expires_in": TOKEN_LIVES, "access_token": token, "scope": scope });
        Reply::json(200, &granted)
    }

    fn api(&self, call: &Call, desk: &Desk) -> Reply {
        if !self.admitted(call) {
            desk.refused();
            return error(401, "E0000011", "Invalid token provided");
        }
        let place = Place::of(call);
        let Some(login) = &place.login else {
            return if place.rest.is_empty() { Reply::json(200, &json!([])) } else { unknown() };
        };
        let scenario = desk.scenario(login);
        let rest: Vec<&str> = place.rest.iter().map(String::as_str).collect();
        if scenario.has("unknown") {
            return unknown();
        }
        match (call.method.as_str(), &rest[..]) {
            ("GET", []) => user(login, &scenario),
            ("GET", ["factors"]) => factors(&scenario),
            ("POST", ["factors", id, "verify"]) => verify(call, desk, login, &scenario, id),
            ("GET", ["factors", _, "transactions", id]) => transaction(call, desk, &place, id),
            ("DELETE", ["factors", _, "transactions", id]) => match desk.cancel(id) {
                true => Reply::new(204, "", ""),
                false => unknown(),
            },
            _ => error(405, "E0000022", "The endpoint does not support the provided HTTP method"),
        }
    }
}

/// What a path below `/api/v1/users` speaks of.
struct Place {
    /// The person's login, where the path names one that can be read.
    login: Option<String>,
    id: String,
    rest: Vec<String>,
}

impl Place {
    fn of(call: &Call) -> Self {
        let after = call.path().strip_prefix("/api/v1/users").unwrap_or("/none").trim_start_matches('/');
        let mut parts = after.split('/').map(decoded);
        let first = parts.next().unwrap_or_default();
        let rest: Vec<String> = parts.collect();
        // By the login, or by the id that was told for it.
        let login = if rest.is_empty() { Some(first.clone()) } else { login_of(&first) };
        let login = login.filter(|login| !login.is_empty());
        Place { id: login.as_deref().map(id_of).unwrap_or_default(), login, rest }
    }
}

/// A path segment without its percent signs.
fn decoded(segment: &str) -> String {
    let form = format!("x={}", segment.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(form.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn id_of(login: &str) -> String {
    let mut id = String::from("00u");
    push_hex(&mut id, login.as_bytes());
    id
}

fn login_of(id: &str) -> Option<String> {
    let digits = id.strip_prefix("00u")?.as_bytes().chunks(2);
    let octets = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(octets.collect::<Option<Vec<u8>>>()?).ok()
}

fn user(login: &str, scenario: &Scenario) -> Reply {
    let status = if scenario.answer == Decision::Lockout { "LOCKED_OUT" } else { "ACTIVE" };
    let profile = json!({ "login": login, "email": login, "firstName": "Sim", "lastName": "Ulated" });
    Reply::json(200, &json!({ "id": id_of(login), "status": status, "profile": profile, "_links": {} }))
}

fn factors(scenario: &Scenario) -> Reply {
    let factor = |id: &str, kind: &str, status: &str| {
        json!({ "id": id, "factorType": kind, "provider": "OKTA", "vendorName": "OKTA", "status": status,
            "profile": { "name": "a phone" }, "_links": {} })
    };
    let mut all = vec![factor("opf0", "push", "PENDING_ACTIVATION"), factor("fwf1", "signed_nonce", "ACTIVE")];
    let theirs = FACTORS.iter().filter(|(word, ..)| scenario.has(word));
    all.extend(theirs.map(|(_, id, kind)| factor(id, kind, "ACTIVE")));
    Reply::json(200, &all)
}

fn verify(call: &Call, desk: &Desk, login: &str, scenario: &Scenario, id: &str) -> Reply {
    let Some((word, ..)) = FACTORS.iter().find(|(word, known, _)| *known == id && scenario.has(word)) else {
        return unknown();
    };
    let body = call.json();
    if !call.body.is_empty() && (call.media_type() != "application/json" || !body.is_object()) {
        return error(415, "E0000055", "The request is not in a supported media type");
    }
    let agent = call.header("user-agent").is_empty();
    match body.get("passCode").and_then(Value::as_str) {
        _ if *word == "push" && agent => error(400, "E0000001", "Api validation failed: User-Agent"),
        Some(code) if *word != "push" && desk.check_code(login, code) == Typed::Right => {
            Reply::json(200, &json!({ "factorResult": "SUCCESS" }))
        }
        Some(_) => error(403, "E0000068", "Invalid Passcode/Answer"),
        None if *word == "totp" => error(400, "E0000001", "Api validation failed: passCode"),
        None if scenario.answer == Decision::Undeliverable => error(400, "E0000001", "Api validation failed: device"),
        None => begin(call, desk, login, scenario, (word, id), &body),
    }
}

fn begin(call: &Call, desk: &Desk, login: &str, scenario: &Scenario, factor: (&str, &str), body: &Value) -> Reply {
    let (word, id) = factor;
    let numbered = body.get("useNumberMatchingChallenge").and_then(Value::as_bool) == Some(true);
    let number = scenario.number.clone().or_else(|| numbered.then(|| "42".to_owned()));
    let prompt = desk.begin(Asking {
        id: String::new(),
        person: login.to_owned(),
        application: "Okta".to_owned(),
        method: word.to_owned(),
        address: Some(call.header("x-forwarded-for").to_owned()).filter(|address| !address.is_empty()),
        shown: number.clone(),
        lives: None,
    });
    if word != "push" {
        return Reply::json(200, &json!({ "factorResult": "CHALLENGE", "expiresAt": "2030-01-01T00:00:00.000Z" }));
    }
    Reply::json(201, &waiting(call, &id_of(login), id, &prompt.id, number.as_deref()))
}

fn waiting(call: &Call, user: &str, factor: &str, id: &str, number: Option<&str>) -> Value {
    let host = call.header("host");
    let href = format!("https://{host}/api/v1/users/{user}/factors/{factor}/transactions/{id}");
    let links = json!({
        "poll": { "href": href, "hints": { "allow": ["GET"] } },
        "cancel": { "href": href, "hints": { "allow": ["DELETE"] } },
    });
    let mut body = json!({ "factorResult": "WAITING", "expiresAt": "2030-01-01T00:00:00.000Z", "_links": links });
    if let (Some(number), Some(body)) = (number, body.as_object_mut()) {
        let number = number.parse::<u32>().map_or_else(|_| Value::from(number), Value::from);
        body.insert("_embedded".to_owned(), json!({ "challenge": { "correctAnswer": number } }));
    }
    body
}

fn transaction(call: &Call, desk: &Desk, place: &Place, id: &str) -> Reply {
    let Some(prompt) = desk.fetch(id) else { return unknown() };
    let result = match prompt.state {
        State::Approved => "SUCCESS",
        State::Denied | State::Fraud | State::Lockout => "REJECTED",
        State::Expired | State::Undeliverable => "TIMEOUT",
        State::Cancelled => "CANCELLED",
        State::Pending => {
            return Reply::json(200, &waiting(call, &place.id, "opf1", id, prompt.shown.as_deref()));
        }
    };
    Reply::json(200, &json!({ "factorResult": result }))
}

fn unknown() -> Reply {
    error(404, "E0000007", "Not found: Resource not found")
}

fn error(status: u16, code: &str, summary: &str) -> Reply {
    let body =
        json!({ "errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae1", "errorCauses": [] });
    Reply::json(status, &body)
}

impl Service for Okta {
    fn word(&self) -> &'static str {
        "okta"
    }

    fn about(&self, call: &Call, _: &Desk) -> About {
        if call.path() == "/oauth2/v1/token" {
            return About::new(Step::Token, None).showing("scope", call.field("scope").unwrap_or_default());
        }
        let place = Place::of(call);
        let part = place.rest.get(2).map(String::as_str);
        let step = match (call.method.as_str(), part) {
            ("POST", Some("verify")) if call.json().get("passCode").is_some() => Step::Code,
            ("POST", Some("verify")) => Step::Begin,
            ("GET", Some("transactions")) => Step::Poll,
            ("DELETE", Some("transactions")) => Step::Cancel,
            ("GET", None) if place.login.is_none() => Step::Ping,
            ("GET", None) => Step::Look,
            _ => Step::Other,
        };
        let factor = place.rest.get(1).cloned().unwrap_or_default();
        About::new(step, place.login).showing("factor", factor).showing("client", call.header("x-forwarded-for"))
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let reply = match call.path() {
                "/oauth2/v1/token" if call.method.as_str() == "POST" => self.grant(call, desk),
                path if path.starts_with("/api/v1/users") => self.api(call, desk),
                _ => error(404, "E0000022", "The endpoint does not support the provided HTTP method"),
            };
            let limit = |name: &'static str| HeaderName::from_static(name);
            reply
                .header(limit("x-rate-limit-limit"), "600")
                .header(limit("x-rate-limit-remaining"), "599")
                .header(limit("x-rate-limit-reset"), call.now.saturating_add(60).to_string())
        })
    }

    fn refusal(&self, _: Step, status: u16) -> Reply {
        match status {
            401 => error(401, "E0000011", "Invalid token provided"),
            403 => error(403, "E0000006", "You do not have permission to perform the requested action"),
            429 => error(429, "E0000047", "API call exceeded rate limit due to too many requests.")
                .header(HeaderName::from_static("x-rate-limit-remaining"), "0"),
            _ => error(status, "E0000009", "Internal Server Error"),
        }
    }

    fn halves(&self) -> usize {
        4
    }

    fn half_success(&self, reply: Reply, which: usize) -> Reply {
        let status = if which == 3 { 202 } else { 200 };
        let mut half = reply.changed(|body| {
            let mut said = json!({ "factorResult": "SUCCESS" });
            let more = match which {
                0 => ("status", json!("MFA_CHALLENGE")),
                1 => ("errorCode", json!("E0000009")),
                2 => ("factorResult", json!(["SUCCESS"])),
                _ => ("expiresAt", json!("2030-01-01T00:00:00.000Z")),
            };
            if let Some(said) = said.as_object_mut() {
                said.insert(more.0.to_owned(), more.1);
            }
            *body = said;
        });
        half.status = status;
        half
    }
}
