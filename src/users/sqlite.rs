//! The embedded user store: one SQLite file.
//!
//! The write-ahead log lets readers go on while somebody writes, in this process or another one such as
//! `anteroom user`. Commits survive the death of the process; `synchronous = NORMAL` means that the last
//! ones may be lost when the power fails, never that the file is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlStr, SqlitePool, Transaction};
use tokio::sync::OwnedMutexGuard;

use crate::users::sql::SqlStore;
use crate::users::sql::driver::{Change, Dialect, Driver, Holds, Insertion, Rows};
use crate::users::sql::value::{Row, Value, bound, row_of};
use crate::users::store::{StoreError, StoreResult};

mod appending;
mod copy;
mod fault;
mod quick;
mod readers;
mod schema;

pub(in crate::users) use copy::{alone, copy_into, read_alone, sound};
pub(in crate::users) use fault::store_error;

use appending::Appender;
use copy::checked;
use quick::Quick;
use readers::Readers;

/// The embedded user store.
pub type SqliteStore = SqlStore;

/// How long one process waits for another that writes. Ours hold the lock for milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// Connections for the reads of sign-ins, at most: one for each thread that may ask at the same time.
const QUICK: usize = 4;

/// Pages that an import keeps at hand, in KiB: with fewer it spends half of its time on reading them again.
const IMPORT_CACHE: &str = "-32768";

/// Rows that an import writes between two checkpoints: some tens of megabytes of the write-ahead log. With more
/// checkpoints, pages that change again and again would be written to the file each time.
const CHECKPOINT: u64 = 20_000;

/// How long an import leaves the file to others after each of its transactions: they look again every few
/// milliseconds, and would not find it free otherwise.
const BREATH: Duration = Duration::from_millis(1);

impl SqlStore {
    /// Opens the file at `path` and brings its tables up to date. With `create`, a missing file is created,
    /// readable by its owner only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file is missing or cannot be opened or written;
    /// [`StoreError::Unusable`] when it is damaged, no database, or written by a newer Anteroom.
    pub async fn open(path: impl AsRef<Path>, create: bool) -> StoreResult<SqlStore> {
        Ok(SqlStore::new(Arc::new(SqliteDriver::open(path.as_ref(), create).await?)))
    }
}

/// The connections to one file.
#[derive(Debug)]
struct SqliteDriver {
    path: PathBuf,
    readers: Readers,
    quick: Quick,
    writer: SqlitePool,
    appender: Arc<Appender>,
    /// Lets this process's own writers in one after the other, in the order of their coming: the file's own lock
    /// knows no order.
    turn: Arc<tokio::sync::Mutex<()>>,
    breath: Option<Duration>,
    holds: Arc<Holds>,
    /// Rows written since the last checkpoint.
    since: Arc<AtomicU64>,
}

impl SqliteDriver {
    async fn open(path: &Path, create: bool) -> StoreResult<SqliteDriver> {
        if create {
            create_private(path)?;
        } else if let Err(error) = std::fs::metadata(path) {
            return Err(StoreError::Unavailable(format!("{}: {error}", path.display())));
        }
        let named = |error: StoreError| named(path, error);
        let writer = ready(path).await.map_err(named)?;
        let readers = Readers::open(&reading(path), readers::READERS).await.map_err(named)?;
        let (turn, holds, since) = Default::default();
        let many = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(QUICK));
        let quick = Quick::open(path, many);
        let (path, appender) = (path.to_owned(), Arc::new(Appender::new(path.to_owned())));
        Ok(SqliteDriver { path, readers, quick, writer, appender, turn, breath: None, holds, since })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .synchronous(SqliteSynchronous::Normal)
        .disable_statement_logging()
}

fn reading(path: &Path) -> SqliteConnectOptions {
    options(path).read_only(true).pragma("cache_size", "-2048").thread_name(|number| format!("store-read-{number}"))
}

/// The writing connection to a file whose tables are up to date. Where two processes open a new file together, SQLite
/// refuses one of them at once, however long it may wait otherwise: that one tries again.
async fn ready(path: &Path) -> StoreResult<SqlitePool> {
    let until = tokio::time::Instant::now() + BUSY;
    loop {
        let opened = async {
            let writer = writer(path, "-4096").await?;
            schema::migrate(&writer).await?;
            Ok(writer)
        };
        match opened.await {
            Err(error) if fault::is_locked(&error) && tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened,
        }
    }
}

async fn writer(path: &Path, cache: &'static str) -> StoreResult<SqlitePool> {
    let writing = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("cache_size", cache)
        .pragma("journal_size_limit", "67108864")
        .pragma("wal_autocheckpoint", if cache == IMPORT_CACHE { "0" } else { "1000" })
        .thread_name(|number| format!("store-write-{number}"));
    SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(BUSY)
        .connect_with(writing)
        .await
        .map_err(store_error)
}

impl Driver for SqliteDriver {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn read(&self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        Box::pin(async move {
            let mut reader = self.readers.take().await?;
            let rows = bound::<Sqlite>(sql, values).fetch_all(reader.connection()?).await.map_err(store_error)?;
            rows.iter().map(|row| row_of::<Sqlite>(row).map_err(store_error)).collect()
        })
    }

