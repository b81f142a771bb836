//! `[radius.changes]`: CoA and Disconnect, from targets to clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::super::changes::{CHANGES_PORT, ChangeRelay, Changes};
use super::super::place::Path;
use super::super::{ForwardAs, RadiusClient, RadiusServers, RadiusTarget, written};
use super::Checker;

impl Checker<'_> {
    /// The door for changes, where anything is relayed. `clients`: those that are fine, and how many are
    /// written.
    pub(super) fn changes(
        &self,
        written: written::Changes,
        clients: (&[Arc<RadiusClient>], usize),
        targets: &BTreeMap<String, RadiusTarget>,
        [access, accounting]: [&[SocketAddr]; 2],
    ) -> Option<Changes> {
        let at = Path::top("radius").key("changes");
        let relay_at = at.key("relay");
        if written.relay.is_empty() {
            if written.listen.is_some() {
                let what = "at least one [[radius.changes.relay]]: from which target to which client";
                self.wrong(&relay_at, "missing", what);
            }
            return None;
        }
        let listen = self.sockets(&at.key("listen"), written.listen, "0.0.0.0:3799");
        self.apart(&at.key("listen"), &listen, (access, "radius.listen"));
        self.apart(&at.key("listen"), &listen, (accounting, "radius.accounting"));
        let mut relays: Vec<ChangeRelay> = Vec::new();
        for (position, written) in written.relay.into_iter().enumerate() {
            let at = relay_at.index(position);
            let Some(relay) = self.change_relay(&at, written, clients, targets) else { continue };
            if relays.iter().any(|other| (&other.target, &other.client) == (&relay.target, &relay.client)) {
                self.wrong(&at, "found the same target and client a second time", "each pair once");
            }
            if listen.contains(&relay.to) {
                self.wrong(&at.key("to"), format!("found {}, which is this server", relay.to), "the client's address");
            }
            relays.push(relay);
        }
        Some(Changes { listen, relays })
    }

    fn change_relay(
        &self,
        at: &Path,
        written: written::ChangeRelay,
        (clients, written_clients): (&[Arc<RadiusClient>], usize),
        targets: &BTreeMap<String, RadiusTarget>,
    ) -> Option<ChangeRelay> {
        let (target_at, client_at, to_at) = (at.key("target"), at.key("client"), at.key("to"));
        let target = self.required(&target_at, written.target, "the [target.NAME] of type \"radius\" that asks");
        let client = self.required(&client_at, written.client, "the [[radius.client]] that is asked");
        let to = self.required(&to_at, written.to, "the address at which the client is asked, with :PORT if not 3799");
        let target = target.and_then(|name| {
            let found = targets.get(&name).map(|target| (target, &target.servers));
            match found {
                Some((target, RadiusServers::Udp(servers))) => {
                    Some((target, servers.iter().map(|server| server.ip().to_canonical()).collect::<Vec<IpAddr>>()))
                }
                Some((_, RadiusServers::Tls(_))) => {
                    let what = "a target over UDP: changes are not relayed over TLS";
                    self.wrong(&target_at, format!("found {name:?}, which is asked over TLS"), what);
                    None
                }
                // Its own mistakes are told at its own place.
                None if self.is_radius(&name) => None,
                None => {
                    let what = "the name of a [target.NAME] with type = \"radius\"";
                    self.wrong(&target_at, format!("found {name:?}"), what);
                    None
                }
            }
        });
        let client = client.and_then(|name| {
            let found = clients.iter().find(|client| client.client.name == name);
            match found {
                Some(client) if client.tls.is_none() => Some(client),
                Some(_) => {
                    let what = "a client over UDP: changes are not relayed over TLS";
                    self.wrong(&client_at, format!("found {name:?}, which comes over TLS"), what);
                    None
                }
                // It may be one of those that are told at their own place.
                None if clients.len() < written_clients => None,
                None => {
                    self.wrong(&client_at, format!("found {name:?}"), "the name of a [[radius.client]]");
                    None
                }
            }
        });
        let to = to.and_then(|text| {
            let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, CHANGES_PORT));
            match text.parse::<SocketAddr>().or_else(|_| alone()) {
                Ok(to) if to.port() != 0 && !to.ip().is_unspecified() && !to.ip().is_multicast() => Some(to),
                _ => {
                    let what = "an address, with :PORT where it is not 3799, such as \"192.0.2.10\"";
                    self.wrong(&to_at, format!("found {text:?}"), what);
                    None
                }
            }
        });
        let ((target, from), client) = (target?, client?);
        let is_own = target.forward_as == ForwardAs::Client;
        Some(ChangeRelay {
            target: target.name.clone(),
            from,
            target_secret: target.secret.duplicate(),
            own_name: is_own.then(|| target.nas_identifier.clone()),
            client: client.client.name.clone(),
            addresses: client.addresses.clone(),
            to: to?,
            client_secret: client.secret.duplicate(),
        })
    }
}
