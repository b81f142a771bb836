//! Whether a directory has the groups, containers and accounts that clients, rules, routes and `[[caching]]` name. A name
//! that fits nobody is silent: a rule that should keep somebody out would let them in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Finding;
use crate::cli::serve::count;
use crate::config::{Client, Config};
use crate::ldap::result::code;
use crate::primary::directory::Directory;
use crate::primary::names::same;
use crate::primary::{Fault, IdentifyError, Primary as _};

/// Names that are looked up, of all sections together: more would make a check long, and are told.
const MOST: usize = 500;

/// What a name must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A group, by distinguished name.
    Group,
    /// A container, by distinguished name.
    Container,
    /// An account, by name or UPN.
    Account,
    /// An account of a program: a distinguished name counts, too.
    Program,
}

/// A name in the configuration.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// Where it stands.
    pub place: String,
    /// As written.
    pub name: &'a str,
    /// What it must be.
    pub kind: Kind,
    /// The targets that may know it.
    pub targets: BTreeSet<&'a str>,
}

/// Every name that a directory should know.
pub fn all(config: &Config) -> Vec<Named<'_>> {
    let radius = config.radius.clients.iter().map(|client| &*client.client);
    let clients: Vec<&Client> = radius.chain(config.ldap.clients.iter().map(|client| &*client.client)).collect();
    let mut names = Vec::new();
    for client in &clients {
        let of = |key: &str| format!("client {} {key}", client.name);
        let targets: BTreeSet<&str> = directory(config, client).into_iter().collect();
        let (policy, service) = (&client.policy, &client.policy.service);
        for (key, list, kind) in [
            ("exempt_users", &policy.exempt_users, Kind::Account),
            ("exempt_groups", &policy.exempt_groups, Kind::Group),
            ("service_accounts", &service.names, Kind::Program),
            ("service_ous", &service.ous, Kind::Container),
            ("service_groups", &service.groups, Kind::Group),
        ] {
            add(&mut names, &of(key), list, kind, &targets);
        }
    }
    let used = |only: &[String], applications: &[String]| -> BTreeSet<&str> {
        let is_for = |client: &&&Client| {
            (only.is_empty() || only.contains(&client.name))
                && (applications.is_empty() || applications.iter().any(|one| same(one, &client.application)))
        };
        clients.iter().filter(is_for).filter_map(|client| directory(config, client)).collect()
    };
    for rule in &config.rules {
        let (place, targets) = (format!("rule {}", rule.name), used(&rule.clients, &rule.applications));
        add(&mut names, &place, &rule.users, Kind::Account, &targets);
        add(&mut names, &place, &rule.groups, Kind::Group, &targets);
    }
    for rule in &config.caching {
        let (place, targets) = (format!("caching {}", rule.name), used(&rule.clients, &rule.applications));
        add(&mut names, &place, &rule.users, Kind::Account, &targets);
        add(&mut names, &place, &rule.groups, Kind::Group, &targets);
    }
    for (position, route) in config.routes.iter().enumerate() {
        let (place, targets) = (format!("route {}", position + 1), used(&route.clients, &[]));
        add(&mut names, &place, &route.users, Kind::Account, &targets);
        add(&mut names, &place, &route.groups, Kind::Group, &targets);
    }
    names
}

/// The directory that knows a client's people.
fn directory<'a>(config: &'a Config, client: &Client) -> Option<&'a str> {
    let behind = config.authorizing.get(&client.target).map_or(&client.target, |target| &target.directory);
    config.targets.get_key_value(behind).map(|(name, _)| name.as_str())
}

fn add<'a>(names: &mut Vec<Named<'a>>, place: &str, list: &'a [String], kind: Kind, targets: &BTreeSet<&'a str>) {
    // Where a RADIUS server knows the people nobody can be asked.
    if !targets.is_empty() {
        names.extend(list.iter().map(|name| Named { place: place.to_owned(), name, kind, targets: targets.clone() }));
    }
}

