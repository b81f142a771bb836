//! What an NPS export becomes: `anteroom.toml`, files with secrets, and notes. Pure.

use std::collections::BTreeSet;

use super::condition::{self, Condition};
use super::nps::{Client, Export, Policy};
use super::text::{hexadecimal, is_address, list, quoted, same, shortened, shown};
use super::{Note, Turned};
use crate::secret::Secret;

/// What an export does not say.
#[derive(Debug, Clone)]
pub struct Given {
    /// The domain's DNS name.
    pub domain: String,
    /// RADIUS clients that are RD Gateways, by friendly name or address; one that the export does not have is added.
    pub gateways: Vec<String>,
    /// The clock by which hours are meant.
    pub zone: Option<String>,
    /// 32 random octets, for the secret of gateways that the export does not have.
    pub random: [u8; 32],
}

/// Turns an export.
pub fn turn(export: &Export, given: &Given) -> Turned {
    let mut turning = Turning { given, turned: Turned::default(), names: BTreeSet::new(), gateways: Vec::new() };
    turning.head();
    for client in &export.clients {
        turning.client(client);
    }
    turning.gateways_that_are_missing(&export.clients);
    turning.policies(export);
    turning.rest(export);
    turning.turned
}

struct Turning<'a> {
    given: &'a Given,
    turned: Turned,
    /// Names that are taken.
    names: BTreeSet<String>,
    /// Gateways: friendly name and address.
    gateways: Vec<(String, String)>,
}

