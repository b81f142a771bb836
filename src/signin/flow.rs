//! One sign-in, top to bottom: throttle, primary, policy, factor, outcome.
//!
//! Each step is a named call, each way out is a value; no line here sends, counts or logs a verdict. No lock is
//! held across a wait. Dropping the flow at any wait is safe: the provider cancels its prompt, the throttle
//! settles its permit, and the caller's guard leaves the audit event.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::primary::{IdentifyError, Identity, Primary};
use crate::signin::answering;
use crate::signin::asking;
use crate::signin::attempt::{Attempt, Door};
use crate::signin::caching::{self, Case};
use crate::signin::challenge::Ask;
use crate::signin::ending::Ending;
pub(super) use crate::signin::known::{Known, look_up};
use crate::signin::measure;
use crate::signin::nodes;
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode::Typed;
use crate::signin::pending::{Lead, lock};
use crate::signin::pinning;
use crate::signin::policy::{self, Decision, Exempted};
use crate::signin::prompting::{self, Whose};
use crate::signin::proof::{PrimaryPassed, SecondPassed};
use crate::signin::reception::{SignIns, Target, now};
use crate::signin::relayed;
use crate::signin::replies;
use crate::signin::rounds::{self, Asked};
use crate::signin::route;
use crate::signin::rules::Chosen;
use crate::signin::ruling::required_methods;
use crate::signin::settling;
use crate::signin::taken::Taken;
use crate::signin::trying::{self, Checked};
use crate::users::model::{Method, Mode, Person};

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
    /// The phone did not answer, so that a code was asked for.
    pub(super) fell_back: bool,
    /// Whether it is counted among those that the directory has yet to speak on.
    pub(super) at_directory: bool,
    pub(super) taken: Taken,
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
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
pub(super) fn flow<'a>(
    sign_ins: &'a Arc<SignIns>,
    ending: &'a mut Ending,
    lead: &'a Lead,
) -> impl Future<Output = Outcome> + Send + use<'a> {
    async move {
        // Not awaited within a `match`, which would keep all of what is matched.
        let primary = match Box::pin(first(sign_ins, ending, lead)).await {
            Ok(Checked::Passed(primary)) => primary,
            Ok(Checked::Says(outcome)) => return outcome,
            Err(reason) => return Outcome::Reject(reason),
        };
        second(sign_ins, ending, lead, primary).await.unwrap_or_else(Outcome::Reject)
    }
}

/// The first proof: of the password, or in a round with the target; or what a further round of ours comes to.
async fn first(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Checked, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let checked = if relayed::concerns(sign_ins, attempt) {
        Box::pin(relayed::next(sign_ins, ending, lead)).await
    } else if attempt.state.is_some() {
        Box::pin(answering::next(sign_ins, ending, lead)).await.map(Checked::Says)
    } else {
        trying::check_password(sign_ins, ending).await
    };
    match checked? {
        Checked::Passed(primary) if replies::are_due(ending) => {
            Box::pin(replies::add(sign_ins, ending, primary)).await.map(Checked::Passed)
        }
        checked => Ok(checked),
    }
}

/// The second proof of somebody who has given the first.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
pub(super) fn second<'a>(
    sign_ins: &'a Arc<SignIns>,
    ending: &'a mut Ending,
    lead: &'a Lead,
    primary: PrimaryPassed,
) -> impl Future<Output = Result<Outcome, Reason>> + Send + use<'a> {
    async move {
        let began = now();
        let mut person = {
            let mut case = ending.trail.case.take();
            let attempt = ending.attempt().ok_or(Reason::Internal)?;
            let typed = ending.trail.typed.as_deref();
            let person =
                Box::pin(measure::look_up(sign_ins, attempt, primary.who(), typed, case.as_deref_mut())).await?;
            ending.trail.case = case;
            person
        };
        if ending.trail.typed.is_some()
            && let Some(asked) = Box::pin(pinning::typed_with_password(sign_ins, ending, &mut person)).await?
        {
            return rounds::ask(sign_ins, ending, primary, asked, None);
        }
        ending.trail.rule = person.rule;
        let required = required_methods(sign_ins, person.rule);
        ending.trail.typed = ending.trail.typed.take().filter(|typed| route::takes(required, typed));
        match decided(sign_ins, ending, &person, began)? {
            Decided::Asks(asked) => return rounds::ask(sign_ins, ending, primary, *asked, None),
            Decided::Exempt(exempted) => return accept(ending, primary, SecondPassed::Exempt(*exempted)),
            Decided::Due => {}
        }
        ending.trail.taken.asked = Some(now());
        let held = hold(sign_ins, ending, lead, &mut person).await;
        if let Some(asked) = ending.trail.taken.asked.take() {
            ending.trail.taken.factor = now().saturating_duration_since(asked).into();
        }
        match held? {
            Held::Passed(second) => accept(ending, primary, second),
            Held::Asks(asked) => rounds::ask(sign_ins, ending, primary, *asked, None),
        }
    }
}

