//! Held sign-ins: who joins whom, who still waits, what carries over.
//!
//! ```text
//! requests of one person through one client with one credential
//!    #1 ──▶ lead ─────── Hold ──────▶ one flow, one prompt
//!    #2 ──▶ join ──────────┤
//!    #1 gives up, #2 stays │ the flow goes on
//!    #2 gives up, too      │ nobody is left: the flow is dropped, the prompt cancelled
//! ```
//!
//! A hold is found by a keyed digest of client, person, credential and the address of the person's device where
//! the client tells it. So nothing joins or carries over with a different credential, somebody else who knows
//! the password does not join from elsewhere, and no credential is kept. Waiting is a small future: no thread,
//! no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;

use crate::config::{Client, Limits, Reuse};
use crate::signin::attempt::Attempt;
use crate::signin::carried::Carried;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::proof::FactorApproved;
use crate::signin::waiting::Waiting;
use crate::telemetry::metrics::Metrics;

pub(super) use hold::{Hold, Place};

mod hold;
pub(super) mod sharing;

/// Requests that wait for one hold, at most. A client that retries more often than this within one
/// `answer_within` is broken.
const PLACES: u32 = 64;

/// What a hold is found by. Made by [`Pending::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldKey([u8; 16]);

impl HoldKey {
    /// Its octets.
    pub(super) fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

#[cfg(test)]
impl HoldKey {
    /// Any key, for tests of tables.
    pub(crate) fn testing(number: u8) -> Self {
        HoldKey([number; 16])
    }
}

#[derive(Debug)]
struct Table {
    holds: HashMap<HoldKey, Arc<Hold>>,
    /// Holds of people who have come by EAP, by what another conversation of theirs finds them by.
    shared: HashMap<HoldKey, Arc<Hold>>,
    /// Flows that have not ended. A hold that everybody has left is out of `holds` a little sooner.
    leads: usize,
    per_client: HashMap<usize, usize>,
    per_person: HashMap<u64, usize>,
    carried: Carried,
    /// Approvals that stand for several sign-ins.
    remembered: Carried,
    closed: bool,
}

impl Table {
    fn new(limits: &Limits) -> Self {
        Table {
            holds: HashMap::new(),
            shared: HashMap::new(),
            leads: 0,
            per_client: HashMap::new(),
            per_person: HashMap::new(),
            carried: Carried::new(limits.held),
            remembered: Carried::new(limits.held),
            closed: false,
        }
    }
}

/// The table of held sign-ins.
#[derive(Debug)]
pub struct Pending {
    limits: Limits,
    metrics: Arc<Metrics>,
    digest: Hmac<Sha256>,
    table: Mutex<Table>,
    emptied: Notify,
}

/// What a request found in the table.
#[derive(Debug)]
pub(super) enum Entered {
    /// The sign-in runs already; wait for it.
    Joined(Waiting),
    /// The request starts a sign-in. Dropping the lead takes the hold out of the table.
    Leads(Waiting, Lead),
    /// The very same was asked a moment ago, and this was the answer.
    Known(Arc<Outcome>),
    /// A bound is reached.
    Full(Reason),
}

/// The right and the duty to run a hold's flow.
#[derive(Debug)]
pub(super) struct Lead {
    pending: Arc<Pending>,
    pub(super) hold: Arc<Hold>,
    pub(super) key: HoldKey,
    client: usize,
    person: u64,
}

impl Lead {
    /// Resolves when nobody waits any more, with the reason for the audit. Nobody can join afterwards.
    pub(super) fn abandoned(&self) -> impl Future<Output = Reason> + Send + use<'_> {
        std::future::poll_fn(|context| {
            if !self.hold.is_left(context) {
                return Poll::Pending;
            }
            let mut table = self.pending.table();
            // Somebody may have joined since the last one left. They wake this task as they leave.
            if self.hold.has_place() {
                return Poll::Pending;
            }
            self.forget(&mut table);
            Poll::Ready(self.hold.why_left())
        })
    }

