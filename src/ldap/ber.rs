//! The part of BER that LDAP uses (RFC 4511 section 5.1): a reader that copies nothing and a writer that
//! writes definite, shortest lengths.
//!
//! The reader takes any slice and never panics, reads past its end or recurses. Element values are slices of
//! what it was given.

use std::fmt;

/// Universal BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Universal INTEGER.
pub const INTEGER: u8 = 0x02;
/// Universal OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Universal ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Universal SEQUENCE, constructed.
pub const SEQUENCE: u8 = 0x30;
/// Universal SET, constructed.
pub const SET: u8 = 0x31;
/// The bit of an identifier octet that says that the element holds further elements.
pub const CONSTRUCTED: u8 = 0x20;

/// Octets that a tag number above 30 may take after the first: more than anybody needs.
const MAX_TAG_OCTETS: usize = 4;

/// What is wrong with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BerError {
    /// The element does not end within what holds it, or there is none where one must be.
    Truncated,
    /// The indefinite form, which LDAP forbids (RFC 4511 section 5.1).
    Indefinite,
    /// A length of more than four octets.
    LongLength,
    /// A tag number of more than four octets.
    LongTag,
    /// Another element was due here.
    WrongTag {
        /// The identifier octet that was due.
        expected: u8,
        /// The one that is there.
        found: u8,
    },
    /// An INTEGER or ENUMERATED without octets, below zero or above 2^31 - 1.
    BadInteger,
    /// A BOOLEAN that is not one octet.
    BadBoolean,
    /// A text that is not UTF-8.
    NotText,
    /// Octets after the last element.
    Trailing,
}

impl fmt::Display for BerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BerError::Truncated => f.write_str("an element does not end within what holds it"),
            BerError::Indefinite => f.write_str("a length of the indefinite form"),
            BerError::LongLength => f.write_str("a length of more than four octets"),
            BerError::LongTag => f.write_str("a tag of more than five octets"),
            BerError::WrongTag { expected, found } => write!(f, "tag {found:#04x} where {expected:#04x} was due"),
            BerError::BadInteger => f.write_str("a number out of range"),
            BerError::BadBoolean => f.write_str("a boolean that is not one octet"),
            BerError::NotText => f.write_str("a text that is not UTF-8"),
            BerError::Trailing => f.write_str("octets after the last element"),
        }
    }
}

impl std::error::Error for BerError {}

/// The identifier and length octets of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The first identifier octet. Tag numbers above 30 all look the same here; LDAP itself has none.
    pub tag: u8,
    /// How many octets identifier and length take.
    pub octets: usize,
    /// How many octets follow.
    pub length: usize,
}

impl Header {
    /// Reads a header from the start of `bytes`; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`BerError::Indefinite`], [`BerError::LongLength`] or [`BerError::LongTag`]. Lengths need not be of the
    /// shortest form: AD writes all of its own in five octets.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, BerError> {
        let Some((&tag, mut rest)) = bytes.split_first() else { return Ok(None) };
        if tag & 0x1f == 0x1f {
            let mut taken = 0;
            loop {
                let Some((&octet, after)) = rest.split_first() else { return Ok(None) };
                rest = after;
                taken += 1;
                if octet & 0x80 == 0 {
                    break;
                }
                if taken == MAX_TAG_OCTETS {
                    return Err(BerError::LongTag);
                }
            }
        }
        let Some((&first, after)) = rest.split_first() else { return Ok(None) };
        rest = after;
        let mut length = usize::from(first & 0x7f);
        if first & 0x80 != 0 {
            match length {
                0 => return Err(BerError::Indefinite),
                1..=4 => {}
                _ => return Err(BerError::LongLength),
            }
            let Some((octets, after)) = rest.split_at_checked(length) else { return Ok(None) };
            rest = after;
            length = octets.iter().fold(0, |sum, &octet| (sum << 8) | usize::from(octet));
        }
        Ok(Some(Header { tag, octets: bytes.len() - rest.len(), length }))
    }
}

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its first identifier octet.
    pub tag: u8,
    /// Its content.
    pub value: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader for what this element holds.
    pub fn inside(self) -> Reader<'a> {
        Reader::new(self.value)
    }
}