    fn look_up(&self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        match self.quick.read(sql.as_str(), &values) {
            Some(rows) => Box::pin(std::future::ready(Ok(rows))),
            None => self.read(sql, values),
        }
    }

    fn begin(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        Box::pin(async move {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
            let many = self.breath.map(|breath| Many {
                breath,
                began: Instant::now(),
                holds: Arc::clone(&self.holds),
                since: Arc::clone(&self.since),
                rows: 0,
                writer: self.writer.clone(),
            });
            let change: Box<dyn Change> = Box::new(SqliteChange { transaction, turn, many });
            Ok(change)
        })
    }

    fn append(&self, insertion: &'static Insertion, rows: Box<dyn Rows>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let appender = Arc::clone(&self.appender);
            let appended = tokio::task::spawn_blocking(move || {
                let appended = appender.append(insertion.single(), rows.as_ref());
                // Also where nobody waits any more: the next has its turn once the file is free.
                drop(turn);
                appended
            });
            appended.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
        })
    }

    fn for_many_rows(&self) -> BoxFuture<'_, StoreResult<Arc<dyn Driver>>> {
        Box::pin(async move {
            let driver: Arc<dyn Driver> = Arc::new(SqliteDriver {
                path: self.path.clone(),
                readers: Readers::open(&reading(&self.path), 1).await?,
                quick: Quick::open(&self.path, 0),
                writer: writer(&self.path, IMPORT_CACHE).await?,
                appender: Arc::clone(&self.appender),
                turn: Arc::clone(&self.turn),
                breath: Some(BREATH),
                holds: Arc::clone(&self.holds),
                since: Arc::default(),
            });
            Ok(driver)
        })
    }

    fn octets(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |about| about.len())
    }

    fn scratch(&self) -> PathBuf {
        // Beside the file: there is room for people, and nobody else may look.
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
    }

    fn holds(&self) -> &Holds {
        &self.holds
    }

    fn check(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let size = self.octets();
            // On a connection of its own: those of the sign-ins are not kept from them.
            let mut connection = reading(&self.path).connect().await.map_err(store_error)?;
            let found = checked(&mut connection, size).await.map_err(|error| named(&self.path, error));
            connection.close().await.map_err(store_error)?;
            found
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.quick.close();
            self.readers.close().await;
            if self.breath.is_none() {
                let appender = Arc::clone(&self.appender);
                if let Err(error) = tokio::task::spawn_blocking(move || appender.close()).await {
                    tracing::warn!(%error, "the appending connection of the user store was not closed");
                }
            }
            self.writer.close().await;
        })
    }
}

/// A change that is under way. Fields are dropped in this order: the file is free before the next has its turn.
struct SqliteChange {
    transaction: Transaction<'static, Sqlite>,
    turn: OwnedMutexGuard<()>,
    many: Option<Many>,
}

/// What a change of many rows is asked besides.
struct Many {
    breath: Duration,
    began: Instant,
    holds: Arc<Holds>,
    since: Arc<AtomicU64>,
    /// Rows that this change has written.
    rows: u64,
    writer: SqlitePool,
}

impl Many {
    /// Once in a while, and without keeping anybody from writing, brings what was written into the file itself.
    async fn settle(self) {
        if self.since.fetch_add(self.rows, Ordering::Relaxed) + self.rows >= CHECKPOINT {
            self.since.store(0, Ordering::Relaxed);
            // Where it does not succeed, the log grows until the next one does.
            let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&self.writer).await;
            if let Err(error) = done {
                tracing::debug!(%error, "a checkpoint of the user store did not succeed");
            }
        }
        tokio::time::sleep(self.breath).await;
    }
}

impl Change for SqliteChange {
    fn run(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            let done = bound::<Sqlite>(sql, values).execute(&mut *self.transaction).await.map_err(store_error)?;
            if let Some(many) = &mut self.many {
                many.rows += done.rows_affected();
            }
            Ok(done.rows_affected())
        })
    }

    fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        Box::pin(async move {
            let rows = bound::<Sqlite>(sql, values).fetch_all(&mut *self.transaction).await.map_err(store_error)?;
            rows.iter().map(|row| row_of::<Sqlite>(row).map_err(store_error)).collect()
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, StoreResult<()>> {
        Box::pin(async move {
            let SqliteChange { transaction, turn, many } = *self;
            let committed = transaction.commit().await.map_err(store_error);
            drop(turn);
            if let Some(many) = many {
                many.holds.note(many.began.elapsed());
                many.settle().await;
            }
            committed
        })
    }
}

/// Creates a missing file that only its owner can read, as it holds phone numbers and device tokens.
/// SQLite gives its side files the same mode.
fn create_private(path: &Path) -> StoreResult<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("{} cannot be created: {error}", path.display()))),
    }
}

/// Puts the file's name in front of what went wrong while opening it.
fn named(path: &Path, error: StoreError) -> StoreError {
    let with_path = |why: String| format!("{}: {why}", path.display());
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(with_path(why)),
        StoreError::Conflict(why) => StoreError::Conflict(with_path(why)),
        StoreError::Unusable(why) => StoreError::Unusable(with_path(why)),
    }
}

#[cfg(test)]
mod tests;
