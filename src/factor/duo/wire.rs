//! The words of Duo's Auth API: the envelope, and what an answer means. Pure.
//!
//! [`judge`] is the one place that turns a state into an answer: approved only when result **and** status say `allow`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::UnreachableClass;
use crate::factor::{Refusal, object};

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Envelope<T> {
    stat: String,
    #[serde(default = "Option::default", deserialize_with = "object::optional")]
    response: Option<T>,
    #[serde(default)]
    code: Option<u32>,
}

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service's own code; its first three digits are the HTTP status.
    Code(u32),
    /// It makes no sense.
    Garbled,
}

/// Takes an answer out of its envelope. The HTTP status and the envelope must agree.
///
/// # Errors
/// The service's code, or that it makes no sense.
pub fn open<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Fault> {
    // As text first: what is not looked at could otherwise hold anything.
    let text = std::str::from_utf8(body).unwrap_or_default();
    let envelope: Envelope<T> = match object::read(text.as_bytes()) {
        Ok(envelope) => envelope,
        // An answer of something in between, without the service's code.
        Err(_) if status >= 400 => return Err(Fault::Code(u32::from(status).saturating_mul(100))),
        Err(_) => return Err(Fault::Garbled),
    };
    match (envelope.stat.as_str(), envelope.response, envelope.code, status) {
        ("OK", Some(response), None, 200) => Ok(response),
        ("FAIL", None, Some(code), status) if status >= 400 && code / 100 == u32::from(status) => {
            Err(Fault::Code(code))
        }
        _ => Err(Fault::Garbled),
    }
}

impl Fault {
    /// What it means. `prompts`: the request could have prompted somebody.
    pub fn refusal(self, prompts: bool) -> Refusal {
        match self {
            Fault::Code(code) => match code / 100 {
                401 | 403 => Refusal::Unreachable(UnreachableClass::Refused),
                429 => Refusal::Unreachable(UnreachableClass::RateLimited),
                503 => Refusal::Unreachable(UnreachableClass::ServerError),
                500..=599 if prompts => Refusal::Lost,
                500..=599 => Refusal::Unreachable(UnreachableClass::ServerError),
                _ => Refusal::Misconfigured,
            },
            Fault::Garbled => crate::factor::http::garbled(prompts),
        }
    }
}

/// The answer of `ping` and `check`.
#[derive(Debug, Deserialize)]
pub struct Time {
    /// The service's clock, in seconds since 1970.
    pub time: u64,
}

/// The answer of `preauth`.
#[derive(Debug, Deserialize)]
pub struct Preauth {
    /// `auth`, `allow`, `deny` or `enroll`.
    pub result: String,
    /// What the person has.
    #[serde(default, deserialize_with = "object::many")]
    pub devices: Vec<Device>,
    /// Where they can enrol.
    #[serde(default)]
    pub enroll_portal_url: Option<String>,
    /// A verified push: its transaction.
    #[serde(default)]
    pub txid: Option<String>,
    /// A verified push: the code that the person types into the app.
    #[serde(default)]
    pub verification_code: Option<String>,
}

/// A device.
#[derive(Debug, Deserialize)]
pub struct Device {
    /// Its id.
    pub device: String,
    /// What can be done with it.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// The answer of an asynchronous `auth`.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// The transaction.
    pub txid: String,
}

/// The answer of `auth_status`.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// `waiting`, `allow` or `deny`.
    pub result: String,
    /// What exactly.
    #[serde(default)]
    pub status: String,
}

/// What a state says: nothing yet, or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nobody has answered yet.
    Waiting,
    /// It is over: yes.
    Approved,
    /// It is over, and not approved.
    Refused(Refusal),
}

