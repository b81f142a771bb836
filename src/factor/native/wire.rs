//! The words of the protocol: what is asked, what is answered, and what an answer means. Pure.
//!
//! [`judge`] is the one place that turns a service's message into an answer. It says approved only when
//! every field that speaks of it agrees; whatever is missing, unknown or contradicting is
//! [`Refusal::Garbled`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::SendFields;
use crate::factor::native::besides::Besides;
use crate::factor::object;
use crate::factor::{Answer, Refusal, Request};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::Method;
use crate::users::pin::DIGITS;

/// Longest answer or event line that is read, in octets. Ours; a real one has about 300.
pub const LONGEST_MESSAGE: usize = 16 * 1024;

/// How far the time of an approval may lie from our own clock and from the time of asking, in seconds.
pub const ALLOWED_SKEW: u64 = 300;

/// Longest verification id, in characters.
const LONGEST_ID: usize = 128;

/// Longest time that a prompt is asked to live, in seconds.
const LONGEST_EXPIRY: u64 = 3600;

/// The ways of asking that the protocol has.
pub const METHODS: [Method; 4] = [Method::Push, Method::Call, Method::SmsReply, Method::Oath];

/// This server as the service sees it.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// Its configured name; every answer repeats it.
    pub name: String,
    /// Its own address, where one can be told.
    pub address: Option<IpAddr>,
}

/// The text form of a sign-in id, which is the idempotency key: 24 hexadecimal digits, lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    text: [u8; 24],
    used: usize,
}

impl Key {
    /// The key of a sign-in.
    pub fn of(sign_in: SignInId) -> Self {
        let mut key = Key { text: [b'0'; 24], used: 0 };
        // Twelve octets make 24 digits, so that the buffer cannot be too short.
        let _ = write!(key, "{sign_in}");
        key
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Reads a key back; `None` when it is not one of ours.
    pub fn parse(text: &str) -> Option<SignInId> {
        let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let mut octets = [0_u8; 12];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *octet = digit(*high)? << 4 | digit(*low)?;
        }
        Some(SignInId::new(octets))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl fmt::Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used.checked_add(text.len()).ok_or(fmt::Error)?;
        self.text.get_mut(self.used..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    idempotency_key: &'a str,
    application: &'a str,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'a str>,
    language: &'a str,
    expires_in: u64,
    server: AskedServer<'a>,
    person: AskedPerson<'a>,
}

#[derive(Serialize)]
struct AskedServer<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

#[derive(Serialize)]
struct AskedPerson<'a> {
    unique_id: &'a str,
    user_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_extension: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

/// The body of `POST /v1/verifications`. `besides` is what the person is to type on the phone; `left` is the time until the
/// request's deadline.
///
/// # Errors
/// When it cannot be written as JSON, which would be a mistake of ours.
pub fn ask(
    request: &Request,
    server: &ServerIdentity,
    (send, besides): (SendFields, Option<&Besides>),
    left: Duration,
) -> Result<Vec<u8>, serde_json::Error> {
    let person = &*request.person;
    let key = Key::of(request.sign_in);
    let mut body = Vec::with_capacity(768);
    let asked = Asked {
        idempotency_key: key.as_str(),
        application: &request.application,
        method: request.method.word(),
        code: request.code.as_ref().and_then(|code| std::str::from_utf8(code.open()).ok()),
        mode: if besides.is_some_and(Besides::wants_pin) { "pin" } else { "standard" },
        number: besides.and_then(Besides::number),
        language: &person.language,
        expires_in: left.as_secs().clamp(1, LONGEST_EXPIRY),
        server: AskedServer { name: &server.name, address: server.address },
        person: AskedPerson {
            unique_id: &person.unique_id,
            user_name: &person.name,
            first_name: optional(send.names, person.first_name.as_deref()),
            last_name: optional(send.names, person.last_name.as_deref()),
            email: optional(send.email, person.email.as_deref()),
            phone: optional(send.phone, person.phone.as_deref()),
            phone_extension: optional(send.phone, person.phone_extension.as_deref()),
            device_token: optional(request.method == Method::Push, person.device_token.as_deref()),
            address: request.person_address.filter(|_| send.person_address),
        },
    };
    serde_json::to_writer(&mut body, &asked)?;
    Ok(body)
}

fn optional(wanted: bool, field: Option<&str>) -> Option<&str> {
    field.filter(|_| wanted)
}

/// What a service says about one verification. A missing text is empty; [`judge`] refuses it.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// The service's own id of the verification.
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
    /// Our idempotency key, repeated.
    #[serde(borrow, default)]
    pub idempotency_key: Cow<'a, str>,
    /// Our server name, repeated.
    #[serde(borrow, default)]
    pub server: Cow<'a, str>,
    /// One of the eight states.
    #[serde(borrow, default)]
    pub state: Cow<'a, str>,
    /// What came out, once it is final.
    #[serde(borrow, default, deserialize_with = "object::optional")]
    pub result: Option<Outcome<'a>>,
}

/// What came out of a verification.
#[derive(Debug, Deserialize)]
pub struct Outcome<'a> {
    /// Whether the person approved.
    pub approved: bool,
    /// How they were asked.
    #[serde(borrow, default)]
    pub method: Cow<'a, str>,
    /// When they answered, in seconds since 1970.
    #[serde(default)]
    pub at: u64,
    /// The PIN as they typed it, in mode `pin`.
    #[serde(borrow, default)]
    pub pin: Option<TypedPin<'a>>,
    /// The number as they typed it, where one was shown to them.
    #[serde(borrow, default)]
    pub number: Option<Cow<'a, str>>,
}

