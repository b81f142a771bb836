//! `kill -9` in the middle of holds: nobody comes in without proof, and the store is intact.

use sqlx::{Connection, Row, SqliteConnection};

use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::server::Server;
use crate::peers::wire::ACCESS_ACCEPT;
use crate::peers::world::{SILENCE, SOON, World};

/// The first column of every row that `query` gives.
fn ask_the_store(server: &Server, query: &'static str) -> Vec<String> {
    let url = format!("sqlite://{}?mode=rw", server.store().display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    })
}

#[test]
fn killed_amid_holds_nobody_comes_in_and_the_store_is_intact() {
    let Some(directory) = Directory::get() else { return };
    let mut world = World::new(&directory, "", "");
    world.enrol(&["alice", "bob", "carol"]);

    // one whole sign-in before, whose record must survive
    let mut carol = world.nas();
    let carols = carol.request("carol", PASSWORD.as_bytes(), &[]);
    carol.send(&carols);
    world.phone.approve(&world.phone.prompt_of("carol"));
    assert_eq!(carol.receive(&carols, SOON).unwrap().code, ACCESS_ACCEPT);
    world.server.event("carol");

    let (mut alice, mut bob) = (world.nas(), world.nas());
    let alices = alice.request("alice", PASSWORD.as_bytes(), &[]);
    let bobs = bob.request("bob", PASSWORD.as_bytes(), &[]);
    alice.send(&alices);
    bob.send(&bobs);
    let (alices_prompt, bobs_prompt) = (world.phone.prompt_of("alice"), world.phone.prompt_of("bob"));

    world.server.kill();
    world.phone.approve(&alices_prompt);
    assert!(alice.receive(&alices, SILENCE).is_none());
    assert_eq!(ask_the_store(&world.server, "PRAGMA integrity_check"), ["ok"]);

    world.server.start_again();
    // the old holds are gone with the old process: neither the approval nor silence lets anybody in
    assert!(alice.receive(&alices, SILENCE).is_none());
    assert!(bob.receive(&bobs, SILENCE).is_none());
    // bob's client sends the very same packet again: a new sign-in with a new prompt, held like any other
    let asked = world.phone.asked();
    bob.send(&bobs);
    let again = world.phone.prompt_after("bob", &bobs_prompt);
    assert!(bob.receive(&bobs, SILENCE).is_none(), "answered without proof");
    assert_eq!(world.phone.asked(), asked + 1);
    world.phone.approve(&again);
    assert_eq!(bob.receive(&bobs, SOON).unwrap().code, ACCESS_ACCEPT);

    // everybody is still enrolled, and the finished sign-in is still on record
    for name in ["alice", "bob", "carol"] {
        world.server.run(&["user", "show", name]);
    }
    assert_eq!(world.server.event("carol")["reason"], "approved");
    assert_eq!(ask_the_store(&world.server, "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn killed_again_and_again_the_store_stays_sound() {
    let Some(directory) = Directory::get() else { return };
    let mut world = World::new(&directory, "", "");
    world.enrol(&["clumsy6", "clumsy7", "clumsy8", "clumsy9"]);
    for round in 0..3 {
        // wrong passwords make writes without prompts; the kill falls among them
        let mut nas = world.nas();
        for name in ["clumsy6", "clumsy7", "clumsy8", "clumsy9"] {
            let request = nas.request(name, format!("wrong {round}").as_bytes(), &[]);
            nas.send(&request);
        }
        std::thread::sleep(std::time::Duration::from_millis(20 * round));
        world.server.kill();
        assert_eq!(ask_the_store(&world.server, "PRAGMA integrity_check"), ["ok"]);
        world.server.start_again();
    }
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("clumsy6", PASSWORD).code, ACCESS_ACCEPT);
    let people = String::from_utf8(world.server.run(&["user", "list"]).stdout).unwrap();
    for name in ["clumsy6", "clumsy7", "clumsy8", "clumsy9"] {
        assert!(people.contains(name), "{name} is gone:\n{people}");
    }
}
