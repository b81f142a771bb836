//! The reception: takes an attempt from a door, finds out who it is, and joins or starts its sign-in.
//!
//! [`SignIns::enter`] registers the request; [`Waiting::outcome`] waits, and runs the flow where its request began
//! it. The flow outlives a request whose client gave up as long as another one waits, and ends, its prompt
//! cancelled, when none does.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;

use crate::audit::{Event, Ledger, Steps};
use crate::config::{Limits, OnDeadline, Route, Rule};
use crate::factor::Factor;
use crate::primary::{Identity, Primary};
use crate::signin::attempt::{Attempt, SignInId, Unusable};
use crate::signin::caching::Caching;
use crate::signin::challenge::{Rounds, States};
use crate::signin::flow::{self, Trail};
use crate::signin::keeping;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{Entered, HoldKey, Lead, Pending, lock};
use crate::signin::rounds::Round;
use crate::signin::ruling;
use crate::signin::standing::Standings;
use crate::signin::throttle::Throttle;
use crate::signin::together::Together;
use crate::signin::waiting::Waiting;
use crate::telemetry::metrics::Metrics;
use crate::texts::Texts;
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
    /// Whose approvals are good for more sign-ins.
    pub caching: Caching,
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
    /// What people read.
    pub texts: Arc<Texts>,
}

/// The reception: takes attempts, hands out outcomes.
pub struct SignIns {
    pub(super) deps: Deps,
    pub(super) throttle: Mutex<Throttle>,
    /// What is known of tries through other nodes.
    pub(super) together: Together,
    pub(super) pending: Arc<Pending>,
    pub(super) standings: Standings,
    /// Sign-ins that wait for the answer to a challenge.
    pub(super) rounds: Mutex<Rounds<Box<Ending>, Arc<Outcome>>>,
    pub(super) states: States,
    /// Whether somebody looks after the rounds that nobody answers.
    pub(super) sweeping: AtomicBool,
    pub(super) people: RandomState,
    /// Sign-ins that the directory has yet to speak on.
    at_directory: AtomicUsize,
}

impl std::fmt::Debug for SignIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIns").field("held", &self.held()).finish_non_exhaustive()
    }
}

