//! One client's connection and its own directory connection: what is no bind passes untouched, both ways.
//!
//! ```text
//! client ── read ─▶ session judges ─▶ written in one go ──▶ directory
//!        ◀── written in one go ── heads are looked at ◀── read ──
//! ```
//!
//! One task serves both directions, without a channel and without a buffer of its own while nothing is under way:
//! octets are read into a buffer of the thread and leave from there. What the other side does not take is kept, and
//! nothing more is read until it is gone: a slow reader stalls only itself. A message that is larger than the
//! buffer passes in pieces.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::message::{Head, Nesting};
use super::pool::Wire;
use super::result::code;
use super::session::{Session, notice};
use super::shed::Cause;
use crate::config::{LdapClient, ServerUrl};
use crate::primary::directory::Directory;
use crate::primary::{Fault, Primary};
use crate::signin::reception::SignIns;
use crate::signin::standing::StandKey;

use binding::BindEnd;
use outbox::Outbox;
use wiped::take_out;

mod binding;
mod down;
mod outbox;
mod own;
mod up;
mod wiped;

/// Octets that are read at once. One buffer a thread.
const CHUNK: usize = 64 * 1024;
/// A request up to this long is judged whole; a longer one that is no bind passes in pieces.
const WHOLE: usize = 32 * 1024;
/// Octets of a longer one that must be there before it is judged.
const PEEK: usize = 64;
/// An entry of the rootDSE, or an answer to a bind, in octets.
const LONGEST_EDITED: usize = 1024 * 1024;
/// Buffers that grew beyond this are given back when they are empty.
const KEPT: usize = 4 * 1024;
/// How long a bind waits for what is outstanding before it is abandoned.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a directory may take to give a connection to an operation that is no bind.
const CONNECT: Duration = Duration::from_secs(10);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// A directory behind the door.
pub trait Behind: Primary {
    /// A connection of its own, not bound, to a server that is not among those that were asked already; it is added
    /// to them.
    fn connect<'a>(
        &'a self,
        asked: &'a mut Vec<ServerUrl>,
        deadline: std::time::Instant,
    ) -> BoxFuture<'a, Result<Box<dyn Wire>, Fault>>;

    /// How long a server may take to answer a bind; none: as long as the client waits.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// A server did not answer a bind in time: whether it is still there is to be found out.
    fn unanswered(&self) {}
}

impl Behind for Directory {
    fn connect<'a>(
        &'a self,
        asked: &'a mut Vec<ServerUrl>,
        deadline: std::time::Instant,
    ) -> BoxFuture<'a, Result<Box<dyn Wire>, Fault>> {
        Box::pin(Directory::connect(self, asked, deadline))
    }

    fn patience(&self) -> Option<Duration> {
        Some(Directory::patience(self))
    }

    fn unanswered(&self) {
        Directory::unanswered(self);
    }
}

