//! Okta's factors API: what its answers mean. Pure.
//!
//! Approved is only what says `SUCCESS` where that can be said: in the answer to a poll, or to a typed code. A prompt
//! that succeeds at once, a success beside an error, and everything unknown is [`Refusal::Garbled`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::factor::http::json_object;
use crate::factor::{Answer, Refusal, object};
use crate::users::model::Method;

/// Longest id that is put into a path, in characters.
const LONGEST_ID: usize = 128;

/// A person there.
#[derive(Debug, Deserialize)]
pub struct User {
    /// Its own id of the person.
    pub id: String,
    /// `ACTIVE`, …
    #[serde(default)]
    pub status: String,
}

impl User {
    /// Whether this person can be asked.
    ///
    /// # Errors
    /// Why not.
    pub fn usable(&self) -> Result<(), Refusal> {
        match &*self.status {
            "ACTIVE" | "PASSWORD_EXPIRED" | "RECOVERY" if is_id(&self.id) => Ok(()),
            "LOCKED_OUT" | "SUSPENDED" | "DEPROVISIONED" => Err(Refusal::LockedThere),
            "STAGED" | "PROVISIONED" => Err(Refusal::NotEnrolledThere),
            _ => Err(Refusal::Garbled),
        }
    }
}

/// Something that a person has there.
#[derive(Debug, Deserialize)]
pub struct Enrolled {
    /// Its id.
    pub id: String,
    /// `push`, `sms`, `token:software:totp`, …
    #[serde(rename = "factorType")]
    pub kind: String,
    /// `ACTIVE`, …
    #[serde(default)]
    pub status: String,
}

/// The kinds of factor that serve a method, the best first. A call tells a code that is typed, as a text does.
pub fn kinds(method: Method) -> &'static [&'static str] {
    match method {
        Method::Push => &["push"],
        Method::Call => &["call"],
        Method::SmsCode => &["sms"],
        Method::EmailCode => &["email"],
        Method::Oath => &["token:software:totp", "token:hotp", "token:hardware", "token"],
        Method::SmsReply | Method::BackupCode | Method::TemporaryCode => &[],
    }
}

/// The factor that serves a method; `device` counts from 1 among several of them.
///
/// # Errors
/// The person has none.
pub fn choose(enrolled: &[Enrolled], method: Method, device: Option<u8>) -> Result<&Enrolled, Refusal> {
    let skip = usize::from(device.unwrap_or(1).saturating_sub(1));
    let of_kind = |kind: &&'static str| {
        let mut fitting = enrolled.iter().filter(|one| one.kind == *kind && one.status == "ACTIVE" && is_id(&one.id));
        fitting.nth(skip)
    };
    kinds(method).iter().find_map(of_kind).ok_or(Refusal::NotThisWay)
}

/// Whether `id` may be put into a path as it is.
pub fn is_id(id: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with('.')
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(rename = "factorResult", borrow, default)]
    result: Option<Cow<'a, str>>,
    /// Of the other API of this service, which speaks of the same in two places.
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(rename = "errorCode", borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(rename = "_links", default, deserialize_with = "object::optional")]
    links: Option<Links>,
    #[serde(rename = "_embedded", default, deserialize_with = "object::optional")]
    embedded: Option<Embedded>,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default, deserialize_with = "object::optional")]
    poll: Option<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: String,
}

#[derive(Debug, Deserialize)]
struct Embedded {
    #[serde(default, deserialize_with = "object::optional")]
    challenge: Option<Challenge>,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    #[serde(rename = "correctAnswer", default)]
    answer: Value,
}

impl<'a> Message<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        json_object(body)
    }

    fn is_success(&self) -> bool {
        let status = self.status.as_deref().is_none_or(|status| status == "SUCCESS");
        self.result.as_deref() == Some("SUCCESS") && status && self.error.is_none()
    }

    fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

/// What became of a prompt that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is on the phone.
    Waiting {
        /// Its id.
        transaction: String,
        /// The number that the person must be shown.
        number: Option<String>,
    },
    /// A code is on its way.
    CodeSent,
}

