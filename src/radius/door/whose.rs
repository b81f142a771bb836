//! Whose packets a door gets, and whether they may come twice. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::radius::clients::{Clients, Known};

/// Whose packets a door gets.
#[derive(Debug, Clone, Default)]
pub enum Whose {
    /// Datagrams: whose each is, its source address says.
    #[default]
    ByAddress,
    /// Those of a connection, whose client has shown a certificate.
    Proven(Arc<Known>),
    /// The same in RADIUS/1.1, where each request has a token of its own and none comes twice.
    Once(Arc<Known>),
}

impl Whose {
    pub(super) fn client<'a>(&'a self, clients: &'a Clients, peer: SocketAddr) -> Option<&'a Arc<Known>> {
        match self {
            Whose::ByAddress => clients.find(peer.ip()),
            Whose::Proven(client) | Whose::Once(client) => Some(client),
        }
    }

    /// Whether they come by a connection, and not as datagrams.
    pub(super) fn is_connection(&self) -> bool {
        !matches!(self, Whose::ByAddress)
    }

    /// How long an answer is kept for repetitions of its request.
    pub(in crate::radius) fn window(&self, client: &Known) -> Duration {
        if let Whose::Once(_) = self { Duration::ZERO } else { client.config.duplicate_window }
    }
}
