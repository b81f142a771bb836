//! What only a try can tell: are the ports free, does the store open, do directories and providers answer?
//!
//! What is asked of a directory and a provider stands behind [`Probes`], so that the report can be tested
//! without them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use super::{Finding, gateway, lockout, named};
use crate::config::{AuthorizingTarget, Client, Config, DirectoryTarget, Provider, RadiusTarget, Throttle};
use crate::factor::build::build;
use crate::factor::local::House;
use crate::factor::native::wire::ServerIdentity;
use crate::primary::directory::{Directory, ProbeReport};
use crate::users::keys::KeyFile;
use crate::users::open::open;
use crate::users::pin::Rules;
use crate::users::place::StoreAt;
use crate::users::prompts::SharedPrompts as _;
use crate::users::sql::SqlStore;

mod radius;
mod winbind;

/// Clocks that differ by more are worth a warning. AD itself allows 5 minutes.
const SKEW: Duration = Duration::from_secs(30);

/// A certificate that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// What is asked of the other side.
pub trait Probes: Sync {
    /// One finding for each server of a directory, and what its policy means for the throttle.
    fn directory<'a>(&'a self, target: &'a DirectoryTarget, throttle: &'a Throttle) -> BoxFuture<'a, Vec<Finding>>;

    /// One finding for each server of a RADIUS target: whether it answers Status-Server.
    fn radius<'a>(&'a self, target: &'a RadiusTarget) -> BoxFuture<'a, Vec<Finding>>;

    /// Whether a directory has the groups that connection policies name, and says of accounts what must be known.
    fn policies<'a>(
        &'a self,
        target: &'a AuthorizingTarget,
        directory: &'a DirectoryTarget,
    ) -> BoxFuture<'a, Vec<Finding>>;

    /// Whether a directory has the groups that a client's `[[reply]]` sections name.
    fn replies<'a>(&'a self, client: &'a Client, directory: &'a DirectoryTarget) -> BoxFuture<'a, Vec<Finding>>;

    /// Whether a provider answers and takes our credentials.
    fn provider<'a>(&'a self, provider: &'a Provider) -> BoxFuture<'a, Vec<Finding>>;
}

/// Everything that needs the network, one finding after the other.
pub async fn check(config: &Config, report: &mut impl FnMut(Finding)) {
    ports(config).into_iter().for_each(&mut *report);
    let (finding, nodes) = store(&config.server.store, &config.server.name).await;
    report(finding);
    files(config).into_iter().for_each(&mut *report);
    let (store, keys) = (Arc::clone(&config.server.store), config.server.keys.clone());
    let network = Network { name: config.server.name.clone(), store, keys, nodes };
    probe(config, &network, report).await;
    named::look_up(config).await.into_iter().for_each(report);
}

/// Asks every directory and every provider.
pub async fn probe(config: &Config, probes: &dyn Probes, report: &mut impl FnMut(Finding)) {
    for target in config.targets.values() {
        probes.directory(target, &config.throttle).await.into_iter().for_each(&mut *report);
    }
    for target in config.radius_targets.values() {
        probes.radius(target).await.into_iter().for_each(&mut *report);
    }
    for target in config.authorizing.values() {
        if let Some(directory) = config.targets.get(&target.directory) {
            probes.policies(target, directory).await.into_iter().for_each(&mut *report);
        }
    }
    for client in config.radius.clients.iter().map(|client| &client.client).filter(|client| client.reply.is_some()) {
        let behind = config.authorizing.get(&client.target).map_or(&client.target, |target| &target.directory);
        if let Some(directory) = config.targets.get(behind) {
            probes.replies(client, directory).await.into_iter().for_each(&mut *report);
        }
    }
    for provider in config.providers.values() {
        probes.provider(provider).await.into_iter().for_each(&mut *report);
    }
}

/// Whether each port could be opened now.
pub fn ports(config: &Config) -> Vec<Finding> {
    let udp = config.radius.listen.iter().chain(&config.radius.accounting);
    let mut findings: Vec<Finding> =
        udp.map(|address| port(*address, "udp", std::net::UdpSocket::bind(address).err())).collect();
    let over_tls = config.radius.tls.iter().flat_map(|door| &door.listen);
    let tcp = over_tls.chain(&config.radius.tcp).chain(&config.ldap.listen).chain(&config.ldap.listen_tls);
    findings.extend(tcp.map(|address| port(*address, "tcp", std::net::TcpListener::bind(address).err())));
    findings.extend(config.metrics.map(|address| port(address, "tcp", std::net::TcpListener::bind(address).err())));
    findings
}

