//! Types of attributes and their values: from text to octets.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Octets,
    /// Exactly so many octets.
    Fixed(u8),
    /// A number of 1, 2, 4 or 8 octets.
    Integer(u8),
    /// A number of 4 octets that may be below zero.
    Signed,
    Ipv4,
    Ipv6,
    /// Either.
    Ip,
    Ipv4Prefix,
    Ipv6Prefix,
    /// 8 octets in four groups.
    InterfaceId,
    /// 6 octets.
    Ethernet,
    Date,
    /// It cannot be written here.
    Other,
}

impl Kind {
    /// By its word in a dictionary's file: of FreeRADIUS 3, and of 4 where that has another one.
    pub(super) fn of(word: &str) -> Option<Kind> {
        Some(match word.to_ascii_lowercase().as_str() {
            "string" => Kind::Text,
            "octets" => Kind::Octets,
            "byte" | "uint8" | "bool" => Kind::Integer(1),
            "short" | "uint16" => Kind::Integer(2),
            "integer" | "uint32" => Kind::Integer(4),
            "integer64" | "uint64" => Kind::Integer(8),
            "signed" | "int32" => Kind::Signed,
            "ipaddr" | "ipv4addr" => Kind::Ipv4,
            "ipv6addr" => Kind::Ipv6,
            "combo-ip" => Kind::Ip,
            "ipv4prefix" => Kind::Ipv4Prefix,
            "ipv6prefix" => Kind::Ipv6Prefix,
            "ifid" => Kind::InterfaceId,
            "ether" => Kind::Ethernet,
            "date" => Kind::Date,
            "tlv" | "vsa" | "evs" | "extended" | "long-extended" | "abinary" | "struct" | "group" | "union"
            | "timeval" | "time_delta" | "int8" | "int16" | "int64" | "float32" | "float64" => Kind::Other,
            sized => match sized.split_once('[')? {
                ("octets" | "string", size) => {
                    Kind::Fixed(size.strip_suffix(']')?.parse().ok().filter(|size| *size > 0)?)
                }
                _ => return None,
            },
        })
    }

