//! What a RADIUS target says to a request: its reply's attributes, kept until the client may have them. Pure.
//!
//! ```text
//! reply of the target ─ verified ─▶ Said::read (rules; encrypted values opened with the target's secret)
//!        … the sign-in is held …
//! Said::write (encrypted values sealed with the client's secret) ─▶ reply to the client
//! ```
//!
//! Attributes keep their order and their octets; a vendor's attribute is taken apart only where a rule names a part
//! of it, or where a part is encrypted.

use std::fmt;

use super::attribute::{
    Attribute, CHAP_PASSWORD, EAP_MESSAGE, MESSAGE_AUTHENTICATOR, PROXY_STATE, STATE, TUNNEL_PASSWORD, USER_NAME,
    USER_PASSWORD, VENDOR_SPECIFIC, join_vendor, push, split_vendor,
};
use super::authenticator::{ClientKey, Verified};
use super::packet::{Authenticator, Builder, Code, EncodeError, MAX_PACKET, MAX_VALUE};
use super::salted;
use crate::config::{PersonAddress, ReplyRules};
use crate::secret::Secret;

/// The vendor of MS-CHAP and its keys (RFC 2548).
pub const MICROSOFT: u32 = 311;
/// MS-CHAP-Error (RFC 2548 section 2.1.5): what a person's device needs to hear of a refusal.
pub const MS_CHAP_ERROR: u8 = 2;
/// MS-CHAP-MPPE-Keys (RFC 2548 section 2.4.1).
const MS_CHAP_MPPE_KEYS: u8 = 12;
/// MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 section 2.4.2 and 2.4.3).
const MS_MPPE_KEYS: [u8; 2] = [16, 17];
/// MS-CHAP2-Success (RFC 2548 section 2.3.3).
const MS_CHAP2_SUCCESS: u8 = 26;

/// Why a reply cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidError {
    /// An encrypted value is broken.
    BrokenSecret,
    /// What is left of it does not fit into the client's reply.
    TooLong,
}

/// A target's reply, as far as the client is to have it, and attributes of our own before it.
#[derive(Default)]
pub struct Said {
    pieces: Vec<Piece>,
    length: usize,
    name: Option<Box<str>>,
    state: Option<Box<[u8]>>,
}

/// Never shows a value.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Said({} octets)", self.length)
    }
}

enum Piece {
    /// Attributes as they came, encoded.
    Open(Box<[u8]>),
    /// An encrypted one, opened.
    Sealed(Hiding, Secret),
}

/// How a value is hidden.
#[derive(Clone, Copy)]
enum Hiding {
    /// Tunnel-Password, with its tag.
    TunnelPassword(u8),
    /// Microsoft's keys, by their number.
    MppeKey(u8),
    /// MS-CHAP-MPPE-Keys.
    MsChapKeys,
}

impl Hiding {
    /// Octets of the attribute, header included.
    fn length(self, plain: usize) -> usize {
        let salted = 2 + (plain + 1).next_multiple_of(16);
        match self {
            Hiding::TunnelPassword(_) => 3 + salted,
            Hiding::MppeKey(_) => 8 + salted,
            Hiding::MsChapKeys => 8 + plain,
        }
    }
}

impl Said {
    /// Reads a reply that has been verified against `request`, the authenticator of what was asked, under the
    /// target's `key`. `room`: octets of attributes that the client's reply has left.
    ///
    /// # Errors
    /// [`SaidError`]: the client must not get an answer from which something is missing.
    pub fn read(
        reply: &Verified<'_>,
        request: &Authenticator,
        key: &ClientKey,
        rules: &ReplyRules,
        room: usize,
    ) -> Result<Said, SaidError> {
        let packet = reply.packet();
        let mut reading = Reading { rules, key, request, open: Vec::new(), pieces: Vec::new(), length: 0 };
        let refused = packet.code() == Code::ACCESS_REJECT;
        for attribute in packet.attributes() {
            match attribute.number {
                MESSAGE_AUTHENTICATOR | PROXY_STATE | STATE | USER_PASSWORD | CHAP_PASSWORD => {}
                EAP_MESSAGE => reading.pass(EAP_MESSAGE, attribute.value),
                VENDOR_SPECIFIC => reading.vendor(attribute, refused)?,
                _ if refused => {}
                TUNNEL_PASSWORD => reading.tunnel_password(attribute.value)?,
                number => reading.standard(number, attribute.value),
            }
        }
        if packet.code() == Code::ACCESS_ACCEPT {
            rules.add.iter().for_each(|added| reading.pass(added.number, &added.value));
        }
        reading.flush();
        let drops_name = rules.drop.contains(&PersonAddress { vendor: None, number: USER_NAME });
        let name = packet.value(USER_NAME).filter(|_| !drops_name).map(|name| String::from_utf8_lossy(name).into());
        let said =
            Said { pieces: reading.pieces, length: reading.length, name, state: packet.value(STATE).map(Into::into) };
        if said.length > room.min(MAX_PACKET) { Err(SaidError::TooLong) } else { Ok(said) }
    }

