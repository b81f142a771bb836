//! Whom to ask, and how: the providers in order, each with the ways that the person has, the provider offers and the
//! client can carry, in the order that the configuration gives. And asking them: the next way where the person turns
//! out to have nothing for this one, the next provider where this one is away, both only while nobody can have been
//! prompted yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Client, NumberMatching, Route, UnreachableClass};
use crate::factor::{self, Factor, FactorApproved, Given, Refusal, Request, Tell};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::signin::backup;
use crate::signin::passcode::Typed;
use crate::users::model::{Method, Person};
use crate::users::roster::Roster;

/// One provider, and how it is to ask.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) provider: Arc<dyn Factor>,
    /// The ways, the best first; never empty.
    pub(super) methods: Box<[Method]>,
}

/// The ways that may be tried, in order: what the person typed, else what the configuration lists, else their own.
pub fn wishes(typed: Option<&Typed>, own: Method, listed: &[Method]) -> Vec<Method> {
    match typed {
        Some(typed) => typed.methods().to_vec(),
        None if listed.is_empty() => vec![own],
        None => listed.to_vec(),
    }
}

/// Whether a rule that requires these ways, or any where there is none, takes what was typed. A code that was sent in this
/// sign-in is of the way by which it was sent.
pub fn takes(rule: &[Method], typed: &Typed) -> bool {
    match typed {
        _ if rule.is_empty() => true,
        Typed::Sent(_, way) if rule.contains(way) => true,
        typed => typed.methods().iter().any(|method| rule.contains(method)),
    }
}

/// How the person may be asked: what they typed, else what is listed, else their own, as far as a rule allows it.
pub fn allowed(typed: Option<&Typed>, own: Method, listed: &[Method], rule: &[Method]) -> Vec<Method> {
    match typed {
        Some(typed @ Typed::Sent(..)) if takes(rule, typed) => typed.methods().to_vec(),
        typed => required(wishes(typed, own, listed), rule),
    }
}

/// Of these ways those that a rule requires, the rule's own where none is among them.
pub fn required(wishes: Vec<Method>, rule: &[Method]) -> Vec<Method> {
    if rule.is_empty() {
        return wishes;
    }
    let allowed: Vec<Method> = wishes.into_iter().filter(|method| rule.contains(method)).collect();
    if allowed.is_empty() { rule.to_vec() } else { allowed }
}

const MOST_STEPS: usize = 4;

/// What a sign-in can carry besides an answer on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// A code was typed.
    pub typed: bool,
    /// A code could be typed: behind the password, or as the answer to a challenge.
    pub can_type: bool,
    /// The person can be asked for a code by a challenge.
    pub can_ask: bool,
}

impl Means {
    /// Of this client, with what was typed.
    pub fn of(client: &Client, typed: Option<&Typed>) -> Means {
        let can_ask = client.challenge.is_some();
        let can_type = client.passcode.is_some() || can_ask;
        Means { typed: typed.is_some_and(|typed| typed.code().is_some()), can_type, can_ask }
    }

    /// The same within EAP, where nothing of ours can be typed.
    #[must_use]
    pub fn within(self, eap: bool) -> Means {
        if eap { Means { typed: false, can_type: false, can_ask: false } } else { self }
    }
}

/// Whether a provider can ask a person in some way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It can.
    Open,
    /// The provider does not do this, or the person has nothing for it.
    NotOffered,
    /// Only a code that is typed with the password would do, and none was.
    WantsCode,
    /// It would send a code, and there is no place where the person could type it.
    NoPlaceForCode,
}

/// Whether this provider can ask this person this way here.
pub fn way(provider: &dyn Factor, person: &Person, method: Method, means: Means) -> Way {
    if !provider.offers(person, method) {
        Way::NotOffered
    } else if means.typed {
        Way::Open
    } else if matches!(method, Method::Oath | Method::BackupCode | Method::TemporaryCode) {
        Way::WantsCode
    } else if provider.sends_code(method) && !means.can_type {
        Way::NoPlaceForCode
    } else {
        Way::Open
    }
}

/// Whom to ask, by name: what the route says, else what the client says.
pub fn providers<'a>(client: &'a Client, route: Option<&'a Route>) -> &'a [String] {
    route.map(|route| route.providers.as_slice()).filter(|names| !names.is_empty()).unwrap_or(&client.providers)
}

/// How to ask: what the route says, else what the client says.
pub fn methods<'a>(client: &'a Client, route: Option<&'a Route>) -> &'a [Method] {
    route.map(|route| route.methods.as_slice()).filter(|methods| !methods.is_empty()).unwrap_or(&client.methods)
}

/// Whom to ask, and what could be typed.
pub(super) struct Planned {
    /// The providers that can ask this person, each with its ways.
    pub(super) steps: Vec<Step>,
    /// Whether a typed code is what the person is to give first, or all that they could give, and none was typed.
    pub(super) wants_code: bool,
    /// Whether a typed code would do, too.
    pub(super) takes_code: bool,
}

