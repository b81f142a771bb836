//! `[[rule]]`: who needs a second factor when, from where and through what.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::place::Path;
use super::super::rule::{DAY, Hours, Rule, Span, Then};
use super::super::values::{OneOrMany, Word};
use super::super::written::{self, ThenWord};
use super::super::{LdapClient, RadiusClient};
use super::Checker;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The clients of the file, as rules speak of them.
pub(super) struct Clients {
    /// Those that are fine.
    pub(super) all: Vec<Known>,
    /// The names of all that were written, also of those with mistakes.
    pub(super) names: BTreeSet<String>,
}

/// A client, as far as a rule looks at it.
pub(super) struct Known {
    name: String,
    application: String,
    /// Whether it tells where the person's device is.
    tells_address: bool,
    /// Whether it tells the name of the person's computer.
    tells_computer: bool,
}

impl Known {
    /// Whether it tells something by which the person's device is known again.
    pub(super) fn tells_device(&self) -> bool {
        self.tells_address || self.tells_computer
    }
}

impl Clients {
    pub(super) fn of(radius: &[Arc<RadiusClient>], ldap: &[Arc<LdapClient>], names: BTreeSet<String>) -> Clients {
        let radius =
            radius.iter().map(|client| (&client.client, client.person_address.is_some(), client.authorize_only));
        // The address of the connection is the only one that an LDAP door can know.
        let ldap = ldap.iter().map(|client| (&client.client, true, false));
        let all = radius.chain(ldap).map(|(client, tells_address, tells_computer)| {
            let (name, application) = (client.name.clone(), client.application.clone());
            Known { name, application, tells_address, tells_computer }
        });
        Clients { all: all.collect(), names }
    }

    /// Whether every client that was written is fine, so that what none of them has is nowhere.
    fn are_whole(&self) -> bool {
        self.all.len() == self.names.len()
    }
}

