//! Values that must be readable again, such as the seeds of OATH tokens, sealed under keys that are kept
//! outside of the database: whoever has the database, or a backup of it, has none of them. Pure; the key file
//! is read and written by [`crate::users::keys`].
//!
//! ```text
//! sealed value:  version (1) │ key id (4) │ nonce (24) │ XChaCha20-Poly1305 ciphertext and tag (16)
//! bound to:      what it is and whose row it stands in, as associated data
//! ```
//!
//! A value that was moved to another row, or cut, or changed, does not open. The newest key seals; older ones
//! open until everything has been sealed anew.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The first octet of every sealed value.
const VERSION: u8 = 1;

/// Octets of a key.
pub const KEY: usize = 32;

/// Octets of a nonce: long enough to be random (draft-irtf-cfrg-xchacha section 3.1).
pub const NONCE: usize = 24;

/// Octets before the ciphertext.
const HEAD: usize = 1 + 4 + NONCE;

/// Most keys in a file: rotations leave one behind until it is forgotten.
const MOST: usize = 64;

/// The first line of a key file.
const TITLE: &str = "# Anteroom: keys of sealed values. Whoever has this file and the database has every seed in it.";

/// A sealed value. It says nothing of what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// As it came out of a database. What is no sealed value is told when it is opened.
    pub fn from_bytes(octets: Vec<u8>) -> Sealed {
        Sealed(octets)
    }

    /// As it goes into a database.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which key has sealed it; none where it is no sealed value.
    pub fn key_id(&self) -> Option<KeyId> {
        let (version, rest) = self.0.split_first()?;
        let id = rest.first_chunk::<4>()?;
        (*version == VERSION).then(|| KeyId(u32::from_be_bytes(*id)))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key_id() {
            Some(id) => write!(f, "Sealed(by {id})"),
            None => f.write_str("Sealed(damaged)"),
        }
    }
}

/// A key's name: not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a value cannot be sealed or opened, or a key file not be read. Never carries any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealError {
    /// There is no key at all.
    NoKey,
    /// The key that sealed it is not in the file.
    Lost(KeyId),
    /// It was changed, or stands in another row than it was sealed for.
    Damaged,
    /// A line of the key file is no key.
    Line(usize),
    /// Two lines of the key file have one id.
    Twice(KeyId),
    /// There are more keys than anybody can have.
    TooMany,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::NoKey => f.write_str("there is no key to seal with; make one with `anteroom keys add`"),
            SealError::Lost(id) => write!(
                f,
                "the key {id}, which sealed this value, is not in the key file; put the key file of that time back. \
                 Nothing else is affected"
            ),
            SealError::Damaged => f.write_str("the sealed value was changed or moved, and cannot be opened"),
            SealError::Line(line) => write!(f, "line {line} is no key; expected an id, a space and 44 characters"),
            SealError::Twice(id) => write!(f, "the key {id} is there twice"),
            SealError::TooMany => write!(f, "there are more than {MOST} keys"),
        }
    }
}

impl std::error::Error for SealError {}

/// Every key there is, oldest first.
#[derive(Debug, Default)]
pub struct Keys(Vec<(KeyId, Secret)>);

