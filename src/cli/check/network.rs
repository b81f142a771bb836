//! What only a try can tell: are the ports free, does the store open, do directories and providers answer?
//!
//! What is asked of a directory and a provider stands behind [`Probes`], so that the report can be tested
//! without them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use super::Finding;
use crate::config::{Config, DirectoryTarget, NativeProvider, ServerUrl, Servers, Throttle};

/// Time for one try.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked of the other side.
pub trait Probes: Sync {
    /// One finding for each server of a directory, and what its policy means for the throttle.
    fn directory<'a>(&'a self, target: &'a DirectoryTarget, throttle: &'a Throttle) -> BoxFuture<'a, Vec<Finding>>;

    /// Whether a provider answers and takes our credentials.
    fn provider<'a>(&'a self, provider: &'a NativeProvider) -> BoxFuture<'a, Vec<Finding>>;
}

/// Everything that needs the network, one finding after the other.
pub async fn check(config: &Config, report: &mut impl FnMut(Finding)) {
    ports(config).into_iter().for_each(&mut *report);
    report(store(&config.server.store));
    probe(config, &Network, report).await;
}

/// Asks every directory and every provider.
pub async fn probe(config: &Config, probes: &dyn Probes, report: &mut impl FnMut(Finding)) {
    for target in config.targets.values() {
        probes.directory(target, &config.throttle).await.into_iter().for_each(&mut *report);
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

/// Whether the store's folder is there and may be written to. The store itself is not touched.
fn store(file: &Path) -> Finding {
    let what = format!("store {}", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let writable = || {
        // Beside the store, under a name of our own: SQLite needs to create its files there.
        let trial = folder.join(format!(".anteroom-check-{}", std::process::id()));
        std::fs::File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial))
    };
    match writable() {
        Ok(()) if file.exists() => Finding::ok(what, "exists, and its folder can be written to"),
        Ok(()) => Finding::ok(what, "will be created"),
        Err(error) => {
            let advice = "create the folder and give it to the user that Anteroom runs as";
            Finding::fail(what, format!("its folder cannot be written to: {}", error.kind()), advice)
        }
    }
}

/// The real other side.
pub struct Network;

impl Probes for Network {
    fn directory<'a>(&'a self, target: &'a DirectoryTarget, _throttle: &'a Throttle) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(async move {
            match &target.servers {
                Servers::Listed(servers) => {
                    let mut findings = Vec::new();
                    for server in servers {
                        findings.push(server_reached(&target.name, server).await);
                    }
                    findings
                }
                Servers::Dns { .. } => Vec::new(),
            }
        })
    }

    fn provider<'a>(&'a self, provider: &'a NativeProvider) -> BoxFuture<'a, Vec<Finding>> {
        Box::pin(async move {
            let what = format!("provider {}", provider.name);
            let url = Url::parse(&provider.url).ok();
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
            let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or(443);
            vec![reached(what, host.trim_matches(['[', ']']), port).await]
        })
    }
}

async fn server_reached(target: &str, server: &ServerUrl) -> Finding {
    reached(format!("target {target} {}:{}", server.host, server.port), &server.host, server.port).await
}

/// Whether a TCP connection can be made.
async fn reached(what: String, host: &str, port: u16) -> Finding {
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Finding::ok(what, "reachable"),
        Ok(Err(error)) => {
            let advice = "look at name, port, routing and firewall";
            Finding::fail(what, error.to_string(), advice)
        }
        Err(_) => Finding::fail(what, format!("no connection within {PATIENCE:?}"), "look at routing and firewall"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

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

    #[test]
    fn store_without_a_folder_fails() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(store(&folder.path().join("anteroom.db")).level, Level::Ok);
        assert_eq!(store(&folder.path().join("missing/anteroom.db")).level, Level::Fail);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the trial file is gone");
    }

    #[tokio::test]
    async fn closed_port_fails_and_open_port_is_fine() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reached("x".into(), "127.0.0.1", port).await.level, Level::Ok);
        drop(listener);
        assert_eq!(reached("x".into(), "127.0.0.1", port).await.level, Level::Fail);
    }
}
