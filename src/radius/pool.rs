//! Requests to RADIUS servers: sockets, identifiers, repetition, and who is asked next.
//!
//! ```text
//! Pool::ask ─ order (alive first) ─▶ Server::ask ─ an identifier of a Line ─ send, wait, send again ─▶ reply
//!                                  └ no answer: it is thought dead, the next server is asked
//! ```
//!
//! A line is a socket of its own, connected to one server, with 256 identifiers; lines are opened as they are needed, up to
//! a bound. One task reads each line; a request that waits is a future and one entry, no task. A reply is taken only
//! from its server's address, under an identifier that waits, with a right Response Authenticator and
//! Message-Authenticator; everything else is counted and dropped, and the request waits on.
//!
//! A server that let a request run out of tries is thought dead: others are preferred until it answers a
//! Status-Server (RFC 5997), or until it has been dead for so long that it is to be tried again.
//!
//! Over TLS (RFC 6614) a line is a connection, which is kept; what waits on one that breaks has not been answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::authenticator::{Authentic, ClientKey};
use super::client::RequestError;
use super::packet::Authenticator;
use crate::config::{Balance, RadiusServers, RadiusTarget};

mod line;
pub(in crate::radius) mod outgoing;
mod random;
mod secure;
pub(in crate::radius) mod segments;
mod server;

pub use line::{Dropped, Drops};
use secure::Secure;
use server::{Place, Server, Unasked};

/// How servers are asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The target's name, for the log.
    pub target: String,
    /// Which server is asked first.
    pub balance: Balance,
    /// From one sending to the next.
    pub timeout: Duration,
    /// How often a request is sent to one server.
    pub tries: u32,
    /// Whether replies without Message-Authenticator are dropped.
    pub requires_signature: bool,
    /// How often a server that is thought dead is probed.
    pub probe: Option<Duration>,
    /// When it gets a request again at the latest.
    pub dead_for: Duration,
    /// Lines to one server, at most.
    pub sockets: usize,
}

impl From<&RadiusTarget> for Settings {
    fn from(target: &RadiusTarget) -> Self {
        Settings {
            target: target.name.clone(),
            balance: target.balance,
            timeout: target.timeout,
            tries: target.tries,
            requires_signature: target.requires_signature,
            probe: target.probe,
            dead_for: target.dead_for,
            sockets: target.sockets,
        }
    }
}

/// An authentic reply.
#[derive(Debug)]
pub struct Replied {
    /// Which server it came from, as a position in the target's list.
    pub server: usize,
    /// The packet: verified against `request`.
    pub packet: Authentic,
    /// The authenticator of what was asked.
    pub request: Authenticator,
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// Servers were asked and did not answer: the credential may have been checked and counted.
    Unanswered,
    /// No server could be asked at all.
    Unreachable,
    /// Every identifier of every line is in use.
    Full,
    /// The request does not fit into a packet.
    TooLong,
}

/// What a server says to Status-Server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The server.
    pub server: String,
    /// How long its answer took; nothing where none came in time.
    pub took: Option<Duration>,
    /// An answer came that is not authentic.
    pub forged: bool,
}

/// Makes the packet under a given identifier and authenticator.
pub type Make<'a> = &'a (dyn Fn(u8, &Authenticator) -> Result<Vec<u8>, RequestError> + Sync);

/// What one server is asked, and until when.
struct Question<'a> {
    make: Make<'a>,
    end: Instant,
}

/// The servers of one target.
#[derive(Debug)]
pub struct Pool {
    settings: Arc<Settings>,
    servers: Vec<Arc<Server>>,
    next: AtomicUsize,
}

impl Pool {
    /// Opens nothing yet. All servers share `key`.
    pub fn new(settings: Settings, servers: &[SocketAddr], key: &Arc<ClientKey>) -> Pool {
        Self::with(settings, servers.iter().copied().map(Place::Udp), key)
    }

    /// The servers of a target. Opens nothing yet.
    ///
    /// # Errors
    /// What is wrong with a certificate, in words.
    pub fn of(target: &RadiusTarget, key: &Arc<ClientKey>) -> Result<Pool, String> {
        Self::servers(Settings::from(target), &target.servers, key)
    }

    /// The servers that a target's accounting goes to, which sign no acknowledgement (RFC 2866 section 5.13). As for
    /// [`Pool::of`].
    ///
    /// # Errors
    /// What is wrong with a certificate, in words.
    pub fn of_accounting(target: &RadiusTarget, key: &Arc<ClientKey>) -> Result<Pool, String> {
        Self::servers(Settings { requires_signature: false, ..Settings::from(target) }, &target.accounting, key)
    }

