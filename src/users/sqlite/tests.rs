use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr};

use super::*;
use crate::users::model::{Method, Person};
use crate::users::sql::testing;
use crate::users::store::Store;

async fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("store.db"), true).await.unwrap()
}

async fn driver(folder: &tempfile::TempDir) -> SqliteDriver {
    SqliteDriver::open(&folder.path().join("store.db"), true).await.unwrap()
}

fn alice() -> Person {
    Person { upn: Some("alice@example.com".into()), method: Method::Call, ..Person::bare("id-alice", "alice") }
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver(&folder).await;
    let mut writer = driver.writer.acquire().await.unwrap();
    for sql in testing::statements(Dialect::Sqlite) {
        let text = AssertSqlSafe(sql.clone()).into_sql_str();
        (&mut *writer).prepare(text).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert!((&mut *writer).prepare("SELECT nothing FROM people".into_sql_str()).await.is_err());
}

#[tokio::test]
async fn a_person_is_found_by_searches_of_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver(&folder).await;
    let plan = format!("EXPLAIN QUERY PLAN {}", testing::PERSON);
    let mut reader = driver.readers.take().await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(plan)).bind("x").fetch_all(reader.connection().unwrap()).await.unwrap();
    let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    let searches: Vec<&String> = steps.iter().filter(|step| step.starts_with("SEARCH")).collect();
    assert_eq!(
        searches,
        [
            "SEARCH p USING PRIMARY KEY (unique_id=? AND died>?)",
            "SEARCH s USING PRIMARY KEY (unique_id=?) LEFT-JOIN",
            "SEARCH d USING PRIMARY KEY (unique_id=?)",
        ]
    );
    // What is left reads the one row that says which generation counts.
    let others = steps.iter().filter(|step| !step.starts_with("SEARCH"));
    let known = |step: &String| step == "SCAN people_state" || step.contains("SCALAR SUBQUERY");
    assert!(others.clone().all(known), "{steps:?}");
}

#[tokio::test]
async fn the_settings_are_those_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver(&folder).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&driver.writer).await.unwrap();
    assert_eq!(mode, "wal");
    for (setting, value) in
        [("PRAGMA synchronous", 1), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 5000), ("PRAGMA mmap_size", 0)]
    {
        let found: i64 = sqlx::query_scalar(setting).fetch_one(&driver.writer).await.unwrap();
        assert_eq!(found, value, "{setting}");
    }
    let mut reader = driver.readers.take().await.unwrap();
    let refused = sqlx::query("DELETE FROM people").execute(reader.connection().unwrap()).await;
    assert!(refused.is_err(), "a reader can write");
}

#[tokio::test]
async fn a_new_file_is_readable_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.add(&alice()).await.unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver(&folder).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&driver.writer).await.unwrap();
    driver.close().await;
    let error = SqliteStore::open(folder.path().join("store.db"), true).await.unwrap_err();
    assert!(matches!(error, StoreError::Unusable(_)), "{error}");
    assert!(error.to_string().contains("newer Anteroom (schema 99"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but long enough to have a header of a hundred octets. ".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path, true).await.unwrap_err();
    assert!(matches!(error, StoreError::Unusable(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_missing_file_is_created_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    assert!(matches!(SqliteStore::open(&path, false).await, Err(StoreError::Unavailable(_))));
    assert!(!path.exists());
    let error = SqliteStore::open(folder.path().join("no/such/store.db"), true).await.unwrap_err();
    assert!(error.to_string().contains("no/such/store.db"), "{error}");
}

#[tokio::test]
async fn opening_it_again_and_together_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (first, second) = tokio::join!(SqliteStore::open(&path, true), SqliteStore::open(&path, true));
    let (first, second) = (first.unwrap(), second.unwrap());
    first.add(&alice()).await.unwrap();
    assert_eq!(second.person("id-alice").await.unwrap(), Some(alice()));
}

#[tokio::test]
async fn an_own_change_is_seen_at_once_by_the_cached_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert_eq!(store.person("id-alice").await.unwrap(), None);
    store.add(&alice()).await.unwrap();
    for enabled in [false, true, false] {
        assert!(store.person("id-alice").await.unwrap().is_some());
        store.replace(&Person { enabled, ..alice() }).await.unwrap();
        assert_eq!(store.person("id-alice").await.unwrap().map(|person| person.enabled), Some(enabled));
    }
    store.block("id-alice", Some(SystemTime::UNIX_EPOCH)).await.unwrap();
    assert!(store.person("id-alice").await.unwrap().unwrap().blocked_until.is_some());
    store.remove("id-alice").await.unwrap();
    assert_eq!(store.person("id-alice").await.unwrap(), None);
}