    /// What a value may look like; `tagged`: a tag may stand after the name.
    pub(super) fn allowed(self, tagged: bool) -> &'static str {
        match (self, tagged) {
            (Kind::Text, false) => "a text, such as \"staff\"",
            (Kind::Text | Kind::Octets, true) => {
                "a text, such as \"120\"; the tag, 1 to 31, stands after the name: `Name:1`"
            }
            (Kind::Octets, false) => "a text such as \"staff\", or octets in hexadecimal such as 0x0a1b",
            (Kind::Fixed(_), _) => "octets in hexadecimal such as 0x0a1b, exactly as many as the attribute has",
            (Kind::Integer(4), true) => {
                "a number from 0 to 16777215, or one of the value's names; the tag, 1 to 31, stands after the name: `Name:1`"
            }
            (Kind::Integer(1), _) => "a number from 0 to 255, or one of the value's names",
            (Kind::Integer(2), _) => "a number from 0 to 65535, or one of the value's names",
            (Kind::Integer(4), false) => "a number from 0 to 4294967295, or one of the value's names",
            (Kind::Integer(_), _) => "a number from 0 to 18446744073709551615, or one of the value's names",
            (Kind::Signed, _) => "a number from -2147483648 to 2147483647",
            (Kind::Ipv4, _) => "an IPv4 address, such as 192.0.2.7",
            (Kind::Ipv6, _) => "an IPv6 address, such as 2001:db8::7",
            (Kind::Ip, _) => "an address, such as 192.0.2.7 or 2001:db8::7",
            (Kind::Ipv4Prefix, _) => "an IPv4 prefix, such as 192.0.2.0/24",
            (Kind::Ipv6Prefix, _) => "an IPv6 prefix, such as 2001:db8::/32",
            (Kind::InterfaceId, _) => "an interface identifier, such as 0:0:0:1",
            (Kind::Ethernet, _) => "an Ethernet address, such as 00:11:22:33:44:55",
            (Kind::Date, _) => "a time such as 2030-01-31T12:00:00Z, or seconds since 1970",
            (Kind::Other, _) => "nothing: it cannot be written here",
        }
    }

    /// Whether it is text or octets, of which any text can be made.
    pub(super) fn takes_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Octets)
    }

    /// A value without its tag, as people read it; of a tagged number, the first of four octets is the tag.
    pub(super) fn show(self, value: &[u8], tagged: bool, values: &[(Box<str>, u64)]) -> String {
        let number = |octets: &[u8]| octets.iter().fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
        match self {
            Kind::Text => format!("{:?}", String::from_utf8_lossy(value)),
            Kind::Octets if !value.is_empty() && value.iter().all(|octet| (0x20..0x7f).contains(octet)) => {
                format!("{:?}", String::from_utf8_lossy(value))
            }
            Kind::Integer(_) => {
                let number = number(value.get(usize::from(tagged)..).unwrap_or_default());
                let name = values.iter().find(|(_, value)| *value == number).map(|(name, _)| format!(" ({name})"));
                format!("{number}{}", name.unwrap_or_default())
            }
            Kind::Ipv4 | Kind::Ipv6 | Kind::Ip => match (<[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
                (Ok(octets), _) => Ipv4Addr::from(octets).to_string(),
                (_, Ok(octets)) => Ipv6Addr::from(octets).to_string(),
                _ => hex(value),
            },
            _ => hex(value),
        }
    }

    /// The value's octets without a tag; `values`: names of numbers.
    pub(super) fn encode(self, written: &Written<'_>, values: &[(Box<str>, u64)]) -> Option<Vec<u8>> {
        let text = written.text.as_ref();
        match self {
            Kind::Text => Some(text.as_bytes().to_vec()),
            Kind::Octets => match text.strip_prefix("0x").filter(|_| !written.quoted) {
                Some(digits) => hexadecimal(digits),
                None => Some(text.as_bytes().to_vec()),
            },
            Kind::Fixed(size) => {
                hexadecimal(text.strip_prefix("0x")?).filter(|octets| octets.len() == usize::from(size))
            }
            Kind::Integer(size) => {
                let octets = integer(values, text)?.to_be_bytes();
                let (above, value) = octets.split_at_checked(octets.len().checked_sub(usize::from(size))?)?;
                above.iter().all(|octet| *octet == 0).then(|| value.to_vec())
            }
            Kind::Signed => Some(text.parse::<i32>().ok()?.to_be_bytes().to_vec()),
            Kind::Ipv4 => Some(text.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
            Kind::Ipv6 => Some(text.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
            Kind::Ip => Some(match text.parse::<IpAddr>().ok()? {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            }),
            Kind::Ipv4Prefix => {
                let (address, length) = prefix(text, 32)?;
                let address = address.parse::<Ipv4Addr>().ok()?;
                let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                (address.to_bits() & host == 0).then(|| [&[0, length][..], &address.octets()].concat())
            }
            Kind::Ipv6Prefix => {
                let (address, length) = prefix(text, 128)?;
                let address = address.parse::<Ipv6Addr>().ok()?;
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                (address.to_bits() & host == 0).then(|| [&[0, length][..], &address.octets()].concat())
            }
            Kind::InterfaceId => {
                groups::<4>(text, 4).map(|groups| groups.into_iter().flat_map(u16::to_be_bytes).collect())
            }
            Kind::Ethernet => groups::<6>(text, 2)
                .and_then(|groups| groups.into_iter().map(|group| u8::try_from(group).ok()).collect()),
            Kind::Date => {
                let seconds = match text.parse::<u32>() {
                    Ok(seconds) => seconds,
                    Err(_) => u32::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()?,
                };
                Some(seconds.to_be_bytes().to_vec())
            }
            Kind::Other => None,
        }
    }
}

/// A value as written: in quotes it is never read as hexadecimal.
pub(super) struct Written<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) quoted: bool,
}

/// A value without its quotes; nothing where they do not close. `\"` and `\\` stand for themselves.
pub(super) fn unquote(value: &str) -> Option<Written<'_>> {
    let Some(inner) = value.strip_prefix('"') else { return Some(Written { text: value.into(), quoted: false }) };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
    characters.as_str().is_empty().then(|| Written { text: text.into(), quoted: true })
}

fn integer(values: &[(Box<str>, u64)], text: &str) -> Option<u64> {
    if let Some((_, value)) = values.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(*value);
    }
    number(text)
}

/// A number as dictionaries write it: decimal, or hexadecimal behind `0x`.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        _ if text.bytes().all(|digit| digit.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold("0x".to_owned(), |text, octet| format!("{text}{octet:02x}"))
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let octets = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { octets.collect() } else { None }
}

fn prefix(text: &str, most: u8) -> Option<(&str, u8)> {
    let (address, length) = text.split_once('/')?;
    Some((address, u8::try_from(number(length)?).ok().filter(|length| *length <= most)?))
}

/// So many groups of hexadecimal digits, at most `digits` each.
fn groups<const N: usize>(text: &str, digits: usize) -> Option<[u16; N]> {
    let group = |group: &str| {
        let fine = (1..=digits).contains(&group.len()) && group.bytes().all(|digit| digit.is_ascii_hexdigit());
        fine.then(|| u16::from_str_radix(group, 16).ok()).flatten()
    };
    text.split([':', '-']).map(group).collect::<Option<Vec<u16>>>()?.try_into().ok()
}
