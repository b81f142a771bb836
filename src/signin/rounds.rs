//! The rounds of a sign-in: what is kept while the person reads a challenge, and how their answer goes on from there.
//!
//! ```text
//! flow: hold ── code wanted, sent, wrong; number to show ──▶ ask ─▶ keep ─▶ Access-Challenge
//!                                                                     │
//! next ◀── State + answer ◀── person ◀───────────────────────────────┘
//!   ├─ a code: checked as one that was typed with the password
//!   ├─ a word, a choice, "r": asked that way
//!   └─ nothing: the prompt that is out is waited for
//! ```
//!
//! The sign-in stays one: its identifier, its proof of the password, its one audit event. Whoever it is for is looked up
//! again in each round: a block counts at once.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use std::hash::BuildHasher;
use tokio::task::JoinHandle;

use crate::config::Challenges;
use crate::factor::{FactorApproved, Refusal, Tell};
use crate::signin::attempt::Attempt;
use crate::signin::challenge::{self, Ask, Challenge, MOST_ROUNDS, Place, Typed};
use crate::signin::flow::{self, Held, Known, Told, Trail};
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode::{self, Word};
use crate::signin::pending::{HoldKey, Lead, lock};
use crate::signin::policy::Decision;
use crate::signin::proof::PrimaryPassed;
use crate::signin::reception::{Ending, SignIns, now};
use crate::signin::route::{self, Asking, Failed, Step};
use crate::signin::ruling::required_methods;
use crate::signin::settling;
use crate::texts::Text;
use crate::users::model::Method;

/// How long a prompt that a code can be typed beside has to fail or to be answered before the challenge is shown.
const MOMENT: Duration = Duration::from_secs(1);

/// A challenge that is over sooner than this is not worth being shown.
const SHORTEST: Duration = Duration::from_secs(1);

/// How often rounds that nobody answers are looked for, at least.
const SWEEP: Duration = Duration::from_secs(10);

/// What a sign-in keeps from one round to the next.
pub(super) struct Round {
    primary: PrimaryPassed,
    ask: Ask,
    /// Wrong answers until it is refused.
    tries: u32,
    until: Instant,
    /// The prompt that is out.
    prompting: Option<Prompting>,
    language: Box<str>,
    /// When the challenge was given out.
    kept: Instant,
    /// Requests so far.
    requests: u32,
}

/// What is to be asked, as a step of the sign-in found out.
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// What the person reads; none: what is always said when this is asked.
    pub(super) text: Option<String>,
    pub(super) prompting: Option<Prompting>,
    /// Whether a wrong answer led here.
    pub(super) wrong: bool,
    /// Whether the phone did not answer.
    silent: bool,
    pub(super) language: Box<str>,
}

impl Asked {
    /// With the usual words.
    pub(super) fn new(ask: Ask, language: &str) -> Asked {
        Asked { ask, text: None, prompting: None, wrong: false, silent: false, language: language.into() }
    }

    /// For a code that the person has or makes.
    pub(super) fn code(language: &str) -> Asked {
        Asked::new(Ask::Code { provider: None, sent: None }, language)
    }
}

/// A prompt that is out while its person reads a challenge. Dropped, it is taken back.
pub(super) struct Prompting {
    task: JoinHandle<Result<FactorApproved, Failed>>,
    began: Instant,
}

impl Drop for Prompting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prompting {
    /// The answer, if it comes until then.
    async fn answer(&mut self, until: Instant) -> Option<Result<FactorApproved, Failed>> {
        let answer = tokio::time::timeout_at(until.into(), &mut self.task).await.ok()?;
        Some(answer.unwrap_or_else(|_| Err(Failed { refusal: Refusal::Lost, ..Failed::nobody() })))
    }
}

