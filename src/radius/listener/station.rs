//! From a packet to its answer, whatever carries it: asks the door, starts a sign-in or sends bytes.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::task::AbortHandle;

use super::Books;
use super::port::{Port, Route};
use crate::radius::accounting::{AccountingDoor, AccountingRecord, AccountingStep, AccountingTicket};
use crate::radius::discard::Discarded;
use crate::radius::door::{Begin, Door, Step, Ticket};
use crate::radius::duplicates::Reply;
use crate::signin::outcome::Outcome;
use crate::signin::reception::SignIns;
use crate::signin::waiting::{Pulse, Waiting};

/// What carries answers back.
pub(super) trait Way: Send + Sync + 'static {
    /// What it must know of a request to lead its answer back.
    type Route: Copy + Send + Sync + 'static;

    /// Has an answer sent.
    fn send(&self, reply: &Reply, route: &Self::Route) -> io::Result<()>;
}

impl Way for Port {
    type Route = Route;

    fn send(&self, reply: &Reply, route: &Route) -> io::Result<()> {
        Port::send(self, reply, route)
    }
}

/// A socket or connection, and its door.
#[derive(Debug)]
pub(super) struct Station<W = Port> {
    pub(super) port: W,
    pub(super) door: Door<Work>,
}

/// The work that a running request is.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) task: AbortHandle,
    /// There once the request is part of a hold.
    pub(super) pulse: Arc<OnceLock<Pulse>>,
}

impl<W: Way> Station<W> {
    /// Takes a packet that may be an Access-Request or Status-Server, and says why where it was discarded.
    pub(super) fn take(
        self: &Arc<Self>,
        sign_ins: &Arc<SignIns>,
        bytes: &[u8],
        (peer, route): (SocketAddr, W::Route),
        dice: &mut Dice,
    ) -> Option<Discarded> {
        let now = Instant::now();
        self.door.shared().set_overloaded(sign_ins.is_overloaded());
        match self.door.receive(peer, bytes, now, || dice.throw()) {
            Step::Discard(cause) => return Some(cause),
            Step::Running(work) => {
                if let Some(pulse) = work.as_ref().and_then(|work| work.pulse.get()) {
                    pulse.heard_again(now);
                }
            }
            Step::Resend(reply) | Step::Reply(reply) => send_now(&self.port, &reply, &route),
            Step::Begin(begin) => start(self, sign_ins, begin, route),
        }
        None
    }
}

/// Takes a packet that may be an Accounting-Request, and says why where it was discarded. What is to go to a target is
/// acknowledged once it is on the disk.
pub(super) fn record(
    door: &Arc<AccountingDoor>,
    books: &Books,
    bytes: &[u8],
    peer: SocketAddr,
    answer: impl Fn(&Reply) + Send + 'static,
) -> Option<Discarded> {
    match door.receive(peer, bytes, Instant::now()) {
        AccountingStep::Discard(cause) => return Some(cause),
        AccountingStep::Running => {}
        AccountingStep::Reply(reply) => answer(&reply),
        AccountingStep::Record(record, mut ticket) => {
            // The client's texts are logged with `?`, which keeps control characters out of the log.
            tracing::info!(
                client = record.client, source = %record.source, status = record.status_word(),
                session = ?record.session, name = ?record.name, octets_in = record.octets_in,
                octets_out = record.octets_out,
                session_seconds = record.session_time.map(|time| time.as_secs()), "accounting"
            );
            let Some(onward) = ticket.take_onward() else {
                entered(door, books, *record, ticket, answer);
                return None;
            };
            // At once, so that records stay in their order.
            let kept = books.keep.as_ref().map(|keep| keep(onward));
            let (door, books) = (Arc::clone(door), books.clone());
            tokio::spawn(async move {
                let is_kept = match kept {
                    Some(kept) => kept.await,
                    None => false,
                };
                if is_kept {
                    entered(&door, &books, *record, ticket, answer);
                } else {
                    door.forget(&ticket, Instant::now());
                }
            });
        }
    }
    None
}

/// Hands a record over and acknowledges it; one that is not taken is forgotten, so that the client sends it again.
fn entered(
    door: &AccountingDoor,
    books: &Books,
    record: AccountingRecord,
    ticket: AccountingTicket,
    answer: impl Fn(&Reply),
) {
    if books.sink.as_ref().is_none_or(|sink| sink(record)) {
        answer(&door.acknowledge(ticket, Instant::now()));
    } else {
        door.forget(&ticket, Instant::now());
    }
}

/// Has an answer sent, where there is one.
pub(super) fn send_now<W: Way>(way: &W, reply: &Reply, route: &W::Route) {
    if reply.is_empty() {
        return;
    }
    if let Err(error) = way.send(reply, route) {
        tracing::debug!(%error, "reply not sent");
    }
}

