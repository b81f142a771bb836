//! The phone simulator alone, everybody approving after a delay: the prompt service of the benchmarks.
//!
//! ```text
//! phone --listen 127.0.0.1:28180 --delay-ms 200 --key-id bench --key KEY
//! ```
//!
//! Anteroom asks it by the native protocol, FreeRADIUS by `POST /simulator/ask`. `GET /simulator/counts` tells
//! how many prompts it has been asked for.

use std::net::SocketAddr;

use anteroom::demo::phone::{Behaviour, Decision, Phone, PhoneOptions};
use anteroom::secret::Secret;
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Where to serve
    #[arg(long)]
    listen: SocketAddr,
    /// How long people take, in milliseconds
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Name of the key that requests are signed with
    #[arg(long)]
    key_id: String,
    /// That key
    #[arg(long)]
    key: String,
}

// One thread: the prompt service must not take more of the machine than it needs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let options = PhoneOptions {
        key: Some((arguments.key_id, Secret::from_text(arguments.key))),
        behaviour: Behaviour::Answer { decision: Decision::Approve, after_ms: arguments.delay_ms },
    };
    // Dropping it would stop it.
    let _phone = Phone::start(arguments.listen, options).await?;
    std::future::pending::<()>().await;
    Ok(())
}
