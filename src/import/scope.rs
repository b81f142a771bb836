//! Which searches an item becomes. Pure.

use crate::config::import::{ImportScope, Preset};
use crate::import::entry::Reading;
use crate::ldap::filter::{Filter, IN_CHAIN};
use crate::ldap::search::Scope;

/// Unique ids that are asked for in one search.
pub const IDS_AT_ONCE: usize = 50;

/// One question to the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where the search starts.
    pub base: String,
    /// How far it reaches.
    pub scope: Scope,
    /// What is found.
    pub filter: Filter,
    /// Whether it matters that the base is not there. The DN of a group's member may be that of somebody who is
    /// just being deleted; the unit of an item must exist.
    pub base_must_exist: bool,
}

impl Job {
    /// The same question about people with these unique ids only.
    pub fn of_these(&self, reading: &Reading, unique_ids: &[String]) -> Job {
        let ids = unique_ids.iter().filter_map(|id| reading.by_unique_id(id)).collect();
        Job { filter: Filter::And(vec![self.filter.clone(), Filter::Or(ids)]), ..self.clone() }
    }
}

/// A group that the directory has told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its DN.
    pub dn: String,
    /// The last part of its objectSid: what people have in primaryGroupID whose primary group it is.
    pub relative_id: Option<u32>,
}

/// The searches of an item that need no question before. `None`: a group, which must be found first.
///
/// # Errors
/// What is wrong with a filter.
pub fn jobs(reading: &Reading, directory_base: &str) -> Result<Option<Vec<Job>>, String> {
    let people = reading.people()?;
    let search = |base: &str, scope, filter| Job { base: base.to_owned(), scope, filter, base_must_exist: true };
    Ok(Some(match &reading.item().scope {
        ImportScope::Ou { dn, subtree } => {
            let scope = if *subtree { Scope::Subtree } else { Scope::One };
            vec![search(dn, scope, people)]
        }
        ImportScope::Search { base, filter } => {
            let wanted = Filter::parse(filter).map_err(|error| format!("search {filter}: {error}"))?;
            let base = base.as_deref().unwrap_or(directory_base);
            vec![search(base, Scope::Subtree, Filter::And(vec![people, wanted]))]
        }
        ImportScope::People(names) => by_names(reading, names, directory_base)?,
        ImportScope::Group { .. } => return Ok(None),
    }))
}

/// The searches for people by their names or DNs.
///
/// # Errors
/// What is wrong with a filter.
pub fn by_names(reading: &Reading, names: &[String], directory_base: &str) -> Result<Vec<Job>, String> {
    let people = reading.people()?;
    let (dns, plain): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_dn(name));
    let job = |base: &str, scope, filter| Job { base: base.to_owned(), scope, filter, base_must_exist: false };
    let mut jobs: Vec<Job> = dns.into_iter().map(|dn| job(dn, Scope::Base, people.clone())).collect();
    for names in plain.chunks(IDS_AT_ONCE) {
        let any = Filter::Or(names.iter().map(|name| reading.by_name(name)).collect());
        let filter = Filter::And(vec![people.clone(), any]);
        jobs.push(Job { base_must_exist: true, ..job(directory_base, Scope::Subtree, filter) });
    }
    Ok(jobs)
}

/// The search for the members of a group that Active Directory answers by itself: direct members, nested ones
/// too where wanted, and those whose primary group it is, whom `memberOf` leaves out.
///
/// # Errors
/// What is wrong with a filter.
pub fn members_of(reading: &Reading, group: &Group, nested: bool, directory_base: &str) -> Result<Job, String> {
    let dn = group.dn.as_bytes().to_vec();
    let membership = if nested {
        Filter::Extensible {
            rule: Some(IN_CHAIN.to_owned()),
            attribute: Some("memberOf".to_owned()),
            value: dn,
            dn_attributes: false,
        }
    } else {
        Filter::Equality("memberOf".to_owned(), dn)
    };
    let mut any = vec![membership];
    if let Some(relative_id) = group.relative_id {
        any.push(Filter::Equality("primaryGroupID".to_owned(), relative_id.to_string().into_bytes()));
    }
    Ok(Job {
        base: directory_base.to_owned(),
        scope: Scope::Subtree,
        filter: Filter::And(vec![reading.people()?, Filter::Or(any)]),
        base_must_exist: true,
    })
}

/// The filter of a group by its DN or its name, and of all groups within it where they are wanted.
pub fn group_filter(groups: &Filter, preset: Preset, group: &str) -> Filter {
    let value = || group.as_bytes().to_vec();
    let names: &[&str] = match preset {
        Preset::Ad => &["sAMAccountName", "name"],
        Preset::OpenLdap | Preset::Ds389 => &["cn"],
    };
    let named = Filter::Or(names.iter().map(|&name| Filter::Equality(name.to_owned(), value())).collect());
    Filter::And(vec![groups.clone(), named])
}

/// The filter of the groups that lie, at any depth, within the group at `dn`.
pub fn groups_within(groups: &Filter, dn: &str) -> Filter {
    let chain = Filter::Extensible {
        rule: Some(IN_CHAIN.to_owned()),
        attribute: Some("memberOf".to_owned()),
        value: dn.as_bytes().to_vec(),
        dn_attributes: false,
    };
    Filter::And(vec![groups.clone(), chain])
}

/// Whether a text is a distinguished name rather than a name.
pub fn is_dn(text: &str) -> bool {
    let Some((attribute, _)) = text.split_once('=') else { return false };
    let attribute = attribute.trim();
    !attribute.is_empty() && attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

/// Whether the entry at `dn` is `base` or lies below it. Compared without case, as both come from directories
/// that write one name in one way.
pub fn is_within(dn: &str, base: &str) -> bool {
    let (dn, base) = (spaceless(dn), spaceless(base));
    base.is_empty()
        || dn == base
        || dn.strip_suffix(&base).is_some_and(|above| above.ends_with(',') && !above.ends_with("\\,"))
}

/// In lower case, and without the blanks that may stand behind a comma.
fn spaceless(dn: &str) -> String {
    let mut plain = String::with_capacity(dn.len());
    let (mut after_comma, mut escaped) = (false, false);
    for c in dn.trim().chars().flat_map(char::to_lowercase) {
        if c == ' ' && after_comma {
            continue;
        }
        after_comma = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        plain.push(c);
    }
    plain
}

/// The last part of a SID (MS-DTYP section 2.4.2.2), if it is one.
pub fn relative_id(sid: &[u8]) -> Option<u32> {
    let (&count, _) = sid.get(1..)?.split_first()?;
    if count == 0 || sid.len() != 8 + 4 * usize::from(count) {
        return None;
    }
    sid.last_chunk::<4>().map(|octets| u32::from_le_bytes(*octets))
}

#[cfg(test)]
mod tests;
