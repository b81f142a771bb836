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

use crate::config::ServerUrl;
use crate::config::import::ImportScope;
use crate::import::entry::Reading;
use crate::import::scope::{self, Job};
use crate::ldap::control::{Control, oid};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Batch, Connection, Finished, PagedSearch, Paging, Trouble};
use crate::ldap::result::{code, code_name};
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::primary::directory::Directory;

mod counts;
mod groups;
mod referral;

use referral::referral;

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
    /// Names of the configuration that lead to nobody.
    pub nobody: Vec<String>,
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
        if let ImportScope::People(names) = &reading.item().scope
            && only.is_none()
            && usize::try_from(told.entries).is_ok_and(|found| found < names.len())
        {
            told.nobody = self.nobody(reading, names).await?;
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
