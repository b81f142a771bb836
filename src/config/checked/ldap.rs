//! `[ldap]` and `[[ldap.client]]`.

use std::sync::Arc;

use super::super::place::Path;
use super::super::values::Word;
use super::super::{
    AddressRange, Anonymous, Certificate, DirectoryTarget, Ldap, LdapClient, LdapLimits, OnDeadline, Reuse, Sasl,
    ServiceAccounts, written,
};
use super::client::Providers;
use super::{Checker, Named, word};

/// Octets in a MiB.
const MIB: u32 = 1024 * 1024;

impl Checker<'_> {
    pub(super) fn ldap(
        &self,
        mut written: written::Ldap,
        targets: &Named<DirectoryTarget>,
        providers: &Providers,
    ) -> Ldap {
        let at = Path::top("ldap");
        let wanted = !written.client.is_empty();
        let plain = if wanted { "0.0.0.0:389" } else { "" };
        let listen = self.sockets(&at.key("listen"), written.listen.take(), plain);
        let certificate = self.ldap_certificate(&at, &mut written);
        let tls = if wanted && certificate.is_some() { "0.0.0.0:636" } else { "" };
        let listen_tls = self.sockets(&at.key("listen_tls"), written.listen_tls.take(), tls);
        for address in listen_tls.iter().filter(|address| listen.contains(address)) {
            self.wrong(&at.key("listen_tls"), format!("{address} is in listen, too"), "another port");
        }
        if !listen_tls.is_empty() && certificate.is_none() && !self.is_spoiled(&at.key("certificate")) {
            self.wrong(&at.key("certificate"), "missing", "the certificate and its key that listen_tls shows");
        }
        let proxy_at = at.key("proxy_protocol");
        let balancers = self.list(&proxy_at, written.proxy_protocol.take()).unwrap_or_default();
        let proxy_protocol = self.ranges(&proxy_at, &balancers);
        if proxy_protocol.iter().any(AddressRange::is_wide) {
            let found = "nearly everybody may say from where a connection comes, and so be any client";
            self.warn(&proxy_at, found, "name the balancers alone");
        }
        let limits = self.ldap_limits(&at, &written);
        let clients = written.client.into_iter().enumerate().filter_map(|(position, client)| {
            let at = at.key("client").index(position);
            let client = self.ldap_client(&at, client, targets, providers)?;
            let tls = certificate.is_some()
                || client.plaintext
                || client.addresses.iter().all(|range| range.first.is_loopback() && range.last.is_loopback());
            if !tls {
                let advice = "set ldap.certificate and ldap.certificate_key, or plaintext = true for this client";
                self.warn(
                    &at,
                    "cannot bind: the door has no certificate, so that no password can come over TLS",
                    advice,
                );
            }
            Some(Arc::new(client))
        });
        Ldap { clients: clients.collect(), listen, listen_tls, certificate, proxy_protocol, limits }
    }

    fn ldap_certificate(&self, at: &Path, written: &mut written::Ldap) -> Option<Certificate> {
        match (written.certificate.take(), written.certificate_key.take()) {
            (None, None) => None,
            (chain, key) => self.certificate(at, chain, key),
        }
    }

    fn ldap_limits(&self, at: &Path, written: &written::Ldap) -> LdapLimits {
        let size = |key: &str, given, usual, least, most| self.size(&at.key(key), given, usual, least, most);
        let time = |key: &str, given, usual, most| self.duration(&at.key(key), given, usual, "100ms", most);
        let before = written.max_message_before_bind;
        LdapLimits {
            max_message: size("max_message", written.max_message, 16 * MIB, 1024, 1024 * MIB),
            max_message_before_bind: size("max_message_before_bind", before, 65_536, 1024, MIB),
            max_depth: size("max_depth", written.max_depth, 48, 4, 48),
            connections: size("connections", written.connections, 20_000, 1, 1_000_000),
            outstanding: size("outstanding", written.outstanding, 1000, 1, 65_536),
            first_message_within: time("first_message_within", written.first_message_within, "30s", "10m"),
            idle: time("idle", written.idle, "15m", "7d"),
            buffered: size("buffered", written.buffered, 65_536, 1024, 16 * MIB),
            send_within: time("send_within", written.send_within, "1m", "1h"),
        }
    }

    fn ldap_client(
        &self,
        at: &Path,
        mut written: written::LdapClient,
        targets: &Named<DirectoryTarget>,
        providers: &Providers,
    ) -> Option<LdapClient> {
        let service = self.service_accounts(at, &mut written);
        let reuse = written.reuse.take().and_then(|rule| self.reuse(&at.key("reuse"), &rule));
        let silent = matches!(written.on_deadline, Some(Word(OnDeadline::Silence)));
        let mut common = written.take_common();
        let addresses = self.client_addresses(at, &mut common);
        // The address of the connection is the only one that an LDAP door can know.
        let client = self.common_client(at, &mut common, true, targets, providers);
        let target = client.as_ref().map(|client| client.target.as_str());
        self.must_be_directory(at, target, "the LDAP door needs a directory behind it");
        let plaintext = written.plaintext.unwrap_or(false);
        if plaintext && !addresses.iter().all(|range| range.first.is_loopback() && range.last.is_loopback()) {
            let advice = "only over a network that nobody else can reach; better let the client use StartTLS or LDAPS";
            self.warn(&at.key("plaintext"), "its passwords come in the clear", advice);
        }
        let sasl = word(written.sasl, Sasl::Refuse);
        if sasl == Sasl::Relay {
            self.warn(
                &at.key("sasl"),
                "its SASL binds carry no second factor, nor does any bind behind a SASL layer that signs or encrypts",
                "\"refuse\", unless only programs use this client",
            );
        }
        if silent {
            let found = "found \"silence\" for an LDAP client, whose binds are always answered";
            self.wrong(&at.key("on_deadline"), found, "\"reject\", or leave it out");
        }
        if service != ServiceAccounts::default() && addresses.iter().any(AddressRange::is_wide) {
            let advice = "name the addresses of the application alone";
            self.warn(&at.key("address"), "its service accounts need no second factor from nearly anywhere", advice);
        }
        let connections = self.size(&at.key("connections"), written.connections, 1000, 1, 1_000_000);
        // Only now, so that one mistake does not hide another.
        let mut client = client?;
        client.carry_over = std::time::Duration::ZERO;
        self.can_be_typed(at, &client, "LDAP has no challenge");
        client.policy.service = service;
        client.reuse = reuse;
        Some(LdapClient {
            client: Arc::new(client),
            addresses,
            plaintext,
            anonymous: word(written.anonymous, Anonymous::Refuse),
            sasl,
            explain_refusals: written.explain_refusals.unwrap_or(false),
            connections,
        })
    }

    fn service_accounts(&self, at: &Path, written: &mut written::LdapClient) -> ServiceAccounts {
        let dns = |key: &str, given| {
            let at = at.key(key);
            let list = self.list(&at, given).unwrap_or_default();
            for (position, dn) in list.iter().enumerate().filter(|(_, dn)| !dn.contains('=')) {
                self.wrong(
                    &at.index(position),
                    format!("found {dn:?}"),
                    "a distinguished name, such as \"OU=Service,DC=corp,DC=example\"",
                );
            }
            list
        };
        let ous = dns("service_ous", written.service_ous.take());
        let groups = dns("service_groups", written.service_groups.take());
        let filter = written.service_filter.take();
        if let Some(filter) = &filter {
            self.filter(&at.key("service_filter"), filter);
            if filter.trim().to_lowercase().starts_with("(objectclass=") {
                let found = "fits people as well as programs: who it fits needs no second factor";
                self.warn(&at.key("service_filter"), found, "an attribute that only accounts of programs have");
            }
        }
        let names = self.list(&at.key("service_accounts"), written.service_accounts.take()).unwrap_or_default();
        ServiceAccounts { names, ous, groups, filter }
    }

    fn reuse(&self, at: &Path, written: &written::Reuse) -> Option<Reuse> {
        if written.within.is_none() || written.count.is_none() {
            self.wrong(at, "within or count is missing", "{ within = \"5m\", count = 20 }");
            return None;
        }
        let within = self.duration(&at.key("within"), written.within, "5m", "1s", "12h");
        Some(Reuse { within, count: self.count(&at.key("count"), written.count, 20, 1, 10_000) })
    }
}
