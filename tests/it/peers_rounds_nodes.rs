//! Rounds of challenges over the wire at two nodes in turn: the program twice on one PostgreSQL, asked by radclient, which takes
//! each State as text, and by pyrad, which takes it as octets. A State is good once over both, also when it comes at once.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use crate::peers::nodes::Nodes;
use crate::peers::samba::PASSWORD;
use crate::peers::{program, pyrad_is_there};
use crate::peers_clients::radclient_begun;
use crate::peers_rounds::{ACCEPT, CHALLENGE, begin_at, end};

/// Two nodes whose client shows challenges; `client` are further keys of its section, `provider` of the provider's.
fn nodes(database: &str, client: &str, provider: &str) -> Option<Nodes> {
    if !pyrad_is_there() || !program("radclient") {
        return None;
    }
    Nodes::new(database, &format!("challenge = \"yes\"\n{client}"), provider, "prompts_per_person = 100")
}

/// What radclient got.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    /// `Access-Challenge` and so on.
    what: String,
    state: Option<String>,
    text: Option<String>,
}

/// radclient with one request of alice's; `state` as it shows one.
fn ask(server: SocketAddr, typed: &str, state: Option<&str>) -> Child {
    let mut attributes = format!("User-Name = \"alice\"\nUser-Password = \"{typed}\"\nMessage-Authenticator = 0x00\n");
    if let Some(state) = state {
        attributes.push_str(&format!("State = {state}\n"));
    }
    radclient_begun(server, "auth", &["-t", "15", "-r", "1"], &attributes)
}

fn reply(client: Child) -> Reply {
    let output = client.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, received) = text.split_once("Received ").unwrap_or_else(|| panic!("{output:?}"));
    let value = |name: &str| {
        let line = received.lines().find_map(|line| line.trim().strip_prefix(&format!("{name} = ")));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let what = received.split_whitespace().next().unwrap().to_owned();
    Reply { what, state: value("State"), text: value("Reply-Message") }
}

/// Sends one request and waits for its answer.
fn answer(server: SocketAddr, typed: &str, state: Option<&str>) -> Reply {
    reply(ask(server, typed, state))
}

#[test]
fn radclient_answers_at_the_other_node_and_no_state_is_good_twice() {
    let Some(nodes) = nodes("wire_turns", "", "") else { return };
    nodes.phone.want_codes();
    let [one, two] = nodes.addresses();
    let first = answer(one, PASSWORD, None);
    assert_eq!((first.what.as_str(), first.text.as_deref()), ("Access-Challenge", Some("Enter your code.")));
    let second = answer(two, "654321", first.state.as_deref());
    assert_eq!(second.text.as_deref(), Some("That was not right. 2 more tries: Enter your code."));
    let third = answer(one, "654322", second.state.as_deref());
    assert_eq!(third.text.as_deref(), Some("That was not right. One more try: Enter your code."));
    let last = answer(two, "123456", third.state.as_deref());
    assert_eq!((last.what.as_str(), last.state), ("Access-Accept", None));
    for used in [&first, &second, &third] {
        for node in [one, two] {
            let again = answer(node, "123456", used.state.as_deref());
            assert_eq!(again.what, "Access-Reject", "{again:?}");
        }
    }
    let reasons = nodes.reasons(7);
    assert_eq!(reasons.iter().filter(|reason| *reason == "approved").count(), 1, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "state_used").count(), 6, "{reasons:?}");
}

