//! `anteroom simulate`: a cloud on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::{Ended, Failure, output};
use crate::config::{Log, LogFormat};
use crate::secret::Secret;
use crate::simulate::duo::Duo;
use crate::simulate::entra::{Credential, Entra};
use crate::simulate::native::Native;
use crate::simulate::okta::{App, Okta};
use crate::simulate::privacyidea::PrivacyIdea;
use crate::simulate::texts::Texts;
use crate::simulate::{Options, ScenarioFile, Service, Simulator, TlsFiles};
use crate::telemetry::logs;

const EXAMPLES: &str = "\
Examples:
  anteroom simulate okta                         a person decides on the page that it prints
  anteroom simulate privacyidea --scenario bad-day.toml
  anteroom simulate okta --port 8443 --certificate cert.pem --key key.pem

A scenario file says what people answer and what goes wrong: docs/simulate.md.";

/// The secret that every simulator asks for unless it is told another. It protects nothing but loopback.
const SECRET: &str = "simulated-secret-0123456789abcdef";

/// The integration key of the simulated Duo, and its secret key of forty characters.
const IKEY: &str = "DIANTEROOMSIMULATED0";
const SKEY: &str = "simulated-secret-key-of-forty-characters";

/// The directory of the simulated Entra, and whom its tokens are for.
const TENANT: &str = "tenant.example";
const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";
const CLIENT_ID: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";

/// The account of the simulated Twilio.
const ACCOUNT: &str = "ACanteroom0000000000000000000000000";

/// The name of the service account, key or app at every simulator.
const NAME: &str = "anteroom";

/// Which cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Cloud {
    /// Microsoft Entra multifactor authentication
    Entra,
    /// Duo
    Duo,
    /// A privacyIDEA server
    Privacyidea,
    /// Okta
    Okta,
    /// The native protocol
    Native,
    /// A text gateway: Twilio's messages, and a plain one
    Texts,
}

/// Options of `anteroom simulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which cloud
    #[arg(value_enum)]
    pub cloud: Cloud,
    /// TCP port, on loopback; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    pub port: u16,
    /// What people answer and what goes wrong; without it everything is right, and a person decides on the page
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Environment variable that holds the secret, token or password to ask for, instead of the usual one
    #[arg(long, value_name = "NAME")]
    pub secret_env: Option<String>,
    /// The realm of the simulated privacyIDEA
    #[arg(long, value_name = "NAME", default_value = "example")]
    pub realm: String,
    /// The public key (PEM) of an app of the simulated Okta, whose client id is "anteroom"
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
}

/// Runs a simulator until it is interrupted.
///
/// # Errors
/// The scenario or the TLS files cannot be used, or the port is taken.
pub fn run(args: &Args) -> Ended {
    logs::start(&Log { format: LogFormat::Text, level: "warn".into() });
    let ended = super::runtime()?.block_on(play(args));
    logs::flush();
    ended
}

async fn play(args: &Args) -> Ended {
    let scenarios = match &args.scenario {
        None => ScenarioFile::default(),
        Some(path) => ScenarioFile::read(&String::from_utf8_lossy(&file(path)?))
            .map_err(|mistake| Failure::usage(format!("{}: {mistake}", path.display())))?,
    };
    let (secret, shown) = match &args.secret_env {
        None if args.cloud == Cloud::Duo => (SKEY.to_owned(), SKEY.to_owned()),
        None => (SECRET.to_owned(), SECRET.to_owned()),
        Some(name) => {
            let secret = std::env::var(name).map_err(|_| Failure::usage(format!("there is no variable {name}")))?;
            (secret, "(as in the variable)".to_owned())
        }
    };
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), args.port);
    let service = service(args, Secret::from_text(secret))?;
    let word = service.word();
    let tls = args.certificate.clone().zip(args.key.clone());
    let tls = tls.map(|(certificate, key)| TlsFiles { certificate, key });
    let options = Options { scenarios, tls, record: false };
    let running = Simulator::start(address, service, options)
        .await
        .map_err(|error| Failure::refused(format!("{error} (--port chooses another)")))?;
    output::line(format_args!(
        "\
A simulated {word} is running on this machine. Its page, where prompts appear and requests are shown:

  {url}

For anteroom.toml:

{section}
Ctrl-C ends this.",
        url = running.url(),
        section = section(args, &running.url(), &shown),
    ));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The core of a cloud.
fn service(args: &Args, secret: Secret) -> Result<Arc<dyn Service>, Failure> {
    Ok(match args.cloud {
        Cloud::Entra => Arc::new(Entra::new(TENANT, CLIENT_ID, RESOURCE, Credential::Secret(secret))),
        Cloud::Duo => Arc::new(Duo::new(IKEY, secret)),
        Cloud::Privacyidea => Arc::new(PrivacyIdea::new(NAME, secret, &args.realm)),
        Cloud::Okta => {
            let public_key = args.public_key.as_deref().map(file).transpose()?;
            let app = public_key.map(|public_key| App { client_id: NAME.to_owned(), public_key });
            Arc::new(Okta::new(secret, app))
        }
        Cloud::Texts => Arc::new(Texts::new(ACCOUNT, secret)),
        Cloud::Native => {
            let native = Native::new(NAME, &secret);
            Arc::new(native.map_err(|_| Failure::usage("the native protocol's key needs at least 32 octets"))?)
        }
    })
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The section of the configuration that leads here.
fn section(args: &Args, url: &str, secret: &str) -> String {
    let ca_file = args.certificate.as_ref().map(|path| format!("  ca_file = {path:?}\n")).unwrap_or_default();
    let own = match args.cloud {
        Cloud::Entra => format!(
            "  type = \"entra\"\n  tenant = \"{TENANT}\"\n  client_secret = \"{secret}\"\n  login = \"{url}\"\n"
        ),
        Cloud::Duo => format!("  type = \"duo\"\n  ikey = \"{IKEY}\"\n  skey = \"{secret}\"\n"),
        Cloud::Privacyidea => format!(
            "  type = \"privacyidea\"\n  account = \"{NAME}\"\n  password = \"{secret}\"\n  realm = \"{}\"\n",
            args.realm
        ),
        Cloud::Okta => format!("  type = \"okta\"\n  token = \"{secret}\"\n"),
        Cloud::Texts => format!(
            "  type = \"codes\"\n  via = \"twilio\"\n  account = \"{ACCOUNT}\"\n  token = \"{secret}\"\n  from = \"+12025550100\"\n"
        ),
        Cloud::Native => format!("  type = \"native\"\n  key_id = \"{NAME}\"\n  key = \"{secret}\"\n"),
    };
    format!("  [provider.cloud]\n  url = \"{url}\"\n{own}{ca_file}")
}
