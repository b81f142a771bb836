//! From a section of the configuration to a provider: the one match over the types.

use std::sync::Arc;

use crate::config;
use crate::factor::Provider;
use crate::factor::codes::Codes;
use crate::factor::duo::Duo;
use crate::factor::entra::Entra;
use crate::factor::http::BuildError;
use crate::factor::local::{House, Local};
use crate::factor::native::Native;
use crate::factor::native::wire::ServerIdentity;
use crate::factor::okta::Okta;
use crate::factor::privacyidea::PrivacyIdea;
use crate::users::pins::Pins;

/// Builds a provider and starts what it runs in the background. To be called within the runtime. `house`: where the
/// tokens of this house are, for the type that needs them; `pins`: where PINs are, for those that are typed on the phone.
///
/// # Errors
/// What is wrong with the configuration.
pub fn build(
    provider: &config::Provider,
    server: ServerIdentity,
    house: Option<&House>,
    pins: Option<&Pins>,
) -> Result<Arc<dyn Provider>, BuildError> {
    Ok(match provider {
        config::Provider::Native(native) => Arc::new(Native::start(native, server)?.with_pins(pins.cloned())),
        config::Provider::Entra(entra) => Arc::new(Entra::new(entra)?),
        config::Provider::Duo(duo) => Arc::new(Duo::new(duo)?),
        config::Provider::PrivacyIdea(privacyidea) => Arc::new(PrivacyIdea::new(privacyidea)?),
        config::Provider::Okta(okta) => Arc::new(Okta::start(okta)?),
        config::Provider::Codes(codes) => Arc::new(Codes::new(codes, house.ok_or(BuildError::NoStore)?.clone())?),
        config::Provider::Local(local) => Arc::new(Local::new(local, house.ok_or(BuildError::NoStore)?.clone())),
    })
}
