//! RADIUS/1.1 (RFC 9765): over TLS, without MD5. Pure.
//!
//! ```text
//! RADIUS/1.0   Code Identifier Length Authenticator (16)          passwords and keys hidden, packets signed
//! RADIUS/1.1   Code 0          Length Token (4) zeros (12)        nothing hidden, nothing signed: TLS does both
//! ```
//!
//! It is spoken at the edge of a connection alone: what comes in is made the RADIUS/1.0 packet that it stands for, under
//! the secret `radsec` and with an authenticator of our own, and what goes out is made of one. Everything between them, the
//! proofs included, is the same for both. A token is unique among a connection's requests; it names them in place of
//! Identifier and Authenticator.

use super::attribute::{
    ERROR_CAUSE, MESSAGE_AUTHENTICATOR, PROXY_STATE, TUNNEL_PASSWORD, USER_PASSWORD, VENDOR_SPECIFIC, join_vendor,
    split_vendor,
};
use super::authenticator::{ClientKey, sign_accounting, sign_reply, sign_request};
use super::packet::{Authenticator, Builder, Code, Packet};
use super::said::MICROSOFT;
use super::{password, salted};
use crate::secret::Secret;

/// What is offered by ALPN for it (RFC 9765 section 3.1).
pub const RADIUS_1_1: &[u8] = b"radius/1.1";
/// What is offered for what was before it.
pub const RADIUS_1_0: &[u8] = b"radius/1.0";

/// Protocol-Error (RFC 7930 section 4).
pub const PROTOCOL_ERROR: Code = Code(52);
/// Unsupported Extension, an Error-Cause (RFC 5176 section 3.5).
const UNSUPPORTED_EXTENSION: u32 = 406;
/// Extended-Attribute-1 (RFC 6929 section 3.1), and Original-Packet-Code there (RFC 7930 section 4).
const EXTENDED: u8 = 241;
const ORIGINAL_PACKET_CODE: u8 = 4;

/// MS-MPPE-Send-Key and MS-MPPE-Recv-Key, MS-CHAP-MPPE-Keys (RFC 2548 section 2.4).
const SALTED_KEYS: [u8; 2] = [16, 17];
const BLOCK_KEYS: u8 = 12;

/// Names a request of a connection.
pub type Token = [u8; 4];

/// What one end of a connection must know to be a server in RADIUS/1.1.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// The rest of the authenticators that requests are given.
    pub salt: [u8; 12],
}

/// A request as RADIUS/1.0 knows it.
#[derive(Debug)]
pub struct Inward {
    /// The packet, signed.
    pub packet: Vec<u8>,
    /// What names it.
    pub token: Token,
}

impl Inward {
    /// What tells it from the connection's other requests besides its identifier: a part of the token, in the place of
    /// the port that a datagram would come from.
    pub fn port(&self) -> u16 {
        u16::from_be_bytes([self.token[1], self.token[2]])
    }
}

impl Serving {
    fn authenticator(&self, token: Token) -> Authenticator {
        let mut authenticator = [0; 16];
        authenticator.iter_mut().zip(token.iter().chain(&self.salt)).for_each(|(to, from)| *to = *from);
        authenticator
    }

    /// Makes a RADIUS/1.0 request of one that came. Reserved fields and a Message-Authenticator are ignored (RFC 9765
    /// section 4.1 and 5.2). Nothing where it is no packet, or does not fit.
    pub fn request(&self, bytes: &[u8], key: &ClientKey) -> Option<Inward> {
        let packet = Packet::decode(bytes).ok()?;
        let token = *packet.authenticator().first_chunk::<4>()?;
        let authenticator = self.authenticator(token);
        // A CoA-Request and a Disconnect-Request are signed as accounting is (RFC 5176 section 2.3).
        let is_accounting = matches!(packet.code(), Code::ACCOUNTING_REQUEST | Code(40) | Code(43));
        let mut made = Builder::new(packet.code(), token[3], &authenticator, bytes.len() + 40);
        if !is_accounting {
            made.push(MESSAGE_AUTHENTICATOR, &[0; 16]).ok()?;
        }
        for attribute in packet.attributes() {
            match attribute.number {
                MESSAGE_AUTHENTICATOR => {}
                USER_PASSWORD if (1..=password::MAX_PASSWORD).contains(&attribute.value.len()) => {
                    let plain = Secret::new(attribute.value.to_vec());
                    made.push(USER_PASSWORD, &password::hide(&plain, key.keyed(), &authenticator).ok()?).ok()?;
                }
                // No password has such a length: it must not be read as one.
                USER_PASSWORD => made.push(USER_PASSWORD, &[]).ok()?,
                number => made.push(number, attribute.value).ok()?,
            }
        }
        let mut packet = made.into_bytes();
        if is_accounting {
            sign_accounting(&mut packet, key)
        } else {
            sign_request(&mut packet, key)
        }
        Some(Inward { packet, token })
    }