impl SignIns {
    /// Opens the reception.
    pub fn new(deps: Deps) -> Arc<Self> {
        Arc::new(SignIns {
            throttle: Mutex::new(Throttle::new(deps.throttle)),
            together: Together::default(),
            pending: Arc::new(Pending::new(deps.limits, &deps.random, Arc::clone(&deps.metrics))),
            standings: Standings::new(&deps.random),
            rounds: Mutex::new(Rounds::new(deps.limits.held, deps.limits.held_per_person)),
            states: States::new(&deps.random, &deps.random),
            sweeping: AtomicBool::new(false),
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
            Ok(Ok(Entered::Known(outcome))) => {
                ending.joined();
                Waiting::known(outcome)
            }
            Ok(Ok(Entered::Full(reason)) | Err(reason)) => Waiting::known(Arc::new(ending.refuse(reason))),
            Err(_) => Waiting::known(Arc::new(ending.refuse(Reason::Internal))),
        }
    }

    /// The steps before a hold: is there anything to try, is there room, who is it?
    async fn admit(self: &Arc<Self>, ending: &mut Ending) -> Result<Entered, Reason> {
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        if let Some(state) = &attempt.state {
            return self.admit_round(attempt, state);
        }
        attempt.mark().map_err(Reason::from_unusable)?;
        ending.trail.at_directory = true;
        if self.at_directory.fetch_add(1, Ordering::AcqRel) >= self.deps.limits.at_directory {
            return Err(Reason::Overloaded);
        }
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let mark = attempt.mark().map_err(Reason::from_unusable)?;
        let began = now();
        let who = flow::identify(self, attempt).await;
        let identify = now().saturating_duration_since(began);
        let who = Arc::new(who?);
        let key = self.pending.key(attempt, &who.unique_id, &mark);
        let person = self.people.hash_one(&who.unique_id);
        if attempt.client.challenge.is_some()
            && let Some(outcome) = lock(&self.rounds).again(key, now())
        {
            return Ok(Entered::Known(outcome));
        }
        let entered = self.pending.enter(key, &attempt.client, person, (attempt.received, attempt.deadline()));
        ending.trail.steps.identify = Some(identify);
        ending.identified = Some(Identified { who, key });
        Ok(entered)
    }

    /// The steps before a further round: was the very same answered already, or is it being looked at? Whether the
    /// State is any good is found out by whoever leads.
    fn admit_round(self: &Arc<Self>, attempt: &Attempt, state: &[u8]) -> Result<Entered, Reason> {
        let typed = match &attempt.credential {
            Ok(secret) => secret.open(),
            Err(Unusable::EmptyPassword | Unusable::NoPassword) => &[],
            Err(unusable) => return Err(Reason::from_unusable(*unusable)),
        };
        let key = self.pending.round_key(attempt, state, typed);
        if let Some(outcome) = lock(&self.rounds).again(key, now()) {
            return Ok(Entered::Known(outcome));
        }
        let person = self.people.hash_one(&attempt.name);
        Ok(self.pending.enter(key, &attempt.client, person, (attempt.received, attempt.deadline())))
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
        let requests = lead.hold.requests();
        let outcome = match outcome {
            Outcome::Challenge(challenge) => keeping::keep(&self, ending, (lead.key, requests), *challenge),
            outcome => Arc::new(ending.finish(outcome, requests)),
        };
        lead.hold.finish(outcome);
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
        keeping::give_up(self);
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
    pub(super) trail: Trail,
    /// What a sign-in keeps from one round to the next.
    pub(super) round: Option<Box<Round>>,
}

impl Ending {
    fn new(sign_ins: &Arc<SignIns>, attempt: Attempt) -> Self {
        Ending {
            sign_ins: Arc::clone(sign_ins),
            attempt: Some(attempt),
            identified: None,
            trail: Trail::default(),
            round: None,
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

    /// Goes on with a sign-in that began with an earlier request, in place of the one that this request would be.
    pub(super) fn go_on(&mut self, earlier: Ending) {
        let newcomer = std::mem::replace(self, earlier);
        if let (Some(attempt), Some(next)) = (&mut self.attempt, newcomer.attempt.as_ref()) {
            attempt.received = next.received;
        }
        newcomer.joined();
    }

    fn refuse(self, reason: Reason) -> Outcome {
        self.finish(Outcome::Reject(reason), 1)
    }

    /// Leaves the one event of this sign-in. What the client hears is decided here, too: a server that is
    /// stopping or overloaded stays silent, so that the client asks the next one; who has gone hears nothing.
    /// `requests`: how many of the client's it was for.
    pub(super) fn finish(mut self, outcome: Outcome, requests: u32) -> Outcome {
        if self.trail.method.is_some() && self.trail.factor.is_none() {
            self.trail.factor = Some(outcome.reason().code());
        }
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
            (Outcome::Reject(reason), Some(told)) => Outcome::Explained { reason, text: told.0 },
            (outcome, _) => outcome,
        };
        if let Some(attempt) = self.attempt.take() {
            self.leave(attempt, &outcome, requests);
        }
        outcome
    }

    /// The directory has spoken on this sign-in, or will not any more.
    pub(super) fn leave_directory(&mut self) {
        if std::mem::take(&mut self.trail.at_directory) {
            self.sign_ins.at_directory.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn leave(&mut self, attempt: Attempt, outcome: &Outcome, requests: u32) {
        self.leave_directory();
        let total = now().saturating_duration_since(attempt.received) + self.trail.steps.total;
        let who = self.identified.as_ref().map(|identified| &identified.who);
        let trail = std::mem::take(&mut self.trail);
        if let Some(who) = who.filter(|_| trail.prompt_open) {
            lock(&self.sign_ins.throttle).unanswered(&who.unique_id, now());
        }
        let (rule, earlier) = match trail.case.and_then(|case| case.used()) {
            Some((rule, earlier)) => (Some(rule), Some(earlier)),
            None => (ruling::name(&self.sign_ins, trail.rule), None),
        };
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
            primary: trail.primary.map(|said| said.map_or_else(Reason::code, |()| "passed")),
            factor: trail.factor,
            verdict: outcome.verdict(),
            reason: outcome.reason(),
            rule,
            earlier,
            requests,
            steps: Steps { total, ..trail.steps },
            server: self.sign_ins.deps.server.clone(),
        });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.leave_directory();
        if let Some(attempt) = self.attempt.take() {
            // Dropped in mid-way: the door gave the request up, or the runtime is stopping.
            self.leave(attempt, &Outcome::Discard(Reason::ClientGone), 1);
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
