//! One sign-in, top to bottom: throttle, primary, policy, factor, outcome.
//!
//! Each step is a named call, each way out is a value; no line here sends, counts or logs a verdict. No lock is
//! held across a wait. Dropping the flow at any wait is safe: the provider cancels its prompt, the throttle
//! settles its permit, and the caller's guard leaves the audit event.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::audit::Steps;
use crate::primary::{Finding, IdentifyError, Identity, Primary, Refusal};
use crate::signin::answering;
use crate::signin::asking;
use crate::signin::attempt::{Attempt, Door};
use crate::signin::authorizing;
use crate::signin::caching::{self, Case, Proved};
use crate::signin::challenge::Ask;
pub(super) use crate::signin::known::{Known, look_up};
use crate::signin::measure;
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode::{self, Typed};
use crate::signin::pending::{Lead, lock};
use crate::signin::pinning;
use crate::signin::policy::{self, Decision};
use crate::signin::prompting;
use crate::signin::proof::{PrimaryPassed, SecondPassed};
use crate::signin::reception::{Ending, SignIns, Target, now};
use crate::signin::replies;
use crate::signin::rounds::{self, Asked};
use crate::signin::route;
use crate::signin::rules::Chosen;
use crate::signin::ruling::required_methods;
use crate::signin::settling;
use crate::signin::trying::try_password;
use crate::users::model::{Method, Person};

/// A prompt ends this long before the sign-in's deadline, so that its end is the answer that leaves.
const PROMPT_MARGIN: Duration = Duration::from_millis(250);

/// What the audit shall know of the way.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// What the target said of the proof of the person, if it was asked.
    pub(super) primary: Option<Result<(), Reason>>,
    pub(super) factor: Option<&'static str>,
    pub(super) method: Option<Method>,
    /// Who was asked to ask them, last.
    pub(super) provider: Option<Box<str>>,
    /// Whether a prompt is out. One whose sign-in is dropped counts as unanswered: whoever signs in and gives up
    /// again and again must not ring the person's phone each time.
    pub(super) prompt_open: bool,
    /// Which `[[rule]]` counts.
    pub(super) rule: Chosen,
    /// Where an approval may stand for more sign-ins: what that depends on.
    pub(super) case: Option<Box<Case>>,
    /// What the person typed behind the password.
    pub(super) typed: Option<Box<Typed>>,
    /// What the person is to read, where their client shows it.
    pub(super) text: Option<Box<Told>>,
    /// Challenges of this sign-in so far.
    pub(super) round: u8,
    /// Whether it is counted among those that the directory has yet to speak on.
    pub(super) at_directory: bool,
    pub(super) steps: Steps,
}

/// A text, as small as can be where there is none.
#[derive(Debug)]
pub(super) struct Told(pub(super) Box<str>);

impl Told {
    pub(super) fn new(text: String) -> Box<Told> {
        Box::new(Told(text.into()))
    }
}

/// Who is it? Asked before any password is tried, and before any hold is looked for.
pub(super) async fn identify(sign_ins: &SignIns, attempt: &Attempt) -> Result<Identity, Reason> {
    let target = target(sign_ins, attempt)?;
    if target.dn_from_store
        && !attempt.client.reply.as_ref().is_some_and(|reply| reply.needs_details())
        && let Ok(Some(mut person)) = sign_ins.deps.store.person_named(&attempt.name).await
        && let Some(dn) = person.dn.take()
    {
        let Person { unique_id, name, upn, .. } = person;
        return Ok(Identity { unique_id, name, upn, dn, remembered: true, details: None });
    }
    // The store is a shortcut here; when it is away the directory knows, too.
    let primary = primary_of(attempt, target);
    let found = match (attempt.door, &attempt.through) {
        // Nobody binds: it is asked what would be if somebody did.
        (Door::Ldap, None) => {
            let is_service = policy::is_service_dn(&attempt.client.policy.service, &attempt.name);
            primary.identify_bind(&attempt.name, is_service, attempt.deadline())
        }
        _ => primary.identify(&attempt.name, attempt.deadline()),
    };
    found.await.map_err(|error| {
        if let IdentifyError::Fault(fault) = &error {
            tracing::warn!(sign_in = %attempt.id, target = attempt.client.target, ?fault, "directory cannot say who it is");
        }
        Reason::from_identify(&error)
    })
}

