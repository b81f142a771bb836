//! Bounds on guessing and prompting, per person and per address (rule 7 of the verdict). Pure.
//!
//! Password guesses are stopped *below* the directory's own lockout threshold, so that somebody who guesses
//! on the VPN page cannot lock a person out of the whole company. The count works as AD's does: it starts
//! again when the last failure is longer ago than the window, or when a password was right. Guesses that
//! are under way count as failures until they are settled, so that many at once cannot slip through.
//!
//! Prompts are bounded by a rate and by a back-off that doubles with each denial.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config;
use crate::signin::outcome::Reason;

/// Entries in one table, at most. A table that is full forgets what has expired, then what is oldest.
const ENTRIES: usize = 65_536;

/// Back-off doubles at most this often.
const DOUBLINGS: u32 = 6;

/// What became of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// The password was right.
    Right,
    /// The directory counted a wrong password, or may have.
    Wrong,
    /// The directory was not asked, or said something that it does not count.
    Uncounted,
}

/// The bounds and what has been counted against them.
#[derive(Debug)]
pub struct Throttle {
    bounds: config::Throttle,
    hasher: RandomState,
    people: HashMap<u64, Failures>,
    sources: HashMap<IpAddr, Failures>,
    prompts: HashMap<u64, Prompts>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    failed: u32,
    under_way: u32,
    last: Instant,
}

impl Failures {
    fn forget_old(&mut self, now: Instant, window: Duration) {
        if now.saturating_duration_since(self.last) >= window {
            self.failed = 0;
        }
    }

