//! `anteroom check`: all mistakes of a configuration, then the connections it names, one line each with
//! what to do.
//!
//! ```text
//! ok    port 0.0.0.0:1812/udp   free
//! warn  client vpn              unsigned requests are answered: …
//! FAIL  target corp dc1:636     certificate has expired: …
//! ```

use std::fmt;
use std::process::ExitCode;

use super::serve::count;
use super::{ConfigFile, Ended, Failure, output};
use crate::config::{Config, Requirement, Throttle, checked};
use crate::primary::directory::Lockout;

pub mod certificates;
pub mod gateway;
pub mod habits;
pub mod named;
pub mod network;
pub mod profiles;

const EXAMPLES: &str = "\
Examples:
  anteroom check                                 the usual file, and its connections
  anteroom check --config new.toml --offline     only the file, for an editor or a pipeline
  sudo -u anteroom anteroom check                as the service's user: are its files readable?

Exit codes: 0 no FAIL line; 1 something failed; 2 mistakes in the configuration.";

/// Options of `anteroom check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Try no connection: only the file, certificates and keys
    #[arg(long)]
    pub offline: bool,
}

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How well it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty where nothing is to be done.
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Finding { level: Level::Ok, what: what.into(), detail: detail.into(), advice: String::new() }
    }

    /// Somebody should look at it.
    pub fn warn(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { level: Level::Warn, what: what.into(), detail: detail.into(), advice: advice.into() }
    }

    /// It does not work.
    pub fn fail(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { level: Level::Fail, what: what.into(), detail: detail.into(), advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level:<5} {}  {}", self.what, self.detail)?;
        if !self.advice.is_empty() {
            write!(f, " — {}", self.advice)?;
        }
        Ok(())
    }
}

