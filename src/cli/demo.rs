//! `anteroom demo`: everything on this machine.

use std::process::ExitCode;

use super::{Ended, Failure, output};
use crate::config::{Log, LogFormat};
use crate::demo::directory::{DEMO_DOMAIN, DEMO_PASSWORD};
use crate::demo::trials::{self, Row};
use crate::demo::{DEMO_PIN, DEMO_SECRET, Demo, DemoError, Ports};
use crate::signin::attempt::Door;
use crate::telemetry::logs;

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
    /// TCP port of the LDAP door, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 1389)]
    pub ldap_door_port: u16,
}

/// Runs the demo until it is interrupted, or its check.
///
/// # Errors
/// The demo could not start.
pub fn run(args: Args) -> Ended {
    let level = if args.check { "off" } else { "info" };
    logs::start(&Log { format: LogFormat::Text, level: level.into() });
    let runtime = super::runtime()?;
    let ended = if args.check { runtime.block_on(check()) } else { runtime.block_on(play(args)) };
    logs::flush();
    ended
}

async fn check() -> Ended {
    output::line(format_args!("{:<40} {:<9} {:<9} {:<28}", "sign-in", "expected", "heard", "reason in the audit"));
    let rows = trials::run(print_row).await.map_err(refused)?;
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    let radius = rows.iter().filter(|row| row.door == Door::Radius).count();
    output::line(format_args!("{radius} sign-ins over RADIUS, {} over LDAP, {wrong} wrong", rows.len() - radius));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_row(row: &Row) {
    let reason = row.reason.as_deref().unwrap_or("-");
    let note = if row.is_right() {
        String::new()
    } else {
        format!("  WRONG, expected reason: {}", row.expected_reason.unwrap_or("-"))
    };
    output::line(format_args!("{:<40} {:<9} {:<9} {:<28}{note}", row.what, row.expected, row.heard, reason));
}

async fn play(args: Args) -> Ended {
    let ports =
        Ports { radius: args.radius_port, web: args.web_port, ldap: args.ldap_port, ldap_door: args.ldap_door_port };
    let demo = Demo::start(ports).await.map_err(refused)?;
    let radius = demo.server.radius().first().copied().ok_or_else(|| Failure::refused("no RADIUS listener"))?;
    let ldap = demo.directory.local_addr();
    let door = demo.server.ldap().first().copied().ok_or_else(|| Failure::refused("no LDAP listener"))?;
    output::line(format_args!(
        "\
Anteroom is running on this machine, with everything it needs.

  phones      {url}      open this page: prompts appear there
  RADIUS      {radius}       secret {DEMO_SECRET}
  LDAP        ldap://{door}      for applications: binds are held until the phone is answered
  directory   ldap://{ldap}  people: alice bob carol erin ada, paula has the PIN {DEMO_PIN}, dave is not enrolled;
                                     locked disabled mustchange expired ... are what they say
  password    {DEMO_PASSWORD}           the same for everybody

Sign in as an appliance would, then approve on the page:
  SECRET={DEMO_SECRET} PASSWORD='{DEMO_PASSWORD}' \\
    {program} test radius --server {radius} --secret-env SECRET --user alice --password-env PASSWORD

The same with FreeRADIUS's client:
  echo \"User-Name=alice,User-Password='{DEMO_PASSWORD}',Message-Authenticator=0x00\" | radclient -t 60 -r 1 {radius} auth {DEMO_SECRET}

A client that shows challenges asks for the code after the password; without --answer you type it:
  SECRET={DEMO_SECRET} PASSWORD='{DEMO_PASSWORD}' \\
    {program} test radius --server {radius} --from 127.0.0.7 --secret-env SECRET --user bob --password-env PASSWORD \\
    --answer push --answer 123456

Sign in as an application would, by LDAP; or with the code in the same field, without a prompt:
  ldapwhoami -x -H ldap://{door} -D alice@{DEMO_DOMAIN} -w '{DEMO_PASSWORD}'
  ldapwhoami -x -H ldap://{door} -D alice@{DEMO_DOMAIN} -w '{DEMO_PASSWORD},123456'

What the directory itself says of a password:
  ldapwhoami -x -H ldap://{ldap} -D alice@{DEMO_DOMAIN} -w '{DEMO_PASSWORD}'

`{program} demo --check` runs one sign-in of every outcome. Ctrl-C ends this.
",
        url = demo.phone.url(),
        program = std::env::args().next().unwrap_or_else(|| "anteroom".into()),
    ));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    demo.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn refused(error: DemoError) -> Failure {
    Failure::refused(error.to_string())
}
