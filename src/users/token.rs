//! An OATH token: a device or app that makes one-time codes (RFC 4226, RFC 6238). Pure.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use crate::users::sealed::Sealed;

/// The hash that a token uses (RFC 6238 section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// HMAC-SHA-1, what nearly every token uses.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

    /// The word in `otpauth://` and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
            Algorithm::Sha512 => "SHA512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let plain = word.to_ascii_uppercase().replace(['-', '_'], "").replace("HMAC", "");
        let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.word() == plain);
        known.ok_or_else(|| format!("unknown algorithm {word:?}; one of SHA1, SHA256, SHA512"))
    }
}

/// What makes the code change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moving {
    /// Time (RFC 6238): steps of so many seconds since 1970.
    Time {
        /// Seconds of a step, 30 or 60.
        period: u32,
    },
    /// Use (RFC 4226): the next counter that may be used.
    Counter {
        /// At least this.
        next: u64,
    },
}

/// An OATH token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its serial number, which nobody else's has.
    pub serial: String,
    /// Whose it is; none: nobody's yet.
    pub unique_id: Option<String>,
    /// What people call it.
    pub label: Option<String>,
    /// Its seed, sealed.
    pub seed: Sealed,
    /// The hash that it uses.
    pub algorithm: Algorithm,
    /// Digits of a code, 6 to 8.
    pub digits: u32,
    /// What makes the code change.
    pub moving: Moving,
    /// Steps that its clock is ahead of ours, as far as is known.
    pub drift: i64,
    /// The last step or counter that was used: only later ones are good.
    pub last_step: Option<u64>,
    /// When that was.
    pub last_used: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_read_in_the_spellings_of_their_files() {
        for (word, algorithm) in [
            ("SHA1", Algorithm::Sha1),
            ("sha-256", Algorithm::Sha256),
            ("HMAC-SHA512", Algorithm::Sha512),
            ("HmacSHA1", Algorithm::Sha1),
        ] {
            assert_eq!(word.parse(), Ok(algorithm), "{word}");
        }
        assert!("MD5".parse::<Algorithm>().is_err());
    }
}
