//! Header and bounds of a RADIUS packet: decode and encode (RFC 2865 section 3).
//!
//! [`Packet::decode`] borrows and does not allocate. It checks everything that later code relies on:
//! Length is authoritative (20 to 4096, octets beyond it are ignored), and every attribute has a length of
//! at least 2 and ends inside. It refuses the rest; it does not judge codes or attribute numbers.

use std::fmt;

use super::attribute::Attributes;

/// Octets before the first attribute. RFC 2865 section 3.
pub const HEADER: usize = 20;

/// Longest packet we read or send, in octets. RFC 2865 section 3.
pub const MAX_PACKET: usize = 4096;

/// Longest value of one attribute, in octets. RFC 2865 section 5.
pub const MAX_VALUE: usize = 253;

/// A Request or Response Authenticator.
pub type Authenticator = [u8; 16];

/// What kind of packet it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Access-Request (RFC 2865 section 4.1).
    pub const ACCESS_REQUEST: Code = Code(1);
    /// Access-Accept (RFC 2865 section 4.2).
    pub const ACCESS_ACCEPT: Code = Code(2);
    /// Access-Reject (RFC 2865 section 4.3).
    pub const ACCESS_REJECT: Code = Code(3);
    /// Accounting-Request (RFC 2866 section 4.1).
    pub const ACCOUNTING_REQUEST: Code = Code(4);
    /// Accounting-Response (RFC 2866 section 4.2).
    pub const ACCOUNTING_RESPONSE: Code = Code(5);
    /// Access-Challenge (RFC 2865 section 4.4).
    pub const ACCESS_CHALLENGE: Code = Code(11);
    /// Status-Server (RFC 5997).
    pub const STATUS_SERVER: Code = Code(12);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Code::ACCESS_REQUEST => f.write_str("Access-Request"),
            Code::ACCESS_ACCEPT => f.write_str("Access-Accept"),
            Code::ACCESS_REJECT => f.write_str("Access-Reject"),
            Code::ACCOUNTING_REQUEST => f.write_str("Accounting-Request"),
            Code::ACCOUNTING_RESPONSE => f.write_str("Accounting-Response"),
            Code::ACCESS_CHALLENGE => f.write_str("Access-Challenge"),
            Code::STATUS_SERVER => f.write_str("Status-Server"),
            Code(other) => write!(f, "code {other}"),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer octets than a header has.
    TooShort {
        /// Octets received.
        have: usize,
    },
    /// The Length field is below 20 or above 4096.
    BadLength {
        /// What the field says.
        length: usize,
    },
    /// The Length field says more than was received.
    Truncated {
        /// What the field says.
        length: usize,
        /// Octets received.
        have: usize,
    },
    /// An attribute's length is 0 or 1, or only its first octet is inside.
    AttributeTooShort {
        /// Where the attribute starts, in octets from the packet's start.
        at: usize,
    },
    /// An attribute ends beyond the packet.
    AttributeOverrun {
        /// Where the attribute starts, in octets from the packet's start.
        at: usize,
    },
}

/// A packet whose bounds have been checked. Nothing in it is trusted yet: see
/// [`Verified`](super::authenticator::Verified).
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    /// Exactly Length octets.
    bytes: &'a [u8],
    header: &'a [u8; HEADER],
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`DecodeError`]: which bound is broken, and where.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let have = datagram.len();
        let header = datagram.first_chunk::<HEADER>().ok_or(DecodeError::TooShort { have })?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !(HEADER..=MAX_PACKET).contains(&length) {
            return Err(DecodeError::BadLength { length });
        }
        let bytes = datagram.get(..length).ok_or(DecodeError::Truncated { length, have })?;
        let mut rest = bytes.get(HEADER..).unwrap_or_default();
        while let Some(&[_, size]) = rest.first_chunk::<2>() {
            let at = length - rest.len();
            if size < 2 {
                return Err(DecodeError::AttributeTooShort { at });
            }
            rest = rest.get(usize::from(size)..).ok_or(DecodeError::AttributeOverrun { at })?;
        }
        if !rest.is_empty() {
            return Err(DecodeError::AttributeTooShort { at: length - rest.len() });
        }
        Ok(Packet { bytes, header })
    }

    /// What kind of packet it says it is.
    pub fn code(&self) -> Code {
        Code(self.header[0])
    }

    /// The sender's number for it.
    pub fn identifier(&self) -> u8 {
        self.header[1]
    }

    /// The Request or Response Authenticator.
    pub fn authenticator(&self) -> &'a Authenticator {
        self.header.last_chunk().unwrap_or(&[0; 16])
    }

    /// The attributes, in order.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes.get(HEADER..).unwrap_or_default())
    }

    /// The values of all attributes with this number, in order.
    pub fn values(&self, number: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes().filter(move |attribute| attribute.number == number).map(|attribute| attribute.value)
    }

    /// The value of the first attribute with this number.
    pub fn value(&self, number: u8) -> Option<&'a [u8]> {
        self.values(number).next()
    }

    /// The whole packet: exactly Length octets.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Shows kind, identifier and length: never attributes, which may hold secrets.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({} #{}, {} octets)", self.code(), self.identifier(), self.bytes.len())
    }
}

/// Why an attribute does not fit into a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// The value is longer than [`MAX_VALUE`].
    ValueTooLong {
        /// Octets of the value.
        have: usize,
    },
    /// The packet would pass [`MAX_PACKET`].
    PacketTooLong,
}

/// A packet under construction. Its Length field is right after every step.
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// A packet without attributes. `room` is a hint: how many octets of attributes will follow.
    pub fn new(code: Code, identifier: u8, authenticator: &Authenticator, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + room.min(MAX_PACKET - HEADER));
        bytes.extend_from_slice(&[code.0, identifier, 0, 20]);
        bytes.extend_from_slice(authenticator);
        Builder { bytes }
    }

    /// Adds an attribute at the end.
    ///
    /// # Errors
    /// [`EncodeError`]; the packet is then as it was.
    pub fn push(&mut self, number: u8, value: &[u8]) -> Result<(), EncodeError> {
        let have = value.len();
        let size =
            u8::try_from(have + 2).ok().filter(|_| have <= MAX_VALUE).ok_or(EncodeError::ValueTooLong { have })?;
        self.reserve(have + 2)?;
        self.bytes.extend_from_slice(&[number, size]);
        self.bytes.extend_from_slice(value);
        self.set_length()
    }

    /// Adds attributes that are encoded already, such as the Proxy-States of a request.
    ///
    /// # Errors
    /// [`EncodeError::PacketTooLong`]; the packet is then as it was.
    pub fn push_encoded(&mut self, attributes: &[u8]) -> Result<(), EncodeError> {
        self.reserve(attributes.len())?;
        self.bytes.extend_from_slice(attributes);
        self.set_length()
    }

    /// The packet so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished packet, for those who put authenticators into it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn reserve(&self, more: usize) -> Result<(), EncodeError> {
        if self.bytes.len() + more > MAX_PACKET { Err(EncodeError::PacketTooLong) } else { Ok(()) }
    }

    fn set_length(&mut self) -> Result<(), EncodeError> {
        let length = u16::try_from(self.bytes.len()).map_err(|_| EncodeError::PacketTooLong)?;
        if let Some(field) = self.bytes.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
