//! Rounds of a RADIUS target: EAP, and whatever else a target asks for by an Access-Challenge.
//!
//! ```text
//! client ─ request ─▶ target ─ Access-Challenge, its State ─▶ kept here ─▶ client, with a State of ours
//! client ─ request, State of ours ─▶ the same server, its State ─▶ … ─▶ Access-Accept: the first proof is there,
//!                                                                       and the sign-in goes on to the second
//! ```
//!
//! Nothing is proven before the target's final Access-Accept, and nobody is prompted before. A State of ours is good
//! once, for a while, for the client and the name that it was given to; the target's own never leaves. All rounds
//! go to the server that began, as no other knows its State, and stay on this node. Within EAP it is the target alone that
//! says who it is, in its last word.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::primary::{Answered, Finding, Handed, PrimaryPassed, Refusal};
use crate::signin::attempt::Attempt;
use crate::signin::challenge::{self, Challenge, Place, Relayed};
use crate::signin::ending::{Ending, Identified};
use crate::signin::flow;
use crate::signin::keeping;
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::pending::sharing::Shared;
use crate::signin::pending::{HoldKey, Lead, lock};
use crate::signin::proof::SecondPassed;
use crate::signin::reception::{SignIns, now};
use crate::signin::replies;
use crate::signin::trying::{self, Admission, Checked};

/// How long a round of EAP may take, which no person answers. FreeRADIUS forgets its own after as long.
const LASTS: Duration = Duration::from_secs(60);

/// How long all rounds of a sign-in with its target may take.
const WHOLE: Duration = Duration::from_secs(600);

/// Rounds of a sign-in with its target, at most. TLS with long chains of certificates takes some thirty.
const MOST: u8 = 100;

/// Sign-ins that wait for the next round with their target, at most, each with the target's last word (4 KiB at most).
pub(super) const MOST_OPEN: usize = 32_768;

/// Of them through one client: one that opens more and more takes no place from the others.
pub(super) const MOST_OPEN_PER_CLIENT: usize = 8_192;

/// Octets of an Access-Challenge's State attribute.
const STATE: usize = challenge::STATE + 2;

/// A sign-in that waits for its next round with the target.
pub(super) struct Kept {
    ending: Box<Ending>,
    earlier: Earlier,
    /// Requests so far.
    requests: u32,
}

impl Kept {
    /// The sign-in, and its requests so far.
    pub(super) fn counted(self) -> (Box<Ending>, u32) {
        (self.ending, self.requests)
    }
}

/// What is known of the round with the target before.
pub(super) struct Earlier {
    server: usize,
    state: Option<Box<[u8]>>,
    round: u8,
    began: Instant,
}

/// Whether a request is a round with the target.
pub(super) fn concerns(sign_ins: &SignIns, attempt: &Attempt) -> bool {
    let is_open = |state: &[u8]| {
        let reference = sign_ins.states.judge(state, &attempt.client.name);
        reference.is_some_and(|(reference, _)| lock(&sign_ins.relays).is_open(reference))
    };
    attempt.is_eap() || attempt.state.as_deref().is_some_and(is_open)
}

/// The key and the number of the person under which a round is found while it runs: a repetition under another
/// identifier meets it.
pub(super) fn round(sign_ins: &SignIns, attempt: &Attempt, state: Option<&[u8]>, proof: &[u8]) -> (HoldKey, u64) {
    // Two devices may begin with the same octets; nothing tells them from one that begins twice.
    let state = state.unwrap_or(attempt.id.octets());
    let key = sign_ins.pending.round_key(attempt, state, proof);
    let person = match attempt.is_eap() {
        // Many may have the same outer name.
        true => sign_ins.people.hash_one((&attempt.client.name, device(attempt))),
        false => sign_ins.people.hash_one(&attempt.name),
    };
    (key, person)
}

/// What tells the person's device from others: its address, or for want of one the sign-in itself.
fn device(attempt: &Attempt) -> &[u8] {
    attempt.station.as_deref().filter(|station| !station.is_empty()).unwrap_or(attempt.id.octets())
}

