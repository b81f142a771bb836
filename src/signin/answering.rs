//! What an answer to a challenge means, and how its sign-in goes on from there.

use std::sync::Arc;
use std::time::SystemTime;

use crate::factor::Refusal;
use crate::signin::challenge::{self, Ask, Typed};
use crate::signin::ending::Ending;
use crate::signin::flow::{self, Held};
use crate::signin::keeping;
use crate::signin::known::{self, Known};
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode::{self, Word};
use crate::signin::pending::Lead;
use crate::signin::pinning;
use crate::signin::policy::Decision;
use crate::signin::prompting::Prompting;
use crate::signin::proof::{PrimaryPassed, SecondPassed};
use crate::signin::reception::{SignIns, now};
use crate::signin::rounds::{Asked, Earlier, Round, ask as ask_again};
use crate::signin::route;
use crate::signin::ruling::required_methods;
use crate::signin::settling;
use crate::texts::Text;
use crate::users::model::Method;

/// A further round of a sign-in.
pub(super) async fn next(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Outcome, Reason> {
    let typed = Box::pin(keeping::resume(sign_ins, ending, lead)).await?;
    let mut round = *ending.round.take().ok_or(Reason::Internal)?;
    let typed = challenge::read(&round.ask, &typed);
    if matches!(round.ask, Ask::Pin | Ask::NewPin | Ask::RepeatPin) {
        return Box::pin(pinning::answer(sign_ins, ending, lead, round, typed)).await;
    }
    if let Some(answer) = Box::pin(heard(sign_ins, ending, lead, &mut round, &typed)).await? {
        let (Round { primary, earlier, .. }, held) = (round, answer);
        return conclude(sign_ins, ending, primary, held, earlier);
    }
    if matches!(typed, Typed::Nothing) && round.prompting.is_some() {
        let usual = &sign_ins.deps.texts;
        let texts = ending.attempt().map_or(usual, |attempt| attempt.texts(usual));
        let text = texts.say(&round.language, Text::StillWaiting, &[]);
        return again(sign_ins, ending, round, None, Some(text));
    }
    let Some((typed, provider)) = meant(typed, &round.ask) else {
        return again(sign_ins, ending, round, Some(Reason::WrongCode), None);
    };
    let is_word = matches!(typed, passcode::Typed::Word(_));
    let sent = if let passcode::Typed::Sent(_, way) = typed { Some(way) } else { None };
    if is_word {
        // Whoever wants to be asked in another way is not asked in both.
        (round.prompting, ending.trail.prompt_open) = (None, false);
    }
    let mut known = Box::pin(look(sign_ins, ending, &round.primary, &round.earlier, Some(typed))).await?;
    if let Some(provider) = provider {
        known.steps.retain(|step| step.provider.name() == &*provider);
    }
    if !is_word && round.ask == Ask::NextCode {
        // Two codes in a row are for whoever has the seed.
        known.steps.retain(|step| step.provider.is_of_the_house());
        known.more().before = round.so_far.typed.take().and_then(passcode::Typed::into_code);
    }
    if is_word && known.is_asked_for_code() {
        let Round { primary, earlier, language, .. } = round;
        return ask_again(sign_ins, ending, primary, Asked::code(&language), Some(earlier));
    }
    let held = match known.decide(sign_ins, ending.attempt().ok_or(Reason::Internal)?, SystemTime::now()) {
        Decision::Reject(Reason::NoMethod | Reason::NeedsCode) if is_word => {
            return again(sign_ins, ending, round, Some(Reason::WrongCode), None);
        }
        Decision::Reject(reason) => return Err(reason),
        Decision::Exempt(exempted) => Held::Passed(SecondPassed::Exempt(exempted)),
        Decision::Due(_) => {
            let open = std::mem::take(&mut ending.trail.prompt_open);
            let held = Box::pin(flow::hold(sign_ins, ending, lead, &mut known)).await;
            ending.trail.prompt_open |= open && held.is_err();
            if let (Some(Method::Oath), Some(_)) = (ending.trail.method, sent) {
                // A code that was sent is of the way by which it was, whoever has looked at it.
                ending.trail.method = sent;
            }
            held?
        }
    };
    match held {
        Held::Asks(asked) if asked.wrong.is_some() && round.ask != Ask::NextCode => {
            again(sign_ins, ending, round, asked.wrong, None)
        }
        held => conclude(sign_ins, ending, round.primary, held, round.earlier),
    }
}

/// What became of the prompt that is out, if its answer counts: it came, and what was typed does not go before it.
async fn heard(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    round: &mut Round,
    typed: &Typed,
) -> Result<Option<Held>, Reason> {
    let deadline = ending.attempt().ok_or(Reason::Internal)?.deadline();
    let waits = matches!(typed, Typed::Nothing);
    let patience = if waits { flow::prompt_end(deadline).min(round.earlier.until) } else { now() };
    let Some(open) = &mut round.prompting else { return Ok(None) };
    let (began, answer) = (open.began, open.answer(patience).await);
    let Some(answer) = answer else { return Ok(None) };
    round.prompting = None::<Prompting>;
    ending.trail.prompt_open = false;
    if let Err(failed) = &answer
        && !waits
        && !is_word_of_theirs(failed.refusal)
    {
        // The prompt has ended without a word of the person's: what they typed counts.
        return Ok(None);
    }
    let mut known = Box::pin(look(sign_ins, ending, &round.primary, &round.earlier, None)).await?;
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    // Who is blocked by this very answer hears why.
    let is_settled = answer.as_ref().is_err_and(|failed| failed.settled);
    let decision = known.decide(sign_ins, attempt, SystemTime::now());
    if matches!(decision, Decision::Reject(Reason::Blocked)) && !is_settled {
        return Err(Reason::Blocked);
    }
    settling::settle(sign_ins, ending, lead, &mut known, began, answer).await.map(Some)
}

/// Asks the same once more.
fn again(
    sign_ins: &SignIns,
    ending: &mut Ending,
    round: Round,
    wrong: Option<Reason>,
    text: Option<String>,
) -> Result<Outcome, Reason> {
    let Round { primary, ask, earlier, so_far, prompting, language, .. } = round;
    let asked = Asked { text, prompting, wrong, so_far, ..Asked::new(ask, &language) };
    ask_again(sign_ins, ending, primary, asked, Some(earlier))
}

/// Lets the person in, or asks for more.
pub(super) fn conclude(
    sign_ins: &SignIns,
    ending: &mut Ending,
    primary: PrimaryPassed,
    held: Held,
    earlier: Earlier,
) -> Result<Outcome, Reason> {
    match held {
        Held::Passed(second) => {
            Accept::new(primary, second).map(|accept| Outcome::Accept(accept.with(ending.settings())))
        }
        Held::Asks(asked) => ask_again(sign_ins, ending, primary, *asked, Some(earlier)),
    }
}

/// Whether an answer of the provider is one of the person, who must not be asked any further.
fn is_word_of_theirs(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Denied | Refusal::Fraud | Refusal::LockedThere | Refusal::WrongPin | Refusal::PinLocked)
}

