//! How far an import is, for whoever wants to show it. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What an import is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, and looking for what has changed.
    Looking,
    /// Reading people and comparing them.
    Reading,
    /// Looking for those who are gone.
    Comparing,
    /// Writing what has changed, so that it does not count yet.
    Writing,
    /// Making it count.
    Finishing,
    /// It is over.
    Done,
}

impl Phase {
    const ALL: [Phase; 6] =
        [Phase::Looking, Phase::Reading, Phase::Comparing, Phase::Writing, Phase::Finishing, Phase::Done];

    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Phase::Looking => "looking for changes",
            Phase::Reading => "reading people",
            Phase::Comparing => "looking for leavers",
            Phase::Writing => "writing",
            Phase::Finishing => "finishing",
            Phase::Done => "done",
        }
    }
}

/// How many people there will probably be, for whoever learns it beside the import.
#[derive(Debug, Default, Clone)]
pub struct Expected(Arc<AtomicU64>);

impl Expected {
    /// So many; 0: nobody knows.
    pub fn set(&self, people: u64) {
        self.0.store(people, Ordering::Relaxed);
    }
}

/// How far an import is. It writes, others look.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    read: AtomicU64,
    expected: Expected,
    written: AtomicU64,
    to_write: AtomicU64,
    watched: AtomicBool,
}

impl Progress {
    /// Goes on to another phase.
    pub fn enter(&self, phase: Phase) {
        let place = Phase::ALL.iter().position(|known| *known == phase).unwrap_or_default();
        self.phase.store(u8::try_from(place).unwrap_or_default(), Ordering::Relaxed);
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        let place = usize::from(self.phase.load(Ordering::Relaxed));
        Phase::ALL.get(place).copied().unwrap_or(Phase::Looking)
    }

    /// Some more people have been read.
    pub fn add(&self, people: u64) {
        self.read.fetch_add(people, Ordering::Relaxed);
    }

    /// People read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Goes on to writing so many rows.
    pub fn write(&self, rows: u64) {
        self.to_write.store(rows, Ordering::Relaxed);
        self.enter(Phase::Writing);
    }

    /// Some more rows have been written.
    pub fn wrote(&self, rows: u64) {
        self.written.fetch_add(rows, Ordering::Relaxed);
    }

    /// How far the phase is, and how far it will probably go; 0: nobody knows.
    pub fn how_far(&self) -> (u64, u64) {
        match self.phase() {
            Phase::Writing => (self.written.load(Ordering::Relaxed), self.to_write.load(Ordering::Relaxed)),
            _ => (self.read(), self.expected()),
        }
    }

    /// How many there will probably be.
    pub fn expect(&self, people: u64) {
        self.expected.set(people);
    }

    /// The same, for a task that lives beside the import.
    pub fn expectation(&self) -> Expected {
        self.expected.clone()
    }

    /// Says that somebody looks on, who wants to know how long it will take.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Whether somebody looks on.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// How many people there will probably be; 0: nobody knows.
    pub fn expected(&self) -> u64 {
        self.expected.0.load(Ordering::Relaxed)
    }
}
