//! Challenges: what is asked between two rounds of a sign-in, and the table of rounds that wait for their answer. Pure.
//!
//! ```text
//! first round ─ keep ─▶ State ─▶ client ─▶ person ─▶ client ─▶ State + answer ─ take ─▶ next round
//!                │                                               │ used, late, foreign: refused
//!                └──── nobody answers: expired ─▶ the sign-in's one audit event
//! ```
//!
//! A State (RFC 2865 section 5.24) is a random reference with a keyed tag over the reference and the client. It is
//! good once, through the client that it was given to, for the name that began, until the round's time is over.
//! What is altered is seen by the tag, in constant time, before any table is asked. It is written in letters and digits,
//! as there are clients that keep it as text, up to its first zero octet.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::radius::said::Said;
use crate::signin::attempt::SignInId;
use crate::signin::outcome::Reason;
use crate::signin::pending::HoldKey;
use crate::users::model::Method;

pub use typed::{Typed, read};

mod typed;

/// Octets of a State of ours: its version, and in hexadecimal its reference and tag.
pub const STATE: usize = 1 + 2 * (HALF + HALF);

/// Octets of a reference, and of a tag.
const HALF: usize = 16;

/// The first octet of a State of ours.
const VERSION: u8 = b'1';

/// The first octet of one whose round stays on the node that gave it out, while others go on with all else.
const STAYS: u8 = b'2';

/// Rounds of one sign-in, at most: whoever answers nothing again and again is not asked for ever.
pub const MOST_ROUNDS: u8 = 20;

/// What the client gets instead of an end: a text for the person and what brings their answer back here.
#[derive(Debug)]
pub struct Challenge {
    /// What the person reads: without control characters, empty where there is nothing to read.
    pub text: Box<str>,
    /// The State (RFC 2865 section 5.24).
    pub state: Box<[u8]>,
    /// Whether what they type is not to be shown while they type it.
    pub hidden: bool,
    /// A target's own, which asks for more by itself.
    pub relayed: Option<Box<Relayed>>,
}

/// A target's own challenge.
#[derive(Debug)]
pub struct Relayed {
    /// What it said.
    pub said: Box<Said>,
    /// Which of its servers asked: only that one knows its State.
    pub server: usize,
    /// How often it has asked, this time included.
    pub round: u8,
    /// When the first of its rounds began.
    pub began: Instant,
    /// Until when it may be answered.
    pub until: Instant,
}

/// What a round asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A typed code.
    Code {
        /// Of this provider, as it has sent one; none: of whichever takes codes.
        provider: Option<Box<str>>,
        /// The way by which it was sent; none: the person has it, or makes it.
        sent: Option<Method>,
    },
    /// One of these ways, by its number from 1 or its word.
    Menu(Box<[Method]>),
    /// Nothing but to go on, while a prompt is out.
    Prompt,
    /// The PIN.
    Pin,
    /// A new PIN.
    NewPin,
    /// The new PIN once more.
    RepeatPin,
    /// The code that follows the one before, of the same token.
    NextCode,
}

impl Ask {
    /// Whether what is typed is to be hidden while it is typed.
    pub fn is_hidden(&self) -> bool {
        matches!(self, Ask::Pin | Ask::NewPin | Ask::RepeatPin)
    }
}

/// What a round is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference([u8; HALF]);

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reference(..)")
    }
}

impl Reference {
    /// Its octets.
    pub fn octets(&self) -> &[u8; HALF] {
        &self.0
    }
}

/// Makes and judges States.
#[derive(Debug, Clone)]
pub struct States {
    /// Known to this process only: nobody else can tell a reference beforehand.
    references: Hmac<Sha256>,
    /// Known to all nodes that may get the next round.
    tags: Hmac<Sha256>,
}

impl States {
    /// `own`: random octets of this process. `shared`: random octets that all nodes which may get the next round
    /// have, or `own` once more.
    pub fn new(own: &[u8; 32], shared: &[u8; 32]) -> Self {
        States { references: keyed(own), tags: keyed(shared) }
    }

    /// The reference of this round of a sign-in.
    pub fn reference(&self, sign_in: SignInId, round: u8) -> Reference {
        let mut digest = self.references.clone();
        digest.update(b"reference");
        digest.update(sign_in.octets());
        digest.update(&[round]);
        Reference(half(digest))
    }

    /// The reference of this round of a sign-in with its target, which are counted by themselves.
    pub fn relayed(&self, sign_in: SignInId, round: u8) -> Reference {
        let mut digest = self.references.clone();
        digest.update(b"relayed");
        digest.update(sign_in.octets());
        digest.update(&[round]);
        Reference(half(digest))
    }

    /// The State of a round through this client; `stays`: no other node can go on with it.
    pub fn state(&self, reference: Reference, client: &str, stays: bool) -> Box<[u8]> {
        let version = if stays { STAYS } else { VERSION };
        let tag = half(self.tagged(version, reference, client));
        let digits = reference.0.iter().chain(&tag).flat_map(|octet| [octet >> 4, octet & 15]);
        std::iter::once(version).chain(digits.map(digit)).collect()
    }

    /// Which round a State is about, and whether that stays on its node. `None`: it is not one that was given to this
    /// client, or was altered.
    pub fn judge(&self, state: &[u8], client: &str) -> Option<(Reference, bool)> {
        let (version, rest) = state.split_first()?;
        let (reference, tag) = rest.split_first_chunk::<{ 2 * HALF }>()?;
        if !matches!(*version, VERSION | STAYS) || tag.len() != 2 * HALF {
            return None;
        }
        let (reference, tag) = (Reference(read_half(reference)?), read_half(tag)?);
        self.tagged(*version, reference, client)
            .verify_truncated_left(&tag)
            .ok()
            .map(|()| (reference, *version == STAYS))
    }

