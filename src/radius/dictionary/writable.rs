//! An attribute that a reply may have, ready to be written with values.

use std::sync::Arc;

use super::value::{Kind, Written};
use super::{DictionaryError, Named, Vendor};
use crate::config::ReplyAttribute;
use crate::radius::attribute::{TUNNEL_PASSWORD, VENDOR_SPECIFIC};

/// Names that are told of those that a value may have, at most.
const TOLD: usize = 16;

/// An attribute that a reply may be configured to have, and its tag.
#[derive(Debug, Clone)]
pub struct Writable {
    named: Arc<Named>,
    tag: Option<u8>,
}

impl Writable {
    pub(super) fn new(named: Arc<Named>, tag: Option<u8>) -> Writable {
        Writable { named, tag }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.named.name
    }

    /// Whether it is the same attribute as another one, whatever their tags and names.
    pub fn is_like(&self, other: &Writable) -> bool {
        self.named.vendor == other.named.vendor && self.named.number == other.named.number
    }

    /// Its name with its tag.
    pub fn tagged_name(&self) -> String {
        self.tag.map_or_else(|| self.named.name.to_string(), |tag| format!("{}:{tag}", self.named.name))
    }

    /// Its tag.
    pub fn tag(&self) -> Option<u8> {
        self.tag
    }

    /// Whether its values are salt-encrypted for each reply (RFC 2868 section 3.5), whatever a dictionary says of it.
    pub fn is_sealed(&self) -> bool {
        self.named.is_sealed()
    }

    /// Whether any text is a value of it.
    pub fn takes_text(&self) -> bool {
        self.named.kind.takes_text()
    }

    /// Octets of the longest text that it takes.
    pub fn longest(&self) -> usize {
        self.named.most() - usize::from(self.tag.is_some())
    }

    /// With a value in text: a name, a number, an address, a time, or the text itself, by its type. A text is never
    /// read as hexadecimal; octets of exact size are, behind `0x`.
    ///
    /// # Errors
    /// [`DictionaryError`].
    pub fn text(&self, text: &str) -> Result<ReplyAttribute, DictionaryError> {
        self.encode(&Written { text: text.into(), quoted: true })
    }

    /// With a value in text, in which octets in hexadecimal may stand behind `0x`.
    ///
    /// # Errors
    /// [`DictionaryError`].
    pub fn value(&self, text: &str) -> Result<ReplyAttribute, DictionaryError> {
        self.encode(&Written { text: text.into(), quoted: false })
    }

    /// With octets as its value; nothing where its type is another one.
    pub fn octets(&self, octets: &[u8]) -> Option<Result<ReplyAttribute, DictionaryError>> {
        (self.named.kind == Kind::Octets && !self.named.tagged).then(|| self.join(octets.to_vec()))
    }

    /// Its name with its tag, and a value of it as people read it.
    pub fn show(&self, encoded: &ReplyAttribute) -> String {
        let named = &self.named;
        let before = named.vendor.map_or(0, |vendor| 4 + vendor.form.header());
        let skipped = before + usize::from(self.tag.is_some() && named.kind != Kind::Integer(4));
        let value = encoded.value.get(skipped..).unwrap_or_default();
        format!("{} = {}", self.tagged_name(), named.kind.show(value, named.tagged, &named.values))
    }

    pub(super) fn wrong(&self) -> DictionaryError {
        let mut names: Vec<String> = self.named.values.iter().take(TOLD).map(|(name, _)| name.to_string()).collect();
        if self.named.values.len() > TOLD {
            names.push("…".to_owned());
        }
        DictionaryError::WrongValue {
            name: self.named.name.to_string(),
            allowed: self.named.kind.allowed(self.named.tagged),
            names,
        }
    }

    pub(super) fn encode(&self, written: &Written<'_>) -> Result<ReplyAttribute, DictionaryError> {
        self.join(self.named.encode(self.tag, written).ok_or_else(|| self.wrong())?)
    }

    fn join(&self, value: Vec<u8>) -> Result<ReplyAttribute, DictionaryError> {
        let named = &self.named;
        let (have, most) = (value.len(), named.most());
        let wrong = DictionaryError::WrongLength { name: named.name.to_string(), have, most };
        if have == usize::from(named.tagged && self.tag.is_some()) || have > most {
            return Err(wrong);
        }
        let number = u8::try_from(named.number).ok();
        let Some(Vendor { number: vendor, form }) = named.vendor else {
            return number.map(|number| ReplyAttribute { number, value }).ok_or(wrong);
        };
        let mut joined = Vec::with_capacity(4 + form.header() + have);
        joined.extend_from_slice(&vendor.to_be_bytes());
        let last = |octets: u8, of: u32| of.to_be_bytes().into_iter().skip(4 - usize::from(octets));
        joined.extend(last(form.kind, named.number));
        joined.extend(last(form.length, u32::try_from(form.header() + have).map_err(|_| wrong)?));
        joined.extend_from_slice(&value);
        Ok(ReplyAttribute { number: VENDOR_SPECIFIC, value: joined })
    }
}

impl Named {
    /// Whether it is Tunnel-Password.
    pub(super) fn is_sealed(&self) -> bool {
        self.vendor.is_none() && self.number == u32::from(TUNNEL_PASSWORD)
    }
}
