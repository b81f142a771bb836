//! One server of a directory: its lanes of connections, and whether it is up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use super::lookups::Lookups;
use crate::config::ServerUrl;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) idle: Mutex<Vec<Connection>>,
    pub(super) permits: Semaphore,
}

impl Lane {
    pub(super) fn new(connections: usize) -> Self {
        Lane { idle: Mutex::new(Vec::new()), permits: Semaphore::new(connections.max(1)) }
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        let connections = std::mem::take(&mut *self.idle());
        drop(connections);
    }
}

/// One server of a directory.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: ServerUrl,
    pub(super) bind: Lane,
    pub(super) lookup: Lookups,
    pub(super) connecting: Semaphore,
    pub(super) down: AtomicBool,
    /// Whether it is being found out if it still answers.
    pub(super) suspected: AtomicBool,
    pub(super) went_down: Notify,
    pub(super) probe_now: Notify,
    pub(super) failed_probes: AtomicU64,
}

impl Server {
    pub(super) fn new(url: ServerUrl, connections: usize) -> Self {
        Server {
            url,
            bind: Lane::new(connections),
            lookup: Lookups::new(connections),
            connecting: Semaphore::new(CONNECTING),
            down: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
            went_down: Notify::new(),
            probe_now: Notify::new(),
            failed_probes: AtomicU64::new(0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.down.load(Ordering::Acquire)
    }
}

/// A connection for binds in use. Goes back to its lane when dropped, unless its operation did not end well.
pub(super) struct Checkout<'a> {
    pub(super) connection: Option<Connection>,
    pub(super) reused: bool,
    pub(super) server: &'a Server,
    /// Given back after the connection.
    pub(super) _permit: SemaphorePermit<'a>,
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && !connection.is_busy()
            && self.server.is_up()
        {
            connection.rest(Instant::now());
            self.server.bind.idle().push(connection);
        }
    }
}

/// Completes when the server is, or goes, down.
pub(super) async fn gone(server: &Server) {
    let went_down = server.went_down.notified();
    tokio::pin!(went_down);
    went_down.as_mut().enable();
    if server.is_up() {
        went_down.await;
    }
}

/// Connections to one server that are being made at once.
const CONNECTING: usize = 4;
