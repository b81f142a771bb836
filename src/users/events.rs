//! Sign-ins as they are read back from the store, and which of them are wanted. Pure.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A sign-in that has ended, as the store keeps it. Texts are the words of the audit ([`crate::audit::line`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Goes up with each one that is written.
    #[serde(skip)]
    pub id: i64,
    /// When it ended.
    #[serde(with = "time")]
    pub time: SystemTime,
    /// Which sign-in.
    pub sign_in: String,
    /// Through which door.
    pub door: String,
    /// Through which client.
    pub client: String,
    /// For which application.
    pub application: String,
    /// The name as typed.
    pub name: String,
    /// Who it was.
    pub unique_id: Option<String>,
    /// Their account name.
    pub account: Option<String>,
    /// Address of the client.
    pub source: String,
    /// Address of the person's device.
    pub person_address: Option<String>,
    /// How they were asked.
    pub method: Option<String>,
    /// Who asked them.
    pub provider: Option<String>,
    /// What became of the password.
    pub primary: Option<String>,
    /// What became of the factor.
    pub factor: Option<String>,
    /// What the client heard.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// The `[[rule]]` that counted, or the `[[caching]]` rule.
    pub rule: Option<String>,
    /// The earlier sign-in whose approval counted.
    #[serde(default)]
    pub earlier: Option<String>,
    /// Requests that this answer served.
    pub requests: i64,
    /// Time of each step that was reached, in milliseconds.
    pub identify_ms: Option<f64>,
    /// As above.
    pub primary_ms: Option<f64>,
    /// As above.
    pub policy_ms: Option<f64>,
    /// As above.
    pub factor_ms: Option<f64>,
    /// From the request's arrival to the end, in milliseconds.
    pub total_ms: f64,
    /// Which server.
    pub server: String,
}

impl EventRecord {
    /// The time as RFC 3339 in UTC, to the microsecond.
    pub fn time_text(&self) -> String {
        time::text(self.time)
    }
}

/// Which sign-ins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Not before.
    pub since: Option<SystemTime>,
    /// Before.
    pub until: Option<SystemTime>,
    /// Through this client.
    pub client: Option<String>,
    /// Of this person: the account name or the name as typed, without case, or the unique id.
    pub user: Option<String>,
    /// For one of these reasons; empty: any.
    pub reasons: Vec<String>,
    /// With this verdict.
    pub verdict: Option<String>,
    /// By this rule.
    pub rule: Option<String>,
    /// This very one.
    pub sign_in: Option<String>,
}

/// From where on, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// In order of time, behind this one.
    Time(SystemTime, i64),
    /// In order of writing, behind this one: nothing is missed that is written while somebody reads.
    Written(i64),
    /// The latest first, before this one.
    Latest(i64),
}

/// Times as the audit writes them.
mod time {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn text(time: SystemTime) -> String {
        format!("{:.6}", Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<Timestamp>().map(SystemTime::from).map_err(de::Error::custom)
    }
}

/// What ended in the same way several times in a row, of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InARow {
    /// Whose.
    pub unique_id: String,
    /// How often.
    pub many: u32,
    /// When last.
    pub last: SystemTime,
}
