//! Connections for the LDAP door: each of its clients gets one of its own. Some are kept ready, protected and
//! not bound, so that an application that connects, binds and hangs up does not wait for a handshake each time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::connection::{Connection, Wire};
use super::server::{Server, gone};
use super::{Limits, Miss, PATIENCE, Pool, another_is_up, fault};
use crate::config::ServerUrl;
use crate::primary::Fault;

/// Connections that are kept ready while they are being used up.
const READY: usize = 16;
/// One that was ready for this long is closed; AD closes what was never bound after 120 s.
const FRESH: Duration = Duration::from_secs(45);
/// Connections that are made in the background at once.
const MAKERS: usize = 4;

/// The ready ones, all of one server, and how many are being made.
#[derive(Debug, Default)]
pub(super) struct Spares {
    ready: Mutex<Vec<(Arc<Server>, Connection)>>,
    makers: AtomicUsize,
    /// Connections that were taken of late; halved at each sweep.
    recent: AtomicUsize,
}

/// A task that makes some ready, counted until it ends.
struct Maker(Arc<Pool>);

impl Drop for Maker {
    fn drop(&mut self) {
        self.0.spares.makers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Spares {
    fn ready(&self) -> MutexGuard<'_, Vec<(Arc<Server>, Connection)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// A connection that nobody else uses and that is not bound, to a server that is not in `asked`; it is added there.
    ///
    /// # Errors
    /// [`Fault`] when no server gives one in time.
    pub async fn connect_for_door(
        &self,
        asked: &mut Vec<ServerUrl>,
        deadline: std::time::Instant,
    ) -> Result<Box<dyn Wire>, Fault> {
        if asked.is_empty() {
            let ready = self.take_spare();
            self.make_spares();
            if let Some((server, wire)) = ready {
                asked.push(server.url.clone());
                return Ok(wire);
            }
        }
        let deadline = Instant::from_std(deadline);
        let mut last = Fault::Unreachable;
        for round in 0..2 {
            let servers = self.servers.load_full();
            let mut wait = !servers.iter().any(|server| server.is_up());
            for server in servers.iter().filter(|server| server.is_up() && !asked.contains(&server.url)) {
                let limits = Limits { deadline, patient: !another_is_up(&servers, server) };
                match self.connect_once(server, limits).await {
                    Ok(connection) => {
                        asked.push(server.url.clone());
                        return connection.into_wire().ok_or(Fault::Garbled);
                    }
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

    async fn connect_once(&self, server: &Arc<Server>, limits: Limits) -> Result<Connection, Miss> {
        let whole = self.settings.connect_timeout;
        let most = if limits.patient { whole } else { whole.min(PATIENCE) };
        let until = (Instant::now() + most).min(limits.deadline);
        tokio::select! {
            made = timeout_at(until, Connection::open(&server.url, &self.tls)) => match made {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => {
                    self.mark_down(server, &error.to_string());
                    Err(Miss::Away)
                }
                Err(_) => Err(self.late(server, until, limits, most)),
            },
            () = gone(server) => Err(Miss::Away),
        }
    }

    /// A ready one that is still good, of a server that is up.
    fn take_spare(&self) -> Option<(Arc<Server>, Box<dyn Wire>)> {
        loop {
            let (server, mut connection) = self.spares.ready().pop()?;
            if server.is_up() && connection.usable(Instant::now(), FRESH) {
                return connection.into_wire().map(|wire| (server, wire));
            }
        }
    }

    /// Sees to it that some are ready soon: as many as were taken of late, within bounds.
    fn make_spares(&self) {
        self.sweep_from_now_on();
        let spares = &self.spares;
        let recent = spares.recent.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if spares.ready().len() >= recent.min(READY) {
            return;
        }
        let one_more = |makers| (makers < MAKERS).then_some(makers + 1);
        if spares.makers.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            return;
        }
        let Some(pool) = self.this.upgrade() else { return };
        let maker = Maker(pool);
        tokio::spawn(async move { maker.0.fill().await });
    }

    /// Closes those that are ready for too long. Called now and then.
    pub(super) fn sweep_spares(&self) {
        let spares = &self.spares;
        spares.recent.store(spares.recent.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        let now = Instant::now();
        spares
            .ready()
            .retain(|(server, connection)| server.is_up() && now.saturating_duration_since(connection.used()) < FRESH);
    }

    async fn fill(&self) {
        while self.spares.ready().len() < self.spares.recent.load(Ordering::Relaxed).clamp(1, READY) {
            let servers = self.servers.load_full();
            let Some(server) = servers.iter().find(|server| server.is_up()) else { return };
            let limits = Limits { deadline: Instant::now() + self.settings.connect_timeout, patient: true };
            match self.connect_once(server, limits).await {
                Ok(mut connection) => {
                    connection.rest(Instant::now());
                    self.spares.ready().push((Arc::clone(server), connection));
                }
                Err(_) => {
                    debug!(server = %server.url.host, "no connection could be made ready");
                    return;
                }
            }
        }
    }
}
