//! Bounds on guessing and prompting, per person and per address (rule 7 of the verdict). Pure.
//!
//! Password guesses are stopped *below* the directory's own lockout threshold, so that somebody who guesses
//! on the VPN page cannot lock a person out of the whole company. The count works as AD's does: it starts
//! again when the last failure is longer ago than the window, or when a password was right. Guesses that
//! are under way count as failures until they are settled, so that many at once cannot slip through.
//!
//! The last of these guesses is kept for whoever comes from where the person has signed in before, as far as addresses
//! are told: somebody who guesses elsewhere, day and night, cannot keep the person out either.
//!
//! Failures from one address are forgiven one by one, so that a busy address with a few mistypings an hour is
//! never shut out, and one that was guessed from is not shut out for longer than it takes to earn the next try.
//!
//! Prompts are bounded by a rate and by a back-off that doubles with each denial, and with each prompt that
//! nobody answered from the second in a row on: somebody who knows a password must not wear its owner out. After
//! a fraud report no approval of a prompt that was open then counts.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::config;
use crate::signin::outcome::Reason;
use failures::Failures;
use prompts::Prompts;
pub use restored::Before;

mod failures;
mod prompts;
mod restored;

/// Entries in one table, at most. A table that is full forgets what has expired, then what is oldest.
const ENTRIES: usize = 65_536;

/// Addresses that are remembered of one person, at most, and for how long.
const PLACES: usize = 8;
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Back-off doubles at most this often.
const DOUBLINGS: u32 = 6;

/// Prompts in a row that nobody needs to answer: a phone may lie elsewhere once.
const UNANSWERED: u32 = 1;

/// What became of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// The password was right.
    Right,
    /// The directory counted a wrong password, or may have.
    Wrong,
    /// The directory was not asked, or said something that it does not count.
    Uncounted,
    /// The directory was asked and nobody knows what it made of this password, for which a number stands. It counts
    /// once: whoever types the right password again and again while the directory is half away is not shut out by
    /// that, and who guesses is counted guess by guess.
    Unknown(u64),
}

/// The bounds and what has been counted against them.
#[derive(Debug)]
pub struct Throttle {
    bounds: config::Throttle,
    hasher: RandomState,
    people: HashMap<u64, Failures>,
    sources: HashMap<IpAddr, Failures>,
    /// Where people's passwords were right, and when last.
    places: HashMap<u64, Vec<(IpAddr, Instant)>>,
    prompts: HashMap<u64, Prompts>,
    /// Denials and wrong codes in a row, and when last.
    refused: HashMap<u64, (u32, Instant)>,
}

/// Leave to ask the directory once. To be settled with what it said.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Permit {
    person: u64,
    /// Where the person is thought to be, as far as it is known.
    place: Option<IpAddr>,
    /// Whether failures count against that address.
    is_source: bool,
    first: bool,
    at_home: bool,
}

impl Permit {
    /// Whether nothing is counted against the person here, and no other try is under way.
    pub fn is_first(self) -> bool {
        self.first
    }

    /// Whether the person's password was right here before.
    pub fn is_at_home(self) -> bool {
        self.at_home
    }
}

