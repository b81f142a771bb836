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

mod failures;

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

#[derive(Debug, Clone, Copy)]
struct Prompts {
    sent: u32,
    since: Instant,
    denials: u32,
    /// Prompts in a row that nobody answered.
    unanswered: u32,
    /// Quiet since a denial, until then.
    quiet_until: Option<Instant>,
    /// Quiet since prompts that nobody answered, until then.
    patient_until: Option<Instant>,
    /// When they last reported fraud.
    fraud: Option<Instant>,
}

impl Prompts {
    fn none(now: Instant) -> Self {
        Prompts { sent: 0, since: now, denials: 0, unanswered: 0, quiet_until: None, patient_until: None, fraud: None }
    }

    fn is_over(&self, bounds: &config::Throttle, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= bounds.prompt_window
    }

    /// Counts a prompt, if there may be one.
    fn one_more(&mut self, bounds: &config::Throttle, now: Instant) -> Result<(), Reason> {
        if self.is_quiet(now) {
            return Err(Reason::PromptLimited);
        }
        if self.is_over(bounds, now) {
            *self = Prompts { fraud: self.fraud, ..Prompts::none(now) };
        }
        if self.sent >= bounds.prompts_per_person {
            return Err(Reason::PromptLimited);
        }
        self.sent += 1;
        Ok(())
    }

    fn is_quiet(&self, now: Instant) -> bool {
        [self.quiet_until, self.patient_until].into_iter().flatten().any(|until| now < until)
    }
}

