//! What waits to be sent over one socket, and leaves together: whoever sends one by one wakes the other side for each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A queue with one taker.
#[derive(Debug)]
pub(in crate::radius) struct Outgoing<T> {
    items: Mutex<VecDeque<T>>,
    filled: Notify,
    closed: AtomicBool,
}

impl<T> Default for Outgoing<T> {
    fn default() -> Self {
        Outgoing { items: Mutex::default(), filled: Notify::new(), closed: AtomicBool::new(false) }
    }
}

impl<T> Outgoing<T> {
    /// Puts one behind the others.
    pub(in crate::radius) fn push(&self, item: T) {
        let mut items = self.items();
        items.push_back(item);
        let is_first = items.len() == 1;
        drop(items);
        if is_first {
            self.filled.notify_one();
        }
    }

    /// Nothing more comes.
    pub(in crate::radius) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// What waits.
    pub(in crate::radius) fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        // Whole between any two of its statements.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something; false once nothing comes any more. May be given up at any time.
    pub(in crate::radius) async fn filled(&self) -> bool {
        loop {
            if !self.items().is_empty() {
                return true;
            }
            if self.closed.load(Ordering::Acquire) {
                return false;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until there is something, lets every task that is ready add its own, and takes all of it into the empty
    /// `batch`. False once nothing comes any more.
    pub(in crate::radius) async fn gather(&self, batch: &mut VecDeque<T>) -> bool {
        if !self.filled().await {
            return false;
        }
        tokio::task::yield_now().await;
        std::mem::swap(batch, &mut *self.items());
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_together_leaves_together() {
        let outgoing = Arc::new(Outgoing::default());
        for number in 0..5 {
            let outgoing = Arc::clone(&outgoing);
            tokio::spawn(async move { outgoing.push(number) });
        }
        let mut batch = VecDeque::new();
        assert!(outgoing.gather(&mut batch).await);
        assert_eq!(batch, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_taker_that_gave_up_loses_nothing() {
        let outgoing = Outgoing::default();
        outgoing.push(1);
        let mut batch = VecDeque::new();
        {
            let gathering = outgoing.gather(&mut batch);
            tokio::pin!(gathering);
            assert!(futures_util::poll!(gathering.as_mut()).is_pending(), "it lets others add theirs");
        }
        outgoing.push(2);
        assert!(outgoing.gather(&mut batch).await);
        assert_eq!(batch, [1, 2]);
    }

    #[tokio::test]
    async fn what_was_left_before_the_end_is_taken() {
        let outgoing = Outgoing::default();
        outgoing.push(1);
        outgoing.close();
        let mut batch = VecDeque::new();
        assert!(outgoing.gather(&mut batch).await);
        assert_eq!(batch, [1]);
        batch.clear();
        assert!(!outgoing.gather(&mut batch).await);
        assert!(!outgoing.gather(&mut batch).await);
    }
}