/// A round of a sign-in with its target.
pub(super) async fn next(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Checked, Reason> {
    let earlier = resume(sign_ins, ending, lead)?;
    let began = now();
    let checked = Box::pin(hand_on(sign_ins, ending, earlier.as_ref())).await;
    ending.leave_directory();
    ending.trail.taken.primary.add(now().saturating_duration_since(began));
    let primary = match checked? {
        Ok(primary) => primary,
        Err(answered) if answered.finding == Finding::Wrong(Refusal::AsksMore) => {
            return asks(ending, answered, earlier.as_ref()).map(Checked::Says);
        }
        Err(answered) => {
            ending.forget_credential();
            return Err(trying::refused(ending, &answered.finding));
        }
    };
    ending.trail.primary = Some(Ok(()));
    if ending.attempt().is_some_and(Attempt::is_eap) {
        return named(sign_ins, ending, lead, primary).await.map(Checked::Says);
    }
    ending.forget_credential();
    Ok(Checked::Passed(primary))
}

/// Finds the sign-in that the request goes on with. Nothing where it begins one.
fn resume(sign_ins: &SignIns, ending: &mut Ending, lead: &Lead) -> Result<Option<Earlier>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let Some(state) = attempt.state.as_deref() else { return Ok(None) };
    let (reference, _) = sign_ins.states.judge(state, &attempt.client.name).ok_or(Reason::StateForeign)?;
    let is_same = |first: &Attempt| keeping::is_same(first, attempt) && first.is_eap() == attempt.is_eap();
    let Kept { ending: mut kept, earlier, requests } =
        lock(&sign_ins.relays).take(reference, now(), |kept| kept.ending.attempt().is_some_and(is_same))?;
    let before = kept.attempt().map_or_else(now, |first| first.received);
    kept.trail.taken.earlier.add(now().saturating_duration_since(before));
    kept.trail.at_directory = std::mem::take(&mut ending.trail.at_directory);
    lead.hold.served_before(requests);
    let brought = ending.go_on(*kept);
    ending.renew(brought.ok_or(Reason::Internal)?);
    Ok(Some(earlier))
}

/// One exchange with the target. What it refuses within EAP is counted against the device: the name there is anybody's.
async fn hand_on(
    sign_ins: &Arc<SignIns>,
    ending: &Ending,
    earlier: Option<&Earlier>,
) -> Result<Result<PrimaryPassed, Answered>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let request = attempt.onward.as_deref().ok_or(Reason::NoPassword)?;
    let proof = attempt.proof().map_err(Reason::from_unusable)?;
    let who = ending.identified.as_ref().map(|identified| &identified.who);
    let counted = match who {
        Some(who) => who.unique_id.clone(),
        None => format!("eap:{}:{}", attempt.client.name, device(attempt).escape_ascii()),
    };
    let round = earlier.map(|earlier| (earlier.server, earlier.state.as_deref()));
    let handed = Handed { request, password: Some(proof.secret()), round };
    trying::hand_on(sign_ins, attempt, (who, &counted), (handed, proof.secret())).await
}

/// Goes on with somebody whom the target has named. Where their device has begun again while their prompt is out, that
/// prompt is enough.
async fn named(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    primary: PrimaryPassed,
) -> Result<Outcome, Reason> {
    let who = Arc::clone(primary.who());
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let proof = attempt.proof().map_err(Reason::from_unusable)?;
    // Whoever has failed too often as this person stays out, as with a password.
    Admission::new(sign_ins, attempt, &who.unique_id, proof.secret()).await?.settle(None).await;
    let key = sign_ins.pending.key(attempt, &who.unique_id, device(attempt));
    let shared = sign_ins.pending.share(key, lead, attempt);
    ending.identified = Some(Identified { who, key });
    ending.forget_credential();
    let primary = match replies::are_due(ending) {
        true => replies::add(sign_ins, ending, primary).await?,
        false => primary,
    };
    let waiting = match shared {
        Shared::Joins(waiting) => waiting,
        Shared::Leads(_found) => return flow::second(sign_ins, ending, lead, primary).await,
    };
    match &*waiting.outcome().await {
        Outcome::Accept(accept) => match accept.second() {
            SecondPassed::Approved(approval) => {
                ending.trail.factor = Some("carried_over");
                ending.trail.method = Some(approval.method());
                let second = SecondPassed::Approved(Arc::clone(approval));
                Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
            }
            SecondPassed::Exempt(_) => flow::second(sign_ins, ending, lead, primary).await,
        },
        Outcome::Reject(reason) | Outcome::Explained { reason, .. } | Outcome::Discard(reason) => Err(*reason),
        Outcome::Challenge(_) => Err(Reason::Internal),
    }
}

