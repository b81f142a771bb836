//! `anteroom-load`: what the benchmarks need besides the servers: load generators for RADIUS and LDAP, a
//! bare responder and a bare forwarder to compare with, and a prompt service. Each prints one JSON object.

mod applications;
mod dice;
mod first;
mod forwarder;
mod generator;
mod histogram;
mod ldap;
mod prompts;
mod radsec;
mod reading;
mod responder;
mod retransmit;
mod usage;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use crate::applications::{Load, Mode};
use crate::generator::{Generator, Pace, Plan, Tally};
use crate::histogram::millis;
use crate::usage::{Meter, Watched};
use crate::wire::Keys;

#[derive(Parser)]
#[command(version, about = "Load for the benchmarks of Anteroom; each command prints one JSON object")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign people in, u000000 and following, and measure
    Radius(RadiusArgs),
    /// Sign in once, then repeat the identical requests and measure those
    Retransmit(RetransmitArgs),
    /// Sign people in over one connection of TLS (RadSec), and measure
    Radsec(RadsecArgs),
    /// Start a server (COMMAND in the foreground), measure the time to its first answer, end it
    First(FirstArgs),
    /// A bare responder: parse, look for a duplicate, sign an Accept
    Responder {
        #[arg(long, default_value = "127.0.0.1:28120")]
        listen: SocketAddr,
        #[arg(long, default_value = "bench-shared-secret")]
        secret: String,
        /// Answer so many milliseconds later
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
    },
    /// Bind and search as applications do, and measure
    Ldap(LdapArgs),
    /// Read everybody once, in pages, to nowhere
    Read {
        /// The LDAP server
        #[arg(long)]
        server: SocketAddr,
        /// Where people are
        #[arg(long)]
        base: String,
        /// Their class
        #[arg(long, default_value = "inetOrgPerson")]
        class: String,
        /// The attributes that are asked for
        #[arg(long, value_delimiter = ',')]
        attributes: Vec<String>,
        /// Who binds
        #[arg(long)]
        name: String,
        /// With which password
        #[arg(long)]
        password: String,
        /// Entries of one page
        #[arg(long, default_value_t = 1000)]
        page: u32,
    },
    /// A bare TCP forwarder
    Forwarder {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        to: SocketAddr,
    },
    /// A prompt service for one HTTP request each: POST /simulator/ask
    Prompts {
        #[arg(long, default_value = "127.0.0.1:28180")]
        listen: SocketAddr,
        /// How long the person takes, in milliseconds
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
    },
}

#[derive(Args)]
struct Target {
    /// The RADIUS server
    #[arg(long)]
    server: SocketAddr,
    #[arg(long, default_value = "bench-shared-secret")]
    secret: String,
    /// Everybody's password
    #[arg(long, default_value = "Us3r-Passw0rd!")]
    password: String,
    /// The address that requests come from
    #[arg(long, default_value = "127.0.0.1")]
    source: IpAddr,
    /// A process whose CPU time and memory to report, NAME=PID; may be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    pids: Vec<Watched>,
}

#[derive(Args)]
struct RadiusArgs {
    #[command(flatten)]
    target: Target,
    /// How many people there are
    #[arg(long, default_value_t = 10_000)]
    people: u32,
    /// Number of the person to begin with
    #[arg(long, default_value_t = 0)]
    first_person: u32,
    /// Keep so many under way (closed loop)
    #[arg(long, default_value_t = 64, conflicts_with = "rate")]
    under_way: u32,
    /// Send so many each second, whatever comes back (open loop)
    #[arg(long)]
    rate: Option<f64>,
    /// Grow to the number under way over so many seconds
    #[arg(long, default_value_t = 0.5)]
    ramp: f64,
    /// Sockets; default: as many as the requests under way need, at least 16
    #[arg(long)]
    ports: Option<u32>,
    /// Stop after so many requests
    #[arg(long)]
    count: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, required_unless_present = "count")]
    seconds: Option<f64>,
    /// Do not measure the first so many seconds
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// A request is lost after so many milliseconds
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Send the same bytes again after so many milliseconds without an answer
    #[arg(long)]
    resend_ms: Option<u64>,
    /// How long people take to answer; what goes beyond is reported as late
    #[arg(long, default_value_t = 0)]
    expected_ms: u64,
    /// Report CPU time used from one to two seconds after the last request
    #[arg(long)]
    idle_check: bool,
    /// Take replies without Message-Authenticator
    #[arg(long)]
    unsigned_replies: bool,
}

