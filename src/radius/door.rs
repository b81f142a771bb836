//! The door: bytes in, step out; outcome in, bytes out. Pure.
//!
//! ```text
//! receive(peer, bytes) ─ known client? rate? bounds? ─▶ Discard(cause)
//!                      ─ seen before?               ─▶ Running | Resend(bytes)
//!                      ─ authentic?                 ─▶ Discard(cause)
//!                      ─ Status-Server              ─▶ Reply(bytes)
//!                      ─ Access-Request             ─▶ Begin(ticket, attempt) … finish(ticket, outcome)
//! ```
//!
//! A retransmission is the very same packet from the same place: not only its authenticator, which some
//! clients repeat, but all of its octets. It is recognised before its signature is checked: it can only get what
//! the original got, and it costs no digest. There is one door for each socket, with its table of requests behind a lock that
//! is held for table operations only, never for a digest.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::authenticator::Verified;
use super::changes;
use super::clients::{Clients, Known};
use super::discard::{Discarded, Discards};
use super::duplicates::{Duplicates, Full, Reply, RequestKey, Seen};
use super::eap::Eap;
use super::mschap;
use super::packet::{Authenticator, Code, Packet};
use super::rates::Rates;
use super::reply::{self, Asked};
use crate::signin::attempt::Attempt;
use crate::signin::outcome::{Outcome, Reason};

use reading::attempt;

mod reading;
mod whose;

pub use whose::Whose;

/// What all sockets share.
#[derive(Debug)]
pub struct Shared {
    /// The configured clients.
    pub clients: Clients,
    /// Packets per second by source.
    pub rates: Rates,
    /// What was discarded, by cause.
    pub discards: Discards,
    retransmissions: AtomicU64,
    draining: AtomicBool,
    overloaded: AtomicBool,
    start: Instant,
}

impl Shared {
    /// With nothing seen yet.
    pub fn new(clients: Clients, start: Instant) -> Self {
        Shared {
            clients,
            rates: Rates::new(start),
            discards: Discards::new(start),
            retransmissions: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            overloaded: AtomicBool::new(false),
            start,
        }
    }

    /// From now on nothing new begins; requests that run or were answered are served as before.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// While the directory cannot keep up nothing new begins: what is dropped here, before its signature is
    /// looked at, costs next to nothing. Retransmissions are served as ever.
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Relaxed);
    }

    /// Whether [`Shared::drain`] was called.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Requests that were received again since the start (RFC 5080 section 2.2.2).
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions.load(Ordering::Relaxed)
    }

    pub(super) fn count_retransmission(&self) {
        self.retransmissions.fetch_add(1, Ordering::Relaxed);
    }

    /// Any moment not later than all others.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Finds the client, checks its rate and the packet's bounds.
    ///
    /// # Errors
    /// The cause, already counted.
    pub(super) fn admit<'a>(
        &'a self,
        whose: &'a Whose,
        peer: SocketAddr,
        bytes: &'a [u8],
        now: Instant,
    ) -> Result<(&'a Arc<Known>, Packet<'a>), Discarded> {
        let Some(client) = whose.client(&self.clients, peer) else {
            return Err(self.discard(Discarded::UnknownSource, peer, None, now));
        };
        let discard = |cause| self.discard(cause, peer, Some(client), now);
        if !self.rates.allows(peer.ip(), client.config.packets_per_second, now) {
            return Err(discard(Discarded::OverRate));
        }
        let packet = Packet::decode(bytes).map_err(|error| discard(error.into()))?;
        Ok((client, packet))
    }

    pub(super) fn discard(
        &self,
        cause: Discarded,
        peer: SocketAddr,
        client: Option<&Known>,
        now: Instant,
    ) -> Discarded {
        self.discards.note(cause, peer, client.map(Known::name), now);
        cause
    }
}

/// What to do about a datagram. `H` is a handle on the work that a running request is.
#[expect(clippy::large_enum_variant, reason = "moved once, from the door into the task of its request")]
#[derive(Debug)]
pub enum Step<H> {
    /// Nothing.
    Discard(Discarded),
    /// Send these bytes again. Empty: the answer was silence.
    Resend(Reply),
    /// Nothing is to be sent: this very request is being worked on, and its client still listens. Whoever
    /// does the work may want to know.
    Running(Option<H>),
    /// Start a sign-in, and [`Door::finish`] the ticket whatever becomes of it.
    Begin(Begin<H>),
    /// Send these bytes: the answer to Status-Server.
    Reply(Reply),
}