    /// Adds attributes of our own, encoded.
    pub fn put(&mut self, encoded: &[u8]) {
        if !encoded.is_empty() {
            self.length += encoded.len();
            self.pieces.push(Piece::Open(encoded.into()));
        }
    }

    /// Puts attributes of our own before what the target says.
    pub fn put_before(&mut self, mut own: Said) {
        self.length += own.length;
        own.pieces.append(&mut self.pieces);
        self.pieces = own.pieces;
    }

    /// Adds a Tunnel-Password, which only the client may read (RFC 2868 section 3.5). Tag 0: none.
    pub fn put_tunnel_password(&mut self, tag: u8, password: Secret) {
        self.seal(Hiding::TunnelPassword(tag), password);
    }

    /// Octets of a Tunnel-Password, its header included.
    pub fn tunnel_password_size(plain: usize) -> usize {
        Hiding::TunnelPassword(0).length(plain)
    }

    /// Adds keys that only the client may read (RFC 2548 section 2.4.2 and 2.4.3).
    pub fn put_mppe_keys(&mut self, send: Secret, receive: Secret) {
        for (number, key) in MS_MPPE_KEYS.into_iter().zip([send, receive]) {
            self.seal(Hiding::MppeKey(number), key);
        }
    }

    /// Adds MS-CHAP-MPPE-Keys (RFC 2548 section 2.4.1), padded to whole blocks.
    pub fn put_ms_chap_keys(&mut self, keys: Secret) {
        self.seal(Hiding::MsChapKeys, keys);
    }

    fn seal(&mut self, hiding: Hiding, plain: Secret) {
        self.length += hiding.length(plain.len());
        self.pieces.push(Piece::Sealed(hiding, plain));
    }

    /// Whom the target names (User-Name), unless a rule drops that.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The target's State, which its next round must bring back.
    pub fn state(&self) -> Option<&[u8]> {
        self.state.as_deref()
    }

