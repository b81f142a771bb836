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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::UnreachableClass;
use crate::factor::{Answer, Described, Factor, Provider, Refusal, Request};
use crate::signin::attempt::SignInId;
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
    /// The failures after which the next provider is asked.
    failover: Vec<UnreachableClass>,
    /// A declared outage.
    outage: Mutex<Option<Outage>>,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("provider", &self.provider.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// An outage that the operator declared.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// When this process heard of it, and how long it had lasted then.
    heard: Instant,
    already: Duration,
    until: Instant,
}

impl Outage {
    fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn lasted(&self) -> Duration {
        self.already.saturating_add(self.heard.elapsed())
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
    /// When the first of the failures in a row came. Touched by failures only.
    since: Mutex<Option<Instant>>,
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
        let breaker = Arc::new(Breaker { patience, failures, open, opened, since: Mutex::default() });
        let failover = UnreachableClass::ALL.to_vec();
        Guarded { provider, breaker, probing: Mutex::default(), failover, outage: Mutex::default() }
    }

    /// With the failures after which the next provider of a list is asked.
    #[must_use]
    pub fn with_failover(mut self, failover: Vec<UnreachableClass>) -> Self {
        self.failover = failover;
        self
    }

    /// Declares an outage of that length from now on, or ends it. One that is declared while another lasts goes on
    /// from that one's beginning: what is good for so long into an outage does not begin anew.
    pub fn declare(&self, outage: Option<Duration>) {
        let lasted = (*lock(&self.outage)).filter(|outage| outage.left().is_some()).map(|outage| outage.lasted());
        self.resume(outage.map(|left| (lasted.unwrap_or_default(), left)));
    }

    /// Declares an outage that has lasted for a while already, and has so much left.
    pub fn resume(&self, outage: Option<(Duration, Duration)>) {
        let heard = Instant::now();
        let declared = outage.and_then(|(already, left)| {
            let until = heard.checked_add(left)?;
            Some(Outage { heard, already, until })
        });
        *lock(&self.outage) = declared;
    }

    /// How much is left of a declared outage.
    pub fn outage_left(&self) -> Option<Duration> {
        (*lock(&self.outage))?.left()
    }

    /// How long the provider has been away: since the first of the failures in a row; zero if it is not.
    pub fn away_for(&self) -> Duration {
        lock(&self.breaker.since).map(|since| since.elapsed()).unwrap_or_default()
    }

    /// How many connections the provider has begun.
    pub fn connections(&self) -> u64 {
        self.provider.connections()
    }

    /// The sign-ins of which a fraud report came too late, each told once.
    pub fn late_frauds(&self) -> Vec<SignInId> {
        self.provider.late_frauds()
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
            *lock(&self.probing) = Some(task);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.probing).take() {
            task.abort();
        }
    }
}

impl Factor for Guarded {
    fn name(&self) -> &str {
        self.provider.name()
    }

    fn described(&self) -> Option<&Described> {
        self.provider.described()
    }

    fn offers(&self, person: &Person, method: Method) -> bool {
        self.provider.offers(person, method)
    }

    fn is_of_the_house(&self) -> bool {
        self.provider.is_of_the_house()
    }

    fn carries_pin(&self, method: Method) -> bool {
        self.provider.carries_pin(method)
    }

    fn out_of_use(&self) -> Option<UnreachableClass> {
        if self.outage_left().is_some() { Some(UnreachableClass::Outage) } else { self.breaker.class() }
    }

    fn fails_over(&self, class: UnreachableClass) -> bool {
        self.failover.contains(&class)
    }

    fn down_for(&self) -> Duration {
        let declared = (*lock(&self.outage)).filter(|outage| outage.left().is_some()).map(|outage| outage.lasted());
        declared.unwrap_or_else(|| self.away_for())
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        if let Some(class) = self.out_of_use() {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Unreachable(class))));
        }
        let deadline = Instant::from_std(request.deadline);
        if deadline <= Instant::now() {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Expired)));
        }
        let asked = tokio::time::timeout_at(deadline, self.provider.run(request));
        // Not an `async` block, which would keep the wait twice.
        Box::pin(asked.map(|answer| match answer {
            Ok(answer) => {
                self.note(&answer);
                answer
            }
            Err(_) => Answer::Refused(Refusal::Expired),
        }))
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
            Answer::Approved | Answer::ApprovedBy(_) | Answer::ApprovedWithPin(_) | Answer::Refused(_) => {
                // Read first: an unconditional store would bounce the cache line on every sign-in.
                if self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                    *lock(&self.since) = None;
                }
                return None;
            }
        };
        let index = CLASSES.iter().position(|known| *known == class)?;
        lock(&self.since).get_or_insert_with(Instant::now);
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
        *lock(&self.since) = None;
        self.failures.store(0, Ordering::Relaxed);
        self.open.store(0, Ordering::Release);
    }
}

/// A lock that is held for a look or a word, and never across a wait.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