/// What all connections share.
pub struct Surroundings {
    /// Where binds become sign-ins.
    pub sign_ins: Arc<SignIns>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Why the relay stops for a moment, or for good.
#[derive(Debug)]
pub enum Event {
    /// The handshake is due.
    StartTls,
    /// Close, after these last words, if any.
    End(Option<Vec<u8>>),
    /// Close, as something was overstepped.
    Shed(Cause),
}

/// What is under way besides the two streams.
enum Work {
    Connect(BoxFuture<'static, Result<Box<dyn Wire>, Fault>>),
    Bind(BoxFuture<'static, BindEnd>),
}

/// One client's connection.
pub struct Link {
    surroundings: Arc<Surroundings>,
    config: Arc<LdapClient>,
    behind: Arc<dyn Behind>,
    source: IpAddr,
    client: Box<dyn Wire>,
    directory: Option<Box<dyn Wire>>,
    session: Session,
    /// What has come and cannot be served yet.
    from_client: Zeroizing<Vec<u8>>,
    /// Whole requests at the front of it that wait for the bind under way.
    waiting: usize,
    from_directory: Vec<u8>,
    to_client: Outbox,
    to_directory: Outbox,
    /// Octets of a large message that have yet to pass.
    passing_up: usize,
    passing_down: usize,
    /// What has been seen of the one that passes up.
    nesting: Option<Box<Nesting>>,
    work: Option<Work>,
    /// What lets the relayed bind of a program stand for a sign-in.
    standing: Option<StandKey>,
    /// The mechanism of the relayed SASL bind under way.
    mechanism: Option<Box<str>>,
    /// StartTLS was answered; its answer has yet to leave.
    start_tls: bool,
    /// What passes is no LDAP any more: a SASL layer.
    opaque: bool,
    /// Nothing new begins, as the server is stopping.
    stopping: bool,
    /// When something came last.
    last: Instant,
    /// Since when the client owes the rest of a request; from the start, the first one.
    owed: Option<Instant>,
    /// Since when a bind waits for what is outstanding.
    draining: Option<Instant>,
}

type Moved = Result<bool, Event>;

impl Link {
    /// A connection of this client, on which nothing has been said yet.
    pub fn new(
        surroundings: Arc<Surroundings>,
        config: Arc<LdapClient>,
        behind: Arc<dyn Behind>,
        source: IpAddr,
        client: Box<dyn Wire>,
        session: Session,
    ) -> Self {
        Link {
            surroundings,
            config,
            behind,
            source,
            client,
            directory: None,
            session,
            from_client: Zeroizing::default(),
            waiting: 0,
            from_directory: Vec::new(),
            to_client: Outbox::default(),
            to_directory: Outbox::wiping(),
            passing_up: 0,
            passing_down: 0,
            nesting: None,
            work: None,
            standing: None,
            mechanism: None,
            start_tls: false,
            opaque: false,
            stopping: false,
            last: Instant::now(),
            owed: Some(Instant::now()),
            draining: None,
        }
    }

    /// Whose connection it is: address, and the client's name.
    pub fn who(&self) -> (IpAddr, &str) {
        (self.source, &self.config.client.name)
    }

    /// Does all that can be done now. Ready when something else is due.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        loop {
            let moved = self.poll_work(context).and_then(|work| {
                let up = self.poll_up(context)?;
                let down = self.poll_down(context)?;
                Ok(work || up || down)
            });
            match moved {
                Ok(true) => {}
                Ok(false) => break,
                Err(event) => return Poll::Ready(event),
            }
        }
        if self.start_tls && self.to_client.is_empty() {
            return Poll::Ready(Event::StartTls);
        }
        let is_done = self.session.is_idle() && self.work.is_none() && self.to_client.is_empty();
        if self.stopping && is_done && !self.is_amid_a_message() {
            return Poll::Ready(Event::End(self.farewell()));
        }
        Poll::Pending
    }

    /// What the client hears at last where the server stops; nothing in the middle of a message, where it would be taken for
    /// a part of it.
    pub fn farewell(&self) -> Option<Vec<u8>> {
        (!self.is_amid_a_message()).then(|| notice(code::UNAVAILABLE, "the server is stopping"))
    }

    fn is_amid_a_message(&self) -> bool {
        self.passing_down > 0
    }

    /// Takes nothing new from now on; what is held or outstanding is finished.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The time at which to look at this connection at the latest, though nothing may have come.
    pub fn next_look(&self) -> Instant {
        let limits = self.session.limits();
        let mut next = self.last + limits.idle;
        if let Some(since) = self.owed {
            next = next.min(since + limits.first_message_within);
        }
        if let Some(since) = self.draining {
            next = next.min(since + DRAIN);
        }
        for blocked in [self.to_client.blocked(), self.to_directory.blocked()].into_iter().flatten() {
            next = next.min(blocked + limits.send_within);
        }
        next
    }

