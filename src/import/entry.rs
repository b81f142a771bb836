//! From an entry of a directory to a person. Pure.
//!
//! An entry is looked at in two steps, because nearly all entries of a pass are as they were: first its octets
//! are hashed and its unique id is read, into a buffer that is used again; only what is new or has changed
//! becomes a [`Candidate`].

use sha2::{Digest, Sha256};

use crate::config::import::{AttributeMap, IdKind, Import, ImportItem};
use crate::import::preset;
use crate::ldap::filter::Filter;
use crate::ldap::search::{Entry, Values};
use crate::users::model::Person;
use crate::users::phone;
use crate::users::profile::Profile;

/// Longest value that is taken, in characters; what is longer is cut.
const LONGEST_VALUE: usize = 256;
/// Longest name, in octets: no client can send a longer one (see [`crate::primary::names::MAX_NAME`]).
const LONGEST_NAME: usize = crate::primary::names::MAX_NAME;
/// Longest unique id, in octets.
const LONGEST_ID: usize = 256;
/// Names of one person beside the first, at most.
const MOST_ALIASES: usize = 16;

/// Changes when the same entry is to be understood in another way than by older programs: everybody is then
/// looked at afresh once.
const RULES: &[u8] = b"anteroom import 1";

/// Why an entry is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unfit {
    /// It has no unique id, or one that is not of its kind.
    NoUniqueId,
    /// It has no login name, or only one that nobody could type.
    NoName,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unfit::NoUniqueId => "no unique id that can be read; may the service account read it?",
            Unfit::NoName => "no login name",
        })
    }
}

/// A person as a source describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As they would be if they were new; not yet with the item's rule for `enabled`.
    pub profile: Profile,
    /// Whether the source has disabled the account.
    pub disabled: bool,
    /// Whether the source says anything of the language.
    pub has_language: bool,
}

/// How the entries of one item are read.
#[derive(Debug)]
pub struct Reading {
    map: AttributeMap,
    preset: crate::config::import::Preset,
    wanted: Vec<String>,
    /// `DOMAIN\` prefixes under which an Active Directory account is known, too.
    domains: Vec<String>,
    region: Option<String>,
    item: ImportItem,
    /// What, beside the entry, decides what becomes of it.
    settings: Sha256,
}

impl Reading {
    /// How `item` is read; `domains` are the NetBIOS names of its directory.
    pub fn new(item: &ImportItem, import: &Import, domains: &[String]) -> Self {
        let map = item.attributes.clone();
        let mut wanted: Vec<String> = vec![map.unique_id.clone(), preset::disabled_attribute(item.preset).to_owned()];
        let lists = [
            &map.user_name,
            &map.aliases,
            &map.first_name,
            &map.last_name,
            &map.email,
            &map.phone,
            &map.backup_phone,
            &map.extension,
            &map.language,
            &map.group,
            &map.description,
        ];
        for attribute in lists.into_iter().flatten() {
            if !wanted.iter().any(|known| known.eq_ignore_ascii_case(attribute)) {
                wanted.push(attribute.clone());
            }
        }
        let mut settings = Sha256::new();
        settings.update(RULES);
        // Debug of these holds every setting, no secret, and changes with each of them: what is wanted here.
        settings.update(format!("{item:?} {domains:?} {:?}", import.region));
        Reading {
            map,
            preset: item.preset,
            wanted,
            domains: domains.to_vec(),
            region: import.region.clone(),
            item: item.clone(),
            settings,
        }
    }

    /// The item.
    pub fn item(&self) -> &ImportItem {
        &self.item
    }

    /// The attributes to ask for.
    pub fn wanted(&self) -> Vec<&str> {
        self.wanted.iter().map(String::as_str).collect()
    }

    /// The filter that every person of the directory matches.
    ///
    /// # Errors
    /// Where the configured filter stops making sense.
    pub fn people(&self) -> Result<Filter, String> {
        let parse = |text: &str| Filter::parse(text).map_err(|error| format!("filter {text}: {error}"));
        let people = parse(&self.map.people)?;
        match &self.item.filter {
            Some(filter) => Ok(Filter::And(vec![people, parse(filter)?])),
            None => Ok(people),
        }
    }

    /// A number that stays the same as long as an entry of these octets would come to the same. Never zero, and
    /// its two lowest bits are free.
    pub fn content(&self, octets: &[u8]) -> i64 {
        content_of(self.settings.clone(), octets)
    }

