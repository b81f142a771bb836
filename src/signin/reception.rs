//! The reception: takes an attempt from a door, finds out who it is, and joins or starts its sign-in.
//!
//! [`SignIns::enter`] registers the request; [`Waiting::outcome`] waits, and runs the flow where its request began
//! it. The flow outlives a request whose client gave up as long as another one waits, and ends, its prompt
//! cancelled, when none does.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;

use crate::audit::{Event, Ledger, Steps};
use crate::config::{Limits, OnDeadline, Route, Rule};
use crate::factor::Factor;
use crate::primary::{Identity, Primary};
use crate::signin::attempt::{Attempt, SignInId};
use crate::signin::flow::{self, Trail};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{Entered, HoldKey, Lead, Pending, lock};
use crate::signin::ruling;
use crate::signin::standing::Standings;
use crate::signin::throttle::Throttle;
use crate::signin::waiting::Waiting;
use crate::telemetry::metrics::Metrics;
use crate::users::store::Store;

/// A target and how to use it.
pub struct Target {
    /// The directory.
    pub primary: Arc<dyn Primary>,
    /// Whether a person whom the store knows by name and DN is bound without a search.
    pub dn_from_store: bool,
}

/// Everything a sign-in needs. Built once from the configuration.
pub struct Deps {
    /// Targets by name.
    pub targets: BTreeMap<String, Target>,
    /// Providers by name.
    pub providers: BTreeMap<String, Arc<dyn Factor>>,
    /// Who is asked by other providers than their client's, or in other ways; the first that fits.
    pub routes: Vec<Arc<Route>>,
    /// Who needs a second factor when; the first that fits.
    pub rules: Vec<Arc<Rule>>,
    /// Whether administrators can be written to.
    pub mails: bool,
    /// The user database.
    pub store: Arc<dyn Store>,
    /// Where sign-ins end.
    pub ledger: Arc<dyn Ledger>,
    /// Bounds on held sign-ins.
    pub limits: Limits,
    /// Bounds on guessing and prompting.
    pub throttle: crate::config::Throttle,
    /// This server's name in the audit.
    pub server: String,
    /// Where holds, joins and carried-over approvals are counted.
    pub metrics: Arc<Metrics>,
    /// 32 random octets, kept for the life of the process.
    pub random: [u8; 32],
}

/// The reception: takes attempts, hands out outcomes.
pub struct SignIns {
    pub(super) deps: Deps,
    pub(super) throttle: Mutex<Throttle>,
    pub(super) pending: Arc<Pending>,
    pub(super) standings: Standings,
    pub(super) people: RandomState,
    /// Sign-ins that the directory has yet to speak on.
    at_directory: AtomicUsize,
}

impl std::fmt::Debug for SignIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIns").field("held", &self.held()).finish_non_exhaustive()
    }
}

/// Counts a sign-in that occupies the directory, until dropped.
pub(super) struct AtDirectory(Arc<SignIns>);

