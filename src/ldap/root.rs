//! The rootDSE as it is true through the proxy: SASL mechanisms and StartTLS as we offer them, everything else
//! octet for octet as the directory says (RFC 4512 section 5.1). Pure.

use super::ber::{BerError, OCTET_STRING, Reader, SEQUENCE, SET, Writer};
use super::message::Envelope;
use super::message::op;
use super::result::oid;
use super::session::{Offers, is_clear};

const SASL: &[u8] = b"supportedSASLMechanisms";
const EXTENSIONS: &[u8] = b"supportedExtension";

/// The entry as the client is to see it; `None` when nothing is to be changed.
///
/// # Errors
/// When it is no entry.
pub fn edited(frame: &[u8], offers: Offers) -> Result<Option<Vec<u8>>, BerError> {
    let envelope = Envelope::read(frame)?;
    let mut entry = envelope.operation(frame);
    let name = entry.value(OCTET_STRING)?;
    let mut attributes = entry.inside(SEQUENCE)?;
    entry.end()?;
    let mut list = Vec::with_capacity(frame.len());
    let mut changed = false;
    let mut told = false;
    while !attributes.is_empty() {
        let before = attributes.rest();
        let mut attribute = attributes.inside(SEQUENCE)?;
        let raw = before.get(..before.len() - attributes.rest().len()).unwrap_or_default();
        let description = attribute.value(OCTET_STRING)?;
        let values = attribute.inside(SET)?;
        attribute.end()?;
        let kept = if description.eq_ignore_ascii_case(SASL) {
            let is_taken = |mechanism: &[u8]| {
                let passes = !mechanism.eq_ignore_ascii_case(b"EXTERNAL");
                offers.sasl && passes && (offers.sasl_clear || !is_clear(mechanism))
            };
            keep(values, None, is_taken)?
        } else if description.eq_ignore_ascii_case(EXTENSIONS) && !values.is_empty() {
            told = true;
            let add = offers.start_tls.then_some(oid::START_TLS.as_bytes());
            keep(values, add, |extension| offers.start_tls || extension != oid::START_TLS.as_bytes())?
        } else {
            None
        };
        let Some(kept) = kept else {
            list.extend_from_slice(raw);
            continue;
        };
        changed = true;
        if !kept.is_empty() {
            Writer::new(&mut list).constructed(SEQUENCE, |attribute| {
                attribute.octets(description);
                attribute.value(SET, &kept);
            });
        }
    }
    if !told && offers.extensions && offers.start_tls {
        changed = true;
        Writer::new(&mut list).constructed(SEQUENCE, |attribute| {
            attribute.octets(EXTENSIONS);
            attribute.constructed(SET, |values| values.octets(oid::START_TLS.as_bytes()));
        });
    }
    if !changed {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(frame.len() + 64);
    Writer::new(&mut out).constructed(SEQUENCE, |message| {
        message.number(super::ber::INTEGER, envelope.message_id);
        message.constructed(op::SEARCH_ENTRY, |entry| {
            entry.octets(name);
            entry.value(SEQUENCE, &list);
        });
        let controls = frame.get(envelope.op.end..).unwrap_or_default();
        message.raw(controls);
    });
    Ok(Some(out))
}

/// The values that stay, and one that must be there; `None` when that is what there is.
fn keep(values: Reader<'_>, add: Option<&[u8]>, stays: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>, BerError> {
    let mut kept = Vec::new();
    let (mut missing, mut dropped) = (add, false);
    let mut rest = values;
    while !rest.is_empty() {
        let value = rest.value(OCTET_STRING)?;
        if stays(value) {
            Writer::new(&mut kept).octets(value);
        } else {
            dropped = true;
        }
        missing = missing.filter(|missing| *missing != value);
    }
    if let Some(missing) = missing {
        Writer::new(&mut kept).octets(missing);
    }
    Ok((dropped || missing.is_some()).then_some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::message::{LARGE_FRAME, next_frame};
    use crate::ldap::search::{Entry, write_entry};

    const OURS: Offers = Offers { start_tls: true, sasl: false, sasl_clear: true, extensions: false };

    const RELAYED: Offers = Offers { sasl: true, ..OURS };

    #[test]
    fn start_tls_is_told_by_name_where_the_directory_has_no_extensions() {
        let frame = entry(&[("vendorName", &["x"])]);
        assert_eq!(edited(&frame, OURS), Ok(None));
        let told = edited(&frame, Offers { extensions: true, ..OURS }).unwrap().unwrap();
        assert_eq!(read(&told)[1], ("supportedExtension".to_owned(), vec![oid::START_TLS.to_owned()]));
    }

    fn entry(attributes: &[(&str, &[&str])]) -> Vec<u8> {
        let mut out = Vec::new();
        write_entry(&mut out, 7, "", attributes.iter().map(|(name, values)| (*name, *values)));
        out
    }

    fn read(frame: &[u8]) -> Vec<(String, Vec<String>)> {
        let whole = next_frame(&mut frame.into(), LARGE_FRAME).unwrap().unwrap();
        assert_eq!(whole.len(), frame.len());
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let entry = Entry::read(Envelope::read(frame).unwrap().operation(frame)).unwrap();
        entry.attributes().map(|(name, values)| (text(name), values.map(text).collect())).collect()
    }

    #[test]
    fn what_is_true_already_stays_octet_for_octet() {
        let plain = entry(&[("namingContexts", &["dc=x"]), ("supportedExtension", &["1.2", oid::START_TLS])]);
        assert_eq!(edited(&plain, OURS), Ok(None));
        let none = entry(&[("supportedExtension", &["1.2"])]);
        assert_eq!(edited(&none, Offers { start_tls: false, extensions: true, ..RELAYED }), Ok(None));
    }

    #[test]
    fn sasl_mechanisms_that_are_refused_are_not_shown() {
        let frame = entry(&[("supportedSASLMechanisms", &["GSSAPI", "EXTERNAL"]), ("vendorName", &["x"])]);
        let shown = edited(&frame, OURS).unwrap().unwrap();
        assert_eq!(read(&shown), [("vendorName".to_owned(), vec!["x".to_owned()])]);
        let relayed = edited(&frame, Offers { start_tls: false, ..RELAYED }).unwrap().unwrap();
        assert_eq!(read(&relayed)[0].1, ["GSSAPI"]);
        // Before StartTLS a bind with a password in the clear would be refused.
        let frame = entry(&[("supportedSASLMechanisms", &["plain", "GSSAPI", "LOGIN"])]);
        let unprotected = edited(&frame, Offers { sasl_clear: false, ..RELAYED }).unwrap().unwrap();
        assert_eq!(read(&unprotected)[0].1, ["GSSAPI"]);
        assert_eq!(edited(&frame, RELAYED), Ok(None));
    }

    #[test]
    fn start_tls_is_shown_where_it_is_offered_and_only_there() {
        let without = entry(&[("supportedExtension", &["1.2"])]);
        assert_eq!(read(&edited(&without, OURS).unwrap().unwrap())[0].1, ["1.2", oid::START_TLS]);
        let with = entry(&[("supportedextension", &[oid::START_TLS, "1.2"])]);
        let hidden = edited(&with, Offers { start_tls: false, ..OURS }).unwrap().unwrap();
        assert_eq!(read(&hidden), [("supportedextension".to_owned(), vec!["1.2".to_owned()])]);
    }

    #[test]
    fn names_without_values_stay() {
        let frame = entry(&[("supportedExtension", &[]), ("supportedSASLMechanisms", &[])]);
        assert_eq!(edited(&frame, OURS), Ok(None));
    }

    #[test]
    fn controls_and_message_id_stay() {
        let mut frame = entry(&[("supportedSASLMechanisms", &["PLAIN"])]);
        let controls = b"\xa0\x05\x30\x03\x04\x01x";
        frame.extend(controls);
        frame[1] += u8::try_from(controls.len()).unwrap();
        let shown = edited(&frame, OURS).unwrap().unwrap();
        assert!(shown.ends_with(controls));
        assert_eq!(Envelope::read(&shown).unwrap().message_id, 7);
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        let whole = entry(&[("supportedExtension", &["1.2"])]);
        for length in 0..whole.len() {
            assert!(edited(&whole[..length], OURS).is_err(), "{length}");
        }
    }
}
