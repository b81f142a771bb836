//! Opens the user database, wherever it is.

use crate::users::place::StoreAt;
use crate::users::sql::SqlStore;
use crate::users::store::StoreResult;

/// Opens the store. With `create`, a file that is missing is created; a server's tables always are.
///
/// # Errors
/// Why it cannot be used, with its place in front.
pub async fn open(at: &StoreAt, create: bool) -> StoreResult<SqlStore> {
    match at {
        StoreAt::File(path) => SqlStore::open(path, create).await,
        StoreAt::Postgres(at) => SqlStore::connect(at).await,
    }
}
