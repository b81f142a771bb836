//! The tables on PostgreSQL. Forward only, as on SQLite.

use sqlx::{Connection, PgConnection};

use crate::users::migrations::{Step, migrate_with};
use crate::users::postgres::fault::store_error;
use crate::users::store::StoreResult;

/// Every step, oldest first. A step that has been released never changes.
const STEPS: [Step; 8] = [
    (1, "store", include_str!("../migrations/postgres/0001_store.sql")),
    (2, "letters", include_str!("../migrations/postgres/0002_letters.sql")),
    (4, "codes", include_str!("../migrations/postgres/0004_codes.sql")),
    (5, "policy", include_str!("../migrations/postgres/0005_policy.sql")),
    (7, "history", include_str!("../migrations/postgres/0007_history.sql")),
    (9, "rounds", include_str!("../migrations/postgres/0009_rounds.sql")),
    (11, "approvals", include_str!("../migrations/postgres/0011_approvals.sql")),
    (13, "prompts", include_str!("../migrations/postgres/0013_prompts.sql")),
];

/// What keeps nodes apart that start together, until the first has committed.
const LOCK: &str = "SELECT 1::bigint FROM pg_advisory_xact_lock(7308332045929148)";

/// Brings the tables up to date, all steps in one transaction.
pub(super) async fn migrate(connection: &mut PgConnection) -> StoreResult<()> {
    let mut change = connection.begin().await.map_err(store_error)?;
    sqlx::query(LOCK).execute(&mut *change).await.map_err(store_error)?;
    migrate_with(&STEPS, &mut *change, store_error).await?;
    change.commit().await.map_err(store_error)
}
