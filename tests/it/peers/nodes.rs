//! The real program twice on one PostgreSQL: two nodes with one key file, one phone service, one directory.

use std::net::SocketAddr;

use serde_json::Value;

use super::phone::Phone;
use super::postgres::Postgres;
use super::samba::{Directory, SERVICE_PASSWORD};
use super::server::{Server, Settings};
use super::world::device_token;

/// Two servers with one database, one key file and one phone service.
pub(crate) struct Nodes {
    pub(crate) one: Server,
    pub(crate) two: Server,
    pub(crate) phone: Phone,
    _directory: Directory,
}

impl Nodes {
    /// With alice, who has an app. `client` are further keys of the client's section, `provider` of the provider's,
    /// `throttle` all of the throttle's.
    pub(crate) fn new(database: &str, client: &str, provider: &str, throttle: &str) -> Option<Nodes> {
        let directory = Directory::get()?;
        let postgres = Postgres::shared()?;
        let store = postgres.section(&postgres.database(database));
        let phone = Phone::start();
        let settings = Settings {
            directory: directory.address().to_owned(),
            ca: directory.ca(),
            provider: format!("http://{}", phone.address()),
            service_password: SERVICE_PASSWORD.to_owned(),
            client: client.to_owned(),
            ..Settings::default()
        };
        let node = |name: &str, keys: Option<&Server>| {
            Server::start_written(|folder, address| {
                let own = format!("store = \"{}/anteroom.db\"", folder.display());
                let keys = keys.map_or(folder, Server::folder).join("anteroom.keys");
                let shared = format!("{store}\nkeys = \"{}\"", keys.display());
                let written = settings
                    .written(folder, address)
                    .replace(&own, &shared)
                    .replace("test-node\"\nstore", &format!("{name}\"\nstore"));
                assert!(written.contains(&shared) && written.contains(name), "{written}");
                let (before, after) = written.split_once("[throttle]\n").unwrap();
                let (_, after) = after.split_once("[audit]").unwrap();
                format!("{before}{provider}\n\n[throttle]\n{throttle}\n\n[audit]{after}")
            })
        };
        let one = node("node-one", None);
        let two = node("node-two", Some(&one));
        one.run(&["user", "add", "alice", "--method", "push", "--device-token", &device_token("alice")]);
        Some(Nodes { one, two, phone, _directory: directory })
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [self.one.radius(), self.two.radius()]
    }

    /// The ends of all sign-ins, at both nodes, of which there are at least `count`.
    pub(crate) fn events(&self, count: usize) -> Vec<Value> {
        super::eventually("the ends of all sign-ins", || {
            let events: Vec<Value> = [&self.one, &self.two].iter().flat_map(|server| server.all_events(0)).collect();
            (events.len() >= count).then_some(events)
        })
    }

    /// Their reasons.
    pub(crate) fn reasons(&self, count: usize) -> Vec<String> {
        self.events(count).iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }
}
