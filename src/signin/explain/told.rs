//! What an explanation says.

use serde::{Deserialize, Serialize};

use crate::factor::Leaves;

/// What would become of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// This server's name.
    pub server: String,
    /// The time that it speaks of, in RFC 3339.
    pub at: String,
    /// Each step, in order.
    pub steps: Vec<Line>,
    /// Each provider that would be looked at, in order.
    pub providers: Vec<Plan>,
    /// The end: `prompt`, `check_code`, `challenge`, `accept` or `reject`.
    pub end: String,
    /// The reason code of an end that is known already.
    pub reason: Option<String>,
    /// The end in words.
    pub text: String,
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What was looked at.
    pub step: String,
    /// `yes`, `no`, or `note` where it decides nothing.
    pub mark: String,
    /// What was seen.
    pub text: String,
}

/// What would be asked of a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The way that it would be asked in first; none: it would not be asked.
    pub by: Option<String>,
    /// Each way that was looked at, and what it is: `open`, `not_offered`, `wants_code` or `no_place_for_code`.
    pub ways: Vec<(String, String)>,
    /// The class of failure that it answers everybody with at once, while it is out of use.
    pub out_of_use: Option<String>,
    /// How long that has lasted, in seconds.
    pub away_seconds: u64,
    /// What leaves the house when it is asked.
    pub leaves: Vec<Leaves>,
}
