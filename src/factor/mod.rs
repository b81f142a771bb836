//! The second factor: who carries it, and what they answered.
//!
//! [`ask`] is the one maker of [`FactorApproved`], but for one that another node has made. A provider is one file behind the [`Factor`] trait; it
//! starts a transaction, waits without holding a thread, a socket or a lock, and cancels the transaction
//! when its future is dropped (nobody can receive the answer any more).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::config::{NumberMatching, UnreachableClass};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::{Method, Mode, Person};
use crate::users::pins::PinPassed;

pub mod assertion;
pub mod build;
pub mod cancelling;
pub mod codes;
pub mod described;
pub mod duo;
pub mod entra;
pub mod http;
pub mod local;
pub mod native;
pub mod object;
pub mod okta;
pub mod polling;
pub mod privacyidea;
pub mod routing;
pub mod sent;
pub mod tell;
pub mod token;

pub use described::{Described, Fate, Field, Leaves};
pub use tell::Tell;

/// What is asked of a provider.
#[derive(Debug)]
pub struct Request {
    /// Also the idempotency key: asked twice, the provider prompts once.
    pub sign_in: SignInId,
    /// Whom to ask.
    pub person: Arc<Person>,
    /// How to ask.
    pub method: Method,
    /// The code that the person typed: there with [`Method::Oath`], and only with it.
    pub code: Option<Secret>,
    /// Name shown on the phone.
    pub application: Arc<str>,
    /// Address of the person's device, where known.
    pub person_address: Option<IpAddr>,
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// Which of several devices, counted from 1, where the person named one (`push2`).
    pub device: Option<u8>,
    /// What stands in for a number that the person would have to compare.
    pub number_matching: NumberMatching,
    /// Whether the person can type a code when they sign in the next time: elsewhere nothing may be sent that has to
    /// be typed.
    pub can_type: bool,
    /// Where a text for the person can be put; none where their client shows nothing.
    pub tell: Option<Tell>,
    /// What the person has given before, or can be asked for after this; none where there is nothing of either.
    pub given: Option<Box<Given>>,
}

/// What goes with a request beyond its code.
#[derive(Debug, Default)]
pub struct Given {
    /// Their PIN was right.
    pub pin: Option<PinPassed>,
    /// The code that they typed before this one, which is to be the next of the same token.
    pub before: Option<Secret>,
    /// Whether they can be asked for a PIN, or for the next code of a token that is too far off.
    pub can_ask: bool,
}

impl Given {
    /// The same, for the next that is asked.
    pub fn again(&self) -> Given {
        let before = self.before.as_ref().map(Secret::duplicate);
        Given { pin: self.pin.clone(), before, can_ask: self.can_ask }
    }
}

impl Request {
    /// Whether the person's PIN was right before this was asked.
    pub fn pin_passed(&self) -> bool {
        let pin = self.given.as_deref().and_then(|given| given.pin.as_ref());
        pin.is_some_and(|pin| pin.is_of(&self.person.unique_id))
    }

    /// Whether more can be asked of the person.
    pub fn can_ask(&self) -> bool {
        self.given.as_deref().is_some_and(|given| given.can_ask)
    }

    /// The code that was typed before this one.
    pub fn before(&self) -> Option<&Secret> {
        self.given.as_deref()?.before.as_ref()
    }
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Approved, said so in every field that speaks of it, for this very request.
    Approved,
    /// Approved, in another way than was asked for: by a code of the house, of which there are several kinds.
    ApprovedBy(Method),
    /// Approved, and the PIN that was typed on the phone is the person's.
    ApprovedWithPin(Box<PinPassed>),
    /// Not approved, or nobody knows.
    Refused(Refusal),
}

/// Why there is no approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The person said no.
    Denied,
    /// The person said that it was not them.
    Fraud,
    /// Nobody answered in time.
    Expired,
    /// The prompt could not be delivered (no device, number unreachable).
    Undeliverable,
    /// The provider wants a typed code, which this way of asking cannot give.
    NeedsCode,
    /// The typed code is not right, or was used before and nobody says so.
    WrongCode,
    /// The typed code was used before. To the person that is a wrong one; only the audit tells them apart.
    UsedCode,
    /// The typed code is older than one that was used before. To the person that is a wrong one, too.
    OldCode,
    /// The PIN that goes with the code is not right.
    WrongPin,
    /// The person must change their PIN before it is good for anything else. What they typed was right, and can be typed
    /// again afterwards.
    PinDue,
    /// A PIN goes with this way, and the person has none.
    NoPin,
    /// The person was wrong about their PIN so often that nobody looks at it for a while.
    PinLocked,
    /// A PIN goes with this way, and none was typed. Nobody was prompted, and no code was looked at.
    NeedsPin,
    /// The code is one of the person's token, further off than it may be: with the one that follows the token is found again.
    NextCode,
    /// So many codes were sent to the person just now that no more are.
    TooOften,
    /// The provider could not be reached, and no prompt can have been sent.
    Unreachable(UnreachableClass),
    /// The connection broke or timed out after the prompt may have been sent.
    Lost,
    /// The provider refused our credentials or our request.
    Misconfigured,
    /// The answer made no sense.
    Garbled,
    /// The provider does not know the person, or they have nothing there to be asked by.
    NotEnrolledThere,
    /// The provider has locked the person out, or its own rules refuse them.
    LockedThere,
    /// The provider would let the person in without asking them. That is no approval.
    Bypassed,
    /// The person has nothing there for this way of asking, or nothing that their client can carry. Nobody was
    /// prompted: another way may be tried.
    NotThisWay,
}

