//! A person's PIN in the store: checked with a bound on guessing that all nodes count together, and changed by the rules.
//!
//! ```text
//! typed ─ too often wrong? ─ hash ─ right? ─ to be changed? ─► PinVerdict
//! new   ─ may they? ─ fit? ─ used before? ─ hash ─► kept, the one before goes to the history
//! ```

use std::time::SystemTime;

use crate::secret::Secret;
use crate::users::details::Pin;
use crate::users::hashing::slowly;
use crate::users::pin::{Rules, hash, matches};
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

/// Why a new PIN is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// What is wrong with it, for the person to read.
    Rule(String),
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
            Unfit::Rule(why) => f.write_str(why),
            Unfit::UsedBefore => f.write_str("that PIN was used before"),
            Unfit::NotAllowed => f.write_str("people may not change their own PIN; the help desk does it"),
            Unfit::Nobody => f.write_str("there is no such person"),
        }
    }
}

/// Checks a PIN that is typed by itself. Each try is counted before it is looked at.
///
/// # Errors
/// When the store cannot be used; the PIN counts as wrong then.
pub async fn check(
    roster: &dyn Roster,
    unique_id: &str,
    typed: &Secret,
    rules: &Rules,
    now: SystemTime,
) -> StoreResult<PinVerdict> {
    let Some(pin) = roster.pin(unique_id).await? else { return Ok(PinVerdict::NoPin) };
    if !roster.count_try(unique_id, Tried::Pin, rules.bound, now).await? {
        return Ok(PinVerdict::Locked);
    }
    let verdict = compare(&pin, typed, now).await;
    if matches!(verdict, PinVerdict::Right | PinVerdict::MustChange) {
        roster.forget_tries(unique_id, Tried::Pin).await?;
    }
    Ok(verdict)
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

/// Changes a person's own PIN. Whoever calls this has seen the PIN of before, or another proof.
///
/// # Errors
/// When the store cannot be used; the PIN is then as it was.
pub async fn change(
    roster: &dyn Roster,
    unique_id: &str,
    new: &Secret,
    rules: &Rules,
    now: SystemTime,
) -> StoreResult<Result<(), Unfit>> {
    if !rules.own_change {
        return Ok(Err(Unfit::NotAllowed));
    }
    let Some(profile) = roster.profile(unique_id).await? else { return Ok(Err(Unfit::Nobody)) };
    let expires = rules.expires_after.and_then(|after| now.checked_add(after));
    set(roster, &profile, new, rules, (false, expires), "person").await
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
    let phones = [profile.person.phone.as_deref(), profile.backup_phone.as_deref()];
    let phones: Vec<&str> = phones.into_iter().flatten().collect();
    if let Some(why) = rules.unfit(new, &phones) {
        return Ok(Err(Unfit::Rule(why)));
    }
    let mut hashes: Vec<String> = roster.pin(unique_id).await?.into_iter().map(|pin| pin.hash).collect();
    let earlier = roster.earlier_pins(unique_id).await?;
    let history = usize::try_from(rules.history).unwrap_or(usize::MAX);
    hashes.extend(earlier.into_iter().take(history));
    let typed = new.duplicate();
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