    fn tagged(&self, version: u8, reference: Reference, client: &str) -> Hmac<Sha256> {
        let mut digest = self.tags.clone();
        digest.update(b"state");
        digest.update(&[version]);
        digest.update(&reference.0);
        digest.update(client.as_bytes());
        digest
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key shorter than a block is padded with zeros (RFC 2104 section 2).
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    <Hmac<Sha256> as KeyInit>::new(&block.into())
}

/// A hexadecimal digit of a value up to 15, in the one way that a State has it.
fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// What [`digit`] has written.
fn read_half(digits: &[u8]) -> Option<[u8; HALF]> {
    let value = |octet: u8| (0..16).find(|value| digit(*value) == octet);
    let mut half = [0; HALF];
    for (to, pair) in half.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *to = value(*high)? << 4 | value(*low)?;
    }
    Some(half)
}

fn half(digest: Hmac<Sha256>) -> [u8; HALF] {
    let mut half = [0; HALF];
    half.iter_mut().zip(digest.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    half
}

/// Rounds that wait for their answer. `T` is what the sign-in keeps meanwhile, `S` what its client was told.
#[derive(Debug)]
pub struct Rounds<T, S> {
    open: HashMap<Reference, Open<T, S>>,
    /// The round that a request with the same key led to a moment ago.
    led_to: HashMap<HoldKey, Reference>,
    ends: BTreeSet<(Instant, Reference)>,
    per_person: HashMap<u64, usize>,
    most: usize,
    most_per_person: usize,
}

#[derive(Debug)]
struct Open<T, S> {
    kept: T,
    said: S,
    place: Place,
}

/// Where a round belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Stands for the person: their rounds are bounded.
    pub person: u64,
    /// Of the request that led to it.
    pub key: HoldKey,
    /// Until when the same request again gets the same challenge again.
    pub again: Instant,
    /// When it ends.
    pub until: Instant,
}

impl<T, S: Clone> Rounds<T, S> {
    /// An empty table for `most` rounds, `most_per_person` of each person.
    pub fn new(most: usize, most_per_person: usize) -> Self {
        Rounds {
            open: HashMap::new(),
            led_to: HashMap::new(),
            ends: BTreeSet::new(),
            per_person: HashMap::new(),
            most,
            most_per_person,
        }
    }

    /// Whether one more fits.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn has_room(&self, person: u64) -> Result<(), Reason> {
        if self.open.len() >= self.most {
            return Err(Reason::OverHeld);
        }
        if self.per_person.get(&person).is_some_and(|count| *count >= self.most_per_person) {
            return Err(Reason::OverHeldPerson);
        }
        Ok(())
    }

    /// Keeps a round that [`Rounds::has_room`] for. `said` is what its client was told.
    pub fn keep(&mut self, reference: Reference, kept: T, said: S, place: Place) {
        let before = self.remove(reference);
        debug_assert!(before.is_none(), "a reference is made once");
        *self.per_person.entry(place.person).or_default() += 1;
        self.ends.insert((place.until, reference));
        self.led_to.insert(place.key, reference);
        self.open.insert(reference, Open { kept, said, place });
    }

    /// What the same request was told a moment ago, if that round still waits.
    pub fn again(&self, key: HoldKey, now: Instant) -> Option<S> {
        let open = self.open.get(self.led_to.get(&key)?)?;
        (now < open.place.again && now < open.place.until).then(|| open.said.clone())
    }

    /// Which round a request with this key led to, if that still waits.
    pub fn leads_to(&self, key: HoldKey) -> Option<Reference> {
        self.led_to.get(&key).copied()
    }

    /// What a round that waits has kept.
    pub fn get(&self, reference: Reference) -> Option<&T> {
        self.open.get(&reference).map(|open| &open.kept)
    }

    /// Takes a round: it is gone afterwards, if it is `right`.
    ///
    /// # Errors
    /// [`Reason::StateUsed`] where it is not there, or its time is over; [`Reason::StateForeign`] where it is not
    /// `right`, and then it stays.
    pub fn take(&mut self, reference: Reference, now: Instant, right: impl FnOnce(&T) -> bool) -> Result<T, Reason> {
        let open = self.open.get(&reference).ok_or(Reason::StateUsed)?;
        if open.place.until <= now {
            return Err(Reason::StateUsed);
        }
        if !right(&open.kept) {
            return Err(Reason::StateForeign);
        }
        self.remove(reference).ok_or(Reason::StateUsed)
    }

    /// Whether a round waits.
    pub fn is_open(&self, reference: Reference) -> bool {
        self.open.contains_key(&reference)
    }

    /// Takes out a round that has ended, if there is one.
    pub fn expired(&mut self, now: Instant) -> Option<T> {
        let (until, reference) = *self.ends.first()?;
        if now < until {
            return None;
        }
        self.remove(reference)
    }

    /// When the first one ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Takes out every round.
    pub fn clear(&mut self) -> Vec<T> {
        self.led_to.clear();
        self.ends.clear();
        self.per_person.clear();
        self.open.drain().map(|(_, open)| open.kept).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes out a round, whatever it is.
    pub fn remove(&mut self, reference: Reference) -> Option<T> {
        let Open { kept, place, .. } = self.open.remove(&reference)?;
        self.ends.remove(&(place.until, reference));
        if self.led_to.get(&place.key) == Some(&reference) {
            self.led_to.remove(&place.key);
        }
        if let Some(count) = self.per_person.get_mut(&place.person) {
            *count -= 1;
            if *count == 0 {
                self.per_person.remove(&place.person);
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests;
