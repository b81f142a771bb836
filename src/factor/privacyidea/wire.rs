//! privacyIDEA's validate API: what its answers mean. Pure.
//!
//! Approved is only what says so three times: `status`, `value` and `authentication`. A success that comes with a
//! challenge or an error is [`Refusal::Garbled`].

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use crate::config::UnreachableClass;
use crate::factor::http::json_object;
use crate::factor::object;
use crate::factor::{Answer, Refusal};
use crate::users::model::Method;

/// Longest transaction id, in characters.
const LONGEST_ID: usize = 64;

/// No such user: `UserError`.
const UNKNOWN_USER: u32 = 904;

/// The kinds of token that serve a method, by the service's words.
pub fn kind(method: Method) -> Option<&'static str> {
    match method {
        Method::Push => Some("push"),
        Method::SmsCode => Some("sms"),
        Method::EmailCode => Some("email"),
        // Of one kind or the other: the service finds out.
        Method::Oath | Method::Call | Method::SmsReply | Method::BackupCode | Method::TemporaryCode => None,
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, deserialize_with = "object::one")]
    result: Outcome<'a>,
    #[serde(default, deserialize_with = "object::optional")]
    detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: bool,
    #[serde(default)]
    value: Value,
    #[serde(borrow, default)]
    authentication: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "object::optional")]
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: u32,
}

#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    transaction_id: Option<String>,
    #[serde(default, deserialize_with = "object::optional_many")]
    multi_challenge: Option<Vec<Challenge>>,
    #[serde(default)]
    challenge_status: Option<String>,
}

/// One of several things that the person can answer with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Challenge {
    #[serde(default)]
    client_mode: Option<String>,
}

fn read(body: &[u8]) -> Option<Message<'_>> {
    json_object(body)
}

impl Message<'_> {
    fn error(&self) -> Option<u32> {
        self.result.error.as_ref().map(|error| error.code)
    }

    fn detail(&mut self) -> Detail {
        self.detail.take().unwrap_or_default()
    }
}

/// The number of an error, for `anteroom check`.
pub fn error(body: &[u8]) -> Option<u32> {
    read(body)?.error()
}

/// What was triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// The transaction of all of them.
    pub transaction: String,
    /// Whether one is answered on a phone, so that the transaction is polled.
    pub polled: bool,
    /// Whether one is answered with a code.
    pub typed: bool,
    /// The service's words for the person.
    pub message: Option<String>,
}

/// Whether `id` may be put into a path as it is.
pub fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

/// Reads the answer of `triggerchallenge`.
///
/// # Errors
/// Why nothing was triggered.
pub fn triggered(status: u16, body: &[u8]) -> Result<Triggered, Refusal> {
    let mut message = read(body).ok_or(Refusal::Garbled)?;
    if let Some(code) = message.error() {
        return Err(match (status, code) {
            (200 | 400, UNKNOWN_USER) => Refusal::NotEnrolledThere,
            (200 | 400 | 403, _) if !message.result.status => Refusal::Misconfigured,
            _ => Refusal::Garbled,
        });
    }
    if status != 200 || !message.result.status {
        return Err(Refusal::Garbled);
    }
    let detail = message.detail();
    let challenges = detail.multi_challenge.unwrap_or_default();
    match message.result.value.as_u64() {
        Some(0) if challenges.is_empty() => return Err(Refusal::NotThisWay),
        Some(count) if count > 0 && !challenges.is_empty() => {}
        _ => return Err(Refusal::Garbled),
    }
    let transaction = detail.transaction_id.filter(|id| is_id(id)).ok_or(Refusal::Garbled)?;
    let has = |mode: &str| challenges.iter().any(|one| one.client_mode.as_deref() == Some(mode));
    Ok(Triggered { transaction, polled: has("poll"), typed: has("interactive"), message: detail.message })
}

/// What a transaction's state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered.
    Pending,
    /// Accepted on the phone: the closing check decides.
    Accepted,
    /// It is over.
    Refused(Refusal),
}

