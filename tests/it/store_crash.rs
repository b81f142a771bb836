//! `kill -9` at random moments of an import, of enrolment and of the use of codes, a hundred times: what was
//! committed is there, what was not is not there in half, and a code that was used stays used.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anteroom::users::details::Device;
use anteroom::users::profile::Profile;
use anteroom::users::roster::{Roster, Step};
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::token::Moving;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::store_suite::people::token;
use crate::store_suite::profile;

/// Name of the variable that turns [`crash_worker`] from a test that does nothing into the process that is killed.
const STORE: &str = "ANTEROOM_TEST_CRASH_ROSTER";

/// How often it is killed.
const ROUNDS: u32 = 100;

/// People of each import.
const PEOPLE: u32 = 60;

/// Everybody of an import has its number in their description.
fn imported(number: u32, round: i64) -> Profile {
    let mut profile = profile(&format!("id-{number:04}"), &format!("user-{number}-{round}"));
    profile.person.upn = Some(format!("user-{number}@example.com"));
    (profile.description, profile.content, profile.item) = (Some(round.to_string()), round, Some("people".into()));
    profile
}

/// Imports, enrols and uses codes for ever, and says on standard output what has been committed.
#[tokio::test]
async fn crash_worker() {
    let Ok(path) = std::env::var(STORE) else { return };
    let store = SqliteStore::open(&path, true).await.unwrap();
    let mut out = std::io::stdout();
    let mut say = |what: &str, number: i64| {
        writeln!(out, "\ncommitted {what} {number}").unwrap();
        out.flush().unwrap();
    };
    let said = |memory: Option<Vec<u8>>| {
        memory.and_then(|number| String::from_utf8(number).ok()).and_then(|number| number.parse::<i64>().ok())
    };
    let mut round = said(store.import_memory("round").await.unwrap()).unwrap_or(0);
    if store.profile("id-enrolling").await.unwrap().is_none() {
        store.enrol(&profile("id-enrolling", "enrolling"), "t").await.unwrap();
        store.add_token(&token("T", Some("id-enrolling"), Moving::Time { period: 30 }), "t").await.unwrap();
    }
    let mut step = store.token("T").await.unwrap().unwrap().last_step.unwrap_or(0);
    let lock = loop {
        // The one that was killed still has the lock, until its short lease is over.
        match store.lock_import("worker", Duration::from_millis(50)).await.unwrap() {
            Some(lock) => break lock,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(store.renew_import(&lock, Duration::from_millis(50)).await.unwrap());
    say("start", round);
    loop {
        round += 1;
        let mut import = store.begin_import(&lock, "import:people").await.unwrap();
        for chunk in 0..3 {
            // Some come, some change, and in every third import some go.
            let steps = (0..PEOPLE).filter(|number| number % 3 == chunk).map(|number| {
                if round % 3 == 0 && number % 10 == 0 {
                    Step::Remove(format!("id-{number:04}"))
                } else {
                    Step::Add(imported(number, round))
                }
            });
            import.stage(steps.collect()).await.unwrap();
            step += 1;
            assert!(store.use_code("id-enrolling", "T", step, 0).await.unwrap());
            say("step", i64::try_from(step).unwrap());
            let device = |kind: &str| Device { name: "d".into(), kind: kind.into(), token: format!("token-{step}") };
            store.set_devices("id-enrolling", &[device("first"), device("second")], "t").await.unwrap();
            say("device", i64::try_from(step).unwrap());
        }
        import.finish(&[("round".into(), Some(round.to_string().into_bytes()))]).await.unwrap();
        say("import", round);
    }
}

/// What the worker has said was committed.
#[derive(Debug, Default)]
struct Committed {
    import: i64,
    step: u64,
    device: u64,
}

impl Committed {
    fn note(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        let (Some("committed"), Some(what), Some(number)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let Ok(number) = number.parse() else { return false };
        match what {
            "start" | "import" => self.import = number,
            "step" => self.step = u64::try_from(number).unwrap(),
            "device" => self.device = u64::try_from(number).unwrap(),
            _ => {}
        }
        true
    }
}

/// Starts the worker, lets it run for a random while, and kills it.
fn one_life(path: &Path, round: u32, committed: &mut Committed) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::crash_worker", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !committed.note(&line) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the worker ended by itself");
    }
    // A few lines later and then up to 20 ms more: at moments that have nothing to do with its loop, and that come
    // as late on a slow machine as on a fast one.
    let moment = u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos());
    let moment = moment.wrapping_mul(u64::from(round) + 1);
    for _ in 0..moment % 13 {
        line.clear();
        while !committed.note(&line) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the worker ended by itself");
        }
    }
    std::thread::sleep(Duration::from_micros(moment / 13 % 20_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).unwrap();
    // Only whole lines count: the last one may have been cut off.
    let whole = rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&rest[..whole]).lines().for_each(|line| {
        committed.note(line);
    });
}

