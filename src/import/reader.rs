//! Reads people out of directories: the one file of the import that talks to them.
//!
//! ```text
//! item ─▶ jobs (scope) ─▶ pages ─▶ batches ─▶ channel ─▶ pass
//!   └ a group: found first, then Active Directory searches its members itself; elsewhere, and for members in
//!     other domains, the lists of members are walked
//! ```
//!
//! Only an answer that ended with success counts. A directory that is lost, refuses a page, or stops at a limit
//! of size or time makes an error, never a shorter answer.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::config::import::{ImportScope, Preset};
use crate::config::{Security, ServerUrl};
use crate::import::entry::Reading;
use crate::import::preset;
use crate::import::scope::{self, Group, Job};
use crate::ldap::control::{Control, oid};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Batch, Connection, Finished, PagedSearch, Paging, Trouble};
use crate::ldap::result::{code, code_name};
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::primary::directory::Directory;

/// Groups within groups that are walked.
const MOST_GROUPS: usize = 100_000;
/// Ranges of one attribute that are asked for: fifteen million members at AD's 1500.
const MOST_RANGES: usize = 10_000;
/// Referrals that are followed for one job, one after the other.
const MOST_REFERRALS: usize = 8;

/// Why a directory could not be read to the end. Nothing may be concluded from what was read by then.
#[derive(Debug)]
pub enum ReadError {
    /// None of its servers would do.
    Connect(String),
    /// The connection failed in the middle.
    Trouble(String, Trouble),
    /// The server ended the search with this code and these words.
    Refused {
        /// What was searched.
        base: String,
        /// Result code.
        code: u32,
        /// The server's own words.
        words: String,
    },
    /// The configuration asks for something that is not there, or makes no sense.
    Unusable(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Connect(why) => write!(f, "no directory server can be used: {why}"),
            ReadError::Trouble(server, trouble) => {
                write!(f, "{server} was lost while it was read ({trouble}); nothing was changed, run the import again")
            }
            ReadError::Refused { base, code: code::NO_SUCH_OBJECT, .. } => {
                write!(f, "the directory has no {base:?}; check its spelling and that the service account may read it")
            }
            ReadError::Refused { base, code, words } => {
                write!(f, "the directory ended the search of {base:?} with {code} {}", code_name(*code))?;
                if !words.is_empty() {
                    write!(f, " ({words})")?;
                }
                f.write_str(match *code {
                    code::SIZE_LIMIT_EXCEEDED | code::ADMIN_LIMIT_EXCEEDED => {
                        ": it gives this account only a part of the answer; raise its size limit for the service account"
                    }
                    code::TIME_LIMIT_EXCEEDED => {
                        ": it ran out of time; raise its time limit for the service account, or index the attributes \
                         of the filter"
                    }
                    _ => "",
                })?;
                f.write_str(". Nothing was changed")
            }
            ReadError::Unusable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ReadError {}

/// The parts of one search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a [u8],
    pub(super) wanted: &'a [&'a str],
    pub(super) controls: &'a [Control],
    pub(super) tag: usize,
}

/// A connection to one directory, for one pass.
#[derive(Debug)]
pub struct Source {
    directory: Arc<Directory>,
    url: ServerUrl,
    connection: Connection,
    /// Where searches of the whole directory start.
    base: String,
    patience: Duration,
    page: u32,
}

/// How an item's reading went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// Entries that were handed on.
    pub entries: u64,
    /// Pointers to other servers that were not followed.
    pub not_followed: Vec<String>,
    /// Members whose DN no configured directory covers.
    pub elsewhere: Vec<String>,
}

impl Source {
    /// Connects, to `preferred` (`host:port`) if it can be had.
    ///
    /// # Errors
    /// [`ReadError::Connect`].
    pub async fn open(
        directory: Arc<Directory>,
        base: &str,
        preferred: Option<&str>,
        patience: Duration,
        page: u32,
    ) -> Result<Source, ReadError> {
        let (url, connection) = directory.dedicated(preferred).await.map_err(ReadError::Connect)?;
        Ok(Source { directory, url, connection, base: base.to_owned(), patience, page })
    }

    /// The server that it talks to.
    pub fn server(&self) -> &ServerUrl {
        &self.url
    }