/// Reads the answer to a prompt that was asked for. Statuses that every service has are the caller's.
///
/// # Errors
/// Why there is none.
pub fn begun(status: u16, body: &[u8]) -> Result<Begun, Refusal> {
    let message = Message::read(body).ok_or(Refusal::Garbled)?;
    match status {
        200 | 201 => {}
        403 | 400 if message.error() == "E0000069" => return Err(Refusal::LockedThere),
        400 | 403 | 404 => return Err(Refusal::Undeliverable),
        _ => return Err(Refusal::Garbled),
    }
    if message.error.is_some() {
        return Err(Refusal::Garbled);
    }
    match message.result.as_deref() {
        Some("WAITING") => {
            let href = message.links.and_then(|links| links.poll).map(|link| link.href).unwrap_or_default();
            let transaction = href.rsplit('/').next().unwrap_or_default();
            if !is_id(transaction) {
                return Err(Refusal::Garbled);
            }
            let answer = message.embedded.and_then(|embedded| embedded.challenge).map(|challenge| challenge.answer);
            let number = answer.and_then(|answer| match answer {
                Value::Number(number) => Some(number.to_string()),
                Value::String(text) if text.len() <= 8 => Some(text),
                _ => None,
            });
            Ok(Begun::Waiting { transaction: transaction.to_owned(), number })
        }
        Some("CHALLENGE") => Ok(Begun::CodeSent),
        Some("ERROR" | "FAILED") => Err(Refusal::Undeliverable),
        _ => Err(Refusal::Garbled),
    }
}

/// Reads the answer to a question for a prompt's state: `None` while nobody has answered.
pub fn state(status: u16, body: &[u8]) -> Option<Answer> {
    let refused = |refusal| Some(Answer::Refused(refusal));
    let Some(message) = Message::read(body) else { return refused(Refusal::Garbled) };
    if status != 200 || message.error.is_some() {
        return refused(Refusal::Garbled);
    }
    match message.result.as_deref() {
        Some("WAITING") if message.status.as_deref().is_none_or(|status| status == "MFA_CHALLENGE") => None,
        Some("SUCCESS") if message.is_success() => Some(Answer::Approved),
        Some("REJECTED") => refused(Refusal::Denied),
        Some("TIMEOUT" | "EXPIRED" | "CANCELLED" | "CANCELED") => refused(Refusal::Expired),
        Some("ERROR" | "FAILED") => refused(Refusal::Undeliverable),
        _ => refused(Refusal::Garbled),
    }
}

/// Reads the answer to a typed code. `None`: the status says what is wrong, not the answer.
pub fn code(status: u16, body: &[u8]) -> Option<Answer> {
    let refused = |refusal| Some(Answer::Refused(refusal));
    let message = Message::read(body);
    let error = message.as_ref().map(Message::error).unwrap_or_default();
    match (status, error) {
        (403 | 400, "E0000068") => return refused(Refusal::WrongCode),
        (403 | 400 | 423, "E0000069") => return refused(Refusal::LockedThere),
        (200, _) => {}
        _ => return None,
    }
    let Some(message) = message else { return refused(Refusal::Garbled) };
    match message.result.as_deref() {
        Some("SUCCESS") if message.is_success() => Some(Answer::Approved),
        Some("FAILED" | "REJECTED" | "PASSCODE_REPLAYED" | "TIME_WINDOW_EXCEEDED" | "EXPIRED" | "TIMEOUT")
            if message.error.is_none() =>
        {
            refused(Refusal::WrongCode)
        }
        _ => refused(Refusal::Garbled),
    }
}

/// The code of an error, for the log and for `anteroom check`.
pub fn error_code(body: &[u8]) -> Option<String> {
    let code = Message::read(body)?.error?.into_owned();
    is_id(&code).then_some(code)
}

/// The word of an error of the token service (RFC 6749 section 5.2): `invalid_client`, `invalid_dpop_proof`, …
pub fn grant_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let refused: Refused = json_object(body)?;
    is_id(&refused.error).then_some(refused.error)
}

/// The answer of the token service.
#[derive(Deserialize)]
pub struct Granted {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: &str = r#"{"factorResult":"WAITING","_links":{"poll":{"href":"https://a.test/api/v1/users/u/factors/f/transactions/v2mst.x-1"}}}"#;

