//! `anteroom status` and `anteroom outage`: the running server, asked over its control socket.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{ConfigFile, Ended, Failure, output};
use crate::config::checked;
use crate::control::{Ask, ProviderStatus, Status, Told, client};

const STATUS_EXAMPLES: &str = "\
Examples:
  anteroom status                       how the running server and its providers are
  anteroom status --json                the same, for a script

Exit codes: 0 every provider is usable; 1 one is not, or no server answers; 2 a mistake in the configuration.";

const OUTAGE_EXAMPLES: &str = "\
Examples:
  anteroom outage begin --for 60m --reason \"Entra is down, ticket 4711\"
  anteroom outage begin --for 2h --reason \"maintenance\" --provider duo
  anteroom outage end

While it lasts nobody is prompted by that provider: the next one of the list is asked, and where there is none, people
come in with the password alone only through clients whose provider_unreachable names the class \"outage\". It is
recorded in outages.jsonl beside the store.";

/// Where the server is found.
#[derive(Debug, clap::Args)]
pub struct Where {
    /// Where the configuration is.
    #[command(flatten)]
    file: ConfigFile,
    /// The server's control socket itself; the configuration is not read then
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

impl Where {
    /// The configuration file.
    pub(super) fn file(&self) -> &Path {
        &self.file.config
    }

    /// Whether the socket itself was named.
    pub(super) fn names_socket(&self) -> bool {
        self.control.is_some()
    }

    /// The server's control socket.
    ///
    /// # Errors
    /// Every mistake of the configuration.
    pub(super) fn socket(&self) -> Result<PathBuf, Failure> {
        match &self.control {
            Some(path) => Ok(path.clone()),
            None => {
                let config = checked::load_place(&self.file.config);
                Ok(config.map_err(|mistakes| Failure::usage(mistakes.to_string()))?.server.control)
            }
        }
    }
}

/// Options of `anteroom status`.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct Args {
    /// Where the server is found.
    #[command(flatten)]
    place: Where,
    /// JSON instead of text for people
    #[arg(long)]
    json: bool,
}

/// Options of `anteroom outage`.
#[derive(Debug, clap::Args)]
#[command(after_help = OUTAGE_EXAMPLES)]
pub struct Outage {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Declare that providers cannot be used
    Begin(Begin),
    /// End what was declared
    End(End),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  anteroom outage begin --for 60m --reason \"Entra is down, ticket 4711\"")]
struct Begin {
    #[command(flatten)]
    place: Where,
    /// For how long, such as `60m` or `2h`; up to a day
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// Why: it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Of this provider only
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  anteroom outage end")]
struct End {
    #[command(flatten)]
    place: Where,
    /// Of this provider only
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

/// Shows how the server is.
///
/// # Errors
/// When it cannot be asked, or a provider is not usable.
pub fn run(args: &Args) -> Ended {
    let Told::Status(status) = ask(&args.place, &Ask::Status)? else {
        return Err(Failure::refused("the server does not say how it is"));
    };
    if args.json {
        output::line(serde_json::to_string(&status)?);
    } else {
        lines(&status).into_iter().for_each(output::line);
    }
    let usable = status.providers.iter().all(|provider| provider.usable && provider.outage_seconds.is_none());
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Declares or ends an outage.
///
/// # Errors
/// When the server cannot be asked, or refuses.
pub fn outage(args: Outage) -> Ended {
    let (place, question, done) = match args.action {
        Action::Begin(begin) => {
            let (seconds, reason, provider) = (begin.lasts.as_secs(), begin.reason, begin.provider);
            (begin.place, Ask::OutageBegin { seconds, reason, provider }, "nobody is prompted by")
        }
        Action::End(end) => (end.place, Ask::OutageEnd { provider: end.provider }, "people are prompted again by"),
    };
    match ask(&place, &question)? {
        Told::Done { providers } => {
            output::line(format_args!("{done} {}", providers.join(", ")));
            Ok(ExitCode::SUCCESS)
        }
        Told::Refused { why } => Err(Failure::refused(why)),
        _ => Err(Failure::refused("the server answered something else")),
    }
}

fn ask(place: &Where, question: &Ask) -> Result<Told, Failure> {
    let path = place.socket()?;
    client::ask(&path, question).map_err(|error| unasked(&path, &error))
}

/// Why a socket cannot be asked, and what to do.
pub(super) fn unasked(path: &Path, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "run this as the server's own user: sudo -u anteroom anteroom …",
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => "is the server running?",
        _ => "see the server's log",
    };
    Failure::refused(format!("{} cannot be asked: {error}; {advice}", path.display()))
}

/// The report for people.
fn lines(status: &Status) -> Vec<String> {
    let time = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let mut lines = vec![format!(
        "{} (version {}) up {}, {} held",
        status.server,
        status.version,
        time(status.up_seconds),
        status.held
    )];
    let line = |provider: &ProviderStatus| {
        let state = match (&provider.class, provider.outage_seconds) {
            (_, Some(left)) => format!("OUTAGE declared, {} left", time(left)),
            (Some(class), None) => {
                format!("AWAY ({class}) for {}, tried in the background", time(provider.away_seconds))
            }
            (None, None) => "ok".to_owned(),
        };
        format!(
            "provider {} ({})  {state}; out of use {} times, {} connections",
            provider.name, provider.kind, provider.opened, provider.connections
        )
    };
    lines.extend(status.providers.iter().map(line));
    lines
}
