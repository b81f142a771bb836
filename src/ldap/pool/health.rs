//! Servers that go down and come back, and connections that grow old.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::Pool;
use super::connection::Connection;
use super::server::Server;
use crate::config::ServerUrl;
use crate::ldap::filter::Filter;
use crate::ldap::search::{Scope, SearchRequest};

impl Pool {
    /// From now on nobody waits for this server, and one task probes it.
    pub(super) fn mark_down(&self, server: &Arc<Server>, why: &str) {
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

    /// One task finds out whether this server still answers, and marks it down if not.
    pub(super) fn suspect(&self, server: &Arc<Server>) {
        if !server.is_up() || server.suspected.swap(true, Ordering::AcqRel) {
            return;
        }
        let (this, server) = (Weak::clone(&self.this), Arc::clone(server));
        tokio::spawn(async move {
            let Some(pool) = this.upgrade() else { return };
            if let Err(why) = pool.probe_once(&server).await {
                pool.mark_down(&server, &why);
            }
            server.suspected.store(false, Ordering::Release);
        });
    }

    /// [`Pool::suspect`] for each server that is thought to be up.
    pub fn suspect_all(&self) {
        self.servers.load().iter().for_each(|server| self.suspect(server));
    }

    /// Asks a server for something that everybody may read, within the time that it has.
    async fn probe_once(&self, server: &Server) -> Result<Connection, String> {
        let limit = self.settings.connect_timeout + self.settings.timeout;
        let outcome = tokio::time::timeout(limit, probe(self, &server.url)).await;
        outcome.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    /// Waits until a server is up again, or each of them has failed one more probe, or time is up.
    pub(super) async fn some_server_is_back(&self, servers: &[Arc<Server>], deadline: Instant) -> bool {
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
    pub(super) fn sweep_from_now_on(&self) {
        if self.swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Weak::clone(&self.this);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(pool) = this.upgrade() else { return };
                pool.sweep_spares();
                let now = Instant::now();
                for server in pool.servers.load().iter() {
                    server.bind.idle().retain(|connection| now.saturating_duration_since(connection.used()) < IDLE);
                    server.lookup.sweep(now, IDLE);
                }
            }
        });
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
            match pool.probe_once(&server).await {
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
    let filter = Filter::Present("objectClass".into()).encode();
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

/// A connection that was idle for this long is closed. AD closes them after 900 s.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(15);
/// Time between two probes of a server that is down: first, and at most.
const PROBE_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Time between two probes of a server that is down while somebody waits for it.
const PROBE_AT_LEAST: Duration = Duration::from_millis(100);
