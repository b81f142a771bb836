//! `kill -9` of the whole program at random moments of an import, from a directory into either database and from a file:
//! everybody is as before it or as after it, never in between, and the next import does what the killed one did not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use sqlx::ConnectOptions;

use crate::import::configuration;
use crate::peers::postgres::{PASSWORD, Postgres};
use crate::support::people_directory::{PeopleDirectory, Somebody};

/// How often it is killed: a file takes less time than a server.
const ROUNDS: u32 = 30;
const ROUNDS_OF_A_SERVER: u32 = 15;
/// People of the directory.
const PEOPLE: u32 = 900;

/// Where people are kept.
enum Database {
    File(PathBuf),
    Server(&'static Postgres, &'static str),
}

impl Database {
    /// As the configuration names it.
    fn written(&self) -> String {
        match self {
            Database::File(path) => format!("store = {path:?}"),
            Database::Server(server, name) => format!(
                "store = \"{}\"\nstore_password = \"{PASSWORD}\"\nstore_ca_file = {:?}\nkeys = \"keys\"\ncontrol = \"c\"",
                server.url(name),
                server.ca()
            ),
        }
    }

    /// Opens it once whoever was killed is out of it: what it has sent to a server may still be done.
    async fn open(&self) -> SqlStore {
        match self {
            Database::File(path) => SqlStore::open(path, false).await.unwrap(),
            Database::Server(server, name) => {
                let inside = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'anteroom'"
                );
                while server.sql(name, &inside) != "0" {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                SqlStore::connect(&server.at(name)).await.unwrap()
            }
        }
    }

    /// As if the lease of the dead were over: nobody waits a minute here.
    async fn free(&self) {
        const FREE: &str = "UPDATE import_lock SET until = 0";
        match self {
            Database::File(path) => {
                let mut raw = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
                sqlx::query(FREE).execute(&mut raw).await.unwrap();
            }
            Database::Server(server, name) => {
                server.sql(name, FREE);
            }
        }
    }
}

/// The round that the store shows, of whom is enabled; panics where it is a mixture.
async fn shown(store: &SqlStore, expected: fn(u32) -> Vec<String>) -> u32 {
    let all = store.profiles("", 100_000).await.unwrap();
    let states = store.states("", 100_000).await.unwrap();
    assert_eq!(all.len(), states.len(), "somebody has no name");
    let here: Vec<_> = all.iter().filter(|one| one.quarantined.is_none()).collect();
    let first = here[0].person.email.clone().unwrap();
    assert!(here.iter().all(|one| one.person.email.as_ref() == Some(&first)), "a mixture of imports");
    let round: u32 = first.split('@').next().unwrap().parse().unwrap();
    let mut found: Vec<String> = here.iter().map(|one| one.person.name.clone()).collect();
    found.sort();
    assert_eq!(found, expected(round), "half an import");
    round
}

/// Kills what `start` starts, once for each round but the first; `expected` are the names of those who are there after
/// a round.
async fn is_all_or_nothing(
    database: &Database,
    rounds: u32,
    start: impl Fn(u32) -> Child,
    expected: fn(u32) -> Vec<String>,
) {
    // How long one takes undisturbed tells when to kill the others.
    let began = Instant::now();
    let mut child = start(1);
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert!(status.await.unwrap().success());
    let whole = began.elapsed();
    let (mut last, mut killed, mut finished) = (1, 0, 0);
    for round in 2..rounds + 2 {
        let mut child = start(round);
        let moment = u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos());
        let moment =
            whole.mul_f64(f64::from(u32::try_from(moment.wrapping_mul(u64::from(round)) % 1100).unwrap()) / 1000.0);
        tokio::time::sleep(moment.max(Duration::from_millis(5))).await;
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        if ended.is_some() {
            finished += 1
        } else {
            killed += 1
        }
        let store = database.open().await;
        store.check().await.unwrap();
        let now = shown(&store, expected).await;
        assert!(now == round || now == last, "round {round}: shows {now} after {last}");
        assert!(
            ended.is_none_or(|status| status.success()) && (ended.is_none() || now == round),
            "round {round}: {ended:?}"
        );
        last = now;
        store.close().await;
        database.free().await;
    }
    println!("killed {killed} times, finished {finished} times");
    assert!(killed >= rounds / 3, "{killed} of {rounds} were killed in time");
}

fn import(config: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.args(["import", "--quiet", "--config"]).arg(config).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Everybody as round `round` has them: all change, a tenth is new each time, and a tenth has gone.
fn people(round: u32) -> Vec<Somebody> {
    (round * 10..PEOPLE + round * 10)
        .map(|n| Somebody { mail: Some(format!("{round}@corp.example")), ..Somebody::new(&format!("u{n:05}")) })
        .collect()
}

async fn an_import_is_all_or_nothing(folder: &Path, database: &Database, rounds: u32) {
    let directory = PeopleDirectory::start(people(1)).await;
    let import_section = "incremental = \"never\"\nstop_above = 999\nquarantine = \"0s\"";
    let text = configuration(directory.fake.address.port(), import_section, "leavers = \"remove\"")
        .replace("page = 10", "page = 100")
        .replace("store = \"store.db\"", &database.written());
    let config = folder.join("anteroom.toml");
    std::fs::write(&config, text).unwrap();
    let start = |round| {
        directory.set(people(round));
        import(&config, &["--full"])
    };
    let expected = |round| people(round).into_iter().map(|one| one.uid).collect();
    is_all_or_nothing(database, rounds, start, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_import_was_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("store.db"));
    an_import_is_all_or_nothing(folder.path(), &database, ROUNDS).await;
    let left = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let known = ["anteroom.toml", "store.db", "store.db-shm", "store.db-wal", "store.keys"];
    let left: Vec<String> = left.filter(|name| !known.contains(&name.as_str())).collect();
    assert!(left.is_empty(), "the killed have left {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_import_into_postgres_was_all_or_nothing() {
    let Some(server) = Postgres::shared() else { return };
    server.database("killed");
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Server(server, "killed");
    an_import_is_all_or_nothing(folder.path(), &database, ROUNDS_OF_A_SERVER).await;
}

/// The file of round `round`: everybody changes, and a few come.
fn names(round: u32) -> Vec<String> {
    (0..PEOPLE + round * 10).map(|n| format!("u{n:05}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_import_of_a_file_was_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("store.db"));
    let config = folder.path().join("anteroom.toml");
    std::fs::write(&config, configuration(1, "", "").replace("store = \"store.db\"", &database.written())).unwrap();
    let file = folder.path().join("people.csv");
    let start = |round| {
        let line = |name: String| format!("id-{name},{name},{round}@corp.example\n");
        let lines: String = names(round).into_iter().map(line).collect();
        std::fs::write(&file, format!("unique_id,name,email\n{lines}")).unwrap();
        import(&config, &["csv", file.to_str().unwrap()])
    };
    is_all_or_nothing(&database, ROUNDS, start, names).await;
}
