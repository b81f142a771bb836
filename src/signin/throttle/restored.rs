//! What was counted before a restart, so that nobody may guess anew because a server was started anew.

use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use super::{DOUBLINGS, Failures, Prompts, Throttle, make_room, pause};

/// What somebody did several times in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Had a wrong password.
    WrongPassword,
    /// Said no to prompts, or reported fraud.
    Denied,
    /// Said no, or typed wrong codes: what ends in a lockout.
    Refused,
}

impl Before {
    /// Every one.
    pub const ALL: [Before; 3] = [Before::WrongPassword, Before::Denied, Before::Refused];

    /// The reasons in the audit that it is told by.
    pub fn reasons(self) -> &'static [&'static str] {
        match self {
            Before::WrongPassword => &["wrong_password"],
            Before::Denied => &["denied", "fraud"],
            Before::Refused => &["denied", "fraud", "wrong_code"],
        }
    }
}

impl Throttle {
    /// For how long something counts; nothing where it is not counted at all.
    pub fn counts_for(&self, what: Before) -> Option<Duration> {
        match what {
            Before::WrongPassword => Some(self.bounds.window),
            Before::Denied => Some(pause(self.bounds.denial_backoff, DOUBLINGS)),
            Before::Refused => self.bounds.lockout.map(|lockout| lockout.reset),
        }
    }

    /// Counts what `person` did so often in a row, the last time at `last`.
    pub fn restore(&mut self, person: &str, what: Before, (many, last): (u32, Instant), now: Instant) {
        let is_over = self.counts_for(what).is_none_or(|lasts| now.saturating_duration_since(last) >= lasts);
        if many == 0 || is_over {
            return;
        }
        let key = self.hasher.hash_one(person);
        match what {
            Before::WrongPassword => {
                make_room(&mut self.people, &|_| false, |entry| entry.last);
                let counted = Failures { failed: many, under_way: 0, last, unknown: None, unheard: false };
                self.people.insert(key, counted);
            }
            Before::Denied => {
                make_room(&mut self.prompts, &|_| false, |entry| entry.since);
                let quiet_until = last.checked_add(pause(self.bounds.denial_backoff, many - 1));
                let entry = self.prompts.entry(key).or_insert(Prompts::none(now));
                let refusals = entry.refusals();
                (refusals.denials, refusals.quiet_until) = (many, quiet_until);
            }
            Before::Refused => {
                make_room(&mut self.refused, &|_| false, |(_, last)| *last);
                self.refused.insert(key, (many, last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::bounds;
    use super::*;
    use crate::signin::outcome::Reason;

    #[test]
    fn what_was_counted_before_counts_until_its_time_is_over() {
        let mut throttle = Throttle::new(bounds());
        let most = bounds().failures_per_person;
        let last = Instant::now();
        let now = last + Duration::from_secs(1);
        throttle.restore("a", Before::WrongPassword, (most, last), now);
        throttle.restore("b", Before::WrongPassword, (most - 1, last), now);
        throttle.restore("d", Before::Denied, (1, last), now);
        assert_eq!(throttle.would_admit("a", None, None, now), Err(Reason::ThrottledPerson));
        assert_eq!(throttle.would_admit("b", None, None, now), Ok(()));
        assert_eq!(throttle.would_prompt("d", false, now), Err(Reason::PromptLimited));
        let later = last + bounds().window.max(bounds().denial_backoff);
        assert_eq!(throttle.would_admit("a", None, None, later), Ok(()));
        assert_eq!(throttle.would_prompt("d", false, later), Ok(()));
        // Nothing of what is over.
        throttle.restore("c", Before::WrongPassword, (most, last), later);
        assert_eq!(throttle.would_admit("c", None, None, later), Ok(()));
    }
}
