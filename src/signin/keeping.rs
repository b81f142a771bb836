//! Keeps sign-ins while their people read a challenge, finds them by the State of the next request, and sees to it that
//! those which nobody answers end, too.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::factor::Refusal;
use crate::signin::attempt::Attempt;
use crate::signin::challenge::{Challenge, Place};
use crate::signin::ending::Ending;
use crate::signin::moving;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{HoldKey, Lead, lock};
use crate::signin::reception::{SignIns, now};
use crate::signin::relayed::{self, Kept};

/// How often rounds that nobody answers are looked for, at least.
const SWEEP: Duration = Duration::from_secs(10);

/// How much later than its own end one is looked for that any node may have taken.
const LATER: Duration = Duration::from_secs(1);

/// A sign-in that waits.
pub(super) enum Waits {
    /// In this process.
    Here(Box<Ending>),
    /// In the user database, where any node finds it.
    Shared,
}

/// Keeps a sign-in until the answer to its challenge comes; what everybody who waits for it is told.
pub(super) async fn keep(
    sign_ins: &Arc<SignIns>,
    mut ending: Box<Ending>,
    (key, requests): (HoldKey, u32),
    challenge: Challenge,
) -> Arc<Outcome> {
    if challenge.relayed.is_some() {
        return relayed::keep(sign_ins, ending, (key, requests), challenge);
    }
    if let Some(round) = &mut ending.round {
        round.requests = requests;
    }
    let (Some(attempt), Some(round), Some(identified)) = (ending.attempt(), &ending.round, &ending.identified) else {
        return Arc::new(ending.finish(Outcome::Reject(Reason::Internal), requests));
    };
    let shared = sign_ins.deps.rounds.as_deref();
    let stays = shared.is_some() && !moving::can_move(&ending);
    let reference = sign_ins.states.reference(attempt.id, ending.trail.round);
    let state = sign_ins.states.state(reference, &attempt.client.name, stays);
    let outcome = Arc::new(Outcome::Challenge(Box::new(Challenge { state, ..challenge })));
    let person = sign_ins.people.hash_one(&identified.who.unique_id);
    let until = round.earlier.until;
    let again = now().checked_add(attempt.client.carry_over).unwrap_or(until);
    let mut place = Place { person, key, again, until };
    let room = lock(&sign_ins.rounds).has_room(person);
    let moved = match (room, shared) {
        (Err(reason), _) => Err(reason),
        (Ok(()), Some(shared)) if !stays => {
            moving::keep(shared, &ending, reference, sign_ins.deps.limits.held_per_person).await
        }
        (Ok(()), _) => Ok(false),
    };
    let waits = match moved {
        Err(reason) => return Arc::new(ending.finish(Outcome::Reject(reason), requests)),
        Ok(true) => {
            ending.joined();
            // The database counts it for its person, wherever it goes on.
            place.person = sign_ins.people.hash_one(reference.octets());
            place.until = until.checked_add(LATER).unwrap_or(until);
            Waits::Shared
        }
        Ok(false) => Waits::Here(ending),
    };
    lock(&sign_ins.rounds).keep(reference, waits, Arc::clone(&outcome), place);
    sweep(sign_ins);
    outcome
}

/// What the same request was told a moment ago, if that round still waits.
pub(super) async fn again(sign_ins: &SignIns, key: HoldKey) -> Option<Arc<Outcome>> {
    let (reference, said, is_shared) = {
        let rounds = lock(&sign_ins.rounds);
        let Some(said) = rounds.again(key, now()) else { return lock(&sign_ins.relays).again(key, now()) };
        let reference = rounds.leads_to(key)?;
        (reference, said, matches!(rounds.get(reference), Some(Waits::Shared)))
    };
    if let (true, Some(shared)) = (is_shared, &sign_ins.deps.rounds)
        && !moving::waits(shared, reference).await
    {
        // Another node has gone on with it.
        let _ = lock(&sign_ins.rounds).remove(reference);
        return None;
    }
    Some(said)
}

/// A sign-in that waits, with its requests so far.
type Counted = (Box<Ending>, u32);

/// A sign-in whose round has ended here; nothing where any node may have it.
fn counted(waits: Waits) -> Option<Counted> {
    match waits {
        Waits::Here(ending) => {
            let requests = requests(&ending);
            Some((ending, requests))
        }
        Waits::Shared => None,
    }
}

/// Requests of a sign-in that waits, so far.
fn requests(kept: &Ending) -> u32 {
    kept.round.as_ref().map_or(1, |round| round.requests)
}

