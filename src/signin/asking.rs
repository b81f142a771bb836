//! What is asked of a person, put together; and what need not be asked, as it was approved a moment ago.

use std::sync::Arc;

use crate::factor::{FactorApproved, Given, Refusal, Tell};
use crate::secret::Secret;
use crate::signin::attempt::Attempt;
use crate::signin::ending::Ending;
use crate::signin::flow::{Known, prompt_end};
use crate::signin::outcome::Reason;
use crate::signin::passcode::Typed;
use crate::signin::policy;
use crate::signin::proof::SecondPassed;
use crate::signin::reception::{SignIns, now};
use crate::signin::route::{Asking, Failed};
use crate::users::model::Method;

/// An approval that was kept for this sign-in. A further round has none: its first one would have taken it.
pub(super) fn kept_approval(
    sign_ins: &SignIns,
    ending: &mut Ending,
    known: &Known,
) -> Result<Option<SecondPassed>, Reason> {
    if ending.trail.round > 0 {
        return Ok(None);
    }
    let key = ending.identified.as_ref().ok_or(Reason::Internal)?.key;
    if let Some(approval) = sign_ins.pending.take_carried(key, now()) {
        ending.trail.factor = Some("carried_over");
        ending.trail.method = Some(approval.method());
        return Ok(Some(SecondPassed::Approved(approval)));
    }
    if let Some(approval) = sign_ins.pending.take_remembered(key, now()) {
        ending.trail.factor = Some("remembered");
        ending.trail.method = Some(approval.method());
        return policy::remembered(&known.who, &approval).map(SecondPassed::Exempt).map(Some);
    }
    Ok(None)
}

/// What the person reads of an answer at a client that shows it with a refusal: what the provider says; else, where nobody
/// could be asked or answered, and a code could have been typed, that one would help.
pub(super) fn left_to_read(
    tell: Option<Tell>,
    takes_code: bool,
    answer: &Result<FactorApproved, Failed>,
) -> Option<String> {
    let tell = tell?;
    let helps = |refusal| {
        use Refusal::{Expired, Garbled, Lost, NotThisWay, Undeliverable, Unreachable};
        matches!(refusal, Undeliverable | Expired | NotThisWay | Unreachable(_) | Lost | Garbled)
    };
    if takes_code && answer.as_ref().is_err_and(|failed| helps(failed.refusal)) {
        tell.code_instead();
    }
    tell.take()
}

/// What is asked of this person.
pub(super) fn asking(
    sign_ins: &SignIns,
    attempt: &Attempt,
    typed: Option<Box<Typed>>,
    round: u8,
    known: &mut Known,
) -> Result<Box<Asking>, Reason> {
    let client = &attempt.client;
    let device = typed.as_deref().and_then(Typed::device);
    let code = match typed.map(|typed| *typed) {
        Some(Typed::Code(code) | Typed::Sent(code, _)) => Some(code),
        Some(Typed::Word(_)) | None => None,
    };
    let given = (known.more.is_some() || known.can_ask).then(|| {
        let (can_ask, more) = (known.can_ask, known.more());
        more.code = code.as_ref().filter(|_| can_ask).map(Secret::duplicate);
        Box::new(Given { pin: more.pin.clone(), before: more.before.take(), can_ask })
    });
    let asks_a_number =
        known.steps.iter().any(|step| step.methods.iter().any(|way| matches!(way, Method::Call | Method::SmsReply)));
    // What is known of the person is not needed while they look for their phone.
    let person = known.person.take().ok_or(Reason::Internal)?;
    // Where there are challenges, a text can be shown while a prompt is open; elsewhere only with its answer.
    let shows = attempt.challenges().is_some();
    let tell = (shows || client.shows_texts && !attempt.is_eap())
        .then(|| Tell::speaking(attempt.texts(&sign_ins.deps.texts), &person.language, shows));
    Ok(Box::new(Asking {
        sign_in: attempt.id.of_round(round),
        person,
        code,
        application: client.application.as_str().into(),
        person_address: attempt.person_address,
        deadline: prompt_end(attempt.deadline()),
        device,
        number_matching: client.number_matching,
        can_type: client.passcode.is_some() && !attempt.is_eap() || shows,
        tell,
        given,
        roster: asks_a_number.then(|| sign_ins.deps.pins.as_ref().map(|pins| Arc::clone(&pins.roster))).flatten(),
    }))
}
