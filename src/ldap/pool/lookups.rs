//! Searches of many sign-ins on few connections.
//!
//! ```text
//! ask ──▶ output ─┐                      ┌─▶ waiting[id] ──▶ ask returns
//! ask ──▶ output ─┴▶ one write ▶ server ─┴─▶ waiting[id] ──▶ ask returns
//! ```
//!
//! Whoever asks puts its request behind those of the others and wakes the connection's task, which writes what
//! has gathered in one go and hands each answer to whom it belongs (RFC 4511 section 4.1.1.1: answers are told
//! apart by message id and come in any order). What comes while [`EAGER`] searches are unanswered waits until fewer
//! are, or for [`PATIENCE`]: so under load a search costs a fraction of a system call and of a wake-up,
//! here and at the server, and a slow search delays nobody else. Who stops waiting is forgotten; the answer that still comes is passed over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Found};
use super::trouble::Trouble;
use crate::ldap::bind::{AnswerError, read_answer};
use crate::ldap::message::{Envelope, frame_length, op};
use crate::ldap::search::{Entry, SearchRequest};

/// Searches under way on one connection, at most. OpenLDAP takes 100 of one client without making it wait.
pub(super) const OUTSTANDING: usize = 32;
/// Searches under way on each connection when another one is opened.
pub(super) const BUSY: usize = 16;
/// Searches unanswered beyond which the next ones gather.
const EAGER: usize = 4;
/// How long they gather at most while too few answers come.
const PATIENCE: Duration = Duration::from_millis(2);
/// Octets of one answer, at most.
const ANSWER: usize = 16 * 1024 * 1024;
/// A server that does not take our requests for so long is of no use.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Every connection of one server for searches.
#[derive(Debug)]
pub(super) struct Lookups {
    connections: Mutex<Vec<Arc<Lookup>>>,
    most: usize,
    /// One for each search that may be under way.
    pub(super) permits: Semaphore,
    /// Held by who opens a connection.
    pub(super) opening: tokio::sync::Mutex<()>,
}

/// What a search is to do for its connection.
pub(super) enum Choice {
    /// Take this one.
    Use(Arc<Lookup>),
    /// Take this one if somebody else is opening another already, or open it.
    UseOrOpen(Arc<Lookup>),
    /// Open one.
    Open,
}

