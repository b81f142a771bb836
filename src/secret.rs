//! The secret type: redacted, wiped, compared in constant time, with one way to open it.
//!
//! Passwords, shared secrets, codes, seeds and keys live in a [`Secret`] from the moment they are read.
//! It has no `Display`, no `Serialize`, no `==` and no `Clone`; `Debug` shows nothing of the content.
//! [`Secret::open`] is the one way to the bytes, so that every use can be found by searching for it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that must never be printed, logged or stored in the clear. Wiped when dropped.
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes over `bytes`. The vector's own spare capacity is wiped, too.
    pub fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Secret(Zeroizing::new(bytes.as_slice().into()))
    }

    /// Takes over a text.
    pub fn from_text(text: String) -> Self {
        Secret::new(text.into_bytes())
    }

    /// The bytes themselves. The only way to read a secret.
    pub fn open(&self) -> &[u8] {
        &self.0
    }

    /// Whether the content equals `other`, in time that depends on the lengths only.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }

    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no octet at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A deliberate second copy: the word to search for when a secret seems to live too long.
    pub fn duplicate(&self) -> Self {
        Secret(self.0.clone())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_content() {
        let secret = Secret::from_text("planted".into());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{secret:#?}"), "Secret(..)");
    }

    #[test]
    fn matches_compares_content_and_length() {
        let secret = Secret::from_text("planted".into());
        assert!(secret.matches(b"planted"));
        assert!(!secret.matches(b"plante"));
        assert!(!secret.matches(b"plantee"));
        assert!(!secret.matches(b"plantex"));
    }
}
