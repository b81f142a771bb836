//! Wrong passwords and refusals, counted together by nodes that share a database.
//!
//! ```text
//! nobody knows of a wrong one ── the try is free ── wrong? counted afterwards
//! one was wrong lately, here or elsewhere, or is under way ── counted before the directory is asked; too many: it is not
//! ```
//!
//! A right password of somebody who was not wrong lately writes nothing and waits for nothing: who was wrong lately is read
//! at most twice a second, for everybody. Only the free tries are counted late, and each node has one of them at a time: of N
//! nodes the directory hears at most N - 1 wrong passwords more than the bound. Where the database does not answer, whoever
//! was wrong is not tried at all.
//!
//! The last try is kept for who comes from where they have come in before, through whatever node: the audit knows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use crate::signin::outcome::Reason;
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::throttle::{Guess, Permit};
use crate::users::store::StoreResult;
use crate::users::tries::SharedTries;
use crate::users::typed::{Bound, Tried};

/// How old may be what is known of the others before it is looked at again, and before somebody waits for that.
const LOOK_AFTER: Duration = Duration::from_millis(500);
const TOO_OLD: Duration = Duration::from_secs(3);

/// How long the database has.
const PATIENCE: Duration = Duration::from_secs(2);

/// After that long the others know of what was counted here, and what they have forgiven counts here.
const SETTLED: Duration = PATIENCE;

/// How far back the audit is asked from where somebody has come in.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Who was wrong lately, as of a moment ago.
#[derive(Debug, Default)]
pub(super) struct Together {
    seen: Mutex<Option<Seen>>,
    looking: AtomicBool,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    wrong: HashMap<String, Wrong>,
}

/// How often somebody was wrong in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Wrong {
    passwords: u32,
    refusals: u32,
}

impl Wrong {
    fn of(&mut self, what: Tried) -> &mut u32 {
        match what {
            Tried::Refusal => &mut self.refusals,
            Tried::Password | Tried::Code | Tried::Pin => &mut self.passwords,
        }
    }
}

impl Together {
    /// What is known, and how old that is.
    fn known(&self, unique_id: &str, now: Instant) -> Option<(Duration, Wrong)> {
        let seen = lock(&self.seen);
        let seen = seen.as_ref()?;
        let wrong = seen.wrong.get(unique_id).copied().unwrap_or_default();
        Some((now.saturating_duration_since(seen.at), wrong))
    }

    /// Notes what this node has just counted itself.
    fn note(&self, unique_id: &str, what: Tried) {
        if let Some(seen) = lock(&self.seen).as_mut() {
            let wrong = seen.wrong.entry(unique_id.to_owned()).or_default().of(what);
            *wrong = wrong.saturating_add(1);
        }
    }

    fn forget(&self, unique_id: &str, what: Tried) {
        if let Some(wrong) = lock(&self.seen).as_mut().and_then(|seen| seen.wrong.get_mut(unique_id)) {
            *wrong.of(what) = 0;
        }
    }
}

/// Looks who was wrong lately, on all nodes.
async fn look(sign_ins: &SignIns, tries: &dyn SharedTries) -> Result<(), Reason> {
    let bounds = &sign_ins.deps.throttle;
    let reset = bounds.lockout.map_or(Duration::ZERO, |lockout| lockout.reset);
    let since = SystemTime::now().checked_sub(bounds.window.max(reset)).unwrap_or(SystemTime::UNIX_EPOCH);
    let at = now();
    let lately = in_time(tries.wrong_lately(since)).await?;
    let mut wrong: HashMap<String, Wrong> = HashMap::with_capacity(lately.len());
    for one in lately {
        *wrong.entry(one.unique_id).or_default().of(one.what) = one.wrong;
    }
    *lock(&sign_ins.together.seen) = Some(Seen { at, wrong });
    Ok(())
}

/// How often the person was wrong lately. Waits only where nothing is known that is of use.
async fn wrong_lately(sign_ins: &Arc<SignIns>, tries: &dyn SharedTries, unique_id: &str) -> Result<Wrong, Reason> {
    let known = sign_ins.together.known(unique_id, now());
    if let Some((age, wrong)) = known
        && age < TOO_OLD
    {
        if age >= LOOK_AFTER && !sign_ins.together.looking.swap(true, Ordering::AcqRel) {
            let sign_ins = Arc::clone(sign_ins);
            tokio::spawn(async move {
                if let Some(tries) = sign_ins.deps.store.shared_tries() {
                    // Whoever finds nothing that is of use hears of it.
                    let _ = look(&sign_ins, tries).await;
                }
                sign_ins.together.looking.store(false, Ordering::Release);
            });
        }
        return Ok(wrong);
    }
    look(sign_ins, tries).await?;
    Ok(sign_ins.together.known(unique_id, now()).map(|(_, wrong)| wrong).unwrap_or_default())
}