    fn servers(settings: Settings, servers: &RadiusServers, key: &Arc<ClientKey>) -> Result<Pool, String> {
        Ok(match servers {
            RadiusServers::Udp(servers) => Self::new(settings, servers, key),
            RadiusServers::Tls(over_tls) => {
                let places = Secure::each(over_tls, &settings)?.into_iter().map(|place| Place::Tls(Arc::new(place)));
                Self::with(settings, places, key)
            }
        })
    }

    fn with(settings: Settings, places: impl Iterator<Item = Place>, key: &Arc<ClientKey>) -> Pool {
        let settings = Arc::new(settings);
        let server = |place| Arc::new(Server::new(place, Arc::clone(key), Arc::clone(&settings)));
        Pool { servers: places.map(server).collect(), settings, next: AtomicUsize::new(0) }
    }

    /// Asks the servers in their order, or the `only` one, until one replies or the time is up. Each gets as much of the
    /// time that is left as leaves the others a share.
    ///
    /// # Errors
    /// [`NoReply`].
    pub fn ask<'a>(
        &'a self,
        only: Option<usize>,
        make: Make<'a>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Replied, NoReply>> + Send + use<'a> {
        let mut order = self.order(only);
        order.reverse();
        async move {
            let (mut asked, mut full) = (false, false);
            while let Some(index) = order.pop() {
                let Some(server) = self.servers.get(index) else { continue };
                let now = now();
                let left = deadline.saturating_duration_since(now);
                if left.is_zero() {
                    break;
                }
                let question = Question { make, end: now + self.share(left, order.len()) };
                match server.ask(&question, order.is_empty()).await {
                    Ok((request, packet)) => return Ok(Replied { server: index, packet, request }),
                    Err(Unasked::Silent) => asked = true,
                    Err(Unasked::Gone) => {}
                    Err(Unasked::Full) => full = true,
                    Err(Unasked::TooLong) => return Err(NoReply::TooLong),
                }
            }
            Err(match (asked, full) {
                (true, _) => NoReply::Unanswered,
                (false, true) => NoReply::Full,
                (false, false) => NoReply::Unreachable,
            })
        }
    }

    /// Which server is asked first now.
    pub fn first(&self) -> Option<usize> {
        self.order(None).first().copied()
    }

    /// How long one server may take when so many others wait for their turn.
    fn share(&self, left: Duration, others: usize) -> Duration {
        let whole = self.settings.timeout.saturating_mul(self.settings.tries);
        let fair = left / u32::try_from(others + 1).unwrap_or(u32::MAX);
        whole.min(fair.max(self.settings.timeout)).min(left)
    }

    /// The servers in the order in which they are asked: those that are thought dead last.
    fn order(&self, only: Option<usize>) -> Vec<usize> {
        if let Some(only) = only {
            return vec![only];
        }
        let count = self.servers.len();
        if count == 1 {
            return vec![0];
        }
        let first = match self.settings.balance {
            Balance::Ordered => 0,
            Balance::Spread => self.next.fetch_add(1, Ordering::Relaxed) % count.max(1),
        };
        let now = now();
        let mut order: Vec<usize> = (0..count).map(|turn| (first + turn) % count).collect();
        // Stable: the order among the living and among the dead stays.
        order.sort_by_key(|index| self.servers.get(*index).is_some_and(|server| server.is_dead(now)));
        order
    }

    /// Asks each server for its status (RFC 5997).
    pub async fn probe(&self) -> Vec<Probed> {
        let mut told = Vec::new();
        for server in &self.servers {
            let took = server.status().await;
            let forged = server.drops().count(Dropped::Forged) > 0;
            told.push(Probed { server: server.place().to_string(), took, forged });
        }
        told
    }

    /// Each server's address, and whether it is thought alive.
    pub fn states(&self) -> Vec<(String, bool)> {
        let now = now();
        self.servers.iter().map(|server| (server.place().to_string(), !server.is_dead(now))).collect()
    }

    /// Requests that wait for a reply now.
    pub fn outstanding(&self) -> usize {
        self.servers.iter().map(|server| server.outstanding()).sum()
    }

    /// How many datagrams were dropped since the start for this cause.
    pub fn dropped(&self, cause: Dropped) -> u64 {
        self.servers.iter().map(|server| server.drops().count(cause)).sum()
    }
}

/// The monotonic clock, which stands still in tests that pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
