//! Whether a person is a member of a group, by way of other groups, too.
//!
//! Active Directory follows nested memberships itself (the rule in-chain), except that it leaves out the
//! person's primary group; that one is looked up by its SID. Elsewhere `memberOf` is read and walked upwards,
//! each group once, so loops end. A group may also be given as `<SID=S-1-5-…>`, as an NPS names it.

use std::collections::HashSet;
use std::time::Instant;

use super::bind_names::sid;
use super::directory::Directory;
use super::{Fault, Identity, names};
use crate::config::DirectoryKind;
use crate::ldap::ber::Writer;
use crate::ldap::filter::{Filter, IN_CHAIN, write_equality, write_extensible};
use crate::ldap::result::code;
use crate::ldap::search::{Entry, Scope, SearchRequest};

/// Groups above groups that are followed.
const MAX_LEVELS: usize = 16;
/// Groups that are read for one person.
const MAX_GROUPS: usize = 256;

/// What a search for one entry came to.
pub(super) enum Found<T> {
    Entry(T),
    /// The entry is there but does not match.
    NoMatch,
    /// There is no such entry.
    Gone,
}

/// Whether `who` is a member of any of `groups` (distinguished names).
///
/// # Errors
/// When the directory does not say.
pub(super) async fn member_of_any(
    directory: &Directory,
    who: &Identity,
    groups: &[String],
    deadline: Instant,
) -> Result<bool, Fault> {
    if groups.is_empty() {
        return Ok(false);
    }
    directory.locate(deadline).await?;
    if let Some(answer) = member_at(directory, &who.dn, groups, deadline).await? {
        return Ok(answer);
    }
    // The entry has moved since its DN was learned.
    match directory.refresh(who, deadline).await? {
        Some(now) if !names::same(&now.dn, &who.dn) => {
            Ok(member_at(directory, &now.dn, groups, deadline).await?.unwrap_or(false))
        }
        _ => Ok(false),
    }
}

/// Whether the entry of `who` matches a filter.
///
/// # Errors
/// When the directory does not say, or the filter is none.
pub(super) async fn matches(
    directory: &Directory,
    who: &Identity,
    filter: &str,
    deadline: Instant,
) -> Result<bool, Fault> {
    directory.locate(deadline).await?;
    let filter = Filter::parse(filter).map_err(|_| Fault::Garbled)?.encode();
    let found = read(directory, &who.dn, &filter, &["1.1"], deadline, |_| ()).await?;
    Ok(matches!(found, Found::Entry(())))
}

/// The SID of a group that is written as `<SID=S-1-5-…>`.
fn sid_of(group: &str) -> Option<Vec<u8>> {
    let inside = group.trim().strip_prefix('<')?.strip_suffix('>')?;
    sid(inside.get(..4).filter(|word| word.eq_ignore_ascii_case("SID=")).and(inside.get(4..))?)
}

/// The answer for the entry at `dn`; `None` when there is none.
async fn member_at(
    directory: &Directory,
    dn: &str,
    groups: &[String],
    deadline: Instant,
) -> Result<Option<bool>, Fault> {
    let (sids, named): (Vec<_>, Vec<_>) =
        groups.iter().map(|group| (sid_of(group), group)).partition(|(sid, _)| sid.is_some());
    if sids.is_empty() || directory.kind != DirectoryKind::Ad {
        return member_of_named(directory, dn, groups, deadline).await;
    }
    // Active Directory itself names every group of an account, nested ones and the primary one, by SID.
    let held = |entry: &Entry<'_>| {
        entry.values("tokenGroups").any(|held| sids.iter().any(|(sid, _)| sid.as_deref() == Some(held)))
    };
    match read(directory, dn, &anything(), &["tokenGroups"], deadline, held).await? {
        Found::Entry(true) => return Ok(Some(true)),
        Found::Entry(false) => {}
        Found::NoMatch | Found::Gone => return Ok(None),
    }
    let named: Vec<String> = named.into_iter().map(|(_, group)| group.clone()).collect();
    if named.is_empty() { Ok(Some(false)) } else { member_of_named(directory, dn, &named, deadline).await }
}

/// The same for groups by their distinguished names.
async fn member_of_named(
    directory: &Directory,
    dn: &str,
    groups: &[String],
    deadline: Instant,
) -> Result<Option<bool>, Fault> {
    match directory.kind {
        DirectoryKind::Ad => match in_chain(directory, dn, groups, deadline).await? {
            Found::Entry(()) => Ok(Some(true)),
            Found::NoMatch => by_primary_group(directory, dn, groups, deadline).await.map(Some),
            Found::Gone => Ok(None),
        },
        DirectoryKind::Ldap => walk(directory, dn, groups, deadline).await,
    }
}

