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

fn extended_name(frame: &[u8]) -> Option<&[u8]> {
    let envelope = Envelope::read(frame).ok()?;
    read_extended_request(envelope.operation(frame)).ok().map(|(name, _)| name)
}

pub(super) fn is_start_tls(frame: &[u8]) -> bool {
    extended_name(frame) == Some(oid::START_TLS.as_bytes())
}

pub(super) fn is_password_change(frame: &[u8]) -> bool {
    extended_name(frame) == Some(oid::PASSWORD_MODIFY.as_bytes())
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
pub(super) fn is_clear(mechanism: &[u8]) -> bool {
    [&b"PLAIN"[..], b"LOGIN"].iter().any(|clear| mechanism.eq_ignore_ascii_case(clear))
}