async fn in_time<T>(asked: impl Future<Output = StoreResult<T>>) -> Result<T, Reason> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => {
            tracing::error!(%error, "wrong passwords cannot be counted for all nodes");
            Err(Reason::StoreUnavailable)
        }
        Err(_) => {
            tracing::error!("the database does not count wrong passwords in time");
            Err(Reason::StoreUnavailable)
        }
    }
}

/// Forgives what is counted here of somebody whom the others have forgiven since: they have come in elsewhere.
pub(super) async fn reconcile(sign_ins: &SignIns, unique_id: &str) {
    let Some(tries) = sign_ins.deps.store.shared_tries() else { return };
    let Some(settled) = lock(&sign_ins.throttle).last_failure(unique_id).and_then(|last| last.checked_add(SETTLED))
    else {
        return;
    };
    if now() <= settled {
        return;
    }
    let is_new = lock(&sign_ins.together.seen).as_ref().is_some_and(|seen| settled < seen.at);
    // Where nobody can say, what is counted here stays.
    if !is_new && look(sign_ins, tries).await.is_err() {
        return;
    }
    if sign_ins.together.known(unique_id, now()).is_some_and(|(_, wrong)| wrong.passwords == 0) {
        lock(&sign_ins.throttle).forgive(unique_id, settled);
    }
}

/// Leave of all nodes to try a password.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leave {
    /// There are no other nodes.
    Alone,
    /// It is counted if it turns out to be wrong.
    Free,
    /// It is counted; and so many were known before.
    Counted(u32),
}

/// Asks for it, once this node has given its own.
///
/// # Errors
/// [`Reason::ThrottledPerson`], or [`Reason::StoreUnavailable`] where it cannot be counted.
pub(super) async fn admit(
    sign_ins: &Arc<SignIns>,
    unique_id: &str,
    source: Option<IpAddr>,
    permit: Permit,
) -> Result<Leave, Reason> {
    let Some(tries) = sign_ins.deps.store.shared_tries() else { return Ok(Leave::Alone) };
    let known = wrong_lately(sign_ins, tries, unique_id).await?.passwords;
    if permit.is_first() {
        if known == 0 {
            return Ok(Leave::Free);
        }
        // It is counted below.
        lock(&sign_ins.throttle).heard(unique_id);
    }
    let bounds = &sign_ins.deps.throttle;
    // One that is not counted yet takes its place here.
    let uncounted = u32::from(lock(&sign_ins.throttle).has_unheard(unique_id));
    let count = async |most: u32| {
        let bound = Bound { tries: most.saturating_sub(uncounted), locked_for: bounds.window };
        if bound.tries == 0 {
            return Ok(false);
        }
        in_time(tries.count_try(unique_id, Tried::Password, bound, SystemTime::now())).await
    };
    let most = bounds.failures_per_person;
    let of_anybody = most.saturating_sub(1).max(1);
    if count(of_anybody).await? {
        return Ok(Leave::Counted(known));
    }
    let since = SystemTime::now().checked_sub(REMEMBERED).unwrap_or(SystemTime::UNIX_EPOCH);
    let is_home = permit.is_at_home() || {
        let from = in_time(tries.come_from(unique_id, source, since)).await?;
        from.here || !from.anywhere
    };
    if is_home && most > of_anybody && count(most).await? {
        return Ok(Leave::Counted(known));
    }
    Err(Reason::ThrottledPerson)
}

