//! Which requests are new, running or answered (RFC 5080 section 2.2.2). Pure.
//!
//! ```text
//!            begin                     finish
//! (nothing) ──────▶ Running(generation) ──────▶ Answered(bytes) ──due──▶ (nothing)
//!                     │ another authenticator under the same key
//!                     └──▶ Running(next generation); the older one can no longer finish
//! ```
//!
//! The key is the peer's address, its port and the identifier; the table belongs to one socket. The request
//! authenticator, or more that tells one packet from another in its length, is in the entry: the same key with
//! another authenticator is a new request, which supersedes the older one. An entry that runs is never evicted: when the table is full, new requests are
//! refused. No call scans: each answered entry stands once in a queue by the second of its end, and each
//! call takes a bounded number from it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packet::Authenticator;

/// A reply as sent and as kept. Empty: the answer was silence.
pub type Reply = Arc<[u8]>;

/// Whose request: peer address, port and identifier. 19 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey {
    address: [u8; 16],
    port: [u8; 2],
    identifier: u8,
}

impl RequestKey {
    /// The key of a request with this identifier from this peer.
    pub fn new(peer: SocketAddr, identifier: u8) -> Self {
        let address = match peer.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        RequestKey { address: address.octets(), port: peer.port().to_be_bytes(), identifier }
    }
}

/// What the table knows of a request.
#[derive(Debug)]
pub enum Seen<H> {
    /// Nothing.
    New,
    /// It is being worked on, by this work if it was attached.
    Running(Option<H>),
    /// It was answered with these bytes.
    Answered(Reply),
}

/// A request that now runs.
#[derive(Debug)]
pub struct Begun<H> {
    /// What [`Duplicates::finish`] asks for.
    pub generation: u32,
    /// The handle of the request that this one supersedes, if that was still running.
    pub superseded: Option<H>,
}

/// The table is full, and nothing in it may be forgotten yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
enum State<H> {
    Running(Option<H>),
    Answered(Reply),
}

#[derive(Debug)]
struct Entry<H> {
    authenticator: Authenticator,
    state: State<H>,
    generation: u32,
    /// Second in which an answered entry ends.
    due: u32,
    /// Whether it stands in the queue of ends. At most once, however often its key is used again.
    queued: bool,
}

/// The table of one socket. `H` is a handle on the work that a running request is.
#[derive(Debug)]
pub struct Duplicates<H> {
    entries: HashMap<RequestKey, Entry<H>>,
    ends: BTreeMap<u32, VecDeque<RequestKey>>,
    capacity: usize,
    running: usize,
    generation: u32,
    start: Instant,
}

/// Ends looked at in one call: more than one, so that the queue shrinks while requests keep coming.
const ENDS_PER_CALL: usize = 8;

impl<H> Duplicates<H> {
    /// An empty table of at most `capacity` entries. `start` is any moment that is not later than all others.
    pub fn new(capacity: usize, start: Instant) -> Self {
        Duplicates { entries: HashMap::new(), ends: BTreeMap::new(), capacity, running: 0, generation: 0, start }
    }

    /// What is known of a request. Changes nothing but what has ended.
    pub fn seen(&mut self, key: &RequestKey, authenticator: &Authenticator, now: Instant) -> Seen<H>
    where
        H: Clone,
    {
        self.expire(now);
        match self.entries.get(key) {
            Some(entry) if entry.authenticator == *authenticator => match &entry.state {
                State::Running(handle) => Seen::Running(handle.clone()),
                State::Answered(_) if entry.due <= self.second(now) => Seen::New,
                State::Answered(reply) => Seen::Answered(Arc::clone(reply)),
            },
            _ => Seen::New,
        }
    }

    /// Enters a request for which [`Duplicates::seen`] said [`Seen::New`].
    ///
    /// # Errors
    /// [`Full`].
    pub fn begin(&mut self, key: RequestKey, authenticator: &Authenticator, now: Instant) -> Result<Begun<H>, Full> {
        self.expire(now);
        let generation = self.generation.wrapping_add(1);
        let running = || State::Running(None);
        let full = self.entries.len() >= self.capacity;
        let superseded = match self.entries.get_mut(&key) {
            Some(entry) => {
                entry.authenticator = *authenticator;
                entry.generation = generation;
                match std::mem::replace(&mut entry.state, running()) {
                    State::Running(handle) => handle,
                    State::Answered(_) => {
                        self.running += 1;
                        None
                    }
                }
            }
            None if full => return Err(Full),
            None => {
                let entry =
                    Entry { authenticator: *authenticator, state: running(), generation, due: 0, queued: false };
                self.entries.insert(key, entry);
                self.running += 1;
                None
            }
        };
        self.generation = generation;
        Ok(Begun { generation, superseded })
    }

    /// Keeps the handle of a running request, for the one that may supersede it. Gives the handle back when
    /// the request is not running any more.
    pub fn attach(&mut self, key: &RequestKey, generation: u32, handle: H) -> Option<H> {
        match self.entries.get_mut(key) {
            Some(entry) if entry.generation == generation => match &mut entry.state {
                State::Running(place) => {
                    *place = Some(handle);
                    None
                }
                State::Answered(_) => Some(handle),
            },
            _ => Some(handle),
        }
    }

    /// Keeps the reply for `window`, or not at all where that is nothing. False when the request was superseded: its reply is of no use to the
    /// client and must not be sent.
    pub fn finish(&mut self, key: &RequestKey, generation: u32, reply: Reply, window: Duration, now: Instant) -> bool {
        let due = self.second(now + window).saturating_add(1);
        let Some(entry) = self.entries.get_mut(key) else { return false };
        if entry.generation != generation || !matches!(entry.state, State::Running(_)) {
            return false;
        }
        self.running -= 1;
        if window.is_zero() && !entry.queued {
            self.entries.remove(key);
            return true;
        }
        entry.state = State::Answered(reply);
        entry.due = due;
        if !entry.queued {
            entry.queued = true;
            self.ends.entry(due).or_default().push_back(*key);
        }
        self.expire(now);
        true
    }

    /// Forgets a running request as if it had never come.
    pub fn forget(&mut self, key: &RequestKey, generation: u32) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.generation != generation || !matches!(entry.state, State::Running(_)) {
            return;
        }
        self.running -= 1;
        if entry.queued {
            // Its place in the queue of ends must stay the only one: let it end there.
            entry.state = State::Answered(Reply::from([]));
            entry.due = 0;
        } else {
            self.entries.remove(key);
        }
    }

    /// Forgets every request that runs, and gives out their handles.
    pub fn give_up(&mut self) -> Vec<H> {
        let mut handles = Vec::new();
        self.running = 0;
        self.entries.retain(|_, entry| match &mut entry.state {
            State::Running(handle) => {
                handles.extend(handle.take());
                false
            }
            State::Answered(_) => true,
        });
        handles
    }

    /// Forgets some of what has ended.
    pub fn expire(&mut self, now: Instant) {
        let second = self.second(now);
        for _ in 0..ENDS_PER_CALL {
            let Some(mut first) = self.ends.first_entry() else { return };
            if *first.key() > second {
                return;
            }
            let Some(key) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match entry.state {
                State::Running(_) => entry.queued = false,
                State::Answered(_) if entry.due <= second => {
                    self.entries.remove(&key);
                }
                State::Answered(_) => {
                    let due = entry.due;
                    self.ends.entry(due).or_default().push_back(key);
                }
            }
        }
    }

    /// Requests that are being worked on.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Entries, running and answered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whole seconds since the start.
    fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