#[derive(Args)]
struct RadsecArgs {
    /// The RADIUS server, whose certificate is for its address
    #[arg(long)]
    server: SocketAddr,
    /// Who signed its certificate
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    /// Everybody's password
    #[arg(long)]
    password: String,
    /// How many people there are
    #[arg(long, default_value_t = 10_000)]
    people: u32,
    /// Keep so many under way
    #[arg(long, default_value_t = 64)]
    under_way: u8,
    #[command(flatten)]
    window: Window,
}

/// What is measured, and for how long.
#[derive(Args)]
struct Window {
    /// Stop after so many seconds
    #[arg(long)]
    seconds: f64,
    /// Do not measure the first so many seconds
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// A process whose CPU time and memory to report, NAME=PID; may be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    pids: Vec<Watched>,
}

#[derive(Args)]
struct RetransmitArgs {
    #[command(flatten)]
    target: Target,
    /// How many people sign in
    #[arg(long, default_value_t = 1024)]
    requests: u32,
    /// How often each request is repeated
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// How many are sent before their replies are awaited
    #[arg(long, default_value_t = 16)]
    window: usize,
}

#[derive(Args)]
struct FirstArgs {
    #[command(flatten)]
    target: Target,
    /// Milliseconds between two requests until there is an answer
    #[arg(long, default_value_t = 2)]
    every_ms: u64,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 30)]
    timeout: u64,
    /// Milliseconds from the first answer to the look at the memory
    #[arg(long, default_value_t = 1000)]
    settle_ms: u64,
    /// The server to start, in the foreground
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Args)]
struct LdapArgs {
    /// The LDAP server
    #[arg(long)]
    server: SocketAddr,
    /// What each connection does
    #[arg(long, value_enum, default_value = "search")]
    mode: Mode,
    /// How many connections at a time
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Searches under way on each connection
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// How many people there are
    #[arg(long, default_value_t = 10_000)]
    people: u32,
    /// Where they are
    #[arg(long)]
    base: String,
    /// Who binds
    #[arg(long)]
    name: String,
    /// With which password
    #[arg(long)]
    password: String,
    /// Entries of one page
    #[arg(long, default_value_t = 1000)]
    page: u32,
    #[command(flatten)]
    window: Window,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(report)) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("anteroom-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Option<Value>, String> {
    let text = |error: std::io::Error| error.to_string();
    match command {
        Command::Radius(args) => radius(args).map(Some),
        Command::Retransmit(args) => {
            let plan = retransmit::Plan {
                server: args.target.server,
                source: args.target.source,
                keys: Keys::new(args.target.secret.as_bytes())?,
                password: args.target.password,
                requests: args.requests,
                rounds: args.rounds,
                window: args.window,
                timeout: Duration::from_secs(5),
            };
            retransmit::run(&plan, Meter::new(args.target.pids)).map(Some).map_err(text)
        }
        Command::First(args) => {
            let plan = first::Plan {
                server: args.target.server,
                source: args.target.source,
                keys: Keys::new(args.target.secret.as_bytes())?,
                password: args.target.password,
                every: Duration::from_millis(args.every_ms.max(1)),
                timeout: Duration::from_secs(args.timeout),
                settle: Duration::from_millis(args.settle_ms),
                command: args.command,
            };
            first::run(&plan).map(Some).map_err(text)
        }
        Command::Responder { listen, secret, delay_ms } => {
            let delay = Duration::from_millis(delay_ms);
            responder::run(listen, &Keys::new(secret.as_bytes())?, delay).map(|()| None).map_err(text)
        }
        Command::Radsec(args) => {
            let RadsecArgs { server, ca, certificate, key, password, people, under_way, window } = args;
            let seconds = Duration::from_secs_f64(window.seconds);
            let warmup = Duration::from_secs_f64(window.warmup);
            let plan = radsec::Plan { server, ca, certificate, key, password, people, under_way, seconds, warmup };
            let (tally, meter) = radsec::run(&plan, Meter::new(window.pids)).map_err(text)?;
            Ok(Some(report(&tally, &meter)))
        }
        Command::Ldap(args) => {
            let plan = applications::Plan {
                server: args.server,
                mode: args.mode,
                connections: args.connections.max(1),
                depth: args.depth.max(1),
                people: args.people.max(1),
                base: args.base,
                name: args.name,
                password: args.password,
                page: args.page,
                seconds: args.window.seconds,
                warmup: args.window.warmup,
            };
            Load::run(plan, Meter::new(args.window.pids)).map(Some).map_err(text)
        }
        Command::Read { server, base, class, attributes, name, password, page } => {
            let plan = reading::Plan { server, base, class, attributes, name, password, page };
            reading::run(&plan).map(Some).map_err(text)
        }
        Command::Forwarder { listen, to } => forwarder::run(listen, to).map(|()| None).map_err(text),
        Command::Prompts { listen, delay_ms } => {
            prompts::run(listen, Duration::from_millis(delay_ms)).map(|()| None).map_err(text)
        }
    }
}

