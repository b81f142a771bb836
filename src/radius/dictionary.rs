//! Names, types and values of attributes, for the configuration.
//!
//! `Filter-Id = "staff"`, `Service-Type = Framed-User`, `Tunnel-Type:1 = VLAN`: parsed once, when the
//! configuration is read, into octets that are ready for the wire. What must not be configured is refused
//! with the reason; a name that is not known comes back with the nearest one that is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::attribute::{AddressForm, VENDOR_SPECIFIC, join_vendor};
use super::packet::MAX_VALUE;
use crate::config::{PersonAddress, ReplyAttribute};

use table::{Named, TABLE};

mod table;

/// The type of an attribute, and whether a reply may be configured to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Text that a request may have and a reply not.
    RequestText,
    Octets,
    Integer,
    Ipv4,
    Ipv6,
    Date,
    /// An integer of 3 octets after a tag (RFC 2868).
    TaggedInteger,
    /// Text after an optional tag (RFC 2868).
    TaggedText,
    /// Not to be configured, for this reason.
    Refused(&'static str),
}

impl Kind {
    /// What a value may look like.
    fn allowed(self) -> &'static str {
        match self {
            Kind::Text | Kind::RequestText => "a text, such as \"staff\"",
            Kind::TaggedText => "a text, such as \"120\"; the tag, 1 to 31, stands after the name: `Name:1`",
            Kind::Octets => "a text such as \"staff\", or octets in hexadecimal such as 0x0a1b",
            Kind::Integer => "a number from 0 to 4294967295, or one of the value's names",
            Kind::TaggedInteger => {
                "a number from 0 to 16777215, or one of the value's names; the tag, 1 to 31, stands after the name: `Name:1`"
            }
            Kind::Ipv4 => "an IPv4 address, such as 192.0.2.7",
            Kind::Ipv6 => "an IPv6 address, such as 2001:db8::7",
            Kind::Date => "a time such as 2030-01-31T12:00:00Z, or seconds since 1970",
            Kind::Refused(why) => why,
        }
    }
}

/// Why a configured attribute is refused. The texts are for the person who writes the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DictionaryError {
    /// There is no `=` between name and value.
    NoEquals,
    /// The name is not known.
    UnknownName {
        /// As written.
        name: String,
        /// The known name that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// The attribute must not be configured here.
    Refused {
        /// Its name.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The value does not have the attribute's type.
    WrongValue {
        /// The attribute's name.
        name: &'static str,
        /// What would be allowed.
        allowed: &'static str,
        /// Names that the value may have, if any.
        names: Vec<&'static str>,
    },
    /// The value is empty or too long.
    WrongLength {
        /// The attribute's name.
        name: &'static str,
        /// Octets of the value.
        have: usize,
        /// The most that are allowed.
        most: usize,
    },
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DictionaryError::NoEquals => f.write_str("write it as `Name = value`, such as `Filter-Id = \"staff\"`"),
            DictionaryError::UnknownName { name, nearest: None } => write!(f, "no attribute is called {name:?}"),
            DictionaryError::UnknownName { name, nearest: Some(nearest) } => {
                write!(f, "no attribute is called {name:?}; did you mean {nearest}?")
            }
            DictionaryError::Refused { name, why } => write!(f, "{name} cannot be configured: {why}"),
            DictionaryError::WrongValue { name, allowed, names } if names.is_empty() => {
                write!(f, "the value of {name} must be {allowed}")
            }
            DictionaryError::WrongValue { name, allowed, names } => {
                write!(f, "the value of {name} must be {allowed} ({})", names.join(", "))
            }
            DictionaryError::WrongLength { name, have, most } => {
                write!(f, "the value of {name} must have 1 to {most} octets, not {have}")
            }
        }
    }
}

impl std::error::Error for DictionaryError {}

/// Parses a reply attribute written as `Name = value`.
///
/// # Errors
/// [`DictionaryError`].
pub fn parse_reply_attribute(line: &str) -> Result<ReplyAttribute, DictionaryError> {
    let (name, value) = line.split_once('=').ok_or(DictionaryError::NoEquals)?;
    reply_attribute(name.trim(), value.trim())
}

/// Encodes a reply attribute from its name, with `:tag` where it takes one, and its value, which may stand
/// in quotes.
///
/// # Errors
/// [`DictionaryError`].
pub fn reply_attribute(name: &str, value: &str) -> Result<ReplyAttribute, DictionaryError> {
    let (bare, tag) = match name.split_once(':') {
        Some((bare, tag)) => (bare.trim_end(), Some(tag.trim())),
        None => (name, None),
    };
    let named = find(bare)?;
    match named.kind {
        Kind::Refused(why) => return Err(DictionaryError::Refused { name: named.name, why }),
        Kind::RequestText => {
            return Err(DictionaryError::Refused {
                name: named.name,
                why: "it belongs into requests, not into replies",
            });
        }
        _ => {}
    }
    let wrong = || DictionaryError::WrongValue {
        name: named.name,
        allowed: named.kind.allowed(),
        names: named.values.iter().map(|(name, _)| *name).collect(),
    };
    let tag = match tag {
        None => None,
        Some(tag) if matches!(named.kind, Kind::TaggedInteger | Kind::TaggedText) => {
            Some(tag.parse().ok().filter(|tag| (1..=31).contains(tag)).ok_or_else(wrong)?)
        }
        Some(_) => return Err(DictionaryError::UnknownName { name: name.into(), nearest: Some(named.name) }),
    };
    let value = encode(named, tag, &unquote(value).ok_or_else(wrong)?).ok_or_else(wrong)?;
    let (have, most) = (value.len(), if named.vendor.is_some() { MAX_VALUE - 6 } else { MAX_VALUE });
    if have == 0 || have > most {
        return Err(DictionaryError::WrongLength { name: named.name, have, most });
    }
    match named.vendor {
        None => Ok(ReplyAttribute { number: named.number, value }),
        Some(vendor) => join_vendor(vendor, named.number, &value)
            .map(|value| ReplyAttribute { number: VENDOR_SPECIFIC, value })
            .map_err(|_| DictionaryError::WrongLength { name: named.name, have, most }),
    }
}

