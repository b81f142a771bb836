//! Challenges over a `kill -9` of the real program: a State is good once, before and after; on SQLite a round ends with its
//! process, which is said; on PostgreSQL it goes on. A code that was used is not good again.

use crate::peers::phone::Phone;
use crate::peers::samba::{Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::server::{SHARED_SECRET, Server, Settings};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT, Nas, Reply};
use crate::peers::world::SOON;

const STATE: u8 = 24;

struct World {
    server: Server,
    _phone: Phone,
    codes: Vec<String>,
}

impl World {
    /// alice, with a list of codes of the house. `store`: lines of `[server]` in place of the file.
    fn new(directory: &Directory, store: Option<&str>) -> World {
        let phone = Phone::start();
        let settings = Settings {
            directory: directory.address().to_owned(),
            ca: directory.ca(),
            provider: format!("http://{}", phone.address()),
            service_password: SERVICE_PASSWORD.to_owned(),
            // The same password is asked again each time, and not told what it was told before.
            client: "challenge = \"yes\"\ncarry_over = \"0s\"".to_owned(),
            ..Settings::default()
        };
        let server = Server::start_written(|folder, address| {
            let own = format!("store = \"{}/anteroom.db\"", folder.display());
            let written = settings.written(folder, address).replace("provider = \"cloud\"", "provider = \"local\"");
            let store = store.map(|store| format!("{store}\nkeys = \"{}/anteroom.keys\"", folder.display()));
            let written = written.replace(&own, store.as_deref().unwrap_or(&own));
            format!("{written}\n[provider.local]\ntype = \"local\"\n")
        });
        server.run(&["user", "add", "alice", "--method", "oath"]);
        let output = server.run(&["user", "codes", "alice", "--output", "codes"]);
        let codes = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        World { server, _phone: phone, codes }
    }

    fn ask(&self, typed: &str, state: Option<&[u8]>) -> Reply {
        let more: Vec<(u8, &[u8])> = state.iter().map(|state| (STATE, *state)).collect();
        let mut nas = Nas::new(self.server.radius(), SHARED_SECRET);
        let request = nas.request("alice", typed.as_bytes(), &more);
        nas.send(&request);
        nas.receive(&request, SOON).expect("an answer")
    }

    /// A round that waits: its State.
    fn round(&self) -> Vec<u8> {
        let reply = self.ask(PASSWORD, None);
        assert_eq!(reply.code, ACCESS_CHALLENGE, "{reply:?}");
        reply.attributes.iter().find(|(number, _)| *number == STATE).unwrap().1.clone()
    }

    /// Once the audit has so many ends.
    fn restart(&mut self, ends: usize) {
        self.server.all_events(ends);
        self.server.kill();
        self.server.start_again();
    }

    /// Reasons of all ends so far, of which there are so many.
    fn reasons(&self, count: usize) -> Vec<String> {
        let events = self.server.all_events(count);
        events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn on_sqlite_a_restart_ends_rounds_with_a_clear_refusal_and_makes_no_state_or_code_good_again() {
    let Some(directory) = Directory::get() else { return };
    let mut world = World::new(&directory, None);
    let (used, waiting) = (world.round(), world.round());
    assert_eq!(world.ask(&world.codes[0], Some(&used)).code, ACCESS_ACCEPT);
    world.restart(1);
    // The round that waited went with its process: the right code is not even looked at.
    assert_eq!(world.ask(&world.codes[1], Some(&waiting)).code, ACCESS_REJECT);
    // The State that was used is not good again, neither with its code nor with another.
    assert_eq!(world.ask(&world.codes[0], Some(&used)).code, ACCESS_REJECT);
    assert_eq!(world.ask(&world.codes[1], Some(&used)).code, ACCESS_REJECT);
    let reasons = world.reasons(4);
    assert_eq!((reasons[0].as_str(), &reasons[1..]), ("approved", &["state_foreign"; 3].map(str::to_owned)[..]));
    // The code that was used is none any more, in a round of this process.
    let again = world.ask(&world.codes[0], Some(&world.round()));
    assert_eq!(again.code, ACCESS_CHALLENGE, "asked for another one");
    // And those that were not are good: nothing was used up by what was refused.
    assert_eq!(world.ask(&world.codes[1], Some(&world.round())).code, ACCESS_ACCEPT);
}

#[test]
fn on_postgres_a_round_outlives_its_process_and_its_state_is_taken_once() {
    let Some(directory) = Directory::get() else { return };
    let Some(postgres) = crate::peers::postgres::Postgres::shared() else { return };
    let section = postgres.section(&postgres.database("rounds_restart"));
    let mut world = World::new(&directory, Some(&section));
    let (used, waiting) = (world.round(), world.round());
    assert_eq!(world.ask(&world.codes[0], Some(&used)).code, ACCESS_ACCEPT);
    world.restart(1);
    assert_eq!(world.ask(&world.codes[1], Some(&used)).code, ACCESS_REJECT, "used before the restart");
    assert_eq!(world.ask(&world.codes[1], Some(&waiting)).code, ACCESS_ACCEPT, "it goes on");
    world.restart(3);
    assert_eq!(world.ask(&world.codes[2], Some(&waiting)).code, ACCESS_REJECT, "used by the process before");
    let again = world.ask(&world.codes[1], Some(&world.round()));
    assert_eq!(again.code, ACCESS_CHALLENGE, "a code that was used before the restart");
    let reasons = world.reasons(4);
    assert_eq!(reasons.iter().filter(|reason| *reason == "approved").count(), 2, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "state_used").count(), 2, "{reasons:?}");
}
