//! `anteroom explain`: what would become of a sign-in, step by step and why, touching nothing.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use super::report::StorePlace;
use super::status::Where;
use super::{Ended, Failure, output};
use crate::app;
use crate::audit::{Event, Ledger, Note};
use crate::config::{Config, checked};
use crate::control::{Ask, Told, client};
use crate::factor::{Described, Factor, Fate};
use crate::secret::Secret;
use crate::signin::caching::Caching;
use crate::signin::explain::{self, Explanation, Plan, Question, Served};
use crate::signin::reception::{Deps, SignIns};
use crate::telemetry::metrics::Metrics;
use crate::users::open::open;
use crate::users::store::Store;

mod replay;

const EXAMPLES: &str = "\
Examples:
  anteroom explain --client vpn --user alice
  anteroom explain --client vpn --user alice --from 198.51.100.7 --typed push2
  anteroom explain --client wiki --user alice@corp.example.com --at 2026-12-24T18:00:00Z --json
  anteroom explain --client rdg --user 'CORP\\alice' --computer PC-0815 --from 192.0.2.30
  anteroom explain --client vpn --user alice --offline --config new.toml
  anteroom explain --replay 5d0c1e77a90b4c2f88e1d3aa

Nobody is prompted, no password is tried, nothing is counted: the password is taken as right. The running server is
asked, which knows what is out of use just now; where none runs, or with --offline, the file, the user store and the
directory say what they can.

Exit codes: 0 explained; 1 it cannot be; 2 a mistake in the configuration.";

/// Options of `anteroom explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the server is found.
    #[command(flatten)]
    place: Where,
    /// The client through which they come, by its name in the configuration
    #[arg(long, value_name = "NAME", required_unless_present = "replay")]
    client: Option<String>,
    /// The person, as they would type their name
    #[arg(long, value_name = "NAME", required_unless_present = "replay")]
    user: Option<String>,
    /// What did become of this sign-in, by its identifier, from the audit in the user store
    #[arg(long, value_name = "SIGN-IN", conflicts_with_all = ["client", "user", "from", "at", "typed", "offline"])]
    replay: Option<String>,
    /// Where their device is
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// When, such as 2026-12-24T18:00:00Z; now if left out
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// What they type behind the password: code, pin, push, phone, sms or email, with a digit for a device (push2)
    #[arg(long, value_name = "WORD")]
    typed: Option<String>,
    /// Through an RD Gateway: the name of their computer (and --from is the gateway's own address)
    #[arg(long, value_name = "NAME")]
    computer: Option<String>,
    /// Through an RD Gateway: they come with a smart card
    #[arg(long)]
    smart_card: bool,
    /// JSON instead of text for people
    #[arg(long)]
    json: bool,
    /// From the file, without the running server
    #[arg(long)]
    offline: bool,
}