    #[test]
    fn begun_prompt_is_waiting_or_a_code_is_sent() {
        let waiting = |number: Option<&str>| Begun::Waiting {
            transaction: "v2mst.x-1".into(),
            number: number.map(str::to_owned),
        };
        assert_eq!(begun(201, WAITING.as_bytes()), Ok(waiting(None)));
        let shown = WAITING.replacen('{', r#"{"_embedded":{"challenge":{"correctAnswer":42}},"#, 1);
        assert_eq!(begun(201, shown.as_bytes()), Ok(waiting(Some("42"))));
        assert_eq!(begun(200, br#"{"factorResult":"CHALLENGE"}"#), Ok(Begun::CodeSent));
    }

    #[test]
    fn prompt_that_succeeds_at_once_is_none() {
        for body in [
            r#"{"factorResult":"SUCCESS"}"#,
            r#"{"factorResult":"WAITING"}"#,
            r#"{"factorResult":"WAITING","_links":{"poll":{"href":"https://a.test/.."}}}"#,
            r#"{"factorResult":"WAITING","errorCode":"E0000001","_links":{"poll":{"href":"https://a.test/x"}}}"#,
            "[]",
            "",
        ] {
            assert_eq!(begun(201, body.as_bytes()), Err(Refusal::Garbled), "{body}");
        }
        assert_eq!(begun(403, br#"{"errorCode":"E0000069"}"#), Err(Refusal::LockedThere));
        assert_eq!(begun(400, br#"{"errorCode":"E0000001"}"#), Err(Refusal::Undeliverable));
    }

    #[test]
    fn states_are_told_apart_and_contradictions_refused() {
        let say = |body: &str| state(200, body.as_bytes());
        assert_eq!(say(WAITING), None);
        assert_eq!(say(r#"{"factorResult":"SUCCESS"}"#), Some(Answer::Approved));
        assert_eq!(say(r#"{"factorResult":"REJECTED"}"#), Some(Answer::Refused(Refusal::Denied)));
        assert_eq!(say(r#"{"factorResult":"TIMEOUT"}"#), Some(Answer::Refused(Refusal::Expired)));
        for body in [
            r#"{"factorResult":"SUCCESS","status":"MFA_CHALLENGE"}"#,
            r#"{"factorResult":"SUCCESS","errorCode":"E0000001"}"#,
            r#"{"factorResult":"SUCCESS","factorResult":"WAITING"}"#,
            r#"{"factorResult":"success"}"#,
            r#"{"status":"SUCCESS"}"#,
            r#"{"factorResult":"WAITING","status":"SUCCESS"}"#,
            r#"{"factorResult":true}"#,
            r#"{"factorResult":"SUCCESS"}{"factorResult":"SUCCESS"}"#,
        ] {
            assert_eq!(say(body), Some(Answer::Refused(Refusal::Garbled)), "{body}");
        }
        assert_eq!(state(201, br#"{"factorResult":"SUCCESS"}"#), Some(Answer::Refused(Refusal::Garbled)));
    }

    #[test]
    fn typed_codes_are_right_wrong_or_nothing_at_all() {
        assert_eq!(code(200, br#"{"factorResult":"SUCCESS"}"#), Some(Answer::Approved));
        for body in [&br#"{"factorResult":"PASSCODE_REPLAYED"}"#[..], br#"{"factorResult":"FAILED"}"#] {
            assert_eq!(code(200, body), Some(Answer::Refused(Refusal::WrongCode)));
        }
        assert_eq!(code(403, br#"{"errorCode":"E0000068"}"#), Some(Answer::Refused(Refusal::WrongCode)));
        assert_eq!(code(403, br#"{"errorCode":"E0000069"}"#), Some(Answer::Refused(Refusal::LockedThere)));
        assert_eq!(code(403, br#"{"errorCode":"E0000006"}"#), None);
        assert_eq!(code(500, b""), None);
        assert_eq!(code(200, br#"{"factorResult":"CHALLENGE"}"#), Some(Answer::Refused(Refusal::Garbled)));
    }

    #[test]
    fn factor_is_chosen_by_method_state_and_device() {
        let one =
            |id: &str, kind: &str, status: &str| Enrolled { id: id.into(), kind: kind.into(), status: status.into() };
        let all = [
            one("old", "push", "PENDING_ACTIVATION"),
            one("a", "push", "ACTIVE"),
            one("b", "push", "ACTIVE"),
            one("../x", "sms", "ACTIVE"),
            one("t", "token:hotp", "ACTIVE"),
        ];
        let id = |method, device| choose(&all, method, device).map(|one| one.id.as_str());
        assert_eq!(id(Method::Push, None), Ok("a"));
        assert_eq!(id(Method::Push, Some(2)), Ok("b"));
        assert_eq!(id(Method::Push, Some(3)), Err(Refusal::NotThisWay));
        assert_eq!(id(Method::Oath, None), Ok("t"));
        assert_eq!(id(Method::SmsCode, None), Err(Refusal::NotThisWay));
    }

    #[test]
    fn people_are_asked_only_in_a_state_that_allows_it() {
        let user = |status: &str| User { id: "00u1".into(), status: status.into() }.usable();
        assert_eq!(user("ACTIVE"), Ok(()));
        assert_eq!(user("LOCKED_OUT"), Err(Refusal::LockedThere));
        assert_eq!(user("STAGED"), Err(Refusal::NotEnrolledThere));
        assert_eq!(user("nonsense"), Err(Refusal::Garbled));
        assert_eq!(User { id: "a/b".into(), status: "ACTIVE".into() }.usable(), Err(Refusal::Garbled));
    }
}
