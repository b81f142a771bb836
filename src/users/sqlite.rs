//! The embedded user store: one SQLite file.
//!
//! ```text
//! person ── cache ──hit──▶ answer            (users/cache.rs: no trip to the database)
//!             │ miss
//!             ▼
//!        read-only connections (3)  ── write-ahead log ──  one writing connection
//!                                                          add, replace, remove, block, record
//! ```
//!
//! The write-ahead log lets readers go on while somebody writes, in this process or another one such as
//! `anteroom user`. Commits survive the death of the process; `synchronous = NORMAL` means that the last
//! ones may be lost when the power fails, never that the file is damaged.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{BoxFuture, ready};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use crate::audit::{Accounted, Event};
use crate::users::cache::{Look, PeopleCache};
use crate::users::model::Person;
use crate::users::sqlite::rows::{bind_person, micros, read_people, read_person};
use crate::users::store::{Store, StoreError, StoreResult, folded, statement};

mod events;
mod fault;
mod readers;
mod rows;
mod schema;

use fault::store_error;
use readers::Readers;

/// How long one process waits for another that writes. Ours hold the lock for milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// The embedded user store. Dropping it closes the file; [`SqliteStore::close`] waits for that.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: SqlitePool,
    cache: PeopleCache,
}

impl SqliteStore {
    /// Opens the file at `path` and brings its tables up to date. With `create`, a missing file is created,
    /// readable by its owner only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file is missing or cannot be opened or written;
    /// [`StoreError::Unusable`] when it is damaged, no database, or written by a newer Anteroom.
    pub async fn open(path: impl AsRef<Path>, create: bool) -> StoreResult<SqliteStore> {
        let path = path.as_ref();
        if create {
            create_private(path)?;
        } else if let Err(error) = std::fs::metadata(path) {
            return Err(StoreError::Unavailable(format!("{}: {error}", path.display())));
        }
        let named = |error: StoreError| named(path, error);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .synchronous(SqliteSynchronous::Normal)
            .disable_statement_logging();
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("cache_size", "-4096")
            .pragma("journal_size_limit", "67108864")
            .thread_name(|number| format!("store-write-{number}"));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(BUSY)
            .connect_with(writing)
            .await
            .map_err(|error| named(store_error(error)))?;
        schema::migrate(&writer).await.map_err(named)?;
        let reading =
            options.read_only(true).pragma("cache_size", "-2048").thread_name(|number| format!("store-read-{number}"));
        let readers = Readers::open(&reading).await.map_err(named)?;
        Ok(SqliteStore { readers, writer, cache: PeopleCache::default() })
    }

    /// Closes every connection and waits until the file is closed.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The slow way of [`Store::person`]: looks whether the memory is still true, and reads the row.
    async fn read_through(&self, unique_id: &str, first: Look) -> StoreResult<Option<Person>> {
        let mut look = first;
        if look == Look::Check {
            let began = Instant::now();
            let version: i64 = sqlx::query_scalar(statement::PEOPLE_VERSION)
                .fetch_one(self.readers.take().await.connection()?)
                .await
                .map_err(store_error)?;
            self.cache.checked(version, began);
            look = self.cache.look(unique_id, Instant::now(), true);
        }
        match look {
            Look::Known(known) => Ok(known),
            Look::Check => Err(StoreError::Unavailable("the people cache asked for two checks in a row".into())),
            Look::Read { generation } => {
                let row = sqlx::query(statement::PERSON)
                    .bind(unique_id)
                    .fetch_optional(self.readers.take().await.connection()?)
                    .await
                    .map_err(store_error)?;
                let person = row.as_ref().map(read_person).transpose()?;
                self.cache.keep(unique_id, person.as_ref(), generation);
                Ok(person)
            }
        }
    }
}

/// Forgets a person when dropped: also when the caller of a change goes away before it is done.
struct Forget<'a> {
    cache: &'a PeopleCache,
    unique_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.cache.forget(self.unique_id);
    }
}

impl Store for SqliteStore {
    fn person<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        match self.cache.look(unique_id, Instant::now(), false) {
            Look::Known(known) => Box::pin(ready(Ok(known))),
            look => Box::pin(self.read_through(unique_id, look)),
        }
    }

    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        Box::pin(async move {
            let row = sqlx::query(statement::PERSON_NAMED)
                .bind(folded(name))
                .fetch_optional(self.readers.take().await.connection()?)
                .await
                .map_err(store_error)?;
            row.as_ref().map(read_person).transpose()
        })
    }

    fn people<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>> {
        Box::pin(async move {
            let rows = sqlx::query(statement::PEOPLE)
                .bind(folded(after))
                .bind(i64::from(limit))
                .fetch_all(self.readers.take().await.connection()?)
                .await
                .map_err(store_error)?;
            read_people(&rows)
        })
    }

    fn add<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let _forget = Forget { cache: &self.cache, unique_id: &person.unique_id };
            let mut change = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
            bind_person(statement::ADD, person).execute(&mut *change).await.map_err(|error| {
                fault::conflict(store_error(error), "the unique id belongs to an enrolled person already")
            })?;
            add_names(&mut change, person).await?;
            change.commit().await.map_err(store_error)
        })
    }

    fn replace<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = Forget { cache: &self.cache, unique_id: &person.unique_id };
            let mut change = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
            let done = bind_person(statement::REPLACE, person).execute(&mut *change).await.map_err(store_error)?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(statement::REMOVE_NAMES)
                .bind(person.unique_id.as_str())
                .execute(&mut *change)
                .await
                .map_err(store_error)?;
            add_names(&mut change, person).await?;
            change.commit().await.map_err(store_error)?;
            Ok(true)
        })
    }

    fn remove<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = Forget { cache: &self.cache, unique_id };
            let done =
                sqlx::query(statement::REMOVE).bind(unique_id).execute(&self.writer).await.map_err(store_error)?;
            Ok(done.rows_affected() > 0)
        })
    }

    fn block<'a>(&'a self, unique_id: &'a str, until: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = Forget { cache: &self.cache, unique_id };
            let done = sqlx::query(statement::BLOCK)
                .bind(unique_id)
                .bind(until.map(micros))
                .execute(&self.writer)
                .await
                .map_err(store_error)?;
            Ok(done.rows_affected() > 0)
        })
    }

    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(events::record(&self.writer, events))
    }

    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(events::record_accounting(&self.writer, accounted))
    }

    fn has_come_from<'a>(
        &'a self,
        unique_id: &'a str,
        source: IpAddr,
        (reason, before): (&'static str, SystemTime),
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let found = sqlx::query(statement::HAS_COME_FROM)
                .bind(unique_id)
                .bind(source.to_string())
                .bind(reason)
                .bind(micros(before))
                .fetch_optional(self.readers.take().await.connection()?)
                .await
                .map_err(store_error)?;
            Ok(found.is_some())
        })
    }
}

/// Claims the login name and, where it differs, the UPN.
async fn add_names(change: &mut SqliteConnection, person: &Person) -> StoreResult<()> {
    let name = folded(&person.name);
    let upn = person.upn.as_deref().map(folded).filter(|upn| *upn != name);
    for (name, kind) in [(Some(name), "name"), (upn, "upn")] {
        let Some(name) = name else { continue };
        sqlx::query(statement::ADD_NAME)
            .bind(name)
            .bind(kind)
            .bind(person.unique_id.as_str())
            .execute(&mut *change)
            .await
            .map_err(|error| {
                fault::conflict(store_error(error), "the login name or UPN belongs to another enrolled person")
            })?;
    }
    Ok(())
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
