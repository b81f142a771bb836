//! Prompts that nobody waits for any more: a bounded queue, and what sends the cancellations at leisure.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use tokio::sync::{Notify, mpsc};

/// Cancellations that may wait. What is over it is not sent; those prompts expire by themselves.
const QUEUE: usize = 131_072;

/// Cancellations under way at once.
const AT_ONCE: usize = 16;

/// The sending side.
#[derive(Debug)]
pub struct CancelQueue<T> {
    sender: mpsc::Sender<T>,
    /// Queued or under way.
    open: AtomicUsize,
    lost: AtomicU64,
    done: Notify,
}

impl<T> CancelQueue<T> {
    /// Both sides of a new queue.
    pub fn new() -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (CancelQueue { sender, open: AtomicUsize::new(0), lost: AtomicU64::new(0), done: Notify::new() }, receiver)
    }

    /// Queues a cancellation; never waits.
    pub fn push(&self, cancel: T) {
        self.open.fetch_add(1, Ordering::AcqRel);
        if self.sender.try_send(cancel).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.finish();
        }
    }

    /// How many found the queue full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ready when nothing is queued or under way.
    pub async fn empty(&self) {
        loop {
            let done = self.done.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            done.await;
        }
    }

    /// One of those queued is sent, or given up.
    pub fn finish(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }
}

/// Gives each of the queued to `send`, some at once, for ever. `send` tells the queue when it has finished.
pub async fn run<T, F: Future<Output = ()>>(queue: mpsc::Receiver<T>, send: impl Fn(T) -> F) {
    stream::unfold(queue, async |mut queue| queue.recv().await.map(|cancel| (cancel, queue)))
        .for_each_concurrent(AT_ONCE, send)
        .await;
}