/// What policy comes to.
enum Decided {
    /// The second factor is due.
    Due,
    /// None is.
    Exempt(Box<Exempted>),
    /// The person is to say more before anybody is asked.
    Asks(Box<Asked>),
}

/// Decides, once it is known who it is. `began`: when that was begun to be found out.
fn decided(sign_ins: &SignIns, ending: &mut Ending, person: &Known, began: Instant) -> Result<Decided, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let decision = person.decide(sign_ins, attempt, SystemTime::now());
    let took = now().saturating_duration_since(began);
    if let Decision::Due(_) | Decision::Reject(Reason::NeedsCode) = decision
        && person.can_ask
        && let Some(asked) = person.asks_first(attempt, ending.trail.typed.is_some())
    {
        ending.trail.taken.policy = took.into();
        return Ok(Decided::Asks(Box::new(asked)));
    }
    ending.trail.taken.policy = took.into();
    match decision {
        Decision::Reject(reason) => Err(reason),
        Decision::Exempt(exempted) => {
            caching::note(&mut ending.trail);
            Ok(Decided::Exempt(Box::new(exempted)))
        }
        Decision::Due(_) => Ok(Decided::Due),
    }
}

/// Both proofs are there.
fn accept(ending: &Ending, primary: PrimaryPassed, second: SecondPassed) -> Result<Outcome, Reason> {
    Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
}

pub(super) fn target<'a>(sign_ins: &'a SignIns, attempt: &Attempt) -> Result<&'a Target, Reason> {
    sign_ins.deps.targets.get(&attempt.client.target).ok_or(Reason::Internal)
}

/// Where this attempt's password is checked: through the door's own connection where it brings one.
pub(super) fn primary_of<'a>(attempt: &'a Attempt, target: &'a Target) -> &'a dyn Primary {
    attempt.through.as_ref().map_or(target.primary.as_ref(), |own| own.0.as_ref())
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
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
pub(super) fn hold<'a>(
    sign_ins: &'a Arc<SignIns>,
    ending: &'a mut Ending,
    lead: &'a Lead,
    known: &'a mut Known,
) -> impl Future<Output = Result<Held, Reason>> + Send + use<'a> {
    async move {
        if let Some(passed) = asking::kept_approval(sign_ins, ending, known)? {
            return Ok(Held::Passed(passed));
        }
        let in_pin_mode = known.person.as_ref().is_some_and(|person| person.mode == Mode::Pin);
        if in_pin_mode && Box::pin(pinning::comes_first(sign_ins, known)).await? {
            let typed = ending.trail.typed.take().map(|typed| *typed);
            return Ok(Held::Asks(Box::new(Asked::before(Ask::Pin, typed, &known.language))));
        }
        if let Some(nodes) = &sign_ins.deps.nodes
            && let Some(passed) = Box::pin(nodes::begin(nodes, sign_ins, ending, known)).await?
        {
            return Ok(Held::Passed(passed));
        }
        let typed = ending.trail.typed.take();
        let is_code = typed.as_deref().is_some_and(|typed| typed.code().is_some());
        match is_code {
            true => lock(&sign_ins.throttle).code(&known.who.unique_id, now())?,
            false => lock(&sign_ins.throttle).prompt(&known.who.unique_id, now())?,
        }
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let rule = attempt.challenges();
        let takes_code = known.takes_code && attempt.client.passcode.is_some() && !attempt.is_eap();
        let asking = asking::asking(sign_ins, attempt, typed, ending.trail.round, known)?;
        let tell = asking.tell.clone();
        let steps = std::mem::take(&mut known.steps);
        ending.trail.prompt_open = !is_code;
        let answer = if let (Some(rule), Some(tell)) = (rule, &tell) {
            let sign_in = ending.attempt().ok_or(Reason::Internal)?.id;
            let of = Whose { sign_ins: Arc::clone(sign_ins), who: Arc::clone(&known.who), sign_in };
            let (trail, tell) = (&mut ending.trail, tell.clone());
            match Box::pin(prompting::ask_openly(rule, steps, asking, trail, (tell, &known.language), of)).await {
                Ok(answer) => answer,
                Err(asked) => return Ok(Held::Asks(asked)),
            }
        } else {
            let trail = &mut ending.trail;
            let answer = Box::pin(route::ask_in_turn(steps, asking, |provider, method| {
                trail.method = Some(method);
                trail.provider = Some(provider.name().into());
            }))
            .await;
            ending.trail.text = asking::left_to_read(tell, takes_code, &answer).map(Told::new);
            answer
        };
        let began = ending.attempt().ok_or(Reason::Internal)?.received;
        Box::pin(settling::settle(sign_ins, ending, lead, known, began, answer)).await
    }
}
