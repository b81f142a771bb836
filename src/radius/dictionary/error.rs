//! Why a name or a value of the configuration is refused, in words for whoever writes it.

use std::fmt;

/// Why a configured attribute is refused. The texts are for the person who writes the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DictionaryError {
    /// There is no `=` between name and value.
    NoEquals,
    /// The name is not known.
    UnknownName {
        /// As written.
        name: String,
        /// The known name that looks most like it, if any does.
        nearest: Option<String>,
    },
    /// The attribute must not be configured here.
    Refused {
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The value does not have the attribute's type.
    WrongValue {
        /// The attribute's name.
        name: String,
        /// What would be allowed.
        allowed: &'static str,
        /// Names that the value may have, if any: the first ones.
        names: Vec<String>,
    },
    /// The value is empty or too long.
    WrongLength {
        /// The attribute's name.
        name: String,
        /// Octets of the value.
        have: usize,
        /// The most that are allowed.
        most: usize,
    },
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DictionaryError::NoEquals => f.write_str("write it as `Name = value`, such as `Filter-Id = \"staff\"`"),
            DictionaryError::UnknownName { name, nearest: None } => write!(f, "no attribute is called {name:?}"),
            DictionaryError::UnknownName { name, nearest: Some(nearest) } => {
                write!(f, "no attribute is called {name:?}; did you mean {nearest}?")
            }
            DictionaryError::Refused { name, why } => write!(f, "{name} cannot be configured: {why}"),
            DictionaryError::WrongValue { name, allowed, names } if names.is_empty() => {
                write!(f, "the value of {name} must be {allowed}")
            }
            DictionaryError::WrongValue { name, allowed, names } => {
                write!(f, "the value of {name} must be {allowed} ({})", names.join(", "))
            }
            DictionaryError::WrongLength { name, have, most } => {
                write!(f, "the value of {name} must have 1 to {most} octets, not {have}")
            }
        }
    }
}

impl std::error::Error for DictionaryError {}
