//! Prompts of two nodes on one PostgreSQL, the program twice: whichever of them a request reaches, a sign-in has one
//! prompt, a person has one count of them, and an approval is good for one retry.

use std::thread;
use std::time::{Duration, Instant};

use crate::peers::nodes::Nodes;
use crate::peers::program;
use crate::peers::samba::PASSWORD;
use crate::peers::server::SHARED_SECRET;
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas, Reply, Request};
use crate::peers::world::{SILENCE, SOON};
use crate::peers_clients::radclient_begun;

const CALLING_STATION_ID: u8 = 31;
const GENEROUS: &str = "prompts_per_person = 100";

/// A request of alice's that is under way at one of the nodes.
struct Asked {
    nas: Nas,
    request: Request,
}

impl Asked {
    fn of(nodes: &Nodes, node: usize, from: &str) -> Asked {
        let mut nas = Nas::new(nodes.addresses()[node], SHARED_SECRET);
        let request = nas.request("alice", PASSWORD.as_bytes(), &[(CALLING_STATION_ID, from.as_bytes())]);
        nas.send(&request);
        Asked { nas, request }
    }

    fn reply(&self) -> Reply {
        self.nas.receive(&self.request, SOON).expect("an answer")
    }

    fn is_silent(&self) -> bool {
        self.nas.receive(&self.request, SILENCE).is_none()
    }
}

/// Longer than it takes a node to look what has become of another one's prompt.
fn a_while() {
    thread::sleep(Duration::from_millis(1500));
}

#[test]
fn a_retry_at_the_other_node_waits_for_the_prompt_that_is_out_and_both_are_let_in_by_it() {
    let Some(nodes) = Nodes::new("prompts_joined", "", "", GENEROUS).filter(|_| program("radclient")) else { return };
    let first = Asked::of(&nodes, 0, "");
    let prompt = nodes.phone.prompt_of("alice");
    // The appliance has given its first server up and asks the second.
    let attributes = format!(
        "User-Name = \"alice\"\nUser-Password = \"{PASSWORD}\"\nCalling-Station-Id = \"\"\nMessage-Authenticator = 0x00\n"
    );
    let second = radclient_begun(nodes.two.radius(), "auth", &["-t", "15", "-r", "1"], &attributes);
    a_while();
    assert!(first.is_silent());
    assert_eq!(nodes.phone.asked(), 1, "one sign-in, one prompt");
    nodes.phone.approve(&prompt);
    assert_eq!(first.reply().code, ACCESS_ACCEPT);
    let output = second.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("Received Access-Accept"), "{output:?}");
    assert_eq!(nodes.phone.asked(), 1);
    let events = nodes.events(2);
    assert!(events.iter().all(|event| event["reason"] == "approved" && event["method"] == "push"), "{events:?}");
    let factors: Vec<_> = events.iter().map(|event| event["factor"].as_str().unwrap()).collect();
    assert_eq!(factors, ["approved", "carried_over"]);
    // The next one is another sign-in.
    let third = Asked::of(&nodes, 1, "");
    nodes.phone.approve(&nodes.phone.prompt_after("alice", &prompt));
    assert_eq!((third.reply().code, nodes.phone.asked()), (ACCESS_ACCEPT, 2));
}

#[test]
fn a_denial_ends_the_sign_in_at_both_nodes_and_neither_asks_again_at_once() {
    let Some(nodes) = Nodes::new("prompts_denied", "", "", "denial_backoff = \"1h\"") else { return };
    let (first, second) = (Asked::of(&nodes, 0, ""), {
        let prompt = nodes.phone.prompt_of("alice");
        let second = Asked::of(&nodes, 1, "");
        a_while();
        nodes.phone.deny(&prompt);
        second
    });
    assert_eq!([first.reply().code, second.reply().code], [ACCESS_REJECT; 2]);
    assert_eq!(nodes.reasons(2), ["denied"; 2]);
    // From wherever, at whichever node.
    for node in [0, 1, 1, 0] {
        assert_eq!(Asked::of(&nodes, node, "10.0.0.9").reply().code, ACCESS_REJECT);
    }
    assert_eq!(nodes.phone.asked(), 1);
    let reasons = nodes.reasons(6);
    assert_eq!(reasons.iter().filter(|reason| *reason == "prompt_limited").count(), 4, "{reasons:?}");
    let report = nodes.two.run(&["report", "denials", "--format", "csv"]);
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.contains("node-one") && report.contains("node-two"), "{report}");
}