fn radius(args: RadiusArgs) -> Result<Value, String> {
    let pace = args.rate.map_or(Pace::Closed(args.under_way), Pace::Open);
    let needed = match pace {
        Pace::Closed(under_way) => under_way.div_ceil(256),
        Pace::Open(_) => 391,
    };
    if args.people == 0 || (matches!(pace, Pace::Closed(_)) && args.under_way > args.people) {
        return Err("there must be at least as many people as requests under way".to_owned());
    }
    let timeout = Duration::from_millis(args.timeout_ms);
    let plan = Plan {
        server: args.target.server,
        source: args.target.source,
        lanes: args.ports.unwrap_or(needed.max(16)),
        keys: Keys::new(args.target.secret.as_bytes())?,
        password: args.target.password,
        people: args.people,
        first_person: args.first_person,
        pace,
        ramp: Duration::from_secs_f64(args.ramp),
        count: args.count.unwrap_or(u64::MAX),
        duration: args.seconds.map_or(Duration::MAX, Duration::from_secs_f64),
        warmup: Duration::from_secs_f64(args.warmup),
        timeout,
        resend: args.resend_ms.map(Duration::from_millis),
        expected: Duration::from_millis(args.expected_ms),
        idle_check: args.idle_check,
        unsigned_replies: args.unsigned_replies,
    };
    let meter = Meter::new(args.target.pids);
    let (tally, meter) = Generator::new(plan, meter).and_then(Generator::run).map_err(|error| error.to_string())?;
    Ok(report(&tally, &meter))
}

fn report(tally: &Tally, meter: &Meter) -> Value {
    let (accepted, seconds) = tally.window;
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let throughput = if seconds > 0.0 { (accepted as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
    let idle = tally.idle.as_ref().map(|used| {
        let pairs = meter.names().zip(used).map(|(name, seconds)| (name.to_owned(), json!(seconds)));
        Value::Object(pairs.collect())
    });
    json!({
        "sent": tally.sent, "accepted": tally.accepted, "rejected": tally.refused, "lost": tally.lost,
        "not_sent": tally.not_sent, "resent": tally.resent, "strays": tally.strays,
        "most_under_way": tally.most_under_way, "sending_seconds": millis(tally.sending) / 1e3,
        "window_seconds": seconds, "window_accepted": accepted, "per_second": throughput,
        "latency_ms": tally.latency.json(), "late_ms": tally.late.json(), "measured": tally.latency.count(),
        "idle_cpu_seconds": idle, "processes": meter.json(accepted),
    })
}
