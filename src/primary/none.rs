//! Target `none`: nobody checks a password here, as a gateway has done so. The directory says whether the account may
//! sign in, and the connection policies say who may connect.
//!
//! [`authorize`] is the second maker of [`PrimaryPassed`], beside [`super::check`]: only the directory's word on the
//! account, and a policy that lets the person in, become a proof. An [`Authorizer`] refuses every password, and every
//! other target refuses to authorize.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::future::BoxFuture;

use super::directory::Directory;
use super::{Fault, Finding, IdentifyError, Identity, Primary, PrimaryPassed, Refusal};
use crate::config::{Authentication, AuthorizingTarget, ConnectionPolicy};
use crate::ldap::result::code;
use crate::secret::Secret;

/// What a gateway says of a person's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// How it has made sure of the person; none: it does not say so in a way that is known.
    pub authentication: Option<Authentication>,
    /// The name of the person's computer, as that computer tells it.
    pub computer: Option<Box<str>>,
    /// Called-Station-Id, as it came. Only ever compared: a retry names the same one.
    pub called: Box<[u8]>,
    /// What the policy that lets the person in has the gateway do, encoded for the Access-Accept.
    pub settings: Option<Arc<[u8]>>,
}

impl Connection {
    /// What tells this connection from others of the same person: in the place of a credential.
    pub fn key(&self) -> Vec<u8> {
        let computer = self.computer.as_deref().unwrap_or_default().to_lowercase();
        let mut key = Vec::with_capacity(computer.len() + self.called.len() + 16);
        for part in [computer.as_bytes(), &self.called] {
            key.extend_from_slice(&part.len().to_be_bytes());
            key.extend_from_slice(part);
        }
        key
    }
}

/// What else a decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Through which gateway.
    pub gateway: std::net::IpAddr,
    /// The connection.
    pub connection: &'a Connection,
    /// Wall-clock time.
    pub now: SystemTime,
    /// When the answer must be there.
    pub deadline: Instant,
}

/// A policy lets the person in.
#[derive(Debug)]
pub struct Granted {
    /// Its name.
    pub policy: String,
    /// Attributes of the Access-Accept, encoded.
    pub settings: Arc<[u8]>,
    /// Since when the directory knows the account's password (pwdLastSet); none: it does not say.
    pub password_set: Option<i64>,
}

/// Asks a target whether an account may sign in without any credential.
///
/// # Errors
/// A [`Finding`] that is not right. Every target but an [`Authorizer`] refuses.
pub async fn authorize(
    target: &dyn Primary,
    who: &Arc<Identity>,
    asked: Asked<'_>,
) -> Result<(PrimaryPassed, Granted), Finding> {
    let granted = target.authorize(who, asked).await?;
    Ok((PrimaryPassed { who: Arc::clone(who), said: None }, granted))
}

/// A target of type `none`, ready to be asked.
#[derive(Debug)]
pub struct Authorizer {
    directory: Arc<Directory>,
    policies: Vec<ConnectionPolicy>,
}

impl Authorizer {
    /// Over the directory that the target names.
    pub fn new(target: &AuthorizingTarget, directory: Arc<Directory>) -> Self {
        Authorizer { directory, policies: target.policies.clone() }
    }

    /// Account first, then the policies in their order: the first that fits decides.
    async fn judge(&self, who: &Identity, asked: Asked<'_>) -> Result<Granted, Finding> {
        let by_password = asked.connection.authentication != Some(Authentication::SmartCard);
        let account = self.directory.account(who, asked.deadline).await.map_err(Finding::Fault)?;
        let account = account.ok_or(Finding::Wrong(Refusal::NoSuchUser))?;
        if let Some(refusal) = account.refusal(asked.now, by_password) {
            return Err(Finding::Wrong(refusal));
        }
        // Looked up once, and only where a policy asks for it.
        let mut computer = None;
        for policy in &self.policies {
            if fits(policy, asked) && self.is_member(policy, who, asked, &mut computer).await.map_err(Finding::Fault)? {
                return if policy.allow {
                    Ok(Granted {
                        policy: policy.name.clone(),
                        settings: Arc::clone(&policy.settings),
                        password_set: Some(account.password_set()),
                    })
                } else {
                    Err(Finding::Wrong(Refusal::ConnectionDenied))
                };
            }
        }
        Err(Finding::Wrong(Refusal::NoConnectionPolicy))
    }

    /// Whether person and computer are in the groups that a policy names. Where the directory cannot say, nobody is let
    /// in by a later policy either: the error ends it.
    async fn is_member(
        &self,
        policy: &ConnectionPolicy,
        who: &Identity,
        asked: Asked<'_>,
        computer: &mut Option<Option<Identity>>,
    ) -> Result<bool, Fault> {
        let is_in = |who, groups| self.directory.member_of_any(who, groups, asked.deadline);
        if !policy.groups.is_empty() && !is_in(who, &policy.groups).await? {
            return Ok(false);
        }
        if policy.computer_groups.is_empty() {
            return Ok(true);
        }
        let computer = match computer {
            Some(known) => known,
            None => {
                let found = match asked.connection.computer.as_deref() {
                    Some(name) => self.directory.computer(name, asked.deadline).await?,
                    None => None,
                };
                computer.insert(found)
            }
        };
        match computer {
            Some(computer) => is_in(computer, &policy.computer_groups).await,
            None => Ok(false),
        }
    }
}

