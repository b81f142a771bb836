//! Reads dictionaries in the format of FreeRADIUS (version 3, and 4 where the words are the same). Pure: what a file
//! includes is asked of the caller.
//!
//! ```text
//! VENDOR Name 12356 [format=1,1]      ATTRIBUTE Name 1 string [has_tag,encrypt=2,…]      VALUE Attribute Name 1
//! BEGIN-VENDOR Name … END-VENDOR Name     BEGIN-TLV Name … END-TLV Name     $INCLUDE file     $INCLUDE- file
//! ```
//!
//! Parts of attributes (TLVs, extended attributes) are known by name and cannot be configured. A word that is not known
//! is refused: what it means could change what an attribute is.

use std::fmt;
use std::sync::Arc;

use super::shipped::{Bar, bar};
use super::value::{Kind, number};
use super::{Dictionary, Form, Named, Vendor};

/// Files within files, at most.
const DEEPEST: usize = 8;
/// Files in all, at most.
const MOST_FILES: usize = 1000;
/// Attributes and named values of a dictionary, at most.
const MOST_FACTS: usize = 200_000;

/// What is wrong with a dictionary, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for FileError {}

/// Gives the name and the text of what a file includes; nothing where there is no such file; an error in words where it
/// cannot be read. The arguments: the file that includes it, and what it calls it.
pub type Include<'a> = dyn FnMut(&str, &str) -> Result<Option<(String, String)>, String> + 'a;

/// A named value before its attribute: attribute, name, value, and where it stands.
type Early = (String, String, u64, (Arc<str>, usize));

/// On the way through files.
pub(super) struct Reading<'a, 'b> {
    dictionary: &'a mut Dictionary,
    include: &'a mut Include<'b>,
    files: usize,
    facts: usize,
    /// The file and the line that is read.
    at: (Arc<str>, usize),
    /// Named values of attributes that may come later.
    early: Vec<Early>,
}

/// Within which blocks a line stands.
#[derive(Default)]
struct Blocks {
    vendor: Option<Vendor>,
    /// Whether the vendor's attributes are within an extended one.
    extended: bool,
    parts: usize,
}

impl<'a, 'b> Reading<'a, 'b> {
    pub(super) fn new(dictionary: &'a mut Dictionary, include: &'a mut Include<'b>) -> Self {
        Reading { dictionary, include, files: 0, facts: 0, at: ("".into(), 0), early: Vec::new() }
    }

    /// Reads a file and what it includes.
    pub(super) fn file(&mut self, name: &str, text: &str) -> Result<(), FileError> {
        self.nested(name, text, 0)?;
        for (attribute, name, value, (file, line)) in std::mem::take(&mut self.early) {
            if !self.name_value(&attribute, &name, value) {
                let what = format!("VALUE of {attribute:?}, and no ATTRIBUTE is called that");
                return Err(FileError { file: file.to_string(), line, what });
            }
        }
        Ok(())
    }

    fn name_value(&mut self, attribute: &str, name: &str, value: u64) -> bool {
        let Some(named) = self.dictionary.change(attribute) else { return false };
        Arc::make_mut(named).values.push((name.into(), value));
        true
    }

