//! A simulated service of the native protocol (`docs/native-protocol.md`): signatures and nonces checked in the order of
//! the document, one prompt for each idempotency key, cancellations that come before their request, batches, and one
//! stream of events for each server.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, StatusCode};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::demo::phone;
use crate::demo::phone::admission::{self, Nonces, SKEW};
use crate::demo::phone::events::Events;
use crate::demo::phone::wanted::{Mode, Wanted};
use crate::factor::http::unix_now;
use crate::factor::native::batching::{HEADER, LARGEST};
use crate::factor::native::signing::{KeyError, Signer};
use crate::factor::native::wire::is_id;
use crate::secret::Secret;
use crate::simulate::desk::{Desk, Typed};
use crate::simulate::prompt::{Asking, State};
use crate::simulate::scenario::{Scenario, Step};
use crate::simulate::service::{About, Call, Reply, Service};
use known::{Known, Register};

mod events;
mod known;

/// Longest wait of a question for a state.
const LONG_POLL: Duration = Duration::from_secs(60);

/// Cancelled keys remembered at most.
const REMEMBERED: usize = 100_000;

/// A simulated service of the native protocol.
#[derive(Debug)]
pub struct Native {
    house: Arc<House>,
}

/// What requests and event streams share.
#[derive(Debug)]
struct House {
    signer: Signer,
    nonces: Mutex<Nonces>,
    table: Mutex<Table>,
}

struct Table {
    register: Register,
    /// Keys that were cancelled before they were seen.
    cancelled: HashSet<String>,
    events: Events,
    /// Decisions of the desk that are in the logs of events.
    seen: u64,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Status and body.
type Told = (StatusCode, String);

impl Native {
    /// A service that takes requests signed with one key.
    ///
    /// # Errors
    /// When the key or its id is unfit.
    pub fn new(key_id: &str, key: &Secret) -> Result<Self, KeyError> {
        let epoch = unix_now();
        let table =
            Table { register: Register::default(), cancelled: HashSet::new(), events: Events::new(epoch), seen: 0 };
        let (signer, nonces) = (Signer::new(key_id, key)?, Mutex::default());
        Ok(Native { house: Arc::new(House { signer, nonces, table: Mutex::new(table) }) })
    }
}

impl House {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the signature of a request, and takes its nonce.
    fn admitted(&self, call: &Call) -> Result<(), Reply> {
        let header = Some(call.header("authorization")).filter(|header| !header.is_empty());
        let signed = (call.method.as_str(), call.target(), &call.body[..]);
        admission::verify(&self.signer, &self.nonces, header, signed, call.now)
            .map_err(|refused| reply(error(StatusCode::UNAUTHORIZED, refused.word())))
    }

    /// One request for a prompt.
    fn ask(&self, body: &[u8], desk: &Desk) -> Told {
        let wanted = match Wanted::read(body) {
            Ok(wanted) => wanted,
            Err((status, word)) => {
                desk.refused();
                return error(status, word);
            }
        };
        let mut table = self.table();
        let id = match table.register.by_key(&wanted.idempotency_key) {
            Some(id) => id.to_owned(),
            None => table.begin(wanted, desk),
        };
        match table.tell(&id, desk) {
            Some(message) => (StatusCode::CREATED, message),
            None => error(StatusCode::INTERNAL_SERVER_ERROR, "forgotten"),
        }
    }

