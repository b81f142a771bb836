//! Signed requests: HMAC-SHA256 (RFC 2104, FIPS 180-4) over everything that a request says. Pure.
//!
//! What is signed is seven lines, each ended by one line feed:
//!
//! ```text
//! ANTEROOM-HMAC-SHA256-V1
//! METHOD
//! path, with `?` and query where there is one, exactly as sent
//! time, seconds since 1970
//! nonce, 32 hexadecimal digits
//! key id
//! SHA-256 of the body, 64 hexadecimal digits
//! ```

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// Name of the scheme in the `Authorization` header.
pub const SCHEME: &str = "Anteroom-HMAC-SHA256";

/// First line of what is signed; names the version.
const HEADING: &str = "ANTEROOM-HMAC-SHA256-V1";

/// Shortest key, in octets: as long as the digest (RFC 2104 section 3).
pub const SHORTEST_KEY: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Shorter than [`SHORTEST_KEY`].
    TooShort {
        /// Its length in octets.
        have: usize,
    },
    /// The key id is empty, longer than 64, or has other characters than `A-Z a-z 0-9 - _ .`.
    BadId,
}

/// A key that signs and verifies requests.
pub struct Signer {
    id: String,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// Path, with `?` and query where there is one, exactly as sent.
    pub target: &'a str,
    /// Seconds since 1970.
    pub time: u64,
    /// 16 random octets, never used before with this key.
    pub nonce: [u8; 16],
    /// The body as sent; empty where there is none.
    pub body: &'a [u8],
}

impl Signer {
    /// Takes a key.
    ///
    /// # Errors
    /// When the key is too short or its id cannot be written into a header.
    pub fn new(id: &str, key: &Secret) -> Result<Self, KeyError> {
        if key.len() < SHORTEST_KEY {
            return Err(KeyError::TooShort { have: key.len() });
        }
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
        if id.is_empty() || id.len() > 64 || !id.bytes().all(fits) {
            return Err(KeyError::BadId);
        }
        let keyed = Hmac::<Sha256>::new_from_slice(key.open()).map_err(|_| KeyError::TooShort { have: key.len() })?;
        Ok(Signer { id: id.to_owned(), keyed })
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The `Authorization` header of a request.
    pub fn header(&self, signed: Signed<'_>) -> String {
        let mut header = String::with_capacity(224);
        header.push_str(SCHEME);
        header.push_str(" key=");
        header.push_str(&self.id);
        header.push_str(",time=");
        push_number(&mut header, signed.time);
        header.push_str(",nonce=");
        push_hex(&mut header, &signed.nonce);
        header.push_str(",signature=");
        push_hex(&mut header, &self.signature(signed));
        header
    }

    /// The signature of a request.
    pub fn signature(&self, signed: Signed<'_>) -> [u8; 32] {
        let mut text = String::with_capacity(320);
        for line in [HEADING, signed.method, signed.target] {
            text.push_str(line);
            text.push('\n');
        }
        push_number(&mut text, signed.time);
        text.push('\n');
        push_hex(&mut text, &signed.nonce);
        text.push('\n');
        text.push_str(&self.id);
        text.push('\n');
        push_hex(&mut text, &Sha256::digest(signed.body));
        text.push('\n');
        let mut keyed = self.keyed.clone();
        keyed.update(text.as_bytes());
        keyed.finalize().into_bytes().into()
    }

    /// Whether `signature` is that of the request, in constant time.
    pub fn verifies(&self, signed: Signed<'_>, signature: &[u8; 32]) -> bool {
        self.signature(signed).ct_eq(signature).into()
    }
}

/// An `Authorization` header, taken apart but not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Which key.
    pub key: &'a str,
    /// Seconds since 1970.
    pub time: u64,
    /// The nonce.
    pub nonce: [u8; 16],
    /// The signature.
    pub signature: [u8; 32],
}

