//! How often states are asked for where a service does not call: often while few prompts are open, more seldom the
//! more there are, not at all while the service wants to hear nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The pace of one provider.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    per_second: u32,
    open: AtomicUsize,
    /// Counts the turns, so that they spread.
    turns: AtomicUsize,
    quiet: Mutex<Option<Instant>>,
}

/// One open prompt.
#[derive(Debug)]
pub struct Open<'a>(&'a Pace);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pace {
    /// Each prompt's state is asked for every `interval`, but all together at most `per_second` times a second.
    pub fn new(interval: Duration, per_second: u32) -> Self {
        let (open, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Pace { interval, per_second: per_second.max(1), open, turns, quiet: Mutex::new(None) }
    }

    /// Counts a prompt as long as the value lives.
    pub fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// How many prompts are open.
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Nobody asks before `until`.
    pub fn quiet_until(&self, until: Instant) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(until).max(*quiet);
    }

    /// The pause between two questions about one prompt.
    pub fn interval(&self) -> Duration {
        let open = u32::try_from(self.count()).unwrap_or(u32::MAX);
        self.interval.max(Duration::from_secs(1).saturating_mul(open) / self.per_second)
    }

    /// Waits until it is this prompt's turn.
    pub async fn turn(&self) {
        let interval = self.interval();
        tokio::time::sleep(interval).await;
        while let Some(until) = self.is_quiet() {
            // They do not all come at the same moment when the silence is over.
            tokio::time::sleep_until(until + self.spread(interval)).await;
        }
    }

    fn is_quiet(&self) -> Option<Instant> {
        let quiet = *self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.filter(|until| Instant::now() < *until)
    }

    /// A part of `interval`, another one at each call: multiples of the golden section spread evenly.
    fn spread(&self, interval: Duration) -> Duration {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let part = u32::try_from(turn.wrapping_mul(40_503) % 65_536).unwrap_or(0);
        interval.saturating_mul(part) / 65_536
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_are_open_the_more_seldom_each_is_asked_for() {
        let pace = Pace::new(Duration::from_secs(2), 100);
        assert_eq!(pace.interval(), Duration::from_secs(2));
        let open: Vec<_> = (0..1000).map(|_| pace.open()).collect();
        assert_eq!((pace.count(), pace.interval()), (1000, Duration::from_secs(10)));
        drop(open);
        assert_eq!((pace.count(), pace.interval()), (0, Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_while_the_service_wants_quiet() {
        let pace = Pace::new(Duration::from_secs(1), 100);
        let begun = Instant::now();
        pace.turn().await;
        assert_eq!(begun.elapsed().as_secs(), 1);
        pace.quiet_until(begun + Duration::from_secs(30));
        pace.quiet_until(begun + Duration::from_secs(10));
        let ends = futures_util::future::join_all((0..50).map(|_| async {
            pace.turn().await;
            begun.elapsed()
        }));
        let ends = ends.await;
        assert!(ends.iter().all(|end| (30..=31).contains(&end.as_secs())), "{ends:?}");
        let different: std::collections::BTreeSet<u128> = ends.iter().map(Duration::as_millis).collect();
        assert!(different.len() > 40, "they come at once: {different:?}");
    }
}
