//! The UDP loops: receive, ask the door, start a sign-in or send bytes.
//!
//! For each address there are several sockets with `SO_REUSEPORT`, each with a loop and a door of its own:
//! the kernel leads a retransmission, which keeps its source port, to the same socket. Retransmissions are
//! answered in the loop. A new request gets one small task, which signs, keeps and sends its own answer.
//!
//! No error of a socket ends its loop. A sign-in whose task is lost to a panic is answered with a reject; one
//! that the end of the process cuts off is not answered, so that its client asks the next server.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinHandle};

use super::accounting::{AccountingDoor, AccountingRecord, AccountingStep};
use super::discard::LogGate;
use super::door::{Begin, Door, Shared, Step, Ticket};
use super::duplicates::Reply;
use crate::signin::attempt::Attempt;
use crate::signin::outcome::Outcome;
use crate::signin::reception::SignIns;
use crate::signin::waiting::{Pulse, Waiting};

use port::{Buffer, Port, Route};

mod port;

/// How the sockets are set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Sockets for each address: as many as there are cores.
    pub sockets: usize,
    /// Requests that each socket keeps in mind at most, running and answered, at some 200 octets each.
    pub remembered: usize,
}

/// Takes an accounting record, at once and without waiting, and says whether it did.
pub type Sink = Arc<dyn Fn(AccountingRecord) -> bool + Send + Sync>;

/// The running listener.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    stations: Vec<Arc<Station>>,
    loops: Vec<JoinHandle<()>>,
    access: Vec<SocketAddr>,
    accounting: Vec<SocketAddr>,
}

impl Listener {
    /// Binds all addresses and starts to serve them. Accounting records are logged, and handed to `sink`
    /// where there is one: a record that it does not take is not acknowledged. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// What the kernel says to an address; nothing is served then.
    pub fn start(
        access: &[SocketAddr],
        accounting: &[SocketAddr],
        settings: Settings,
        shared: &Arc<Shared>,
        sign_ins: &Arc<SignIns>,
        sink: Option<&Sink>,
    ) -> io::Result<Listener> {
        // SO_REUSEPORT lets a second process share our addresses, and take half of the packets, without an
        // error. So each address is bound alone first.
        let alone = access.iter().chain(accounting).map(|address| Port::bind_alone(*address));
        drop(alone.collect::<io::Result<Vec<_>>>()?);
        let access_ports = bind_all(access, settings.sockets)?;
        let accounting_ports = bind_all(accounting, settings.sockets)?;
        let mut listener = Listener {
            shared: Arc::clone(shared),
            stations: Vec::new(),
            loops: Vec::new(),
            access: addresses(&access_ports, settings.sockets)?,
            accounting: addresses(&accounting_ports, settings.sockets)?,
        };
        for port in access_ports {
            let door = Door::new(Arc::clone(shared), settings.remembered);
            let station = Arc::new(Station { port, door });
            listener.stations.push(Arc::clone(&station));
            listener.loops.push(tokio::spawn(serve(station, Arc::clone(sign_ins))));
        }
        for port in accounting_ports {
            let door = AccountingDoor::new(Arc::clone(shared), settings.remembered);
            listener.loops.push(tokio::spawn(record(port, door, sink.cloned())));
        }
        Ok(listener)
    }

    /// The addresses that Access-Requests are received on, with the ports that the kernel chose for 0.
    pub fn access(&self) -> &[SocketAddr] {
        &self.access
    }

    /// The addresses that Accounting-Requests are received on.
    pub fn accounting(&self) -> &[SocketAddr] {
        &self.accounting
    }

    /// From now on nothing new begins; what runs is finished, and retransmissions are answered.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Requests that are being worked on.
    pub fn running(&self) -> usize {
        self.stations.iter().map(|station| station.door.running()).sum()
    }

    /// Resolves when every request that was begun has been answered, or was given up.
    pub async fn answered(&self) {
        while self.running() > 0 {
            tokio::time::sleep(REST).await;
        }
    }
}

/// Stops receiving at once. Requests that run keep their sockets until they are answered.
impl Drop for Listener {
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}

