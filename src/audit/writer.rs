//! The background writer of audit events and accounting records: batches from the queue into the file and
//! the store. Within a batch the sign-ins come first.
//!
//! The first event of a batch wakes the writer; it then sleeps for [`GATHER`] while more gather, so that a
//! busy server pays for two wake-ups a batch and not for one an event. Nothing is forced to disk: a batch
//! that was written survives the death of this process.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::audit::{Accounted, Event, Note, line};
use crate::telemetry::metrics::{LostAt, Metrics};
use crate::users::store::{Store, StoreResult};

/// How long events gather before they are written.
const GATHER: Duration = Duration::from_millis(50);

/// Events and records in one batch, at most: the store keeps events by person, too, and the more there are in a batch,
/// the more of them share a page that is written. Some 20 ms of the store's write lock.
const BATCH: usize = 4_096;

/// What is kept ready for the next batch of events.
const READY: usize = 512;

/// How often the same trouble is reported.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What comes through the queue.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events")]
pub(super) enum Item {
    /// An event to write.
    Event(Event),
    /// An accounting record to write.
    Accounted(Accounted),
    /// A note for the file.
    Note(Box<Note>),
    /// Everything before this has been dealt with once the other end hears of it.
    Flush(oneshot::Sender<()>),
}

/// What is written together.
#[derive(Debug, Default, Clone)]
struct Batch {
    events: Vec<Event>,
    accounted: Vec<Accounted>,
    notes: Vec<Note>,
}

impl Batch {
    fn len(&self) -> usize {
        self.events.len() + self.accounted.len() + self.notes.len()
    }

    fn clear(&mut self) {
        self.events.clear();
        self.accounted.clear();
        self.notes.clear();
    }
}

/// The writer's belongings.
pub(super) struct Writer {
    metrics: Arc<Metrics>,
    store: Arc<dyn Store>,
    lines: Option<Lines>,
    hurry: Arc<Notify>,
    reopen: Arc<AtomicBool>,
    file_trouble: Rate,
    store_trouble: Rate,
}

impl Writer {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        store: Arc<dyn Store>,
        file: Option<PathBuf>,
        hurry: Arc<Notify>,
        reopen: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let lines = file.map(Lines::open).transpose()?;
        let (file_trouble, store_trouble) = (Rate::default(), Rate::default());
        Ok(Writer { metrics, store, lines, hurry, reopen, file_trouble, store_trouble })
    }

    /// Writes until every sender is gone and the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Item>) {
        let mut batch = Batch { events: Vec::with_capacity(READY), ..Batch::default() };
        while let Some(first) = queue.recv().await {
            let mut next = match first {
                Item::Event(_) | Item::Accounted(_) | Item::Note(_) => {
                    tokio::select! {
                        () = tokio::time::sleep(GATHER) => {}
                        () = self.hurry.notified() => {}
                    }
                    Some(first)
                }
                flush @ Item::Flush(_) => Some(flush),
            };
            while let Some(item) = next {
                match item {
                    Item::Event(event) => batch.events.push(event),
                    Item::Accounted(accounted) => batch.accounted.push(accounted),
                    Item::Note(note) => batch.notes.push(*note),
                    Item::Flush(done) => {
                        batch = self.write(batch).await;
                        // Whoever asked may have stopped waiting.
                        let _ = done.send(());
                    }
                }
                if batch.len() >= BATCH {
                    batch = self.write(batch).await;
                }
                next = queue.try_recv().ok();
            }
            batch = self.write(batch).await;
        }
    }

    /// Writes a batch and hands it back emptied. The file comes first and does not depend on the store.
    async fn write(&mut self, batch: Batch) -> Batch {
        if batch.len() == 0 {
            return batch;
        }
        let (mut batch, trouble) = self.write_file(batch).await;
        if let Some(why) = trouble {
            let count = number(batch.len());
            self.metrics.audit_lost(LostAt::File, count);
            if let Some(lost) = self.file_trouble.count(count) {
                tracing::error!(lost, why, "audit events could not be written to the file");
            }
        }
        if !batch.events.is_empty() {
            let events = Arc::new(std::mem::take(&mut batch.events));
            let result = self.store.record_shared(Arc::clone(&events)).await;
            self.note_stored(result, number(events.len()));
            // Their room is used again, unless somebody looks at them still.
            batch.events = Arc::try_unwrap(events).unwrap_or_default();
        }
        if !batch.accounted.is_empty() {
            let result = self.store.record_accounting(&batch.accounted).await;
            self.note_stored(result, number(batch.accounted.len()));
        }
        batch.clear();
        batch
    }

    fn note_stored(&self, result: StoreResult<()>, count: u64) {
        let Err(error) = result else { return };
        self.metrics.audit_lost(LostAt::Store, count);
        if let Some(lost) = self.store_trouble.count(count) {
            tracing::error!(lost, %error, "audit events could not be written to the store");
        }
    }

    /// Renders and appends the lines on a thread that may wait for a disk.
    async fn write_file(&mut self, batch: Batch) -> (Batch, Option<String>) {
        let Some(mut lines) = self.lines.take() else { return (batch, None) };
        let reopen = self.reopen.swap(false, Ordering::Relaxed);
        let path = lines.path.clone();
        let batch = Arc::new(batch);
        let rendered = Arc::clone(&batch);
        let written = tokio::task::spawn_blocking(move || {
            let result = lines.append(&rendered, reopen);
            drop(rendered);
            (lines, result)
        })
        .await;
        let trouble = match written {
            Ok((lines, result)) => {
                self.lines = Some(lines);
                result.err().map(|error| error.to_string())
            }
            Err(error) => {
                // The thread is gone and the file with it; the next batch opens it again.
                self.lines = Some(Lines::closed(path));
                Some(error.to_string())
            }
        };
        (Arc::unwrap_or_clone(batch), trouble)
    }
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The file of JSON lines.
struct Lines {
    path: PathBuf,
    file: Option<File>,
    /// Whether the last write ended in the middle of a line.
    torn: bool,
    buffer: Vec<u8>,
}