    /// Octets that it takes in a reply.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Adds it to a reply to the request with this authenticator, under the client's key.
    ///
    /// # Errors
    /// [`EncodeError`] when it does not fit; [`Said::read`] has seen to it that it does.
    pub fn write(&self, reply: &mut Builder, request: &Authenticator, key: &ClientKey) -> Result<(), EncodeError> {
        let mut salt = u16::from_be_bytes([request[0], request[1]]);
        for piece in &self.pieces {
            // Each value of a packet has a salt of its own (RFC 2868 section 3.5).
            salt = salt.wrapping_add(1);
            match piece {
                Piece::Open(attributes) => reply.push_encoded(attributes)?,
                Piece::Sealed(hiding, plain) => {
                    let have = plain.len();
                    let sealed =
                        || salted::seal(plain, key.keyed(), request, salt).ok_or(EncodeError::ValueTooLong { have });
                    match *hiding {
                        Hiding::TunnelPassword(tag) => {
                            let value: Vec<u8> = std::iter::once(tag).chain(sealed()?).collect();
                            reply.push(TUNNEL_PASSWORD, &value)?;
                        }
                        Hiding::MppeKey(number) => {
                            reply.push(VENDOR_SPECIFIC, &join_vendor(MICROSOFT, number, &sealed()?)?)?;
                        }
                        Hiding::MsChapKeys => {
                            let value = salted::seal_blocks(plain, key.keyed(), request);
                            reply.push(VENDOR_SPECIFIC, &join_vendor(MICROSOFT, MS_CHAP_MPPE_KEYS, &value)?)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

struct Reading<'a> {
    rules: &'a ReplyRules,
    key: &'a ClientKey,
    request: &'a Authenticator,
    open: Vec<u8>,
    pieces: Vec<Piece>,
    length: usize,
}

impl Reading<'_> {
    fn pass(&mut self, number: u8, value: &[u8]) {
        let before = self.open.len();
        push(&mut self.open, number, value);
        self.length += self.open.len() - before;
    }

    fn flush(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(Piece::Open(std::mem::take(&mut self.open).into_boxed_slice()));
        }
    }

    fn seal(&mut self, hiding: Hiding, plain: Secret) {
        self.flush();
        self.length += hiding.length(plain.len());
        self.pieces.push(Piece::Sealed(hiding, plain));
    }

    /// Where an attribute goes by the rules; nothing where it does not pass.
    fn ruled(&self, place: PersonAddress) -> Option<PersonAddress> {
        let rules = self.rules;
        let wanted = rules.only.is_empty() || rules.only.contains(&place);
        if !wanted || rules.drop.contains(&place) {
            return None;
        }
        Some(rules.rename.iter().find(|(from, _)| *from == place).map_or(place, |(_, to)| *to))
    }

    fn standard(&mut self, number: u8, value: &[u8]) {
        if let Some(place) = self.ruled(PersonAddress { vendor: None, number }) {
            self.put(place, value);
        }
    }

    fn put(&mut self, place: PersonAddress, value: &[u8]) {
        match place.vendor {
            None => self.pass(place.number, value),
            // Longer than a vendor's attribute can be: it was one of 253 octets that is renamed.
            Some(vendor) => {
                if let Ok(joined) = join_vendor(vendor, place.number, value) {
                    self.pass(VENDOR_SPECIFIC, &joined);
                }
            }
        }
    }

    fn tunnel_password(&mut self, value: &[u8]) -> Result<(), SaidError> {
        if self.ruled(PersonAddress { vendor: None, number: TUNNEL_PASSWORD }).is_none() {
            return Ok(());
        }
        let (tag, hidden) = value.split_first().ok_or(SaidError::BrokenSecret)?;
        let plain = salted::open(hidden, self.key.keyed(), self.request).ok_or(SaidError::BrokenSecret)?;
        self.seal(Hiding::TunnelPassword(*tag), plain);
        Ok(())
    }

    fn vendor(&mut self, attribute: Attribute<'_>, refused: bool) -> Result<(), SaidError> {
        let Some((vendor, parts)) = split_vendor(attribute.value) else {
            self.whole(attribute, refused);
            return Ok(());
        };
        let whole = {
            let mut parts = parts.clone();
            let some = parts.next().is_some();
            parts.by_ref().for_each(drop);
            some && parts.remaining() == 0
        };
        if !whole {
            self.whole(attribute, refused);
            return Ok(());
        }
        let names = |place: PersonAddress| place.vendor == Some(vendor);
        let rules = self.rules;
        let ruled = !rules.only.is_empty()
            || rules.drop.iter().any(|place| names(*place))
            || rules.rename.iter().any(|(from, _)| names(*from));
        if !ruled && vendor != MICROSOFT && !refused {
            self.pass(VENDOR_SPECIFIC, attribute.value);
            return Ok(());
        }
        for part in parts {
            self.part(vendor, part, refused)?;
        }
        Ok(())
    }

    /// A vendor's attribute that cannot be taken apart.
    fn whole(&mut self, attribute: Attribute<'_>, refused: bool) {
        if self.rules.only.is_empty() && !refused {
            self.pass(VENDOR_SPECIFIC, attribute.value);
        }
    }

    fn part(&mut self, vendor: u32, part: Attribute<'_>, refused: bool) -> Result<(), SaidError> {
        let Attribute { number, value } = part;
        let place = PersonAddress { vendor: Some(vendor), number };
        if vendor == MICROSOFT && (number == MS_CHAP_ERROR || !refused) {
            // What the person's device cannot do without passes whatever `reply_only` names.
            let needed = MS_MPPE_KEYS.contains(&number)
                || [MS_CHAP_ERROR, MS_CHAP_MPPE_KEYS, MS_CHAP2_SUCCESS].contains(&number);
            if needed && self.rules.drop.contains(&place) {
                return Ok(());
            }
            if MS_MPPE_KEYS.contains(&number) {
                let plain = salted::open(value, self.key.keyed(), self.request).ok_or(SaidError::BrokenSecret)?;
                self.seal(Hiding::MppeKey(number), plain);
                return Ok(());
            }
            if number == MS_CHAP_MPPE_KEYS {
                // RFC 2548 has 24 octets, which are padded to 32 before they are hidden.
                let plain =
                    salted::open_blocks(value, self.key.keyed(), self.request).ok_or(SaidError::BrokenSecret)?;
                self.seal(Hiding::MsChapKeys, plain);
                return Ok(());
            }
            if needed {
                self.put(place, value);
                return Ok(());
            }
        }
        if let Some(place) = self.ruled(place).filter(|_| !refused && value.len() <= MAX_VALUE) {
            self.put(place, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
