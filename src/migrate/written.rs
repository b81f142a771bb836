//! What an NPS export becomes: `anteroom.toml`, files with secrets, and notes. Pure.

mod policies;

use std::collections::BTreeSet;

use super::condition::Gateway;
use super::nps::{Client, Export};
use super::text::{hexadecimal, is_address, quoted, same, shortened, shown};
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
    /// Clients that are gateways.
    gateways: Vec<Gateway>,
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
        if client.trimmed {
            let why = "has blanks around its shared secret, which are not taken over: change it on both sides";
            self.note(client.line, format!("RADIUS client {:?}", client.name), why);
        }
        if is_gateway {
            self.gateways.push(Gateway { name: Some(client.name.clone()), address: client.address.clone() });
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
            self.gateways.push(Gateway { name: None, address: gateway.clone() });
            self.write_client((&format!("rdg-{gateway}"), gateway), octets, true, true);
        }
    }

    /// What is not turned.
    fn rest(&mut self, export: &Export) {
        for (name, line) in &export.groups {
            let why =
                "Anteroom answers the gateway itself; a server behind it is a [target.NAME] with type = \"radius\"";
            self.note(*line, format!("remote RADIUS server group {name:?}"), why);
        }
        for request in export.requests.iter().filter(|request| !request.is_preset()) {
            let mut why = "which target a request goes to is said by its client's section".to_owned();
            if let Some(group) = &request.group {
                let more = ": its requests went to the group {group}, and those of all clients but gateways go to \
                            target corp now";
                why.push_str(&more.replace("{group}", &format!("{:?}", shown(group))));
            }
            self.note(request.line, format!("connection request policy {:?}", request.name), why);
        }
        if export.clients.is_empty() && self.gateways.is_empty() {
            let why = "has no RADIUS client: it is the NPS beside a gateway. Give --gateway ADDRESS";
            self.note(0, "the export", why);
        }
    }
}

#[cfg(test)]
mod tests;
