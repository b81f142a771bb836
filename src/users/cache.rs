//! A bounded memory of people that the sign-in path has read lately, so that a known person costs no trip
//! to the database. Pure: the time comes in as an argument.
//!
//! What is remembered is used only while it is known to be true:
//!
//! * A change made through this process is forgotten here before its caller hears of success.
//! * A change made by another process raises the number `people_version` in the same transaction. The
//!   number is looked at every [`CHECK_AFTER`]; a different one empties the memory. Nothing is served from
//!   memory when the last look began longer than [`STALE_AFTER`] ago.
//! * A row that was read before a change was noticed cannot enter after it: whoever reads one brings the
//!   generation they saw before reading, and an old generation is turned away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use packed::Packed;

use crate::users::model::Person;

mod packed;

/// How old the last look at the number may be before one caller looks again.
pub const CHECK_AFTER: Duration = Duration::from_millis(250);

/// How old the last look may be before the memory is not used at all.
pub const STALE_AFTER: Duration = Duration::from_millis(750);

/// People remembered at most. Packed, one takes about 450 octets: 8 MB when full.
const CAPACITY: usize = 16_384;

/// What the cache can say.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for a moment, and the large one is the usual one")]
pub enum Look {
    /// The person, or that nobody has that unique id.
    Known(Option<Person>),
    /// Look at `people_version` first, tell it to [`PeopleCache::checked`], and ask again.
    Check,
    /// Read the database and bring the answer to [`PeopleCache::keep`] with this generation.
    Read {
        /// The generation before the reading.
        generation: u64,
    },
}

/// The memory.
#[derive(Debug, Default)]
pub struct PeopleCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    /// Where in `slots` a unique id is.
    index: HashMap<Arc<str>, usize>,
    /// Whose a folded name is. Never more than [`CAPACITY`]; forgotten as a whole with any change to anybody.
    names: HashMap<Box<str>, Arc<str>>,
    /// Where the search for somebody to forget goes on.
    hand: usize,
    generation: u64,
    version: Option<i64>,
    /// When the last successful look at the number began.
    checked: Option<Instant>,
    /// When somebody was last told to look.
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    unique_id: Arc<str>,
    person: Option<Packed>,
    /// Whether it was asked for since the hand last passed.
    used: bool,
}

impl PeopleCache {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves a usable state behind, so a panic elsewhere does not make it wrong.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `unique_id` at `now`. Never answers [`Look::Check`] to one who has just checked.
    pub fn look(&self, unique_id: &str, now: Instant, has_checked: bool) -> Look {
        self.look_for(now, has_checked, |inner| {
            let slot = inner.find(unique_id)?;
            slot.used = true;
            Some(slot.person.as_ref().map(|packed| packed.unpacked(unique_id)))
        })
    }

    /// As [`PeopleCache::look`], for the person who claims a folded name. That nobody does is never known here.
    pub fn look_named(&self, folded: &str, now: Instant, has_checked: bool) -> Look {
        self.look_for(now, has_checked, |inner| {
            let unique_id = Arc::clone(inner.names.get(folded)?);
            let slot = inner.find(&unique_id)?;
            slot.used = true;
            slot.person.as_ref().map(|packed| Some(packed.unpacked(&unique_id)))
        })
    }

    fn look_for(
        &self,
        now: Instant,
        has_checked: bool,
        find: impl FnOnce(&mut Inner) -> Option<Option<Person>>,
    ) -> Look {
        let mut inner = self.lock();
        let older_than =
            |then: Option<Instant>, limit| then.is_none_or(|then| now.saturating_duration_since(then) >= limit);
        // One caller looks; the others go on with what is still fresh enough. A caller who was told to look
        // and was dropped before it did is replaced after the same time.
        if !has_checked && older_than(inner.checked, CHECK_AFTER) && older_than(inner.asked, CHECK_AFTER) {
            inner.asked = Some(now);
            return Look::Check;
        }
        if !older_than(inner.checked, STALE_AFTER)
            && let Some(known) = find(&mut inner)
        {
            return Look::Known(known);
        }
        Look::Read { generation: inner.generation }
    }