    /// Where searches of the whole directory start.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads everybody of an item, or of its people with these unique ids only. Members in other directories go
    /// unread and are named in [`Told::elsewhere`], but not where only some people are asked for. The batches are
    /// tagged with `tag`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &mut self,
        reading: &Reading,
        tag: usize,
        only: Option<&[String]>,
        sink: &Sender<Batch>,
    ) -> Result<Told, ReadError> {
        let mut told = Told::default();
        let (jobs, elsewhere) = match scope::jobs(reading, &self.base).map_err(ReadError::Unusable)? {
            Some(jobs) => (jobs, Vec::new()),
            None => self.members(reading, only.is_none()).await?,
        };
        told.elsewhere = elsewhere;
        for job in &jobs {
            match only {
                None => self.run(reading, job, tag, sink, &mut told).await?,
                Some(ids) => {
                    for ids in ids.chunks(scope::IDS_AT_ONCE) {
                        self.run(reading, &job.of_these(reading, ids), tag, sink, &mut told).await?;
                    }
                }
            }
        }
        Ok(told)
    }

    /// Reads the people at these DNs, as far as they belong to the reading.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_dns(
        &mut self,
        reading: &Reading,
        dns: &[String],
        tag: usize,
        sink: &Sender<Batch>,
        told: &mut Told,
    ) -> Result<(), ReadError> {
        let people = reading.people().map_err(ReadError::Unusable)?;
        for dn in dns {
            let job = Job { base: dn.clone(), scope: Scope::Base, filter: people.clone(), base_must_exist: false };
            self.run(reading, &job, tag, sink, told).await?;
        }
        Ok(())
    }

    async fn run(
        &mut self,
        reading: &Reading,
        job: &Job,
        tag: usize,
        sink: &Sender<Batch>,
        told: &mut Told,
    ) -> Result<(), ReadError> {
        let filter = job.filter.encode();
        let wanted = reading.wanted();
        let asked = Asked { base: &job.base, scope: job.scope, filter: &filter, wanted: &wanted, controls: &[], tag };
        let finished = self.pages(&asked, Paging::Pages(self.page), sink).await?;
        told.entries += finished.entries;
        match finished.code {
            code::SUCCESS => {}
            code::NO_SUCH_OBJECT if !job.base_must_exist => {}
            code => return Err(ReadError::Refused { base: job.base.clone(), code, words: finished.words }),
        }
        if reading.item().follow_referrals {
            self.follow(finished.references, &asked, sink, told).await
        } else {
            told.not_followed.extend(finished.references);
            Ok(())
        }
    }

    /// Searches where the directory has pointed to, each place once.
    async fn follow(
        &self,
        references: Vec<String>,
        asked: &Asked<'_>,
        sink: &Sender<Batch>,
        told: &mut Told,
    ) -> Result<(), ReadError> {
        let mut seen = HashSet::new();
        let mut waiting = references;
        while let Some(reference) = waiting.pop() {
            if !seen.insert(reference.to_lowercase()) {
                continue;
            }
            if seen.len() > MOST_REFERRALS {
                let why = format!("more than {MOST_REFERRALS} referrals from {:?}", self.base);
                return Err(ReadError::Unusable(why));
            }
            // The service account's password goes only to servers that prove who they are as ours do.
            let Some((url, base)) = referral(&reference, self.url.security) else {
                told.not_followed.push(reference);
                continue;
            };
            let connection = self.directory.referred(&url).await;
            let connection = connection.map_err(|why| ReadError::Connect(format!("referral {reference}: {why}")))?;
            let mut other = Source {
                directory: Arc::clone(&self.directory),
                url,
                connection,
                base: base.clone(),
                patience: self.patience,
                page: self.page,
            };
            let there = Asked { base: &base, scope: Scope::Subtree, ..*asked };
            let found = other.pages(&there, Paging::Pages(self.page), sink).await?;
            told.entries += found.entries;
            if found.code != code::SUCCESS {
                return Err(ReadError::Refused { base, code: found.code, words: found.words });
            }
            waiting.extend(found.references);
        }
        Ok(())
    }

    /// One search in pages. The result code is the caller's to judge.
    ///
    /// # Errors
    /// [`ReadError::Trouble`].
    pub(super) async fn pages(
        &mut self,
        asked: &Asked<'_>,
        paging: Paging,
        sink: &Sender<Batch>,
    ) -> Result<Finished, ReadError> {
        let &Asked { base, scope, filter, wanted, controls, tag } = asked;
        let request =
            SearchRequest { base, scope, size_limit: 0, time_limit: Duration::ZERO, filter, attributes: wanted };
        let search = PagedSearch { request, controls, paging, patience: self.patience, tag };
        self.connection.pages(&search, sink).await.map_err(|trouble| self.lost(trouble))
    }

    fn lost(&self, trouble: Trouble) -> ReadError {
        ReadError::Trouble(format!("{}:{}", self.url.host, self.url.port), trouble)
    }

    /// A search that finds little.
    pub(super) async fn few<T>(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &Filter,
        wanted: &[&str],
        read: impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), ReadError> {
        let filter = filter.encode();
        let request = SearchRequest {
            base,
            scope,
            size_limit: 0,
            time_limit: Duration::ZERO,
            filter: &filter,
            attributes: wanted,
        };
        match tokio::time::timeout(self.patience, self.connection.search(&request, read)).await {
            Ok(answer) => answer.map_err(|trouble| self.lost(trouble)),
            Err(_) => Err(self.lost(Trouble::Silence(self.patience))),
        }
    }

    /// The jobs that find the members of a group, and the DNs of members that are in no place that these reach.
    async fn members(&mut self, reading: &Reading, foreign: bool) -> Result<(Vec<Job>, Vec<String>), ReadError> {
        let ImportScope::Group { group, nested } = &reading.item().scope else { return Ok(Default::default()) };
        let preset = reading.item().preset;
        let groups = &reading.item().attributes.groups;
        let groups = Filter::parse(groups).map_err(|error| ReadError::Unusable(format!("filter {groups}: {error}")))?;
        let found = self.group(&groups, preset, group).await?;
        if preset == Preset::Ad {
            let job = scope::members_of(reading, &found, *nested, &self.base).map_err(ReadError::Unusable)?;
            if !foreign {
                return Ok((vec![job], Vec::new()));
            }
            let mut all = vec![found.dn.clone()];
            if *nested {
                all.extend(self.dns(&scope::groups_within(&groups, &found.dn)).await?);
            }
            let mut outside = Vec::new();
            for dn in all {
                let listed = self.list(&dn, "member").await?;
                outside.extend(listed.into_iter().filter(|member| !scope::is_within(member, &self.base)));
            }
            outside.sort_unstable();
            outside.dedup();
            return Ok((vec![job], outside));
        }
        self.walk(reading, &groups, found.dn, *nested).await
    }

    /// Whether one of these groups is the item's, or lies within it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn concerns(&mut self, reading: &Reading, changed: &[String]) -> Result<bool, ReadError> {
        let ImportScope::Group { group, nested } = &reading.item().scope else { return Ok(false) };
        let groups = &reading.item().attributes.groups;
        let groups = Filter::parse(groups).map_err(|error| ReadError::Unusable(format!("filter {groups}: {error}")))?;
        let mut own = vec![self.group(&groups, reading.item().preset, group).await?.dn];
        if *nested {
            own.extend(self.dns(&scope::groups_within(&groups, &own.concat())).await?);
        }
        Ok(own.iter().any(|own| changed.iter().any(|changed| crate::primary::names::same(own, changed))))
    }

    /// DNs of everything in the directory that matches.
    async fn dns(&mut self, filter: &Filter) -> Result<Vec<String>, ReadError> {
        let (base, filter) = (self.base.clone(), filter.encode());
        let (sink, mut batches) = tokio::sync::mpsc::channel::<Batch>(4);
        let reading = async {
            let asked =
                Asked { base: &base, scope: Scope::Subtree, filter: &filter, wanted: &["1.1"], controls: &[], tag: 0 };
            let finished = self.pages(&asked, Paging::Pages(self.page), &sink).await;
            drop(sink);
            finished
        };
        let gathering = async {
            let mut dns = Vec::new();
            while let Some(batch) = batches.recv().await {
                dns.extend(batch.entries().flatten().map(|(entry, _)| entry.dn.to_owned()));
            }
            dns
        };
        let (finished, dns) = tokio::join!(reading, gathering);
        match finished? {
            Finished { code: code::SUCCESS, .. } => Ok(dns),
            Finished { code, words, .. } => Err(ReadError::Refused { base, code, words }),
        }
    }

    /// Finds a group by its DN or name: exactly one.
    async fn group(&mut self, groups: &Filter, preset: Preset, group: &str) -> Result<Group, ReadError> {
        let (base, scope, filter) = if scope::is_dn(group) {
            (group.to_owned(), Scope::Base, Filter::Present("objectClass".to_owned()))
        } else {
            (self.base.clone(), Scope::Subtree, scope::group_filter(groups, preset, group))
        };
        let (code, mut found) = self
            .few(&base, scope, &filter, &["objectSid"], |entry| Group {
                dn: entry.dn.to_owned(),
                relative_id: entry.first("objectSid").and_then(scope::relative_id),
            })
            .await?;
        match (code, found.len()) {
            (code::SUCCESS, 1) => Ok(found.remove(0)),
            (code::SUCCESS, 0) => Err(ReadError::Unusable(format!(
                "the directory has no group {group:?}; check its spelling and that the service account may read it"
            ))),
            (code::SUCCESS, several) => Err(ReadError::Unusable(format!(
                "the directory has {several} groups {group:?}; give the DN of one of them"
            ))),
            (code, _) => Err(ReadError::Refused { base, code, words: String::new() }),
        }
    }

    /// All values of an attribute of one entry, also where the directory gives them in ranges (`member;range=`,
    /// MS-ADTS section 3.1.1.3.1.3.3). An entry that is not there has none.
    ///
    /// # Errors
    /// [`ReadError`]; also when the ranges do not go on where they stopped.
    pub async fn list(&mut self, dn: &str, attribute: &str) -> Result<Vec<String>, ReadError> {
        let anything = Filter::Present("objectClass".to_owned());
        let mut all = Vec::new();
        let mut asked = attribute.to_owned();
        for _ in 0..MOST_RANGES {
            let (code, mut found) = self
                .few(dn, Scope::Base, &anything, &[&asked], |entry| match entry.ranged(attribute) {
                    Some((end, values)) => (end, texts(values)),
                    None => (None, texts(entry.values(attribute))),
                })
                .await?;
            match code {
                code::SUCCESS => {}
                code::NO_SUCH_OBJECT => return Ok(all),
                code => return Err(ReadError::Refused { base: dn.to_owned(), code, words: String::new() }),
            }
            let Some((end, values)) = found.pop() else { return Ok(all) };
            let got_none = values.is_empty();
            all.extend(values);
            let Some(end) = end else { return Ok(all) };
            if got_none || usize::try_from(end).is_ok_and(|end| end + 1 != all.len()) {
                break;
            }
            asked = format!("{attribute};range={}-*", end + 1);
        }
        Err(ReadError::Unusable(format!(
            "the directory gives the members of {dn:?} in ranges that do not fit together"
        )))
    }

    /// Walks the lists of members of a directory that does not search through groups by itself.
    async fn walk(
        &mut self,
        reading: &Reading,
        groups: &Filter,
        group: String,
        nested: bool,
    ) -> Result<(Vec<Job>, Vec<String>), ReadError> {
        let people = reading.people().map_err(ReadError::Unusable)?;
        let attributes = preset::member_attributes(reading.item().preset);
        let mut seen: HashSet<String> = HashSet::from([group.to_lowercase()]);
        let (mut waiting, mut dns, mut uids) = (vec![group], Vec::new(), Vec::new());
        let mut walked = 0;
        while let Some(group) = waiting.pop() {
            walked += 1;
            if walked > MOST_GROUPS {
                return Err(ReadError::Unusable(format!("more than {MOST_GROUPS} groups within one")));
            }
            for attribute in attributes {
                let listed = self.list(&group, attribute).await?;
                if *attribute == "memberUid" {
                    uids.extend(listed);
                    continue;
                }
                for member in listed {
                    if !seen.insert(member.to_lowercase()) {
                        continue;
                    }
                    if nested && self.is_group(&member, groups).await? {
                        waiting.push(member);
                    } else {
                        dns.push(member);
                    }
                }
            }
        }
        uids.sort_unstable();
        uids.dedup();
        let (dns, outside): (Vec<_>, Vec<_>) = dns.into_iter().partition(|dn| scope::is_within(dn, &self.base));
        let by_dn = dns.into_iter().map(|dn| Job {
            base: dn,
            scope: Scope::Base,
            filter: people.clone(),
            base_must_exist: false,
        });
        let by_uid = uids.chunks(scope::IDS_AT_ONCE).map(|uids| Job {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: Filter::And(vec![
                people.clone(),
                Filter::Or(uids.iter().map(|uid| Filter::Equality("uid".into(), uid.clone().into_bytes())).collect()),
            ]),
            base_must_exist: true,
        });
        Ok((by_dn.chain(by_uid).collect(), outside))
    }

    async fn is_group(&mut self, dn: &str, groups: &Filter) -> Result<bool, ReadError> {
        let (code, found) = self.few(dn, Scope::Base, groups, &["1.1"], |_| ()).await?;
        match code {
            code::SUCCESS => Ok(!found.is_empty()),
            code::NO_SUCH_OBJECT => Ok(false),
            code => Err(ReadError::Refused { base: dn.to_owned(), code, words: String::new() }),
        }
    }

    /// What a server says of itself: the values of these attributes of its root.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn root(&mut self, attributes: &[&str]) -> Result<Vec<Option<String>>, ReadError> {
        self.one("", attributes).await.map(Option::unwrap_or_default)
    }

    /// Attributes of one entry as text, octets in hexadecimal digits where they are none; `None`: no such entry.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn one(&mut self, dn: &str, attributes: &[&str]) -> Result<Option<Vec<Option<String>>>, ReadError> {
        let anything = Filter::Present("objectClass".to_owned());
        let text = |value: &[u8]| match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|octet| format!("{octet:02x}")).collect(),
        };
        let (code, mut found) = self
            .few(dn, Scope::Base, &anything, attributes, |entry| {
                attributes.iter().map(|attribute| entry.first(attribute).map(text)).collect::<Vec<_>>()
            })
            .await?;
        match code {
            code::SUCCESS | code::NO_SUCH_OBJECT => Ok(found.pop()),
            code => Err(ReadError::Refused { base: dn.to_owned(), code, words: String::new() }),
        }
    }

    /// The control that keeps Active Directory from pointing to other domains.
    pub(super) fn here_only() -> Control {
        Control::plain(oid::DOMAIN_SCOPE)
    }
}

