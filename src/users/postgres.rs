//! The shared user store: a PostgreSQL server, or several of which one can be written.
//!
//! ```text
//! take ─▶ an idle connection, or a new one to the first server that can be written
//!   │
//!   ├─ a read that finds its connection dead is asked once more on a new one
//!   ├─ a change that cannot even begin is begun once more on a new one
//!   └─ a connection that failed, or was dropped in the middle of a change, is thrown away
//! ```
//!
//! A change that has begun is never repeated: whether it counted is not known when its connection dies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, Postgres};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Executor, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::users::place::PostgresAt;
use crate::users::sql::SqlStore;
use crate::users::sql::driver::{Change, Dialect, Driver, Holds, Insertion, Rows};
use crate::users::sql::value::{Row, Value, fixed, row_of};
use crate::users::store::{StoreError, StoreResult};

mod copying;
mod fault;
mod schema;
mod undelayed;

use fault::{is_lost, store_error};

/// Connections at once. A sign-in's read takes well under a millisecond; an import has one for itself.
const CONNECTIONS: usize = 8;

/// Connections of an import that write at once; it has another one that looks. While one waits for its turn to be
/// committed, the server writes what another has sent.
const WRITERS: usize = 4;

/// Rows from which on it is quicker to copy them than to insert them by a statement.
const COPIED: usize = 32;

/// How long somebody waits for a connection to become free, and for a server to accept one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one statement may take before the server gives it up, in milliseconds.
const STATEMENT: &str = "30000";

impl SqlStore {
    /// Connects to a PostgreSQL server and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none of the servers can be written; [`StoreError::Unusable`] when the
    /// tables were written by a newer Anteroom.
    pub async fn connect(at: &PostgresAt) -> StoreResult<SqlStore> {
        let driver = PostgresDriver::new(at)?;
        let mut first = driver.take().await?;
        schema::migrate(first.get()?).await?;
        first.give_back();
        tracing::debug!(store = %at, "connected");
        Ok(SqlStore::new(Arc::new(driver)))
    }
}

#[derive(Debug)]
struct PostgresDriver {
    pool: Arc<Pool>,
    holds: Arc<Holds>,
}

#[derive(Debug)]
struct Pool {
    servers: Vec<PgConnectOptions>,
    /// Whether its connections are for many rows.
    many: bool,
    idle: Mutex<Vec<PgConnection>>,
    places: Arc<Semaphore>,
}

/// A connection while it is in use. Dropped without [`Taken::give_back`] it is thrown away, and with it whatever
/// it was in the middle of.
struct Taken {
    connection: Option<PgConnection>,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Taken {
    fn get(&mut self) -> StoreResult<&mut PgConnection> {
        self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("it has been closed".into()))
    }

    fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.lock().push(connection);
        }
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection to the first server that can be written.
    async fn connect(&self) -> StoreResult<PgConnection> {
        let mut why = Vec::new();
        for server in &self.servers {
            let address = format!("{}:{}", server.get_host(), server.get_port());
            match tokio::time::timeout(PATIENCE, writable(server, self.many)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => why.push(format!("{address}: {}", fault::told(&error))),
                Err(_) => why.push(format!("{address}: no answer within {} s", PATIENCE.as_secs())),
            }
        }
        Err(StoreError::Unavailable(format!("no PostgreSQL server can be written; {}", why.join("; "))))
    }
}

/// A connection to `server`, if it is not a standby.
async fn writable(server: &PgConnectOptions, many: bool) -> StoreResult<PgConnection> {
    let connected = if many { undelayed::connect(server).await } else { server.connect().await };
    let mut connection = connected.map_err(store_error)?;
    let standby: bool =
        sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await.map_err(store_error)?;
    if standby {
        // It has said what it is; how it says goodbye does not matter.
        let _ = connection.close().await;
        return Err(StoreError::Unavailable("a standby, which cannot be written".into()));
    }
    Ok(connection)
}

