//! `[target.NAME]`: Active Directory and other LDAP directories; RADIUS servers are [`super::radius_target`]'s, and those of
//! type `none` are [`super::gateway`]'s.

use std::collections::BTreeMap;

use super::super::gateway::AuthorizingTarget;
use super::super::place::Path;
use super::super::{DirectoryKind, DirectoryTarget, RadiusTarget, Security, Servers, TargetKind, written};
use super::secrets::Spellings;
use super::{Checker, Named, word};

mod winbind;

/// Each kind of target.
pub(super) type Targets = (Named<DirectoryTarget>, BTreeMap<String, AuthorizingTarget>, BTreeMap<String, RadiusTarget>);

impl Checker<'_> {
    /// The directories, with the names of all targets; those that check no password; and the RADIUS servers.
    pub(super) fn targets(&self, written: BTreeMap<String, written::Target>) -> Targets {
        let at = Path::top("target");
        if written.is_empty() {
            self.wrong(&at, "missing", "at least one [target.NAME]: the directory that checks passwords");
        }
        let names = written.keys().cloned().collect();
        let (mut found, mut without, mut radius) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, mut target) in written {
            let at = at.key(&name);
            self.name(&at, &name);
            let kind = word(target.r#type.take(), TargetKind::Ad);
            let directory = match kind {
                TargetKind::Ad => DirectoryKind::Ad,
                TargetKind::Ldap => DirectoryKind::Ldap,
                TargetKind::None => {
                    without.insert(name, target);
                    continue;
                }
                TargetKind::Radius => {
                    self.radius_targets.borrow_mut().insert(name.clone());
                    let made = self.radius_target(&at, name.clone(), &mut target);
                    self.left(&at, &target, "type = \"radius\"");
                    radius.extend(made.map(|made| (name, made)));
                    continue;
                }
            };
            let made = self.target(&at, name.clone(), &mut target, directory);
            self.left(&at, &target, "a directory");
            found.extend(made.map(|made| (name, made)));
        }
        let authorizing = self.authorizing(without, &found, &names);
        (Named { found, written: names }, authorizing, radius)
    }

    /// Keys that belong to another type.
    fn left(&self, at: &Path, written: &written::Target, kind: &str) {
        for key in written.left() {
            let belongs = match key {
                "directory" | "policy" => "it belongs to a target with type = \"none\"",
                "accounting_servers" => "it belongs to RADIUS servers over UDP",
                "server_name" | "radius_1_1" => "it belongs to RADIUS servers with transport = \"tls\"",
                _ => "take it out: it belongs to another type of target",
            };
            self.wrong(&at.key(key), format!("found for {kind}"), belongs);
        }
    }

    fn target(
        &self,
        at: &Path,
        name: String,
        written: &mut written::Target,
        kind: DirectoryKind,
    ) -> Option<DirectoryTarget> {
        let usual = |ad: &str, other: &str| if kind == DirectoryKind::Ad { ad.to_owned() } else { other.to_owned() };
        let servers = self.servers(at, written, kind);
        let base = match (written.base.take(), &servers) {
            (None, Some(Servers::Dns { domain, .. })) => Some(base_of(domain)),
            (base, _) => {
                self.required(&at.key("base"), base, "where people are searched, such as \"DC=corp,DC=example\"")
            }
        };
        if let Some(base) = &base
            && !base.contains('=')
        {
            self.wrong(
                &at.key("base"),
                format!("found {base:?}"),
                "a distinguished name such as \"DC=corp,DC=example\"",
            );
        }
        let what = "the account that searches: a DN, or for AD also name@domain or DOMAIN\\name";
        let bind_name = self.required(&at.key("bind_name"), written.bind_name.take(), what);
        let spellings = Spellings {
            literal: written.bind_password.take(),
            file: written.bind_password_file.take(),
            credential: written.bind_password_credential.take(),
            variable: written.bind_password_env.take(),
        };
        let bind_password = self.secret(at, "bind_password", spellings);
        let attributes = |key: &str, given, usual: String| {
            let at = at.key(key);
            let list = self.filled_list(&at, given, "at least one attribute").unwrap_or_else(|| vec![usual]);
            for attribute in &list {
                self.attribute(&at, attribute);
            }
            list
        };
        let name_attributes =
            attributes("name_attributes", written.name_attributes.take(), usual("sAMAccountName", "uid"));
        let at_attributes =
            attributes("at_attributes", written.at_attributes.take(), usual("userPrincipalName", "mail"));
        let unique_id = written.unique_id.take().unwrap_or_else(|| usual("objectGUID", "entryUUID"));
        self.attribute(&at.key("unique_id"), &unique_id);
        let filter = written.filter.take();
        if let Some(filter) = &filter {
            self.filter(&at.key("filter"), filter);
        }
        let ca_file = written.ca_file.take().and_then(|path| self.readable(&at.key("ca_file"), Some(path)));
        let domains = self.list(&at.key("domains"), written.domains.take()).unwrap_or_default();
        let connect_timeout =
            self.duration(&at.key("connect_timeout"), written.connect_timeout.take(), "3s", "100ms", "1m");
        let timeout = self.duration(&at.key("timeout"), written.timeout.take(), "5s", "100ms", "1m");
        let connections = self.size(&at.key("connections"), written.connections.take(), 8, 1, 1000);
        let ms_chap = self.ms_chap(at, written, kind);
        // Only now, so that one mistake does not hide another.
        Some(DirectoryTarget {
            name,
            kind,
            servers: servers?,
            ca_file,
            base: base?,
            bind_name: bind_name?,
            bind_password: bind_password?,
            domains,
            name_attributes,
            at_attributes,
            unique_id,
            filter,
            connect_timeout,
            timeout,
            connections,
            dn_from_store: written.dn_from_store.take().unwrap_or(false),
            ms_chap,
        })
    }

    fn servers(&self, at: &Path, written: &mut written::Target, kind: DirectoryKind) -> Option<Servers> {
        let servers_at = at.key("servers");
        let plaintext = written.plaintext.take().unwrap_or(false);
        let security = written.security.take();
        match (written.servers.take(), written.domain.take()) {
            (Some(_), Some(_)) => {
                self.wrong(&at.key("domain"), "found beside servers", "one of the two: listed, or found by DNS");
                None
            }
            (None, None) => {
                if !self.is_spoiled(&at.key("domain")) {
                    let what = "servers = [\"ldaps://dc1.corp.example\"], or for AD domain = \"corp.example\"";
                    self.wrong(&servers_at, "missing", what);
                }
                None
            }
            (servers @ Some(_), None) => {
                if security.is_some() {
                    self.wrong(
                        &at.key("security"),
                        "found beside servers",
                        "their addresses say it: ldaps:// or ldap://",
                    );
                }
                let texts = self.filled_list(&servers_at, servers, "at least one server")?;
                let mut found = Vec::new();
                for (position, text) in texts.iter().enumerate() {
                    let at = servers_at.index(position);
                    let Some(server) = self.server_url(&at, text, plaintext) else { continue };
                    // 389 and 3268 speak LDAP, 636 and 3269 TLS from the first octet: the other way round nobody answers.
                    let crossed = match server.security {
                        Security::Ldaps => matches!(server.port, 389 | 3268),
                        Security::StartTls | Security::Plaintext => matches!(server.port, 636 | 3269),
                    };
                    if crossed {
                        let advice = "ldaps:// goes with 636 (3269 for the global catalog), ldap:// with 389 (3268)";
                        self.warn(&at, format!("found {text:?}: another port than its protocol has"), advice);
                    }
                    if found.contains(&server) {
                        self.wrong(&at, format!("found {text:?} a second time"), "each server once");
                    }
                    found.push(server);
                }
                Some(Servers::Listed(found))
            }
            (None, Some(domain)) => {
                if plaintext {
                    self.wrong(&at.key("plaintext"), "found beside domain", "servers found by DNS are never plaintext");
                }
                if kind != DirectoryKind::Ad {
                    self.wrong(&at.key("domain"), "found for type = \"ldap\"", "list its servers instead");
                }
                let label = |label: &str| {
                    !label.is_empty()
                        && label.len() < 64
                        && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
                };
                if !domain.split('.').all(label) || !domain.contains('.') {
                    self.wrong(
                        &at.key("domain"),
                        format!("found {domain:?}"),
                        "the domain's DNS name, such as corp.example",
                    );
                }
                Some(Servers::Dns { domain, security: word(security, Security::Ldaps) })
            }
        }
    }

    /// An attribute description (RFC 4512 section 2.5) or an OID: it becomes part of filters.
    pub(super) fn attribute(&self, at: &Path, name: &str) {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';');
        if name.is_empty() || !name.chars().all(fine) {
            self.wrong(at, format!("found {name:?}"), "the name of an attribute: letters, digits and -");
        }
    }

    /// A filter in parentheses that are balanced (RFC 4515). The directory judges the rest.
    pub(super) fn filter(&self, at: &Path, filter: &str) {
        let mut depth = 0_i32;
        let mut closed_early = false;
        for (position, c) in filter.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            closed_early |= depth <= 0 && position + 1 < filter.len();
        }
        if !filter.starts_with('(') || depth != 0 || closed_early {
            let allowed = "one filter in parentheses, such as \"(&(objectClass=user)(!(cn=test*)))\"";
            self.wrong(at, format!("found {filter:?}"), allowed);
        }
    }
}

/// `corp.example` is `DC=corp,DC=example` (RFC 2247 section 2).
fn base_of(domain: &str) -> String {
    domain.split('.').map(|label| format!("DC={label}")).collect::<Vec<_>>().join(",")
}