/// Explains a sign-in.
///
/// # Errors
/// When neither the server nor the file can say.
pub fn run(args: Args) -> Ended {
    if let Some(sign_in) = &args.replay {
        return replay::run(&StorePlace::of(args.place.file()), sign_in, args.json);
    }
    let question = Question {
        client: args.client.unwrap_or_default(),
        user: args.user.unwrap_or_default(),
        from: args.from,
        at: args.at.map(jiff::Timestamp::as_second),
        typed: args.typed,
        computer: args.computer,
        smart_card: args.smart_card,
    };
    let running = if args.offline { None } else { ask(&args.place, &question)? };
    let live = running.is_some();
    let told = match running {
        Some(told) => told,
        None => on_paper(&args.place, &question)?,
    };
    if args.json {
        output::line(serde_json::to_string(&told)?);
    } else {
        lines(&told, source(live)).into_iter().for_each(output::line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The running server's explanation; nothing where none runs.
fn ask(place: &Where, question: &Question) -> Result<Option<Explanation>, Failure> {
    let path = place.socket()?;
    match client::ask(&path, &Ask::Explain { question: question.clone() }) {
        Ok(Told::Explained { explanation }) => Ok(Some(*explanation)),
        Ok(Told::Refused { why }) => Err(Failure::refused(why)),
        Ok(_) => Err(Failure::refused("the server answered something else")),
        Err(error)
            if !place.names_socket() && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(error) => Err(super::status::unasked(&path, &error)),
    }
}

/// What the file, the user store and the directory say.
fn on_paper(place: &Where, question: &Question) -> Result<Explanation, Failure> {
    let checked = checked::read_file(place.file()).map_err(|mistakes| Failure::usage(mistakes.to_string()))?;
    let config = checked.config;
    super::runtime()?.block_on(async {
        let served = Served::all(&config);
        let sign_ins = reception(&config).await?;
        explain::explain(&sign_ins, &served, question).await.map_err(Failure::refused)
    })
}

/// A reception that asks nobody: its providers are those of the file, on paper.
async fn reception(config: &Config) -> Result<Arc<SignIns>, Failure> {
    let store: Arc<dyn Store> = Arc::new(open(&config.server.store, false).await?);
    let paper = |provider| Arc::new(Described::of(provider)) as Arc<dyn Factor>;
    let providers = config.providers.iter().map(|(name, provider)| (name.clone(), paper(provider)));
    Ok(SignIns::new(Deps {
        targets: app::targets(config, &app::directories(config)?, &app::radius_targets(config, &store)?),
        providers: providers.collect::<BTreeMap<_, _>>(),
        routes: config.routes.clone(),
        rules: config.rules.clone(),
        // Explanations look through approvals, and need no digest.
        caching: Caching::new(config.caching.clone(), &Secret::new(Vec::new())),
        mails: false,
        store,
        ledger: Arc::new(Nowhere),
        limits: config.limits,
        throttle: config.throttle,
        server: config.server.name.clone(),
        metrics: Arc::new(Metrics::new([])),
        random: [0; 32],
        texts: Arc::new(crate::texts::Texts::built_in()),
        pins: None,
        rounds: None,
        nodes: None,
    }))
}

/// No sign-in comes to its end here.
struct Nowhere;

impl Ledger for Nowhere {
    fn finish(&self, _: Event) {}

    fn note(&self, _: Note) {}
}

/// Who says so.
fn source(live: bool) -> &'static str {
    if live { "as the server runs now" } else { "from the file: no server was asked, so nothing is out of use" }
}

/// The explanation for people.
fn lines(told: &Explanation, by: &str) -> Vec<String> {
    let mut lines = vec![format!("{} at {}, {by}", told.server, told.at)];
    let width = told.steps.iter().map(|line| line.step.len()).max().unwrap_or_default();
    lines.extend(told.steps.iter().map(|line| {
        let mark = if line.mark == "note" { "-" } else { &line.mark };
        format!("  {mark:<4} {:<width$}  {}", line.step, line.text)
    }));
    for (place, plan) in told.providers.iter().enumerate() {
        lines.push(format!("  {}. provider {}  {}", place + 1, plan.name, of_plan(plan)));
        if plan.by.is_some() {
            for (what, fate) in [
                ("leaves the house", Fate::Sent),
                ("kept by send", Fate::SwitchedOff),
                ("not known here", Fate::Absent),
                ("never sent", Fate::Never),
            ] {
                let fields = explain::fields(&plan.leaves, fate);
                if !fields.is_empty() {
                    lines.push(format!("       {what}: {}", fields.join(", ")));
                }
            }
        }
    }
    lines.push(format!("=> {}", told.text));
    lines
}

fn of_plan(plan: &Plan) -> String {
    let use_now = match &plan.out_of_use {
        None => "in use".to_owned(),
        Some(class) => format!("OUT OF USE ({class}) for {} s", plan.away_seconds),
    };
    let ways = plan.ways.iter().map(|(method, way)| match way.as_str() {
        "open" => method.clone(),
        "wants_code" => format!("{method} (only with a code typed behind the password)"),
        "no_place_for_code" => format!("{method} (left out: the client has no place for its code)"),
        _ => format!("{method} (not offered)"),
    });
    format!("{use_now}; ways: {}", ways.collect::<Vec<_>>().join(", "))
}
