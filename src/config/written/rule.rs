//! `[[rule]]`.

use serde::Deserialize;

use super::super::values::{OneOrMany, Word};

/// `[[rule]]`: who needs a second factor when.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Rule {
    pub name: Option<String>,
    pub clients: Option<OneOrMany>,
    pub applications: Option<OneOrMany>,
    pub users: Option<OneOrMany>,
    pub groups: Option<OneOrMany>,
    pub networks: Option<OneOrMany>,
    pub days: Option<OneOrMany>,
    pub hours: Option<OneOrMany>,
    pub zone: Option<String>,
    pub then: Option<Word<ThenWord>>,
    pub methods: Option<OneOrMany>,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThenWord {
    /// A second factor.
    Require,
    /// None.
    Skip,
    /// No entry.
    Refuse,
}
