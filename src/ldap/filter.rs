//! Search filters (RFC 4511 section 4.5.1.7): written, read, and understood in their text form (RFC 4515),
//! which only the configuration uses. Values are octets, so nothing that a person typed is ever escaped or
//! can ever close a parenthesis. Pure.

use std::fmt;

use super::ber::{BerError, OCTET_STRING, Reader, Writer};

/// Filters within each other that we read: far more than anybody writes.
const MAX_DEPTH: usize = 32;

/// AD's rule that follows a membership through nested groups.
pub const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

/// A search filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them. None is always true (RFC 4526).
    And(Vec<Filter>),
    /// Any of them. None is always false (RFC 4526).
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has this value.
    Equality(String, Vec<u8>),
    /// The attribute has a value of these parts.
    Substrings {
        /// Which attribute.
        attribute: String,
        /// What it starts with.
        initial: Option<Vec<u8>>,
        /// What comes in between, in order.
        any: Vec<Vec<u8>>,
        /// What it ends with.
        last: Option<Vec<u8>>,
    },
    /// The attribute has this value or one that sorts after it.
    GreaterOrEqual(String, Vec<u8>),
    /// The attribute has this value or one that sorts before it.
    LessOrEqual(String, Vec<u8>),
    /// The attribute is there.
    Present(String),
    /// The attribute has a value much like this.
    Approx(String, Vec<u8>),
    /// The attribute matches this value by a named rule.
    Extensible {
        /// The rule's object identifier.
        rule: Option<String>,
        /// Which attribute.
        attribute: Option<String>,
        /// The value.
        value: Vec<u8>,
        /// Whether the parts of the DN count as attributes.
        dn_attributes: bool,
    },
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Octet at which it stops making sense.
    pub at: usize,
    /// What was due there.
    pub expected: &'static str,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} expected at character {}", self.expected, self.at + 1)
    }
}

impl std::error::Error for FilterError {}

/// Writes an equality without building a [`Filter`] first.
pub fn write_equality(writer: &mut Writer<'_>, attribute: &str, value: &[u8]) {
    write_assertion(writer, 0xa3, attribute, value);
}

/// Writes an extensible match without building a [`Filter`] first.
pub fn write_extensible(writer: &mut Writer<'_>, rule: &str, attribute: &str, value: &[u8]) {
    writer.constructed(0xa9, |inside| {
        inside.value(0x81, rule.as_bytes());
        inside.value(0x82, attribute.as_bytes());
        inside.value(0x83, value);
    });
}

fn write_assertion(writer: &mut Writer<'_>, tag: u8, attribute: &str, value: &[u8]) {
    writer.constructed(tag, |inside| {
        inside.octets(attribute.as_bytes());
        inside.octets(value);
    });
}

