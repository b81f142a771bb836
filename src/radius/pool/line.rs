//! One socket or connection to one server, with 256 identifiers.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join;
use nix::sys::socket::SockaddrStorage;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use super::segments::Segments;
use crate::radius::authenticator::{Authentic, ClientKey, Verified};
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
    Reply(Authentic),
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
    mail: Mail,
}

/// What a request has heard. In its slot and not in a channel: tens of thousands wait at once.
#[derive(Debug)]
enum Mail {
    /// Nothing yet; whom to wake.
    Awaited(Option<Waker>),
    /// Something, once: nothing else comes.
    Arrived(Heard),
    /// The same, and it was read.
    Read,
}

impl Waiting {
    /// Puts in what the request hears, unless it has heard something. Whom to wake.
    fn tell(&mut self, what: Heard) -> Option<Waker> {
        let Mail::Awaited(waker) = &mut self.mail else { return None };
        let waker = waker.take();
        self.mail = Mail::Arrived(what);
        waker
    }

    fn is_open(&self) -> bool {
        matches!(self.mail, Mail::Awaited(_))
    }
}

#[derive(Debug)]
struct Slots {
    waiting: Vec<Option<Waiting>>,
    /// The one that has rested longest is taken next.
    free: VecDeque<u8>,
}

/// Packets that are yet to be sent, each under its identifier.
pub(super) type Unsent = Outgoing<(u8, Box<[u8]>)>;

