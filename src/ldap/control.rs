//! Controls (RFC 4511 section 4.1.11) that the import sends and reads: paged results (RFC 2696) and
//! Active Directory's DirSync (MS-ADTS section 3.1.1.3.4.1.3) among them. Pure.

use super::ber::{BOOLEAN, BerError, INTEGER, OCTET_STRING, Reader, SEQUENCE, Writer};
use super::message::{CONTROLS, Envelope};

/// Object identifiers of controls.
pub mod oid {
    /// Simple paged results (RFC 2696).
    pub const PAGED: &str = "1.2.840.113556.1.4.319";
    /// Active Directory: what has changed since a cookie.
    pub const DIRSYNC: &str = "1.2.840.113556.1.4.841";
    /// Active Directory: deleted objects, too.
    pub const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
    /// Active Directory: no references to other domains.
    pub const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
}

/// DirSync flag: only what the account may read, and no further right is needed.
pub const OBJECT_SECURITY: u32 = 1;

/// A control of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its object identifier.
    pub oid: &'static str,
    /// Whether the server must refuse the request if it does not know it.
    pub critical: bool,
    /// Its value in BER, if it has one.
    pub value: Option<Vec<u8>>,
}

impl Control {
    /// A control without a value that the server may ignore.
    pub fn plain(oid: &'static str) -> Self {
        Control { oid, critical: false, value: None }
    }

    /// Asks for the next `size` entries behind `cookie`; an empty cookie asks for the first.
    pub fn paged(size: u32, cookie: &[u8]) -> Self {
        let mut value = Vec::with_capacity(cookie.len() + 16);
        Writer::new(&mut value).constructed(SEQUENCE, |inside| {
            inside.number(INTEGER, size);
            inside.octets(cookie);
        });
        Control { oid: oid::PAGED, critical: true, value: Some(value) }
    }

    /// Asks for what has changed since `cookie`, about `octets` at a time; an empty cookie asks for everything.
    pub fn dirsync(flags: u32, octets: u32, cookie: &[u8]) -> Self {
        let mut value = Vec::with_capacity(cookie.len() + 24);
        Writer::new(&mut value).constructed(SEQUENCE, |inside| {
            inside.number(INTEGER, flags);
            inside.number(INTEGER, octets);
            inside.octets(cookie);
        });
        Control { oid: oid::DIRSYNC, critical: true, value: Some(value) }
    }
}

/// Appends a message's controls, or nothing where there are none.
pub fn write_controls(message: &mut Writer<'_>, controls: &[Control]) {
    if controls.is_empty() {
        return;
    }
    message.constructed(CONTROLS, |list| {
        for control in controls {
            list.constructed(SEQUENCE, |inside| {
                inside.octets(control.oid.as_bytes());
                if control.critical {
                    inside.boolean(BOOLEAN, true);
                }
                if let Some(value) = &control.value {
                    inside.octets(value);
                }
            });
        }
    });
}

/// The value of the control `oid` of a message; `None` where the message does not carry it.
///
/// # Errors
/// When the controls are malformed.
pub fn find_control<'a>(frame: &'a [u8], envelope: &Envelope, oid: &str) -> Result<Option<&'a [u8]>, BerError> {
    let Some(range) = envelope.controls.clone() else { return Ok(None) };
    let mut list = Reader::new(frame.get(range).unwrap_or_default());
    while !list.is_empty() {
        let mut control = list.inside(SEQUENCE)?;
        let found = control.value(OCTET_STRING)?;
        if control.peek() == Some(BOOLEAN) {
            control.boolean(BOOLEAN)?;
        }
        let value = control.optional(OCTET_STRING)?;
        control.end()?;
        if found == oid.as_bytes() {
            return Ok(Some(value.unwrap_or_default()));
        }
    }
    Ok(None)
}

/// Of a paged answer (RFC 2696): how many entries the server believes there are in all, where it says so at all (0: it
/// does not), and the cookie, empty at the last page.
///
/// # Errors
/// When the value is malformed.
pub fn read_paged(value: &[u8]) -> Result<(u32, &[u8]), BerError> {
    let mut outer = Reader::new(value);
    let mut inside = outer.inside(SEQUENCE)?;
    // Servers use it as they like: what is no count is none.
    let estimate = match inside.value(INTEGER)? {
        octets @ [0..=0x7f, ..] if octets.len() <= 4 => {
            octets.iter().fold(0, |count, octet| count << 8 | u32::from(*octet))
        }
        _ => 0,
    };
    let cookie = inside.value(OCTET_STRING)?;
    inside.end()?;
    outer.end()?;
    Ok((estimate, cookie))
}