impl Filter {
    /// Writes it as BER.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Filter::And(parts) => writer.constructed(0xa0, |inside| parts.iter().for_each(|part| part.write(inside))),
            Filter::Or(parts) => writer.constructed(0xa1, |inside| parts.iter().for_each(|part| part.write(inside))),
            Filter::Not(part) => writer.constructed(0xa2, |inside| part.write(inside)),
            Filter::Equality(attribute, value) => write_assertion(writer, 0xa3, attribute, value),
            Filter::Substrings { attribute, initial, any, last } => writer.constructed(0xa4, |inside| {
                inside.octets(attribute.as_bytes());
                inside.constructed(super::ber::SEQUENCE, |parts| {
                    initial.iter().for_each(|part| parts.value(0x80, part));
                    any.iter().for_each(|part| parts.value(0x81, part));
                    last.iter().for_each(|part| parts.value(0x82, part));
                });
            }),
            Filter::GreaterOrEqual(attribute, value) => write_assertion(writer, 0xa5, attribute, value),
            Filter::LessOrEqual(attribute, value) => write_assertion(writer, 0xa6, attribute, value),
            Filter::Present(attribute) => writer.value(0x87, attribute.as_bytes()),
            Filter::Approx(attribute, value) => write_assertion(writer, 0xa8, attribute, value),
            Filter::Extensible { rule, attribute, value, dn_attributes } => writer.constructed(0xa9, |inside| {
                rule.iter().for_each(|rule| inside.value(0x81, rule.as_bytes()));
                attribute.iter().for_each(|attribute| inside.value(0x82, attribute.as_bytes()));
                inside.value(0x83, value);
                if *dn_attributes {
                    inside.boolean(0x84, true);
                }
            }),
        }
    }

    /// It as BER.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut Writer::new(&mut out));
        out
    }

    /// Reads the next element as a filter.
    ///
    /// # Errors
    /// When it is none, or more than a few dozen are within each other.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, BerError> {
        Self::read_at(reader, MAX_DEPTH)
    }

    fn read_at(reader: &mut Reader<'_>, depth: usize) -> Result<Self, BerError> {
        let depth = depth.checked_sub(1).ok_or(BerError::Truncated)?;
        let element = reader.next()?;
        let mut inside = element.inside();
        let filter = match element.tag {
            0xa0 => Filter::And(Self::read_list(&mut inside, depth)?),
            0xa1 => Filter::Or(Self::read_list(&mut inside, depth)?),
            0xa2 => Filter::Not(Box::new(Self::read_at(&mut inside, depth)?)),
            0x87 => return Ok(Filter::Present(text(element.value)?)),
            0xa4 => Self::read_substrings(&mut inside)?,
            0xa9 => Filter::Extensible {
                rule: inside.optional(0x81)?.map(text).transpose()?,
                attribute: inside.optional(0x82)?.map(text).transpose()?,
                value: inside.value(0x83)?.to_vec(),
                dn_attributes: if inside.is_empty() { false } else { inside.boolean(0x84)? },
            },
            0xa3 | 0xa5 | 0xa6 | 0xa8 => {
                let attribute = inside.text()?.to_owned();
                let value = inside.value(OCTET_STRING)?.to_vec();
                match element.tag {
                    0xa3 => Filter::Equality(attribute, value),
                    0xa5 => Filter::GreaterOrEqual(attribute, value),
                    0xa6 => Filter::LessOrEqual(attribute, value),
                    _ => Filter::Approx(attribute, value),
                }
            }
            found => return Err(BerError::WrongTag { expected: 0xa0, found }),
        };
        inside.end()?;
        Ok(filter)
    }

    fn read_list(inside: &mut Reader<'_>, depth: usize) -> Result<Vec<Self>, BerError> {
        let mut parts = Vec::new();
        while !inside.is_empty() {
            parts.push(Self::read_at(inside, depth)?);
        }
        Ok(parts)
    }

    fn read_substrings(inside: &mut Reader<'_>) -> Result<Self, BerError> {
        let attribute = inside.text()?.to_owned();
        let mut parts = inside.inside(super::ber::SEQUENCE)?;
        let initial = parts.optional(0x80)?.map(<[u8]>::to_vec);
        let mut any = Vec::new();
        while let Some(part) = parts.optional(0x81)? {
            any.push(part.to_vec());
        }
        let last = parts.optional(0x82)?.map(<[u8]>::to_vec);
        parts.end()?;
        Ok(Filter::Substrings { attribute, initial, any, last })
    }

    /// Reads the text form (RFC 4515), for example `(&(objectClass=person)(!(cn=a\2ab)))`.
    ///
    /// # Errors
    /// Where the text stops making sense.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { bytes: text.as_bytes(), at: 0 };
        let filter = parser.filter(MAX_DEPTH)?;
        if parser.at == parser.bytes.len() { Ok(filter) } else { Err(parser.expected("the end")) }
    }
}

fn text(value: &[u8]) -> Result<String, BerError> {
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| BerError::NotText)
}

