//! The connections to the servers of one directory.
//!
//! ```text
//! Pool ─ Server ─┬ lane of binds     people's passwords are tried on these
//!                └ lane of lookups   bound as the service account
//! ```
//!
//! A connection is checked out by one task, which writes and reads itself, and comes back when its operation
//! ended well; otherwise it is closed. A server that cannot be reached or does not answer is *down*: nobody
//! waits for it any more, and one task a server probes it until it is back. Where another server is up,
//! nobody waits longer than [`PATIENCE`] for one to connect or to answer a search.
//!
//! A search is asked again elsewhere as often as there are servers. A bind is not: once its request has left
//! as a whole it may have been counted as a bad password.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::{debug, info, warn};

use super::connection::{BindAnswer, Connection, Trouble};
use super::result::{code, code_name};
use super::search::{Entry, Scope, SearchRequest};
use crate::config::ServerUrl;
use crate::primary::Fault;
use crate::secret::Secret;

/// How long one server is waited for while another is up.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// A connection that was idle for this long is closed. AD closes them after 900 s.
const IDLE: Duration = Duration::from_secs(120);
/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(15);
/// Connections to one server that are being made at once.
const CONNECTING: usize = 4;
/// Time between two probes of a server that is down: first, and at most.
const PROBE_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Time between two probes of a server that is down while somebody waits for it.
const PROBE_AT_LEAST: Duration = Duration::from_millis(100);
/// The service account is not tried again for this long after its password was refused: each try counts.
const SERVICE_PAUSE: Duration = Duration::from_secs(30);

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

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Bind,
    Lookup,
}