/// Asks, through a client that shows challenges: the answer, or a prompt that is out and what is to be shown beside it.
pub(super) async fn ask_openly(
    rule: Challenges,
    steps: Vec<Step>,
    asking: Box<Asking>,
    trail: &mut Trail,
    (tell, language): (Tell, &str),
) -> Result<Result<FactorApproved, Failed>, Box<Asked>> {
    let (deadline, began, typed) = (asking.deadline, now(), asking.code.is_some());
    let step = steps.first();
    trail.provider = step.map(|step| step.provider.name().into());
    trail.method = step.and_then(|step| step.methods.first().copied());
    let last = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&last);
    // The prompt may last as long as the challenge that is shown beside it.
    let lasting = began.checked_add(rule.within).unwrap_or(deadline).max(deadline);
    let asking = Box::new(Asking { deadline: lasting, ..*asking });
    let mut answer = Box::pin(async move {
        let note = move |provider: &dyn crate::factor::Factor, method| {
            *lock(&noted) = Some((Box::<str>::from(provider.name()), method));
        };
        route::ask_in_turn(steps, asking, note).await
    });
    let is_prompt = matches!(trail.method, Some(Method::Push | Method::Call | Method::SmsReply));
    let beside = rule.beside_prompt && is_prompt && !typed;
    let shown = tokio::select! {
        biased;
        answer = &mut answer => Some(Ok(answer)),
        () = tell.heard() => None,
        () = tokio::time::sleep(MOMENT), if beside => None,
        () = tokio::time::sleep_until(deadline.into()) => {
            Some(Ok(Err(Failed { refusal: Refusal::Expired, ..Failed::nobody() })))
        }
    };
    if let Some((provider, method)) = lock(&last).take() {
        (trail.provider, trail.method) = (Some(provider), Some(method));
    }
    match shown {
        Some(answer) => {
            trail.text = tell.take().map(Told::new);
            answer
        }
        None => {
            let text = tell.take();
            let prompting = Prompting { task: tokio::spawn(answer), began };
            Err(Box::new(Asked { text, prompting: Some(prompting), ..Asked::new(Ask::Prompt, language) }))
        }
    }
}

/// What is asked after nobody approved, where there is something.
pub(super) fn after(refusal: Refusal, known: &Known, trail: &mut Trail) -> Option<Asked> {
    let asked = |ask, text, wrong| Some(Asked { text, wrong, ..Asked::new(ask, &known.language) });
    let text = trail.text.take().map(|told| String::from(told.0));
    match refusal {
        Refusal::WrongCode => asked(Ask::Code { provider: None, sent: None }, None, true),
        Refusal::NeedsCode => {
            let (provider, sent) = (trail.provider.clone(), trail.method.filter(|method| *method != Method::Oath));
            asked(Ask::Code { provider, sent }, text, false)
        }
        Refusal::Undeliverable | Refusal::Expired | Refusal::NotThisWay | Refusal::Unreachable(_)
            if known.takes_code =>
        {
            asked(Ask::Code { provider: None, sent: None }, text, false).map(|asked| Asked { silent: true, ..asked })
        }
        _ => None,
    }
}

/// Makes a challenge of what is to be asked, and of the sign-in one that waits for its answer.
///
/// # Errors
/// Why nothing more is asked.
pub(super) fn ask(
    sign_ins: &SignIns,
    ending: &mut Ending,
    primary: PrimaryPassed,
    asked: Asked,
    earlier: Option<(u32, Instant)>,
) -> Result<Outcome, Reason> {
    let rule = ending.attempt().and_then(|attempt| attempt.client.challenge).ok_or(Reason::NeedsCode)?;
    let Asked { ask, text, prompting, wrong, silent, language } = asked;
    let begins = || (rule.tries, now().checked_add(rule.within).unwrap_or_else(now));
    let (tries, until) = earlier.unwrap_or_else(begins);
    let tries = tries.saturating_sub(u32::from(wrong));
    if tries == 0 {
        return Err(Reason::WrongCode);
    }
    if ending.trail.round >= MOST_ROUNDS || until < now() + SHORTEST {
        return Err(Reason::ChallengeExpired);
    }
    let texts = &sign_ins.deps.texts;
    let usual = match &ask {
        Ask::Code { .. } if silent => texts.say(&language, Text::PhoneSilent, &[]),
        Ask::Code { sent, .. } => texts.say(&language, Text::of_code(*sent), &[]),
        Ask::Menu(ways) => texts.menu(&language, ways),
        Ask::Prompt if rule.beside_prompt => texts.say(&language, Text::PromptOrCode, &[]),
        Ask::Prompt => texts.say(&language, Text::PromptOut, &[]),
    };
    let said = text.filter(|text| !text.is_empty()).unwrap_or(usual);
    let said = if wrong { format!("{} {said}", texts.wrong(&language, tries)) } else { said };
    ending.trail.prompt_open = prompting.is_some();
    ending.trail.round += 1;
    // Where nothing has been decided yet, nothing is said of it.
    ending.trail.factor = None;
    ending.round = Some(Box::new(Round { primary, ask, tries, until, prompting, language, kept: now(), requests: 0 }));
    let text = crate::texts::plain(&said).into_boxed_str();
    Ok(Outcome::Challenge(Box::new(Challenge { text, state: Box::default(), hidden: false, relayed: None })))
}