fn bind_all(addresses: &[SocketAddr], sockets: usize) -> io::Result<Vec<Port>> {
    let mut ports = Vec::new();
    for address in addresses {
        let first = Port::bind(*address)?;
        let bound = first.address()?;
        ports.push(first);
        for _ in 1..sockets {
            ports.push(Port::bind(bound)?);
        }
    }
    Ok(ports)
}

fn addresses(ports: &[Port], sockets: usize) -> io::Result<Vec<SocketAddr>> {
    ports.iter().step_by(sockets.max(1)).map(Port::address).collect()
}

/// A socket and its door.
#[derive(Debug)]
struct Station {
    port: Port,
    door: Door<Work>,
}

/// The work that a running request is.
#[derive(Debug, Clone)]
struct Work {
    task: AbortHandle,
    /// There once the request is part of a hold.
    pulse: Arc<OnceLock<Pulse>>,
}

/// Datagrams taken in one go before other tasks of the same thread get their turn.
const TURN: usize = 32;

/// How long a loop rests after an error of its socket, so that a lasting one does not become a busy loop.
const REST: Duration = Duration::from_millis(10);

async fn serve(station: Arc<Station>, sign_ins: Arc<SignIns>) {
    let mut buffer = Buffer::new();
    let mut dice = Dice::default();
    let mut troubles = Troubles::default();
    loop {
        let turn = take_turn(&station.port, &mut buffer, |bytes, route| {
            let now = Instant::now();
            station.door.shared().set_overloaded(sign_ins.is_overloaded());
            match station.door.receive(route.peer, bytes, now, || dice.throw()) {
                Step::Discard(_) => {}
                Step::Running(work) => {
                    if let Some(pulse) = work.as_ref().and_then(|work| work.pulse.get()) {
                        pulse.heard_again(now);
                    }
                }
                Step::Resend(reply) | Step::Reply(reply) => send_now(&station.port, &reply, &route),
                Step::Begin(begin) => start(&station, &sign_ins, begin, route),
            }
        });
        troubles.after(turn.await).await;
    }
}

async fn record(port: Port, door: AccountingDoor, sink: Option<Sink>) {
    let mut buffer = Buffer::new();
    let mut troubles = Troubles::default();
    loop {
        let turn =
            take_turn(&port, &mut buffer, |bytes, route| match door.receive(route.peer, bytes, Instant::now()) {
                AccountingStep::Discard(_) | AccountingStep::Running => {}
                AccountingStep::Reply(reply) => send_now(&port, &reply, &route),
                AccountingStep::Record(record, ticket) => {
                    // The client's texts are logged with `?`, which keeps control characters out of the log.
                    tracing::info!(
                        client = record.client, source = %record.source, status = record.status_word(),
                        session = ?record.session, name = ?record.name, octets_in = record.octets_in,
                        octets_out = record.octets_out,
                        session_seconds = record.session_time.map(|time| time.as_secs()), "accounting"
                    );
                    if sink.as_ref().is_none_or(|sink| sink(*record)) {
                        send_now(&port, &door.acknowledge(ticket, Instant::now()), &route);
                    } else {
                        door.forget(&ticket, Instant::now());
                    }
                }
            });
        troubles.after(turn.await).await;
    }
}

