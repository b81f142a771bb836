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

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::factor::Refusal;
use crate::secret::Secret;
use crate::signin::challenge::{Ask, Challenge, MOST_ROUNDS};
use crate::signin::ending::Ending;
use crate::signin::flow::Trail;
use crate::signin::known::Known;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::passcode::Typed;
use crate::signin::pinning;
use crate::signin::prompting::Prompting;
use crate::signin::proof::PrimaryPassed;
use crate::signin::reception::{SignIns, now};
use crate::texts::{LONGEST, Text};
use crate::users::model::Method;
use crate::users::pins::PinPassed;

/// A challenge that is over sooner than this is not worth being shown.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a sign-in keeps from one round to the next.
pub(super) struct Round {
    pub(super) primary: PrimaryPassed,
    pub(super) ask: Ask,
    pub(super) earlier: Earlier,
    pub(super) so_far: SoFar,
    /// The prompt that is out.
    pub(super) prompting: Option<Prompting>,
    pub(super) language: Box<str>,
    /// When the challenge was given out.
    pub(super) kept: Instant,
    /// Requests so far.
    pub(super) requests: u32,
}

/// What the rounds of a sign-in have in common.
pub(super) struct Earlier {
    /// Wrong answers until it is refused.
    pub(super) tries: u32,
    pub(super) until: Instant,
    /// The person's PIN was right.
    pub(super) pin: Option<PinPassed>,
}

/// What the person has typed that waits for another answer.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    /// What they typed before the PIN was asked for, or the code whose next one is.
    pub(super) typed: Option<Typed>,
    /// A new PIN, typed once.
    pub(super) new_pin: Option<Secret>,
}

/// What is to be asked, as a step of the sign-in found out.
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// What the person reads; none: what is always said when this is asked.
    pub(super) text: Option<String>,
    pub(super) prompting: Option<Prompting>,
    /// What the sign-in ends with if the wrong answer that led here was the last.
    pub(super) wrong: Option<Reason>,
    /// Whether the phone did not answer.
    pub(super) silent: bool,
    pub(super) language: Box<str>,
    pub(super) so_far: SoFar,
}

impl Asked {
    /// With the usual words.
    pub(super) fn new(ask: Ask, language: &str) -> Asked {
        let (language, so_far) = (language.into(), SoFar::default());
        Asked { ask, text: None, prompting: None, wrong: None, silent: false, language, so_far }
    }

    /// For a code that the person has or makes.
    pub(super) fn code(language: &str) -> Asked {
        Asked::new(Ask::Code { provider: None, sent: None }, language)
    }

    /// For something that goes before what was typed already.
    pub(super) fn before(ask: Ask, typed: Option<Typed>, language: &str) -> Asked {
        Asked { so_far: SoFar { typed, new_pin: None }, ..Asked::new(ask, language) }
    }
}

/// What is asked after nobody approved, where there is something.
pub(super) fn after(sign_ins: &SignIns, refusal: Refusal, known: &mut Known, trail: &mut Trail) -> Option<Asked> {
    let language = known.language.clone();
    let text = trail.text.take().map(|told| String::from(told.0));
    let code = || Asked::code(&language);
    let mut typed = || known.more().code.take().map(Typed::Code);
    match refusal {
        // It was typed on the phone; here it is asked for before that rings again.
        Refusal::WrongPin if trail.method.is_some_and(|method| method != Method::Oath) => {
            Some(Asked { wrong: Some(Reason::WrongPin), ..Asked::before(Ask::Pin, None, &language) })
        }
        Refusal::WrongCode | Refusal::UsedCode | Refusal::OldCode | Refusal::WrongPin => {
            Some(Asked { wrong: Some(Reason::from_factor(refusal)), ..code() })
        }
        Refusal::NeedsCode => {
            let (provider, sent) = (trail.provider.clone(), trail.method.filter(|method| *method != Method::Oath));
            Some(Asked { text, ..Asked::new(Ask::Code { provider, sent }, &language) })
        }
        Refusal::NeedsPin => Some(Asked::before(Ask::Pin, typed(), &language)),
        Refusal::PinDue if pinning::may_change(sign_ins) => Some(Asked::before(Ask::NewPin, typed(), &language)),
        Refusal::NextCode => Some(Asked::before(Ask::NextCode, typed(), &language)),
        Refusal::Undeliverable | Refusal::Expired | Refusal::NotThisWay | Refusal::Unreachable(_)
            if known.takes_code =>
        {
            trail.fell_back = true;
            Some(Asked { text, silent: true, ..code() })
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
    earlier: Option<Earlier>,
) -> Result<Outcome, Reason> {
    let rule = ending.attempt().and_then(|attempt| attempt.client.challenge).ok_or(Reason::NeedsCode)?;
    let Asked { ask, text, prompting, wrong, silent, language, so_far } = asked;
    let begins = || Earlier { tries: rule.tries, until: now().checked_add(rule.within).unwrap_or_else(now), pin: None };
    let mut earlier = earlier.unwrap_or_else(begins);
    if let Some(reason) = wrong {
        earlier.tries = earlier.tries.saturating_sub(1);
        if earlier.tries == 0 {
            return Err(reason);
        }
    }
    if ending.trail.round >= MOST_ROUNDS || earlier.until < now() + SHORTEST {
        return Err(Reason::ChallengeExpired);
    }
    let texts = ending.attempt().map_or(&sign_ins.deps.texts, |attempt| attempt.texts(&sign_ins.deps.texts));
    let texts = &Arc::clone(texts);
    let room = wrong.map_or(LONGEST, |_| LONGEST.saturating_sub(texts.wrong(&language, earlier.tries).len() + 1));
    let usual = match &ask {
        Ask::Code { .. } if silent => texts.say(&language, Text::PhoneSilent, &[]),
        Ask::Code { sent, .. } => texts.say(&language, Text::of_code(*sent), &[]),
        Ask::Menu(ways) => texts.menu(&language, ways, room),
        Ask::Prompt if rule.beside_prompt => texts.say(&language, Text::PromptOrCode, &[]),
        Ask::Prompt => texts.say(&language, Text::PromptOut, &[]),
        Ask::Pin => texts.say(&language, Text::EnterPin, &[]),
        Ask::NewPin => pinning::rules(sign_ins, texts, &language),
        Ask::RepeatPin => texts.say(&language, Text::RepeatPin, &[]),
        Ask::NextCode => texts.say(&language, Text::NextCode, &[]),
    };
    let said = text.filter(|text| !text.is_empty()).unwrap_or(usual);
    let said = if wrong.is_some() { texts.wrong_before(&language, earlier.tries, &said) } else { said };
    ending.trail.prompt_open = prompting.is_some();
    ending.trail.round += 1;
    // Where nothing has been decided yet, nothing is said of it.
    ending.trail.factor = None;
    let hidden = ask.is_hidden();
    let round = Round { primary, ask, earlier, so_far, prompting, language, kept: now(), requests: 0 };
    ending.round = Some(Box::new(round));
    let text = crate::texts::plain(&said).into_boxed_str();
    Ok(Outcome::Challenge(Box::new(Challenge { text, state: Box::default(), hidden, relayed: None })))
}
