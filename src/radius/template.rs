//! Values of a reply's attributes for the very person: templates, and what becomes of them. Pure.
//!
//! `{user}`, `{upn}`, `{dn}`, `{mail}` and `{group}` are the person's; beside `from`, which names an attribute of the directory,
//! `{value}` is each of its values and `{cn}` what a distinguished name begins with. `{{` and `}}` are braces. A field
//! that has several values makes an attribute of each, one that has none makes none.

use std::sync::Arc;

use super::dictionary::Writable;
use crate::config::ReplyAttribute;
use crate::config::gateway::Pattern;
use crate::primary::Details;
use crate::secret::Secret;

mod filled;

pub use filled::{Filled, Made, Misfit, said};

/// Values that one template makes at most: more do not fit into a packet.
const MOST_VALUES: usize = 512;

/// The attribute of the directory behind `{mail}`.
const MAIL: &str = "mail";

/// What stands for something of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The account name.
    User,
    /// The name with an `@`.
    Upn,
    /// The distinguished name.
    Dn,
    /// The first value of `mail` in the directory.
    Mail,
    /// The name of each group of the section that they are in.
    Group,
    /// Each value of the directory's attribute.
    Value,
    /// What each value, a distinguished name, begins with.
    Cn,
}

impl Field {
    const ALL: [(&'static str, Field); 7] = [
        ("user", Field::User),
        ("upn", Field::Upn),
        ("dn", Field::Dn),
        ("mail", Field::Mail),
        ("group", Field::Group),
        ("value", Field::Value),
        ("cn", Field::Cn),
    ];

    fn is_of_directory(self) -> bool {
        matches!(self, Field::Value | Field::Cn)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

/// A text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording(Vec<Part>);

impl Wording {
    /// Reads it. `sourced`: whether it stands beside `from`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, sourced: bool) -> Result<Wording, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at_checked(at).unwrap_or((rest, ""));
            literal.push_str(before);
            let doubled = ["{{", "}}"].into_iter().find(|doubled| brace.starts_with(doubled));
            if let Some(doubled) = doubled {
                literal.push_str(doubled.get(..1).unwrap_or_default());
                rest = brace.get(2..).unwrap_or_default();
                continue;
            }
            let inner = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) = inner.ok_or_else(|| "a brace stands alone; write {{ or }} for a brace".to_owned())?;
            // A template asks for one attribute of the directory.
            let usable = |field: &Field| match field {
                Field::Mail => !sourced,
                field => sourced || !field.is_of_directory(),
            };
            let field = Field::ALL.iter().find(|(known, field)| *known == name && usable(field));
            let Some((_, field)) = field else {
                let known = Field::ALL.iter().filter(|(_, field)| usable(field)).map(|(name, _)| format!("{{{name}}}"));
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(format!("{{{name}}} is no field; known here: {known}; write {{{{ for a brace"));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(*field));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let several = parts.iter().filter(|part| matches!(part, Part::Field(Field::Group))).count() > 0
            && parts.iter().any(|part| matches!(part, Part::Field(field) if field.is_of_directory()));
        if several {
            return Err("{group} cannot stand beside {value} or {cn}".to_owned());
        }
        Ok(Wording(parts))
    }

    /// The text, where it is the same for everybody.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    fn has(&self, field: Field) -> bool {
        self.0.contains(&Part::Field(field))
    }

    /// With every field filled; nothing where one has no value.
    fn fill(&self, of: impl Fn(Field) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field(field) => text.push_str(&of(*field).filter(|value| !value.is_empty())?),
            }
        }
        Some(text)
    }
}

/// One attribute, and where its values come from.
#[derive(Debug, Clone)]
pub struct Template {
    /// The attribute.
    pub attribute: Writable,
    /// The values.
    pub source: Source,
}

/// Where the values of an attribute come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The same for everybody.
    Fixed(ReplyAttribute),
    /// The same for everybody, and nobody but the client may read it.
    Sealed(Arc<Secret>),
    /// The person's own.
    Worded(Wording),
    /// The directory's.
    Directory {
        /// The attribute of the person's entry, in lower case.
        name: String,
        /// Patterns of the values that count (of what a distinguished name begins with, where the template has it);
        /// empty: all.
        only: Vec<Pattern>,
        /// What is made of each.
        wording: Wording,
    },
}

/// What templates need to know of a person.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The account name.
    pub user: &'a str,
    /// The name with an `@`, where there is one.
    pub upn: Option<&'a str>,
    /// The distinguished name.
    pub dn: &'a str,
    /// What the directory has of them.
    pub details: Option<&'a Details>,
    /// Distinguished names of the section's groups that they are in.
    pub groups: &'a [&'a str],
}

impl Template {
    /// The attribute of the directory that it needs.
    pub fn detail(&self) -> Option<String> {
        match &self.source {
            Source::Directory { name, .. } => Some(name.clone()),
            Source::Worded(wording) if wording.has(Field::Mail) => Some(MAIL.to_owned()),
            Source::Fixed(_) | Source::Sealed(_) | Source::Worded(_) => None,
        }
    }

