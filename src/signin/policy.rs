//! Whether a second factor is due: facts in; reject, exempt or due out. Pure.
//!
//! The only maker of [`Exempted`]. Every exemption has a name and is off unless the client's section or a rule
//! switches it on; there is no catch-all. In this order:
//!
//! 1. whoever is blocked is refused;
//! 2. the first `[[rule]]` that fits says: refuse, skip, or require. Where it requires, no exemption of the client's
//!    section counts, except those for an outage of the provider and what the provider itself lets through;
//! 3. where no rule fits, the client's own exemptions, and then what it says of the unknown and the disabled;
//! 4. everybody else is asked; or is not, where a `[[caching]]` rule lets an approval of theirs stand for this sign-in, or
//!    where the help desk has given them a one-time bypass, once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{ClientPolicy, Lenience, Rule, ServiceAccounts, Then};
use crate::factor;
use crate::primary::{Identity, names};
use crate::signin::outcome::Reason;
use crate::signin::proof::FactorApproved;
use crate::signin::route::Failed;
use crate::users::model::{Method, Person};

/// The rules that let somebody in without a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// `exempt_users` names the account.
    ExemptUser,
    /// The person is a member of one of `exempt_groups`.
    ExemptGroup,
    /// The person's own address is in one of `exempt_networks`.
    ExemptNetwork,
    /// The person is not in the store, and the client says `unknown_users = "password_only"`.
    NotEnrolled,
    /// The person is disabled in the store, and the client says `disabled_users = "password_only"`.
    UserDisabled,
    /// The provider cannot be reached, and the client's rule covers that kind of failure now.
    ProviderUnreachable,
    /// The provider would not ask them, and the client says `provider_bypass = "password_only"`.
    ProviderBypass,
    /// The client's section says that a program, and not a person, signs in with this account.
    ServiceAccount,
    /// The same person approved a moment ago, from the same place, and the client's `reuse` covers this.
    RememberedApproval,
    /// The same person approved a moment ago, and a `[[caching]]` rule, which the audit names, lets that stand for this
    /// sign-in.
    CachedApproval,
    /// A `[[rule]]` skips the second factor; [`Exempted::rule_name`] names it.
    Rule,
    /// The help desk lets them in this once.
    OneTimeBypass,
}

impl Exemption {
    /// Every one, for tables and tests.
    pub const ALL: [Exemption; 12] = [
        Exemption::ExemptUser,
        Exemption::ExemptGroup,
        Exemption::ExemptNetwork,
        Exemption::NotEnrolled,
        Exemption::UserDisabled,
        Exemption::ProviderUnreachable,
        Exemption::ProviderBypass,
        Exemption::ServiceAccount,
        Exemption::RememberedApproval,
        Exemption::CachedApproval,
        Exemption::Rule,
        Exemption::OneTimeBypass,
    ];
}

/// Proof that a named rule exempts this very person.
#[derive(Debug)]
pub struct Exempted {
    rule: Exemption,
    name: Option<Arc<str>>,
    unique_id: String,
}

impl Exempted {
    fn new(rule: Exemption, who: &Identity) -> Self {
        Exempted { rule, name: None, unique_id: who.unique_id.clone() }
    }

    /// Which rule.
    pub fn rule(&self) -> Exemption {
        self.rule
    }

    /// The name of the `[[rule]]`, of [`Exemption::Rule`].
    pub fn rule_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whom it exempts.
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }
}

/// What is known when the primary credential has passed.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The person in the directory.
    pub who: &'a Identity,
    /// The person in the store, if enrolled.
    pub person: Option<&'a Person>,
    /// Whether the directory says that they are in one of the client's `exempt_groups`.
    pub in_exempt_group: bool,
    /// Whether the directory says that the account is one of the client's `service_groups` or matches its
    /// `service_filter`.
    pub is_service: bool,
    /// What the rules of the configuration say.
    pub rule: Ruling<'a>,
    /// How the first provider that can ask them would do it; none: no provider can.
    pub way: Option<Method>,
    /// Whether a typed code is all that they could give, and none was typed.
    pub wants_code: bool,
    /// Address of their device, where the client told it.
    pub person_address: Option<IpAddr>,
    /// Wall-clock time.
    pub now: SystemTime,
}

/// What the rules of the configuration say.
#[derive(Debug, Clone, Copy)]
pub enum Ruling<'a> {
    /// No rule fits.
    None,
    /// This one counts.
    Rule(&'a Rule),
    /// A rule that requires or refuses may count: the directory could not say whether the person is in its groups.
    Undecided,
}

/// What policy makes of the facts.
#[derive(Debug)]
pub enum Decision {
    /// No, for this reason.
    Reject(Reason),
    /// Yes, without a second factor, by this rule.
    Exempt(Exempted),
    /// Ask, this way.
    Due(Method),
}