/// What [`admit`] would say, counting nothing; and how many wrong passwords of the person all nodes know of.
///
/// # Errors
/// As there.
pub(super) async fn would_admit(sign_ins: &SignIns, unique_id: &str, source: Option<IpAddr>) -> Result<u32, Reason> {
    let Some(tries) = sign_ins.deps.store.shared_tries() else { return Ok(0) };
    look(sign_ins, tries).await?;
    let known = sign_ins.together.known(unique_id, now()).map_or(0, |(_, wrong)| wrong.passwords);
    let most = sign_ins.deps.throttle.failures_per_person;
    if known < most.saturating_sub(1).max(1) {
        return Ok(known);
    }
    let since = SystemTime::now().checked_sub(REMEMBERED).unwrap_or(SystemTime::UNIX_EPOCH);
    let from = in_time(tries.come_from(unique_id, source, since)).await?;
    if known < most && (from.here || !from.anywhere) { Ok(known) } else { Err(Reason::ThrottledPerson) }
}

/// Tells the others what became of it, in a task of its own, so that it is done also where nobody waits any more. `counts`:
/// whether this node has counted it as wrong.
pub(super) fn settle(
    sign_ins: &Arc<SignIns>,
    unique_id: &str,
    leave: Leave,
    guess: Guess,
    counts: bool,
) -> Option<JoinHandle<()>> {
    let right = guess == Guess::Right;
    match (leave, counts) {
        (Leave::Alone, _) => return None,
        (Leave::Free, false) => {
            lock(&sign_ins.throttle).heard(unique_id);
            return None;
        }
        (Leave::Free, true) => sign_ins.together.note(unique_id, Tried::Password),
        (Leave::Counted(_), true) => {
            sign_ins.together.note(unique_id, Tried::Password);
            return None;
        }
        (Leave::Counted(_), false) if right => sign_ins.together.forget(unique_id, Tried::Password),
        (Leave::Counted(_), false) => {}
    }
    let (sign_ins, unique_id) = (Arc::clone(sign_ins), unique_id.to_owned());
    // Without a runtime the process is ending, and its sign-ins have no answer.
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    Some(runtime.spawn(async move {
        let Some(tries) = sign_ins.deps.store.shared_tries() else { return };
        let bound = Bound { tries: u32::MAX, locked_for: sign_ins.deps.throttle.window };
        let told = match leave {
            Leave::Alone => Ok(()),
            Leave::Free => {
                in_time(tries.count_try(&unique_id, Tried::Password, bound, SystemTime::now())).await.map(|_| ())
            }
            Leave::Counted(known) if right => {
                in_time(tries.forgive_tries(&unique_id, Tried::Password, known.saturating_add(1))).await
            }
            Leave::Counted(_) => in_time(tries.uncount_try(&unique_id, Tried::Password)).await,
        };
        if told.is_ok() && matches!(leave, Leave::Free) {
            lock(&sign_ins.throttle).heard(&unique_id);
        }
        if told.is_err() {
            // What they have not heard of keeps its place here until the window is over.
            tracing::warn!(unique_id, "the other nodes have not heard of a try of a password");
        }
    }))
}

/// The person said no, or typed a wrong code. Whether that was once too often, over all nodes; `here`: on this one.
pub(super) async fn refused(sign_ins: &SignIns, unique_id: &str, here: bool) -> bool {
    let (Some(tries), Some(lockout)) = (sign_ins.deps.store.shared_tries(), sign_ins.deps.throttle.lockout) else {
        return here;
    };
    let bound = Bound { tries: lockout.after.saturating_sub(1), locked_for: lockout.reset };
    let counted = async || in_time(tries.count_try(unique_id, Tried::Refusal, bound, SystemTime::now())).await;
    // Where the others cannot be told, what is counted here has to do.
    let is_over = bound.tries == 0 || counted().await.map_or(here, |may_go_on| !may_go_on);
    if is_over {
        sign_ins.together.forget(unique_id, Tried::Refusal);
        let _ = in_time(tries.forget_tries(unique_id, Tried::Refusal)).await;
    } else {
        sign_ins.together.note(unique_id, Tried::Refusal);
    }
    is_over
}

/// The person approved: refusals are counted anew, where there were any.
pub(super) fn approved(sign_ins: &Arc<SignIns>, unique_id: &str) {
    let known = sign_ins.together.known(unique_id, now());
    if known.is_none_or(|(_, wrong)| wrong.refusals == 0) {
        return;
    }
    sign_ins.together.forget(unique_id, Tried::Refusal);
    let (sign_ins, unique_id) = (Arc::clone(sign_ins), unique_id.to_owned());
    tokio::spawn(async move {
        if let Some(tries) = sign_ins.deps.store.shared_tries() {
            let _ = in_time(tries.forget_tries(&unique_id, Tried::Refusal)).await;
        }
    });
}
