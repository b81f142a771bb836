//! Challenges of two and three rounds with pyrad, which shares nothing with our own client: it takes the State as octets and
//! sends it back.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::peers::peer_file;
use crate::peers::pyrad_is_there;
use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::server::SHARED_SECRET;
use crate::peers::world::World;

pub(crate) const CHALLENGE: u64 = 11;
pub(crate) const ACCEPT: u64 = 2;
const REJECT: u64 = 3;

/// A world whose client shows challenges; `keys` are further ones of it.
fn world(keys: &str) -> Option<World> {
    let directory = Directory::get().filter(|_| pyrad_is_there())?;
    let world = World::new(&directory, &format!("challenge = \"yes\"\n{keys}"), "");
    world.enrol(&["alice"]);
    Some(world)
}

/// Begins a sign-in of alice's; her password, then what she types.
fn begin(world: &World, typed: &[&str]) -> Child {
    begin_at(&[world.server.radius()], typed)
}

/// The same at these servers in turn, which have one port.
pub(crate) fn begin_at(servers: &[SocketAddr], typed: &[&str]) -> Child {
    let addresses: Vec<String> = servers.iter().map(|server| server.ip().to_string()).collect();
    let port = servers[0].port().to_string();
    let mut client = Command::new("/usr/bin/python3");
    client.arg(peer_file("pyrad-rounds.py"));
    client.args([&addresses.join(","), &port, SHARED_SECRET, "15", "alice", PASSWORD]);
    client.args(typed).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What pyrad got in each round, and the texts that it could show. All of what was to be typed must have been.
pub(crate) fn end(client: Child) -> (Vec<u64>, Vec<String>) {
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.pop().unwrap()["left"], 0, "{text}");
    for line in &lines {
        assert_eq!(line["signed_first"], true, "{text}");
        let challenge = line["code"] == CHALLENGE;
        assert_eq!(
            (line["state"] == 65, line["texts"].as_array().unwrap().len() == 1),
            (challenge, challenge),
            "{text}"
        );
    }
    let texts = lines.iter().filter_map(|line| Some(line["texts"][0].as_str()?.to_owned()));
    (lines.iter().map(|line| line["code"].as_u64().unwrap()).collect(), texts.collect())
}

#[test]
fn a_code_is_asked_for_and_lets_in_in_two_rounds() {
    let Some(world) = world("") else { return };
    world.phone.want_codes();
    let (codes, texts) = end(begin(&world, &["123456"]));
    assert_eq!((codes, texts), (vec![CHALLENGE, ACCEPT], vec!["Enter your code.".to_owned()]));
    assert_eq!(world.server.event("alice")["reason"], "approved");
}

#[test]
fn a_wrong_code_is_followed_by_the_right_one_in_three_rounds() {
    let Some(world) = world("") else { return };
    world.phone.want_codes();
    let (codes, texts) = end(begin(&world, &["654321", "123456"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, ACCEPT]);
    assert_eq!(texts[1], "That was not right. 2 more tries: Enter your code.");
    assert_eq!(world.server.event("alice")["reason"], "approved", "one sign-in, one event");
}

#[test]
fn wrong_codes_end_with_the_tries() {
    let Some(world) = world("challenge_tries = 2") else { return };
    world.phone.want_codes();
    let (codes, _) = end(begin(&world, &["654321", "111111"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, REJECT]);
    assert_eq!(world.server.event("alice")["reason"], "wrong_code");
}

#[test]
fn from_a_menu_the_code_is_chosen_and_typed_in_three_rounds() {
    let Some(world) = world("challenge_menu = true\nmethods = [\"push\", \"oath\"]") else { return };
    let (codes, texts) = end(begin(&world, &["2", "123456"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, ACCEPT]);
    assert_eq!(texts, ["How do you want to sign in? 1 = app, 2 = code of your token", "Enter your code."]);
    assert_eq!(world.server.event("alice")["method"], "oath");
    // the code is the only thing that the phone service was asked about
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn beside_an_open_push_a_code_lets_in_and_the_push_is_taken_back() {
    let Some(world) = world("challenge_beside_prompt = true") else { return };
    let (codes, texts) = end(begin(&world, &["123456"]));
    assert_eq!(codes, [CHALLENGE, ACCEPT]);
    assert!(texts[0].starts_with("Approve on your phone"), "{texts:?}");
    assert_eq!(world.server.event("alice")["method"], "oath");
    crate::peers::eventually("the push to be taken back", || (world.phone.open() == 0).then_some(()));
}

#[test]
fn a_push_that_is_approved_between_two_rounds_lets_in() {
    let Some(world) = world("challenge_beside_prompt = true") else { return };
    let mut client = begin(&world, &["wait", "ok"]);
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines().map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["code"].as_u64()
    });
    assert_eq!(lines.next().unwrap(), Some(CHALLENGE));
    world.phone.approve(&world.phone.prompt_of("alice"));
    client.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(lines.next().unwrap(), Some(ACCEPT));
    assert!(client.wait().unwrap().success());
    assert_eq!((world.phone.asked(), &world.server.event("alice")["method"]), (1, &Value::from("push")));
}
