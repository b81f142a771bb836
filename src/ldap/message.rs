//! LDAP messages on the wire (RFC 4511 section 4.1.1): where a frame ends, whether it is well formed, and
//! where the parts of its envelope lie. Pure.
//!
//! A frame is refused on its header, before anything of it is buffered, when it is no SEQUENCE or too long.
//! A whole frame goes through one pass that checks nesting and that each element ends inside its parent;
//! whatever reads it afterwards meets no surprise and may recurse. Nothing is copied: an [`Envelope`] is
//! offsets, so the operation and the controls can be passed on byte for byte.
//!
//! ```text
//! 30 LL                      LDAPMessage
//!    02 01 07                message id
//!    60 LL ...               operation  (op: its content; tail: from here to the end)
//!    a0 LL ...               controls, if any
//! ```

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::ber::{BerError, CONSTRUCTED, Header, INTEGER, Reader, SEQUENCE, Writer};

mod nesting;

pub use nesting::Nesting;

/// Elements within each other, the message itself included. Filters of real applications stay below ten.
pub const MAX_DEPTH: usize = 48;

/// Octets of a message before its sender is known, or of any answer that we expect to be short.
pub const SMALL_FRAME: usize = 64 * 1024;

/// Octets of any other message.
pub const LARGE_FRAME: usize = 4 * 1024 * 1024;

/// Identifier octets of the operations (RFC 4511 section 4.2 to 4.14).
pub mod op {
    /// BindRequest.
    pub const BIND_REQUEST: u8 = 0x60;
    /// BindResponse.
    pub const BIND_RESPONSE: u8 = 0x61;
    /// UnbindRequest.
    pub const UNBIND_REQUEST: u8 = 0x42;
    /// SearchRequest.
    pub const SEARCH_REQUEST: u8 = 0x63;
    /// SearchResultEntry.
    pub const SEARCH_ENTRY: u8 = 0x64;
    /// SearchResultDone.
    pub const SEARCH_DONE: u8 = 0x65;
    /// SearchResultReference.
    pub const SEARCH_REFERENCE: u8 = 0x73;
    /// ModifyRequest.
    pub const MODIFY_REQUEST: u8 = 0x66;
    /// ModifyResponse.
    pub const MODIFY_RESPONSE: u8 = 0x67;
    /// AddRequest.
    pub const ADD_REQUEST: u8 = 0x68;
    /// AddResponse.
    pub const ADD_RESPONSE: u8 = 0x69;
    /// DelRequest.
    pub const DELETE_REQUEST: u8 = 0x4a;
    /// DelResponse.
    pub const DELETE_RESPONSE: u8 = 0x6b;
    /// ModifyDNRequest.
    pub const MODIFY_DN_REQUEST: u8 = 0x6c;
    /// ModifyDNResponse.
    pub const MODIFY_DN_RESPONSE: u8 = 0x6d;
    /// CompareRequest.
    pub const COMPARE_REQUEST: u8 = 0x6e;
    /// CompareResponse.
    pub const COMPARE_RESPONSE: u8 = 0x6f;
    /// AbandonRequest.
    pub const ABANDON_REQUEST: u8 = 0x50;
    /// ExtendedRequest.
    pub const EXTENDED_REQUEST: u8 = 0x77;
    /// ExtendedResponse.
    pub const EXTENDED_RESPONSE: u8 = 0x78;
    /// IntermediateResponse.
    pub const INTERMEDIATE_RESPONSE: u8 = 0x79;
}

/// Identifier octet of the controls.
pub const CONTROLS: u8 = 0xa0;

/// AD's Notice of Disconnection carries its responseName here, behind the operation instead of inside it.
const MISPLACED_RESPONSE_NAME: u8 = 0x8a;

/// Why a stream of octets is no LDAP. After any of these the connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A message starts with a SEQUENCE, this does not.
    NotAMessage {
        /// The first octet.
        found: u8,
    },
    /// Longer than we read.
    TooLong {
        /// Octets it announces, its header included.
        length: usize,
        /// Octets we read.
        limit: usize,
    },
    /// More than [`MAX_DEPTH`] elements within each other.
    TooDeep,
    /// An element of it is malformed or does not end inside its parent.
    Malformed(BerError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::NotAMessage { found } => write!(f, "a message cannot start with {found:#04x}"),
            FrameError::TooLong { length, limit } => {
                write!(f, "a message of {length} octets where {limit} are allowed")
            }
            FrameError::TooDeep => write!(f, "more than {MAX_DEPTH} elements within each other"),
            FrameError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<BerError> for FrameError {
    fn from(error: BerError) -> Self {
        FrameError::Malformed(error)
    }
}

/// Length of the whole, well-formed message that `bytes` starts with; `None` while it is not whole.
///
/// # Errors
/// [`FrameError`], as soon as the octets that are there allow to say so.
pub fn frame_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first != SEQUENCE {
        return Err(FrameError::NotAMessage { found: first });
    }
    let Some(header) = Header::read(bytes)? else { return Ok(None) };
    let length = header.octets.saturating_add(header.length);
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let Some(frame) = bytes.get(..length) else { return Ok(None) };
    validate(frame, header.octets, MAX_DEPTH)?;
    Ok(Some(length))
}

