//! The bind operation (RFC 4511 section 4.2): requests written and read, responses believed only when they
//! are the response to that very request. Pure.
//!
//! The rule of this file: [`read_bind_response`] is the one place where octets become "the directory says
//! yes", and it accepts only the right message id, [APPLICATION 1] and an ENUMERATED result.

use std::fmt;

use super::ber::{BerError, INTEGER, OCTET_STRING, Reader};
use super::message::{Envelope, op, write_message};
use super::result::{LdapResult, write_response};

/// The protocol version that we speak.
pub const VERSION: u32 = 3;

/// Context tag of simple authentication.
const SIMPLE: u8 = 0x80;
/// Context tag of SASL authentication.
const SASL: u8 = 0xa3;
/// The bits of an identifier octet that say whose tag it is, and the context's.
const CLASS: u8 = 0xc0;
const CONTEXT: u8 = 0x80;
/// Context tag of a response's referral.
const REFERRAL: u8 = 0xa3;
/// Context tag of a response's SASL credentials.
const SERVER_SASL_CREDS: u8 = 0x87;

/// Why an answer is not the answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// It is no LDAP message, or not one of its kind.
    Malformed(BerError),
    /// It answers another request.
    WrongId {
        /// The message id of the request.
        expected: u32,
        /// The one of the answer.
        found: u32,
    },
    /// It answers another kind of request.
    WrongType {
        /// Identifier octet of its operation.
        found: u8,
    },
    /// The server says that it is about to close the connection (RFC 4511 section 4.4.1).
    Disconnection {
        /// Result code that the notice carries.
        code: u32,
    },
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Malformed(error) => error.fmt(f),
            AnswerError::WrongId { expected, found } => write!(f, "an answer to request {found} instead of {expected}"),
            AnswerError::WrongType { found } => write!(f, "an answer of the wrong type {found:#04x}"),
            AnswerError::Disconnection { code } => write!(f, "the server closes the connection, code {code}"),
        }
    }
}

impl std::error::Error for AnswerError {}

impl From<BerError> for AnswerError {
    fn from(error: BerError) -> Self {
        AnswerError::Malformed(error)
    }
}

/// Reads the envelope of an answer to request `expected`.
///
/// # Errors
/// [`AnswerError`], but [`AnswerError::WrongType`] only for an unsolicited message that is no response.
pub fn read_answer(frame: &[u8], expected: u32) -> Result<Envelope, AnswerError> {
    let envelope = Envelope::read(frame)?;
    if envelope.message_id == expected {
        return Ok(envelope);
    }
    if envelope.message_id == 0 {
        if envelope.op_tag != op::EXTENDED_RESPONSE {
            return Err(AnswerError::WrongType { found: envelope.op_tag });
        }
        let notice = LdapResult::read(&mut envelope.operation(frame))?;
        return Err(AnswerError::Disconnection { code: notice.code });
    }
    Err(AnswerError::WrongId { expected, found: envelope.message_id })
}

/// Appends a BindRequest with a name and a password.
pub fn write_bind_request(out: &mut Vec<u8>, message_id: u32, name: &[u8], password: &[u8]) {
    write_bind_with_controls(out, message_id, (name, password), &[]);
}

/// As [`write_bind_request`], with controls that are encoded already, their header included.
pub fn write_bind_with_controls(out: &mut Vec<u8>, message_id: u32, (name, password): (&[u8], &[u8]), controls: &[u8]) {
    // Room for all of it at once: growing would leave a copy of the password in freed memory.
    out.reserve(name.len() + password.len() + controls.len() + 64);
    write_message(out, message_id, |message| {
        message.constructed(op::BIND_REQUEST, |bind| {
            bind.number(INTEGER, VERSION);
            bind.octets(name);
            bind.value(SIMPLE, password);
        });
        message.raw(controls);
    });
}

/// How a BindRequest authenticates.
#[derive(Clone, Copy)]
pub enum Authentication<'a> {
    /// With a password; empty in an anonymous or unauthenticated bind (RFC 4513 section 5.1).
    Simple(&'a [u8]),
    /// With a SASL mechanism.
    Sasl {
        /// Its name.
        mechanism: &'a [u8],
        /// Its first message, if any.
        credentials: Option<&'a [u8]>,
    },
    /// In a way that RFC 4511 does not know, such as the NTLM of old Windows (MS-ADTS section 5.1.1.1.3).
    Other,
}

/// Shows no password.
impl fmt::Debug for Authentication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authentication::Simple(_) => f.write_str("Simple(..)"),
            Authentication::Sasl { mechanism, .. } => write!(f, "Sasl({:?}, ..)", String::from_utf8_lossy(mechanism)),
            Authentication::Other => f.write_str("Other"),
        }
    }
}

/// A BindRequest as a server sees it.
#[derive(Debug, Clone, Copy)]
pub struct BindRequest<'a> {
    /// Protocol version; anything but [`VERSION`] is to be answered with protocolError.
    pub version: u32,
    /// The name to bind as: a DN, or for AD other forms, too.
    pub name: &'a [u8],
    /// The proof.
    pub authentication: Authentication<'a>,
}

