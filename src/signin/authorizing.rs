//! The step in the place of a password where a gateway has made sure of the person: the target is asked about the
//! account and the connection.

use std::sync::Arc;
use std::time::SystemTime;

use crate::primary::none::{Asked, Granted, authorize};
use crate::primary::{Finding, Identity, PrimaryPassed};
use crate::signin::attempt::Attempt;
use crate::signin::caching::{self, Proved};
use crate::signin::ending::Ending;
use crate::signin::flow::target;
use crate::signin::outcome::Reason;
use crate::signin::reception::SignIns;

/// Asks; what the gateway is to be told with the Accept is noted.
pub(super) async fn check_account(
    sign_ins: &SignIns,
    ending: &mut Ending,
) -> Result<Result<PrimaryPassed, Finding>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let who = &ending.identified.as_ref().ok_or(Reason::Internal)?.who;
    let said = ask(sign_ins, attempt, who, SystemTime::now()).await?;
    match &said {
        Ok((_, granted)) => {
            tracing::debug!(sign_in = %attempt.id, policy = granted.policy, "the connection policy lets the person in");
        }
        Err(Finding::Fault(fault)) => {
            tracing::warn!(sign_in = %attempt.id, target = attempt.client.target, ?fault, "directory cannot say whether the account may sign in");
        }
        Err(_) => {}
    }
    let set = said.as_ref().ok().and_then(|(_, granted)| granted.password_set);
    let case = set.and_then(|set| caching::begin(sign_ins, attempt, who, Proved::PasswordSet(set)));
    ending.trail.case = case;
    Ok(said.map(|(passed, granted)| {
        ending.set_settings(granted.settings);
        passed
    }))
}

/// What the target says at some time.
pub(super) async fn ask(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Arc<Identity>,
    now: SystemTime,
) -> Result<Result<(PrimaryPassed, Granted), Finding>, Reason> {
    // A door's own connection is for passwords.
    let connection = attempt.authorize_only().filter(|_| attempt.through.is_none()).ok_or(Reason::NoPassword)?;
    let asked = Asked { gateway: attempt.source, connection, now, deadline: attempt.deadline() };
    Ok(authorize(target(sign_ins, attempt)?.primary.as_ref(), who, asked).await)
}
