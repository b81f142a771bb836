//! Authenticators of requests and replies, and Message-Authenticator (RFC 2865 section 3, RFC 2866
//! section 3, RFC 3579 section 3.2, RFC 5997 section 3).
//!
//! [`Verified`] is what was checked: a password is readable from it only. Every comparison takes constant
//! time. Two Message-Authenticators are refused; one may stand anywhere.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::attribute::{self, MESSAGE_AUTHENTICATOR};
use super::packet::{Authenticator, HEADER, Packet};
use super::password::{self, PasswordError};
use crate::secret::Secret;

/// A shared secret, prepared once so that no packet pays for the key schedule.
pub struct ClientKey {
    secret: Secret,
    hmac: Hmac<Md5>,
    keyed: Md5,
}

impl ClientKey {
    /// Prepares a shared secret.
    pub fn new(secret: Secret) -> Self {
        let keyed = Md5::new().chain_update(secret.open());
        let hmac = prepare(secret.open());
        ClientKey { secret, hmac, keyed }
    }

    /// MD5 that has absorbed the secret, for [`password`].
    pub(super) fn keyed(&self) -> &Md5 {
        &self.keyed
    }
}

/// HMAC takes keys of any length.
fn prepare(secret: &[u8]) -> Hmac<Md5> {
    #[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes keys of any length")]
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

/// Why a packet is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// It must carry a Message-Authenticator and does not.
    Unsigned,
    /// It carries more than one.
    SignedTwice,
    /// It does not have 16 octets.
    BadSignatureLength,
    /// It is wrong: another secret, or somebody changed the packet.
    WrongSignature,
    /// The Request or Response Authenticator is wrong.
    WrongAuthenticator,
}

/// A request whose signature was checked, if it had one.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    packet: Packet<'a>,
    key: &'a ClientKey,
    signed: bool,
}

impl<'a> Verified<'a> {
    /// Checks an Access-Request or Status-Server. Whether an unsigned one is good enough is the caller's
    /// decision: see [`Verified::signed`].
    ///
    /// # Errors
    /// [`VerifyError`] where there is a Message-Authenticator and it is not right.
    pub fn request(packet: Packet<'a>, key: &'a ClientKey) -> Result<Self, VerifyError> {
        let signed = match find_signature(&packet)? {
            None => false,
            Some(at) => {
                check_signature(&packet, at, packet.authenticator(), key)?;
                true
            }
        };
        Ok(Verified { packet, key, signed })
    }

    /// Checks an Accounting-Request, whose Request Authenticator covers all of it (RFC 2866 section 3).
    ///
    /// # Errors
    /// [`VerifyError::WrongAuthenticator`].
    pub fn accounting(packet: Packet<'a>, key: &'a ClientKey) -> Result<Self, VerifyError> {
        let expected = digest(packet.bytes(), &[0; 16], key);
        if bool::from(expected.ct_eq(packet.authenticator())) {
            Ok(Verified { packet, key, signed: true })
        } else {
            Err(VerifyError::WrongAuthenticator)
        }
    }

    /// Checks a CoA-Request or Disconnect-Request: as an Accounting-Request, and its Message-Authenticator, where there is
    /// one, was made as if its authenticator were zeros (RFC 5176 section 2.3).
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn change(packet: Packet<'a>, key: &'a ClientKey) -> Result<Self, VerifyError> {
        let verified = Self::accounting(packet, key)?;
        if let Some(at) = find_signature(&packet)? {
            check_signature(&packet, at, &[0; 16], key)?;
        }
        Ok(verified)
    }

    /// Checks a reply to the request with `request` as its authenticator (RFC 2865 section 3).
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn reply(packet: Packet<'a>, request: &Authenticator, key: &'a ClientKey) -> Result<Self, VerifyError> {
        if !bool::from(digest(packet.bytes(), request, key).ct_eq(packet.authenticator())) {
            return Err(VerifyError::WrongAuthenticator);
        }
        let signed = match find_signature(&packet)? {
            None => false,
            Some(at) => {
                check_signature(&packet, at, request, key)?;
                true
            }
        };
        Ok(Verified { packet, key, signed })
    }

    /// The packet.
    pub fn packet(&self) -> Packet<'a> {
        self.packet
    }

    /// A copy that lasts.
    pub fn kept(&self) -> Authentic {
        Authentic { packet: self.packet.bytes().into(), signed: self.signed }
    }

    /// Whether all of it is covered by a signature that was right.
    pub fn signed(&self) -> bool {
        self.signed
    }

    /// The password, if there is a User-Password.
    ///
    /// # Errors
    /// [`PasswordError`] of the first one.
    pub fn password(&self) -> Result<Option<Secret>, PasswordError> {
        self.packet
            .value(attribute::USER_PASSWORD)
            .map(|hidden| password::open(hidden, self.key.keyed(), self.packet.authenticator()))
            .transpose()
    }
}

