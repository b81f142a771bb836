//! How many sign-ins may wait for directories at once. Pure: the time comes in as an argument.
//!
//! The configuration names a bound, which a rush of a moment may fill. Where sign-ins then wait for longer than their
//! clients do, most of what a directory still does is for people whose appliances have given up, so the bound comes down
//! to what it does in [`AIM`], and goes up again as soon as sign-ins wait for less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A sign-in that waited for longer says that too many wait. Clients ask again, or elsewhere, after three to five seconds.
const LONG: Duration = Duration::from_millis(1_500);

/// What the wait is brought to then, and how long is looked at to know how many a directory answers in it.
const AIM: Duration = Duration::from_secs(1);

/// A sign-in that waited for less says that more may wait.
const SHORT: Duration = Duration::from_millis(750);

/// So many may wait in any case that the configuration allows: a directory may be slow and yet serve many at once.
const LEAST: usize = 512;

/// The room before the directories.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    now: AtomicUsize,
    waiting: AtomicUsize,
    /// Taken by a door, and yet to enter.
    coming: AtomicUsize,
    start: Instant,
    /// Milliseconds after `start` since when those who were answered are counted, and how many they are.
    since: AtomicU64,
    answered: AtomicUsize,
}

/// A request that a door has taken, until it enters.
#[derive(Debug)]
pub struct Coming(Arc<Room>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Room {
    /// Empty, for `most` at once.
    pub(super) fn new(most: usize, start: Instant) -> Arc<Room> {
        let (waiting, coming, since, answered) = Default::default();
        Arc::new(Room { most, now: AtomicUsize::new(most), waiting, coming, start, since, answered })
    }

    /// Counts a request that is about to enter, until what this gives is dropped. A door takes many requests before the
    /// first of them enters: those it has no room for cost the least where they are not begun at all.
    pub(super) fn coming(self: &Arc<Self>) -> Coming {
        self.coming.fetch_add(1, Ordering::AcqRel);
        Coming(Arc::clone(self))
    }

    /// Whether nobody else may wait, or will not as soon as those that are coming have entered.
    pub(super) fn is_full(&self) -> bool {
        let coming = self.coming.load(Ordering::Acquire);
        self.waiting.load(Ordering::Acquire).saturating_add(coming) >= self.now.load(Ordering::Relaxed)
    }

    /// One more waits, who must [`Room::leave`] whatever comes of it. Whether there was room.
    pub(super) fn enter(&self) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel) < self.now.load(Ordering::Relaxed)
    }

    /// One waits no more. `waited`: since when the directory has had it, where that tells how busy it is.
    pub(super) fn leave(&self, waited: Option<Duration>, now: Instant) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let Some(waited) = waited else { return };
        let answered = self.answered_in_time(now);
        if let Some(answered) = answered.filter(|_| waited > LONG) {
            self.narrow(answered, waited);
        } else if waited < SHORT {
            self.widen();
        }
    }

    /// Counts one that was answered. How many were in [`AIM`], to the one whose answer ends such a time.
    fn answered_in_time(&self, now: Instant) -> Option<usize> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let at = milliseconds(now.saturating_duration_since(self.start));
        let so_far = self.answered.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let since = self.since.load(Ordering::Relaxed);
        let counted = at.checked_sub(since).filter(|counted| *counted >= milliseconds(AIM))?;
        self.since.compare_exchange(since, at, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.answered.store(0, Ordering::Relaxed);
        let in_time = u64::try_from(so_far).unwrap_or(u64::MAX).saturating_mul(milliseconds(AIM)) / counted.max(1);
        usize::try_from(in_time).ok()
    }

    fn narrow(&self, answered: usize, waited: Duration) {
        let aim = answered.max(LEAST);
        let before = self.now.fetch_min(aim, Ordering::Relaxed);
        // Not each time that it is some fewer.
        if aim < before - before / 4 {
            tracing::warn!(
                waited_seconds = waited.as_secs_f32(),
                room = aim,
                "sign-ins wait long for a directory; until it is quicker, fewer are taken at once"
            );
        }
    }

    fn widen(&self) {
        let wider = |now: usize| (now < self.most).then(|| now.saturating_add(1 + now / 64).min(self.most));
        // Who comes in between has widened it as well.
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const MOST: usize = 16_384;

    /// A directory that serves one after the other, `per_second`, while `offered` come each second: when each of those who
    /// were let in came and was served, in milliseconds.
    fn served(room: &Arc<Room>, start: Instant, per_second: u64, offered: u64, seconds: u64) -> Vec<(u64, u64)> {
        let (mut queue, mut done) = (VecDeque::new(), Vec::new());
        for millisecond in 0..seconds * 1_000 {
            for _ in 0..offered * (millisecond + 1) / 1_000 - offered * millisecond / 1_000 {
                if !room.is_full() {
                    assert!(room.enter());
                    queue.push_back(millisecond);
                }
            }
            for _ in 0..per_second * (millisecond + 1) / 1_000 - per_second * millisecond / 1_000 {
                let Some(came) = queue.pop_front() else { break };
                let waited = Duration::from_millis(millisecond - came);
                room.leave(Some(waited), start + Duration::from_millis(millisecond));
                done.push((came, millisecond));
            }
        }
        (0..queue.len()).for_each(|_| room.leave(None, start));
        done
    }

    #[test]
    fn whoever_is_let_in_under_overload_is_served_before_their_client_gives_up_and_the_directory_is_kept_busy() {
        for (per_second, factor) in [(500, 2), (500, 10), (3_000, 2), (3_000, 4), (8_000, 2)] {
            let start = Instant::now();
            let room = Room::new(MOST, start);
            let done = served(&room, start, per_second, per_second * factor, 60);
            let settled = done.iter().filter(|(came, _)| *came >= 40_000).map(|(came, end)| end - came);
            let longest = settled.max().unwrap();
            assert!(longest <= 2_500, "{per_second} a second, {factor} times that: {longest} ms");
            let most = usize::try_from(per_second * 60).unwrap();
            assert!(done.len() >= most - most / 50, "{per_second}, {factor}: only {} of {most}", done.len());
        }
    }

    #[test]
    fn a_rush_of_a_moment_is_let_in_and_an_overload_is_forgotten() {
        let start = Instant::now();
        let room = Room::new(MOST, start);
        let all = |room: &Arc<Room>| {
            let taken = (0..MOST + 100).take_while(|_| !room.is_full() && room.enter()).count();
            (0..taken).for_each(|_| room.leave(None, start));
            taken
        };
        assert_eq!(all(&room), MOST);
        served(&room, start, 500, 5_000, 30);
        assert!(all(&room) < 1_000, "{}", all(&room));
        // As many quick ones as an hour brings at night.
        for _ in 0..300 {
            room.enter();
            room.leave(Some(Duration::from_millis(20)), start + Duration::from_secs(60));
        }
        assert_eq!(all(&room), MOST);
    }

    #[test]
    fn a_slow_directory_that_serves_many_at_once_is_asked_by_many_and_a_small_bound_is_kept() {
        let start = Instant::now();
        for (most, least) in [(MOST, LEAST), (40, 40)] {
            let room = Room::new(most, start);
            for second in 0..100 {
                assert!(room.enter());
                room.leave(Some(Duration::from_secs(5)), start + Duration::from_secs(second));
            }
            let taken = (0..MOST).take_while(|_| !room.is_full() && room.enter()).count();
            assert_eq!(taken, least);
        }
    }

    #[test]
    fn what_is_coming_has_its_place() {
        let room = Room::new(2, Instant::now());
        let coming = [room.coming(), room.coming()];
        assert!(room.is_full());
        drop(coming);
        assert!(!room.is_full());
        assert!(room.enter() && room.enter() && !room.enter());
    }
}
