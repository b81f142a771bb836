//! What is done about a person's sign-in beside the usual way: they are let in once, or kept out, and why. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeasureKind {
    /// They come in once without a second factor.
    Bypass,
    /// An administrator keeps them out.
    Block,
    /// An administrator has ended a block.
    Unblock,
    /// They reported fraud, which keeps them out.
    Fraud,
    /// They reported fraud after the sign-in had ended, which keeps them out as well.
    LateFraud,
    /// Too many denials or wrong codes keep them out.
    Lockout,
}

impl MeasureKind {
    /// Every one.
    pub const ALL: [MeasureKind; 6] = [
        MeasureKind::Bypass,
        MeasureKind::Block,
        MeasureKind::Unblock,
        MeasureKind::Fraud,
        MeasureKind::LateFraud,
        MeasureKind::Lockout,
    ];

    /// The word in the database, in reports and in the audit's notes.
    pub fn word(self) -> &'static str {
        match self {
            MeasureKind::Bypass => "bypass",
            MeasureKind::Block => "block",
            MeasureKind::Unblock => "unblock",
            MeasureKind::Fraud => "fraud",
            MeasureKind::LateFraud => "late_fraud",
            MeasureKind::Lockout => "lockout",
        }
    }

    /// Whether it keeps the person out, and until when is [`Measure::until`].
    pub fn blocks(self) -> bool {
        match self {
            MeasureKind::Block | MeasureKind::Fraud | MeasureKind::LateFraud | MeasureKind::Lockout => true,
            MeasureKind::Bypass | MeasureKind::Unblock => false,
        }
    }

    /// Whether administrators are written to.
    pub fn is_told(self) -> bool {
        matches!(self, MeasureKind::Fraud | MeasureKind::LateFraud)
    }
}

impl fmt::Display for MeasureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for MeasureKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = MeasureKind::ALL.into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| format!("unknown measure {word:?}"))
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// When.
    pub time: SystemTime,
    /// What.
    pub kind: MeasureKind,
    /// About whom; nobody any more once they were erased.
    pub unique_id: Option<String>,
    /// Their login name at the time.
    pub name: String,
    /// Who did it: `cli:root`, `person` for what they reported themselves, `anteroom`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<SystemTime>,
    /// Which sign-in brought it; of a bypass: which one has used it.
    pub sign_in: Option<String>,
    /// Of a bypass: when it was used.
    pub used: Option<SystemTime>,
}

/// Longest reason, in octets.
pub const LONGEST_REASON: usize = 500;

/// A reason that may be kept: 1 to [`LONGEST_REASON`] octets without control characters.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn checked_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_REASON || text.chars().any(char::is_control) {
        return Err(format!("a reason of 1 to {LONGEST_REASON} octets is needed: it is recorded"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_that_is_read_back() {
        for kind in MeasureKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(!kind.is_told() || kind.blocks());
        }
        assert!("spell".parse::<MeasureKind>().is_err());
    }

    #[test]
    fn a_reason_is_something_that_can_be_read_later() {
        assert_eq!(checked_reason(" lost phone ").as_deref(), Ok("lost phone"));
        for wrong in ["", "  ", "two\nlines", &"x".repeat(501)] {
            assert!(checked_reason(wrong).is_err());
        }
    }
}