    /// Looks at the time: what has waited too long ends.
    pub fn look(&mut self, now: Instant) -> Option<Event> {
        let limits = *self.session.limits();
        let slow = |outbox: &Outbox| outbox.blocked().is_some_and(|since| now >= since + limits.send_within);
        if slow(&self.to_client) || slow(&self.to_directory) {
            return Some(Event::Shed(Cause::SendWithin));
        }
        if self.draining.is_some_and(|since| now >= since + DRAIN) {
            // RFC 4511 section 4.2.1 lets a server abandon what is outstanding when a bind comes.
            self.drop_directory();
            return None;
        }
        if self.owed.is_some_and(|since| now >= since + limits.first_message_within) {
            return Some(Event::Shed(Cause::FirstMessage));
        }
        let silent = now.saturating_duration_since(self.last);
        if silent >= limits.idle && self.session.is_idle() && self.work.is_none() {
            // Without a word, as directories do: a library that connects again by itself takes a notice for an error.
            return Some(Event::End(None));
        }
        if silent >= limits.idle {
            self.last = now;
        }
        None
    }

    /// Takes the stream for the handshake of StartTLS. `None` when octets in the clear are behind the request, which
    /// must not be taken for a part of the protected session.
    pub fn take_client(&mut self) -> Option<Box<dyn Wire>> {
        self.start_tls = false;
        if !self.from_client.is_empty() {
            return None;
        }
        Some(std::mem::replace(&mut self.client, Box::new(tokio::io::empty())))
    }

    /// Puts the protected stream in its place.
    pub fn protected(&mut self, client: Box<dyn Wire>) {
        self.client = client;
        self.session.protected();
    }

    /// Sends what is left, and the last words.
    pub async fn finish(mut self, last_words: Option<Vec<u8>>) {
        use tokio::io::AsyncWriteExt;
        // A bind that is held ends here: its prompt is cancelled.
        self.work = None;
        let rest = self.to_client.take();
        let sent = async {
            self.client.write_all(&rest).await?;
            // Behind a SASL layer nobody would understand them.
            let last_words = last_words.filter(|_| !self.opaque);
            self.client.write_all(&last_words.unwrap_or_default()).await?;
            self.client.shutdown().await
        };
        // Whoever does not take it in time has gone.
        let _ = tokio::time::timeout(Duration::from_secs(1), sent).await;
    }

    fn poll_work(&mut self, context: &mut Context<'_>) -> Moved {
        match &mut self.work {
            None => {
                let due = self.draining.is_some() && self.session.is_drained();
                if !due {
                    return Ok(false);
                }
                self.draining = None;
            }
            Some(Work::Connect(connecting)) => match connecting.as_mut().poll(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(wire)) => (self.work, self.directory) = (None, Some(wire)),
                Poll::Ready(Err(fault)) => {
                    self.work = None;
                    tracing::warn!(client = self.config.client.name, ?fault, "no connection to the directory");
                    self.unserved(code::UNAVAILABLE, "the directory cannot be reached");
                }
            },
            Some(Work::Bind(binding)) => match binding.as_mut().poll(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(end) => {
                    self.work = None;
                    self.session.bound(end.directory.is_some());
                    self.directory = end.directory;
                    self.to_client.push(&end.answer);
                }
            },
        }
        self.serve_waiting(context)
    }

    /// Serves what has come in the meantime.
    fn serve_waiting(&mut self, context: &mut Context<'_>) -> Moved {
        self.waiting = 0;
        let mut kept = std::mem::take(&mut self.from_client);
        let consumed = self.serve(&kept, context);
        consumed.map(|consumed| {
            take_out(&mut kept, 0..consumed);
            if !(kept.is_empty() && kept.capacity() > KEPT) {
                self.from_client = kept;
            }
            self.scan_waiting()
        })??;
        Ok(true)
    }

    /// Answers the first request that waits, as it cannot be served.
    fn unserved(&mut self, code: u32, text: &str) {
        let Ok(Some(head)) = Head::read(&self.from_client, usize::MAX) else { return };
        if let Some(answer) = Session::unserved(&head, code, text) {
            self.to_client.push(&answer);
        }
        let there = head.length.min(self.from_client.len());
        take_out(&mut self.from_client, 0..there);
    }

    fn drop_directory(&mut self) {
        self.directory = None;
        self.to_directory = Outbox::wiping();
        self.from_directory = Vec::new();
        self.passing_down = 0;
        self.session.lost_directory();
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("client", &self.config.client.name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

fn garbled() -> Event {
    Event::End(Some(notice(code::UNAVAILABLE, "the directory's answer makes no sense")))
}