impl Turning<'_> {
    fn say(&mut self, text: &str) {
        self.turned.toml.push_str(text);
        self.turned.toml.push('\n');
    }

    fn note(&mut self, line: u64, what: impl Into<String>, why: impl Into<String>) {
        self.turned.notes.push(Note { line, what: what.into(), why: why.into() });
    }

    fn head(&mut self) {
        let domain = quoted(&self.given.domain);
        let account = quoted(&format!("svc-anteroom@{}", self.given.domain));
        self.say("# Made by `anteroom migrate nps`. What is marked with CHANGE was not in the export; `anteroom check` helps.");
        self.say("\n[target.corp]\ntype = \"ad\"");
        self.say(&format!("domain = {domain}"));
        self.say(&format!("bind_name = {account}               # CHANGE: an ordinary account that may search"));
        self.say("bind_password_file = \"bind.secret\"    # CHANGE: its password");
        self.say("\n[provider.cloud]\ntype = \"native\"");
        self.say("url = \"https://prompt.example.com\"    # CHANGE: who asks people, see docs/providers.md");
        self.say("key_id = \"anteroom\"\nkey_file = \"cloud.key\"              # CHANGE");
        for name in ["bind.secret", "cloud.key"] {
            self.turned
                .secrets
                .push((name.to_owned(), Secret::from_text("CHANGE-ME-nothing-accepts-this-value".into())));
        }
        self.note(
            0,
            "target corp",
            "write the account that searches into bind_name, and its password into bind.secret",
        );
        self.note(0, "provider cloud", "an export does not say who asks for the second factor: see docs/providers.md");
    }

    fn client(&mut self, client: &Client) {
        let what = format!("RADIUS client {:?}", client.name);
        if !client.enabled {
            self.note(client.line, what, "is disabled, and left out");
            return;
        }
        if !is_address(&client.address) {
            let why =
                "its address is none that can be told from the packet: write an address, and add the client by hand";
            self.note(client.line, what, why);
            return;
        }
        let Some(secret) = &client.secret else {
            let why = "has no shared secret in the export: export with exportPSK=YES, or add the client by hand";
            self.note(client.line, what, why);
            return;
        };
        let is_gateway = self.given.gateways.iter().any(|one| same(one, &client.name) || one == &client.address);
        if !client.signs && !is_gateway {
            let why = "did not have to sign its requests: \"auto\" until the log shows that it does, see conf/guides";
            self.note(client.line, what.clone(), why);
        }
        if secret.len() < 16 {
            self.note(client.line, what, "has a short shared secret: change it on both sides");
        }
        let signs = client.signs || is_gateway;
        self.write_client((&client.name, &client.address), secret.duplicate(), is_gateway, signs);
    }

    fn write_client(&mut self, (name, address): (&str, &str), secret: Secret, is_gateway: bool, signs: bool) {
        let own = self.own_name(name);
        let file = format!("{own}.secret");
        self.say(&format!("\n[[radius.client]]\nname = {}\naddress = {}", quoted(&own), quoted(address)));
        self.say(&format!("secret_file = {}\napplication = {}", quoted(&file), quoted(&shortened(name, 100))));
        if is_gateway {
            self.say("profile = \"rd-gateway\"\ntarget = \"gateway\"");
            self.gateways.push((name.to_owned(), address.to_owned()));
        } else {
            self.say("target = \"corp\"");
        }
        if !signs {
            self.say("require_message_authenticator = \"auto\"");
        }
        self.turned.secrets.push((file, secret));
    }

    /// A name as our sections have them, that no other has.
    fn own_name(&mut self, name: &str) -> String {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let plain: String = name.chars().map(|c| if fine(c) { c.to_ascii_lowercase() } else { '-' }).take(56).collect();
        let plain = plain.trim_matches('-').to_owned();
        let plain = if plain.is_empty() { "client".to_owned() } else { plain };
        let mut own = plain.clone();
        let mut number = 2;
        while !self.names.insert(own.clone()) {
            own = format!("{plain}-{number}");
            number += 1;
        }
        own
    }

    /// An NPS beside the gateway has no RADIUS client for it.
    fn gateways_that_are_missing(&mut self, clients: &[Client]) {
        for gateway in &self.given.gateways.clone() {
            let is_there = clients.iter().any(|client| same(gateway, &client.name) || *gateway == client.address);
            if is_there {
                continue;
            }
            if !is_address(gateway) {
                self.note(0, format!("gateway {gateway:?}"), "is no RADIUS client of the export, and no address");
                continue;
            }
            let octets = crate::secret::Secret::from_text(hexadecimal(&self.given.random, self.names.len()));
            self.note(0, format!("gateway {gateway}"), "has a new shared secret, in its file: set it on the gateway");
            self.write_client((&format!("rdg-{gateway}"), gateway), octets, true, true);
        }
    }

    fn policies(&mut self, export: &Export) {
        let (gateways, others): (Vec<&Policy>, Vec<&Policy>) =
            export.policies.iter().partition(|policy| policy.is_gateways());
        for policy in others.into_iter().filter(|policy| policy.enabled) {
            let why = "is for sign-ins with a password: whoever has the right one is asked for the second factor here. \
                       Keep its groups with the target's filter, or on the appliance";
            self.note(policy.line, named(policy), why);
        }
        let enabled: Vec<&Policy> = gateways.into_iter().filter(|policy| policy.enabled).collect();
        if enabled.is_empty() {
            if !self.gateways.is_empty() {
                self.nobody();
            }
            return;
        }
        if self.gateways.is_empty() {
            let why = "are for an RD Gateway, and no client is one: name it with --gateway NAME or --gateway ADDRESS";
            self.note(0, format!("{} network policies", enabled.len()), why);
            return;
        }
        self.say("\n[target.gateway]\ntype = \"none\"\ndirectory = \"corp\"");
        let mut written = 0;
        for policy in enabled {
            written += self.policy(policy);
        }
        if written == 0 {
            self.kept_out();
        }
    }

    /// No policy could be turned.
    fn nobody(&mut self) {
        self.say("\n[target.gateway]\ntype = \"none\"\ndirectory = \"corp\"");
        self.kept_out();
    }

    fn kept_out(&mut self) {
        self.say("\n[[target.gateway.policy]]\nname = \"nobody\"                       # CHANGE: no policy was turned");
        self.say("allow = false");
        self.note(0, "target gateway", "no policy could be turned: nobody comes in until you write one");
    }

    /// One policy, or several where its hours differ from day to day; how many.
    fn policy(&mut self, policy: &Policy) -> usize {
        let mut lines = Vec::new();
        let mut groups = 0;
        let mut hours: Vec<Vec<String>> = Vec::new();
        for (text, line) in &policy.conditions {
            let kept = match condition::read(text) {
                None => None,
                Some(Condition::Always) => Some(None),
                Some(Condition::UserGroups(sids)) => {
                    groups += 1;
                    // Our list is "one of these"; two conditions are "one of each".
                    (groups == 1).then(|| Some(format!("groups = {}", list(&sids, |sid| format!("<SID={sid}>")))))
                }
                Some(Condition::ComputerGroups(sids)) => {
                    Some(Some(format!("computer_groups = {}", list(&sids, |sid| format!("<SID={sid}>")))))
                }
                Some(Condition::Authentication(ways)) => {
                    Some(Some(format!("authentication = {}", list(&ways, |way| (*way).to_owned()))))
                }
                Some(Condition::Computers(names)) => Some(Some(format!("computers = {}", list(&names, String::clone)))),
                Some(Condition::ClientAddresses(addresses)) if addresses.iter().all(|one| is_address(one)) => {
                    Some(Some(format!("gateways = {}", list(&addresses, String::clone))))
                }
                Some(Condition::ClientAddresses(_)) => None,
                Some(Condition::ClientNames(names)) => self.of_clients(&names).map(Some),
                Some(Condition::Hours(days)) if hours.is_empty() => {
                    hours = spans(&days);
                    (!hours.is_empty()).then_some(None)
                }
                Some(Condition::Hours(_)) => None,
            };
            match kept {
                Some(Some(line)) if lines.iter().all(|other: &String| key(other) != key(&line)) => lines.push(line),
                Some(None) => {}
                Some(Some(_)) | None if policy.grants => {
                    let why = format!(
                        "the condition {} cannot be told here, so that it would let in more people: left out",
                        shown(text)
                    );
                    self.note(*line, named(policy), why);
                    return 0;
                }
                Some(Some(_)) | None => {
                    let why = format!(
                        "the condition {} cannot be told here: it keeps out more people than before",
                        shown(text)
                    );
                    self.note(*line, named(policy), why);
                }
            }
        }
        self.settings(policy, &mut lines);
        if !hours.is_empty() && self.given.zone.is_none() {
            self.note(
                policy.line,
                named(policy),
                "has hours of the NPS's own clock: UTC is assumed, give --zone or change zone",
            );
        }
        let copies = if hours.is_empty() { vec![Vec::new()] } else { hours };
        for (position, hours) in copies.iter().enumerate() {
            let suffix = if position == 0 { String::new() } else { format!(" ({})", position + 1) };
            let name = self.policy_name(&format!("{}{suffix}", shortened(&policy.name, 80)));
            self.say(&format!("\n[[target.gateway.policy]]\nname = {}", quoted(&name)));
            for line in lines.iter().chain(hours) {
                self.say(line);
            }
            if !hours.is_empty() {
                let zone = quoted(self.given.zone.as_deref().unwrap_or("UTC"));
                self.say(&format!("zone = {zone}"));
            }
        }
        copies.len()
    }

    fn policy_name(&mut self, name: &str) -> String {
        let mut own: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        while !self.names.insert(format!("policy {own}")) {
            own.push('\'');
        }
        own
    }

    /// Whether the condition on the client's name holds for gateways only, as addresses of those.
    fn of_clients(&self, names: &[String]) -> Option<String> {
        let addresses: Vec<&str> = self
            .gateways
            .iter()
            .filter(|(name, _)| names.iter().any(|one| same(one, name)))
            .map(|(_, address)| address.as_str())
            .collect();
        (!addresses.is_empty()).then(|| format!("gateways = {}", list(&addresses, |one| (*one).to_owned())))
    }

    fn settings(&mut self, policy: &Policy, lines: &mut Vec<String>) {
        if !policy.grants {
            lines.push("allow = false".to_owned());
            return;
        }
        if let Some(line) = policy.redirection {
            // By which name an export has them is not documented: what is not understood must not open more.
            lines.push("redirection = []".to_owned());
            let why = "which devices it redirects is not read, so none is: write them into redirection";
            self.note(line, named(policy), why);
        }
        for (key, seconds) in [("idle_timeout", policy.idle), ("session_timeout", policy.session)] {
            let Some(seconds) = seconds else { continue };
            if (60..=30 * 86_400).contains(&seconds) {
                lines.push(format!("{key} = \"{seconds}s\""));
            } else {
                let why = format!("{key} of {seconds} s is outside 1m to 30d, and left out");
                self.note(policy.line, named(policy), why);
            }
        }
        for (name, line) in &policy.others {
            self.note(*line, named(policy), format!("the setting {name} is not sent to a gateway"));
        }
    }

    fn rest(&mut self, export: &Export) {
        for (name, line) in &export.groups {
            let why =
                "Anteroom answers the gateway itself; a server behind it is a [target.NAME] with type = \"radius\"";
            self.note(*line, format!("remote RADIUS server group {name:?}"), why);
        }
        for (name, line) in &export.requests {
            let why = "which target a request goes to is said by its client's section";
            self.note(*line, format!("connection request policy {name:?}"), why);
        }
        if export.clients.is_empty() && self.gateways.is_empty() {
            let why = "has no RADIUS client: it is the NPS beside a gateway. Give --gateway ADDRESS";
            self.note(0, "the export", why);
        }
    }
}

/// Spans of a day, in minutes from midnight, and the days that have them.
type Alike<'a> = (&'a [(u16, u16)], Vec<&'static str>);

/// Lines for the days that have the same spans, a group of days each.
fn spans(days: &[Vec<(u16, u16)>; 7]) -> Vec<Vec<String>> {
    const WORDS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let mut groups: Vec<Alike<'_>> = Vec::new();
    for (spans, word) in days.iter().zip(WORDS).filter(|(spans, _)| !spans.is_empty()) {
        match groups.iter_mut().find(|(others, _)| *others == spans.as_slice()) {
            Some((_, words)) => words.push(word),
            None => groups.push((spans, vec![word])),
        }
    }
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let lines = |(spans, words): Alike<'_>| {
        let texts: Vec<String> = spans.iter().map(|(from, to)| format!("{}-{}", time(*from), time(*to))).collect();
        vec![
            format!("days = {}", list(&words, |word| (*word).to_owned())),
            format!("hours = {}", list(&texts, String::clone)),
        ]
    };
    groups.into_iter().map(lines).collect()
}

fn key(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn named(policy: &Policy) -> String {
    format!("network policy {:?}", policy.name)
}

#[cfg(test)]
mod tests;
