//! What a sign-in brings about beside its end: a block after a fraud report or too many refusals, and the use of a
//! one-time bypass.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::primary::Identity;
use crate::signin::attempt::{Attempt, SignInId};
use crate::signin::caching::{self, Case};
use crate::signin::flow::{self, Known};
use crate::signin::outcome::Reason;
use crate::signin::passcode::Typed;
use crate::signin::pending::lock;
use crate::signin::policy;
use crate::signin::reception::{SignIns, now};
use crate::users::measures::{Measure, MeasureKind};

/// How long after its end a sign-in's fraud report may come.
const LATE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often, and in which pace, it is looked whose sign-in a late fraud report is about: its event may not be written.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Whom a measure is about, and which sign-in brought it.
pub(super) struct About<'a> {
    pub(super) unique_id: &'a str,
    pub(super) name: &'a str,
    pub(super) sign_in: SignInId,
}

/// As [`flow::look_up`], for a sign-in that is to come to its end: an approval that was kept may stand for it; where the
/// person has a one-time bypass and would be
/// asked, or could not be, it is used up, once over all nodes. Nobody gets past a block or a rule that refuses with one.
pub(super) async fn look_up(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Arc<Identity>,
    typed: Option<&Typed>,
    case: Option<&mut Case>,
) -> Result<Known, Reason> {
    let now = SystemTime::now();
    let mut known = flow::look_up(sign_ins, attempt, who, typed, now).await?;
    if let Some(case) = case
        && policy::can_be_cached(&known.decide(sign_ins, attempt, now))
    {
        known.cached = caching::look(sign_ins, attempt, &known, case, typed, now).await;
    }
    let store = &sign_ins.deps.store;
    if store.may_bypass(&who.unique_id) && policy::can_bypass(&known.decide(sign_ins, attempt, now)) {
        known.bypassed = store.use_bypass(&who.unique_id, attempt.id, now).await.unwrap_or_else(|error| {
            let sign_in = attempt.id;
            tracing::warn!(%sign_in, %error, "it cannot be said whether the person has a bypass: they are asked");
            false
        });
    }
    Ok(known)
}

/// Keeps a person out, in a task of its own: it is to be done even where nobody waits for this sign-in any more.
pub(super) async fn block(sign_ins: &Arc<SignIns>, about: About<'_>, kind: MeasureKind) {
    let (reason, lasts) = match kind {
        MeasureKind::Lockout => {
            ("too many denials or wrong codes", sign_ins.deps.throttle.lockout.map(|lockout| lockout.release))
        }
        _ => ("reported fraud", Some(sign_ins.deps.throttle.fraud_block)),
    };
    let now = SystemTime::now();
    let measure = Measure {
        time: now,
        kind,
        unique_id: Some(about.unique_id.to_owned()),
        name: about.name.to_owned(),
        by: if kind == MeasureKind::Lockout { "anteroom" } else { "person" }.to_owned(),
        reason: reason.to_owned(),
        until: lasts.and_then(|lasts| now.checked_add(lasts)),
        sign_in: Some(about.sign_in.to_string()),
        used: None,
    };
    let sign_ins = Arc::clone(sign_ins);
    let taken = tokio::spawn(async move {
        let unique_id = measure.unique_id.as_deref().unwrap_or_default();
        match sign_ins.deps.store.take_measure(&measure, sign_ins.deps.mails).await {
            Ok(_) => tracing::warn!(unique_id, kind = %measure.kind, "a person is blocked"),
            Err(error) => tracing::error!(unique_id, kind = %measure.kind, %error, "a person could not be blocked"),
        }
    });
    if taken.await.is_err() {
        tracing::error!("blocking a person ended in a panic");
    }
}

impl SignIns {
    /// Takes a fraud report about a sign-in that has ended: whoever it was is blocked as if it had come in time, and
    /// no approval of theirs counts any more. The identifiers of whoever it was, if that is known.
    pub async fn late_fraud(self: &Arc<Self>, sign_in: SignInId) -> Option<String> {
        for _ in 0..LOOKS {
            let since = SystemTime::now().checked_sub(LATE).unwrap_or(SystemTime::UNIX_EPOCH);
            match self.deps.store.whose(sign_in, since).await {
                Ok(Some((unique_id, name))) => {
                    lock(&self.throttle).fraud(&unique_id, now());
                    self.pending.forget_carried(Some(&unique_id));
                    let about = About { unique_id: &unique_id, name: &name, sign_in };
                    block(self, about, MeasureKind::LateFraud).await;
                    return Some(unique_id);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%sign_in, %error, "it cannot be said who reported fraud late"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::error!(%sign_in, "nobody is blocked for a late fraud report: the store knows no such sign-in");
        None
    }
}