impl Throttle {
    /// Nothing counted yet.
    pub fn new(bounds: config::Throttle) -> Self {
        let hasher = RandomState::new();
        Throttle {
            bounds,
            hasher,
            people: HashMap::new(),
            sources: HashMap::new(),
            places: HashMap::new(),
            prompts: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// Asks for leave to try a password of `person` (unique id) who comes from `source`.
    ///
    /// # Errors
    /// [`Reason::ThrottledPerson`] or [`Reason::ThrottledSource`].
    pub fn admit(&mut self, person: &str, source: Option<IpAddr>, now: Instant) -> Result<Permit, Reason> {
        self.admit_at(person, source, source, now)
    }

    /// The same. `place` is `source`, or where there is none the address of an application's machine: failures do not count
    /// against it, as many people come from there, but it tells the person's usual ways in from others.
    ///
    /// # Errors
    /// As there.
    pub fn admit_at(
        &mut self,
        person: &str,
        source: Option<IpAddr>,
        place: Option<IpAddr>,
        now: Instant,
    ) -> Result<Permit, Reason> {
        let window = self.bounds.window;
        let key = self.hasher.hash_one(person);
        let fresh = Failures { failed: 0, under_way: 0, last: now, unknown: None, unheard: false };
        let old = |entry: &Failures| entry.under_way == 0 && now.saturating_duration_since(entry.last) >= window;
        make_room(&mut self.people, &old, |entry| entry.last);
        make_room(&mut self.sources, &old, |entry| entry.last);

        let (source, place) = (source.map(line), place.map(line));
        let step = self.step();
        if let Some(address) = source {
            let entry = self.sources.entry(address).or_insert(fresh);
            entry.forgive(now, step);
            entry.below(self.bounds.failures_per_source, Reason::ThrottledSource)?;
        }
        let most = self.guesses(key, place);
        let entry = self.people.entry(key).or_insert(fresh);
        entry.forget_old(now, window);
        entry.below(most, Reason::ThrottledPerson)?;
        entry.under_way += 1;
        let first = entry.failed == 0 && entry.under_way == 1;
        entry.unheard |= first;
        let places = self.places.get(&key);
        let at_home = places.zip(place).is_some_and(|(places, here)| places.iter().any(|(place, _)| *place == here));
        if let Some(entry) = source.and_then(|address| self.sources.get_mut(&address)) {
            entry.under_way += 1;
        }
        Ok(Permit { person: key, place, is_source: source.is_some(), first, at_home })
    }

    /// What [`Throttle::admit_at`] would say, counting nothing.
    ///
    /// # Errors
    /// As there.
    pub fn would_admit(
        &self,
        person: &str,
        source: Option<IpAddr>,
        place: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Reason> {
        let (key, source, place) = (self.hasher.hash_one(person), source.map(line), place.map(line));
        if let Some(mut entry) = source.and_then(|address| self.sources.get(&address).copied()) {
            entry.forgive(now, self.step());
            entry.below(self.bounds.failures_per_source, Reason::ThrottledSource)?;
        }
        if let Some(mut entry) = self.people.get(&key).copied() {
            entry.forget_old(now, self.bounds.window);
            entry.below(self.guesses(key, place), Reason::ThrottledPerson)?;
        }
        Ok(())
    }

    /// Whether there is a try of this person's that the nodes that count with this one have not counted.
    pub fn has_unheard(&self, person: &str) -> bool {
        self.people.get(&self.hasher.hash_one(person)).is_some_and(|entry| entry.unheard)
    }

    /// They have counted it, or there is nothing to count.
    pub fn heard(&mut self, person: &str) {
        if let Some(entry) = self.people.get_mut(&self.hasher.hash_one(person)) {
            entry.unheard = false;
        }
    }

    /// When the last failure of this person was counted, if any counts.
    pub fn last_failure(&self, person: &str) -> Option<Instant> {
        self.people.get(&self.hasher.hash_one(person)).filter(|entry| entry.failed > 0).map(|entry| entry.last)
    }

    /// Forgets the failures of this person that were counted before `before`, unless there is a later one.
    pub fn forgive(&mut self, person: &str, before: Instant) {
        if let Some(entry) = self.people.get_mut(&self.hasher.hash_one(person))
            && entry.last < before
        {
            (entry.failed, entry.unknown) = (0, None);
        }
    }

    /// How many guesses at this person may come from there.
    fn guesses(&self, person: u64, source: Option<IpAddr>) -> u32 {
        let most = self.bounds.failures_per_person;
        let is_stranger = self
            .places
            .get(&person)
            .is_some_and(|places| source.is_none_or(|source| places.iter().all(|(place, _)| *place != source)));
        if is_stranger { most.saturating_sub(1).max(1) } else { most }
    }

    /// The person's password was right there.
    fn remember(&mut self, person: u64, source: IpAddr, now: Instant) {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < REMEMBERED;
        let last = |places: &Vec<(IpAddr, Instant)>| places.last().map_or(now, |(_, at)| *at);
        make_room(&mut self.places, &|places| !recent(&last(places)), last);
        let places = self.places.entry(person).or_default();
        places.retain(|(place, at)| *place != source && recent(at));
        if places.len() >= PLACES {
            places.remove(0);
        }
        places.push((source, now));
    }

    /// The time in which an address earns one more try.
    fn step(&self) -> Duration {
        self.bounds.window / self.bounds.failures_per_source.max(1)
    }

    /// Says what became of a permitted guess. Whether it counts as a wrong one.
    pub fn settle(&mut self, permit: Permit, guess: Guess, now: Instant) -> bool {
        let step = self.step();
        let mut counts = false;
        if let (Guess::Right, Some(place)) = (guess, permit.place) {
            self.remember(permit.person, place, now);
        }
        if let Some(entry) = self.people.get_mut(&permit.person) {
            let before = entry.failed;
            entry.settle(guess, now);
            counts = entry.failed > before;
            if entry.failed == 0 && entry.under_way == 0 {
                self.people.remove(&permit.person);
            }
        }
        if let Some(address) = permit.place.filter(|_| permit.is_source)
            && let Some(entry) = self.sources.get_mut(&address)
        {
            entry.forgive(now, step);
            let last = entry.last;
            // A right password of one person says nothing of the guesses at others; and an outage must not shut out an
            // office whose people have all tried in the meantime.
            entry.settle(if guess == Guess::Wrong { guess } else { Guess::Uncounted }, now);
            entry.last = last;
            if entry.failed == 0 && entry.under_way == 0 {
                self.sources.remove(&address);
            }
        }
        counts
    }

    /// Asks for leave to prompt `person`, and counts the prompt.
    ///
    /// # Errors
    /// [`Reason::PromptLimited`].
    pub fn prompt(&mut self, person: &str, now: Instant) -> Result<(), Reason> {
        let bounds = self.bounds;
        self.prompts_of(person, now).one_more(&bounds, now)
    }

    /// Asks for leave to look at a code that `person` typed, and counts that. No quiet after prompts holds a code.
    ///
    /// # Errors
    /// [`Reason::PromptLimited`].
    pub fn code(&mut self, person: &str, now: Instant) -> Result<(), Reason> {
        let bounds = self.bounds;
        self.prompts_of(person, now).one_more_code(&bounds, now)
    }

    /// The prompt that [`Throttle::prompt`] has counted never left, as its provider is away: an outage bothers nobody, and
    /// must shut nobody out once it is over.
    pub fn not_sent(&mut self, person: &str) {
        if let Some(entry) = self.prompts.get_mut(&self.hasher.hash_one(person)) {
            entry.not_sent();
        }
    }

    fn prompts_of(&mut self, person: &str, now: Instant) -> &mut Prompts {
        let bounds = self.bounds;
        let key = self.hasher.hash_one(person);
        let old = |entry: &Prompts| entry.is_over(&bounds, now) && !entry.is_quiet(now);
        make_room(&mut self.prompts, &old, |entry| entry.since);
        self.prompts.entry(key).or_insert(Prompts::none(now))
    }

    /// What [`Throttle::prompt`] would say, or [`Throttle::code`] where one is typed, counting nothing.
    ///
    /// # Errors
    /// As there.
    pub fn would_prompt(&self, person: &str, is_code: bool, now: Instant) -> Result<(), Reason> {
        let entry = self.prompts.get(&self.hasher.hash_one(person)).cloned();
        entry.map_or(Ok(()), |mut entry| match is_code {
            true => entry.one_more_code(&self.bounds, now),
            false => entry.one_more(&self.bounds, now),
        })
    }

    /// The person said no: do not ask again at once.
    pub fn denied(&mut self, person: &str, now: Instant) {
        let first = self.bounds.denial_backoff;
        // There may be no entry: the person may have approved another prompt in the meantime.
        let entry = self.prompts.entry(self.hasher.hash_one(person)).or_insert(Prompts::none(now));
        let refusals = entry.refusals();
        refusals.quiet_until = now.checked_add(pause(first, refusals.denials));
        refusals.denials = refusals.denials.saturating_add(1);
        refusals.unanswered = 0;
    }

    /// The person said no, or typed a wrong code. True when that was once too often: they are to be locked out, and
    /// the count begins anew.
    pub fn refused(&mut self, person: &str, now: Instant) -> bool {
        let Some(lockout) = self.bounds.lockout else { return false };
        let old = |(_, last): &(u32, Instant)| now.saturating_duration_since(*last) >= lockout.reset;
        make_room(&mut self.refused, &old, |(_, last)| *last);
        let key = self.hasher.hash_one(person);
        let entry = self.refused.entry(key).or_insert((0, now));
        if old(entry) {
            entry.0 = 0;
        }
        *entry = (entry.0.saturating_add(1), now);
        let is_over = entry.0 >= lockout.after;
        if is_over {
            self.refused.remove(&key);
        }
        is_over
    }

    /// Nobody answered the person's prompt, or nobody waits for its answer any more: from the second one in a
    /// row on, do not ask again at once.
    pub fn unanswered(&mut self, person: &str, now: Instant) {
        let first = self.bounds.denial_backoff;
        let entry = self.prompts.entry(self.hasher.hash_one(person)).or_insert(Prompts::none(now));
        let refusals = entry.refusals();
        if let Some(further) = refusals.unanswered.checked_sub(UNANSWERED) {
            refusals.patient_until = now.checked_add(pause(first, further));
        }
        refusals.unanswered = refusals.unanswered.saturating_add(1);
    }

    /// The person reported fraud: as [`Throttle::denied`], and whatever else is open is not theirs either.
    pub fn fraud(&mut self, person: &str, now: Instant) {
        self.denied(person, now);
        if let Some(entry) = self.prompts.get_mut(&self.hasher.hash_one(person)) {
            entry.refusals().fraud = Some(now);
        }
    }

    /// The person approved the prompt of a sign-in that began at `began`: what was counted against them is
    /// forgotten, but not a denial of another prompt just now. False when they have reported fraud since: the
    /// approval does not count.
    pub fn approved(&mut self, person: &str, began: Instant, now: Instant) -> bool {
        let key = self.hasher.hash_one(person);
        self.refused.remove(&key);
        let Some(entry) = self.prompts.get_mut(&key) else { return true };
        if entry.fraud().is_some_and(|fraud| began <= fraud) {
            return false;
        }
        entry.approved();
        if entry.fraud().is_none() && !entry.is_quiet(now) {
            self.prompts.remove(&key);
        }
        true
    }
}

/// How long nobody is asked after so many earlier reasons not to ask.
fn pause(first: Duration, earlier: u32) -> Duration {
    first.saturating_mul(1_u32 << earlier.min(DOUBLINGS))
}

/// What failures from an address are counted under: an IPv4 address, or the 64 bits of network that one
/// IPv6 line has, as whoever has one can take any address of it.
fn line(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
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
    // Freed in one go, so that a full table costs one scan in every thousand entries, not one each.
    let over = table.len().saturating_sub(ENTRIES - ENTRIES / 64);
    if over > 0 {
        let mut ages: Vec<(Instant, K)> = table.iter().map(|(key, entry)| (age(entry), *key)).collect();
        ages.sort_unstable_by_key(|(age, _)| *age);
        for (_, key) in ages.into_iter().take(over) {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