/// Takes the next whole, well-formed message from `buffer`; `None` while it is not whole.
///
/// # Errors
/// As [`frame_length`]; the buffer is then left as it is.
pub fn next_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    Ok(frame_length(buffer, limit)?.map(|length| buffer.split_to(length).freeze()))
}

/// What the first octets of a message tell: enough to pass the rest on without looking at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The message id; 0 is an unsolicited notification.
    pub message_id: u32,
    /// Identifier octet of the operation, see [`op`].
    pub op_tag: u8,
    /// Octets of the whole message, its header included.
    pub length: usize,
    /// Octets of the outer header.
    pub start: usize,
}

impl Head {
    /// Reads the head of the message that `bytes` starts with; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the octets that are there allow to say so.
    pub fn read(bytes: &[u8], limit: usize) -> Result<Option<Self>, FrameError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first != SEQUENCE {
            return Err(FrameError::NotAMessage { found: first });
        }
        let Some(outer) = Header::read(bytes)? else { return Ok(None) };
        let length = outer.octets.saturating_add(outer.length);
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        let inside = bytes.get(outer.octets..length.min(bytes.len())).unwrap_or_default();
        let missing = if bytes.len() < length { Ok(None) } else { Err(BerError::Truncated.into()) };
        let Some(id) = Header::read(inside)? else { return missing };
        let Some((id_element, rest)) = inside.split_at_checked(id.octets.saturating_add(id.length)) else {
            return if id.length > 8 { Err(BerError::BadInteger.into()) } else { missing };
        };
        let message_id = Reader::new(id_element).number(INTEGER)?;
        let Some(&op_tag) = rest.first() else { return missing };
        Ok(Some(Head { message_id, op_tag, length, start: outer.octets }))
    }
}

/// Checks nesting and inner lengths of the whole message `frame`, in one pass.
///
/// # Errors
/// [`FrameError`].
pub fn check(frame: &[u8], head: &Head, deepest: usize) -> Result<(), FrameError> {
    validate(frame, head.start, deepest)
}

/// Checks nesting and inner lengths of a whole message whose content starts at `start`, in one pass.
fn validate(frame: &[u8], start: usize, deepest: usize) -> Result<(), FrameError> {
    // Where the elements that we are inside of end, from the outermost; `end` is the innermost.
    let mut ends = [0; MAX_DEPTH];
    let mut depth: usize = 1;
    let mut end = frame.len();
    if let Some(outermost) = ends.first_mut() {
        *outermost = end;
    }
    let mut at = start;
    loop {
        while at == end {
            depth -= 1;
            match depth.checked_sub(1).and_then(|parent| ends.get(parent)) {
                Some(&parent) => end = parent,
                None => return Ok(()),
            }
        }
        let rest = frame.get(at..end).ok_or(BerError::Truncated)?;
        let header = Header::read(rest)?.ok_or(BerError::Truncated)?;
        if header.length > rest.len() - header.octets {
            return Err(BerError::Truncated.into());
        }
        at += header.octets;
        if header.tag & CONSTRUCTED == 0 {
            at += header.length;
        } else {
            end = at + header.length;
            *ends.get_mut(depth).filter(|_| depth < deepest).ok_or(FrameError::TooDeep)? = end;
            depth += 1;
        }
    }
}

/// Where the parts of a message lie in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The message id; 0 is an unsolicited notification (RFC 4511 section 4.4).
    pub message_id: u32,
    /// Identifier octet of the operation, see [`op`].
    pub op_tag: u8,
    /// Content of the operation.
    pub op: Range<usize>,
    /// Content of the controls, if any.
    pub controls: Option<Range<usize>>,
    /// Operation and controls with their headers: all but the message id, to be passed on as they are.
    pub tail: Range<usize>,
}

impl Envelope {
    /// Finds the parts of a whole message.
    ///
    /// # Errors
    /// When it is no LDAPMessage.
    pub fn read(frame: &[u8]) -> Result<Self, BerError> {
        let offset = |rest: &[u8]| frame.len() - rest.len();
        let mut outer = Reader::new(frame);
        let mut parts = outer.inside(SEQUENCE)?;
        outer.end()?;
        let message_id = parts.number(INTEGER)?;
        let tail = offset(parts.rest())..frame.len();
        let operation = parts.next()?;
        let end = offset(parts.rest());
        let op = end - operation.value.len()..end;
        let mut controls = None;
        if let Some(value) = parts.optional(CONTROLS)? {
            let end = offset(parts.rest());
            controls = Some(end - value.len()..end);
        }
        if operation.tag == op::EXTENDED_RESPONSE {
            parts.optional(MISPLACED_RESPONSE_NAME)?;
        }
        parts.end()?;
        Ok(Envelope { message_id, op_tag: operation.tag, op, controls, tail })
    }

    /// A reader for the inside of the operation of `frame`, from which this envelope was read.
    pub fn operation<'a>(&self, frame: &'a [u8]) -> Reader<'a> {
        Reader::new(frame.get(self.op.clone()).unwrap_or_default())
    }
}

/// Appends a message whose operation (and controls) `body` writes.
pub fn write_message(out: &mut Vec<u8>, message_id: u32, body: impl FnOnce(&mut Writer<'_>)) {
    Writer::new(out).constructed(SEQUENCE, |message| {
        message.number(INTEGER, message_id);
        body(message);
    });
}

#[cfg(test)]
mod tests;
