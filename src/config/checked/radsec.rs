//! RADIUS over TLS: `[radius.tls]`, what it says of a client, and what of a target.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::place::Path;
use super::super::values::OneOrMany;
use super::super::{
    Certificate, CertificateName, Eleven, RADSEC_PORT, RadiusClient, RadiusTls, TlsClient, TlsLimits, TlsServer,
    TlsTarget, written,
};
use super::{Checker, word};

/// What a certificate may be known by.
const NAMES: &str = "allowed: a DNS name, \"uri:…\", \"ip:…\" as the certificate has it among its alternative names, or \
                     \"sha256:\" and its fingerprint in 64 hexadecimal digits";

/// What a server over TLS may be.
const SERVERS: &str =
    "allowed: a DNS name or an address, with :PORT where it is not 2083, such as \"radius.example.com\"";

impl Checker<'_> {
    /// The door, if it is `wanted` by a client or by an address to listen on.
    pub(super) fn radius_tls(&self, mut written: written::RadiusTls, wanted: bool) -> Option<RadiusTls> {
        let at = Path::top("radius").key("tls");
        let given = written.listen.is_some() || written.certificate.is_some() || written.client_ca_file.is_some();
        if !wanted {
            if given {
                self.warn(&at, "no client uses it", "give clients that come over TLS transport = \"tls\"");
            }
            return None;
        }
        let listen = self.sockets(&at.key("listen"), written.listen.take(), "0.0.0.0:2083");
        let certificate = self.certificate(&at, written.certificate.take(), written.certificate_key.take());
        let client_ca = self.readable(&at.key("client_ca_file"), written.client_ca_file.take());
        let crl_at = at.key("client_crl_file");
        let client_crl = written.client_crl_file.take().and_then(|file| self.readable(&crl_at, Some(file)));
        let time = |key: &str, given, usual, most| self.duration(&at.key(key), given, usual, "100ms", most);
        let limits = TlsLimits {
            connections: self.size(&at.key("connections"), written.connections, 4096, 1, 1_000_000),
            first_packet_within: time("first_packet_within", written.first_packet_within, "10s", "10m"),
            idle: time("idle", written.idle, "1h", "7d"),
            send_within: time("send_within", written.send_within, "30s", "1h"),
        };
        let eleven = word(written.radius_1_1.take(), Eleven::Forbid);
        Some(RadiusTls { listen, certificate: certificate?, client_ca: client_ca?, client_crl, eleven, limits })
    }

    /// A certificate and its key, which both must be there.
    pub(super) fn certificate(&self, at: &Path, chain: Option<String>, key: Option<String>) -> Option<Certificate> {
        let chain = self.readable(&at.key("certificate"), chain);
        let key = self.readable(&at.key("certificate_key"), key);
        Some(Certificate { chain: chain?, key: key? })
    }

    /// How a client is known that comes over TLS.
    pub(super) fn tls_client(&self, at: &Path, written: &mut written::Client) -> TlsClient {
        let names_at = at.key("certificate_names");
        if written.certificate_names.is_none() {
            self.wrong(&names_at, "missing", NAMES);
        }
        let texts = self.filled_list(&names_at, written.certificate_names.take(), NAMES).unwrap_or_default();
        let certificates = texts.iter().enumerate().filter_map(|(position, text)| {
            let name = certificate_name(text);
            if name.is_none() {
                self.wrong(&names_at.index(position), format!("found {text:?}"), NAMES);
            }
            name
        });
        let spelled = [&written.secret_file, &written.secret_credential, &written.secret_env];
        if spelled.iter().any(|given| given.is_some()) || written.secret.is_some() {
            self.wrong(&at.key("secret"), "found for a client over TLS", "leave it out: there the certificate counts");
        }
        TlsClient {
            certificates: certificates.collect(),
            common_name: written.certificate_common_name.take().unwrap_or(false),
            connections: self.size(&at.key("connections"), written.connections, 64, 1, 100_000),
        }
    }

    /// Keys of clients over TLS at one that is none.
    pub(super) fn no_tls_client(&self, at: &Path, written: &written::Client) {
        let given = [
            ("certificate_names", written.certificate_names.is_some()),
            ("certificate_common_name", written.certificate_common_name.is_some()),
            ("connections", written.connections.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            self.wrong(&at.key(key), "found for a client over UDP", "set transport = \"tls\", or leave it out");
        }
    }

    /// A certificate that could be two clients' would be nobody's.
    pub(super) fn certificates_apart(&self, clients: &[Arc<RadiusClient>]) {
        let mut seen: Vec<(&CertificateName, &str)> = Vec::new();
        for (position, client) in clients.iter().enumerate() {
            let at = Path::top("radius").key("client").index(position).key("certificate_names");
            for name in client.tls.iter().flat_map(|tls| &tls.certificates) {
                if let Some((_, other)) = seen.iter().find(|(known, _)| *known == name) {
                    self.wrong(
                        &at,
                        format!("has a name that client {other:?} has, too"),
                        "each name belongs to one client",
                    );
                }
                seen.push((name, &client.client.name));
            }
        }
    }

    /// What a target over TLS has besides what every RADIUS target has.
    pub(super) fn tls_target(
        &self,
        at: &Path,
        written: &mut written::Target,
        given: Option<OneOrMany>,
    ) -> Option<TlsTarget> {
        let servers_at = at.key("servers");
        let texts = self.filled_list(&servers_at, given, "at least one server")?;
        let mut servers: Vec<TlsServer> = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            let at = servers_at.index(position);
            match tls_server(text) {
                Some(server) if servers.contains(&server) => {
                    self.wrong(&at, format!("found {text:?} a second time"), "each server once");
                }
                Some(server) => servers.push(server),
                None => self.wrong(&at, format!("found {text:?}"), SERVERS),
            }
        }
        let server_name = written.server_name.take();
        if let Some(name) =
            server_name.as_deref().filter(|name| rustls::pki_types::ServerName::try_from(*name).is_err())
        {
            self.wrong(
                &at.key("server_name"),
                format!("found {name:?}"),
                "the DNS name or address in their certificates",
            );
        }
        let ca = written.ca_file.take().and_then(|file| self.readable(&at.key("ca_file"), Some(file)));
        let certificate = match (written.certificate.take(), written.certificate_key.take()) {
            (None, None) => None,
            (chain, key) => self.certificate(at, chain, key),
        };
        let eleven = word(written.radius_1_1.take(), Eleven::Forbid);
        Some(TlsTarget { servers, server_name, ca, certificate, eleven })
    }
}

