//! A simulated privacyIDEA: `/auth`, `/validate/check`, `/validate/triggerchallenge`, `/validate/polltransaction`,
//! `/ttype` left out. Answers have the shape of version 3.14.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::factor::privacyidea::NOBODY;
use crate::secret::Secret;
use crate::simulate::desk::{Desk, Typed};
use crate::simulate::prompt::{Asking, Prompt, State};
use crate::simulate::scenario::{Scenario, Step};
use crate::simulate::service::{About, Call, Reply, Service};

/// How long an authorisation token is good for, in seconds.
const TOKEN_LIVES: u64 = 3600;

/// Authorisation tokens remembered at most.
const TOKENS: usize = 1000;

/// The kinds of token that have challenges: the scenario's word, the service's type, how it is answered.
const KINDS: [(&str, &str, &str); 5] = [
    ("push", "push", "poll"),
    ("sms", "sms", "interactive"),
    ("email", "email", "interactive"),
    ("totp", "totp", "interactive"),
    ("hotp", "hotp", "interactive"),
];

/// A simulated privacyIDEA.
#[derive(Debug)]
pub struct PrivacyIdea {
    account: String,
    password: Secret,
    /// The only realm; empty: no realm is asked for.
    realm: String,
    /// Tokens given out, with their ends in seconds since 1970.
    tokens: Mutex<Vec<(String, u64)>>,
    last: AtomicU64,
}