fn texts(values: crate::ldap::search::Values<'_>) -> Vec<String> {
    values.filter_map(|value| std::str::from_utf8(value).ok()).map(str::to_owned).collect()
}

/// Server and base of an LDAP URL (RFC 4516), spoken to at least as safely as the server that named it.
fn referral(text: &str, security: Security) -> Option<(ServerUrl, String)> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let (security, usual) = match (url.scheme(), security) {
        ("ldaps", _) => (Security::Ldaps, 636),
        // ldap:// says nothing of TLS; a directory that is spoken to in the clear is on this machine only.
        ("ldap", Security::Plaintext) if crate::config::checked::is_loopback(&host) => (Security::Plaintext, 389),
        ("ldap", Security::Ldaps) if url.port().is_none() => (Security::Ldaps, 636),
        ("ldap", _) => (Security::StartTls, 389),
        _ => return None,
    };
    let base = percent_decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    if base.is_empty() {
        return None;
    }
    Some((ServerUrl { host, port: url.port().unwrap_or(usual), security }, base))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            octets.push(first);
            continue;
        }
        let (&[high, low], after) = rest.split_first_chunk::<2>()?;
        let digit = |octet: u8| char::from(octet).to_digit(16);
        octets.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referral_is_never_spoken_to_less_safely_than_its_source() {
        let followed = |text, security| referral(text, security).map(|(url, base)| (url.port, url.security, base));
        let base = "CN=Configuration,DC=corp,DC=example".to_owned();
        let url = "ldap://corp.example/CN=Configuration,DC=corp,DC=example";
        assert_eq!(followed(url, Security::StartTls), Some((389, Security::StartTls, base.clone())));
        assert_eq!(followed(url, Security::Ldaps), Some((636, Security::Ldaps, base.clone())));
        assert_eq!(followed(url, Security::Plaintext), Some((389, Security::StartTls, base)));
        assert_eq!(
            followed("ldap://127.0.0.1:1389/dc=x%2Cdc=%C3%A9", Security::Plaintext),
            Some((1389, Security::Plaintext, "dc=x,dc=é".into()))
        );
        assert_eq!(followed("http://corp.example/x", Security::Ldaps), None);
        assert_eq!(followed("ldap://corp.example", Security::Ldaps), None, "no base");
        assert_eq!(followed("ldap://corp.example/%zz", Security::Ldaps), None);
    }
}