impl Checker<'_> {
    pub(super) fn rules(&self, written: Vec<written::Rule>, clients: &Clients) -> Vec<Arc<Rule>> {
        let at = Path::top("rule");
        let last = written.len().saturating_sub(1);
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (position, written) in written.into_iter().enumerate() {
            let at = at.index(position);
            self.own_name(&at, written.name.as_deref(), &mut names);
            let Some(rule) = self.rule(&at, written, clients) else { continue };
            if rule.is_for_all() && position < last {
                self.warn(&at, "is for everybody at any time, so that those after it never count", "put it last");
            }
            if rule.then == Then::Skip && rule.is_for_everybody() && rule.networks.is_empty() {
                let advice = "name users, groups or networks, unless that is what you want";
                self.warn(&at, "lets everybody in with the password alone", advice);
            }
            rules.push(Arc::new(rule));
        }
        rules
    }

    /// A name that no other rule has.
    pub(super) fn own_name(&self, at: &Path, name: Option<&str>, names: &mut BTreeSet<String>) {
        if let Some(name) = name
            && !names.insert(name.to_lowercase())
        {
            self.wrong(&at.key("name"), format!("found {name:?} a second time"), "a name of its own");
        }
    }

    fn rule(&self, at: &Path, mut written: written::Rule, clients: &Clients) -> Option<Rule> {
        let then = self.then(at, written.then.take(), written.methods.take());
        let rule = self.conditions(at, written, clients);
        Some(rule?.with(then?))
    }

    /// Whom something is for, when, from where and through what; said of them is nothing yet.
    pub(super) fn conditions(&self, at: &Path, written: written::Rule, clients: &Clients) -> Option<Rule<()>> {
        let name = self.required(&at.key("name"), written.name, "a name for the audit, the log and metrics");
        if let Some(name) = &name {
            self.name(&at.key("name"), name);
        }
        let for_clients = self.known_names(&at.key("clients"), written.clients, &clients.names, "client");
        let list = |key: &str, given| self.list(&at.key(key), self.narrowing(&at.key(key), given)).unwrap_or_default();
        let applications = list("applications", written.applications);
        for (position, application) in applications.iter().enumerate() {
            let same = |known: &Known| known.application.to_lowercase() == application.to_lowercase();
            if !clients.all.iter().any(same) && clients.are_whole() {
                let known: BTreeSet<&str> = clients.all.iter().map(|known| known.application.as_str()).collect();
                let known: Vec<&str> = known.into_iter().collect();
                let allowed = format!("allowed, as the clients have them: {}", known.join(", "));
                self.wrong(&at.key("applications").index(position), format!("found {application:?}"), allowed);
            }
        }
        let networks = list("networks", written.networks);
        let networks = self.ranges(&at.key("networks"), &networks);
        // Only now, so that one mistake does not hide another.
        let hours = self.hours(at, written.days, written.hours, written.zone);
        let rule = Rule {
            name: name?.into(),
            clients: for_clients,
            applications,
            users: list("users", written.users),
            groups: self.groups(&at.key("groups"), self.narrowing(&at.key("groups"), written.groups)),
            networks,
            hours,
            then: (),
        };
        if !rule.networks.is_empty() {
            self.told_by_some(&at.key("networks"), &rule, clients, |client| client.tells_address);
        }
        Some(rule)
    }

    /// What looks at an address that no client of the rule can tell would never hold. `tells`: whether a client can.
    pub(super) fn told_by_some(&self, at: &Path, rule: &Rule<()>, clients: &Clients, tells: impl Fn(&Known) -> bool) {
        if !clients.are_whole() {
            return;
        }
        let mine = || clients.all.iter().filter(|one| rule.is_for_client(&one.name, &one.application));
        let advice = "set person_address of the client, for instance to \"Calling-Station-Id\"";
        if !mine().any(&tells) {
            self.wrong(at, "can never hold, as no attribute says where the person is", advice);
        } else if let Some(one) = mine().find(|one| !tells(one)) {
            let found = format!("never holds through {}, where no attribute says where the person is", one.name);
            self.warn(at, found, advice);
        }
    }

    fn then(&self, at: &Path, then: Option<Word<ThenWord>>, methods: Option<OneOrMany>) -> Option<Then> {
        let has_methods = methods.is_some();
        let methods = self.methods(&at.key("methods"), methods);
        let Some(Word(then)) = then else {
            self.wrong(&at.key("then"), "missing", "\"require\", \"skip\" or \"refuse\"");
            return None;
        };
        if has_methods && then != ThenWord::Require {
            self.wrong(&at.key("methods"), "found them", "only with then = \"require\"");
        }
        Some(match then {
            ThenWord::Require => Then::Require(methods),
            ThenWord::Skip => Then::Skip,
            ThenWord::Refuse => Then::Refuse,
        })
    }

    /// Days, hours and zone: when something holds.
    pub(super) fn hours(
        &self,
        at: &Path,
        days: Option<OneOrMany>,
        spans: Option<OneOrMany>,
        zone: Option<String>,
    ) -> Option<Hours> {
        let days = self.filled_list(&at.key("days"), days, "at least one day, such as \"mon-fri\"");
        let spans = self.filled_list(&at.key("hours"), spans, "at least one span, such as \"08:00-18:00\"");
        let zone_at = at.key("zone");
        if days.is_none() && spans.is_none() {
            if zone.is_some() {
                self.wrong(&zone_at, "has no effect", "together with days or hours");
            }
            return None;
        }
        let zone =
            self.required(&zone_at, zone, "whose clock counts: a time zone such as \"Europe/Berlin\" or \"UTC\"");
        let zone = zone.and_then(|name| {
            let found = TimeZone::get(&name);
            if found.is_err() {
                let allowed = "an IANA time zone such as \"Europe/Berlin\", \"America/New_York\" or \"UTC\"";
                self.wrong(&zone_at, format!("found {name:?}, which is not known here"), allowed);
            }
            found.ok()
        });
        let mut on = [days.is_none(); 7];
        for (position, text) in days.unwrap_or_default().iter().enumerate() {
            match days_of(text) {
                Some(some) => on.iter_mut().zip(some).for_each(|(day, also)| *day |= also),
                None => self.wrong(
                    &at.key("days").index(position),
                    format!("found {text:?}"),
                    "allowed: mon, tue, wed, thu, fri, sat, sun, or from one to another such as \"mon-fri\"",
                ),
            }
        }
        let mut within = Vec::new();
        for (position, text) in spans.iter().flatten().enumerate() {
            match span(text) {
                Some(span) => within.push(span),
                None => self.wrong(
                    &at.key("hours").index(position),
                    format!("found {text:?}"),
                    "allowed: from one time to another such as \"08:00-18:00\", or over midnight \"22:00-06:00\"",
                ),
            }
        }
        if spans.is_none() {
            within.push(Span::DAY);
        }
        Some(Hours { days: on, spans: within, zone: zone? })
    }

    /// A list of names that the file has.
    pub(super) fn known_names(
        &self,
        at: &Path,
        given: Option<OneOrMany>,
        known: &BTreeSet<String>,
        section: &str,
    ) -> Vec<String> {
        let list = self.list(at, self.narrowing(at, given)).unwrap_or_default();
        for (position, name) in list.iter().enumerate().filter(|(_, name)| !known.contains(*name)) {
            let all: Vec<&str> = known.iter().map(String::as_str).collect();
            let allowed = format!("allowed, as this file has them: {}", all.join(", "));
            self.wrong(&at.index(position), format!("found {name:?}, and there is no such {section}"), allowed);
        }
        list
    }
}

