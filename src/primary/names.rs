//! The names that people type, and what they may mean: `user`, `user@upn.suffix`, `DOMAIN\user`, in any case.
//! Pure.
//!
//! A name becomes values in a search filter, as octets, so none of its characters can change the filter.

use std::fmt::Write as _;

use crate::ldap::ber::Writer;
use crate::ldap::filter::write_equality;

/// Longest name that is looked for, in octets. AD's longest UPN is 1024 characters, which nobody has; the
/// RADIUS User-Name ends at 253.
pub const MAX_NAME: usize = 256;

/// Why a name cannot be anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Nothing is left of it.
    Empty,
    /// More than [`MAX_NAME`] octets.
    TooLong,
    /// It holds control characters.
    Control,
    /// Its `DOMAIN\` is not one of the directory's.
    OtherDomain,
}

/// A name as typed, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypedName<'a> {
    /// Just the account.
    Bare(&'a str),
    /// An account of a named domain of ours.
    InDomain(&'a str),
    /// A name with an `@`.
    At {
        /// All of it.
        whole: &'a str,
        /// What stands before the last `@`.
        left: &'a str,
        /// What stands behind it.
        right: &'a str,
    },
}

impl<'a> TypedName<'a> {
    /// Takes a name apart. `domains` are the NetBIOS names that may stand before a backslash; none: any.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn read(typed: &'a str, domains: &[String]) -> Result<Self, BadName> {
        if typed.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        if typed.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        if let Some((domain, user)) = typed.split_once('\\') {
            if !domains.is_empty() && !domains.iter().any(|ours| same(ours, domain)) {
                return Err(BadName::OtherDomain);
            }
            return if user.trim().is_empty() { Err(BadName::Empty) } else { Ok(TypedName::InDomain(user)) };
        }
        if typed.trim().is_empty() {
            return Err(BadName::Empty);
        }
        match typed.rsplit_once('@') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() => {
                Ok(TypedName::At { whole: typed, left, right })
            }
            _ => Ok(TypedName::Bare(typed)),
        }
    }
}

/// How names are looked for in one directory.
#[derive(Debug, Clone)]
pub struct NameRules {
    /// Attributes that hold the bare name.
    pub name_attributes: Vec<String>,
    /// Attributes that hold a name with an `@`.
    pub at_attributes: Vec<String>,
    /// What stands behind the `@` of a name that is made of the account's name and the directory's own:
    /// its DNS name, and its NetBIOS names.
    pub own_domains: Vec<String>,
    /// Filters in BER that every person must match.
    pub people: Vec<Vec<u8>>,
}

impl NameRules {
    /// Appends the filter that finds the person of this name, in BER.
    pub fn write_filter(&self, name: &TypedName<'_>, out: &mut Vec<u8>) {
        Writer::new(out).constructed(0xa0, |and| {
            self.people.iter().for_each(|filter| and.raw(filter));
            and.constructed(0xa1, |or| {
                let mut any_of = |attributes: &[String], value: &str| {
                    attributes.iter().for_each(|attribute| write_equality(or, attribute, value.as_bytes()));
                };
                match name {
                    TypedName::Bare(user) | TypedName::InDomain(user) => any_of(&self.name_attributes, user),
                    TypedName::At { whole, left, right } => {
                        any_of(&self.at_attributes, whole);
                        if self.own_domains.iter().any(|own| same(own, right)) {
                            any_of(&self.name_attributes, left);
                        }
                    }
                }
            });
        });
    }
}

/// Whether two names are the same but for case.
pub fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// A distinguished name in lower case, without the spaces that mean nothing around its separators (RFC 4514
/// section 3 allows none, RFC 2253 section 4 did).
pub fn plain_dn(dn: &str) -> String {
    let mut plain = String::with_capacity(dn.len());
    let mut escaped = false;
    let mut pending = 0;
    for character in dn.trim().chars().flat_map(char::to_lowercase) {
        if character == ' ' && !escaped {
            pending += 1;
            continue;
        }
        let separates = !escaped && matches!(character, ',' | '=' | '+');
        if !separates && !plain.ends_with([',', '=', '+']) || plain.ends_with("\\,") || plain.ends_with("\\=") {
            plain.extend(std::iter::repeat_n(' ', pending));
        }
        pending = 0;
        plain.push(character);
        escaped = !escaped && character == '\\';
    }
    plain
}

/// Whether two distinguished names are the same but for case and meaningless spaces.
pub fn same_dn(one: &str, other: &str) -> bool {
    same(one, other) || one.contains('=') && plain_dn(one) == plain_dn(other)
}

/// Whether the entry at `dn` lies below `container`, at any depth.
pub fn is_below(dn: &str, container: &str) -> bool {
    let (dn, container) = (plain_dn(dn), plain_dn(container));
    let above = dn.strip_suffix(&container).and_then(|rest| rest.strip_suffix(','));
    // The comma must not be an escaped one: then it is part of a name.
    !container.is_empty() && above.is_some_and(|above| above.chars().rev().take_while(|&c| c == '\\').count() % 2 == 0)
}

/// The DNS name that the `DC=` parts of a distinguished name spell, if it has any.
pub fn dns_domain(base: &str) -> Option<String> {
    let parts = base.split(',').filter_map(|part| {
        let (attribute, value) = part.split_once('=')?;
        attribute.trim().eq_ignore_ascii_case("dc").then(|| value.trim())
    });
    let labels: Vec<&str> = parts.collect();
    if labels.is_empty() { None } else { Some(labels.join(".")) }
}

/// Escapes a value for use in a distinguished name (RFC 4514 section 2.4).
pub fn escape_dn_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            '\0' => escaped.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', character]),
            '#' if index == 0 => escaped.push_str("\\#"),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The usual text form of an objectGUID, lower case. Its first three groups lie reversed in the octets.
pub fn guid_text(octets: &[u8]) -> Option<String> {
    let octets: &[u8; 16] = octets.try_into().ok()?;
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (place, &from) in order.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let octet = octets.get(from).copied().unwrap_or_default();
        write!(text, "{octet:02x}").ok()?;
    }
    Some(text)
}

/// The octets of an objectGUID in its text form: hexadecimal digits in either case, with dashes behind the
/// eighth, twelfth, sixteenth and twentieth, and nothing else.
pub fn guid_octets(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut plain = [0; 16];
    let mut octets = plain.iter_mut();
    for (group, length) in text.split(|&octet| octet == b'-').zip([8, 4, 4, 4, 12]) {
        if group.len() != length {
            return None;
        }
        for pair in group.as_chunks::<2>().0 {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *octets.next()? = u8::try_from(high? << 4 | low?).ok()?;
        }
    }
    let [a, b, c, d, e, f, g, h, rest @ ..] = plain;
    let mut octets = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    octets.iter_mut().skip(8).zip(rest).for_each(|(to, from)| *to = from);
    Some(octets)
}

#[cfg(test)]
mod tests;