impl Refusal {
    /// Every one, for tables and tests.
    pub const ALL: [Refusal; 30] = [
        Refusal::Denied,
        Refusal::Fraud,
        Refusal::Expired,
        Refusal::Undeliverable,
        Refusal::NeedsCode,
        Refusal::WrongCode,
        Refusal::UsedCode,
        Refusal::OldCode,
        Refusal::WrongPin,
        Refusal::PinDue,
        Refusal::NoPin,
        Refusal::PinLocked,
        Refusal::NeedsPin,
        Refusal::NextCode,
        Refusal::TooOften,
        Refusal::Unreachable(UnreachableClass::Connect),
        Refusal::Unreachable(UnreachableClass::Tls),
        Refusal::Unreachable(UnreachableClass::Refused),
        Refusal::Unreachable(UnreachableClass::RateLimited),
        Refusal::Unreachable(UnreachableClass::ServerError),
        Refusal::Unreachable(UnreachableClass::Malformed),
        Refusal::Unreachable(UnreachableClass::Timeout),
        Refusal::Unreachable(UnreachableClass::Outage),
        Refusal::Lost,
        Refusal::Misconfigured,
        Refusal::Garbled,
        Refusal::NotEnrolledThere,
        Refusal::LockedThere,
        Refusal::Bypassed,
        Refusal::NotThisWay,
    ];

    /// Whether the code that was typed is not to be taken, for whatever reason.
    pub fn is_wrong_code(self) -> bool {
        matches!(self, Refusal::WrongCode | Refusal::UsedCode | Refusal::OldCode)
    }

    /// Whether nobody can have been prompted, as the provider was away.
    pub fn is_not_sent(self) -> bool {
        matches!(self, Refusal::Unreachable(_))
    }
}

/// A carrier of second factors.
pub trait Factor: Send + Sync {
    /// Its name in the configuration, for the audit.
    fn name(&self) -> &str;

    /// What its section of the configuration says of it; nothing where it has none.
    fn described(&self) -> Option<&Described> {
        None
    }

    /// Whether it checks codes in this house. A typed code is shown to these first, and one that they do not know to the
    /// others, too.
    fn is_of_the_house(&self) -> bool {
        self.described().is_some_and(Described::is_of_the_house)
    }

    /// Whether it can ask this person this way, as far as can be said without asking it. Without a section, that is
    /// what the user store has.
    fn offers(&self, person: &Person, method: Method) -> bool {
        match (self.described(), method) {
            (Some(described), _) => described.can_ask(person, method),
            (None, Method::Push) => person.device_token.is_some(),
            (None, Method::Call | Method::SmsReply) => person.phone.is_some(),
            (None, Method::Oath) => true,
            (None, Method::SmsCode | Method::EmailCode | Method::BackupCode | Method::TemporaryCode) => false,
        }
    }

    /// Whether it answers this way of asking with a code on its way to the person, who types it at the next sign-in.
    fn sends_code(&self, method: Method) -> bool {
        match self.described() {
            Some(described) => described.answers_with_code(method),
            None => matches!(method, Method::SmsCode | Method::EmailCode),
        }
    }

    /// Whether it calls and texts the number that it is given.
    fn takes_number(&self) -> bool {
        self.described().is_some_and(Described::takes_number)
    }

    /// Whether it asks people in PIN mode for their PIN itself, on their phone, with this way of asking. Then nothing but
    /// [`Answer::ApprovedWithPin`] is an approval of theirs.
    fn carries_pin(&self, method: Method) -> bool {
        self.described().is_some_and(|described| described.carries_pin(method))
    }

    /// The failure with which it answers everybody at once, as it is out of use.
    fn out_of_use(&self) -> Option<UnreachableClass> {
        None
    }

    /// Whether the next provider of a list is asked after a failure of this class.
    fn fails_over(&self, class: UnreachableClass) -> bool {
        let _ = class;
        true
    }

    /// How long it has been away; zero if it is not.
    fn down_for(&self) -> Duration {
        Duration::ZERO
    }

    /// Asks and waits. Dropping the future before it is done cancels the transaction at the provider.
    fn run(&self, request: Request) -> BoxFuture<'_, Answer>;
}

