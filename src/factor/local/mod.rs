//! Codes that this house checks itself: of OATH tokens, of a person's own list, and of the help desk. Without a cloud, as
//! the last of a list of providers or as the only one.
//!
//! ```text
//! typed ─ too often wrong? ─ 9 or 10 digits: kept codes ─ one hash ──── store: use_kept_code ─► approved
//!                          └ the person's tokens ─ PIN? ─ code::find ── store: use_code ──────► approved
//!                              neither: another way                      no: one more wrong try
//! ```
//!
//! The store uses a code once for all nodes: of two that come with the same one, one gets in. It also counts wrong codes in
//! a row, over all kinds and all nodes, each before it is looked at.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;

use crate::config::LocalProvider;
use crate::factor::local::code::{Found, Patience, Spent};
use crate::factor::local::split::{PinSide, split};
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble};
use crate::secret::Secret;
use crate::users::codes::{self, CodeKind, KeptCode};
use crate::users::details::Pin;
use crate::users::hashing::slowly;
use crate::users::keys::KeyFile;
use crate::users::model::{Method, Mode};
use crate::users::pin::Rules;
use crate::users::pins::{self, PinVerdict};
use crate::users::roster::Roster;
use crate::users::store::StoreError;
use crate::users::token::Token;
use crate::users::typed::{Bound, Tried};

pub mod code;
pub mod split;

/// Tokens of one person that are tried, at most.
const MOST_TOKENS: usize = 16;

/// Tokens read at once by a probe.
const PAGE: u32 = 500;

/// Tells the time; tests bring one that jumps.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where tokens, codes and PINs are, and what opens the seeds.
#[derive(Clone)]
pub struct House {
    /// The user store.
    pub roster: Arc<dyn Roster>,
    /// The keys of sealed values.
    pub keys: Arc<KeyFile>,
    /// The rules for PINs.
    pub pins: Rules,
    /// The clock.
    pub clock: Clock,
}

impl House {
    /// With this machine's clock.
    pub fn new(roster: Arc<dyn Roster>, keys: Arc<KeyFile>, pins: Rules) -> House {
        House { roster, keys, pins, clock: Arc::new(SystemTime::now) }
    }

    /// Seconds since 1970; 0 on a clock before that.
    fn seconds(&self) -> u64 {
        (self.clock)().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A provider that checks codes of the house.
pub struct Local {
    described: Described,
    house: House,
    patience: Patience,
    pin_side: PinSide,
    bound: Bound,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("name", &self.described.name()).finish_non_exhaustive()
    }
}

/// What a person in PIN mode must type besides the code.
struct Wanted {
    pin: Pin,
    side: PinSide,
}

impl Local {
    /// Of a section, over a store.
    pub fn new(config: &LocalProvider, house: House) -> Self {
        Local {
            described: Described::local(config),
            house,
            patience: Patience { window: config.window.as_secs(), look_ahead: config.look_ahead.into() },
            pin_side: config.pin_side,
            bound: config.bound,
        }
    }

    /// Counts a try and then does it.
    async fn counted<T>(&self, unique_id: &str, tried: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let roster = &self.house.roster;
        let may = roster.count_try(unique_id, Tried::Code, self.bound, (self.house.clock)()).await;
        if !may.map_err(|error| self.lost(&error, "tries cannot be counted"))? {
            return Err(Refusal::LockedThere);
        }
        let answer = tried.await;
        let settled = match &answer {
            Ok(_) => roster.forget_tries(unique_id, Tried::Code).await,
            // A PIN that is to be changed was right, and so was the code.
            Err(Refusal::PinDue) => roster.forget_tries(unique_id, Tried::Code).await,
            Err(Refusal::WrongPin | Refusal::NextCode) => Ok(()),
            Err(refusal) if refusal.is_wrong_code() => Ok(()),
            // Neither a right code nor a wrong one was seen.
            Err(_) => roster.uncount_try(unique_id, Tried::Code).await,
        };
        if let Err(error) = settled {
            // One try too many is counted; what was seen stays as it is.
            tracing::warn!(provider = self.name(), %error, "a try cannot be uncounted");
        }
        answer
    }

    fn lost(&self, error: &StoreError, what: &str) -> Refusal {
        tracing::error!(provider = self.name(), %error, "{what}");
        Refusal::Lost
    }

