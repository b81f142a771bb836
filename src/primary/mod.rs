//! The first credential: who is this person, and is the password right?
//!
//! [`check`] is the one maker of [`PrimaryPassed`]. It refuses an empty password before any directory
//! sees one (real AD answers *success* to it) and turns only [`Finding::Right`] and [`Finding::Moved`] into a proof.
//! Where a gateway has checked the password, [`none::authorize`] is the other: by the directory's word on the account.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::ldap::result::code;
use crate::secret::Secret;

mod account;
pub mod bind_names;
pub mod directory;
pub mod groups;
pub mod locate;
pub mod names;
pub mod none;

/// A person as the directory knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What never changes: objectGUID in its usual text form, lower case, or entryUUID.
    pub unique_id: String,
    /// The account name (sAMAccountName, uid).
    pub name: String,
    /// The name with an `@`, where there is one.
    pub upn: Option<String>,
    /// Distinguished name as the directory gave it.
    pub dn: String,
    /// Whether the user store said all this, and not the directory just now: the entry may have moved since, and
    /// another one may have its distinguished name.
    pub remembered: bool,
}

/// Why a name did not become an [`Identity`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentifyError {
    /// Nobody has that name.
    Unknown,
    /// More than one person has it.
    Ambiguous,
    /// The directory could not say.
    Fault(Fault),
}

/// Why the directory could not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No server could be reached in time.
    Unreachable,
    /// A server answered that it does not want to (busy, unavailable, unwilling, referral, not allowed).
    Refused {
        /// LDAP result code (RFC 4511 section 4.1.9).
        code: u32,
    },
    /// A server took a password and did not answer: it may have checked and counted it.
    Unanswered,
    /// A server answered something that is no answer to our question.
    Garbled,
    /// The person's deadline passed first.
    Deadline,
}

/// What the target said to a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The credential is right and the account may sign in.
    Right,
    /// The same, and the entry has another distinguished name by now: this one.
    Moved(String),
    /// It is not, or the account may not.
    Wrong(Refusal),
    /// The target could not say.
    Fault(Fault),
}

impl Finding {
    /// As it is of an entry that has moved to this distinguished name.
    pub fn at(self, dn: String) -> Self {
        if self == Finding::Right { Finding::Moved(dn) } else { self }
    }

    /// Whether the credential is right.
    pub fn is_right(&self) -> bool {
        matches!(self, Finding::Right | Finding::Moved(_))
    }
}

/// Why a target refused a credential. AD's sub-codes where it gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 52e, or 49 without a sub-code.
    WrongPassword,
    /// 525.
    NoSuchUser,
    /// 530.
    LogonHours,
    /// 531.
    Workstation,
    /// 532.
    PasswordExpired,
    /// 533.
    Disabled,
    /// 701.
    AccountExpired,
    /// 773.
    MustChangePassword,
    /// 775.
    LockedOut,
    /// 52f and any other sub-code.
    Restricted,
    /// A connection policy of a target of type `none` keeps the person out.
    ConnectionDenied,
    /// No connection policy of a target of type `none` fits.
    NoConnectionPolicy,
}

impl Refusal {
    /// Every one, for tables and tests.
    pub const ALL: [Refusal; 12] = [
        Refusal::WrongPassword,
        Refusal::NoSuchUser,
        Refusal::LogonHours,
        Refusal::Workstation,
        Refusal::PasswordExpired,
        Refusal::Disabled,
        Refusal::AccountExpired,
        Refusal::MustChangePassword,
        Refusal::LockedOut,
        Refusal::Restricted,
        Refusal::ConnectionDenied,
        Refusal::NoConnectionPolicy,
    ];
}

/// A place where primary credentials are checked. One a client, never one for the whole server.
pub trait Primary: Send + Sync {
    /// Finds out who the typed name is, before any password is tried.
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>>;

    /// Tries the password of `who`. Never called with an empty one.
    fn try_password<'a>(&'a self, who: &'a Identity, password: &'a Secret, deadline: Instant)
    -> BoxFuture<'a, Finding>;

    /// Whether `who` is a member, nested memberships included, of any of `groups` (distinguished names).
    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>>;

    /// Finds out who a name in any form that an application may bind with is. `is_service`: the configuration names
    /// it as a program's account.
    fn identify_bind<'a>(
        &'a self,
        name: &'a str,
        is_service: bool,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let _ = is_service;
        self.identify(name, deadline)
    }

    /// What a finding about the name that `who` was known by comes to: itself, or as an error another
    /// distinguished name that the password is to be tried with, as the person's entry has moved.
    fn judged<'a>(
        &'a self,
        who: &'a Identity,
        finding: Finding,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Finding, String>> {
        let _ = (who, deadline);
        Box::pin(std::future::ready(Ok(finding)))
    }

    /// Whether the account of `who` may sign in without any credential, as a gateway has checked one. Only a target of
    /// type `none` ([`none::Authorizer`]) ever says so.
    fn authorize<'a>(
        &'a self,
        who: &'a Identity,
        asked: none::Asked<'a>,
    ) -> BoxFuture<'a, Result<none::Granted, Finding>> {
        let _ = (who, asked);
        let fault = Fault::Refused { code: code::UNWILLING_TO_PERFORM };
        Box::pin(std::future::ready(Err(Finding::Fault(fault))))
    }

    /// Whether [`Primary::authorize`] is what it is there for.
    fn authorizes(&self) -> bool {
        false
    }

    /// Whether the entry of `who` matches a filter in parentheses (RFC 4515). A target without filters cannot say.
    fn matches<'a>(
        &'a self,
        who: &'a Identity,
        filter: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        let _ = (who, filter, deadline);
        Box::pin(std::future::ready(Err(Fault::Refused { code: code::UNWILLING_TO_PERFORM })))
    }
}

/// Proof that the primary credential of this very person was right.
#[derive(Debug)]
pub struct PrimaryPassed {
    who: Arc<Identity>,
}

impl PrimaryPassed {
    /// Whose credential it was.
    pub fn who(&self) -> &Arc<Identity> {
        &self.who
    }
}

/// Checks the primary credential: the one maker of [`PrimaryPassed`].
///
/// # Errors
/// A [`Finding`] that is neither [`Finding::Right`] nor [`Finding::Moved`]. An empty password is [`Refusal::WrongPassword`] without
/// any question to the directory.
pub async fn check(
    target: &dyn Primary,
    who: &Arc<Identity>,
    password: &Secret,
    deadline: Instant,
) -> Result<PrimaryPassed, Finding> {
    if password.is_empty() {
        return Err(Finding::Wrong(Refusal::WrongPassword));
    }
    match target.try_password(who, password, deadline).await {
        Finding::Right => Ok(PrimaryPassed { who: Arc::clone(who) }),
        Finding::Moved(dn) => {
            let who = Identity { dn, remembered: false, ..Identity::clone(who) };
            Ok(PrimaryPassed { who: Arc::new(who) })
        }
        other => Err(other),
    }
}
