//! Fills a new user store with the people of `benches/peers/people.py`, for the benchmarks.
//!
//! ```text
//! load_people --store FILE --people 10000 --base ou=people,dc=bench,dc=example,dc=test
//! ```

use std::path::PathBuf;

use anteroom::users::model::{Method, Person};
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::store::{Store, StoreResult};
use clap::Parser;

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
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    fill(&arguments).await.map_err(|error| error.to_string().into())
}

async fn fill(arguments: &Arguments) -> StoreResult<()> {
    let store = SqliteStore::open(&arguments.store, true).await?;
    for number in 0..arguments.people {
        store.add(&person(number, &arguments.base)).await?;
    }
    store.close().await;
    Ok(())
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
        device_token: Some(format!("device-{number:012x}")),
        method: Method::Push,
        language: "en".to_owned(),
        enabled: true,
        blocked_until: None,
        name,
    }
}
