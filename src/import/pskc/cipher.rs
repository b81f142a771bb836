//! The ciphers of PSKC files: AES-CBC as XML Encryption has it, keys out of passphrases by PBKDF2, and MACs over
//! what is encrypted (RFC 6030 section 6). Pure.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::pbkdf2;
use hmac::{Hmac, KeyInit, Mac};
use zeroize::Zeroizing;

use super::Protection;
use crate::import::entry::cleaned;
use crate::import::tokens::Opener;
use crate::secret::Secret;

/// Octets of an AES block.
const BLOCK: usize = 16;
/// Rounds of PBKDF2 that we do for a file, at most: some seconds.
const MOST_ROUNDS: u32 = 10_000_000;

/// How something is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128,
    Aes256,
}

impl Cipher {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name.rsplit('#').next().unwrap_or_default() {
            "aes128-cbc" => Ok(Cipher::Aes128),
            "aes256-cbc" => Ok(Cipher::Aes256),
            _ => Err(format!("is encrypted with {:?}; known: aes128-cbc and aes256-cbc", cleaned(name))),
        }
    }

    fn key_octets(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::Aes256 => 32,
        }
    }

    /// Decrypts, the initialization vector being the first block; the last octet says how many are padding
    /// (XML Encryption section 5.2). `None` where that cannot be.
    fn decrypt(self, key: &[u8], octets: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let algorithm = match self {
            Cipher::Aes128 => &AES_128,
            Cipher::Aes256 => &AES_256,
        };
        let (vector, body) = octets.split_at_checked(BLOCK)?;
        if body.is_empty() || body.len() % BLOCK != 0 {
            return None;
        }
        let mut plain = Zeroizing::new(body.to_vec());
        let key = DecryptingKey::ecb(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
        key.decrypt(&mut plain, DecryptionContext::None).ok()?;
        // Each block was mixed with the encrypted one before it.
        let before = vector.iter().chain(body);
        plain.iter_mut().zip(before).for_each(|(octet, before)| *octet ^= before);
        let padding = usize::from(*plain.last()?);
        if padding == 0 || padding > BLOCK {
            return None;
        }
        let length = plain.len() - padding;
        plain.truncate(length);
        Some(plain)
    }
}

/// Something encrypted.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) cipher: Cipher,
    pub(super) octets: Vec<u8>,
}

/// How a key comes out of a passphrase.
#[derive(Debug)]
pub(super) struct Derivation {
    pub(super) salt: Vec<u8>,
    rounds: Option<NonZeroU32>,
    length: Option<usize>,
    function: Function,
}

/// The hash of PBKDF2.
#[derive(Debug, Clone, Copy)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
}

impl Derivation {
    pub(super) fn new(algorithm: &str) -> Result<Self, String> {
        if algorithm.to_ascii_lowercase().ends_with("pbkdf2") {
            Ok(Derivation { salt: Vec::new(), rounds: None, length: None, function: Function::Sha1 })
        } else {
            Err(format!("derives its key by {:?}; known: PBKDF2", cleaned(algorithm)))
        }
    }

    pub(super) fn set_function(&mut self, name: &str) -> Result<(), String> {
        self.function = match name.rsplit(['#', '/']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "hmac-sha1" => Function::Sha1,
            "hmac-sha256" => Function::Sha256,
            "hmac-sha512" => Function::Sha512,
            _ => return Err(format!("derives its key with {:?}; known: hmac-sha1, -sha256, -sha512", cleaned(name))),
        };
        Ok(())
    }

    pub(super) fn set_iterations(&mut self, text: &str) -> Result<(), String> {
        let rounds = text.parse().ok().filter(|rounds: &NonZeroU32| rounds.get() <= MOST_ROUNDS);
        self.rounds = Some(rounds.ok_or_else(|| format!("has an iteration count beyond 1 to {MOST_ROUNDS}"))?);
        Ok(())
    }

    pub(super) fn set_length(&mut self, text: &str) -> Result<(), String> {
        let length = text.parse().ok().filter(|length| matches!(length, 16 | 32));
        self.length = Some(length.ok_or("has a key length that is neither 16 nor 32")?);
        Ok(())
    }

