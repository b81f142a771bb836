//! The single ending of a sign-in: one record, one line, one count.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::signin::attempt::{Door, SignInId};
use crate::signin::outcome::{Reason, Verdict};
use crate::users::model::Method;

/// One sign-in, as the store and the JSON lines keep it. No secret is ever in it.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it ended.
    pub time: SystemTime,
    /// Which sign-in.
    pub sign_in: SignInId,
    /// Through which door.
    pub door: Door,
    /// Through which client.
    pub client: String,
    /// For which application.
    pub application: String,
    /// The name as typed.
    pub name: String,
    /// Who it is, once known.
    pub unique_id: Option<String>,
    /// Their account name, once known.
    pub account: Option<String>,
    /// Address of the client.
    pub source: IpAddr,
    /// Address of the person's device, where known.
    pub person_address: Option<IpAddr>,
    /// How they were asked.
    pub method: Option<Method>,
    /// Who asked them.
    pub provider: Option<String>,
    /// What became of the primary credential: `passed`, a reason code, or nothing if it was not tried.
    pub primary: Option<&'static str>,
    /// What became of the factor: `approved`, `carried_over`, a reason code, or nothing if none was asked.
    pub factor: Option<&'static str>,
    /// What the client heard.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Requests of the client that this one answer served.
    pub requests: u32,
    /// Time taken by each step, for those that were reached.
    pub steps: Steps,
    /// Which server.
    pub server: String,
}

/// Time taken by each step of a sign-in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// Finding out who it is.
    pub identify: Option<Duration>,
    /// Checking the password.
    pub primary: Option<Duration>,
    /// Reading the store and deciding.
    pub policy: Option<Duration>,
    /// Asking and holding.
    pub factor: Option<Duration>,
    /// From the request's arrival to the end.
    pub total: Duration,
}

/// Where sign-ins end: the audit in the service, a recorder in tests.
pub trait Ledger: Send + Sync {
    /// Takes the one event of a sign-in. Never blocks, never fails the sign-in.
    fn finish(&self, event: Event);
}