/// Reads the answer of `polltransaction`.
pub fn state(status: u16, body: &[u8]) -> State {
    let Some(mut message) = read(body) else { return State::Refused(Refusal::Garbled) };
    if status != 200 || !message.result.status || message.result.error.is_some() {
        return State::Refused(Refusal::Garbled);
    }
    let told = message.detail().challenge_status;
    match (&message.result.value, told.as_deref()) {
        (Value::Bool(true), Some("accept") | None) => State::Accepted,
        (Value::Bool(false), Some("pending") | None) => State::Pending,
        (Value::Bool(false), Some("declined")) => State::Refused(Refusal::Denied),
        (Value::Bool(false), Some("cancelled")) => State::Refused(Refusal::Expired),
        _ => State::Refused(Refusal::Garbled),
    }
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Right.
    Accepted,
    /// Wrong.
    Rejected,
    /// Something more is asked for, in this transaction.
    Challenged(String),
}

/// Reads the answer of `check`.
///
/// # Errors
/// When it is none.
pub fn checked(status: u16, body: &[u8]) -> Result<Checked, Refusal> {
    let mut message = read(body).ok_or(Refusal::Garbled)?;
    if let Some(code) = message.error() {
        return Err(match (status, code) {
            (200 | 400, UNKNOWN_USER) if !message.result.status => Refusal::NotEnrolledThere,
            (200 | 400 | 403, _) if !message.result.status => Refusal::Misconfigured,
            _ => Refusal::Garbled,
        });
    }
    if status != 200 || !message.result.status {
        return Err(Refusal::Garbled);
    }
    let detail = message.detail();
    let challenged = detail.multi_challenge.is_some_and(|challenges| !challenges.is_empty());
    match (&message.result.value, message.result.authentication.as_deref()) {
        (Value::Bool(true), Some("ACCEPT")) if !challenged => Ok(Checked::Accepted),
        (Value::Bool(false), Some("REJECT")) => Ok(Checked::Rejected),
        (Value::Bool(false), Some("DECLINED")) => Err(Refusal::Denied),
        (Value::Bool(false), Some("CHALLENGE")) => {
            detail.transaction_id.filter(|id| is_id(id)).map(Checked::Challenged).ok_or(Refusal::Garbled)
        }
        _ => Err(Refusal::Garbled),
    }
}

/// What an answer to a typed code means.
pub fn code(checked: &Checked) -> Answer {
    match checked {
        Checked::Accepted => Answer::Approved,
        Checked::Rejected => Answer::Refused(Refusal::WrongCode),
        Checked::Challenged(_) => Answer::Refused(Refusal::NeedsCode),
    }
}

/// A token for `triggerchallenge`, and when it ends, in seconds since 1970, where it says so.
///
/// # Errors
/// When the service refused, or its answer is none.
pub fn authorised(status: u16, body: &[u8]) -> Result<(String, Option<u64>), Refusal> {
    let garbled = Refusal::Unreachable(UnreachableClass::Malformed);
    let message = read(body).ok_or(garbled)?;
    if status != 200 || !message.result.status || message.result.error.is_some() {
        return Err(garbled);
    }
    let token = message.result.value.get("token").and_then(Value::as_str).ok_or(garbled)?;
    let plain = !token.is_empty() && token.bytes().all(|octet| octet.is_ascii_graphic());
    if plain { Ok((token.to_owned(), ends(token))) } else { Err(garbled) }
}

