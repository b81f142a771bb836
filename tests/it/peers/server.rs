//! The real program as a process: `anteroom serve --config FILE` on a loopback address of its own.

use std::fmt::Display;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::eventually;

/// The shared secret of the test client.
pub(crate) const SHARED_SECRET: &str = "Sh4red-S3cret-of-the-test";
/// The key that requests to the provider are signed with.
pub(crate) const PROVIDER_KEY_ID: &str = "test-node";
/// The same, the secret part.
pub(crate) const PROVIDER_KEY: &str = "Pr0vider-K3y-of-the-test-0123456789abcdef";

/// What a test's server is to be like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Address of the domain controller.
    pub(crate) directory: String,
    /// The authority of its certificate.
    pub(crate) ca: PathBuf,
    /// Where the provider is.
    pub(crate) provider: String,
    /// Password of the service account.
    pub(crate) service_password: String,
    /// Further keys of the one client.
    pub(crate) client: String,
    /// Further keys of the directory.
    pub(crate) target: String,
    /// Further keys of `[throttle]`.
    pub(crate) throttle: String,
    /// Further keys of `[log]`.
    pub(crate) log: String,
}

/// A server process with its folder. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Option<Child>,
    folder: tempfile::TempDir,
    address: String,
}

/// A loopback address that no other server of this or another run uses, so that ports can be fixed.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    format!("127.{}.{}.{}", 128 + (process >> 8 & 0x3f), process & 0xff, NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Sections of a server with a store of its own and the doors for RADIUS.
pub(crate) fn doors(folder: impl Display, address: &str) -> String {
    format!(
        r#"[server]
name = "test-node"
store = "{folder}/anteroom.db"
drain = "1s"

[radius]
listen = "{address}:1812"
accounting = "{address}:1813"
tcp = "{address}:1812"
"#
    )
}

/// The section of the provider `cloud`, which asks the phones at this URL, and bounds wide enough for many tests.
fn cloud(url: &str) -> String {
    format!(
        r#"[provider.cloud]
type = "native"
url = "{url}"
key_id = "{PROVIDER_KEY_ID}"
key = "{PROVIDER_KEY}"
timeout = "2s"

[throttle]
failures_per_source = 1000
prompts_per_person = 100
"#
    )
}

/// Sections by which a server tells what it does.
fn told(folder: impl Display, address: &str) -> String {
    format!(
        r#"[audit]
file = "{folder}/audit.jsonl"

[metrics]
listen = "{address}:9464"
"#
    )
}

/// Sections of a server that asks the phones at `provider`, and tells all that it does.
pub(crate) fn surroundings(folder: impl Display, address: &str, provider: impl Display) -> String {
    let (cloud, told) = (cloud(&format!("http://{provider}")), told(folder, address));
    format!("{cloud}\n{told}\n[log]\nlevel = \"debug\"\n")
}

/// Sections of a server that asks no cloud: its provider is `local`.
pub(crate) fn alone(folder: impl Display, address: &str) -> String {
    let told = told(folder, address);
    format!("[provider.local]\ntype = \"local\"\n\n{told}")
}

impl Settings {
    pub(crate) fn written(&self, folder: &Path, address: &str) -> String {
        let folder = folder.display();
        let Settings { directory, ca, provider, service_password, client, target, throttle, log } = self;
        let (ca, base) = (ca.display(), super::samba::BASE);
        let log = if log.is_empty() { "level = \"debug\"" } else { log };
        let within = if client.contains("answer_within") { "" } else { "answer_within = \"20s\"" };
        let (doors, cloud, told) = (doors(&folder, address), cloud(provider), told(&folder, address));
        format!(
            r#"
{doors}

[[radius.client]]
name = "vpn"
address = "127.0.0.0/8"
secret = "{SHARED_SECRET}"
application = "Test VPN"
target = "corp"
provider = "cloud"
{within}
packets_per_second = 1000
{client}

[target.corp]
type = "ad"
servers = "ldaps://{directory}"
ca_file = "{ca}"
base = "{base}"
bind_name = "svc-proxy@corp.example.test"
bind_password = "{service_password}"
domains = "CORP"
connect_timeout = "1s"
timeout = "2s"
{target}

{cloud}
{throttle}

{told}

[log]
{log}
"#
        )
    }
}

