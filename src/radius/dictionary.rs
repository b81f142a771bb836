//! Names, types and values of attributes, for the configuration.
//!
//! `Filter-Id = "staff"`, `Service-Type = Framed-User`, `Tunnel-Type:1 = VLAN`: parsed once, when the
//! configuration is read, into octets that are ready for the wire. What must not be configured is refused
//! with the reason; a name that is not known comes back with the nearest one that is.
//!
//! The RFCs' attributes and the common vendors' ship ([`shipped`]); more come from files ([`file`]).

use std::collections::HashMap;
use std::sync::Arc;

use super::attribute::{AddressForm, TUNNEL_CLIENT_ENDPOINT};
use super::packet::MAX_VALUE;
use crate::config::{PersonAddress, ReplyAttribute};

use shipped::Bar;
use value::{Kind, Written, unquote};

mod error;
pub mod file;
mod shipped;
mod value;
mod writable;

pub use error::DictionaryError;
pub use file::{FileError, Include};
pub use writable::Writable;

/// How a vendor writes its attributes (RFC 2865 section 5.26 recommends the usual form).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    /// Octets of the number: 1, 2 or 4.
    kind: u8,
    /// Octets of the length: 0, 1 or 2.
    length: u8,
    /// Whether long values go on in the next attribute.
    continues: bool,
}

impl Form {
    const USUAL: Form = Form { kind: 1, length: 1, continues: false };

    /// The largest number of an attribute.
    fn largest(self) -> u32 {
        u32::MAX.checked_shr(32 - 8 * u32::from(self.kind)).unwrap_or(u32::MAX)
    }

    /// Octets before the value, the vendor's number not counted.
    fn header(self) -> usize {
        usize::from(self.kind) + usize::from(self.length)
    }
}

/// A vendor and its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vendor {
    number: u32,
    form: Form,
}

/// One named attribute.
#[derive(Debug, Clone)]
struct Named {
    name: Box<str>,
    vendor: Option<Vendor>,
    number: u32,
    kind: Kind,
    tagged: bool,
    barred: Option<Bar>,
    values: Vec<(Box<str>, u64)>,
}

impl Named {
    /// The longest value, in octets.
    fn most(&self) -> usize {
        MAX_VALUE - self.vendor.map_or(0, |vendor| 4 + vendor.form.header())
    }

    /// Where rules find it; nothing where its vendor has a form of its own.
    fn place(&self) -> Option<PersonAddress> {
        let usual = self.vendor.is_none_or(|vendor| vendor.form == Form::USUAL);
        let number = u8::try_from(self.number).ok().filter(|_| usual)?;
        Some(PersonAddress { vendor: self.vendor.map(|vendor| vendor.number), number })
    }

    fn refused(&self, why: &'static str) -> DictionaryError {
        DictionaryError::Refused { name: self.name.to_string(), why }
    }

    /// The value's octets, tag included.
    fn encode(&self, tag: Option<u8>, written: &Written<'_>) -> Option<Vec<u8>> {
        let mut value = self.kind.encode(written, &self.values)?;
        if !self.tagged {
            return Some(value);
        }
        if self.kind == Kind::Integer(4) {
            // The tag takes the place of the first octet, also where there is none (RFC 2868 section 3.1).
            let first = value.first_mut().filter(|first| **first == 0)?;
            *first = tag.unwrap_or(0);
            return Some(value);
        }
        // Without a tag, a first octet up to 0x1f would be taken for one (RFC 2868 section 3.3).
        if tag.is_none() && value.first().is_some_and(|first| *first <= 0x1f) {
            return None;
        }
        Some(tag.into_iter().chain(value).collect())
    }
}

/// The names that are known.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    vendors: HashMap<Box<str>, Vendor>,
    attributes: Vec<Arc<Named>>,
    /// Places in `attributes`, by name in lower case. What comes later replaces what came before.
    by_name: HashMap<Box<str>, usize>,
}

impl Dictionary {
    fn empty() -> Dictionary {
        Dictionary::default()
    }