#[test]
fn an_approval_that_came_too_late_is_good_for_one_retry_at_whichever_node() {
    let client = "gives_up_after = \"1s\"\ncarry_over = \"1m\"";
    let Some(nodes) = Nodes::new("prompts_carried", client, "", GENEROUS) else { return };
    let first = Asked::of(&nodes, 0, "");
    let prompt = nodes.phone.prompt_of("alice");
    // Its client says nothing for longer than it ever waits.
    a_while();
    nodes.phone.approve(&prompt);
    assert_eq!(first.reply().code, ACCESS_ACCEPT);
    let retry = Asked::of(&nodes, 1, "");
    assert_eq!((retry.reply().code, nodes.phone.asked()), (ACCESS_ACCEPT, 1));
    // That was the one; the node that has got it has none left either.
    let again = Asked::of(&nodes, 0, "");
    nodes.phone.deny(&nodes.phone.prompt_after("alice", &prompt));
    assert_eq!((again.reply().code, nodes.phone.asked()), (ACCESS_REJECT, 2));
    let events = nodes.events(3);
    let carried = events.iter().filter(|event| event["factor"] == "carried_over").count();
    assert_eq!(carried, 1, "{events:?}");
}

#[test]
fn who_bombs_both_nodes_gets_no_more_prompts_than_from_one() {
    let throttle = "prompts_per_person = 3\nprompt_window = \"1h\"";
    let client = "person_address = \"Calling-Station-Id\"\nanswer_within = \"10s\"";
    let Some(nodes) = Nodes::new("prompts_bombed", client, "", throttle) else { return };
    // Each from an address of its own: sign-ins that have nothing to do with each other.
    let asked: Vec<Asked> = (0..24).map(|number| Asked::of(&nodes, number % 2, &format!("10.0.0.{number}"))).collect();
    assert!(asked.iter().all(|asked| asked.reply().code == ACCESS_REJECT));
    assert_eq!(nodes.phone.asked(), 3, "three in an hour, over both nodes");
    let reasons = nodes.reasons(24);
    let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    assert_eq!(count("prompt_limited") + count("over_held_person"), 21, "{reasons:?}");
    assert!(count("prompt_limited") > 0, "{reasons:?}");
}

#[test]
fn what_a_node_had_out_that_has_died_is_asked_anew_by_the_other() {
    let client = "answer_within = \"1m\"";
    let Some(mut nodes) = Nodes::new("prompts_orphaned", client, "", GENEROUS) else { return };
    let _first = Asked::of(&nodes, 0, "");
    let prompt = nodes.phone.prompt_of("alice");
    nodes.one.kill();
    let second = Asked::of(&nodes, 1, "");
    a_while();
    assert_eq!(nodes.phone.asked(), 1, "nobody knows yet that it has died");
    let end = Instant::now() + Duration::from_secs(45);
    while nodes.phone.asked() < 2 {
        assert!(Instant::now() < end, "nobody asks alice any more");
        thread::sleep(Duration::from_millis(200));
    }
    nodes.phone.approve(&nodes.phone.prompt_after("alice", &prompt));
    assert_eq!(second.reply().code, ACCESS_ACCEPT);
}

#[test]
fn check_counts_the_nodes_against_the_directorys_threshold() {
    let Some(nodes) = Nodes::new("prompts_checked", "", "", "failures_per_person = 4") else { return };
    // The domain locks at the fifth; one node stops after four, two of them may let five through.
    let output = nodes.two.command(&["check"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let line = told.lines().find(|line| line.contains("failures_per_person")).unwrap_or_else(|| panic!("{told}"));
    assert!(line.starts_with("FAIL") && line.contains("2 nodes") && line.contains("to 3 or less"), "{line}");
    assert!(!output.status.success());
}
