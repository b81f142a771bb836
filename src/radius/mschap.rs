//! MS-CHAP of both versions for a directory that checks it (RFC 2433, RFC 2548, RFC 2759, RFC 3079): what a request
//! brings as proof, what a right one is answered with, and what a refusal says. Pure.
//!
//! The directory compares the response with what it knows of the password, and says the hash of the hash of the password,
//! from which server and device both make the keys. Nothing here needs the password, or could make a response.

use std::fmt;

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::attribute::{Attribute, Attributes, VENDOR_SPECIFIC, join_vendor, push, split_vendor};
use super::packet::Packet;
use super::said::{MICROSOFT, MS_CHAP_ERROR, Said};
use crate::secret::Secret;
use crate::signin::outcome::Reason;

pub use change::{Change, Sealed};

mod change;

/// MS-CHAP-Response (RFC 2548 section 2.1.3).
const RESPONSE: u8 = 1;
/// MS-CHAP-Challenge (RFC 2548 section 2.1.2).
const CHALLENGE: u8 = 11;
/// MS-CHAP2-Response (RFC 2548 section 2.3.2).
const RESPONSE_2: u8 = 25;
/// MS-CHAP2-Success (RFC 2548 section 2.3.3).
const SUCCESS_2: u8 = 26;
/// MS-CHAP-CPW-1, MS-CHAP-CPW-2 and MS-CHAP2-CPW (RFC 2548 section 2.1.6, 2.1.7, 2.3.4): changes of a password.
const CHANGES: [u8; 3] = [3, 4, 27];
/// MS-MPPE-Encryption-Policy and MS-MPPE-Encryption-Types (RFC 2548 section 2.4.4 and 2.4.5).
const POLICY_AND_TYPES: [(u8, [u8; 4]); 2] = [(7, [0, 0, 0, 1]), (8, [0, 0, 0, 6])];

/// Octets of a response attribute of either version.
const RESPONSE_LENGTH: usize = 50;

/// In an MS-CHAP-Response: its second half counts.
const USES_NT: u8 = 1;

/// Octets of the longest MS-CHAP-Error that [`refusal`] makes, headers included.
pub const LONGEST_REFUSAL: usize = 120;

/// "Magic server to client signing constant", "Pad to make it do more than one iteration" (RFC 2759 section 8.7).
const SIGNING: &[u8] = b"Magic server to client signing constant";
const PADDING: &[u8] = b"Pad to make it do more than one iteration";

/// RFC 3079 section 3.4.
const MASTER: &[u8] = b"This is the MPPE Master Key";
const TO_CLIENT: &[u8] = b"On the client side, this is the receive key; on the server side, it is the send key.";
const TO_SERVER: &[u8] = b"On the client side, this is the send key; on the server side, it is the receive key.";

/// Why a request's MS-CHAP cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// There is no response, or more than one.
    NoResponse,
    /// The challenge is not there once, or has another length than its version's.
    NoChallenge,
    /// The response has another length, or only the part of LAN Manager.
    BadResponse,
    /// It is to change a password.
    Change,
    /// It is to change one in another way than MS-CHAPv2's, or not all of the new one is there.
    BadChange,
}

/// A proof by MS-CHAP.
pub struct Proof {
    is_second: bool,
    identifier: u8,
    /// What the response was made of: the challenge, or in the second version its hash.
    challenge: [u8; 8],
    response: [u8; 24],
}

/// Never shows a value: who has challenge and response can guess at the password.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof(version {})", if self.is_second { 2 } else { 1 })
    }
}

