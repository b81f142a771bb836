//! `[radius.changes]` after all checks: which RADIUS targets may change sessions of which clients (RFC 5176). Pure.

use std::net::{IpAddr, SocketAddr};

use super::AddressRange;
use crate::secret::Secret;

/// The port on which a client is asked (RFC 5176 section 2.3).
pub const CHANGES_PORT: u16 = 3799;

/// Where targets ask, and what is passed on.
#[derive(Debug)]
pub struct Changes {
    /// Where CoA-Requests and Disconnect-Requests are received.
    pub listen: Vec<SocketAddr>,
    /// From which target to which client.
    pub relays: Vec<ChangeRelay>,
}

/// From one target to one client.
#[derive(Debug)]
pub struct ChangeRelay {
    /// The target's name.
    pub target: String,
    /// Its servers.
    pub from: Vec<IpAddr>,
    /// The secret that it shares with this server.
    pub target_secret: Secret,
    /// What this server calls itself in requests to it (NAS-Identifier), where it does not pass on the client's own.
    pub own_name: Option<String>,
    /// The client's name.
    pub client: String,
    /// Where its packets come from: what it may call its own address.
    pub addresses: Vec<AddressRange>,
    /// Where it is asked.
    pub to: SocketAddr,
    /// The secret that it shares with this server.
    pub client_secret: Secret,
}