/// A PIN in a message. Nothing shows it.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct TypedPin<'a>(#[serde(borrow)] Cow<'a, str>);

impl fmt::Debug for TypedPin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedPin(..)")
    }
}

impl TypedPin<'_> {
    /// Whether it can be one: digits, as many as fit.
    fn is_fit(&self) -> bool {
        (1..=*DIGITS.end()).contains(&self.0.len()) && self.0.bytes().all(|octet| octet.is_ascii_digit())
    }

    /// To be checked.
    pub fn secret(&self) -> Secret {
        Secret::new(self.0.as_bytes().to_vec())
    }
}

/// One line of the event stream.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// `hello`, `heartbeat` or `verification`; others are ignored.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// Where to resume after this line.
    #[serde(borrow, default)]
    pub cursor: Cow<'a, str>,
    /// In `hello`: whether everything after our cursor follows. False: states must be asked for.
    #[serde(default)]
    pub resumed: bool,
    /// In `verification`: what happened.
    #[serde(borrow, default, deserialize_with = "object::optional")]
    pub verification: Option<Message<'a>>,
}

/// The body of a 5xx answer.
#[derive(Debug, Deserialize)]
pub struct Trouble {
    /// Whether a prompt has gone out, or may have.
    #[serde(default)]
    pub prompt_sent: Option<bool>,
}

/// The answer of `GET /v1/ping`.
#[derive(Debug, Deserialize)]
pub struct Pong<'a> {
    /// The service's clock, in seconds since 1970.
    pub time: u64,
    /// What it does of what not every service does: `pin`, `number`.
    #[serde(borrow, default)]
    pub takes: Vec<Cow<'a, str>>,
}

/// What an answer must agree with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The sign-in that it must be about.
    pub sign_in: SignInId,
    /// Our own name.
    pub server: &'a str,
    /// The service's id, once known.
    pub id: Option<&'a str>,
    /// How the person was asked.
    pub method: Method,
    /// What they were to type.
    pub besides: Option<&'a Besides>,
    /// When they were asked, in seconds since 1970.
    pub asked_at: u64,
    /// Our clock, in seconds since 1970.
    pub now: u64,
}

/// What a message says: nothing yet, or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The person has not answered yet.
    Pending,
    /// It is over.
    Approved,
    /// It is over, and not approved.
    Refused(Refusal),
}

impl Said {
    /// As an answer, once it is over.
    pub fn answer(self) -> Option<Answer> {
        match self {
            Said::Pending => None,
            Said::Approved => Some(Answer::Approved),
            Said::Refused(refusal) => Some(Answer::Refused(refusal)),
        }
    }
}

/// Judges a message. Never approved unless key, server, id, state, result, method and time all say so, and what was to be typed
/// on the phone is there; whether a PIN is right is not known here.
pub fn judge(message: &Message<'_>, expected: Expected<'_>) -> Said {
    let ours = Key::parse(&message.idempotency_key) == Some(expected.sign_in)
        && message.server == expected.server
        && is_id(&message.id)
        && expected.id.is_none_or(|id| id == message.id);
    if !ours {
        return Said::Refused(Refusal::Garbled);
    }
    let refused = |refusal| match &message.result {
        Some(result) if result.approved => Said::Refused(Refusal::Garbled),
        _ => Said::Refused(refusal),
    };
    match (&*message.state, &message.result) {
        ("pending", None) => Said::Pending,
        ("approved", Some(result)) if is_approval(result, expected) => match expected.besides {
            Some(besides) if !besides.is_number(result.number.as_deref()) => Said::Refused(Refusal::Denied),
            _ => Said::Approved,
        },
        ("denied", _) => refused(Refusal::Denied),
        ("fraud", _) => refused(Refusal::Fraud),
        ("expired", _) => refused(Refusal::Expired),
        ("undeliverable", _) => refused(Refusal::Undeliverable),
        ("needs_code", _) => refused(Refusal::NeedsCode),
        ("wrong_code", _) => refused(Refusal::WrongCode),
        _ => Said::Refused(Refusal::Garbled),
    }
}

fn is_approval(result: &Outcome<'_>, expected: Expected<'_>) -> bool {
    let earliest = expected.asked_at.saturating_sub(ALLOWED_SKEW);
    let latest = expected.now.saturating_add(ALLOWED_SKEW);
    let has_pin = result.pin.as_ref().is_some_and(TypedPin::is_fit);
    let has_number = result.number.is_some();
    let has_all = expected
        .besides
        .is_none_or(|besides| (has_pin || !besides.wants_pin()) && (has_number || besides.number().is_none()));
    result.approved && has_all && result.method == expected.method.word() && (earliest..=latest).contains(&result.at)
}

/// Whether `id` may be put into a path as it is: 1 to 128 of `A-Z a-z 0-9 - _`.
pub fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
