//! The ending of a sign-in: what is known of it on its way, and the one audit event that it leaves, however it ends.

use std::sync::Arc;
use std::time::SystemTime;

use crate::audit::Event;
use crate::config::OnDeadline;
use crate::primary::Identity;
use crate::signin::attempt::{Attempt, SignInId};
use crate::signin::flow::{self, Trail};
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{HoldKey, lock};
use crate::signin::reception::{SignIns, now};
use crate::signin::rounds::Round;
use crate::signin::ruling;

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
    /// Nothing is known yet but what the door brought.
    pub(super) fn new(sign_ins: &Arc<SignIns>, attempt: Attempt) -> Self {
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
            attempt.forget_credential();
        }
    }

    /// Takes over what a further request of the same sign-in brought as proof.
    pub(super) fn renew(&mut self, brought: Attempt) {
        if let Some(attempt) = &mut self.attempt {
            attempt.renew(brought);
        }
    }

    /// This request is part of another sign-in, which leaves the event.
    pub(super) fn joined(mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.release_prompt(&attempt, false);
        }
    }

    /// No prompt of this sign-in is out any more, which the other nodes are told.
    fn release_prompt(&self, attempt: &Attempt, unanswered: bool) {
        if let Some(nodes) = &self.sign_ins.deps.nodes {
            nodes.left(&self.sign_ins, attempt.id, unanswered);
        }
    }

    /// Goes on with a sign-in that began with an earlier request, in place of the one that this request would be.
    /// What the request brought is given back.
    pub(super) fn go_on(&mut self, earlier: Ending) -> Option<Attempt> {
        let mut newcomer = std::mem::replace(self, earlier);
        if let (Some(attempt), Some(next)) = (&mut self.attempt, newcomer.attempt.as_ref()) {
            attempt.received = next.received;
        }
        newcomer.attempt.take()
    }

    /// Ends it with a refusal, for the one request that there was.
    pub(super) fn refuse(self, reason: Reason) -> Outcome {
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

    /// The directory will not speak on this sign-in any more.
    pub(super) fn leave_directory(&mut self) {
        if std::mem::take(&mut self.trail.at_directory) {
            self.sign_ins.room.leave(None, now());
        }
    }

    /// The target has spoken on this sign-in.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.trail.at_directory) {
            let now = now();
            let is_busy = |attempt: &&Attempt| {
                flow::target(&self.sign_ins, attempt).is_ok_and(|target| !target.primary.waits_for_people())
            };
            let received = self.attempt.as_ref().filter(is_busy).map(|attempt| attempt.received);
            self.sign_ins.room.leave(received.map(|received| now.saturating_duration_since(received)), now);
        }
    }

    fn leave(&mut self, attempt: Attempt, outcome: &Outcome, requests: u32) {
        self.leave_directory();
        let total =
            now().saturating_duration_since(attempt.received) + self.trail.taken.earlier.time().unwrap_or_default();
        let who = self.identified.as_ref().map(|identified| &identified.who);
        let trail = std::mem::take(&mut self.trail);
        self.release_prompt(&attempt, trail.prompt_open);
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
            steps: trail.taken.steps(total),
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
