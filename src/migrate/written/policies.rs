//! Network policies for what an RD Gateway asks. NPS lets the first one decide that fits, whomever it is meant for:
//! one that keeps out, or that takes no connection without a credential, keeps a gateway's people out. Pure.

use super::super::condition::{self, Condition, Week};
use super::super::nps::{Export, Policy};
use super::super::text::{list, quoted, shortened, shown};
use super::Turning;

/// A policy of ours.
struct Section {
    /// Name of the network policy.
    name: String,
    /// Whether it lets in.
    allow: bool,
    /// Whether the network policy is meant for gateways.
    meant: bool,
    /// Whom and what it fits.
    conditions: Vec<String>,
    /// When, by the NPS's clock.
    hours: Option<Week>,
    /// What it sets.
    settings: Vec<String>,
}

/// The conditions of a policy.
struct Fitting {
    conditions: Vec<String>,
    hours: Option<Week>,
}

/// What a network policy is to a gateway.
enum Fate {
    /// It decides nothing.
    Apart,
    /// It decides for whom these fit.
    Decides(Fitting),
}

impl Turning<'_> {
    pub(super) fn policies(&mut self, export: &Export) {
        for policy in export.policies.iter().filter(|policy| !policy.enabled) {
            self.note(policy.line, named(policy), "is disabled, and left out");
        }
        let enabled: Vec<&Policy> = export.policies.iter().filter(|policy| policy.enabled).collect();
        for policy in enabled.iter().filter(|policy| !policy.is_gateways()) {
            self.of_others(policy);
        }
        if self.gateways.is_empty() {
            let meant = enabled.iter().filter(|policy| policy.is_gateways()).count();
            if meant > 0 {
                let why =
                    "are for an RD Gateway, and no client is one: name it with --gateway NAME or --gateway ADDRESS";
                self.note(0, format!("{meant} network policies"), why);
            }
            return;
        }
        self.say("\n[target.gateway]\ntype = \"none\"\ndirectory = \"corp\"");
        let mut sections = self.requests(export);
        for policy in enabled.iter().filter(|policy| policy.is_looked_at()) {
            sections.extend(self.policy(policy));
        }
        // Whom nothing fits is kept out anyway: what was not meant for gateways is of no use at the end.
        while sections.last().is_some_and(|last| !last.allow && !last.meant) {
            sections.pop();
        }
        for section in sections.iter().filter(|section| !section.meant && !section.allow) {
            let why = "is not for gateways, but NPS looks at it first, and it keeps out whomever it fits: so it does \
                       here. Leave it out where no person of the gateway is meant";
            self.note(0, format!("policy {:?} of target gateway", shown(&section.name)), why);
        }
        if sections.is_empty() {
            self.say(
                "\n[[target.gateway.policy]]\nname = \"nobody\"                       # CHANGE: no policy was turned",
            );
            self.say("allow = false");
            self.note(0, "target gateway", "no policy could be turned: nobody comes in until you write one");
        }
        if sections.iter().any(|section| section.hours.is_some()) && self.given.zone.is_none() {
            let why = "have hours of the NPS's own clock: UTC is assumed, give --zone or change zone";
            self.note(0, "policies of target gateway", why);
        }
        for section in &sections {
            self.section(section);
        }
    }

    /// A policy that is for sign-ins with a password.
    fn of_others(&mut self, policy: &Policy) {
        let why = "is for sign-ins with a password: whoever has the right one is asked for the second factor here. \
                   Keep its groups with the target's filter, or on the appliance";
        self.note(policy.line, named(policy), why);
        if policy.grants && !policy.others.is_empty() {
            let mut names: Vec<&str> = policy.others.iter().map(|(name, _)| name.as_str()).collect();
            names.dedup();
            let why = format!("its settings {} are not sent: see docs/reply-attributes.md", shown(&names.join(", ")));
            self.note(policy.line, named(policy), why);
        }
    }

    /// What connection request policies keep out: whatever none of them fits.
    fn requests(&mut self, export: &Export) -> Vec<Section> {
        let mut at_times: Vec<Week> = Vec::new();
        let mut unknown = false;
        for request in export.requests.iter().filter(|request| request.enabled) {
            let read: Vec<Option<Condition>> =
                request.conditions.iter().map(|(text, _)| condition::read(text, &self.gateways)).collect();
            if read.contains(&Some(Condition::Never)) {
                continue;
            }
            let open: Vec<&Option<Condition>> = read.iter().filter(|one| **one != Some(Condition::Always)).collect();
            match open.as_slice() {
                [] => return Vec::new(),
                [Some(Condition::Gateways(some))] if some.len() == self.gateways.len() => return Vec::new(),
                [Some(Condition::Hours(week))] => at_times.push((**week).clone()),
                _ => {
                    unknown = true;
                    let why = "has conditions that cannot be told here: whom no other one fits is kept out";
                    self.note(request.line, format!("connection request policy {:?}", request.name), why);
                }
            }
        }
        let line = export.requests.first().map_or(0, |request| request.line);
        let why = if at_times.is_empty() {
            "none certainly fits what a gateway asks, and NPS refuses what none fits: nobody comes in until you leave \
             out the first policy of target gateway"
        } else if unknown {
            "besides those that cannot be told they fit at some hours only: at all others nobody comes in"
        } else {
            "fit at some hours only: at all others nobody comes in"
        };
        self.note(line, "connection request policies", why);
        let outside = condition::outside(&at_times);
        vec![Section {
            name: "No connection request policy".to_owned(),
            allow: false,
            // So that it is written even where nothing follows.
            meant: true,
            conditions: Vec::new(),
            hours: (!at_times.is_empty()).then_some(outside),
            settings: Vec::new(),
        }]
    }

    /// What a policy becomes, in order.
    fn policy(&mut self, policy: &Policy) -> Vec<Section> {
        let meant = policy.is_gateways();
        let lets_in = policy.grants && policy.takes_unauthenticated();
        let Fate::Decides(fitting) = self.fitting(policy, lets_in) else { return Vec::new() };
        let section = |allow: bool, fitting: &Fitting, hours: Option<Week>| Section {
            name: policy.name.clone(),
            allow,
            meant,
            conditions: fitting.conditions.clone(),
            hours,
            settings: Vec::new(),
        };
        let kept_out = section(false, &fitting, fitting.hours.clone());
        if policy.grants && !lets_in && meant {
            let why = "takes no connection without a negotiated credential, so that NPS keeps out whom it fits";
            self.note(policy.line, named(policy), why);
        }
        if !lets_in {
            return vec![kept_out];
        }
        for (name, line) in &policy.constraints {
            let why = format!("its constraint {name} cannot be told here: whomever it fits is kept out");
            self.note(*line, named(policy), why);
        }
        if !policy.constraints.is_empty() {
            return vec![kept_out];
        }
        if !policy.ignores_dial_in {
            let why = "also looks at the dial-in permission of the account, which is not looked at here: an account \
                       that is denied there comes in. Keep it out by a group";
            self.note(policy.line, named(policy), why);
        }
        let settings = self.settings(policy);
        let Some((_, line)) = policy.times.first() else {
            return vec![Section { settings, ..section(true, &fitting, fitting.hours.clone()) }];
        };
        let times: Vec<&str> = policy.times.iter().map(|(text, _)| text.as_str()).collect();
        let Some(times) = condition::week(&times.join(";")) else {
            let why = "the times that its profile allows cannot be told here: whomever it fits is kept out";
            self.note(*line, named(policy), why);
            return vec![kept_out];
        };
        if condition::outside(std::slice::from_ref(&times)).iter().all(Vec::is_empty) {
            return vec![Section { settings, ..section(true, &fitting, fitting.hours.clone()) }];
        }
        // Outside of its profile's times NPS refuses, and looks at no other policy.
        let hours = fitting.hours.as_ref().map_or_else(|| times.clone(), |hours| condition::both(hours, &times));
        vec![Section { settings, ..section(true, &fitting, Some(hours)) }, kept_out]
    }

    /// Whom a policy fits. Of one that lets in, more than can be told here must not be let in; of one that keeps out,
    /// no fewer be kept out.
    fn fitting(&mut self, policy: &Policy, lets_in: bool) -> Fate {
        let mut fitting = Fitting { conditions: Vec::new(), hours: None };
        let mut widened = false;
        let read: Vec<Option<Condition>> =
            policy.conditions.iter().map(|(text, _)| condition::read(text, &self.gateways)).collect();
        if read.contains(&Some(Condition::Never)) {
            if policy.is_gateways() {
                self.note(policy.line, named(policy), "fits nothing that these gateways ask: left out");
            }
            return Fate::Apart;
        }
        for ((text, line), condition) in policy.conditions.iter().zip(read) {
            if condition.is_some_and(|condition| fitting.add(&condition)) {
                continue;
            }
            let condition = shown(text);
            if lets_in {
                let why = format!(
                    "the condition {condition} cannot be told here, so that it would let in more people: left out"
                );
                self.note(*line, named(policy), why);
                return Fate::Apart;
            }
            let why = format!("the condition {condition} cannot be told here: it keeps out more people than before");
            self.note(*line, named(policy), why);
            widened = true;
        }
        if widened && fitting.conditions.is_empty() && fitting.hours.is_none() {
            let why = "nothing is left of its conditions, so that it keeps everybody out until you write others";
            self.note(policy.line, named(policy), why);
        }
        Fate::Decides(fitting)
    }

    fn settings(&mut self, policy: &Policy) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(line) = policy.redirection {
            // By which name an export has them is not documented: what is not understood must not open more.
            lines.push("redirection = []".to_owned());
            let why = "which devices it redirects is not read, so none is: write them into redirection";
            self.note(line, named(policy), why);
        }
        for (key, seconds) in [("idle_timeout", policy.idle), ("session_timeout", policy.session)] {
            let Some(seconds) = seconds else { continue };
            if (60..=30 * 86_400).contains(&seconds) {
                lines.push(format!("{key} = \"{seconds}s\""));
            } else {
                let why = format!("{key} of {seconds} s is outside 1m to 30d, and left out");
                self.note(policy.line, named(policy), why);
            }
        }
        for (name, line) in &policy.others {
            self.note(*line, named(policy), format!("the setting {name} is not sent to a gateway"));
        }
        lines
    }

    /// One policy of ours, or several where its hours differ from day to day.
    fn section(&mut self, section: &Section) {
        let copies = section.hours.as_ref().map_or_else(|| vec![Vec::new()], spans);
        for (position, hours) in copies.iter().enumerate() {
            let suffix = if position == 0 { String::new() } else { format!(" ({})", position + 1) };
            let name = self.policy_name(&format!("{}{suffix}", shortened(&section.name, 80)));
            self.say(&format!("\n[[target.gateway.policy]]\nname = {}", quoted(&name)));
            if !section.allow {
                self.say("allow = false");
            }
            for line in section.conditions.iter().chain(hours).chain(&section.settings) {
                self.say(line);
            }
            if !hours.is_empty() {
                let zone = quoted(self.given.zone.as_deref().unwrap_or("UTC"));
                self.say(&format!("zone = {zone}"));
            }
        }
    }

    fn policy_name(&mut self, name: &str) -> String {
        let mut own: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        while !self.names.insert(format!("policy {own}")) {
            own.push('\'');
        }
        own
    }
}

