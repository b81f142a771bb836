//! `[target.NAME]` as written: the keys of every type in one struct, as the type is a key like the others.
//!
//! Each type's checker takes its own keys out; [`Target::left`] names those that nobody took, which do not
//! belong to that type.

use serde::Deserialize;

use super::super::values::{Count, Hidden, OneOrMany, Span, Word};
use super::super::{
    Authentication, Balance, Device, EapIdentity, Eleven, ForwardAs, MsChapBy, Requirement, Security, SendName,
    TargetKind, Transport,
};

/// Declares the struct, and which keys are still there.
macro_rules! keys {
    ($($key:ident: $kind:ty,)*) => {
        /// `[target.NAME]`: a directory, or RADIUS servers.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        #[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
        pub struct Target {
            $(pub $key: Option<$kind>,)*
            pub policy: Vec<ConnectionPolicy>,
        }

        impl Target {
            /// The keys that nobody has taken.
            pub fn left(&self) -> Vec<&'static str> {
                let mut left = Vec::new();
                $(if self.$key.is_some() { left.push(stringify!($key).trim_start_matches("r#")); })*
                if !self.policy.is_empty() {
                    left.push("policy");
                }
                left
            }

            /// Keys that are given and do not belong to a target of type `none`.
            pub fn directory_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
                self.left().into_iter().filter(|key| !matches!(*key, "type" | "directory" | "policy"))
            }
        }
    };
}

keys! {
    // every type
    r#type: Word<TargetKind>,
    servers: OneOrMany,
    timeout: Span,
    domains: OneOrMany,
    // directories
    plaintext: bool,
    domain: String,
    security: Word<Security>,
    ca_file: String,
    base: String,
    bind_name: String,
    bind_password: Hidden,
    bind_password_file: String,
    bind_password_credential: String,
    bind_password_env: String,
    name_attributes: OneOrMany,
    at_attributes: OneOrMany,
    unique_id: String,
    filter: String,
    connect_timeout: Span,
    connections: Count,
    dn_from_store: bool,
    mschap: Word<MsChapBy>,
    mschap_helper: OneOrMany,
    mschap_helpers: Count,
    mschap_timeout: Span,
    mschap_domain: String,
    mschap_change: bool,
    // none
    directory: String,
    // radius
    transport: Word<Transport>,
    server_name: String,
    accounting_servers: OneOrMany,
    certificate: String,
    certificate_key: String,
    radius_1_1: Word<Eleven>,
    secret: Hidden,
    secret_file: String,
    secret_credential: String,
    secret_env: String,
    balance: Word<Balance>,
    tries: Count,
    require_message_authenticator: Word<Requirement>,
    probe: Span,
    dead_for: Span,
    sockets: Count,
    forward_as: Word<ForwardAs>,
    nas_identifier: String,
    realms: OneOrMany,
    send_name: Word<SendName>,
    eap_identity: Word<EapIdentity>,
    reply_only: OneOrMany,
    reply_drop: OneOrMany,
    reply_rename: OneOrMany,
    reply_add: OneOrMany,
}

/// `[[target.NAME.policy]]` of a target of type `none`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct ConnectionPolicy {
    pub name: Option<String>,
    pub allow: Option<bool>,
    pub groups: Option<OneOrMany>,
    pub gateways: Option<OneOrMany>,
    pub computers: Option<OneOrMany>,
    pub computer_groups: Option<OneOrMany>,
    pub authentication: Option<Vec<Word<Authentication>>>,
    pub days: Option<OneOrMany>,
    pub hours: Option<OneOrMany>,
    pub zone: Option<String>,
    pub redirection: Option<Vec<Word<Device>>>,
    pub idle_timeout: Option<Span>,
    pub session_timeout: Option<Span>,
}
