//! Tokens that are fetched with a long-lived secret and used for an hour: kept, renewed early, thrown away when the
//! service refuses one. One fetch at a time, however many sign-ins want a token.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::factor::Refusal;
use crate::secret::Secret;

/// How long nobody tries again after a fetch has failed: a rush of sign-ins asks once, not once each.
const PAUSE: Duration = Duration::from_secs(1);

/// A token is renewed when this part of its life is left, in percent.
const EARLY: u32 = 20;

/// The least and the most that a token's life is believed to be.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A token that was just fetched.
#[derive(Debug)]
pub struct Fresh {
    /// The token itself.
    pub token: Secret,
    /// How long it is good for.
    pub lives: Duration,
}

/// The token of one provider.
pub struct Tokens {
    state: Mutex<State>,
    /// Who fetches now. A permit, not a lock: nobody who has a good token waits for it.
    turn: Semaphore,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failed: Option<(Instant, Refusal)>,
}

struct Held {
    token: Arc<Secret>,
    renew: Instant,
    ends: Instant,
}

enum Look {
    Good(Arc<Secret>),
    Old(Arc<Secret>),
    Failed(Refusal),
    Nothing,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("held", &self.state().held.is_some()).finish_non_exhaustive()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::new()
    }
}

impl Tokens {
    /// No token yet.
    pub fn new() -> Self {
        Tokens { state: Mutex::default(), turn: Semaphore::new(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A good token. `fetch` is awaited only where a new one is needed and nobody else fetches it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn get(&self, fetch: impl Future<Output = Result<Fresh, Refusal>>) -> Result<Arc<Secret>, Refusal> {
        match self.look() {
            Look::Good(token) => return Ok(token),
            Look::Old(token) => {
                let Ok(_turn) = self.turn.try_acquire() else { return Ok(token) };
                // The old one is still good: a failure harms nobody yet.
                return Ok(self.keep(fetch.await).unwrap_or(token));
            }
            Look::Failed(refusal) => return Err(refusal),
            Look::Nothing => {}
        }
        // Closed only when the semaphore is, which never happens.
        let Ok(_turn) = self.turn.acquire().await else { return Err(Refusal::Lost) };
        match self.look() {
            Look::Good(token) | Look::Old(token) => Ok(token),
            Look::Failed(refusal) => Err(refusal),
            Look::Nothing => self.keep(fetch.await),
        }
    }

    /// Throws away a token that the service refused, unless another has taken its place.
    pub fn spoiled(&self, token: &Arc<Secret>) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.token, token)) {
            state.held = None;
        }
    }

    fn look(&self) -> Look {
        let (state, now) = (self.state(), Instant::now());
        let failed = state.failed.filter(|(until, _)| now < *until);
        match (&state.held, failed) {
            (Some(held), failed) if now < held.ends => {
                let token = Arc::clone(&held.token);
                if now < held.renew || failed.is_some() { Look::Good(token) } else { Look::Old(token) }
            }
            (_, Some((_, refusal))) => Look::Failed(refusal),
            (_, None) => Look::Nothing,
        }
    }

    fn keep(&self, fetched: Result<Fresh, Refusal>) -> Result<Arc<Secret>, Refusal> {
        let (mut state, now) = (self.state(), Instant::now());
        match fetched {
            Ok(fresh) => {
                let lives = fresh.lives.clamp(SHORTEST, LONGEST);
                let token = Arc::new(fresh.token);
                let renew = now + lives - lives * EARLY / 100;
                *state =
                    State { held: Some(Held { token: Arc::clone(&token), renew, ends: now + lives }), failed: None };
                Ok(token)
            }
            Err(refusal) => {
                state.failed = Some((now + PAUSE, refusal));
                Err(refusal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config::UnreachableClass;

    const REFUSED: Refusal = Refusal::Unreachable(UnreachableClass::ServerError);

    struct Source {
        tokens: Tokens,
        fetched: AtomicU32,
        works: bool,
    }

    impl Source {
        fn new(works: bool) -> Self {
            Source { tokens: Tokens::new(), fetched: AtomicU32::new(0), works }
        }

        async fn get(&self) -> Result<Arc<Secret>, Refusal> {
            let fetch = async {
                let number = self.fetched.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                let token = Secret::from_text(number.to_string());
                if self.works { Ok(Fresh { token, lives: Duration::from_secs(1000) }) } else { Err(REFUSED) }
            };
            self.tokens.get(fetch).await
        }

        fn fetched(&self) -> u32 {
            self.fetched.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_everybody_who_wants_a_token() {
        let source = Source::new(true);
        let all = futures_util::future::join_all((0..100).map(|_| source.get())).await;
        assert!(all.iter().all(|token| token.as_ref().is_ok_and(|token| token.matches(b"0"))));
        assert_eq!(source.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_renewed_before_it_ends_by_one() {
        let source = Source::new(true);
        source.get().await.expect("a token");
        tokio::time::advance(Duration::from_secs(700)).await;
        assert!(source.get().await.expect("a token").matches(b"0"));
        tokio::time::advance(Duration::from_secs(150)).await;
        let (first, second) = tokio::join!(source.get(), source.get());
        assert!(first.expect("a token").matches(b"1") && second.expect("a token").matches(b"0"));
        assert_eq!(source.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_token_is_thrown_away_once() {
        let source = Source::new(true);
        let old = source.get().await.expect("a token");
        source.tokens.spoiled(&old);
        let new = source.get().await.expect("a token");
        source.tokens.spoiled(&old);
        assert!(Arc::ptr_eq(&new, &source.get().await.expect("a token")));
        assert_eq!(source.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn rush_after_a_failure_asks_once_a_second() {
        let source = Source::new(false);
        let all = futures_util::future::join_all((0..100).map(|_| source.get())).await;
        assert!(all.iter().all(|token| token.as_ref().err() == Some(&REFUSED)));
        assert_eq!(source.fetched(), 1);
        tokio::time::advance(PAUSE).await;
        assert_eq!(source.get().await.err(), Some(REFUSED));
        assert_eq!(source.fetched(), 2);
    }

    #[test]
    fn debug_shows_no_token() {
        let tokens = Tokens::new();
        tokens.state().held = None;
        assert_eq!(format!("{tokens:?}"), "Tokens { held: false, .. }");
    }
}