/// Reads the entry at `dn` if it matches `filter`.
///
/// # Errors
/// When the directory does not say.
pub(super) async fn read<T>(
    directory: &Directory,
    dn: &str,
    filter: &[u8],
    attributes: &[&str],
    deadline: Instant,
    take: impl Fn(&Entry<'_>) -> T,
) -> Result<Found<T>, Fault> {
    let request = SearchRequest {
        base: dn,
        scope: Scope::Base,
        size_limit: 1,
        time_limit: directory.pool.settings().timeout,
        filter,
        attributes,
    };
    let (code, mut found) = directory.pool.search(&request, deadline, take).await?;
    match code {
        code::SUCCESS => Ok(found.pop().map_or(Found::NoMatch, Found::Entry)),
        code::NO_SUCH_OBJECT | code::INVALID_DN_SYNTAX => Ok(Found::Gone),
        code => Err(Fault::Refused { code }),
    }
}

/// Asks AD whether the entry at `dn` is in any of the groups, at any depth.
async fn in_chain(directory: &Directory, dn: &str, groups: &[String], deadline: Instant) -> Result<Found<()>, Fault> {
    let mut filter = Vec::new();
    Writer::new(&mut filter).constructed(0xa1, |or| {
        groups.iter().for_each(|group| write_extensible(or, IN_CHAIN, "memberOf", group.as_bytes()));
    });
    read(directory, dn, &filter, &["1.1"], deadline, |_| ()).await
}

/// Whether the person's primary group, which memberOf does not show, is one of the groups or inside one.
async fn by_primary_group(
    directory: &Directory,
    dn: &str,
    groups: &[String],
    deadline: Instant,
) -> Result<bool, Fault> {
    let sid = |entry: &Entry<'_>| primary_group_sid(entry.first("objectSid")?, entry.first_text("primaryGroupID")?);
    let found = read(directory, dn, &anything(), &["primaryGroupID", "objectSid"], deadline, sid).await?;
    let Found::Entry(Some(sid)) = found else { return Ok(false) };
    let mut filter = Vec::new();
    write_equality(&mut Writer::new(&mut filter), "objectSid", &sid);
    let request = SearchRequest {
        base: &directory.base,
        scope: Scope::Subtree,
        size_limit: 1,
        time_limit: directory.pool.settings().timeout,
        filter: &filter,
        attributes: &["1.1"],
    };
    let (_, found) = directory.pool.search(&request, deadline, |entry| entry.dn.to_owned()).await?;
    let Some(group) = found.into_iter().next() else { return Ok(false) };
    if groups.iter().any(|one| names::same(one, &group)) {
        return Ok(true);
    }
    Ok(matches!(in_chain(directory, &group, groups, deadline).await?, Found::Entry(())))
}

/// The SID of the group with this number in the domain of the account with that SID: its last four octets,
/// the relative id, replaced.
fn primary_group_sid(account: &[u8], group: &str) -> Option<Vec<u8>> {
    let relative: u32 = group.parse().ok()?;
    let (domain, _) = account.split_at_checked(account.len().checked_sub(4)?)?;
    if domain.len() < 8 {
        return None;
    }
    Some([domain, &relative.to_le_bytes()].concat())
}

/// Walks upwards by `memberOf`, level by level.
async fn walk(directory: &Directory, dn: &str, groups: &[String], deadline: Instant) -> Result<Option<bool>, Fault> {
    let member_of = |entry: &Entry<'_>| -> Vec<String> {
        let texts = entry.values("memberOf").filter_map(|value| std::str::from_utf8(value).ok());
        texts.take(MAX_GROUPS).map(str::to_owned).collect()
    };
    let filter = anything();
    let Found::Entry(mut level) = read(directory, dn, &filter, &["memberOf"], deadline, member_of).await? else {
        return Ok(None);
    };
    let mut seen = HashSet::new();
    for _ in 0..MAX_LEVELS {
        if level.iter().any(|group| groups.iter().any(|one| names::same(one, group))) {
            return Ok(Some(true));
        }
        let mut above = Vec::new();
        for group in level {
            if seen.len() >= MAX_GROUPS || !seen.insert(group.to_lowercase()) {
                continue;
            }
            if let Found::Entry(parents) = read(directory, &group, &filter, &["memberOf"], deadline, member_of).await? {
                above.extend(parents);
            }
        }
        if above.is_empty() {
            break;
        }
        level = above;
    }
    Ok(Some(false))
}

/// A filter that every entry matches.
pub(super) fn anything() -> Vec<u8> {
    Filter::Present("objectClass".into()).encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_be_given_by_its_sid() {
        let users = sid_of("<SID=S-1-5-32-545>").unwrap();
        assert_eq!(users, [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0]);
        assert_eq!(sid_of(" <sid=s-1-5-32-545> ").as_ref(), Some(&users));
        for other in ["CN=a,DC=b", "<SID=>", "<SID=S-1-5-32-545", "S-1-5-32-545", "<GUID=x>", "<SI"] {
            assert_eq!(sid_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_primary_group_differs_from_the_account_in_the_relative_id() {
        let account = b"\x01\x05\0\0\0\0\0\x05\x15\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x55\x04\0\0";
        let mut group = account.to_vec();
        group.splice(24.., [0x01, 0x02, 0, 0]);
        assert_eq!(primary_group_sid(account, "513"), Some(group));
        for (sid, id) in [(&account[..], "x"), (&account[..], "-1"), (&account[..11], "513"), (b"", "513")] {
            assert_eq!(primary_group_sid(sid, id), None);
        }
    }
}