    fn settle(&mut self, guess: Guess, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        match guess {
            Guess::Right => self.failed = 0,
            Guess::Wrong => {
                self.failed = self.failed.saturating_add(1);
                self.last = now;
            }
            Guess::Uncounted => {}
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Prompts {
    sent: u32,
    since: Instant,
    denials: u32,
    quiet_until: Option<Instant>,
}

/// Leave to ask the directory once. To be settled with what it said.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Permit {
    person: u64,
    source: Option<IpAddr>,
}

impl Throttle {
    /// Nothing counted yet.
    pub fn new(bounds: config::Throttle) -> Self {
        let hasher = RandomState::new();
        Throttle { bounds, hasher, people: HashMap::new(), sources: HashMap::new(), prompts: HashMap::new() }
    }

    /// Asks for leave to try a password of `person` (unique id) who comes from `source`.
    ///
    /// # Errors
    /// [`Reason::ThrottledPerson`] or [`Reason::ThrottledSource`].
    pub fn admit(&mut self, person: &str, source: Option<IpAddr>, now: Instant) -> Result<Permit, Reason> {
        let window = self.bounds.window;
        let key = self.hasher.hash_one(person);
        let fresh = Failures { failed: 0, under_way: 0, last: now };
        let old = |entry: &Failures| entry.under_way == 0 && now.saturating_duration_since(entry.last) >= window;
        make_room(&mut self.people, &old, |entry| entry.last);
        make_room(&mut self.sources, &old, |entry| entry.last);

        if let Some(address) = source {
            let entry = self.sources.entry(address).or_insert(fresh);
            entry.forget_old(now, window);
            if entry.failed.saturating_add(entry.under_way) >= self.bounds.failures_per_source {
                return Err(Reason::ThrottledSource);
            }
        }
        let entry = self.people.entry(key).or_insert(fresh);
        entry.forget_old(now, window);
        if entry.failed.saturating_add(entry.under_way) >= self.bounds.failures_per_person {
            return Err(Reason::ThrottledPerson);
        }
        entry.under_way += 1;
        if let Some(entry) = source.and_then(|address| self.sources.get_mut(&address)) {
            entry.under_way += 1;
        }
        Ok(Permit { person: key, source })
    }

    /// Says what became of a permitted guess.
    pub fn settle(&mut self, permit: Permit, guess: Guess, now: Instant) {
        if let Some(entry) = self.people.get_mut(&permit.person) {
            entry.settle(guess, now);
            if entry.failed == 0 && entry.under_way == 0 {
                self.people.remove(&permit.person);
            }
        }
        if let Some(address) = permit.source
            && let Some(entry) = self.sources.get_mut(&address)
        {
            // A right password of one person says nothing of the guesses at others.
            entry.settle(if guess == Guess::Right { Guess::Uncounted } else { guess }, now);
            if entry.failed == 0 && entry.under_way == 0 {
                self.sources.remove(&address);
            }
        }
    }

    /// Asks for leave to prompt `person`, and counts the prompt.
    ///
    /// # Errors
    /// [`Reason::PromptLimited`].
    pub fn prompt(&mut self, person: &str, now: Instant) -> Result<(), Reason> {
        let bounds = self.bounds;
        let key = self.hasher.hash_one(person);
        let over = |entry: &Prompts| now.saturating_duration_since(entry.since) >= bounds.prompt_window;
        let quiet = |entry: &Prompts| entry.quiet_until.is_some_and(|until| now < until);
        make_room(&mut self.prompts, &|entry| over(entry) && !quiet(entry), |entry| entry.since);

        let entry = self.prompts.entry(key).or_insert(Prompts { sent: 0, since: now, denials: 0, quiet_until: None });
        if quiet(entry) {
            return Err(Reason::PromptLimited);
        }
        if over(entry) {
            *entry = Prompts { sent: 0, since: now, denials: 0, quiet_until: None };
        }
        if entry.sent >= bounds.prompts_per_person {
            return Err(Reason::PromptLimited);
        }
        entry.sent += 1;
        Ok(())
    }

    /// The person said no: do not ask again at once. (Unanswered prompts are bounded by the rate alone.)
    pub fn denied(&mut self, person: &str, now: Instant) {
        let first = self.bounds.denial_backoff;
        if let Some(entry) = self.prompts.get_mut(&self.hasher.hash_one(person)) {
            let pause = first.saturating_mul(1_u32 << entry.denials.min(DOUBLINGS));
            entry.quiet_until = now.checked_add(pause);
            entry.denials = entry.denials.saturating_add(1);
        }
    }

    /// The person approved: what was counted against them is forgotten.
    pub fn approved(&mut self, person: &str) {
        self.prompts.remove(&self.hasher.hash_one(person));
    }
}

/// Keeps a table below [`ENTRIES`]: drops what `expired` names, then the oldest entry.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(
    table: &mut HashMap<K, V>,
    expired: &impl Fn(&V) -> bool,
    age: impl Fn(&V) -> Instant,
) {
    if table.len() < ENTRIES {
        return;
    }
    table.retain(|_, entry| !expired(entry));
    if table.len() >= ENTRIES {
        // Freed in one go, so that a full table costs one scan in every thousand entries, not one each.
        let mut ages: Vec<(Instant, K)> = table.iter().map(|(key, entry)| (age(entry), *key)).collect();
        ages.sort_unstable_by_key(|(age, _)| *age);
        for (_, key) in ages.into_iter().take(ENTRIES / 64) {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> config::Throttle {
        config::Throttle {
            failures_per_person: 3,
            failures_per_source: 5,
            window: Duration::from_secs(60),
            prompts_per_person: 3,
            prompt_window: Duration::from_secs(600),
            denial_backoff: Duration::from_secs(30),
            fraud_block: Duration::from_secs(3600),
        }
    }

    fn fail(throttle: &mut Throttle, person: &str, source: Option<IpAddr>, now: Instant) -> Result<(), Reason> {
        let permit = throttle.admit(person, source, now)?;
        throttle.settle(permit, Guess::Wrong, now);
        Ok(())
    }

    #[test]
    fn guesses_are_stopped_at_the_bound_and_start_again_after_the_window() {
        let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
        for _ in 0..3 {
            assert_eq!(fail(&mut throttle, "alice", None, start), Ok(()));
        }
        assert_eq!(fail(&mut throttle, "alice", None, start), Err(Reason::ThrottledPerson));
        assert_eq!(fail(&mut throttle, "bob", None, start), Ok(()), "bob is somebody else");
        let later = start + Duration::from_secs(59);
        assert_eq!(fail(&mut throttle, "alice", None, later), Err(Reason::ThrottledPerson));
        assert_eq!(fail(&mut throttle, "alice", None, start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn the_window_counts_from_the_last_failure_as_the_directory_does() {
        let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
        for second in [0, 50, 100] {
            assert_eq!(fail(&mut throttle, "alice", None, start + Duration::from_secs(second)), Ok(()));
        }
        let now = start + Duration::from_secs(150);
        assert_eq!(fail(&mut throttle, "alice", None, now), Err(Reason::ThrottledPerson));
    }

    #[test]
    fn guesses_under_way_count() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        let permits: Vec<_> = (0..3).map(|_| throttle.admit("alice", None, now).unwrap()).collect();
        assert_eq!(throttle.admit("alice", None, now).unwrap_err(), Reason::ThrottledPerson);
        for permit in permits {
            throttle.settle(permit, Guess::Uncounted, now);
        }
        assert!(throttle.admit("alice", None, now).is_ok());
    }

    #[test]
    fn a_right_password_clears_the_person_but_not_the_address() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        let source = Some("192.0.2.1".parse().unwrap());
        for person in ["a", "b", "c", "d"] {
            assert_eq!(fail(&mut throttle, person, source, now), Ok(()));
        }
        let permit = throttle.admit("a", source, now).unwrap();
        throttle.settle(permit, Guess::Right, now);
        assert_eq!(fail(&mut throttle, "e", source, now), Ok(()));
        assert_eq!(fail(&mut throttle, "f", source, now), Err(Reason::ThrottledSource));
        assert_eq!(fail(&mut throttle, "f", None, now), Ok(()));
    }

    #[test]
    fn prompts_are_bounded_and_denials_back_off_twice_as_long_each_time() {
        let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
        assert_eq!(throttle.prompt("alice", start), Ok(()));
        throttle.denied("alice", start);
        assert_eq!(throttle.prompt("alice", start + Duration::from_secs(29)), Err(Reason::PromptLimited));
        let second = start + Duration::from_secs(30);
        assert_eq!(throttle.prompt("alice", second), Ok(()));
        throttle.denied("alice", second);
        assert_eq!(throttle.prompt("alice", second + Duration::from_secs(59)), Err(Reason::PromptLimited));
        let third = second + Duration::from_secs(60);
        assert_eq!(throttle.prompt("alice", third), Ok(()));
        assert_eq!(throttle.prompt("alice", third), Err(Reason::PromptLimited), "three in the window");
        throttle.approved("alice");
        assert_eq!(throttle.prompt("alice", third), Ok(()));
    }

    #[test]
    fn a_full_table_stays_bounded() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        for number in 0..(ENTRIES + 10) {
            let person = number.to_string();
            let at = now + Duration::from_micros(u64::try_from(number).unwrap());
            assert_eq!(fail(&mut throttle, &person, None, at), Ok(()));
            assert_eq!(throttle.prompt(&person, at), Ok(()));
        }
        assert!(throttle.people.len() <= ENTRIES && throttle.prompts.len() <= ENTRIES);
    }
}