    /// Reads the unique id into `buffer`.
    ///
    /// # Errors
    /// [`Unfit::NoUniqueId`].
    pub fn unique_id(&self, entry: &Entry<'_>, buffer: &mut String) -> Result<(), Unfit> {
        let value = entry.first(&self.map.unique_id).filter(|value| !value.is_empty()).ok_or(Unfit::NoUniqueId)?;
        buffer.clear();
        match self.map.unique_id_kind {
            IdKind::Guid => guid_into(value, buffer),
            IdKind::Octets if value.len() <= LONGEST_ID / 2 => {
                value.iter().for_each(|&octet| push_hex(buffer, octet));
                Ok(())
            }
            IdKind::Text => match std::str::from_utf8(value) {
                Ok(text) if text.len() <= LONGEST_ID && !text.chars().any(char::is_control) => {
                    if text.is_ascii() {
                        buffer.push_str(text.trim());
                        buffer.make_ascii_lowercase();
                    } else {
                        buffer.push_str(&text.trim().to_lowercase());
                    }
                    if buffer.is_empty() { Err(Unfit::NoUniqueId) } else { Ok(()) }
                }
                _ => Err(Unfit::NoUniqueId),
            },
            IdKind::Octets => Err(Unfit::NoUniqueId),
        }
    }

    /// The filter that finds the person with this unique id, or `None` where that cannot be one.
    pub fn by_unique_id(&self, unique_id: &str) -> Option<Filter> {
        let value = match self.map.unique_id_kind {
            IdKind::Guid => crate::primary::names::guid_octets(unique_id)?.to_vec(),
            IdKind::Text => unique_id.as_bytes().to_vec(),
            IdKind::Octets => {
                let digits = unique_id.as_bytes().as_chunks::<2>().0.iter();
                let octet = |[high, low]: &[u8; 2]| {
                    let digit = |digit: u8| char::from(digit).to_digit(16);
                    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
                };
                digits.map(octet).collect::<Option<Vec<u8>>>()?
            }
        };
        Some(Filter::Equality(self.map.unique_id.clone(), value))
    }

    /// The filter that finds people by a name of any kind that has no DN.
    pub fn by_name(&self, name: &str) -> Filter {
        let account = name.rsplit_once('\\').map_or(name, |(_, account)| account);
        let attributes = self.map.user_name.iter().chain(&self.map.aliases);
        Filter::Or(
            attributes.map(|attribute| Filter::Equality(attribute.clone(), account.as_bytes().to_vec())).collect(),
        )
    }

    /// The person that an entry describes.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn candidate(&self, entry: &Entry<'_>) -> Result<Candidate, Unfit> {
        let mut unique_id = String::new();
        self.unique_id(entry, &mut unique_id)?;
        let dn = entry.dn.to_owned();
        let entry = &Listed(entry.attributes().collect());
        let text = |attributes: &[String]| attributes.iter().find_map(|attribute| value(entry, attribute));
        let mut names: Vec<String> =
            self.map.user_name.iter().filter_map(|attribute| usable_name(entry, attribute)).collect();
        if names.is_empty() {
            return Err(Unfit::NoName);
        }
        let name = names.remove(0);
        // The name that an Active Directory account has in `DOMAIN\name`.
        let account = usable_name(entry, "sAMAccountName");
        let in_domain = account.iter().flat_map(|account| self.domains.iter().map(move |d| format!("{d}\\{account}")));
        let aliases = self.map.aliases.iter().flat_map(|attribute| entry.values(attribute));
        let aliases = aliases.filter_map(|value| std::str::from_utf8(value).ok()).map(tidy);
        let upn = std::iter::once(&name).chain(&names).find(|name| name.contains('@')).cloned();
        let mut others: Vec<String> = Vec::new();
        for other in names.into_iter().chain(in_domain).chain(aliases) {
            let same = |known: &String| crate::primary::names::same(known, &other);
            let known = same(&name) || upn.as_ref().is_some_and(same) || others.iter().any(same);
            if !known && usable(&other) && others.len() < MOST_ALIASES {
                others.push(other);
            }
        }
        let region = self.region.as_deref();
        let number = text(&self.map.phone).and_then(|number| phone::parse(&number, region));
        let backup = text(&self.map.backup_phone).and_then(|number| phone::parse(&number, region));
        let language = text(&self.map.language).and_then(|tag| language(&tag));
        let has_language = language.is_some();
        let extension = text(&self.map.extension).or_else(|| number.as_ref().and_then(|phone| phone.extension.clone()));
        let mut profile = Profile::new(Person {
            unique_id,
            name,
            upn,
            dn: Some(dn),
            first_name: text(&self.map.first_name),
            last_name: text(&self.map.last_name),
            email: text(&self.map.email),
            phone_extension: extension.filter(|_| number.is_some()),
            phone: number.map(|phone| phone.number),
            device_token: None,
            method: self.item.method,
            mode: self.item.mode,
            language: language.unwrap_or_else(|| self.item.language.clone()),
            enabled: true,
            blocked_until: None,
        });
        profile.aliases = others;
        profile.group = text(&self.map.group);
        profile.description = text(&self.map.description);
        profile.backup_extension = backup.as_ref().and_then(|phone| phone.extension.clone());
        profile.backup_phone = backup.map(|phone| phone.number);
        profile.item = Some(self.item.name.clone());
        let disabled = entry.values(preset::disabled_attribute(self.preset)).next();
        let disabled = disabled.and_then(|value| std::str::from_utf8(value).ok());
        Ok(Candidate { profile, disabled: preset::is_disabled(self.preset, disabled), has_language })
    }
}