    /// What ships.
    pub fn shipped() -> &'static Dictionary {
        &shipped::SHIPPED
    }

    /// Adds what a file has, and what it includes: see [`file`].
    ///
    /// # Errors
    /// [`FileError`] at the first line that cannot be read.
    pub fn read(&mut self, name: &str, text: &str, include: &mut Include<'_>) -> Result<(), FileError> {
        file::Reading::new(self, include).file(name, text)
    }

    /// How many names of attributes it has.
    pub fn names(&self) -> usize {
        self.by_name.len()
    }

    fn vendor(&self, name: &str) -> Option<Vendor> {
        self.vendors.get(name.to_ascii_lowercase().as_str()).copied()
    }

    fn add_vendor(&mut self, name: &str, vendor: Vendor) {
        self.vendors.insert(name.to_ascii_lowercase().into(), vendor);
    }

    fn add(&mut self, named: Named) {
        let name = named.name.to_ascii_lowercase().into();
        self.by_name.insert(name, self.attributes.len());
        self.attributes.push(Arc::new(named));
    }

    fn change(&mut self, name: &str) -> Option<&mut Arc<Named>> {
        let place = *self.by_name.get(name.to_ascii_lowercase().as_str())?;
        self.attributes.get_mut(place)
    }

    fn find(&self, name: &str) -> Result<&Arc<Named>, DictionaryError> {
        let place = self.by_name.get(name.to_ascii_lowercase().as_str());
        place
            .and_then(|place| self.attributes.get(*place))
            .ok_or_else(|| DictionaryError::UnknownName { name: name.into(), nearest: self.nearest(name) })
    }

    /// The known name with the smallest edit distance, if that is small.
    fn nearest(&self, name: &str) -> Option<String> {
        let names = self.attributes.iter().filter(|named| named.name.len().abs_diff(name.len()) <= 8);
        let (distance, nearest) = names.map(|named| (distance(name, &named.name), &named.name)).min()?;
        (distance <= 3.max(name.len() / 3)).then(|| nearest.to_string())
    }

    /// Parses a reply attribute written as `Name = value`: `:tag` may stand behind the name, and the value in quotes.
    ///
    /// # Errors
    /// [`DictionaryError`].
    pub fn parse_reply_attribute(&self, line: &str) -> Result<(Writable, ReplyAttribute), DictionaryError> {
        let (name, value) = line.split_once('=').ok_or(DictionaryError::NoEquals)?;
        let writable = self.writable(name.trim())?;
        let written = unquote(value.trim()).ok_or_else(|| writable.wrong())?;
        let encoded = writable.encode(&written)?;
        Ok((writable, encoded))
    }

    /// An attribute that a reply may be configured to have, by its name, with `:tag` where it takes one.
    ///
    /// # Errors
    /// [`DictionaryError`].
    pub fn writable(&self, name: &str) -> Result<Writable, DictionaryError> {
        let writable = self.replied(name)?;
        if writable.is_sealed() {
            let name = writable.name().to_owned();
            return Err(DictionaryError::Refused { name, why: Bar::Encrypted.why() });
        }
        Ok(writable)
    }

    /// The same, and Tunnel-Password ([`Writable::is_sealed`]), whose value must not be written as it is.
    ///
    /// # Errors
    /// [`DictionaryError`].
    pub fn replied(&self, name: &str) -> Result<Writable, DictionaryError> {
        let (bare, tag) = match name.split_once(':') {
            Some((bare, tag)) => (bare.trim_end(), Some(tag.trim())),
            None => (name, None),
        };
        let named = self.find(bare)?;
        if let Some(bar) = named.barred.filter(|_| !named.is_sealed()) {
            return Err(named.refused(bar.why()));
        }
        let writable = Writable::new(Arc::clone(named), None);
        let tag = match tag {
            None => None,
            Some(tag) if named.tagged => {
                Some(tag.parse().ok().filter(|tag| (1..=31).contains(tag)).ok_or_else(|| writable.wrong())?)
            }
            Some(_) => {
                return Err(DictionaryError::UnknownName { name: name.into(), nearest: Some(named.name.to_string()) });
            }
        };
        Ok(Writable::new(Arc::clone(named), tag))
    }

    /// The attribute of requests that holds the address of the person's device, by name, and how it writes it.
    ///
    /// # Errors
    /// [`DictionaryError`] when the name is not known or the attribute cannot hold an address.
    pub fn person_address(&self, name: &str) -> Result<(PersonAddress, AddressForm), DictionaryError> {
        let named = self.find(name)?;
        let form = match (named.kind, named.barred) {
            (Kind::Ipv4 | Kind::Ipv6 | Kind::Ip, None) => Some(AddressForm::Binary),
            (_, Some(Bar::RequestAddress)) => Some(AddressForm::Text),
            _ if named.vendor.is_none() && named.number == u32::from(TUNNEL_CLIENT_ENDPOINT) => {
                Some(AddressForm::TaggedText)
            }
            _ => None,
        };
        let why = "it does not hold the address of the person's device; Calling-Station-Id often does";
        named.place().zip(form).ok_or_else(|| named.refused(why))
    }

    /// Whether a value of one attribute is a value of the other one, too, by their names: of one type, or both any octets.
    pub fn are_alike(&self, one: &str, other: &str) -> bool {
        let (Ok(one), Ok(other)) = (self.find(one), self.find(other)) else { return false };
        let is_free = |named: &Named| named.kind.takes_text() || named.kind == Kind::Octets;
        one.tagged == other.tagged && (one.kind == other.kind || is_free(one) && is_free(other))
    }

    /// The place of an attribute that a reply may have, by name.
    ///
    /// # Errors
    /// [`DictionaryError`] when the name is not known, or is one of those that belong into requests or are made here.
    pub fn attribute_place(&self, name: &str) -> Result<PersonAddress, DictionaryError> {
        let named = self.find(name)?;
        match named.barred {
            None | Some(Bar::Encrypted | Bar::RequestAddress) => named
                .place()
                .ok_or_else(|| named.refused("its vendor's attributes have a form that cannot be taken apart")),
            Some(bar) => Err(named.refused(bar.why())),
        }
    }
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
