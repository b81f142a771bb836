//! From text to [`written::File`]: parses, lays the environment over it, and turns it into the written form,
//! going on after a mistake so that all of them are found at once.
//!
//! ```text
//! text ── toml (keeps the places) ─┐
//!                                  ├─ config (file, then ANTEROOM__SECTION__KEY) ── serde ── written::File
//! environment ─────────────────────┘        unknown keys by serde_ignored, bad values by serde_path_to_error
//! ```

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use serde::Deserialize;
use toml::de::DeTable;

use super::mistakes::{Mistake, Origin};
use super::place::{Path, Step, locate, place_of};
use super::profile::{self, Profiled};
use super::sources::Environment;
use super::{known, written};

/// What every variable that overrides a key of the file starts with.
pub const PREFIX: &str = "ANTEROOM__";

/// A file that has been read, with what is needed to speak about it.
pub struct Reading<'a> {
    /// The written form. What was of the wrong kind is left out of it.
    pub file: written::File,
    /// The mistakes found so far.
    pub mistakes: Vec<Mistake>,
    /// Keys whose value was of the wrong kind: nothing more needs to be said about them.
    pub spoiled: Vec<Path>,
    /// Whether the text is TOML at all. If not, nothing can be said about its keys.
    pub is_toml: bool,
    places: Places<'a>,
}

/// Where each key stands, and which came from the environment.
pub struct Places<'a> {
    name: &'a FilePath,
    text: &'a str,
    table: DeTable<'a>,
    variables: BTreeMap<String, String>,
    profiled: BTreeMap<usize, Profiled>,
}

impl Places<'_> {
    /// Where the value of `path` comes from.
    pub fn origin(&self, path: &Path) -> Origin {
        match self.variables.get(&path.to_string()) {
            Some(variable) => Origin::Variable(variable.clone()),
            None => Origin::File { file: self.name.to_owned(), place: locate(self.text, &self.table, path) },
        }
    }

    /// What the profile of the RADIUS client did that `path` leads into.
    pub fn profiled(&self, path: &Path) -> Option<&Profiled> {
        self.profiled.get(&profile::client_position(path)?)
    }
}

impl<'a> Reading<'a> {
    /// Reads `text`, with the variables of `environment` laid over it.
    pub fn new(name: &'a FilePath, text: &'a str, environment: &Environment) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let places =
            Places { name, text, table: table.into_inner(), variables: BTreeMap::new(), profiled: BTreeMap::new() };
        let mut reading = Reading {
            file: written::File::default(),
            mistakes: Vec::new(),
            spoiled: Vec::new(),
            is_toml: true,
            places,
        };
        reading.is_toml = errors.is_empty();
        if !reading.is_toml {
            // The parser's own rendering would print the line, and with it perhaps a secret.
            reading.mistakes = errors.iter().map(|error| syntax_mistake(name, text, error)).collect();
            return reading;
        }
        let Some(mut merged) = reading.merge(environment) else { return reading };
        reading.places.profiled = profile::lay_under(&mut merged);
        reading.deserialize(merged);
        reading
    }

    /// Hands out what [`super::checked`] works with.
    pub fn into_parts(self) -> (written::File, Vec<Mistake>, Vec<Path>, Places<'a>) {
        (self.file, self.mistakes, self.spoiled, self.places)
    }

    fn wrong(&mut self, path: &Path, found: String, allowed: String) {
        self.mistakes.push(Mistake { origin: self.places.origin(path), key: path.to_string(), found, allowed });
    }

    /// The file with the environment laid over it, by the `config` crate.
    fn merge(&mut self, environment: &Environment) -> Option<toml::Table> {
        let file = || config::File::from_str(self.places.text, config::FileFormat::Toml);
        let plain = merged(config::Config::builder().add_source(file()));
        let mut builder = config::Config::builder().add_source(file());
        let mut refused = Vec::new();
        for (variable, rest, value) in environment.with_prefix(PREFIX) {
            let path = plain.as_ref().ok().and_then(|table| resolve(table, rest));
            let next = path.as_ref().map(|path| builder.clone().set_override(path.to_string(), value));
            match (path, next) {
                (Some(path), Some(Ok(next))) => {
                    builder = next;
                    self.places.variables.insert(path.to_string(), variable.to_owned());
                }
                _ => refused.push(variable.to_owned()),
            }
        }
        for variable in refused {
            self.mistakes.push(Mistake {
                origin: Origin::Variable(variable),
                key: String::new(),
                found: "names no key of the file".to_owned(),
                allowed:
                    "ANTEROOM__SECTION__KEY; a client by its position or name: ANTEROOM__RADIUS__CLIENT__0__SECRET_FILE"
                        .to_owned(),
            });
        }
        match merged(builder) {
            Ok(table) => Some(table),
            Err(error) => {
                // Cannot happen after the parser has accepted the text. If it does, nothing is let through.
                tracing::debug!(%error, "the configuration could not be merged");
                let origin = Origin::File { file: self.places.name.to_owned(), place: None };
                let found = "the file and the environment could not be merged".to_owned();
                self.mistakes.push(Mistake { origin, key: String::new(), found, allowed: String::new() });
                None
            }
        }
    }

    /// Deserialises; on a mistake takes the value out and tries again, until there is none left.
    fn deserialize(&mut self, mut table: toml::Table) {
        loop {
            let mut unknown = Vec::new();
            let mut track = serde_path_to_error::Track::new();
            let mut note = |path: serde_ignored::Path<'_>| unknown.push(ignored_path(&path));
            let source = serde_path_to_error::Deserializer::new(toml::Value::Table(table.clone()), &mut track);
            let result = written::File::deserialize(serde_ignored::Deserializer::new(source, &mut note));
            let error = match result {
                Ok(file) => {
                    self.file = file;
                    for path in unknown {
                        let nearest = known::nearest(&path);
                        self.wrong(&path, "unknown key".to_owned(), nearest);
                    }
                    return;
                }
                Err(error) => error,
            };
            let path = error_path(&track.path());
            let from_environment = self.places.variables.contains_key(&path.to_string());
            if from_environment
                && let Some(value) = value_at(&mut table, &path)
                && let Some(typed) = typed(value)
            {
                *value = typed;
                continue;
            }
            // What stands in for a value that was wrong is wrong for some lists, too.
            if !self.spoiled.contains(&path) {
                let (found, allowed) = split_message(error.message(), &path);
                self.wrong(&path, found, allowed);
            }
            if path.0.is_empty() || !take_out(&mut table, &path) {
                return;
            }
            self.spoiled.push(path);
        }
    }
}

