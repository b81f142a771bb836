//! Failures of one person or of one address.

use std::time::{Duration, Instant};

use crate::signin::outcome::Reason;
use crate::signin::throttle::Guess;

/// What is counted against a person or an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failures {
    pub(super) failed: u32,
    pub(super) under_way: u32,
    pub(super) last: Instant,
    /// The password that counts although nobody knows whether it was wrong, last.
    pub(super) unknown: Option<u64>,
    /// Whether there is one that the nodes that count with this one have not counted: it is under way, or they could not
    /// be told.
    pub(super) unheard: bool,
}

impl Failures {
    pub(super) fn forget_old(&mut self, now: Instant, window: Duration) {
        if now.saturating_duration_since(self.last) >= window {
            self.failed = 0;
            self.unheard &= self.under_way > 0;
        }
    }

    /// Forgives one failure for each `step` since the last was counted or forgiven.
    pub(super) fn forgive(&mut self, now: Instant, step: Duration) {
        let passed = now.saturating_duration_since(self.last).as_nanos() / step.as_nanos().max(1);
        match u32::try_from(passed) {
            Ok(steps) if steps < self.failed => {
                self.failed -= steps;
                self.last += step * steps;
            }
            _ => {
                self.failed = 0;
                self.last = now;
            }
        }
    }

    pub(super) fn below(&self, bound: u32, reason: Reason) -> Result<(), Reason> {
        if self.failed.saturating_add(self.under_way) >= bound { Err(reason) } else { Ok(()) }
    }

    pub(super) fn settle(&mut self, guess: Guess, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        match guess {
            Guess::Right => (self.failed, self.unknown) = (0, None),
            Guess::Wrong => {
                self.failed = self.failed.saturating_add(1);
                self.last = now;
            }
            Guess::Unknown(password) if self.failed == 0 || self.unknown != Some(password) => {
                self.failed = self.failed.saturating_add(1);
                (self.last, self.unknown) = (now, Some(password));
            }
            Guess::Unknown(_) | Guess::Uncounted => {}
        }
    }
}
