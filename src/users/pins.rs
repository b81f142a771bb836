//! A person's PIN in the store: checked with a bound on guessing that all nodes count together, and changed by the rules.
//!
//! ```text
//! typed ─ too often wrong? ─ hash ─ right? ─ to be changed? ─► PinVerdict
//! new   ─ may they? ─ fit? ─ used before? ─ hash ─► kept, the one before goes to the history
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::Secret;
use crate::users::details::Pin;
use crate::users::hashing::slowly;
use crate::users::pin::{Fault, Rules, hash, matches};
use crate::users::profile::Profile;
use crate::users::roster::Roster;
use crate::users::store::{StoreError, StoreResult};
use crate::users::typed::Tried;

/// What a typed PIN is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinVerdict {
    /// The person's.
    Right,
    /// Not the person's.
    Wrong,
    /// The person's, and it must be changed before it is good for anything else.
    MustChange,
    /// Nobody looked: there were too many wrong ones.
    Locked,
    /// The person has none.
    NoPin,
}

/// Where PINs are, and the rules for them.
#[derive(Clone)]
pub struct Pins {
    /// The user store.
    pub roster: Arc<dyn Roster>,
    /// The rules.
    pub rules: Rules,
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pins").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Proof that a person has typed their PIN, or has made themselves a new one. Made here alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPassed {
    unique_id: Box<str>,
}

impl PinPassed {
    /// Of a round that a node of ours sealed after it had seen the PIN, and that this one has opened.
    pub(crate) fn again(unique_id: &str) -> PinPassed {
        PinPassed { unique_id: unique_id.into() }
    }

    /// Whether it was this person.
    pub fn is_of(&self, unique_id: &str) -> bool {
        *self.unique_id == *unique_id
    }
}

/// Why a new PIN is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// What is wrong with it.
    Rule(Fault),
    /// It was used before.
    UsedBefore,
    /// People may not change their own.
    NotAllowed,
    /// There is no such person.
    Nobody,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfit::Rule(fault) => fault.fmt(f),
            Unfit::UsedBefore => f.write_str("that PIN was used before"),
            Unfit::NotAllowed => f.write_str("people may not change their own PIN; the help desk does it"),
            Unfit::Nobody => f.write_str("there is no such person"),
        }
    }
}

/// Checks a PIN that is typed by itself: the proof, or what it is instead. Each try is counted before it is looked at.
///
/// # Errors
/// When the store cannot be used; the PIN counts as wrong then.
pub async fn check(
    roster: &dyn Roster,
    unique_id: &str,
    typed: &Secret,
    rules: &Rules,
    now: SystemTime,
) -> StoreResult<Result<PinPassed, PinVerdict>> {
    let Some(pin) = roster.pin(unique_id).await? else { return Ok(Err(PinVerdict::NoPin)) };
    if !roster.count_try(unique_id, Tried::Pin, rules.bound, now).await? {
        return Ok(Err(PinVerdict::Locked));
    }
    let verdict = compare(&pin, typed, now).await;
    if matches!(verdict, PinVerdict::Right | PinVerdict::MustChange) {
        roster.forget_tries(unique_id, Tried::Pin).await?;
    }
    Ok(match verdict {
        PinVerdict::Right => Ok(PinPassed { unique_id: unique_id.into() }),
        verdict => Err(verdict),
    })
}

/// Compares a PIN; whoever calls this counts the tries.
pub async fn compare(pin: &Pin, typed: &Secret, now: SystemTime) -> PinVerdict {
    let (typed, hash) = (typed.duplicate(), pin.hash.clone());
    match slowly(move || matches(&typed, &hash)).await {
        Some(true) if pin.must_change(now) => PinVerdict::MustChange,
        Some(true) => PinVerdict::Right,
        Some(false) | None => PinVerdict::Wrong,
    }
}

