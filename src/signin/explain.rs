//! What would become of a sign-in, step by step and why. Touches nothing: nobody is prompted, no password is tried,
//! nothing is counted. The steps are those of [`super::flow`] themselves, so that they cannot say anything else.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::factor::{Fate, Leaves};
use crate::primary::Identity;
use crate::secret::Secret;
use crate::signin::attempt::{Attempt, Door, SignInId, Unusable};
use crate::signin::challenge::Ask;
use crate::signin::flow::{self, Known};
use crate::signin::outcome::Reason;
use crate::signin::passcode::{self, Typed};
use crate::signin::policy::{self, Decision, Exemption};
use crate::signin::reception::{SignIns, now};
use crate::signin::route::{self, Means};
use crate::signin::rules::Chosen;
use crate::signin::ruling;
use crate::users::model::{Mode, Person};

mod asked;
mod connection;
mod counted;
mod plans;
mod replied;
mod ruled;
mod served;
mod told;

pub use served::Served;
pub use told::{Explanation, Line, Plan};

/// Which sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The client's name.
    pub client: String,
    /// The person's name, as typed.
    pub user: String,
    /// Where their device is.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// When, in seconds since 1970; now if nothing is said.
    #[serde(default)]
    pub at: Option<i64>,
    /// What they type behind the password: `code`, `pin`, or a word such as `push2`.
    #[serde(default)]
    pub typed: Option<String>,
    /// Through an RD Gateway: the name of their computer.
    #[serde(default)]
    pub computer: Option<String>,
    /// Through an RD Gateway: they come with a smart card, and not with a password.
    #[serde(default)]
    pub smart_card: bool,
}

/// The end, and its reason where there is one.
struct End {
    end: &'static str,
    reason: Option<Reason>,
    text: String,
}

impl End {
    fn reject(reason: Reason) -> End {
        End { end: "reject", reason: Some(reason), text: format!("refused: {reason}: {}", reason.advice()) }
    }

    fn challenge(text: String) -> End {
        End { end: "challenge", reason: None, text }
    }

    fn accept(rule: Exemption) -> End {
        let reason = Reason::from_exemption(rule);
        End { end: "accept", reason: Some(reason), text: reason.advice().to_owned() }
    }
}

/// What is typed behind the password: a code or a PIN is taken as right, as the password is.
enum Behind {
    Nothing,
    Pin,
    Other(Typed),
}

/// What is said behind `--typed`. `None`: it is neither `code` nor `pin` nor a word.
fn behind(text: Option<&str>) -> Option<Behind> {
    Some(match text {
        None => Behind::Nothing,
        Some("pin") => Behind::Pin,
        // Which code it is does not matter: none is checked.
        Some("code") => Behind::Other(Typed::Code(Secret::from_text("000000".into()))),
        Some(word) => Behind::Other(passcode::word(word.as_bytes()).map(Typed::Word)?),
    })
}

/// Explains a sign-in.
///
/// # Errors
/// What is wrong with the question.
pub async fn explain(sign_ins: &SignIns, served: &[Served], question: &Question) -> Result<Explanation, String> {
    let Some(client) = served.iter().find(|one| one.client.name == question.client) else {
        let known: Vec<&str> = served.iter().map(|one| one.client.name.as_str()).collect();
        return Err(format!("there is no client {:?}; there are: {}", question.client, known.join(", ")));
    };
    let behind = behind(question.typed.as_deref())
        .ok_or("--typed is code, pin, push, phone, sms or email, with a digit for a device")?;
    let at = match question.at {
        None => SystemTime::now(),
        Some(seconds) => Timestamp::from_second(seconds).map_err(|_| "no such time")?.into(),
    };
    let mut told = Explanation {
        server: sign_ins.deps.server.clone(),
        at: shown(at),
        steps: Vec::new(),
        providers: Vec::new(),
        end: String::new(),
        reason: None,
        text: String::new(),
    };
    let end = Walk { sign_ins, served: client, question, at, told: &mut told }.walk(behind).await;
    let end = end.unwrap_or_else(End::reject);
    (told.end, told.text) = (end.end.to_owned(), end.text);
    told.reason = end.reason.map(|reason| reason.code().to_owned());
    Ok(told)
}

fn shown(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| format!("{time:.0}")).unwrap_or_default()
}

/// On the way through the steps.
struct Walk<'a> {
    sign_ins: &'a SignIns,
    served: &'a Served,
    question: &'a Question,
    at: SystemTime,
    told: &'a mut Explanation,
}

