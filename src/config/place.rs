//! Where a key stands: its path through the file, and the line of that path.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// One step down into the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a table, by key.
    Key(String),
    /// Into a list, by position from 0.
    Index(usize),
}

/// The way to a key, such as `radius.client[1].secret`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path to `name` at the top of the file.
    pub fn top(name: &str) -> Self {
        Path::default().key(name)
    }

    /// This path and one key more.
    pub fn key(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(name.to_owned()));
        Path(steps)
    }

    /// This path and one position more.
    pub fn index(&self, position: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(position));
        Path(steps)
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A place in the text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// The place of octet `offset` of `text`.
pub fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

/// The place of `path`, or, where it is not written, of the nearest table above it that is.
pub fn locate(text: &str, table: &DeTable<'_>, path: &Path) -> Option<Place> {
    let mut found: Option<Range<usize>> = None;
    let mut steps = path.0.iter();
    let Some(Step::Key(first)) = steps.next() else { return None };
    let (key, mut value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    found.replace(key.span());
    for step in steps {
        match (step, value.get_ref()) {
            (Step::Key(name), DeValue::Table(inner)) => {
                let Some((key, next)) = inner.iter().find(|(key, _)| key.get_ref() == name) else { break };
                found.replace(key.span());
                value = next;
            }
            (Step::Index(index), DeValue::Array(list)) => {
                let Some(next) = list.get(*index) else { break };
                found.replace(next.span());
                value = next;
            }
            _ => break,
        }
    }
    found.map(|span| place_of(text, span.start))
}