impl<'a> Claim<'a> {
    /// Takes a header apart; `None` unless it is exactly of our form.
    pub fn parse(header: &'a str) -> Option<Self> {
        let rest = header.strip_prefix(SCHEME)?.strip_prefix(' ')?;
        let mut parts = rest.split(',');
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let (key, time, nonce, signature) = (part("key")?, part("time")?, part("nonce")?, part("signature")?);
        if parts.next().is_some() || !time.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        Some(Claim { key, time: time.parse().ok()?, nonce: from_hex(nonce)?, signature: from_hex(signature)? })
    }
}

fn push_number(text: &mut String, number: u64) {
    use std::fmt::Write as _;
    // Writing into a String cannot fail.
    let _ = write!(text, "{number}");
}

/// Appends `octets` as lower-case hexadecimal digits.
pub fn push_hex(text: &mut String, octets: &[u8]) {
    for octet in octets {
        for nibble in [octet >> 4, octet & 15] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut value = 0_u8;
        for digit in pair {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | nibble;
        }
        *octet = value;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"idempotency_key":"000102030405060708090a0b"}"#;

    fn signer() -> Signer {
        Signer::new("anteroom-1", &Secret::from_text("0123456789abcdef0123456789abcdef".into())).expect("long enough")
    }

    fn vector() -> Signed<'static> {
        Signed {
            method: "POST",
            target: "/v1/verifications",
            time: 1_767_225_600,
            nonce: *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
            body: BODY,
        }
    }

    /// The test vector of docs/native-protocol.md, computed with OpenSSL.
    #[test]
    fn header_is_that_of_the_documentation() {
        assert_eq!(
            signer().header(vector()),
            "Anteroom-HMAC-SHA256 key=anteroom-1,time=1767225600,nonce=00112233445566778899aabbccddeeff,\
             signature=1e4139829a0e6a327c2fe710c9990fba0649714c794c3b9b4ea0b6b22e3ab0cd"
        );
    }

    #[test]
    fn header_read_back_verifies() {
        let header = signer().header(vector());
        let claim = Claim::parse(&header).expect("our own form");
        assert_eq!((claim.key, claim.time), ("anteroom-1", 1_767_225_600));
        assert!(signer().verifies(vector(), &claim.signature));
    }

    #[test]
    fn every_signed_part_changes_the_signature() {
        let good = signer().signature(vector());
        let spoiled = [
            Signed { method: "GET", ..vector() },
            Signed { target: "/v1/verifications?", ..vector() },
            Signed { time: 1_767_225_601, ..vector() },
            Signed { nonce: [0; 16], ..vector() },
            Signed { body: b"{}", ..vector() },
        ];
        for request in spoiled {
            assert!(!signer().verifies(request, &good), "{request:?}");
        }
        let other = Signer::new("anteroom-2", &Secret::from_text("0123456789abcdef0123456789abcdef".into())).unwrap();
        assert!(!other.verifies(vector(), &good));
    }

    #[test]
    fn other_headers_are_not_taken_apart() {
        let header = signer().header(vector());
        for spoiled in [
            String::new(),
            "Bearer x".into(),
            header.replace("key=", "key "),
            header.replace("time=", "time=+"),
            header.replace("nonce=00", "nonce=0"),
            header.replace("nonce=00", "nonce=G0"),
            format!("{header},more=1"),
            header.replace("Anteroom-HMAC-SHA256", "Anteroom-HMAC-SHA1"),
        ] {
            assert_eq!(Claim::parse(&spoiled), None, "{spoiled}");
        }
    }

    #[test]
    fn short_key_and_odd_id_are_refused() {
        let short = Secret::from_text("0123456789abcdef0123456789abcde".into());
        assert_eq!(Signer::new("a", &short).err(), Some(KeyError::TooShort { have: 31 }));
        let long = Secret::from_text("0123456789abcdef0123456789abcdef".into());
        assert_eq!(Signer::new("a,b", &long).err(), Some(KeyError::BadId));
        assert_eq!(Signer::new("", &long).err(), Some(KeyError::BadId));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", signer()), r#"Signer { id: "anteroom-1", .. }"#);
    }
}
