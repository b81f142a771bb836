//! One try of a password, or of what a request brings instead: leave from the throttle, the target, and what it comes to for the throttle.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::primary::{self, Fault, Finding, Handed, Identity, PrimaryPassed, Refusal};
use crate::secret::Secret;
use crate::signin::attempt::Attempt;
use crate::signin::flow::{primary_of, target};
use crate::signin::outcome::Reason;
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::throttle::{Guess, Permit};
use crate::signin::together::{self, Leave};

/// One try, counted by the throttle.
pub(super) async fn try_password(
    sign_ins: &Arc<SignIns>,
    attempt: &Attempt,
    who: &Arc<Identity>,
    password: &Secret,
) -> Result<Result<PrimaryPassed, Finding>, Reason> {
    together::reconcile(sign_ins, &who.unique_id).await;
    let mut permit = Admission::new(sign_ins, attempt, who, password)?;
    permit.ask_others().await?;
    let primary = primary_of(attempt, target(sign_ins, attempt)?);
    let checked = match &attempt.onward {
        None => primary::check(primary, who, password, attempt.deadline()).await,
        Some(request) => {
            let handed = Handed { request, password: Some(password), round: None };
            let named = (Some(who), &*attempt.name);
            let checked = Box::pin(primary::check_handed(primary, named, handed, attempt.deadline())).await;
            checked.map_err(|answered| answered.finding)
        }
    };
    permit.settle(checked.as_ref().err()).await;
    Ok(checked)
}

/// A throttle permit that is settled whatever happens. Dropped unsettled, nobody knows what the directory made of the
/// password.
struct Admission<'a> {
    sign_ins: &'a Arc<SignIns>,
    unique_id: &'a str,
    source: Option<IpAddr>,
    permit: Option<Permit>,
    /// Of the other nodes, once they were asked: only then the directory may have been.
    leave: Option<Leave>,
    /// Stands for the password, for as long as this process runs.
    password: u64,
}

impl<'a> Admission<'a> {
    fn new(
        sign_ins: &'a Arc<SignIns>,
        attempt: &Attempt,
        who: &'a Identity,
        password: &Secret,
    ) -> Result<Self, Reason> {
        let (unique_id, source) = (who.unique_id.as_str(), attempt.person_address);
        let permit = lock(&sign_ins.throttle).admit(unique_id, source, now())?;
        let password = sign_ins.people.hash_one((unique_id, password.open()));
        Ok(Admission { sign_ins, unique_id, source, permit: Some(permit), leave: None, password })
    }

    /// Asks the nodes that share the database for their leave, too.
    async fn ask_others(&mut self) -> Result<(), Reason> {
        let permit = self.permit.ok_or(Reason::Internal)?;
        self.leave = Some(together::admit(self.sign_ins, self.unique_id, self.source, permit).await?);
        Ok(())
    }

    /// The others have heard of it when this is over.
    async fn settle(mut self, finding: Option<&Finding>) {
        let guess = match finding {
            None | Some(Finding::Right | Finding::Moved(_)) => Guess::Right,
            Some(Finding::Wrong(Refusal::WrongPassword)) => Guess::Wrong,
            // The directory answers these without counting, or only to a right password.
            Some(Finding::Wrong(_)) => Guess::Uncounted,
            // No server has been asked.
            Some(Finding::Fault(Fault::Unreachable | Fault::Full | Fault::Loop)) => Guess::Uncounted,
            Some(Finding::Fault(_)) => Guess::Unknown(self.password),
        };
        if let Some(told) = self.end(guess) {
            // It says itself what went wrong.
            let _ = told.await;
        }
    }

    fn end(&mut self, guess: Guess) -> Option<JoinHandle<()>> {
        let permit = self.permit.take()?;
        let Some(leave) = self.leave else {
            lock(&self.sign_ins.throttle).settle(permit, Guess::Uncounted, now());
            return None;
        };
        let counts = lock(&self.sign_ins.throttle).settle(permit, guess, now());
        together::settle(self.sign_ins, self.unique_id, leave, guess, counts)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        // The others hear of it in a task of its own.
        let _ = self.end(Guess::Unknown(self.password));
    }
}
