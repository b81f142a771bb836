//! OATH tokens of the user store: typed codes without a cloud, as the last of a list of providers or as the only one.
//!
//! ```text
//! code typed ─ locked out? ─ the person's tokens ─ seeds opened ─ code::find ─ store: use_code ─► approved
//!                                 none: another way                   no: one more wrong try
//! ```
//!
//! The store uses a code once for all nodes: of two that come with the same one, one gets in. Wrong codes in a row are
//! counted on this node; the bounds on prompts ([`crate::signin::throttle`]) count each of them, too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use crate::config::OathProvider;
use crate::factor::http::unix_now;
use crate::factor::oath::code::Patience;
use crate::factor::sent::Recent;
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble};
use crate::secret::Secret;
use crate::users::keys::KeyFile;
use crate::users::roster::Roster;

pub mod code;

/// Tokens of one person that are tried, at most.
const MOST_TOKENS: usize = 16;

/// Where tokens are, and what opens their seeds.
#[derive(Clone)]
pub struct Local {
    /// The user store.
    pub roster: Arc<dyn Roster>,
    /// The keys of sealed values.
    pub keys: Arc<KeyFile>,
}

/// A provider that checks codes of the store's tokens.
pub struct Oath {
    described: Described,
    local: Local,
    patience: Patience,
    tries: u32,
    /// Wrong codes in a row.
    wrong: Mutex<Recent<u32>>,
}

impl std::fmt::Debug for Oath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oath").field("name", &self.described.name()).finish_non_exhaustive()
    }
}

impl Oath {
    /// Of a section, over a store.
    pub fn new(config: &OathProvider, local: Local) -> Self {
        Oath {
            described: Described::oath(config),
            local,
            patience: Patience { window: config.window.as_secs(), look_ahead: config.look_ahead.into() },
            tries: config.tries,
            wrong: Mutex::new(Recent::lasting(config.locked_for)),
        }
    }

    fn wrong(&self) -> MutexGuard<'_, Recent<u32>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self, unique_id: &str, code: &Secret) -> Result<(), Refusal> {
        let now = now();
        let wrong = {
            let mut table = self.wrong();
            let wrong = table.look(unique_id, now).unwrap_or_default();
            if wrong >= self.tries {
                return Err(Refusal::LockedThere);
            }
            // Counted before it is looked at, under one lock: of many at once not one more is looked at than may be.
            table.remember(unique_id, wrong.saturating_add(1), now);
            wrong
        };
        let answer = self.look(unique_id, code).await;
        match answer {
            Err(Refusal::WrongCode) => {}
            // Neither a right code nor a wrong one was seen.
            Err(_) if wrong > 0 => self.wrong().remember(unique_id, wrong, now),
            Ok(()) | Err(_) => self.wrong().forget(unique_id),
        }
        answer
    }

    async fn look(&self, unique_id: &str, code: &Secret) -> Result<(), Refusal> {
        let tokens = self.local.roster.tokens_of(unique_id).await.map_err(|error| {
            tracing::error!(provider = self.name(), %error, "tokens cannot be read");
            Refusal::Lost
        })?;
        if tokens.is_empty() {
            return Err(Refusal::NotThisWay);
        }
        let mut answer = Refusal::WrongCode;
        for token in tokens.iter().take(MOST_TOKENS) {
            let seed = match self.local.keys.open_seed(&token.serial, token.unique_id.as_deref(), &token.seed) {
                Ok(seed) => seed,
                Err(error) => {
                    tracing::error!(provider = self.name(), serial = token.serial, %error, "a token's seed cannot be opened");
                    answer = Refusal::Misconfigured;
                    continue;
                }
            };
            let Some(found) = code::find(token, seed.open(), code.open(), unix_now(), self.patience) else { continue };
            let used = self.local.roster.use_code(unique_id, &token.serial, found.step, found.drift).await;
            return match used {
                Ok(true) => Ok(()),
                // Somebody was quicker with the same code.
                Ok(false) => Err(Refusal::WrongCode),
                Err(error) => {
                    tracing::error!(provider = self.name(), %error, "a code cannot be used up, so it does not count");
                    Err(Refusal::Lost)
                }
            };
        }
        Err(answer)
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

impl Factor for Oath {
    fn name(&self) -> &str {
        self.described.name()
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let Some(code) = &request.code else { return Answer::Refused(Refusal::NeedsCode) };
            match self.check(&request.person.unique_id, code).await {
                Ok(()) => Answer::Approved,
                Err(refusal) => Answer::Refused(refusal),
            }
        })
    }
}

impl Provider for Oath {
    /// Whether tokens can be read, and their seeds be opened.
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(async {
            let begun = tokio::time::Instant::now();
            let mut after = String::new();
            loop {
                let page = self.local.roster.tokens(&after, PAGE).await;
                let page = page.map_err(|error| Trouble(error.to_string()))?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.serial);
                for token in &page {
                    let opened = self.local.keys.open_seed(&token.serial, token.unique_id.as_deref(), &token.seed);
                    opened.map_err(|error| Trouble(format!("the seed of token {}: {error}", token.serial)))?;
                }
            }
            Ok(Health { round_trip: begun.elapsed(), clock_skew: None, certificate_expires: None })
        })
    }

    fn connections(&self) -> u64 {
        0
    }
}

/// Tokens read at once by a probe.
const PAGE: u32 = 500;
