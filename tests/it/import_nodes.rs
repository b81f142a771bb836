//! Imports into PostgreSQL: the same as into a file; exactly one node runs a pass, and when it is killed another takes
//! over.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anteroom::import::pass::{Ask, ImportError, Importer};
use anteroom::import::progress::Progress;
use anteroom::import::schedule;
use anteroom::users::place::{PostgresAt, Tls};
use anteroom::users::roster::{ImportRun, Roster};
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;

use crate::import::{configuration, ready};
use crate::peers::postgres::{PASSWORD, Postgres};
use crate::support::people_directory::{PeopleDirectory, Somebody, Wrong};

/// Turns [`import_node`] from a test that does nothing into a node that imports: port of the directory, and the database.
const NODE: &str = "ANTEROOM_TEST_IMPORT_NODE";

/// How long a node that has died keeps the right to import here.
const LEASE: Duration = Duration::from_secs(2);

pub(crate) fn crowd(count: u32) -> Vec<Somebody> {
    (0..count)
        .map(|n| Somebody { mail: Some(format!("u{n}@corp.example")), ..Somebody::new(&format!("u{n:04}")) })
        .collect()
}

pub(crate) async fn importer(port: u16, store: Arc<SqlStore>, node: &str) -> Importer {
    let folder = tempfile::tempdir().unwrap();
    let (importer, unused) =
        ready(&configuration(port, "stop_above = 999\nincremental = \"never\"", "leavers = \"remove\""), folder.path())
            .await;
    unused.close().await;
    let mut import = (*importer.import).clone();
    import.patience = Duration::from_secs(600);
    Importer { import: Arc::new(import), roster: store, node: node.into(), lease: LEASE, ..importer }
}

pub(crate) async fn full(importer: &Importer) -> Result<anteroom::import::pass::Outcome, ImportError> {
    let ask = Ask { full: true, ..Ask::default() };
    importer.run(&ask, &Progress::default(), &mut |_| ()).await
}

pub(crate) async fn open(server: &Postgres, database: &str) -> Arc<SqlStore> {
    Arc::new(SqlStore::connect(&server.at(&server.database(database))).await.unwrap())
}

#[tokio::test]
async fn people_come_change_and_go_in_postgres_as_in_a_file() {
    let Some(server) = Postgres::shared() else { return };
    let directory = PeopleDirectory::start(crowd(2500)).await;
    let store = open(server, "imported").await;
    let importer = importer(directory.fake.address.port(), store.clone(), "one").await;
    let first = full(&importer).await.unwrap();
    assert_eq!((first.counts.added, first.counts.conflicts), (2500, 0));
    assert!(full(&importer).await.unwrap().counts.is_empty());
    let before = store.profiles("", 10_000).await.unwrap();
    // Half of it is lost on the way: nobody notices.
    let mut people = crowd(2600);
    people.drain(..20);
    people.iter_mut().for_each(|one| one.mobile = Some("202-555-0111".into()));
    people[0].uid = "renamed".into();
    directory.set(people);
    directory.go(Wrong::LostIn(100));
    assert!(full(&importer).await.is_err());
    assert_eq!(store.profiles("", 10_000).await.unwrap(), before);
    directory.go(Wrong::Nothing);
    let second = full(&importer).await.unwrap();
    assert_eq!((second.counts.added, second.counts.changed, second.counts.quarantined), (100, 2480, 20), "{second:?}");
    assert!(store.person_named("renamed").await.unwrap().is_some());
    assert_eq!(store.person_named("u0020").await.unwrap(), None);
    let told = store.changes(Some("id-u2599"), i64::MAX, 10).await.unwrap();
    assert_eq!((told[0].kind.as_str(), told[0].by.as_str()), ("added", "import:all"));
    assert!(told[0].fields.iter().any(|field| field.field() == "name" && field.after() == Some("u2599")));
    assert!(full(&importer).await.unwrap().counts.is_empty());
    for table in ["people", "names"] {
        let stale = format!("SELECT count(*) FROM {table} WHERE died < 9223372036854775807");
        assert_eq!(server.sql("imported", &stale), "0", "{table} keeps what was replaced");
    }
}

/// Imports once, against a directory that never answers, until it is killed.
#[tokio::test]
async fn import_node() {
    let Ok(told) = std::env::var(NODE) else { return };
    let mut told = told.split(' ');
    let (port, url, ca) = (told.next().unwrap().parse().unwrap(), told.next().unwrap(), told.next().unwrap());
    let at = PostgresAt::parse(url).unwrap();
    let at = at.with_password(Some(anteroom::secret::Secret::from_text(PASSWORD.into())));
    let store = Arc::new(SqlStore::connect(&at.with_tls(Tls::Verified(Some(ca.into())))).await.unwrap());
    let importer = importer(port, store, "first").await;
    let _ = full(&importer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_imports_and_another_takes_over_when_it_is_killed() {
    let Some(server) = Postgres::shared() else { return };
    let directory = PeopleDirectory::start(crowd(600)).await;
    let port = directory.fake.address.port();
    let store = open(server, "takeover").await;
    // The first node stages people, and then its directory says nothing more.
    directory.go(Wrong::SilentAt(50));
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "import_nodes::import_node", "--nocapture"])
        .env(NODE, format!("{port} {} {}", server.url("takeover"), server.ca().display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let second = importer(port, store.clone(), "second").await;
    let mut holder = None;
    for _ in 0..600 {
        holder = store.import_holder().await.unwrap();
        if holder.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(holder.unwrap().0, "first");
    // It lives, so it keeps the right far beyond one lease.
    for _ in 0..3 {
        tokio::time::sleep(LEASE / 2).await;
        let error = full(&second).await.unwrap_err();
        assert!(matches!(&error, ImportError::Locked { node } if node == "first"), "{error}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    directory.go(Wrong::Nothing);
    let mut taken = None;
    for _ in 0..600 {
        match full(&second).await {
            Ok(outcome) => {
                taken = Some(outcome);
                break;
            }
            Err(ImportError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken.unwrap().counts.added, 600, "all of it, whatever the first had staged");
    assert_eq!(store.count().await.unwrap(), 600);
    assert!(store.import_holder().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_a_schedule_run_one_pass_an_interval() {
    let Some(server) = Postgres::shared() else { return };
    let directory = PeopleDirectory::start(crowd(30)).await;
    let store = open(server, "scheduled").await;
    let interval = Duration::from_millis(300);
    let mut nodes = Vec::new();
    for node in ["one", "two"] {
        let mut importer = importer(directory.fake.address.port(), store.clone(), node).await;
        let mut import = (*importer.import).clone();
        import.interval = Some(interval);
        importer.import = Arc::new(import);
        nodes.push(tokio::spawn(schedule::run(importer)));
    }
    let mut runs: Vec<ImportRun> = Vec::new();
    for _ in 0..600 {
        runs = store.import_runs(50).await.unwrap();
        if runs.len() >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    nodes.iter().for_each(tokio::task::JoinHandle::abort);
    runs.sort_by_key(|run| run.began);
    assert!(runs.len() >= 5 && runs.iter().all(|run| run.result == "done"), "{runs:?}");
    for pair in runs.windows(2) {
        let apart = pair[1].began.duration_since(pair[0].began).unwrap();
        assert!(apart >= interval, "two passes {apart:?} apart: {runs:?}");
        assert!(pair[1].began >= pair[0].ended, "two passes at a time: {runs:?}");
    }
    assert_eq!(store.count().await.unwrap(), 30);
}
