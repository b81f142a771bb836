//! The tables, and how an older file is brought up to date. Forward only: a file that a newer Anteroom has
//! changed is refused.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

use crate::users::sqlite::fault::store_error;
use crate::users::store::{StoreError, StoreResult};

/// Every step, oldest first. A step that has been released never changes.
const STEPS: [(i64, &str, &str); 4] = [
    (1, "people", include_str!("../migrations/0001_people.sql")),
    (2, "events", include_str!("../migrations/0002_events.sql")),
    (3, "accounting", include_str!("../migrations/0003_accounting.sql")),
    (4, "profiles", include_str!("../migrations/0004_profiles.sql")),
];

/// Brings the tables up to date, all steps in one exclusive transaction, so that two processes that open a
/// new file together do not meet halfway.
pub(super) async fn migrate(writer: &SqlitePool) -> StoreResult<()> {
    migrate_with(writer, &STEPS).await
}

async fn migrate_with(writer: &SqlitePool, steps: &[(i64, &'static str, &'static str)]) -> StoreResult<()> {
    let steps = steps
        .iter()
        .copied()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::users::roster::Roster;
    use crate::users::sql::SqlStore;
    use crate::users::sqlite::{create_private, writer};
    use crate::users::store::Store;

    /// A file as the program of the third step left it.
    async fn file_of_step_three(path: &Path) {
        create_private(path).unwrap();
        let writer = writer(path, "-4096").await.unwrap();
        migrate_with(&writer, &STEPS[..3]).await.unwrap();
        for sql in [
            "INSERT INTO people (unique_id, name, upn, phone, device_token, method, language, enabled, blocked_until) \
             VALUES ('id-a', 'Alice', 'alice@example.com', '+1 202 555 0111', 'token-0123456789', 'call', 'fr', 0, 7)",
            "INSERT INTO people (unique_id, name, method, language, enabled) VALUES ('id-b', 'bob', 'push', 'en', 1)",
            "INSERT INTO names (folded, kind, unique_id) VALUES ('alice', 'name', 'id-a'), \
             ('alice@example.com', 'upn', 'id-a'), ('bob', 'name', 'id-b')",
        ] {
            sqlx::query(sql).execute(&writer).await.unwrap();
        }
        writer.close().await;
    }

    #[tokio::test]
    async fn people_of_an_older_file_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        file_of_step_three(&path).await;
        let store = SqlStore::open(&path, false).await.unwrap();
        assert_eq!(store.count().await.unwrap(), 2);
        let alice = store.profile_named("ALICE@example.com").await.unwrap().unwrap();
        let person = &alice.person;
        assert_eq!((person.name.as_str(), person.phone.as_deref()), ("Alice", Some("+1 202 555 0111")));
        assert_eq!(person.device_token.as_deref(), Some("token-0123456789"));
        assert_eq!((person.language.as_str(), person.enabled), ("fr", false));
        assert!(person.blocked_until.is_some());
        let bob = store.person_named("bob").await.unwrap().unwrap();
        assert_eq!((bob.device_token, bob.blocked_until, bob.enabled), (None, None, true));
        assert!(store.dismiss("id-a", "test").await.unwrap());
        assert_eq!(store.person_named("alice").await.unwrap(), None);
    }
}
