//! Which clients sign their requests? The configuration says what they must do, the running server knows what
//! they do: its metrics are read, where `[metrics] listen` names an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Finding;
use crate::config::{Config, RadiusClient, Requirement};

/// How long the running server may take to tell its numbers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest page of metrics that is read, in octets. Ours; a real one of a thousand clients has about 1 MB.
const LONGEST: usize = 16 << 20;

/// One finding for each client, from the metrics of the server that runs with this configuration.
pub async fn check(config: &Config) -> Vec<Finding> {
    let what = "Message-Authenticator";
    let Some(address) = config.metrics else {
        let detail = "which clients send it is in the log only, as metrics.listen is not set";
        return vec![Finding::ok(what, detail)];
    };
    match fetch(reachable(address)).await {
        Ok(text) => config.radius.clients.iter().map(|client| habit(client, &text)).collect(),
        Err(why) => {
            let detail = format!("which clients send it is not known: no metrics from {address} ({why})");
            vec![Finding::ok(what, detail)]
        }
    }
}

/// Where a server that listens on `address` is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn fetch(address: SocketAddr) -> Result<String, &'static str> {
    // No TLS: nothing is loaded for it, and no proxy stands between us and ourselves.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build();
    let client = client.map_err(|_| "there is no HTTP client")?;
    let response = client.get(format!("http://{address}/metrics")).send().await;
    let mut response = response.map_err(|_| "nobody answers; it does not run, or runs elsewhere")?;
    if !response.status().is_success() {
        return Err("what answers there has no such page");
    }
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| "the page broke off")? {
        if page.len() + chunk.len() > LONGEST {
            return Err("the page is too long");
        }
        page.extend_from_slice(&chunk);
    }
    String::from_utf8(page).map_err(|_| "the page is no text")
}

/// What one client does, and what to do about it.
fn habit(client: &RadiusClient, metrics: &str) -> Finding {
    let name = &client.client.name;
    let what = format!("client {name}");
    let seen = |signed: &str| {
        // Names are letters, digits, `-` and `_`, so that they stand in a label as they are.
        let start = format!("anteroom_radius_requests_total{{client=\"{name}\",signed=\"{signed}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    match (seen("yes"), seen("no")) {
        (0, 0) => Finding::ok(what, "not seen yet since the server started"),
        (signed, 0) => {
            let detail = format!("signs: {signed} requests since the server started, none without a signature");
            if client.require_message_authenticator == Requirement::Yes {
                Finding::ok(what, detail)
            } else {
                Finding::warn(what, detail, "set require_message_authenticator = \"yes\"")
            }
        }
        (signed, unsigned) => {
            let detail = format!("sends {unsigned} unsigned: without Message-Authenticator, beside {signed} with one");
            let advice = match client.require_message_authenticator {
                Requirement::Yes => {
                    "they are dropped: let it send one (see conf/guides), or set require_message_authenticator = \"no\""
                }
                Requirement::Auto | Requirement::No => {
                    "let it send one (see conf/guides), then set require_message_authenticator = \"yes\""
                }
            };
            Finding::warn(what, detail, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Level;
    use super::*;
    use crate::telemetry::health::{Health, serve};
    use crate::telemetry::metrics::Metrics;

    fn configured(metrics: SocketAddr) -> Config {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vpn.secret", "bind.secret", "cloud.key"] {
            std::fs::write(folder.path().join(name), "k".repeat(32)).unwrap();
        }
        let text = include_str!("../../../conf/minimal.toml");
        let mut config = crate::config::load_text(text, &folder.path().join("anteroom.toml")).unwrap();
        config.metrics = Some(metrics);
        config
    }

    /// A running server's page.
    async fn page(metrics: &Arc<Metrics>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::clone(metrics), Arc::new(Health::default()), std::future::pending()));
        address
    }

    #[tokio::test]
    async fn what_each_client_sends_is_read_from_the_running_server() {
        let metrics = Arc::new(Metrics::new([]));
        let config = configured(page(&metrics).await);
        let name = config.radius.clients[0].client.name.clone();
        let only = async || check(&config).await.pop().unwrap();
        let unseen = only().await;
        assert!(unseen.level == Level::Ok && unseen.detail.starts_with("not seen yet"), "{unseen}");
        metrics.radius_requests("another", 1, 9);
        metrics.radius_requests(&name, 12, 0);
        let signs = only().await;
        assert!(signs.level == Level::Ok && signs.detail.starts_with("signs: 12 requests"), "{signs}");
        metrics.radius_requests(&name, 12, 3);
        let unsigned = only().await;
        assert!(unsigned.level == Level::Warn && unsigned.detail.starts_with("sends 3 unsigned"), "{unsigned}");
        assert!(unsigned.advice.contains("they are dropped"), "{unsigned}");
    }

    #[tokio::test]
    async fn without_a_running_server_it_is_said_that_nothing_is_known() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut config = configured(closed);
        let findings = check(&config).await;
        assert!(findings.len() == 1 && findings[0].detail.contains("not known"), "{findings:?}");
        config.metrics = None;
        assert!(check(&config).await[0].detail.contains("metrics.listen is not set"));
    }

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        for (listens, asked) in [("0.0.0.0:9", "127.0.0.1:9"), ("[::]:9", "[::1]:9"), ("192.0.2.1:9", "192.0.2.1:9")] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
