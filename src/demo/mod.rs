//! `anteroom demo`: a whole house on loopback. A real server, with a small directory and the phone simulator
//! beside it, its user store in a folder that goes away with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::app::Server;
use crate::config::checked;
use crate::secret::Secret;
use crate::users::model::{Method, Mode, Person};
use crate::users::open::open;
use crate::users::pin::Rules;
use crate::users::pins;
use crate::users::place::StoreAt;
use crate::users::profile::Profile;
use crate::users::store::Store;

use directory::{
    DEMO_BASE, DEMO_NETBIOS, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, DemoDirectory, DemoPerson, demo_people,
};
use phone::{Phone, PhoneOptions};

pub mod directory;
pub mod phone;
pub mod trials;

/// The RADIUS secret of the demo's clients. It protects nothing but loopback.
pub const DEMO_SECRET: &str = "demo-radius-secret-0123456789";

/// The PIN of the demo's people who are in PIN mode: `paula` among the usual ones.
pub const DEMO_PIN: &str = "4092";

/// Where the demo listens. Port 0 takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// UDP, RADIUS.
    pub radius: u16,
    /// TCP, the phone simulator's page.
    pub web: u16,
    /// TCP, the directory.
    pub ldap: u16,
    /// TCP, the LDAP door.
    pub ldap_door: u16,
}

/// Why the demo could not start, in words.
#[derive(Debug)]
pub struct DemoError(String);

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DemoError {}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    /// The directory.
    pub directory: DemoDirectory,
    /// The phones.
    pub phone: Phone,
    /// The server.
    pub server: Server,
    /// Where its files are, until [`Demo::stop`].
    pub folder: PathBuf,
}

impl Demo {
    /// Starts everything, with the usual demo people.
    ///
    /// # Errors
    /// A port that is taken, or a folder that cannot be written.
    pub async fn start(ports: Ports) -> Result<Demo, DemoError> {
        Demo::start_with(ports, demo_people(), is_enrolled).await
    }

    /// [`Demo::start`] with people of one's own. Those for whom `enrolled` returns a person are put into the
    /// store.
    ///
    /// # Errors
    /// As [`Demo::start`].
    pub async fn start_with(
        ports: Ports,
        people: Vec<DemoPerson>,
        enrolled: impl Fn(&DemoPerson) -> Option<Person>,
    ) -> Result<Demo, DemoError> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| DemoError(format!("no random octets: {error}")))?;
        let hex: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("anteroom-demo-{}", hex.get(..12).unwrap_or_default()));
        create_folder(&folder)?;
        let enrol: Vec<Person> = people.iter().filter_map(enrolled).collect();
        let directory = DemoDirectory::start(loopback(ports.ldap), people)
            .await
            .map_err(|error| taken("the directory", ports.ldap, "--ldap-port", &error))?;
        let options = PhoneOptions { key: Some(("demo".into(), Secret::from_text(hex.clone()))), ..Default::default() };
        let phone = Phone::start(loopback(ports.web), options)
            .await
            .map_err(|error| taken("the phone simulator", ports.web, "--web-port", &error))?;
        let radius = if ports.radius == 0 { free_port()? } else { ports.radius };
        let door = if ports.ldap_door == 0 { free_tcp_port()? } else { ports.ldap_door };
        let text = configuration((radius, door), &directory, &phone, &hex);
        let config = checked::load_text(&text, &folder.join("demo.toml"))
            .map_err(|mistakes| DemoError(format!("the demo's own configuration: {mistakes}")))?;
        enrol_all(&config.server.store, &enrol).await?;
        let server = Server::start(config)
            .await
            .map_err(|error| DemoError(format!("{error} (--radius-port and --ldap-door-port choose others)")))?;
        Ok(Demo { directory, phone, server, folder })
    }

    /// Stops everything and removes the demo's folder.
    pub async fn stop(self) {
        self.server.stop().await;
        self.phone.stop().await;
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the demo's folder is left behind");
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A UDP port that is free now: a configuration names its ports.
fn free_port() -> Result<u16, DemoError> {
    let port = std::net::UdpSocket::bind(loopback(0)).and_then(|socket| socket.local_addr());
    port.map(|address| address.port()).map_err(|error| DemoError(format!("no free UDP port: {error}")))
}

/// A TCP port that is free now.
fn free_tcp_port() -> Result<u16, DemoError> {
    let port = std::net::TcpListener::bind(loopback(0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| DemoError(format!("no free TCP port: {error}")))
}

fn taken(what: &str, port: u16, option: &str, error: &std::io::Error) -> DemoError {
    DemoError(format!("{what} cannot listen on port {port}: {error} ({option} chooses another)"))
}

/// A folder that nobody else can read.
fn create_folder(folder: &Path) -> Result<(), DemoError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| DemoError(format!("the folder {} cannot be made: {error}", folder.display())))
}

async fn enrol_all(store: &StoreAt, people: &[Person]) -> Result<(), DemoError> {
    let failed = |error| DemoError(format!("{error}"));
    let store = open(store, true).await.map_err(failed)?;
    for person in people {
        store.add(person).await.map_err(failed)?;
        if person.mode == Mode::Pin {
            let pin = Secret::from_text(DEMO_PIN.into());
            let (profile, rules) = (Profile::new(person.clone()), Rules::default());
            let set = pins::set(&store, &profile, &pin, &rules, (false, None), "demo").await.map_err(failed)?;
            set.map_err(|why| DemoError(format!("the PIN of {}: {why}", person.name)))?;
        }
    }
    store.close().await;
    Ok(())
}

