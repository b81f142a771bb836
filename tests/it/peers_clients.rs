//! Real RADIUS clients against the real program: radclient (FreeRADIUS), pyrad (Python), pam_radius.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::server::SHARED_SECRET;
use crate::peers::world::World;
use crate::peers::{peer_file, program, pyrad_is_there};

/// A world of approving people; `require` is the client's `require_message_authenticator`.
fn world(directory: &Directory, require: &str) -> World {
    let world = World::new(directory, &format!("require_message_authenticator = \"{require}\""), "");
    world.enrol(&["alice", "clumsy2", "clumsy4"]);
    world
}

/// Runs radclient: `what` is `auth`, `acct` or `status`, `options` such as `-t 5 -r 1`.
fn radclient(server: SocketAddr, what: &str, options: &[&str], attributes: &str) -> Output {
    radclient_begun(server, what, options, attributes).wait_with_output().unwrap()
}

/// The same, not waited for.
pub(crate) fn radclient_begun(server: SocketAddr, what: &str, options: &[&str], attributes: &str) -> Child {
    let mut client = Command::new("radclient")
        .arg("-x")
        .args(options)
        .args([&server.to_string(), what, SHARED_SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    client
}

/// Whether radclient took this reply. It passes over replies whose authenticators are wrong.
fn received(output: &Output, reply: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(&format!("Received {reply}"))
}

fn sign_in_as(name: &str, password: &str) -> String {
    format!("User-Name = \"{name}\"\nUser-Password = \"{password}\"\nMessage-Authenticator = 0x00\n")
}

#[test]
fn radclient_is_let_in_after_approval() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    world.phone.approve_by_itself();
    let output = radclient(world.server.radius(), "auth", &["-t", "10", "-r", "1"], &sign_in_as("alice", PASSWORD));
    assert!(received(&output, "Access-Accept"), "{output:?}");
    assert_eq!(world.server.event("alice")["reason"], "approved");
}

#[test]
fn radclient_signs_in_and_reports_over_tcp_on_loopback_under_the_same_rules() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    world.phone.approve_by_itself();
    let over_tcp = ["-P", "tcp", "-t", "10", "-r", "1"];
    let ask = |what: &str, attributes: &str| radclient(world.server.radius(), what, &over_tcp, attributes);
    let output = ask("auth", &sign_in_as("alice", PASSWORD));
    assert!(received(&output, "Access-Accept"), "{output:?}");
    assert_eq!(world.server.event("alice")["reason"], "approved");
    let output = ask("auth", &sign_in_as("clumsy4", "wrong"));
    assert!(received(&output, "Access-Reject"), "{output:?}");
    let output = ask("acct", "Acct-Status-Type = Start\nAcct-Session-Id = \"tcp-1\"\nUser-Name = \"alice\"\n");
    assert!(received(&output, "Accounting-Response"), "{output:?}");
    let output = ask("status", "Message-Authenticator = 0x00\n");
    assert!(received(&output, "Access-Accept"), "{output:?}");
    // TCP proves nothing of who speaks: an unsigned request gets as little as over UDP.
    let unsigned = format!("User-Name = \"alice\"\nUser-Password = \"{PASSWORD}\"\n");
    let output = radclient(world.server.radius(), "auth", &["-P", "tcp", "-t", "1", "-r", "1"], &unsigned);
    assert!(!received(&output, "Access"), "{output:?}");
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn radclient_is_refused_for_a_wrong_password() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    world.phone.approve_by_itself();
    let output = radclient(world.server.radius(), "auth", &["-t", "10", "-r", "1"], &sign_in_as("clumsy2", "wrong"));
    assert!(received(&output, "Access-Reject"), "{output:?}");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn unsigned_radclient_gets_nothing_where_a_signature_is_required() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    world.phone.approve_by_itself();
    let unsigned = format!("User-Name = \"alice\"\nUser-Password = \"{PASSWORD}\"\n");
    let output = radclient(world.server.radius(), "auth", &["-t", "1", "-r", "2"], &unsigned);
    assert!(!received(&output, "Access"), "{output:?}");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn auto_ends_with_the_first_signed_request() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "auto");
    world.phone.approve_by_itself();
    let unsigned = format!("User-Name = \"alice\"\nUser-Password = \"{PASSWORD}\"\n");
    let ask = |attributes: &str| radclient(world.server.radius(), "auth", &["-t", "3", "-r", "1"], attributes);
    assert!(received(&ask(&unsigned), "Access-Accept"), "refused before anything signed was seen");
    assert!(received(&ask(&sign_in_as("alice", PASSWORD)), "Access-Accept"));
    assert!(!received(&ask(&unsigned), "Access"), "a downgrade was taken");
}