/// Whether everything about a policy but its groups holds.
fn fits(policy: &ConnectionPolicy, asked: Asked<'_>) -> bool {
    let connection = asked.connection;
    let computer = connection.computer.as_deref();
    (policy.gateways.is_empty() || policy.gateways.iter().any(|range| range.contains(asked.gateway)))
        && (policy.authentication.is_empty()
            || connection.authentication.is_some_and(|way| policy.authentication.contains(&way)))
        && (policy.computers.is_empty()
            || computer.is_some_and(|name| policy.computers.iter().any(|pattern| pattern.fits(name))))
        && policy.hours.as_ref().is_none_or(|hours| hours.contain(asked.now))
}

impl Primary for Authorizer {
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        self.directory.identify(typed, deadline)
    }

    /// None is tried.
    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Fault(Fault::Refused { code: code::UNWILLING_TO_PERFORM })))
    }

    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.directory.member_of_any(who, groups, deadline)
    }

    fn matches<'a>(
        &'a self,
        who: &'a Identity,
        filter: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.directory.matches(who, filter, deadline)
    }

    fn authorize<'a>(&'a self, who: &'a Identity, asked: Asked<'a>) -> BoxFuture<'a, Result<Granted, Finding>> {
        Box::pin(self.judge(who, asked))
    }

    fn authorizes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AddressRange;
    use crate::config::gateway::Pattern;
    use crate::config::rule::{Hours, Span};

    fn policy() -> ConnectionPolicy {
        ConnectionPolicy {
            name: "staff".into(),
            allow: true,
            groups: Vec::new(),
            gateways: Vec::new(),
            computers: Vec::new(),
            computer_groups: Vec::new(),
            authentication: Vec::new(),
            hours: None,
            settings: Arc::from([]),
        }
    }

    fn connection() -> Connection {
        Connection {
            authentication: Some(Authentication::Password),
            computer: Some("PC-0815".into()),
            called: b"UserAuthType:PW".as_slice().into(),
            settings: None,
        }
    }

    fn holds(policy: &ConnectionPolicy, connection: &Connection) -> bool {
        let now = "2026-11-23T10:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let asked = Asked { gateway: "192.0.2.30".parse().unwrap(), connection, now, deadline: Instant::now() };
        fits(policy, asked)
    }

    #[test]
    fn every_condition_that_is_named_must_hold() {
        let nobody = Connection { authentication: None, computer: None, ..connection() };
        assert!(holds(&policy(), &connection()) && holds(&policy(), &nobody));
        let range = |text: &str| AddressRange { first: text.parse().unwrap(), last: text.parse().unwrap() };
        assert!(holds(&ConnectionPolicy { gateways: vec![range("192.0.2.30")], ..policy() }, &nobody));
        assert!(!holds(&ConnectionPolicy { gateways: vec![range("192.0.2.31")], ..policy() }, &nobody));
        let named = ConnectionPolicy { computers: vec![Pattern::new("x"), Pattern::new("pc-*")], ..policy() };
        assert!(holds(&named, &connection()) && !holds(&named, &nobody), "a computer without a name has none of them");
        let by = |way| ConnectionPolicy { authentication: vec![way], ..policy() };
        assert!(holds(&by(Authentication::Password), &connection()));
        assert!(!holds(&by(Authentication::SmartCard), &connection()));
        assert!(!holds(&by(Authentication::Password), &nobody), "what is not said is in no list");
        let hours = |from: u16, until: u16| {
            let spans = vec![Span { from: from * 60, until: until * 60 }];
            let hours = Hours { days: [true; 7], spans, zone: jiff::tz::TimeZone::UTC };
            ConnectionPolicy { hours: Some(hours), ..policy() }
        };
        assert!(holds(&hours(9, 11), &nobody) && !holds(&hours(11, 12), &nobody));
    }

    #[test]
    fn a_connection_is_told_by_computer_and_station() {
        let key = |computer: Option<&str>, called: &str| {
            let called = called.as_bytes().into();
            Connection { computer: computer.map(Into::into), called, ..connection() }.key()
        };
        assert_eq!(key(Some("PC1"), "x"), key(Some("pc1"), "x"));
        assert_ne!(key(Some("PC1"), "x"), key(Some("PC2"), "x"));
        assert_ne!(key(Some("PC1"), "x"), key(Some("PC1"), "y"));
        assert_ne!(key(Some("PC1"), "x"), key(Some("PC1x"), ""));
        assert_ne!(key(None, "PC1"), key(Some("PC1"), ""));
    }
}
