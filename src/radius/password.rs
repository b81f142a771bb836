//! User-Password: hide and open (RFC 2865 section 5.2).
//!
//! The hiding is a key stream of MD5 over the shared secret and the previous block. Nothing in it says
//! whether the secret was right: with a wrong one, opening gives noise, not an error.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::packet::Authenticator;
use crate::secret::Secret;

/// Longest password, in octets. RFC 2865 section 5.2.
pub const MAX_PASSWORD: usize = 128;

const BLOCK: usize = 16;

/// Why a hidden password cannot be opened, or a password not be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordError {
    /// The hidden form has no octets, more than 128, or not a multiple of 16.
    BadLength {
        /// Octets of the attribute's value.
        have: usize,
    },
    /// The password has more than 128 octets.
    TooLong {
        /// Octets of the password.
        have: usize,
    },
}

/// Opens a hidden password. `keyed` has absorbed the shared secret. Trailing NULs are padding; any other
/// octet, a NUL inside included, is part of the password.
///
/// # Errors
/// [`PasswordError::BadLength`].
pub fn open(hidden: &[u8], keyed: &Md5, authenticator: &Authenticator) -> Result<Secret, PasswordError> {
    let have = hidden.len();
    let (blocks, rest) = hidden.as_chunks::<BLOCK>();
    if blocks.is_empty() || !rest.is_empty() || have > MAX_PASSWORD {
        return Err(PasswordError::BadLength { have });
    }
    let mut plain = Zeroizing::new(vec![0; have]);
    let mut previous = authenticator;
    for (block, out) in blocks.iter().zip(plain.as_chunks_mut::<BLOCK>().0) {
        *out = crypt(block, keyed, previous);
        previous = block;
    }
    let length = plain.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    plain.truncate(length);
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

/// Hides a password, padded with NULs to a multiple of 16 octets; the empty one becomes one block.
///
/// # Errors
/// [`PasswordError::TooLong`].
pub fn hide(password: &Secret, keyed: &Md5, authenticator: &Authenticator) -> Result<Vec<u8>, PasswordError> {
    let have = password.len();
    if have > MAX_PASSWORD {
        return Err(PasswordError::TooLong { have });
    }
    let blocks = have.div_ceil(BLOCK).max(1);
    let mut hidden = Vec::with_capacity(blocks * BLOCK);
    let mut previous = *authenticator;
    for number in 0..blocks {
        let mut plain = Zeroizing::new([0; BLOCK]);
        let rest = password.open().get(number * BLOCK..).unwrap_or_default();
        plain.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        previous = crypt(&plain, keyed, &previous);
        hidden.extend_from_slice(&previous);
    }
    Ok(hidden)
}

/// One block, either way.
fn crypt(block: &[u8; BLOCK], keyed: &Md5, previous: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut stream: [u8; BLOCK] = keyed.clone().chain_update(previous).finalize().into();
    stream.iter_mut().zip(block).for_each(|(out, octet)| *out ^= octet);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyed(secret: &[u8]) -> Md5 {
        Md5::new().chain_update(secret)
    }

    #[test]
    fn only_trailing_nuls_are_padding() {
        let authenticator = [7; 16];
        for (given, expected) in [(&b"pa\0ss"[..], &b"pa\0ss"[..]), (b"pass\0\0", b"pass"), (b"\0", b""), (b"", b"")] {
            let hidden = hide(&Secret::new(given.to_vec()), &keyed(b"s"), &authenticator).unwrap();
            assert_eq!(open(&hidden, &keyed(b"s"), &authenticator).unwrap().open(), expected);
        }
    }

    #[test]
    fn lengths_that_no_hidden_password_has_are_refused() {
        for have in [0, 1, 15, 17, 31, 127, 129, 144, 253] {
            let result = open(&vec![1; have], &keyed(b"s"), &[0; 16]);
            assert_eq!(result.err(), Some(PasswordError::BadLength { have }));
        }
        assert!(open(&[1; 128], &keyed(b"s"), &[0; 16]).is_ok());
    }

    #[test]
    fn a_password_of_129_octets_cannot_be_hidden() {
        let result = hide(&Secret::new(vec![b'x'; 129]), &keyed(b"s"), &[0; 16]);
        assert_eq!(result.err(), Some(PasswordError::TooLong { have: 129 }));
        assert_eq!(hide(&Secret::new(vec![b'x'; 128]), &keyed(b"s"), &[0; 16]).unwrap().len(), 128);
    }

    proptest! {
        #[test]
        fn what_was_hidden_opens_as_it_was(
            mut password in proptest::collection::vec(any::<u8>(), 0..=128),
            secret in proptest::collection::vec(any::<u8>(), 1..80),
            authenticator in any::<[u8; 16]>(),
        ) {
            let hidden = hide(&Secret::new(password.clone()), &keyed(&secret), &authenticator).unwrap();
            prop_assert_eq!(hidden.len() % 16, 0);
            while password.last() == Some(&0) { password.pop(); }
            let opened = open(&hidden, &keyed(&secret), &authenticator).unwrap();
            prop_assert_eq!(opened.open(), &password[..]);
        }
    }
}