impl Server {
    /// Writes the configuration and starts the server.
    pub(crate) fn start(settings: &Settings) -> Self {
        Server::start_written(|folder, address| settings.written(folder, address))
    }

    /// Starts the server on what `write` makes of its folder and its own address. The metrics must be at port
    /// 9464 of that address.
    pub(crate) fn start_written(write: impl FnOnce(&Path, &str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server { process: None, folder, address: own_address() };
        let written = write(server.folder(), &server.address);
        let mut file =
            fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(server.configuration()).unwrap();
        file.write_all(written.as_bytes()).unwrap();
        server.start_again();
        server
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its address, without a port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts the process (again, after [`Server::kill`]) on the same configuration and store.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = |name: &str| {
            let path = self.folder.path().join(name);
            Stdio::from(fs::OpenOptions::new().create(true).append(true).open(path).unwrap())
        };
        let process = self.command(&["serve"]).stdout(log("stdout")).stderr(log("stderr")).spawn().unwrap();
        self.process = Some(process);
        eventually("the server's health page", || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended with {ended:?}:\n{}", self.logs());
            self.http("/health")
        });
    }

    /// `anteroom` with these arguments and `--config`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.args(arguments).arg("--config").arg(self.configuration()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, which must be a good one.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "anteroom {arguments:?}: {said}");
        output
    }

    /// The configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("anteroom.toml")
    }

    /// The SQLite database.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("anteroom.db")
    }

    /// Where Access-Requests go.
    pub(crate) fn radius(&self) -> SocketAddr {
        format!("{}:1812", self.address).parse().unwrap()
    }

    /// Where Accounting-Requests go.
    pub(crate) fn accounting(&self) -> SocketAddr {
        format!("{}:1813", self.address).parse().unwrap()
    }

    /// The most memory that it has had resident so far, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        let process = self.process.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Everything it wrote to standard output and standard error.
    pub(crate) fn logs(&self) -> String {
        ["stdout", "stderr"]
            .map(|name| fs::read(self.folder.path().join(name)).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }

    /// The audit file's text.
    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default()
    }

    /// The audit events that are wanted, oldest first; at least `count` of them are waited for.
    fn events_where(&self, what: &str, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        eventually(&format!("{count} audit events of {what}"), || {
            let text = self.audit();
            // the last line may be half written
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let events = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let events: Vec<Value> = events.filter(&wanted).collect();
            (events.len() >= count).then_some(events)
        })
    }

    /// All audit events, of which there are at least `count`.
    pub(crate) fn all_events(&self, count: usize) -> Vec<Value> {
        self.events_where("anybody", count, |_| true)
    }

    /// The audit events of the name as typed, of which there are at least `count`.
    pub(crate) fn events(&self, name: &str, count: usize) -> Vec<Value> {
        self.events_where(name, count, |event| event["name"] == name)
    }

    /// The one audit event of the name as typed.
    pub(crate) fn event(&self, name: &str) -> Value {
        let mut events = self.events(name, 1);
        assert_eq!(events.len(), 1, "one sign-in, one event: {events:?}");
        events.remove(0)
    }

    /// `GET path` from its metrics address: the whole answer.
    pub(crate) fn http(&self, path: &str) -> Option<String> {
        let address: SocketAddr = format!("{}:9464", self.address).parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1").then_some(answer)
    }

    /// `kill -HUP`: it reads its files again.
    pub(crate) fn hang_up(&self) {
        let process = self.process.as_ref().expect("it runs").id().to_string();
        let output = Command::new("sh").args(["-c", &format!("kill -HUP {process}")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            // shown by the harness beneath the failed test
            println!("--- log of the server\n{}\n--- audit\n{}", self.logs(), self.audit());
        }
    }
}