    /// Makes a RADIUS/1.1 reply of one of ours. Nothing where something hidden in it cannot be opened.
    pub fn reply(&self, bytes: &[u8], token: Token, key: &ClientKey) -> Option<Vec<u8>> {
        opened(bytes, token, &self.authenticator(token), key)
    }
}

/// What of a request to a server must be known when it replies.
#[derive(Debug, Clone, Copy)]
struct Asked {
    token: Token,
    authenticator: Authenticator,
}

/// What one end of a connection must know to be a client in RADIUS/1.1: the request under each identifier.
#[derive(Debug)]
pub struct Asking {
    next: u32,
    asked: Vec<Option<Asked>>,
}

impl Default for Asking {
    fn default() -> Self {
        Asking { next: 0, asked: vec![None; 256] }
    }
}

impl Asking {
    /// Makes a RADIUS/1.1 request of one of ours.
    pub fn request(&mut self, bytes: &[u8], key: &ClientKey) -> Option<Vec<u8>> {
        let packet = Packet::decode(bytes).ok()?;
        let [_, high, middle, low] = self.next.to_be_bytes();
        let token = [high, middle, low, packet.identifier()];
        let made = opened(bytes, token, packet.authenticator(), key)?;
        self.next = self.next.wrapping_add(1);
        let asked = Asked { token, authenticator: *packet.authenticator() };
        *self.asked.get_mut(usize::from(packet.identifier()))? = Some(asked);
        Some(made)
    }

    /// Makes a RADIUS/1.0 reply, signed, of one that came. Nothing where it answers none of our requests, or is no more
    /// than an error of the protocol.
    pub fn reply(&mut self, bytes: &[u8], key: &ClientKey) -> Option<Vec<u8>> {
        let packet = Packet::decode(bytes).ok()?;
        let token = *packet.authenticator().first_chunk::<4>()?;
        let asked = self.asked.get(usize::from(token[3])).copied().flatten().filter(|asked| asked.token == token)?;
        if packet.code() == PROTOCOL_ERROR {
            return None;
        }
        let mut made = Builder::new(packet.code(), token[3], &asked.authenticator, bytes.len() + 80);
        made.push(MESSAGE_AUTHENTICATOR, &[0; 16]).ok()?;
        let mut salt = u16::from_be_bytes([token[1], token[2]]);
        for attribute in packet.attributes() {
            salt = salt.wrapping_add(1);
            let hide =
                |plain: &[u8]| salted::seal(&Secret::new(plain.to_vec()), key.keyed(), &asked.authenticator, salt);
            match attribute.number {
                MESSAGE_AUTHENTICATOR => {}
                TUNNEL_PASSWORD => {
                    let (tag, plain) = attribute.value.split_first()?;
                    made.push(TUNNEL_PASSWORD, &[&[*tag][..], &hide(plain)?].concat()).ok()?;
                }
                VENDOR_SPECIFIC => {
                    let each = |number: u8, plain: &[u8]| match number {
                        number if SALTED_KEYS.contains(&number) => hide(plain),
                        _ => {
                            let mut blocks = plain.to_vec();
                            blocks.resize(plain.len().next_multiple_of(16), 0);
                            Some(salted::seal_blocks(&Secret::new(blocks), key.keyed(), &asked.authenticator))
                        }
                    };
                    vendor(&mut made, attribute.value, each)?;
                }
                number => made.push(number, attribute.value).ok()?,
            }
        }
        let mut packet = made.into_bytes();
        sign_reply(&mut packet, &asked.authenticator, key);
        Some(packet)
    }
}

