//! What stands before every provider: the request's own deadline, and a circuit breaker.
//!
//! ```text
//! closed ── failures in a row ──► open: answers at once, pings in the background
//!    ▲                               │
//!    └────────── ping answered ◄─────┘
//! ```
//!
//! Only failures before any prompt can have been sent open the breaker; while it is open, the answer is
//! the class of failure that opened it, so that a rule for one class never covers another. A lost answer
//! does not open it: that would turn "a prompt may have been sent" into "none was".

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::UnreachableClass;
use crate::factor::{Answer, Factor, Provider, Refusal, Request};
use crate::users::model::{Method, Person};

/// When a breaker opens, and how soon it looks again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Pause before the first ping; doubled up to four times of it, as everybody is refused until one is answered.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { failures: 5, pause: Duration::from_secs(1) }
    }
}

/// The state of a breaker, for metrics and status pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// Requests are answered at once with this class.
    Open(UnreachableClass),
}

/// A provider behind its breaker and the deadline.
pub struct Guarded {
    provider: Arc<dyn Provider>,
    breaker: Arc<Breaker>,
    probing: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("provider", &self.provider.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Atomics only: the way of a request that succeeds takes no lock.
#[derive(Debug)]
struct Breaker {
    patience: Patience,
    failures: AtomicU32,
    /// 0: closed; else 1 + the index of the class in [`CLASSES`].
    open: AtomicU8,
    opened: AtomicU64,
}

/// The classes that open a breaker. A rate limit does not: it is about us, passes, and the provider's own pause is
/// kept. Nor does what the operator declared, which ends when they say so.
const CLASSES: [UnreachableClass; 6] = [
    UnreachableClass::Connect,
    UnreachableClass::Tls,
    UnreachableClass::Refused,
    UnreachableClass::ServerError,
    UnreachableClass::Malformed,
    UnreachableClass::Timeout,
];

impl Guarded {
    /// Puts the breaker before `provider`.
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Guarded::with_patience(provider, Patience::default())
    }

    /// [`Guarded::new`] with other patience.
    pub fn with_patience(provider: Arc<dyn Provider>, patience: Patience) -> Self {
        let (failures, open, opened) = (AtomicU32::new(0), AtomicU8::new(0), AtomicU64::new(0));
        let breaker = Arc::new(Breaker { patience, failures, open, opened });
        Guarded { provider, breaker, probing: Mutex::default() }
    }

    /// The breaker's state now.
    pub fn state(&self) -> BreakerState {
        self.breaker.class().map_or(BreakerState::Closed, BreakerState::Open)
    }

    /// How often the breaker has opened.
    pub fn opened(&self) -> u64 {
        self.breaker.opened.load(Ordering::Relaxed)
    }

    /// Counts an answer; the failure that makes the row full starts the pings.
    fn note(&self, answer: &Answer) {
        if let Some(class) = self.breaker.count(answer) {
            tracing::warn!(provider = self.provider.name(), ?class, "provider taken out of use until it answers pings");
            let (provider, breaker) = (Arc::clone(&self.provider), Arc::clone(&self.breaker));
            let task = tokio::spawn(probe(provider, breaker));
            *self.probing.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(task) = self.probing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Factor for Guarded {
    fn name(&self) -> &str {
        self.provider.name()
    }

    fn offers(&self, person: &Person, method: Method) -> bool {
        self.provider.offers(person, method)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        if let Some(class) = self.breaker.class() {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Unreachable(class))));
        }
        let deadline = Instant::from_std(request.deadline);
        if deadline <= Instant::now() {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Expired)));
        }
        let asked = self.provider.run(request);
        Box::pin(async move {
            match tokio::time::timeout_at(deadline, asked).await {
                Ok(answer) => {
                    self.note(&answer);
                    answer
                }
                Err(_) => Answer::Refused(Refusal::Expired),
            }
        })
    }
}

impl Breaker {
    fn class(&self) -> Option<UnreachableClass> {
        let index = usize::from(self.open.load(Ordering::Acquire)).checked_sub(1)?;
        CLASSES.get(index).copied()
    }

    /// Counts an answer; the class when this one opened the breaker.
    fn count(&self, answer: &Answer) -> Option<UnreachableClass> {
        let class = match answer {
            Answer::Refused(Refusal::Unreachable(class)) => *class,
            // Neither a sign of life nor of the contrary.
            Answer::Refused(Refusal::Lost) => return None,
            Answer::Approved | Answer::Refused(_) => {
                // Read first: an unconditional store would bounce the cache line on every sign-in.
                if self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
                return None;
            }
        };
        let index = CLASSES.iter().position(|known| *known == class)?;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < self.patience.failures {
            return None;
        }
        let code = u8::try_from(index).ok()?.checked_add(1)?;
        self.open.compare_exchange(0, code, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some(class)
    }

    fn close(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.open.store(0, Ordering::Release);
    }
}

/// Pings until there is an answer, then closes the breaker.
async fn probe(provider: Arc<dyn Provider>, breaker: Arc<Breaker>) {
    let longest = breaker.patience.pause.saturating_mul(4);
    let mut pause = breaker.patience.pause;
    loop {
        tokio::time::sleep(pause).await;
        if provider.probe().await.is_ok() {
            tracing::info!(provider = provider.name(), "provider answers again");
            breaker.close();
            return;
        }
        pause = pause.saturating_mul(2).min(longest);
    }
}

#[cfg(test)]
mod tests;
