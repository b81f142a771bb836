//! The PIN of people in PIN mode: when it is asked for, what an answer is, and how it is changed when that is due.
//!
//! ```text
//! password right ─ a prompt would go out, or a code was typed without it ─▶ PIN? ─ right ──────────────▶ on it goes
//!                                                                          └ due ▶ new PIN? ▶ again? ─▶ changed ┘
//! ```
//!
//! Nobody hears anything of a PIN whose password was not right. Wrong ones are counted in the store, for all nodes
//! together, and end in the same lockout as wrong codes.

use std::sync::Arc;
use std::time::SystemTime;

use crate::factor::{self, Factor};
use crate::secret::Secret;
use crate::signin::answering;
use crate::signin::challenge::{Ask, Typed};
use crate::signin::ending::Ending;
use crate::signin::flow::{self, Held};
use crate::signin::known::{self, Known};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::passcode;
use crate::signin::pending::Lead;
use crate::signin::policy::{self, Decision};
use crate::signin::proof::{PrimaryPassed, SecondPassed};
use crate::signin::reception::SignIns;
use crate::signin::rounds::{self, Asked, Earlier, Round, SoFar};
use crate::signin::settling;
use crate::texts::{Text, Texts};
use crate::users::model::{Method, Mode, Person};
use crate::users::pin::{DIGITS, Fault};
use crate::users::pins::{self, PinPassed, PinVerdict, Pins, Unfit};
use crate::users::store::StoreError;

/// What somebody gave beside the password.
#[derive(Default)]
pub(super) struct More {
    /// Their PIN was right.
    pub(super) pin: Option<PinPassed>,
    /// The code that they typed, where more may be asked before it counts.
    pub(super) code: Option<Secret>,
    /// The code that they typed before, where it is to be the next of the same token.
    pub(super) before: Option<Secret>,
}

impl Known {
    /// What they gave, to add to it.
    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// That their PIN was right.
    pub(super) fn pin(&self) -> Option<&PinPassed> {
        self.more.as_deref()?.pin.as_ref()
    }
}

/// Something about whoever asks a person first.
type AboutFirst = fn(&dyn Factor, &Person, Method, bool) -> bool;

/// Whether this is so of the first of their providers, and of the way in which it asks.
fn is_of_first(known: &Known, about: AboutFirst) -> bool {
    let first = known.steps.first().and_then(|step| Some((step, *step.methods.first()?)));
    match (&known.person, first) {
        (Some(person), Some((step, method))) => about(step.provider.as_ref(), person, method, known.pin().is_some()),
        _ => false,
    }
}

/// Whether the person's PIN is to be seen before the first of their providers asks them.
pub(super) fn is_due(known: &Known) -> bool {
    is_of_first(known, factor::lacks_pin)
}

/// Whether the person can be asked for their PIN, and is to be before anybody prompts them: nobody would look at it else, or
/// it must be changed, which no phone can do.
///
/// # Errors
/// When it cannot be said.
pub(super) async fn comes_first(sign_ins: &SignIns, known: &Known) -> Result<bool, Reason> {
    if !known.can_ask || !is_of_first(known, factor::owes_pin) {
        return Ok(false);
    }
    if is_due(known) {
        return Ok(true);
    }
    let Pins { roster, rules } = store(sign_ins)?;
    let pin = roster.pin(&known.who.unique_id).await.map_err(|error| lost(&error))?;
    Ok(rules.own_change && pin.is_some_and(|pin| pin.must_change(SystemTime::now())))
}

/// Whether people may change their own PIN.
pub(super) fn may_change(sign_ins: &SignIns) -> bool {
    sign_ins.deps.pins.as_ref().is_some_and(|pins| pins.rules.own_change)
}

/// Asks for a new PIN, by the rules.
pub(super) fn rules(sign_ins: &SignIns, texts: &Texts, language: &str) -> String {
    let rules = sign_ins.deps.pins.as_ref().map(|pins| pins.rules).unwrap_or_default();
    let text = if rules.refuse_weak { Text::NewPinStrict } else { Text::NewPin };
    texts.say(language, text, &[("least", &rules.least().to_string())])
}

/// What the person reads, and in which language.
type Reads<'a> = (&'a Texts, &'a str);

/// Why a new PIN is not taken, for the person to read.
fn told(sign_ins: &SignIns, (texts, language): Reads<'_>, unfit: &Unfit) -> Option<String> {
    let say = |text, fills: &[(&str, &str)]| Some(texts.say(language, text, fills));
    match unfit {
        Unfit::Rule(Fault::NotDigits) => {
            let least = sign_ins.deps.pins.as_ref()?.rules.least();
            told(sign_ins, (texts, language), &Unfit::Rule(Fault::Length(least)))
        }
        Unfit::Rule(Fault::Length(least)) => {
            say(Text::PinLength, &[("least", &least.to_string()), ("most", &DIGITS.end().to_string())])
        }
        Unfit::Rule(Fault::Row) => say(Text::PinRow, &[]),
        Unfit::Rule(Fault::InPhone) => say(Text::PinInPhone, &[]),
        Unfit::UsedBefore => say(Text::PinUsedBefore, &[]),
        Unfit::NotAllowed | Unfit::Nobody => None,
    }
}