/// A sign-in to be started.
#[derive(Debug)]
pub struct Begin<H> {
    /// The request, to be finished.
    pub ticket: Ticket,
    /// What the sign-in needs to know.
    pub attempt: Attempt,
    /// The request under the same identifier that the client gave up, if it still runs. To be dropped only
    /// when this one is registered, so that a retry can join the older one's hold.
    pub superseded: Option<H>,
}

/// A request that runs: what its reply needs. Neither secret nor password is in it.
#[derive(Debug)]
pub struct Ticket {
    client: Arc<Known>,
    proxy_states: Box<[u8]>,
    key: RequestKey,
    authenticator: Authenticator,
    identifier: u8,
    eap: Eap,
    ms_chap: Option<u8>,
    generation: u32,
}

impl Ticket {
    /// `challenge`: makes what nobody can foresee of its authenticator.
    fn asked(&self, challenge: impl Fn(&Authenticator) -> u128) -> Asked<'_> {
        let Ticket { identifier, authenticator, proxy_states, eap, ms_chap, .. } = self;
        let ms_chap = ms_chap.map(|identifier| (identifier, challenge(authenticator)));
        Asked { identifier: *identifier, authenticator, proxy_states, eap: *eap, ms_chap }
    }
}

/// The door of one socket or connection.
#[derive(Debug)]
pub struct Door<H> {
    shared: Arc<Shared>,
    whose: Whose,
    table: Mutex<Duplicates<H>>,
    prints: RandomState,
}

impl<H> Door<H> {
    /// A door for datagrams, whose table keeps at most `capacity` requests, running and answered.
    pub fn new(shared: Arc<Shared>, capacity: usize) -> Self {
        Self::of(shared, Whose::ByAddress, capacity)
    }

    /// A door for the packets of `whose`.
    pub fn of(shared: Arc<Shared>, whose: Whose, capacity: usize) -> Self {
        let table = Mutex::new(Duplicates::new(capacity, shared.start));
        Door { shared, whose, table, prints: RandomState::new() }
    }

    /// What all doors share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Requests that are being worked on.
    pub fn running(&self) -> usize {
        self.table().running()
    }

    /// Judges a datagram. `random` is asked only when a sign-in begins.
    pub fn receive(&self, peer: SocketAddr, bytes: &[u8], now: Instant, random: impl FnOnce() -> [u8; 12]) -> Step<H>
    where
        H: Clone,
    {
        let (client, packet) = match self.shared.admit(&self.whose, peer, bytes, now) {
            Ok(admitted) => admitted,
            Err(cause) => return Step::Discard(cause),
        };
        let step = match packet.code() {
            Code::ACCESS_REQUEST => self.access_request(client, packet, peer, now, random),
            Code::STATUS_SERVER => self.shared.status_server(client, packet, false).map(Step::Reply),
            _ if self.whose.is_connection() => changes::unsupported(packet, &client.key).map(Step::Reply),
            _ => Err(Discarded::WrongCode),
        };
        step.unwrap_or_else(|cause| Step::Discard(self.shared.discard(cause, peer, Some(client), now)))
    }

    fn access_request(
        &self,
        client: &Arc<Known>,
        packet: Packet<'_>,
        peer: SocketAddr,
        now: Instant,
        random: impl FnOnce() -> [u8; 12],
    ) -> Result<Step<H>, Discarded>
    where
        H: Clone,
    {
        let key = RequestKey::new(peer, packet.identifier());
        let print = self.print(&packet);
        match self.table().seen(&key, &print, now) {
            Seen::Running(handle) => {
                self.shared.count_retransmission();
                return Ok(Step::Running(handle));
            }
            Seen::Answered(reply) => {
                self.shared.count_retransmission();
                return Ok(Step::Resend(reply));
            }
            Seen::New => {}
        }
        if self.shared.draining() {
            return Err(Discarded::Draining);
        }
        if self.shared.overloaded.load(Ordering::Relaxed) {
            return Err(Discarded::Overloaded);
        }
        let request = Verified::request(packet, &client.key)?;
        client.admits(&request, now)?;
        let proxy_states = reply::proxy_states(&packet);
        if proxy_states.len() > client.replies.room() {
            return Err(Discarded::ProxyStateTooLong);
        }
        let begun = self.table().begin(key, &print, now).map_err(|Full| Discarded::TableFull)?;
        let eap = Eap::read(&packet);
        let mut ticket = Ticket {
            client: Arc::clone(client),
            proxy_states,
            key,
            authenticator: *packet.authenticator(),
            identifier: packet.identifier(),
            eap: eap.unwrap_or_default(),
            ms_chap: None,
            generation: begun.generation,
        };
        let room = client.replies.room().saturating_sub(ticket.proxy_states.len());
        let attempt = attempt(client, (&request, eap), room, (peer, now), random());
        if attempt.credential.is_err() {
            ticket.ms_chap = mschap::identifier(&packet);
        }
        Ok(Step::Begin(Begin { ticket, attempt, superseded: begun.superseded }))
    }

