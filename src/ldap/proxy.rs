//! The header by which a balancer tells where a connection comes from: PROXY protocol, version 2. Pure.
//!
//! It is believed from the balancers that the configuration names, and required of them. Version 1, a line of
//! text, is refused: it is easily mistaken for something else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the part that every header has.
pub const START: usize = 16;

/// Longest rest of a header that is read, in octets: addresses and what balancers add about TLS.
pub const LONGEST_REST: usize = 2048;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What stands in the start of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    family: Family,
    /// Octets that follow.
    pub rest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// The balancer's own connection, such as a health check.
    Own,
    V4,
    V6,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// It does not start as version 2 does.
    NotOne,
    /// Its command or its version is unknown.
    Unknown,
    /// It speaks of something else than TCP.
    NotTcp,
    /// More than [`LONGEST_REST`] octets.
    TooLong,
    /// Too short for its addresses.
    TooShort,
}

/// Reads the start.
///
/// # Errors
/// [`BadHeader`].
pub fn start(octets: &[u8; START]) -> Result<Start, BadHeader> {
    let (signature, [command, family, high, low]) = octets.split_first_chunk::<12>().ok_or(BadHeader::NotOne)? else {
        return Err(BadHeader::NotOne);
    };
    if signature != SIGNATURE {
        return Err(BadHeader::NotOne);
    }
    let family = match (command, family) {
        (0x20, _) => Family::Own,
        (0x21, 0x11) => Family::V4,
        (0x21, 0x21) => Family::V6,
        (0x21, _) => return Err(BadHeader::NotTcp),
        _ => return Err(BadHeader::Unknown),
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > LONGEST_REST { Err(BadHeader::TooLong) } else { Ok(Start { family, rest }) }
}

/// Reads the address of the connection's far end; `None`: it is the balancer's own.
///
/// # Errors
/// [`BadHeader::TooShort`].
pub fn source(start: Start, rest: &[u8]) -> Result<Option<IpAddr>, BadHeader> {
    match start.family {
        Family::Own => Ok(None),
        Family::V4 => {
            let ([a, b, c, d], _) = rest.split_first_chunk::<4>().ok_or(BadHeader::TooShort)?;
            if rest.len() < 12 { Err(BadHeader::TooShort) } else { Ok(Some(Ipv4Addr::new(*a, *b, *c, *d).into())) }
        }
        Family::V6 => {
            let (octets, _) = rest.split_first_chunk::<16>().ok_or(BadHeader::TooShort)?;
            if rest.len() < 36 { Err(BadHeader::TooShort) } else { Ok(Some(Ipv6Addr::from(*octets).into())) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> ([u8; START], Vec<u8>) {
        let mut octets = [0; START];
        octets[..12].copy_from_slice(SIGNATURE);
        octets[12] = command;
        octets[13] = family;
        octets[14..].copy_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        (octets, rest.to_vec())
    }

    fn read((octets, rest): ([u8; START], Vec<u8>)) -> Result<Option<IpAddr>, BadHeader> {
        let start = start(&octets)?;
        assert_eq!(start.rest, rest.len());
        source(start, &rest)
    }

    #[test]
    fn the_far_end_is_told() {
        let v4 = header(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0, 0x01, 0x85, 0x20, 0, 0]);
        assert_eq!(read(v4), Ok(Some("192.0.2.7".parse().unwrap())));
        let mut rest = [0; 36];
        rest[15] = 1;
        assert_eq!(read(header(0x21, 0x21, &rest)), Ok(Some("::1".parse().unwrap())));
        assert_eq!(read(header(0x20, 0, &[])), Ok(None));
    }

    #[test]
    fn what_is_no_such_header_is_refused() {
        assert_eq!(read(header(0x21, 0x11, &[1, 2, 3, 4])), Err(BadHeader::TooShort));
        assert_eq!(read(header(0x21, 0x12, &[0; 12])), Err(BadHeader::NotTcp));
        assert_eq!(read(header(0x22, 0x11, &[0; 12])), Err(BadHeader::Unknown));
        assert_eq!(start(b"PROXY TCP4 192.0"), Err(BadHeader::NotOne));
        assert_eq!(start(&header(0x21, 0x11, &[0; LONGEST_REST + 1]).0), Err(BadHeader::TooLong));
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in any::<[u8; START]>(), command in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = start(&octets);
            if let Ok(start) = start(&header(command, octets[13], &rest).0) {
                let _ = source(start, &rest);
            }
        }
    }
}