/// A person in PIN mode typed a code behind their password, and would be prompted had they not: it may be their PIN. Where it
/// is, the prompt goes out; where it is not, it is looked at as a code. What is to be asked, where the PIN must be changed.
///
/// # Errors
/// Why the sign-in ends here.
pub(super) async fn typed_with_password(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    known: &mut Known,
) -> Result<Option<Asked>, Reason> {
    let now = SystemTime::now();
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let Some(typed) = ending.trail.typed.as_deref().and_then(passcode::Typed::code) else { return Ok(None) };
    let is_asked = policy::can_bypass(&known.decide(sign_ins, attempt, now)) && !known.bypassed;
    let in_pin_mode = known.person.as_ref().is_some_and(|person| person.mode == Mode::Pin);
    if !is_asked || !in_pin_mode {
        return Ok(None);
    }
    let mut prompted = known::look_up(sign_ins, attempt, &known.who, None, now).await?;
    if !is_of_first(&prompted, factor::owes_pin) || !DIGITS.contains(&typed.len()) {
        return Ok(None);
    }
    let may_be_code = known.person.as_deref().is_some_and(|person| {
        known.steps.iter().any(|step| !factor::lacks_pin(step.provider.as_ref(), person, Method::Oath, false))
    });
    match check(sign_ins, &known.who.unique_id, typed).await? {
        Ok(pin) => {
            prompted.more().pin = Some(pin);
            ending.trail.typed = None;
            *known = prompted;
            Ok(None)
        }
        Err(PinVerdict::MustChange) if known.can_ask && may_change(sign_ins) => {
            ending.trail.typed = None;
            Ok(Some(Asked::new(Ask::NewPin, &known.language)))
        }
        Err(PinVerdict::MustChange) => Err(refused(ending, Reason::PinDue)),
        Err(_) if may_be_code => Ok(None),
        Err(verdict) => {
            if verdict == PinVerdict::Wrong {
                settling::count_wrong(sign_ins, ending).await;
            }
            Err(refused(ending, reason(verdict)))
        }
    }
}

/// The answer to a question for a PIN.
///
/// # Errors
/// Why the sign-in ends here.
pub(super) async fn answer(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    round: Round,
    typed: Typed,
) -> Result<Outcome, Reason> {
    let Round { primary, ask, mut earlier, so_far, language, .. } = round;
    let SoFar { typed: before, new_pin } = so_far;
    let typed = match typed {
        Typed::Text(text) => text,
        Typed::Word(word) => {
            // They want to be asked in another way; the PIN goes before that, too.
            let asked = Asked::before(Ask::Pin, Some(passcode::Typed::Word(word)), &language);
            return rounds::ask(sign_ins, ending, primary, asked, Some(earlier));
        }
        Typed::Nothing | Typed::Choice(_) | Typed::Refresh => {
            let asked = Asked { so_far: SoFar { typed: before, new_pin }, ..Asked::new(ask, &language) };
            let asked = Asked { wrong: Some(Reason::WrongPin), ..asked };
            return rounds::ask(sign_ins, ending, primary, asked, Some(earlier));
        }
    };
    // Whoever is blocked meanwhile finds out nothing about any PIN.
    let mut known = answering::look(sign_ins, ending, &primary, &earlier, before).await?;
    let decision = known.decide(sign_ins, ending.attempt().ok_or(Reason::Internal)?, SystemTime::now());
    if let Decision::Reject(Reason::Blocked) = decision {
        return Err(Reason::Blocked);
    }
    let unique_id = known.who.unique_id.clone();
    let texts = Arc::clone(ending.attempt().ok_or(Reason::Internal)?.texts(&sign_ins.deps.texts));
    let reads = (&*texts, &*language);
    let next = match ask {
        Ask::NewPin => new(sign_ins, &unique_id, typed, reads).await?,
        Ask::RepeatPin => repeated(sign_ins, &unique_id, (new_pin, typed), reads).await?,
        _ => first(sign_ins, ending, &unique_id, &typed, &language).await?,
    };
    match next {
        Next::Passed(pin) => {
            known.more().pin = Some(pin.clone());
            earlier.pin = Some(pin);
            go_on(sign_ins, ending, lead, primary, (&mut known, decision), earlier).await
        }
        Next::Asks(mut asked) => {
            asked.so_far.typed = ending.trail.typed.take().map(|typed| *typed);
            rounds::ask(sign_ins, ending, primary, *asked, Some(earlier))
        }
    }
}

/// What follows an answer.
enum Next {
    Passed(PinPassed),
    Asks(Box<Asked>),
}

impl Next {
    fn asks(asked: Asked) -> Result<Next, Reason> {
        Ok(Next::Asks(Box::new(asked)))
    }
}