/// Whom to ask this person by.
pub(super) fn plan(
    providers: impl IntoIterator<Item = Arc<dyn Factor>>,
    person: &Person,
    wishes: &[Method],
    means: Means,
) -> Planned {
    let (mut takes_code, mut no_place, mut code_first) = (false, false, false);
    let providers = providers.into_iter();
    // One for each at most; a vector that grows would keep room for four.
    let mut steps = Vec::with_capacity(providers.size_hint().1.unwrap_or_default().min(MOST_STEPS));
    for provider in providers {
        let ways = wishes.iter().map(|method| (*method, way(provider.as_ref(), person, *method, means)));
        let ways: Vec<(Method, Way)> = ways.collect();
        let has = |wanted| ways.iter().any(|(_, way)| *way == wanted);
        (takes_code, no_place) = (takes_code || has(Way::WantsCode), no_place || has(Way::NoPlaceForCode));
        let first = ways.iter().map(|(_, way)| *way).find(|way| matches!(way, Way::Open | Way::WantsCode));
        code_first |= steps.is_empty() && means.can_ask && first == Some(Way::WantsCode);
        let methods: Box<[Method]> =
            ways.into_iter().filter(|(_, way)| *way == Way::Open).map(|(method, _)| method).collect();
        if !methods.is_empty() {
            steps.push(Step { provider, methods });
        }
    }
    // Whether a typed code can be one of the house is known here; a cloud would count it as a wrong one.
    if means.typed {
        steps.sort_by_key(|step| !step.provider.is_of_the_house());
    }
    // Of somebody whom only a code would do for that nobody could type here, too: nothing is missing in the store.
    let wants_code = if steps.is_empty() { takes_code || no_place } else { takes_code && code_first };
    Planned { steps, wants_code, takes_code }
}

/// What is asked, whoever asks it.
pub(super) struct Asking {
    pub(super) sign_in: SignInId,
    pub(super) person: Arc<Person>,
    pub(super) code: Option<Secret>,
    pub(super) application: Arc<str>,
    pub(super) person_address: Option<IpAddr>,
    pub(super) deadline: Instant,
    pub(super) device: Option<u8>,
    pub(super) number_matching: NumberMatching,
    pub(super) can_type: bool,
    pub(super) tell: Option<Tell>,
    pub(super) given: Option<Box<Given>>,
    /// Where backup phones are, where a call or a text may go out.
    pub(super) roster: Option<Arc<dyn Roster>>,
}

impl Asking {
    pub(super) fn request(self, method: Method) -> Request {
        Request {
            sign_in: self.sign_in,
            person: self.person,
            method,
            code: self.code,
            application: self.application,
            person_address: self.person_address,
            deadline: self.deadline,
            device: self.device,
            number_matching: self.number_matching,
            can_type: self.can_type,
            tell: self.tell,
            given: self.given,
        }
    }

    fn again(&self) -> Asking {
        Asking {
            person: Arc::clone(&self.person),
            code: self.code.as_ref().map(Secret::duplicate),
            application: Arc::clone(&self.application),
            tell: self.tell.clone(),
            given: self.given.as_deref().map(|given| Box::new(given.again())),
            roster: self.roster.clone(),
            ..*self
        }
    }
}

/// Why nobody approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What the last one that was asked said.
    pub refusal: Refusal,
    /// The class of each that could not be reached, in order.
    pub classes: Vec<UnreachableClass>,
    /// How long the one that is away longest has been so.
    pub lasted: Duration,
    /// Whether one that was asked could be reached, and had nothing to ask the person by: then it is not so that all
    /// of them are away.
    pub answered: bool,
    /// Whether what follows from it has been done, as it came while a challenge was out.
    pub settled: bool,
}

impl Failed {
    /// Nobody was asked yet.
    pub(super) fn nobody() -> Failed {
        let (classes, lasted) = (Vec::new(), Duration::ZERO);
        Failed { refusal: Refusal::Misconfigured, classes, lasted, answered: false, settled: false }
    }

    /// Notes that a provider is away.
    pub(super) fn away(&mut self, class: UnreachableClass, lasted: Duration) {
        self.refusal = Refusal::Unreachable(class);
        self.classes.push(class);
        self.lasted = self.lasted.max(lasted);
    }
}

