//! A whole small world: the domain controller, the phone simulator behind a relay, and the server.

use std::time::Duration;

use super::phone::Phone;
use super::relay::Relay;
use super::samba::{Alone, Directory, SERVICE_PASSWORD};
use super::server::{SHARED_SECRET, Server, Settings};
use super::wire::{Nas, Reply};

/// Long enough for any answer that comes, shorter than the client's `answer_within`.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// Long enough to see that no answer comes.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);

/// The server with everything around it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) phone: Phone,
    pub(crate) relay: Relay,
}

impl World {
    /// A world on the shared controller. `client` and `throttle` are further keys of their sections.
    pub(crate) fn new(directory: &Directory, client: &str, throttle: &str) -> Self {
        World::with(Settings {
            directory: directory.address().to_owned(),
            ca: directory.ca(),
            client: client.to_owned(),
            throttle: throttle.to_owned(),
            ..Settings::default()
        })
    }

    /// A world on a controller that the test has alone.
    pub(crate) fn alone(directory: &Alone) -> Self {
        World::with(Settings { directory: directory.address().to_owned(), ca: directory.ca(), ..Settings::default() })
    }

    /// A world with these settings; provider and service password are filled in.
    pub(crate) fn with(settings: Settings) -> Self {
        let phone = Phone::start();
        let relay = Relay::to(phone.address());
        let server = Server::start(&Settings {
            provider: format!("http://{}", relay.address()),
            service_password: SERVICE_PASSWORD.to_owned(),
            ..settings
        });
        World { server, phone, relay }
    }

    /// A RADIUS client with the right secret.
    pub(crate) fn nas(&self) -> Nas {
        Nas::new(self.server.radius(), SHARED_SECRET)
    }

    /// Enrols people by account name, each with a device named after them.
    pub(crate) fn enrol(&self, accounts: &[&str]) {
        for account in accounts {
            let token = device_token(account);
            self.server.run(&["user", "add", account, "--method", "push", "--device-token", &token]);
        }
    }

    /// One sign-in by a client of its own, as far as its reply.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Reply {
        let reply = self.nas().ask(name, password.as_bytes(), SOON);
        reply.unwrap_or_else(|| panic!("no answer for {name:?}"))
    }
}

/// The device of an account.
pub(crate) fn device_token(account: &str) -> String {
    format!("device-token-of-{account}")
}