impl Keys {
    /// Reads a key file: a line for each key, oldest first; empty lines and lines with `#` are skipped.
    ///
    /// # Errors
    /// Which line is no key, and which key is there twice.
    pub fn parse(text: &str) -> Result<Keys, SealError> {
        let mut keys = Keys::default();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Self::line(line).ok_or(SealError::Line(place + 1))?;
            keys.push(key)?;
        }
        Ok(keys)
    }

    fn line(line: &str) -> Option<(KeyId, Secret)> {
        let (id, key) = line.split_once(' ')?;
        let id = (id.len() == 8).then(|| u32::from_str_radix(id, 16).ok()).flatten()?;
        let key = Secret::new(STANDARD.decode(key.trim()).ok()?);
        (key.len() == KEY).then_some((KeyId(id), key))
    }

    /// The text of a key file.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{TITLE}\n"));
        for (id, key) in &self.0 {
            let key = Zeroizing::new(STANDARD.encode(key.open()));
            text.push_str(&Zeroizing::new(format!("{id} {}\n", key.as_str())));
        }
        text
    }

    /// Adds a key as the newest. The id is its own; it must be random, too.
    ///
    /// # Errors
    /// [`SealError::Twice`] when the id is taken: try another.
    pub fn add(&mut self, id: [u8; 4], key: Secret) -> Result<KeyId, SealError> {
        let id = KeyId(u32::from_be_bytes(id));
        self.push((id, key))?;
        Ok(id)
    }

    fn push(&mut self, (id, key): (KeyId, Secret)) -> Result<(), SealError> {
        if self.has(id) {
            return Err(SealError::Twice(id));
        }
        if self.0.len() >= MOST {
            return Err(SealError::TooMany);
        }
        self.0.push((id, key));
        Ok(())
    }

    /// Takes out every key but the newest that `used` does not name; which.
    pub fn forget_unused(&mut self, used: &[KeyId]) -> Vec<KeyId> {
        let newest = self.newest();
        let mut gone = Vec::new();
        self.0.retain(|(id, _)| {
            let stays = Some(*id) == newest || used.contains(id);
            if !stays {
                gone.push(*id);
            }
            stays
        });
        gone
    }

    /// A key for one purpose, made from the key that seals (HMAC-SHA-256, RFC 2104); none: there is no key.
    pub fn derived(&self, purpose: &str) -> Option<Secret> {
        let (_, key) = self.0.last()?;
        let mut digest = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.open()).ok()?;
        digest.update(b"anteroom key for ");
        digest.update(purpose.as_bytes());
        Some(Secret::new(digest.finalize().into_bytes().to_vec()))
    }

    /// The key that seals.
    pub fn newest(&self) -> Option<KeyId> {
        self.0.last().map(|(id, _)| *id)
    }

    /// Every key's id, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|(id, _)| *id)
    }

    /// Whether the key is there.
    pub fn has(&self, id: KeyId) -> bool {
        self.ids().any(|known| known == id)
    }

    /// Seals `secret` with the newest key, for one row: `what` it is and the row's own `identity`. The nonce must
    /// be random.
    ///
    /// # Errors
    /// [`SealError::NoKey`].
    pub fn seal(
        &self,
        what: &str,
        identity: &[&str],
        secret: &Secret,
        nonce: [u8; NONCE],
    ) -> Result<Sealed, SealError> {
        let (id, key) = self.0.last().ok_or(SealError::NoKey)?;
        let payload = Payload { msg: secret.open(), aad: &bound_to(what, identity) };
        let ciphertext = cipher(key)?.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        let mut octets = Vec::with_capacity(HEAD + ciphertext.len());
        octets.push(VERSION);
        octets.extend_from_slice(&id.0.to_be_bytes());
        octets.extend_from_slice(&nonce);
        octets.extend_from_slice(&ciphertext);
        Ok(Sealed(octets))
    }

    /// Opens a value that was sealed for the same row.
    ///
    /// # Errors
    /// [`SealError::Lost`] and [`SealError::Damaged`].
    pub fn open(&self, what: &str, identity: &[&str], sealed: &Sealed) -> Result<Secret, SealError> {
        let id = sealed.key_id().ok_or(SealError::Damaged)?;
        let (_, key) = self.0.iter().find(|(known, _)| *known == id).ok_or(SealError::Lost(id))?;
        let rest = sealed.0.get(5..).unwrap_or_default();
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Damaged)?;
        let payload = Payload { msg: ciphertext, aad: &bound_to(what, identity) };
        let opened = cipher(key)?.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Damaged)?;
        Ok(Secret::new(opened))
    }

    /// Seals the seed of an OATH token.
    ///
    /// # Errors
    /// As [`Keys::seal`].
    pub fn seal_seed(
        &self,
        serial: &str,
        unique_id: Option<&str>,
        seed: &Secret,
        nonce: [u8; NONCE],
    ) -> Result<Sealed, SealError> {
        self.seal(SEED, &[serial, unique_id.unwrap_or_default()], seed, nonce)
    }

    /// Opens the seed of an OATH token.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn open_seed(&self, serial: &str, unique_id: Option<&str>, sealed: &Sealed) -> Result<Secret, SealError> {
        self.open(SEED, &[serial, unique_id.unwrap_or_default()], sealed)
    }
}

/// What the seed of a token is sealed as.
const SEED: &str = "oath seed";

fn cipher(key: &Secret) -> Result<XChaCha20Poly1305, SealError> {
    XChaCha20Poly1305::new_from_slice(key.open()).map_err(|_| SealError::NoKey)
}

/// The associated data: each part with its length before it, so that no two rows have the same.
fn bound_to(what: &str, identity: &[&str]) -> Vec<u8> {
    let mut octets = b"anteroom".to_vec();
    for part in std::iter::once(&what).chain(identity) {
        octets.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        octets.extend_from_slice(part.as_bytes());
    }
    octets
}

#[cfg(test)]
mod tests;
