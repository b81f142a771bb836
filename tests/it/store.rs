//! The user store: one suite for every implementation, what another process changes, and what `kill -9`
//! leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test fail as a test does"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anteroom::audit::{Accounted, Event, Steps};
use anteroom::radius::accounting::AccountingRecord;
use anteroom::signin::attempt::{Door, SignInId};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::users::model::{Method, Person};
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::store::{Store, StoreError};
use sqlx::{ConnectOptions, Row, SqliteConnection};

use crate::store_suite;
use crate::support::memory_store::MemoryStore;

fn person(unique_id: &str, name: &str) -> Person {
    Person {
        unique_id: unique_id.into(),
        name: name.into(),
        upn: Some(format!("{name}@example.com")),
        dn: Some(format!("CN={name},OU=People,DC=example,DC=com")),
        first_name: Some("Alice".into()),
        last_name: None,
        email: Some("alice@example.com".into()),
        phone: Some("+1 202 555 0111".into()),
        phone_extension: Some("17".into()),
        device_token: Some("token-0123456789".into()),
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    }
}

fn event(number: u32) -> Event {
    let mut random = [0; 12];
    random[..4].copy_from_slice(&number.to_be_bytes());
    Event {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_000 + u64::from(number)),
        sign_in: SignInId::new(random),
        door: Door::Radius,
        client: "vpn".into(),
        application: "Company VPN".into(),
        name: "ALICE".into(),
        unique_id: Some("id-alice".into()),
        account: Some("alice".into()),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        person_address: Some("2001:db8::7".parse().unwrap()),
        method: Some(Method::Push),
        provider: Some("cloud".into()),
        primary: Some("passed"),
        factor: Some("approved"),
        verdict: Verdict::Accept,
        reason: Reason::Approved,
        rule: None,
        earlier: None,
        requests: 2,
        steps: Steps {
            identify: None,
            primary: Some(Duration::from_micros(1234)),
            policy: Some(Duration::from_micros(5)),
            factor: Some(Duration::from_secs(3)),
            total: Duration::from_micros(3_001_300),
        },
        server: "gate-1".into(),
    }
}

fn accounted(number: u32) -> Accounted {
    Accounted {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_000 + u64::from(number)),
        record: AccountingRecord {
            client: "vpn".into(),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            status: Some(2),
            session: format!("session-{number}"),
            name: "ALICE".into(),
            octets_in: Some(5_000_000_000),
            octets_out: None,
            session_time: Some(Duration::from_secs(u64::from(number))),
        },
    }
}

/// What every user store must do.
pub(crate) async fn conforms(store: &dyn Store) {
    adding_and_finding(store).await;
    changing(store).await;
    paging(store).await;
    store.record(&[]).await.unwrap();
    store.record(&(0..75).map(event).collect::<Vec<_>>()).await.unwrap();
    store.record_accounting(&[]).await.unwrap();
    store.record_accounting(&(0..75).map(accounted).collect::<Vec<_>>()).await.unwrap();
}

async fn adding_and_finding(store: &dyn Store) {
    let alice = person("id-alice", "Alice");
    assert_eq!(store.person("id-alice").await.unwrap(), None);
    store.add(&alice).await.unwrap();
    assert_eq!(store.person("id-alice").await.unwrap().as_ref(), Some(&alice));
    assert_eq!(store.person("ID-ALICE").await.unwrap(), None, "a unique id has one spelling");
    for name in ["alice", "ALICE", "Alice@Example.COM"] {
        assert_eq!(store.person_named(name).await.unwrap().as_ref(), Some(&alice), "{name}");
    }
    for name in ["", "alic", "alice%", "id-alice"] {
        assert_eq!(store.person_named(name).await.unwrap(), None, "{name}");
    }
    let conflicts = [
        person("id-alice", "somebody"),
        person("id-2", "aLICE"),
        Person { upn: Some("ALICE".into()), ..person("id-2", "bob") },
        Person { upn: Some("alice@EXAMPLE.com".into()), ..person("id-2", "bob") },
        Person { upn: None, ..person("id-2", "alice@example.com") },
    ];
    for conflicting in conflicts {
        assert!(matches!(store.add(&conflicting).await, Err(StoreError::Conflict(_))), "{conflicting:?}");
    }
    assert_eq!(store.person("id-2").await.unwrap(), None, "a refused person leaves nothing behind");
    let unicode = person("id-o", "ÖRSTED Ångström'; DROP TABLE people; --");
    store.add(&unicode).await.unwrap();
    assert_eq!(store.person_named("örsted ångström'; drop table people; --").await.unwrap().as_ref(), Some(&unicode));
    assert!(store.remove("id-o").await.unwrap());
    let same_upn = Person { upn: Some("CAROL".into()), ..person("id-c", "carol") };
    store.add(&same_upn).await.unwrap();
    assert!(store.remove("id-c").await.unwrap());
}

