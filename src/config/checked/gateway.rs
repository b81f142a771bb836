//! `[target.NAME]` of type `none`, its connection policies, and what `profile = "rd-gateway"` means to a client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::TargetKind;
use super::super::gateway::{AuthorizingTarget, ConnectionPolicy, Pattern};
use super::super::place::Path;
use super::super::values::{Span, Word};
use super::super::{
    Client, DirectoryKind, DirectoryTarget, LdapClient, NumberMatching, Profile, RadiusClient, Reuse, written,
};
use super::{Checker, Named};
use crate::radius::gateway;
use crate::users::model::Method;

/// Sign-ins that one approval is good for while a session is being set up: the gateway's connection to the broker,
/// the one to the session's host, and what is lost on the way.
const RECONNECTS: u32 = 8;

impl Checker<'_> {
    /// Targets of type `none`. `directories` are those that they may name.
    pub(super) fn authorizing(
        &self,
        written: BTreeMap<String, written::Target>,
        directories: &BTreeMap<String, DirectoryTarget>,
        names: &BTreeSet<String>,
    ) -> BTreeMap<String, AuthorizingTarget> {
        let at = Path::top("target");
        let own: BTreeSet<String> = written.keys().cloned().collect();
        let targets = written.into_iter().filter_map(|(name, target)| {
            let at = at.key(&name);
            Some((name.clone(), self.authorizing_target(&at, name, target, directories, (names, &own))?))
        });
        targets.collect()
    }

    fn authorizing_target(
        &self,
        at: &Path,
        name: String,
        mut written: written::Target,
        directories: &BTreeMap<String, DirectoryTarget>,
        names: (&BTreeSet<String>, &BTreeSet<String>),
    ) -> Option<AuthorizingTarget> {
        for key in written.directory_keys() {
            self.wrong(&at.key(key), "found for type = \"none\"", "set it in the target that `directory` names");
        }
        let directory = self.directory_of(at, written.directory.take(), directories, names);
        let policies_at = at.key("policy");
        if written.policy.is_empty() {
            let what = "at least one [[target.NAME.policy]]: who may connect. Where none fits, nobody may";
            self.wrong(&policies_at, "missing", what);
        }
        let mut known = BTreeSet::new();
        let policies = written.policy.into_iter().enumerate().filter_map(|(position, policy)| {
            let at = policies_at.index(position);
            let policy = self.connection_policy(&at, policy)?;
            if !known.insert(policy.name.clone()) {
                self.wrong(&at.key("name"), format!("found {:?} a second time", policy.name), "a name of its own");
            }
            Some(policy)
        });
        let policies = policies.collect();
        Some(AuthorizingTarget { name, directory: directory?, policies })
    }

    fn directory_of(
        &self,
        at: &Path,
        given: Option<String>,
        directories: &BTreeMap<String, DirectoryTarget>,
        (names, own): (&BTreeSet<String>, &BTreeSet<String>),
    ) -> Option<String> {
        let at = at.key("directory");
        let named = self.required(&at, given, "the [target.NAME] of type \"ad\" that knows the accounts")?;
        match directories.get(&named) {
            Some(directory) if directory.kind == DirectoryKind::Ad => Some(named),
            None if own.contains(&named) || self.is_radius(&named) => {
                let what = "a target of type \"ad\", which knows the accounts";
                self.wrong(&at, format!("found {named:?}, which is no directory"), what);
                None
            }
            // Its own mistakes are told at its own place.
            None if names.contains(&named) => Some(named),
            Some(_) => {
                let what = "a target of type \"ad\": other directories do not say whether an account may sign in";
                self.wrong(&at, format!("found {named:?}, which is of type \"ldap\""), what);
                None
            }
            None => {
                let known: Vec<&str> = directories.keys().map(String::as_str).collect();
                let found = format!("found {named:?}, and there is no such directory in this file");
                self.wrong(&at, found, format!("allowed, as this file has them: {}", known.join(", ")));
                None
            }
        }
    }

    fn connection_policy(&self, at: &Path, written: written::ConnectionPolicy) -> Option<ConnectionPolicy> {
        let name = self.required(&at.key("name"), written.name, "a name for the log");
        if let Some(name) = &name {
            self.text_length(&at.key("name"), name, 100);
        }
        let gateways_at = at.key("gateways");
        let gateways = self.list(&gateways_at, self.narrowing(&gateways_at, written.gateways)).unwrap_or_default();
        let list = |key: &str, given| self.list(&at.key(key), self.narrowing(&at.key(key), given)).unwrap_or_default();
        let groups = |key: &str, given| self.groups(&at.key(key), self.narrowing(&at.key(key), given));
        let computers = list("computers", written.computers);
        if written.authentication.as_ref().is_some_and(Vec::is_empty) {
            let what = "\"password\", \"smart_card\" or both, or leave the key out where all are meant";
            self.wrong(&at.key("authentication"), "found an empty list", what);
        }
        let hours = self.hours(at, written.days, written.hours, written.zone);
        let timeout = |key: &str, given: Option<Span>| {
            given.map(|given| self.duration(&at.key(key), Some(given), "8h", "1m", "30d"))
        };
        let idle = timeout("idle_timeout", written.idle_timeout);
        let session = timeout("session_timeout", written.session_timeout);
        let devices: Option<Vec<_>> =
            written.redirection.map(|devices| devices.into_iter().map(|Word(device)| device).collect());
        let allow = written.allow.unwrap_or(true);
        for (key, given) in [
            ("redirection", devices.is_some()),
            ("idle_timeout", idle.is_some()),
            ("session_timeout", session.is_some()),
        ] {
            if given && !allow {
                self.wrong(&at.key(key), "found beside allow = false", "leave it out: whoever it fits is kept out");
            }
        }
        Some(ConnectionPolicy {
            name: name?,
            allow,
            groups: groups("groups", written.groups),
            gateways: self.ranges(&gateways_at, &gateways),
            computers: computers.iter().map(|text| Pattern::new(text)).collect(),
            computer_groups: groups("computer_groups", written.computer_groups),
            authentication: written.authentication.unwrap_or_default().into_iter().map(|Word(way)| way).collect(),
            hours,
            settings: gateway::settings(devices.as_deref(), idle, session).into(),
        })
    }

    /// What the profile asks of a RADIUS client, and what it presets. Returns whether the client's requests carry no
    /// credential.
    pub(super) fn gateway_client(
        &self,
        at: &Path,
        client: &mut Client,
        (profile, reconnects): (Option<&Profile>, Option<Span>),
        authorizing: &BTreeMap<String, AuthorizingTarget>,
    ) -> bool {
        let reconnects_at = at.key("reconnect_within");
        let is_gateway = profile.is_some_and(|profile| profile.authorizes);
        let checks_none = authorizing.contains_key(&client.target);
        if checks_none && !is_gateway {
            let found = format!("found {:?}, which checks no password", client.target);
            self.wrong(&at.key("target"), found, "only for clients with profile = \"rd-gateway\"");
        }
        if !is_gateway {
            if reconnects.is_some() {
                self.wrong(&reconnects_at, "found without profile = \"rd-gateway\"", "only for an RD Gateway");
            }
            return false;
        }
        let authorizes = checks_none || self.is_radius(&client.target);
        if !authorizes && !self.is_spoiled(&at.key("target")) {
            let found = format!("found {:?}, which checks passwords, and an RD Gateway sends none", client.target);
            let what = "a [target.NAME] with type = \"none\", or \"radius\" for an NPS behind";
            self.wrong(&at.key("target"), found, what);
        }
        if client.challenge.is_some() {
            let found = "found \"yes\" for an RD Gateway, where nobody could answer";
            self.wrong(&at.key("challenge"), found, "\"no\", or leave it out");
        }
        if client.passcode.is_some() {
            self.wrong(&at.key("passcode"), "found for an RD Gateway", "leave it out: nothing can be typed there");
        }
        if client.number_matching == NumberMatching::Code {
            self.wrong(&at.key("number_matching"), "found \"code\" for an RD Gateway", "\"approve\"");
        }
        for method in client.methods.iter().filter(|method| typed(**method)) {
            let found = format!("found {:?} for an RD Gateway", method.word());
            self.wrong(&at.key("methods"), found, "\"push\", \"call\", \"sms_reply\": nothing can be typed there");
        }
        let within = self.duration(&reconnects_at, reconnects, "2m", "0s", "1h");
        client.reuse = (within > Duration::ZERO).then_some(Reuse { within, count: RECONNECTS });
        authorizes
    }
}