fn merged(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<toml::Table, config::ConfigError> {
    builder.build()?.try_deserialize()
}

fn syntax_mistake(name: &FilePath, text: &str, error: &toml::de::Error) -> Mistake {
    let place = error.span().map(|span| place_of(text, span.start));
    Mistake {
        origin: Origin::File { file: name.to_owned(), place },
        key: String::new(),
        found: format!("not TOML: {}", error.message()),
        allowed: String::new(),
    }
}

/// Finds what `SECTION__KEY` means: keys without regard to case, list elements by position or `name`.
fn resolve(table: &toml::Table, rest: &str) -> Option<Path> {
    let root = toml::Value::Table(table.clone());
    let mut value = Some(&root);
    let mut path = Path::default();
    for segment in rest.split("__") {
        let plain = segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if segment.is_empty() || !plain {
            return None;
        }
        match value {
            Some(toml::Value::Array(list)) => {
                let named = |item: &toml::Value| {
                    item.get("name").and_then(toml::Value::as_str).is_some_and(|name| same_name(name, segment))
                };
                let position = segment.parse().ok().or_else(|| list.iter().position(named))?;
                value = Some(list.get(position)?);
                path = path.index(position);
            }
            other => {
                let table = other.and_then(toml::Value::as_table);
                let written = table.and_then(|table| table.keys().find(|key| same_name(key, segment)));
                let key = written.cloned().unwrap_or_else(|| segment.to_ascii_lowercase());
                value = table.and_then(|table| table.get(&key));
                path = path.key(&key);
            }
        }
    }
    (path.0.len() > 1).then_some(path)
}

/// A variable's name has no `-`, and usually capitals.
fn same_name(written: &str, segment: &str) -> bool {
    written.replace('-', "_").eq_ignore_ascii_case(&segment.replace('-', "_"))
}

/// The environment knows only text: what else such a text may have meant.
fn typed(value: &toml::Value) -> Option<toml::Value> {
    let text = value.as_str()?;
    text.parse().map(toml::Value::Integer).or_else(|_| text.parse().map(toml::Value::Boolean)).ok()
}

fn value_at<'t>(table: &'t mut toml::Table, path: &Path) -> Option<&'t mut toml::Value> {
    let (Step::Key(first), rest) = path.0.split_first()? else { return None };
    rest.iter().try_fold(table.get_mut(first)?, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(index) => value.get_mut(*index),
    })
}

/// Takes the value at `path` out of the tree. An element of a list becomes an empty one, so that the
/// others keep their positions.
fn take_out(table: &mut toml::Table, path: &Path) -> bool {
    let Some((last, parents)) = path.0.split_last() else { return false };
    let parents = Path(parents.to_vec());
    let parent = if parents.0.is_empty() { None } else { value_at(table, &parents) };
    match (parent, last) {
        (None, Step::Key(key)) if parents.0.is_empty() => table.remove(key).is_some(),
        (Some(toml::Value::Table(inner)), Step::Key(key)) => inner.remove(key).is_some(),
        (Some(toml::Value::Array(list)), Step::Index(index)) => {
            let tables = known::is_table_list(&parents);
            match list.get_mut(*index) {
                Some(item) if tables && !item.is_table() => *item = toml::Value::Table(toml::Table::new()),
                Some(item) if !tables && item.as_str() != Some("") => *item = toml::Value::String(String::new()),
                _ => return take_out(table, &parents),
            }
            true
        }
        _ => false,
    }
}

fn error_path(path: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    Path(
        path.iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Map { key } => Some(Step::Key(key.clone())),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect(),
    )
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> Path {
    use serde_ignored::Path as Ignored;
    match path {
        Ignored::Root => Path::default(),
        Ignored::Seq { parent, index } => ignored_path(parent).index(*index),
        Ignored::Map { parent, key } => ignored_path(parent).key(key),
        Ignored::Some { parent } | Ignored::NewtypeStruct { parent } | Ignored::NewtypeVariant { parent } => {
            ignored_path(parent)
        }
    }
}

/// Turns serde's `invalid type: integer `5`, expected a string` into what was found and what is allowed.
fn split_message(message: &str, path: &Path) -> (String, String) {
    let Some((found, expected)) = message.split_once(", expected ") else {
        return (message.to_owned(), String::new());
    };
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let list = format!("write [[{path}]], with two brackets, once for each");
    let expected = match expected {
        _ if known::is_table_list(path) => list.as_str(),
        "a string" => "text in quotes",
        "a boolean" => "true or false, without quotes",
        "a sequence" => "a list in brackets",
        other if other.starts_with("struct ") || other == "a map" => "a table with keys of its own",
        other => other,
    };
    (format!("found {}", found.replace("map", "a table").replace("sequence", "a list")), format!("allowed: {expected}"))
}