/// Reads one element after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, unread.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Identifier octet of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    ///
    /// # Errors
    /// When there is none, or it is not whole.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would hide the end from `?`")]
    pub fn next(&mut self) -> Result<Element<'a>, BerError> {
        let header = Header::read(self.rest)?.ok_or(BerError::Truncated)?;
        let (_, body) = self.rest.split_at_checked(header.octets).ok_or(BerError::Truncated)?;
        let (value, rest) = body.split_at_checked(header.length).ok_or(BerError::Truncated)?;
        self.rest = rest;
        Ok(Element { tag: header.tag, value })
    }

    /// Content of the next element, which must have this tag.
    ///
    /// # Errors
    /// [`BerError::WrongTag`], or as [`Reader::next`].
    pub fn value(&mut self, expected: u8) -> Result<&'a [u8], BerError> {
        match self.peek() {
            Some(found) if found != expected => Err(BerError::WrongTag { expected, found }),
            _ => Ok(self.next()?.value),
        }
    }

    /// Content of the next element if it has this tag.
    ///
    /// # Errors
    /// When it has, and is not whole.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, BerError> {
        if self.peek() == Some(tag) { self.value(tag).map(Some) } else { Ok(None) }
    }

    /// A reader for the inside of the next element, which must have this tag.
    ///
    /// # Errors
    /// As [`Reader::value`].
    pub fn inside(&mut self, tag: u8) -> Result<Reader<'a>, BerError> {
        self.value(tag).map(Reader::new)
    }

    /// An INTEGER or ENUMERATED of 0 to 2^31 - 1 (all that LDAP has).
    ///
    /// # Errors
    /// [`BerError::BadInteger`], or as [`Reader::value`].
    pub fn number(&mut self, tag: u8) -> Result<u32, BerError> {
        let value = self.value(tag)?;
        match value {
            [first, ..] if value.len() <= 4 && *first < 0x80 => {
                Ok(value.iter().fold(0, |sum, &octet| (sum << 8) | u32::from(octet)))
            }
            _ => Err(BerError::BadInteger),
        }
    }

    /// A BOOLEAN with this tag. Any octet but zero is true, as in BER.
    ///
    /// # Errors
    /// [`BerError::BadBoolean`], or as [`Reader::value`].
    pub fn boolean(&mut self, tag: u8) -> Result<bool, BerError> {
        match self.value(tag)? {
            [octet] => Ok(*octet != 0),
            _ => Err(BerError::BadBoolean),
        }
    }

    /// An OCTET STRING that holds UTF-8.
    ///
    /// # Errors
    /// [`BerError::NotText`], or as [`Reader::value`].
    pub fn text(&mut self) -> Result<&'a str, BerError> {
        std::str::from_utf8(self.value(OCTET_STRING)?).map_err(|_| BerError::NotText)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`BerError::Trailing`].
    pub fn end(&self) -> Result<(), BerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BerError::Trailing) }
    }
}

/// Appends elements to a buffer. Lengths are definite and as short as they can be.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Writer { out }
    }

    /// An element with this tag and content.
    pub fn value(&mut self, tag: u8, value: &[u8]) {
        self.out.push(tag);
        match u8::try_from(value.len()) {
            Ok(short) if short < 0x80 => self.out.push(short),
            _ => {
                let (octets, skip) = long_length(value.len());
                self.out.extend(octets.iter().skip(skip));
            }
        }
        self.out.extend_from_slice(value);
    }

    /// An element whose content is written by `inside`.
    pub fn constructed(&mut self, tag: u8, inside: impl FnOnce(&mut Writer<'_>)) {
        self.out.push(tag);
        let mark = self.out.len();
        self.out.push(0);
        inside(&mut Writer { out: self.out });
        let length = self.out.len() - mark - 1;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => {
                if let Some(octet) = self.out.get_mut(mark) {
                    *octet = short;
                }
            }
            _ => {
                let (octets, skip) = long_length(length);
                self.out.splice(mark..=mark, octets.into_iter().skip(skip));
            }
        }
    }

    /// An INTEGER, ENUMERATED or context tag that holds a number of 0 to 2^31 - 1.
    pub fn number(&mut self, tag: u8, number: u32) {
        let octets = (number & 0x7fff_ffff).to_be_bytes();
        // The shortest form whose first bit is zero (X.690 section 8.3.2).
        let needed = match number {
            0..=0x7f => 1,
            0x80..=0x7fff => 2,
            0x8000..=0x007f_ffff => 3,
            _ => 4,
        };
        self.value(tag, octets.get(4 - needed..).unwrap_or(&octets));
    }

    /// A BOOLEAN or context tag that holds one; true is 0xff (RFC 4511 section 5.1).
    pub fn boolean(&mut self, tag: u8, value: bool) {
        self.value(tag, &[if value { 0xff } else { 0 }]);
    }

    /// An OCTET STRING.
    pub fn octets(&mut self, value: &[u8]) {
        self.value(OCTET_STRING, value);
    }

    /// Elements that are already encoded.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }
}

/// The length octets for 128 and above, right-aligned, and how many of them to skip.
fn long_length(length: usize) -> ([u8; 9], usize) {
    let mut octets = [0; 9];
    let big_endian = length.to_be_bytes();
    for (to, from) in octets.iter_mut().rev().zip(big_endian.iter().rev()) {
        *to = *from;
    }
    let leading = octets.iter().take_while(|&&octet| octet == 0).count();
    let count = octets.len() - leading;
    if let (Some(lead), Ok(count)) = (octets.get_mut(leading.saturating_sub(1)), u8::try_from(count)) {
        *lead = 0x80 | count;
    }
    (octets, leading.saturating_sub(1))
}
