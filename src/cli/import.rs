//! `anteroom import`: people out of directories and files, tokens out of files, and what waits for an approval.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{ConfigFile, Ended, Failure, output};
use crate::config::Config;
use crate::config::checked;
use crate::import::files::{LONGEST_FILE, text_of};
use crate::import::held::Waiting;
use crate::import::pass::{Ask, Importer, LEASE, Place};
use crate::import::progress::Progress;
use crate::primary::directory::Directory;
use crate::users::changes::time_text;
use crate::users::open::open;
use crate::users::roster::Roster;

mod files;
mod progress;
mod show;

pub(super) use files::Tokens;

const EXAMPLES: &str = "\
Examples:
  anteroom import --dry-run                      what would the next pass do?
  anteroom import                                do it now, everything the configuration names
  anteroom import --item staff --full            read one item afresh
  anteroom import status                         the last passes, and what waits
  anteroom import approve                        let the plan that waits disable or remove that many people
  anteroom import csv people.csv --dry-run       people of a file
  anteroom import tokens tokens.xml --key-file vendor.key

Nothing counts before all of it counts: a directory that is lost in the middle, a full disk or a kill leaves
everybody as they were. Exit code 1 also where a plan waits for an approval.";

/// `anteroom import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the configuration is.
    #[arg(long, short, value_name = "FILE", default_value = super::CONFIG, env = "ANTEROOM_CONFIG", global = true)]
    config: PathBuf,
    /// Only this [[import.item]]; several times for several.
    #[arg(long, value_name = "NAME")]
    item: Vec<String>,
    /// Show what would be done, and do nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// JSON instead of text for people: a line for each person, and one for the whole.
    #[arg(long, global = true)]
    json: bool,
    /// Neither progress nor a table: only what went wrong.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Read everybody, not only what has changed.
    #[arg(long)]
    full: bool,
    /// Believe an item that suddenly finds nobody.
    #[arg(long)]
    allow_empty: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Import people from a CSV file.
    Csv(files::Csv),
    /// Import OATH tokens: Microsoft's CSV, PSKC (RFC 6030), or a list of otpauth:// addresses.
    Tokens(files::Tokens),
    /// Approve a plan that waits: those people may be disabled or removed by the next pass.
    Approve(Plan),
    /// Forget a plan that waits; the next pass makes a new one.
    Discard(Plan),
    /// Show the last passes, who runs one, and what waits.
    Status,
}

#[derive(Debug, clap::Args)]
struct Plan {
    /// The plan's name, where several wait.
    #[arg(value_name = "PLAN")]
    plan: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// What went wrong, and that nothing was changed.
pub fn run(args: Args) -> Ended {
    let config = load(&ConfigFile { config: args.config.clone() })?;
    super::runtime()?.block_on(run_with(args, config))
}

fn load(file: &ConfigFile) -> Result<Config, Failure> {
    checked::load(&file.config).map_err(|mistakes| Failure::usage(mistakes.to_string()))
}

/// `anteroom token import`: `(dry_run, json)`.
pub(super) async fn tokens(
    tokens: Tokens,
    at: (&str, &Path),
    roster: &dyn Roster,
    (dry_run, json): (bool, bool),
) -> Ended {
    files::tokens(tokens, at, roster, show::Form { json, quiet: false, dry_run }).await
}

async fn run_with(args: Args, config: Config) -> Ended {
    let store = open(&config.server.store, true).await?;
    let roster: Arc<dyn Roster> = Arc::new(store);
    let form = show::Form { json: args.json, quiet: args.quiet, dry_run: args.dry_run };
    match args.action {
        None => {
            let ask = Ask {
                items: args.item,
                full: args.full,
                dry_run: args.dry_run,
                allow_empty: args.allow_empty,
                approved: false,
            };
            directories(&config, roster, &ask, form).await
        }
        Some(Action::Csv(csv)) => files::csv(csv, &config, &*roster, form).await,
        Some(Action::Tokens(tokens)) => {
            files::tokens(tokens, (&config.server.name, &config.server.keys), &*roster, form).await
        }
        Some(Action::Approve(plan)) => approve(plan.plan, &*roster).await,
        Some(Action::Discard(plan)) => discard(plan.plan, &*roster).await,
        Some(Action::Status) => status(&*roster, form).await,
    }
}

/// What every import from directories needs, out of the configuration.
///
/// # Errors
/// Which target cannot be used, and why.
pub fn importer(config: &Config, roster: Arc<dyn Roster>) -> Result<Importer, Failure> {
    let mut places = std::collections::BTreeMap::new();
    for (name, target) in &config.targets {
        let directory = Directory::new(target).map_err(|why| Failure::refused(format!("target {name:?}: {why}")))?;
        let place =
            Place { directory: Arc::new(directory), base: target.base.clone(), domains: target.domains.clone() };
        places.insert(name.clone(), place);
    }
    Ok(Importer {
        import: Arc::new(config.import.clone()),
        places,
        roster,
        node: config.server.name.clone(),
        lease: LEASE,
        mails: config.mail.is_some(),
    })
}

async fn directories(config: &Config, roster: Arc<dyn Roster>, ask: &Ask, form: show::Form) -> Ended {
    if config.import.items.is_empty() {
        let why = "there is no [[import.item]] in the configuration; conf/anteroom.toml explains them";
        return Err(Failure::usage(why));
    }
    let importer = importer(config, roster)?;
    let progress = Arc::new(Progress::default());
    let shown = progress::show(Arc::clone(&progress), form);
    let mut report = show::Report::new(form);
    let ended = importer.run(ask, &progress, &mut |event| report.take(event)).await;
    shown.end();
    let outcome = ended.map_err(|error| Failure::refused(error.to_string()))?;
    report.end(&outcome);
    Ok(if outcome.held.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The plan that is meant: the only one where none is named.
async fn meant(given: Option<String>, roster: &dyn Roster) -> Result<String, Failure> {
    let plans = roster.held_plans().await?;
    match (given, plans.as_slice()) {
        (Some(given), _) => Ok(given),
        (None, [only]) => Ok(only.id.clone()),
        (None, []) => Err(Failure::refused("no plan waits for an approval")),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|plan| plan.id.as_str()).collect();
            Err(Failure::usage(format!("several plans wait; name one of them: {}", names.join(", "))))
        }
    }
}

async fn approve(plan: Option<String>, roster: &dyn Roster) -> Ended {
    let id = meant(plan, roster).await?;
    if !roster.approve_plan(&id, &who()).await? {
        return Err(Failure::refused(format!("no plan {id:?} waits for an approval")));
    }
    let plans = roster.held_plans().await?;
    let waiting = plans.iter().find(|plan| plan.id == id).and_then(|plan| Waiting::read(&plan.summary));
    if let Some(waiting) = waiting {
        output::line(format_args!("approved: {} people may be disabled or removed", waiting.people));
    }
    output::line("The next pass does it, if they are still gone then; `anteroom import` starts one now.");
    Ok(ExitCode::SUCCESS)
}

async fn discard(plan: Option<String>, roster: &dyn Roster) -> Ended {
    let id = meant(plan, roster).await?;
    if roster.drop_plan(&id).await? {
        output::line(format_args!("forgot the plan {id}"));
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::refused(format!("no plan {id:?} waits for an approval")))
    }
}

