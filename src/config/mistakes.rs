//! What is wrong with a configuration: every mistake at once, each with its place, what was found and what
//! is allowed. No message shows a secret, nor the content of a line that could hold one.

use std::fmt;
use std::path::PathBuf;

use super::place::Place;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the file.
    File {
        /// Its name as it was given.
        file: PathBuf,
        /// Line and column of the key, or of the table that lacks it; none where the file as a whole is meant.
        place: Option<Place>,
    },
    /// From an environment variable that overrides the file.
    Variable(String),
}

/// One mistake, or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub origin: Origin,
    /// Which key, such as `radius.client[0].answer_within`; empty where none is meant.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What is allowed, or what to do about it.
    pub allowed: String,
}

impl Mistake {
    /// Line in the file, if there is one.
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Origin::File { place, .. } => place.map(|place| place.line),
            Origin::Variable(_) => None,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { file, place: Some(place) } => {
                write!(f, "{}:{}:{}: ", file.display(), place.line, place.column)?;
            }
            Origin::File { file, place: None } => write!(f, "{}: ", file.display())?,
            Origin::Variable(name) => write!(f, "environment {name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.found)?;
        if !self.allowed.is_empty() {
            write!(f, "; {}", self.allowed)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Debug)]
pub struct Mistakes {
    /// What must be mended; at least one.
    pub mistakes: Vec<Mistake>,
    /// What should be looked at.
    pub warnings: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, mistake) in self.mistakes.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(mistake, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
