//! The configuration file as written: every key, optional, in the words of the file.
//!
//! Nothing is judged here beyond the kind of a value; [`super::checked`] knows what must be there, what is
//! in range and what belongs together. A key that is not a field here is refused by the reader. Each field
//! is taught in `conf/anteroom.toml`, and a test compares the two.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::values::{Count, Hidden, OneOrMany, Span, When, Word};
use super::{
    Lenience, LogFormat, NumberMatching, OnDeadline, Profile, Requirement, Transport, UnreachableClass, YesNo,
};

mod provider;

pub use provider::{HttpMethod, Provider, ProviderKind, Route, Send, ViaKind};

mod import;

pub use import::{Attributes, Import, ImportItem};
mod ldap;

pub use ldap::{Ldap, LdapClient, Passcode, Reuse};

mod mail;

mod pin;

pub use pin::{Pin, Weak};

mod reply;

pub use reply::{From, Reply, Unfit, Value, Values};

mod radsec;

pub use radsec::RadiusTls;

mod caching;
mod changes;
mod rule;

pub use caching::Caching;
pub use changes::{ChangeRelay, Changes};
pub use rule::{Rule, ThenWord};

mod target;

pub use mail::Mail;
pub use target::{ConnectionPolicy, Target};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct File {
    /// `[server]`
    pub server: Server,
    /// `[radius]`
    pub radius: Radius,
    /// `[ldap]`
    pub ldap: Ldap,
    /// `[target.NAME]`
    pub target: BTreeMap<String, Target>,
    /// `[provider.NAME]`
    pub provider: BTreeMap<String, Provider>,
    /// `[import]`
    pub import: Import,
    /// `[mail]`
    pub mail: Mail,
    /// `[pin]`
    pub pin: Pin,
    /// `[[route]]`
    pub route: Vec<Route>,
    /// `[[rule]]`
    pub rule: Vec<Rule>,
    /// `[[reply]]`
    pub reply: Vec<Reply>,
    /// `[[caching]]`
    pub caching: Vec<Caching>,
    /// `[limits]`
    pub limits: Limits,
    /// `[throttle]`
    pub throttle: Throttle,
    /// `[audit]`
    pub audit: Audit,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
}

/// `[server]`: its name and its folders.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Server {
    pub name: Option<String>,
    pub store: Option<String>,
    pub store_password: Option<Hidden>,
    pub store_password_file: Option<String>,
    pub store_password_credential: Option<String>,
    pub store_password_env: Option<String>,
    pub store_ca_file: Option<String>,
    pub store_plaintext: Option<bool>,
    pub keys: Option<String>,
    pub control: Option<String>,
    pub texts: Option<String>,
    pub drain: Option<Span>,
}

/// `[radius]`: the RADIUS door.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Radius {
    pub listen: Option<OneOrMany>,
    pub accounting: Option<OneOrMany>,
    pub tcp: Option<OneOrMany>,
    pub accounting_spool: Option<String>,
    pub accounting_spool_size: Option<Count>,
    pub dictionary: Option<OneOrMany>,
    pub tls: RadiusTls,
    pub changes: Changes,
    pub client: Vec<Client>,
}

/// `[[radius.client]]`: one RADIUS client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Client {
    pub name: Option<String>,
    pub address: Option<OneOrMany>,
    pub accounting_target: Option<String>,
    pub transport: Option<Word<Transport>>,
    pub certificate_names: Option<OneOrMany>,
    pub certificate_common_name: Option<bool>,
    pub connections: Option<Count>,
    pub secret: Option<Hidden>,
    pub secret_file: Option<String>,
    pub secret_credential: Option<String>,
    pub secret_env: Option<String>,
    pub application: Option<String>,
    pub target: Option<String>,
    pub provider: Option<OneOrMany>,
    pub methods: Option<OneOrMany>,
    pub number_matching: Option<Word<NumberMatching>>,
    pub require_message_authenticator: Option<Word<Requirement>>,
    pub limit_proxy_state: Option<Word<Requirement>>,
    pub answer_within: Option<Span>,
    pub on_deadline: Option<Word<OnDeadline>>,
    pub carry_over: Option<Span>,
    pub gives_up_after: Option<Span>,
    pub duplicate_window: Option<Span>,
    pub unknown_users: Option<Word<Lenience>>,
    pub disabled_users: Option<Word<Lenience>>,
    pub exempt_users: Option<OneOrMany>,
    pub exempt_groups: Option<OneOrMany>,
    pub exempt_networks: Option<OneOrMany>,
    pub person_address: Option<String>,
    pub provider_unreachable: Option<Unreachable>,
    pub provider_bypass: Option<Word<Lenience>>,
    pub passcode: Option<Passcode>,
    pub challenge: Option<Word<YesNo>>,
    pub challenge_tries: Option<Count>,
    pub challenge_within: Option<Span>,
    pub challenge_beside_prompt: Option<bool>,
    pub challenge_menu: Option<bool>,
    pub reply_attributes: Option<OneOrMany>,
    pub reject_message: Option<String>,
    pub show_texts: Option<bool>,
    pub texts: Option<String>,
    pub held: Option<Count>,
    pub packets_per_second: Option<Count>,
    pub profile: Option<Word<&'static Profile>>,
    pub reconnect_within: Option<Span>,
}

/// `provider_unreachable = { … }` of a client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Unreachable {
    pub classes: Option<Vec<Word<UnreachableClass>>>,
    pub until: Option<When>,
    pub r#for: Option<Span>,
}

/// `[limits]`: bounds on held sign-ins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Limits {
    pub held: Option<Count>,
    pub held_per_person: Option<Count>,
    pub at_directory: Option<Count>,
}

/// `[throttle]`: bounds on guessing and prompting.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Throttle {
    pub failures_per_person: Option<Count>,
    pub failures_per_source: Option<Count>,
    pub window: Option<Span>,
    pub prompts_per_person: Option<Count>,
    pub prompt_window: Option<Span>,
    pub denial_backoff: Option<Span>,
    pub fraud_block: Option<Span>,
    pub lockout_after: Option<Count>,
    pub lockout_reset: Option<Span>,
    pub lockout_release: Option<Span>,
}

/// `[audit]`: where audit events go besides the store.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Audit {
    pub file: Option<String>,
    pub keep: Option<Span>,
}

/// `[log]`: the program's own log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Log {
    pub format: Option<Word<LogFormat>>,
    pub level: Option<String>,
}

/// `[metrics]`: where metrics and health are served.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Metrics {
    pub listen: Option<String>,
}
