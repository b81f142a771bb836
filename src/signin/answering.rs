//! What an answer to a challenge means, and how its sign-in goes on from there.

use std::sync::Arc;
use std::time::SystemTime;

use crate::factor::Refusal;
use crate::signin::challenge::{self, Ask, Typed};
use crate::signin::flow::{self, Held};
use crate::signin::keeping;
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode::{self, Word};
use crate::signin::pending::Lead;
use crate::signin::policy::Decision;
use crate::signin::proof::{PrimaryPassed, SecondPassed};
use crate::signin::reception::{Ending, SignIns, now};
use crate::signin::rounds::{Asked, Round, ask as ask_again};
use crate::signin::route;
use crate::signin::ruling::required_methods;
use crate::signin::settling;
use crate::texts::Text;

/// A further round of a sign-in.
pub(super) async fn next(sign_ins: &Arc<SignIns>, ending: &mut Ending, lead: &Lead) -> Result<Outcome, Reason> {
    let typed = keeping::resume(sign_ins, ending, lead)?;
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
                    Held::Asks(asked) => ask_again(sign_ins, ending, primary, *asked, earlier),
                };
            }
            None if waits => {
                let text = sign_ins.deps.texts.say(&language, Text::StillWaiting, &[]);
                return ask_again(sign_ins, ending, primary, again(prompting, false, Some(text)), earlier);
            }
            None => {}
        }
    }
    let Some((typed, provider)) = meant(typed, &ask) else {
        return ask_again(sign_ins, ending, primary, again(prompting, true, None), earlier);
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
        return ask_again(sign_ins, ending, primary, Asked::code(&language), earlier);
    }
    let held = match known.decide(sign_ins, ending.attempt().ok_or(Reason::Internal)?, SystemTime::now()) {
        Decision::Reject(Reason::NoMethod | Reason::NeedsCode) if is_word => {
            return ask_again(sign_ins, ending, primary, again(prompting, true, None), earlier);
        }
        Decision::Reject(reason) => return Err(reason),
        Decision::Exempt(exempted) => Held::Passed(SecondPassed::Exempt(exempted)),
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
        Held::Asks(asked) if asked.wrong => ask_again(sign_ins, ending, primary, again(prompting, true, None), earlier),
        Held::Asks(asked) => ask_again(sign_ins, ending, primary, *asked, earlier),
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
