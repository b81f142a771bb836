//! PINs: the rules for them, and their hashes (Argon2id, RFC 9106), made as soon as a PIN is known and compared by it.
//!
//! Hashing takes 19 MiB and some 20 ms: that is what makes guessing slow, and why [`hash`] and [`matches`] are for a
//! thread that may be busy. What the store is asked is in [`crate::users::pins`].

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::secret::Secret;
use crate::users::typed::Bound;

/// Digits of a PIN, at least and at most, whatever the rules say.
pub const DIGITS: std::ops::RangeInclusive<usize> = 4..=16;

/// What a PIN must be, and how often somebody may be wrong. Section `[pin]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Digits that a PIN has at least.
    pub shortest: usize,
    /// Whether PINs that are easy to guess are refused.
    pub refuse_weak: bool,
    /// How many PINs of before may not come back.
    pub history: u32,
    /// After how long a PIN must be changed; none: never.
    pub expires_after: Option<Duration>,
    /// Whether people may change their own.
    pub own_change: bool,
    /// How often somebody may be wrong.
    pub bound: Bound,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            shortest: *DIGITS.start(),
            refuse_weak: true,
            history: 5,
            expires_after: None,
            own_change: true,
            bound: Bound { tries: 5, locked_for: Duration::from_secs(15 * 60) },
        }
    }
}

impl Rules {
    /// Digits that a PIN has at least, as people are told.
    pub fn least(&self) -> usize {
        self.shortest.max(*DIGITS.start())
    }

    /// Why a PIN may not be used, if so: not all digits, too short or long, too easy to guess. `phones` are the person's.
    pub fn unfit(&self, pin: &Secret, phones: &[&str]) -> Option<Fault> {
        if !pin.open().iter().all(u8::is_ascii_digit) {
            return Some(Fault::NotDigits);
        }
        if !(self.least()..=*DIGITS.end()).contains(&pin.len()) {
            return Some(Fault::Length(self.least()));
        }
        weakness(pin.open(), phones).filter(|_| self.refuse_weak)
    }
}

/// Why a PIN may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is something in it that is no digit.
    NotDigits,
    /// Too short or too long; the digits that it has at least.
    Length(usize),
    /// Three digits in a row go up, down or stay.
    Row,
    /// Four digits in a row are those of a phone number of the person.
    InPhone,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NotDigits => f.write_str("a PIN has digits only"),
            Fault::Length(least) => write!(f, "a PIN has {least} to {} digits", DIGITS.end()),
            Fault::Row => f.write_str("three digits in a row go up, down or stay the same"),
            Fault::InPhone => f.write_str("four digits in a row are part of a phone number"),
        }
    }
}

/// Hashes a PIN with a salt of its own.
///
/// # Errors
/// Why there is no hash: no memory, no random octets.
pub fn hash(pin: &Secret) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("no random octets from the kernel: {error}"))?;
    Argon2::default()
        .hash_password_with_salt(pin.open(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| format!("the PIN cannot be hashed: {error}"))
}

/// Whether `pin` is the one that was hashed. A hash that cannot be read belongs to no PIN.
pub fn matches(pin: &Secret, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(pin.open(), &hash).is_ok())
}

/// Why a PIN is too easy to guess, if it is: three digits in a row that go up, down or stay, or four in a row out of one
/// of the person's phone numbers.
fn weakness(digits: &[u8], phones: &[&str]) -> Option<Fault> {
    let runs = |step: i16| {
        digits.windows(3).any(|three| match three {
            [a, b, c] => i16::from(*b) - i16::from(*a) == step && i16::from(*c) - i16::from(*b) == step,
            _ => false,
        })
    };
    if runs(1) || runs(-1) || runs(0) {
        return Some(Fault::Row);
    }
    let in_phone = |phone: &&str| {
        let phone: Vec<u8> = phone.bytes().filter(u8::is_ascii_digit).collect();
        digits.windows(4).any(|four| phone.windows(4).any(|part| part == four))
    };
    phones.iter().any(in_phone).then_some(Fault::InPhone)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::from_text(text.into())
    }

    #[test]
    fn a_pin_matches_its_own_hash_only() {
        let one = hash(&secret("4092")).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash(&secret("4092")).unwrap(), "two PINs alike must not look alike");
        assert!(matches(&secret("4092"), &one));
        assert!(!matches(&secret("4093"), &one));
        assert!(!matches(&secret("4092"), "no hash"));
        assert!(!matches(&secret(""), &one));
    }

    #[test]
    fn weak_pins_are_told_why() {
        let rules = Rules::default();
        let weak = |pin: &str| rules.unfit(&secret(pin), &["+1 202 555-0147"]);
        for pin in ["40923", "9071", "1357"] {
            assert_eq!(weak(pin), None, "{pin}");
        }
        for (pin, why) in [
            ("12a4", "digits only"),
            ("407", "4 to 16"),
            ("40712345678901234", "4 to 16"),
            ("9123", "go up"),
            ("3219", "down"),
            ("7775", "stay"),
            ("95550", "stay"),
            ("90147", "phone"),
            ("0255", "phone"),
        ] {
            assert!(weak(pin).is_some_and(|told| told.to_string().contains(why)), "{pin}: {:?}", weak(pin));
        }
    }

    #[test]
    fn rules_may_want_more_digits_and_take_weak_ones() {
        let rules = Rules { shortest: 6, refuse_weak: false, ..Rules::default() };
        assert_eq!(rules.unfit(&secret("123456"), &["123456"]), None);
        assert!(rules.unfit(&secret("40923"), &[]).unwrap().to_string().contains("6 to 16"));
        assert!(rules.unfit(&secret("abcdef"), &[]).is_some(), "digits are no matter of taste");
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_none_but_digits_are_fit(pin in proptest::collection::vec(any::<u8>(), 0..30), phone in "\\PC{0,30}") {
            let fit = Rules::default().unfit(&Secret::new(pin.clone()), &[&phone]).is_none();
            prop_assert!(!fit || pin.iter().all(u8::is_ascii_digit) && (4..=16).contains(&pin.len()));
        }
    }
}
