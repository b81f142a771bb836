//! The tables on PostgreSQL. Forward only, as on SQLite.

use sqlx::{Connection, PgConnection};

use crate::users::migrations::{Step, migrate_with};
use crate::users::postgres::fault::store_error;
use crate::users::store::StoreResult;

/// Every step, oldest first. A step that has been released never changes.
const STEPS: [Step; 1] = [(1, "store", include_str!("../migrations/postgres/0001_store.sql"))];

/// Brings the tables up to date, all steps in one transaction, which sqlx guards by a lock of the whole
/// database, so that nodes that start together do not meet halfway.
pub(super) async fn migrate(connection: &mut PgConnection) -> StoreResult<()> {
    let mut change = connection.begin().await.map_err(store_error)?;
    migrate_with(&STEPS, &mut *change, store_error).await?;
    change.commit().await.map_err(store_error)
}
