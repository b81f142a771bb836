//! `[[caching]]`.

use serde::Deserialize;

use super::super::caching::Likeness;
use super::super::values::{OneOrMany, Span, Word};

/// `[[caching]]`: how long an approval is good for more sign-ins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Caching {
    pub name: Option<String>,
    pub r#type: Option<Word<Likeness>>,
    pub r#for: Option<Span>,
    pub clients: Option<OneOrMany>,
    pub applications: Option<OneOrMany>,
    pub users: Option<OneOrMany>,
    pub groups: Option<OneOrMany>,
    pub networks: Option<OneOrMany>,
    pub days: Option<OneOrMany>,
    pub hours: Option<OneOrMany>,
    pub zone: Option<String>,
}
