//! How long look-ups and login-time writes take in a user store of many people, alone and while an import of as
//! many runs.
//!
//! ```sh
//! cargo run --release --example store_speed -- 200000
//! cargo run --release --example store_speed -- 1000000 /var/tmp/people.db
//! ```
//!
//! A file that is there already is only asked for the people of `benches/peers/people.py`, by each of their names;
//! the last line is JSON.

#![allow(clippy::print_stdout, reason = "it prints what it has measured")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anteroom::users::model::{Method, Person};
use anteroom::users::profile::Profile;
use anteroom::users::roster::{Roster, Step};
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::store::Store;

/// Steps that are handed over together, as an importer does.
const TOGETHER: u32 = 2_000;

/// Person `number` as import `round` brings them: twelve fields, four names.
fn profile(number: u32, round: u32) -> Profile {
    let name = format!("user{number:07}");
    let mut profile = Profile::new(Person {
        // Spread like object GUIDs.
        unique_id: format!("{:016x}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        upn: Some(format!("{name}@example.com")),
        dn: Some(format!("CN={name},OU=People,DC=example,DC=com")),
        first_name: Some("Given".into()),
        last_name: Some(format!("Name {number}")),
        email: Some(format!("{name}@example.com")),
        phone: Some(format!("+1202{number:07}")),
        phone_extension: None,
        device_token: None,
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
        name,
    });
    profile.aliases = vec![format!("CORP\\user{number:07}"), format!("user{number:07}@corp.example.com")];
    (profile.group, profile.description) = (Some("staff".into()), Some(format!("round {round}")));
    (profile.item, profile.content) = (Some("people".into()), i64::from(round));
    profile
}

async fn import(store: &dyn Roster, people: u32, round: u32) -> Result<(), Box<dyn Error>> {
    let lock = store.lock_import("store_speed", Duration::from_secs(60)).await?.ok_or("somebody else imports")?;
    let mut import = store.begin_import(&lock, "import:people").await?;
    for first in (0..people).step_by(2_000) {
        let steps = (first..people.min(first + TOGETHER)).map(|number| Step::Add(profile(number, round)));
        import.stage(steps.collect()).await?;
    }
    import.finish(&[]).await?;
    store.unlock_import(&lock).await?;
    Ok(())
}

/// Times of many, told by their middle and their end.
fn told(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 1000).min(times.len().saturating_sub(1)));
    let shown = |share| at(share).copied().unwrap_or_default();
    format!("{} times, p50 {:?}, p99 {:?}, longest {:?}", times.len(), shown(500), shown(990), shown(1000))
}

/// Asks for people by name, and now and then writes what a sign-in writes, until it is told to stop.
async fn sign_ins(store: Arc<SqliteStore>, people: u32, stop: Arc<AtomicBool>) -> (Vec<Duration>, Vec<Duration>) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut number = 1_u32;
    while !stop.load(Ordering::Relaxed) {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let who = number % people;
        let began = Instant::now();
        let found = store.person_named(&format!("user{who:07}@example.com")).await;
        reads.push(began.elapsed());
        if let Ok(Some(person)) = found
            && reads.len() % 100 == 0
        {
            let began = Instant::now();
            if store.set_block(&person.unique_id, Some(SystemTime::UNIX_EPOCH), "store_speed").await.is_ok() {
                writes.push(began.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    (reads, writes)
}

/// Asks for people of an existing store by their names, in no order.
async fn look_ups(path: &Path, people: u32) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(path, false).await?;
    let (mut times, mut number) = (Vec::new(), 1_u32);
    for round in 0..20_000 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let who = (number >> 4) % people;
        let name = if round % 2 == 0 { format!("U{who:06}") } else { format!("e{who:07}") };
        let began = Instant::now();
        let found = store.person_named(&name).await?;
        times.push(began.elapsed());
        found.ok_or_else(|| format!("nobody is {name}"))?;
    }
    store.close().await;
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default().as_secs_f64() * 1e6;
    println!("{{\"look_ups\": {}, \"p50_us\": {:.1}, \"p99_us\": {:.1}}}", times.len(), at(500), at(990));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let people: u32 = arguments.next().unwrap_or_else(|| "200000".into()).parse()?;
    let path = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("anteroom-store-speed-{}.db", std::process::id())),
        PathBuf::from,
    );
    if path.exists() {
        return look_ups(&path, people).await;
    }
    let store = Arc::new(SqliteStore::open(&path, true).await?);
    let began = Instant::now();
    import(store.as_ref(), people, 1).await?;
    println!("first import of {people} people: {:?}", began.elapsed());
    for (what, round) in [("alone", None), ("while an import changes everybody", Some(2))] {
        let stop = Arc::new(AtomicBool::new(false));
        let asking = tokio::spawn(sign_ins(Arc::clone(&store), people, Arc::clone(&stop)));
        match round {
            None => tokio::time::sleep(Duration::from_secs(5)).await,
            Some(round) => {
                let began = Instant::now();
                import(store.as_ref(), people, round).await?;
                println!("import that changes {people} people: {:?}", began.elapsed());
            }
        }
        stop.store(true, Ordering::Relaxed);
        let (reads, writes) = asking.await?;
        println!("{what}: look-ups {}", told(reads));
        println!("{what}: login-time writes {}", told(writes));
    }
    store.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    Ok(())
}