/// The size and the cookie that a paged request asks with: what a server reads.
///
/// # Errors
/// When the value is malformed.
pub fn read_paged_request(value: &[u8]) -> Result<(u32, &[u8]), BerError> {
    let mut inside = Reader::new(value).inside(SEQUENCE)?;
    let size = inside.number(INTEGER)?;
    let cookie = inside.value(OCTET_STRING)?;
    inside.end()?;
    Ok((size, cookie))
}

/// Whether there is more, and the cookie to ask for it with.
///
/// # Errors
/// When the value is malformed.
pub fn read_dirsync(value: &[u8]) -> Result<(bool, &[u8]), BerError> {
    let mut outer = Reader::new(value);
    let mut inside = outer.inside(SEQUENCE)?;
    let more = inside.value(INTEGER)?.iter().any(|&octet| octet != 0);
    inside.value(INTEGER)?;
    let cookie = inside.value(OCTET_STRING)?;
    inside.end()?;
    outer.end()?;
    Ok((more, cookie))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::message::{op, write_message};

    fn message(controls: &[Control]) -> Vec<u8> {
        let mut frame = Vec::new();
        write_message(&mut frame, 7, |message| {
            message.constructed(op::SEARCH_DONE, |_| ());
            write_controls(message, controls);
        });
        frame
    }

    #[test]
    fn a_control_is_found_among_others() {
        let frame = message(&[
            Control::plain(oid::DOMAIN_SCOPE),
            Control::dirsync(OBJECT_SECURITY, 1 << 20, b"since"),
            Control::paged(500, b"next"),
        ]);
        let envelope = Envelope::read(&frame).unwrap();
        let paged = find_control(&frame, &envelope, oid::PAGED).unwrap().unwrap();
        assert_eq!(read_paged(paged), Ok((500, &b"next"[..])));
        assert_eq!(read_paged_request(paged), Ok((500, &b"next"[..])));
        let dirsync = find_control(&frame, &envelope, oid::DIRSYNC).unwrap().unwrap();
        assert_eq!(read_dirsync(dirsync), Ok((true, &b"since"[..])));
        assert_eq!(find_control(&frame, &envelope, oid::DOMAIN_SCOPE), Ok(Some(&b""[..])));
        assert_eq!(find_control(&frame, &envelope, oid::SHOW_DELETED), Ok(None));
    }

    #[test]
    fn an_estimate_that_is_no_count_is_none() {
        let value = |size: &[u8]| {
            let length = u8::try_from(size.len()).unwrap();
            [&[0x30, 4 + length, 2, length], size, &[4, 0]].concat()
        };
        for (size, expected) in [(&[3, 13, 64][..], 200_000), (&[0xff], 0), (&[0], 0), (&[1, 0, 0, 0, 0], 0), (&[], 0)]
        {
            assert_eq!(read_paged(&value(size)), Ok((expected, &b""[..])), "{size:?}");
        }
    }

    #[test]
    fn a_message_without_controls_has_none() {
        let frame = message(&[]);
        let envelope = Envelope::read(&frame).unwrap();
        assert_eq!(envelope.controls, None);
        assert_eq!(find_control(&frame, &envelope, oid::PAGED), Ok(None));
    }

    #[test]
    fn no_part_of_a_value_may_be_missing() {
        let whole = Control::paged(1000, b"cookie").value.unwrap();
        for length in 0..whole.len() {
            assert!(read_paged(&whole[..length]).is_err(), "{length}");
        }
        assert!(read_dirsync(&whole).is_err(), "a paged value is no DirSync value");
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(read_paged(&longer), Err(BerError::Trailing));
    }

    #[test]
    fn the_last_round_of_dirsync_says_so() {
        let last = Control::dirsync(0, 0, b"here").value.unwrap();
        assert_eq!(read_dirsync(&last), Ok((false, &b"here"[..])));
    }
}