async fn changing(store: &dyn Store) {
    let until = SystemTime::UNIX_EPOCH + Duration::from_micros(4_000_000_000_123_456);
    assert!(store.block("id-alice", Some(until)).await.unwrap());
    assert_eq!(store.person("id-alice").await.unwrap().unwrap().blocked_until, Some(until));
    let edited = Person { language: "fr".into(), blocked_until: None, ..person("id-alice", "Alice") };
    assert!(store.replace(&edited).await.unwrap());
    let found = store.person("id-alice").await.unwrap().unwrap();
    assert_eq!((found.language.as_str(), found.blocked_until), ("fr", Some(until)), "an edit undoes no block");
    assert!(store.block("id-alice", None).await.unwrap());
    assert_eq!(store.person("id-alice").await.unwrap().unwrap().blocked_until, None);
    assert!(!store.block("nobody", Some(until)).await.unwrap());

    let bare = Person {
        upn: None,
        dn: None,
        first_name: None,
        email: None,
        phone: None,
        phone_extension: None,
        device_token: None,
        method: Method::SmsReply,
        enabled: false,
        ..person("id-alice", "alicia")
    };
    assert!(store.replace(&bare).await.unwrap());
    assert_eq!(store.person("id-alice").await.unwrap().as_ref(), Some(&bare));
    assert_eq!(store.person_named("alice").await.unwrap(), None, "the old name is free again");
    assert_eq!(store.person_named("alicia").await.unwrap().as_ref(), Some(&bare));
    store.add(&person("id-2", "alice")).await.unwrap();
    assert!(matches!(store.replace(&person("id-alice", "ALICE")).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.person_named("alicia").await.unwrap().as_ref(), Some(&bare), "a refused change changes nothing");
    assert!(!store.replace(&person("nobody", "nobody")).await.unwrap());
    assert_eq!(store.person_named("nobody").await.unwrap(), None);
    assert!(store.remove("id-2").await.unwrap());
    assert!(!store.remove("id-2").await.unwrap());
    assert_eq!(store.person("id-2").await.unwrap(), None);
    assert_eq!(store.person_named("alice").await.unwrap(), None);
    assert!(store.remove("id-alice").await.unwrap());
}

async fn paging(store: &dyn Store) {
    let mut all = Vec::new();
    for number in [3, 1, 4, 0, 2] {
        let one = person(&format!("id-{number}"), &format!("User{number}"));
        store.add(&one).await.unwrap();
        all.push(one);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(store.people("", 10).await.unwrap(), all);
    assert_eq!(store.people("", 2).await.unwrap(), all[..2]);
    assert_eq!(store.people("uSER1", 2).await.unwrap(), all[2..4]);
    assert_eq!(store.people("User4", 2).await.unwrap(), []);
    assert_eq!(store.people("", 0).await.unwrap(), []);
}

#[tokio::test]
async fn the_memory_store_conforms() {
    let store = MemoryStore::default();
    conforms(&store).await;
    assert_eq!(store.events().len(), 75);
    assert_eq!(store.accounted(), (0..75).map(accounted).collect::<Vec<_>>());
    let store = MemoryStore::with([person("id-alice", "Alice")]);
    assert!(store.person("id-alice").await.unwrap().is_some());
    store.set_broken(Some("switched off"));
    assert!(matches!(store.person("id-alice").await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn the_sqlite_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, true).await.unwrap();
    conforms(&store).await;
    store.close().await;
    let mut raw = raw(&path).await;
    assert_eq!(number(&mut raw, "SELECT count(*) FROM events").await, 75);
    let row = sqlx::query("SELECT * FROM events ORDER BY time LIMIT 1 OFFSET 70").fetch_one(&mut raw).await.unwrap();
    assert_eq!(row.get::<i64, _>("time"), 1_700_000_000_000_070);
    assert_eq!(row.get::<&str, _>("sign_in"), "000000460000000000000000");
    assert_eq!(row.get::<&str, _>("name"), "ALICE");
    assert_eq!(row.get::<&str, _>("person_address"), "2001:db8::7");
    assert_eq!(row.get::<&str, _>("reason"), "approved");
    assert_eq!(row.get::<&str, _>("primary_result"), "passed");
    assert_eq!(row.get::<Option<i64>, _>("identify_us"), None);
    assert_eq!(row.get::<i64, _>("primary_us"), 1234);
    assert_eq!(row.get::<i64, _>("factor_us"), 3_000_000);
    assert_eq!(row.get::<i64, _>("total_us"), 3_001_300);
    assert_eq!(row.get::<&str, _>("server"), "gate-1");

    assert_eq!(number(&mut raw, "SELECT count(*) FROM accounting").await, 75);
    let row =
        sqlx::query("SELECT * FROM accounting ORDER BY time LIMIT 1 OFFSET 70").fetch_one(&mut raw).await.unwrap();
    assert_eq!(row.get::<i64, _>("time"), 1_700_000_000_000_070);
    assert_eq!(row.get::<&str, _>("client"), "vpn");
    assert_eq!(row.get::<&str, _>("source"), "127.0.0.1");
    assert_eq!(row.get::<&str, _>("status"), "stop");
    assert_eq!(row.get::<&str, _>("session"), "session-70");
    assert_eq!(row.get::<&str, _>("name"), "ALICE");
    assert_eq!(row.get::<i64, _>("octets_in"), 5_000_000_000);
    assert_eq!(row.get::<Option<i64>, _>("octets_out"), None);
    assert_eq!(row.get::<i64, _>("session_seconds"), 70);
}

#[tokio::test]
async fn the_sqlite_store_keeps_everything_of_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, true).await.unwrap();
    store_suite::conforms(&store).await;
    store.close().await;
    let mut raw = raw(&path).await;
    for table in ["people", "names", "standing", "devices", "tokens", "pins", "pin_history"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut raw).await.unwrap();
        assert_eq!(left, 0, "{table} keeps rows of nobody");
    }
}

