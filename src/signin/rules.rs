//! Which `[[rule]]` counts for a sign-in: the first that fits. Pure.
//!
//! A rule that names groups can be decided only by the directory. The directory is asked only where such a rule would
//! count ([`open_groups`]); where it cannot say, a rule that skips does not count, and one that requires or refuses
//! ends in a refusal: nobody gets the next, perhaps weaker rule because the directory was away.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::rule::Says;
use crate::config::{Client, Rule};
use crate::primary::Identity;

/// What rules look at besides groups.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Who it is.
    pub who: &'a Identity,
    /// Through which client.
    pub client: &'a Client,
    /// Address of their device, where it is known.
    pub person_address: Option<IpAddr>,
    /// Wall-clock time.
    pub now: SystemTime,
}

/// How a rule stands to a sign-in, as far as that can be told without the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is for it.
    Yes,
    /// It is not, and why.
    No(Miss),
    /// It is, if the person is a member of one of its groups.
    IfMember,
}

/// Why a rule is not for a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It is for other clients or applications.
    Client,
    /// The person is somewhere else, or nobody knows where.
    Network,
    /// It is for other hours.
    Hours,
    /// It is for other people.
    Person,
}

impl Miss {
    /// What an explanation says.
    pub fn text(self) -> &'static str {
        match self {
            Miss::Client => "is for other clients or applications",
            Miss::Network => "the person's address is in none of its networks, or is not known",
            Miss::Hours => "is for other days or hours",
            Miss::Person => "is for other people",
        }
    }
}

/// How `rule` stands to the sign-in.
pub fn fit<T>(rule: &Rule<T>, seen: Seen<'_>) -> Fit {
    let inside = |address: IpAddr| rule.networks.iter().any(|network| network.contains(address));
    if !rule.is_for_client(&seen.client.name, &seen.client.application) {
        Fit::No(Miss::Client)
    } else if !rule.networks.is_empty() && !seen.person_address.is_some_and(inside) {
        Fit::No(Miss::Network)
    } else if rule.hours.as_ref().is_some_and(|hours| !hours.contain(seen.now)) {
        Fit::No(Miss::Hours)
    } else if rule.is_for_everybody() || rule.names(&seen.who.name, seen.who.upn.as_deref()) {
        Fit::Yes
    } else if rule.groups.is_empty() {
        Fit::No(Miss::Person)
    } else {
        Fit::IfMember
    }
}

/// The places of the rules that would count if the person were a member of their groups: what the directory is to be
/// asked. Empty where it need not be.
pub fn open_groups<T>(rules: &[Arc<Rule<T>>], seen: Seen<'_>) -> Vec<usize> {
    let mut open = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        match fit(rule, seen) {
            Fit::Yes => break,
            Fit::IfMember => open.push(place),
            Fit::No(_) => {}
        }
    }
    open
}

/// Which rule counts, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chosen {
    /// None.
    #[default]
    None,
    /// This one.
    Rule(u16),
    /// Perhaps this one: the directory could not say.
    Undecided(u16),
}

impl Chosen {
    /// The place of the rule that counts or may.
    pub fn place(self) -> Option<usize> {
        match self {
            Chosen::None => None,
            Chosen::Rule(place) | Chosen::Undecided(place) => Some(usize::from(place)),
        }
    }
}

/// Which rule counts. `member`: whether the person is a member of a group of the rule in this place; `None`: the
/// directory could not say.
pub fn choose<T: Says>(rules: &[Arc<Rule<T>>], seen: Seen<'_>, member: impl Fn(usize) -> Option<bool>) -> Chosen {
    for (index, rule) in rules.iter().enumerate() {
        let place = u16::try_from(index).unwrap_or(u16::MAX);
        match fit(rule, seen) {
            Fit::No(_) => {}
            Fit::Yes => return Chosen::Rule(place),
            Fit::IfMember => match member(index) {
                Some(true) => return Chosen::Rule(place),
                Some(false) => {}
                None if rule.then.may_be_passed() => {}
                None => return Chosen::Undecided(place),
            },
        }
    }
    Chosen::None
}