/// Decides whether a second factor is due, in the order above.
pub fn decide(policy: &ClientPolicy, facts: Facts<'_>) -> Decision {
    if facts.person.and_then(|person| person.blocked_until).is_some_and(|until| facts.now < until) {
        return Decision::Reject(Reason::Blocked);
    }
    let required = match facts.rule {
        Ruling::None => false,
        Ruling::Undecided => return Decision::Reject(Reason::RuleUndecided),
        Ruling::Rule(rule) => match rule.then {
            Then::Refuse => return Decision::Reject(Reason::RuleRefused),
            Then::Skip => {
                let name = Some(Arc::clone(&rule.name));
                return Decision::Exempt(Exempted { name, ..Exempted::new(Exemption::Rule, facts.who) });
            }
            Then::Require(_) => true,
        },
    };
    if !required && let Some((rule, _)) = standing_exemptions(policy, facts).into_iter().find(|(_, applies)| *applies) {
        return Decision::Exempt(Exempted::new(rule, facts.who));
    }
    let Some(person) = facts.person else {
        return match policy.unknown_users {
            Lenience::PasswordOnly if !required => Decision::Exempt(Exempted::new(Exemption::NotEnrolled, facts.who)),
            Lenience::PasswordOnly | Lenience::Reject => Decision::Reject(Reason::NotEnrolled),
        };
    };
    if !person.enabled {
        return match policy.disabled_users {
            Lenience::PasswordOnly if !required => Decision::Exempt(Exempted::new(Exemption::UserDisabled, facts.who)),
            Lenience::PasswordOnly | Lenience::Reject => Decision::Reject(Reason::UserDisabled),
        };
    }
    match facts.way {
        Some(method) => Decision::Due(method),
        None if facts.wants_code => Decision::Reject(Reason::NeedsCode),
        None => Decision::Reject(Reason::NoMethod),
    }
}

/// Whether a one-time bypass would change it: somebody would be asked, or cannot be.
pub(super) fn can_bypass(decision: &Decision) -> bool {
    matches!(decision, Decision::Due(_) | Decision::Reject(Reason::NoMethod | Reason::NeedsCode))
}

/// What a one-time bypass is good for, once the store has used it up for this very sign-in.
pub(super) fn bypassed(who: &Identity) -> Exempted {
    Exempted::new(Exemption::OneTimeBypass, who)
}

/// Whether an approval that was kept would change it: somebody would be asked, or told to type a code.
pub(super) fn can_be_cached(decision: &Decision) -> bool {
    matches!(decision, Decision::Due(_) | Decision::Reject(Reason::NeedsCode))
}

/// What an approval that a `[[caching]]` rule keeps is good for, once it was found for this very sign-in.
pub(super) fn cached(who: &Identity) -> Exempted {
    Exempted::new(Exemption::CachedApproval, who)
}

/// Whether an approval by `method` is one that could have been asked for here: by what a `[[rule]]` requires, and what
/// the client's section or a `[[route]]` lists, where they name any. `can_type`: a code may be typed here.
pub fn counts_here(method: Method, required: &[Method], listed: &[Method], can_type: bool) -> bool {
    let typed = can_type && matches!(method, Method::Oath | Method::BackupCode | Method::TemporaryCode);
    (required.is_empty() || required.contains(&method)) && (listed.is_empty() || listed.contains(&method) || typed)
}

/// What a remembered approval is good for: an exemption of the very person who gave it.
///
/// # Errors
/// [`Reason::Internal`] when it is somebody else's, which would be a mistake of ours.
pub fn remembered(who: &Identity, approval: &FactorApproved) -> Result<Exempted, Reason> {
    if approval.unique_id() == who.unique_id {
        Ok(Exempted::new(Exemption::RememberedApproval, who))
    } else {
        Err(Reason::Internal)
    }
}

/// Whether the client's section names this distinguished name, or a container of it, as a program's.
pub fn is_service_dn(service: &ServiceAccounts, name: &str) -> bool {
    service.names.iter().any(|listed| names::same_dn(listed, name))
        || service.ous.iter().any(|ou| names::is_below(name, ou))
}

/// Whether the client's section names this account, or a container of it, as a program's.
fn is_named_service(service: &ServiceAccounts, who: &Identity) -> bool {
    let is = |listed: &String, name: &str| names::same(listed, name);
    let named = |listed| is(listed, &who.name) || who.upn.as_deref().is_some_and(|upn| is(listed, upn));
    service.names.iter().any(named) || is_service_dn(service, &who.dn)
}

/// Exemptions that hold whether or not the person is enrolled, in the order in which they are looked at, each with
/// whether it applies.
pub fn standing_exemptions(policy: &ClientPolicy, facts: Facts<'_>) -> [(Exemption, bool); 4] {
    let same = |listed: &String, name: &str| listed.to_lowercase() == name.to_lowercase();
    let named = policy
        .exempt_users
        .iter()
        .any(|listed| same(listed, &facts.who.name) || facts.who.upn.as_deref().is_some_and(|upn| same(listed, upn)));
    let inside = |address: IpAddr| policy.exempt_networks.iter().any(|network| network.contains(address));
    [
        (Exemption::ExemptUser, named),
        (Exemption::ExemptGroup, facts.in_exempt_group),
        (Exemption::ExemptNetwork, facts.person_address.is_some_and(inside)),
        (Exemption::ServiceAccount, facts.is_service || is_named_service(&policy.service, facts.who)),
    ]
}

/// What a failed factor means: an exemption where the client's rule covers the failure of every provider that was
/// asked, now, else the reason. A failure after the prompt may have been sent is never an exemption.
///
/// # Errors
/// The reason for the rejection.
pub fn after_refusal(policy: &ClientPolicy, facts: Facts<'_>, failed: &Failed) -> Result<Exempted, Reason> {
    if let factor::Refusal::Unreachable(_) = failed.refusal
        && !failed.answered
        && let Some(rule) = &policy.provider_unreachable
        && rule.covers(&failed.classes, failed.lasted, facts.now)
    {
        return Ok(Exempted::new(Exemption::ProviderUnreachable, facts.who));
    }
    if failed.refusal == factor::Refusal::Bypassed && policy.provider_bypass == Lenience::PasswordOnly {
        return Ok(Exempted::new(Exemption::ProviderBypass, facts.who));
    }
    Err(Reason::from_factor(failed.refusal))
}
