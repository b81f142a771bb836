//! Whole files: whether one is sound, a copy of one that is in use, and the right to exchange one.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::users::sqlite::fault::store_error;
use crate::users::sqlite::{create_private, named, options};
use crate::users::store::{StoreError, StoreResult};

/// Up to this size, in octets, all of a file is looked at when a server starts: some tenths of a second.
const SMALL: u64 = 64 * 1024 * 1024;

/// Whether a file of `size` octets is sound: all of it where it is small, else the tables that sign-ins need.
pub(super) async fn checked(connection: &mut SqliteConnection, size: u64) -> StoreResult<()> {
    let looks: &[&'static str] = if size <= SMALL {
        &["PRAGMA integrity_check(1)"]
    } else {
        &["PRAGMA quick_check(people_state)", "PRAGMA quick_check(people)", "PRAGMA quick_check(names)"]
    };
    for look in looks {
        let found: Vec<String> = sqlx::query_scalar(*look).fetch_all(&mut *connection).await.map_err(store_error)?;
        if found.first().map(String::as_str) != Some("ok") {
            let found = found.into_iter().next().unwrap_or_default();
            return Err(StoreError::Unusable(format!("the file is damaged ({found}); restore it from a backup")));
        }
    }
    Ok(())
}

/// A connection that only looks, to a file that nobody else has in use.
pub(in crate::users) async fn read_alone(path: &Path) -> StoreResult<SqliteConnection> {
    options(path).connect().await.map_err(|error| named(path, store_error(error)))
}

/// Whether the whole file is a sound user store.
pub(in crate::users) async fn sound(path: &Path) -> StoreResult<()> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(StoreError::Unavailable(format!("{}: {error}", path.display())));
    }
    let named = |error| named(path, error);
    let mut connection = read_alone(path).await?;
    let looked = async {
        checked(&mut connection, 0).await?;
        const OURS: &str = "SELECT count(*) FROM sqlite_schema WHERE name IN ('people', 'names', '_sqlx_migrations')";
        let ours: i64 = sqlx::query_scalar(OURS).fetch_one(&mut connection).await.map_err(store_error)?;
        if ours == 3 { Ok(()) } else { Err(StoreError::Unusable("it is no user store".into())) }
    };
    let looked = looked.await.map_err(named);
    connection.close().await.map_err(|error| named(store_error(error)))?;
    looked
}

/// A copy of a file as it is at one moment; the file may be in use.
pub(in crate::users) async fn copy_into(path: &Path, copy: &Path) -> StoreResult<()> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(StoreError::Unavailable(format!("{}: {error}", path.display())));
    }
    create_private(copy)?;
    let to = copy.to_str().ok_or_else(|| StoreError::Unavailable(format!("{} is not UTF-8", copy.display())))?;
    let mut connection = read_alone(path).await?;
    let copied = sqlx::query("VACUUM INTO $1").bind(to).execute(&mut connection).await.map_err(store_error);
    connection.close().await.map_err(store_error)?;
    copied.map(|_| ()).map_err(|error| named(copy, error))
}

/// Makes sure that nobody has the file open, and that nothing of it stands beside it any more.
pub(in crate::users) async fn alone(path: &Path) -> StoreResult<()> {
    let exclusive: SqliteConnectOptions = options(path).busy_timeout(std::time::Duration::ZERO);
    let in_use = |error: sqlx::Error| match store_error(error) {
        StoreError::Unavailable(_) => {
            let why = "it is in use; stop the server, and every other command that has it open, first";
            StoreError::Unavailable(format!("{}: {why}", path.display()))
        }
        other => named(path, other),
    };
    let mut connection = exclusive.pragma("locking_mode", "EXCLUSIVE").connect().await.map_err(in_use)?;
    for sql in ["BEGIN EXCLUSIVE", "COMMIT", "PRAGMA journal_mode = DELETE"] {
        sqlx::query(sql).execute(&mut connection).await.map_err(in_use)?;
    }
    connection.close().await.map_err(in_use)
}
