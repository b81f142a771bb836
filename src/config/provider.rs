//! `[provider.NAME]` after all checks: what all have in common, and what each type adds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::UnreachableClass;
use super::codes::CodesProvider;
use crate::factor::local::split::PinSide;
use crate::secret::Secret;
use crate::users::model::Person;
use crate::users::typed::Bound;

/// A carrier of second factors, by its type.
#[derive(Debug)]
pub enum Provider {
    /// A cloud that speaks Anteroom's own protocol (`docs/native-protocol.md`).
    Native(NativeProvider),
    /// Microsoft Entra multifactor authentication.
    Entra(EntraProvider),
    /// Duo, by its Auth API.
    Duo(DuoProvider),
    /// A privacyIDEA server.
    PrivacyIdea(PrivacyIdeaProvider),
    /// Okta.
    Okta(OktaProvider),
    /// Codes that this house checks itself, without a cloud: OATH tokens, backup and temporary codes.
    Local(LocalProvider),
    /// Codes that this house makes and checks itself, and sends by a gateway.
    Codes(Arc<CodesProvider>),
}

impl Provider {
    /// What every type that is reached over the network has.
    pub fn common(&self) -> Option<&Common> {
        match self {
            Provider::Native(native) => Some(&native.common),
            Provider::Entra(entra) => Some(&entra.common),
            Provider::Duo(duo) => Some(&duo.common),
            Provider::PrivacyIdea(privacyidea) => Some(&privacyidea.common),
            Provider::Okta(okta) => Some(&okta.common),
            Provider::Local(_) => None,
            Provider::Codes(codes) => codes.via.common(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        match self {
            Provider::Local(local) => &local.name,
            Provider::Codes(codes) => &codes.name,
            other => other.common().map_or("", |common| &common.name),
        }
    }

    /// The failures after which the next provider of a list is asked.
    pub fn failover(&self) -> &[UnreachableClass] {
        match self {
            Provider::Local(local) => &local.failover,
            Provider::Codes(codes) => &codes.failover,
            other => other.common().map_or(&[], |common| &common.failover),
        }
    }

    /// The certificate and the key that it authenticates with, where it does so.
    pub fn certificate(&self) -> Option<(&Path, &Path)> {
        match self {
            Provider::Native(NativeProvider {
                authentication: NativeAuthentication::Certificate { certificate, key },
                ..
            }) => Some((certificate, key)),
            Provider::Entra(EntraProvider {
                authentication: EntraAuthentication::Certificate { certificate, key },
                ..
            }) => Some((certificate, key)),
            Provider::Native(_)
            | Provider::Entra(_)
            | Provider::Duo(_)
            | Provider::PrivacyIdea(_)
            | Provider::Okta(_)
            | Provider::Local(_)
            | Provider::Codes(_) => None,
        }
    }

    /// The word of its type in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Provider::Native(_) => "native",
            Provider::Entra(_) => "entra",
            Provider::Duo(_) => "duo",
            Provider::PrivacyIdea(_) => "privacyidea",
            Provider::Okta(_) => "okta",
            Provider::Local(_) => "local",
            Provider::Codes(_) => "codes",
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
    /// Whether the service asks people in PIN mode for their PIN on the phone, and hands it over to be checked here.
    pub pin_on_phone: bool,
    /// Whether a push asks for a number that the person reads at their client, where that can show one.
    pub number_matching: bool,
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

/// Microsoft Entra multifactor authentication, by the connector that its NPS extension uses.
#[derive(Debug)]
pub struct EntraProvider {
    /// What every provider has.
    pub common: Common,
    /// Where tokens are given out, `https://login.microsoftonline.com` or a sovereign cloud's.
    pub login: String,
    /// Whom a token is for: the address of the connector in that cloud.
    pub resource: String,
    /// The directory: its id or one of its domains.
    pub tenant: String,
    /// The application that asks.
    pub client_id: String,
    /// How it proves who it is.
    pub authentication: EntraAuthentication,
    /// Which name the cloud knows people by.
    pub user: CloudName,
    /// Whether a prompt is asked for and waited for in one request, or asked about again and again.
    pub mode: EntraMode,
    /// The pause between two questions about one prompt.
    pub poll_every: Duration,
}

/// How Anteroom proves to Entra who it is.
#[derive(Debug)]
pub enum EntraAuthentication {
    /// The application's secret.
    Secret(Secret),
    /// An assertion signed with the key of a certificate.
    Certificate {
        /// The certificate in PEM.
        certificate: PathBuf,
        /// Its private key in PEM (RSA).
        key: PathBuf,
    },
}

/// How the end of a prompt is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntraMode {
    /// The request that asks for the prompt waits until the person has answered.
    Sync,
    /// It returns at once, and the state is asked for.
    Poll,
}

/// Which of a person's names a cloud knows them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudName {
    /// The login name (sAMAccountName, uid).
    Name,
    /// The name with an `@`.
    Upn,
    /// The e-mail address.
    Email,
}

impl CloudName {
    /// That name of a person, if they have it.
    pub fn of(self, person: &Person) -> Option<&str> {
        match self {
            CloudName::Name => Some(&person.name),
            CloudName::Upn => person.upn.as_deref(),
            CloudName::Email => person.email.as_deref(),
        }
    }
}

/// Duo, by its Auth API version 2.
#[derive(Debug)]
pub struct DuoProvider {
    /// What every provider has.
    pub common: Common,
    /// The integration key.
    pub ikey: String,
    /// The secret key.
    pub skey: Secret,
    /// Version of the signature: 5, or 2 for the old form.
    pub signature: DuoSignature,
    /// Which name Duo knows people by.
    pub user: CloudName,
}

/// How requests to Duo are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuoSignature {
    /// Parameters as a form, HMAC-SHA512 over date, method, host, path and parameters.
    V2,
    /// Parameters as JSON, its digest and that of the X-Duo headers signed, too.
    V5,
}

