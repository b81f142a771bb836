//! What an answer of the second factor is followed by: the throttle hears of it, a fraud report blocks the person, an
//! approval is kept where it may be needed again.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::factor;
use crate::signin::caching;
use crate::signin::ending::Ending;
use crate::signin::flow::{Held, Known};
use crate::signin::measure::{self, About};
use crate::signin::nodes::{self, Ended};
use crate::signin::outcome::Reason;
use crate::signin::pending::{Lead, lock};
use crate::signin::policy;
use crate::signin::proof::{FactorApproved, SecondPassed};
use crate::signin::reception::{SignIns, now};
use crate::signin::rounds;
use crate::signin::route::Failed;
use crate::signin::together;
use crate::users::measures::MeasureKind;

/// Everything that follows the answer to what was asked from `began` on.
pub(super) async fn settle(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    known: &mut Known,
    began: Instant,
    answer: Result<FactorApproved, Failed>,
) -> Result<Held, Reason> {
    let who = Arc::clone(&known.who);
    let said = answer.as_ref().map(|_| ()).map_err(|failed| failed.refusal);
    let was_prompt = std::mem::take(&mut ending.trail.prompt_open);
    if was_prompt && said.is_err_and(factor::Refusal::is_not_sent) {
        lock(&sign_ins.throttle).not_sent(&who.unique_id);
    }
    let sign_in = ending.attempt().ok_or(Reason::Internal)?.id;
    let about = About { unique_id: &who.unique_id, name: &who.name, sign_in };
    let mut counts = match &answer {
        Err(failed) if failed.settled => true,
        _ => settle_prompt(sign_ins, about, began, said).await,
    };
    let carries = answer.as_ref().ok().and_then(|_| carries(ending, lead));
    let told = match &sign_ins.deps.nodes {
        None => None,
        Some(_) => {
            let said = answer.as_ref().map(FactorApproved::method).map_err(|failed| failed.refusal);
            let ended = Ended { said, counts, carried: carries };
            let asked = (ending.trail.method, ending.trail.provider.as_deref());
            Box::pin(nodes::ended(sign_ins, sign_in, asked, began, ended)).await
        }
    };
    counts &= told.is_none_or(|told| told.counts);
    match answer {
        Ok(_) if !counts => {
            ending.trail.factor = Some(Reason::Blocked.code());
            Err(Reason::Blocked)
        }
        Ok(approval) => {
            ending.trail.factor = Some(Reason::approved_how(&approval, ending.trail.fell_back));
            // A typed code is of one of several kinds.
            ending.trail.method = Some(approval.method());
            let approval = Arc::new(approval);
            let key = ending.identified.as_ref().ok_or(Reason::Internal)?.key;
            if let Some(until) = carries.filter(|_| told.is_none_or(|told| !told.is_found)) {
                sign_ins.pending.carry(key, Arc::clone(&approval), until, now());
            }
            remember(sign_ins, ending, &approval);
            if ending.trail.case.is_some() {
                Box::pin(caching::keep(sign_ins, ending, &who, &approval)).await;
            }
            Ok(Held::Passed(SecondPassed::Approved(approval)))
        }
        Err(failed) => {
            ending.trail.factor = Some(Reason::refused_how(failed.refusal));
            let attempt = ending.attempt().ok_or(Reason::Internal)?;
            let facts = known.facts(sign_ins, attempt, SystemTime::now());
            let exempted = match ending.trail.round {
                0 => policy::after_refusal(&attempt.client.policy, facts, &failed),
                // Not everybody of the list was asked in a further round: that one is away says nothing of the others.
                _ => Err(Reason::from_factor(failed.refusal)),
            };
            match exempted.map(SecondPassed::Exempt) {
                Err(reason) if known.can_ask => rounds::after(sign_ins, failed.refusal, known, &mut ending.trail)
                    .map(|asked| Held::Asks(Box::new(asked)))
                    .ok_or(reason),
                exempted => exempted.map(Held::Passed),
            }
        }
    }
}

