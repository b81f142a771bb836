//! What the simulator says, rightly and wrongly. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use crate::demo::phone::behaviour::Garbage;
use crate::demo::phone::prompts::{Prompt, State};

#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    idempotency_key: &'a str,
    server: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ToldResult<'a>>,
}

#[derive(Serialize)]
struct ToldResult<'a> {
    approved: bool,
    method: &'a str,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'a str>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// Our id.
    pub(crate) id: &'a str,
    /// Idempotency key.
    pub(crate) key: &'a str,
    /// Name of the asking server.
    pub(crate) server: &'a str,
    /// Method.
    pub(crate) method: &'a str,
    /// The PIN that the person has typed.
    pub(crate) pin: Option<&'a str>,
    /// The number that they have typed.
    pub(crate) number: Option<&'a str>,
}

/// The message about a verification that is in `state` since `at`, in seconds since 1970.
pub(crate) fn verification(about: About<'_>, state: State, at: u64) -> String {
    let About { id, key, server, method, pin, number } = about;
    let approved = state == State::Approved;
    let (pin, number) = (pin.filter(|_| approved), number.filter(|_| approved));
    let result = (state != State::Pending).then_some(ToldResult { approved, method, at, pin, number });
    write(&Told { id, idempotency_key: key, server, state: state.word(), result })
}

/// The message about a prompt. `now` in seconds since 1970.
pub(super) fn message(prompt: &Prompt, state: State, now: u64) -> String {
    let id = prompt.id();
    let (pin, number) = prompt.typed();
    let about = About { id: &id, key: &prompt.key, server: &prompt.server, method: &prompt.method, pin, number };
    verification(about, state, now)
}

/// The message, in one of the wrong ways.
pub(super) fn garbage(prompt: &Prompt, garbage: Garbage, now: u64) -> String {
    let id = prompt.id();
    let (pin, number) = prompt.typed();
    let yes = ToldResult { approved: true, method: &prompt.method, at: now, pin, number };
    let approval = message(prompt, State::Approved, now);
    match garbage {
        Garbage::NotJson => "state=approved&approved=true".to_owned(),
        Garbage::Empty => String::new(),
        Garbage::Html => "<!doctype html><title>approved</title><p>approved".to_owned(),
        Garbage::Truncated => approval.chars().take(approval.len().saturating_sub(2)).collect(),
        Garbage::Huge => format!("{}{approval}", " ".repeat(100_000)),
        Garbage::List => format!("[{approval}]"),
        Garbage::BadId => write(&told(prompt, "../../v1/ping", "approved", Some(yes))),
        Garbage::OtherKey => {
            write(&Told { idempotency_key: "ffffffffffffffffffffffff", ..told(prompt, &id, "approved", Some(yes)) })
        }
        Garbage::OtherServer => write(&Told { server: "another", ..told(prompt, &id, "approved", Some(yes)) }),
        Garbage::UnknownState => write(&told(prompt, &id, "succeeded", Some(yes))),
        Garbage::NoResult => write(&told(prompt, &id, "approved", None)),
        Garbage::NotApproved => write(&told(prompt, &id, "approved", Some(ToldResult { approved: false, ..yes }))),
        Garbage::DeniedApproved => write(&told(prompt, &id, "denied", Some(yes))),
        Garbage::PendingApproved => write(&told(prompt, &id, "pending", Some(yes))),
        Garbage::OtherMethod => write(&told(prompt, &id, "approved", Some(ToldResult { method: "smoke", ..yes }))),
        Garbage::OldTime => {
            write(&told(prompt, &id, "approved", Some(ToldResult { at: now.saturating_sub(3600), ..yes })))
        }
        Garbage::StateOnly => r#"{"state":"approved"}"#.to_owned(),
        Garbage::StateTwice => approval.replacen('{', r#"{"state":"denied","#, 1),
    }
}

fn told<'a>(prompt: &'a Prompt, id: &'a str, state: &'a str, result: Option<ToldResult<'a>>) -> Told<'a> {
    Told { id, idempotency_key: &prompt.key, server: &prompt.server, state, result }
}

fn write(told: &Told<'_>) -> String {
    serde_json::to_string(told).unwrap_or_default()
}

/// A line of the event stream about a verification.
pub(crate) fn event(cursor: &str, message: &str) -> String {
    let mut line = String::with_capacity(message.len().saturating_add(80));
    // Writing into a String cannot fail.
    let _ = writeln!(line, r#"{{"event":"verification","cursor":"{cursor}","verification":{message}}}"#);
    line
}

/// The first line of the event stream.
pub(crate) fn hello(cursor: &str, resumed: bool) -> String {
    format!("{{\"event\":\"hello\",\"cursor\":\"{cursor}\",\"resumed\":{resumed}}}\n")
}

/// A sign of life of the event stream.
pub(crate) fn heartbeat(cursor: &str) -> String {
    format!("{{\"event\":\"heartbeat\",\"cursor\":\"{cursor}\"}}\n")
}