/// Judges a state. `typed`: a code was handed in, so that a denial means that it was wrong.
pub fn judge(state: &Status, typed: bool) -> Said {
    match (state.result.as_str(), state.status.as_str()) {
        ("allow", "allow") => Said::Approved,
        ("allow", "bypass") => Said::Refused(Refusal::Bypassed),
        // A yes beside anything else is a contradiction.
        ("allow", _) | (_, "allow" | "bypass") => Said::Refused(Refusal::Garbled),
        ("waiting" | "deny", "timeout") => Said::Refused(Refusal::Expired),
        ("waiting", _) => Said::Waiting,
        ("deny", "fraud") => Said::Refused(Refusal::Fraud),
        ("deny", "locked_out") => Said::Refused(Refusal::LockedThere),
        ("deny", "sent") => Said::Refused(Refusal::NeedsCode),
        ("deny", _) if typed => Said::Refused(Refusal::WrongCode),
        ("deny", _) => Said::Refused(Refusal::Denied),
        _ => Said::Refused(Refusal::Garbled),
    }
}

/// Whether a transaction's id may be sent back: 1 to 128 of `A-Z a-z 0-9 - _`.
pub fn is_txid(id: &str) -> bool {
    crate::factor::native::wire::is_id(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(result: &str, status: &str) -> Status {
        Status { result: result.into(), status: status.into() }
    }

    #[test]
    fn only_allow_beside_allow_is_an_approval() {
        let words = [
            "allow",
            "deny",
            "waiting",
            "bypass",
            "pushed",
            "push_failed",
            "calling",
            "answered",
            "timeout",
            "fraud",
            "locked_out",
            "sent",
            "Allow",
            "allow ",
            "",
        ];
        for result in words {
            for status in words {
                for typed in [false, true] {
                    let approved = result == "allow" && status == "allow";
                    assert_eq!(judge(&state(result, status), typed) == Said::Approved, approved, "{result} {status}");
                }
            }
        }
    }

    #[test]
    fn every_documented_state_has_its_reason() {
        let table = [
            ("waiting", "pushed", Said::Waiting),
            ("waiting", "push_failed", Said::Waiting),
            ("waiting", "calling", Said::Waiting),
            ("waiting", "answered", Said::Waiting),
            ("deny", "timeout", Said::Refused(Refusal::Expired)),
            ("allow", "bypass", Said::Refused(Refusal::Bypassed)),
            ("deny", "deny", Said::Refused(Refusal::Denied)),
            ("deny", "fraud", Said::Refused(Refusal::Fraud)),
            ("deny", "locked_out", Said::Refused(Refusal::LockedThere)),
            ("deny", "sent", Said::Refused(Refusal::NeedsCode)),
        ];
        for (result, status, said) in table {
            assert_eq!(judge(&state(result, status), false), said, "{result} {status}");
        }
        assert_eq!(judge(&state("deny", "deny"), true), Said::Refused(Refusal::WrongCode));
    }

    #[test]
    fn envelope_and_status_must_agree() {
        let opened = |status, body: &str| open::<Started>(status, body.as_bytes()).map(|started| started.txid);
        assert_eq!(opened(200, r#"{"stat":"OK","response":{"txid":"a"}}"#), Ok("a".into()));
        assert_eq!(opened(401, r#"{"stat":"FAIL","code":40103,"message":"x"}"#), Err(Fault::Code(40103)));
        assert_eq!(opened(502, "<html>"), Err(Fault::Code(50200)));
        for (status, body) in [
            (200, r#"{"stat":"FAIL","code":40103}"#),
            (401, r#"{"stat":"OK","response":{"txid":"a"}}"#),
            (401, r#"{"stat":"FAIL","code":50000}"#),
            (200, r#"{"stat":"OK","response":{"txid":"a"},"code":1}"#),
            (200, r#"{"stat":"OK"}"#),
            (200, r#"{"stat":"MAYBE","response":{"txid":"a"}}"#),
            (200, "result=allow"),
        ] {
            assert_eq!(opened(status, body), Err(Fault::Garbled), "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(status in 0_u16..700, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = open::<Preauth>(status, &body);
        }
    }
}