    /// Takes note of the number as it was at some time after `began`. `true` if it had changed.
    pub fn checked(&self, version: i64, began: Instant) -> bool {
        let mut inner = self.lock();
        if inner.checked.is_some_and(|checked| checked > began) {
            return false;
        }
        inner.checked = Some(began);
        if inner.version == Some(version) {
            return false;
        }
        inner.version = Some(version);
        Self::empty(inner);
        true
    }

    /// Forgets everybody: this process has changed many.
    pub fn forget_all(&self) {
        Self::empty(self.lock());
    }

    fn empty(mut inner: MutexGuard<'_, Inner>) {
        inner.generation = inner.generation.wrapping_add(1);
        inner.hand = 0;
        let inner_maps = (std::mem::take(&mut inner.index), std::mem::take(&mut inner.names));
        let gone = (std::mem::take(&mut inner.slots), inner_maps);
        // Thousands of small pieces are given back without the lock.
        drop(inner);
        drop(gone);
    }

    /// Keeps what was read, unless something changed since `generation`.
    pub fn keep(&self, unique_id: &str, person: Option<&Person>, generation: u64) {
        let packed = match person.map(Packed::of) {
            // Too big to be worth it: read from the database each time.
            Some(None) => return,
            Some(Some(packed)) => Some(packed),
            None => None,
        };
        let mut inner = self.lock();
        if inner.generation == generation {
            inner.insert(unique_id, packed);
        }
    }

    /// As [`PeopleCache::keep`], and that the person claims a folded name.
    pub fn keep_named(&self, folded: &str, person: &Person, generation: u64) {
        let Some(packed) = Packed::of(person) else { return };
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        inner.insert(&person.unique_id, Some(packed));
        if inner.names.len() >= CAPACITY {
            inner.names.clear();
        }
        if let Some(unique_id) = inner.index.get_key_value(person.unique_id.as_str()).map(|(key, _)| Arc::clone(key)) {
            inner.names.insert(folded.into(), unique_id);
        }
    }

    /// Forgets a person that this process has changed, and all names: some may be theirs now, or no more.
    pub fn forget(&self, unique_id: &str) {
        let mut inner = self.lock();
        inner.generation = inner.generation.wrapping_add(1);
        inner.names.clear();
        if let Some(position) = inner.index.remove(unique_id) {
            inner.slots.swap_remove(position);
            if let Some(moved) = inner.slots.get(position).map(|slot| Arc::clone(&slot.unique_id)) {
                inner.index.insert(moved, position);
            }
        }
    }

    /// How many people are remembered.
    pub fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn find(&mut self, unique_id: &str) -> Option<&mut Slot> {
        let position = *self.index.get(unique_id)?;
        self.slots.get_mut(position)
    }

    fn insert(&mut self, unique_id: &str, person: Option<Packed>) {
        if let Some(slot) = self.find(unique_id) {
            slot.person = person;
            return;
        }
        let unique_id: Arc<str> = unique_id.into();
        let slot = Slot { unique_id: Arc::clone(&unique_id), person, used: false };
        let position = if self.slots.len() < CAPACITY {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let position = self.next_unused();
            if let Some(old) = self.slots.get_mut(position) {
                self.index.remove(&old.unique_id);
                *old = slot;
            }
            position
        };
        self.index.insert(unique_id, position);
    }

    /// The next slot that nobody has asked for since the hand passed (the clock algorithm): one turn marks
    /// every slot unused, so it ends in the second.
    fn next_unused(&mut self) -> usize {
        loop {
            let position = self.hand;
            self.hand = (position + 1) % CAPACITY;
            match self.slots.get_mut(position) {
                Some(slot) if slot.used => slot.used = false,
                _ => return position,
            }
        }
    }
}

#[cfg(test)]
mod tests;
