//! The single ending of a sign-in: one record, one line, one count. Accounting records go the same way.
//!
//! ```text
//! Audit::finish ─┬─ one line in the log      (info; warn for an exempted Accept)
//!                ├─ one count in the metrics
//!                └─ bounded queue ──▶ audit::writer: batches ──▶ JSON lines (audit::line), user store
//! Audit::account ─── the same queue
//! ```
//!
//! [`Audit::finish`] never waits and never fails. What cannot be written is counted as `audit_lost` and
//! reported in the log at a bounded rate; the sign-in goes on.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::radius::accounting::AccountingRecord;
use crate::signin::attempt::{Door, SignInId};
use crate::signin::outcome::{Reason, Verdict};
use crate::signin::policy::Exemption;
use crate::telemetry::metrics::{LostAt, Metrics, observe};
use crate::users::model::Method;
use crate::users::store::Store;

use writer::{Item, Rate, Writer};

pub mod line;
mod writer;

/// Events that wait for the writer, at most (about 8 MB). At 10,000 sign-ins a second the disk may stand
/// still for a second and a half before one is lost.
const QUEUE: usize = 16_384;

/// Places in the queue that accounting records leave to sign-ins. A client sends its record again; a sign-in
/// ends once.
const FOR_SIGN_INS: usize = QUEUE / 2;

/// One sign-in, as the store and the JSON lines keep it. No secret is ever in it.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it ended.
    pub time: SystemTime,
    /// Which sign-in.
    pub sign_in: SignInId,
    /// Through which door.
    pub door: Door,
    /// Through which client.
    pub client: String,
    /// For which application.
    pub application: String,
    /// The name as typed.
    pub name: String,
    /// Who it is, once known.
    pub unique_id: Option<String>,
    /// Their account name, once known.
    pub account: Option<String>,
    /// Address of the client.
    pub source: IpAddr,
    /// Address of the person's device, where known.
    pub person_address: Option<IpAddr>,
    /// How they were asked.
    pub method: Option<Method>,
    /// Who asked them.
    pub provider: Option<String>,
    /// What became of the primary credential: `passed`, a reason code, or nothing if it was not tried.
    pub primary: Option<&'static str>,
    /// What became of the factor: `approved`, `carried_over`, a reason code, or more than that ([`line`]); nothing if none
    /// was asked.
    pub factor: Option<&'static str>,
    /// What the client heard.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The `[[rule]]` that counted; the `[[caching]]` rule where an earlier approval did.
    pub rule: Option<Arc<str>>,
    /// The earlier sign-in whose approval counted, where a `[[caching]]` rule kept it.
    pub earlier: Option<Box<str>>,
    /// Requests of the client that this one answer served.
    pub requests: u32,
    /// Time taken by each step, for those that were reached.
    pub steps: Steps,
    /// Which server.
    pub server: String,
}

/// What a client reported about a session, as the store and the JSON lines keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    /// When the report was received.
    pub time: SystemTime,
    /// The report.
    pub record: AccountingRecord,
}

/// Something that is no sign-in and belongs into the audit's file all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When it happened.
    pub time: SystemTime,
    /// `late_fraud`, `outage_begin`, `outage_end`, `approvals_cleared`, `password_changed` or `accounting_full`.
    pub kind: &'static str,
    /// Which providers it is about.
    pub providers: Vec<String>,
    /// Which sign-in.
    pub sign_in: Option<SignInId>,
    /// For how long, in seconds.
    pub seconds: Option<u64>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// The user id of whoever asked for it.
    pub by: Option<u32>,
    /// Which server.
    pub server: String,
}

/// Takes a note. Never blocks.
pub type Notes = Arc<dyn Fn(Note) + Send + Sync>;

/// Time taken by each step of a sign-in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// Finding out who it is.
    pub identify: Option<Duration>,
    /// Checking the password.
    pub primary: Option<Duration>,
    /// Reading the store and deciding.
    pub policy: Option<Duration>,
    /// Asking and holding.
    pub factor: Option<Duration>,
    /// From the request's arrival to the end.
    pub total: Duration,
}

/// Where sign-ins end: [`Audit`] in the service, a recorder in tests.
pub trait Ledger: Send + Sync {
    /// Takes the one event of a sign-in. Never blocks, never fails the sign-in.
    fn finish(&self, event: Event);