/// A privacyIDEA server.
#[derive(Debug)]
pub struct PrivacyIdeaProvider {
    /// What every provider has.
    pub common: Common,
    /// Who triggers challenges.
    pub authorisation: PrivacyIdeaAuthorisation,
    /// Which of a person's names is it that they are known by there.
    pub user: CloudName,
    /// The realm of people whose UPN says nothing else; `None`: the server's default realm.
    pub realm: Option<String>,
    /// Realms by the part of a UPN after the `@`, in lower case.
    pub realms: Vec<(String, String)>,
    /// What is triggered.
    pub triggers: Triggers,
    /// How a typed code is checked.
    pub codes: Codes,
}

/// Who triggers challenges at a privacyIDEA server: it needs the rights of an administrator.
#[derive(Debug)]
pub enum PrivacyIdeaAuthorisation {
    /// A token that was made there once (`pi-manage api createtoken`).
    Token(Secret),
    /// An administrator's account, of which a token is fetched.
    Account {
        /// Its name.
        name: String,
        /// Its password.
        password: Secret,
    },
}

/// Which of a person's tokens a privacyIDEA server triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triggers {
    /// All that have challenges.
    All,
    /// Those of the method that the person is asked by.
    Method,
}

/// How a typed code is checked at a privacyIDEA server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// As it is: the tokens have no PIN.
    Direct,
    /// As the answer to a challenge, which asks for no PIN.
    Challenge,
}

/// Okta.
#[derive(Debug)]
pub struct OktaProvider {
    /// What every provider has.
    pub common: Common,
    /// How requests are authenticated.
    pub authentication: OktaAuthentication,
    /// Which of a person's names is it that they are known by there.
    pub user: CloudName,
}

/// How Anteroom authenticates to Okta.
#[derive(Debug)]
pub enum OktaAuthentication {
    /// An API token.
    Token(Secret),
    /// An app of the kind "API services" with a key pair.
    OAuth {
        /// Its client id.
        client_id: String,
        /// The id of its key, where it has several.
        key_id: Option<String>,
        /// The private key, RSA, PEM.
        key: Secret,
    },
}

/// Codes that this house checks itself.
#[derive(Debug, Clone)]
pub struct LocalProvider {
    /// Its name in the configuration.
    pub name: String,
    /// The failures after which the next provider of a list is asked.
    pub failover: Vec<UnreachableClass>,
    /// How far a token's clock may be off, beyond what is known of it.
    pub window: Duration,
    /// How many codes of a counting token may have been made and not used.
    pub look_ahead: u32,
    /// Wrong codes in a row before the person's codes are not looked at for a while.
    pub bound: Bound,
    /// On which side of the code people in PIN mode type their PIN.
    pub pin_side: PinSide,
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