/// A carrier of second factors as the server keeps it.
pub trait Provider: Factor + std::fmt::Debug {
    /// Whether it answers and takes our credentials, without prompting anybody: for the breaker and for
    /// `anteroom check`.
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>>;

    /// Waits until what must still be said to it (cancellations) is said, or `within` is over.
    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        let _ = within;
        Box::pin(std::future::ready(()))
    }

    /// How many connections it has begun so far; with TLS each is a handshake.
    fn connections(&self) -> u64;

    /// The sign-ins of which a fraud report came after they had ended, each told once. Clouds that do not tell of
    /// themselves are not heard after the end.
    fn late_frauds(&self) -> Vec<SignInId> {
        Vec::new()
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// From the request to the answer, a new connection included where there was none.
    pub round_trip: Duration,
    /// The service's clock minus ours, in seconds, where it tells its time.
    pub clock_skew: Option<i64>,
    /// When the service's certificate expires, where there is one and it says so.
    pub certificate_expires: Option<SystemTime>,
    /// What our configuration counts on and the service does not say that it does; none where all is well.
    pub lacks: Option<&'static str>,
}

/// What is wrong with a provider, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub String);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// Proof that the person approved this very sign-in.
#[derive(Debug)]
pub struct FactorApproved {
    sign_in: SignInId,
    unique_id: Box<str>,
    method: Method,
    with_pin: bool,
}

impl FactorApproved {
    /// Of a person who approved this sign-in's prompt at another node of ours, which says so under a key of ours.
    pub(crate) fn again(sign_in: SignInId, unique_id: &str, method: Method) -> Self {
        FactorApproved { sign_in, unique_id: unique_id.into(), method, with_pin: false }
    }

    /// Which sign-in was approved.
    pub fn sign_in(&self) -> SignInId {
        self.sign_in
    }

    /// Who approved, by their unique id.
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }

    /// How.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether the person's PIN went with it, as far as this node knows.
    pub fn with_pin(&self) -> bool {
        self.with_pin
    }
}

/// Whether this way of asking goes with a PIN that was not typed yet, whoever would ask for it: the person is in PIN mode.
/// Providers of the house look for it in what is typed.
pub fn owes_pin(provider: &dyn Factor, person: &Person, method: Method, passed: bool) -> bool {
    person.mode == Mode::Pin
        && !passed
        && match method {
            Method::Push | Method::Call | Method::SmsReply | Method::SmsCode | Method::EmailCode => true,
            Method::Oath => !provider.is_of_the_house(),
            Method::BackupCode | Method::TemporaryCode => false,
        }
}

/// Whether this way of asking goes with a PIN that nobody would look at: it is owed, and the provider does not ask for it.
pub fn lacks_pin(provider: &dyn Factor, person: &Person, method: Method, passed: bool) -> bool {
    owes_pin(provider, person, method, passed) && !provider.carries_pin(method)
}

/// What is not even asked.
fn unasked(provider: &dyn Factor, request: &Request) -> Option<Refusal> {
    if lacks_pin(provider, &request.person, request.method, request.pin_passed()) {
        return Some(Refusal::NeedsPin);
    }
    // Two codes in a row are for whoever has the seed.
    (request.before().is_some() && !provider.is_of_the_house()).then_some(Refusal::NotThisWay)
}

/// Asks the provider: the one maker of [`FactorApproved`].
///
/// # Errors
/// Why there is no approval.
pub fn ask(provider: &dyn Factor, request: Request) -> impl Future<Output = Result<FactorApproved, Refusal>> + '_ {
    let (sign_in, unique_id, method) = (request.sign_in, Box::from(request.person.unique_id.as_str()), request.method);
    let owes_pin = owes_pin(provider, &request.person, method, request.pin_passed());
    let in_pin_mode = request.person.mode == Mode::Pin;
    // Not inside: what is asked is not kept while the person looks for their phone.
    let asked = match unasked(provider, &request) {
        None => provider.run(request),
        Some(refusal) => Box::pin(std::future::ready(Answer::Refused(refusal))),
    };
    // Not an `async` block, which would keep the wait twice.
    asked.map(move |answer| {
        let method = match answer {
            Answer::ApprovedWithPin(pin) if pin.is_of(&unique_id) => method,
            // Without the PIN it is half of what they owe.
            Answer::ApprovedWithPin(_) => return Err(Refusal::Garbled),
            Answer::Approved | Answer::ApprovedBy(_) if owes_pin => return Err(Refusal::Garbled),
            Answer::Approved => method,
            Answer::ApprovedBy(method) => method,
            Answer::Refused(refusal) => return Err(refusal),
        };
        // Whatever else is approved of somebody in PIN mode had their PIN with it, or before it.
        let with_pin = in_pin_mode && !matches!(method, Method::BackupCode | Method::TemporaryCode);
        Ok(FactorApproved { sign_in, unique_id, method, with_pin })
    })
}
