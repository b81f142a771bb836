//! A change of password by MS-CHAPv2 (RFC 2548 section 2.3.4, RFC 2759 section 7): what a device sends instead of a response
//! when its person's password has expired. Pure.
//!
//! The new password comes encrypted under a hash of the old one, which only the directory knows: nothing here can open it. The
//! response that comes along is made with the new one.

use std::fmt;

use zeroize::Zeroizing;

use super::{Attributes, Broken, CHALLENGE, CHANGES, Proof, RESPONSE, RESPONSE_2, microsoft};

/// MS-CHAP2-CPW (RFC 2548 section 2.3.4).
const CHANGE_2: u8 = 27;
/// MS-CHAP-NT-Enc-PW (RFC 2548 section 2.1.8).
const NEW_PASSWORD: u8 = 6;
/// The code that MS-CHAP2-CPW begins with, and that of MS-CHAP-NT-Enc-PW.
const CHANGES_2: u8 = 7;
const ENCRYPTED: u8 = 6;
/// Octets of an encrypted password (RFC 2759 section 8.9).
const ENCRYPTED_LENGTH: usize = 516;
/// Parts that it may come in.
const MOST_PARTS: u16 = 16;

/// A change of password, and the proof that whoever asks for it knows the new one.
#[derive(Debug)]
pub struct Change {
    /// Made with the new password.
    pub proof: Proof,
    /// What the directory is told.
    pub sealed: Sealed,
}

/// Both passwords, each encrypted under the other's hash.
pub struct Sealed {
    new_password: Zeroizing<Vec<u8>>,
    old_hash: [u8; 16],
}

/// Never shows a value: a guess at the old password can be tried on it.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

impl Sealed {
    /// The new password under the old one's hash: 516 octets.
    pub fn new_password(&self) -> &[u8] {
        &self.new_password
    }

    /// The old password's hash under the new one's.
    pub fn old_hash(&self) -> &[u8; 16] {
        &self.old_hash
    }
}

impl Change {
    /// Reads a request's attributes; `name` is its User-Name, as the person's device has hashed it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(name: &[u8], attributes: Attributes<'_>) -> Result<Change, Broken> {
        let parts = || microsoft(attributes.clone());
        let proofs =
            parts().filter(|part| CHANGES.contains(&part.number) || [RESPONSE, RESPONSE_2].contains(&part.number));
        let mut proofs = proofs.map(|part| (part.number, part.value));
        let (Some((CHANGE_2, given)), None) = (proofs.next(), proofs.next()) else { return Err(Broken::BadChange) };
        let mut challenges = parts().filter(|part| part.number == CHALLENGE);
        let challenge = challenges.next().filter(|_| challenges.next().is_none()).ok_or(Broken::NoChallenge)?.value;
        let authenticator: &[u8; 16] = challenge.try_into().map_err(|_| Broken::NoChallenge)?;
        // Code, identifier, the old hash, the device's challenge, eight octets of nothing, the response, two of flags.
        let given: &[u8; 68] = given.try_into().map_err(|_| Broken::BadChange)?;
        let (&[CHANGES_2, identifier], rest) = given.split_first_chunk::<2>().ok_or(Broken::BadChange)? else {
            return Err(Broken::BadChange);
        };
        let (old_hash, rest) = rest.split_first_chunk::<16>().ok_or(Broken::BadChange)?;
        let (peer, rest) = rest.split_first_chunk::<16>().ok_or(Broken::BadChange)?;
        let response = rest.get(8..32).and_then(|response| response.try_into().ok()).ok_or(Broken::BadChange)?;
        let proof = Proof::second((peer, authenticator), name, identifier, response);
        let new_password = encrypted(&attributes)?;
        Ok(Change { proof, sealed: Sealed { new_password, old_hash: *old_hash } })
    }
}