/// Makes a challenge of the target's own, and of the sign-in one that waits for its answer.
///
/// # Errors
/// Why the client cannot have it.
pub(super) fn asks(ending: &Ending, answered: Answered, earlier: Option<&Earlier>) -> Result<Outcome, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let lasts = match (attempt.is_eap(), attempt.client.challenge) {
        // Nobody could answer a gateway's.
        _ if attempt.connection.is_some() => return Err(Reason::TargetAsksMore),
        (true, _) => LASTS,
        (false, Some(rule)) => rule.within,
        (false, None) => return Err(Reason::TargetAsksMore),
    };
    let request = attempt.onward.as_deref().ok_or(Reason::Internal)?;
    let said = answered.said.ok_or(Reason::Internal)?;
    if said.length() + STATE > request.room() {
        return Err(Reason::DirectoryGarbled);
    }
    let now = now();
    let (rounds, began) = earlier.map_or((0, now), |earlier| (earlier.round, earlier.began));
    let until = now.checked_add(lasts).unwrap_or(now).min(began.checked_add(WHOLE).unwrap_or(now));
    if rounds >= MOST || until <= now {
        return Err(Reason::TargetAsksMore);
    }
    let relayed = Some(Box::new(Relayed { said, server: answered.server, round: rounds + 1, began, until }));
    let (text, state) = (Box::default(), Box::default());
    Ok(Outcome::Challenge(Box::new(Challenge { text, state, hidden: false, relayed })))
}

/// Keeps a sign-in until the next round with its target comes; what everybody who waits for it is told.
pub(super) fn keep(
    sign_ins: &Arc<SignIns>,
    mut ending: Box<Ending>,
    (key, requests): (HoldKey, u32),
    challenge: Challenge,
) -> Arc<Outcome> {
    ending.leave_directory();
    ending.forget_credential();
    let (Some(attempt), Some(relayed)) = (ending.attempt(), &challenge.relayed) else {
        return Arc::new(ending.finish(Outcome::Reject(Reason::Internal), requests));
    };
    let Relayed { said, server, round, began, until } = &**relayed;
    let (round, until) = (*round, *until);
    let earlier = Earlier { server: *server, state: said.state().map(Into::into), round, began: *began };
    let reference = sign_ins.states.relayed(attempt.id, round);
    let state = sign_ins.states.state(reference, &attempt.client.name, sign_ins.deps.rounds.is_some());
    let outcome = Arc::new(Outcome::Challenge(Box::new(Challenge { state, ..challenge })));
    let again = match attempt.is_eap() {
        true => until,
        false => now().checked_add(attempt.client.carry_over).unwrap_or(until),
    };
    let client = sign_ins.people.hash_one(&attempt.client.name);
    let mut relays = lock(&sign_ins.relays);
    if relays.has_room(client).is_err() {
        drop(relays);
        return Arc::new(ending.finish(Outcome::Reject(Reason::Overloaded), requests));
    }
    let kept = Kept { ending, earlier, requests };
    relays.keep(reference, kept, Arc::clone(&outcome), Place { person: client, key, again, until });
    drop(relays);
    keeping::sweep(sign_ins);
    outcome
}
