//! A backup is an SQLite store, whatever it was made of: it can be opened, and put back into a file or a server.
//!
//! The key file is not in it. Whoever finds a backup has no seed.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteConnection};

use crate::users::place::StoreAt;
use crate::users::sql::SqlStore;
use crate::users::sql::driver::{Change, Dialect, Driver};
use crate::users::sql::tables::{TABLES, Table};
use crate::users::sql::value::{Value, built, fixed, row_of};
use crate::users::sqlite;
use crate::users::store::{StoreError, StoreResult};

/// Rows that are carried together.
const TOGETHER: usize = 500;

fn unavailable(path: &Path, what: &str, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{} {what}: {error}", path.display()))
}

/// A name beside `path`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file and what SQLite keeps beside it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // What is not there need not go; what cannot go is told by whoever needs the name.
        let _ = std::fs::remove_file(beside(path, suffix));
    }
}

/// Makes sure that a file and its name survive a power cut.
fn settle(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Writes a backup to `file`, which must not exist; the store may be in use meanwhile, and is not changed.
///
/// # Errors
/// What went wrong; there is then no file.
pub async fn backup(at: &StoreAt, file: &Path) -> StoreResult<()> {
    if file.exists() {
        return Err(StoreError::Unavailable(format!("{} is there already; name another file", file.display())));
    }
    let part = beside(file, ".part");
    remove(&part);
    let made = match at {
        StoreAt::File(path) => sqlite::copy_into(path, &part).await,
        StoreAt::Postgres(server) => {
            let from = SqlStore::connect(server).await?;
            let made = from_server(from.driver(), &part).await;
            from.close().await;
            made
        }
    };
    let made = match made {
        Ok(()) => sqlite::sound(&part).await,
        Err(error) => Err(error),
    };
    let placed = made.and_then(|()| {
        std::fs::rename(&part, file)
            .and_then(|()| settle(file))
            .map_err(|error| unavailable(file, "cannot be written", &error))
    });
    if placed.is_err() {
        remove(&part);
    }
    placed
}

/// Carries a server's tables, as they are at one moment, into a new file.
async fn from_server(from: &dyn Driver, part: &Path) -> StoreResult<()> {
    let to = SqlStore::open(part, true).await?;
    let carried = carry_from_server(from, to.driver()).await;
    to.close().await;
    carried
}

async fn carry_from_server(from: &dyn Driver, to: &dyn Driver) -> StoreResult<()> {
    let mut reading = from.begin().await?;
    reading.run(fixed("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"), vec![]).await?;
    for table in &TABLES {
        let mut writing = to.begin().await?;
        table.empty(writing.as_mut()).await?;
        writing.commit().await?;
        let columns = table.names();
        // A cursor of its own for each: the driver remembers what the columns of a statement are.
        let cursor = format!("carried_{}", table.name());
        let open = format!("DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {columns} FROM {}", table.name());
        reading.run(built(open), vec![]).await?;
        loop {
            let rows = reading.rows(built(format!("FETCH {TOGETHER} FROM {cursor}")), vec![]).await?;
            if rows.is_empty() {
                break;
            }
            let rows = rows.into_iter().map(|row| table.row(row)).collect::<StoreResult<Vec<_>>>()?;
            let mut writing = to.begin().await?;
            table.insertion().run(writing.as_mut(), Dialect::Sqlite, rows).await?;
            writing.commit().await?;
        }
        reading.run(built(format!("CLOSE {cursor}")), vec![]).await?;
    }
    Ok(())
}

/// What a restoring did with what was there before.
#[derive(Debug, PartialEq, Eq)]
pub enum Restored {
    /// Nothing was there.
    New,
    /// The file that was there has this name now.
    Beside(PathBuf),
    /// What the server had is gone.
    Replaced,
}

/// Puts a backup in the place of the store. A file that is in use is refused; one that is there is kept beside.
/// A server that has people is refused without `replace`.
///
/// # Errors
/// What went wrong; the store is then as it was.
pub async fn restore(at: &StoreAt, file: &Path, replace: bool, moment: &str) -> StoreResult<Restored> {
    match at {
        StoreAt::File(path) => to_file(path, file, moment).await,
        StoreAt::Postgres(server) => {
            let folder = std::env::temp_dir();
            let copy = folder.join(format!("anteroom-restore-{}.db", std::process::id()));
            let to = SqlStore::connect(server).await?;
            let carried = match prepared(file, &copy).await {
                Ok(()) => to_server(&copy, to.driver(), replace).await,
                Err(error) => Err(error),
            };
            remove(&copy);
            to.close().await;
            carried.map(|()| Restored::Replaced)
        }
    }
}

/// A copy of a backup that is sound and up to date.
async fn prepared(file: &Path, copy: &Path) -> StoreResult<()> {
    remove(copy);
    sqlite::sound(file).await?;
    sqlite::copy_into(file, copy).await?;
    SqlStore::open(copy, false).await?.close().await;
    sqlite::sound(copy).await
}

async fn to_file(path: &Path, file: &Path, moment: &str) -> StoreResult<Restored> {
    let part = beside(path, ".restoring");
    if let Err(error) = prepared(file, &part).await {
        remove(&part);
        return Err(error);
    }
    let failed = |error: std::io::Error| unavailable(path, "cannot be replaced", &error);
    let restored = if path.exists() {
        // Nobody may have it open while it is exchanged.
        if let Err(error) = sqlite::alone(path).await {
            remove(&part);
            return Err(error);
        }
        let old = beside(path, &format!(".before-restore-{moment}"));
        std::fs::rename(path, &old).map_err(failed)?;
        Restored::Beside(old)
    } else {
        Restored::New
    };
    std::fs::rename(&part, path).and_then(|()| settle(path)).map_err(failed)?;
    Ok(restored)
}

/// Carries a file's tables into a server's, in one transaction.
async fn to_server(copy: &Path, to: &dyn Driver, replace: bool) -> StoreResult<()> {
    let mut reading = sqlite::read_alone(copy).await?;
    let mut writing = to.begin().await?;
    let people = writing.rows(fixed("SELECT count(*) FROM people"), vec![]).await?;
    let people = people.into_iter().next().map(|mut row| row.needed_int("count")).transpose()?.unwrap_or_default();
    if people > 0 && !replace {
        return Err(StoreError::Conflict(format!(
            "the server has {people} people already; say --replace if they shall go"
        )));
    }
    for table in &TABLES {
        table.empty(writing.as_mut()).await?;
        carry(&mut reading, table, writing.as_mut()).await?;
        if let Some(sequence) = table.sequence() {
            writing.rows(built(sequence), vec![]).await?;
        }
    }
    writing.run(fixed("UPDATE people_state SET version = version + 1"), vec![]).await?;
    writing.commit().await
}

async fn carry(reading: &mut SqliteConnection, table: &Table, writing: &mut dyn Change) -> StoreResult<()> {
    let sql = built(format!("SELECT {} FROM {}", table.names(), table.name()));
    let mut rows = sqlx::query(sql).fetch(reading);
    let mut together: Vec<Vec<Value>> = Vec::with_capacity(TOGETHER);
    loop {
        let next = rows.try_next().await.map_err(sqlite::store_error)?;
        let at_end = next.is_none();
        if let Some(row) = next {
            together.push(table.row(row_of::<Sqlite>(&row).map_err(sqlite::store_error)?)?);
        }
        if together.len() >= TOGETHER || at_end {
            table.insertion().run(writing, Dialect::Postgres, std::mem::take(&mut together)).await?;
        }
        if at_end {
            return Ok(());
        }
    }
}
