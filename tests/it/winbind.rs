//! MS-CHAPv2 through winbind, with the domain controller of the other tests.

use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::server::{SHARED_SECRET, Settings};
use crate::peers::wire::ACCESS_ACCEPT;
use crate::peers::world::World;
use crate::peers::{eventually, peer_file, program};

/// The hash of the hash of everybody's password, as winbind says it: it must be nowhere.
const KEY: &str = "b921a5185a22d603467f80acb59753b7";

/// A world whose directory checks MS-CHAP by this helper.
fn with_helper(directory: &Directory, helper: &str, more: &str, throttle: &str) -> World {
    World::with(Settings {
        directory: directory.address().to_owned(),
        ca: directory.ca(),
        target: format!("mschap = \"winbind\"\nmschap_helper = {helper}\nmschap_timeout = \"10s\"\n{more}"),
        throttle: throttle.to_owned(),
        ..Settings::default()
    })
}

/// A world whose directory checks MS-CHAP by the winbind of the controller itself.
fn world(throttle: &str) -> Option<(Directory, World)> {
    world_with("", throttle)
}

/// The same, with more of the target's section.
fn world_with(more: &str, throttle: &str) -> Option<(Directory, World)> {
    let directory = Directory::get().filter(|_| program("ntlm_auth") && program("radclient"))?;
    let world = with_helper(&directory, &format!("{:?}", directory.ntlm_auth()), more, throttle);
    Some((directory, world))
}

/// One MS-CHAPv2 sign-in, as `mschapv2.py` tells it; that makes success and keys itself, from the password.
fn ms_chap(world: &World, name: &str, password: &str) -> String {
    change(world, name, password, None)
}

/// The same, or with a new password its change.
fn change(world: &World, name: &str, password: &str, new: Option<&str>) -> String {
    let server = world.server.radius();
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let arguments = [name, password, &address, &port, SHARED_SECRET];
    let mut command = Command::new("/usr/bin/python3");
    let output = command.arg(peer_file("mschapv2.py")).args(arguments).args(new).output().unwrap();
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
    let world = with_helper(&directory, "[\"/bin/sh\", \"-c\", \"exit 3\"]", "", "");
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

/// With these, people may change their passwords.
const CHANGES: &str = "mschap_change = true\nmschap_domain = \"CORP\"";

const NEW: &str = "N3w-Passw0rd-of-the-test";

/// Too short for the domain.
const SHORT: &str = "Ti7!";

/// The sign-ins in the audit in which a password was changed, once there are as many as this.
fn changed_in(world: &World, count: usize) -> Vec<Value> {
    eventually("password_changed in the audit", || {
        let text = world.server.audit();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole).to_owned();
        let events = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = events.filter(|event| event["kind"] == "password_changed");
        let found: Vec<_> = found.map(|event| event["sign_in"].clone()).collect();
        (found.len() >= count).then_some(found)
    })
}

#[test]
fn an_expired_password_is_changed_and_the_factor_comes_behind_the_new_one() {
    let Some((directory, world)) = world_with(CHANGES, "") else { return };
    world.enrol(&["renew1"]);
    world.phone.approve_by_itself();
    assert_eq!(ms_chap(&world, "renew1", PASSWORD), "reject with error 648");
    assert_eq!(change(&world, "CORP\\renew1", "not the old one", Some(NEW)), "reject with error 691");
    assert_eq!(change(&world, "renew1@corp.example.test", PASSWORD, Some(SHORT)), "reject with error 709");
    assert_eq!(world.server.event("CORP\\renew1")["reason"], "wrong_password");
    assert_eq!(world.server.event("renew1@corp.example.test")["reason"], "new_password_refused");
    assert_eq!(world.phone.asked(), 0);
    // The change is the sign-in: with the keys of the new password, and only once the person has approved.
    assert_eq!(change(&world, "renew1", PASSWORD, Some(NEW)), "accept");
    assert_eq!(world.phone.asked(), 1);
    assert!(directory.takes("renew1@corp.example.test", NEW));
    assert_eq!(ms_chap(&world, "renew1", NEW), "accept");
    let events = world.server.events("renew1", 3);
    let reasons: Vec<_> = events.iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["password_expired", "approved", "approved"]);
    assert_eq!(changed_in(&world, 1), [events[1]["sign_in"].clone()]);
    let told = [world.server.logs(), world.server.audit()].concat();
    assert!(told.contains("a person has changed their password") && !told.contains(NEW) && !told.contains(SHORT));
}

#[test]
fn a_changed_password_lets_nobody_in_who_denies_the_prompt_or_may_not_sign_in_and_is_told_all_the_same() {
    let Some((directory, world)) = world_with(CHANGES, "") else { return };
    world.enrol(&["renew2", "renew3"]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| change(&world, "renew2", PASSWORD, Some(NEW)));
        world.phone.deny(&world.phone.prompt_of("renew2"));
        assert_eq!(asking.join().unwrap(), "reject with error 691");
    });
    assert!(directory.takes("renew2@corp.example.test", NEW));
    // Samba changes the password of an account that is disabled, too.
    assert_eq!(change(&world, "renew3", PASSWORD, Some(NEW)), "reject with error 647");
    let (denied, disabled) = (world.server.event("renew2"), world.server.event("renew3"));
    assert_eq!((&denied["reason"], &disabled["reason"]), (&"denied".into(), &"account_disabled".into()));
    assert_eq!(changed_in(&world, 2), [denied["sign_in"].clone(), disabled["sign_in"].clone()]);
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn nobody_changes_a_password_where_the_target_does_not_say_so_or_too_often_with_a_wrong_one() {
    let Some((directory, world)) = world("") else { return };
    world.enrol(&["renew4"]);
    assert_eq!(change(&world, "renew4", PASSWORD, Some(NEW)), "reject with error 691");
    assert_eq!(world.server.event("renew4")["reason"], "no_password");
    drop((directory, world));
    let Some((directory, world)) = world_with(CHANGES, "failures_per_person = 2") else { return };
    world.enrol(&["renew4"]);
    for old in ["wrong 1", "wrong 2", PASSWORD] {
        assert_eq!(change(&world, "renew4", old, Some(NEW)), "reject with error 691");
    }
    let reasons: Vec<_> = world.server.events("renew4", 3).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["wrong_password", "wrong_password", "throttled_person"]);
    assert!(directory.takes("renew4@corp.example.test", PASSWORD), "nothing was changed");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn a_helper_that_ends_in_a_change_is_not_asked_again_and_lets_nobody_in() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("started");
    let helper = format!("[\"/bin/sh\", \"-c\", \"echo $1 >>{}; read line\", \"helper\"]", log.display());
    let world = with_helper(&directory, &helper, CHANGES, "");
    world.enrol(&["renew4"]);
    assert_eq!(change(&world, "renew4", PASSWORD, Some(NEW)), "reject with error 691");
    assert_eq!(world.server.event("renew4")["reason"], "directory_unreachable");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "--helper-protocol=ntlm-change-password-1\n");
    assert!(directory.takes("renew4@corp.example.test", PASSWORD));
}