    /// Takes what happened within a sign-in and is more than how that ends. Never blocks.
    fn note(&self, note: Note);
}

/// Where every sign-in ends. Dropping it lets the writer finish what it has; [`Audit::flush`] waits for that.
#[derive(Debug)]
pub struct Audit {
    metrics: Arc<Metrics>,
    queue: mpsc::Sender<Item>,
    hurry: Arc<Notify>,
    reopen: Arc<AtomicBool>,
    overflow: Rate,
}

impl Audit {
    /// Opens `file` and starts the writer, which runs until this value is dropped. To be called within the
    /// runtime.
    ///
    /// # Errors
    /// When `file` cannot be opened for appending.
    pub fn new(metrics: Arc<Metrics>, store: Arc<dyn Store>, file: Option<PathBuf>) -> std::io::Result<Self> {
        let (queue, events) = mpsc::channel(QUEUE);
        let (hurry, reopen) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let writer = Writer::new(Arc::clone(&metrics), store, file, Arc::clone(&hurry), Arc::clone(&reopen))?;
        tokio::spawn(writer.run(events));
        Ok(Audit { metrics, queue, hurry, reopen, overflow: Rate::default() })
    }

    /// Ends a sign-in: one log line, one count, one event on its way to the file and the store.
    pub fn finish(&self, event: Event) {
        log(&event);
        self.metrics.count_sign_in(&event.client, event.verdict, event.reason);
        observe(&self.metrics.primary, event.steps.primary);
        observe(&self.metrics.factor, event.steps.factor);
        observe(&self.metrics.total, Some(event.steps.total));
        if self.queue.try_send(Item::Event(event)).is_err() {
            self.metrics.audit_lost(LostAt::Queue, 1);
            if let Some(lost) = self.overflow.count(1) {
                tracing::error!(lost, "audit events are lost: the file or the store is slower than the sign-ins");
            }
        }
    }

    /// Puts an accounting record on its way to the file and the store. False when it was not taken: the queue
    /// has room for sign-ins only, and the client, without an acknowledgement, sends the record again.
    #[must_use]
    pub fn account(&self, record: AccountingRecord) -> bool {
        let accounted = Accounted { time: SystemTime::now(), record };
        self.queue.capacity() > FOR_SIGN_INS && self.queue.try_send(Item::Accounted(accounted)).is_ok()
    }

    /// Puts a note on its way to the file.
    pub fn note(&self, note: Note) {
        if self.queue.try_send(Item::Note(Box::new(note))).is_err() {
            self.metrics.audit_lost(LostAt::Queue, 1);
        }
    }

    /// Waits until everything finished so far has been written, or has been found impossible to write.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            self.hurry.notify_one();
            // An error means that the writer has ended, and it ends with an empty queue only.
            let _ = written.await;
        }
    }

    /// Opens the file anew before the next line, as after a rotation by name. A file that has been renamed
    /// or removed is noticed without this, too.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }
}

impl Ledger for Audit {
    fn finish(&self, event: Event) {
        Audit::finish(self, event);
    }

    fn note(&self, note: Note) {
        Audit::note(self, note);
    }
}

/// The line in the log. Names are quoted as Rust text, so that no control character of theirs reaches a
/// terminal or starts a line of its own.
fn log(event: &Event) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                sign_in = %event.sign_in,
                client = event.client.as_str(),
                name = event.name.as_str(),
                account = event.account.as_deref(),
                verdict = event.verdict.word(),
                reason = event.reason.code(),
                rule = event.rule.as_deref(),
                method = event.method.map(Method::word),
                requests = event.requests,
                primary_ms = event.steps.primary.map(milliseconds),
                factor_ms = event.steps.factor.map(milliseconds),
                total_ms = milliseconds(event.steps.total),
                $message
            )
        };
    }
    if event.verdict == Verdict::Accept && is_exemption(event.reason) {
        line!(warn, "sign-in accepted without a second factor");
    } else {
        line!(info, "sign-in");
    }
}

fn is_exemption(reason: Reason) -> bool {
    Exemption::ALL.into_iter().any(|rule| Reason::from_exemption(rule) == reason)
}

/// A duration in milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
