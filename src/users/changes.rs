//! What a change has changed: every field of a person as text, before and after. Pure. Secrets are masked
//! here, so that neither the database nor a terminal sees them.

use std::time::{Duration, SystemTime};

use crate::users::model::masked;
use crate::users::profile::Profile;

/// The end of 9999: a block until somebody unblocks.
pub const FOREVER: Duration = Duration::from_secs(253_402_300_799);

/// One field of a change: its name, its text before and after.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference(pub String, pub Option<String>, pub Option<String>);

impl Difference {
    /// Which field.
    pub fn field(&self) -> &str {
        &self.0
    }

    /// Its text before.
    pub fn before(&self) -> Option<&str> {
        self.1.as_deref()
    }

    /// Its text after.
    pub fn after(&self) -> Option<&str> {
        self.2.as_deref()
    }
}

/// A change as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Goes up with each change.
    pub id: i64,
    /// When.
    pub time: SystemTime,
    /// Who did it.
    pub by: String,
    /// Whom it is about.
    pub unique_id: String,
    /// Their login name at the time.
    pub name: String,
    /// `added`, `changed`, `removed`, `blocked`, `unblocked`, `devices`, `token added`, …
    pub kind: String,
    /// What it was.
    pub fields: Vec<Difference>,
}

const TOKEN: &str = "device token";

/// A time as RFC 3339 in UTC, to the second.
pub fn time_text(time: SystemTime) -> String {
    if SystemTime::UNIX_EPOCH.checked_add(FOREVER).is_some_and(|forever| time >= forever) {
        return "further notice".into();
    }
    jiff::Timestamp::try_from(time).map_or_else(|_| "an impossible time".into(), |time| format!("{time:.0}"))
}

/// Every field with its text, the device token in full: it is compared before it is masked.
fn texts(profile: &Profile) -> Vec<(&'static str, Option<String>)> {
    let person = &profile.person;
    let state = if person.enabled { "enabled" } else { "disabled" };
    let aliases = (!profile.aliases.is_empty()).then(|| profile.aliases.join(", "));
    let local: Vec<&str> = profile.local.iter().map(|field| field.word()).collect();
    vec![
        ("unique id", Some(person.unique_id.clone())),
        ("name", Some(person.name.clone())),
        ("upn", person.upn.clone()),
        ("aliases", aliases),
        ("dn", person.dn.clone()),
        ("first name", person.first_name.clone()),
        ("last name", person.last_name.clone()),
        ("email", person.email.clone()),
        ("group", profile.group.clone()),
        ("description", profile.description.clone()),
        ("phone", person.phone.clone()),
        ("extension", person.phone_extension.clone()),
        ("backup phone", profile.backup_phone.clone()),
        ("backup ext", profile.backup_extension.clone()),
        (TOKEN, person.device_token.clone()),
        ("method", Some(person.method.to_string())),
        ("mode", Some(profile.person.mode.to_string())),
        ("language", Some(person.language.clone())),
        ("state", Some(state.into())),
        ("blocked until", person.blocked_until.map(time_text)),
        ("quarantined", profile.quarantined.map(time_text)),
        ("item", profile.item.clone()),
        ("local", (!local.is_empty()).then(|| local.join(", "))),
    ]
}

fn mask(field: &'static str, text: Option<String>) -> Option<String> {
    if field == TOKEN { text.as_deref().map(masked) } else { text }
}

/// Every field as it may be shown.
pub fn shown_fields(profile: &Profile) -> Vec<(&'static str, Option<String>)> {
    texts(profile).into_iter().map(|(field, text)| (field, mask(field, text))).collect()
}

/// What differs between two states of a person, of whom one may not exist. Device tokens are masked.
pub fn differences(before: Option<&Profile>, after: Option<&Profile>) -> Vec<Difference> {
    let (before, after) = (before.map(texts), after.map(texts));
    let fields: Vec<&'static str> =
        before.iter().chain(after.iter()).take(1).flatten().map(|(field, _)| *field).collect();
    let (mut before, mut after) = (before.into_iter().flatten(), after.into_iter().flatten());
    fields
        .into_iter()
        .filter_map(|field| {
            let (before, after) = (before.next().and_then(|(_, text)| text), after.next().and_then(|(_, text)| text));
            (before != after).then(|| Difference(field.into(), mask(field, before), mask(field, after)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::model::Person;

    fn profile(name: &str) -> Profile {
        Profile::new(Person { device_token: Some("planted-token-0042".into()), ..Person::bare("id", name) })
    }

    #[test]
    fn only_what_differs_is_told_and_tokens_are_masked() {
        let before = profile("alice");
        let mut after = profile("alicia");
        after.person.device_token = Some("another-planted-0042".into());
        let told = differences(Some(&before), Some(&after));
        let expected = [("name", "alice", "alicia"), ("device token", "…0042", "…0042")];
        let expected =
            expected.map(|(field, before, after)| Difference(field.into(), Some(before.into()), Some(after.into())));
        assert_eq!(told, expected);
        assert_eq!(differences(Some(&before), Some(&before)), []);
    }

    #[test]
    fn coming_and_going_tell_every_field_that_is_there() {
        let one = profile("alice");
        let came = differences(None, Some(&one));
        let went = differences(Some(&one), None);
        assert_eq!(came.len(), went.len());
        assert!(came.iter().all(|field| field.before().is_none() && field.after().is_some()));
        assert!(went.iter().all(|field| field.before().is_some() && field.after().is_none()));
        assert!(!format!("{came:?}").contains("planted"));
        assert_eq!(differences(None, None), []);
    }
}
