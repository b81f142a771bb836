//! `[[caching]]`: how long an approval is good for further sign-ins, and for which. The checked form. Pure.

use std::time::Duration;

use super::rule::{Rule, Says};

/// Who, through what and from where it is for is what a `[[rule]]` has; the first that fits counts.
pub type CachingRule = Rule<Caching>;

/// What a rule says of the sign-ins that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// What must be as it was.
    pub kind: Likeness,
    /// How long after the approval; zero: never.
    pub lasts: Duration,
}

impl Says for Caching {
    /// The next rule may be the weaker one.
    fn may_be_passed(&self) -> bool {
        false
    }
}

/// What a sign-in must have in common with the approved one, besides the person, their password and the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// Nothing.
    Person,
    /// The kind of sign-in (RADIUS, LDAP, RD Gateway) and the application.
    Application,
    /// These, and the address of the person's device, or their computer's name behind an RD Gateway.
    Address,
}

impl Likeness {
    /// Every one.
    pub const ALL: [Likeness; 3] = [Likeness::Person, Likeness::Application, Likeness::Address];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Likeness::Person => "person",
            Likeness::Application => "person_application",
            Likeness::Address => "person_application_address",
        }
    }

    /// What the audit says of the factor.
    pub fn audited(self) -> &'static str {
        match self {
            Likeness::Person => "cached_person",
            Likeness::Application => "cached_application",
            Likeness::Address => "cached_address",
        }
    }
}