impl<'a> BindRequest<'a> {
    /// Reads the operation of a message with [`op::BIND_REQUEST`].
    ///
    /// # Errors
    /// When it is malformed.
    pub fn read(mut operation: Reader<'a>) -> Result<Self, BerError> {
        let version = operation.number(INTEGER)?;
        let name = operation.value(OCTET_STRING)?;
        let authentication = if operation.peek() == Some(SASL) {
            let mut sasl = operation.inside(SASL)?;
            let mechanism = sasl.value(OCTET_STRING)?;
            let credentials = sasl.optional(OCTET_STRING)?;
            sasl.end()?;
            Authentication::Sasl { mechanism, credentials }
        } else if operation.peek().is_some_and(|tag| tag != SIMPLE && tag & CLASS == CONTEXT) {
            operation.next()?;
            Authentication::Other
        } else {
            Authentication::Simple(operation.value(SIMPLE)?)
        };
        operation.end()?;
        Ok(BindRequest { version, name, authentication })
    }
}

/// Appends a BindResponse.
pub fn write_bind_response(out: &mut Vec<u8>, message_id: u32, code: u32, diagnostic: &str) {
    write_response(out, message_id, op::BIND_RESPONSE, code, "", diagnostic);
}

/// Reads the response to bind request `expected`.
///
/// # Errors
/// When it is anything else.
pub fn read_bind_response(frame: &[u8], expected: u32) -> Result<LdapResult<'_>, AnswerError> {
    let envelope = read_answer(frame, expected)?;
    if envelope.op_tag != op::BIND_RESPONSE {
        return Err(AnswerError::WrongType { found: envelope.op_tag });
    }
    let mut response = envelope.operation(frame);
    let result = LdapResult::read(&mut response)?;
    response.optional(REFERRAL)?;
    response.optional(SERVER_SASL_CREDS)?;
    response.end()?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::result::{code, write_extended_response};

    fn response(message_id: u32, code: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        write_bind_response(&mut frame, message_id, code, "");
        frame
    }

    #[test]
    fn the_response_to_this_request_is_believed() {
        let frame = response(7, code::SUCCESS);
        assert_eq!(frame, b"\x30\x0c\x02\x01\x07\x61\x07\x0a\x01\x00\x04\x00\x04\x00");
        assert_eq!(read_bind_response(&frame, 7).map(|result| result.code), Ok(code::SUCCESS));
    }

    #[test]
    fn a_success_for_another_request_is_not_believed() {
        let outcome = read_bind_response(&response(8, code::SUCCESS), 7).map(|result| result.code);
        assert_eq!(outcome, Err(AnswerError::WrongId { expected: 7, found: 8 }));
    }

    #[test]
    fn a_success_of_another_type_is_not_believed() {
        let good = response(7, code::SUCCESS);
        for tag in 0..=u8::MAX {
            let mut frame = good.clone();
            frame[5] = tag;
            assert_eq!(read_bind_response(&frame, 7).is_ok(), tag == op::BIND_RESPONSE, "{tag:#04x}");
        }
    }

    #[test]
    fn a_result_that_is_no_enumerated_is_not_believed() {
        let good = response(7, code::SUCCESS);
        for tag in 0..=u8::MAX {
            let mut frame = good.clone();
            frame[7] = tag;
            assert_eq!(read_bind_response(&frame, 7).is_ok(), tag == 0x0a, "{tag:#04x}");
        }
    }

    #[test]
    fn no_part_of_a_response_may_be_missing() {
        let good = response(7, code::SUCCESS);
        for length in 0..good.len() {
            assert!(read_bind_response(&good[..length], 7).is_err(), "{length}");
        }
    }

    #[test]
    fn a_notice_of_disconnection_is_told_from_an_answer() {
        let mut frame = Vec::new();
        write_extended_response(&mut frame, 0, (code::UNAVAILABLE, ""), Some("1.3.6.1.4.1.1466.20036"), None);
        let outcome = read_bind_response(&frame, 7).map(|result| result.code);
        assert_eq!(outcome, Err(AnswerError::Disconnection { code: code::UNAVAILABLE }));
        // AD writes the name behind the operation.
        let frame = b"\x30\x16\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00\x8a\x08\x31\x2e\x33\x2e\x36\x2e\x31\x2e";
        let outcome = read_bind_response(frame, 7).map(|result| result.code);
        assert_eq!(outcome, Err(AnswerError::Disconnection { code: code::UNAVAILABLE }));
    }

    #[test]
    fn a_request_is_read_back_as_it_was_written() {
        let mut frame = Vec::new();
        write_bind_request(&mut frame, 300, "CN=Lovelace\\, Ada".as_bytes(), b"p\0\xff");
        let envelope = Envelope::read(&frame).unwrap();
        assert_eq!((envelope.message_id, envelope.op_tag), (300, op::BIND_REQUEST));
        let request = BindRequest::read(envelope.operation(&frame)).unwrap();
        assert_eq!((request.version, request.name), (VERSION, "CN=Lovelace\\, Ada".as_bytes()));
        assert!(matches!(request.authentication, Authentication::Simple(b"p\0\xff")));
    }

    #[test]
    fn debug_of_a_request_shows_no_password() {
        let mut frame = Vec::new();
        write_bind_request(&mut frame, 1, b"cn=x", b"planted");
        let envelope = Envelope::read(&frame).unwrap();
        let shown = format!("{:?}", BindRequest::read(envelope.operation(&frame)).unwrap());
        assert!(shown.contains("Simple(..)") && !shown.contains("planted"));
    }
}
