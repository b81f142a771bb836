//! The connections that read. A pool of `sqlx` gives a connection back by spawning a task, which wakes
//! another thread for each read; a handful of locks does not, and prefers the connection whose pages are
//! warm.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use crate::users::sqlite::fault::store_error;
use crate::users::store::{StoreError, StoreResult};

/// How many. Each is a thread; reads take microseconds.
pub(super) const READERS: usize = 3;

/// The connections, or nothing in their places once closed.
#[derive(Debug)]
pub(super) struct Readers {
    connections: Vec<Mutex<Option<SqliteConnection>>>,
}

/// A connection while it is in use.
pub(super) struct Reader<'a>(MutexGuard<'a, Option<SqliteConnection>>);

impl Reader<'_> {
    /// The connection itself.
    pub(super) fn connection(&mut self) -> StoreResult<&mut SqliteConnection> {
        self.0.as_mut().ok_or_else(|| StoreError::Unavailable("it has been closed".into()))
    }
}

impl Readers {
    /// Opens so many.
    pub(super) async fn open(options: &SqliteConnectOptions, many: usize) -> StoreResult<Readers> {
        let mut connections = Vec::with_capacity(many);
        for _ in 0..many {
            connections.push(Mutex::new(Some(options.connect().await.map_err(store_error)?)));
        }
        Ok(Readers { connections })
    }

    /// The first free connection, or the last when none is: reads are too short to be worth a fair queue.
    pub(super) async fn take(&self) -> StoreResult<Reader<'_>> {
        let closed = || StoreError::Unavailable("it has been closed".into());
        let (last, others) = self.connections.split_last().ok_or_else(closed)?;
        Ok(match others.iter().find_map(|place| place.try_lock().ok()) {
            Some(free) => Reader(free),
            None => Reader(last.lock().await),
        })
    }

    pub(super) async fn close(&self) {
        for place in &self.connections {
            if let Some(connection) = place.lock().await.take()
                && let Err(error) = connection.close().await
            {
                tracing::warn!(%error, "a reading connection of the user store was not closed cleanly");
            }
        }
    }
}
