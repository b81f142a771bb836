//! The search operation (RFC 4511 section 4.5): requests and entries, written and read. Pure.

use std::time::Duration;

use super::ber::{BOOLEAN, BerError, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET};
use super::control::{Control, write_controls};
use super::message::{op, write_message};

/// How far below its base a search reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base itself.
    Base,
    /// Its children.
    One,
    /// All that is below, and the base itself.
    Subtree,
}

/// A SearchRequest. Aliases are not followed; AD has none.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'a> {
    /// Where it starts.
    pub base: &'a str,
    /// How far it reaches.
    pub scope: Scope,
    /// Entries that are wanted at most; 0: no limit.
    pub size_limit: u32,
    /// Time that the server may take, rounded up to seconds; zero: no limit.
    pub time_limit: Duration,
    /// What an entry must match: a filter in BER, see [`super::filter`].
    pub filter: &'a [u8],
    /// The attributes that are wanted; none: all.
    pub attributes: &'a [&'a str],
}

impl SearchRequest<'_> {
    /// Appends it as a message.
    pub fn write(&self, out: &mut Vec<u8>, message_id: u32) {
        self.write_with(out, message_id, &[]);
    }

    /// Appends it as a message with controls.
    pub fn write_with(&self, out: &mut Vec<u8>, message_id: u32, controls: &[Control]) {
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::One => 1,
            Scope::Subtree => 2,
        };
        let whole = self.time_limit.as_secs() + u64::from(self.time_limit.subsec_nanos() > 0);
        let seconds = u32::try_from(whole).unwrap_or(0);
        write_message(out, message_id, |message| {
            message.constructed(op::SEARCH_REQUEST, |search| {
                search.octets(self.base.as_bytes());
                search.number(ENUMERATED, scope);
                search.number(ENUMERATED, 0);
                search.number(INTEGER, self.size_limit);
                search.number(INTEGER, seconds);
                search.boolean(BOOLEAN, false);
                search.raw(self.filter);
                search.constructed(SEQUENCE, |list| {
                    self.attributes.iter().for_each(|attribute| list.octets(attribute.as_bytes()));
                });
            });
            write_controls(message, controls);
        });
    }
}

/// A SearchRequest as a server sees it.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedSearch<'a> {
    /// Where it starts.
    pub base: &'a str,
    /// How far it reaches.
    pub scope: Scope,
    /// Entries that are wanted at most; 0: no limit.
    pub size_limit: u32,
    /// Seconds that it may take; 0: no limit.
    pub time_limit: u32,
    /// Whether only the names of attributes are wanted.
    pub types_only: bool,
    /// The filter, still in BER: see [`super::filter::Filter::read`].
    pub filter: Reader<'a>,
    /// The list of attributes, still in BER: see [`ReceivedSearch::attributes`].
    attributes: Reader<'a>,
}

impl<'a> ReceivedSearch<'a> {
    /// Reads the operation of a message with [`op::SEARCH_REQUEST`].
    ///
    /// # Errors
    /// When it is malformed.
    pub fn read(mut operation: Reader<'a>) -> Result<Self, BerError> {
        let base = operation.text()?;
        let scope = match operation.number(ENUMERATED)? {
            0 => Scope::Base,
            1 => Scope::One,
            2 => Scope::Subtree,
            _ => return Err(BerError::BadInteger),
        };
        operation.number(ENUMERATED)?;
        let size_limit = operation.number(INTEGER)?;
        let time_limit = operation.number(INTEGER)?;
        let types_only = operation.boolean(BOOLEAN)?;
        let filter = operation;
        operation.next()?;
        let attributes = operation.inside(SEQUENCE)?;
        operation.end()?;
        Ok(ReceivedSearch { base, scope, size_limit, time_limit, types_only, filter, attributes })
    }

    /// The names of the attributes that are wanted. An unreadable one ends the list.
    pub fn attributes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut list = self.attributes;
        std::iter::from_fn(move || list.text().ok())
    }
}

/// A SearchResultEntry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its distinguished name.
    pub dn: &'a str,
    attributes: Reader<'a>,
}

impl<'a> Entry<'a> {
    /// Reads the operation of a message with [`op::SEARCH_ENTRY`], all of it: its attributes can be walked
    /// without errors afterwards.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn read(mut operation: Reader<'a>) -> Result<Self, BerError> {
        let dn = operation.text()?;
        let attributes = operation.inside(SEQUENCE)?;
        operation.end()?;
        let mut check = attributes;
        while !check.is_empty() {
            let mut attribute = check.inside(SEQUENCE)?;
            attribute.value(OCTET_STRING)?;
            let mut values = attribute.inside(SET)?;
            attribute.end()?;
            while !values.is_empty() {
                values.value(OCTET_STRING)?;
            }
        }
        Ok(Entry { dn, attributes })
    }

    /// Its attributes: description (name and options) and values.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], Values<'a>)> + use<'a> {
        let mut list = self.attributes;
        std::iter::from_fn(move || {
            let mut attribute = list.inside(SEQUENCE).ok()?;
            let description = attribute.value(OCTET_STRING).ok()?;
            Some((description, Values(attribute.inside(SET).ok()?)))
        })
    }

    /// Values of the attribute with this very description, compared without case.
    pub fn values(&self, description: &str) -> Values<'a> {
        self.attributes()
            .find(|(found, _)| found.eq_ignore_ascii_case(description.as_bytes()))
            .map(|(_, values)| values)
            .unwrap_or_default()
    }

    /// First value of an attribute.
    pub fn first(&self, description: &str) -> Option<&'a [u8]> {
        self.values(description).next()
    }

    /// First value of an attribute if it is text.
    pub fn first_text(&self, description: &str) -> Option<&'a str> {
        self.first(description).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Where a range of an attribute's values ends that AD cut (`member;range=0-1499`), and its values.
    /// `None` as end: these are the last.
    pub fn ranged(&self, name: &str) -> Option<(Option<u32>, Values<'a>)> {
        self.attributes().find_map(|(description, values)| {
            let description = std::str::from_utf8(description).ok()?;
            let (found, options) = description.split_once(';')?;
            let range = options.split(';').find_map(|option| option.strip_prefix("range="))?;
            let (_, end) = range.split_once('-')?;
            found.eq_ignore_ascii_case(name).then(|| (end.parse().ok(), values))
        })
    }
}

/// The values of one attribute.
#[derive(Debug, Clone)]
pub struct Values<'a>(Reader<'a>);

impl Default for Values<'_> {
    fn default() -> Self {
        Values(Reader::new(&[]))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.value(OCTET_STRING).ok()
    }
}

/// Appends a SearchResultEntry.
pub fn write_entry<'a, V: AsRef<[u8]> + 'a>(
    out: &mut Vec<u8>,
    message_id: u32,
    dn: &str,
    attributes: impl IntoIterator<Item = (&'a str, &'a [V])>,
) {
    write_message(out, message_id, |message| {
        message.constructed(op::SEARCH_ENTRY, |entry| {
            entry.octets(dn.as_bytes());
            entry.constructed(SEQUENCE, |list| {
                for (description, values) in attributes {
                    list.constructed(SEQUENCE, |attribute| {
                        attribute.octets(description.as_bytes());
                        attribute.constructed(SET, |set| values.iter().for_each(|value| set.octets(value.as_ref())));
                    });
                }
            });
        });
    });
}

#[cfg(test)]
mod tests;
