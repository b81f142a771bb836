//! What is particular to the types of `[target.NAME]`, as written.

use serde::Deserialize;

use super::Target;
use crate::config::values::{OneOrMany, Span, Word};
use crate::config::{Authentication, Device};

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Active Directory.
    Ad,
    /// Another LDAP directory.
    Ldap,
    /// Nothing checks a password: a gateway has done so.
    None,
}

impl Target {
    /// Keys of a directory that are given.
    pub fn directory_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = [
            ("servers", self.servers.is_some()),
            ("plaintext", self.plaintext.is_some()),
            ("domain", self.domain.is_some()),
            ("security", self.security.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("base", self.base.is_some()),
            ("bind_name", self.bind_name.is_some()),
            ("bind_password", self.bind_password.is_some()),
            ("bind_password_file", self.bind_password_file.is_some()),
            ("bind_password_credential", self.bind_password_credential.is_some()),
            ("bind_password_env", self.bind_password_env.is_some()),
            ("domains", self.domains.is_some()),
            ("name_attributes", self.name_attributes.is_some()),
            ("at_attributes", self.at_attributes.is_some()),
            ("unique_id", self.unique_id.is_some()),
            ("filter", self.filter.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
            ("timeout", self.timeout.is_some()),
            ("connections", self.connections.is_some()),
            ("dn_from_store", self.dn_from_store.is_some()),
        ];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// Keys of a target of type `none` that are given.
    pub fn authorizing_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = [("directory", self.directory.is_some()), ("policy", !self.policy.is_empty())];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }
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
