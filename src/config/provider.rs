//! `[provider.NAME]` after all checks: what all have in common, and what each type adds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::UnreachableClass;
use crate::secret::Secret;

/// A carrier of second factors, by its type.
#[derive(Debug)]
pub enum Provider {
    /// A cloud that speaks Anteroom's own protocol (`docs/native-protocol.md`).
    Native(NativeProvider),
}

impl Provider {
    /// What every type has.
    pub fn common(&self) -> &Common {
        match self {
            Provider::Native(native) => &native.common,
        }
    }

    /// The certificate and the key that it authenticates with, where it does so.
    pub fn certificate(&self) -> Option<(&Path, &Path)> {
        match self {
            Provider::Native(NativeProvider {
                authentication: NativeAuthentication::Certificate { certificate, key },
                ..
            }) => Some((certificate, key)),
            Provider::Native(_) => None,
        }
    }

    /// The word of its type in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Provider::Native(_) => "native",
        }
    }
}

/// What every provider has, whatever its type.
#[derive(Debug, Clone)]
pub struct Common {
    /// Its name in the configuration.
    pub name: String,
    /// How it is reached.
    pub outbound: Outbound,
    /// Which optional facts about a person are sent.
    pub send: SendFields,
    /// The failures after which the next provider of a list is asked. All of them are failures before any
    /// prompt can have been sent.
    pub failover: Vec<UnreachableClass>,
}

/// How a cloud is reached. Its certificate is always verified.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Base address, `https://…`; `http://` only for a loopback address.
    pub url: String,
    /// Extra certificate authorities in PEM.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way, if any; without one the environment's is used (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<OutboundProxy>,
    /// Time for one request, connection included.
    pub timeout: Duration,
}

/// An HTTP proxy on the way to a cloud. TLS goes through it end to end.
#[derive(Debug, Clone)]
pub struct OutboundProxy {
    /// `http://HOST:PORT`.
    pub url: String,
    /// User name and password, where it asks for them.
    pub credentials: Option<(String, std::sync::Arc<Secret>)>,
}

/// A cloud that speaks Anteroom's own protocol.
#[derive(Debug)]
pub struct NativeProvider {
    /// What every provider has.
    pub common: Common,
    /// How requests are authenticated.
    pub authentication: NativeAuthentication,
}

/// How Anteroom authenticates to a native provider.
#[derive(Debug)]
pub enum NativeAuthentication {
    /// Each request signed with HMAC-SHA256.
    Signed {
        /// Which key.
        key_id: String,
        /// The key, at least 32 octets.
        key: Secret,
    },
    /// A client certificate.
    Certificate {
        /// Certificate chain in PEM.
        certificate: PathBuf,
        /// Its private key in PEM.
        key: PathBuf,
    },
}

/// Which optional facts leave the house. All on by default; each can be switched off.
#[derive(Debug, Clone, Copy)]
pub struct SendFields {
    /// First and last name.
    pub names: bool,
    /// E-mail address.
    pub email: bool,
    /// Phone numbers. Without them calls and texts cannot be made.
    pub phone: bool,
    /// The address the person comes from.
    pub person_address: bool,
}
