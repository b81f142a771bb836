//! Finds out what has changed in a directory since a mark: which people, and whether units or groups are among it,
//! in which case everybody must be looked at.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::config::import::{Import, ImportScope, Incremental, Preset};
use crate::import::entry::Reading;
use crate::import::mark::{Position, ServerFacts, Why, fresh_position};
use crate::import::reader::{Asked, ReadError, Source};
use crate::import::scope::IDS_AT_ONCE;
use crate::ldap::control::{Control, OBJECT_SECURITY, oid};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Batch, Finished, Paging};
use crate::ldap::result::code;
use crate::ldap::search::{Entry, Scope};

/// Classes of entries that people lie in.
const UNITS: [&str; 2] = ["organizationalUnit", "container"];
/// Classes of groups.
const GROUPS: [&str; 4] = ["group", "groupOfNames", "groupOfUniqueNames", "posixGroup"];
/// More changes than this are read as a full pass: it is then no slower, and needs less memory.
const MOST_CHANGES: usize = 20_000;

/// More units and groups than this that have just changed are not remembered: the next pass reads everybody again.
const MOST_SETTLED: usize = 2_000;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These people, and where to go on.
    People {
        /// Their unique ids.
        unique_ids: Vec<String>,
        /// Where to go on.
        position: Position,
    },
    /// Too much, or in a way that cannot be followed.
    TooMuch(Why),
}

/// What the entries of a feed come to.
#[derive(Debug, Default)]
struct Gathered {
    unique_ids: BTreeSet<String>,
    groups: Vec<String>,
    units: bool,
    too_many: bool,
    /// The attribute that says when a unit or group changed, where it says so exactly.
    time: Option<String>,
    /// Units and groups that an earlier pass has taken into account.
    settled: BTreeSet<String>,
    /// Units and groups among the entries, each as [`settled`] knows it.
    structure: Vec<String>,
}

impl Gathered {
    fn take(&mut self, reading: &Reading, entry: &Entry<'_>, id: &mut String) {
        // The most special class comes last in Active Directory: a group policy is a container, but no unit.
        let is = |class: &&str| entry.values("objectClass").last().is_some_and(|last| last == class.as_bytes());
        let deleted = entry.first_text("isDeleted").is_some_and(|value| value.eq_ignore_ascii_case("TRUE"));
        let is_unit = UNITS.iter().any(is);
        let is_group = || entry.values("objectClass").any(|class| GROUPS.iter().any(|group| class == group.as_bytes()));
        if let Some(time) = self.time.as_ref().and_then(|time| entry.first_text(time))
            && (is_unit || is_group())
        {
            let one = settled(entry.dn, time);
            let is_known = self.settled.contains(&one);
            self.structure.push(one);
            if is_known {
                return;
            }
        }
        if is_unit {
            // Who deletes a unit has deleted its people before.
            self.units |= !deleted;
        } else if is_group() {
            self.groups.push(entry.dn.to_owned());
        } else if reading.unique_id(entry, id).is_ok() {
            self.unique_ids.insert(id.clone());
        }
        self.too_many |= self.unique_ids.len() + self.groups.len() > MOST_CHANGES;
    }

    /// Tells units and groups by the time of their change, and leaves out those that are settled. Only for a time that
    /// two changes never share: modifyTimestamp knows seconds, and the second change of one would be missed.
    fn tell_apart(&mut self, attribute: &str, settled: &[String]) {
        if attribute.eq_ignore_ascii_case("entryCSN") {
            self.time = Some(attribute.to_owned());
            self.settled = settled.iter().cloned().collect();
        }
    }

    /// `position`, with the units and groups that were among the entries.
    fn settle(self, position: Option<Position>) -> Option<Position> {
        match position {
            Some(Position::Since { attribute, value, .. }) => {
                let settled = if self.structure.len() > MOST_SETTLED { Vec::new() } else { self.structure };
                Some(Position::Since { attribute, value, settled })
            }
            other => other,
        }
    }
}

