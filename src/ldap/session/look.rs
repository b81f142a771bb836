//! What can be seen of a request without taking it apart. Pure.

use crate::ldap::ber::{ENUMERATED, Element, OCTET_STRING, Reader};
use crate::ldap::message::{Envelope, Head, op};
use crate::ldap::result::{oid, read_extended_request};
use crate::ldap::search::ReceivedSearch;

/// The response to a request, by their identifier octets. `None`: it has none, or is no request.
pub(super) fn response_tag(tag: u8) -> Option<u8> {
    match tag {
        op::SEARCH_REQUEST => Some(op::SEARCH_DONE),
        op::DELETE_REQUEST => Some(op::DELETE_RESPONSE),
        op::BIND_REQUEST
        | op::MODIFY_REQUEST
        | op::ADD_REQUEST
        | op::MODIFY_DN_REQUEST
        | op::COMPARE_REQUEST
        | op::EXTENDED_REQUEST => Some(tag + 1),
        _ => None,
    }
}

fn operation<'a>(frame: &'a [u8], head: &Head) -> Option<Reader<'a>> {
    let mut parts = Reader::new(frame.get(head.start..)?);
    parts.next().ok()?;
    parts.next().ok().map(Element::inside)
}

/// The message id that an AbandonRequest names.
pub(super) fn abandoned(frame: &[u8]) -> Option<u32> {
    let envelope = Envelope::read(frame).ok()?;
    let digits = frame.get(envelope.op)?;
    (!digits.is_empty() && digits.len() <= 4).then(|| digits.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)))
}

/// The name alone: whatever stands behind it, a lax directory may take the request for what its name says.
fn extended_name(frame: &[u8]) -> Option<&[u8]> {
    let envelope = Envelope::read(frame).ok()?;
    envelope.operation(frame).value(0x80).ok()
}

pub(super) fn is_start_tls(frame: &[u8]) -> bool {
    extended_name(frame) == Some(oid::START_TLS.as_bytes())
}

/// Whether an extended request is its name and nothing else.
pub(super) fn is_bare(frame: &[u8]) -> bool {
    Envelope::read(frame)
        .and_then(|envelope| read_extended_request(envelope.operation(frame)))
        .is_ok_and(|(_, value)| value.is_none())
}

/// Extended requests that tell nobody anything who has not bound: Who am I, Cancel, and fast binds, which Active Directory
/// takes before any bind only. Others may, as a change of a password tells whether the old one is right.
pub(super) fn is_harmless(frame: &[u8]) -> bool {
    [oid::WHO_AM_I, oid::CANCEL, oid::FAST_BIND].iter().any(|name| extended_name(frame) == Some(name.as_bytes()))
}

/// A search for the entry that tells about the server: base "", scope base (RFC 4512 section 5.1).
pub(super) fn is_root_search(frame: &[u8], head: &Head) -> bool {
    if head.op_tag != op::SEARCH_REQUEST {
        return false;
    }
    let Some(mut search) = operation(frame, head) else { return false };
    search.value(OCTET_STRING) == Ok(&[]) && search.number(ENUMERATED) == Ok(0)
}

/// Whether a search asks for supportedExtension, or for all operational attributes (RFC 3673).
pub(super) fn wants_extensions(frame: &[u8], head: &Head) -> bool {
    let wanted = |attribute: &str| attribute == "+" || attribute.eq_ignore_ascii_case("supportedExtension");
    operation(frame, head)
        .and_then(|operation| ReceivedSearch::read(operation).ok())
        .is_some_and(|search| !search.types_only && search.attributes().any(wanted))
}

/// Mechanisms that send the password as it is.
pub(in crate::ldap) fn is_clear(mechanism: &[u8]) -> bool {
    [&b"PLAIN"[..], b"LOGIN"].iter().any(|clear| mechanism.eq_ignore_ascii_case(clear))
}
