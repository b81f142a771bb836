//! A simulated Duo: the Auth API version 2, with signatures of version 2, 4 and 5 verified to the byte, dates within five
//! minutes, content types and parameters checked. Duo's own client works against it unchanged.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::config::DuoSignature;
use crate::factor::duo::signing::{self, Signed};
use crate::secret::Secret;
use crate::simulate::desk::{Desk, Typed};
use crate::simulate::prompt::{Asking, Prompt, State};
use crate::simulate::scenario::{Scenario, Step};
use crate::simulate::service::{About, Call, Reply, Service};
use enrolment::{LOGO, enroll, enroll_status};

mod enrolment;

/// How far a date may lie from our clock, in seconds.
const WINDOW: i64 = 300;

/// Longest wait of a question for a state.
const LONG_POLL: Duration = Duration::from_secs(30);

/// Longest wait of a synchronous `auth`.
const SYNCHRONOUS: Duration = Duration::from_secs(60);

/// Transactions remembered at most, of each kind.
const REMEMBERED: usize = 100_000;

/// A simulated Duo.
#[derive(Debug)]
pub struct Duo {
    ikey: String,
    skey: Secret,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// What came of transactions that prompt nobody: result and status.
    settled: HashMap<String, (&'static str, &'static str)>,
    /// Verified pushes that were announced: transaction and person.
    announced: HashMap<String, String>,
}

type Params = BTreeMap<String, String>;

/// An error in the service's words.
type Refused = (u32, &'static str, &'static str);

const MISSING: u32 = 40001;
const INVALID: u32 = 40002;