/// What follows from a refusal that comes while its person, or whoever has their password, has a challenge to answer: done at
/// once, as nobody may ever answer that one.
pub(super) async fn refused_meanwhile(sign_ins: &Arc<SignIns>, about: About<'_>, began: Instant, failed: &mut Failed) {
    let refusal = failed.refusal;
    if !matches!(refusal, factor::Refusal::Denied | factor::Refusal::Fraud | factor::Refusal::WrongPin) {
        return;
    }
    let sign_in = about.sign_in;
    settle_prompt(sign_ins, about, began, Err(refusal)).await;
    let ended = Ended { said: Err(refusal), counts: false, carried: None };
    Box::pin(nodes::ended(sign_ins, sign_in, (None, None), began, ended)).await;
    failed.settled = true;
}

/// Counts a denial, or something wrong that was typed; after too many the person is locked out.
async fn count_refused(sign_ins: &Arc<SignIns>, about: About<'_>) {
    let here = lock(&sign_ins.throttle).refused(about.unique_id, now());
    if together::refused(sign_ins, about.unique_id, here).await {
        sign_ins.pending.forget_carried(Some(about.unique_id));
        measure::block(sign_ins, about, MeasureKind::Lockout).await;
    }
}

/// Counts a wrong PIN of whoever signs in.
pub(super) async fn count_wrong(sign_ins: &Arc<SignIns>, ending: &Ending) {
    let (Some(attempt), Some(identified)) = (ending.attempt(), &ending.identified) else { return };
    let (sign_in, who) = (attempt.id, Arc::clone(&identified.who));
    count_refused(sign_ins, About { unique_id: &who.unique_id, name: &who.name, sign_in }).await;
}

/// Tells the throttle, and after a fraud report blocks the person. False when an approval does not count,
/// because the person reported fraud while the prompt was open.
async fn settle_prompt(
    sign_ins: &Arc<SignIns>,
    about: About<'_>,
    began: Instant,
    answer: Result<(), factor::Refusal>,
) -> bool {
    let unique_id = about.unique_id;
    match answer {
        Ok(_) => {
            together::approved(sign_ins, unique_id);
            return lock(&sign_ins.throttle).approved(unique_id, began, now());
        }
        Err(refusal)
            if refusal.is_wrong_code() || matches!(refusal, factor::Refusal::Denied | factor::Refusal::WrongPin) =>
        {
            if refusal == factor::Refusal::Denied {
                lock(&sign_ins.throttle).denied(unique_id, now());
            }
            count_refused(sign_ins, about).await;
        }
        Err(factor::Refusal::Expired) => lock(&sign_ins.throttle).unanswered(unique_id, now()),
        Err(factor::Refusal::Fraud) => {
            lock(&sign_ins.throttle).fraud(unique_id, now());
            sign_ins.pending.forget_carried(Some(unique_id));
            measure::block(sign_ins, about, MeasureKind::Fraud).await;
        }
        Err(_) => {}
    }
    true
}

/// Until when an approval is kept for the client's retry, where the client may have given up before it came.
fn carries(ending: &Ending, lead: &Lead) -> Option<Instant> {
    let (attempt, now) = (ending.attempt()?, now());
    let silent_for = now.saturating_duration_since(lead.hold.last_asked());
    let has_given_up = silent_for >= attempt.client.gives_up_after && !attempt.client.carry_over.is_zero();
    has_given_up.then(|| now.checked_add(attempt.client.carry_over)).flatten()
}

/// Keeps an approval for further sign-ins where the client's section says so.
fn remember(sign_ins: &SignIns, ending: &Ending, approval: &Arc<FactorApproved>) {
    let (Some(attempt), Some(identified)) = (ending.attempt(), &ending.identified) else { return };
    if let Some(reuse) = attempt.reuse() {
        sign_ins.pending.remember(identified.key, Arc::clone(approval), reuse, now());
    }
}
