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

use crate::users::model::Person;

/// How old the last look at the number may be before one caller looks again.
pub const CHECK_AFTER: Duration = Duration::from_millis(250);

/// How old the last look may be before the memory is not used at all.
pub const STALE_AFTER: Duration = Duration::from_millis(750);

/// People in each of the two halves. Full, the younger becomes the older and the older is dropped, so that
/// at most 16,384 people (about 12 MB) are remembered and those in use stay.
const HALF: usize = 8_192;

/// What the cache can say.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// The person, or that nobody has that unique id.
    Known(Option<Arc<Person>>),
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

type Half = HashMap<Box<str>, Option<Arc<Person>>>;

#[derive(Debug, Default)]
struct Inner {
    young: Half,
    old: Half,
    generation: u64,
    version: Option<i64>,
    /// When the last successful look at the number began.
    checked: Option<Instant>,
    /// When somebody was last told to look.
    asked: Option<Instant>,
}

impl PeopleCache {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves a usable state behind, so a panic elsewhere does not make it wrong.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `unique_id` at `now`. Never answers [`Look::Check`] to one who has just checked.
    pub fn look(&self, unique_id: &str, now: Instant, has_checked: bool) -> Look {
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
            && let Some(known) = inner.find(unique_id)
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
        inner.generation = inner.generation.wrapping_add(1);
        let gone = (std::mem::take(&mut inner.young), std::mem::take(&mut inner.old));
        drop(inner);
        drop(gone);
        true
    }

    /// Keeps what was read, unless something changed since `generation`.
    pub fn keep(&self, unique_id: &str, person: Option<Arc<Person>>, generation: u64) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        let gone = inner.insert(unique_id.into(), person);
        drop(inner);
        drop(gone);
    }

    /// Forgets a person that this process has changed.
    pub fn forget(&self, unique_id: &str) {
        let mut inner = self.lock();
        inner.generation = inner.generation.wrapping_add(1);
        inner.young.remove(unique_id);
        inner.old.remove(unique_id);
    }

    /// How many people are remembered.
    pub fn len(&self) -> usize {
        let inner = self.lock();
        inner.young.len() + inner.old.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn find(&mut self, unique_id: &str) -> Option<Option<Arc<Person>>> {
        if let Some(known) = self.young.get(unique_id) {
            return Some(known.clone());
        }
        let (key, known) = self.old.remove_entry(unique_id)?;
        drop(self.insert(key, known.clone()));
        Some(known)
    }

    /// Inserts and returns what fell out, to be dropped without the lock.
    fn insert(&mut self, key: Box<str>, person: Option<Arc<Person>>) -> Half {
        let gone = if self.young.len() >= HALF {
            std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
        } else {
            Half::new()
        };
        self.old.remove(&key);
        self.young.insert(key, person);
        gone
    }
}

#[cfg(test)]
mod tests;
