//! One server of a target: its lines, and whether it is thought alive.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::line::{Drops, Heard, Line, Taken};
use super::random::Random;
use super::secure::{Secure, keep};
use super::{Question, Settings, now};
use crate::radius::authenticator::{Authentic, ClientKey};
use crate::radius::client::Request;
use crate::radius::packet::Authenticator;

/// Why a server did not reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It was asked and did not answer.
    Silent,
    /// Nobody listens there.
    Gone,
    /// No identifier is free.
    Full,
    /// The packet cannot be made.
    TooLong,
}

/// Where it is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Udp(SocketAddr),
    Tls(Arc<Secure>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Udp(address) => address.fmt(f),
            Place::Tls(secure) => secure.fmt(f),
        }
    }
}

/// What is known of its health.
#[derive(Debug, Default)]
struct Health {
    /// Until when others are preferred.
    dead_until: Option<Instant>,
    /// When it last answered anything.
    answered: Option<Instant>,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    place: Place,
    key: Arc<ClientKey>,
    settings: Arc<Settings>,
    lines: Mutex<Vec<(Arc<Line>, AbortHandle)>>,
    next: AtomicUsize,
    random: Mutex<Random>,
    health: Mutex<Health>,
    probing: AtomicBool,
    drops: Arc<Drops>,
}

