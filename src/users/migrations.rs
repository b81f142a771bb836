//! How tables are brought up to date. Forward only: tables that a newer Anteroom has changed are refused.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use crate::users::store::{StoreError, StoreResult};

/// A step: its number, its name, its SQL.
pub(super) type Step = (i64, &'static str, &'static str);

/// Runs the steps that are still to be taken, within the transaction that `connection` is in.
pub(super) async fn migrate_with<C: Migrate>(
    steps: &[Step],
    connection: &mut C,
    store_error: fn(sqlx::Error) -> StoreError,
) -> StoreResult<()> {
    let newest = steps.last().map_or(0, |(version, _, _)| *version);
    let steps = steps
        .iter()
        .map(|(version, name, sql)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let migrator = Migrator::with_migrations(steps);
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