impl Proof {
    /// Reads a request's attributes; `name` is its User-Name, as the person's device has hashed it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(name: &[u8], attributes: Attributes<'_>) -> Result<Proof, Broken> {
        let parts = || microsoft(attributes.clone());
        if parts().any(|part| CHANGES.contains(&part.number)) {
            return Err(Broken::Change);
        }
        let only = |numbers: &[u8]| {
            let mut found = parts().filter(|part| numbers.contains(&part.number));
            found.next().filter(|_| found.next().is_none())
        };
        let given = only(&[RESPONSE, RESPONSE_2]).ok_or(Broken::NoResponse)?;
        let challenge = only(&[CHALLENGE]).ok_or(Broken::NoChallenge)?.value;
        let whole: &[u8; RESPONSE_LENGTH] = given.value.try_into().map_err(|_| Broken::BadResponse)?;
        let (&[identifier, flags], rest) = whole.split_first_chunk::<2>().ok_or(Broken::BadResponse)?;
        let (first, last) = rest.split_first_chunk::<24>().ok_or(Broken::BadResponse)?;
        let response = last.try_into().map_err(|_| Broken::BadResponse)?;
        if given.number == RESPONSE {
            if flags & USES_NT == 0 {
                return Err(Broken::BadResponse);
            }
            let challenge = challenge.try_into().map_err(|_| Broken::NoChallenge)?;
            return Ok(Proof { is_second: false, identifier, challenge, response });
        }
        let authenticator: &[u8; 16] = challenge.try_into().map_err(|_| Broken::NoChallenge)?;
        let peer = first.first_chunk::<16>().ok_or(Broken::BadResponse)?;
        Ok(Proof::second((peer, authenticator), name, identifier, response))
    }

    /// Of the second version, whose device has a challenge of its own.
    fn second((peer, authenticator): (&[u8; 16], &[u8; 16]), name: &[u8], identifier: u8, response: [u8; 24]) -> Proof {
        let challenge = challenge_hash(peer, authenticator, bare(name));
        Proof { is_second: true, identifier, challenge, response }
    }

    /// What the response was made of.
    pub fn challenge(&self) -> &[u8; 8] {
        &self.challenge
    }

    /// The response to it.
    pub fn response(&self) -> &[u8; 24] {
        &self.response
    }

    /// Whether it is of the second version.
    pub fn is_second(&self) -> bool {
        self.is_second
    }

    /// What the client is answered once the directory has said that the response is right: the proof that the server knows
    /// the password, too, and the keys. `hashed` is the hash of the hash of the password.
    pub fn answer(&self, hashed: &[u8; 16]) -> Said {
        let mut said = Said::default();
        let mut open = Vec::new();
        if self.is_second {
            let value = [&[self.identifier][..], self.authenticator_response(hashed).as_bytes()].concat();
            put(&mut open, SUCCESS_2, &value);
        }
        for (number, value) in POLICY_AND_TYPES {
            put(&mut open, number, &value);
        }
        said.put(&open);
        if self.is_second {
            let (send, receive) = self.keys(hashed);
            said.put_mppe_keys(send, receive);
        } else {
            // Eight octets of LAN Manager's, which is not there, then the key (RFC 2548 section 2.4.1).
            let mut keys = Zeroizing::new(vec![0; 32]);
            keys.iter_mut().skip(8).zip(hashed).for_each(|(to, from)| *to = *from);
            said.put_ms_chap_keys(Secret::new(keys.to_vec()));
        }
        said
    }

    /// `S=` and 40 hexadecimal digits (RFC 2759 section 8.7).
    fn authenticator_response(&self, hashed: &[u8; 16]) -> String {
        let digest = Sha1::new().chain_update(hashed).chain_update(self.response).chain_update(SIGNING).finalize();
        let digest = Sha1::new().chain_update(digest).chain_update(self.challenge).chain_update(PADDING).finalize();
        let digits = digest.iter().flat_map(|octet| [octet >> 4, octet & 0xf]);
        let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
        "S=".chars().chain(digits.map(|digit| digit.to_ascii_uppercase())).collect()
    }

    /// What the server sends and receives with, of 128 bits each (RFC 3079 section 3.3 and 3.4).
    fn keys(&self, hashed: &[u8; 16]) -> (Secret, Secret) {
        let master = Sha1::new().chain_update(hashed).chain_update(self.response).chain_update(MASTER).finalize();
        let master = Zeroizing::new(<[u8; 20]>::from(master));
        let key = |direction: &[u8]| {
            let digest = Sha1::new()
                .chain_update(master.get(..16).unwrap_or_default())
                .chain_update([0; 40])
                .chain_update(direction)
                .chain_update([0xf2; 40])
                .finalize();
            Secret::new(digest.get(..16).unwrap_or_default().to_vec())
        };
        (key(TO_CLIENT), key(TO_SERVER))
    }
}

