//! The LDAP door after all checks. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AddressRange, Client};

/// The LDAP door.
#[derive(Debug)]
pub struct Ldap {
    /// Where LDAP is spoken, with StartTLS where there is a certificate.
    pub listen: Vec<SocketAddr>,
    /// Where TLS begins with the first octet.
    pub listen_tls: Vec<SocketAddr>,
    /// The certificate that clients see.
    pub certificate: Option<Certificate>,
    /// Balancers, which must send a PROXY header (version 2) and are the only ones that may.
    pub proxy_protocol: Vec<AddressRange>,
    /// What one connection, and all of them, may take.
    pub limits: LdapLimits,
    /// The configured clients.
    pub clients: Vec<Arc<LdapClient>>,
}

/// A certificate and its key, read again when a file changes or on SIGHUP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain in PEM, the server's own first.
    pub chain: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// Bounds of the LDAP door.
#[derive(Debug, Clone, Copy)]
pub struct LdapLimits {
    /// Octets of one request.
    pub max_message: usize,
    /// Octets of one request while nobody is bound, and of any bind.
    pub max_message_before_bind: usize,
    /// Elements within each other in one request.
    pub max_depth: usize,
    /// Connections in all.
    pub connections: usize,
    /// Operations of one connection that the directory has yet to answer.
    pub outstanding: usize,
    /// From a connection to its first whole message, TLS included.
    pub first_message_within: Duration,
    /// How long a connection may say nothing while nothing is under way on it.
    pub idle: Duration,
    /// Octets that are kept of what arrives while a bind is held.
    pub buffered: usize,
    /// How long the other side may take none of what is sent to it.
    pub send_within: Duration,
}

/// An LDAP client: who it is on the wire, and its [`Client`] part.
#[derive(Debug)]
pub struct LdapClient {
    /// What the sign-in needs to know of it.
    pub client: Arc<Client>,
    /// Where its connections come from; the most specific range of all clients wins.
    pub addresses: Vec<AddressRange>,
    /// Whether its passwords may come without TLS.
    pub plaintext: bool,
    /// Whether it may stay unbound, or bind without a name.
    pub anonymous: Anonymous,
    /// What becomes of SASL binds.
    pub sasl: Sasl,
    /// Whether a refused bind says why.
    pub explain_refusals: bool,
    /// Connections at once.
    pub connections: usize,
}

/// What a client without a name may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Read the rootDSE, start TLS, bind.
    Refuse,
    /// What the directory lets it do.
    Allow,
}

/// What becomes of SASL binds, which carry no second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sasl {
    /// They are refused.
    Refuse,
    /// They are the directory's affair.
    Relay,
}