/// A file as the program with two steps left it.
#[tokio::test]
async fn a_store_from_before_accounting_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, true).await.unwrap();
    store.add(&person("id-alice", "Alice")).await.unwrap();
    store.record(&[event(1)]).await.unwrap();
    store.close().await;
    let mut older = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for sql in ["DROP TABLE accounting", "DELETE FROM _sqlx_migrations WHERE version = 3"] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    drop(older);

    let store = SqliteStore::open(&path, false).await.unwrap();
    store.record_accounting(&[accounted(1)]).await.unwrap();
    assert!(store.person("id-alice").await.unwrap().is_some());
    let mut raw = raw(&path).await;
    assert_eq!(number(&mut raw, "SELECT count(*) FROM events").await, 1);
    assert_eq!(number(&mut raw, "SELECT count(*) FROM accounting").await, 1);
}

#[tokio::test]
async fn a_change_by_another_process_is_seen_by_itself() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let server = SqliteStore::open(&path, true).await.unwrap();
    // A second store on the same file stands for the other process: it shares nothing but the file.
    let command = SqliteStore::open(&path, false).await.unwrap();
    let alice = person("id-alice", "alice");
    server.add(&alice).await.unwrap();
    assert!(server.person("id-alice").await.unwrap().unwrap().enabled);
    for enabled in [false, true, false] {
        assert!(command.replace(&Person { enabled, ..alice.clone() }).await.unwrap());
        while server.person("id-alice").await.unwrap().unwrap().enabled != enabled {
            assert!(begun.elapsed() < PATIENCE, "still the old state");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(command.remove("id-alice").await.unwrap());
    while server.person("id-alice").await.unwrap().is_some() {
        assert!(begun.elapsed() < PATIENCE, "still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_writer_in_another_process_does_not_delay_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, true).await.unwrap();
    store.add(&person("id-alice", "alice")).await.unwrap();
    let mut other = raw(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    sqlx::query("UPDATE people SET enabled = 0").execute(&mut other).await.unwrap();
    // whoever waited for the writer, who does not end, would hear that the store is busy
    assert!(store.person("id-alice").await.unwrap().unwrap().enabled);
    assert!(store.person_named("alice").await.unwrap().unwrap().enabled);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
}

async fn raw(path: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn number(raw: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(raw).await.unwrap()
}

/// Name of the variable that turns [`crash_child`] from a test that does nothing into the process that is
/// killed.
const CRASH_STORE: &str = "ANTEROOM_TEST_CRASH_STORE";

/// Writes people and events for ever and says on standard output what has been committed.
#[tokio::test]
async fn crash_child() {
    let Ok(path) = std::env::var(CRASH_STORE) else { return };
    let store = SqliteStore::open(&path, true).await.unwrap();
    let mut raw = raw(Path::new(&path)).await;
    let first = number(&mut raw, "SELECT count(*) FROM people").await;
    let mut events = u32::try_from(number(&mut raw, "SELECT count(*) FROM events").await).unwrap();
    let mut out = std::io::stdout();
    for next in first.. {
        store.add(&person(&format!("id-{next}"), &format!("user-{next}"))).await.unwrap();
        writeln!(out, "\ncommitted people {}", next + 1).unwrap();
        let batch = 1 + events % 90;
        store.record(&(events..events + batch).map(event).collect::<Vec<_>>()).await.unwrap();
        events += batch;
        writeln!(out, "\ncommitted events {events}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn nothing_committed_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (mut people, mut events) = (0, 0);
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::crash_child", "--nocapture"])
            .env(CRASH_STORE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut note = |line: &str| {
            let count = || line.rsplit(' ').next().and_then(|count| count.trim().parse::<i64>().ok());
            if line.starts_with("committed people ") {
                people = count().unwrap_or(people);
            } else if line.starts_with("committed events ") {
                events = count().unwrap_or(events);
            }
            line.starts_with("committed ")
        };
        let mut line = String::new();
        while !note(&line) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended by itself");
        }
        // From 0 to 60 ms after the first commit, at moments that have nothing to do with its loop.
        let moment = u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos());
        std::thread::sleep(Duration::from_micros(moment.wrapping_mul(round + 1) % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = Vec::new();
        lines.read_to_end(&mut rest).unwrap();
        // Only whole lines count: the last one may have been cut off.
        let whole = rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        String::from_utf8_lossy(&rest[..whole]).lines().for_each(|line| {
            note(line);
        });

        let store = SqliteStore::open(&path, false).await.unwrap();
        let last = format!("id-{}", people - 1);
        assert!(store.person(&last).await.unwrap().is_some(), "round {round}: {last} is lost");
        store.close().await;
        let mut raw = raw(&path).await;
        let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut raw).await.unwrap();
        assert_eq!(check, "ok", "round {round}");
        assert!(number(&mut raw, "SELECT count(*) FROM people").await >= people, "round {round}");
        assert!(number(&mut raw, "SELECT count(*) FROM events").await >= events, "round {round}");
        let orphans = "SELECT count(*) FROM names WHERE unique_id NOT IN (SELECT unique_id FROM people)";
        assert_eq!(number(&mut raw, orphans).await, 0);
        let nameless = "SELECT count(*) FROM people WHERE unique_id NOT IN (SELECT unique_id FROM names)";
        assert_eq!(number(&mut raw, nameless).await, 0, "round {round}: a person without names");
    }
    assert!(people >= 20 && events >= 20);
}