async fn number(raw: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(raw).await.unwrap()
}

/// Looks at everything that the dead worker has left.
async fn judge(path: &Path, round: u32, committed: &Committed) {
    let store = SqliteStore::open(path, false).await.unwrap();
    store.check().await.unwrap();
    // The import: the last that was committed, or the next, whose end could not be told any more; all of it.
    let memory = store.import_memory("round").await.unwrap();
    let memory = memory.map_or(0, |number| String::from_utf8(number).unwrap().parse::<i64>().unwrap());
    assert!([committed.import, committed.import + 1].contains(&memory), "round {round}: {memory}, {committed:?}");
    let states = store.states("", 10_000).await.unwrap();
    let people: Vec<_> = states.iter().filter(|state| state.item.is_some()).collect();
    let expected = if memory == 0 {
        0
    } else if memory % 3 == 0 {
        PEOPLE - PEOPLE / 10
    } else {
        PEOPLE
    };
    assert_eq!(people.len(), usize::try_from(expected).unwrap(), "round {round}: half an import");
    assert!(people.iter().all(|state| state.content == memory), "round {round}: a mixture of imports");
    let everybody = store.profiles("", 10_000).await.unwrap();
    assert_eq!(everybody.len(), states.len(), "round {round}: somebody has no name");
    for profile in everybody.iter().filter(|profile| profile.item.is_some()) {
        assert_eq!(profile.description.as_deref(), Some(memory.to_string().as_str()));
        assert!(profile.person.name.ends_with(&format!("-{memory}")), "round {round}: {}", profile.person.name);
    }
    // The code: used for all that is known, and once more never.
    let used = store.token("T").await.unwrap().and_then(|token| token.last_step).unwrap_or(0);
    assert!(used >= committed.step, "round {round}: a used code is fresh again: {used} < {}", committed.step);
    if committed.step > 0 {
        assert!(!store.use_code("id-enrolling", "T", committed.step, 0).await.unwrap(), "round {round}: used twice");
    }
    // The devices: both of one enrolment, or both of the next.
    let devices = store.devices("id-enrolling").await.unwrap();
    if committed.device > 0 {
        assert_eq!(devices.len(), 2, "round {round}: half an enrolment");
        assert_eq!(devices[0].token, devices[1].token, "round {round}: a mixture of enrolments");
        let of: u64 = devices[0].token.rsplit('-').next().unwrap().parse().unwrap();
        assert!(of >= committed.device, "round {round}: an enrolment is lost");
    }
    store.close().await;
    let mut raw = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    const CLASH: &str = "SELECT count(*) FROM (SELECT folded FROM names, people_state \
                         WHERE died > current AND born <= current GROUP BY folded HAVING count(*) > 1)";
    assert_eq!(number(&mut raw, CLASH).await, 0, "round {round}: a name is two people's");
}

#[tokio::test]
async fn killed_a_hundred_times_nothing_is_lost_or_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut committed = Committed::default();
    for round in 0..ROUNDS {
        one_life(&path, round, &mut committed);
        judge(&path, round, &committed).await;
    }
    assert!(committed.import > 10 && committed.step > 30, "the kills came too early: {committed:?}");
}
