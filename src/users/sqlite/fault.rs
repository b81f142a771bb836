//! What SQLite's errors mean for the caller. Result codes: <https://www.sqlite.org/rescode.html>.

use crate::users::sql::value::unreadable;
use crate::users::store::StoreError;

const LOCKED: &str = "another process keeps it locked";

/// Whether somebody else had the file at that moment.
pub(super) fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why == LOCKED)
}

/// Sorts an error by whose fault it is. SQLite's texts name tables and columns, never values.
pub(in crate::users) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            let extended: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(1);
            coded(extended, error.message().to_owned())
        }
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection became free in time".into()),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => StoreError::Unavailable("it has been closed".into()),
        sqlx::Error::ColumnDecode { index, .. } => unreadable(&index),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// As [`store_error`], of a connection without `sqlx`.
pub(super) fn plain_error(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            coded(code.extended_code, text.unwrap_or_else(|| code.to_string()))
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

fn coded(extended: i32, text: String) -> StoreError {
    // The low octet of an extended code is the primary code.
    match extended & 0xff {
        5 | 6 => StoreError::Unavailable(LOCKED.into()),
        11 => StoreError::Unusable(format!("{text}; restore it from a backup")),
        26 => StoreError::Unusable("the file is not an SQLite database".into()),
        19 => StoreError::Conflict(text),
        _ => StoreError::Unavailable(text),
    }
}
