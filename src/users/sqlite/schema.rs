//! The tables, and how an older file is brought up to date. Forward only: a file that a newer Anteroom has
//! changed is refused.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

use crate::users::sqlite::fault::store_error;
use crate::users::store::{StoreError, StoreResult};

/// Every step, oldest first. A step that has been released never changes.
const STEPS: [(i64, &str, &str); 3] = [
    (1, "people", include_str!("../migrations/0001_people.sql")),
    (2, "events", include_str!("../migrations/0002_events.sql")),
    (3, "accounting", include_str!("../migrations/0003_accounting.sql")),
];

/// Brings the tables up to date, all steps in one exclusive transaction, so that two processes that open a
/// new file together do not meet halfway.
pub(super) async fn migrate(writer: &SqlitePool) -> StoreResult<()> {
    let steps = STEPS
        .into_iter()
        .map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let mut change = writer.begin_with("BEGIN EXCLUSIVE").await.map_err(store_error)?;
    let migrator = Migrator::with_migrations(steps);
    run(&migrator, &mut *change).await?;
    change.commit().await.map_err(store_error)
}

async fn run<C: Migrate>(migrator: &Migrator, connection: &mut C) -> StoreResult<()> {
    let newest = STEPS.len();
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::Unusable(format!(
            "it was written by a newer Anteroom (schema {version}; this program knows up to {newest}); \
             start the newer program, or restore a backup from before the update"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Unusable(format!(
            "its schema {version} is not the one that this program knows; was it made by a development version?"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => store_error(error),
        other => StoreError::Unusable(other.to_string()),
    })
}
