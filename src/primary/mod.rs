//! The first credential: who is this person, and is the password right?
//!
//! [`check`] is the one maker of [`PrimaryPassed`]; for RADIUS servers, which get whole requests, [`check_handed`]. Both
//! refuse an empty password before any target sees one (real AD answers *success* to it) and turn only
//! [`Finding::Right`] and [`Finding::Moved`] into a proof.
//! A round of a challenge that another node sealed brings its proof along ([`PrimaryPassed`], remade by
//! [`crate::signin::moving`] alone). Where a gateway has checked the password, [`none::authorize`] is another: by the directory's word on the account.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::future::BoxFuture;

use crate::ldap::result::code;
use crate::radius::onward::Onward;
use crate::radius::said::Said;
use crate::secret::Secret;

pub use details::Details;

mod account;
pub mod bind_names;
pub mod details;
pub mod directory;
pub mod groups;
pub mod locate;
pub mod names;
pub mod none;
pub mod radius;
pub mod winbind;

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
    /// What else of the entry a `[[reply]]` needs, where one does.
    pub details: Option<Box<Details>>,
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
    /// There is no room to ask in: every identifier of a RADIUS target is in use.
    Full,
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
    /// The password was right; the new one is not taken, by the directory's rules for passwords.
    NewPassword,
    /// 775.
    LockedOut,
    /// 52f and any other sub-code.
    Restricted,
    /// A RADIUS target let somebody in, and it is another person than the request named.
    OtherPerson,
    /// A RADIUS target let somebody in by EAP and does not say whom.
    Unnamed,
    /// A RADIUS target asks for more, which this request cannot be answered with.
    AsksMore,
    /// A connection policy of a target of type `none` keeps the person out, or a RADIUS target that a gateway's request
    /// is passed on to.
    ConnectionDenied,
    /// No connection policy of a target of type `none` fits.
    NoConnectionPolicy,
}

impl Refusal {
    /// Every one, for tables and tests.
    pub const ALL: [Refusal; 16] = [
        Refusal::WrongPassword,
        Refusal::NoSuchUser,
        Refusal::LogonHours,
        Refusal::Workstation,
        Refusal::PasswordExpired,
        Refusal::Disabled,
        Refusal::AccountExpired,
        Refusal::MustChangePassword,
        Refusal::NewPassword,
        Refusal::LockedOut,
        Refusal::Restricted,
        Refusal::OtherPerson,
        Refusal::Unnamed,
        Refusal::AsksMore,
        Refusal::ConnectionDenied,
        Refusal::NoConnectionPolicy,
    ];
}

/// What a target that is handed a whole request says.
#[derive(Debug)]
pub struct Answered {
    /// What it comes to.
    pub finding: Finding,
    /// The attributes of the reply, where there was one.
    pub said: Option<Box<Said>>,
    /// Which of its servers replied: only that one knows its State.
    pub server: usize,
    /// Whether the person's password is another one since, whatever else it comes to.
    pub changed: bool,
}

impl From<Finding> for Answered {
    fn from(finding: Finding) -> Self {
        Answered { finding, said: None, server: 0, changed: false }
    }
}

