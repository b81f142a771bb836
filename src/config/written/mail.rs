//! `[mail]` as written.

use serde::Deserialize;

use crate::config::values::{Count, Hidden, OneOrMany, Span};

/// `[mail]`: mails to people and to administrators.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Mail {
    pub server: Option<String>,
    pub plaintext: Option<bool>,
    pub ca_file: Option<String>,
    pub login: Option<String>,
    pub password: Option<Hidden>,
    pub password_file: Option<String>,
    pub password_credential: Option<String>,
    pub password_env: Option<String>,
    pub from: Option<String>,
    pub portal: Option<String>,
    pub templates: Option<String>,
    pub administrators: Option<OneOrMany>,
    pub per_minute: Option<Count>,
    pub timeout: Option<Span>,
    pub give_up_after: Option<Span>,
}