/// A RADIUS/1.1 packet of one of RADIUS/1.0: what is hidden under `authenticator`, the request's, is opened.
fn opened(bytes: &[u8], token: Token, authenticator: &Authenticator, key: &ClientKey) -> Option<Vec<u8>> {
    let packet = Packet::decode(bytes).ok()?;
    let mut header = [0; 16];
    header.iter_mut().zip(token).for_each(|(to, from)| *to = from);
    let mut made = Builder::new(packet.code(), 0, &header, bytes.len());
    let open = |hidden: &[u8]| salted::open(hidden, key.keyed(), authenticator);
    for attribute in packet.attributes() {
        match attribute.number {
            MESSAGE_AUTHENTICATOR => {}
            USER_PASSWORD => {
                let plain = password::open(attribute.value, key.keyed(), authenticator).ok()?;
                made.push(USER_PASSWORD, plain.open()).ok()?;
            }
            TUNNEL_PASSWORD => {
                let (tag, hidden) = attribute.value.split_first()?;
                made.push(TUNNEL_PASSWORD, &[&[*tag][..], open(hidden)?.open()].concat()).ok()?;
            }
            VENDOR_SPECIFIC => {
                let each = |number: u8, hidden: &[u8]| {
                    let plain = match number {
                        number if SALTED_KEYS.contains(&number) => open(hidden),
                        _ => salted::open_blocks(hidden, key.keyed(), authenticator),
                    };
                    plain.map(|plain| plain.open().to_vec())
                };
                vendor(&mut made, attribute.value, each)?;
            }
            number => made.push(number, attribute.value).ok()?,
        }
    }
    Some(made.into_bytes())
}

/// Adds a vendor's attribute, Microsoft's keys in it changed by `each`. Where it has some, each part becomes one of its own.
fn vendor(made: &mut Builder, value: &[u8], each: impl Fn(u8, &[u8]) -> Option<Vec<u8>>) -> Option<()> {
    let is_key = |number: u8| SALTED_KEYS.contains(&number) || number == BLOCK_KEYS;
    let parts = || split_vendor(value).filter(|(vendor, _)| *vendor == MICROSOFT).map(|(_, parts)| parts);
    if !parts().into_iter().flatten().any(|part| is_key(part.number)) {
        return made.push(VENDOR_SPECIFIC, value).ok();
    }
    for part in parts().into_iter().flatten() {
        let value = if is_key(part.number) { each(part.number, part.value)? } else { part.value.to_vec() };
        made.push(VENDOR_SPECIFIC, &join_vendor(MICROSOFT, part.number, &value).ok()?).ok()?;
    }
    Some(())
}

/// What a client hears that speaks RADIUS/1.0 where RADIUS/1.1 is required: the answer to its first packet, before the
/// connection ends (RFC 9765 section 3.4, RFC 7930 section 4).
pub fn refusal(request: &[u8], key: &ClientKey) -> Option<Vec<u8>> {
    let packet = Packet::decode(request).ok()?;
    let mut made = Builder::new(PROTOCOL_ERROR, packet.identifier(), packet.authenticator(), 64);
    made.push(MESSAGE_AUTHENTICATOR, &[0; 16]).ok()?;
    made.push(ERROR_CAUSE, &UNSUPPORTED_EXTENSION.to_be_bytes()).ok()?;
    let code = [ORIGINAL_PACKET_CODE, 0, 0, 0, packet.code().0];
    made.push(EXTENDED, &code).ok()?;
    for proxy_state in packet.values(PROXY_STATE) {
        made.push(PROXY_STATE, proxy_state).ok()?;
    }
    let mut bytes = made.into_bytes();
    sign_reply(&mut bytes, packet.authenticator(), key);
    Some(bytes)
}

#[cfg(test)]
mod tests;
