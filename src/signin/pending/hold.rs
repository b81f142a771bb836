//! One sign-in under way, and the places of those who wait for it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::signin::outcome::{Outcome, Reason};

/// One sign-in under way, shared by the requests that wait for it and the flow that runs it.
#[derive(Debug)]
pub(in crate::signin) struct Hold {
    outcome: OnceLock<Arc<Outcome>>,
    /// For those who wait while another one's task runs the flow.
    done: Notify,
    /// The task that runs the flow: woken when the last place is given up, or all of it is. Not a `Notify`, to wait for
    /// which takes 64 octets.
    runs: AtomicWaker,
    /// Requests that wait now.
    places: AtomicU32,
    /// Requests that ever waited.
    requests: AtomicU32,
    /// Whether the last one left because its time was up, rather than because it was dropped.
    timed_out: AtomicBool,
    /// Whether the server gave this hold up, because it is stopping.
    given_up: AtomicBool,
    began: Instant,
    /// When the client last asked, in milliseconds from then: after long without a packet it may have given up.
    last_asked: AtomicU32,
}

impl Hold {
    pub(super) fn new(now: Instant) -> Self {
        Hold {
            outcome: OnceLock::new(),
            done: Notify::new(),
            runs: AtomicWaker::new(),
            places: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            timed_out: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            began: now,
            last_asked: AtomicU32::new(0),
        }
    }

    /// Takes a place. Called under the table's lock, so that it cannot race with the last one leaving.
    pub(super) fn take_place(&self, now: Instant) {
        self.places.fetch_add(1, Ordering::AcqRel);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.heard_again(now);
    }

    /// Whether anybody waits.
    pub(super) fn has_place(&self) -> bool {
        self.places.load(Ordering::Acquire) > 0
    }

    /// The outcome, once there is one.
    pub(in crate::signin) fn outcome(&self) -> Option<&Arc<Outcome>> {
        self.outcome.get()
    }

    /// Resolves when there is an outcome, for whoever began to wait before there was.
    pub(in crate::signin) fn done(&self) -> Notified<'_> {
        self.done.notified()
    }

    /// Notes that whoever leaves next does so because their time is up.
    pub(in crate::signin) fn note_time_is_up(&self) {
        self.timed_out.store(true, Ordering::Release);
    }

    /// The client has asked again.
    pub(in crate::signin) fn heard_again(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_millis();
        self.last_asked.store(u32::try_from(passed).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Gives the outcome to everybody who waits.
    pub(in crate::signin) fn finish(&self, outcome: Arc<Outcome>) {
        // A second outcome cannot happen: only the one flow of this hold calls this. The first would win.
        let _ = self.outcome.set(outcome);
        self.done.notify_waiters();
    }

    /// Notes the requests of earlier rounds.
    pub(in crate::signin) fn served_before(&self, requests: u32) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    /// How many requests this hold has served.
    pub(in crate::signin) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Ends it for everybody who waits, with silence: the server is stopping. Its flow finds out when they have left.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.finish(Arc::new(Outcome::Discard(Reason::ShuttingDown)));
        self.runs.wake();
    }

    /// How many wait.
    pub(super) fn places(&self) -> u32 {
        self.places.load(Ordering::Acquire)
    }

    /// Whether nobody waits any more. If somebody does, the task is woken when the last one has left.
    pub(super) fn is_left(&self, context: &Context<'_>) -> bool {
        self.runs.register(context.waker());
        !self.has_place()
    }

    /// Why nobody waits, for the audit.
    pub(super) fn why_left(&self) -> Reason {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        match (is(&self.given_up), is(&self.timed_out)) {
            (true, _) => Reason::ShuttingDown,
            (false, true) => Reason::Deadline,
            (false, false) => Reason::ClientGone,
        }
    }

    /// When the client asked last.
    pub(in crate::signin) fn last_asked(&self) -> Instant {
        let passed = Duration::from_millis(self.last_asked.load(Ordering::Relaxed).into());
        self.began.checked_add(passed).unwrap_or(self.began)
    }
}

/// Counts itself out of its hold when dropped.
#[derive(Debug)]
pub(in crate::signin) struct Place(pub(super) Arc<Hold>);

impl Place {
    pub(in crate::signin) fn hold(&self) -> &Arc<Hold> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.places.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.runs.wake();
        }
    }
}
