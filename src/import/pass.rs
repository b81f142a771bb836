//! One whole import from directories: reads, compares, stages, stops for safety, finishes.
//!
//! ```text
//! directories ─ gathering ─▶ batches ─▶ sifting ─ decisions ─▶ staging ─ sorted, at the end ─▶ store
//!   (a task)                             (here)                 (a task)
//! ```
//!
//! Reading, comparing and keeping overlap; between them are bounded channels. So does writing where the store was empty
//! and writes quickly what comes in no order (`straight`). What is written is invisible until the end, so every way out
//! but the last one leaves the store as it was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::config::import::Import;
use crate::import::entry::Reading;
use crate::import::mark::Pass;
use crate::import::plan::{Conflict, Counts, Decision, Skipped};
use crate::import::progress::{Phase, Progress};
use crate::import::reader::ReadError;
use crate::ldap::pool::Trouble;
use crate::primary::directory::Directory;
use crate::users::roster::{ImportLock, ImportRun, Memory, Roster};
use crate::users::store::StoreError;

mod counting;
mod gathering;
mod holding;
mod sifting;
mod staging;
mod straight;

use gathering::{AbortOnDrop, Gathered, Plans};
use sifting::Sieve;
use staging::Staging;

/// Batches between reading and comparing: they hold what the directory sends while we learn who is in the store, some
/// thirty thousand people in twenty megabytes.
const BATCHES: usize = 128;
/// The same where nobody is in the store: what tells millions of newcomers apart needs the memory.
const FEW_BATCHES: usize = 16;
/// How long the right to import is kept without a sign of life.
pub const LEASE: Duration = Duration::from_secs(60);

/// A directory as the import needs it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Where its searches start.
    pub base: String,
    /// NetBIOS names of its domain.
    pub domains: Vec<String>,
}

/// What every import has in common.
#[derive(Clone)]
pub struct Importer {
    /// What is to be read.
    pub import: Arc<Import>,
    /// The directories by the names of their targets.
    pub places: BTreeMap<String, Place>,
    /// Where people go.
    pub roster: Arc<dyn Roster>,
    /// This server's name.
    pub node: String,
    /// How long the right to import is kept without a sign of life, usually [`LEASE`]: when this node dies, another one
    /// waits so long before it takes over.
    pub lease: Duration,
    /// Whether mails can be sent: only then are those put down that the items ask for.
    pub mails: bool,
}

impl fmt::Debug for Importer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What is asked of one import.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Names of the items; none: all.
    pub items: Vec<String>,
    /// Whether everybody is to be read.
    pub full: bool,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// Whether an item that suddenly finds nobody may be believed.
    pub allow_empty: bool,
    /// Whether more people than the bound may leave without an approval.
    pub approved: bool,
}