fn certificate_name(text: &str) -> Option<CertificateName> {
    let dns = |name: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is = !name.is_empty() && name.len() <= 253 && name.chars().all(fine);
        is.then(|| CertificateName::Dns(name.to_ascii_lowercase()))
    };
    match text.split_once(':') {
        None => dns(text),
        Some(("dns", name)) => dns(name),
        Some(("uri", uri)) => (!uri.is_empty()).then(|| CertificateName::Uri(uri.to_owned())),
        Some(("ip", address)) => address.parse::<IpAddr>().ok().map(CertificateName::Ip),
        Some(("sha256", digits)) => fingerprint(digits).map(CertificateName::Fingerprint),
        Some(_) => None,
    }
}

/// Octets in hexadecimal digits, with or without colons between them.
fn fingerprint(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> = digits.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let octets = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    octets.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

fn tls_server(text: &str) -> Option<TlsServer> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(TlsServer { host: address.to_string(), port: RADSEC_PORT });
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, RADSEC_PORT),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    rustls::pki_types::ServerName::try_from(host).ok()?;
    Some(TlsServer { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_what_tells_it_from_others() {
        let fine = [
            ("NAS1.example.com", CertificateName::Dns("nas1.example.com".into())),
            ("dns:nas1", CertificateName::Dns("nas1".into())),
            ("uri:urn:nas:1", CertificateName::Uri("urn:nas:1".into())),
            ("ip:2001:db8::1", CertificateName::Ip("2001:db8::1".parse().unwrap())),
        ];
        for (text, name) in fine {
            assert_eq!(certificate_name(text), Some(name), "{text}");
        }
        let hex = "0f".repeat(32);
        let colons = vec!["0F"; 32].join(":");
        for text in [format!("sha256:{hex}"), format!("sha256:{colons}")] {
            assert_eq!(certificate_name(&text), Some(CertificateName::Fingerprint([15; 32])));
        }
        let short = &hex[2..];
        for bad in
            ["", "*.example.com", "dns:", "uri:", "ip:nas", "sha256:", &format!("sha256:{short}"), "md5:00", "a b"]
        {
            assert_eq!(certificate_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_is_a_name_or_an_address_and_a_port() {
        let fine = [
            ("radius.example.com", "radius.example.com", 2083),
            ("radius.example.com:2084", "radius.example.com", 2084),
            ("192.0.2.1", "192.0.2.1", 2083),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("2001:db8::1", "2001:db8::1", 2083),
            ("[2001:db8::1]:99", "2001:db8::1", 99),
        ];
        for (text, host, port) in fine {
            assert_eq!(tls_server(text), Some(TlsServer { host: host.into(), port }), "{text}");
        }
        for bad in ["", "a b", "host:0", "host:x", "host:70000", "://"] {
            assert_eq!(tls_server(bad), None, "{bad}");
        }
    }
}