/// The attribute of requests that holds the address of the person's device, by name.
///
/// # Errors
/// [`DictionaryError`] when the name is not known or the attribute cannot hold an address.
pub fn person_address_attribute(name: &str) -> Result<PersonAddress, DictionaryError> {
    let named = find(name)?;
    let place = PersonAddress { vendor: named.vendor, number: named.number };
    let addresses = [Kind::Ipv4, Kind::Ipv6, Kind::RequestText].contains(&named.kind)
        || place.vendor.is_none() && place.number == super::attribute::TUNNEL_CLIENT_ENDPOINT;
    if addresses {
        Ok(place)
    } else {
        let why = "it does not hold the address of the person's device; Calling-Station-Id often does";
        Err(DictionaryError::Refused { name: named.name, why })
    }
}

/// The place of an attribute that a reply may have, by name.
///
/// # Errors
/// [`DictionaryError`] when the name is not known, or is one of those that belong into requests or are made here.
pub fn attribute_place(name: &str) -> Result<PersonAddress, DictionaryError> {
    let named = find(name)?;
    match named.kind {
        Kind::Refused(why) if !table::is_encrypted(named) => Err(DictionaryError::Refused { name: named.name, why }),
        _ => Ok(PersonAddress { vendor: named.vendor, number: named.number }),
    }
}

/// How an attribute writes an address.
pub fn address_form(place: PersonAddress) -> AddressForm {
    let named = TABLE.iter().find(|named| named.vendor == place.vendor && named.number == place.number);
    match named.map(|named| named.kind) {
        Some(Kind::Ipv4 | Kind::Ipv6) => AddressForm::Binary,
        Some(Kind::TaggedText) => AddressForm::TaggedText,
        _ => AddressForm::Text,
    }
}

fn find(name: &str) -> Result<&'static Named, DictionaryError> {
    TABLE
        .iter()
        .find(|named| named.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| DictionaryError::UnknownName { name: name.into(), nearest: nearest(name) })
}

/// A value without its quotes; nothing where they do not close. `\"` and `\\` stand for themselves.
fn unquote(value: &str) -> Option<Written<'_>> {
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

/// A value as written: in quotes it is never read as hexadecimal.
struct Written<'a> {
    text: std::borrow::Cow<'a, str>,
    quoted: bool,
}

fn encode(named: &Named, tag: Option<u8>, written: &Written<'_>) -> Option<Vec<u8>> {
    let text = written.text.as_ref();
    match named.kind {
        Kind::Text | Kind::RequestText => Some(text.as_bytes().to_vec()),
        Kind::TaggedText => {
            // Without a tag, a first octet up to 0x1f would be taken for one (RFC 2868 section 3.3).
            let untagged = tag.is_none() && text.as_bytes().first().is_some_and(|first| *first <= 0x1f);
            (!untagged).then(|| tag.into_iter().chain(text.bytes()).collect())
        }
        Kind::Octets => match text.strip_prefix("0x").filter(|_| !written.quoted) {
            Some(digits) => hexadecimal(digits),
            None => Some(text.as_bytes().to_vec()),
        },
        Kind::Integer => Some(integer(named, text)?.to_be_bytes().to_vec()),
        Kind::TaggedInteger => {
            let [0, high, middle, low] = integer(named, text)?.to_be_bytes() else { return None };
            Some(vec![tag.unwrap_or(0), high, middle, low])
        }
        Kind::Ipv4 => Some(text.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        Kind::Ipv6 => Some(text.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        Kind::Date => {
            let seconds = match text.parse::<u32>() {
                Ok(seconds) => seconds,
                Err(_) => u32::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()?,
            };
            Some(seconds.to_be_bytes().to_vec())
        }
        Kind::Refused(_) => None,
    }
}

fn integer(named: &Named, text: &str) -> Option<u32> {
    if let Some((_, value)) = named.values.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(*value);
    }
    match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        _ if text.bytes().all(|digit| digit.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let octets = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { octets.collect() } else { None }
}

/// The known name with the smallest edit distance, if that is small.
fn nearest(name: &str) -> Option<&'static str> {
    let (distance, nearest) =
        TABLE.iter().map(|named| (distance(name, named.name), named.name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 3.max(name.len() / 3)).then_some(nearest)
}

/// Levenshtein distance without regard to ASCII case.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().take(64).enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (place, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let change = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *place;
            *place = change.min(diagonal + 1).min(before + 1);
            before = *place;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