    /// Whether a value names the groups that somebody is in.
    pub fn tells_groups(&self) -> bool {
        match &self.source {
            Source::Worded(wording) | Source::Directory { wording, .. } => wording.has(Field::Group),
            Source::Fixed(_) | Source::Sealed(_) => false,
        }
    }

    /// The attributes for a person. `cuts`: a text that is too long is cut. What cannot be written is told beside it.
    pub fn fill(&self, person: Person<'_>, cuts: bool) -> (Vec<Filled>, Vec<Misfit>) {
        let mail = person.details.and_then(|details| details.values(MAIL).first()).map(|value| plain(value));
        if mail == Some(None) && self.detail().as_deref() == Some(MAIL) && matches!(self.source, Source::Worded(_)) {
            return (Vec::new(), vec![Misfit::NoText]);
        }
        let own = |field| match field {
            Field::User => Some(person.user.to_owned()),
            Field::Upn => person.upn.map(str::to_owned),
            Field::Dn => Some(person.dn.to_owned()),
            Field::Mail => mail.flatten().map(str::to_owned),
            Field::Group | Field::Value | Field::Cn => None,
        };
        let mut made = Vec::new();
        match &self.source {
            Source::Fixed(encoded) => made.push(Ok(Made::Open(encoded.clone()))),
            Source::Sealed(secret) => made.push(Ok(Made::Sealed(Arc::clone(secret)))),
            Source::Worded(wording) if wording.has(Field::Group) => {
                for group in person.groups {
                    let of = |field| if field == Field::Group { first_value(group) } else { own(field) };
                    made.extend(wording.fill(of).map(|text| self.write(text, cuts)));
                }
            }
            Source::Worded(wording) => made.extend(wording.fill(own).map(|text| self.write(text, cuts))),
            Source::Directory { name, only, wording } => {
                let values = person.details.map(|details| details.values(name)).unwrap_or_default();
                for value in values.iter().take(MOST_VALUES) {
                    made.extend(self.directory(value, (only, wording), &own, cuts));
                }
            }
        }
        let (mut filled, mut misfits) = (Vec::new(), Vec::new());
        for one in made {
            match one {
                Ok(made) => filled.push(Filled { attribute: self.attribute.clone(), made }),
                Err(misfit) => misfits.push(misfit),
            }
        }
        (filled, misfits)
    }

    fn directory(
        &self,
        value: &[u8],
        (only, wording): (&[Pattern], &Wording),
        own: &dyn Fn(Field) -> Option<String>,
        cuts: bool,
    ) -> Option<Result<Made, Misfit>> {
        let text = plain(value);
        if let (None, [Part::Field(Field::Value)]) = (text, wording.0.as_slice())
            && let Some(made) = self.attribute.octets(value)
        {
            return only.is_empty().then(|| made.map(Made::Open).map_err(Misfit::Value));
        }
        let Some(text) = text else { return Some(Err(Misfit::NoText)) };
        let cn = first_value(text);
        let compared = if wording.has(Field::Cn) { cn.as_deref() } else { Some(text) };
        if !only.is_empty() && !compared.is_some_and(|compared| only.iter().any(|pattern| pattern.fits(compared))) {
            return None;
        }
        let of = |field| match field {
            Field::Value => Some(text.to_owned()),
            Field::Cn => cn.clone(),
            other => own(other),
        };
        wording.fill(of).map(|text| self.write(text, cuts))
    }

    fn write(&self, mut text: String, cuts: bool) -> Result<Made, Misfit> {
        if self.attribute.is_sealed() {
            // A password that is cut is another one.
            return Made::sealed(Secret::from_text(text));
        }
        if cuts && self.attribute.takes_text() {
            text.truncate(text.floor_char_boundary(self.attribute.longest()));
        }
        self.attribute.text(&text).map(Made::Open).map_err(Misfit::Value)
    }
}

/// A value that is text without control characters.
fn plain(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control))
}

/// What a distinguished name begins with: the value of its first part, without escapes (RFC 4514). Nothing where it is
/// none.
pub fn first_value(dn: &str) -> Option<String> {
    let (kind, rest) = dn.split_once('=')?;
    if kind.is_empty() || !kind.trim().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return None;
    }
    let mut octets = Vec::new();
    let mut characters = rest.bytes().peekable();
    while let Some(octet) = characters.next() {
        match octet {
            b',' | b'+' | b';' => break,
            b'\\' => {
                let first = characters.next()?;
                let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                match (digit(first), characters.peek().copied().and_then(digit)) {
                    (Some(high), Some(low)) => {
                        characters.next();
                        octets.push(high << 4 | low);
                    }
                    _ => octets.push(first),
                }
            }
            octet => octets.push(octet),
        }
    }
    String::from_utf8(octets).ok().filter(|text| !text.is_empty() && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests;
