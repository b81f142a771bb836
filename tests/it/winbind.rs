//! MS-CHAPv2 through winbind, with the domain controller of the other tests.

use std::process::Command;
use std::thread;

use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::server::{SHARED_SECRET, Settings};
use crate::peers::wire::ACCESS_ACCEPT;
use crate::peers::world::World;
use crate::peers::{peer_file, program};

/// The hash of the hash of everybody's password, as winbind says it: it must be nowhere.
const KEY: &str = "b921a5185a22d603467f80acb59753b7";

/// A world whose directory checks MS-CHAP by this helper.
fn with_helper(directory: &Directory, helper: &str, throttle: &str) -> World {
    World::with(Settings {
        directory: directory.address().to_owned(),
        ca: directory.ca(),
        target: format!("mschap = \"winbind\"\nmschap_helper = {helper}\nmschap_timeout = \"10s\""),
        throttle: throttle.to_owned(),
        ..Settings::default()
    })
}

/// A world whose directory checks MS-CHAP by the winbind of the controller itself.
fn world(throttle: &str) -> Option<(Directory, World)> {
    let directory = Directory::get().filter(|_| program("ntlm_auth") && program("radclient"))?;
    let world = with_helper(&directory, &format!("{:?}", directory.ntlm_auth()), throttle);
    Some((directory, world))
}

/// One MS-CHAPv2 sign-in, as `mschapv2.py` tells it; that makes success and keys itself, from the password.
fn ms_chap(world: &World, name: &str, password: &str) -> String {
    let server = world.server.radius();
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let arguments = [name, password, &address, &port, SHARED_SECRET];
    let output = Command::new("/usr/bin/python3").arg(peer_file("mschapv2.py")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_right_proof_and_an_approval_bring_success_and_keys_whatever_form_the_name_has() {
    let Some((_directory, world)) = world("") else { return };
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    for name in ["alice", "CORP\\alice", "ALICE", "alice@corp.example.test"] {
        assert_eq!(ms_chap(&world, name, PASSWORD), "accept", "{name}");
        let event = world.server.event(name);
        assert_eq!((&event["primary"], &event["reason"]), (&"passed".into(), &"approved".into()), "{name}");
        assert_eq!(event["account"], "alice");
    }
    assert_eq!(world.phone.asked(), 4);
    assert_eq!(world.sign_in("alice", PASSWORD).code, ACCESS_ACCEPT, "a password is checked as ever");
    let log = world.server.logs().to_lowercase();
    assert!(!log.contains(KEY), "the key is in the log");
}

#[test]
fn a_denied_prompt_is_an_error_that_the_persons_device_understands() {
    let Some((_directory, world)) = world("") else { return };
    world.enrol(&["alice"]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| ms_chap(&world, "alice", PASSWORD));
        world.phone.deny(&world.phone.prompt_of("alice"));
        assert_eq!(asking.join().unwrap(), "reject with error 691");
    });
    assert_eq!(world.server.event("alice")["reason"], "denied");
}

#[test]
fn every_account_state_has_its_reason_and_its_error_and_nobody_is_prompted() {
    let Some((_directory, world)) = world("") else { return };
    let states = [
        ("st-disabled", "account_disabled", 647),
        ("st-locked", "account_locked", 647),
        ("st-mustchange", "must_change_password", 648),
        ("st-pwexpired", "password_expired", 648),
        ("st-acctexpired", "account_expired", 647),
        ("st-nohours", "logon_hours", 646),
        ("st-wks", "workstation", 691),
        ("st-smartcard", "wrong_password", 691),
        ("st-protected", "account_restricted", 691),
    ];
    world.enrol(&states.map(|(account, _, _)| account));
    world.enrol(&["clumsy2"]);
    world.phone.approve_by_itself();
    for (account, reason, error) in states {
        assert_eq!(ms_chap(&world, account, PASSWORD), format!("reject with error {error}"), "{account}");
        assert_eq!(world.server.event(account)["reason"], reason, "{account}");
    }
    for (name, reason) in [("clumsy2", "wrong_password"), ("nobody-of-that-name", "unknown_user")] {
        assert_eq!(ms_chap(&world, name, "a wrong password"), "reject with error 691", "{name}");
        assert_eq!(world.server.event(name)["reason"], reason);
    }
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn wrong_proofs_are_counted_as_wrong_passwords_are() {
    let Some((_directory, world)) = world("failures_per_person = 2") else { return };
    world.enrol(&["clumsy3"]);
    assert_eq!(ms_chap(&world, "clumsy3", "wrong 1"), "reject with error 691");
    world.sign_in("CORP\\clumsy3", "wrong 2");
    assert_eq!(ms_chap(&world, "clumsy3@corp.example.test", PASSWORD), "reject with error 691");
    assert_eq!(world.server.event("clumsy3@corp.example.test")["reason"], "throttled_person");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn a_helper_that_ends_lets_nobody_in_and_check_says_so() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = with_helper(&directory, "[\"/bin/sh\", \"-c\", \"exit 3\"]", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    assert_eq!(ms_chap(&world, "alice", PASSWORD), "reject with error 691");
    assert_eq!(world.server.event("alice")["reason"], "directory_unreachable");
    assert_eq!(world.phone.asked(), 0);
    assert_eq!(world.sign_in("CORP\\alice", PASSWORD).code, ACCESS_ACCEPT, "passwords need no helper");
    let output = world.server.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("mschap_helper ended without an answer"), "{said}");
}

#[test]
fn check_says_whether_winbind_answers() {
    let Some((_directory, world)) = world("") else { return };
    let output = world.server.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("target corp mschap") && said.contains("ntlm_auth answers"), "{said}");
}
