//! The user store on a real PostgreSQL: the same suite as on SQLite, and what only servers can do to it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anteroom::users::place::Tls;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::{Store, StoreError};

use crate::peers::postgres::Postgres;
use crate::store;
use crate::store_suite::{conforms, profile};

async fn open(server: &Postgres, database: &str) -> SqlStore {
    SqlStore::connect(&server.at(&server.database(database))).await.unwrap()
}

#[tokio::test]
async fn the_postgres_store_conforms() {
    let Some(server) = Postgres::shared() else { return };
    let first = open(server, "conforms").await;
    store::conforms(&first).await;
    first.close().await;
    assert_eq!(server.sql("conforms", "SELECT count(*) FROM events"), "75");
    let row = "SELECT name, person_address, primary_us, identify_us IS NULL FROM events ORDER BY time LIMIT 1";
    assert_eq!(server.sql("conforms", row), "ALICE|2001:db8::7|1234|t");
    assert_eq!(server.sql("conforms", "SELECT count(*) FROM accounting"), "75");
}

#[tokio::test]
async fn the_postgres_store_keeps_everything_of_a_person() {
    let Some(server) = Postgres::shared() else { return };
    let store = open(server, "whole").await;
    conforms(&store).await;
    store.close().await;
    for table in
        ["people", "names", "standing", "devices", "tokens", "pins", "pin_history", "codes", "tries", "sent_codes"]
    {
        let left = server.sql("whole", &format!("SELECT count(*) FROM {table}"));
        assert_eq!(left, "0", "{table} keeps rows of nobody");
    }
}

#[tokio::test]
async fn a_change_by_another_node_is_seen_by_itself() {
    let Some(server) = Postgres::shared() else { return };
    let one = open(server, "two_nodes").await;
    let two = SqlStore::connect(&server.at("two_nodes")).await.unwrap();
    one.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert!(one.person("id-a").await.unwrap().unwrap().blocked_until.is_none());
    two.set_block("id-a", Some(SystemTime::now() + Duration::from_secs(60)), "t").await.unwrap();
    let changed = std::time::Instant::now();
    while one.person("id-a").await.unwrap().unwrap().blocked_until.is_none() {
        assert!(changed.elapsed() < Duration::from_secs(20), "still not blocked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_code_is_used_once_on_all_nodes() {
    let Some(server) = Postgres::shared() else { return };
    let one = Arc::new(open(server, "codes").await);
    let two = Arc::new(SqlStore::connect(&server.at("codes")).await.unwrap());
    one.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let moving = anteroom::users::token::Moving::Time { period: 30 };
    one.add_token(&crate::store_suite::people::token("T", Some("id-a"), moving), "t").await.unwrap();
    for step in 0..20 {
        let uses = (0..6).map(|number| {
            let store = Arc::clone(if number % 2 == 0 { &one } else { &two });
            tokio::spawn(async move { store.use_code("id-a", "T", step, 0).await.unwrap() })
        });
        let used = futures_util::future::join_all(uses).await.into_iter().filter(|used| *used.as_ref().unwrap());
        assert_eq!(used.count(), 1, "step {step}");
    }
}

#[tokio::test]
async fn two_nodes_that_start_together_make_the_tables_once() {
    let Some(server) = Postgres::shared() else { return };
    let at = server.at(&server.database("together"));
    let (one, two) = tokio::join!(SqlStore::connect(&at), SqlStore::connect(&at));
    one.unwrap().enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert!(two.unwrap().person("id-a").await.unwrap().is_some());
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused() {
    let Some(server) = Postgres::shared() else { return };
    open(server, "newer").await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', true, '\\x00', 0)";
    server.sql("newer", newer);
    let error = SqlStore::connect(&server.at("newer")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("newer Anteroom (schema 99")), "{error}");
}

#[tokio::test]
async fn the_certificate_is_verified_and_the_password_not_told() {
    let Some(server) = Postgres::shared() else { return };
    server.database("guarded");
    let other = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let ca = other.path().join("other-ca.pem");
    std::fs::write(&ca, key.cert.pem()).unwrap();
    let error = SqlStore::connect(&server.with("guarded", Tls::Verified(Some(ca)))).await.unwrap_err().to_string();
    assert!(error.contains("certificate") || error.contains("UnknownIssuer"), "{error}");
    let error = SqlStore::connect(&server.with("guarded", Tls::Plaintext)).await.unwrap_err().to_string();
    assert!(error.contains("pg_hba.conf"), "{error}");
    let wrong = anteroom::users::place::PostgresAt::parse(&server.url("guarded")).unwrap();
    let wrong = wrong.with_password(Some(anteroom::secret::Secret::from_text("planted-wrong".into())));
    let wrong = wrong.with_tls(Tls::Verified(Some(server.ca())));
    let error = SqlStore::connect(&wrong).await.unwrap_err().to_string();
    assert!(error.contains("password") && !error.contains("planted"), "{error}");
    assert!(!format!("{wrong:?}").contains("planted"));
    assert!(SqlStore::connect(&server.at("nowhere")).await.unwrap_err().to_string().contains("nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_is_found_again() {
    let Some(server) = Postgres::alone() else { return };
    let store = open(&server, "restarted").await;
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    // Several idle connections, all of which die.
    futures_util::future::join_all((0..8).map(|_| store.person_named("alice"))).await;
    tokio::task::block_in_place(|| server.say("restart"));
    assert!(store.person_named("alice").await.unwrap().is_some());
    tokio::task::block_in_place(|| server.say("restart"));
    store.set_block("id-a", Some(SystemTime::now()), "t").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_and_nothing_committed_is_lost() {
    let Some(server) = Postgres::alone() else { return };
    let store = open(&server, "pair").await;
    tokio::task::block_in_place(|| server.say("standby"));
    // From here on a commit waits for the standby: what was committed is on both.
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    tokio::task::block_in_place(|| server.say("crash"));
    let error = store.person_named("alice").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("standby")), "{error}");
    tokio::task::block_in_place(|| server.say("promote"));
    assert!(store.person_named("alice").await.unwrap().is_some());
    store.enrol(&profile("id-b", "bob"), "t").await.unwrap();
    assert_eq!(store.count().await.unwrap(), 2);
    assert!(server.folder().exists());
}