/// Asks one after the other, as long as nobody can have been prompted and the failure is one after which the next is
/// to be asked. A code that one provider of the house does not know may be known to the next. `asked` is told who is, and
/// how.
pub(super) fn ask_in_turn<F>(
    steps: Vec<Step>,
    asking: Box<Asking>,
    mut asked: F,
) -> impl Future<Output = Result<FactorApproved, Failed>> + Send + use<F>
where
    F: FnMut(&dyn Factor, Method) + Send,
{
    let mut turns = Turns::new(steps, asking);
    async move {
        loop {
            // Not `while let`, which would keep all of what is matched.
            let Some((provider, method)) = turns.whose() else { break };
            asked(provider.as_ref(), method);
            let Some((answer, spare)) = turns.begin(provider.as_ref(), method) else { break };
            let mut answer = answer.await;
            if let (Err(Refusal::Undeliverable), Some(spare)) = (&answer, spare)
                && let Some(second) = Box::pin(backup::ask(provider.as_ref(), *spare, method)).await
            {
                answer = second;
            }
            match answer {
                Ok(approved) => return Ok(approved),
                Err(refusal) => turns.note(refusal, provider.as_ref()),
            }
        }
        Err(turns.failed())
    }
}

/// Whose turn it is. All that a held sign-in keeps of whom else it could ask; nothing else is borrowed or kept across the
/// wait.
struct Turns {
    steps: Box<[Step]>,
    /// Places in the lists; more than these can count are never asked.
    position: u8,
    way: u8,
    /// Gone once the last one is asked: what is known of the person is not kept while they look for their phone.
    asking: Option<Box<Asking>>,
    typed: bool,
    unknown_code: Option<Refusal>,
    /// Once somebody has failed.
    failed: Option<Box<Failed>>,
}

impl Turns {
    fn new(steps: Vec<Step>, asking: Box<Asking>) -> Turns {
        let typed = asking.code.is_some();
        Turns {
            steps: steps.into(),
            position: 0,
            way: 0,
            asking: Some(asking),
            typed,
            unknown_code: None,
            failed: None,
        }
    }

    fn step(&self) -> Option<&Step> {
        self.steps.get(usize::from(self.position))
    }

    fn whose(&self) -> Option<(Arc<dyn Factor>, Method)> {
        let step = self.step()?;
        step.methods.get(usize::from(self.way)).map(|method| (Arc::clone(&step.provider), *method))
    }

    /// Whether another provider is left.
    fn has_next(&self) -> bool {
        usize::from(self.position) + 1 < self.steps.len()
    }

    /// Whether this provider has another way.
    fn has_other_way(&self) -> bool {
        self.step().is_some_and(|step| usize::from(self.way) + 1 < step.methods.len())
    }

    /// Asks; beside it what is needed to ask on the backup phone, where that may follow.
    #[expect(clippy::type_complexity, reason = "used in one place")]
    fn begin<'a>(
        &mut self,
        provider: &'a dyn Factor,
        method: Method,
    ) -> Option<(impl Future<Output = Result<FactorApproved, Refusal>> + Send + use<'a>, Option<Box<Asking>>)> {
        let next = if self.has_next() || self.has_other_way() {
            self.asking.as_deref().map(Asking::again)
        } else {
            // Nor whom else there was to ask.
            self.end();
            self.asking.take().map(|asking| *asking)
        }?;
        let spare = backup::may_follow(provider, method).then(|| Box::new(next.again()));
        Some((factor::ask(provider, next.request(method)), spare))
    }

    /// Notes why there was no approval, and whose turn it is now.
    fn note(&mut self, refusal: Refusal, provider: &dyn Factor) {
        let failed = self.failed.get_or_insert_with(|| Box::new(Failed::nobody()));
        failed.refusal = refusal;
        let is_own_code = self.typed && provider.is_of_the_house();
        match refusal {
            Refusal::NotThisWay => {
                failed.answered = true;
                if self.has_other_way() {
                    self.way = self.way.saturating_add(1);
                    return;
                }
            }
            Refusal::NextCode if self.typed => self.unknown_code = Some(refusal),
            Refusal::WrongCode | Refusal::UsedCode | Refusal::OldCode | Refusal::LockedThere if is_own_code => {
                self.unknown_code.get_or_insert(refusal);
            }
            Refusal::Unreachable(class) => {
                failed.away(class, provider.down_for());
                if !provider.fails_over(class) {
                    return self.end();
                }
                if self.has_next() {
                    tracing::warn!(provider = provider.name(), class = class.word(), "the next provider is asked");
                }
            }
            _ => return self.end(),
        }
        if self.has_next() {
            (self.position, self.way) = (self.position.saturating_add(1), 0);
        } else {
            self.end();
        }
    }

    /// Nobody else is to be asked.
    fn end(&mut self) {
        self.steps = Box::default();
    }

    fn failed(self) -> Failed {
        let mut failed = self.failed.map_or_else(Failed::nobody, |failed| *failed);
        // Who was wrong about a code of the house was that, whatever came of asking others about the code.
        if failed.refusal != Refusal::Fraud {
            failed.refusal = self.unknown_code.unwrap_or(failed.refusal);
        }
        failed
    }
}

#[cfg(test)]
mod tests;