    /// By which kind of code somebody gets in.
    async fn look(&self, request: &Request, typed: &Secret) -> Result<Method, Refusal> {
        let person = &*request.person;
        let roster = &self.house.roster;
        let unread = |error: StoreError| self.lost(&error, "codes cannot be read");
        let kept = match CodeKind::of_length(typed.len()) {
            Some(kind) => {
                let now = (self.house.clock)();
                let mut kept = roster.kept_codes(&person.unique_id).await.map_err(unread)?;
                kept.retain(|code| code.kind == kind && code.is_good(now));
                kept
            }
            None => Vec::new(),
        };
        let tokens = roster.tokens_of(&person.unique_id).await.map_err(unread)?;
        if tokens.is_empty() && kept.is_empty() {
            return Err(Refusal::NotThisWay);
        }
        if let Some(used) = self.use_kept(&person.unique_id, kept, typed).await? {
            return Ok(used);
        }
        let used = self.use_token(request, &tokens, typed).await;
        if used.is_err_and(Refusal::is_wrong_code)
            && request.can_ask()
            && (person.mode == Mode::Standard || request.pin_passed())
            && self.is_further_off(tokens, typed).await
        {
            return Err(Refusal::NextCode);
        }
        used.map(|()| Method::Oath)
    }

    async fn use_kept(
        &self,
        unique_id: &str,
        mut kept: Vec<KeptCode>,
        typed: &Secret,
    ) -> Result<Option<Method>, Refusal> {
        if kept.is_empty() {
            return Ok(None);
        }
        let (code, hashes) = (typed.duplicate(), kept.iter().map(|code| code.hash.clone()).collect::<Vec<_>>());
        let found = slowly(move || {
            let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
            codes::which(&code, &hashes)
        });
        let Some(place) = found.await.flatten().filter(|place| *place < kept.len()) else { return Ok(None) };
        let code = kept.swap_remove(place);
        let used = self.house.roster.use_kept_code(unique_id, &code, (self.house.clock)()).await;
        let left = used.map_err(|error| self.lost(&error, "a code cannot be used up, so it does not count"))?;
        // Somebody may have been quicker with the same code.
        let left = left.ok_or(Refusal::UsedCode)?;
        tracing::info!(provider = self.name(), unique_id, kind = code.kind.word(), left, "a code was used up");
        Ok(Some(match code.kind {
            CodeKind::Backup => Method::BackupCode,
            CodeKind::Temporary => Method::TemporaryCode,
        }))
    }

    /// Whether a code that fits none of these tokens as far as they may be off is one of a token further off.
    async fn is_further_off(&self, tokens: Vec<Token>, typed: &Secret) -> bool {
        let seeds = tokens.into_iter().take(MOST_TOKENS).filter_map(|token| Some((self.seed(&token).ok()?, token)));
        let (seeds, typed, now) = (seeds.collect::<Vec<_>>(), typed.duplicate(), self.house.seconds());
        let fits = move || seeds.iter().any(|(seed, token)| code::could_resync(token, seed.open(), typed.open(), now));
        // Thousands of hashes: not where others wait.
        slowly(fits).await == Some(true)
    }

    /// The PIN that must stand beside the code. None: none goes with it, or it was right before.
    async fn wanted(&self, request: &Request, tokens: &[Token], typed: &Secret) -> Result<Option<Wanted>, Refusal> {
        let person = &*request.person;
        if person.mode == Mode::Standard || request.pin_passed() {
            return Ok(None);
        }
        let pin = self.house.roster.pin(&person.unique_id).await;
        let pin = pin.map_err(|error| self.lost(&error, "a PIN cannot be read"))?.ok_or(Refusal::NoPin)?;
        // Decided by its length alone, so that it says nothing of the code.
        let is_code = |token: &Token| usize::try_from(token.digits).is_ok_and(|digits| digits == typed.len());
        if request.can_ask() && tokens.iter().any(is_code) {
            return Err(Refusal::NeedsPin);
        }
        Ok(Some(Wanted { pin, side: self.pin_side }))
    }

    async fn use_token(&self, request: &Request, tokens: &[Token], typed: &Secret) -> Result<(), Refusal> {
        let person = &*request.person;
        let wanted = self.wanted(request, tokens, typed).await?;
        // Who has just changed the PIN that they typed with the code need not type the code again.
        let behind = person.mode == Mode::Pin && wanted.is_none();
        let mut answer = Refusal::WrongCode;
        let mut compared: Vec<(u32, PinVerdict)> = Vec::new();
        for token in tokens.iter().take(MOST_TOKENS) {
            let (pin, code) = match &wanted {
                None if behind && usize::try_from(token.digits).is_ok_and(|digits| digits < typed.len()) => (
                    None,
                    split(typed, token.digits, self.pin_side).map_or_else(|| typed.duplicate(), |(_, code)| code),
                ),
                None => (None, typed.duplicate()),
                Some(wanted) => match split(typed, token.digits, wanted.side) {
                    Some((pin, code)) => (Some((pin, &wanted.pin)), code),
                    None => continue,
                },
            };
            // Before the code is looked at, so that the time does not say whether that was right.
            let verdict = match (pin, compared.iter().find(|(digits, _)| *digits == token.digits)) {
                (None, _) => PinVerdict::Right,
                (Some(_), Some((_, verdict))) => *verdict,
                (Some((typed, pin)), None) => {
                    let verdict = pins::compare(pin, &typed, (self.house.clock)()).await;
                    compared.push((token.digits, verdict));
                    verdict
                }
            };
            let found = match self.find(token, &code) {
                Ok(found) => found,
                Err(Refusal::WrongCode) => continue,
                Err(refusal) => {
                    answer = refusal;
                    continue;
                }
            };
            match verdict {
                PinVerdict::Right => {}
                // The code is not used up: the person goes on with it once the PIN is changed.
                PinVerdict::MustChange => return Err(Refusal::PinDue),
                PinVerdict::Wrong | PinVerdict::Locked | PinVerdict::NoPin => return Err(Refusal::WrongPin),
            }
            self.use_found(&person.unique_id, token, found).await?;
            return if wanted.is_some() { self.forget_pins(&person.unique_id).await } else { Ok(()) };
        }
        Err(answer)
    }

