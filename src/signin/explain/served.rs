//! Which clients can be asked about.

use std::sync::Arc;

use crate::config::{Client, Config, Profile};
use crate::signin::attempt::Door;

/// A client through which people come, as it is asked about.
#[derive(Debug, Clone)]
pub struct Served {
    /// The client.
    pub client: Arc<Client>,
    /// Through which door it comes.
    pub door: Door,
    /// Whether it tells where the person's device is, and is believed.
    pub tells_address: bool,
    /// The profile that its section names.
    pub profile: Option<&'static Profile>,
}

impl Served {
    /// Every client of a configuration.
    pub fn all(config: &Config) -> Vec<Served> {
        let radius = config.radius.clients.iter().map(|client| Served {
            client: Arc::clone(&client.client),
            door: Door::Radius,
            tells_address: client.person_address.is_some(),
            profile: client.profile.as_ref().map(|profiled| profiled.profile),
        });
        let ldap = config.ldap.clients.iter().map(|client| Served {
            client: Arc::clone(&client.client),
            door: Door::Ldap,
            tells_address: true,
            profile: None,
        });
        radius.chain(ldap).collect()
    }
}