#[test]
fn pyrad_goes_through_a_menu_and_a_wrong_code_at_two_nodes_in_turn() {
    let Some(nodes) = nodes("wire_menu", "challenge_menu = true\nmethods = [\"push\", \"oath\"]", "") else {
        return;
    };
    let (codes, texts) = end(begin_at(&nodes.addresses(), &["2", "654321", "123456"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, CHALLENGE, ACCEPT]);
    assert_eq!(texts[1..], ["Enter your code.", "That was not right. 2 more tries: Enter your code."]);
    assert_eq!(nodes.reasons(1), ["approved"], "one sign-in at both nodes, one end");
}

#[test]
fn a_state_that_comes_to_both_nodes_at_once_is_taken_once() {
    let Some(nodes) = nodes("wire_race", "", "") else { return };
    nodes.phone.want_codes();
    let first = answer(nodes.one.radius(), PASSWORD, None);
    let clients: Vec<Child> =
        (0..8).map(|number| ask(nodes.addresses()[number % 2], "123456", first.state.as_deref())).collect();
    let replies: Vec<String> = clients.into_iter().map(|client| reply(client).what).collect();
    // The same node answers the same question the same; the other one has nothing to answer it with.
    let reasons = crate::peers::eventually("the end of the one that was first", || {
        Some(nodes.reasons(2)).filter(|reasons| reasons.iter().any(|reason| reason == "approved"))
    });
    assert_eq!(reasons.iter().filter(|reason| *reason == "approved").count(), 1, "{reasons:?} {replies:?}");
    assert!(replies.iter().any(|what| what == "Access-Accept"), "{replies:?}");
    assert!(reasons.iter().all(|reason| reason == "approved" || reason == "state_used"), "{reasons:?}");
    assert_eq!(nodes.phone.asked(), 2, "the first request, and one code: {replies:?}");
}

#[test]
fn the_pin_and_its_change_go_from_node_to_node() {
    let Some(nodes) = nodes("wire_pin", "", "") else { return };
    nodes.phone.approve_by_itself();
    in_pin_mode(&nodes, &["--must-change"]);
    let (codes, texts) = end(begin_at(&nodes.addresses(), &["40927", "70913", "70913"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, CHALLENGE, ACCEPT]);
    assert_eq!(texts[0], "Enter your PIN.");
    assert!(texts[1].starts_with("Your PIN has to be changed."), "{texts:?}");
    assert_eq!(texts[2], "Enter the new PIN once more.");
    // from now on it is the new one, at either node
    let (codes, _) = end(begin_at(&nodes.addresses(), &["40927", "70913"]));
    assert_eq!(codes, [CHALLENGE, CHALLENGE, ACCEPT]);
}

#[test]
fn a_pin_that_is_typed_on_the_phone_needs_no_round_and_a_number_is_shown() {
    let Some(nodes) = nodes("wire_phone", "", "pin_on_phone = true\nnumber_matching = true") else { return };
    in_pin_mode(&nodes, &[]);
    let first = answer(nodes.one.radius(), PASSWORD, None);
    let prompt = nodes.phone.prompt_of("alice");
    let number = prompt.shown.clone().unwrap();
    assert!(prompt.wants_pin);
    assert_eq!(first.text, Some(format!("Enter {number} in your app, then press OK here.")));
    nodes.phone.types("alice", Some("40927"), None);
    nodes.phone.approve(&prompt);
    // the prompt is out at the first node: its answer is there
    assert_eq!(answer(nodes.one.radius(), "ok", first.state.as_deref()).what, "Access-Accept");
    // a wrong PIN on the phone is asked for at the client, and then the phone once more, without it
    nodes.phone.types("alice", Some("40928"), None);
    let first = answer(nodes.one.radius(), PASSWORD, None);
    let second = nodes.phone.prompt_after("alice", &prompt);
    nodes.phone.approve(&second);
    let wrong = answer(nodes.one.radius(), "ok", first.state.as_deref());
    assert_eq!(wrong.text.as_deref(), Some("That was not right. 2 more tries: Enter your PIN."));
    let shown = answer(nodes.two.radius(), "40927", wrong.state.as_deref());
    let third = nodes.phone.prompt_after("alice", &second);
    assert!(!third.wants_pin && shown.text.unwrap().contains(&*third.shown.clone().unwrap()));
    // another number than the one that is shown is a denial
    nodes.phone.types("alice", None, Some("1"));
    nodes.phone.approve(&third);
    assert_eq!(answer(nodes.two.radius(), "ok", shown.state.as_deref()).what, "Access-Reject");
    assert_eq!(nodes.reasons(2).iter().filter(|reason| *reason == "denied").count(), 1);
    for server in [&nodes.one, &nodes.two] {
        assert!(!server.logs().contains("40927") && !server.audit().contains("40927"), "no PIN is written anywhere");
    }
}

/// Alice in PIN mode, with the PIN 40927.
fn in_pin_mode(nodes: &Nodes, more: &[&str]) {
    nodes.one.run(&["user", "set", "alice", "--mode", "pin"]);
    let mut command = nodes.one.command(&[&["user", "pin", "alice"], more].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"40927\n").unwrap();
    assert!(child.wait().unwrap().success());
}
