//! What a change has changed: every field of a person as text, before and after. Pure. Secrets are masked
//! here, so that neither the database nor a terminal sees them.

use std::borrow::Cow;
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

/// A field's name and its text, if it has one.
type Named<'a> = (&'static str, Option<Cow<'a, str>>);

/// Every field with its text, the device token in full: it is compared before it is masked.
fn texts(profile: &Profile) -> [Named<'_>; 23] {
    fn given(text: &Option<String>) -> Option<Cow<'_, str>> {
        text.as_deref().map(Cow::Borrowed)
    }
    let person = &profile.person;
    let state = if person.enabled { "enabled" } else { "disabled" };
    let aliases = (!profile.aliases.is_empty()).then(|| profile.aliases.join(", ").into());
    let local: Vec<&str> = profile.local.iter().map(|field| field.word()).collect();
    [
        ("unique id", Some(person.unique_id.as_str().into())),
        ("name", Some(person.name.as_str().into())),
        ("upn", given(&person.upn)),
        ("aliases", aliases),
        ("dn", given(&person.dn)),
        ("first name", given(&person.first_name)),
        ("last name", given(&person.last_name)),
        ("email", given(&person.email)),
        ("group", given(&profile.group)),
        ("description", given(&profile.description)),
        ("phone", given(&person.phone)),
        ("extension", given(&person.phone_extension)),
        ("backup phone", given(&profile.backup_phone)),
        ("backup ext", given(&profile.backup_extension)),
        (TOKEN, given(&person.device_token)),
        ("method", Some(person.method.word().into())),
        ("mode", Some(person.mode.word().into())),
        ("language", Some(person.language.as_str().into())),
        ("state", Some(state.into())),
        ("blocked until", person.blocked_until.map(|time| time_text(time).into())),
        ("quarantined", profile.quarantined.map(|time| time_text(time).into())),
        ("item", given(&profile.item)),
        ("local", (!local.is_empty()).then(|| local.join(", ").into())),
    ]
}

fn mask<'a>(field: &str, text: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    if field == TOKEN { text.map(|token| masked(&token).into()) } else { text }
}

/// Every field as it may be shown.
pub fn shown_fields(profile: &Profile) -> Vec<(&'static str, Option<String>)> {
    texts(profile).into_iter().map(|(field, text)| (field, mask(field, text).map(Cow::into_owned))).collect()
}

/// What differs between two states of a person, of whom one may not exist. Device tokens are masked.
pub fn differences(before: Option<&Profile>, after: Option<&Profile>) -> Vec<Difference> {
    let (before, after) = (before.map(texts), after.map(texts));
    let Some(fields) = before.as_ref().or(after.as_ref()).map(|texts| texts.each_ref().map(|(field, _)| *field)) else {
        return Vec::new();
    };
    let (mut before, mut after) = (before.into_iter().flatten(), after.into_iter().flatten());
    let shown = |field, text| mask(field, text).map(Cow::into_owned);
    fields
        .into_iter()
        .filter_map(|field| {
            let (before, after) = (before.next().and_then(|(_, text)| text), after.next().and_then(|(_, text)| text));
            (before != after).then(|| Difference(field.into(), shown(field, before), shown(field, after)))
        })
        .collect()
}

/// The [`differences`] between nobody and this person, as they are kept: a first import has hundreds of thousands.
pub fn arrival(profile: &Profile) -> String {
    let fields = texts(profile).into_iter().filter(|(_, text)| text.is_some());
    let fields: Vec<_> = fields.map(|(field, text)| (field, None::<&str>, mask(field, text))).collect();
    written(&fields)
}

/// Fields as they are kept. Texts and options of texts can always be written.
pub fn written<T: serde::Serialize>(fields: &[T]) -> String {
    serde_json::to_string(fields).unwrap_or_else(|_| "[]".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::model::Person;

    fn profile(name: &str) -> Profile {
        Profile::new(Person { device_token: Some("planted-token-0042".into()), ..Person::bare("id", name) })
    }

    #[test]
    fn an_arrival_is_kept_as_what_differs_from_nobody() {
        let mut arrived = profile("anna");
        arrived.aliases = vec!["a".into(), "quote \" and é".into()];
        assert_eq!(arrival(&arrived), written(&differences(None, Some(&arrived))));
        assert!(!arrival(&arrived).contains("planted-token-0042"));
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