#[test]
fn impatient_radclient_causes_one_prompt() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    let server = world.server.radius();
    // the same packet every half second, up to twenty times
    let client =
        thread::spawn(move || radclient(server, "auth", &["-t", "0.5", "-r", "20"], &sign_in_as("alice", PASSWORD)));
    let prompt = world.phone.prompt_of("alice");
    thread::sleep(std::time::Duration::from_secs(3));
    world.phone.approve(&prompt);
    let output = client.join().unwrap();
    assert!(received(&output, "Access-Accept"), "{output:?}");
    let sent = String::from_utf8_lossy(&output.stdout).matches("Sent Access-Request").count();
    assert!(sent >= 3, "radclient was not impatient: it sent {sent}");
    assert_eq!(world.phone.asked(), 1);
    assert_eq!(world.server.event("alice")["verdict"], "accept");
}

#[test]
fn status_server_is_answered_at_both_ports() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    let options = ["-t", "3", "-r", "1"];
    let output = radclient(world.server.radius(), "status", &options, "Message-Authenticator = 0x00\n");
    assert!(received(&output, "Access-Accept"), "{output:?}");
    let output = radclient(world.server.accounting(), "status", &options, "Message-Authenticator = 0x00\n");
    assert!(received(&output, "Accounting-Response"), "{output:?}");
}

#[test]
fn accounting_is_acknowledged() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "yes");
    for status in ["Start", "Interim-Update", "Stop"] {
        let record = format!("User-Name = \"alice\"\nAcct-Status-Type = {status}\nAcct-Session-Id = \"0001\"\n");
        let output = radclient(world.server.accounting(), "acct", &["-t", "3", "-r", "1"], &record);
        assert!(received(&output, "Accounting-Response"), "{status}: {output:?}");
    }
    crate::peers::eventually("three accounting lines in the audit file", || {
        let audit = world.server.audit();
        let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let reported: Vec<_> = lines.filter(|line| line["kind"] == "accounting").collect();
        let words: Vec<_> = reported.iter().filter_map(|line| line["status"].as_str()).collect();
        let done = words == ["start", "interim_update", "stop"];
        (done && reported.iter().all(|line| line["name"] == "alice" && line["session"] == "0001")).then_some(())
    });
}

/// The State of the challenge that radclient got.
fn state(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    // The last one: before it radclient shows what it sent itself.
    let state = text.lines().filter_map(|line| line.trim().strip_prefix("State = ")).next_back();
    state.unwrap_or_else(|| panic!("no State in {text}")).to_owned()
}

/// The next round: what is typed, and the State.
fn answer(name: &str, typed: &str, state: &str) -> String {
    format!("{}State = {state}\n", sign_in_as(name, typed))
}

