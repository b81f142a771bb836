//! Holds many prompts at once at one provider, for the benchmarks: how much memory each takes, how fast they begin.
//!
//! ```text
//! hold_prompts --config FILE --prompts 10000 --per-second 2000
//! ```
//!
//! Prints a line of JSON when all are answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{NumberMatching, checked};
use anteroom::factor::build::build;
use anteroom::factor::native::wire::ServerIdentity;
use anteroom::factor::{Answer, Provider, Request};
use anteroom::signin::attempt::SignInId;
use anteroom::users::model::{Method, Person};
use clap::Parser;

/// Prompts before the measurement, so that connection and token are there.
const WARM: u32 = 200;

#[derive(Parser)]
struct Arguments {
    /// A configuration with one provider
    #[arg(long)]
    config: PathBuf,
    /// How many prompts
    #[arg(long)]
    prompts: u32,
    /// How many begin each second
    #[arg(long)]
    per_second: u32,
}

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    let config = checked::load(&arguments.config)?;
    let (_, section) = config.providers.first_key_value().ok_or("no provider")?;
    let server = ServerIdentity { name: "bench".to_owned(), address: None };
    let provider: Arc<dyn Provider> = build(section, server, None, None)?;
    // The native protocol answers by an event stream, which is to be open.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let warm: Vec<_> = (0..WARM).map(|number| ask(&provider, number)).collect();
    let mut warmed = 0_u32;
    for answer in warm {
        warmed += u32::from(answer.await? == Answer::Approved);
    }
    let (idle, began) = (resident()?, Instant::now());
    let mut held = Vec::with_capacity(usize::try_from(arguments.prompts)?);
    let (slice, mut number) = (Duration::from_millis(5), 0);
    while number < arguments.prompts {
        let due = u64::from(arguments.per_second) * u64::try_from(began.elapsed().as_millis())? / 1000;
        while number < arguments.prompts && u64::from(number) <= due {
            held.push(ask(&provider, WARM + number));
            number += 1;
        }
        tokio::time::sleep(slice).await;
    }
    let begun = began.elapsed();
    let (mut highest, mut most) = (idle, 0);
    while held.iter().any(|held| !held.is_finished()) {
        let open = held.iter().filter(|held| !held.is_finished()).count();
        if open >= most {
            (most, highest) = (open, highest.max(resident()?));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut approved = 0_u32;
    for answer in held {
        approved += u32::from(answer.await? == Answer::Approved);
    }
    let report = serde_json::json!({
        "warmed": warmed, "prompts": arguments.prompts, "approved": approved, "most_open": most,
        "rss_idle_kib": idle, "rss_highest_kib": highest, "seconds_to_begin": begun.as_secs_f64(),
        "seconds_in_all": began.elapsed().as_secs_f64(), "connections": provider.connections(),
    });
    use std::io::Write;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn ask(provider: &Arc<dyn Provider>, number: u32) -> tokio::task::JoinHandle<Answer> {
    let provider = Arc::clone(provider);
    tokio::spawn(async move { provider.run(request(number)).await })
}

/// Resident memory of this process, in KiB.
fn resident() -> Result<u64, Failed> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

fn request(number: u32) -> Request {
    let mut id = [1; 12];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let name = format!("u{number:06}");
    let person = Person {
        upn: Some(format!("{name}@example.test")),
        device_token: Some(format!("device-{number:012x}")),
        language: "en".to_owned(),
        ..Person::bare(format!("00000000-0000-4000-8000-{number:012x}"), name)
    };
    Request {
        sign_in: SignInId::new(id),
        person: Arc::new(person),
        method: Method::Push,
        code: None,
        application: "bench".into(),
        person_address: None,
        deadline: Instant::now() + Duration::from_secs(120),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: false,
        tell: None,
        given: None,
    }
}
