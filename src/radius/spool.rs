//! Accounting records on their way to a target: on disk until it has acknowledged each of them, in their order.
//!
//! ```text
//! keep ─▶ one thread per target: writes what has come, asks the disk once for all of it ─▶ the client is acknowledged
//!                      ▼
//!               files (shelf) ─▶ one task per target: sends the oldest until it is acknowledged, then the next
//! ```
//!
//! A record is delivered at least once: one that was acknowledged when the process ended before it could note that is sent
//! again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::authenticator::ClientKey;
use super::packet::Code;
use super::pool::{NoReply, Pool};
use super::reported;

mod shelf;

pub use shelf::Entry;
use shelf::{Reader, Stock, Writer};

/// Records that wait for the disk, at most. What is over is not acknowledged.
const QUEUE: usize = 4096;
/// Records that are written, or read, in one go.
const BATCH: usize = 256;
/// How long one try to deliver a record may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after a try that failed; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Hears when a spool is full, once until it has taken something again.
pub type TellFull = Box<dyn Fn(u64) + Send>;

/// A target's records.
#[derive(Debug)]
pub struct Spool {
    jobs: mpsc::Sender<Job>,
    stock: Arc<Stock>,
    forwarding: JoinHandle<()>,
}

#[derive(Debug)]
struct Job {
    entry: Entry,
    kept: oneshot::Sender<bool>,
}

impl Spool {
    /// Opens the files, which may take `most` octets, and goes on with what is there. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// What the system says of the files.
    pub fn start(
        folder: &Path,
        most: u64,
        target: &str,
        pool: Pool,
        key: Arc<ClientKey>,
        tell_full: TellFull,
    ) -> io::Result<Spool> {
        let (writer, reader) = shelf::open(folder, most)?;
        let stock = writer.stock();
        if stock.records() > 0 {
            tracing::info!(target_name = target, records = stock.records(), "accounting records wait to be delivered");
        }
        let (jobs, queue) = mpsc::channel(QUEUE);
        let wake = Arc::new(Notify::new());
        let waker = Arc::clone(&wake);
        std::thread::Builder::new()
            .name("accounting".into())
            .spawn(move || write(writer, queue, &waker, &tell_full))?;
        let way = Way { target: target.to_owned(), pool, key, told: AtomicBool::new(false) };
        let forwarding = tokio::spawn(forward(reader, way, wake));
        Ok(Spool { jobs, stock, forwarding })
    }

    /// Puts a record behind the others, at once; what comes back says whether it is on the disk.
    pub fn keep(&self, entry: Entry) -> BoxFuture<'static, bool> {
        let (kept, told) = oneshot::channel();
        let taken = self.jobs.try_send(Job { entry, kept }).is_ok();
        Box::pin(async move { taken && told.await.unwrap_or(false) })
    }

    /// Records that wait.
    pub fn waiting(&self) -> u64 {
        self.stock.records()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// Writes records for as long as there is somebody to bring some.
fn write(mut writer: Writer, mut queue: mpsc::Receiver<Job>, wake: &Notify, tell_full: &TellFull) {
    let mut is_full = false;
    while let Some(first) = queue.blocking_recv() {
        let mut kept_by = vec![first.kept];
        let mut entries = vec![first.entry];
        while entries.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            kept_by.push(job.kept);
            entries.push(job.entry);
        }
        let kept = match writer.add(&entries) {
            Ok(kept) => {
                if kept < entries.len() && !is_full {
                    tell_full(writer.stock().records());
                }
                is_full = kept < entries.len();
                kept
            }
            Err(error) => {
                tracing::error!(%error, "accounting records cannot be written to the disk and are not acknowledged");
                0
            }
        };
        if kept > 0 {
            wake.notify_one();
        }
        for (position, told) in kept_by.into_iter().enumerate() {
            // Whoever asked may have gone.
            let _ = told.send(position < kept);
        }
    }
}

/// The way to a target.
struct Way {
    target: String,
    pool: Pool,
    key: Arc<ClientKey>,
    /// That it does not answer has been told.
    told: AtomicBool,
}

/// Delivers one record after the other.
async fn forward(mut reader: Reader, way: Way, wake: Arc<Notify>) {
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let entries = reader.next(BATCH);
            (reader, entries)
        });
        let Ok((back, entries)) = reading.await else { return };
        reader = back;
        let entries = entries.unwrap_or_else(|error| {
            tracing::error!(%error, target_name = way.target, "accounting records cannot be read from the disk");
            Vec::new()
        });
        if entries.is_empty() {
            // Also after an error, and if a wake-up should ever be lost.
            let _ = tokio::time::timeout(LONGEST_PAUSE, wake.notified()).await;
        }
        for entry in &entries {
            way.deliver(entry).await;
            if let Err(error) = reader.delivered(entry) {
                tracing::error!(%error, target_name = way.target, "an accounting record may be delivered twice");
            }
        }
    }
}

impl Way {
    /// Sends a record until it is acknowledged.
    async fn deliver(&self, entry: &Entry) {
        let mut pause = FIRST_PAUSE;
        loop {
            let waited = SystemTime::now().duration_since(entry.received).unwrap_or_default();
            let make = |identifier: u8, _: &_| reported::encode(&entry.attributes, waited, identifier, &self.key);
            let deadline = tokio::time::Instant::now().into_std() + PATIENCE;
            match self.pool.ask(None, &make, deadline).await {
                Ok(replied) if replied.packet.first() == Some(&Code::ACCOUNTING_RESPONSE.0) => {
                    if self.told.swap(false, Ordering::Relaxed) {
                        tracing::info!(target_name = self.target, "accounting records are delivered again");
                    }
                    return;
                }
                Err(NoReply::TooLong) => {
                    tracing::error!(
                        target_name = self.target,
                        "an accounting record does not fit into a packet and is lost"
                    );
                    return;
                }
                Ok(_) | Err(_) => {}
            }
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    target_name = self.target,
                    "accounting records wait: the target does not acknowledge them"
                );
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}