/// Reads the text form.
struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn expected(&self, expected: &'static str) -> FilterError {
        FilterError { at: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, octet: u8, name: &'static str) -> Result<(), FilterError> {
        if self.peek() == Some(octet) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.expected(name))
        }
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let depth = depth.checked_sub(1).ok_or(self.expected("less nesting"))?;
        self.eat(b'(', "(")?;
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.at += 1;
                Filter::Not(Box::new(self.filter(depth)?))
            }
            _ => self.item()?,
        };
        self.eat(b')', ")")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, FilterError> {
        self.at += 1;
        let mut parts = Vec::new();
        while self.peek() == Some(b'(') {
            parts.push(self.filter(depth)?);
        }
        Ok(parts)
    }

    /// A run of octets that an attribute or a rule may have.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(octet) = self.peek()
            && (octet.is_ascii_alphanumeric() || b"-.;_".contains(&octet))
        {
            word.push(char::from(octet));
            self.at += 1;
        }
        word
    }

    fn item(&mut self) -> Result<Filter, FilterError> {
        let attribute = self.word();
        if self.peek() == Some(b':') {
            return self.extensible(attribute);
        }
        if attribute.is_empty() {
            return Err(self.expected("an attribute"));
        }
        let kind = self.peek();
        if let Some(b'>' | b'<' | b'~') = kind {
            self.at += 1;
        }
        self.eat(b'=', "=")?;
        match kind {
            Some(b'>') => Ok(Filter::GreaterOrEqual(attribute, self.value()?)),
            Some(b'<') => Ok(Filter::LessOrEqual(attribute, self.value()?)),
            Some(b'~') => Ok(Filter::Approx(attribute, self.value()?)),
            _ => self.equality(attribute),
        }
    }

    fn equality(&mut self, attribute: String) -> Result<Filter, FilterError> {
        let mut parts = vec![self.value()?];
        while self.peek() == Some(b'*') {
            self.at += 1;
            parts.push(self.value()?);
        }
        let some = |part: Vec<u8>| if part.is_empty() { None } else { Some(part) };
        let (first, last) = match parts.len() {
            1 => return Ok(Filter::Equality(attribute, parts.swap_remove(0))),
            2 if parts.iter().all(Vec::is_empty) => return Ok(Filter::Present(attribute)),
            _ => (parts.remove(0), parts.pop().unwrap_or_default()),
        };
        parts.retain(|part| !part.is_empty());
        Ok(Filter::Substrings { attribute, initial: some(first), any: parts, last: some(last) })
    }

    fn extensible(&mut self, attribute: String) -> Result<Filter, FilterError> {
        let attribute = Some(attribute).filter(|attribute| !attribute.is_empty());
        let (mut rule, mut dn_attributes) = (None, false);
        while self.peek() == Some(b':') {
            self.at += 1;
            if self.peek() == Some(b'=') {
                self.at += 1;
                return Ok(Filter::Extensible { rule, attribute, value: self.value()?, dn_attributes });
            }
            let word = self.word();
            if word.eq_ignore_ascii_case("dn") && !dn_attributes && rule.is_none() {
                dn_attributes = true;
            } else if word.is_empty() || rule.is_some() {
                return Err(self.expected("a rule"));
            } else {
                rule = Some(word);
            }
        }
        Err(self.expected(":="))
    }

    /// Octets up to `)` or `*`, with `\xx` undone.
    fn value(&mut self) -> Result<Vec<u8>, FilterError> {
        let mut value = Vec::new();
        loop {
            match self.peek() {
                None | Some(b')' | b'*') => return Ok(value),
                Some(b'(') => return Err(self.expected("\\28 instead of (")),
                Some(b'\\') => {
                    let digit = |octet: Option<&u8>| octet.and_then(|&octet| char::from(octet).to_digit(16));
                    let (high, low) = (digit(self.bytes.get(self.at + 1)), digit(self.bytes.get(self.at + 2)));
                    let octet = high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                    value.push(octet.ok_or(self.expected("two hexadecimal digits after \\"))?);
                    self.at += 3;
                }
                Some(octet) => {
                    value.push(octet);
                    self.at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
