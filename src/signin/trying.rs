//! One try of a password, or of what a request brings instead: leave from the throttle, the target, and what it comes to for the throttle.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::primary::{self, Fault, Finding, Handed, Identity, PrimaryPassed, Refusal};
use crate::secret::Secret;
use crate::signin::attempt::Attempt;
use crate::signin::flow::{primary_of, target};
use crate::signin::outcome::Reason;
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::throttle::{Guess, Permit};

/// One try, counted by the throttle.
pub(super) async fn try_password(
    sign_ins: &Arc<SignIns>,
    attempt: &Attempt,
    who: &Arc<Identity>,
    password: &Secret,
) -> Result<Result<PrimaryPassed, Finding>, Reason> {
    let permit = Admission::new(sign_ins, attempt, who, password)?;
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
    permit.settle(checked.as_ref().err());
    Ok(checked)
}

/// A throttle permit that is settled whatever happens. Dropped unsettled, nobody knows what the directory made of the
/// password.
struct Admission<'a> {
    sign_ins: &'a SignIns,
    permit: Option<Permit>,
    /// Stands for the password, for as long as this process runs.
    password: u64,
}

impl<'a> Admission<'a> {
    fn new(sign_ins: &'a SignIns, attempt: &Attempt, who: &Identity, password: &Secret) -> Result<Self, Reason> {
        let permit = lock(&sign_ins.throttle).admit(&who.unique_id, attempt.person_address, now())?;
        let password = sign_ins.people.hash_one((&who.unique_id, password.open()));
        Ok(Admission { sign_ins, permit: Some(permit), password })
    }

    fn settle(mut self, finding: Option<&Finding>) {
        let guess = match finding {
            None | Some(Finding::Right | Finding::Moved(_)) => Guess::Right,
            Some(Finding::Wrong(Refusal::WrongPassword)) => Guess::Wrong,
            // The directory answers these without counting, or only to a right password.
            Some(Finding::Wrong(_)) => Guess::Uncounted,
            // No server has been asked.
            Some(Finding::Fault(Fault::Unreachable | Fault::Full | Fault::Loop)) => Guess::Uncounted,
            Some(Finding::Fault(_)) => Guess::Unknown(self.password),
        };
        self.end(guess);
    }

    fn end(&mut self, guess: Guess) {
        if let Some(permit) = self.permit.take() {
            lock(&self.sign_ins.throttle).settle(permit, guess, now());
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.end(Guess::Unknown(self.password));
    }
}
