//! `kill -9` of the whole program at random moments of an import: everybody is as before it or as after it, never in
//! between, and the next import does what the killed one did not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anteroom::users::roster::Roster;
use anteroom::users::sqlite::SqliteStore;
use sqlx::ConnectOptions;

use crate::import::configuration;
use crate::support::people_directory::{PeopleDirectory, Somebody};

/// How often it is killed.
const ROUNDS: u32 = 30;
/// People of the directory.
const PEOPLE: u32 = 900;

/// Everybody as round `round` has them: all change, a tenth is new each time, and a tenth has gone.
fn people(round: u32) -> Vec<Somebody> {
    (round * 10..PEOPLE + round * 10)
        .map(|n| Somebody { mail: Some(format!("{round}@corp.example")), ..Somebody::new(&format!("u{n:05}")) })
        .collect()
}

/// The round that the store shows, of whom is enabled; panics where it is a mixture.
async fn shown(store: &SqliteStore) -> Option<u32> {
    let all = store.profiles("", 100_000).await.unwrap();
    let states = store.states("", 100_000).await.unwrap();
    assert_eq!(all.len(), states.len(), "somebody has no name");
    let here: Vec<_> = all.iter().filter(|one| one.quarantined.is_none()).collect();
    let first = here.first()?.person.email.clone().unwrap();
    assert!(here.iter().all(|one| one.person.email.as_ref() == Some(&first)), "a mixture of imports");
    let round: u32 = first.split('@').next().unwrap().parse().unwrap();
    let expected: Vec<String> = people(round).into_iter().map(|one| one.uid).collect();
    let mut found: Vec<String> = here.iter().map(|one| one.person.name.clone()).collect();
    found.sort();
    assert_eq!(found, expected, "half an import");
    Some(round)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_import_was_all_or_nothing() {
    let directory = PeopleDirectory::start(people(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(
        directory.fake.address.port(),
        "incremental = \"never\"\nstop_above = 999\nquarantine = \"0s\"",
        "leavers = \"remove\"",
    )
    .replace("page = 10", "page = 100");
    let config = folder.path().join("anteroom.toml");
    std::fs::write(&config, text).unwrap();
    let path = folder.path().join("store.db");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.args(["import", "--quiet", "--full", "--config"]).arg(&config);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // How long one takes undisturbed tells when to kill the others.
    let began = std::time::Instant::now();
    let status = tokio::task::spawn_blocking({
        let mut child = start();
        move || child.wait().unwrap()
    });
    assert!(status.await.unwrap().success());
    let whole = began.elapsed();
    let (mut last, mut killed, mut finished) = (1, 0, 0);
    for round in 2..ROUNDS + 2 {
        directory.set(people(round));
        let mut child = start();
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
        let store = SqliteStore::open(&path, false).await.unwrap();
        store.check().await.unwrap();
        let now = shown(&store).await.unwrap();
        assert!(now == round || now == last, "round {round}: shows {now} after {last}");
        assert!(
            ended.is_none_or(|status| status.success()) && (ended.is_none() || now == round),
            "round {round}: {ended:?}"
        );
        last = now;
        store.close().await;
        // As if the lease of the dead were over: nobody waits a minute here.
        let mut raw = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::query("UPDATE import_lock SET until = 0").execute(&mut raw).await.unwrap();
    }
    println!("killed {killed} times, finished {finished} times");
    assert!(killed >= ROUNDS / 3, "{killed} of {ROUNDS} were killed in time");
}