#[derive(Debug)]
struct Lane {
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Lane {
    fn new(connections: usize) -> Self {
        Lane { idle: Mutex::new(Vec::new()), permits: Semaphore::new(connections.max(1)) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self) {
        let connections = std::mem::take(&mut *self.idle());
        drop(connections);
    }
}

/// One server of a directory.
#[derive(Debug)]
struct Server {
    url: ServerUrl,
    bind: Lane,
    lookup: Lane,
    connecting: Semaphore,
    down: AtomicBool,
    went_down: Notify,
    probe_now: Notify,
    failed_probes: AtomicU64,
}

impl Server {
    fn new(url: ServerUrl, connections: usize) -> Self {
        Server {
            url,
            bind: Lane::new(connections),
            lookup: Lane::new(connections),
            connecting: Semaphore::new(CONNECTING),
            down: AtomicBool::new(false),
            went_down: Notify::new(),
            probe_now: Notify::new(),
            failed_probes: AtomicU64::new(0),
        }
    }

    fn lane(&self, role: Role) -> &Lane {
        match role {
            Role::Bind => &self.bind,
            Role::Lookup => &self.lookup,
        }
    }

    fn is_up(&self) -> bool {
        !self.down.load(Ordering::Acquire)
    }
}

/// A connection in use. Goes back to its lane when dropped, unless its operation did not end well.
struct Checkout<'a> {
    connection: Option<Connection>,
    reused: bool,
    server: &'a Server,
    role: Role,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && !connection.is_busy()
            && self.server.is_up()
        {
            connection.rest(Instant::now());
            self.server.lane(self.role).idle().push(connection);
        }
    }
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
    service_pause: Mutex<Option<(Instant, u32)>>,
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
        for round in 0..2 {
            let servers = self.servers.load_full();
            let mut wait = !servers.iter().any(|server| server.is_up());
            for server in servers.iter().filter(|server| server.is_up()) {
                let limits = Limits { deadline, patient: !another_is_up(&servers, server) };
                match self.bind_on(server, name, password, limits).await {
                    // The server did not look at the password.
                    Ok(answer) if elsewhere(answer.code) => last = Fault::Refused { code: answer.code },
                    Ok(answer) => return Ok(answer),
                    Err((Miss::Deadline, _)) => return Err(Fault::Deadline),
                    Err((miss, true)) => return Err(fault(&miss, Fault::Unreachable)),
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
        let mut fresh = false;
        loop {
            let mut checkout = self.checkout(server, Role::Lookup, fresh, limits).await?;
            let Some(connection) = checkout.connection.as_mut() else { return Err(Miss::Away) };
            let most = if limits.patient { self.settings.timeout } else { self.settings.timeout.min(PATIENCE) };
            let until = (Instant::now() + most).min(limits.deadline);
            match timeout_at(until, connection.search(request, read)).await {
                Ok(Ok(found)) => return Ok(found),
                // An idle connection that the server had closed in the meantime.
                Ok(Err(Trouble::NotSent(_) | Trouble::Closed)) if checkout.reused && !fresh => {
                    server.lookup.clear();
                    fresh = true;
                }
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
            let mut checkout = self.checkout(server, Role::Bind, fresh, limits).await.map_err(|miss| (miss, false))?;
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

    /// Takes an idle connection, or makes one.
    async fn checkout<'a>(
        &self,
        server: &'a Arc<Server>,
        role: Role,
        fresh: bool,
        limits: Limits,
    ) -> Result<Checkout<'a>, Miss> {
        let lane = server.lane(role);
        let permit = match lane.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::select! {
                permit = lane.permits.acquire() => permit.map_err(|_| Miss::Away)?,
                () = gone(server) => return Err(Miss::Away),
                () = tokio::time::sleep_until(limits.deadline) => return Err(Miss::Deadline),
            },
        };
        let now = Instant::now();
        loop {
            let idle = if fresh { None } else { lane.idle().pop() };
            let Some(mut connection) = idle else { break };
            if connection.usable(now, IDLE) {
                return Ok(Checkout { connection: Some(connection), reused: true, server, role, _permit: permit });
            }
        }
        let connection = self.connect_for(server, role, limits).await?;
        Ok(Checkout { connection: Some(connection), reused: false, server, role, _permit: permit })
    }

    /// Makes a connection within the limits, and marks the server down where that is its fault.
    async fn connect_for(&self, server: &Arc<Server>, role: Role, limits: Limits) -> Result<Connection, Miss> {
        self.sweep_from_now_on();
        let whole = self.settings.connect_timeout;
        let most = if limits.patient { whole } else { whole.min(PATIENCE) };
        let until = (Instant::now() + most).min(limits.deadline);
        let made = async {
            let _gate = server.connecting.acquire().await.map_err(|_| Miss::Away)?;
            self.connect(server, role).await
        };
        tokio::select! {
            made = timeout_at(until, made) => match made {
                Ok(made) => made,
                Err(_) => Err(self.late(server, until, limits, most)),
            },
            () = gone(server) => Err(Miss::Away),
        }
    }

    async fn connect(&self, server: &Arc<Server>, role: Role) -> Result<Connection, Miss> {
        let mut connection = match Connection::open(&server.url, &self.tls).await {
            Ok(connection) => connection,
            Err(error) => {
                self.mark_down(server, &error.to_string());
                return Err(Miss::Away);
            }
        };
        if role == Role::Lookup {
            self.bind_service(server, &mut connection).await?;
        }
        Ok(connection)
    }

    async fn bind_service(&self, server: &Arc<Server>, connection: &mut Connection) -> Result<(), Miss> {
        let now = Instant::now();
        let pause = *self.service_pause();
        if let Some((until, code)) = pause
            && now < until
        {
            return Err(Miss::Refused(code));
        }
        let (name, password) = (&self.settings.service_name, &self.settings.service_password);
        let answer = match connection.bind(name.as_bytes(), password.open()).await {
            Ok(answer) => answer,
            Err(trouble) => {
                self.complain(server, &trouble);
                return Err(Miss::Trouble(trouble));
            }
        };
        if answer.code == code::SUCCESS {
            return Ok(());
        }
        if answer.code == code::INVALID_CREDENTIALS {
            *self.service_pause() = Some((now + SERVICE_PAUSE, answer.code));
        }
        warn!(
            target_name = %self.settings.target, server = %server.url.host, code = answer.code,
            meaning = code_name(answer.code), refusal = ?answer.refusal,
            "the directory refuses the service account; check bind_name and bind_password"
        );
        Err(Miss::Refused(answer.code))
    }

    fn service_pause(&self) -> MutexGuard<'_, Option<(Instant, u32)>> {
        self.service_pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it means that nothing had happened at `until`.
    fn late(&self, server: &Arc<Server>, until: Instant, limits: Limits, most: Duration) -> Miss {
        if until >= limits.deadline {
            return Miss::Deadline;
        }
        self.mark_down(server, &format!("no answer within {most:?}"));
        if limits.patient { Miss::Away } else { Miss::Impatience }
    }

    fn complain(&self, server: &Server, trouble: &Trouble) {
        warn!(target_name = %self.settings.target, server = %server.url.host, port = server.url.port, %trouble,
            "a directory operation failed");
    }

    /// From now on nobody waits for this server, and one task probes it.
    fn mark_down(&self, server: &Arc<Server>, why: &str) {
        if server.down.swap(true, Ordering::AcqRel) {
            return;
        }
        warn!(target_name = %self.settings.target, server = %server.url.host, port = server.url.port, why,
            "a directory server is down");
        server.went_down.notify_waiters();
        server.bind.clear();
        server.lookup.clear();
        tokio::spawn(probe_until_up(Weak::clone(&self.this), Arc::clone(server)));
    }

    /// Waits until a server is up again, or each of them has failed one more probe, or time is up.
    async fn some_server_is_back(&self, servers: &[Arc<Server>], deadline: Instant) -> bool {
        let failed = |server: &Arc<Server>| server.failed_probes.load(Ordering::Acquire);
        let before: Vec<u64> = servers.iter().map(failed).collect();
        servers.iter().for_each(|server| server.probe_now.notify_one());
        let until = (Instant::now() + self.settings.connect_timeout).min(deadline);
        loop {
            let probed = self.probed.notified();
            tokio::pin!(probed);
            probed.as_mut().enable();
            if servers.iter().any(|server| server.is_up()) {
                return true;
            }
            if servers.iter().zip(&before).all(|(server, &before)| failed(server) > before) {
                return false;
            }
            if timeout_at(until, probed).await.is_err() {
                return false;
            }
        }
    }

    /// Closes connections that are idle for too long, now and then, as long as the pool lives.
    fn sweep_from_now_on(&self) {
        if self.swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Weak::clone(&self.this);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(pool) = this.upgrade() else { return };
                let now = Instant::now();
                for lane in pool.servers.load().iter().flat_map(|server| [&server.bind, &server.lookup]) {
                    lane.idle().retain(|connection| now.saturating_duration_since(connection.used()) < IDLE);
                }
            }
        });
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

/// Completes when the server is, or goes, down.
async fn gone(server: &Server) {
    let went_down = server.went_down.notified();
    tokio::pin!(went_down);
    went_down.as_mut().enable();
    if server.is_up() {
        went_down.await;
    }
}

fn another_is_up(servers: &[Arc<Server>], server: &Arc<Server>) -> bool {
    servers.iter().any(|other| !Arc::ptr_eq(other, server) && other.is_up())
}

/// Result codes of a server that does not want to, where another one may.
fn elsewhere(code: u32) -> bool {
    matches!(code, code::BUSY | code::UNAVAILABLE | code::UNWILLING_TO_PERFORM)
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

/// Probes a server until it answers, or nobody needs it any more.
async fn probe_until_up(pool: Weak<Pool>, server: Arc<Server>) {
    let mut pause = PROBE_EVERY.0;
    loop {
        tokio::time::sleep(PROBE_AT_LEAST).await;
        {
            let Some(pool) = pool.upgrade() else { return };
            if !pool.servers.load().iter().any(|known| Arc::ptr_eq(known, &server)) {
                return;
            }
            let limit = pool.settings.connect_timeout + pool.settings.timeout;
            let outcome = tokio::time::timeout(limit, probe(&pool, &server.url)).await;
            match outcome.unwrap_or_else(|_| Err("no answer".to_owned())) {
                Ok(connection) => {
                    server.bind.idle().push(connection);
                    server.down.store(false, Ordering::Release);
                    pool.probed.notify_waiters();
                    info!(target_name = %pool.settings.target, server = %server.url.host, port = server.url.port,
                        "a directory server is up again");
                    return;
                }
                Err(why) => {
                    server.failed_probes.fetch_add(1, Ordering::AcqRel);
                    pool.probed.notify_waiters();
                    debug!(server = %server.url.host, why, "a directory server is still down");
                }
            }
        }
        let _ = tokio::time::timeout(pause, server.probe_now.notified()).await;
        pause = (pause * 2).min(PROBE_EVERY.1);
    }
}

/// Connects, and asks for something that everybody may read; any answer to it will do.
async fn probe(pool: &Pool, url: &ServerUrl) -> Result<Connection, String> {
    let mut connection = Connection::open(url, &pool.tls).await.map_err(|error| error.to_string())?;
    let filter = super::filter::Filter::Present("objectClass".into()).encode();
    let root = SearchRequest {
        base: "",
        scope: Scope::Base,
        size_limit: 1,
        time_limit: pool.settings.timeout,
        filter: &filter,
        attributes: &["1.1"],
    };
    connection.search(&root, |_| ()).await.map_err(|trouble| trouble.to_string())?;
    connection.rest(Instant::now());
    Ok(connection)
}
