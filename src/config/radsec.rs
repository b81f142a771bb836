//! RADIUS over TLS (RadSec, RFC 6614) after all checks: the door, how its clients are known, and servers behind. Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Certificate;
use crate::radius::eleven::{RADIUS_1_0, RADIUS_1_1};

/// The secret of everybody who speaks RADIUS over TLS, where it protects nothing (RFC 6614 section 2.3).
pub const RADSEC: &[u8] = b"radsec";

/// The port of RADIUS over TLS (RFC 6614 section 2.1).
pub const RADSEC_PORT: u16 = 2083;

/// `[radius.tls]`: the door.
#[derive(Debug)]
pub struct RadiusTls {
    /// Where TLS connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// The certificate that clients see.
    pub certificate: Certificate,
    /// Who signs the certificates of clients.
    pub client_ca: PathBuf,
    /// Which of those are revoked.
    pub client_crl: Option<PathBuf>,
    /// Whether RADIUS/1.1 is spoken.
    pub eleven: Eleven,
    /// Bounds of its connections.
    pub limits: TlsLimits,
}

/// Whether RADIUS/1.1 (RFC 9765) is spoken over TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Eleven {
    /// It is not offered.
    #[default]
    Forbid,
    /// Where the other side speaks it, too.
    Allow,
    /// With everybody, and nothing else.
    Require,
}

impl Eleven {
    /// What is offered by ALPN, the preferred one first.
    pub fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Eleven::Forbid => &[],
            Eleven::Allow => &[RADIUS_1_1, RADIUS_1_0],
            Eleven::Require => &[RADIUS_1_1],
        }
    }
}

/// What one connection, and all of them, may take.
#[derive(Debug, Clone, Copy)]
pub struct TlsLimits {
    /// Connections in all.
    pub connections: usize,
    /// From a connection to its first whole packet, TLS included; and from the first octet of any packet to its last.
    pub first_packet_within: Duration,
    /// How long a connection may say nothing while nothing is under way on it.
    pub idle: Duration,
    /// How long the other side may take none of what is sent to it.
    pub send_within: Duration,
}

/// How a client that comes over TLS is known, besides by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClient {
    /// Its certificates: any of these will do.
    pub certificates: Vec<CertificateName>,
    /// Whether a DNS name may stand in the subject's Common Name, where the certificate has no other names.
    pub common_name: bool,
    /// Connections at once.
    pub connections: usize,
}

/// What tells a certificate from others of the same authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A dNSName, in lower case.
    Dns(String),
    /// A uniformResourceIdentifier.
    Uri(String),
    /// An iPAddress.
    Ip(IpAddr),
    /// SHA-256 of the whole certificate in DER.
    Fingerprint([u8; 32]),
}

/// RADIUS servers behind that are reached over TLS.
#[derive(Debug, Clone)]
pub struct TlsTarget {
    /// The servers, in order of preference.
    pub servers: Vec<TlsServer>,
    /// The name in their certificates, where that is not the one that they are reached by.
    pub server_name: Option<String>,
    /// Who signs their certificates; the system's authorities where there is none.
    pub ca: Option<PathBuf>,
    /// The certificate that they see.
    pub certificate: Option<Certificate>,
    /// Whether RADIUS/1.1 is spoken.
    pub eleven: Eleven,
}

/// One server behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServer {
    /// Its DNS name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

impl std::fmt::Display for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What carries RADIUS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams, protected by the shared secret as far as it goes.
    #[default]
    Udp,
    /// TLS over TCP (RFC 6614).
    Tls,
}
