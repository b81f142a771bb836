//! Mails that wait to be sent. Pure. What a mail says is made when it is sent ([`crate::mail`]); what waits is only
//! whom or what it is about, and what kind it is.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum LetterKind {
    /// To somebody who can now sign in with a second factor.
    New,
    /// To somebody whose own facts have changed.
    Updated,
    /// To administrators: a plan waits for their approval.
    Held,
    /// To administrators: a person reported fraud and is blocked.
    Fraud,
}

impl LetterKind {
    /// Every one.
    pub const ALL: [LetterKind; 4] = [LetterKind::New, LetterKind::Updated, LetterKind::Held, LetterKind::Fraud];

    /// The word in the database and in the names of templates.
    pub fn word(self) -> &'static str {
        match self {
            LetterKind::New => "new",
            LetterKind::Updated => "updated",
            LetterKind::Held => "held",
            LetterKind::Fraud => "fraud",
        }
    }
}

impl fmt::Display for LetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for LetterKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = LetterKind::ALL.into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| format!("unknown kind of mail {word:?}"))
    }
}

/// A mail that waits. There is one of each kind about each person or plan, however often it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its number.
    pub id: i64,
    /// The unique id of a person; of [`LetterKind::Held`] the plan.
    pub about: String,
    /// What it is about.
    pub kind: LetterKind,
    /// When it was asked for.
    pub made: SystemTime,
    /// Not to be sent before.
    pub due: SystemTime,
    /// How often it has been tried.
    pub tries: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_that_is_read_back() {
        for kind in LetterKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("chain".parse::<LetterKind>().is_err());
    }
}