    /// Takes the hold out of the table, unless a later one has taken its place.
    fn forget(&self, table: &mut Table) {
        if table.holds.get(&self.key).is_some_and(|hold| Arc::ptr_eq(hold, &self.hold)) {
            table.holds.remove(&self.key);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.pending.metrics.held.dec();
        let mut table = self.pending.table();
        self.forget(&mut table);
        give_back(&mut table.per_client, &self.client);
        give_back(&mut table.per_person, &self.person);
        table.leads -= 1;
        if table.leads == 0 {
            table.holds.shrink_to(1024);
            self.pending.emptied.notify_waiters();
        }
    }
}

fn give_back<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Pending {
    /// An empty table. `random` keys the digest that holds are found by.
    pub fn new(limits: Limits, random: &[u8; 32], metrics: Arc<Metrics>) -> Self {
        // HMAC takes keys of any length; its block is 64 octets, so the key is padded as RFC 2104 says.
        let mut block = [0; 64];
        block.iter_mut().zip(random).for_each(|(to, from)| *to = *from);
        let digest = <Hmac<Sha256> as KeyInit>::new(&block.into());
        let table = Mutex::new(Table::new(&limits));
        Pending { limits, metrics, digest, table, emptied: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// The key of this attempt: client, person, credential, and the person's device where the client tells it.
    pub fn key(&self, attempt: &Attempt, unique_id: &str, credential: &[u8]) -> HoldKey {
        self.digested(attempt, unique_id.as_bytes(), credential, &[])
    }

    /// The key of a further round: the State, and what was typed, in place of person and password.
    pub(super) fn round_key(&self, attempt: &Attempt, state: &[u8], typed: &[u8]) -> HoldKey {
        self.digested(attempt, state, typed, attempt.name.as_bytes())
    }

    fn digested(&self, attempt: &Attempt, whose: &[u8], credential: &[u8], more: &[u8]) -> HoldKey {
        let mut digest = self.digest.clone();
        let address = match attempt.person_address.map(|address| address.to_canonical()) {
            None => [0; 17],
            Some(IpAddr::V4(address)) => tagged(4, &address.octets()),
            Some(IpAddr::V6(address)) => tagged(6, &address.octets()),
        };
        let station = attempt.station.as_deref().unwrap_or_default();
        let client = attempt.client.name.as_bytes();
        for part in [&address, station, client, whose, credential, more] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.iter_mut().zip(digest.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        HoldKey(key)
    }

    /// Joins the hold under `key`, or leads a new one. `person` is a number that stands for the person.
    pub(super) fn enter(
        self: &Arc<Self>,
        key: HoldKey,
        client: &Arc<Client>,
        person: u64,
        (received, deadline): (Instant, Instant),
    ) -> Entered {
        let waiting = |hold: &Arc<Hold>| Waiting::held(Place(Arc::clone(hold)), deadline, client.on_deadline);
        let table = &mut *self.table();
        if table.closed {
            return Entered::Full(Reason::ShuttingDown);
        }
        if let Some(hold) = table.holds.get(&key)
            && hold.has_place()
        {
            if hold.places() >= PLACES {
                return Entered::Full(Reason::OverHeldPerson);
            }
            hold.take_place(received);
            self.metrics.joins.inc();
            return Entered::Joined(waiting(hold));
        }
        // A hold that everybody has left is on its way out, and is replaced below.
        // Clients live as long as the configuration, so their address identifies them.
        let client_key = Arc::as_ptr(client).addr();
        if table.holds.len() >= self.limits.held {
            return Entered::Full(Reason::OverHeld);
        }
        if table.per_client.get(&client_key).is_some_and(|held| *held >= client.held) {
            return Entered::Full(Reason::OverHeldClient);
        }
        if table.per_person.get(&person).is_some_and(|held| *held >= self.limits.held_per_person) {
            return Entered::Full(Reason::OverHeldPerson);
        }
        *table.per_client.entry(client_key).or_default() += 1;
        *table.per_person.entry(person).or_default() += 1;
        let hold = Arc::new(Hold::new(received));
        hold.take_place(received);
        table.holds.insert(key, Arc::clone(&hold));
        table.leads += 1;
        self.metrics.held.inc();
        let lead = Lead { pending: Arc::clone(self), hold: Arc::clone(&hold), key, client: client_key, person };
        Entered::Leads(waiting(&hold), lead)
    }

    /// Keeps an approval for one retry.
    pub(super) fn carry(&self, key: HoldKey, approval: Arc<FactorApproved>, until: Instant, now: Instant) {
        self.table().carried.keep(key, (approval, 1), until, now);
    }

    /// Keeps an approval for further sign-ins under the same key, as the client's `reuse` says.
    pub(super) fn remember(&self, key: HoldKey, approval: Arc<FactorApproved>, reuse: Reuse, now: Instant) {
        if let Some(until) = now.checked_add(reuse.within) {
            self.table().remembered.keep(key, (approval, reuse.count), until, now);
        }
    }

    /// Uses an approval that was given for an earlier sign-in under the same key.
    pub(super) fn take_remembered(&self, key: HoldKey, now: Instant) -> Option<Arc<FactorApproved>> {
        self.table().remembered.take(key, now)
    }

    /// Forgets every approval of this person that was kept, or everybody's.
    pub(super) fn forget_carried(&self, unique_id: Option<&str>) {
        let table = &mut *self.table();
        table.carried.forget(unique_id);
        table.remembered.forget(unique_id);
    }

    /// Takes an approval that carries over to this retry. It is gone afterwards.
    pub(super) fn take_carried(&self, key: HoldKey, now: Instant) -> Option<Arc<FactorApproved>> {
        let approval = self.table().carried.take(key, now)?;
        self.metrics.carry_overs.inc();
        Some(approval)
    }

    /// How many sign-ins are held.
    pub fn held(&self) -> usize {
        self.table().holds.len()
    }

    /// Takes no new sign-in from now on. Those that are held go on.
    pub fn close(&self) {
        self.table().closed = true;
    }

    /// Gives up everything that is held: who waits gets no answer, and the prompts are cancelled.
    pub fn give_up(&self) {
        for hold in self.table().holds.values() {
            hold.give_up();
        }
    }

    /// Resolves when nothing is held, and every sign-in has left its event.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.table().leads == 0 {
                return;
            }
            emptied.await;
        }
    }
}

fn tagged(family: u8, octets: &[u8]) -> [u8; 17] {
    let mut tagged = [0; 17];
    tagged.iter_mut().zip(std::iter::once(&family).chain(octets)).for_each(|(to, from)| *to = *from);
    tagged
}

/// A lock that a panic elsewhere cannot poison: every critical section leaves its data whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
