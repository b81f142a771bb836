//! PINs: hashed with Argon2id (RFC 9106) as soon as they are known, and compared by their hashes.
//!
//! Hashing takes 19 MiB and some 20 ms: that is what makes guessing slow, and why both functions are for a
//! thread that may be busy.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::secret::Secret;

/// Digits of a PIN, at least and at most.
pub const DIGITS: std::ops::RangeInclusive<usize> = 4..=16;

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

/// Why a PIN is too easy to guess, if it is: not all digits, too short or long, three in a row that go up, down
/// or stay, or four in a row out of one of the person's phone numbers.
pub fn weakness(pin: &Secret, phones: &[&str]) -> Option<&'static str> {
    let digits = pin.open();
    if !digits.iter().all(u8::is_ascii_digit) {
        return Some("a PIN has digits only");
    }
    if !DIGITS.contains(&digits.len()) {
        return Some("a PIN has 4 to 16 digits");
    }
    let runs = |step: i16| {
        digits.windows(3).any(|three| match three {
            [a, b, c] => i16::from(*b) - i16::from(*a) == step && i16::from(*c) - i16::from(*b) == step,
            _ => false,
        })
    };
    if runs(1) || runs(-1) || runs(0) {
        return Some("three digits in a row go up, down or stay the same");
    }
    let in_phone = |phone: &&str| {
        let phone: Vec<u8> = phone.bytes().filter(u8::is_ascii_digit).collect();
        digits.windows(4).any(|four| phone.windows(4).any(|part| part == four))
    };
    phones.iter().any(in_phone).then_some("four digits in a row are part of a phone number")
}

#[cfg(test)]
mod tests {
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
        let weak = |pin: &str| weakness(&secret(pin), &["+1 202 555-0147"]);
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
            assert!(weak(pin).is_some_and(|told| told.contains(why)), "{pin}: {:?}", weak(pin));
        }
    }
}
