//! `[provider.NAME]` as written: the keys of every type in one struct, as the type is a key like the others.
//!
//! Each type's checker takes its own keys out; [`Provider::left`] names those that nobody took, which do not
//! belong to that type.

use serde::Deserialize;

use super::super::values::{Count, Hidden, OneOrMany, Span, Word};
use super::super::{CloudName, Codes, EntraMode, Triggers, UnreachableClass};
use crate::factor::local::split::PinSide;

/// Declares the struct, and which keys are still there.
macro_rules! keys {
    ($($key:ident: $kind:ty,)*) => {
        /// `[provider.NAME]`: a carrier of second factors.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        #[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
        pub struct Provider {
            $(pub $key: Option<$kind>,)*
        }

        impl Provider {
            /// The keys that nobody has taken.
            pub fn left(&self) -> Vec<&'static str> {
                let mut left = Vec::new();
                $(if self.$key.is_some() { left.push(stringify!($key).trim_start_matches("r#")); })*
                left
            }
        }
    };
}

keys! {
    // every type
    r#type: Word<ProviderKind>,
    url: String,
    ca_file: String,
    proxy: String,
    proxy_user: String,
    proxy_password: Hidden,
    proxy_password_file: String,
    proxy_password_credential: String,
    proxy_password_env: String,
    timeout: Span,
    send: Send,
    failover: Vec<Word<UnreachableClass>>,
    // several types
    certificate: String,
    certificate_key: String,
    user: Word<CloudName>,
    // native
    key_id: String,
    key: Hidden,
    key_file: String,
    key_credential: String,
    key_env: String,
    pin_on_phone: bool,
    number_matching: bool,
    // entra
    login: String,
    resource: String,
    tenant: String,
    client_id: String,
    client_secret: Hidden,
    client_secret_file: String,
    client_secret_credential: String,
    client_secret_env: String,
    mode: Word<EntraMode>,
    poll_every: Span,
    // duo
    ikey: String,
    skey: Hidden,
    skey_file: String,
    skey_credential: String,
    skey_env: String,
    signature: Count,
    // privacyidea and okta
    token: Hidden,
    token_file: String,
    token_credential: String,
    token_env: String,
    // privacyidea
    account: String,
    password: Hidden,
    password_file: String,
    password_credential: String,
    password_env: String,
    realm: String,
    realms: OneOrMany,
    triggers: Word<Triggers>,
    codes: Word<Codes>,
    // okta
    private_key: Hidden,
    private_key_file: String,
    private_key_credential: String,
    private_key_env: String,
    // local
    window: Span,
    look_ahead: Count,
    tries: Count,
    locked_for: Span,
    pin: Word<PinSide>,
    // codes
    via: Word<ViaKind>,
    method: Word<HttpMethod>,
    headers: OneOrMany,
    body: String,
    expect: Vec<Count>,
    from: String,
    subject: String,
    text: String,
    digits: Count,
    lives: Span,
    most: Count,
    per: Span,
}

/// What kind of provider it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Anteroom's own protocol.
    Native,
    /// Microsoft Entra multifactor authentication.
    Entra,
    /// Duo.
    Duo,
    /// A privacyIDEA server.
    PrivacyIdea,
    /// Okta.
    Okta,
    /// Codes that this house checks itself.
    Local,
    /// Codes that this house sends and checks itself.
    Codes,
}

/// How codes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViaKind {
    /// An HTTP request as the section writes it.
    Http,
    /// Twilio's REST API.
    Twilio,
    /// The mail server of `[mail]`.
    Smtp,
}

/// How a gateway is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// With everything in the address.
    Get,
    /// The usual way.
    Post,
    /// What some want.
    Put,
}

/// `send = { … }` of a provider.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Send {
    pub names: Option<bool>,
    pub email: Option<bool>,
    pub phone: Option<bool>,
    pub person_address: Option<bool>,
}

/// `[[route]]`: who is asked by whom.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Route {
    pub clients: Option<OneOrMany>,
    pub users: Option<OneOrMany>,
    pub groups: Option<OneOrMany>,
    pub provider: Option<OneOrMany>,
    pub methods: Option<OneOrMany>,
}
