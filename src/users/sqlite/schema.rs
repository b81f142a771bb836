//! The tables, and how an older file is brought up to date. Forward only: a file that a newer Anteroom has
//! changed is refused.

use sqlx::SqlitePool;

use crate::users::migrations::{Step, migrate_with};
use crate::users::sqlite::fault::store_error;
use crate::users::store::StoreResult;

/// Every step, oldest first. A step that has been released never changes.
const STEPS: [Step; 11] = [
    (1, "people", include_str!("../migrations/0001_people.sql")),
    (2, "events", include_str!("../migrations/0002_events.sql")),
    (3, "accounting", include_str!("../migrations/0003_accounting.sql")),
    (4, "profiles", include_str!("../migrations/0004_profiles.sql")),
    (5, "letters", include_str!("../migrations/0005_letters.sql")),
    (7, "codes", include_str!("../migrations/0007_codes.sql")),
    (8, "policy", include_str!("../migrations/0008_policy.sql")),
    (10, "history", include_str!("../migrations/0010_history.sql")),
    (12, "rounds", include_str!("../migrations/0012_rounds.sql")),
    (14, "approvals", include_str!("../migrations/0014_approvals.sql")),
    (16, "prompts", include_str!("../migrations/0016_prompts.sql")),
];

/// Brings the tables up to date, all steps in one exclusive transaction, so that two processes that open a
/// new file together do not meet halfway.
pub(super) async fn migrate(writer: &SqlitePool) -> StoreResult<()> {
    run(writer, &STEPS).await
}

async fn run(writer: &SqlitePool, steps: &[Step]) -> StoreResult<()> {
    let mut change = writer.begin_with("BEGIN EXCLUSIVE").await.map_err(store_error)?;
    migrate_with(steps, &mut *change, store_error).await?;
    change.commit().await.map_err(store_error)
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
        run(&writer, &STEPS[..3]).await.unwrap();
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