fn port(address: SocketAddr, protocol: &str, error: Option<std::io::Error>) -> Finding {
    let what = format!("port {address}/{protocol}");
    match error.map(|error| (error.kind(), error)) {
        None => Finding::ok(what, "free"),
        Some((ErrorKind::AddrInUse, _)) => {
            Finding::warn(what, "in use", "fine if it is Anteroom itself that runs; else see who has it: ss -lnptu")
        }
        Some((ErrorKind::AddrNotAvailable, _)) => {
            Finding::fail(what, "this machine does not have that address", "correct it, or listen on 0.0.0.0")
        }
        Some((ErrorKind::PermissionDenied, _)) => {
            Finding::fail(what, "not allowed", "ports below 1024 need CAP_NET_BIND_SERVICE")
        }
        Some((_, error)) => Finding::fail(what, error.to_string(), "see ss -lnptu"),
    }
}

/// Whether the audit's file and the control socket can be made.
fn files(config: &Config) -> Vec<Finding> {
    let advice = "create the folder and give it to the user that Anteroom runs as";
    let failed = |what: String, error: &std::io::Error| {
        Finding::fail(what, format!("its folder cannot be written to: {}", error.kind()), advice)
    };
    let mut findings = Vec::new();
    if let Some(file) = &config.audit.file {
        let what = format!("audit {}", file.display());
        // Never truncated, and made only while the server runs.
        let open = || std::fs::OpenOptions::new().append(true).open(file).map(drop);
        let tried = if file.exists() { open() } else { writable(folder_of(file)) };
        findings.push(match tried {
            Ok(()) => Finding::ok(what, "can be written"),
            Err(error) if file.exists() => Finding::fail(what, format!("cannot be written: {}", error.kind()), ""),
            Err(error) => failed(what, &error),
        });
    }
    let control = &config.server.control;
    if let Err(error) = writable(folder_of(control)) {
        findings.push(failed(format!("control socket {}", control.display()), &error));
    }
    findings
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether files can be made in a folder: under a name of our own, which is gone afterwards.
fn writable(folder: &Path) -> std::io::Result<()> {
    let trial = folder.join(format!(".anteroom-check-{}", std::process::id()));
    std::fs::File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial))
}

/// Whether the store can be used, and by how many nodes it is, this one included. A file is not touched; a server is asked,
/// which brings its tables up to date.
async fn store(at: &StoreAt, name: &str) -> (Finding, u32) {
    let file = match at {
        StoreAt::File(file) => file,
        StoreAt::Postgres(server) => {
            let what = format!("store {server}");
            return match SqlStore::connect(server).await {
                Ok(store) => {
                    let nodes = store.nodes(SystemTime::now()).await.unwrap_or_default();
                    store.close().await;
                    let others = nodes.iter().filter(|node| node.name != name).count();
                    // Two of one name are two, too.
                    let namesakes = nodes.len().saturating_sub(others).max(1);
                    let nodes = u32::try_from(others.saturating_add(namesakes)).unwrap_or(u32::MAX);
                    let shared = if nodes > 1 { format!("; {nodes} nodes use it") } else { String::new() };
                    (Finding::ok(what, format!("answers, and can be written{shared}")), nodes)
                }
                Err(error) => (Finding::fail(what, error.to_string(), "see the server's log, and its pg_hba.conf"), 1),
            };
        }
    };
    let what = format!("store {}", file.display());
    // SQLite needs to create its files beside it.
    let finding = match writable(folder_of(file)) {
        Ok(()) if file.exists() => Finding::ok(what, "exists, and its folder can be written to"),
        Ok(()) => Finding::ok(what, "will be created"),
        Err(error) => {
            let advice = "create the folder and give it to the user that Anteroom runs as";
            Finding::fail(what, format!("its folder cannot be written to: {}", error.kind()), advice)
        }
    };
    (finding, 1)
}

/// The real other side. `name` is what this server calls itself.
pub struct Network {
    /// This server's name, which providers are told.
    pub name: String,
    /// Where the user store is, whose tokens a provider may check.
    pub store: Arc<StoreAt>,
    /// The keys that open their seeds.
    pub keys: PathBuf,
    /// How many nodes use the store.
    pub nodes: u32,
}