/// Sixty-one bits of a hash, one that is always set, and two that are free.
pub(crate) fn content_of(mut settings: Sha256, octets: &[u8]) -> i64 {
    settings.update(octets);
    let digest = settings.finalize();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    (i64::from_be_bytes(first) & !0b111) | 0b100
}

/// The attributes of an entry, found once: a dozen and more are looked for, and looking walks through them all.
struct Listed<'a>(Vec<(&'a [u8], Values<'a>)>);

impl<'a> Listed<'a> {
    /// As [`Entry::values`].
    fn values(&self, description: &str) -> Values<'a> {
        let found = self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(description.as_bytes()));
        found.map(|(_, values)| values.clone()).unwrap_or_default()
    }
}

/// The first value of an attribute that is text and not blank.
fn value(entry: &Listed<'_>, attribute: &str) -> Option<String> {
    let texts = entry.values(attribute).filter_map(|value| std::str::from_utf8(value).ok());
    texts.map(cleaned).find(|text| !text.is_empty())
}

/// The first value of an attribute that could be a name. A name that is too long is none: cut, it would be another.
fn usable_name(entry: &Listed<'_>, attribute: &str) -> Option<String> {
    let texts = entry.values(attribute).filter_map(|value| std::str::from_utf8(value).ok());
    texts.map(tidy).find(|text| usable(text))
}

/// A text without blanks at its ends and without control characters.
pub(crate) fn tidy(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.trim().to_owned();
    }
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

/// A text without blanks at its ends and without control characters, not too long.
pub(crate) fn cleaned(text: &str) -> String {
    let tidy = tidy(text);
    if tidy.len() <= LONGEST_VALUE { tidy } else { tidy.chars().take(LONGEST_VALUE).collect() }
}

/// Whether somebody could sign in with a name.
pub(crate) fn usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME
}

/// A language tag as far as it looks like one (RFC 5646): `en`, `de-CH`. preferredLanguage may hold a list as in
/// Accept-Language (RFC 2798 section 2.7); its first is taken.
pub(crate) fn language(text: &str) -> Option<String> {
    let tag = text.split([',', ';']).next().unwrap_or_default().trim().replace('_', "-");
    let part = |part: &str| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    let primary = (2..=3).contains(&first.len()) && first.chars().all(|c| c.is_ascii_alphabetic());
    (primary && tag.len() <= 35 && tag.split('-').all(part)).then_some(tag)
}

/// As [`crate::primary::names::guid_text`], into a buffer.
fn guid_into(value: &[u8], buffer: &mut String) -> Result<(), Unfit> {
    let &[d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p] = value else { return Err(Unfit::NoUniqueId) };
    for (place, octet) in [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p].into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            buffer.push('-');
        }
        push_hex(buffer, octet);
    }
    Ok(())
}

fn push_hex(buffer: &mut String, octet: u8) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    buffer.push(digit(octet >> 4));
    buffer.push(digit(octet & 0xf));
}

#[cfg(test)]
mod tests;
