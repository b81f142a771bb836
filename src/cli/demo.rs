//! `anteroom demo`: everything on this machine.

use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  anteroom demo                                  start it, and read what it prints
  anteroom demo --check                          one sign-in of every outcome, by itself
  anteroom demo --radius-port 11812 --web-port 8081";

/// Options of `anteroom demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run one sign-in of every outcome, print a table, and exit 0 only if every verdict is right
    #[arg(long)]
    pub check: bool,
    /// UDP port of the RADIUS door, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 1812)]
    pub radius_port: u16,
    /// TCP port of the phone simulator's page, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub web_port: u16,
    /// TCP port of the built-in directory, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 3890)]
    pub ldap_port: u16,
}

/// Runs the demo.
///
/// # Errors
/// Always: it is not part of this build.
pub fn run(_args: Args) -> Result<ExitCode, std::io::Error> {
    Err(std::io::Error::other("the demo is not part of this build"))
}