impl Duo {
    /// A service with one application.
    pub fn new(ikey: &str, skey: Secret) -> Self {
        Duo { ikey: ikey.to_owned(), skey, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the signature as the real service does, and reads the parameters.
    fn admitted(&self, call: &Call) -> Result<Params, Refused> {
        let authorization = call.header("authorization");
        if authorization.is_empty() {
            return Err((40101, "Missing request credentials", ""));
        }
        let (ikey, given) = signing::opened(authorization).ok_or((40101, "Missing request credentials", ""))?;
        if ikey != self.ikey {
            return Err((40102, "Invalid integration key in request credentials", ""));
        }
        let date = match call.header("x-duo-date") {
            "" => call.header("date"),
            date => date,
        };
        let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date);
        let time = time.map_err(|_| (40104, "Missing or invalid date", ""))?;
        let now = i64::try_from(call.now).unwrap_or(i64::MAX);
        if time.as_second().saturating_sub(now).abs() > WINDOW {
            return Err((40105, "Bad request timestamp", ""));
        }
        let post = matches!(call.method.as_str(), "POST" | "PUT" | "PATCH");
        let kind = call.media_type();
        let params = if post { body_of(call, &kind)? } else { query_of(call) };
        let host = call.header("host").rsplit_once(':').map_or(call.header("host"), |(host, _)| host).to_lowercase();
        let canonical_params =
            signing::canonical_params(params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let headers: BTreeMap<String, String> = call
            .headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-duo-"))
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let headers: Vec<(String, String)> = headers.into_iter().collect();
        let json = kind == "application/json";
        let versions: &[DuoSignature] = match (post, json) {
            (true, true) => &[DuoSignature::V5],
            (true, false) => &[DuoSignature::V2],
            (false, _) => &[DuoSignature::V5, DuoSignature::V2],
        };
        let right = versions.iter().any(|version| {
            let signed = Signed {
                date,
                method: call.method.as_str(),
                host: &host,
                path: call.path(),
                params: if post && json { "" } else { &canonical_params },
                body: if post { &call.body } else { b"" },
                headers: &headers,
            };
            let canonical = signing::canonical(*version, &signed);
            // Version 4 is version 5 without the line of the headers.
            let fourth = canonical.rsplit_once('\n').filter(|_| *version == DuoSignature::V5).map(|(text, _)| text);
            let right = |text: &str| signing::verify(*version, self.skey.open(), text, &given);
            right(&canonical) || fourth.is_some_and(right)
        });
        if right { Ok(params) } else { Err((40103, "Invalid signature in request credentials", "")) }
    }

    fn preauth(&self, params: &Params, desk: &Desk) -> Result<Value, Refused> {
        let person = person_of(params)?;
        let scenario = desk.scenario(person);
        if scenario.has("unknown") {
            return Ok(json!({
                "result": "enroll", "status_msg": "Enroll an authentication device to proceed",
                "enroll_portal_url": "https://api-simulated.duosecurity.com/portal?code=48bac5d9393fb2c2",
            }));
        }
        if scenario.has("bypass") {
            return Ok(json!({ "result": "allow", "status_msg": "Allowing unknown user" }));
        }
        if scenario.has("locked") {
            return Ok(
                json!({ "result": "deny", "status_msg": "Your account is disabled and cannot access this application." }),
            );
        }
        let supports = params.get("client_supports_verified_push").is_some_and(|value| value == "1");
        let mut response = json!({
            "result": "auth", "status_msg": "Account is active", "devices": devices(&scenario, supports),
        });
        if let (Some(number), true, Some(fields)) = (&scenario.number, supports, response.as_object_mut()) {
            let txid = uuid::Uuid::new_v4().to_string();
            let mut memory = self.memory();
            if memory.announced.len() >= REMEMBERED {
                memory.announced.clear();
            }
            memory.announced.insert(txid.clone(), person.to_owned());
            fields.insert("txid".into(), txid.into());
            fields.insert("verification_code".into(), number.clone().into());
            fields.insert("expiration".into(), (desk.clock().saturating_add(60)).into());
        }
        Ok(response)
    }

    async fn auth(&self, params: &Params, desk: &Desk) -> Result<Value, Refused> {
        let person = person_of(params)?;
        let scenario = desk.scenario(person);
        let get = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
        let asynchronous = get("async") == "1";
        let mut txid = uuid::Uuid::new_v4().to_string();
        let settled = match get("factor") {
            "" => return Err((MISSING, "Missing required request parameters", "factor")),
            "passcode" => {
                let code =
                    params.get("passcode").ok_or((MISSING, "Missing required request parameters", "passcode"))?;
                Some(match desk.check_code(person, code) {
                    _ if scenario.has("lockout") => ("deny", "locked_out"),
                    Typed::Right => ("allow", "allow"),
                    Typed::Wrong | Typed::Used => ("deny", "deny"),
                })
            }
            factor @ ("push" | "auto" | "phone" | "sms") => {
                let device = params.get("device").ok_or((MISSING, "Missing required request parameters", "device"))?;
                let word = match factor {
                    "phone" => "call",
                    "sms" => "sms",
                    _ => "push",
                };
                if !scenario.has(word) || !matches!(device.as_str(), "auto" | "DPSIMULATED1" | "DPSIMULATED2") {
                    return Err((INVALID, "Invalid request parameters", "device"));
                }
                if let Some(announced) = params.get("txid") {
                    if self.memory().announced.remove(announced).as_deref() != Some(person) {
                        return Err((INVALID, "Invalid request parameters", "txid"));
                    }
                    txid.clone_from(announced);
                }
                (factor == "sms").then_some(("deny", "sent"))
            }
            _ => return Err((INVALID, "Invalid request parameters", "factor")),
        };
        if get("factor") != "passcode" {
            desk.begin(Asking {
                id: txid.clone(),
                person: person.to_owned(),
                application: get("pushinfo").to_owned(),
                method: get("factor").to_owned(),
                address: params.get("ipaddr").cloned(),
                shown: scenario.number.clone(),
                lives: None,
            });
        }
        if let Some(settled) = settled {
            let mut memory = self.memory();
            if memory.settled.len() >= REMEMBERED {
                memory.settled.clear();
            }
            memory.settled.insert(txid.clone(), settled);
        }
        if asynchronous {
            return Ok(json!({ "txid": txid }));
        }
        let (result, status) = match settled {
            Some(settled) => settled,
            None => state(desk.wait(&txid, SYNCHRONOUS).await),
        };
        let result = if result == "waiting" { "deny" } else { result };
        Ok(json!({ "result": result, "status": status, "status_msg": message(status) }))
    }

    async fn status(&self, params: &Params, desk: &Desk) -> Result<Value, Refused> {
        let txid = params.get("txid").ok_or((MISSING, "Missing required request parameters", "txid"))?;
        let settled = self.memory().settled.get(txid).copied();
        let (result, status) = match (settled, desk.prompt(txid)) {
            (Some(settled), _) => settled,
            (None, None) => return Err((INVALID, "Invalid request parameters", "txid")),
            // The first question is answered at once, the next ones when there is news.
            (None, Some(prompt)) if prompt.polls == 0 => state(desk.fetch(txid)),
            (None, Some(_)) => state(desk.wait(txid, LONG_POLL).await),
        };
        Ok(json!({ "result": result, "status": status, "status_msg": message(status) }))
    }
}

/// What a person has, as `preauth` tells it. Without an announcement a verified push cannot be done.
fn devices(scenario: &Scenario, supports: bool) -> Vec<Value> {
    let push = scenario.has("push") && (scenario.number.is_none() || supports);
    let words = [
        ("push", push),
        ("phone", scenario.has("call")),
        ("sms", scenario.has("sms")),
        ("mobile_otp", scenario.has("totp")),
    ];
    let capabilities: Vec<&str> =
        ["auto"].into_iter().chain(words.iter().filter(|(_, has)| *has).map(|(word, _)| *word)).collect();
    let device = |id: &str, end: &str| {
        json!({
            "device": id, "type": "phone", "name": "", "number": format!("XXX-XXX-{end}"),
            "display_name": format!("iOS (XXX-XXX-{end})"), "capabilities": capabilities,
        })
    };
    let mut devices = vec![device("DPSIMULATED1", "0001")];
    if scenario.has("second") {
        devices.push(device("DPSIMULATED2", "0002"));
    }
    devices
}

fn person_of(params: &Params) -> Result<&str, Refused> {
    match (params.get("username"), params.get("user_id")) {
        (Some(name), None) | (None, Some(name)) if !name.is_empty() => Ok(name),
        (Some(_), Some(_)) => Err((INVALID, "Invalid request parameters", "username and user_id")),
        _ => Err((MISSING, "Missing required request parameters", "username")),
    }
}

/// A prompt's state in Duo's words.
fn state(prompt: Option<Prompt>) -> (&'static str, &'static str) {
    let Some(prompt) = prompt else { return ("deny", "timeout") };
    match prompt.state {
        State::Pending if prompt.method == "phone" => ("waiting", "calling"),
        State::Pending => ("waiting", "pushed"),
        State::Approved => ("allow", "allow"),
        State::Denied => ("deny", "deny"),
        State::Fraud => ("deny", "fraud"),
        State::Lockout => ("deny", "locked_out"),
        State::Undeliverable => ("waiting", "push_failed"),
        State::Expired | State::Cancelled => ("deny", "timeout"),
    }
}

fn message(status: &str) -> &'static str {
    match status {
        "allow" => "Success. Logging you in...",
        "calling" => "Dialing XXX-XXX-0001...",
        "pushed" => "Pushed a login request to your device...",
        "push_failed" => "Could not deliver the login request. Open Duo Mobile to check for it.",
        "timeout" => "Login timed out.",
        "fraud" => "Login request reported as fraudulent.",
        "locked_out" => "Your account has been locked out due to excessive authentication failures.",
        "sent" => "New SMS passcodes sent.",
        _ => "Login request denied.",
    }
}

fn query_of(call: &Call) -> Params {
    url::form_urlencoded::parse(call.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn body_of(call: &Call, kind: &str) -> Result<Params, Refused> {
    match kind {
        "application/json" => match call.json() {
            Value::Object(object) => Ok(object
                .into_iter()
                .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect()),
            _ => Err((INVALID, "Invalid request parameters", "body")),
        },
        "application/x-www-form-urlencoded" => Ok(call.form().into_iter().collect()),
        _ => Err((40106, "Invalid content type", "")),
    }
}

fn failure(refused: Refused) -> Reply {
    let (code, text, detail) = refused;
    let status = u16::try_from(code / 100).unwrap_or(500);
    let mut body = json!({ "stat": "FAIL", "code": code, "message": text });
    if let (false, Some(fields)) = (detail.is_empty(), body.as_object_mut()) {
        fields.insert("message_detail".into(), detail.into());
    }
    Reply::json(status, &body)
}

impl Service for Duo {
    fn word(&self) -> &'static str {
        "duo"
    }

    fn about(&self, call: &Call, desk: &Desk) -> About {
        let params =
            if call.method == "POST" { body_of(call, &call.media_type()).unwrap_or_default() } else { query_of(call) };
        let get = |name: &str| params.get(name).cloned().unwrap_or_default();
        let person = params.get("username").or_else(|| params.get("user_id")).cloned();
        match call.path() {
            "/auth/v2/ping" | "/auth/v2/check" => About::new(Step::Ping, None),
            "/auth/v2/preauth" => About::new(Step::Look, person).showing("ipaddr", get("ipaddr")),
            "/auth/v2/auth" => {
                let step = if get("factor") == "passcode" { Step::Code } else { Step::Begin };
                About::new(step, person)
                    .showing("factor", get("factor"))
                    .showing("device", get("device"))
                    .showing("ipaddr", get("ipaddr"))
                    .showing("pushinfo", get("pushinfo"))
            }
            "/auth/v2/auth_status" => {
                let txid = get("txid");
                About::new(Step::Poll, desk.prompt(&txid).map(|prompt| prompt.person)).showing("txid", txid)
            }
            _ => About::new(Step::Other, person),
        }
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            if call.route() == ("GET", "/auth/v2/ping") {
                return Reply::json(200, &json!({ "stat": "OK", "response": { "time": call.now } }));
            }
            let params = match self.admitted(call) {
                Ok(params) => params,
                Err(refused) => {
                    desk.refused();
                    return failure(refused);
                }
            };
            let answered = match call.route() {
                ("GET", "/auth/v2/check") => Ok(json!({ "time": call.now })),
                ("GET", "/auth/v2/logo") => return Reply::new(200, "image/png", LOGO),
                ("POST", "/auth/v2/enroll") => enroll(&params, call.now),
                ("POST", "/auth/v2/enroll_status") => enroll_status(&params),
                ("POST", "/auth/v2/preauth") => self.preauth(&params, desk),
                ("POST", "/auth/v2/auth") => self.auth(&params, desk).await,
                ("GET", "/auth/v2/auth_status") => self.status(&params, desk).await,
                _ => Err((40401, "Resource not found", "")),
            };
            match answered {
                Ok(response) => Reply::json(200, &json!({ "stat": "OK", "response": response })),
                Err(refused) => failure(refused),
            }
        })
    }

    fn refusal(&self, _: Step, status: u16) -> Reply {
        failure(match status {
            401 => (40103, "Invalid signature in request credentials", ""),
            403 => (40301, "Access forbidden", "Wrong integration type for this API."),
            404 => (40401, "Resource not found", ""),
            429 => (42901, "Too many requests", ""),
            500 => (50001, "Internal error", ""),
            other => (u32::from(other).saturating_mul(100), "Trouble", ""),
        })
    }

    fn halves(&self) -> usize {
        6
    }

    fn half_success(&self, reply: Reply, which: usize) -> Reply {
        reply.changed(|body| {
            let Some(body) = body.as_object_mut() else { return };
            let made = |result: &str, status: &str| json!({ "result": result, "status": status, "status_msg": "Success. Logging you in..." });
            let response = match which {
                0 => made("allow", "deny"),
                1 => made("deny", "allow"),
                2 => json!({ "result": "allow" }),
                3 => {
                    body.insert("stat".into(), "FAIL".into());
                    made("allow", "allow")
                }
                4 => made("waiting", "allow"),
                _ => made("allow", "locked_out"),
            };
            body.insert("response".into(), response);
        })
    }
}
