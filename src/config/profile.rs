//! Profiles of appliances: what is known to be right for a product, laid under the section of each client that names it.
//! Pure.
//!
//! ```text
//! [[radius.client]]            profile "cisco-asa"               what counts
//! profile = "cisco-asa"    +   challenge = "yes"             =   challenge = "yes"
//! answer_within = "90s"        person_address = "Calling…"       person_address = "Calling…", answer_within = "90s"
//! ```
//!
//! A profile sets keys that a section can have, and nothing else: whatever the section writes itself counts. What is
//! known is one table, [`PROFILES`], each fact with its source; what is not known keeps its default.

use std::collections::BTreeMap;
use std::fmt;

use super::place::{Path, Step};
use super::values::Words;

mod table;

pub use table::PROFILES;

/// What is known of one kind of appliance.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The word of the configuration.
    pub word: &'static str,
    /// The product, as its vendor calls it.
    pub product: &'static str,
    /// Its guide: a file of `conf/guides`.
    pub guide: &'static str,
    /// Whether it checks the password itself, so that its requests have none.
    pub authorizes: bool,
    /// The keys that are laid under a client's section, in the order of `conf/anteroom.toml`.
    pub presets: &'static [Preset],
}

/// One key that a profile sets.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The key, of `[[radius.client]]`.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// How it is known: whose documentation or source.
    pub source: &'static str,
}

/// A value of a preset, as the file would write it.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A text, such as a word or a duration.
    Text(&'static str),
    /// Whether it is so.
    Flag(bool),
    /// `passcode = { delimiter = … }`.
    Delimiter(&'static str),
}

impl From<Value> for toml::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => text.into(),
            Value::Flag(flag) => flag.into(),
            Value::Delimiter(delimiter) => {
                toml::Value::Table(toml::Table::from_iter([("delimiter".to_owned(), delimiter.into())]))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", toml::Value::from(*self))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

impl Words for &'static Profile {
    const WORDS: &'static [(&'static str, Self)] = PROFILES;
}

/// What the profile of one client did.
#[derive(Debug, Clone)]
pub struct Profiled {
    /// The profile.
    pub profile: &'static Profile,
    /// What it has set.
    pub set: Vec<&'static Preset>,
    /// What the section has written itself: its value counts.
    pub written: Vec<(&'static Preset, String)>,
}

/// Lays the profile of each RADIUS client under its section. Returns what was done, by the client's position. A profile
/// that does not exist does nothing here: the reader refuses it.
pub(super) fn lay_under(file: &mut toml::Table) -> BTreeMap<usize, Profiled> {
    let clients =
        file.get_mut("radius").and_then(|radius| radius.get_mut("client")).and_then(toml::Value::as_array_mut);
    let sections = clients.into_iter().flatten().enumerate();
    sections.filter_map(|(position, client)| Some((position, Profiled::laid(client.as_table_mut()?)?))).collect()
}

impl Profiled {
    fn laid(section: &mut toml::Table) -> Option<Profiled> {
        let word = section.get("profile")?.as_str()?;
        let (_, profile) = PROFILES.iter().find(|(known, _)| *known == word)?;
        let mut done = Profiled { profile, set: Vec::new(), written: Vec::new() };
        for preset in profile.presets {
            match section.get(preset.key) {
                Some(written) => done.written.push((preset, written.to_string())),
                None => {
                    section.insert(preset.key.to_owned(), preset.value.into());
                    done.set.push(preset);
                }
            }
        }
        Some(done)
    }

    /// Whether the profile has set the key that `path` leads to or below.
    pub(super) fn has_set(&self, path: &Path) -> bool {
        let key = path.0.get(CLIENT.len() + 1);
        self.set.iter().any(|preset| key.is_some_and(|key| *key == Step::Key(preset.key.to_owned())))
    }
}

/// Where RADIUS clients stand in the file.
const CLIENT: [&str; 2] = ["radius", "client"];

/// The position of the RADIUS client whose section a path leads to or below.
pub(super) fn client_position(path: &Path) -> Option<usize> {
    let (start, rest) = path.0.split_first_chunk::<{ CLIENT.len() }>()?;
    let is_client = start.iter().zip(CLIENT).all(|(step, name)| matches!(step, Step::Key(key) if key == name));
    match rest.first() {
        Some(Step::Index(position)) if is_client => Some(*position),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