impl PostgresDriver {
    fn new(at: &PostgresAt) -> StoreResult<PostgresDriver> {
        let servers = at.options()?;
        let servers = servers
            .into_iter()
            .map(|server| {
                server
                    .application_name("anteroom")
                    .options([("statement_timeout", STATEMENT), ("lock_timeout", "10000")])
                    .disable_statement_logging()
            })
            .collect();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let pool = Pool { servers, many: false, idle: Mutex::default(), places };
        Ok(PostgresDriver { pool: Arc::new(pool), holds: Arc::default() })
    }

    async fn begin_with(&self, words: &'static str) -> StoreResult<Box<dyn Change>> {
        let mut taken = self.take().await?;
        match taken.get()?.execute(words).await {
            Err(error) if is_lost(&error) => {
                drop(taken);
                taken = self.take_new().await?;
                taken.get()?.execute(words).await
            }
            other => other,
        }
        .map_err(store_error)?;
        let many = self.pool.many.then(|| (Instant::now(), Arc::clone(&self.holds)));
        Ok(Box::new(PostgresChange { taken, many }))
    }

    async fn place(&self) -> StoreResult<OwnedSemaphorePermit> {
        let waiting = Arc::clone(&self.pool.places).acquire_owned();
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(StoreError::Unavailable("it has been closed".into())),
            Err(_) => Err(StoreError::Unavailable("no connection became free in time".into())),
        }
    }

    /// An idle connection, or a new one.
    async fn take(&self) -> StoreResult<Taken> {
        let place = self.place().await?;
        let idle = self.pool.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.pool.connect().await?,
        };
        Ok(Taken { connection: Some(connection), pool: Arc::clone(&self.pool), _place: place })
    }

    /// A new connection, after one that was idle turned out to be dead: then the others are as well.
    async fn take_new(&self) -> StoreResult<Taken> {
        let place = self.place().await?;
        self.pool.lock().clear();
        let connection = self.pool.connect().await?;
        Ok(Taken { connection: Some(connection), pool: Arc::clone(&self.pool), _place: place })
    }
}

async fn fetch(connection: &mut PgConnection, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, sqlx::Error> {
    let rows = bound(sql, values).fetch_all(connection).await?;
    rows.iter().map(row_of::<Postgres>).collect()
}

impl Driver for PostgresDriver {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn read(&self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        Box::pin(async move {
            let mut taken = self.take().await?;
            let rows = match fetch(taken.get()?, sql.clone(), values.clone()).await {
                Err(error) if is_lost(&error) => {
                    drop(taken);
                    taken = self.take_new().await?;
                    fetch(taken.get()?, sql, values).await
                }
                other => other,
            };
            let rows = rows.map_err(store_error)?;
            taken.give_back();
            Ok(rows)
        })
    }

    fn each<'a>(
        &'a self,
        sql: SqlStr,
        show: &'a mut (dyn FnMut(Row) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            // Whatever has been idle and is dead is thrown away: in the middle of the rows nothing is asked twice.
            self.check().await?;
            let mut taken = self.take().await?;
            let mut rows = bound(sql, vec![]).fetch(taken.get()?);
            while let Some(row) = rows.try_next().await.map_err(store_error)? {
                show(row_of::<Postgres>(&row).map_err(store_error)?)?;
            }
            drop(rows);
            taken.give_back();
            Ok(true)
        })
    }

    fn begin(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        Box::pin(self.begin_with("BEGIN"))
    }

    fn begin_staged(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        Box::pin(self.begin_with("BEGIN; SET LOCAL synchronous_commit TO off"))
    }

    fn begin_together(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        // In one trip: there are many of them. The lock is the one that `begin_people` takes for itself alone.
        Box::pin(self.begin_with(
            "BEGIN; SET LOCAL synchronous_commit TO off; SELECT pg_advisory_xact_lock_shared(7308332045929147)",
        ))
    }

    fn holds(&self) -> &Holds {
        &self.holds
    }

    fn for_many_rows(&self) -> BoxFuture<'_, StoreResult<Arc<dyn Driver>>> {
        Box::pin(async move {
            let places = Arc::new(Semaphore::new(WRITERS + 1));
            let pool = Pool { servers: self.pool.servers.clone(), many: true, idle: Mutex::default(), places };
            let holds = Arc::clone(&self.holds);
            let driver: Arc<dyn Driver> = Arc::new(PostgresDriver { pool: Arc::new(pool), holds });
            Ok(driver)
        })
    }

    fn check(&self) -> BoxFuture<'_, StoreResult<()>> {
        // The server looks after its own pages; that it answers is what can be known.
        Box::pin(async move { self.read(fixed("SELECT 1::bigint"), vec![]).await.map(|_| ()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.pool.places.close();
            let idle = std::mem::take(&mut *self.pool.lock());
            for connection in idle {
                // The server notices by itself if this does not reach it.
                let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
            }
        })
    }
}