/// What is to be done with what was typed, and by whom. `None`: it is nothing that could be right.
fn meant(typed: Typed, ask: &Ask) -> Option<(passcode::Typed, Option<Box<str>>)> {
    let (asker, sent) = match ask {
        Ask::Code { provider, sent } => (provider.clone(), *sent),
        Ask::Menu(_) | Ask::Prompt | Ask::Pin | Ask::NewPin | Ask::RepeatPin | Ask::NextCode => (None, None),
    };
    match (typed, ask) {
        (Typed::Nothing, _) => None,
        (Typed::Text(code), _) => {
            let code = match (&asker, sent) {
                (Some(_), Some(way)) => passcode::Typed::Sent(code, way),
                _ => passcode::Typed::Code(code),
            };
            Some((code, asker))
        }
        (Typed::Word(word), _) => Some((passcode::Typed::Word(word), None)),
        (Typed::Choice(place), Ask::Menu(ways)) => Some((passcode::Typed::Word(Word::of(*ways.get(place)?)), None)),
        (Typed::Refresh, _) => Some((passcode::Typed::Word(Word::of(sent?)), asker)),
        (Typed::Choice(_), _) => None,
    }
}

/// Looks the person up again, with what they typed.
pub(super) async fn look(
    sign_ins: &SignIns,
    ending: &mut Ending,
    primary: &PrimaryPassed,
    earlier: &Earlier,
    typed: Option<passcode::Typed>,
) -> Result<Box<Known>, Reason> {
    ending.trail.typed = typed.map(Box::new);
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let typed = ending.trail.typed.as_deref();
    let mut known = known::look_up(sign_ins, attempt, primary.who(), typed, SystemTime::now()).await?;
    let required = required_methods(sign_ins, known.rule);
    if typed.is_some_and(|typed| !route::takes(required, typed)) {
        // A rule wants something else, and what was typed must not become a prompt.
        return Err(Reason::WrongCode);
    }
    ending.trail.rule = known.rule;
    if let Some(pin) = &earlier.pin {
        known.more().pin = Some(pin.clone());
    }
    Ok(Box::new(known))
}