impl Fitting {
    /// Whether one more condition can be told besides the others: each of our keys is "one of these", and two
    /// conditions of a kind would be "one of each".
    fn add(&mut self, condition: &Condition) -> bool {
        let line = match condition {
            Condition::Always | Condition::Never => return true,
            Condition::UserGroups(sids) => format!("groups = {}", list(sids, |sid| format!("<SID={sid}>"))),
            Condition::ComputerGroups(sids) => {
                format!("computer_groups = {}", list(sids, |sid| format!("<SID={sid}>")))
            }
            Condition::Authentication(ways) => format!("authentication = {}", list(ways, |way| (*way).to_owned())),
            Condition::Computers(names) => format!("computers = {}", list(names, String::clone)),
            Condition::Gateways(addresses) => format!("gateways = {}", list(addresses, String::clone)),
            Condition::Hours(week) => {
                let both = self.hours.as_ref().map_or_else(|| (**week).clone(), |hours| condition::both(hours, week));
                self.hours = Some(both);
                return true;
            }
        };
        let is_new = self.conditions.iter().all(|other| key(other) != key(&line));
        if is_new {
            self.conditions.push(line);
        }
        is_new
    }
}

/// Spans of a day, in minutes from midnight, and the days that have them.
type Alike<'a> = (&'a [(u16, u16)], Vec<&'static str>);

/// Lines for the days that have the same spans, a group of days each.
fn spans(days: &Week) -> Vec<Vec<String>> {
    const WORDS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let mut groups: Vec<Alike<'_>> = Vec::new();
    for (spans, word) in days.iter().zip(WORDS).filter(|(spans, _)| !spans.is_empty()) {
        match groups.iter_mut().find(|(others, _)| *others == spans.as_slice()) {
            Some((_, words)) => words.push(word),
            None => groups.push((spans, vec![word])),
        }
    }
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let lines = |(spans, words): Alike<'_>| {
        let texts: Vec<String> = spans.iter().map(|(from, to)| format!("{}-{}", time(*from), time(*to))).collect();
        vec![
            format!("days = {}", list(&words, |word| (*word).to_owned())),
            format!("hours = {}", list(&texts, String::clone)),
        ]
    };
    groups.into_iter().map(lines).collect()
}

fn key(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn named(policy: &Policy) -> String {
    format!("network policy {:?}", policy.name)
}