/// The `exp` of a JSON Web Token. Nothing is proven by it, so that its signature does not matter.
fn ends(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = BASE64.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = object::read(&claims).ok()?;
    let known = claims.exp.is_finite() && (0.0..=1e12).contains(&claims.exp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked just now")]
    known.then_some(claims.exp as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked_of(rest: &str) -> Result<Checked, Refusal> {
        checked(200, format!(r#"{{"result":{{{rest}}},"detail":null}}"#).as_bytes())
    }

    #[test]
    fn approval_says_so_in_every_field() {
        assert_eq!(checked_of(r#""status":true,"value":true,"authentication":"ACCEPT""#), Ok(Checked::Accepted));
        for rest in [
            r#""status":true,"value":true"#,
            r#""status":true,"value":true,"authentication":"CHALLENGE""#,
            r#""status":true,"value":true,"authentication":"REJECT""#,
            r#""status":true,"value":false,"authentication":"ACCEPT""#,
            r#""status":true,"value":1,"authentication":"ACCEPT""#,
            r#""status":true,"value":"true","authentication":"ACCEPT""#,
            r#""status":false,"value":true,"authentication":"ACCEPT""#,
            r#""status":true,"value":true,"authentication":"ACCEPT","error":{"code":303}"#,
            r#""status":true,"value":false,"value":true,"authentication":"ACCEPT""#,
            r#""status":true,"value":true,"authentication":"accept""#,
        ] {
            assert!(matches!(checked_of(rest), Err(Refusal::Garbled)), "{rest}");
        }
        let challenged = r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"},
            "detail":{"transaction_id":"1","multi_challenge":[{"client_mode":"poll"}]}}"#;
        assert_eq!(checked(200, challenged.as_bytes()), Err(Refusal::Garbled));
        let right = r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"}}"#;
        assert_eq!(checked(201, right.as_bytes()), Err(Refusal::Garbled));
        assert_eq!(checked(200, format!("{right}{right}").as_bytes()), Err(Refusal::Garbled));
    }

    #[test]
    fn refusals_and_further_questions_are_told_apart() {
        assert_eq!(checked_of(r#""status":true,"value":false,"authentication":"REJECT""#), Ok(Checked::Rejected));
        let unknown = r#"{"result":{"status":false,"error":{"code":904,"message":"x"}},"detail":null}"#;
        assert_eq!(checked(400, unknown.as_bytes()), Err(Refusal::NotEnrolledThere));
        let policy = r#"{"result":{"status":false,"error":{"code":303}},"detail":null}"#;
        assert_eq!(checked(403, policy.as_bytes()), Err(Refusal::Misconfigured));
        let more =
            r#"{"result":{"status":true,"value":false,"authentication":"CHALLENGE"},"detail":{"transaction_id":"77"}}"#;
        assert_eq!(checked(200, more.as_bytes()), Ok(Checked::Challenged("77".into())));
        let astray = more.replace("77", "../auth");
        assert_eq!(checked(200, astray.as_bytes()), Err(Refusal::Garbled));
    }

    #[test]
    fn triggered_challenges_say_how_they_are_answered() {
        let body = |value: &str, modes: &str| {
            format!(
                r#"{{"result":{{"status":true,"value":{value}}},"detail":{{"transaction_id":"12","multi_challenge":[{modes}]}}}}"#
            )
        };
        let (push, sms) = (r#"{"client_mode":"poll"}"#, r#"{"client_mode":"interactive"}"#);
        let found = |polled, typed| Ok(Triggered { transaction: "12".into(), polled, typed, message: None });
        assert_eq!(triggered(200, body("1", push).as_bytes()), found(true, false));
        assert_eq!(triggered(200, body("2", &format!("{push},{sms}")).as_bytes()), found(true, true));
        assert_eq!(triggered(200, body("1", sms).as_bytes()), found(false, true));
        assert_eq!(triggered(200, body("0", "").as_bytes()), Err(Refusal::NotThisWay));
        for odd in [body("0", push), body("1", ""), body("true", push), body("-1", push)] {
            assert_eq!(triggered(200, odd.as_bytes()), Err(Refusal::Garbled), "{odd}");
        }
    }

    #[test]
    fn states_must_agree_with_themselves() {
        let say = |value: &str, status: &str| {
            state(
                200,
                format!(r#"{{"result":{{"status":true,"value":{value}}},"detail":{{"challenge_status":"{status}"}}}}"#)
                    .as_bytes(),
            )
        };
        assert_eq!(say("true", "accept"), State::Accepted);
        assert_eq!(say("false", "pending"), State::Pending);
        assert_eq!(say("false", "declined"), State::Refused(Refusal::Denied));
        for (value, status) in [("true", "declined"), ("true", "pending"), ("false", "accept"), ("1", "accept")] {
            assert_eq!(say(value, status), State::Refused(Refusal::Garbled), "{value} {status}");
        }
        assert_eq!(state(200, b"<html>"), State::Refused(Refusal::Garbled));
    }

    #[test]
    fn token_says_when_it_ends() {
        let claims = BASE64.encode(r#"{"exp":1700003600.5,"role":"admin"}"#);
        let body = format!(r#"{{"result":{{"status":true,"value":{{"token":"eyJ.{claims}.x"}}}}}}"#);
        assert_eq!(authorised(200, body.as_bytes()), Ok((format!("eyJ.{claims}.x"), Some(1_700_003_600))));
        let opaque = r#"{"result":{"status":true,"value":{"token":"opaque"}}}"#;
        assert_eq!(authorised(200, opaque.as_bytes()), Ok(("opaque".into(), None)));
        for odd in
            [r#"{"result":{"status":true,"value":{"token":"a b"}}}"#, r#"{"result":{"status":true,"value":true}}"#]
        {
            assert!(authorised(200, odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