impl Walk<'_> {
    fn say(&mut self, step: &str, mark: &str, text: impl Into<String>) {
        self.told.steps.push(Line { step: step.into(), mark: mark.into(), text: text.into() });
    }

    fn judge(&mut self, step: &str, yes: bool, text: impl Into<String>) {
        self.say(step, if yes { "yes" } else { "no" }, text);
    }

    async fn walk(&mut self, behind: Behind) -> Result<End, Reason> {
        let sign_ins = self.sign_ins;
        let (typed, pin) = self.client(behind);
        let attempt = self.attempt();
        let who = Arc::new(self.who(&attempt).await?);
        if attempt.authorize_only().is_some() {
            self.account(&attempt, &who).await?;
        } else if self.served.profile.is_some_and(|profile| profile.authorizes) {
            self.say("connection", "note", "taken as allowed: the RADIUS servers behind, which decide, are not asked");
        } else {
            self.say("password", "note", "taken as right: none is tried");
            self.refused(&attempt, &who).await?;
        }
        self.replies(&attempt, &who).await?;
        self.throttle(&attempt, &who).await?;
        let mut known = flow::look_up(sign_ins, &attempt, &who, typed.as_ref(), self.at).await?;
        self.person(known.person.as_deref());
        self.pin(known.person.as_deref(), typed.as_ref(), pin);
        self.told.steps.extend(ruled::steps(sign_ins, &attempt, &known, self.at));
        if known.rule == Chosen::None {
            self.exemptions(&attempt, &known);
        }
        if policy::can_be_cached(&known.decide(sign_ins, &attempt, self.at)) {
            let steps = ruled::caching(sign_ins, &attempt, &mut known, typed.as_ref(), self.at).await;
            self.told.steps.extend(steps);
        }
        let decision = known.decide(sign_ins, &attempt, self.at);
        if let Some(person) = known.person.clone() {
            self.providers(&attempt, &known, &person, typed.as_ref());
        }
        if policy::can_bypass(&decision)
            && sign_ins.deps.store.has_bypass(&who.unique_id, self.at).await.unwrap_or(false)
        {
            self.say("bypass", "yes", "the person has a one-time bypass, which this sign-in would use up");
            return Ok(End::accept(Exemption::OneTimeBypass));
        }
        if let Decision::Due(_) | Decision::Reject(Reason::NeedsCode) = decision
            && let Some(asked) = known.asks_first(&attempt, typed.is_some())
        {
            let what = if matches!(asked.ask, Ask::Menu(_)) { "a choice of ways" } else { "a code is to be typed" };
            return Ok(End::challenge(format!("the client would be sent a challenge: {what}")));
        }
        match decision {
            Decision::Reject(reason) => Err(reason),
            Decision::Exempt(exempted) => Ok(End::accept(exempted.rule())),
            Decision::Due(_) => {
                self.prompts(&who, typed.as_ref().is_some_and(|typed| typed.code().is_some())).await?;
                Box::pin(asked::ask(sign_ins, &attempt, &known, (self.at, pin))).await
            }
        }
    }

    /// The client, and what of the typed text it looks at: a code or a word, and whether it is a PIN.
    fn client(&mut self, behind: Behind) -> (Option<Typed>, bool) {
        let Served { client, door, .. } = self.served;
        let text = format!(
            "{} ({}): application {:?}, target {}, answers within {}",
            client.name,
            door.word(),
            client.application,
            client.target,
            humantime::format_duration(client.answer_within)
        );
        self.judge("client", true, text);
        if let Some(profile) = self.served.profile {
            self.say(
                "profile",
                "note",
                format!("{}: {}, see conf/guides/{}", profile.word, profile.product, profile.guide),
            );
        }
        let authorizes = connection::is_asked(self.sign_ins, client);
        if self.question.from.is_some() && !self.served.tells_address && !authorizes {
            self.say("address", "note", "the client's section has no person_address: what it says is not believed");
        }
        if client.reuse.is_some() {
            self.say("reuse", "note", "an earlier approval that reuse keeps would be taken before anybody is asked");
        }
        match behind {
            Behind::Nothing => (None, false),
            _ if client.passcode.is_none() => {
                self.say("typed", "note", "the client's section has no passcode: all that is typed is the password");
                (None, false)
            }
            Behind::Pin => (None, true),
            Behind::Other(typed) => (Some(typed), false),
        }
    }

    /// What a PIN or a code behind the password is to somebody in PIN mode, and to anybody else.
    fn pin(&mut self, person: Option<&Person>, typed: Option<&Typed>, pin: bool) {
        let has_pin = person.is_some_and(|person| person.mode == Mode::Pin);
        match (has_pin, typed) {
            (true, _) if pin => {
                self.say("pin", "note", "typed behind the password, and taken as right: none is checked")
            }
            (true, Some(Typed::Code(_))) => {
                let text = "in PIN mode: where they would be prompted, what is typed is looked at as the PIN first; see --typed pin";
                self.say("pin", "note", text);
            }
            (true, _) => self.say("pin", "note", "in PIN mode, and none is typed behind the password"),
            (false, _) if pin => self.say("pin", "note", "not in PIN mode: what is typed would be looked at as a code"),
            (false, _) => {}
        }
    }

    fn attempt(&self) -> Attempt {
        let Served { client, door, tells_address, .. } = self.served;
        let connection = connection::of(self.sign_ins, client, self.question);
        // There the one address that counts is the gateway's.
        let from = self.question.from.filter(|_| *tells_address || connection.is_some());
        Attempt {
            id: SignInId::new([0; 12]),
            door: *door,
            client: Arc::clone(client),
            name: self.question.user.as_str().into(),
            credential: Err(Unusable::NoPassword),
            onward: None,
            source: from.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            person_address: from.filter(|_| *door == Door::Radius && connection.is_none()),
            station: None,
            state: None,
            connection,
            through: None,
            received: now(),
        }
    }

    async fn who(&mut self, attempt: &Attempt) -> Result<Identity, Reason> {
        let name = &self.question.user;
        match flow::identify(self.sign_ins, attempt).await {
            Ok(who) => {
                let upn = who.upn.as_deref().unwrap_or("no UPN");
                let text = format!("{name:?} is {:?} ({upn:?}), {:?}, unique id {}", who.name, who.dn, who.unique_id);
                self.judge("name", true, text);
                Ok(who)
            }
            Err(reason) => {
                self.judge("name", false, format!("{name:?}: {}", reason.advice()));
                Err(reason)
            }
        }
    }

    fn person(&mut self, person: Option<&Person>) {
        let Some(person) = person else {
            self.judge("store", false, "nobody with that unique id is in the user store");
            return;
        };
        self.judge("store", true, format!("enrolled as {:?}, usually asked by {}", person.name, person.method));
        if let Some(until) = person.blocked_until {
            let word = if person.is_blocked(self.at) { "blocked until" } else { "was blocked until" };
            self.judge("blocked", !person.is_blocked(self.at), format!("{word} {}", shown(until)));
        }
        if !person.enabled {
            self.judge("enabled", false, "disabled in the user store: disabled_users of the client's section counts");
        }
    }

    /// Every rule that lets somebody in without a second factor, and why it does or does not here.
    fn exemptions(&mut self, attempt: &Attempt, known: &Known) {
        let policy = &attempt.client.policy;
        let facts = known.facts(self.sign_ins, attempt, self.at);
        let service = &policy.service;
        for (rule, applies) in policy::standing_exemptions(policy, facts) {
            let (key, listed) = match rule {
                Exemption::ExemptUser => ("exempt_users", policy.exempt_users.len()),
                Exemption::ExemptGroup => ("exempt_groups", policy.exempt_groups.len()),
                Exemption::ExemptNetwork => ("exempt_networks", policy.exempt_networks.len()),
                _ => (
                    "service accounts",
                    service.names.len()
                        + service.ous.len()
                        + service.groups.len()
                        + usize::from(service.filter.is_some()),
                ),
            };
            let text = match (applies, listed, rule, facts.person_address) {
                (true, ..) => "applies: no second factor is asked for".to_owned(),
                (false, 0, ..) => "empty".to_owned(),
                (false, _, Exemption::ExemptNetwork, None) => "no address of the person is known".to_owned(),
                (false, listed, ..) => format!("none of its {listed} fits"),
            };
            self.judge(key, applies, text);
        }
    }

    /// Which route counts, and each provider in order.
    fn providers(&mut self, attempt: &Attempt, known: &Known, person: &Person, typed: Option<&Typed>) {
        let (client, deps) = (&attempt.client, &self.sign_ins.deps);
        let chosen = known.route.map(usize::from).and_then(|place| deps.routes.get(place)).map(|route| &**route);
        let text = match known.route.map(usize::from) {
            Some(place) => format!("the {} [[route]] of the file counts", ordinal(place + 1)),
            None => format!("none of {} fits: the client's section counts", deps.routes.len()),
        };
        self.say("route", "note", text);
        let listed = route::methods(client, chosen);
        let required = ruling::required_methods(self.sign_ins, known.rule);
        let typed = typed.filter(|typed| route::takes(required, typed));
        let wishes = route::required(route::wishes(typed, person.method, listed), required);
        let words: Vec<&str> = wishes.iter().map(|method| method.word()).collect();
        self.say("methods", "note", format!("tried in this order: {}", words.join(", ")));
        let means = Means::of(client, typed);
        for name in route::providers(client, chosen) {
            if let Some(provider) = deps.providers.get(name) {
                let plan = plans::plan(provider.as_ref(), person, &wishes, means, ruling::person_address(attempt));
                self.told.providers.push(plan);
            }
        }
    }
}

fn ordinal(place: usize) -> String {
    match place {
        1 => "first".into(),
        2 => "second".into(),
        3 => "third".into(),
        place => format!("{place}th"),
    }
}

/// The fields of one fate, by their words.
pub fn fields(leaves: &[Leaves], fate: Fate) -> Vec<&'static str> {
    leaves.iter().filter(|one| one.fate == fate).map(|one| one.field.word()).collect()
}
