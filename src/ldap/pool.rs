//! The connections to the servers of one directory.
//!
//! ```text
//! Pool ─ Server ─┬ lane of binds     people's passwords are tried on these
//!                └ lane of lookups   bound as the service account
//! ```
//!
//! A connection for binds is checked out by one task, which writes and reads itself, and comes back when its
//! operation ended well; otherwise it is closed. A server that cannot be reached or does not answer is *down*: nobody
//! waits for it any more, and one task a server probes it until it is back. Where another server is up,
//! nobody waits longer than [`PATIENCE`] for one to connect or to answer a search.
//!
//! A search is asked again elsewhere as often as there are servers. A bind is not: once its request has left
//! as a whole it may have been counted as a bad password. The exception is an answer that says that the server
//! has not looked at the password; then each other server is asked once.
//!
//! `pages` reads what is too long to be held.
//!
//! `connection` is one connection, `lookups` those that are shared, `server` their place, `making` where they
//! come from, `health` what becomes of servers that are away, `trouble` what goes wrong.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::warn;

pub use connection::{BindAnswer, Connection, Wire, tls_connector};
pub use pages::{Batch, Finished, PagedSearch, Paging};
use server::Server;
pub use trouble::{ConnectError, Trouble};

use super::result::code;
use super::search::{Entry, SearchRequest};
use crate::config::ServerUrl;
use crate::primary::Fault;
use crate::secret::Secret;

mod connection;
mod health;
mod lookups;
mod making;
mod pages;
mod server;
mod spare;
mod trouble;

/// How long one server is waited for while another is up.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What a pool must know of its directory.
#[derive(Debug)]
pub struct Settings {
    /// Name of the target, for the log.
    pub target: String,
    /// The service account.
    pub service_name: String,
    /// Its password.
    pub service_password: Secret,
    /// Time for one connection to be made, TLS and service bind included.
    pub connect_timeout: Duration,
    /// Time for one operation.
    pub timeout: Duration,
    /// Connections of one lane of one server, at most.
    pub connections: usize,
}

/// Why one server did not do it.
enum Miss {
    /// Nobody can wait any longer.
    Deadline,
    /// Cannot be reached, does not answer, or is down.
    Away,
    /// Was given up before its time because another one is up.
    Impatience,
    /// Refused the service account, or does not want to.
    Refused(u32),
    /// The connection failed.
    Trouble(Trouble),
}

/// When to stop waiting.
#[derive(Clone, Copy)]
struct Limits {
    deadline: Instant,
    patient: bool,
}

/// The connections to the servers of one directory.
pub struct Pool {
    settings: Settings,
    tls: TlsConnector,
    servers: ArcSwap<Vec<Arc<Server>>>,
    probed: Notify,
    /// Until when the service account is not tried, and the code it was refused with.
    service_pause: Mutex<Option<(Instant, u32)>>,
    /// Held by who tries the service account while it is not known to be right: one wrong try, not one a
    /// connection.
    service_trial: tokio::sync::Mutex<()>,
    service_proven: AtomicBool,
    /// Connections for the LDAP door, of which each client gets one of its own.
    spares: spare::Spares,
    swept: AtomicBool,
    this: Weak<Pool>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool without any connection yet.
    pub fn new(settings: Settings, tls: TlsConnector, servers: Vec<ServerUrl>) -> Arc<Self> {
        let pool = Arc::new_cyclic(|this| Pool {
            settings,
            tls,
            servers: ArcSwap::default(),
            probed: Notify::new(),
            service_pause: Mutex::new(None),
            service_trial: tokio::sync::Mutex::new(()),
            service_proven: AtomicBool::new(false),
            spares: spare::Spares::default(),
            swept: AtomicBool::new(false),
            this: Weak::clone(this),
        });
        pool.set_servers(servers);
        pool
    }

    /// Replaces the list of servers; what is known of those that stay is kept.
    pub fn set_servers(&self, urls: Vec<ServerUrl>) {
        let known = self.servers.load();
        let servers = urls.into_iter().map(|url| {
            let known = known.iter().find(|server| server.url == url).map(Arc::clone);
            known.unwrap_or_else(|| Arc::new(Server::new(url, self.settings.connections)))
        });
        self.servers.store(Arc::new(servers.collect()));
    }

    /// Searches as the service account, on the first server that answers.
    ///
    /// # Errors
    /// [`Fault`] when none did.
    pub async fn search<T>(
        &self,
        request: &SearchRequest<'_>,
        deadline: std::time::Instant,
        read: impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), Fault> {
        let deadline = Instant::from_std(deadline);
        let mut last = Fault::Unreachable;
        for round in 0..2 {
            let servers = self.servers.load_full();
            let mut wait = !servers.iter().any(|server| server.is_up());
            for server in servers.iter().filter(|server| server.is_up()) {
                let limits = Limits { deadline, patient: !another_is_up(&servers, server) };
                match self.search_on(server, request, limits, &read).await {
                    Ok((code, _)) if elsewhere(code) => last = Fault::Refused { code },
                    Ok(found) => return Ok(found),
                    Err(Miss::Deadline) => return Err(Fault::Deadline),
                    Err(Miss::Impatience) => wait = true,
                    Err(miss) => last = fault(&miss, last),
                }
            }
            if !wait || round > 0 || !self.some_server_is_back(&servers, deadline).await {
                break;
            }
        }
        Err(if Instant::now() >= deadline { Fault::Deadline } else { last })
    }