/// The demo's people are enrolled with a push, save for `dave`, who never came to the help desk; `paula` has a PIN besides.
fn is_enrolled(person: &DemoPerson) -> Option<Person> {
    let mode = if person.name == "paula" { Mode::Pin } else { Mode::Standard };
    (person.name != "dave").then(|| Person { mode, ..enrolled(person) })
}

/// An entry of the user store for a person of the demo directory.
pub fn enrolled(person: &DemoPerson) -> Person {
    Person {
        unique_id: crate::primary::names::guid_text(&person.guid()).unwrap_or_default(),
        name: person.name.clone(),
        upn: person.upn.clone(),
        dn: Some(person.dn()),
        first_name: Some(person.first_name.clone()),
        last_name: Some(person.last_name.clone()),
        email: person.upn.clone(),
        phone: person.phone.clone(),
        phone_extension: None,
        device_token: Some(format!("demo-device-of-{}", person.name)),
        method: Method::Push,
        mode: Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    }
}

/// The configuration file of the demo: real, and checked like any other.
fn configuration((radius_port, door_port): (u16, u16), directory: &DemoDirectory, phone: &Phone, key: &str) -> String {
    let group = directory::group_dn("MFA-Exempt");
    let (gateway, portals) = (gateway(), portals());
    format!(
        r#"
[server]
name = "anteroom-demo"
store = "people.db"
drain = "1s"

[radius]
listen = ["127.0.0.1:{radius_port}"]
accounting = []

# Who asks from 127.0.0.1 is an appliance with the safe defaults.
[[radius.client]]
name = "demo-vpn"
address = "127.0.0.1"
secret = "{DEMO_SECRET}"
application = "Demo VPN"
person_address = "Calling-Station-Id"
exempt_users = ["svc-monitor"]
exempt_groups = ["{group}"]
exempt_networks = ["198.51.100.0/24"]
reply_attributes = ["Class = \"demo\""]

# Who asks from 127.0.0.2 is one whose section names exemptions.
[[radius.client]]
name = "demo-lenient"
address = "127.0.0.2"
secret = "{DEMO_SECRET}"
application = "Demo with exemptions"
unknown_users = "password_only"
disabled_users = "password_only"
provider_unreachable = {{ classes = ["connect", "server_error"], until = "2100-01-01T00:00:00Z" }}

# Who asks from 127.0.0.3 waits two seconds only.
[[radius.client]]
name = "demo-hasty"
address = "127.0.0.3"
secret = "{DEMO_SECRET}"
application = "Demo in a hurry"
answer_within = "2s"

# Who asks from 127.0.0.4 takes a code behind the password.
[[radius.client]]
name = "demo-codes"
address = "127.0.0.4"
secret = "{DEMO_SECRET}"
application = "Demo with codes"
passcode = {{ delimiter = "," }}

{portals}# Applications on this machine speak LDAP to the door as they would to the directory.
[ldap]
listen = ["127.0.0.1:{door_port}"]

[[ldap.client]]
name = "demo-wiki"
address = "127.0.0.1"
application = "Demo wiki"
service_accounts = ["{DEMO_SERVICE_NAME}"]
exempt_groups = ["{group}"]
passcode = {{ delimiter = "," }}

# Who asks from 127.0.0.3 waits two seconds only, and has no account of its own.
[[ldap.client]]
name = "demo-hasty-wiki"
address = "127.0.0.3"
application = "Demo wiki in a hurry"
answer_within = "2s"

{gateway}[target.demo]
type = "ad"
servers = ["ldap://{ldap}"]
plaintext = true
base = "{DEMO_BASE}"
bind_name = "{DEMO_SERVICE_NAME}"
bind_password = "{DEMO_SERVICE_PASSWORD}"
domains = ["{DEMO_NETBIOS}"]

[provider.phone]
type = "native"
url = "{url}"
key_id = "demo"
key = "{key}"

[audit]
file = "audit.jsonl"
"#,
        ldap = directory.local_addr(),
        url = phone.url(),
    )
}

/// The sections of the demo's clients that show challenges.
fn portals() -> String {
    format!(
        r#"# Who asks from 127.0.0.6 shows challenges, as VPN clients with a second page do.
[[radius.client]]
name = "demo-portal"
address = "127.0.0.6"
secret = "{DEMO_SECRET}"
application = "Demo portal"
challenge = "yes"

# Who asks from 127.0.0.7 lets people choose, and shows a field for a code while the prompt is out.
[[radius.client]]
name = "demo-menu"
address = "127.0.0.7"
secret = "{DEMO_SECRET}"
application = "Demo portal with a menu"
challenge = "yes"
challenge_menu = true
challenge_beside_prompt = true
methods = ["push", "call", "oath"]

"#
    )
}

/// The sections of the demo's RD Gateway.
fn gateway() -> String {
    let staff = directory::group_dn("VPN-Users");
    format!(
        r#"
# Who asks from 127.0.0.5 is an RD Gateway, which has checked the password itself and sends none.
[[radius.client]]
name = "demo-gateway"
address = "127.0.0.5"
secret = "{DEMO_SECRET}"
application = "Demo desktop"
profile = "rd-gateway"
target = "demo-gateway"

[target.demo-gateway]
type = "none"
directory = "demo"

[[target.demo-gateway.policy]]
name = "staff"
groups = ["{staff}"]
redirection = ["clipboard"]
session_timeout = "8h"
"#
    )
}
