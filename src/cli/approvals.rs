//! `anteroom approvals`: what `[[caching]]` rules keep, shown and cleared through the running server.

use std::process::ExitCode;

use super::report::table::{Form, Rows};
use super::status::{Where, unasked};
use super::{Ended, Failure, output};
use crate::control::{Ask, Told, client};
use crate::users::approvals::Shown;

const EXAMPLES: &str = "\
Examples:
  anteroom approvals list                       whose approvals stand for more sign-ins, and for how long
  anteroom approvals list --user alice --json
  anteroom approvals clear --user alice         she is asked again the next time
  anteroom approvals clear --all

An approval is kept where a [[caching]] rule says so, and is gone by itself when its time is over, the password has
changed, or the person is blocked. What was cleared stands in the audit.

Exit codes: 0 done; 1 it cannot be; 2 a mistake in the configuration.";

/// Options of `anteroom approvals`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the approvals that are kept
    List(List),
    /// Forget approvals, so that people are asked again
    Clear(Clear),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  anteroom approvals list --user alice")]
struct List {
    #[command(flatten)]
    place: Where,
    /// Of this person only: account name, UPN or unique id
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// JSON, one object a line, instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  anteroom approvals clear --user alice\n  anteroom approvals clear --all")]
struct Clear {
    #[command(flatten)]
    place: Where,
    /// Of this person: account name, UPN or unique id
    #[arg(long, value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    user: Option<String>,
    /// Of everybody
    #[arg(long)]
    all: bool,
    /// JSON instead of text for people
    #[arg(long)]
    json: bool,
}

const COLUMNS: [&str; 11] =
    ["user", "rule", "approved", "until", "method", "provider", "kind", "application", "client", "place", "sign_in"];

/// Shows or clears.
///
/// # Errors
/// When the server cannot be asked, or refuses.
pub fn run(args: Args) -> Ended {
    match args.action {
        Action::List(list) => {
            let form = if list.json { Form::Json } else { Form::Table };
            show(&list.place, list.user.as_deref(), form)?;
        }
        Action::Clear(clear) => {
            let number = match ask(&clear.place, &Ask::ForgetApprovals { user: clear.user.clone() })? {
                Told::Forgotten { number } => number,
                told => return Err(unexpected(told)),
            };
            if clear.json {
                output::line(serde_json::json!({ "cleared": number }));
            } else {
                output::line(format_args!("{number} cleared; whoever gave them is asked the next time"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(place: &Where, user: Option<&str>, form: Form) -> Result<(), Failure> {
    let mut out = output::Patient;
    let mut rows = Rows::new(&mut out, form, COLUMNS.to_vec());
    let mut after = None;
    loop {
        let approvals = match ask(place, &Ask::Approvals { user: user.map(str::to_owned), after })? {
            Told::Approvals { approvals } => approvals,
            told => return Err(unexpected(told)),
        };
        let Some(last) = approvals.last() else { break };
        after = Some(last.after.clone());
        approvals.into_iter().try_for_each(|approval| rows.row(cells(approval)))?;
    }
    rows.end()?;
    Ok(())
}

fn cells(approval: Shown) -> Vec<Option<String>> {
    let Shown { user, rule, kind, client, application, place, method, provider, approved, until, sign_in, .. } =
        approval;
    let [user, rule, approved, until] = [user, rule, approved, until].map(Some);
    let [kind, application, client] = [kind, application, client].map(Some);
    vec![user, rule, approved, until, Some(method), provider, kind, application, client, place, Some(sign_in)]
}

fn ask(place: &Where, question: &Ask) -> Result<Told, Failure> {
    let path = place.socket()?;
    client::ask(&path, question).map_err(|error| unasked(&path, &error))
}

fn unexpected(told: Told) -> Failure {
    match told {
        Told::Refused { why } => Failure::refused(why),
        _ => Failure::refused("the server answered something else"),
    }
}