/// Keeps a sign-in until the answer to its challenge comes; what everybody who waits for it is told.
pub(super) fn keep(
    sign_ins: &Arc<SignIns>,
    mut ending: Box<Ending>,
    (key, requests): (HoldKey, u32),
    challenge: Challenge,
) -> Arc<Outcome> {
    if let Some(round) = &mut ending.round {
        round.requests = requests;
    }
    let (Some(attempt), Some(round), Some(identified)) = (ending.attempt(), &ending.round, &ending.identified) else {
        return Arc::new(ending.finish(Outcome::Reject(Reason::Internal), requests));
    };
    let reference = sign_ins.states.reference(attempt.id, ending.trail.round);
    let state = sign_ins.states.state(reference, &attempt.client.name);
    let outcome = Arc::new(Outcome::Challenge(Box::new(Challenge { state, ..challenge })));
    let person = sign_ins.people.hash_one(&identified.who.unique_id);
    let again = now().checked_add(attempt.client.carry_over).unwrap_or(round.until);
    let place = Place { person, key, again, until: round.until };
    let mut rounds = lock(&sign_ins.rounds);
    if let Err(reason) = rounds.has_room(person) {
        drop(rounds);
        return Arc::new(ending.finish(Outcome::Reject(reason), requests));
    }
    rounds.keep(reference, ending, Arc::clone(&outcome), place);
    drop(rounds);
    sweep(sign_ins);
    outcome
}

/// Requests of a sign-in that waits, so far.
fn requests(kept: &Ending) -> u32 {
    kept.round.as_ref().map_or(1, |round| round.requests)
}

/// Sees to it that rounds which nobody answers leave their event, by one task for all of them.
fn sweep(sign_ins: &Arc<SignIns>) {
    if sign_ins.sweeping.swap(true, Ordering::AcqRel) {
        return;
    }
    let sign_ins = Arc::downgrade(sign_ins);
    tokio::spawn(async move {
        while let Some(sign_ins) = sign_ins.upgrade() {
            let (ended, next) = {
                let mut rounds = lock(&sign_ins.rounds);
                let ended: Vec<Box<Ending>> = std::iter::from_fn(|| rounds.expired(now())).collect();
                let next = rounds.next_end();
                if next.is_none() {
                    // Under the lock: whoever keeps a round after this starts another task.
                    sign_ins.sweeping.store(false, Ordering::Release);
                }
                (ended, next)
            };
            for ending in ended {
                let requests = requests(&ending);
                let _ = ending.finish(Outcome::Reject(Reason::ChallengeExpired), requests);
            }
            drop(sign_ins);
            let Some(next) = next else { return };
            tokio::time::sleep_until(next.min(now() + SWEEP).into()).await;
        }
    });
}

/// Gives up every round: the server is stopping.
pub(super) fn give_up(sign_ins: &SignIns) {
    let kept = lock(&sign_ins.rounds).clear();
    for ending in kept {
        let requests = requests(&ending);
        let _ = ending.finish(Outcome::Reject(Reason::ShuttingDown), requests);
    }
}

/// A further round of a sign-in.
pub(super) async fn next(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Outcome, Reason> {
    let typed = resume(sign_ins, ending, lead)?;
    let Round { primary, ask, tries, until, mut prompting, language, .. } =
        *ending.round.take().ok_or(Reason::Internal)?;
    let typed = challenge::read(&ask, &typed);
    let earlier = Some((tries, until));
    let again = |prompting, wrong, text| Asked { text, prompting, wrong, ..Asked::new(ask.clone(), &language) };

    let deadline = ending.attempt().ok_or(Reason::Internal)?.deadline();
    if let Some(open) = &mut prompting {
        let waits = matches!(typed, Typed::Nothing);
        let patience = if waits { flow::prompt_end(deadline).min(until) } else { now() };
        match open.answer(patience).await {
            // The prompt has ended without a word of the person's: what they typed counts.
            Some(Err(failed)) if !waits && !is_word_of_theirs(failed.refusal) => {
                (prompting, ending.trail.prompt_open) = (None, false);
            }
            Some(answer) => {
                let began = open.began;
                ending.trail.prompt_open = false;
                let mut known = Box::pin(look(sign_ins, ending, &primary, None)).await?;
                let attempt = ending.attempt().ok_or(Reason::Internal)?;
                if let Decision::Reject(Reason::Blocked) = known.decide(sign_ins, attempt, SystemTime::now()) {
                    return Err(Reason::Blocked);
                }
                return match settling::settle(sign_ins, ending, lead, &mut known, began, answer).await? {
                    Held::Passed(second) => {
                        Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
                    }
                    Held::Asks(asked) => self::ask(sign_ins, ending, primary, *asked, earlier),
                };
            }
            None if waits => {
                let text = sign_ins.deps.texts.say(&language, Text::StillWaiting, &[]);
                return self::ask(sign_ins, ending, primary, again(prompting, false, Some(text)), earlier);
            }
            None => {}
        }
    }
    let Some((typed, provider)) = meant(typed, &ask) else {
        return self::ask(sign_ins, ending, primary, again(prompting, true, None), earlier);
    };
    if matches!(typed, passcode::Typed::Word(_)) {
        // Whoever wants to be asked in another way is not asked in both.
        (prompting, ending.trail.prompt_open) = (None, false);
    }
    let is_word = matches!(typed, passcode::Typed::Word(_));
    let mut known = Box::pin(look(sign_ins, ending, &primary, Some(typed))).await?;
    if let Some(provider) = provider {
        known.steps.retain(|step| step.provider.name() == &*provider);
    }
    if is_word && known.is_asked_for_code() {
        return self::ask(sign_ins, ending, primary, Asked::code(&language), earlier);
    }
    let held = match known.decide(sign_ins, ending.attempt().ok_or(Reason::Internal)?, SystemTime::now()) {
        Decision::Reject(Reason::NoMethod | Reason::NeedsCode) if is_word => {
            return self::ask(sign_ins, ending, primary, again(prompting, true, None), earlier);
        }
        Decision::Reject(reason) => return Err(reason),
        Decision::Exempt(exempted) => Held::Passed(crate::signin::proof::SecondPassed::Exempt(exempted)),
        Decision::Due(_) => {
            let open = std::mem::take(&mut ending.trail.prompt_open);
            let held = Box::pin(flow::hold(sign_ins, ending, lead, &mut known)).await;
            ending.trail.prompt_open |= open && held.is_err();
            held?
        }
    };
    match held {
        Held::Passed(second) => {
            Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
        }
        Held::Asks(asked) if asked.wrong => self::ask(sign_ins, ending, primary, again(prompting, true, None), earlier),
        Held::Asks(asked) => self::ask(sign_ins, ending, primary, *asked, earlier),
    }
}

/// Whether an answer of the provider is one of the person, who must not be asked any further.
fn is_word_of_theirs(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Denied | Refusal::Fraud | Refusal::LockedThere)
}