    /// Tries a password, on the first server that takes the question.
    ///
    /// # Errors
    /// [`Fault`] when none answered. The password may have been checked nevertheless.
    pub async fn bind(
        &self,
        name: &[u8],
        password: &Secret,
        deadline: std::time::Instant,
    ) -> Result<BindAnswer, Fault> {
        let deadline = Instant::from_std(deadline);
        let mut last = Fault::Unreachable;
        let mut unwilling: Vec<Arc<Server>> = Vec::new();
        for round in 0..2 {
            let servers = self.servers.load_full();
            let mut wait = !servers.iter().any(|server| server.is_up());
            for server in servers.iter().filter(|server| server.is_up()) {
                if unwilling.iter().any(|asked| Arc::ptr_eq(asked, server)) {
                    continue;
                }
                let limits = Limits { deadline, patient: !another_is_up(&servers, server) };
                match self.bind_on(server, name, password, limits).await {
                    Ok(answer) if elsewhere(answer.code) => {
                        last = Fault::Refused { code: answer.code };
                        unwilling.push(Arc::clone(server));
                    }
                    Ok(answer) => return Ok(answer),
                    Err((Miss::Deadline, _)) => return Err(Fault::Deadline),
                    Err((miss, true)) => return Err(fault(&miss, Fault::Unanswered)),
                    Err((Miss::Impatience, false)) => wait = true,
                    Err((miss, false)) => last = fault(&miss, last),
                }
            }
            if !wait || round > 0 || !self.some_server_is_back(&servers, deadline).await {
                break;
            }
        }
        Err(if Instant::now() >= deadline { Fault::Deadline } else { last })
    }

    async fn search_on<T>(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest<'_>,
        limits: Limits,
        read: &impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), Miss> {
        let mut again = false;
        loop {
            let (lookup, shared, _permit) = self.seat(server, limits).await?;
            let most = if limits.patient { self.settings.timeout } else { self.settings.timeout.min(PATIENCE) };
            let until = (Instant::now() + most).min(limits.deadline);
            match timeout_at(until, lookup.search(request, read)).await {
                Ok(Ok(found)) => return Ok(found),
                // The server closed the connection: it was idle for long, or another one's answer broke it.
                Ok(Err(Trouble::NotSent(_) | Trouble::Closed)) if shared && !again => again = true,
                Ok(Err(trouble)) => {
                    self.complain(server, &trouble);
                    return Err(Miss::Trouble(trouble));
                }
                Err(_) => return Err(self.late(server, until, limits, most)),
            }
        }
    }

    /// The flag of an error: whether the request left as a whole.
    async fn bind_on(
        &self,
        server: &Arc<Server>,
        name: &[u8],
        password: &Secret,
        limits: Limits,
    ) -> Result<BindAnswer, (Miss, bool)> {
        let mut fresh = false;
        loop {
            let mut checkout = self.checkout(server, fresh, limits).await.map_err(|miss| (miss, false))?;
            let Some(connection) = checkout.connection.as_mut() else { return Err((Miss::Away, false)) };
            let most = self.settings.timeout;
            let until = (Instant::now() + most).min(limits.deadline);
            match timeout_at(until, connection.bind(name, password.open())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Trouble::NotSent(_))) if checkout.reused && !fresh => {
                    server.bind.clear();
                    fresh = true;
                }
                Ok(Err(trouble)) => {
                    self.complain(server, &trouble);
                    let sent = !matches!(trouble, Trouble::NotSent(_));
                    return Err((Miss::Trouble(trouble), sent));
                }
                Err(_) => return Err((self.late(server, until, limits, most), true)),
            }
        }
    }

    fn complain(&self, server: &Server, trouble: &Trouble) {
        warn!(target_name = %self.settings.target, server = %server.url.host, port = server.url.port, %trouble,
            "a directory operation failed");
    }

    /// Whether any server is known.
    pub fn has_servers(&self) -> bool {
        !self.servers.load().is_empty()
    }

    /// The servers as they are now.
    pub fn urls(&self) -> Vec<ServerUrl> {
        self.servers.load().iter().map(|server| server.url.clone()).collect()
    }

    /// The servers as they are now, and whether each answered when it was last asked.
    pub fn states(&self) -> Vec<(ServerUrl, bool)> {
        self.servers.load().iter().map(|server| (server.url.clone(), server.is_up())).collect()
    }

    /// A connection of its own to one server, outside the lanes, not bound yet: for `anteroom check`.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    pub async fn open(&self, url: &ServerUrl) -> Result<Connection, String> {
        match tokio::time::timeout(self.settings.connect_timeout, Connection::open(url, &self.tls)).await {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "no connection within {:?}; check address, port and firewall",
                self.settings.connect_timeout
            )),
        }
    }

    /// What the pool was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn another_is_up(servers: &[Arc<Server>], server: &Arc<Server>) -> bool {
    servers.iter().any(|other| !Arc::ptr_eq(other, server) && other.is_up())
}

/// Result codes of a server that cannot or does not want to, where another one may. With none of them has a
/// password been looked at.
pub fn elsewhere(code: u32) -> bool {
    matches!(code, code::REFERRAL | code::BUSY | code::UNAVAILABLE | code::UNWILLING_TO_PERFORM)
}

/// What a miss means to the caller. A server that answered says more than one that did not.
fn fault(miss: &Miss, last: Fault) -> Fault {
    match miss {
        Miss::Deadline => Fault::Deadline,
        Miss::Away | Miss::Impatience | Miss::Trouble(Trouble::NotSent(_) | Trouble::Closed) => last,
        Miss::Refused(code) => Fault::Refused { code: *code },
        Miss::Trouble(_) => Fault::Garbled,
    }
}