/// A change that is under way.
struct PostgresChange {
    taken: Taken,
    /// When a change of many rows began, and where its length is noted.
    many: Option<(Instant, Arc<Holds>)>,
}

impl Change for PostgresChange {
    fn run(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            let done = bound(sql, values).execute(self.taken.get()?).await.map_err(store_error)?;
            Ok(done.rows_affected())
        })
    }

    fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        Box::pin(async move { fetch(self.taken.get()?, sql, values).await.map_err(store_error) })
    }

    fn bulk<'a>(&'a mut self, into: &'a Insertion, rows: &'a dyn Rows) -> BoxFuture<'a, StoreResult<Option<u64>>> {
        Box::pin(async move {
            // Elsewhere the end of what is copied would wait for an acknowledgement, see `undelayed`.
            if self.many.is_none() || rows.len() < COPIED {
                return Ok(None);
            }
            let octets = copying::encoded(into.width(), rows)?;
            let connection = self.taken.get()?;
            if !into.leaves_out() {
                return copied(connection, into.copy(), &octets).await.map(Some).map_err(store_error);
            }
            connection.execute("SAVEPOINT bulk").await.map_err(store_error)?;
            match copied(connection, into.copy(), &octets).await {
                // It is released with the change itself: another trip would be as dear as some hundred rows.
                Ok(rows) => Ok(Some(rows)),
                // A key is taken: none of the rows came in, and a statement tells which of them do.
                Err(error) if fault::is_taken(&error) => {
                    connection.execute("ROLLBACK TO bulk; RELEASE bulk").await.map_err(store_error)?;
                    Ok(None)
                }
                Err(error) => Err(store_error(error)),
            }
        })
    }

    fn commit(mut self: Box<Self>) -> BoxFuture<'static, StoreResult<()>> {
        Box::pin(async move {
            self.taken.get()?.execute("COMMIT").await.map_err(store_error)?;
            if let Some((began, holds)) = self.many.take() {
                holds.note(began.elapsed());
            }
            self.taken.give_back();
            Ok(())
        })
    }
}

async fn copied(connection: &mut PgConnection, sql: &str, octets: &[u8]) -> Result<u64, sqlx::Error> {
    let mut copy = connection.copy_in_raw(sql).await?;
    copy.send(octets).await?;
    copy.finish().await
}

/// A text as the server takes it: it has no NUL, so that one becomes the sign for an unreadable character. A
/// name with a NUL is nobody's either way.
fn text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn bound<'q>(sql: SqlStr, values: Vec<Value>) -> Query<'q, Postgres, PgArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(number) => query.bind(number),
        Value::Text(given) => query.bind(given.map(text)),
        Value::Word(word) => query.bind(word),
        Value::Blob(octets) => query.bind(octets),
        Value::Ints(numbers) => query.bind(numbers),
        Value::Texts(texts) => {
            query.bind(texts.into_iter().map(|given| given.map(text)).collect::<Vec<Option<String>>>())
        }
        Value::Blobs(blobs) => query.bind(blobs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_no_nul() {
        assert_eq!(text("a\0b".into()), "a\u{fffd}b");
        assert_eq!(text("plain".into()), "plain");
    }
}