/// `mon`, or `fri-mon`, which goes over the end of the week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let day = |text: &str| DAYS.iter().position(|day| *day == text.trim().to_lowercase());
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let mut on = [false; 7];
    let length = (last + 7 - first) % 7;
    on.iter_mut().enumerate().for_each(|(place, day)| *day = (place + 7 - first) % 7 <= length);
    Some(on)
}

/// `08:00-18:00`; the end may be `24:00`, the two are not the same.
fn span(text: &str) -> Option<Span> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let digits = |text: &str| {
            let fine = !text.is_empty() && text.len() <= 2 && text.bytes().all(|octet| octet.is_ascii_digit());
            fine.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = (digits(hours)?, digits(minutes)?);
        (minutes < 60).then_some(hours * 60 + minutes).filter(|minute| *minute <= DAY)
    };
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from < DAY && from != until).then_some(Span { from, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_one_by_one_and_from_one_to_another() {
        let on = |text| days_of(text).map(|days| days.map(u8::from));
        assert_eq!(on("mon"), Some([1, 0, 0, 0, 0, 0, 0]));
        assert_eq!(on("Mon-Fri"), Some([1, 1, 1, 1, 1, 0, 0]));
        assert_eq!(on("sat - mon"), Some([1, 0, 0, 0, 0, 1, 1]));
        assert_eq!(on("tue-mon"), Some([1; 7]));
        assert_eq!([on("monday"), on(""), on("mon-"), on("mon-fri-sun")], [None; 4]);
    }

    #[test]
    fn spans_are_read_and_nonsense_is_not() {
        assert_eq!(span("08:00-18:30"), Some(Span { from: 480, until: 1110 }));
        assert_eq!(span("0:00-24:00"), Some(Span::DAY));
        assert_eq!(span("22:00-06:00"), Some(Span { from: 1320, until: 360 }));
        for wrong in [
            "08-18",
            "8:00",
            "24:00-06:00",
            "10:00-10:00",
            "25:00-26:00",
            "10:60-11:00",
            "+8:00-9:00",
            "07:00",
            "07:00-24:01",
            "07:00-08:00x",
            "",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