impl Network {
    /// The store's tokens. A store that is not there yet has none.
    async fn house(&self) -> Result<House, String> {
        let keys = KeyFile::open(&self.keys).map_err(|error| error.to_string())?;
        let store = open(&self.store, false).await.map_err(|error| error.to_string())?;
        Ok(House::new(Arc::new(store), Arc::new(keys), Rules::default()))
    }
}

impl Probes for Network {
    fn directory<'a>(&'a self, target: &'a DirectoryTarget, throttle: &'a Throttle) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(async move {
            let directory = match Directory::new(target) {
                Ok(directory) => directory,
                Err(why) => return vec![Finding::fail(format!("target {}", target.name), why, "")],
            };
            let now = SystemTime::now();
            let reports = directory.probe().await;
            let servers = reports
                .into_iter()
                .flat_map(|(server, report)| server_findings(target, &server, report, (throttle, self.nodes), now));
            servers.chain(winbind::probe(target).await).collect()
        })
    }

    fn radius<'a>(&'a self, target: &'a RadiusTarget) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(radius::probe(target))
    }

    fn policies<'a>(
        &'a self,
        target: &'a AuthorizingTarget,
        directory: &'a DirectoryTarget,
    ) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(gateway::policies(target, directory))
    }

    fn replies<'a>(&'a self, client: &'a Client, directory: &'a DirectoryTarget) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(gateway::replies(client, directory))
    }

    fn provider<'a>(&'a self, provider: &'a Provider) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(async move {
            let what = format!("provider {}", provider.name());
            let identity = ServerIdentity { name: self.name.clone(), address: None };
            let local = match provider {
                Provider::Local(_) | Provider::Codes(_) => match self.house().await {
                    Ok(local) => Some(local),
                    Err(why) => return vec![Finding::fail(what, why, "enrol people first, or see server.keys")],
                },
                _ => None,
            };
            let built = match build(provider, identity, local.as_ref(), None) {
                Ok(built) => built,
                Err(error) => return vec![Finding::fail(what, error.to_string(), "")],
            };
            match built.probe().await {
                Ok(report) => {
                    let mut findings = vec![Finding::ok(
                        what.clone(),
                        format!("answers in {:?}, takes our credentials", rounded(report.round_trip)),
                    )];
                    findings.extend(
                        report
                            .clock_skew
                            .and_then(|skew| clock(&what, Duration::from_secs(skew.unsigned_abs()), skew > 0)),
                    );
                    findings.extend(report.certificate_expires.map(|end| expiry(&what, end, SystemTime::now())));
                    let lacks = report.lacks.map(|why| {
                        Finding::fail(
                            what.clone(),
                            why,
                            "take the key out, or see docs/native-protocol.md, \"GET /v1/ping\"",
                        )
                    });
                    findings.extend(lacks);
                    findings
                }
                Err(error) => vec![Finding::fail(what, error.to_string(), "")],
            }
        })
    }
}

