//! Which keys there are, told by the written form itself, and which of them an unknown one resembles.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::place::{Path, Step};
use super::written;

/// Every table of the file: its path, with `*` for a name or a position, and its keys.
pub fn tables() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("", fields_of::<written::File>()),
        ("server", fields_of::<written::Server>()),
        ("radius", fields_of::<written::Radius>()),
        ("radius.tls", fields_of::<written::RadiusTls>()),
        ("radius.changes", fields_of::<written::Changes>()),
        ("radius.changes.relay.*", fields_of::<written::ChangeRelay>()),
        ("radius.client.*", fields_of::<written::Client>()),
        ("radius.client.*.provider_unreachable", fields_of::<written::Unreachable>()),
        ("ldap", fields_of::<written::Ldap>()),
        ("ldap.client.*", fields_of::<written::LdapClient>()),
        ("ldap.client.*.provider_unreachable", fields_of::<written::Unreachable>()),
        ("radius.client.*.passcode", fields_of::<written::Passcode>()),
        ("ldap.client.*.passcode", fields_of::<written::Passcode>()),
        ("ldap.client.*.reuse", fields_of::<written::Reuse>()),
        ("target.*", fields_of::<written::Target>()),
        ("target.*.policy.*", fields_of::<written::ConnectionPolicy>()),
        ("provider.*", fields_of::<written::Provider>()),
        ("provider.*.send", fields_of::<written::Send>()),
        ("import", fields_of::<written::Import>()),
        ("import.item.*", fields_of::<written::ImportItem>()),
        ("import.item.*.attributes", fields_of::<written::Attributes>()),
        ("mail", fields_of::<written::Mail>()),
        ("pin", fields_of::<written::Pin>()),
        ("route.*", fields_of::<written::Route>()),
        ("rule.*", fields_of::<written::Rule>()),
        ("reply.*", fields_of::<written::Reply>()),
        ("reply.*.attributes.*", fields_of::<written::From>()),
        ("caching.*", fields_of::<written::Caching>()),
        ("limits", fields_of::<written::Limits>()),
        ("throttle", fields_of::<written::Throttle>()),
        ("audit", fields_of::<written::Audit>()),
        ("log", fields_of::<written::Log>()),
        ("metrics", fields_of::<written::Metrics>()),
    ]
}

/// Whether the list at `path` has tables as its elements.
pub(super) fn is_table_list(path: &Path) -> bool {
    let path = pattern(path);
    matches!(
        path.as_str(),
        "radius.client" | "ldap.client" | "route" | "rule" | "reply" | "caching" | "import.item" | "target.*.policy"
    )
}

/// What to say about the unknown key at `path`.
pub(super) fn nearest(path: &Path) -> String {
    let Some((Step::Key(key), parents)) = path.0.split_last() else { return String::new() };
    let parent = pattern(&Path(parents.to_vec()));
    let all = tables();
    let here = all.iter().find(|(table, _)| *table == parent).map(|(_, keys)| *keys).unwrap_or_default();
    if let Some(known) = near(key, here.iter().copied()) {
        return format!("did you mean {known}?");
    }
    match all.iter().find(|(_, keys)| keys.contains(&key.as_str())) {
        Some((table, _)) if !table.is_empty() => format!("{key} belongs in [{table}]"),
        _ => format!("known here: {}", here.join(", ")),
    }
}

/// The one of these words that `word` was probably meant to be.
pub(super) fn near<'w>(word: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let (far, near) = words.map(|known| (distance(word, known), known)).min()?;
    (far <= near.len().max(word.len()) / 3).then_some(near)
}

/// `radius.client[1]` becomes `radius.client.*`; the names of targets and providers become `*`, too.
fn pattern(path: &Path) -> String {
    let mut words: Vec<&str> = Vec::new();
    for step in &path.0 {
        let word = match step {
            Step::Index(_) => "*",
            Step::Key(_) if words == ["target"] || words == ["provider"] || words == ["reply", "*", "attributes"] => {
                "*"
            }
            Step::Key(key) => key,
        };
        words.push(word);
    }
    words.join(".")
}

/// Levenshtein's distance, without regard to case and to `-` or `_`.
fn distance(one: &str, other: &str) -> usize {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_").chars().collect::<Vec<_>>();
    let (one, other) = (plain(one), plain(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((b, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(a != b)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The field names that serde derived for a struct.
fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // Always an error: the asking stops as soon as the names are known.
    let _ = T::deserialize(Asking(&mut fields));
    fields
}

struct Asking<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asking<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Self::Error::custom("only asking"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