    fn key(&self, passphrase: &Secret) -> Result<Secret, String> {
        let rounds = self.rounds.ok_or("says no iteration count for its passphrase")?;
        let mut key = Zeroizing::new(vec![0; self.length.unwrap_or(16)]);
        let function = match self.function {
            Function::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Function::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Function::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        pbkdf2::derive(function, rounds, &self.salt, passphrase.open(), &mut key);
        Ok(Secret::new(std::mem::take(&mut *key)))
    }
}

/// What a file's keys are opened with.
#[derive(Debug)]
pub(super) struct Opened {
    /// None: nothing was given, and only keys in the clear can be read.
    key: Option<Secret>,
    mac: Option<(MacKind, Secret)>,
}

#[derive(Debug, Clone, Copy)]
enum MacKind {
    Sha1,
    Sha256,
}

impl Opened {
    pub(super) fn new(protection: &Protection, opener: &Opener) -> Result<Self, String> {
        let key = match (&protection.derivation, &opener.passphrase, &opener.key) {
            (Some(derivation), Some(passphrase), _) => Some(derivation.key(passphrase)?),
            (_, _, Some(key)) => Some(key.duplicate()),
            _ => None,
        };
        let kind = match protection.mac_algorithm.as_deref().map(|name| name.rsplit('#').next().unwrap_or_default()) {
            None => None,
            Some("hmac-sha1") => Some(MacKind::Sha1),
            Some("hmac-sha256") => Some(MacKind::Sha256),
            Some(other) => return Err(format!("has MACs by {:?}; known: hmac-sha1, hmac-sha256", cleaned(other))),
        };
        let mac = match (kind, &key) {
            (Some(kind), Some(key)) => Some((kind, mac_key(protection, key)?)),
            _ => None,
        };
        Ok(Opened { key, mac })
    }

    /// Opens a seed whose MAC is right.
    pub(super) fn open(&self, locked: &Locked, mac: Option<&[u8]>) -> Result<Secret, String> {
        let key = self
            .key
            .as_ref()
            .ok_or("its secret is encrypted; give the vendor's key (--key-file) or passphrase (--passphrase-file)")?;
        let (kind, mac_key) = self.mac.as_ref().ok_or("its secret is encrypted, and no MAC protects it")?;
        let mac = mac.ok_or("its secret is encrypted, and its MAC is missing")?;
        let right = match kind {
            MacKind::Sha1 => Hmac::<sha1::Sha1>::new_from_slice(mac_key.open())
                .is_ok_and(|hash| hash.chain_update(&locked.octets).verify_slice(mac).is_ok()),
            MacKind::Sha256 => Hmac::<sha2::Sha256>::new_from_slice(mac_key.open())
                .is_ok_and(|hash| hash.chain_update(&locked.octets).verify_slice(mac).is_ok()),
        };
        if !right {
            return Err("its MAC is wrong: another key or passphrase, or the file was changed".to_owned());
        }
        fits(locked.cipher, key)?;
        let plain = locked.cipher.decrypt(key.open(), &locked.octets);
        let mut plain = plain.ok_or("its secret cannot be decrypted")?;
        Ok(Secret::new(std::mem::take(&mut *plain)))
    }
}

/// The key of the MACs: encrypted in the file, or else the key of the file itself (RFC 6030 section 6.1.1).
fn mac_key(protection: &Protection, key: &Secret) -> Result<Secret, String> {
    let Some(locked) = &protection.mac_key else { return Ok(key.duplicate()) };
    fits(locked.cipher, key)?;
    let plain = locked.cipher.decrypt(key.open(), &locked.octets);
    let mut plain = plain.ok_or("cannot be opened with this key or passphrase")?;
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

fn fits(cipher: Cipher, key: &Secret) -> Result<(), String> {
    if key.len() == cipher.key_octets() {
        return Ok(());
    }
    Err(format!("needs a key of {} octets; the one given has {}", cipher.key_octets(), key.len()))
}