/// A request that goes to a RADIUS target as it is.
#[derive(Debug, Clone, Copy)]
pub struct Handed<'a> {
    /// Its attributes.
    pub request: &'a Onward,
    /// Its password, where it brings one.
    pub password: Option<&'a Secret>,
    /// In a further round: which server asked for it, and that server's State, where it gave one.
    pub round: Option<(usize, Option<&'a [u8]>)>,
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

    /// Hands a whole request on. A target that is a directory cannot.
    fn hand_on<'a>(
        &'a self,
        who: Option<&'a Identity>,
        handed: Handed<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Answered> {
        let _ = (who, handed, deadline);
        Box::pin(std::future::ready(unwilling().into()))
    }

    /// Whether its answer may take as long as a person does, so that a long wait does not tell that it is busy.
    fn waits_for_people(&self) -> bool {
        false
    }

    /// Whether a request is one that we have sent to it ourselves, and that has come back to us.
    fn has_sent(&self, request: &Onward) -> bool {
        let _ = request;
        false
    }

    /// Whether the name in the target's reply, and not the one in the request, tells who came in by EAP.
    fn names_people(&self) -> bool {
        true
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

    /// Why a right password would be refused at that moment, for explanations; nothing where it would not, or nobody says
    /// before it is tried.
    fn refuses<'a>(&'a self, who: &'a Identity, at: SystemTime, deadline: Instant) -> BoxFuture<'a, Option<Refusal>> {
        let _ = (who, at, deadline);
        Box::pin(std::future::ready(None))
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

/// What a target says to what it does not do.
fn unwilling() -> Finding {
    Finding::Fault(Fault::Refused { code: code::UNWILLING_TO_PERFORM })
}

/// Proof that the primary credential of this very person was right.
#[derive(Debug)]
pub struct PrimaryPassed {
    who: Arc<Identity>,
    said: Option<Box<Said>>,
}

impl PrimaryPassed {
    /// Of a round that a node of ours sealed after it had checked the credential, and that this one has opened.
    pub(crate) fn again(who: &Arc<Identity>) -> Self {
        PrimaryPassed { who: Arc::clone(who), said: None }
    }

    /// Whose credential it was.
    pub fn who(&self) -> &Arc<Identity> {
        &self.who
    }

    /// What a RADIUS target said, for the client, and what the configuration has for this very person before it.
    pub fn said(&self) -> Option<&Said> {
        self.said.as_deref()
    }

    /// With attributes of our own for this very person before what a target said. What was known of the person
    /// to make them of is forgotten.
    #[must_use]
    pub fn with_attributes(self, own: Said) -> Self {
        let PrimaryPassed { mut who, mut said } = self;
        if who.details.is_some() {
            who = Arc::new(Identity { details: None, ..Identity::clone(&who) });
        }
        if own.length() > 0 {
            said.get_or_insert_default().put_before(own);
        }
        PrimaryPassed { who, said }
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
        Finding::Right => Ok(PrimaryPassed { who: Arc::clone(who), said: None }),
        Finding::Moved(dn) => {
            let who = Identity { dn, remembered: false, ..Identity::clone(who) };
            Ok(PrimaryPassed { who: Arc::new(who), said: None })
        }
        other => Err(other),
    }
}

/// Hands a request on and takes the target's Access-Accept as the proof: the other maker of [`PrimaryPassed`], for targets
/// that are RADIUS servers. `who` is nobody where only the target can tell (EAP, whose outer name anybody can write);
/// `named` is the name in the request.
///
/// # Errors
/// What the target said, where that is no acceptance of the very person whom the request names.
pub fn check_handed<'a>(
    target: &'a dyn Primary,
    (who, named): (Option<&'a Arc<Identity>>, &'a str),
    handed: Handed<'a>,
    deadline: Instant,
) -> impl Future<Output = Result<PrimaryPassed, Answered>> + Send + use<'a> {
    let is_empty = handed.password.is_some_and(Secret::is_empty);
    // Begun here, so that what is handed is kept once.
    let asked = (!is_empty).then(|| target.hand_on(who.map(|who| &**who), handed, deadline));
    async move {
        let Some(asked) = asked else { return Err(Finding::Wrong(Refusal::WrongPassword).into()) };
        let mut answered = asked.await;
        if answered.finding != Finding::Right {
            return Err(answered);
        }
        let said_name = answered.said.as_ref().and_then(|said| said.name());
        let wrong = |refusal| Err(Answered::from(Finding::Wrong(refusal)));
        let name = match (who, said_name) {
            // It names nobody: whom the request names is in.
            (Some(who), None) => return Ok(PrimaryPassed { who: Arc::clone(who), said: answered.said.take() }),
            (_, Some(name)) => name,
            (None, None) if target.names_people() => return wrong(Refusal::Unnamed),
            (None, None) => named,
        };
        let found = match target.identify(name, deadline).await {
            Ok(found) => found,
            Err(IdentifyError::Fault(fault)) => return Err(Finding::Fault(fault).into()),
            Err(IdentifyError::Unknown | IdentifyError::Ambiguous) if who.is_some() => {
                return wrong(Refusal::OtherPerson);
            }
            Err(IdentifyError::Unknown | IdentifyError::Ambiguous) => return wrong(Refusal::NoSuchUser),
        };
        match who {
            Some(who) if who.unique_id != found.unique_id => wrong(Refusal::OtherPerson),
            Some(who) => Ok(PrimaryPassed { who: Arc::clone(who), said: answered.said.take() }),
            None => Ok(PrimaryPassed { who: Arc::new(found), said: answered.said.take() }),
        }
    }
}
