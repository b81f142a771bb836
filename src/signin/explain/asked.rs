//! What would be asked of the person first.

use std::time::SystemTime;

use super::End;
use crate::factor;
use crate::signin::attempt::Attempt;
use crate::signin::flow::Known;
use crate::signin::outcome::Reason;
use crate::signin::pinning;
use crate::signin::policy;
use crate::signin::reception::SignIns;
use crate::signin::route::Failed;
use crate::users::model::Method;

/// Who would be asked first, of those that are in use; where none is, what the client's rule makes of it. With `pin` the PIN
/// was typed behind the password, and is taken as right.
///
/// # Errors
/// Why nobody would be.
pub(super) async fn ask(
    sign_ins: &SignIns,
    attempt: &Attempt,
    known: &Known,
    (at, pin): (SystemTime, bool),
) -> Result<End, Reason> {
    if !pin && pinning::comes_first(sign_ins, known).await? {
        return Ok(End::challenge("the client would be sent a challenge: the PIN, before anybody is asked".into()));
    }
    let mut failed = Failed::nobody();
    for step in &known.steps {
        let method = step.methods.first().ok_or(Reason::Internal)?;
        let owes = |what: fn(&dyn factor::Factor, &_, _, _) -> bool| {
            let person = known.person.as_deref();
            person.is_some_and(|person| what(step.provider.as_ref(), person, *method, pin || known.pin().is_some()))
        };
        // That is seen before anybody finds out whether the provider is there.
        if owes(factor::lacks_pin) {
            return Err(Reason::NeedsPin);
        }
        let Some(class) = step.provider.out_of_use() else {
            let by = step.provider.name();
            return Ok(match method {
                Method::Oath | Method::BackupCode | Method::TemporaryCode => {
                    End { end: "check_code", reason: None, text: format!("{by} would check the typed code") }
                }
                method if known.can_ask && step.provider.sends_code(*method) => {
                    End::challenge(format!("{by} would send a code by {method} and the client be sent a challenge"))
                }
                method => {
                    let pin = if owes(factor::owes_pin) { ", and for the PIN on the phone" } else { "" };
                    let beside = attempt.client.challenge.is_some_and(|rule| rule.beside_prompt);
                    let more = if beside { ", and the client would be sent a challenge meanwhile" } else { "" };
                    End { end: "prompt", reason: None, text: format!("{by} would ask by {method}{pin}{more}") }
                }
            });
        };
        failed.away(class, step.provider.down_for());
        if !step.provider.fails_over(class) {
            break;
        }
    }
    let exempted = policy::after_refusal(&attempt.client.policy, known.facts(sign_ins, attempt, at), &failed)?;
    Ok(End::accept(exempted.rule()))
}
