//! The second factor: who carries it, and what they answered.
//!
//! [`ask`] is the one maker of [`FactorApproved`]. A provider is one file behind the [`Factor`] trait; it
//! starts a transaction, waits without holding a thread, a socket or a lock, and cancels the transaction
//! when its future is dropped (nobody can receive the answer any more).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::config::UnreachableClass;
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::{Method, Person};

pub mod native;
pub mod routing;
pub mod token;

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
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Approved, said so in every field that speaks of it, for this very request.
    Approved,
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
    /// The typed code is not right, or was used before.
    WrongCode,
    /// The provider could not be reached, and no prompt can have been sent.
    Unreachable(UnreachableClass),
    /// The connection broke or timed out after the prompt may have been sent.
    Lost,
    /// The provider refused our credentials or our request.
    Misconfigured,
    /// The answer made no sense.
    Garbled,
}

impl Refusal {
    /// Every one, for tables and tests.
    pub const ALL: [Refusal; 13] = [
        Refusal::Denied,
        Refusal::Fraud,
        Refusal::Expired,
        Refusal::Undeliverable,
        Refusal::NeedsCode,
        Refusal::WrongCode,
        Refusal::Unreachable(UnreachableClass::Connect),
        Refusal::Unreachable(UnreachableClass::Tls),
        Refusal::Unreachable(UnreachableClass::ServerError),
        Refusal::Unreachable(UnreachableClass::RateLimited),
        Refusal::Lost,
        Refusal::Misconfigured,
        Refusal::Garbled,
    ];
}

/// A carrier of second factors.
pub trait Factor: Send + Sync {
    /// Its name in the configuration, for the audit.
    fn name(&self) -> &str;

    /// Asks and waits. Dropping the future before it is done cancels the transaction at the provider.
    fn run(&self, request: Request) -> BoxFuture<'_, Answer>;
}

/// Proof that the person approved this very sign-in.
#[derive(Debug)]
pub struct FactorApproved {
    sign_in: SignInId,
    unique_id: String,
    method: Method,
}

impl FactorApproved {
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
}

/// Asks the provider: the one maker of [`FactorApproved`].
///
/// # Errors
/// Why there is no approval.
pub async fn ask(provider: &dyn Factor, request: Request) -> Result<FactorApproved, Refusal> {
    let (sign_in, unique_id, method) = (request.sign_in, request.person.unique_id.clone(), request.method);
    match provider.run(request).await {
        Answer::Approved => Ok(FactorApproved { sign_in, unique_id, method }),
        Answer::Refused(refusal) => Err(refusal),
    }
}
