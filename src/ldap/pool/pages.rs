//! A search whose answer is too long to be held: read in pages and handed on while it arrives.
//!
//! ```text
//! server ──▶ this task: frames, pages ──▶ channel of batches ──▶ whoever makes people of entries
//! ```
//!
//! The next page is asked for before the last entries of the one before are handed on, so the server works
//! while we do. The channel is bounded: where the other side is slower, nothing is read, and the server waits.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::connection::Connection;
use super::trouble::Trouble;
use crate::ldap::ber::{BerError, OCTET_STRING, Reader};
use crate::ldap::bind::{AnswerError, read_answer};
use crate::ldap::control::{Control, find_control, oid, read_dirsync, read_paged};
use crate::ldap::message::{LARGE_FRAME, op};
use crate::ldap::result::{LdapResult, code};
use crate::ldap::search::{Entry, SearchRequest};

/// Room that is offered to each read, in octets.
const ROOM: usize = 64 * 1024;
/// Less room than this is not worth a read.
const LITTLE: usize = 4096;
/// Octets of entries that are handed on together.
const BATCH_OCTETS: usize = 128 * 1024;
/// Entries that are handed on together.
const BATCH_ENTRIES: usize = 256;
/// Octets that one DirSync round may take, about.
const DIRSYNC_OCTETS: u32 = 1 << 20;
/// References that are kept of one search.
const MOST_REFERENCES: usize = 64;
/// Pages without an entry in a row: AD gives a few where its rights hide entries.
const MOST_EMPTY_PAGES: u32 = 1000;
/// Characters of a server's own words that are kept for the admin.
const MOST_WORDS: usize = 300;

/// How the answer is cut into pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// Simple paged results (RFC 2696) of this many entries.
    Pages(u32),
    /// What has changed since this cookie, by DirSync with these flags.
    DirSync {
        /// See [`crate::ldap::control::OBJECT_SECURITY`].
        flags: u32,
        /// Empty: everything.
        cookie: Vec<u8>,
    },
}

impl Paging {
    fn control(&self, cookie: &[u8]) -> Control {
        match self {
            Paging::Pages(size) => Control::paged(*size, cookie),
            Paging::DirSync { flags, .. } => Control::dirsync(*flags, DIRSYNC_OCTETS, cookie),
        }
    }
}

/// A search in pages.
#[derive(Debug)]
pub struct PagedSearch<'a> {
    /// What is searched.
    pub request: SearchRequest<'a>,
    /// Further controls.
    pub controls: &'a [Control],
    /// How it is cut.
    pub paging: Paging,
    /// Longest silence of the server.
    pub patience: Duration,
    /// What the batches are to be known by.
    pub tag: usize,
}

/// Some entries, as they came.
#[derive(Debug, Default)]
pub struct Batch {
    /// What the search is known by.
    pub tag: usize,
    /// How many entries the server believes the search to find in all; 0: it has not said.
    pub estimate: u32,
    entries: Vec<Bytes>,
    octets: usize,
}

impl Batch {
    /// The entries; each with its octets, for those who compare rather than read.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Entry<'_>, &[u8]), BerError>> {
        self.entries.iter().map(|octets| Entry::read(Reader::new(octets)).map(|entry| (entry, octets.as_ref())))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, entry: Bytes) {
        self.octets += entry.len();
        self.entries.push(entry);
    }

    fn is_full(&self) -> bool {
        self.octets >= BATCH_OCTETS || self.entries.len() >= BATCH_ENTRIES
    }
}

/// How a search in pages ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Result code of the last page: only success means that nothing is missing.
    pub code: u32,
    /// The server's own words about it, cut. For admins.
    pub words: String,
    /// Entries that were handed on.
    pub entries: u64,
    /// Where else the server says that entries are (RFC 4511 section 4.5.3): URLs.
    pub references: Vec<String>,
    /// Where DirSync goes on the next time.
    pub cookie: Vec<u8>,
}