/// Something that whoever watches may want to show.
#[derive(Debug)]
pub enum Event<'a> {
    /// What is, or would be, done with a person.
    Decided(&'a Decision),
    /// Somebody is left alone, by name.
    Skipped(&'a str, Skipped),
    /// Somebody is left alone because a name is taken.
    Conflict(&'a Conflict),
    /// The quarantine of this unique id is over.
    Erased(&'a str),
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In numbers.
    pub counts: Counts,
    /// What the pass over each directory was.
    pub passes: Vec<(String, Pass)>,
    /// Why it waits for an approval, and the plan's id; then nothing was changed.
    pub held: Option<(String, String)>,
    /// What an administrator should know.
    pub warnings: Vec<String>,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
    /// The longest that others were kept from changing people.
    pub longest_hold: Duration,
}

/// Why an import changed nothing.
#[derive(Debug)]
pub enum ImportError {
    /// A directory.
    Read(ReadError),
    /// The store.
    Store(StoreError),
    /// An item finds nobody any more.
    Empty {
        /// The item.
        item: String,
        /// How many people it had brought.
        had: usize,
    },
    /// Another import runs.
    Locked {
        /// On this node.
        node: String,
    },
    /// The right to import was lost in the middle.
    LostLock,
    /// There is no item of this name.
    NoItem(String),
    /// A part of the program failed.
    Broken(String),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Read(error) => error.fmt(f),
            ImportError::Store(error) => write!(f, "{error}; nothing was changed"),
            ImportError::Empty { item, had } => write!(
                f,
                "item {item:?} finds nobody any more, and has brought {had} people: an empty answer is never taken \
                 as \"all gone\". Check its base, its filter and what the service account may read; if it is right, \
                 run the import once with --allow-empty"
            ),
            ImportError::Locked { node } => {
                write!(f, "an import runs already on {node}; wait until it is done (`anteroom import status`)")
            }
            ImportError::LostLock => f.write_str("another node has taken over the import; nothing was changed"),
            ImportError::NoItem(item) => write!(f, "there is no [[import.item]] named {item:?}"),
            ImportError::Broken(why) => write!(f, "{why}; nothing was changed"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<ReadError> for ImportError {
    fn from(error: ReadError) -> Self {
        ImportError::Read(error)
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        ImportError::Store(error)
    }
}

/// Where events go.
pub type Watch<'a> = &'a mut (dyn FnMut(&Event<'_>) + Send);

/// The items of one import.
#[derive(Debug)]
pub(super) struct Selection {
    /// How each configured item is read, in order; `None`: not now.
    pub(super) readings: Vec<Option<Reading>>,
    /// Names of all configured items, in order.
    pub(super) names: Vec<String>,
    /// Whether all items are read: only then do marks count.
    pub(super) whole: bool,
}

impl Importer {
    fn select(&self, ask: &Ask) -> Result<Selection, ImportError> {
        let names: Vec<String> = self.import.items.iter().map(|item| item.name.clone()).collect();
        if let Some(unknown) = ask.items.iter().find(|item| !names.contains(item)) {
            return Err(ImportError::NoItem(unknown.clone()));
        }
        let readings = self.import.items.iter().map(|item| {
            let wanted = ask.items.is_empty() || ask.items.contains(&item.name);
            let domains = self.places.get(&item.target).map(|place| place.domains.as_slice()).unwrap_or_default();
            wanted.then(|| Reading::new(item, &self.import, domains))
        });
        let readings: Vec<_> = readings.collect();
        let whole = readings.iter().all(Option::is_some);
        Ok(Selection { readings, names, whole })
    }

    /// A digest of everything that decides who is read from a directory, and how.
    fn settings(&self, target: &str) -> String {
        let mut digest = Sha256::new();
        for item in self.import.items.iter().filter(|item| item.target == target) {
            digest.update(format!("{item:?}"));
        }
        digest.update(format!("{:?} {:?}", self.import.region, self.places.get(target).map(|place| &place.base)));
        digest.finalize().iter().take(16).map(|octet| format!("{octet:02x}")).collect()
    }

    /// Runs one import.
    ///
    /// # Errors
    /// [`ImportError`]; nothing was changed then.
    pub async fn run(&self, ask: &Ask, progress: &Progress, watch: Watch<'_>) -> Result<Outcome, ImportError> {
        let began = SystemTime::now();
        let selection = self.select(ask)?;
        if ask.dry_run {
            return self.pass(ask, selection, None, progress, watch).await;
        }
        let Some(lock) = self.roster.lock_import(&self.node, self.lease).await? else {
            let node = self.roster.import_holder().await?.map(|(node, _)| node).unwrap_or_default();
            return Err(ImportError::Locked { node });
        };
        let ended = tokio::select! {
            ended = self.pass(ask, selection, Some(&lock), progress, watch) => ended,
            () = self.keep(&lock) => Err(ImportError::LostLock),
        };
        progress.enter(Phase::Done);
        let noted = self.roster.record_import_run(&self.note(ask, began, &ended)).await;
        let unlocked = self.roster.unlock_import(&lock).await;
        for error in [noted, unlocked].into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "the end of an import could not be noted");
        }
        ended
    }

    /// Renews the right to import, and returns when it is lost.
    async fn keep(&self, lock: &ImportLock) {
        let mut last = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(self.lease / 4).await;
            match self.roster.renew_import(lock, self.lease).await {
                Ok(true) => last = tokio::time::Instant::now(),
                Ok(false) => return,
                // A store that is busy for a moment; the lease itself says when it is over.
                Err(_) if last.elapsed() < self.lease / 2 => {}
                Err(_) => return,
            }
        }
    }

    fn note(&self, ask: &Ask, began: SystemTime, ended: &Result<Outcome, ImportError>) -> ImportRun {
        let (result, summary) = match ended {
            Ok(outcome) if outcome.held.is_some() => ("held", outcome.summary()),
            Ok(outcome) => ("done", outcome.summary()),
            Err(error) => ("failed", serde_json::json!({ "error": error.to_string() })),
        };
        ImportRun {
            began,
            ended: SystemTime::now(),
            node: self.node.clone(),
            item: plan_id(ask),
            result: result.to_owned(),
            summary: summary.to_string(),
        }
    }

    async fn pass(
        &self,
        ask: &Ask,
        selection: Selection,
        lock: Option<&ImportLock>,
        progress: &Progress,
        watch: Watch<'_>,
    ) -> Result<Outcome, ImportError> {
        let mut staging = Staging::new(self, lock, ask);
        let ended = self.pass_into(&mut staging, ask, selection, progress, watch).await;
        // Nothing is left to be removed where the import has finished.
        staging.abandon().await;
        ended
    }

    async fn pass_into(
        &self,
        staging: &mut Staging,
        ask: &Ask,
        selection: Selection,
        progress: &Progress,
        watch: Watch<'_>,
    ) -> Result<Outcome, ImportError> {
        let (now, ask) = (SystemTime::now(), &self.asked(ask).await?);
        progress.enter(Phase::Looking);
        let selection = Arc::new(selection);
        let plans = Plans::make(self, ask, &selection, now).await?;
        let mut outcome = Outcome { passes: plans.passes(), ..Outcome::default() };
        progress.enter(Phase::Reading);
        let is_empty = self.roster.profiles("", 1).await?.is_empty();
        let (sink, batches) = mpsc::channel(if is_empty { FEW_BATCHES } else { BATCHES });
        let marks = plans.marks();
        let scopes = plans.scopes(&selection);
        let gathering = tokio::spawn(gathering::gather(plans, Arc::clone(&selection), sink));
        // Dropped on every early way out, it ends the task, which would else wait for us for ever.
        let gathering = AbortOnDrop(gathering);
        let mut sieve = Sieve::new(self, &selection, watch);
        sieve.learn(&scopes, progress).await?;
        if sieve.store_is_empty() {
            staging.expect_newcomers();
        }
        let counting = (progress.is_watched() && sieve.is_first(&scopes)).then(|| self.count(&selection, progress));
        let sifted = sieve.sift(batches, staging, progress).await;
        drop(counting);
        let gathered = gathering.end().await;
        let gathered: Gathered = match (gathered, sifted) {
            // Whoever sifts has stopped, and so nobody wanted the rest: that is no fault of the directory.
            (Err(ImportError::Read(ReadError::Trouble(_, Trouble::Unwanted))), Err(error)) => return Err(error),
            // Else what the directory says comes first: whoever sifts stops early when the directory is lost.
            (Err(error), _) | (Ok(_), Err(error)) => return Err(error),
            (Ok(gathered), Ok(())) => gathered,
        };
        outcome.warnings = gathered.warnings(&self.import);
        sieve.check_empty(&gathered, &scopes, ask.allow_empty)?;
        progress.enter(Phase::Comparing);
        sieve.settle(&scopes, now, staging).await?;
        sieve.erase(self.import.quarantine, now, staging).await?;
        let leaving = sieve.leaving();
        outcome.counts = sieve.counts();
        outcome.conflicts = sieve.conflicts();
        let stop = leaving.stop(&self.import, sieve.all(&scopes)).filter(|_| !ask.approved);
        // What tells a million people apart is not needed while they are written.
        drop(sieve);
        if let Some(reason) = stop
            && !self.is_approved(ask, &leaving).await?
        {
            outcome.held = Some(self.hold(ask, now, reason, &leaving, &outcome).await?);
            return Ok(outcome);
        }
        let memory: Vec<Memory> = if selection.whole { marks } else { Vec::new() };
        staging.finish(&memory, progress).await?;
        outcome.longest_hold = staging.longest_hold();
        self.settle_plan(ask, &outcome).await?;
        Ok(outcome)
    }
}

/// By which name a plan is approved.
fn plan_id(ask: &Ask) -> String {
    if ask.items.is_empty() { "all".to_owned() } else { ask.items.join(",") }
}

impl Outcome {
    /// As JSON, for the record of the run and for machines.
    pub fn summary(&self) -> serde_json::Value {
        let passes: serde_json::Map<String, serde_json::Value> = self
            .passes
            .iter()
            .map(|(target, pass)| {
                let text = match pass {
                    Pass::Full(why) => format!("full: {}", why.text()),
                    Pass::Changes(_) => "changes".to_owned(),
                };
                (target.clone(), text.into())
            })
            .collect();
        serde_json::json!({
            "counts": self.counts,
            "passes": passes,
            "held": self.held.as_ref().map(|(reason, plan)| serde_json::json!({ "reason": reason, "plan": plan })),
            "longest_hold_us": u64::try_from(self.longest_hold.as_micros()).unwrap_or(u64::MAX),
            "warnings": self.warnings,
            "conflicts": self.conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}
