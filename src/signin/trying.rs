//! One try of a password, or of what a request brings instead: leave from the throttle, the target, and what it comes to
//! for the throttle.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinHandle;

use crate::audit::Note;
use crate::primary::{self, Answered, Fault, Finding, Handed, Identity, PrimaryPassed, Refusal};
use crate::radius::onward::ProofKind;
use crate::secret::Secret;
use crate::signin::attempt::Attempt;
use crate::signin::authorizing;
use crate::signin::caching::{self, Case, Proved};
use crate::signin::ending::Ending;
use crate::signin::flow::{primary_of, target};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::passcode::{self, Cut, Typed};
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::relayed;
use crate::signin::ruling;
use crate::signin::throttle::{Guess, Permit};
use crate::signin::together::{self, Leave};

/// What a try has come to.
pub(super) enum Checked {
    /// The first proof.
    Passed(PrimaryPassed),
    /// What comes of it without a second: the target asks for more, or a round ends otherwise.
    Says(Outcome),
}

/// Throttle and primary: the password, or where a gateway has checked it, the account. The password is wiped when this is
/// over.
pub(super) async fn check_password(sign_ins: &Arc<SignIns>, ending: &mut Ending) -> Result<Checked, Reason> {
    let began = now();
    let asks_directory = |attempt: &Attempt| attempt.authorize_only().is_some() && attempt.onward.is_none();
    let checked = if ending.attempt().is_some_and(asks_directory) {
        Box::pin(authorizing::check_account(sign_ins, ending)).await?.map_err(Answered::from)
    } else {
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let who = &ending.identified.as_ref().ok_or(Reason::Internal)?.who;
        let proof = attempt.proof().map_err(Reason::from_unusable)?;
        let whole = proof.secret();
        let rule = attempt.client.passcode.as_ref().filter(|_| proof.is_password());
        let (checked, typed, case) = {
            // Seldom, so it is on the heap and nobody else has room for it.
            let in_parts = rule.and_then(|rule| passcode::cut(rule, whole));
            let in_parts = in_parts.map(|cut| Box::pin(try_parts(sign_ins, attempt, who, (whole, cut))));
            match in_parts {
                Some(in_parts) => in_parts.await?,
                None => {
                    let checked = try_password(sign_ins, attempt, who, whole).await?;
                    // What is no password proves nothing that could be known again.
                    (checked, None, proof.is_password().then(|| case(sign_ins, attempt, who, whole)).flatten())
                }
            }
        };
        ending.trail.typed = typed.map(Box::new);
        ending.trail.case = case;
        checked
    };
    ending.trail.taken.primary = now().saturating_duration_since(began).into();
    match checked {
        Ok(passed) => {
            ending.trail.primary = Some(Ok(()));
            ending.forget_credential();
            ending.answered();
            Ok(Checked::Passed(passed))
        }
        Err(answered) if answered.finding == Finding::Wrong(Refusal::AsksMore) => {
            relayed::asks(ending, answered, None).map(Checked::Says)
        }
        Err(answered) => {
            ending.forget_credential();
            ending.answered();
            Err(refused(ending, &answered.finding))
        }
    }
}

/// What a try has come to, what was typed besides the password, and what an approval may be known again by.
type Tried = (Result<PrimaryPassed, Answered>, Option<Typed>, Option<Box<Case>>);

/// Tries the first part of what was typed; where that is no password, all of it: it may be a password that ends like this.
/// The throttle has its say on this try, too.
async fn try_parts(
    sign_ins: &Arc<SignIns>,
    attempt: &Attempt,
    who: &Arc<Identity>,
    (whole, cut): (&Secret, Cut),
) -> Result<Tried, Reason> {
    Ok(match try_password(sign_ins, attempt, who, &cut.password).await? {
        Err(wrong) if wrong.finding == Finding::Wrong(Refusal::WrongPassword) => {
            let checked = try_password(sign_ins, attempt, who, whole).await.unwrap_or(Err(wrong));
            (checked, None, case(sign_ins, attempt, who, whole))
        }
        checked => (checked, Some(cut.typed), case(sign_ins, attempt, who, &cut.password)),
    })
}

fn case(sign_ins: &SignIns, attempt: &Attempt, who: &Identity, password: &Secret) -> Option<Box<Case>> {
    caching::begin(sign_ins, attempt, who, Proved::Password(password))
}

/// What a finding comes to that is no proof.
pub(super) fn refused(ending: &mut Ending, finding: &Finding) -> Reason {
    let reason = match finding {
        Finding::Wrong(refusal) => Reason::from_primary(*refusal),
        Finding::Fault(fault) => {
            if let Some(attempt) = ending.attempt() {
                tracing::warn!(sign_in = %attempt.id, target = attempt.client.target, ?fault, "target cannot check what was given as proof");
            }
            Reason::from_fault(fault)
        }
        Finding::Right | Finding::Moved(_) => Reason::Internal,
    };
    ending.trail.primary = Some(Err(reason));
    reason
}