impl Drop for AtDirectory {
    fn drop(&mut self) {
        self.0.at_directory.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SignIns {
    /// Opens the reception.
    pub fn new(deps: Deps) -> Arc<Self> {
        Arc::new(SignIns {
            throttle: Mutex::new(Throttle::new(deps.throttle)),
            pending: Arc::new(Pending::new(deps.limits, &deps.random, Arc::clone(&deps.metrics))),
            standings: Standings::new(&deps.random),
            people: RandomState::new(),
            at_directory: AtomicUsize::new(0),
            deps,
        })
    }

    /// Finds out who it is and joins the hold that is already running for this person, client and
    /// credential, or starts a new sign-in. When this returns, the attempt is registered: only then may a
    /// superseded request be dropped.
    pub async fn enter(self: &Arc<Self>, attempt: Attempt) -> Waiting {
        // On the heap, so that the futures it moves through stay small.
        let mut ending = Box::new(Ending::new(self, attempt));
        // A panic in a library is this sign-in's rejection, not the end of the door's task.
        match AssertUnwindSafe(self.admit(&mut ending)).catch_unwind().await {
            Ok(Ok(Entered::Joined(waiting))) => {
                ending.joined();
                waiting
            }
            Ok(Ok(Entered::Leads(waiting, lead))) => waiting.leading(Box::pin(self.clone().lead(ending, lead))),
            Ok(Ok(Entered::Full(reason)) | Err(reason)) => Waiting::known(ending.refuse(reason)),
            Err(_) => Waiting::known(ending.refuse(Reason::Internal)),
        }
    }

    /// The steps before a hold: is there anything to try, is there room, who is it?
    async fn admit(self: &Arc<Self>, ending: &mut Ending) -> Result<Entered, Reason> {
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let mark = attempt.mark().map_err(Reason::from_unusable)?;
        let at_directory = AtDirectory(self.clone());
        if self.at_directory.fetch_add(1, Ordering::AcqRel) >= self.deps.limits.at_directory {
            return Err(Reason::Overloaded);
        }
        let began = now();
        let who = flow::identify(self, attempt).await;
        let identify = now().saturating_duration_since(began);
        let who = Arc::new(who?);
        let key = self.pending.key(attempt, &who.unique_id, &mark);
        let person = self.people.hash_one(&who.unique_id);
        let entered = self.pending.enter(key, &attempt.client, person, (attempt.received, attempt.deadline()));
        ending.trail.steps.identify = Some(identify);
        ending.identified = Some(Identified { who, key });
        ending.at_directory = Some(at_directory);
        Ok(entered)
    }

    /// Runs one sign-in to its end. Whatever happens, it ends once.
    async fn lead(self: Arc<Self>, mut ending: Box<Ending>, lead: Lead) {
        let outcome = {
            // On the heap for as long as it runs; what is held longest is smallest.
            let flow = Box::pin(AssertUnwindSafe(flow::flow(&self, &mut ending, &lead)).catch_unwind());
            tokio::select! {
                biased;
                outcome = flow => outcome.unwrap_or(Outcome::Reject(Reason::Internal)),
                reason = lead.abandoned() => Outcome::Reject(reason),
            }
        };
        if ending.trail.method.is_some() && ending.trail.factor.is_none() {
            ending.trail.factor = Some(outcome.reason().code());
        }
        ending.requests = lead.hold.requests();
        let outcome = ending.finish(outcome);
        lead.hold.finish(Arc::new(outcome));
    }

    /// Whether as many sign-ins wait for the directory as may.
    pub fn is_overloaded(&self) -> bool {
        self.at_directory.load(Ordering::Acquire) >= self.deps.limits.at_directory
    }

    /// How many sign-ins are held.
    pub fn held(&self) -> usize {
        self.pending.held()
    }

    /// Gives up everything that is held: its clients get no answer, so that they ask their next server, and its
    /// prompts are cancelled. For the end of a drain.
    pub fn give_up(&self) {
        self.pending.give_up();
    }

    /// Stops: takes no new sign-in, waits at most `patience` for those that are held.
    pub async fn drain(&self, patience: Duration) {
        self.pending.close();
        let _ = tokio::time::timeout(patience, self.pending.emptied()).await;
    }
}

/// The monotonic clock, which stands still in tests that pause it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Who it is and where their hold is found.
pub(super) struct Identified {
    pub(super) who: Arc<Identity>,
    pub(super) key: HoldKey,
}

/// A sign-in on its way to its one audit event. Whoever drops it before its end leaves the event, too.
pub(super) struct Ending {
    sign_ins: Arc<SignIns>,
    attempt: Option<Attempt>,
    pub(super) identified: Option<Identified>,
    pub(super) at_directory: Option<AtDirectory>,
    pub(super) trail: Trail,
    requests: u32,
}

impl Ending {
    fn new(sign_ins: &Arc<SignIns>, attempt: Attempt) -> Self {
        Ending {
            sign_ins: Arc::clone(sign_ins),
            attempt: Some(attempt),
            identified: None,
            at_directory: None,
            trail: Trail::default(),
            requests: 1,
        }
    }

    /// The attempt, as long as the sign-in has not ended.
    pub(super) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// What the gateway is to be told with the Accept.
    pub(super) fn settings(&self) -> Option<Arc<[u8]>> {
        self.attempt.as_ref()?.connection.as_ref()?.settings.clone()
    }

    /// Notes it.
    pub(super) fn set_settings(&mut self, settings: Arc<[u8]>) {
        if let Some(connection) = self.attempt.as_mut().and_then(|attempt| attempt.connection.as_mut()) {
            connection.settings = Some(settings);
        }
    }

    /// Drops the password as soon as nobody needs it any more.
    pub(super) fn forget_credential(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.station = None;
            attempt.onward = None;
            attempt.credential = Err(crate::signin::attempt::Unusable::NoPassword);
        }
    }

    /// This request is part of another sign-in, which leaves the event.
    fn joined(mut self) {
        self.attempt = None;
    }

    fn refuse(self, reason: Reason) -> Outcome {
        self.finish(Outcome::Reject(reason))
    }

    /// Leaves the one event of this sign-in. What the client hears is decided here, too: a server that is
    /// stopping or overloaded stays silent, so that the client asks the next one; who has gone hears nothing.
    fn finish(mut self, outcome: Outcome) -> Outcome {
        let silence = |attempt: &Attempt| attempt.client.on_deadline == OnDeadline::Silence;
        let outcome = match outcome {
            Outcome::Reject(reason @ (Reason::ShuttingDown | Reason::Overloaded | Reason::ClientGone)) => {
                Outcome::Discard(reason)
            }
            Outcome::Reject(reason @ (Reason::Deadline | Reason::Expired))
                if self.attempt.as_ref().is_some_and(silence) =>
            {
                Outcome::Discard(reason)
            }
            other => other,
        };
        let outcome = match (outcome, self.trail.text.take()) {
            (Outcome::Reject(reason), Some(text)) => Outcome::Explained { reason, text },
            (outcome, _) => outcome,
        };
        if let Some(attempt) = self.attempt.take() {
            self.leave(attempt, &outcome);
        }
        outcome
    }

    fn leave(&mut self, attempt: Attempt, outcome: &Outcome) {
        let total = now().saturating_duration_since(attempt.received);
        let who = self.identified.as_ref().map(|identified| &identified.who);
        let trail = std::mem::take(&mut self.trail);
        if let Some(who) = who.filter(|_| trail.prompt_open) {
            lock(&self.sign_ins.throttle).unanswered(&who.unique_id, now());
        }
        let rule = ruling::name(&self.sign_ins, trail.rule);
        if let Some(rule) = &rule {
            self.sign_ins.deps.metrics.count_rule(rule, outcome.verdict());
        }
        self.sign_ins.deps.ledger.finish(Event {
            time: SystemTime::now(),
            sign_in: attempt.id,
            door: attempt.door,
            client: attempt.client.name.clone(),
            application: attempt.client.application.clone(),
            name: attempt.name.into(),
            unique_id: who.map(|who| who.unique_id.clone()),
            account: who.map(|who| who.name.clone()),
            source: attempt.source,
            person_address: attempt.person_address,
            method: trail.method,
            provider: trail.provider.map(String::from),
            primary: trail.primary,
            factor: trail.factor,
            verdict: outcome.verdict(),
            reason: outcome.reason(),
            rule,
            requests: self.requests,
            steps: Steps { total, ..trail.steps },
            server: self.sign_ins.deps.server.clone(),
        });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            // Dropped in mid-way: the door gave the request up, or the runtime is stopping.
            self.leave(attempt, &Outcome::Discard(Reason::ClientGone));
        }
    }
}

/// The sign-in's identifier, for the log.
impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id: Option<SignInId> = self.attempt.as_ref().map(|attempt| attempt.id);
        f.debug_tuple("Ending").field(&id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets of the future that a function of three arguments returns.
    fn size<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_held_sign_in_is_small() {
        let (task, flow) = (size(SignIns::lead), size(flow::flow));
        let waiting = size(|waiting: Waiting, (), ()| waiting.outcome());
        let state = size_of::<Ending>();
        assert!(state <= 352, "state {state}");
        assert!(task <= 256 && flow <= 432 && waiting <= 320, "task {task}, flow {flow}, waiting {waiting}");
    }
}
