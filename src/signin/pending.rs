//! Held sign-ins: join, carry over, deadline, cancel, drain.

use std::sync::Arc;

use crate::signin::attempt::Attempt;
use crate::signin::outcome::{Outcome, Reason};

/// The reception: takes attempts, hands out outcomes.
#[derive(Debug)]
pub struct SignIns {}

impl SignIns {
    /// Finds out who it is and joins the hold that is already running for this person, client and
    /// credential, or starts a new sign-in. When this returns, the attempt is registered: only then may a
    /// superseded request be dropped.
    pub async fn enter(self: &Arc<Self>, attempt: Attempt) -> Waiting {
        drop(attempt);
        Waiting {}
    }
}

/// One request's place in a sign-in. Dropping it gives the place up; when the last place of a sign-in is
/// given up, its prompt is cancelled.
#[derive(Debug)]
pub struct Waiting {}

impl Waiting {
    /// The outcome, at the request's own deadline at the latest.
    pub async fn outcome(self) -> Arc<Outcome> {
        Arc::new(Outcome::Reject(Reason::Internal))
    }
}
