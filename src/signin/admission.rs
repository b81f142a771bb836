//! Leave of the throttle to try one password, which is settled whatever becomes of the sign-in.

use std::time::Instant;

use crate::primary::{Finding, Identity, Refusal};
use crate::signin::attempt::Attempt;
use crate::signin::outcome::Reason;
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::throttle::{Guess, Permit};

/// A throttle permit that is settled whatever happens. Dropped unsettled, it counts as a wrong password: the
/// directory may have counted it. Not so when the sign-in's time is over: then the directory was away, and an
/// outage must not throttle everybody who tried in the meantime.
pub(super) struct Admission<'a> {
    sign_ins: &'a SignIns,
    permit: Option<Permit>,
    deadline: Instant,
}

impl<'a> Admission<'a> {
    /// Asks the throttle.
    pub(super) fn new(sign_ins: &'a SignIns, attempt: &Attempt, who: &Identity, now: Instant) -> Result<Self, Reason> {
        let permit = lock(&sign_ins.throttle).admit(&who.unique_id, attempt.person_address, now)?;
        Ok(Admission { sign_ins, permit: Some(permit), deadline: attempt.deadline() })
    }

    /// Says what the directory made of it.
    pub(super) fn settle(mut self, finding: Option<&Finding>) {
        let guess = match finding {
            None | Some(Finding::Right) => Guess::Right,
            Some(Finding::Wrong(Refusal::WrongPassword)) => Guess::Wrong,
            // The directory answers these without counting, or only to a right password.
            Some(Finding::Wrong(_)) => Guess::Uncounted,
            // Should a directory that is away have counted it nevertheless, the person is one guess nearer to its
            // lockout; but an outage must not throttle everybody who tried in the meantime.
            Some(Finding::Fault(_)) => Guess::Uncounted,
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
        self.end(if now() < self.deadline { Guess::Wrong } else { Guess::Uncounted });
    }
}