/// Changes a person's own PIN. Whoever calls this has seen the PIN of before.
///
/// # Errors
/// When the store cannot be used; the PIN is then as it was.
pub async fn change(
    roster: &dyn Roster,
    unique_id: &str,
    new: &Secret,
    rules: &Rules,
    now: SystemTime,
) -> StoreResult<Result<PinPassed, Unfit>> {
    if !rules.own_change {
        return Ok(Err(Unfit::NotAllowed));
    }
    let Some(profile) = roster.profile(unique_id).await? else { return Ok(Err(Unfit::Nobody)) };
    let expires = rules.expires_after.and_then(|after| now.checked_add(after));
    let set = set(roster, &profile, new, rules, (false, expires), "person").await?;
    Ok(set.map(|()| PinPassed { unique_id: unique_id.into() }))
}

/// Whether a person may have this as their new PIN; changes nothing.
///
/// # Errors
/// When the store cannot be used.
pub async fn judge(
    roster: &dyn Roster,
    unique_id: &str,
    new: &Secret,
    rules: &Rules,
) -> StoreResult<Result<(), Unfit>> {
    if !rules.own_change {
        return Ok(Err(Unfit::NotAllowed));
    }
    let Some(profile) = roster.profile(unique_id).await? else { return Ok(Err(Unfit::Nobody)) };
    if let Some(fault) = unfit(&profile, new, rules) {
        return Ok(Err(Unfit::Rule(fault)));
    }
    let (hashes, typed) = (earlier(roster, unique_id, rules).await?, new.duplicate());
    let used = slowly(move || hashes.iter().any(|hash| matches(&typed, hash))).await;
    Ok(if used == Some(false) { Ok(()) } else { Err(Unfit::UsedBefore) })
}

/// What the rules have against it.
fn unfit(profile: &Profile, new: &Secret, rules: &Rules) -> Option<Fault> {
    let phones = [profile.person.phone.as_deref(), profile.backup_phone.as_deref()];
    let phones: Vec<&str> = phones.into_iter().flatten().collect();
    rules.unfit(new, &phones)
}

/// Hashes of the PIN of now and of those before that may not come back.
async fn earlier(roster: &dyn Roster, unique_id: &str, rules: &Rules) -> StoreResult<Vec<String>> {
    let mut hashes: Vec<String> = roster.pin(unique_id).await?.into_iter().map(|pin| pin.hash).collect();
    let history = usize::try_from(rules.history).unwrap_or(usize::MAX);
    hashes.extend(roster.earlier_pins(unique_id).await?.into_iter().take(history));
    Ok(hashes)
}

/// Sets a person's PIN by the rules. `(change_required, expires)` as of [`Pin`].
///
/// # Errors
/// When the store cannot be used; the PIN is then as it was.
pub async fn set(
    roster: &dyn Roster,
    profile: &Profile,
    new: &Secret,
    rules: &Rules,
    (change_required, expires): (bool, Option<SystemTime>),
    by: &str,
) -> StoreResult<Result<(), Unfit>> {
    let unique_id = profile.person.unique_id.as_str();
    if let Some(fault) = unfit(profile, new, rules) {
        return Ok(Err(Unfit::Rule(fault)));
    }
    let (hashes, typed) = (earlier(roster, unique_id, rules).await?, new.duplicate());
    let made = slowly(move || {
        let used = hashes.iter().any(|hash| matches(&typed, hash));
        if used { None } else { Some(hash(&typed)) }
    });
    let hash = match made.await {
        Some(None) => return Ok(Err(Unfit::UsedBefore)),
        Some(Some(Ok(hash))) => hash,
        Some(Some(Err(why))) => return Err(StoreError::Unavailable(why)),
        None => return Err(StoreError::Unavailable("hashing the PIN ended in a panic".into())),
    };
    let pin = Pin { hash, change_required, expires };
    let known = roster.set_pin(unique_id, Some(&pin), rules.history, by).await?;
    roster.forget_tries(unique_id, Tried::Pin).await?;
    Ok(if known { Ok(()) } else { Err(Unfit::Nobody) })
}