/// Waits for datagrams and handles those that are there, [`TURN`] at most.
async fn take_turn(port: &Port, buffer: &mut Buffer, mut handle: impl FnMut(&[u8], Route)) -> io::Result<()> {
    port.readable().await?;
    for _ in 0..TURN {
        match port.try_receive(buffer) {
            Ok((length, route)) => handle(buffer.get(length), route),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    tokio::task::yield_now().await;
    Ok(())
}

/// What to do about errors of a socket: say so now and then, rest, go on.
#[derive(Default)]
struct Troubles {
    gate: LogGate,
    start: Option<Instant>,
}

impl Troubles {
    async fn after(&mut self, turn: io::Result<()>) {
        let Err(error) = turn else { return };
        let now = Instant::now();
        if self.gate.opens(*self.start.get_or_insert(now), now) {
            tracing::error!(%error, "cannot receive; trying on");
        }
        tokio::time::sleep(REST).await;
    }
}

/// Sends from within the loop. When the kernel's buffer is full, the client's retransmission gets it.
fn send_now(port: &Port, reply: &[u8], route: &Route) {
    if reply.is_empty() {
        return;
    }
    if let Err(error) = port.try_send(reply, route) {
        tracing::debug!(%error, peer = %route.peer, "reply not sent");
    }
}

/// Starts the task of a new request.
fn start(station: &Arc<Station>, sign_ins: &Arc<SignIns>, begin: Begin<Work>, route: Route) {
    let key = begin.ticket.key();
    let older = begin.superseded.map(|work| AbortOnDrop(work.task));
    let pulse = Arc::new(OnceLock::new());
    let entering = Box::pin(enter(Arc::clone(sign_ins), begin.attempt, Arc::clone(&pulse)));
    let answer = Answer { station: Arc::clone(station), ticket: begin.ticket, route, given: false };
    let task = tokio::spawn(hold(entering, older, answer));
    // Comes back when the task is done already: then nobody needs it.
    let _done = station.door.attach(&key, Work { task: task.abort_handle(), pulse });
}

/// Boxed by its caller, so that a held request does not carry the attempt with it.
async fn enter(sign_ins: Arc<SignIns>, attempt: Attempt, place: Arc<OnceLock<Pulse>>) -> Waiting {
    let waiting = sign_ins.enter(attempt).await;
    if let Some(pulse) = waiting.pulse() {
        // This task alone sets it, once.
        let _ = place.set(pulse);
    }
    waiting
}

/// One request from its attempt to its answer. A hundred thousand of these are held at once: keep it small.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
fn hold<E>(entering: E, older: Option<AbortOnDrop>, mut answer: Answer) -> impl Future<Output = ()> + use<E>
where
    E: Future<Output = Waiting> + Unpin,
{
    async move {
        let waiting = entering.await;
        // Only now: its hold must find this request among those who wait for it.
        drop(older);
        let outcome = waiting.outcome().await;
        if let Some(reply) = answer.give(&outcome) {
            // Boxed, because it is rare and would make every held request larger.
            Box::pin(answer.send_later(&reply)).await;
        }
    }
}

/// The task of a request that its client has given up. Ends when this is dropped, also when the superseding
/// request is itself superseded before it was registered.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The duty to answer a request, once. Dropped without an answer by a panic it gives a reject, unless the
/// request was superseded; dropped in any other way (aborted, the end of the runtime) it stays silent.
struct Answer {
    station: Arc<Station>,
    ticket: Ticket,
    route: Route,
    given: bool,
}

impl Answer {
    /// Gives the reply back where the kernel had no room for it.
    fn give(&mut self, outcome: &Outcome) -> Option<Reply> {
        self.given = true;
        let reply = self.station.door.finish(&self.ticket, outcome, Instant::now())?;
        let error = self.station.port.try_send(&reply, &self.route).err()?;
        if error.kind() == io::ErrorKind::WouldBlock {
            return Some(reply);
        }
        tracing::debug!(%error, peer = %self.route.peer, "reply not sent");
        None
    }

    async fn send_later(&self, reply: &[u8]) {
        if self.station.port.writable().await.is_ok() {
            send_now(&self.station.port, reply, &self.route);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.given {
            return;
        }
        // The runtime drops a task's future while the panic unwinds.
        if !std::thread::panicking() {
            self.station.door.forget(&self.ticket);
        } else if let Some(reply) = self.station.door.abandon(&self.ticket, Instant::now()) {
            send_now(&self.station.port, &reply, &self.route);
        }
    }
}

/// Random octets for identifiers, asked of the kernel for many at a time.
struct Dice {
    octets: [u8; 12 * 64],
    used: usize,
}

impl Default for Dice {
    fn default() -> Self {
        Dice { octets: [0; 12 * 64], used: 12 * 64 }
    }
}

impl Dice {
    fn throw(&mut self) -> [u8; 12] {
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
    fn never_the_same(&mut self) {
        let now = std::time::SystemTime::now();
        for octets in self.octets.as_chunks_mut::<12>().0 {
            let keys = [RandomState::new(), RandomState::new()].map(|keys| keys.hash_one(now).to_be_bytes());
            octets.iter_mut().zip(keys.as_flattened()).for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests;
