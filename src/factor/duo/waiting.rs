//! How a hold hears of its answer: by questions that the service answers when there is news.
//!
//! ```text
//! few prompts:  each has a question under way, all the time          (places enough)
//! many prompts: each gets a place for a moment, in turns             (room is wanted)
//! ```
//!
//! Such a question takes a stream of an HTTP/2 connection as long as it waits, or a whole connection of HTTP/1.1.
//! Services allow some hundred streams; with one more nothing gets through on that connection, new prompts included.
//! So questions have connections of their own, and a number of places on each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::config::Outbound;
use crate::factor::http::Http;

/// Connections with HTTP/2.
const LANES: usize = 4;

/// Questions on each: as many as every service must allow (RFC 9113 section 6.5.2).
const PLACES: usize = 100;

/// How patient the questions are. The default is right outside tests.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Longest wait of one question: the service answers sooner.
    pub longest: Duration,
    /// Time of a place while others wait for one. It is long enough for an answer that is there already.
    pub moment: Duration,
    /// Pause between two questions about one prompt; it grows with trouble.
    pub pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { longest: Duration::from_secs(70), moment: Duration::from_secs(1), pause: Duration::from_millis(200) }
    }
}

/// The connections of the questions.
#[derive(Debug)]
pub(super) struct Lanes {
    outbound: Outbound,
    lanes: [Lane; LANES],
    /// Prompts that are waited for.
    open: AtomicUsize,
    turn: AtomicUsize,
    /// Told when places become scarce.
    scarce: Notify,
    moment: Duration,
}

#[derive(Debug)]
struct Lane {
    /// Built when it is needed; none where that failed.
    http: OnceLock<Option<Http>>,
    places: Semaphore,
}

/// An open prompt.
#[derive(Debug)]
pub(super) struct Open<'a>(&'a Lanes);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    pub(super) fn new(outbound: &Outbound, moment: Duration) -> Self {
        let lane = |_| Lane { http: OnceLock::new(), places: Semaphore::new(PLACES) };
        let (open, turn, scarce) = (AtomicUsize::new(0), AtomicUsize::new(0), Notify::new());
        Lanes { outbound: outbound.clone(), lanes: std::array::from_fn(lane), open, turn, scarce, moment }
    }

    /// Counts a prompt as long as the value lives.
    pub(super) fn open(&self) -> Open<'_> {
        if self.open.fetch_add(1, Ordering::Relaxed) + 1 > LANES * PLACES {
            self.scarce.notify_waiters();
        }
        Open(self)
    }

    /// A place for a question, as soon as there is one: on a connection that is in use, where one has room.
    /// `None` only when the lanes are gone.
    pub(super) async fn place<'a>(&'a self, main: &'a Http) -> Option<(&'a Http, SemaphorePermit<'a>)> {
        let free = self.lanes.iter().find_map(|lane| Some((lane, lane.places.try_acquire().ok()?)));
        let (lane, place) = match free {
            Some(found) => found,
            None => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % LANES;
                let lane = self.lanes.get(turn)?;
                (lane, lane.places.acquire().await.ok()?)
            }
        };
        let http = lane.http.get_or_init(|| main.beside(&self.outbound).ok());
        Some((http.as_ref().unwrap_or(main), place))
    }

    /// Ready when a place was held for a moment and others wait for it.
    pub(super) async fn room_is_wanted(&self) {
        loop {
            let scarce = self.scarce.notified();
            if self.open.load(Ordering::Relaxed) <= LANES * PLACES {
                scarce.await;
            }
            tokio::time::sleep(self.moment).await;
            if self.open.load(Ordering::Relaxed) > LANES * PLACES {
                return;
            }
        }
    }
}
