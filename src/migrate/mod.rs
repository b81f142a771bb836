//! From other products' configurations to ours. Pure: text in, files and notes out; [`crate::cli::migrate`] reads and
//! writes.
//!
//! What cannot be turned is never guessed: a rule that lets people in is left out rather than widened, a rule that
//! keeps people out is widened rather than left out, and every case is told with its place.

pub mod condition;
pub mod nps;
mod text;
pub mod tree;
pub mod written;

use crate::secret::Secret;

/// What an export becomes.
#[derive(Debug, Default)]
pub struct Turned {
    /// The configuration file.
    pub toml: String,
    /// Files beside it that nobody else may read, by name.
    pub secrets: Vec<(String, Secret)>,
    /// What is left to be done by hand, in the order of the export.
    pub notes: Vec<Note>,
}

/// Something that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Line of the export; 0: it is about the whole of it.
    pub line: u64,
    /// What it is about.
    pub what: String,
    /// What could not be turned, and what to do.
    pub why: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{}: {}", self.what, self.why)
    }
}