/// The PIN as it is.
async fn first(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    unique_id: &str,
    typed: &Secret,
    language: &str,
) -> Result<Next, Reason> {
    match check(sign_ins, unique_id, typed).await? {
        Ok(pin) => Ok(Next::Passed(pin)),
        Err(PinVerdict::MustChange) if may_change(sign_ins) => Next::asks(Asked::new(Ask::NewPin, language)),
        Err(PinVerdict::Wrong | PinVerdict::Right) => {
            settling::count_wrong(sign_ins, ending).await;
            Next::asks(Asked { wrong: Some(Reason::WrongPin), ..Asked::new(Ask::Pin, language) })
        }
        Err(verdict) => Err(refused(ending, reason(verdict))),
    }
}

/// A new PIN, typed for the first time.
async fn new(sign_ins: &SignIns, unique_id: &str, typed: Secret, reads: Reads<'_>) -> Result<Next, Reason> {
    let Pins { roster, rules } = store(sign_ins)?;
    match pins::judge(&**roster, unique_id, &typed, rules).await.map_err(|error| lost(&error))? {
        Ok(()) => {
            let so_far = SoFar { typed: None, new_pin: Some(typed) };
            Next::asks(Asked { so_far, ..Asked::new(Ask::RepeatPin, reads.1) })
        }
        Err(unfit) => another(sign_ins, &unfit, reads),
    }
}

/// A new PIN, typed for the second time.
async fn repeated(
    sign_ins: &SignIns,
    unique_id: &str,
    (new, typed): (Option<Secret>, Secret),
    reads @ (texts, language): Reads<'_>,
) -> Result<Next, Reason> {
    let Pins { roster, rules } = store(sign_ins)?;
    if !new.is_some_and(|new| new.matches(typed.open())) {
        let text = Some(texts.say(language, Text::PinsDiffer, &[]));
        return Next::asks(Asked { text, ..Asked::new(Ask::NewPin, language) });
    }
    let changed = pins::change(&**roster, unique_id, &typed, rules, SystemTime::now()).await;
    match changed.map_err(|error| lost(&error))? {
        Ok(pin) => {
            tracing::info!(unique_id, "the person has changed their PIN");
            Ok(Next::Passed(pin))
        }
        Err(unfit) => another(sign_ins, &unfit, reads),
    }
}

/// Asks for another new PIN, and says what was wrong with this one.
fn another(sign_ins: &SignIns, unfit: &Unfit, reads: Reads<'_>) -> Result<Next, Reason> {
    match told(sign_ins, reads, unfit) {
        Some(text) => Next::asks(Asked { text: Some(text), ..Asked::new(Ask::NewPin, reads.1) }),
        None => Err(Reason::PinDue),
    }
}

/// Goes on with a sign-in whose PIN was right.
async fn go_on(
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    lead: &Lead,
    primary: PrimaryPassed,
    (known, decision): (&mut Known, Decision),
    earlier: Earlier,
) -> Result<Outcome, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    if let Decision::Due(_) | Decision::Reject(Reason::NeedsCode) = decision
        && let Some(asked) = known.asks_first(attempt, ending.trail.typed.is_some())
    {
        return rounds::ask(sign_ins, ending, primary, asked, Some(earlier));
    }
    let held = match decision {
        Decision::Reject(reason) => return Err(reason),
        Decision::Exempt(exempted) => Held::Passed(SecondPassed::Exempt(exempted)),
        Decision::Due(_) => Box::pin(flow::hold(sign_ins, ending, lead, known)).await?,
    };
    answering::conclude(sign_ins, ending, primary, held, earlier)
}

/// Checks a PIN.
async fn check(sign_ins: &SignIns, unique_id: &str, typed: &Secret) -> Result<Result<PinPassed, PinVerdict>, Reason> {
    let Pins { roster, rules } = store(sign_ins)?;
    pins::check(&**roster, unique_id, typed, rules, SystemTime::now()).await.map_err(|error| lost(&error))
}

fn store(sign_ins: &SignIns) -> Result<&Pins, Reason> {
    sign_ins.deps.pins.as_ref().ok_or(Reason::NoPin)
}

fn lost(error: &StoreError) -> Reason {
    tracing::error!(%error, "a PIN cannot be read or changed");
    Reason::StoreUnavailable
}

/// Why a PIN that is none lets nobody in.
fn reason(verdict: PinVerdict) -> Reason {
    match verdict {
        PinVerdict::Wrong | PinVerdict::Right => Reason::WrongPin,
        PinVerdict::MustChange => Reason::PinDue,
        PinVerdict::Locked => Reason::PinLocked,
        PinVerdict::NoPin => Reason::NoPin,
    }
}

/// Notes that it was the PIN on which the sign-in ends.
fn refused(ending: &mut Ending, reason: Reason) -> Reason {
    ending.trail.factor = Some(reason.code());
    reason
}
