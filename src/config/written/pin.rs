//! `[pin]` as written.

use serde::Deserialize;

use crate::config::values::{Count, Span, Word};

/// `[pin]`: what people's PINs must be.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Pin {
    pub shortest: Option<Count>,
    pub weak: Option<Word<Weak>>,
    pub history: Option<Count>,
    pub expires_after: Option<Span>,
    pub own_change: Option<bool>,
    pub tries: Option<Count>,
    pub locked_for: Option<Span>,
}

/// What becomes of a PIN that is easy to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weak {
    /// It is not taken.
    Refuse,
    /// It is.
    Allow,
}