/// Sees to it that rounds which nobody answers leave their event, by one task for all of them.
pub(super) fn sweep(sign_ins: &Arc<SignIns>) {
    if sign_ins.sweeping.swap(true, Ordering::AcqRel) {
        return;
    }
    let sign_ins = Arc::downgrade(sign_ins);
    tokio::spawn(async move {
        while let Some(sign_ins) = sign_ins.upgrade() {
            let over = match &sign_ins.deps.rounds {
                Some(shared) => moving::over(&sign_ins, shared).await,
                None => Vec::new(),
            };
            let (mut ended, next) = {
                let mut rounds = lock(&sign_ins.rounds);
                let mut relays = lock(&sign_ins.relays);
                let asked = std::iter::from_fn(|| rounds.expired(now())).filter_map(counted);
                let mut ended: Vec<Counted> = asked.collect();
                ended.extend(std::iter::from_fn(|| relays.expired(now())).map(Kept::counted));
                let next = rounds.next_end().into_iter().chain(relays.next_end()).min();
                if next.is_none() {
                    // Under the locks: whoever keeps a round after this starts another task.
                    sign_ins.sweeping.store(false, Ordering::Release);
                }
                (ended, next)
            };
            ended.extend(over.into_iter().filter_map(|ending| counted(Waits::Here(Box::new(ending)))));
            for (mut ending, requests) in ended {
                let reason = unanswered(&mut ending).await;
                let _ = ending.finish(Outcome::Reject(reason), requests);
            }
            drop(sign_ins);
            let Some(next) = next else { return };
            tokio::time::sleep_until(next.min(now() + SWEEP).into()).await;
        }
    });
}

/// Why a sign-in ends whose challenge nobody has answered in time: what its person has refused on the phone, if they have.
async fn unanswered(ending: &mut Ending) -> Reason {
    let prompting = ending.round.as_mut().and_then(|round| round.prompting.as_mut());
    let Some(open) = prompting else { return Reason::ChallengeExpired };
    let said = open.said().await;
    // Who has answered the prompt has not left it unanswered.
    ending.trail.prompt_open &= said.is_none();
    match said {
        Some(Err(refusal @ (Refusal::Denied | Refusal::Fraud))) => Reason::from_factor(refusal),
        _ => Reason::ChallengeExpired,
    }
}

/// Gives up every round that is here: the server is stopping. Other nodes may go on with the rest.
pub(super) fn give_up(sign_ins: &SignIns) {
    let kept = lock(&sign_ins.rounds).clear();
    let relayed = lock(&sign_ins.relays).clear().into_iter().map(Kept::counted);
    for (ending, requests) in kept.into_iter().filter_map(counted).chain(relayed) {
        let _ = ending.finish(Outcome::Reject(Reason::ShuttingDown), requests);
    }
}

/// Finds the round that the request's State is about, and goes on with its sign-in; what was typed.
pub(super) async fn resume(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let state = attempt.state.as_deref().ok_or(Reason::Internal)?;
    let (reference, stays) = sign_ins.states.judge(state, &attempt.client.name).ok_or(Reason::StateForeign)?;
    let typed = attempt.credential.as_ref().map(|typed| typed.open().to_vec()).unwrap_or_default();
    let here = {
        let mut rounds = lock(&sign_ins.rounds);
        match (rounds.get(reference), &sign_ins.deps.rounds) {
            (Some(Waits::Shared) | None, Some(_)) => {
                let _ = rounds.remove(reference);
                None
            }
            _ => {
                let is_theirs = |waits: &Waits| match waits {
                    Waits::Here(kept) => kept.attempt().is_some_and(|first| is_same(first, attempt)),
                    Waits::Shared => false,
                };
                Some(rounds.take(reference, now(), is_theirs)?)
            }
        }
    };
    let mut kept = match (here, &sign_ins.deps.rounds) {
        (Some(Waits::Here(kept)), _) => *kept,
        (_, Some(_)) if stays => return Err(Reason::StateElsewhere),
        (_, Some(shared)) => moving::take(sign_ins, shared, reference, attempt).await?,
        (_, None) => return Err(Reason::StateUsed),
    };
    let waited = kept.round.as_ref().map_or(Duration::ZERO, |round| now().saturating_duration_since(round.kept));
    kept.trail.taken.earlier.add(waited);
    lead.hold.served_before(requests(&kept));
    drop(ending.go_on(kept));
    Ok(typed.into())
}

/// Whether a further round is of the person who began: clients send the name again as it was typed.
pub(super) fn is_same(first: &Attempt, next: &Attempt) -> bool {
    first.name == next.name && first.door == next.door && Arc::ptr_eq(&first.client, &next.client)
}