/// The new password, put together of its parts by their numbers, each of which is there once.
fn encrypted(attributes: &Attributes<'_>) -> Result<Zeroizing<Vec<u8>>, Broken> {
    let parts = || microsoft(attributes.clone()).filter(|part| part.number == NEW_PASSWORD);
    let count = u16::try_from(parts().count()).ok().filter(|count| *count <= MOST_PARTS).ok_or(Broken::BadChange)?;
    let mut whole = Zeroizing::new(Vec::with_capacity(ENCRYPTED_LENGTH));
    for number in 1..=count {
        let found = parts().find_map(|part| {
            let (&[code, _, high, low], value) = part.value.split_first_chunk::<4>()?;
            (code == ENCRYPTED && u16::from_be_bytes([high, low]) == number).then_some(value)
        });
        let found = found.filter(|value| whole.len() + value.len() <= ENCRYPTED_LENGTH).ok_or(Broken::BadChange)?;
        whole.extend_from_slice(found);
    }
    if whole.len() == ENCRYPTED_LENGTH { Ok(whole) } else { Err(Broken::BadChange) }
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    fn challenge() -> (u8, Vec<u8>) {
        (CHALLENGE, vec![9; 16])
    }

    fn change() -> (u8, Vec<u8>) {
        (CHANGE_2, [&[7, 42][..], &[1; 16], &[2; 16], &[0; 8], &[3; 24], &[0; 2]].concat())
    }

    fn part(number: u8, length: usize) -> (u8, Vec<u8>) {
        (NEW_PASSWORD, [&[6, 42, 0, number][..], &vec![number; length]].concat())
    }

    fn read(parts: &[(u8, Vec<u8>)]) -> Result<Change, Broken> {
        let mut encoded = Vec::new();
        parts.iter().for_each(|(number, value)| put(&mut encoded, *number, value));
        Change::read(b"CORP\\User", Attributes::new(&encoded))
    }

    #[test]
    fn a_change_is_put_together_in_the_order_of_its_numbers() {
        let found = read(&[challenge(), part(3, 30), change(), part(1, 243), part(2, 243)]).unwrap();
        assert_eq!(found.sealed.new_password(), [vec![1; 243], vec![2; 243], vec![3; 30]].concat());
        assert_eq!((found.sealed.old_hash(), found.proof.response()), (&[1; 16], &[3; 24]));
        assert!(found.proof.is_second());
        let hashed = super::super::challenge_hash(&[2; 16], &[9; 16], b"User");
        assert_eq!(found.proof.challenge(), &hashed);
        assert!(!format!("{found:?}").contains('1'), "{found:?}");
    }

    #[test]
    fn what_is_not_one_whole_change_is_none() {
        let whole = || vec![challenge(), change(), part(1, 243), part(2, 243), part(3, 30)];
        assert!(read(&whole()).is_ok());
        for at in 0..whole().len() {
            let mut lacking = whole();
            let taken = lacking.remove(at);
            assert!(read(&lacking).is_err(), "without {at}");
            // A second part of the same number is one that nobody can tell from the first.
            let mut twice = whole();
            twice.push(taken);
            assert!(read(&twice).is_err(), "twice {at}");
        }
        for number in [RESPONSE, RESPONSE_2, 3, 4] {
            let also = [whole(), vec![(number, vec![0; 50])]].concat();
            assert_eq!(read(&also).unwrap_err(), Broken::BadChange, "{number}");
        }
        for other in [part(3, 29), part(3, 31), (NEW_PASSWORD, vec![6, 1, 0]), part(4, 30)] {
            let mut parts = whole();
            parts[4] = other;
            assert_eq!(read(&parts).unwrap_err(), Broken::BadChange);
        }
        for value in [vec![7; 67], vec![7; 69], vec![6; 68]] {
            let mut parts = whole();
            parts[1] = (CHANGE_2, value);
            assert_eq!(read(&parts).unwrap_err(), Broken::BadChange);
        }
        let mut parts = whole();
        parts[0] = (CHALLENGE, vec![9; 8]);
        assert_eq!(read(&parts).unwrap_err(), Broken::NoChallenge);
    }
}