/// What a server of a directory told, line by line.
fn server_findings(
    target: &DirectoryTarget,
    server: &str,
    report: Result<ProbeReport, String>,
    (throttle, nodes): (&Throttle, u32),
    now: SystemTime,
) -> Vec<Finding> {
    let what = format!("target {} {server}", target.name);
    let report = match report {
        Ok(report) => report,
        Err(why) => return vec![Finding::fail(what, why, "")],
    };
    let mut findings =
        vec![Finding::ok(what.clone(), format!("service account bound in {:?}, base found", rounded(report.took)))];
    findings.extend(report.clock.and_then(|skew| clock(&what, skew.apart, skew.server_ahead)));
    findings.extend(report.certificate_expires.map(|end| expiry(&what, end, now)));
    findings.extend(report.lockout.map(|policy| lockout(&what, policy, throttle, nodes)));
    findings
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A warning where two clocks differ by more than [`SKEW`].
fn clock(what: &str, apart: Duration, ahead: bool) -> Option<Finding> {
    (apart > SKEW).then(|| {
        let direction = if ahead { "ahead of" } else { "behind" };
        let detail = format!("its clock is {} s {direction} ours", apart.as_secs());
        Finding::warn(what, detail, "set both by NTP; signatures, tickets and times of the audit depend on it")
    })
}

/// How long a certificate of the other side is good.
fn expiry(what: &str, end: SystemTime, now: SystemTime) -> Finding {
    let day =
        jiff::Timestamp::try_from(end).map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string());
    match end.duration_since(now) {
        Err(_) => Finding::fail(what, format!("its certificate has expired on {day}"), "renew it there"),
        Ok(left) if left < SOON => {
            Finding::warn(what, format!("its certificate expires on {day}"), "renew it there soon")
        }
        Ok(_) => Finding::ok(what, format!("its certificate is good until {day}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::primary::directory::{ClockSkew, Lockout};

    #[test]
    fn port_in_use_is_told() {
        let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let finding = port(address, "udp", std::net::UdpSocket::bind(address).err());
        assert_eq!((finding.level, finding.detail.as_str()), (Level::Warn, "in use"));
        drop(held);
        assert_eq!(port(address, "udp", std::net::UdpSocket::bind(address).err()).level, Level::Ok);
    }

    #[test]
    fn address_of_another_machine_fails() {
        let address: SocketAddr = "192.0.2.1:1812".parse().unwrap();
        assert_eq!(port(address, "udp", std::net::UdpSocket::bind(address).err()).level, Level::Fail);
    }

    #[tokio::test]
    async fn store_without_a_folder_fails() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(store(&StoreAt::File(folder.path().join("anteroom.db")), "one").await.0.level, Level::Ok);
        assert_eq!(store(&StoreAt::File(folder.path().join("missing/anteroom.db")), "one").await.0.level, Level::Fail);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the trial file is gone");
    }

    #[test]
    fn audit_and_control_socket_need_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = minimal(&folder);
        config.server.control = folder.path().join("control.sock");
        config.audit.file = Some(folder.path().join("audit.jsonl"));
        assert_eq!(files(&config).iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Ok]);
        config.server.control = folder.path().join("missing/control.sock");
        config.audit.file = Some(folder.path().join("missing/audit.jsonl"));
        assert_eq!(files(&config).iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Fail; 2]);
        // A folder in the place of the file.
        config.audit.file = Some(folder.path().to_owned());
        assert_eq!(files(&config)[0].level, Level::Fail);
    }

    fn minimal(folder: &tempfile::TempDir) -> Config {
        for name in ["vpn.secret", "bind.secret", "cloud.key"] {
            std::fs::write(folder.path().join(name), "k".repeat(32)).unwrap();
        }
        let text = include_str!("../../../conf/minimal.toml");
        crate::config::load_text(text, &folder.path().join("anteroom.toml")).unwrap()
    }

    fn probed(report: Result<ProbeReport, String>) -> Vec<Finding> {
        let config = minimal(&tempfile::tempdir().unwrap());
        server_findings(&config.targets["corp"], "dc1:636", report, (&config.throttle, 1), SystemTime::UNIX_EPOCH)
    }

    fn fine() -> ProbeReport {
        ProbeReport {
            took: Duration::from_millis(3),
            certificate_expires: Some(SystemTime::UNIX_EPOCH + SOON * 2),
            clock: Some(ClockSkew { apart: Duration::from_secs(1), server_ahead: true }),
            lockout: Some(Lockout { threshold: 5, window: Duration::from_secs(1800) }),
        }
    }

    #[test]
    fn directory_that_is_fine_has_only_ok_lines() {
        let findings = probed(Ok(fine()));
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:?}");
    }

    #[test]
    fn what_is_wrong_with_a_directory_is_told() {
        let levels = |report| probed(report).into_iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(Err("no connection".to_owned())), [Level::Fail]);
        let skewed = ClockSkew { apart: Duration::from_secs(400), server_ahead: false };
        assert_eq!(levels(Ok(ProbeReport { clock: Some(skewed), ..fine() }))[1], Level::Warn);
        let soon = Some(SystemTime::UNIX_EPOCH + SOON / 2);
        assert_eq!(levels(Ok(ProbeReport { certificate_expires: soon, ..fine() }))[1], Level::Warn);
        let locks = Some(Lockout { threshold: 4, window: Duration::from_secs(1800) });
        assert_eq!(levels(Ok(ProbeReport { lockout: locks, ..fine() }))[2], Level::Fail);
        let longer = Some(Lockout { threshold: 5, window: Duration::from_secs(1801) });
        assert_eq!(levels(Ok(ProbeReport { lockout: longer, ..fine() }))[2], Level::Fail);
    }
}