    /// Several, one on each line; the answers in the same order.
    fn ask_all(&self, call: &Call, desk: &Desk) -> Reply {
        let mut lines = String::new();
        let requests = call.body.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        for request in requests.take(LARGEST) {
            let (status, answer) = self.ask(request, desk);
            // A String takes any text.
            let _ = writeln!(lines, r#"{{"status":{},"answer":{answer}}}"#, status.as_u16());
        }
        Reply::new(200, "application/x-ndjson", lines)
    }

    /// The state of a prompt; held back until there is news, where that is asked for.
    async fn state(&self, call: &Call, id: Option<String>, desk: &Desk) -> Reply {
        let Some(id) = id else { return reply(error(StatusCode::NOT_FOUND, "unknown")) };
        let seconds = call.query("wait").and_then(|text| text.parse().ok()).unwrap_or(0);
        // What it is then is told below.
        let _ = desk.wait(&id, Duration::from_secs(seconds).min(LONG_POLL)).await;
        let told = self.table().tell(&id, desk);
        reply(told.map_or_else(|| error(StatusCode::NOT_FOUND, "unknown"), |message| (StatusCode::OK, message)))
    }

    /// Takes a prompt back. A key that is not known is remembered.
    fn cancel(&self, place: &Place, desk: &Desk) -> Reply {
        let mut table = self.table();
        let id = match place {
            Place::Id(id) => Some(id.clone()),
            Place::Key(key) => table.register.by_key(key).map(str::to_owned),
            Place::Other => None,
        };
        let Some(id) = id else {
            if let Place::Key(key) = place
                && table.cancelled.len() < REMEMBERED
            {
                table.cancelled.insert(key.clone());
            }
            return Reply::new(204, "", "");
        };
        if let Some(known) = table.register.get_mut(&id) {
            // Whoever cancels needs no event about it.
            known.told = true;
        }
        desk.cancel(&id);
        let told = table.tell(&id, desk);
        reply(told.map_or_else(|| error(StatusCode::NOT_FOUND, "unknown"), |message| (StatusCode::OK, message)))
    }
}

impl Table {
    /// Registers a request and prompts, unless it was cancelled before; its id.
    fn begin(&mut self, wanted: Wanted, desk: &Desk) -> String {
        let person = wanted.person.user_name;
        let scenario = desk.scenario(&person);
        let settled = if self.cancelled.contains(&wanted.idempotency_key) {
            Some(phone::State::Expired)
        } else if wanted.method == "oath" {
            Some(wanted.code.as_deref().map_or(phone::State::NeedsCode, |typed| {
                let right = desk.check_code(&person, typed) == Typed::Right;
                if right { phone::State::Approved } else { phone::State::WrongCode }
            }))
        } else {
            (!has(&scenario, &wanted.method)).then_some(phone::State::Undeliverable)
        };
        let pin = (wanted.mode == Mode::Pin).then_some(&*scenario.pin);
        let known = Known::new(wanted.idempotency_key, wanted.server.name, wanted.method.clone(), settled)
            .typing(pin, wanted.number.clone());
        let id = self.register.insert(known);
        if settled.is_none() {
            desk.begin(Asking {
                id: id.clone(),
                person,
                application: wanted.application,
                method: wanted.method,
                address: wanted.person.address,
                shown: wanted.number,
                lives: Some(Duration::from_secs(wanted.expires_in)),
            });
        }
        id
    }

