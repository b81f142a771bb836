//! What is known of a person whose password was right, and what policy makes of it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::Client;
use crate::primary::Identity;
use crate::signin::attempt::Attempt;
use crate::signin::challenge::Ask;
use crate::signin::flow::{primary_of, target};
use crate::signin::outcome::Reason;
use crate::signin::passcode::Typed;
use crate::signin::pinning::More;
use crate::signin::policy::{self, Decision, Facts, Ruling};
use crate::signin::reception::SignIns;
use crate::signin::rounds::Asked;
use crate::signin::route::{self, Means, Planned, Step};
use crate::signin::rules::Chosen;
use crate::signin::ruling::{self, counting_rule, exempts, is_member, person_address, required_methods, unsaid};
use crate::users::model::{Method, Person};

/// What is known of a person whose password was right.
pub(super) struct Known {
    pub(super) who: Arc<Identity>,
    pub(super) person: Option<Arc<Person>>,
    in_exempt_group: bool,
    is_service: bool,
    /// Which `[[rule]]` counts.
    pub(super) rule: Chosen,
    /// Whether an approval that a `[[caching]]` rule keeps stands for this sign-in.
    pub(super) cached: bool,
    /// Whether a one-time bypass was used up for this sign-in.
    pub(super) bypassed: bool,
    /// Which `[[route]]` counts, from 0.
    pub(super) route: Option<u16>,
    /// By whom they can be asked, and how.
    pub(super) steps: Vec<Step>,
    /// Whether a typed code is what they are to give first, or all that they could give, and none was typed.
    wants_code: bool,
    /// Whether a typed code would do, too.
    pub(super) takes_code: bool,
    /// Whether their client can ask for more.
    pub(super) can_ask: bool,
    /// The person's language, where their client can show them something.
    pub(super) language: Box<str>,
    /// What they gave beside the password, where their client shows challenges or they are in PIN mode.
    pub(super) more: Option<Box<More>>,
}

/// Reads the store and, where a rule needs it, the groups.
pub(super) async fn look_up(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Arc<Identity>,
    typed: Option<&Typed>,
    now: SystemTime,
) -> Result<Known, Reason> {
    let who = Arc::clone(who);
    let person = sign_ins.deps.store.person(&who.unique_id).await.map_err(|error| {
        tracing::error!(sign_in = %attempt.id, %error, "user store cannot be read");
        Reason::StoreUnavailable
    })?;
    let policy = &attempt.client.policy;
    let rule = ruling::chosen(sign_ins, &sign_ins.deps.rules, attempt, &who, now).await?;
    let counts = rule == Chosen::None;
    let in_exempt_group = counts && exempts(attempt, is_member(sign_ins, attempt, &who, &policy.exempt_groups).await)?;
    let is_service = counts
        && (exempts(attempt, is_member(sign_ins, attempt, &who, &policy.service.groups).await)?
            || match &policy.service.filter {
                None => false,
                Some(filter) => {
                    let primary = primary_of(attempt, target(sign_ins, attempt)?);
                    exempts(attempt, primary.matches(&who, filter, attempt.deadline()).await)?
                }
            });
    let mut known = Known {
        who,
        person: None,
        in_exempt_group,
        is_service,
        rule,
        cached: false,
        bypassed: false,
        route: None,
        steps: Vec::new(),
        wants_code: false,
        takes_code: false,
        can_ask: attempt.challenges().is_some(),
        language: Box::default(),
        more: None,
    };
    if let Some(person) = person {
        known.route = chosen_route(sign_ins, attempt, &known.who).await?;
        let chosen = known.route.and_then(|place| sign_ins.deps.routes.get(usize::from(place))).map(|route| &**route);
        let listed = route::methods(&attempt.client, chosen);
        let required = required_methods(sign_ins, rule);
        // What was typed and a rule does not take is as if it had not been typed.
        let typed = typed.filter(|typed| route::takes(required, typed));
        let wishes = route::allowed(typed, person.method, listed, required);
        let names = route::providers(&attempt.client, chosen).iter();
        let providers = || names.clone().filter_map(|name| sign_ins.deps.providers.get(name).cloned());
        let means = Means::of(&attempt.client, typed).within(attempt.is_eap());
        let Planned { steps, wants_code, takes_code } = route::plan(providers(), &person, &wishes, means);
        (known.steps, known.wants_code, known.takes_code) = (steps, wants_code, takes_code);
        if let Some(Typed::Word(_)) = typed {
            // Whoever has chosen a way may type a code all the same where one is listed, if the phone does not answer.
            let listed = route::allowed(None, person.method, listed, required);
            known.takes_code |= route::plan(providers(), &person, &listed, means).takes_code;
        }
        if known.can_ask {
            known.language = person.language.as_str().into();
        }
        known.person = Some(Arc::new(person));
    }
    Ok(known)
}