/// Checks the file, then what it names.
///
/// # Errors
/// Every mistake of the configuration.
pub fn run(args: &Args) -> Ended {
    let checked = checked::read_file(&args.file.config).map_err(|mistakes| {
        mistakes.mistakes.iter().for_each(|mistake| output::line(format_args!("FAIL  {mistake}")));
        mistakes.warnings.iter().for_each(|warning| output::line(format_args!("warn  {warning}")));
        Failure::usage(format!("{} in {}", count(mistakes.mistakes.len(), "mistake"), args.file.config.display()))
    })?;
    output::line(Finding::ok(args.file.config.display().to_string(), summary(&checked.config)));
    checked.warnings.iter().for_each(|warning| output::line(format_args!("warn  {warning}")));
    let mut failed = 0;
    let mut report = |finding: Finding| {
        failed += usize::from(finding.level == Level::Fail);
        output::line(finding);
    };
    profiles::check(&checked.config).into_iter().for_each(&mut report);
    signing(&checked.config).into_iter().for_each(&mut report);
    certificates::check(&checked.config, jiff::Timestamp::now()).into_iter().for_each(&mut report);
    if !args.offline {
        let runtime = super::runtime()?;
        runtime.block_on(habits::check(&checked.config)).into_iter().for_each(&mut report);
        runtime.block_on(network::check(&checked.config, &mut report));
    }
    if failed > 0 {
        return Err(Failure::refused(format!("{} failed", count(failed, "check"))));
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    let parts = [
        count(config.radius.clients.len() + config.ldap.clients.len(), "client"),
        count(config.targets.len() + config.authorizing.len() + config.radius_targets.len(), "target"),
        count(config.providers.len(), "provider"),
    ];
    format!("no mistakes: {}", parts.join(", "))
}

/// What each client that need not sign its requests means (CVE-2024-3596).
pub fn signing(config: &Config) -> Vec<Finding> {
    let finding = |client: &crate::config::RadiusClient| {
        let what = format!("client {}", client.client.name);
        match client.require_message_authenticator {
            // What comes over TLS cannot be changed on the way (RFC 6614 section 2).
            Requirement::No if client.tls.is_some() => Finding::ok(what, "comes over TLS, signed or not"),
            Requirement::Yes => Finding::ok(what, "must sign its requests"),
            Requirement::Auto => Finding::warn(
                what,
                "need not sign until it has done so once since the start (require_message_authenticator = \"auto\")",
                "set \"yes\" once the log shows that it signs",
            ),
            Requirement::No => Finding::warn(
                what,
                "never needs to sign: who can change its packets can forge an answer (require_message_authenticator = \"no\")",
                "keep the way between it and this server private, and update it; see conf/guides",
            ),
        }
    };
    config.radius.clients.iter().map(|client| finding(client)).collect()
}

/// Whether guessing stops here before the directory locks the account: fewer failures, counted over at
/// least as long a time. Each node beyond the first may let one more through.
pub fn lockout(what: &str, policy: Lockout, throttle: &Throttle, nodes: u32) -> Finding {
    let Lockout { threshold, window } = policy;
    let shown = |time| humantime::format_duration(time);
    if threshold == 0 {
        return Finding::ok(what, "locks nobody out (lockoutThreshold 0)");
    }
    let most = throttle.failures_per_person.saturating_add(nodes.saturating_sub(1));
    if most >= threshold {
        let together = if nodes > 1 { format!(" on {nodes} nodes, which is {most} in all,") } else { String::new() };
        let detail = format!(
            "failures_per_person {}{together} is not below its lockoutThreshold {threshold}: a guesser could lock people out",
            throttle.failures_per_person
        );
        let advice = match threshold.saturating_sub(nodes.max(1)) {
            0 => "raise lockoutThreshold in the domain".to_owned(),
            fewer => format!("set throttle.failures_per_person to {fewer} or less"),
        };
        return Finding::fail(what, detail, advice);
    }
    if throttle.window < window {
        let detail = format!(
            "counts wrong passwords for {}, the throttle only for {}: a patient guesser could lock people out",
            shown(window),
            shown(throttle.window)
        );
        return Finding::fail(what, detail, format!("set throttle.window to \"{}\" or more", shown(window)));
    }
    let detail = format!("locks after {threshold} wrong passwords, the throttle stops at {most}");
    Finding::ok(what, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn against(threshold: u32, minutes: u64) -> Finding {
        among(threshold, minutes, 1)
    }

    fn among(threshold: u32, minutes: u64, nodes: u32) -> Finding {
        let throttle = Throttle {
            failures_per_person: 4,
            failures_per_source: 50,
            window: Duration::from_secs(1800),
            prompts_per_person: 5,
            prompt_window: Duration::from_secs(600),
            denial_backoff: Duration::from_secs(60),
            fraud_block: Duration::from_secs(60),
            lockout: None,
        };
        lockout("corp", Lockout { threshold, window: Duration::from_secs(minutes * 60) }, &throttle, nodes)
    }

    #[test]
    fn throttle_below_the_lockout_threshold_is_fine() {
        assert_eq!(against(5, 30).level, Level::Ok);
        assert_eq!(against(0, 60).level, Level::Ok);
    }

    #[test]
    fn throttle_at_the_lockout_threshold_fails() {
        let finding = against(4, 30);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.contains("to 3 or less"), "{finding}");
        assert!(against(1, 30).advice.contains("in the domain"));
    }

    #[test]
    fn every_node_beyond_the_first_counts_one_more() {
        assert_eq!(among(6, 30, 2).level, Level::Ok);
        let finding = among(5, 30, 2);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.detail.contains("2 nodes") && finding.advice.contains("to 3 or less"), "{finding}");
        assert!(among(3, 30, 3).advice.contains("in the domain"));
    }

    #[test]
    fn throttle_that_forgets_sooner_than_the_directory_fails() {
        let finding = against(5, 31);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.contains("31m"), "{finding}");
    }

    #[test]
    fn a_finding_is_one_line_with_what_to_do() {
        let finding = Finding::fail("port 0.0.0.0:1812/udp", "in use", "stop the other server");
        assert_eq!(finding.to_string(), "FAIL  port 0.0.0.0:1812/udp  in use — stop the other server");
        assert_eq!(Finding::ok("a", "b").to_string(), "ok    a  b");
    }
}