impl Lines {
    fn closed(path: PathBuf) -> Self {
        Lines { path, file: None, torn: true, buffer: Vec::new() }
    }

    fn open(path: PathBuf) -> std::io::Result<Self> {
        let file = Some(open(&path)?);
        Ok(Lines { path, file, torn: false, buffer: Vec::new() })
    }

    /// Appends a line for each event and record with one write.
    fn append(&mut self, batch: &Batch, reopen: bool) -> std::io::Result<()> {
        self.buffer.clear();
        if reopen || self.file.as_ref().is_none_or(|file| !self.is_current(file)) {
            self.file = None;
            self.file = Some(open(&self.path)?);
        }
        if self.torn {
            self.buffer.push(b'\n');
        }
        batch.events.iter().for_each(|event| line::append(&mut self.buffer, event));
        batch.accounted.iter().for_each(|accounted| line::append_accounted(&mut self.buffer, accounted));
        batch.notes.iter().for_each(|note| line::append_note(&mut self.buffer, note));
        let Some(file) = &mut self.file else { return Ok(()) };
        let result = file.write_all(&self.buffer);
        self.torn = result.is_err();
        // A batch of long lines must not keep its memory for ever.
        self.buffer.shrink_to(1024 * 1024);
        result
    }

    /// Whether the open file is still the one that the path leads to.
    #[cfg(unix)]
    fn is_current(&self, file: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Ok(open) = file.metadata() else { return false };
        std::fs::metadata(&self.path).is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()))
    }

    #[cfg(not(unix))]
    fn is_current(&self, _file: &File) -> bool {
        true
    }
}

/// Opens for appending; a new file is readable by its owner only, as it names people.
fn open(path: &PathBuf) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Counts trouble and says when it is time to report it.
#[derive(Debug, Default)]
pub(super) struct Rate {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Rate {
    /// Adds `events`. `Some(all since the last report)` when a report is due.
    pub(super) fn count(&self, events: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = state.1.saturating_add(events);
        let now = Instant::now();
        if state.0.is_some_and(|last| now.saturating_duration_since(last) < REPORT_EVERY) {
            return None;
        }
        let all = state.1;
        *state = (Some(now), 0);
        Some(all)
    }
}
