//! Addresses: sockets to listen on, ranges of client addresses, servers by URL.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::super::place::Path;
use super::super::values::OneOrMany;
use super::super::{AddressRange, Security, ServerUrl};
use super::Checker;

const SOCKET: &str = "allowed: an address and a port, such as \"0.0.0.0:1812\" or \"[::1]:1812\"";
const RANGE: &str = "allowed: \"192.0.2.10\", \"192.0.2.0/24\", \"192.0.2.5-192.0.2.9\", or the same with IPv6";

impl Checker<'_> {
    pub(super) fn socket(&self, at: &Path, text: &str) -> Option<SocketAddr> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Some(address),
            _ => {
                self.wrong(at, format!("found {text:?}"), SOCKET);
                None
            }
        }
    }

    /// The sockets of a list; `usual` where the key is missing.
    pub(super) fn sockets(&self, at: &Path, given: Option<OneOrMany>, usual: &str) -> Vec<SocketAddr> {
        let Some(OneOrMany(texts)) = given else { return usual.parse().into_iter().collect() };
        if texts.is_empty() && !usual.is_empty() {
            self.wrong(at, "found an empty list", SOCKET);
        }
        let mut seen = BTreeSet::new();
        let mut sockets = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            let Some(address) = self.socket(&at.index(position), text) else { continue };
            if seen.insert(address) {
                sockets.push(address);
            } else {
                self.wrong(&at.index(position), format!("found {address} a second time"), "each address once");
            }
        }
        sockets
    }

    /// Addresses of the loopback network.
    pub(super) fn loopback(&self, at: &Path, given: Option<OneOrMany>) -> Vec<SocketAddr> {
        let mut sockets = self.sockets(at, given, "");
        sockets.retain(|address| {
            let inside = address.ip().is_loopback();
            if !inside {
                let allowed =
                    "a loopback address, as nothing protects such a connection; over a network use [radius.tls]";
                self.wrong(at, format!("found {address}"), allowed);
            }
            inside
        });
        sockets
    }

    /// Says which of some addresses are in another list, too.
    pub(super) fn apart(&self, at: &Path, addresses: &[SocketAddr], (others, whose): (&[SocketAddr], &str)) {
        for address in addresses.iter().filter(|address| others.contains(address)) {
            self.wrong(at, format!("{address} is in {whose}, too"), "another port");
        }
    }

    /// The ranges of a list.
    pub(super) fn ranges(&self, at: &Path, texts: &[String]) -> Vec<AddressRange> {
        let mut ranges = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            match parse_range(text) {
                Ok(range) if ranges.contains(&range) => {
                    self.wrong(&at.index(position), format!("found {text:?} a second time"), "each range once");
                }
                Ok(range) => ranges.push(range),
                Err(why) => self.wrong(&at.index(position), format!("found {text:?}{why}"), RANGE),
            }
        }
        ranges
    }

    /// A directory server such as `ldaps://dc1.example.com`.
    pub(super) fn server_url(&self, at: &Path, text: &str, plaintext: bool) -> Option<ServerUrl> {
        const ALLOWED: &str =
            "allowed: \"ldaps://HOST\" or \"ldap://HOST\" (StartTLS), with :PORT where it is not 636 or 389";
        let url = self.plain_url(at, text, ALLOWED)?;
        let (port, security) = match url.scheme() {
            "ldaps" => (636, Security::Ldaps),
            "ldap" if plaintext => (389, Security::Plaintext),
            "ldap" => (389, Security::StartTls),
            other => {
                self.wrong(at, format!("found {other}://"), ALLOWED);
                return None;
            }
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if security == Security::Plaintext && !is_loopback(&host) {
            self.wrong(
                at,
                format!("{host} is not a loopback address, and plaintext = true would send passwords in the clear"),
                "use ldaps://, or ldap:// without plaintext = true",
            );
        }
        Some(ServerUrl { host, port: url.port().unwrap_or(port), security })
    }

    /// An address with a host and nothing that could be a secret or would be ignored.
    pub(super) fn plain_url(&self, at: &Path, text: &str, allowed: &str) -> Option<Url> {
        if text.contains('@') {
            // Not shown: it may be a password.
            self.wrong(at, "found an address with a name or a password in it", allowed);
            return None;
        }
        match Url::parse(text) {
            Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => {
                let directory = url.scheme().starts_with("ldap");
                if url.query().is_some() || url.fragment().is_some() || (directory && !matches!(url.path(), "" | "/")) {
                    self.wrong(at, format!("found {text:?} with more behind the host"), allowed);
                }
                Some(url)
            }
            _ => {
                self.wrong(at, format!("found {text:?}"), allowed);
                None
            }
        }
    }
}

/// Whether a host of a URL can only be this machine.
pub fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// One address, a CIDR block, or `first-last`. An error says what is odd about it, if that can be said.
fn parse_range(text: &str) -> Result<AddressRange, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Ok(AddressRange { first: address, last: address });
    }
    if let Ok(network) = text.parse::<IpNet>() {
        if network.trunc() != network {
            return Err(format!(", which is inside {}", network.trunc()));
        }
        return Ok(AddressRange { first: network.network(), last: network.broadcast() });
    }
    let (first, last) = text.split_once('-').ok_or_else(String::new)?;
    let parse = |part: &str| part.trim().parse::<IpAddr>().map(|address| address.to_canonical());
    let (Ok(first), Ok(last)) = (parse(first), parse(last)) else { return Err(String::new()) };
    if first.is_ipv4() != last.is_ipv4() {
        return Err(", which mixes IPv4 and IPv6".to_owned());
    }
    if first > last {
        return Err(", which ends before it starts".to_owned());
    }
    Ok(AddressRange { first, last })
}