/// One try, counted by the throttle.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
fn try_password<'a>(
    sign_ins: &'a Arc<SignIns>,
    attempt: &'a Attempt,
    who: &'a Arc<Identity>,
    password: &'a Secret,
) -> impl Future<Output = Result<Result<PrimaryPassed, Answered>, Reason>> + Send + use<'a> {
    async move {
        if let Some(request) = &attempt.onward {
            let handed = Handed { request, password: Some(password), round: None };
            if request.kind() == ProofKind::Gateway {
                // Nothing in it could be guessed.
                let primary = primary_of(attempt, target(sign_ins, attempt)?);
                let named = (Some(who), &*attempt.name);
                return Ok(Box::pin(primary::check_handed(primary, named, handed, attempt.deadline())).await);
            }
            return hand_on(sign_ins, attempt, (Some(who), &who.unique_id), (handed, password)).await;
        }
        let permit = Admission::new(sign_ins, attempt, &who.unique_id, password).await?;
        let primary = primary_of(attempt, target(sign_ins, attempt)?);
        let checked = primary::check(primary, who, password, attempt.deadline()).await;
        permit.settle(checked.as_ref().err()).await;
        Ok(checked.map_err(Answered::from))
    }
}

/// Hands a request on, counted by the throttle under `counted`. `who` is nobody where only the target can tell.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
pub(super) fn hand_on<'a>(
    sign_ins: &'a Arc<SignIns>,
    attempt: &'a Attempt,
    (who, counted): (Option<&'a Arc<Identity>>, &'a str),
    (handed, proof): (Handed<'a>, &'a Secret),
) -> impl Future<Output = Result<Result<PrimaryPassed, Answered>, Reason>> + Send + use<'a> {
    async move {
        let permit = Admission::new(sign_ins, attempt, counted, proof).await?;
        let primary = primary_of(attempt, target(sign_ins, attempt)?);
        let named = (who, &*attempt.name);
        let checked = Box::pin(primary::check_handed(primary, named, handed, attempt.deadline())).await;
        if checked.as_ref().map_or_else(|answered| answered.changed, |_| handed.request.changes_password()) {
            note_change(sign_ins, attempt);
        }
        permit.settle(checked.as_ref().err().map(|answered| &answered.finding)).await;
        Ok(checked)
    }
}

/// The password is another one from now on, even if the sign-in is refused for something else.
fn note_change(sign_ins: &SignIns, attempt: &Attempt) {
    sign_ins.deps.ledger.note(Note {
        time: SystemTime::now(),
        kind: "password_changed",
        providers: Vec::new(),
        sign_in: Some(attempt.id),
        seconds: None,
        reason: None,
        by: None,
        server: sign_ins.deps.server.clone(),
    });
}

/// A throttle permit that is settled whatever happens. Dropped unsettled, nobody knows what the directory made of the
/// password.
pub(super) struct Admission<'a> {
    sign_ins: &'a Arc<SignIns>,
    unique_id: &'a str,
    permit: Option<Permit>,
    /// Of the other nodes, once they were asked: only then the directory may have been.
    leave: Option<Leave>,
    /// Stands for the password, for as long as this process runs.
    password: u64,
}

impl<'a> Admission<'a> {
    /// Leave for one try as the person of this unique id, of this node and of those that count with it.
    pub(super) async fn new(
        sign_ins: &'a Arc<SignIns>,
        attempt: &Attempt,
        unique_id: &'a str,
        password: &Secret,
    ) -> Result<Self, Reason> {
        let is_shared = sign_ins.deps.store.shared_tries().is_some();
        if is_shared {
            Box::pin(together::reconcile(sign_ins, unique_id)).await;
        }
        let source = attempt.person_address;
        let place = ruling::person_address(attempt);
        let permit = lock(&sign_ins.throttle).admit_at(unique_id, source, place, now())?;
        let password = sign_ins.people.hash_one((unique_id, password.open()));
        let mut admission = Admission { sign_ins, unique_id, permit: Some(permit), leave: None, password };
        admission.leave = Some(if is_shared {
            Box::pin(together::admit(sign_ins, unique_id, source, permit)).await?
        } else {
            Leave::Alone
        });
        Ok(admission)
    }

    /// The others have heard of it when this is over.
    pub(super) fn settle(mut self, finding: Option<&Finding>) -> impl Future<Output = ()> + Send + use<> {
        let guess = match finding {
            None | Some(Finding::Right | Finding::Moved(_)) => Guess::Right,
            Some(Finding::Wrong(Refusal::WrongPassword)) => Guess::Wrong,
            // The directory answers these without counting, or only to a right password.
            Some(Finding::Wrong(_)) => Guess::Uncounted,
            // No server has been asked.
            Some(Finding::Fault(Fault::Unreachable | Fault::Full)) => Guess::Uncounted,
            Some(Finding::Fault(_)) => Guess::Unknown(self.password),
        };
        let told = self.end(guess);
        async move {
            if let Some(told) = told {
                // It says itself what went wrong.
                let _ = told.await;
            }
        }
    }

    fn end(&mut self, guess: Guess) -> Option<JoinHandle<()>> {
        let permit = self.permit.take()?;
        let Some(leave) = self.leave else {
            let mut throttle = lock(&self.sign_ins.throttle);
            throttle.settle(permit, Guess::Uncounted, now());
            if permit.is_first() {
                throttle.heard(self.unique_id);
            }
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
