//! What happened to whom a moment ago: a code went out, the sign-in ended because it could not be typed then, and the
//! next one brings it; a code was wrong. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a code that was sent is waited for.
pub const REMEMBERED: Duration = Duration::from_secs(300);

/// People remembered at most; the oldest is forgotten first.
const MOST: usize = 100_000;

/// By unique id: what the provider needs to check the code that was sent.
pub type Sent<T> = Recent<T>;

/// By unique id: something that is remembered for a while after it was noted last.
#[derive(Debug)]
pub struct Recent<T> {
    lasts: Duration,
    people: HashMap<Box<str>, (Instant, T)>,
    order: VecDeque<(Instant, Box<str>)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent::lasting(REMEMBERED)
    }
}

impl<T> Recent<T> {
    /// Remembers each for that long.
    pub fn lasting(lasts: Duration) -> Self {
        Recent { lasts, people: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Clone> Recent<T> {
    /// Remembers something of a person, in place of what was before.
    pub fn remember(&mut self, unique_id: &str, what: T, now: Instant) {
        while self.order.len() >= MOST || self.order.front().is_some_and(|(at, _)| *at + self.lasts <= now) {
            let Some((at, person)) = self.order.pop_front() else { break };
            if self.people.get(&person).is_some_and(|(latest, _)| *latest == at) {
                self.people.remove(&person);
            }
        }
        self.people.insert(unique_id.into(), (now, what));
        self.order.push_back((now, unique_id.into()));
    }

    /// What is remembered of a person, if that is not too long ago.
    pub fn look(&self, unique_id: &str, now: Instant) -> Option<T> {
        let (at, what) = self.people.get(unique_id)?;
        (now < *at + self.lasts).then(|| what.clone())
    }

    /// Forgets it: it was used.
    pub fn forget(&mut self, unique_id: &str) {
        self.people.remove(unique_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_remembered_for_a_while_and_used_once() {
        let (mut sent, now) = (Sent::<u8>::default(), Instant::now());
        sent.remember("a", 1, now);
        sent.remember("a", 2, now + Duration::from_secs(1));
        assert_eq!(sent.look("a", now + REMEMBERED), Some(2));
        assert_eq!(sent.look("a", now + REMEMBERED + Duration::from_secs(1)), None);
        sent.forget("a");
        assert_eq!(sent.look("a", now), None);
    }

    #[test]
    fn people_are_bounded() {
        let (mut sent, now) = (Sent::<()>::default(), Instant::now());
        for person in 0..=MOST {
            sent.remember(&person.to_string(), (), now);
        }
        assert!(sent.people.len() <= MOST && sent.order.len() <= MOST);
        sent.remember("late", (), now + REMEMBERED);
        assert_eq!((sent.people.len(), sent.order.len()), (1, 1));
    }
}
