//! `anteroom serve`: the service.

use std::process::ExitCode;

use super::{ConfigFile, Ended, Failure, output};
use crate::config::checked;
use crate::telemetry::logs;

const EXAMPLES: &str = "\
Examples:
  anteroom serve --config /etc/anteroom/anteroom.toml
  ANTEROOM__LOG__LEVEL=debug anteroom serve      a key of the file, overridden for this run
  systemctl start anteroom                       with the unit that comes along (conf/anteroom.service)

SIGTERM ends it: no new sign-ins, those that are held are finished within server.drain.
The log goes to standard error.";

/// Options of `anteroom serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
}

/// Checks the configuration and runs the service until it is told to stop.
///
/// # Errors
/// Every mistake of the configuration, or why the service could not start or go on.
pub fn run(args: &Args) -> Ended {
    let checked = match checked::read_file(&args.file.config) {
        Ok(checked) => checked,
        Err(mistakes) => {
            output::error(&mistakes);
            return Err(Failure::usage(format!(
                "{} in the configuration; nothing was started",
                count(mistakes.mistakes.len(), "mistake")
            )));
        }
    };
    logs::start(&checked.config.log);
    for warning in &checked.warnings {
        tracing::warn!(target: "anteroom::config", "{warning}");
    }
    let served = super::runtime()?.block_on(crate::app::serve(checked.config));
    logs::flush();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// `1 mistake`, `2 mistakes`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
