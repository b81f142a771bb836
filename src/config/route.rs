//! Who is asked by whom, and what happens when that fails: the checked form.

use std::time::{Duration, SystemTime};

use crate::users::model::Method;

/// `[[route]]`: who is asked by other providers, or in other ways, than their client's section says.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Names of the clients it is for; empty: all.
    pub clients: Vec<String>,
    /// Account names or UPNs, compared without case; empty together with `groups`: everybody.
    pub users: Vec<String>,
    /// Distinguished names of groups, nested members included.
    pub groups: Vec<String>,
    /// Whom to ask, in order; empty: as the client's section says.
    pub providers: Vec<String>,
    /// How to ask, in order; empty: as the client's section says.
    pub methods: Vec<Method>,
}

impl Route {
    /// Whether it is for sign-ins through the client of this name.
    pub fn is_for_client(&self, client: &str) -> bool {
        self.clients.is_empty() || self.clients.iter().any(|name| name == client)
    }

    /// Whether it is for whoever comes through its clients.
    pub fn is_for_everybody(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Whether it names this account.
    pub fn names(&self, account: &str, upn: Option<&str>) -> bool {
        let same = |listed: &String, name: &str| listed.to_lowercase() == name.to_lowercase();
        self.users.iter().any(|listed| same(listed, account) || upn.is_some_and(|upn| same(listed, upn)))
    }
}

/// What stands in for a number that the person would have to compare, as no RADIUS or LDAP client shows one
/// while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumberMatching {
    /// Plain approve and deny. The only way for clients where nothing can be typed (RD Gateway).
    #[default]
    Approve,
    /// A typed code, for clients where it can be appended to the password.
    Code,
}

/// When a failure of all providers lets people in on the password alone.
#[derive(Debug, Clone)]
pub struct UnreachableRule {
    /// The kinds of failure that it is good for.
    pub classes: Vec<UnreachableClass>,
    /// When it ends.
    pub until: Option<SystemTime>,
    /// How long into each outage it is good; at least one of the two is given.
    pub lasting: Option<Duration>,
}

impl UnreachableRule {
    /// Whether it lets people in after these failures (one of each provider that was asked), `lasted` into the
    /// outage.
    pub fn covers(&self, failures: &[UnreachableClass], lasted: Duration, now: SystemTime) -> bool {
        let bounded = self.until.is_some() || self.lasting.is_some();
        bounded
            && !failures.is_empty()
            && failures.iter().all(|class| self.classes.contains(class))
            && self.until.is_none_or(|until| now < until)
            && self.lasting.is_none_or(|longest| lasted < longest)
    }
}

/// Failures that happen before any prompt can have been sent: after them the next provider may be asked. A
/// failure after a prompt may have been sent is none of these, whatever it looks like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnreachableClass {
    /// No connection to the provider.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The provider answered 401 or 403, or refused our certificate: it does not take our credentials.
    Refused,
    /// The provider answered 429.
    RateLimited,
    /// The provider answered 5xx.
    ServerError,
    /// The provider's answer made no sense.
    Malformed,
    /// No answer in time to a question that prompts nobody.
    Timeout,
    /// The operator declared an outage (`anteroom outage begin`).
    Outage,
}

impl UnreachableClass {
    /// Every one, in the order of their words in the documentation.
    pub const ALL: [UnreachableClass; 8] = [
        UnreachableClass::Connect,
        UnreachableClass::Tls,
        UnreachableClass::Refused,
        UnreachableClass::RateLimited,
        UnreachableClass::ServerError,
        UnreachableClass::Malformed,
        UnreachableClass::Timeout,
        UnreachableClass::Outage,
    ];

    /// The word in configuration, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            UnreachableClass::Connect => "connect",
            UnreachableClass::Tls => "tls",
            UnreachableClass::Refused => "refused",
            UnreachableClass::RateLimited => "rate_limited",
            UnreachableClass::ServerError => "server_error",
            UnreachableClass::Malformed => "malformed",
            UnreachableClass::Timeout => "timeout",
            UnreachableClass::Outage => "outage",
        }
    }
}