    fn nested(&mut self, file: &str, text: &str, depth: usize) -> Result<(), FileError> {
        let mut blocks = Blocks::default();
        let wrong = |line: usize, what: String| FileError { file: file.to_owned(), line, what };
        self.files += 1;
        if depth > DEEPEST || self.files > MOST_FILES {
            return Err(wrong(1, format!("more than {DEEPEST} files within files, or {MOST_FILES} in all")));
        }
        let mut last = 0;
        let whole: Arc<str> = file.into();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            last = at;
            self.at = (Arc::clone(&whole), at);
            let bare = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = bare.split_ascii_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [keyword @ ("$INCLUDE" | "$INCLUDE-"), named] => {
                    match (self.include)(file, named).map_err(|what| wrong(at, what))? {
                        Some((name, text)) => self.nested(&name, &text, depth + 1)?,
                        None if *keyword == "$INCLUDE-" => {}
                        None => return Err(wrong(at, format!("there is no file {named:?}"))),
                    }
                }
                [keyword, rest @ ..] => self.line(keyword, rest, &mut blocks).map_err(|what| wrong(at, what))?,
            }
        }
        if blocks.vendor.is_some() || blocks.parts > 0 {
            return Err(wrong(last, "the file ends within BEGIN-VENDOR or BEGIN-TLV".to_owned()));
        }
        Ok(())
    }

    fn line(&mut self, keyword: &str, rest: &[&str], blocks: &mut Blocks) -> Result<(), String> {
        self.facts += 1;
        if self.facts > MOST_FACTS {
            return Err(format!("more than {MOST_FACTS} lines"));
        }
        match (keyword.to_ascii_uppercase().as_str(), rest) {
            ("ATTRIBUTE", [name, number, kind, flags @ ..]) => self.attribute(blocks, name, number, (kind, flags)),
            ("VALUE", [attribute, name, value]) => self.value(attribute, name, value),
            ("VENDOR", [name, number]) => self.vendor(name, number, "format=1,1"),
            ("VENDOR", [name, number, form]) => self.vendor(name, number, form),
            ("BEGIN-VENDOR", [name, parent @ ..]) => {
                if blocks.vendor.is_some() {
                    return Err("BEGIN-VENDOR within BEGIN-VENDOR".to_owned());
                }
                blocks.vendor = Some(self.known_vendor(name)?);
                blocks.extended = match parent {
                    [] => false,
                    [parent] if parent.starts_with("parent=") || parent.starts_with("format=") => true,
                    _ => return Err(format!("{} is not known here", parent.join(" "))),
                };
                Ok(())
            }
            ("END-VENDOR", [_]) if blocks.vendor.is_some() && blocks.parts == 0 => {
                *blocks = Blocks::default();
                Ok(())
            }
            ("BEGIN-TLV", [_]) => {
                blocks.parts += 1;
                Ok(())
            }
            ("END-TLV", [_]) if blocks.parts > 0 => {
                blocks.parts -= 1;
                Ok(())
            }
            ("END-VENDOR" | "END-TLV", [_]) => Err(format!("{keyword} without its beginning")),
            ("ATTRIBUTE", _) => Err("write it as ATTRIBUTE Name Number Type".to_owned()),
            ("VALUE", _) => Err("write it as VALUE Attribute Name Number".to_owned()),
            ("VENDOR" | "BEGIN-VENDOR" | "END-VENDOR" | "BEGIN-TLV" | "END-TLV" | "$INCLUDE" | "$INCLUDE-", _) => {
                Err(format!("{keyword} has too few or too many words"))
            }
            _ => Err(format!(
                "{keyword:?} is not known; known are ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR, BEGIN-TLV, END-TLV, $INCLUDE"
            )),
        }
    }

    fn known_vendor(&self, name: &str) -> Result<Vendor, String> {
        self.dictionary.vendor(name).ok_or_else(|| format!("no VENDOR {name:?} stands before"))
    }

    fn vendor(&mut self, name: &str, number: &str, form: &str) -> Result<(), String> {
        let id = self::number(number).and_then(|number| u32::try_from(number).ok());
        let id = id.ok_or_else(|| format!("{number:?} is no vendor's number"))?;
        let sizes: Vec<&str> = form.strip_prefix("format=").map(|form| form.split(',').collect()).unwrap_or_default();
        let form = match sizes.as_slice() {
            ["1", "1"] => Form::USUAL,
            [kind @ ("1" | "2" | "4"), length @ ("0" | "1" | "2")] => {
                Form { kind: kind.parse().unwrap_or(1), length: length.parse().unwrap_or(1), continues: false }
            }
            ["1", "1", "c"] => Form { continues: true, ..Form::USUAL },
            _ => {
                return Err(format!(
                    "{form:?} is not known; allowed: format=1,1 with 1, 2 or 4 octets, then 0, 1 or 2"
                ));
            }
        };
        self.dictionary.add_vendor(name, Vendor { number: id, form });
        Ok(())
    }

    fn attribute(
        &mut self,
        blocks: &Blocks,
        name: &str,
        number: &str,
        (kind, flags): (&str, &[&str]),
    ) -> Result<(), String> {
        let mut vendor = blocks.vendor;
        let mut barred = (blocks.parts > 0 || blocks.extended).then_some(Bar::Form);
        let mut tagged = false;
        for flag in flags.iter().flat_map(|flags| flags.split(',')).filter(|flag| !flag.is_empty()) {
            match flag {
                "has_tag" => tagged = true,
                "array" | "concat" | "secret" | "internal" | "unsafe" => {}
                "virtual" => barred = Some(Bar::Form),
                _ if flag.starts_with("encrypt=") => barred = barred.or(Some(Bar::Encrypted)),
                // The old way to name the vendor.
                _ if blocks.vendor.is_none() && self.dictionary.vendor(flag).is_some() => {
                    vendor = self.dictionary.vendor(flag);
                }
                _ => {
                    return Err(format!(
                        "{flag:?} is not known; known are has_tag, encrypt=, array, concat, secret, virtual"
                    ));
                }
            }
        }
        let kind = Kind::of(kind).ok_or_else(|| format!("the type {kind:?} is not known"))?;
        let whole = self::number(number.strip_prefix('.').unwrap_or(number));
        let parts = number.split('.').all(|part| part.is_empty() || self::number(part).is_some());
        let number = match whole.filter(|_| !number.starts_with('.')) {
            Some(number) => u32::try_from(number).map_err(|_| format!("{number} is too large"))?,
            // A part of another attribute.
            None if parts => {
                barred = Some(Bar::Form);
                0
            }
            None => return Err(format!("{number:?} is no attribute's number")),
        };
        if kind == Kind::Other {
            barred = Some(Bar::Form);
        }
        let largest = vendor.map_or(255, |vendor| vendor.form.largest());
        if barred != Some(Bar::Form) {
            // Numbers above are the server's own and in no packet.
            let outside = number == 0 && vendor.is_none()
                || number > largest
                || vendor.is_some_and(|vendor| vendor.form.continues);
            barred = if outside { Some(Bar::Form) } else { bar(vendor.map(|vendor| vendor.number), number).or(barred) };
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            return Err(format!("{name:?} is no name: allowed are letters, digits, - _ . /"));
        }
        self.dictionary.add(Named { name: name.into(), vendor, number, kind, tagged, barred, values: Vec::new() });
        Ok(())
    }

    fn value(&mut self, attribute: &str, name: &str, value: &str) -> Result<(), String> {
        let value = self::number(value).ok_or_else(|| format!("{value:?} is no number"))?;
        if !self.name_value(attribute, name, value) {
            self.early.push((attribute.to_owned(), name.to_owned(), value, self.at.clone()));
        }
        Ok(())
    }
}