async fn status(roster: &dyn Roster, form: show::Form) -> Ended {
    let (runs, plans) = (roster.import_runs(10).await?, roster.held_plans().await?);
    let (holder, letters) = (roster.import_holder().await?, roster.letters_waiting().await?);
    if form.json {
        output::line(show::status_json(&runs, &plans, holder.as_ref(), letters));
        return Ok(ExitCode::SUCCESS);
    }
    match &holder {
        Some((node, until)) => {
            output::line(format_args!("an import runs on {node} (its right ends at {} if it dies)", time_text(*until)));
        }
        None => output::line("no import runs"),
    }
    for plan in &plans {
        let waiting = Waiting::read(&plan.summary);
        let state = match &plan.approved {
            Some((time, by)) => format!("approved by {by} at {}; the next pass does it", time_text(*time)),
            None => "waits for `anteroom import approve`".to_owned(),
        };
        output::line(format_args!("plan {} of {}: {}; {state}", plan.id, time_text(plan.made), plan.reason));
        for name in waiting.iter().flat_map(|waiting| &waiting.shown) {
            output::line(format_args!("  {}", show::plain(name)));
        }
        if let Some(waiting) = waiting.filter(|waiting| waiting.people > waiting.shown.len()) {
            output::line(format_args!("  … and {} more", waiting.people - waiting.shown.len()));
        }
    }
    if letters > 0 {
        output::line(format_args!("{letters} mails wait to be sent"));
    }
    for run in &runs {
        let took = run.ended.duration_since(run.began).unwrap_or_default();
        let what = show::run_text(run);
        output::line(format_args!(
            "{}  {} on {}: {} after {:.1} s{what}",
            time_text(run.began),
            run.item,
            run.node,
            run.result,
            took.as_secs_f64()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Who runs this command, for the record of changes.
fn who() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".to_owned());
    format!("cli:{name}")
}

/// A file as text. What it holds may be secrets.
fn read_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| Failure::refused(format!("{shown}: {error}")))?.len();
    if size > LONGEST_FILE {
        return Err(Failure::refused(format!("{shown}: {size} octets are more than the {LONGEST_FILE} that are read")));
    }
    let octets = std::fs::read(path).map_err(|error| Failure::refused(format!("{shown}: {error}")))?;
    let octets = Zeroizing::new(octets);
    let text = text_of(&octets).map_err(|why| Failure::refused(format!("{shown} {why}")))?;
    Ok(Zeroizing::new(text.into_owned()))
}
