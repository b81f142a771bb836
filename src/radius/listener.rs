//! The UDP loops: receive, ask the door, start a sign-in or send bytes.
//!
//! For each address there are several sockets with `SO_REUSEPORT`, each with a loop and a door of its own:
//! the kernel leads a retransmission, which keeps its source port, to the same socket. Retransmissions are
//! answered in the loop. A new request gets one small task, which signs, keeps and sends its own answer.
//!
//! No error of a socket ends its loop. A sign-in whose task is lost to a panic is answered with a reject; one
//! that the end of the process cuts off is not answered, so that its client asks the next server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use super::accounting::{AccountingDoor, AccountingRecord, Onward};
use super::discard::LogGate;
use super::door::{Door, Shared};
use crate::signin::reception::SignIns;

use port::{Buffer, Port, Route};
use station::{Dice, Station};

mod connection;
mod port;
mod relaying;
mod station;
mod tcp;
mod tls;

pub use relaying::ChangesListener;
pub use tcp::LoopbackListener;
pub use tls::TlsListener;

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

/// Takes what is to go to a target, at once; what comes back says whether it is on the disk.
pub type Keep = Arc<dyn Fn(Onward) -> BoxFuture<'static, bool> + Send + Sync>;

/// Where accounting records go.
#[derive(Clone, Default)]
pub struct Books {
    /// Every one of them.
    pub sink: Option<Sink>,
    /// Those that are to go to a target, too. Without it none of these is acknowledged.
    pub keep: Option<Keep>,
}

impl From<Sink> for Books {
    fn from(sink: Sink) -> Self {
        Books { sink: Some(sink), keep: None }
    }
}

/// The running listener.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    stations: Vec<Arc<Station>>,
    tls: Option<TlsListener>,
    tcp: Option<LoopbackListener>,
    changes: Option<ChangesListener>,
    loops: Vec<JoinHandle<()>>,
    access: Vec<SocketAddr>,
    accounting: Vec<SocketAddr>,
}

impl Listener {
    /// Binds all addresses and starts to serve them. Accounting records are logged and entered into the `books`: a record
    /// that is not taken there is not acknowledged. Must be called within a tokio
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
        books: &Books,
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
            tls: None,
            tcp: None,
            changes: None,
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
            listener.loops.push(tokio::spawn(record(Arc::new(port), Arc::new(door), books.clone())));
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

    /// Goes on together with the door for TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<TlsListener>) -> Listener {
        self.tls = tls;
        self
    }

    /// Goes on together with the door for TCP on loopback.
    #[must_use]
    pub fn with_tcp(mut self, tcp: Option<LoopbackListener>) -> Listener {
        self.tcp = tcp;
        self
    }

    /// Goes on together with the door for changes of sessions.
    #[must_use]
    pub fn with_changes(mut self, changes: Option<ChangesListener>) -> Listener {
        self.changes = changes;
        self
    }

    /// The addresses that CoA- and Disconnect-Requests are received on.
    pub fn changes(&self) -> &[SocketAddr] {
        self.changes.as_ref().map_or(&[], ChangesListener::addresses)
    }

    /// The addresses that TLS connections are accepted on.
    pub fn tls(&self) -> &[SocketAddr] {
        self.tls.as_ref().map_or(&[], TlsListener::addresses)
    }

    /// The loopback addresses that TCP connections are accepted on.
    pub fn tcp(&self) -> &[SocketAddr] {
        self.tcp.as_ref().map_or(&[], LoopbackListener::addresses)
    }

    /// Reads the certificates of the door for TLS again.
    pub fn reload(&self) {
        self.tls.iter().for_each(TlsListener::reload);
    }

    /// From now on nothing new begins; what runs is finished, and retransmissions are answered.
    pub fn drain(&self) {
        self.shared.drain();
        self.tls.iter().for_each(TlsListener::drain);
        self.tcp.iter().for_each(LoopbackListener::drain);
    }

    /// Requests that are being worked on.
    pub fn running(&self) -> usize {
        let over_udp: usize =
            self.stations.iter().map(|station| station.door.running() + station.port.outgoing()).sum();
        let over_tcp = self.tcp.as_ref().map_or(0, LoopbackListener::running);
        over_udp + over_tcp + self.tls.as_ref().map_or(0, TlsListener::running)
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
            station.take(&sign_ins, bytes, (route.peer, route), &mut dice);
        });
        troubles.after(turn.await).await;
    }
}

async fn record(port: Arc<Port>, door: Arc<AccountingDoor>, books: Books) {
    let mut buffer = Buffer::new();
    let mut troubles = Troubles::default();
    loop {
        let turn = take_turn(&port, &mut buffer, |bytes, route| {
            let way = Arc::clone(&port);
            station::record(&door, &books, bytes, route.peer, move |reply| station::send_now(&*way, reply, &route));
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

#[cfg(test)]
mod tests;
