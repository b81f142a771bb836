//! The few RADIUS packets that a benchmark needs (RFC 2865, RFC 3579): pure, bytes in and bytes out.
//!
//! It is written apart from the server's own codec on purpose, so that a mistake there is noticed here.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

/// Access-Request. RFC 2865 section 4.1.
pub const ACCESS_REQUEST: u8 = 1;
/// Access-Accept. RFC 2865 section 4.2.
pub const ACCESS_ACCEPT: u8 = 2;
/// Longest packet, in octets. RFC 2865 section 3.
pub const MAX_PACKET: usize = 4096;

const HEADER: usize = 20;
const MESSAGE_AUTHENTICATOR: u8 = 80;
/// An 18-octet Message-Authenticator before its value is known.
const UNSIGNED: [u8; 18] = [MESSAGE_AUTHENTICATOR, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The shared secret with its key schedules kept ready.
#[derive(Clone)]
pub struct Keys {
    hmac: Hmac<Md5>,
    prefix: Md5,
    secret: Vec<u8>,
}

/// What a verified reply said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u8,
    /// Whether it carried a Message-Authenticator (which was then right).
    pub signed: bool,
}

impl Keys {
    /// Prepares a shared secret.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        let hmac = Hmac::new_from_slice(secret).map_err(|_| "the shared secret cannot be used".to_owned())?;
        Ok(Self { hmac, prefix: Md5::new_with_prefix(secret), secret: secret.to_vec() })
    }

    /// Writes an Access-Request into `out`, Message-Authenticator first.
    ///
    /// `user` and `password` are cut to what an attribute holds (253 and 128 octets).
    pub fn request(&self, out: &mut Vec<u8>, identifier: u8, authenticator: &[u8; 16], user: &str, password: &[u8]) {
        out.clear();
        out.extend_from_slice(&[ACCESS_REQUEST, identifier, 0, 0]);
        out.extend_from_slice(authenticator);
        out.extend_from_slice(&UNSIGNED);
        put(out, 1, user.as_bytes());
        put(out, 2, &self.hide(password, authenticator));
        put(out, 4, &[192, 0, 2, 1]);
        put(out, 5, &[0, 0, 0, identifier]);
        put(out, 31, b"198.51.100.7");
        put(out, 32, b"bench");
        finish_length(out);
        self.sign(out);
    }

    /// Writes the reply `code` to `request` into `out`, Message-Authenticator first. `None`: not a packet.
    pub fn reply(&self, out: &mut Vec<u8>, code: u8, request: &[u8]) -> Option<()> {
        let identifier = request.get(1)?;
        out.clear();
        out.extend_from_slice(&[code, *identifier, 0, 0]);
        out.extend_from_slice(request.get(4..HEADER)?);
        out.extend_from_slice(&UNSIGNED);
        finish_length(out);
        self.sign(out);
        let answer = Md5::new().chain_update(&out).chain_update(&self.secret).finalize();
        out.get_mut(4..HEADER)?.copy_from_slice(&answer);
        Some(())
    }

    /// Checks a reply to the request with this authenticator; `None` if it is not genuine.
    pub fn verify(&self, reply: &[u8], authenticator: &[u8; 16]) -> Option<Reply> {
        let reply = checked(reply)?;
        let (head, attributes) = (reply.get(..4)?, reply.get(HEADER..)?);
        let expected = Md5::new()
            .chain_update(head)
            .chain_update(authenticator)
            .chain_update(attributes)
            .chain_update(&self.secret);
        if expected.finalize().as_slice() != reply.get(4..HEADER)? {
            return None;
        }
        let signed = match find(reply, MESSAGE_AUTHENTICATOR) {
            None => false,
            Some(at) => {
                let mut mac = self.hmac.clone();
                mac.update(head);
                mac.update(authenticator);
                mac.update(reply.get(HEADER..at + 2)?);
                mac.update(&[0; 16]);
                mac.update(reply.get(at + 18..)?);
                mac.verify_slice(reply.get(at + 2..at + 18)?).ok()?;
                true
            }
        };
        Some(Reply { code: *reply.first()?, signed })
    }

    /// User-Password hiding, RFC 2865 section 5.2.
    fn hide(&self, password: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
        let mut hidden: Vec<u8> = password.iter().copied().take(128).collect();
        hidden.resize(hidden.len().max(1).next_multiple_of(16), 0);
        let mut previous: [u8; 16] = *authenticator;
        for block in hidden.chunks_exact_mut(16) {
            let pad = self.prefix.clone().chain_update(previous).finalize();
            for (octet, mask) in block.iter_mut().zip(pad) {
                *octet ^= mask;
            }
            previous.copy_from_slice(block);
        }
        hidden
    }

    /// Fills in the Message-Authenticator, which stands first.
    fn sign(&self, packet: &mut [u8]) {
        let mut mac = self.hmac.clone();
        mac.update(packet);
        let tag = mac.finalize().into_bytes();
        if let Some(place) = packet.get_mut(HEADER + 2..HEADER + 18) {
            place.copy_from_slice(&tag);
        }
    }
}

/// The packet without the octets beyond its Length, if all its attributes are well formed.
pub fn checked(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let packet = packet.get(..length).filter(|packet| packet.len() >= HEADER)?;
    let mut at = HEADER;
    while at < packet.len() {
        let size = usize::from(*packet.get(at + 1)?);
        if size < 2 || at + size > packet.len() || (packet.get(at) == Some(&MESSAGE_AUTHENTICATOR) && size != 18) {
            return None;
        }
        at += size;
    }
    Some(packet)
}

/// Where the first attribute of this number starts, in a packet that [`checked`] found good.
fn find(packet: &[u8], number: u8) -> Option<usize> {
    let mut at = HEADER;
    while let (Some(&found), Some(&size)) = (packet.get(at), packet.get(at + 1)) {
        if found == number {
            return Some(at);
        }
        at += usize::from(size).max(2);
    }
    None
}

fn put(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    let value = value.get(..value.len().min(253)).unwrap_or_default();
    out.push(number);
    out.push(u8::try_from(value.len() + 2).unwrap_or(u8::MAX));
    out.extend_from_slice(value);
}

fn finish_length(out: &mut [u8]) {
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(2..4) {
        place.copy_from_slice(&length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc2865_7_1_password_is_hidden_as_published() {
        let keys = Keys::new(b"xyzzy5461").unwrap();
        let authenticator = 0x0f40_3f94_7397_8057_bd83_d5cb_98f4_227a_u128.to_be_bytes();
        let hidden = keys.hide(b"arctangent", &authenticator);
        assert_eq!(hidden, 0x0dbe_708d_93d4_13ce_3196_e43f_782a_0aee_u128.to_be_bytes());
    }

    #[test]
    fn a_reply_verifies_and_a_spoiled_one_does_not() {
        let keys = Keys::new(b"secret").unwrap();
        let (mut request, mut reply) = (Vec::new(), Vec::new());
        keys.request(&mut request, 7, &[9; 16], "u000001", b"password");
        assert_eq!(checked(&request), Some(request.as_slice()));
        keys.reply(&mut reply, ACCESS_ACCEPT, &request).unwrap();
        assert_eq!(keys.verify(&reply, &[9; 16]), Some(Reply { code: ACCESS_ACCEPT, signed: true }));
        assert_eq!(keys.verify(&reply, &[8; 16]), None);
        for at in 0..reply.len() {
            let mut spoiled = reply.clone();
            spoiled[at] ^= 1;
            assert_eq!(keys.verify(&spoiled, &[9; 16]), None, "octet {at}");
        }
    }
}
