//! `anteroom test ldap`: a bind, and perhaps a search, as an application would make them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{Ended, Failure, PasswordSource, no_answer, output};
use url::Url;

use crate::config::checked::is_loopback;
use crate::config::{Security, ServerUrl};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Connection, tls_connector};
use crate::ldap::result::{code, code_name};
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::secret::Secret;

/// Entries that are shown at most.
const MOST_ENTRIES: u32 = 100;

const EXAMPLES: &str = "\
Examples:
  anteroom test ldap --url ldaps://dc1.corp.example.com --bind-name alice@corp.example.com
                                                 asks for the password: is it right, and what does AD say?
  anteroom test ldap --url ldap://dc1.corp.example.com --ca-file corp-ca.pem --bind-name svc@corp.example.com \\
      --password-file bind.secret --base DC=corp,DC=example,DC=com --filter '(sAMAccountName=alice)'
                                                 can the service account find people? (ldap:// uses StartTLS)

Exit codes: 0 bound, and searched where asked for; 1 refused; 3 no answer.";

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
    /// Who binds: a DN, or for AD also name@domain or DOMAIN\name
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
    /// Seconds for each step
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

/// What is asked.
#[derive(Debug)]
pub struct Question {
    /// Of which server.
    pub url: String,
    /// Without protection.
    pub plaintext: bool,
    /// Extra certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Who binds.
    pub bind_name: String,
    /// With which password.
    pub password: Secret,
    /// Where and what to search, if anything.
    pub search: Option<(String, String)>,
    /// For each step.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Result code (RFC 4511 section 4.1.9) of the last step.
    pub code: u32,
    /// The server's own words.
    pub diagnostic: String,
    /// Names of the entries that were found; `None` if there was no search.
    pub entries: Option<Vec<String>>,
}

/// Why nothing came back.
#[derive(Debug)]
pub enum Trouble {
    /// The time was over.
    NoAnswer,
    /// It could not even be asked.
    Failed(String),
}

/// Binds and searches, and prints what came of it.
///
/// # Errors
/// The question could not be put.
pub fn run(args: &Args) -> Ended {
    let question = Question {
        url: args.url.clone(),
        plaintext: args.plaintext,
        ca_file: args.ca_file.clone(),
        bind_name: args.bind_name.clone(),
        password: args.password.read(&format!("Password of {}", args.bind_name))?,
        search: args.base.clone().map(|base| (base, args.filter.clone())),
        timeout: Duration::from_secs(args.timeout),
    };
    let start = Instant::now();
    let reply = super::super::runtime()?.block_on(exchange(&question));
    let took = start.elapsed().as_secs_f64();
    match reply {
        Ok(reply) => {
            output::line(format_args!("result {}  after {took:.3} s  {}", reply.code, reply.diagnostic));
            let entries = reply.entries.unwrap_or_default();
            entries.iter().for_each(|entry| output::line(format_args!("    {entry}")));
            Ok(if reply.code == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(Trouble::NoAnswer) => {
            output::line(format_args!("no answer  after {took:.3} s"));
            Ok(no_answer())
        }
        Err(Trouble::Failed(why)) => Err(Failure::refused(format!("{}: {why}", args.url))),
    }
}

/// One bind, and a search where asked for: the only place that knows the wire.
async fn exchange(question: &Question) -> Result<Reply, Trouble> {
    let failed = |why: String| Trouble::Failed(why);
    let server = server(&question.url, question.plaintext).map_err(failed)?;
    let tls = tls_connector(question.ca_file.as_deref()).map_err(failed)?;
    let mut connection = within(question.timeout, Connection::open(&server, &tls)).await?;
    if question.password.is_empty() {
        return Err(failed("an empty password is no proof: a directory may take it for an anonymous bind".to_owned()));
    }
    let bind = connection.bind(question.bind_name.as_bytes(), question.password.open());
    let answer = within(question.timeout, bind).await?;
    let told = if answer.code == code::INVALID_CREDENTIALS {
        format!("bind: {} ({:?})", code_name(answer.code), answer.refusal)
    } else {
        format!("bind: {}", code_name(answer.code))
    };
    let Some((base, filter)) = question.search.as_ref().filter(|_| answer.code == code::SUCCESS) else {
        return Ok(Reply { code: answer.code, diagnostic: told, entries: None });
    };
    let filter = Filter::parse(filter).map_err(|error| failed(format!("--filter: {error}")))?.encode();
    let request = SearchRequest {
        base,
        scope: Scope::Subtree,
        size_limit: MOST_ENTRIES,
        time_limit: question.timeout,
        filter: &filter,
        attributes: &["1.1"],
    };
    let search = connection.search(&request, |entry: &Entry<'_>| entry.dn.to_owned());
    let (code, entries) = within(question.timeout, search).await?;
    Ok(Reply { code, diagnostic: format!("search: {}", code_name(code)), entries: Some(entries) })
}

async fn within<T, E: std::fmt::Display>(
    timeout: Duration,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(timeout, step).await {
        Ok(result) => result.map_err(|error| Trouble::Failed(error.to_string())),
        Err(_) => Err(Trouble::NoAnswer),
    }
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
}