/// What carries a line's packets.
#[derive(Debug)]
enum Carrier {
    Udp(UdpSocket),
    /// Whoever has the connection sends and reads them.
    Tls,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    carrier: Carrier,
    /// What is yet to be sent.
    pub(super) unsent: Unsent,
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
        Self::over(Carrier::Tls)
    }

    fn over(carrier: Carrier) -> Line {
        let slots = Slots { waiting: (0..IDENTIFIERS).map(|_| None).collect(), free: (0..=u8::MAX).collect() };
        Line {
            carrier,
            unsent: Unsent::default(),
            slots: Mutex::new(slots),
            busy: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            left: Notify::new(),
            heard: AtomicU64::new(0),
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
        if let Some(slot) = slots.waiting.get_mut(usize::from(identifier)) {
            *slot = Some(Waiting { authenticator, requires_signature, mail: Mail::Awaited(None) });
        }
        drop(slots);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Some(Taken { line: Arc::clone(self), identifier })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Whole between any two of its statements.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends requests over a socket and reads their replies, for as long as the line is there.
    pub(super) async fn serve(line: Arc<Line>, key: Arc<ClientKey>, drops: Arc<Drops>) {
        let Carrier::Udp(socket) = &line.carrier else { return };
        join(line.read(socket, &key, &drops), line.write(socket)).await;
    }

    async fn read(&self, socket: &UdpSocket, key: &ClientKey, drops: &Drops) {
        let mut buffer = vec![0; MAX_PACKET + 1].into_boxed_slice();
        loop {
            match socket.recv(&mut buffer).await {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Err(cause) = self.hear(datagram, key) {
                        drops.note(cause);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.tell(|_| Heard::Gone),
                Err(error) => {
                    tracing::debug!(%error, "cannot read from a RADIUS target");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    async fn write(&self, socket: &UdpSocket) {
        let (mut batch, segments) = (VecDeque::new(), Segments::default());
        while self.unsent.gather(&mut batch).await {
            while !batch.is_empty() {
                let together = segments.together(batch.iter().map(|(_, packet): &(u8, Box<[u8]>)| packet.len()));
                let all = together > 1 && send_together(socket, &segments, &batch, together).await.is_ok();
                for (identifier, packet) in batch.drain(..together) {
                    if !all && let Err(error) = socket.send(&packet).await {
                        tracing::debug!(%error, "cannot send to a RADIUS target");
                        self.tell_one(identifier, Heard::Gone);
                    }
                }
            }
        }
    }

    /// Gives a reply to whom it is for. The digests are made without the lock.
    pub(super) fn hear(&self, datagram: &[u8], key: &ClientKey) -> Result<(), Dropped> {
        let packet = Packet::decode(datagram).map_err(|_| Dropped::Malformed)?;
        let at = usize::from(packet.identifier());
        let waits = |waiting: &Waiting| (waiting.authenticator, waiting.requires_signature);
        let asked = self.slots().waiting.get(at).and_then(Option::as_ref).filter(|slot| slot.is_open()).map(waits);
        let (asked, requires_signature) = asked.ok_or(Dropped::Unexpected)?;
        let verified = Verified::reply(packet, &asked, key).map_err(|_| Dropped::Forged)?;
        if requires_signature && !verified.signed() {
            return Err(Dropped::Unsigned);
        }
        let reply = verified.kept();
        let mut slots = self.slots();
        let slot = slots.waiting.get_mut(at).and_then(Option::as_mut);
        // Meanwhile the identifier may have gone to another request.
        let waiting = slot.filter(|slot| slot.is_open() && slot.authenticator == asked).ok_or(Dropped::Unexpected)?;
        let waker = waiting.tell(Heard::Reply(reply));
        drop(slots);
        self.heard.fetch_add(1, Ordering::Relaxed);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The connection has ended, or was never made. Nobody waits for an answer to what was not sent.
    pub(super) fn end(&self) {
        self.retire();
        let unsent: Vec<u8> = self.unsent.items().drain(..).map(|(identifier, _)| identifier).collect();
        self.tell(|identifier| if unsent.contains(&identifier) { Heard::Gone } else { Heard::Lost });
    }

    fn tell_one(&self, identifier: u8, what: Heard) {
        let waker = {
            let mut slots = self.slots();
            let slot = slots.waiting.get_mut(usize::from(identifier)).and_then(Option::as_mut);
            slot.and_then(|waiting| waiting.tell(what))
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn tell(&self, what: impl Fn(u8) -> Heard) {
        let mut slots = self.slots();
        let each = (0..=u8::MAX).zip(slots.waiting.iter_mut());
        let told = each.filter_map(|(identifier, slot)| slot.as_mut()?.tell(what(identifier)));
        let wakers: Vec<_> = told.collect();
        drop(slots);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Sends the first so many packets in one call.
async fn send_together(
    socket: &UdpSocket,
    segments: &Segments,
    batch: &VecDeque<(u8, Box<[u8]>)>,
    many: usize,
) -> io::Result<()> {
    let send = || {
        let parts: Vec<_> = batch.iter().take(many).map(|(_, packet)| IoSlice::new(packet)).collect();
        segments.send::<SockaddrStorage>(socket.as_raw_fd(), &parts, None, None)
    };
    socket.async_io(Interest::WRITABLE, send).await
}

/// An identifier in use; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    line: Arc<Line>,
    pub(super) identifier: u8,
}

impl Taken {
    /// What is heard of the request, once. May be given up and asked for again.
    pub(super) fn heard(&mut self) -> impl Future<Output = Heard> + Send + use<'_> {
        std::future::poll_fn(|context| self.poll_heard(context))
    }

    fn poll_heard(&mut self, context: &Context<'_>) -> Poll<Heard> {
        let mut slots = self.line.slots();
        let slot = slots.waiting.get_mut(usize::from(self.identifier)).and_then(Option::as_mut);
        // The slot is there for as long as this is.
        let Some(waiting) = slot else { return Poll::Ready(Heard::Lost) };
        match std::mem::replace(&mut waiting.mail, Mail::Read) {
            Mail::Arrived(heard) => Poll::Ready(heard),
            Mail::Read => Poll::Ready(Heard::Lost),
            Mail::Awaited(waker) => {
                let waker = waker.filter(|waker| waker.will_wake(context.waker()));
                waiting.mail = Mail::Awaited(Some(waker.unwrap_or_else(|| context.waker().clone())));
                Poll::Pending
            }
        }
    }

    /// Leaves the packet to the line to be sent. Where that fails, it is heard as [`Heard::Gone`].
    pub(super) fn send(&self, packet: Box<[u8]>) {
        self.line.unsent.push((self.identifier, packet));
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
        matches!(self.line.carrier, Carrier::Tls)
    }

    /// The line.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // What nobody waits for any more need not be sent.
        self.line.unsent.items().retain(|(identifier, _)| *identifier != self.identifier);
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