/// Starts the task of a new request.
fn start<W: Way>(station: &Arc<Station<W>>, sign_ins: &Arc<SignIns>, begin: Begin<Work>, route: W::Route) {
    let key = begin.ticket.key();
    let older = begin.superseded.map(|work| AbortOnDrop(work.task));
    let pulse = Arc::new(OnceLock::new());
    let (coming, sign_ins, attempt) = (sign_ins.coming(), Arc::clone(sign_ins), begin.attempt);
    let entering = async move {
        drop(coming);
        sign_ins.enter(attempt).await
    };
    let entering = Box::pin(enter(entering, Arc::clone(&pulse), older));
    let answer = Answer { station: Some(Arc::clone(station)), ticket: begin.ticket, route };
    let task = tokio::spawn(hold(entering, answer));
    // Comes back when the task is done already: then nobody needs it.
    let _done = station.door.attach(&key, Work { task: task.abort_handle(), pulse });
}

/// Boxed by its caller, so that a held request does not carry the attempt with it.
pub(super) async fn enter(
    entering: impl Future<Output = Waiting>,
    place: Arc<OnceLock<Pulse>>,
    older: Option<AbortOnDrop>,
) -> Waiting {
    let waiting = entering.await;
    // Only now: its hold must find this request among those who wait for it.
    drop(older);
    if let Some(pulse) = waiting.pulse() {
        // This task alone sets it, once.
        let _ = place.set(pulse);
    }
    waiting
}

/// One request from its attempt to its answer. A hundred thousand of these are held at once, so it is put together from
/// parts that are there one at a time; an `async` block would keep `entering` all the while.
pub(super) fn hold<E, W>(entering: E, mut answer: Answer<W>) -> impl Future<Output = ()> + use<E, W>
where
    E: Future<Output = Waiting> + Unpin,
    W: Way,
{
    entering.then(Waiting::outcome).map(move |outcome| answer.give(&outcome))
}

/// The task of a request that its client has given up. Ends when this is dropped, also when the superseding
/// request is itself superseded before it was registered.
pub(super) struct AbortOnDrop(pub(super) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The duty to answer a request, once. Dropped without an answer by a panic it gives a reject, unless the
/// request was superseded; dropped in any other way (aborted, the end of the runtime) it stays silent.
pub(super) struct Answer<W: Way = Port> {
    /// Until the answer is given.
    pub(super) station: Option<Arc<Station<W>>>,
    pub(super) ticket: Ticket,
    pub(super) route: W::Route,
}

impl<W: Way> Answer<W> {
    pub(super) fn give(&mut self, outcome: &Outcome) {
        let Some(station) = self.station.take() else { return };
        if let Some(reply) = station.door.finish(&self.ticket, outcome, Instant::now()) {
            send_now(&station.port, &reply, &self.route);
        }
    }
}

impl<W: Way> Drop for Answer<W> {
    fn drop(&mut self) {
        let Some(station) = self.station.take() else { return };
        // The runtime drops a task's future while the panic unwinds.
        if !std::thread::panicking() {
            station.door.forget(&self.ticket);
        } else if let Some(reply) = station.door.abandon(&self.ticket, Instant::now()) {
            send_now(&station.port, &reply, &self.route);
        }
    }
}

/// Random octets for identifiers, asked of the kernel for many at a time.
pub(super) struct Dice {
    pub(super) octets: [u8; 12 * 64],
    pub(super) used: usize,
}

impl Default for Dice {
    fn default() -> Self {
        Dice { octets: [0; 12 * 64], used: 12 * 64 }
    }
}

impl Dice {
    pub(super) fn throw(&mut self) -> [u8; 12] {
        if self.used >= self.octets.len() {
            if let Err(error) = getrandom::fill(&mut self.octets) {
                tracing::error!(%error, "no random octets from the kernel");
                self.never_the_same();
            }
            self.used = 0;
        }
        let thrown = self.octets.get(self.used..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        self.used += 12;
        thrown
    }

    /// Identifiers need not be secret, but no two sign-ins may have the same: a provider would give the second
    /// one the answer of the first. Every hasher of the standard library has keys of its own.
    pub(super) fn never_the_same(&mut self) {
        let now = std::time::SystemTime::now();
        for octets in self.octets.as_chunks_mut::<12>().0 {
            let keys = [RandomState::new(), RandomState::new()].map(|keys| keys.hash_one(now).to_be_bytes());
            octets.iter_mut().zip(keys.as_flattened()).for_each(|(to, from)| *to = *from);
        }
    }
}
