//! A change for a client: the packet that it is asked by, what it says to that, and why it may not be asked at all. Pure.

use super::{Ticket, encode};
use crate::radius::attribute::{
    CHAP_PASSWORD, ERROR_CAUSE, MESSAGE_AUTHENTICATOR, PROXY_STATE, TUNNEL_PASSWORD, USER_PASSWORD, push,
};
use crate::radius::authenticator::{ClientKey, Verified, sign_accounting, sign_request};
use crate::radius::client::RequestError;
use crate::radius::discard::Discarded;
use crate::radius::duplicates::Reply;
use crate::radius::packet::{Builder, Code, Packet};
use crate::radius::reply;

/// Disconnect-Request (RFC 5176 section 2.1); its ACK and its NAK have the next two codes.
pub(super) const DISCONNECT_REQUEST: Code = Code(40);
/// CoA-Request (RFC 5176 section 2.2); as above.
pub(super) const COA_REQUEST: Code = Code(43);

/// Why a request cannot be done (RFC 5176 section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It holds what is hidden, and could not be read by the client.
    UnsupportedAttribute = 401,
    /// No client that its target may ask is meant.
    NasIdentificationMismatch = 403,
    /// It asks for an Access-Request of the client.
    UnsupportedService = 405,
    /// It comes by a connection, and changes are relayed between datagrams alone.
    UnsupportedExtension = 406,
    /// It does not say which of several clients is meant, or that one cannot be reached.
    RequestNotRoutable = 502,
    /// The client does not answer, or says what is no answer.
    OtherProxyProcessingError = 505,
    /// Too many are under way.
    ResourcesUnavailable = 506,
}

/// A request for a client.
#[derive(Debug)]
pub struct Relay {
    /// Position of the client among [`Changes::clients`].
    pub client: usize,
    pub(super) code: Code,
    pub(super) signed: bool,
    pub(super) attributes: Box<[u8]>,
    pub(super) ticket: Ticket,
}

impl Relay {
    /// The word for what is asked.
    pub fn word(&self) -> &'static str {
        if self.code == DISCONNECT_REQUEST { "disconnect" } else { "coa" }
    }

    /// The packet for the client.
    ///
    /// # Errors
    /// [`RequestError`] when it does not fit.
    pub fn encode(&self, identifier: u8, key: &ClientKey) -> Result<Vec<u8>, RequestError> {
        let mut packet = Builder::new(self.code, identifier, &[0; 16], self.attributes.len() + 18);
        if self.signed {
            packet.push(MESSAGE_AUTHENTICATOR, &[0; 16])?;
        }
        packet.push_encoded(&self.attributes)?;
        let mut bytes = packet.into_bytes();
        // Its authenticator counts as zeros here, and is made last.
        sign_request(&mut bytes, key);
        sign_accounting(&mut bytes, key);
        Ok(bytes)
    }

    /// What the client says in a packet that has been verified: whether it has done it, and its attributes, encoded.
    /// Nothing where that is no answer to this request.
    pub fn read(&self, packet: &Packet<'_>) -> Option<(bool, Vec<u8>)> {
        let done = match packet.code().0.checked_sub(self.code.0)? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let hidden = [MESSAGE_AUTHENTICATOR, PROXY_STATE, USER_PASSWORD, CHAP_PASSWORD, TUNNEL_PASSWORD];
        let mut attributes = Vec::new();
        packet
            .attributes()
            .filter(|attribute| !hidden.contains(&attribute.number))
            .for_each(|attribute| push(&mut attributes, attribute.number, attribute.value));
        Some((done, attributes))
    }
}

/// The NAK to a change that came by a connection, where whoever has one port for everything must say what it does not take
/// (RFC 6614 section 2.5).
///
/// # Errors
/// [`Discarded::WrongCode`] where it is no change; why it is not authentic, or its NAK would not fit.
pub fn unsupported(packet: Packet<'_>, key: &ClientKey) -> Result<Reply, Discarded> {
    if ![DISCONNECT_REQUEST, COA_REQUEST].contains(&packet.code()) {
        return Err(Discarded::WrongCode);
    }
    Verified::change(packet, key)?;
    let (proxy_states, attributes) = (reply::proxy_states(&packet), refusal(Cause::UnsupportedExtension));
    let asked = (packet.identifier(), packet.authenticator());
    encode(Code(packet.code().0 + 2), asked, (&attributes, &proxy_states), key)
        .map_err(|_| Discarded::ProxyStateTooLong)
}

/// The attributes of a NAK.
pub(super) fn refusal(cause: Cause) -> Vec<u8> {
    let mut attributes = Vec::new();
    push(&mut attributes, ERROR_CAUSE, &(cause as u32).to_be_bytes());
    attributes
}
