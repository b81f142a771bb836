//! Cancellations: a bounded queue and the task that sends them.
//!
//! A prompt whose id is not known (its request was still under way) is cancelled by its idempotency key;
//! the service remembers the key, so that the request, should it arrive later, prompts nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::Method;
use tokio::sync::{Notify, mpsc};

use crate::factor::native::Shared;
use crate::factor::native::wire::Key;
use crate::signin::attempt::SignInId;

/// Cancellations that may wait. What is over it is not sent; those prompts expire by themselves.
const QUEUE: usize = 131_072;

/// Cancellations under way at once.
const AT_ONCE: usize = 16;

/// Tries for each.
const ATTEMPTS: u32 = 3;

/// A prompt that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) key: SignInId,
    pub(super) id: Option<Box<str>>,
}

/// The sending side.
#[derive(Debug)]
pub(super) struct CancelQueue {
    sender: mpsc::Sender<Cancel>,
    /// Queued or under way.
    open: AtomicUsize,
    lost: AtomicU64,
    done: Notify,
}

impl CancelQueue {
    /// Both sides of a new queue.
    pub(super) fn new() -> (Self, mpsc::Receiver<Cancel>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (CancelQueue { sender, open: AtomicUsize::new(0), lost: AtomicU64::new(0), done: Notify::new() }, receiver)
    }

    /// Queues a cancellation; never waits.
    pub(super) fn push(&self, cancel: Cancel) {
        self.open.fetch_add(1, Ordering::AcqRel);
        if self.sender.try_send(cancel).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.finish();
        }
    }

    /// How many found the queue full.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ready when nothing is queued or under way.
    pub(super) async fn empty(&self) {
        loop {
            let done = self.done.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            done.await;
        }
    }

    fn finish(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }
}

/// Sends what is queued, for ever.
pub(super) async fn run(shared: Arc<Shared>, queue: mpsc::Receiver<Cancel>) {
    let shared = &*shared;
    stream::unfold(queue, async |mut queue| queue.recv().await.map(|cancel| (cancel, queue)))
        .for_each_concurrent(AT_ONCE, async |cancel| {
            send(shared, &cancel).await;
            shared.cancels.finish();
        })
        .await;
}

async fn send(shared: &Shared, cancel: &Cancel) {
    let path = match &cancel.id {
        Some(id) => format!("v1/verifications/{id}"),
        None => format!("v1/verifications/by-key/{}", Key::of(cancel.key).as_str()),
    };
    for attempt in 1..=ATTEMPTS {
        let request = shared.transport.request(Method::DELETE, &path);
        match tokio::time::timeout(shared.transport.timeout(), request).await {
            // Over, unknown or refused: trying again would not change it.
            Ok(Ok(reply)) if reply.status < 500 && reply.status != 429 => return,
            outcome => {
                let failure = outcome.ok();
                tracing::debug!(sign_in = %cancel.key, provider = shared.name, ?failure, attempt, "cancel failed");
            }
        }
        tokio::time::sleep(Duration::from_millis(200).saturating_mul(attempt)).await;
    }
}