    /// The message about a prompt as it is. Once it has told the end, no event does.
    fn tell(&mut self, id: &str, desk: &Desk) -> Option<String> {
        let state = desk.prompt(id).map(|prompt| prompt.state);
        let known = self.register.get_mut(id)?;
        let state = known.settled.or(state.map(word)).unwrap_or(phone::State::Expired);
        known.told |= state != phone::State::Pending;
        Some(known.message(id, state, desk.clock()))
    }
}

/// A desk's state in the words of the protocol, which has none for a lockout at the service: such a person cannot be
/// reached.
fn word(state: State) -> phone::State {
    match state {
        State::Pending => phone::State::Pending,
        State::Approved => phone::State::Approved,
        State::Denied => phone::State::Denied,
        State::Fraud => phone::State::Fraud,
        State::Lockout | State::Undeliverable => phone::State::Undeliverable,
        State::Expired | State::Cancelled => phone::State::Expired,
    }
}

/// Whether a person can be asked in this way.
fn has(scenario: &Scenario, method: &str) -> bool {
    match method {
        "sms_reply" => scenario.has("sms"),
        other => scenario.has(other),
    }
}

fn error(status: StatusCode, word: &str) -> Told {
    (status, format!(r#"{{"error":"{word}","prompt_sent":false}}"#))
}

fn reply((status, body): Told) -> Reply {
    Reply::new(status.as_u16(), "application/json", body)
}

/// Which verification a path names.
enum Place {
    Id(String),
    Key(String),
    Other,
}

impl Place {
    fn of(call: &Call) -> Self {
        let Some(rest) = call.path().strip_prefix("/v1/verifications/") else { return Place::Other };
        match rest.strip_prefix("by-key/") {
            Some(key) if is_id(key) => Place::Key(key.to_owned()),
            None if is_id(rest) => Place::Id(rest.to_owned()),
            _ => Place::Other,
        }
    }

    fn id(&self, house: &House) -> Option<String> {
        match self {
            Place::Id(id) => Some(id.clone()),
            Place::Key(key) => house.table().register.by_key(key).map(str::to_owned),
            Place::Other => None,
        }
    }
}

impl Service for Native {
    fn word(&self) -> &'static str {
        "native"
    }

    fn about(&self, call: &Call, desk: &Desk) -> About {
        let known = || Place::of(call).id(&self.house);
        let person = || known().and_then(|id| desk.prompt(&id)).map(|prompt| prompt.person);
        match call.route() {
            ("POST", "/v1/verifications") => {
                let Ok(wanted) = Wanted::read(&call.body) else { return About::new(Step::Begin, None) };
                let step = if wanted.method == "oath" { Step::Code } else { Step::Begin };
                About::new(step, Some(wanted.person.user_name))
                    .showing("method", wanted.method)
                    .showing("application", wanted.application)
                    .showing("address", wanted.person.address.unwrap_or_default())
            }
            ("POST", "/v1/verifications/batch") => {
                let count = call.body.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).count();
                About::new(Step::Begin, None).showing("requests", count.to_string())
            }
            ("GET", "/v1/events") => {
                About::new(Step::Events, None).showing("server", call.query("server").unwrap_or_default())
            }
            ("GET", "/v1/ping") => About::new(Step::Ping, None),
            ("GET", _) => About::new(Step::Poll, person()),
            ("DELETE", _) => About::new(Step::Cancel, person()),
            _ => About::new(Step::Other, None),
        }
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let house = &self.house;
            if let Err(refused) = house.admitted(call) {
                desk.refused();
                return refused;
            }
            if call.method == "POST" && call.media_type() != "application/json" {
                desk.refused();
                return reply(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type"));
            }
            let place = Place::of(call);
            match (call.route(), &place) {
                (("POST", "/v1/verifications"), _) => reply(house.ask(&call.body, desk)),
                (("POST", "/v1/verifications/batch"), _) => house.ask_all(call, desk),
                (("GET", "/v1/events"), _) => events::open(house, call, desk),
                (("GET", "/v1/ping"), _) => {
                    Reply::json(200, &json!({ "time": call.now, "takes": ["pin", "number"], "allowed_skew": SKEW }))
                }
                (("GET", _), Place::Id(_) | Place::Key(_)) => house.state(call, place.id(house), desk).await,
                (("DELETE", _), Place::Id(_) | Place::Key(_)) => house.cancel(&place, desk),
                _ => reply(error(StatusCode::NOT_FOUND, "unknown")),
            }
        })
    }

    fn refusal(&self, _: Step, status: u16) -> Reply {
        Reply::json(status, &json!({ "error": "told_to", "prompt_sent": false }))
    }

    fn halves(&self) -> usize {
        7
    }

    fn half_success(&self, reply: Reply, which: usize) -> Reply {
        reply.changed(|body| {
            let Some(body) = body.as_object_mut().filter(|body| body.contains_key("state")) else { return };
            let method = body.get("result").and_then(|result| result.get("method")).cloned();
            let method = method.unwrap_or_else(|| "push".into());
            let result = |approved: bool| json!({ "approved": approved, "method": method, "at": unix_now() });
            let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
            set("state", "approved".into());
            set("result", result(true));
            match which {
                0 => set("result", result(false)),
                1 => set("state", "denied".into()),
                2 => set("state", "pending".into()),
                3 => set("result", Value::Null),
                4 => set("idempotency_key", "ffffffffffffffffffffffff".into()),
                5 => set("server", "another".into()),
                _ => set("id", "../../v1/ping".into()),
            };
        })
    }
}

/// The name of the header in which the service says how many prompts it takes at once.
fn batch_header() -> (HeaderName, String) {
    (HeaderName::from_static(HEADER), LARGEST.to_string())
}