    /// What tells a packet from others under the same key: its authenticator, and a keyed digest of all of it.
    /// A client whose authenticators repeat must not get the answer that was given to somebody else.
    fn print(&self, packet: &Packet<'_>) -> Authenticator {
        let mut print = *packet.authenticator();
        let digest = self.prints.hash_one(packet.bytes()).to_be_bytes();
        print.iter_mut().zip(digest).for_each(|(octet, other)| *octet ^= other);
        print
    }

    /// A challenge for the person's device, of a request's authenticator: keyed, so that nobody can foresee it, and the same
    /// for the same request.
    fn challenge(&self, of: &Authenticator) -> u128 {
        let half = |which: u8| u128::from(self.prints.hash_one((which, of)));
        half(0) << 64 | half(1)
    }

    /// Keeps a handle on the running request, to be given out when it is superseded. Gives the handle back
    /// when the request does not run any more.
    pub fn attach(&self, key: &TicketKey, handle: H) -> Option<H> {
        self.table().attach(&key.key, key.generation, handle)
    }

    /// Ends a request: encodes and signs the answer and keeps it for retransmissions. Nothing is to be sent
    /// where the client shall hear nothing, or has given this request up for another. A request that nobody
    /// looked at is forgotten, so that its retransmission gets another chance.
    pub fn finish(&self, ticket: &Ticket, outcome: &Outcome, now: Instant) -> Option<Reply> {
        if outcome.is_undecided() {
            self.forget(ticket);
            return None;
        }
        let client = &ticket.client;
        // Room for the Proxy-States was checked before the ticket was made; should it fail all the same,
        // silence is the safe side.
        let reply =
            reply::verdict(outcome, ticket.asked(|of| self.challenge(of)), &client.replies, &client.key).ok().flatten();
        let kept = reply.clone().unwrap_or_else(|| Reply::from([]));
        let window = self.whose.window(client);
        let current = self.table().finish(&ticket.key, ticket.generation, kept, window, now);
        reply.filter(|_| current)
    }

    /// Forgets a request as if it had never come: its retransmission starts anew.
    pub fn forget(&self, ticket: &Ticket) {
        self.table().forget(&ticket.key, ticket.generation);
    }

    /// Forgets every request that runs, and gives out the handles on their work: nobody is there to be answered.
    pub fn give_up(&self) -> Vec<H> {
        self.table().give_up()
    }

    /// The ending of a request whose work was lost by a mistake of ours: a reject.
    pub fn abandon(&self, ticket: &Ticket, now: Instant) -> Option<Reply> {
        self.finish(ticket, &Outcome::Reject(Reason::Internal), now)
    }

    fn table(&self) -> MutexGuard<'_, Duplicates<H>> {
        // The table is whole between any two of its statements; a panic elsewhere must not close the door.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Door::attach`] needs of a ticket that has gone into its task already.
#[derive(Debug, Clone, Copy)]
pub struct TicketKey {
    key: RequestKey,
    generation: u32,
}

impl Ticket {
    /// A copy of what names the request.
    pub fn key(&self) -> TicketKey {
        TicketKey { key: self.key, generation: self.generation }
    }
}

impl Shared {
    /// Answers Status-Server, which must be signed (RFC 5997 section 3). A draining server is silent, so
    /// that the client takes its next one.
    pub(super) fn status_server(
        &self,
        client: &Known,
        packet: Packet<'_>,
        accounting: bool,
    ) -> Result<Reply, Discarded> {
        if self.draining() {
            return Err(Discarded::Draining);
        }
        if !Verified::request(packet, &client.key)?.signed() {
            return Err(Discarded::Unsigned);
        }
        let proxy_states = reply::proxy_states(&packet);
        let asked = Asked {
            identifier: packet.identifier(),
            authenticator: packet.authenticator(),
            proxy_states: &proxy_states,
            eap: Eap::None,
            ms_chap: None,
        };
        reply::status(accounting, asked, &client.key).map_err(|_| Discarded::ProxyStateTooLong)
    }
}

#[cfg(test)]
mod tests;