#[test]
fn radclient_is_asked_for_a_code_and_answers_in_three_rounds() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let local = "[[route]]\nprovider = [\"local\"]\nmethods = [\"oath\"]\n[provider.local]\ntype = \"local\"";
    let world = World::new(&directory, &format!("challenge = \"yes\"\n{local}"), "");
    world.enrol(&["alice"]);
    let reason = ["--for", "1h", "--uses", "1", "--reason", "phone forgotten", "--output", "codes"];
    let made = world.server.run(&[["user", "code", "alice"].as_slice(), &reason].concat());
    let code = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let ask = |attributes: &str| radclient(world.server.radius(), "auth", &["-t", "10", "-r", "1"], attributes);
    let asked = ask(&sign_in_as("alice", PASSWORD));
    assert!(received(&asked, "Access-Challenge"), "{asked:?}");
    let again = ask(&answer("alice", "000000000", &state(&asked)));
    assert!(received(&again, "Access-Challenge"), "{again:?}");
    let right = answer("alice", &code, &state(&again));
    assert!(received(&ask(&right), "Access-Accept"));
    assert!(received(&ask(&right), "Access-Reject"), "a State was good twice");
    assert_eq!(world.phone.asked(), 0);
    let reasons: Vec<_> = world.server.events("alice", 2).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["approved", "state_used"]);
}

#[test]
fn radclient_is_shown_a_challenge_beside_the_prompt_and_goes_on_once_that_is_approved() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = World::new(&directory, "challenge = \"yes\"\nchallenge_beside_prompt = true", "");
    world.enrol(&["alice"]);
    let ask = |attributes: &str| radclient(world.server.radius(), "auth", &["-t", "15", "-r", "1"], attributes);
    let asked = ask(&sign_in_as("alice", PASSWORD));
    assert!(received(&asked, "Access-Challenge"), "{asked:?}");
    world.phone.approve(&world.phone.prompt_of("alice"));
    let ended = ask(&answer("alice", "ok", &state(&asked)));
    assert!(received(&ended, "Access-Accept"), "{ended:?}");
    assert_eq!((world.phone.asked(), &world.server.event("alice")["reason"]), (1, &Value::from("approved")));
}

/// One sign-in with pyrad; its view of the reply.
fn pyrad(server: SocketAddr, name: &str, password: &str) -> Value {
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let output = Command::new("/usr/bin/python3")
        .arg(peer_file("pyrad-client.py"))
        .args([&address, &port, SHARED_SECRET, "10", name, password])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn pyrad_finds_every_reply_signed_first_and_right() {
    let Some(directory) = Directory::get().filter(|_| pyrad_is_there()) else { return };
    let world = World::new(&directory, "reply_attributes = [\"Class = staff\"]\nreject_message = \"No.\"", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    let accept = pyrad(world.server.radius(), "alice", PASSWORD);
    assert_eq!(
        (&accept["code"], &accept["authentic"], &accept["signed_first"]),
        (&2.into(), &true.into(), &true.into())
    );
    assert_eq!(accept["attributes"], serde_json::json!([80, 25]));
    let reject = pyrad(world.server.radius(), "clumsy3", "wrong");
    assert_eq!(
        (&reject["code"], &reject["authentic"], &reject["signed_first"]),
        (&3.into(), &true.into(), &true.into())
    );
    assert_eq!(reject["attributes"], serde_json::json!([80, 18]));
}

/// One PAM sign-in; whether it let the person in.
fn pam_radius(server: SocketAddr, seconds: u32, name: &str, password: &str) -> bool {
    let output = Command::new(peer_file("pam-radius.sh"))
        .args([&server.to_string(), SHARED_SECRET, &seconds.to_string(), name, password])
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
    output.status.success()
}

#[test]
fn pam_radius_signs_nothing_and_needs_no_or_auto() {
    let Some(directory) = Directory::get().filter(|_| program("pamtester")) else { return };
    for (require, let_in) in [("yes", false), ("no", true), ("auto", true)] {
        let world = world(&directory, require);
        world.phone.approve_by_itself();
        let seconds = if let_in { 10 } else { 2 };
        assert_eq!(pam_radius(world.server.radius(), seconds, "alice", PASSWORD), let_in, "{require}");
        assert_eq!(world.phone.asked(), u64::from(let_in), "{require}");
        assert!(!pam_radius(world.server.radius(), seconds, "clumsy4", "wrong"), "{require}");
    }
}
