//! A network access server of our own: builds Access-Requests and checks replies with nothing but the RFCs and
//! two hash functions, so that a mistake in `src/radius` cannot hide behind itself.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

pub(crate) const SECRET: &[u8] = b"a shared secret of 32 octets....";

/// An Access-Request as sent, with what is needed to check its reply.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    identifier: u8,
    authenticator: [u8; 16],
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Accept,
    Reject,
    Challenge,
}

/// Builds a signed Access-Request. `seed` stands for randomness.
pub(crate) fn request(identifier: u8, seed: u64, user: &str, password: &[u8], more: &[(u8, Vec<u8>)]) -> Sent {
    let authenticator: [u8; 16] = Md5::digest(seed.to_be_bytes()).into();
    let mut attributes = vec![80, 18];
    attributes.extend([0; 16]);
    push(&mut attributes, 1, user.as_bytes());
    push(&mut attributes, 2, &hide(password, &authenticator));
    for (number, value) in more {
        push(&mut attributes, *number, value);
    }
    let mut bytes = vec![1, identifier];
    bytes.extend(u16::try_from(20 + attributes.len()).unwrap().to_be_bytes());
    bytes.extend(authenticator);
    bytes.extend(attributes);
    let signature = sign(&bytes);
    bytes[22..38].copy_from_slice(&signature);
    Sent { bytes, identifier, authenticator }
}

fn push(attributes: &mut Vec<u8>, number: u8, value: &[u8]) {
    attributes.push(number);
    attributes.push(u8::try_from(value.len() + 2).unwrap());
    attributes.extend(value);
}

/// RFC 2865 section 5.2.
fn hide(password: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
    let mut padded = password.to_vec();
    padded.resize(password.len().max(1).next_multiple_of(16), 0);
    let mut last: Vec<u8> = authenticator.to_vec();
    let mut hidden = Vec::new();
    for block in padded.chunks(16) {
        let pad = Md5::digest([SECRET, &last].concat());
        last = block.iter().zip(pad).map(|(octet, pad)| octet ^ pad).collect();
        hidden.extend(&last);
    }
    hidden
}

fn sign(bytes: &[u8]) -> [u8; 16] {
    let mut hmac = Hmac::<Md5>::new_from_slice(SECRET).unwrap();
    hmac.update(bytes);
    hmac.finalize().into_bytes().into()
}

/// Checks a reply in every respect (RFC 2865 section 3, RFC 3579 section 3.2) and says which it is.
pub(crate) fn check(sent: &Sent, reply: &[u8]) -> Heard {
    assert_eq!(reply[1], sent.identifier, "identifier");
    assert_eq!(usize::from(u16::from_be_bytes([reply[2], reply[3]])), reply.len(), "length");
    let mut unsigned = reply.to_vec();
    unsigned[4..20].copy_from_slice(&sent.authenticator);
    let response: [u8; 16] = Md5::digest([&unsigned, SECRET].concat()).into();
    assert_eq!(reply[4..20], response, "Response Authenticator");
    assert_eq!(reply[20..22], [80, 18], "Message-Authenticator comes first");
    unsigned[22..38].copy_from_slice(&[0; 16]);
    assert_eq!(reply[22..38], sign(&unsigned), "Message-Authenticator");
    match reply[0] {
        2 => Heard::Accept,
        3 => Heard::Reject,
        11 => Heard::Challenge,
        code => panic!("a reply of code {code}"),
    }
}