/// One sign-in of an identified person, top to bottom; or a further round of one.
pub(super) async fn flow(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Outcome {
    let outcome = if ending.attempt().is_some_and(|attempt| attempt.state.is_some()) {
        Box::pin(answering::next(sign_ins, ending, lead)).await
    } else {
        run(sign_ins, ending, lead).await
    };
    outcome.unwrap_or_else(Outcome::Reject)
}

async fn run(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Outcome, Reason> {
    let mut primary = Box::pin(check_password(sign_ins, ending)).await?;
    if replies::are_due(ending) {
        primary = Box::pin(replies::add(sign_ins, ending, primary)).await?;
    }

    let began = now();
    let mut person = {
        let mut case = ending.trail.case.take();
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let typed = ending.trail.typed.as_deref();
        let person = Box::pin(measure::look_up(sign_ins, attempt, primary.who(), typed, case.as_deref_mut())).await?;
        ending.trail.case = case;
        person
    };
    if let Some(asked) = Box::pin(pinning::typed_with_password(sign_ins, ending, &mut person)).await? {
        return rounds::ask(sign_ins, ending, primary, asked, None);
    }
    ending.trail.rule = person.rule;
    let required = required_methods(sign_ins, person.rule);
    ending.trail.typed = ending.trail.typed.take().filter(|typed| route::takes(required, typed));
    let decision = person.decide(sign_ins, ending.attempt().ok_or(Reason::Internal)?, SystemTime::now());
    ending.trail.steps.policy = Some(now().saturating_duration_since(began));

    if let Decision::Due(_) | Decision::Reject(Reason::NeedsCode) = decision
        && person.can_ask
        && let attempt = ending.attempt().ok_or(Reason::Internal)?
        && let Some(asked) = person.asks_first(attempt, ending.trail.typed.is_some())
    {
        return rounds::ask(sign_ins, ending, primary, asked, None);
    }
    let held = match decision {
        Decision::Reject(reason) => return Err(reason),
        Decision::Exempt(exempted) => {
            caching::note(&mut ending.trail);
            Held::Passed(SecondPassed::Exempt(exempted))
        }
        Decision::Due(_) => {
            let began = now();
            let held = hold(sign_ins, ending, lead, &mut person).await;
            ending.trail.steps.factor = Some(now().saturating_duration_since(began));
            held?
        }
    };
    match held {
        Held::Passed(second) => {
            Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
        }
        Held::Asks(asked) => rounds::ask(sign_ins, ending, primary, *asked, None),
    }
}

pub(super) fn target<'a>(sign_ins: &'a SignIns, attempt: &Attempt) -> Result<&'a Target, Reason> {
    sign_ins.deps.targets.get(&attempt.client.target).ok_or(Reason::Internal)
}

/// Where this attempt's password is checked: through the door's own connection where it brings one.
pub(super) fn primary_of<'a>(attempt: &'a Attempt, target: &'a Target) -> &'a dyn Primary {
    attempt.through.as_ref().map_or(target.primary.as_ref(), |own| own.0.as_ref())
}

