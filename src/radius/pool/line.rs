//! One socket to one server, with 256 identifiers.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::radius::authenticator::{ClientKey, Verified};
use crate::radius::packet::{Authenticator, MAX_PACKET, Packet};

/// Identifiers of a line.
pub(super) const IDENTIFIERS: usize = 256;

/// How long the reader rests after an error of the socket.
const REST: Duration = Duration::from_millis(10);

/// Why a datagram on one of our sockets was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is no RADIUS packet.
    Malformed,
    /// Nothing waits under its identifier: it came late, or twice.
    Unexpected,
    /// Its authenticators are not right: another secret, an answer to an earlier request, or a forgery.
    Forged,
    /// It has no Message-Authenticator, and must have one (CVE-2024-3596).
    Unsigned,
}

impl Dropped {
    /// Every one.
    pub const ALL: [Dropped; 4] = [Dropped::Malformed, Dropped::Unexpected, Dropped::Forged, Dropped::Unsigned];

    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Dropped::Malformed => "malformed",
            Dropped::Unexpected => "unexpected",
            Dropped::Forged => "forged",
            Dropped::Unsigned => "unsigned",
        }
    }
}

/// How many datagrams were dropped, by cause.
#[derive(Debug, Default)]
pub struct Drops([AtomicU64; 4]);

impl Drops {
    fn note(&self, cause: Dropped) {
        if let Some(count) = self.0.get(cause as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many since the start.
    pub fn count(&self, cause: Dropped) -> u64 {
        self.0.get(cause as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What a waiting request hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// The reply.
    Reply(Box<[u8]>),
    /// The server's machine says that nobody listens there.
    Gone,
}

/// A request under an identifier.
#[derive(Debug)]
struct Waiting {
    authenticator: Authenticator,
    /// Whether a reply without Message-Authenticator is dropped.
    requires_signature: bool,
    tell: oneshot::Sender<Heard>,
}

#[derive(Debug)]
struct Slots {
    waiting: Vec<Option<Waiting>>,
    /// The one that has rested longest is taken next.
    free: VecDeque<u8>,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    socket: UdpSocket,
    slots: Mutex<Slots>,
    busy: AtomicUsize,
}

impl Line {
    /// Opens a socket to `server`. The kernel then takes nothing from other addresses.
    pub(super) fn open(server: SocketAddr) -> io::Result<Line> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let slots = Slots { waiting: (0..IDENTIFIERS).map(|_| None).collect(), free: (0..=u8::MAX).collect() };
        let socket = UdpSocket::from_std(socket)?;
        Ok(Line { socket, slots: Mutex::new(slots), busy: AtomicUsize::new(0) })
    }

    /// Identifiers that are in use.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Takes an identifier, if one is free.
    pub(super) fn take(self: &Arc<Self>, authenticator: Authenticator, requires_signature: bool) -> Option<Taken> {
        let mut slots = self.slots();
        let identifier = slots.free.pop_front()?;
        let (tell, heard) = oneshot::channel();
        if let Some(slot) = slots.waiting.get_mut(usize::from(identifier)) {
            *slot = Some(Waiting { authenticator, requires_signature, tell });
        }
        drop(slots);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Some(Taken { line: Arc::clone(self), identifier, heard })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Whole between any two of its statements.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads replies for as long as the line is there.
    pub(super) async fn read(line: Arc<Line>, key: Arc<ClientKey>, drops: Arc<Drops>) {
        let mut buffer = vec![0; MAX_PACKET + 1].into_boxed_slice();
        loop {
            match line.socket.recv(&mut buffer).await {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Err(cause) = line.hear(datagram, &key) {
                        drops.note(cause);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => line.tell_gone(),
                Err(error) => {
                    tracing::debug!(%error, "cannot read from a RADIUS target");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Gives a reply to whom it is for. The digests are made without the lock.
    fn hear(&self, datagram: &[u8], key: &ClientKey) -> Result<(), Dropped> {
        let packet = Packet::decode(datagram).map_err(|_| Dropped::Malformed)?;
        let at = usize::from(packet.identifier());
        let waits = |waiting: &Waiting| (waiting.authenticator, waiting.requires_signature);
        let asked = self.slots().waiting.get(at).and_then(Option::as_ref).map(waits);
        let (asked, requires_signature) = asked.ok_or(Dropped::Unexpected)?;
        let verified = Verified::reply(packet, &asked, key).map_err(|_| Dropped::Forged)?;
        if requires_signature && !verified.signed() {
            return Err(Dropped::Unsigned);
        }
        let mut slots = self.slots();
        let slot = slots.waiting.get_mut(at).ok_or(Dropped::Unexpected)?;
        // Meanwhile the identifier may have gone to another request.
        let waiting = slot.take_if(|waiting| waiting.authenticator == asked).ok_or(Dropped::Unexpected)?;
        drop(slots);
        waiting.tell.send(Heard::Reply(packet.bytes().into())).map_err(|_| Dropped::Unexpected)
    }

    fn tell_gone(&self) {
        let told: Vec<_> = self.slots().waiting.iter_mut().filter_map(Option::take).collect();
        for waiting in told {
            // Who does not listen any more has been served.
            let _ = waiting.tell.send(Heard::Gone);
        }
    }
}

/// An identifier in use; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    line: Arc<Line>,
    pub(super) identifier: u8,
    pub(super) heard: oneshot::Receiver<Heard>,
}

impl Taken {
    /// Sends the packet.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.line.socket.send(packet).await.map(|_| ())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut slots = self.line.slots();
        if let Some(slot) = slots.waiting.get_mut(usize::from(self.identifier)) {
            *slot = None;
        }
        slots.free.push_back(self.identifier);
        drop(slots);
        self.line.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