impl Checker<'_> {
    /// What only all sections together can get wrong about targets: one that nobody uses, one that checks no password
    /// behind the LDAP door.
    pub(super) fn used_targets(
        &self,
        radius_clients: &[Arc<RadiusClient>],
        ldap: &[Arc<LdapClient>],
        targets: &Named<DirectoryTarget>,
        authorizing: &BTreeMap<String, AuthorizingTarget>,
    ) {
        for (position, client) in ldap.iter().enumerate() {
            let target = &client.client.target;
            if authorizing.contains_key(target) {
                let at = Path::top("ldap").key("client").index(position).key("target");
                self.wrong(&at, format!("found {target:?}, which is of type \"none\""), "a directory");
            }
        }
        let radius = radius_clients.iter().map(|client| &client.client.target);
        let accounted = radius_clients.iter().filter_map(|client| client.accounting_target.as_deref());
        let clients = radius.chain(ldap.iter().map(|client| &client.client.target));
        let used = clients.chain(authorizing.values().map(|target| &target.directory)).map(String::as_str);
        let used = used.chain(accounted);
        self.unused("target", &targets.written, used);
    }
}

/// Names the target of whoever names none and can mean but one: a gateway the only one that checks no password, everybody
/// else the only other one.
pub(super) fn name_targets(file: &mut written::File) {
    let is_none = |target: &written::Target| matches!(target.r#type, Some(Word(TargetKind::None)));
    let only = |none: bool| {
        let mut names = file.target.iter().filter(|(_, target)| is_none(target) == none).map(|(name, _)| name);
        names.next().filter(|_| names.next().is_none()).cloned()
    };
    let (gateways, others) = (only(true), only(false));
    if gateways.is_none() {
        // As ever: the only one, or a mistake.
        return;
    }
    for client in &mut file.radius.client {
        let is_gateway = client.profile.is_some_and(|Word(profile)| profile.authorizes);
        let usual = if is_gateway { &gateways } else { &others };
        client.target = client.target.take().or_else(|| usual.clone());
    }
    let clients = file.ldap.client.iter_mut().map(|client| &mut client.target);
    for target in clients.chain(file.import.item.iter_mut().map(|item| &mut item.target)) {
        *target = target.take().or_else(|| others.clone());
    }
}

/// Whether a method ends with something that the person types where they sign in.
pub(super) fn typed(method: Method) -> bool {
    !matches!(method, Method::Push | Method::Call | Method::SmsReply)
}
