//! What goes wrong while an import writes into PostgreSQL changes nothing, is told, and leaves nothing behind: also
//! where newcomers are written while the directory is still being read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anteroom::import::pass::{ImportError, Importer};
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::StoreError;

use crate::import_nodes::{crowd, full, importer, open};
use crate::peers::postgres::Postgres;
use crate::support::people_directory::{PeopleDirectory, Wrong};

struct World {
    server: &'static Postgres,
    database: &'static str,
    directory: PeopleDirectory,
    store: Arc<SqlStore>,
    importer: Importer,
}

impl World {
    /// An empty database, and a directory with so many people.
    async fn new(database: &'static str, people: u32) -> Option<Self> {
        let server = Postgres::shared()?;
        let directory = PeopleDirectory::start(crowd(people)).await;
        let store = open(server, database).await;
        let importer = importer(directory.fake.address.port(), store.clone(), "one").await;
        Some(World { server, database, directory, store, importer })
    }

    /// Rows of people and names, whether they count or not.
    fn rows(&self) -> String {
        let sql = "SELECT (SELECT count(*) FROM people) || ' ' || (SELECT count(*) FROM names) || ' ' || \
                   (SELECT count(*) FROM changes)";
        self.server.sql(self.database, sql)
    }

    async fn fails(&self) -> ImportError {
        let before = self.store.profiles("", 10_000).await.unwrap();
        let error = full(&self.importer).await.unwrap_err();
        assert_eq!(self.store.profiles("", 10_000).await.unwrap(), before, "{error}");
        error
    }
}

#[tokio::test]
async fn a_directory_lost_in_the_first_import_leaves_an_empty_store() {
    let Some(world) = World::new("lost_early", 2500).await else { return };
    // Two hundred pages of ten people: a thousand of them are being written by then.
    world.directory.go(Wrong::LostIn(200));
    let error = world.fails().await;
    assert!(matches!(error, ImportError::Read(_)), "{error}");
    assert_eq!(world.rows(), "0 0 0", "something was left behind");
    world.directory.go(Wrong::Nothing);
    let done = full(&world.importer).await.unwrap();
    assert_eq!((done.counts.added, done.counts.conflicts), (2500, 0));
    assert!(full(&world.importer).await.unwrap().counts.is_empty());
    assert!(world.rows().starts_with("2500 "), "{}", world.rows());
}

#[tokio::test]
async fn a_full_disk_of_the_server_changes_nothing() {
    let Some(world) = World::new("disk_full", 2500).await else { return };
    // What the server says when it cannot make a file longer, in the middle of the people.
    let full_at = |id: &str| {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
             'could not extend file \"base/1\": No space left on device' USING ERRCODE = '53100'; END $$; \
             CREATE OR REPLACE TRIGGER no_room BEFORE INSERT ON people FOR EACH ROW \
             WHEN (NEW.unique_id = '{id}') EXECUTE FUNCTION no_room()"
        );
        world.server.sql(world.database, &sql);
    };
    full_at("id-u1900");
    let told = world.fails().await.to_string();
    assert!(told.contains("No space left on device") && told.contains("nothing was changed"), "{told}");
    assert_eq!(world.rows(), "0 0 0", "something was left behind");
    full_at("nobody");
    assert_eq!(full(&world.importer).await.unwrap().counts.added, 2500);
    // The same where people change, which goes another way.
    let mut people = crowd(2500);
    people.iter_mut().for_each(|one| one.mobile = Some("202-555-0111".into()));
    world.directory.set(people);
    full_at("id-u2400");
    let told = world.fails().await.to_string();
    assert!(told.contains("No space left on device") && told.contains("nothing was changed"), "{told}");
    full_at("nobody");
    let done = full(&world.importer).await.unwrap();
    assert_eq!((done.counts.changed, done.counts.conflicts), (2500, 0));
}

#[tokio::test]
async fn tables_that_another_session_keeps_locked_are_told_and_nothing_is_lost() {
    let Some(world) = World::new("locked_tables", 1500).await else { return };
    let mut session = Command::new("psql")
        .args(["-X", "-qAt", world.server.url(world.database).as_str()])
        .env("PGPASSWORD", crate::peers::postgres::PASSWORD)
        .env("PGTARGETSESSIONATTRS", "read-write")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = session.stdin.take().unwrap();
    writeln!(words, "BEGIN; LOCK TABLE names IN SHARE MODE; SELECT 'held';").unwrap();
    let mut line = String::new();
    BufReader::new(session.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "held");
    let error = world.fails().await;
    assert!(matches!(&error, ImportError::Store(StoreError::Unavailable(_))), "{error}");
    assert!(error.to_string().contains("another process keeps it locked"), "{error}");
    // The end of its input is the end of the session, and of its lock.
    drop(words);
    session.wait().unwrap();
    assert_eq!(full(&world.importer).await.unwrap().counts.added, 1500);
    assert!(full(&world.importer).await.unwrap().counts.is_empty());
}

#[tokio::test]
async fn a_disk_that_is_really_full_changes_nothing() {
    let Some(server) = Postgres::alone() else { return };
    server.say("disk");
    let disk = server.sql("postgres", "SELECT count(*) FROM pg_tablespace WHERE spcname = 'small'");
    let place = if disk == "1" { " TABLESPACE small" } else { "" };
    server.sql("postgres", &format!("CREATE DATABASE really_full{place}"));
    // Without a disk of its own a limit on files stands for it: the next part of the log must be there before.
    server.sql("postgres", "SELECT pg_switch_wal()");
    let directory = PeopleDirectory::start(crowd(20)).await;
    let store = Arc::new(SqlStore::connect(&server.at("really_full")).await.unwrap());
    let importer = importer(directory.fake.address.port(), store.clone(), "one").await;
    assert_eq!(full(&importer).await.unwrap().counts.added, 20);
    let before = store.profiles("", 10_000).await.unwrap();
    directory.set(crowd(4000));
    server.say("full");
    let error = full(&importer).await.unwrap_err();
    assert!(matches!(&error, ImportError::Store(StoreError::Unavailable(_))), "{error}");
    let told = error.to_string();
    assert!(told.contains("could not extend file") && told.contains("nothing was changed"), "{told}");
    assert!(store.profiles("", 10_000).await.unwrap() == before, "{told}");
    // Once there is room the next pass removes what was left behind and brings everybody.
    server.say("room");
    let long_after = std::time::Instant::now() + std::time::Duration::from_secs(180);
    let done = loop {
        match full(&importer).await {
            // Without room even the right to import may not have been given back: then it runs out by itself.
            Err(ImportError::Locked { .. }) if std::time::Instant::now() < long_after => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            other => break other.unwrap(),
        }
    };
    assert_eq!((done.counts.added, done.counts.unchanged, done.counts.conflicts), (3980, 20, 0));
    assert!(full(&importer).await.unwrap().counts.is_empty());
    store.close().await;
}