impl Connection {
    /// Searches in pages and hands the entries to `batches`.
    ///
    /// # Errors
    /// [`Trouble`]. Whatever has been handed on by then is a part of the answer only.
    pub async fn pages(&mut self, search: &PagedSearch<'_>, batches: &Sender<Batch>) -> Result<Finished, Trouble> {
        let mut finished = Finished::default();
        if let Paging::DirSync { cookie, .. } = &search.paging {
            finished.cookie.clone_from(cookie);
        }
        let mut batch = Batch { tag: search.tag, ..Batch::default() };
        let mut empty_pages = 0;
        let mut id = self.ask(search, &finished.cookie).await?;
        let mut entries_before = 0;
        loop {
            if self.input.capacity() - self.input.len() < LITTLE {
                self.input.reserve(ROOM);
            }
            let framed = timeout(search.patience, self.frame(LARGE_FRAME)).await;
            let length = framed.map_err(|_| Trouble::Silence(search.patience))??;
            let frame = self.input.split_to(length).freeze();
            let envelope = read_answer(&frame, id)?;
            match envelope.op_tag {
                op::SEARCH_ENTRY => {
                    batch.push(frame.slice(envelope.op));
                    finished.entries += 1;
                }
                op::SEARCH_REFERENCE => read_reference(envelope.operation(&frame), &mut finished.references)?,
                op::INTERMEDIATE_RESPONSE => {}
                // Samba ends a search with an ExtendedResponse where a critical control is unknown to it.
                op::SEARCH_DONE | op::EXTENDED_RESPONSE => {
                    let mut operation = envelope.operation(&frame);
                    let result = LdapResult::read(&mut operation).map_err(AnswerError::Malformed)?;
                    finished.code = result.code;
                    finished.words = words(result.diagnostic);
                    let Page { more, cookie, estimate } = next_page(&frame, &envelope, &search.paging)?;
                    batch.estimate = estimate;
                    empty_pages = if finished.entries == entries_before { empty_pages + 1 } else { 0 };
                    entries_before = finished.entries;
                    if empty_pages > MOST_EMPTY_PAGES {
                        return Err(Trouble::Flood);
                    }
                    let asked_on = more && finished.code == code::SUCCESS;
                    if asked_on {
                        id = self.ask(search, &cookie).await?;
                    }
                    if finished.code == code::SUCCESS {
                        finished.cookie = cookie;
                    }
                    if !asked_on {
                        hand_on(&mut batch, batches).await?;
                        self.done(0);
                        return Ok(finished);
                    }
                }
                found => return Err(AnswerError::WrongType { found }.into()),
            }
            if batch.is_full() {
                hand_on(&mut batch, batches).await?;
            }
        }
    }

    async fn ask(&mut self, search: &PagedSearch<'_>, cookie: &[u8]) -> Result<u32, Trouble> {
        let id = self.begin();
        let mut controls = search.controls.to_vec();
        controls.push(search.paging.control(cookie));
        search.request.write_with(&mut self.output, id, &controls);
        self.send().await?;
        Ok(id)
    }
}

async fn hand_on(batch: &mut Batch, batches: &Sender<Batch>) -> Result<(), Trouble> {
    if batch.is_empty() {
        return Ok(());
    }
    let next = Batch { tag: batch.tag, estimate: batch.estimate, ..Batch::default() };
    batches.send(std::mem::replace(batch, next)).await.map_err(|_| Trouble::Unwanted)
}

/// What the end of a page says.
#[derive(Default)]
struct Page {
    /// Whether there is another one.
    more: bool,
    /// To ask for it with.
    cookie: Vec<u8>,
    /// See [`Batch::estimate`].
    estimate: u32,
}

fn next_page(frame: &[u8], envelope: &crate::ldap::message::Envelope, paging: &Paging) -> Result<Page, Trouble> {
    let malformed = |error| Trouble::from(AnswerError::Malformed(error));
    let wanted = match paging {
        Paging::Pages(_) => oid::PAGED,
        Paging::DirSync { .. } => oid::DIRSYNC,
    };
    let Some(value) = find_control(frame, envelope, wanted).map_err(malformed)? else {
        return Ok(Page::default());
    };
    match paging {
        Paging::Pages(_) => {
            let (estimate, cookie) = read_paged(value).map_err(malformed)?;
            Ok(Page { more: !cookie.is_empty(), cookie: cookie.to_vec(), estimate })
        }
        Paging::DirSync { .. } => {
            let (more, cookie) = read_dirsync(value).map_err(malformed)?;
            Ok(Page { more, cookie: cookie.to_vec(), estimate: 0 })
        }
    }
}

fn read_reference(mut operation: Reader<'_>, references: &mut Vec<String>) -> Result<(), Trouble> {
    while !operation.is_empty() {
        let url = operation.value(OCTET_STRING).map_err(AnswerError::Malformed)?;
        if references.len() < MOST_REFERENCES {
            references.push(String::from_utf8_lossy(url).into_owned());
        }
    }
    Ok(())
}

/// A server's words without control characters, not too many.
fn words(diagnostic: &[u8]) -> String {
    String::from_utf8_lossy(diagnostic).chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect()
}
