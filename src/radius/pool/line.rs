//! One socket or connection to one server, with 256 identifiers.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot};

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
    pub(super) fn note(&self, cause: Dropped) {
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
    /// Nobody listens there, or nothing was sent.
    Gone,
    /// The connection broke after it was sent.
    Lost,
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

/// Packets that a connection has yet to send, each under its identifier.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    packets: Mutex<VecDeque<(u8, Box<[u8]>)>>,
    pub(super) filled: Notify,
}

impl Unsent {
    /// Waits for packets and puts some of them into `chunk`.
    pub(super) async fn next(&self, chunk: &mut Vec<u8>) {
        chunk.clear();
        loop {
            {
                let mut packets = self.packets();
                while chunk.len() < MAX_PACKET
                    && let Some((_, packet)) = packets.pop_front()
                {
                    chunk.extend_from_slice(&packet);
                }
            }
            if !chunk.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }

    fn packets(&self) -> MutexGuard<'_, VecDeque<(u8, Box<[u8]>)>> {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What carries a line's packets.
#[derive(Debug)]
enum Carrier {
    Udp(UdpSocket),
    /// Whoever has the connection sends them.
    Tls(Unsent),
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    carrier: Carrier,
    slots: Mutex<Slots>,
    busy: AtomicUsize,
    /// Nothing new goes over it.
    retired: AtomicBool,
    /// Somebody has left a retired line.
    pub(super) left: Notify,
    /// Replies that it has brought, of whatever kind.
    heard: AtomicU64,
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
        Ok(Self::over(Carrier::Udp(UdpSocket::from_std(socket)?)))
    }

    /// A line over a connection that is yet to be made.
    pub(super) fn connecting() -> Line {
        Self::over(Carrier::Tls(Unsent::default()))
    }

    fn over(carrier: Carrier) -> Line {
        let slots = Slots { waiting: (0..IDENTIFIERS).map(|_| None).collect(), free: (0..=u8::MAX).collect() };
        Line {
            carrier,
            slots: Mutex::new(slots),
            busy: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            left: Notify::new(),
            heard: AtomicU64::new(0),
        }
    }

    /// What a connection is to send; nothing for a socket.
    pub(super) fn unsent(&self) -> Option<&Unsent> {
        match &self.carrier {
            Carrier::Udp(_) => None,
            Carrier::Tls(unsent) => Some(unsent),
        }
    }

    /// Whether nothing new goes over it.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// From now on nothing new goes over it; what waits on it waits on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.left.notify_one();
    }

    /// Replies that it has brought.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Identifiers that are in use.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Takes an identifier, if one is free.
    pub(super) fn take(self: &Arc<Self>, authenticator: Authenticator, requires_signature: bool) -> Option<Taken> {
        let mut slots = self.slots();
        if self.is_retired() {
            return None;
        }
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
        let Carrier::Udp(socket) = &line.carrier else { return };
        let mut buffer = vec![0; MAX_PACKET + 1].into_boxed_slice();
        loop {
            match socket.recv(&mut buffer).await {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Err(cause) = line.hear(datagram, &key) {
                        drops.note(cause);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => line.tell(|_| Heard::Gone),
                Err(error) => {
                    tracing::debug!(%error, "cannot read from a RADIUS target");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Gives a reply to whom it is for. The digests are made without the lock.
    pub(super) fn hear(&self, datagram: &[u8], key: &ClientKey) -> Result<(), Dropped> {
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
        self.heard.fetch_add(1, Ordering::Relaxed);
        waiting.tell.send(Heard::Reply(packet.bytes().into())).map_err(|_| Dropped::Unexpected)
    }

    /// The connection has ended, or was never made. Nobody waits for an answer to what was not sent.
    pub(super) fn end(&self) {
        self.retire();
        let unsent: Vec<u8> = match &self.carrier {
            Carrier::Udp(_) => Vec::new(),
            Carrier::Tls(unsent) => unsent.packets().drain(..).map(|(identifier, _)| identifier).collect(),
        };
        self.tell(|identifier| if unsent.contains(&identifier) { Heard::Gone } else { Heard::Lost });
    }

    fn tell(&self, what: impl Fn(u8) -> Heard) {
        let mut slots = self.slots();
        let each = (0..=u8::MAX).zip(slots.waiting.iter_mut());
        let told: Vec<_> = each.filter_map(|(identifier, slot)| Some((identifier, slot.take()?))).collect();
        drop(slots);
        for (identifier, waiting) in told {
            // Who does not listen any more has been served.
            let _ = waiting.tell.send(what(identifier));
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
    /// Sends the packet, or leaves it to the connection to do so.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        match &self.line.carrier {
            Carrier::Udp(socket) => socket.send(packet).await.map(|_| ()),
            Carrier::Tls(unsent) => {
                unsent.packets().push_back((self.identifier, packet.into()));
                unsent.filled.notify_one();
                Ok(())
            }
        }
    }

    /// Its reply will be one to a request with this authenticator.
    pub(super) fn expect(&self, authenticator: Authenticator) {
        if let Some(Some(waiting)) = self.line.slots().waiting.get_mut(usize::from(self.identifier)) {
            waiting.authenticator = authenticator;
        }
    }

    /// Whether the line brings replies in their order of sending, and loses none while it is there: then nothing is sent
    /// twice over it (RFC 6613 section 2.6.1).
    pub(super) fn is_reliable(&self) -> bool {
        self.line.unsent().is_some()
    }

    /// The line.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Carrier::Tls(unsent) = &self.line.carrier {
            // Nobody waits for it any more.
            unsent.packets().retain(|(identifier, _)| *identifier != self.identifier);
        }
        let mut slots = self.line.slots();
        if let Some(slot) = slots.waiting.get_mut(usize::from(self.identifier)) {
            *slot = None;
        }
        slots.free.push_back(self.identifier);
        drop(slots);
        self.line.busy.fetch_sub(1, Ordering::Relaxed);
        if self.line.is_retired() {
            self.line.left.notify_one();
        }
    }
}