impl Lookups {
    pub(super) fn new(connections: usize) -> Self {
        let most = connections.max(1);
        Lookups {
            connections: Mutex::default(),
            most,
            permits: Semaphore::new(most.saturating_mul(OUTSTANDING)),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Arc<Lookup>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection with the fewest searches under way.
    pub(super) fn choose(&self) -> Choice {
        let mut connections = self.connections();
        connections.retain(|lookup| lookup.load().is_some());
        let open = connections.len();
        let least =
            connections.iter().filter_map(|lookup| Some((lookup.load()?, lookup))).min_by_key(|(load, _)| *load);
        match least {
            None => Choice::Open,
            Some((load, lookup)) if load < BUSY || open >= self.most => Choice::Use(Arc::clone(lookup)),
            Some((_, lookup)) => Choice::UseOrOpen(Arc::clone(lookup)),
        }
    }

    /// Adds one that is bound as the service account.
    pub(super) fn add(&self, connection: Connection) -> Arc<Lookup> {
        let lookup = Arc::new(Lookup::start(connection));
        self.connections().push(Arc::clone(&lookup));
        lookup
    }

    /// Nobody else gets any of these; who waits for an answer still gets it.
    pub(super) fn clear(&self) {
        let connections = std::mem::take(&mut *self.connections());
        drop(connections);
    }

    /// Closes those that nobody has used for so long.
    pub(super) fn sweep(&self, now: Instant, longest: Duration) {
        self.connections().retain(|lookup| !lookup.is_idle(now, longest));
    }
}

/// A connection that is shared by those who search. Closed when nobody has it any more.
#[derive(Debug)]
pub(super) struct Lookup {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Table {
    output: Vec<u8>,
    /// Searches in `output`.
    gathered: usize,
    waiting: HashMap<u32, Waiting>,
    last_id: u32,
    used: Option<Instant>,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    /// The messages of the answer so far, one behind the other.
    frames: Vec<u8>,
    /// Entries that may still come.
    entries: u32,
    /// `None`: nobody waits any more.
    answer: Option<oneshot::Sender<Result<Vec<u8>, Trouble>>>,
}

impl Table {
    /// Searches that are written and not answered.
    fn unanswered(&self) -> usize {
        self.waiting.len().saturating_sub(self.gathered)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.close();
    }
}

impl Lookup {
    fn start(connection: Connection) -> Self {
        let table = Table { last_id: connection.last_id(), used: Some(Instant::now()), ..Table::default() };
        let shared = Arc::new(Shared { table: Mutex::new(table), asked: Notify::new() });
        let task = tokio::spawn(run(Arc::clone(&shared), connection)).abort_handle();
        Lookup { shared, task }
    }

    /// How many searches are under way; `None` when the connection is closed.
    fn load(&self) -> Option<usize> {
        let table = self.shared.table();
        (!table.closed).then(|| table.waiting.len())
    }

    fn is_idle(&self, now: Instant, longest: Duration) -> bool {
        let table = self.shared.table();
        table.waiting.is_empty() && table.used.is_none_or(|used| now.saturating_duration_since(used) >= longest)
    }

    fn close(&self) {
        self.task.abort();
        self.shared.close(Trouble::Closed);
    }

    /// Searches; `read` makes of each entry what the caller keeps. The result code comes with them.
    ///
    /// # Errors
    /// [`Trouble`]. After an answer that makes no sense the connection is closed.
    pub(super) async fn search<T>(
        &self,
        request: &SearchRequest<'_>,
        read: impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), Trouble> {
        let (id, frames) = self.ask(request).await?;
        collect(&frames, id, request, read).inspect_err(|_| self.close())
    }

    async fn ask(&self, request: &SearchRequest<'_>) -> Result<(u32, Vec<u8>), Trouble> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let table = &mut *self.shared.table();
            if table.closed {
                return Err(Trouble::Closed);
            }
            let id = if table.last_id >= 0x7fff_ffff { 1 } else { table.last_id + 1 };
            table.last_id = id;
            request.write(&mut table.output, id);
            table.gathered += 1;
            let entries = if request.size_limit == 0 { u32::MAX } else { request.size_limit };
            table.waiting.insert(id, Waiting { frames: Vec::new(), entries, answer: Some(answer) });
            id
        };
        let _forget = Forget { shared: &self.shared, id };
        self.shared.asked.notify_one();
        Ok((id, answered.await.unwrap_or(Err(Trouble::Closed))?))
    }
}

/// Nobody waits for this answer any more once this is dropped.
struct Forget<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.table().waiting.get_mut(&self.id) {
            waiting.answer = None;
            waiting.frames = Vec::new();
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is asked or answered.
    fn close(&self, why: Trouble) {
        let waiting = {
            let mut table = self.table();
            table.closed = true;
            table.output = Vec::new();
            std::mem::take(&mut table.waiting)
        };
        for answer in waiting.into_values().filter_map(|waiting| waiting.answer) {
            // Whoever has gone away does not hear it.
            let _ = answer.send(Err(why));
        }
    }

    /// Takes a message of an answer, and hands the answer on when it was the last one.
    fn take(&self, frame: &[u8]) -> Result<(), Trouble> {
        let envelope = Envelope::read(frame).map_err(AnswerError::Malformed)?;
        let (id, op_tag) = (envelope.message_id, envelope.op_tag);
        let table = &mut *self.table();
        let Some(waiting) = table.waiting.get_mut(&id) else {
            // A notice of disconnection, or the answer to nothing.
            return Err(read_answer(frame, table.last_id.wrapping_add(1)).err().map_or(Trouble::Flood, Trouble::from));
        };
        let more = matches!(op_tag, op::SEARCH_ENTRY | op::SEARCH_REFERENCE | op::INTERMEDIATE_RESPONSE);
        let entry = u32::from(op_tag == op::SEARCH_ENTRY);
        if waiting.entries < entry || waiting.frames.len().saturating_add(frame.len()) > ANSWER {
            // The others do better on another connection.
            if let Some(answer) = table.waiting.remove(&id).and_then(|waiting| waiting.answer) {
                let _ = answer.send(Err(Trouble::Flood));
            }
            return Err(Trouble::Closed);
        }
        waiting.entries -= entry;
        if waiting.answer.is_some() {
            waiting.frames.extend_from_slice(frame);
        }
        if !more {
            table.used = Some(Instant::now());
            if let Some(Waiting { frames, answer: Some(answer), .. }) = table.waiting.remove(&id) {
                // As above.
                let _ = answer.send(Ok(frames));
            }
        }
        Ok(())
    }
}

/// Writes and reads as long as the connection lives.
async fn run(shared: Arc<Shared>, mut connection: Connection) {
    let mut output = Vec::new();
    // Searches that are written and not answered.
    let mut unanswered = 0;
    let mut since = Instant::now();
    let why = loop {
        let turn = tokio::select! {
            () = shared.asked.notified(), if unanswered < EAGER => {
                let written = write(&shared, &mut connection, &mut output).await;
                since = Instant::now();
                written.map(|()| unanswered = shared.table().unanswered())
            }
            received = timeout_at_if(unanswered >= EAGER, since + PATIENCE, connection.receive()) => {
                received.and_then(|is_there| {
                    if is_there {
                        deliver(&shared, &mut connection)?;
                    }
                    unanswered = if is_there { shared.table().unanswered() } else { 0 };
                    Ok(())
                })
            }
        };
        if let Err(trouble) = turn {
            break trouble;
        }
    };
    shared.close(why);
}

/// Waits for octets, where searches gather only until `end`. Whether there are any.
async fn timeout_at_if(
    gathering: bool,
    end: Instant,
    received: impl Future<Output = Result<(), Trouble>>,
) -> Result<bool, Trouble> {
    let Ok(received) = (if gathering { timeout_at(end, received).await } else { Ok(received.await) }) else {
        return Ok(false);
    };
    received.map(|()| true)
}

/// Writes what has gathered.
async fn write(shared: &Shared, connection: &mut Connection, output: &mut Vec<u8>) -> Result<(), Trouble> {
    // Whoever is ready to ask, too, does so in this turn.
    tokio::task::yield_now().await;
    {
        let mut table = shared.table();
        table.gathered = 0;
        std::mem::swap(&mut table.output, output);
    }
    let sent = timeout(WRITE_WITHIN, connection.send_these(output)).await;
    output.clear();
    sent.unwrap_or(Err(Trouble::NotSent(std::io::ErrorKind::TimedOut)))
}

fn deliver(shared: &Shared, connection: &mut Connection) -> Result<(), Trouble> {
    let mut taken = 0;
    while let Some(frame) = connection.message_behind(taken)? {
        shared.take(frame)?;
        taken += frame.len();
    }
    connection.forget(taken);
    Ok(())
}

/// What the messages of a whole answer say.
fn collect<T>(
    mut frames: &[u8],
    id: u32,
    request: &SearchRequest<'_>,
    read: impl Fn(&Entry<'_>) -> T,
) -> Result<(u32, Vec<T>), Trouble> {
    let mut found = Found::of(request, read);
    while let Some((frame, rest)) = frame_length(frames, ANSWER)?.and_then(|length| frames.split_at_checked(length)) {
        if let Some(code) = found.take(frame, id)? {
            return Ok((code, found.entries));
        }
        frames = rest;
    }
    Err(Trouble::Closed)
}
