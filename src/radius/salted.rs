//! Values that replies hide: salt encryption (RFC 2868 section 3.5, RFC 2548 section 2.4.2 and 2.4.3) and the
//! hiding of a User-Password over all octets (RFC 2548 section 2.4.1). Pure.
//!
//! Neither says whether the secret was right; the reply that carries them has been verified before.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::packet::Authenticator;
use crate::secret::Secret;

const BLOCK: usize = 16;

/// Longest plain value: with its length, the salt and the tag it fits into an attribute of a vendor.
pub(super) const LONGEST: usize = 239;

/// Opens a value that begins with its salt. `keyed` has absorbed the shared secret, `request` is the
/// authenticator of the request that was answered. Nothing where the value cannot be one.
pub(super) fn open(value: &[u8], keyed: &Md5, request: &Authenticator) -> Option<Secret> {
    let (salt, hidden) = value.split_first_chunk::<2>()?;
    let (blocks, rest) = hidden.as_chunks::<BLOCK>();
    if blocks.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(hidden.len()));
    let mut stream = first(keyed, request, *salt);
    for block in blocks {
        plain.extend(stream.iter().zip(block).map(|(key, octet)| key ^ octet));
        stream = next(keyed, block);
    }
    let (length, octets) = plain.split_first()?;
    octets.get(..usize::from(*length)).map(|octets| Secret::new(octets.to_vec()))
}

/// Hides a value, its salt in front. Nothing where it is longer than an attribute can hold.
pub(super) fn seal(plain: &Secret, keyed: &Md5, request: &Authenticator, salt: u16) -> Option<Vec<u8>> {
    let length = u8::try_from(plain.len()).ok().filter(|_| plain.len() <= LONGEST)?;
    let mut padded = Zeroizing::new(Vec::with_capacity(plain.len() + 1 + BLOCK));
    padded.push(length);
    padded.extend_from_slice(plain.open());
    let whole = padded.len().next_multiple_of(BLOCK);
    padded.resize(whole, 0);
    // The highest bit of a salt is always set.
    let salt = (salt | 0x8000).to_be_bytes();
    let mut sealed = salt.to_vec();
    let mut stream = first(keyed, request, salt);
    for block in padded.as_chunks::<BLOCK>().0 {
        let mut hidden = stream;
        hidden.iter_mut().zip(block).for_each(|(out, octet)| *out ^= octet);
        sealed.extend_from_slice(&hidden);
        stream = next(keyed, &hidden);
    }
    Some(sealed)
}

/// Opens MS-CHAP-MPPE-Keys: whole blocks, hidden as a User-Password is, none of them padding that may be cut.
pub(super) fn open_blocks(value: &[u8], keyed: &Md5, request: &Authenticator) -> Option<Secret> {
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    if blocks.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut stream = next(keyed, request);
    for block in blocks {
        plain.extend(stream.iter().zip(block).map(|(key, octet)| key ^ octet));
        stream = next(keyed, block);
    }
    Some(Secret::new(plain))
}

/// The other way.
pub(super) fn seal_blocks(plain: &Secret, keyed: &Md5, request: &Authenticator) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len());
    let mut stream = next(keyed, request);
    for block in plain.open().as_chunks::<BLOCK>().0 {
        let mut hidden = stream;
        hidden.iter_mut().zip(block).for_each(|(out, octet)| *out ^= octet);
        sealed.extend_from_slice(&hidden);
        stream = next(keyed, &hidden);
    }
    sealed
}

fn first(keyed: &Md5, request: &Authenticator, salt: [u8; 2]) -> [u8; BLOCK] {
    keyed.clone().chain_update(request).chain_update(salt).finalize().into()
}

fn next(keyed: &Md5, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    keyed.clone().chain_update(block).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyed(secret: &[u8]) -> Md5 {
        Md5::new().chain_update(secret)
    }

    #[test]
    fn what_cannot_be_a_hidden_value_is_none() {
        for have in [0, 1, 2, 3, 17, 19, 33] {
            assert!(open(&vec![7; have], &keyed(b"s"), &[1; 16]).is_none(), "{have}");
        }
        assert!(open_blocks(&[], &keyed(b"s"), &[1; 16]).is_none());
        assert!(open_blocks(&[1; 31], &keyed(b"s"), &[1; 16]).is_none());
        assert!(seal(&Secret::new(vec![1; 240]), &keyed(b"s"), &[1; 16], 1).is_none());
    }

    #[test]
    fn a_length_beyond_the_value_is_none() {
        let sealed = seal(&Secret::new(vec![1; 15]), &keyed(b"s"), &[1; 16], 1).unwrap();
        // The first plain octet is the length: a flipped bit of its hidden form flips it.
        let mut longer = sealed;
        longer[2] ^= 0x80;
        assert!(open(&longer, &keyed(b"s"), &[1; 16]).is_none());
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_as_it_was(
            plain in proptest::collection::vec(any::<u8>(), 0..=239),
            secret in proptest::collection::vec(any::<u8>(), 1..80),
            request in any::<[u8; 16]>(),
            salt in any::<u16>(),
        ) {
            let sealed = seal(&Secret::new(plain.clone()), &keyed(&secret), &request, salt).unwrap();
            prop_assert!(sealed.len() <= 242 && sealed[0] >= 0x80);
            let opened = open(&sealed, &keyed(&secret), &request).unwrap();
            prop_assert_eq!(opened.open(), &plain[..]);
        }

        #[test]
        fn blocks_open_as_they_were(plain in any::<[u8; 32]>(), request in any::<[u8; 16]>()) {
            let sealed = seal_blocks(&Secret::new(plain.to_vec()), &keyed(b"secret"), &request);
            let opened = open_blocks(&sealed, &keyed(b"secret"), &request).unwrap();
            prop_assert_eq!(opened.open(), &plain[..]);
        }
    }
}