/// The octets of a reply that was verified, once the buffer that it came in is used again.
#[derive(Debug)]
pub struct Authentic {
    packet: Box<[u8]>,
    signed: bool,
}

impl Authentic {
    /// The reply, which needs no second look at its authenticators. `key` is the one that it was verified under.
    pub fn verified<'a>(&'a self, key: &'a ClientKey) -> Option<Verified<'a>> {
        Some(Verified { packet: Packet::decode(&self.packet).ok()?, key, signed: self.signed })
    }
}

impl std::ops::Deref for Authentic {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.packet
    }
}

/// Where the value of the only Message-Authenticator starts, in octets from the packet's start.
fn find_signature(packet: &Packet<'_>) -> Result<Option<usize>, VerifyError> {
    let length = packet.bytes().len();
    let mut attributes = packet.attributes();
    let mut found = None;
    while let Some(attribute) = attributes.next() {
        if attribute.number != MESSAGE_AUTHENTICATOR {
            continue;
        }
        if found.is_some() {
            return Err(VerifyError::SignedTwice);
        }
        if attribute.value.len() != 16 {
            return Err(VerifyError::BadSignatureLength);
        }
        found = Some(length - attributes.remaining() - 16);
    }
    Ok(found)
}

fn check_signature(
    packet: &Packet<'_>,
    at: usize,
    authenticator: &Authenticator,
    key: &ClientKey,
) -> Result<(), VerifyError> {
    let carried = packet.bytes().get(at..at + 16).ok_or(VerifyError::BadSignatureLength)?;
    let expected = signature(packet.bytes(), at, authenticator, key);
    if bool::from(expected.ct_eq(carried)) { Ok(()) } else { Err(VerifyError::WrongSignature) }
}

/// The Message-Authenticator of a packet, whose value starts at `at` and counts as zeros; `authenticator`
/// is the request's own (RFC 3579 section 3.2).
fn signature(bytes: &[u8], at: usize, authenticator: &Authenticator, key: &ClientKey) -> [u8; 16] {
    let mut hmac = key.hmac.clone();
    hmac.update(bytes.get(..4).unwrap_or_default());
    hmac.update(authenticator);
    hmac.update(bytes.get(HEADER..at).unwrap_or_default());
    hmac.update(&[0; 16]);
    hmac.update(bytes.get(at + 16..).unwrap_or_default());
    hmac.finalize().into_bytes().into()
}

/// MD5 over the packet with `authenticator` in its place, and the secret.
fn digest(bytes: &[u8], authenticator: &Authenticator, key: &ClientKey) -> [u8; 16] {
    Md5::new()
        .chain_update(bytes.get(..4).unwrap_or_default())
        .chain_update(authenticator)
        .chain_update(bytes.get(HEADER..).unwrap_or_default())
        .chain_update(key.secret.open())
        .finalize()
        .into()
}

/// Fills the Message-Authenticator of an Access-Request or Status-Server, if it has one. Of a CoA- or Disconnect-Request,
/// too, while its authenticator is zeros.
pub fn sign_request(bytes: &mut [u8], key: &ClientKey) {
    let Some(authenticator) = Packet::decode(bytes).ok().map(|packet| *packet.authenticator()) else { return };
    put_signature(bytes, &authenticator, key);
}

/// Fills the Request Authenticator of an Accounting-Request (RFC 2866 section 3).
pub fn sign_accounting(bytes: &mut [u8], key: &ClientKey) {
    let authenticator = digest(bytes, &[0; 16], key);
    put_authenticator(bytes, &authenticator);
}

/// Fills the Message-Authenticator of a reply, if it has one, and then its Response Authenticator.
/// `request` is the authenticator of the request.
pub fn sign_reply(bytes: &mut [u8], request: &Authenticator, key: &ClientKey) {
    put_signature(bytes, request, key);
    let authenticator = digest(bytes, request, key);
    put_authenticator(bytes, &authenticator);
}

fn put_signature(bytes: &mut [u8], authenticator: &Authenticator, key: &ClientKey) {
    let Ok(packet) = Packet::decode(bytes) else { return };
    if let Ok(Some(at)) = find_signature(&packet) {
        let value = signature(bytes, at, authenticator, key);
        if let Some(place) = bytes.get_mut(at..at + 16) {
            place.copy_from_slice(&value);
        }
    }
}

fn put_authenticator(bytes: &mut [u8], authenticator: &Authenticator) {
    if let Some(place) = bytes.get_mut(4..HEADER) {
        place.copy_from_slice(authenticator);
    }
}

#[cfg(test)]
mod tests;