impl Server {
    pub(super) fn new(place: Place, key: Arc<ClientKey>, settings: Arc<Settings>) -> Self {
        Server {
            place,
            key,
            settings,
            lines: Mutex::default(),
            next: AtomicUsize::new(0),
            random: Mutex::default(),
            health: Mutex::default(),
            probing: AtomicBool::new(false),
            drops: Arc::default(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn drops(&self) -> &Drops {
        &self.drops
    }

    pub(super) fn outstanding(&self) -> usize {
        self.lines().iter().map(|(line, _)| line.busy()).sum()
    }

    /// Whether others are preferred for now.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.health().dead_until.is_some_and(|until| now < until)
    }

    /// Asks and waits until the question's end at most. The `last` server is waited for even where nobody seems to listen:
    /// it may be restarting.
    pub(super) fn ask<'a>(
        self: &'a Arc<Self>,
        question: &'a Question<'a>,
        last: bool,
    ) -> impl Future<Output = Result<(Authenticator, Authentic), Unasked>> + Send + use<'a> {
        let began = now();
        async move {
            loop {
                match self.ask_once(question).await {
                    Err(Unasked::Gone) => self.silent_since(began),
                    Err(Unasked::Silent) => {
                        self.silent_since(began);
                        return Err(Unasked::Silent);
                    }
                    other => return other,
                }
                let again = now() + self.settings.timeout;
                if !last || again >= question.end {
                    return Err(Unasked::Gone);
                }
                // Seldom, so it is on the heap and nobody else has room for it.
                Box::pin(tokio::time::sleep_until(again.into())).await;
            }
        }
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
    fn ask_once<'a>(
        self: &'a Arc<Self>,
        question: &'a Question<'a>,
    ) -> impl Future<Output = Result<(Authenticator, Authentic), Unasked>> + Send + use<'a> {
        async move {
            let (mut authenticator, mut taken) = self.take(self.settings.requires_signature)?;
            let packet = (question.make)(taken.identifier, &authenticator).map_err(|_| Unasked::TooLong)?;
            // An Accounting-Request has made its own (RFC 2866 section 3).
            let made = packet.get(4..20).and_then(|octets| Authenticator::try_from(octets).ok());
            if let Some(made) = made.filter(|made| *made != authenticator) {
                taken.expect(made);
                authenticator = made;
            }
            let reply = self.repeat(&mut taken, packet.into(), question.end).await?;
            self.answered();
            Ok((authenticator, reply))
        }
    }

    /// How often a packet is sent over a line, and how long each is waited for.
    fn tries(&self, taken: &Taken) -> (u32, Duration) {
        let Settings { tries, timeout, .. } = *self.settings;
        let tries = tries.max(1);
        if taken.is_reliable() { (1, timeout.saturating_mul(tries)) } else { (tries, timeout) }
    }

    /// Sends, and again, until a reply comes or the time is up.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
    fn repeat<'a>(
        &'a self,
        taken: &'a mut Taken,
        mut packet: Box<[u8]>,
        end: Instant,
    ) -> impl Future<Output = Result<Authentic, Unasked>> + Send + use<'a> {
        async move {
            let heard = taken.line().heard();
            let mut sent = 0;
            loop {
                let (tries, each) = self.tries(taken);
                // Kept for as long as it may be sent again.
                let is_last = sent + 1 >= tries;
                taken.send(if is_last { std::mem::take(&mut packet) } else { packet.clone() });
                let until = end.min(now() + each);
                match tokio::time::timeout_at(until.into(), taken.heard()).await {
                    Ok(Heard::Reply(reply)) => return Ok(reply),
                    Ok(Heard::Lost) => return Err(Unasked::Silent),
                    // What was sent before the port closed may have been worked on.
                    Ok(Heard::Gone) => return Err(if sent == 0 { Unasked::Gone } else { Unasked::Silent }),
                    Err(_) => {}
                }
                sent += 1;
                if sent >= self.tries(taken).0 || now() >= end {
                    break;
                }
            }
            if taken.is_reliable() && taken.line().heard() == heard {
                // Nobody has had an answer meanwhile: the other side may be gone without a word.
                taken.line().retire();
            }
            Err(Unasked::Silent)
        }
    }

    /// How long it takes to answer a Status-Server, if it does.
    pub(super) async fn status(self: &Arc<Self>) -> Option<Duration> {
        let began = now();
        // Some sign nothing here (FreeRADIUS 3.2.1). Who could forge it could at most bring us to ask a dead server.
        let (authenticator, mut taken) = self.take(false).ok()?;
        let packet = Request::status().encode(taken.identifier, &authenticator, &self.key).ok()?;
        let end = began + self.settings.timeout.saturating_mul(2);
        self.repeat(&mut taken, packet.into(), end).await.ok()?;
        self.answered();
        Some(now().saturating_duration_since(began))
    }

    /// An identifier of a line that has one, a new line where none has.
    fn take(&self, requires_signature: bool) -> Result<(Authenticator, Taken), Unasked> {
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).authenticator();
        let authenticator = random.map_err(|error| {
            tracing::error!(%error, "no random octets from the kernel");
            Unasked::Gone
        })?;
        let mut lines = self.lines();
        lines.retain(|(line, _)| !line.is_retired());
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = lines.len();
        for turn in 0..count {
            let Some((line, _)) = lines.get((first.wrapping_add(turn)) % count) else { continue };
            if let Some(taken) = line.take(authenticator, requires_signature) {
                return Ok((authenticator, taken));
            }
        }
        if count >= self.settings.sockets {
            return Err(Unasked::Full);
        }
        let (line, reader) = self.open()?;
        let taken = line.take(authenticator, requires_signature).ok_or(Unasked::Full)?;
        lines.push((line, reader));
        Ok((authenticator, taken))
    }

    /// A new line, and the task that reads it.
    fn open(&self) -> Result<(Arc<Line>, AbortHandle), Unasked> {
        let (key, drops) = (Arc::clone(&self.key), Arc::clone(&self.drops));
        Ok(match &self.place {
            Place::Udp(address) => {
                let line = Line::open(*address).map(Arc::new).map_err(|error| {
                    tracing::warn!(%error, server = %self.place, "no socket to a RADIUS target");
                    Unasked::Gone
                })?;
                (Arc::clone(&line), tokio::spawn(Line::serve(line, key, drops)).abort_handle())
            }
            Place::Tls(secure) => {
                if secure.rests(now()) {
                    return Err(Unasked::Gone);
                }
                let line = Arc::new(Line::connecting());
                let keeping = keep(Arc::clone(&line), Arc::clone(secure), key, drops);
                (line, tokio::spawn(keeping).abort_handle())
            }
        })
    }

    fn answered(&self) {
        let was_dead = {
            let mut health = self.health();
            health.answered = Some(now());
            health.dead_until.take().is_some()
        };
        if was_dead {
            tracing::info!(target_name = self.settings.target, server = %self.place, "RADIUS server answers again");
        }
    }

    /// A request that began then ran out of tries. A server that has answered another one since is alive, and this
    /// one request is its own affair.
    fn silent_since(self: &Arc<Self>, began: Instant) {
        let now = now();
        {
            let mut health = self.health();
            if health.answered.is_some_and(|answered| answered >= began) {
                return;
            }
            let was_alive = health.dead_until.is_none_or(|until| until <= now);
            health.dead_until = now.checked_add(self.settings.dead_for);
            if !was_alive {
                return;
            }
        }
        tracing::warn!(target_name = self.settings.target, server = %self.place, "RADIUS server does not answer");
        if let Some(every) = self.settings.probe
            && !self.probing.swap(true, Ordering::AcqRel)
        {
            tokio::spawn(probe(Arc::downgrade(self), every));
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(Arc<Line>, AbortHandle)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a dead server for its status until it is not dead any more.
async fn probe(server: Weak<Server>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(server) = server.upgrade() else { return };
        if server.is_dead(now()) {
            // An answer brings it back to life.
            let _took = server.status().await;
        }
        if !server.is_dead(now()) {
            server.probing.store(false, Ordering::Release);
            return;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lines().iter().for_each(|(_, reader)| reader.abort());
    }
}
