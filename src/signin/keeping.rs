//! Keeps sign-ins while their people read a challenge, finds them by the State of the next request, and sees to it that
//! those which nobody answers end, too.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::signin::attempt::Attempt;
use crate::signin::challenge::{Challenge, Place};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{HoldKey, Lead, lock};
use crate::signin::reception::{Ending, SignIns, now};

/// How often rounds that nobody answers are looked for, at least.
const SWEEP: Duration = Duration::from_secs(10);

/// Keeps a sign-in until the answer to its challenge comes; what everybody who waits for it is told.
pub(super) fn keep(
    sign_ins: &Arc<SignIns>,
    mut ending: Box<Ending>,
    (key, requests): (HoldKey, u32),
    challenge: Challenge,
) -> Arc<Outcome> {
    if let Some(round) = &mut ending.round {
        round.requests = requests;
    }
    let (Some(attempt), Some(round), Some(identified)) = (ending.attempt(), &ending.round, &ending.identified) else {
        return Arc::new(ending.finish(Outcome::Reject(Reason::Internal), requests));
    };
    let reference = sign_ins.states.reference(attempt.id, ending.trail.round);
    let state = sign_ins.states.state(reference, &attempt.client.name);
    let outcome = Arc::new(Outcome::Challenge(Box::new(Challenge { state, ..challenge })));
    let person = sign_ins.people.hash_one(&identified.who.unique_id);
    let again = now().checked_add(attempt.client.carry_over).unwrap_or(round.earlier.until);
    let place = Place { person, key, again, until: round.earlier.until };
    let mut rounds = lock(&sign_ins.rounds);
    if let Err(reason) = rounds.has_room(person) {
        drop(rounds);
        return Arc::new(ending.finish(Outcome::Reject(reason), requests));
    }
    rounds.keep(reference, ending, Arc::clone(&outcome), place);
    drop(rounds);
    sweep(sign_ins);
    outcome
}

/// Requests of a sign-in that waits, so far.
fn requests(kept: &Ending) -> u32 {
    kept.round.as_ref().map_or(1, |round| round.requests)
}

/// Sees to it that rounds which nobody answers leave their event, by one task for all of them.
fn sweep(sign_ins: &Arc<SignIns>) {
    if sign_ins.sweeping.swap(true, Ordering::AcqRel) {
        return;
    }
    let sign_ins = Arc::downgrade(sign_ins);
    tokio::spawn(async move {
        while let Some(sign_ins) = sign_ins.upgrade() {
            let (ended, next) = {
                let mut rounds = lock(&sign_ins.rounds);
                let ended: Vec<Box<Ending>> = std::iter::from_fn(|| rounds.expired(now())).collect();
                let next = rounds.next_end();
                if next.is_none() {
                    // Under the lock: whoever keeps a round after this starts another task.
                    sign_ins.sweeping.store(false, Ordering::Release);
                }
                (ended, next)
            };
            for ending in ended {
                let requests = requests(&ending);
                let _ = ending.finish(Outcome::Reject(Reason::ChallengeExpired), requests);
            }
            drop(sign_ins);
            let Some(next) = next else { return };
            tokio::time::sleep_until(next.min(now() + SWEEP).into()).await;
        }
    });
}

/// Gives up every round: the server is stopping.
pub(super) fn give_up(sign_ins: &SignIns) {
    let kept = lock(&sign_ins.rounds).clear();
    for ending in kept {
        let requests = requests(&ending);
        let _ = ending.finish(Outcome::Reject(Reason::ShuttingDown), requests);
    }
}

/// Finds the round that the request's State is about, and goes on with its sign-in; what was typed.
pub(super) fn resume(sign_ins: &SignIns, ending: &mut Ending, lead: &Lead) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let state = attempt.state.as_deref().ok_or(Reason::Internal)?;
    let reference = sign_ins.states.judge(state, &attempt.client.name).ok_or(Reason::StateForeign)?;
    let typed = attempt.credential.as_ref().map(|typed| typed.open().to_vec()).unwrap_or_default();
    let mut kept = lock(&sign_ins.rounds)
        .take(reference, now(), |kept| kept.attempt().is_some_and(|first| is_same(first, attempt)))?;
    let waited = kept.round.as_ref().map_or(Duration::ZERO, |round| now().saturating_duration_since(round.kept));
    kept.trail.steps.total += waited;
    lead.hold.served_before(requests(&kept));
    ending.go_on(*kept);
    Ok(typed.into())
}

/// Whether a further round is of the person who began: clients send the name again as it was typed.
fn is_same(first: &Attempt, next: &Attempt) -> bool {
    first.name == next.name && first.door == next.door && Arc::ptr_eq(&first.client, &next.client)
}
