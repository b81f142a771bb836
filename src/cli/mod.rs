//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 a mistake on the command line or in the configuration,
//! 3 no answer (`anteroom test` only).

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

pub mod approvals;
pub mod backup;
pub mod check;
pub mod demo;
pub mod docs;
pub mod events;
pub mod examples;
pub mod explain;
pub mod import;
pub mod keys;
pub mod migrate;
pub mod output;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod status;
pub mod test;
pub mod token;
pub mod user;

/// Where the configuration is looked for when nothing else is said.
pub const CONFIG: &str = "/etc/anteroom/anteroom.toml";

const EXAMPLES: &str = "\
Examples:
  anteroom demo                                  try everything on this machine
  anteroom check                                 what is wrong with the configuration?
  anteroom serve                                 run the service
  anteroom user list                             who is enrolled
  anteroom token add alice                       a code to scan with an authenticator app
  anteroom explain --client vpn --user alice     what would happen, and why?
  anteroom import --dry-run                      who would be enrolled from the directory?
  anteroom test radius --user alice              sign in once, as an appliance would

Exit codes: 0 done; 1 refused or failed; 2 a mistake on the command line or in the configuration.
Each command has its own examples: anteroom help COMMAND";

/// Holds a RADIUS sign-in until its second factor is done.
///
/// Anteroom stands between a VPN appliance or an application and the directory. It checks the password
/// against Active Directory or LDAP, asks the person for a second factor, holds the request meanwhile, and
/// then answers.
#[derive(Debug, Parser)]
#[command(name = "anteroom", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    Serve(serve::Args),
    /// Try everything on this machine: directory, phone and clients are built in
    Demo(demo::Args),
    /// Play a cloud on this machine: its answers, its failures, and a page that shows what was asked
    Simulate(simulate::Args),
    /// Report every mistake of a configuration, then try the connections it names
    Check(check::Args),
    /// Ask a server as an appliance or an application would
    Test(test::Args),
    /// Show and change the people who are enrolled
    User(user::Args),
    /// Give people OATH tokens, and look after them
    Token(token::Args),
    /// Show how the running server and its providers are
    Status(status::Args),
    /// Say what would become of a sign-in, step by step and why, touching nothing
    Explain(explain::Args),
    /// Show sign-ins as they end, live and filtered
    Events(events::Args),
    /// Report on a period: usage, denials, bypasses, blocks, fraud, cached approvals
    Report(report::Args),
    /// Show and clear approvals that let people in again without being asked
    Approvals(approvals::Args),
    /// Declare that a provider cannot be used, or that it can again
    Outage(status::Outage),
    /// Fill the user store from directories and files
    Import(import::Args),
    /// Turn another product's configuration into one for this
    Migrate(migrate::Args),
    /// Save the user store, while the server runs
    Backup(backup::Backup),
    /// Put a saved user store back
    Restore(backup::Restore),
    /// Show, add and rotate the keys of sealed values
    Keys(keys::Args),
    /// Print the completions of a shell
    Completions(docs::Completions),
    /// Write the manual pages into a folder
    Man(docs::Man),
}

/// `--config`, as several commands take it.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = CONFIG, env = "ANTEROOM_CONFIG", global = true)]
    pub config: PathBuf,
}

/// Why a command did not do what it was asked to: a text for a person, and an exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// It was refused, or it failed: exit code 1.
    pub fn refused(text: impl Into<String>) -> Self {
        Failure { code: 1, text: text.into() }
    }

    /// A mistake on the command line or in the configuration: exit code 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Failure { code: 2, text: text.into() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    /// An error of a lower layer with its causes, in one line.
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Some libraries repeat their cause in their own text.
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        Failure::refused(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a command ends with.
pub type Ended = Result<ExitCode, Failure>;

/// Reads the command line and runs one command.
pub fn run() -> ExitCode {
    let cli = Cli::from_arg_matches(&examples::command().get_matches()).unwrap_or_else(|error| error.exit());
    let ended = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::User(args) => people(args),
        Command::Token(args) => token::run(args),
        Command::Status(args) => status::run(&args),
        Command::Approvals(args) => approvals::run(args),
        Command::Outage(args) => status::outage(args),
        Command::Explain(args) => explain::run(args),
        Command::Events(args) => events::run(args),
        Command::Report(args) => report::run(args),
        Command::Import(args) => import::run(args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Backup(args) => backup::backed_up(&args),
        Command::Restore(args) => backup::restored(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Completions(args) => docs::completions(&args),
        Command::Man(args) => docs::man(&args),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => {
            output::error(format_args!("anteroom: {failure}"));
            ExitCode::from(failure.code)
        }
    }
}

/// Exit code 1 and a text for people where it could not be done.
fn people(args: user::Args) -> Ended {
    runtime()?.block_on(user::run(args)).map(|()| ExitCode::SUCCESS).map_err(Failure::refused)
}

/// The runtime of a command that talks to the network: as many workers as there are processors, and none
/// beside the caller where there is but one.
///
/// # Errors
/// Whatever the operating system says.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = if processors == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(processors);
        builder
    };
    builder.enable_all().thread_name("anteroom").build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn each(command: &clap::Command, visit: &mut impl FnMut(&clap::Command)) {
        visit(command);
        command.get_subcommands().for_each(|inner| each(inner, visit));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_is_explained() {
        each(&Cli::command(), &mut |command| {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let explained = argument.get_help().is_some() || argument.get_long_help().is_some();
                assert!(explained, "{} {}", command.get_name(), argument.get_id());
            }
        });
    }

    #[test]
    fn an_error_is_told_with_its_causes_once() {
        let inner = std::io::Error::other("inner");
        let failure = Failure::from(std::io::Error::other(inner));
        assert_eq!(failure.to_string(), "inner");
    }
}
