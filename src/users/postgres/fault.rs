//! What PostgreSQL's errors mean for the caller. Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::users::sql::value::unreadable;
use crate::users::store::StoreError;

/// Whether the connection is gone, so that another one may know better.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // The server is stopping, starting, or was told to end this connection; or it has become a standby.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "25006")
        }
        _ => false,
    }
}

/// Whether a key is somebody else's already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("23505"))
}

/// Sorts an error by whose fault it is. The server's main text names tables and columns; values stand in its
/// details, which are left out.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let text = error.message().to_owned();
            match code.as_str() {
                "23505" | "23503" | "23514" => StoreError::Conflict(text),
                "55P03" | "57014" => StoreError::Unavailable("another process keeps it locked".into()),
                "XX001" | "XX002" => StoreError::Unusable(format!("{text}; restore it from a backup")),
                _ => StoreError::Unavailable(text),
            }
        }
        sqlx::Error::Io(error) => StoreError::Unavailable(error.to_string()),
        sqlx::Error::ColumnDecode { index, .. } => unreadable(&index),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// The cause without the words that every store error begins with.
pub(super) fn told(error: &StoreError) -> &str {
    match error {
        StoreError::Unavailable(why) | StoreError::Conflict(why) | StoreError::Unusable(why) => why,
    }
}
