//! `[ldap]` and `[[ldap.client]]` as written.

use serde::Deserialize;

use super::super::values::{Count, OneOrMany, Span, Word};
use super::super::{Anonymous, Lenience, OnDeadline, Sasl};
use super::{Client, Unreachable};

/// `[ldap]`: the LDAP door.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Ldap {
    pub listen: Option<OneOrMany>,
    pub listen_tls: Option<OneOrMany>,
    pub certificate: Option<String>,
    pub certificate_key: Option<String>,
    pub proxy_protocol: Option<OneOrMany>,
    pub max_message: Option<Count>,
    pub max_message_before_bind: Option<Count>,
    pub max_depth: Option<Count>,
    pub connections: Option<Count>,
    pub outstanding: Option<Count>,
    pub first_message_within: Option<Span>,
    pub idle: Option<Span>,
    pub buffered: Option<Count>,
    pub send_within: Option<Span>,
    pub client: Vec<LdapClient>,
}

/// `[[ldap.client]]`: one LDAP client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct LdapClient {
    pub name: Option<String>,
    pub address: Option<OneOrMany>,
    pub application: Option<String>,
    pub target: Option<String>,
    pub provider: Option<OneOrMany>,
    pub methods: Option<OneOrMany>,
    pub answer_within: Option<Span>,
    pub on_deadline: Option<Word<OnDeadline>>,
    pub unknown_users: Option<Word<Lenience>>,
    pub disabled_users: Option<Word<Lenience>>,
    pub exempt_users: Option<OneOrMany>,
    pub exempt_groups: Option<OneOrMany>,
    pub exempt_networks: Option<OneOrMany>,
    pub provider_unreachable: Option<Unreachable>,
    pub provider_bypass: Option<Word<Lenience>>,
    pub held: Option<Count>,
    pub plaintext: Option<bool>,
    pub anonymous: Option<Word<Anonymous>>,
    pub sasl: Option<Word<Sasl>>,
    pub service_accounts: Option<OneOrMany>,
    pub service_ous: Option<OneOrMany>,
    pub service_groups: Option<OneOrMany>,
    pub service_filter: Option<String>,
    pub explain_refusals: Option<bool>,
    pub passcode: Option<Passcode>,
    pub reuse: Option<Reuse>,
    pub connections: Option<Count>,
}

impl LdapClient {
    /// Takes out what clients of every door have.
    pub fn take_common(&mut self) -> Client {
        Client {
            name: self.name.take(),
            address: self.address.take(),
            application: self.application.take(),
            target: self.target.take(),
            provider: self.provider.take(),
            methods: self.methods.take(),
            answer_within: self.answer_within.take(),
            on_deadline: self.on_deadline.take(),
            unknown_users: self.unknown_users.take(),
            disabled_users: self.disabled_users.take(),
            exempt_users: self.exempt_users.take(),
            exempt_groups: self.exempt_groups.take(),
            exempt_networks: self.exempt_networks.take(),
            provider_unreachable: self.provider_unreachable.take(),
            provider_bypass: self.provider_bypass.take(),
            held: self.held.take(),
            passcode: self.passcode.take(),
            // An application that shows why shows what to do about it, too.
            show_texts: self.explain_refusals,
            ..Client::default()
        }
    }
}

/// `passcode = { … }` of a client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Passcode {
    pub delimiter: Option<String>,
    pub length: Option<Count>,
}

/// `reuse = { … }` of a client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Reuse {
    pub within: Option<Span>,
    pub count: Option<Count>,
}