/// Leave to ask the directory once. To be settled with what it said.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Permit {
    person: u64,
    source: Option<IpAddr>,
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
        let window = self.bounds.window;
        let key = self.hasher.hash_one(person);
        let fresh = Failures { failed: 0, under_way: 0, last: now, unknown: None, unheard: false };
        let old = |entry: &Failures| entry.under_way == 0 && now.saturating_duration_since(entry.last) >= window;
        make_room(&mut self.people, &old, |entry| entry.last);
        make_room(&mut self.sources, &old, |entry| entry.last);

        let source = source.map(line);
        let step = self.step();
        if let Some(address) = source {
            let entry = self.sources.entry(address).or_insert(fresh);
            entry.forgive(now, step);
            entry.below(self.bounds.failures_per_source, Reason::ThrottledSource)?;
        }
        let most = self.guesses(key, source);
        let entry = self.people.entry(key).or_insert(fresh);
        entry.forget_old(now, window);
        entry.below(most, Reason::ThrottledPerson)?;
        entry.under_way += 1;
        let first = entry.failed == 0 && entry.under_way == 1;
        entry.unheard |= first;
        let places = self.places.get(&key);
        let at_home =
            places.zip(source).is_some_and(|(places, source)| places.iter().any(|(place, _)| *place == source));
        if let Some(entry) = source.and_then(|address| self.sources.get_mut(&address)) {
            entry.under_way += 1;
        }
        Ok(Permit { person: key, source, first, at_home })
    }

    /// What [`Throttle::admit`] would say, counting nothing.
    ///
    /// # Errors
    /// As there.
    pub fn would_admit(&self, person: &str, source: Option<IpAddr>, now: Instant) -> Result<(), Reason> {
        let (key, source) = (self.hasher.hash_one(person), source.map(line));
        if let Some(mut entry) = source.and_then(|address| self.sources.get(&address).copied()) {
            entry.forgive(now, self.step());
            entry.below(self.bounds.failures_per_source, Reason::ThrottledSource)?;
        }
        if let Some(mut entry) = self.people.get(&key).copied() {
            entry.forget_old(now, self.bounds.window);
            entry.below(self.guesses(key, source), Reason::ThrottledPerson)?;
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
        if let (Guess::Right, Some(source)) = (guess, permit.source) {
            self.remember(permit.person, source, now);
        }
        if let Some(entry) = self.people.get_mut(&permit.person) {
            let before = entry.failed;
            entry.settle(guess, now);
            counts = entry.failed > before;
            if entry.failed == 0 && entry.under_way == 0 {
                self.people.remove(&permit.person);
            }
        }
        if let Some(address) = permit.source
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
        let key = self.hasher.hash_one(person);
        let old = |entry: &Prompts| entry.is_over(&bounds, now) && !entry.is_quiet(now);
        make_room(&mut self.prompts, &old, |entry| entry.since);

        self.prompts.entry(key).or_insert(Prompts::none(now)).one_more(&bounds, now)
    }

    /// What [`Throttle::prompt`] would say, counting nothing.
    ///
    /// # Errors
    /// As there.
    pub fn would_prompt(&self, person: &str, now: Instant) -> Result<(), Reason> {
        let entry = self.prompts.get(&self.hasher.hash_one(person)).copied();
        entry.map_or(Ok(()), |mut entry| entry.one_more(&self.bounds, now))
    }

    /// The person said no: do not ask again at once.
    pub fn denied(&mut self, person: &str, now: Instant) {
        let first = self.bounds.denial_backoff;
        // There may be no entry: the person may have approved another prompt in the meantime.
        let entry = self.prompts.entry(self.hasher.hash_one(person)).or_insert(Prompts::none(now));
        entry.quiet_until = now.checked_add(pause(first, entry.denials));
        entry.denials = entry.denials.saturating_add(1);
        entry.unanswered = 0;
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
        if let Some(further) = entry.unanswered.checked_sub(UNANSWERED) {
            entry.patient_until = now.checked_add(pause(first, further));
        }
        entry.unanswered = entry.unanswered.saturating_add(1);
    }

    /// The person reported fraud: as [`Throttle::denied`], and whatever else is open is not theirs either.
    pub fn fraud(&mut self, person: &str, now: Instant) {
        self.denied(person, now);
        if let Some(entry) = self.prompts.get_mut(&self.hasher.hash_one(person)) {
            entry.fraud = Some(now);
        }
    }

    /// The person approved the prompt of a sign-in that began at `began`: what was counted against them is
    /// forgotten, but not a denial of another prompt just now. False when they have reported fraud since: the
    /// approval does not count.
    pub fn approved(&mut self, person: &str, began: Instant, now: Instant) -> bool {
        let key = self.hasher.hash_one(person);
        self.refused.remove(&key);
        let Some(entry) = self.prompts.get_mut(&key) else { return true };
        if entry.fraud.is_some_and(|fraud| began <= fraud) {
            return false;
        }
        (entry.sent, entry.unanswered, entry.patient_until) = (0, 0, None);
        if entry.fraud.is_none() && !entry.is_quiet(now) {
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
            lockout: None,
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
    fn who_guesses_elsewhere_leaves_the_last_try_to_the_person_at_their_own_place() {
        let (mut throttle, mut now) = (Throttle::new(bounds()), Instant::now());
        let [home, away] = ["198.51.100.7", "192.0.2.1"].map(|address| Some(address.parse().unwrap()));
        let right = |throttle: &mut Throttle, source, now| {
            let permit = throttle.admit("alice", source, now)?;
            throttle.settle(permit, Guess::Right, now);
            Ok::<_, Reason>(())
        };
        assert_eq!(right(&mut throttle, home, now), Ok(()));
        for guesser in [away, None] {
            // Guessing goes on and on; she comes in each time.
            for _ in 0..3 {
                let guessed = (0..10).filter(|_| fail(&mut throttle, "alice", guesser, now).is_ok()).count();
                assert_eq!(guessed, 2, "one below the bound");
                assert_eq!(right(&mut throttle, home, now), Ok(()));
                now += Duration::from_secs(60);
            }
        }
        let typos = (0..10).filter(|_| fail(&mut throttle, "alice", home, now).is_ok()).count();
        assert_eq!(typos, 3, "in all not more than the bound");
        assert_eq!(fail(&mut throttle, "alice", home, now + REMEMBERED), Ok(()));
        let guessed = (0..10).filter(|_| fail(&mut throttle, "bob", away, now + REMEMBERED).is_ok()).count();
        assert_eq!(guessed, 3, "nothing is kept for who has never been here");
    }

    #[test]
    fn a_person_has_a_few_places_and_the_table_of_them_stays_bounded() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..ENTRIES + 10 {
            throttle.remember(u64::try_from(number).unwrap(), address(number), now);
        }
        assert!(throttle.places.len() <= ENTRIES);
        for number in 0..PLACES * 2 {
            throttle.remember(7, address(number), now);
        }
        let places: Vec<IpAddr> = throttle.places[&7].iter().map(|(place, _)| *place).collect();
        assert_eq!(places, (PLACES..PLACES * 2).map(address).collect::<Vec<_>>(), "the latest");
    }

    #[test]
    fn an_unknown_answer_counts_once_for_each_password() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        let source = Some("192.0.2.1".parse().unwrap());
        let mut unknown = |person: &str, password| {
            let permit = throttle.admit(person, source, now)?;
            throttle.settle(permit, Guess::Unknown(password), now);
            Ok(())
        };
        for _ in 0..20 {
            assert_eq!(unknown("alice", 1), Ok(()), "the same password again and again");
        }
        for password in [1, 2, 3] {
            assert_eq!(unknown("bob", password), Ok(()));
        }
        assert_eq!(unknown("bob", 4), Err(Reason::ThrottledPerson), "guesses count guess by guess");
        for number in 0..20 {
            assert_eq!(unknown(&format!("person {number}"), 1), Ok(()), "an outage does not shut out an office");
        }
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
        assert!(throttle.approved("alice", third, third));
        assert_eq!(throttle.prompt("alice", third), Ok(()));
    }

    #[test]
    fn from_the_second_unanswered_prompt_in_a_row_on_nobody_is_asked_for_a_while() {
        let bounds = config::Throttle { prompts_per_person: 100, ..bounds() };
        let (mut throttle, mut now) = (Throttle::new(bounds), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(throttle.prompt("alice", now), Ok(()));
        throttle.unanswered("alice", now);
        for pause in [30, 60, 120].map(Duration::from_secs) {
            assert_eq!(throttle.prompt("alice", now), Ok(()));
            assert_eq!(throttle.prompt("bob", now), Ok(()), "bob is somebody else");
            throttle.unanswered("alice", now);
            assert_eq!(throttle.prompt("alice", now + pause - second), Err(Reason::PromptLimited), "{pause:?}");
            now += pause;
        }
        assert_eq!(throttle.prompt("alice", now), Ok(()));
        throttle.unanswered("alice", now);
        assert_eq!(throttle.prompt("alice", now), Err(Reason::PromptLimited));
        assert!(throttle.approved("alice", now, now), "another prompt, that was open at the same time");
        for _ in 0..2 {
            assert_eq!(throttle.prompt("alice", now), Ok(()), "an approval clears it");
            throttle.unanswered("alice", now);
        }
        assert_eq!(throttle.prompt("alice", now + second), Err(Reason::PromptLimited));
    }

    #[test]
    fn an_answer_between_them_ends_the_row_of_unanswered_prompts() {
        let (mut throttle, mut now) = (Throttle::new(bounds()), Instant::now());
        throttle.unanswered("alice", now);
        throttle.denied("alice", now);
        now += Duration::from_secs(30);
        throttle.unanswered("alice", now);
        assert_eq!(throttle.prompt("alice", now), Ok(()));
    }

    #[test]
    fn an_unanswered_prompt_does_not_shorten_the_pause_after_a_denial() {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        throttle.denied("alice", now);
        throttle.denied("alice", now);
        throttle.unanswered("alice", now);
        throttle.unanswered("alice", now);
        assert_eq!(throttle.prompt("alice", now + Duration::from_secs(59)), Err(Reason::PromptLimited));
        assert_eq!(throttle.prompt("alice", now + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn a_denial_counts_although_another_prompt_was_approved_at_the_same_time() {
        for approved_first in [true, false] {
            let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
            assert_eq!([throttle.prompt("alice", now), throttle.prompt("alice", now)], [Ok(()), Ok(())]);
            if approved_first {
                assert!(throttle.approved("alice", now, now));
                throttle.denied("alice", now);
            } else {
                throttle.denied("alice", now);
                assert!(throttle.approved("alice", now, now));
            }
            let soon = now + Duration::from_secs(29);
            assert_eq!(throttle.prompt("alice", soon), Err(Reason::PromptLimited), "{approved_first}");
        }
    }

    #[test]
    fn too_many_refusals_in_a_row_lock_out_once_and_time_or_an_approval_forgets_them() {
        let minute = Duration::from_secs(60);
        let lockout = Some(config::Lockout { after: 3, reset: 10 * minute, release: minute });
        let (mut throttle, now) = (Throttle::new(config::Throttle { lockout, ..bounds() }), Instant::now());
        let mut refused = |person, minutes: u32| throttle.refused(person, now + minute * minutes);
        assert_eq!(
            [refused("alice", 0), refused("alice", 9), refused("bob", 9), refused("alice", 18)],
            [false, false, false, true]
        );
        assert_eq!([refused("alice", 18), refused("alice", 19)], [false, false], "it begins anew");
        assert_eq!([refused("alice", 29), refused("alice", 30)], [false, false], "ten minutes have passed");
        assert!(throttle.approved("alice", now, now + minute * 31));
        assert!(!throttle.refused("alice", now + minute * 31) && !throttle.refused("alice", now + minute * 32));
        let mut never = Throttle::new(bounds());
        assert!((0..1000).all(|_| !never.refused("alice", now)));
    }

    #[test]
    fn no_approval_of_what_was_open_counts_after_a_fraud_report() {
        let (mut throttle, began) = (Throttle::new(bounds()), Instant::now());
        assert_eq!([throttle.prompt("alice", began), throttle.prompt("alice", began)], [Ok(()), Ok(())]);
        throttle.fraud("alice", began + Duration::from_secs(5));
        assert!(!throttle.approved("alice", began, began + Duration::from_secs(6)));
        let later = began + Duration::from_secs(700);
        assert_eq!(throttle.prompt("alice", later), Ok(()), "an admin has unblocked her");
        assert!(!throttle.approved("alice", began, later), "not even now");
        assert!(throttle.approved("alice", later, later));
    }

    #[test]
    fn an_ipv6_line_is_one_source_and_a_mapped_address_is_the_ipv4_one() {
        for addresses in [["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"], ["192.0.2.1", "::ffff:192.0.2.1"]] {
            let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
            let [one, other] = addresses.map(|address| Some(address.parse().unwrap()));
            for person in ["a", "b", "c", "d", "e"] {
                assert_eq!(fail(&mut throttle, person, one, now), Ok(()));
            }
            assert_eq!(fail(&mut throttle, "f", other, now), Err(Reason::ThrottledSource));
            let elsewhere = Some("2001:db8:0:2::1".parse().unwrap());
            assert_eq!(fail(&mut throttle, "f", elsewhere, now), Ok(()));
        }
    }

    #[test]
    fn an_address_with_a_few_failures_an_hour_is_never_shut_out_and_a_guesser_earns_try_by_try() {
        let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
        let source = Some("192.0.2.1".parse().unwrap());
        for number in 0..100_u32 {
            let now = start + Duration::from_secs(13) * number;
            assert_eq!(fail(&mut throttle, &number.to_string(), source, now), Ok(()), "{number}");
        }
        let now = start + Duration::from_secs(2000);
        let tries = |throttle: &mut Throttle, now| {
            (0..20).filter(|number: &u32| fail(throttle, &format!("{number}"), source, now).is_ok()).count()
        };
        assert_eq!(tries(&mut throttle, now), 5);
        assert_eq!(tries(&mut throttle, now + Duration::from_secs(11)), 0);
        assert_eq!(tries(&mut throttle, now + Duration::from_secs(12)), 1);
    }

    #[test]
    fn a_full_table_stays_bounded() {
        let minute = Duration::from_secs(60);
        let lockout = Some(config::Lockout { after: 3, reset: minute, release: minute });
        let (mut throttle, now) = (Throttle::new(config::Throttle { lockout, ..bounds() }), Instant::now());
        for number in 0..(ENTRIES + 10) {
            let person = number.to_string();
            let at = now + Duration::from_micros(u64::try_from(number).unwrap());
            assert_eq!(fail(&mut throttle, &person, None, at), Ok(()));
            assert_eq!(throttle.prompt(&person, at), Ok(()));
            assert!(!throttle.refused(&person, at));
        }
        assert!(throttle.people.len() <= ENTRIES && throttle.prompts.len() <= ENTRIES);
        assert!(throttle.refused.len() <= ENTRIES);
    }
}