/// What is to be done with what was typed, and by whom. `None`: it is nothing that could be right.
fn meant(typed: Typed, ask: &Ask) -> Option<(passcode::Typed, Option<Box<str>>)> {
    let (asker, sent) = match ask {
        Ask::Code { provider, sent } => (provider.clone(), *sent),
        Ask::Menu(_) | Ask::Prompt => (None, None),
    };
    match (typed, ask) {
        (Typed::Nothing, _) => None,
        (Typed::Text(code), _) => Some((passcode::Typed::Code(code), asker)),
        (Typed::Word(word), _) => Some((passcode::Typed::Word(word), None)),
        (Typed::Choice(place), Ask::Menu(ways)) => Some((passcode::Typed::Word(Word::of(*ways.get(place)?)), None)),
        (Typed::Refresh, _) => Some((passcode::Typed::Word(Word::of(sent?)), asker)),
        (Typed::Choice(_), _) => None,
    }
}

/// Finds the round that the request's State is about, and goes on with its sign-in; what was typed.
fn resume(sign_ins: &SignIns, ending: &mut Ending, lead: &Lead) -> Result<zeroize::Zeroizing<Vec<u8>>, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let state = attempt.state.as_deref().ok_or(Reason::Internal)?;
    let reference = sign_ins.states.judge(state, &attempt.client.name).ok_or(Reason::StateForeign)?;
    let typed = attempt.credential.as_ref().map(|typed| typed.open().to_vec()).unwrap_or_default();
    let mut kept = lock(&sign_ins.rounds)
        .take(reference, now(), |kept| kept.attempt().is_some_and(|first| is_same(first, attempt)))?;
    let waited = kept.round.as_ref().map_or(Duration::ZERO, |round| now().saturating_duration_since(round.kept));
    kept.trail.steps.total += waited;
    lead.hold.served_before(requests(&kept));
    ending.go_on(*kept);
    Ok(typed.into())
}

/// Whether a further round is of the person who began: clients send the name again as it was typed.
fn is_same(first: &Attempt, next: &Attempt) -> bool {
    first.name == next.name && first.door == next.door && Arc::ptr_eq(&first.client, &next.client)
}

/// Looks the person up again, with what they typed.
async fn look(
    sign_ins: &SignIns,
    ending: &mut Ending,
    primary: &PrimaryPassed,
    typed: Option<passcode::Typed>,
) -> Result<Box<flow::Known>, Reason> {
    ending.trail.typed = typed.map(Box::new);
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let typed = ending.trail.typed.as_deref();
    let known = flow::look_up(sign_ins, attempt, primary.who(), typed, SystemTime::now()).await?;
    let required = required_methods(sign_ins, known.rule);
    if typed.is_some_and(|typed| !route::takes(required, typed)) {
        // A rule wants something else, and what was typed must not become a prompt.
        return Err(Reason::WrongCode);
    }
    ending.trail.rule = known.rule;
    Ok(Box::new(known))
}
