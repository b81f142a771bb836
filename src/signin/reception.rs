//! The reception: takes an attempt from a door, finds out who it is, and joins or starts its sign-in.
//!
//! [`SignIns::enter`] registers the request; [`Waiting::outcome`] waits, and runs the flow where its request began
//! it. The flow outlives a request whose client gave up as long as another one waits, and ends, its prompt
//! cancelled, when none does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::audit::Ledger;
use crate::config::{Limits, Route, Rule};
use crate::factor::Factor;
use crate::primary::Primary;
use crate::signin::attempt::{Attempt, Unusable};
use crate::signin::caching::Caching;
use crate::signin::challenge::{Rounds, States};
use crate::signin::ending::{Ending, Identified};
use crate::signin::flow;
use crate::signin::keeping::{self, Waits};
use crate::signin::moving::Shared;
use crate::signin::nodes::Nodes;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{Entered, Lead, Pending};
use crate::signin::relayed::{self, Kept};
use crate::signin::room::{Coming, Room};
use crate::signin::standing::Standings;
use crate::signin::throttle::{Before, Throttle};
use crate::signin::together::Together;
use crate::signin::waiting::Waiting;
use crate::telemetry::metrics::Metrics;
use crate::texts::Texts;
use crate::users::pins::Pins;
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
    /// Where the PINs of people in PIN mode are; none: nobody's is right.
    pub pins: Option<Pins>,
    /// Where rounds of challenges wait that any node may go on with; none: they stay on this one.
    pub rounds: Option<Arc<Shared>>,
    /// The other nodes on the same database; none: there is one node.
    pub nodes: Option<Arc<Nodes>>,
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
    pub(super) rounds: Mutex<Rounds<Waits, Arc<Outcome>>>,
    /// Sign-ins that wait for the next round with their target.
    pub(super) relays: Mutex<Rounds<Kept, Arc<Outcome>>>,
    pub(super) states: States,
    /// Whether somebody looks after the rounds that nobody answers.
    pub(super) sweeping: AtomicBool,
    pub(super) people: RandomState,
    /// Where sign-ins wait that a directory has yet to speak on.
    pub(super) room: Arc<Room>,
}

impl std::fmt::Debug for SignIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIns").field("held", &self.held()).finish_non_exhaustive()
    }
}

impl SignIns {
    /// Opens the reception.
    pub fn new(deps: Deps) -> Arc<Self> {
        let holds = deps.nodes.as_ref().map_or(&deps.random, |nodes| &nodes.secret);
        Arc::new(SignIns {
            throttle: Mutex::new(Throttle::new(deps.throttle)),
            together: Together::default(),
            pending: Arc::new(Pending::new(deps.limits, holds, Arc::clone(&deps.metrics))),
            standings: Standings::new(&deps.random),
            rounds: Mutex::new(Rounds::new(deps.limits.held, deps.limits.held_per_person)),
            relays: Mutex::new(Rounds::new(relayed::MOST_OPEN, relayed::MOST_OPEN_PER_CLIENT)),
            states: States::new(&deps.random, deps.rounds.as_ref().map_or(&deps.random, |shared| &shared.secret)),
            sweeping: AtomicBool::new(false),
            people: RandomState::new(),
            room: Room::new(deps.limits.at_directory, now()),
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
        if let Some(request) = &attempt.onward
            && flow::target(self, attempt)?.primary.has_sent(request)
        {
            // Before it joins the very sign-in that waits for its answer.
            return Err(Reason::RequestLoop);
        }
        if attempt.state.is_some() || attempt.is_eap() {
            return Box::pin(self.admit_round(ending)).await;
        }
        attempt.mark().map_err(Reason::from_unusable)?;
        self.ask_directory(ending)?;
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let mark = attempt.mark().map_err(Reason::from_unusable)?;
        let began = now();
        let who = flow::identify(self, attempt).await;
        let identify = now().saturating_duration_since(began);
        let who = Arc::new(who?);
        let key = self.pending.key(attempt, &who.unique_id, &mark);
        let person = self.people.hash_one(&who.unique_id);
        if attempt.client.challenge.is_some()
            && let Some(outcome) = Box::pin(keeping::again(self, key)).await
        {
            return Ok(Entered::Known(outcome));
        }
        let entered = self.pending.enter(key, &attempt.client, person, (attempt.received, attempt.deadline()));
        ending.trail.taken.identify = identify.into();
        ending.identified = Some(Identified { who, key });
        Ok(entered)
    }

    /// The steps before a further round: was the very same answered already, or is it being looked at? Whether the
    /// State is any good is found out by whoever leads.
    async fn admit_round(self: &Arc<Self>, ending: &mut Ending) -> Result<Entered, Reason> {
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        let mark = match attempt.mark() {
            Ok(mark) => mark,
            Err(Unusable::EmptyPassword | Unusable::NoPassword) if !attempt.is_eap() => Cow::default(),
            Err(unusable) => return Err(Reason::from_unusable(unusable)),
        };
        let (key, person) = relayed::round(self, attempt, attempt.state.as_deref(), &mark);
        if let Some(outcome) = keeping::again(self, key).await {
            return Ok(Entered::Known(outcome));
        }
        if attempt.is_eap() {
            self.ask_directory(ending)?;
        }
        let attempt = ending.attempt().ok_or(Reason::Internal)?;
        Ok(self.pending.enter(key, &attempt.client, person, (attempt.received, attempt.deadline())))
    }

    /// Counts a sign-in among those that the directory has yet to speak on, if there is room.
    fn ask_directory(&self, ending: &mut Ending) -> Result<(), Reason> {
        ending.trail.at_directory = true;
        if self.room.enter() { Ok(()) } else { Err(Reason::Overloaded) }
    }

    /// Runs one sign-in to its end. Whatever happens, it ends once.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
    fn lead(self: Arc<Self>, mut ending: Box<Ending>, lead: Lead) -> impl Future<Output = ()> + Send + use<> {
        async move {
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
                Outcome::Challenge(challenge) => {
                    Box::pin(keeping::keep(&self, ending, (lead.key, requests), *challenge)).await
                }
                outcome => Arc::new(ending.finish(outcome, requests)),
            };
            lead.hold.finish(outcome);
        }
    }

    /// Whether as many sign-ins wait for directories as may.
    pub fn is_overloaded(&self) -> bool {
        self.room.is_full()
    }

    /// Counts a request that is about to enter, until what this gives is dropped.
    pub fn coming(&self) -> Coming {
        self.room.coming()
    }

    /// For how long something of before a restart counts; nothing where it is not counted at all.
    pub fn counts_for(&self, what: Before) -> Option<Duration> {
        crate::signin::pending::lock(&self.throttle).counts_for(what)
    }

    /// Counts what somebody did before the restart so often in a row, the last time at that moment.
    pub fn counted_before(&self, unique_id: &str, what: Before, counted: (u32, Instant)) {
        crate::signin::pending::lock(&self.throttle).restore(unique_id, what, counted, now());
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

#[cfg(test)]
mod tests;