impl PrivacyIdea {
    /// A service with one service account and one realm.
    pub fn new(account: &str, password: Secret, realm: &str) -> Self {
        let tokens = Mutex::default();
        PrivacyIdea { account: account.to_owned(), password, realm: realm.to_owned(), tokens, last: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn auth(&self, call: &Call, desk: &Desk) -> Reply {
        let form = Form::of(call);
        let right = form.get("username") == self.account && self.password.matches(form.get("password").as_bytes());
        if !right {
            desk.refused();
            return failure(401, 4031, "Authentication failure. Wrong credentials");
        }
        let (token, ends) = (format!("eyJ.simulated.{}", self.next()), call.now.saturating_add(TOKEN_LIVES));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS {
            tokens.remove(0);
        }
        tokens.push((token.clone(), ends));
        let login = json!({ "token": token, "role": "admin", "realm": "", "username": self.account });
        success(&login, Some("ACCEPT"), None)
    }

    /// Whether the request has a token of ours that is still good.
    fn admitted(&self, call: &Call) -> Result<(), Reply> {
        let given = match call.header("pi-authorization") {
            "" => call.header("authorization"),
            given => given,
        };
        if given.is_empty() {
            return Err(failure(401, 4033, "Authentication failure. Missing Authorization header."));
        }
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.iter().find(|(token, _)| token == given) {
            Some((_, ends)) if call.now < *ends => Ok(()),
            Some(_) => Err(failure(401, 4305, "Authentication failure. Your token has expired.")),
            None => Err(failure(401, 4304, "Authentication failure. Error during decoding your token.")),
        }
    }

    /// The person of a request, or why there is none.
    fn person(&self, form: &Form, desk: &Desk) -> Result<(String, Scenario), Reply> {
        let (user, realm) = (form.get("user"), form.get("realm"));
        if user.is_empty() {
            return Err(failure(400, 905, "ERR905: You need to specify a serial or a user."));
        }
        let scenario = desk.scenario(user);
        let strange = !realm.is_empty() && realm != self.realm;
        if strange || scenario.has("unknown") || user == NOBODY {
            return Err(failure(400, 904, &format!("ERR904: User <{user}@{realm}> does not exist.")));
        }
        Ok((user.to_owned(), scenario))
    }

    fn trigger(&self, call: &Call, desk: &Desk) -> Reply {
        if let Err(refused) = self.admitted(call) {
            desk.refused();
            return refused;
        }
        let form = Form::of(call);
        let (person, scenario) = match self.person(&form, desk) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let wanted = form.get("type");
        let kinds = KINDS.iter().filter(|(word, kind, _)| {
            let sends = !matches!(*kind, "totp" | "hotp") || !wanted.is_empty();
            scenario.has(word) && sends && (wanted.is_empty() || wanted == *kind)
        });
        let kinds: Vec<_> = kinds.collect();
        if kinds.is_empty() {
            return success(&json!(0), Some("REJECT"), Some(json!({ "messages": [], "multi_challenge": [] })));
        }
        let transaction = format!("{:020}", self.next());
        desk.begin(Asking {
            id: transaction.clone(),
            person: person.clone(),
            application: "privacyIDEA".to_owned(),
            method: kinds.iter().map(|(word, ..)| *word).collect::<Vec<_>>().join(" + "),
            address: Some(form.get("client").to_owned()).filter(|address| !address.is_empty()),
            shown: None,
            lives: None,
        });
        let challenges: Vec<Value> = kinds.iter().map(|kind| challenge(kind, &person, &transaction)).collect();
        success(&json!(challenges.len()), Some("CHALLENGE"), Some(challenged(&transaction, &challenges)))
    }

    fn poll(call: &Call, desk: &Desk) -> Reply {
        let prompt = desk.fetch(&transaction_of(call));
        let (value, status) = match prompt.as_ref().map(|prompt| prompt.state) {
            Some(State::Approved) => (true, "accept"),
            Some(State::Denied | State::Fraud | State::Lockout) => (false, "declined"),
            Some(State::Cancelled) => (false, "cancelled"),
            Some(State::Pending | State::Undeliverable | State::Expired) | None => (false, "pending"),
        };
        let authentication = if value { "ACCEPT" } else { "REJECT" };
        success(&json!(value), Some(authentication), Some(json!({ "challenge_status": status })))
    }

    fn check(&self, call: &Call, desk: &Desk) -> Reply {
        let form = Form::of(call);
        let Some(pass) = form.find("pass") else {
            return failure(400, 905, "ERR905: Missing parameter: 'pass'");
        };
        let (person, scenario) = match self.person(&form, desk) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let transaction = form.get("transaction_id");
        let prompt = desk.prompt(transaction).filter(|prompt| prompt.person == person);
        if !transaction.is_empty() && prompt.as_ref().is_none_or(is_over) {
            return rejected("Response did not match the challenge.");
        }
        let accepted = match prompt {
            // The closing check of a push: an empty answer to a challenge that was accepted on the phone.
            Some(prompt) if pass.is_empty() => prompt.state == State::Approved,
            _ => !pass.is_empty() && desk.check_code(&person, pass) == Typed::Right,
        };
        if scenario.has("locked") {
            return rejected("The token is locked: Failcounter exceeded");
        }
        if accepted {
            desk.cancel(transaction);
            let detail = json!({ "message": "matching 1 tokens", "serial": "SIM0001", "type": "totp", "otplen": 6 });
            return success(&json!(true), Some("ACCEPT"), Some(detail));
        }
        rejected("wrong otp value")
    }
}

/// Whether nothing can be answered any more.
fn is_over(prompt: &Prompt) -> bool {
    matches!(prompt.state, State::Expired | State::Cancelled)
}

fn transaction_of(call: &Call) -> String {
    let after = call.path().strip_prefix("/validate/polltransaction").unwrap_or_default();
    match after.trim_start_matches('/') {
        "" => call.query("transaction_id").unwrap_or_default(),
        id => id.to_owned(),
    }
}

fn challenge(kind: &(&str, &str, &str), person: &str, transaction: &str) -> Value {
    let (word, kind, mode) = kind;
    let message = match *word {
        "push" => "Please confirm the authentication on your mobile device!",
        "sms" => "Enter the code from the text message:",
        "email" => "Enter the code from the e-mail:",
        _ => "please enter otp: ",
    };
    json!({
        "client_mode": mode, "message": message, "type": kind, "transaction_id": transaction,
        "serial": format!("{}-{person}", kind.to_uppercase()), "attributes": Value::Null,
    })
}

fn challenged(transaction: &str, challenges: &[Value]) -> Value {
    let message: Vec<&str> = challenges.iter().filter_map(|one| one.get("message").and_then(Value::as_str)).collect();
    let first = challenges.first().cloned().unwrap_or_default();
    let of_first = |name: &str| first.get(name).cloned().unwrap_or_default();
    json!({
        "message": message.join(", "), "messages": message, "multi_challenge": challenges,
        "transaction_id": transaction, "transaction_ids": [transaction],
        "serial": of_first("serial"), "type": of_first("type"), "client_mode": of_first("client_mode"),
        "preferred_client_mode": "interactive", "threadid": 1,
    })
}

fn success(value: &Value, authentication: Option<&str>, detail: Option<Value>) -> Reply {
    let mut body = json!({
        "id": 1, "jsonrpc": "2.0", "result": { "status": true, "value": value }, "time": 1_700_000_000.25,
        "version": "privacyIDEA 3.14", "versionnumber": "3.14", "signature": "rsa_sha256_pss:00",
    });
    if let Some(word) = authentication
        && let Some(result) = body.get_mut("result").and_then(Value::as_object_mut)
    {
        result.insert("authentication".to_owned(), word.into());
    }
    if let (Some(detail), Some(body)) = (detail, body.as_object_mut()) {
        body.insert("detail".to_owned(), detail);
    }
    Reply::json(200, &body)
}

fn rejected(message: &str) -> Reply {
    success(&json!(false), Some("REJECT"), Some(json!({ "message": message, "threadid": 1 })))
}

fn failure(status: u16, code: u32, message: &str) -> Reply {
    let result = json!({ "status": false, "error": { "code": code, "message": message } });
    Reply::json(
        status,
        &json!({
            "id": 1, "jsonrpc": "2.0", "result": result, "detail": null, "time": 1_700_000_000.25,
            "version": "privacyIDEA 3.14", "signature": "rsa_sha256_pss:00",
        }),
    )
}

/// Parameters: a form, JSON, or the query. Any other body is not read, as at the real service.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(call: &Call) -> Self {
        let mut pairs = match &*call.media_type() {
            "application/x-www-form-urlencoded" => call.form(),
            "application/json" => match call.json() {
                Value::Object(object) => object.into_iter().map(|(key, value)| (key, text(&value))).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let query = call.uri.query().unwrap_or_default().as_bytes();
        pairs.extend(url::form_urlencoded::parse(query).map(|(key, value)| (key.into_owned(), value.into_owned())));
        Form(pairs)
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Service for PrivacyIdea {
    fn word(&self) -> &'static str {
        "privacyidea"
    }

    fn about(&self, call: &Call, desk: &Desk) -> About {
        let form = Form::of(call);
        let person = Some(form.get("user").to_owned()).filter(|user| !user.is_empty());
        let (_, path) = call.route();
        match path {
            "/auth" => About::new(Step::Token, None).showing("account", form.get("username")),
            "/validate/triggerchallenge" => About::new(Step::Begin, person)
                .showing("realm", form.get("realm"))
                .showing("type", form.get("type"))
                .showing("client", form.get("client")),
            "/validate/check" => {
                let step = if form.get("pass").is_empty() { Step::Finish } else { Step::Code };
                About::new(step, person)
                    .showing("realm", form.get("realm"))
                    .showing("transaction", form.get("transaction_id"))
                    .showing("client", form.get("client"))
            }
            _ if path.starts_with("/validate/polltransaction") => {
                let id = transaction_of(call);
                About::new(Step::Poll, desk.prompt(&id).map(|prompt| prompt.person)).showing("transaction", id)
            }
            _ => About::new(Step::Other, person),
        }
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            match call.route() {
                ("POST", "/auth") => self.auth(call, desk),
                ("POST", "/validate/triggerchallenge") => self.trigger(call, desk),
                ("POST" | "GET", "/validate/check") => self.check(call, desk),
                ("GET", path) if path.starts_with("/validate/polltransaction") => PrivacyIdea::poll(call, desk),
                ("GET" | "POST", _) => failure(404, 404, "The requested URL was not found on the server."),
                _ => failure(405, 405, "The method is not allowed for the requested URL."),
            }
        })
    }

    fn refusal(&self, _: Step, status: u16) -> Reply {
        match status {
            401 => failure(401, 4031, "Authentication failure."),
            403 => failure(403, 303, "ERR303: No active policies."),
            // What stands before a Python server answers these, in HTML.
            429 | 502..=504 => Reply::new(status, "text/html", "<html><h1>try again later</h1></html>"),
            _ => failure(status, 500, "An internal error occurred."),
        }
    }

    fn halves(&self) -> usize {
        6
    }

    fn half_success(&self, reply: Reply, which: usize) -> Reply {
        reply.changed(|body| {
            let Some(body) = body.as_object_mut() else { return };
            let challenges = json!({ "transaction_id": "1", "multi_challenge": [{ "client_mode": "interactive" }] });
            let mut result = json!({ "status": true, "value": true, "authentication": "ACCEPT" });
            let mut set = |name: &str, value: Value| {
                if let Some(result) = result.as_object_mut() {
                    result.insert(name.to_owned(), value);
                }
            };
            match which {
                0 => set("authentication", json!("CHALLENGE")),
                1 => set("status", json!(false)),
                2 => set("value", json!(false)),
                3 => set("error", json!({ "code": 303, "message": "ERR303" })),
                4 => set("value", json!("true")),
                _ => {
                    body.insert("detail".to_owned(), challenges);
                }
            }
            body.insert("result".to_owned(), result);
        })
    }
}