    /// A PIN was right: the wrong ones before it count no more.
    async fn forget_pins(&self, unique_id: &str) -> Result<(), Refusal> {
        let forgotten = self.house.roster.forget_tries(unique_id, Tried::Pin).await;
        forgotten.map_err(|error| self.lost(&error, "a right PIN cannot be noted"))
    }

    /// Which of a token's codes this is, or why it is none that would be taken.
    fn find(&self, token: &Token, code: &Secret) -> Result<Found, Refusal> {
        let (seed, now) = (self.seed(token)?, self.house.seconds());
        let found = code::find(token, seed.open(), code.open(), now, self.patience);
        found.ok_or_else(|| match code::spent(token, seed.open(), code.open(), now, self.patience) {
            Some(Spent::Used) => Refusal::UsedCode,
            Some(Spent::Old) => Refusal::OldCode,
            None => Refusal::WrongCode,
        })
    }

    fn seed(&self, token: &Token) -> Result<Secret, Refusal> {
        let opened = self.house.keys.open_seed(&token.serial, token.unique_id.as_deref(), &token.seed);
        opened.map_err(|error| {
            tracing::error!(provider = self.name(), serial = token.serial, %error, "a token's seed cannot be opened");
            Refusal::Misconfigured
        })
    }

    async fn use_found(&self, unique_id: &str, token: &Token, found: Found) -> Result<(), Refusal> {
        let used = self.house.roster.use_code(unique_id, &token.serial, found.step, found.drift).await;
        match used.map_err(|error| self.lost(&error, "a code cannot be used up, so it does not count"))? {
            true => Ok(()),
            // Somebody was quicker with the same code.
            false => Err(Refusal::UsedCode),
        }
    }

    /// Finds a token's clock or counter again by two codes in a row, both of which are used up by that. Counted as a try,
    /// as guessing here would be guessing.
    ///
    /// # Errors
    /// Why not: [`Refusal::WrongCode`] where no token of the person has these two one after the other.
    pub async fn resync(&self, unique_id: &str, first: &Secret, second: &Secret) -> Result<(), Refusal> {
        self.counted(unique_id, async {
            let tokens = self.house.roster.tokens_of(unique_id).await;
            let tokens = tokens.map_err(|error| self.lost(&error, "tokens cannot be read"))?;
            if tokens.is_empty() {
                return Err(Refusal::NotThisWay);
            }
            for token in tokens.iter().take(MOST_TOKENS) {
                let seed = self.seed(token)?;
                let typed = (first.open(), second.open());
                if let Some(found) = code::resync(token, seed.open(), typed, self.house.seconds()) {
                    return self.use_found(unique_id, token, found).await;
                }
            }
            Err(Refusal::WrongCode)
        })
        .await
    }
}

impl Factor for Local {
    fn name(&self) -> &str {
        self.described.name()
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let Some(code) = &request.code else { return Answer::Refused(Refusal::NeedsCode) };
            let unique_id = &*request.person.unique_id;
            let checked = match request.before() {
                Some(_) if request.person.mode == Mode::Pin && !request.pin_passed() => Err(Refusal::NeedsPin),
                Some(before) => self.resync(unique_id, before, code).await.map(|()| Method::Oath),
                None => self.counted(unique_id, self.look(&request, code)).await,
            };
            match checked {
                Ok(method) => Answer::ApprovedBy(method),
                Err(refusal) => Answer::Refused(refusal),
            }
        })
    }
}

impl Provider for Local {
    /// Whether tokens can be read, and their seeds be opened.
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(async {
            let begun = tokio::time::Instant::now();
            let mut after = String::new();
            loop {
                let page = self.house.roster.tokens(&after, PAGE).await;
                let page = page.map_err(|error| Trouble(error.to_string()))?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.serial);
                for token in &page {
                    let opened = self.house.keys.open_seed(&token.serial, token.unique_id.as_deref(), &token.seed);
                    opened.map_err(|error| Trouble(format!("the seed of token {}: {error}", token.serial)))?;
                }
            }
            Ok(Health { round_trip: begun.elapsed(), clock_skew: None, certificate_expires: None, lacks: None })
        })
    }

    fn connections(&self) -> u64 {
        0
    }
}
