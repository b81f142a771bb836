//! Not written yet.

use std::process::ExitCode;

/// Show and change the people who are enrolled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  anteroom user list")]
pub struct Args {}

/// Not part of this build.
///
/// # Errors
/// Always.
pub fn run(_args: Args) -> Result<ExitCode, std::io::Error> {
    Err(std::io::Error::other("user commands are not part of this build"))
}