/// Which `[[route]]` counts for this person: the first that is for them.
async fn chosen_route(sign_ins: &SignIns, attempt: &Attempt, who: &Identity) -> Result<Option<u16>, Reason> {
    for (place, route) in sign_ins.deps.routes.iter().enumerate() {
        if !route.is_for_client(&attempt.client.name) {
            continue;
        }
        let named = route.is_for_everybody() || route.names(&who.name, who.upn.as_deref());
        // Who cannot be told to belong to a route must not get the next, perhaps weaker one.
        if named || is_member(sign_ins, attempt, who, &route.groups).await.map_err(|fault| unsaid(attempt, &fault))? {
            return Ok(u16::try_from(place).ok());
        }
    }
    Ok(None)
}

impl Known {
    /// What policy decides by.
    pub(super) fn facts<'a>(&'a self, sign_ins: &'a SignIns, attempt: &Attempt, now: SystemTime) -> Facts<'a> {
        let rule = match (self.rule, counting_rule(sign_ins, self.rule)) {
            (Chosen::None, _) => Ruling::None,
            (Chosen::Rule(_), Some(rule)) => Ruling::Rule(rule),
            (Chosen::Undecided(_), _) | (Chosen::Rule(_), None) => Ruling::Undecided,
        };
        Facts {
            rule,
            who: &self.who,
            person: self.person.as_deref(),
            in_exempt_group: self.in_exempt_group,
            is_service: self.is_service,
            way: self.steps.first().and_then(|step| step.methods.first().copied()),
            wants_code: self.wants_code,
            person_address: person_address(attempt),
            now,
        }
    }

    /// Whether they are to be asked for a code before anything else.
    pub(super) fn is_asked_for_code(&self) -> bool {
        self.wants_code && self.can_ask
    }

    /// The ways among which they may choose, where their client shows a menu and there are several.
    pub(super) fn choice(&self, client: &Client) -> Option<Box<[Method]>> {
        if !client.challenge.is_some_and(|rule| rule.menu) {
            return None;
        }
        let open = self.steps.iter().flat_map(|step| &step.methods).copied();
        let mut ways: Vec<Method> = Vec::new();
        for way in open.chain(self.takes_code.then_some(Method::Oath)) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        (ways.len() > 1).then_some(ways.into())
    }

    /// What the person is asked before anybody is prompted.
    pub(super) fn asks_first(&self, attempt: &Attempt, typed: bool) -> Option<Asked> {
        if !typed && let Some(ways) = self.choice(&attempt.client) {
            return Some(Asked::new(Ask::Menu(ways), &self.language));
        }
        self.is_asked_for_code().then(|| Asked::code(&self.language))
    }

    /// What policy decides.
    pub(super) fn decide(&self, sign_ins: &SignIns, attempt: &Attempt, now: SystemTime) -> Decision {
        match policy::decide(&attempt.client.policy, self.facts(sign_ins, attempt, now)) {
            decision if self.cached && policy::can_be_cached(&decision) => Decision::Exempt(policy::cached(&self.who)),
            decision if self.bypassed && policy::can_bypass(&decision) => Decision::Exempt(policy::bypassed(&self.who)),
            decision => decision,
        }
    }
}