/// Throttle and primary: the password, or where a gateway has checked it, the account. The password is wiped when this is
/// over.
async fn check_password(sign_ins: &Arc<SignIns>, ending: &mut Ending) -> Result<PrimaryPassed, Reason> {
    let began = now();
    let checked = if ending.attempt().is_some_and(|attempt| attempt.authorize_only().is_some()) {
        authorizing::check_account(sign_ins, ending).await?
    } else {
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let who = &ending.identified.as_ref().ok_or(Reason::Internal)?.who;
        let proof = attempt.proof().map_err(Reason::from_unusable)?;
        let whole = proof.secret();
        let rule = attempt.client.passcode.as_ref().filter(|_| proof.is_password());
        let cut = rule.and_then(|rule| passcode::cut(rule, whole));
        // What is no password proves nothing that could be known again.
        let case = |password| {
            proof.is_password().then(|| caching::begin(sign_ins, attempt, who, Proved::Password(password))).flatten()
        };
        let (checked, typed, case) = match cut {
            None => (try_password(sign_ins, attempt, who, whole).await?, None, case(whole)),
            Some(cut) => match try_password(sign_ins, attempt, who, &cut.password).await? {
                // It may be a password that ends like this. The throttle has its say on this try, too.
                Err(Finding::Wrong(Refusal::WrongPassword)) => {
                    let again = try_password(sign_ins, attempt, who, whole).await;
                    (again.unwrap_or(Err(Finding::Wrong(Refusal::WrongPassword))), None, case(whole))
                }
                checked => (checked, Some(cut.typed), case(&cut.password)),
            },
        };
        if let Err(Finding::Fault(fault)) = &checked {
            tracing::warn!(sign_in = %attempt.id, target = attempt.client.target, ?fault, "directory cannot check the password");
        }
        ending.trail.typed = typed.map(Box::new);
        ending.trail.case = case;
        checked
    };
    ending.forget_credential();
    ending.leave_directory();
    ending.trail.steps.primary = Some(now().saturating_duration_since(began));
    let reason = match checked {
        Ok(passed) => {
            ending.trail.primary = Some(Ok(()));
            return Ok(passed);
        }
        Err(Finding::Wrong(refusal)) => Reason::from_primary(refusal),
        Err(Finding::Fault(fault)) => Reason::from_fault(&fault),
        Err(Finding::Right | Finding::Moved(_)) => Reason::Internal,
    };
    ending.trail.primary = Some(Err(reason));
    Err(reason)
}

/// What became of asking for the second factor.
pub(super) enum Held {
    /// The second proof.
    Passed(SecondPassed),
    /// The person is to say more first.
    Asks(Box<Asked>),
}

/// The end of a prompt whose answer has to leave at this deadline.
pub(super) fn prompt_end(deadline: Instant) -> Instant {
    deadline.checked_sub(PROMPT_MARGIN).unwrap_or(deadline)
}

/// The second factor: an approval that carries over, or a prompt and a hold.
pub(super) async fn hold(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    known: &mut Known,
) -> Result<Held, Reason> {
    if let Some(passed) = asking::kept_approval(sign_ins, ending, known)? {
        return Ok(Held::Passed(passed));
    }
    if known.can_ask && pinning::is_due(known) {
        let typed = ending.trail.typed.take().map(|typed| *typed);
        return Ok(Held::Asks(Box::new(Asked::before(Ask::Pin, typed, &known.language))));
    }
    let who = Arc::clone(&known.who);
    lock(&sign_ins.throttle).prompt(&who.unique_id, now())?;
    let typed = ending.trail.typed.take();
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let (began, rule) = (attempt.received, attempt.client.challenge);
    let asking = asking::asking(sign_ins, attempt, typed, ending.trail.round, known)?;
    let steps = std::mem::take(&mut known.steps);
    ending.trail.prompt_open = true;
    let trail = &mut ending.trail;
    let answer = match (rule, asking.tell.clone()) {
        (Some(rule), Some(tell)) => {
            match Box::pin(prompting::ask_openly(rule, steps, asking, trail, (tell, &known.language))).await {
                Ok(answer) => answer,
                Err(asked) => return Ok(Held::Asks(asked)),
            }
        }
        (_, tell) => {
            let answer = Box::pin(route::ask_in_turn(steps, asking, |provider, method| {
                trail.method = Some(method);
                trail.provider = Some(provider.name().into());
            }))
            .await;
            trail.text = tell.and_then(|tell| tell.take()).map(Told::new);
            answer
        }
    };
    ending.trail.prompt_open = false;
    Box::pin(settling::settle(sign_ins, ending, lead, known, began, answer)).await
}
