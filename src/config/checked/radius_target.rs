//! `[target.NAME]` with `type = "radius"`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::super::place::Path;
use super::super::values::OneOrMany;
use super::super::{
    Balance, EapIdentity, ForwardAs, PersonAddress, RADSEC, RadiusServers, RadiusTarget, ReplyAttribute, ReplyRules,
    Requirement, SendName, Transport, written,
};
use super::secrets::Spellings;
use super::{Checker, word};
use crate::secret::Secret;

/// The port of a server that is written without one.
const PORT: u16 = 1812;

/// Room for added attributes, in octets.
const ADDED_ROOM: usize = 1000;

impl Checker<'_> {
    pub(super) fn radius_target(&self, at: &Path, name: String, written: &mut written::Target) -> Option<RadiusTarget> {
        let servers_at = at.key("servers");
        let given = written.servers.take();
        if given.is_none() && !self.is_spoiled(&servers_at) {
            self.wrong(
                &servers_at,
                "missing",
                "the addresses of its RADIUS servers, such as [\"10.0.0.5\", \"10.0.0.6:1645\"]",
            );
        }
        let accounting_at = at.key("accounting_servers");
        let over_tls = word(written.transport.take(), Transport::Udp) == Transport::Tls;
        let (servers, secret) = if over_tls {
            // A secret that is given is left, and then refused: it would protect nothing.
            let servers = self.tls_target(at, written, given).map(RadiusServers::Tls);
            // Everything goes over the one port there.
            (servers.clone().zip(servers), Some(Secret::new(RADSEC.to_vec())))
        } else {
            let servers = self.radius_servers(&servers_at, given, PORT);
            let accounting = match written.accounting_servers.take() {
                Some(given) => self.radius_servers(&accounting_at, Some(given), PORT + 1),
                // 1813 beside 1812, 1646 beside 1645.
                None => servers.as_ref().map(|servers| {
                    let next = |server: &SocketAddr| SocketAddr::new(server.ip(), server.port().saturating_add(1));
                    servers.iter().map(next).collect()
                }),
            };
            let servers = servers.map(RadiusServers::Udp).zip(accounting.map(RadiusServers::Udp));
            let spellings = Spellings {
                literal: written.secret.take(),
                file: written.secret_file.take(),
                credential: written.secret_credential.take(),
                variable: written.secret_env.take(),
            };
            (servers, self.long_secret(at, spellings))
        };
        let usual = if over_tls { Requirement::No } else { Requirement::Yes };
        let requirement = word(written.require_message_authenticator.take(), usual);
        let signature_at = at.key("require_message_authenticator");
        match requirement {
            Requirement::Yes => {}
            Requirement::Auto => self.wrong(&signature_at, "found \"auto\"", "\"yes\" or \"no\""),
            // What comes over TLS cannot be forged on the way, signed or not.
            Requirement::No if over_tls => {}
            Requirement::No => self.warn(
                &signature_at,
                "unsigned answers of this target are believed: who can change its packets can forge an Accept (CVE-2024-3596)",
                "update the server, let it sign its answers, and take this out",
            ),
        }
        let timeout = self.duration(&at.key("timeout"), written.timeout.take(), "3s", "100ms", "2m");
        let tries = self.count(&at.key("tries"), written.tries.take(), 3, 1, 20);
        let probe = self.duration(&at.key("probe"), written.probe.take(), "5s", "0s", "10m");
        let dead_for = self.duration(&at.key("dead_for"), written.dead_for.take(), "1m", "1s", "1h");
        let sockets = self.size(&at.key("sockets"), written.sockets.take(), 64, 1, 1024);
        let texts = |key: &str, given| self.list(&at.key(key), given).unwrap_or_default();
        let domains = texts("domains", written.domains.take());
        let realms = texts("realms", written.realms.take());
        let forward_as = word(written.forward_as.take(), ForwardAs::Proxy);
        let nas_identifier = written.nas_identifier.take().unwrap_or_else(|| "anteroom".to_owned());
        self.text_length(&at.key("nas_identifier"), &nas_identifier, 253);
        let reply = self.reply_rules(at, written);
        // Only now, so that one mistake does not hide another.
        let (servers, accounting) = servers?;
        Some(RadiusTarget {
            name,
            servers,
            accounting,
            secret: secret?,
            balance: word(written.balance.take(), Balance::Ordered),
            timeout,
            tries,
            requires_signature: requirement == Requirement::Yes,
            probe: Some(probe).filter(|probe| !probe.is_zero()),
            dead_for,
            sockets,
            forward_as,
            nas_identifier,
            domains,
            realms,
            send_name: word(written.send_name.take(), SendName::Typed),
            eap_identity: word(written.eap_identity.take(), EapIdentity::Reply),
            reply,
        })
    }

    fn radius_servers(&self, at: &Path, given: Option<OneOrMany>, usual: u16) -> Option<Vec<SocketAddr>> {
        let texts = self.filled_list(at, given, "at least one server")?;
        let mut servers = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            let at = at.index(position);
            let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, usual));
            match text.parse::<SocketAddr>().or_else(|_| alone()) {
                Ok(server) if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() => {
                    self.wrong(&at, format!("found {text:?}"), "the address of one server");
                }
                Ok(server) if servers.contains(&server) => {
                    self.wrong(&at, format!("found {text:?} a second time"), "each server once");
                }
                Ok(server) => servers.push(server),
                Err(_) => {
                    let allowed = "allowed: an address, with :PORT where it is not 1812, such as \"10.0.0.5\" or \"[2001:db8::5]:1645\"";
                    self.wrong(&at, format!("found {text:?}"), allowed);
                }
            }
        }
        Some(servers)
    }

    fn reply_rules(&self, at: &Path, written: &mut written::Target) -> ReplyRules {
        let add_at = at.key("reply_add");
        let mut add: Vec<ReplyAttribute> = Vec::new();
        for (position, text) in self.list(&add_at, written.reply_add.take()).unwrap_or_default().iter().enumerate() {
            match self.dictionary.borrow().parse_reply_attribute(text) {
                Ok((_, attribute)) => add.push(attribute),
                Err(why) => {
                    let allowed = "write 'Name = value', such as 'Class = \"vpn\"'";
                    self.wrong(&add_at.index(position), why.to_string(), allowed);
                }
            }
        }
        let size: usize = add.iter().map(|attribute| attribute.value.len() + 2).sum();
        if size > ADDED_ROOM {
            self.wrong(&add_at, format!("{size} octets in all"), format!("allowed: up to {ADDED_ROOM}"));
        }
        let rename_at = at.key("reply_rename");
        let mut rename = Vec::new();
        for (position, text) in
            self.list(&rename_at, written.reply_rename.take()).unwrap_or_default().iter().enumerate()
        {
            let at = rename_at.index(position);
            let Some((from, to)) = text.split_once('=') else {
                self.wrong(&at, format!("found {text:?}"), "write 'Name = Name', such as 'Filter-Id = Class'");
                continue;
            };
            let (from, to) = (from.trim(), to.trim());
            let (Some(old), Some(new)) = (self.reply_name(&at, from), self.reply_name(&at, to)) else { continue };
            if !self.dictionary.borrow().are_alike(from, to) {
                let found = format!("found {text:?}: a value of {from} is none of {to}");
                self.wrong(&at, found, "two attributes of the same type");
            }
            rename.push((old, new));
        }
        let names = |key: &str, given| {
            let at = at.key(key);
            let list = self.list(&at, given).unwrap_or_default();
            let places = list.iter().enumerate().filter_map(|(n, name)| self.reply_name(&at.index(n), name));
            places.collect::<Vec<_>>()
        };
        let only = self.narrowing(&at.key("reply_only"), written.reply_only.take());
        let only = names("reply_only", only);
        ReplyRules { only, drop: names("reply_drop", written.reply_drop.take()), rename, add }
    }

    /// Which target a client's accounting is forwarded to.
    pub(super) fn accounting_target(&self, at: &Path, given: Option<String>) -> Option<Arc<str>> {
        let name = given?;
        if !self.is_radius(&name) {
            let allowed = "the name of a [target.NAME] with type = \"radius\"";
            self.wrong(&at.key("accounting_target"), format!("found {name:?}"), allowed);
        }
        Some(name.into())
    }

    /// Whether a target is RADIUS servers.
    pub(super) fn is_radius(&self, target: &str) -> bool {
        self.radius_targets.borrow().contains(target)
    }

    /// Says that a target must be a directory here.
    pub(super) fn must_be_directory(&self, at: &Path, target: Option<&str>, why: &str) {
        if let Some(target) = target.filter(|target| self.is_radius(target)) {
            let allowed = "a [target.NAME] of type \"ad\" or \"ldap\"";
            self.wrong(&at.key("target"), format!("found {target:?}, which is RADIUS servers: {why}"), allowed);
        }
    }

    /// The place of an attribute of replies, by its name.
    fn reply_name(&self, at: &Path, name: &str) -> Option<PersonAddress> {
        match self.dictionary.borrow().attribute_place(name) {
            Ok(place) => Some(place),
            Err(why) => {
                self.wrong(at, why.to_string(), "the name of an attribute, such as \"Class\" or \"Filter-Id\"");
                None
            }
        }
    }
}
