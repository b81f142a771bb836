//! `anteroom test ldap`: what an application does when somebody signs in. It connects, binds its service
//! account, searches the person, binds as the person and waits for the phone; each step with its time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use url::Url;

use super::application::{Outcome, Question, Step, Who, converse};
use super::{Ended, Failure, Given, PasswordSource, no_answer, output};
use crate::config::checked::is_loopback;
use crate::config::{Security, ServerUrl};
use crate::ldap::result::code_name;

const EXAMPLES: &str = "\
Examples:
  anteroom test ldap --url ldaps://anteroom.corp.example.com --bind-name svc-wiki@corp.example.com \\
      --password-file wiki.secret --base DC=corp,DC=example,DC=com --user alice
                                                 as an application: service account, search, then alice's bind
  anteroom test ldap --url ldap://anteroom.corp.example.com --ca-file corp-ca.pem --bind-name alice@corp.example.com
                                                 asks for the password, then waits for the phone (with StartTLS)
  anteroom test ldap --url ldaps://dc1.corp.example.com --bind-name svc@corp.example.com \\
      --password-file bind.secret --base DC=corp,DC=example,DC=com --filter '(sAMAccountName=alice)'
                                                 the directory itself, for comparison

Exit codes: 0 every step succeeded; 1 a step failed, was refused or found nobody; 3 no answer in time.";

/// How people are found by the name that they type, in AD and elsewhere.
const USER_FILTER: &str = "(|(sAMAccountName={})(userPrincipalName={})(uid={})(mail={}))";

/// Options of `anteroom test ldap`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The server: ldaps://HOST, or ldap://HOST for StartTLS
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Speak ldap:// without any protection, which is possible with a loopback address only
    #[arg(long)]
    pub plaintext: bool,
    /// Extra certificate authorities in PEM; without it the system's own are trusted
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Who binds first: a DN, or for AD also name@domain or DOMAIN\name
    #[arg(long, value_name = "NAME")]
    pub bind_name: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
    /// Search below this name after the bind
    #[arg(long, value_name = "DN")]
    pub base: Option<String>,
    /// What to search for
    #[arg(long, value_name = "FILTER", default_value = "(objectClass=*)", requires = "base")]
    pub filter: String,
    /// Then find this person below --base, and bind as them on the same connection
    #[arg(long, value_name = "NAME", requires = "base", conflicts_with = "filter")]
    pub user: Option<String>,
    /// How the person is found; {} is the name
    #[arg(long, value_name = "FILTER", default_value = USER_FILTER, requires = "user")]
    pub user_filter: String,
    /// Environment variable that holds the person's password; without it and --user-password-file it is asked for
    #[arg(long, value_name = "NAME", requires = "user", conflicts_with_all = ["user_password_file", "user_password"])]
    pub user_password_env: Option<String>,
    /// File that holds the person's password
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "user_password")]
    pub user_password_file: Option<PathBuf>,
    /// The person's password itself, for labs only: everybody on this machine sees it in the process list
    #[arg(long, value_name = "PASSWORD", requires = "user")]
    pub user_password: Option<Given>,
    /// Seconds for each step; applications should wait 60 or more
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl Args {
    fn question(&self) -> Result<Question, Failure> {
        let server = server(&self.url, self.plaintext).map_err(|why| Failure::usage(format!("{}: {why}", self.url)))?;
        let first = Who {
            name: self.bind_name.clone(),
            password: self.password.read(&format!("Password of {}", self.bind_name))?,
        };
        let second = self.user.as_ref().map(|user| {
            let source = PasswordSource {
                password_env: self.user_password_env.clone(),
                password_file: self.user_password_file.clone(),
                password: self.user_password.clone(),
            };
            Ok::<_, Failure>(Who { name: user.clone(), password: source.read(&format!("Password of {user}"))? })
        });
        let filter = match &self.user {
            Some(user) => self.user_filter.replace("{}", &escaped(user)),
            None => self.filter.clone(),
        };
        Ok(Question {
            server,
            ca_file: self.ca_file.clone(),
            first,
            search: self.base.clone().map(|base| (base, filter)),
            second: second.transpose()?,
            timeout: Duration::from_secs(self.timeout),
        })
    }
}

/// Goes through the steps and prints each of them.
///
/// # Errors
/// The question could not be put.
pub fn run(args: &Args) -> Ended {
    let question = args.question()?;
    let steps = super::super::runtime()?.block_on(converse(&question, show));
    Ok(match steps.last().map(|step| &step.outcome) {
        Some(Outcome::NoAnswer) => no_answer(),
        _ if steps.iter().all(Step::succeeded) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// One line or more for a step.
fn show(step: &Step) {
    let (what, took) = (step.what, step.took.as_secs_f64());
    let end = match &step.outcome {
        Outcome::Answer { code, told } if told.is_empty() => format!("{code} {}", code_name(*code)),
        Outcome::Answer { code, told } => format!("{code} {}: {told:?}", code_name(*code)),
        Outcome::Done(told) => told.clone(),
        Outcome::NoAnswer => "no answer".to_owned(),
        Outcome::Failed(why) => why.clone(),
    };
    output::line(format_args!("{what:8} {took:8.3} s  {end}"));
    step.entries.iter().for_each(|entry| output::line(format_args!("    {entry}")));
    if let Some(advice) = step.advice() {
        output::line(format_args!("    hint: {advice}"));
    }
}

/// A value inside a filter (RFC 4515 section 3).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '*' | '(' | ')' | '\\' | '\0' => out.push_str(&format!("\\{:02x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

/// The server that a URL means, with the rules of the configuration.
fn server(url: &str, plaintext: bool) -> Result<ServerUrl, String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let (port, security) = match (parsed.scheme(), plaintext) {
        ("ldaps", false) => (636, Security::Ldaps),
        ("ldap", false) => (389, Security::StartTls),
        ("ldap", true) if is_loopback(&host) => (389, Security::Plaintext),
        ("ldap", true) => return Err("--plaintext is possible with a loopback address only".to_owned()),
        _ => return Err("write ldaps://HOST, or ldap://HOST for StartTLS".to_owned()),
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    Ok(ServerUrl { host, port: parsed.port().unwrap_or(port), security })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_says_how_the_connection_is_protected() {
        let found = |url, plaintext| server(url, plaintext).map(|server| (server.port, server.security));
        assert_eq!(found("ldaps://dc1", false), Ok((636, Security::Ldaps)));
        assert_eq!(found("ldap://dc1:3389", false), Ok((3389, Security::StartTls)));
        assert_eq!(found("ldap://[::1]", true), Ok((389, Security::Plaintext)));
    }

    #[test]
    fn plaintext_to_another_machine_is_refused() {
        assert!(server("ldap://dc1", true).is_err());
        assert!(server("https://dc1", false).is_err());
        assert!(server("ldap://", false).is_err());
    }

    #[test]
    fn a_name_cannot_change_the_filter() {
        use crate::ldap::filter::Filter;
        let hostile = "*)(uid=*))\\\0";
        let filter = Filter::parse(&"(uid={})".replace("{}", &escaped(hostile))).unwrap();
        assert_eq!(filter, Filter::Equality("uid".to_owned(), hostile.as_bytes().to_vec()));
    }
}