/// What one directory says of a name.
enum Said {
    Known,
    Unknown,
    /// The account is there, but it is compared by another name: this one.
    Otherwise(String),
    /// It does not answer.
    Nothing,
}

/// One finding for each name that none of its directories knows, and one for all others.
pub async fn look_up(config: &Config) -> Vec<Finding> {
    let names = all(config);
    let mut findings = Vec::new();
    let mut fine: usize = 0;
    let mut asking = Asking { config, directories: BTreeMap::new() };
    for named in names.iter().take(MOST) {
        match asking.ask(named).await {
            None => fine += 1,
            Some(finding) => findings.push(finding),
        }
    }
    if fine > 0 && findings.is_empty() {
        let detail = format!("what rules, routes, exemptions and caching name is there ({})", count(fine, "name"));
        findings.push(Finding::ok("names", detail));
    }
    if names.len() > MOST {
        let detail = format!("{} more were not looked up", names.len() - MOST);
        findings.push(Finding::warn("names", detail, "name groups in place of many accounts"));
    }
    findings
}

/// The directories while they are asked; one that did not answer is asked no more.
struct Asking<'a> {
    config: &'a Config,
    directories: BTreeMap<&'a str, Option<Directory>>,
}

impl<'a> Asking<'a> {
    /// What is wrong with a name. Nothing where a directory that may know it does not answer, of which its own finding
    /// tells.
    async fn ask(&mut self, named: &Named<'a>) -> Option<Finding> {
        let mut otherwise = None;
        for name in &named.targets {
            let target = self.config.targets.get(*name)?;
            let directory = self.directories.entry(name).or_insert_with(|| Directory::new(target).ok());
            let deadline = Instant::now() + target.connect_timeout + target.timeout;
            match asked(directory.as_ref()?, named, deadline).await {
                Said::Known => return None,
                Said::Unknown => {}
                Said::Otherwise(known) => otherwise = Some(known),
                Said::Nothing => {
                    *directory = None;
                    return None;
                }
            }
        }
        let (place, name) = (named.place.clone(), named.name);
        if let Some(known) = otherwise {
            let detail = format!("{name:?} fits nobody, as accounts are compared by name and UPN");
            return Some(Finding::fail(place, detail, format!("write {known:?}")));
        }
        let noun = match named.kind {
            Kind::Group => "group",
            Kind::Container => "container",
            Kind::Account | Kind::Program => "account",
        };
        let detail = format!("there is no {noun} {name:?} in {}", list(&named.targets));
        let advice = "it fits nobody: correct it, or take it out";
        Some(match named.kind {
            // People leave.
            Kind::Account => Finding::warn(place, detail, advice),
            _ => Finding::fail(place, detail, advice),
        })
    }
}

fn list(targets: &BTreeSet<&str>) -> String {
    targets.iter().copied().collect::<Vec<_>>().join(", ")
}

async fn asked(directory: &Directory, named: &Named<'_>, deadline: Instant) -> Said {
    let is_dn = match named.kind {
        Kind::Group | Kind::Container => true,
        Kind::Account => false,
        Kind::Program => named.name.contains('='),
    };
    if is_dn {
        return match directory.has(named.name, deadline).await {
            Ok(true) => Said::Known,
            // A referral: it is in none of the directory's naming contexts.
            Ok(false) | Err(Fault::Refused { code: code::REFERRAL }) => Said::Unknown,
            Err(_) => Said::Nothing,
        };
    }
    match directory.identify(named.name, deadline).await {
        Ok(who) => {
            let is_it = same(named.name, &who.name) || who.upn.as_deref().is_some_and(|upn| same(named.name, upn));
            if is_it { Said::Known } else { Said::Otherwise(who.name) }
        }
        // Whoever of them comes is looked at then.
        Err(IdentifyError::Ambiguous) => Said::Known,
        Err(IdentifyError::Unknown) => Said::Unknown,
        Err(IdentifyError::Fault(_)) => Said::Nothing,
    }
}