/// ChallengeHash of RFC 2759 section 8.2.
fn challenge_hash(peer: &[u8; 16], authenticator: &[u8; 16], name: &[u8]) -> [u8; 8] {
    let digest = Sha1::new().chain_update(peer).chain_update(authenticator).chain_update(name).finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

/// The name without a domain in front (RFC 2759 section 4).
fn bare(name: &[u8]) -> &[u8] {
    name.iter().position(|octet| *octet == b'\\').and_then(|at| name.get(at + 1..)).unwrap_or(name)
}

/// Microsoft's attributes among others.
fn microsoft(attributes: Attributes<'_>) -> impl Iterator<Item = Attribute<'_>> {
    let ours = attributes.filter(|attribute| attribute.number == VENDOR_SPECIFIC);
    let parts = ours.filter_map(|attribute| split_vendor(attribute.value));
    parts.filter(|(vendor, _)| *vendor == MICROSOFT).flat_map(|(_, parts)| parts)
}

fn put(encoded: &mut Vec<u8>, number: u8, value: &[u8]) {
    if let Ok(joined) = join_vendor(MICROSOFT, number, value) {
        push(encoded, VENDOR_SPECIFIC, &joined);
    }
}

/// The code of the error in a target's refusal (RFC 2759 section 6), where it has one: an identifier, and then `E=` and
/// its digits.
pub fn error(packet: &Packet<'_>) -> Option<u32> {
    let error = microsoft(packet.attributes()).find(|part| part.number == MS_CHAP_ERROR)?;
    let text = error.value.get(1..)?;
    let digits = text.split(|octet| *octet == b' ').find_map(|word| word.strip_prefix(b"E="))?;
    std::str::from_utf8(digits).ok()?.trim_end_matches('\0').parse().ok()
}

/// Whether these attributes are to change a password.
pub fn changes_password(attributes: Attributes<'_>) -> bool {
    microsoft(attributes).any(|part| CHANGES.contains(&part.number))
}

/// The identifier of a request's response, under which a refusal must come; nothing where it has none.
pub fn identifier(packet: &Packet<'_>) -> Option<u8> {
    let mut parts = microsoft(packet.attributes());
    let given = parts.find(|part| CHANGES.contains(&part.number) || [RESPONSE, RESPONSE_2].contains(&part.number))?;
    match given.number {
        // These begin with a code, and then have it.
        number if CHANGES.contains(&number) => given.value.get(1).copied(),
        _ => given.value.first().copied(),
    }
}

/// The MS-CHAP-Error that a refusal must hold (RFC 2433 section 9, RFC 2759 section 6), as an attribute: without it the
/// person's device cannot say what went wrong, and some go on waiting. It says no more than a directory says to whoever
/// asks it, and that trying again under the same challenge is of no use. `challenge`, which nobody can foresee, is what the
/// device makes its change of an expired password with.
pub fn refusal(identifier: u8, challenge: u128, reason: Reason) -> Vec<u8> {
    let (error, text) = match reason {
        Reason::LogonHours => (646, "Not at this hour"),
        Reason::AccountDisabled | Reason::AccountExpired => (647, "Account disabled"),
        Reason::AccountLocked => (647, "Account locked out"),
        Reason::PasswordExpired | Reason::MustChangePassword => (648, "Password expired"),
        Reason::NewPasswordRefused => (709, "New password not taken"),
        _ => (691, "Authentication failed"),
    };
    let said = format!("E={error} R=0 C={challenge:032X} V=3 M={text}");
    let value = [&[identifier][..], said.as_bytes()].concat();
    let mut encoded = Vec::with_capacity(LONGEST_REFUSAL);
    put(&mut encoded, MS_CHAP_ERROR, &value);
    encoded
}

#[cfg(test)]
mod tests;