/// A unit or group as it was after one of its changes.
fn settled(dn: &str, time: &str) -> String {
    let digest = Sha256::digest(format!("{}\n{time}", dn.to_lowercase()));
    digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

/// What the server says of itself.
///
/// # Errors
/// [`ReadError`].
pub async fn facts(source: &mut Source, preset: Preset) -> Result<ServerFacts, ReadError> {
    let server = format!("{}:{}", source.server().host, source.server().port);
    let time_attribute = match preset {
        Preset::Ad => None,
        Preset::OpenLdap => Some("entryCSN".to_owned()),
        Preset::Ds389 => Some("modifyTimestamp".to_owned()),
    };
    if preset != Preset::Ad {
        return Ok(ServerFacts { server, time_attribute, ..ServerFacts::default() });
    }
    let root = source.root(&["highestCommittedUSN", "dsServiceName"]).await?;
    let [usn, service] = root.try_into().unwrap_or_default();
    let usn = usn.and_then(|usn| usn.parse().ok());
    let invocation = match service {
        Some(service) => source.one(&service, &["invocationId"]).await?.and_then(|mut values| values.pop().flatten()),
        None => None,
    };
    // Without its invocationId a restored database cannot be told from the one before: then there is no counter.
    Ok(ServerFacts { server, usn: usn.filter(|_| invocation.is_some()), invocation, dirsync: true, time_attribute })
}

/// The filter of everything whose change can change who is read: people, whatever else an item asks of them, groups
/// and units.
fn feed_filter(reading: &Reading) -> Result<Filter, ReadError> {
    let mut any = vec![structure_filter(reading)?];
    match reading.item().preset {
        // Whoever was a person and has become something else is still a user.
        Preset::Ad => any.extend([class("user"), class("container"), class("group")]),
        Preset::OpenLdap | Preset::Ds389 => any.push(parse(&reading.item().attributes.people)?),
    }
    Ok(Filter::Or(any))
}

/// The filter of groups and units.
fn structure_filter(reading: &Reading) -> Result<Filter, ReadError> {
    Ok(Filter::Or(vec![parse(&reading.item().attributes.groups)?, class("organizationalUnit")]))
}

fn parse(text: &str) -> Result<Filter, ReadError> {
    Filter::parse(text).map_err(|error| ReadError::Unusable(format!("filter {text}: {error}")))
}

fn class(name: &str) -> Filter {
    Filter::Equality("objectClass".to_owned(), name.as_bytes().to_vec())
}

/// The attributes whose changes matter: what is read of people, what makes a membership, and what moves an entry.
fn feed_attributes<'a>(reading: &'a Reading, further: &[&'a str]) -> Vec<&'a str> {
    let mut wanted = reading.wanted();
    wanted.extend(["objectClass", "isDeleted", "name"]);
    wanted.extend(further);
    wanted
}

/// What has changed since `position`.
///
/// # Errors
/// [`ReadError`].
pub async fn since(
    source: &mut Source,
    import: &Import,
    readings: &[&Reading],
    facts: &ServerFacts,
    position: &Position,
    now: std::time::SystemTime,
) -> Result<Changed, ReadError> {
    let Some(&reading) = readings.first() else { return Ok(Changed::TooMuch(Why::First)) };
    let base = source.base().to_owned();
    let mut gathered = Gathered::default();
    let next = match position {
        Position::DirSync { object_security, .. } => {
            let cookie = position.cookie().unwrap_or_default();
            let finished = dirsync(source, reading, &cookie, *object_security, Some(&mut gathered)).await?;
            let Some(finished) = finished else { return Ok(Changed::TooMuch(Why::Refused)) };
            classify(source, reading, &mut gathered).await?;
            Some(Position::dirsync(&finished.cookie, *object_security))
        }
        Position::Usn { next } => {
            let newer = || Filter::GreaterOrEqual("uSNChanged".to_owned(), next.to_string().into_bytes());
            let filter = Filter::And(vec![newer(), feed_filter(reading)?]);
            let here = [Source::here_only()];
            gather(source, reading, &base, &filter, &here, &mut gathered).await?;
            let deleted = Filter::Equality("isDeleted".to_owned(), b"TRUE".to_vec());
            let user = Filter::Equality("objectClass".to_owned(), b"user".to_vec());
            let tombstones = Filter::And(vec![newer(), deleted, user]);
            let controls = [Control { critical: true, ..Control::plain(oid::SHOW_DELETED) }, Source::here_only()];
            gather(source, reading, &base, &tombstones, &controls, &mut gathered).await?;
            facts.usn.map(|usn| Position::Usn { next: usn + 1 })
        }
        Position::Since { attribute, value, settled } => {
            gathered.tell_apart(attribute, settled);
            let newer = Filter::GreaterOrEqual(attribute.clone(), value.clone().into_bytes());
            let filter = Filter::And(vec![newer, feed_filter(reading)?]);
            gather(source, reading, &base, &filter, &[], &mut gathered).await?;
            fresh_position(import, facts, now)
        }
    };
    let mut structure = gathered.units || gathered.too_many;
    for reading in readings {
        structure = structure || !gathered.groups.is_empty() && is_about_groups(source, reading, &gathered).await?;
    }
    Ok(match next {
        _ if structure => Changed::TooMuch(Why::Structure),
        next => {
            let unique_ids = std::mem::take(&mut gathered.unique_ids).into_iter().collect();
            match gathered.settle(next) {
                Some(position) => Changed::People { unique_ids, position },
                None => Changed::TooMuch(Why::NoWay),
            }
        }
    })
}

/// Whether the changed groups decide whom an item finds.
async fn is_about_groups(source: &mut Source, reading: &Reading, gathered: &Gathered) -> Result<bool, ReadError> {
    let item = reading.item();
    match &item.scope {
        // Elsewhere than in Active Directory groups do not say in one search what lies within them.
        ImportScope::Group { .. } if item.preset != Preset::Ad => Ok(true),
        ImportScope::Group { .. } => source.concerns(reading, &gathered.groups).await,
        scope => {
            let search = if let ImportScope::Search { filter, .. } = scope { filter.as_str() } else { "" };
            let filters = [search, item.filter.as_deref().unwrap_or_default(), &item.attributes.people];
            Ok(filters.iter().any(|filter| filter.to_ascii_lowercase().contains("memberof")))
        }
    }
}

/// A digest of the groups that lie within the groups of these items, which no feed of changes tells: a group that is
/// deleted changes neither the one that it was in nor its members. Elsewhere than in Active Directory it is all groups
/// of the directory. `None` where no item reads nested groups.
///
/// # Errors
/// [`ReadError`].
pub async fn groups(source: &mut Source, readings: &[&Reading]) -> Result<Option<String>, ReadError> {
    let mut all = Vec::new();
    for reading in readings {
        let nested = matches!(&reading.item().scope, ImportScope::Group { nested: true, .. });
        if nested {
            let groups = match reading.item().preset {
                Preset::Ad => source.groups_of(reading).await?,
                // Which of them lie within the item's only a walk from member to member could tell.
                Preset::OpenLdap | Preset::Ds389 => source.all_groups(reading).await?,
            };
            all.extend(groups.iter().map(|dn| dn.to_lowercase()));
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    all.sort_unstable();
    all.dedup();
    let digest = Sha256::digest(all.join("\n"));
    Ok(Some(digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect()))
}

/// Where changes go on after a full pass that begins now: a DirSync cookie where the account may have one, else the
/// counter or the time.
///
/// # Errors
/// [`ReadError`].
pub async fn begin(
    source: &mut Source,
    import: &Import,
    reading: &Reading,
    facts: &ServerFacts,
    previous: Option<&Position>,
    now: std::time::SystemTime,
) -> Result<Option<Position>, ReadError> {
    let wants = matches!(import.incremental, Incremental::Auto | Incremental::DirSync);
    // Where nobody imports on a schedule, the enumeration of a whole directory for a cookie is not worth it.
    if wants && facts.dirsync && import.interval.is_some() {
        if let Some(Position::DirSync { object_security, .. }) = previous
            && let Some(cookie) = previous.and_then(Position::cookie)
            && let Some(finished) = dirsync(source, reading, &cookie, *object_security, None).await?
        {
            return Ok(Some(Position::dirsync(&finished.cookie, *object_security)));
        }
        // The right to replicate shows deletions, too; without it an ordinary account may still ask for what it
        // may read. With that alone the counter does as well, and needs no enumeration of the whole directory.
        if let Some(finished) = dirsync(source, reading, b"", false, None).await? {
            return Ok(Some(Position::dirsync(&finished.cookie, false)));
        }
        if import.incremental == Incremental::DirSync
            && let Some(finished) = dirsync(source, reading, b"", true, None).await?
        {
            return Ok(Some(Position::dirsync(&finished.cookie, true)));
        }
    }
    let position = fresh_position(import, facts, now);
    let Some(Position::Since { attribute, value, .. }) = &position else { return Ok(position) };
    // A pass that goes on from here looks some minutes back, because of the clocks: what this one sees of units and
    // groups would make it a full one each time.
    let mut gathered = Gathered::default();
    gathered.tell_apart(attribute, &[]);
    if gathered.time.is_some() {
        let newer = Filter::GreaterOrEqual(attribute.clone(), value.clone().into_bytes());
        let filter = Filter::And(vec![newer, structure_filter(reading)?]);
        let base = source.base().to_owned();
        gather(source, reading, &base, &filter, &[], &mut gathered).await?;
    }
    Ok(gathered.settle(position))
}

/// DirSync gives of an entry what has changed, which its class is not: so the changed entries are asked what they
/// are. Deleted ones are not there any more, and whoever is not found has left.
async fn classify(source: &mut Source, reading: &Reading, gathered: &mut Gathered) -> Result<(), ReadError> {
    if gathered.too_many {
        return Ok(());
    }
    let (base, ids) = (source.base().to_owned(), gathered.unique_ids.iter().cloned().collect::<Vec<_>>());
    for ids in ids.chunks(IDS_AT_ONCE) {
        let any = Filter::Or(ids.iter().filter_map(|id| reading.by_unique_id(id)).collect());
        gather(source, reading, &base, &any, &[Source::here_only()], gathered).await?;
    }
    Ok(())
}

/// One DirSync search; `None`: the directory does not take it.
async fn dirsync(
    source: &mut Source,
    reading: &Reading,
    cookie: &[u8],
    object_security: bool,
    gathered: Option<&mut Gathered>,
) -> Result<Option<Finished>, ReadError> {
    let flags = if object_security { OBJECT_SECURITY } else { 0 };
    let paging = Paging::DirSync { flags, cookie: cookie.to_vec() };
    let (base, filter) = (source.base().to_owned(), feed_filter(reading)?.encode());
    let wanted = feed_attributes(reading, &["member", "memberUid", "uniqueMember"]);
    let asked = Asked { base: &base, scope: Scope::Subtree, filter: &filter, wanted: &wanted, controls: &[], tag: 0 };
    let finished = feed(source, reading, &asked, paging, gathered).await?;
    // Refused for want of a right, a base that is no naming context, or an unknown or worn-out cookie.
    Ok((finished.code == code::SUCCESS && !finished.cookie.is_empty()).then_some(finished))
}

async fn gather(
    source: &mut Source,
    reading: &Reading,
    base: &str,
    filter: &Filter,
    controls: &[Control],
    gathered: &mut Gathered,
) -> Result<(), ReadError> {
    let filter = filter.encode();
    let time = gathered.time.clone();
    let wanted = feed_attributes(reading, time.as_deref().as_slice());
    let asked = Asked { base, scope: Scope::Subtree, filter: &filter, wanted: &wanted, controls, tag: 0 };
    let finished = feed(source, reading, &asked, Paging::Pages(500), Some(gathered)).await?;
    match finished.code {
        code::SUCCESS => Ok(()),
        code => Err(ReadError::Refused { base: base.to_owned(), code, words: finished.words }),
    }
}

/// Reads a search to its end and gathers what has changed; without `gathered`, to nowhere.
async fn feed(
    source: &mut Source,
    reading: &Reading,
    asked: &Asked<'_>,
    paging: Paging,
    gathered: Option<&mut Gathered>,
) -> Result<Finished, ReadError> {
    let (sink, mut batches) = mpsc::channel::<Batch>(4);
    let reading_on = async {
        let finished = source.pages(asked, paging, &sink).await;
        drop(sink);
        finished
    };
    let gathering = async {
        let mut id = String::new();
        let mut gathered = gathered;
        let mut malformed = None;
        while let Some(batch) = batches.recv().await {
            for entry in batch.entries() {
                match (entry, gathered.as_deref_mut()) {
                    (Ok((entry, _)), Some(gathered)) if !gathered.too_many => gathered.take(reading, &entry, &mut id),
                    (Ok(_), _) => {}
                    (Err(error), _) => malformed = Some(error),
                }
            }
        }
        malformed
    };
    let (finished, malformed) = tokio::join!(reading_on, gathering);
    match malformed {
        Some(error) => Err(ReadError::Unusable(format!("the directory's answer is malformed: {error}"))),
        None => finished,
    }
}
