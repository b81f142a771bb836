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

use std::time::{Duration, Instant};

use crate::factor::Refusal;
use crate::signin::challenge::{Ask, Challenge, MOST_ROUNDS};
use crate::signin::flow::{Known, Trail};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::prompting::Prompting;
use crate::signin::proof::PrimaryPassed;
use crate::signin::reception::{Ending, SignIns, now};
use crate::texts::Text;
use crate::users::model::Method;

/// A challenge that is over sooner than this is not worth being shown.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a sign-in keeps from one round to the next.
pub(super) struct Round {
    pub(super) primary: PrimaryPassed,
    pub(super) ask: Ask,
    /// Wrong answers until it is refused.
    pub(super) tries: u32,
    pub(super) until: Instant,
    /// The prompt that is out.
    pub(super) prompting: Option<Prompting>,
    pub(super) language: Box<str>,
    /// When the challenge was given out.
    pub(super) kept: Instant,
    /// Requests so far.
    pub(super) requests: u32,
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
    pub(super) silent: bool,
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
