//! Fills a new user store with the people of `benches/peers/people.py`, for the benchmarks.
//!
//! ```text
//! load_people --store FILE --people 10000 --base ou=people,dc=bench,dc=example,dc=test
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anteroom::users::model::{Method, Person};
use anteroom::users::profile::Profile;
use anteroom::users::roster::{Roster, Step};
use anteroom::users::sqlite::SqliteStore;
use clap::Parser;
use sqlx::{ConnectOptions, Connection};

/// People that are handed over together.
const TOGETHER: u32 = 1000;

#[derive(Parser)]
struct Arguments {
    /// The file to make
    #[arg(long)]
    store: PathBuf,
    /// How many people
    #[arg(long)]
    people: u32,
    /// The distinguished name that they are below
    #[arg(long)]
    base: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    fill(&arguments).await
}

async fn fill(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(&arguments.store, true).await?;
    let lock = store.lock_import("load_people", Duration::from_secs(60)).await?.ok_or("somebody else imports")?;
    let mut import = store.begin_import(&lock, "load_people").await?;
    for first in (0..arguments.people).step_by(1000) {
        let numbers = first..arguments.people.min(first + TOGETHER);
        let steps = numbers.map(|number| Step::Add(Profile::new(person(number, &arguments.base))));
        import.stage(steps.collect()).await?;
    }
    import.finish(&[]).await?;
    store.unlock_import(&lock).await?;
    store.close().await;
    devices(&arguments.store).await
}

/// An import brings no devices; so everybody gets theirs here, the end of whose token is that of their unique id.
async fn devices(store: &Path) -> Result<(), Box<dyn Error>> {
    let mut raw = sqlx::sqlite::SqliteConnectOptions::new().filename(store).connect().await?;
    const DEVICES: &str = "INSERT INTO devices (unique_id, place, name, kind, token, added, added_by) \
         SELECT unique_id, 1, 'app', 'app', 'device-' || substr(unique_id, 25), 0, 'load_people' FROM people";
    sqlx::query(DEVICES).execute(&mut raw).await?;
    Ok(raw.close().await?)
}

/// Person `number`, with the entryUUID that the directory has.
fn person(number: u32, base: &str) -> Person {
    let name = format!("u{number:06}");
    Person {
        unique_id: format!("00000000-0000-4000-8000-{number:012x}"),
        upn: Some(format!("{name}@example.test")),
        dn: Some(format!("uid={name},{base}")),
        first_name: Some("Anna".to_owned()),
        last_name: Some("Meyer".to_owned()),
        email: Some(format!("{name}@example.test")),
        phone: Some(format!("+1 555{number:07}")),
        phone_extension: None,
        device_token: None,
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".to_owned(),
        enabled: true,
        blocked_until: None,
        name,
    }
}
