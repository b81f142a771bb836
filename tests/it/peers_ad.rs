//! Sign-ins through the real program against a real Active Directory domain controller (Samba), with the phone
//! simulator as the cloud.

use std::time::{Duration, Instant};

use crate::peers::samba::{Alone, BASE, Directory, PASSWORD};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT};
use crate::peers::world::{SILENCE, SOON, World};

#[test]
fn right_password_and_approval_let_a_person_in() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice"]);
    let mut nas = world.nas();
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    nas.send(&request);
    let prompt = world.phone.prompt_of("alice");
    assert_eq!(&*prompt.application, "Test VPN");
    assert!(nas.receive(&request, SILENCE).is_none(), "answered before the person did");
    world.phone.approve(&prompt);
    assert_eq!(nas.receive(&request, SOON).unwrap().code, ACCESS_ACCEPT);
    let event = world.server.event("alice");
    assert_eq!((&event["verdict"], &event["reason"]), (&"accept".into(), &"approved".into()));
    assert_eq!((&event["primary"], &event["factor"]), (&"passed".into(), &"approved".into()));
    assert_eq!((&event["account"], &event["client"]), (&"alice".into(), &"vpn".into()));
}

#[test]
fn denied_prompt_keeps_a_person_out() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice"]);
    let mut nas = world.nas();
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    nas.send(&request);
    world.phone.deny(&world.phone.prompt_of("alice"));
    assert_eq!(nas.receive(&request, SOON).unwrap().code, ACCESS_REJECT);
    assert_eq!(world.server.event("alice")["reason"], "denied");
}

/// What the controller says of each account of the fixture with its right password. Samba answers 52e for a
/// smart card account and an account without a password, where AD's own answers differ.
const STATES: [(&str, &str); 10] = [
    ("st-disabled", "account_disabled"),
    ("st-locked", "account_locked"),
    ("st-mustchange", "must_change_password"),
    ("st-pwexpired", "password_expired"),
    ("st-acctexpired", "account_expired"),
    ("st-nohours", "logon_hours"),
    ("st-wks", "workstation"),
    ("st-smartcard", "wrong_password"),
    ("st-blank", "wrong_password"),
    ("st-protected", "account_restricted"),
];

#[test]
fn every_account_state_is_refused_alike_and_audited_apart() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "reject_message = \"Sign-in refused.\"", "");
    let states: Vec<&str> = STATES.iter().map(|(account, _)| *account).collect();
    world.enrol(&states);
    world.enrol(&["alice", "clumsy1"]);
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("alice", PASSWORD).code, ACCESS_ACCEPT);
    let asked = world.phone.asked();

    let refused = world.sign_in("clumsy1", "a wrong password").shape();
    assert_eq!(refused.0, ACCESS_REJECT);
    let mut others = STATES.map(|(account, reason)| (account, PASSWORD, reason)).to_vec();
    others.push(("nobody-of-that-name", PASSWORD, "unknown_user"));
    others.push(("carol", "", "empty_password"));
    others.push(("CORP\\st-blank", "", "empty_password"));
    others.push(("erin", PASSWORD, "not_enrolled"));
    for (name, password, reason) in others {
        assert_eq!(world.sign_in(name, password).shape(), refused, "{name}: the client can tell it apart");
        let event = world.server.event(name);
        assert_eq!(event["reason"], reason, "{name}");
        assert_eq!(event["verdict"], "reject", "{name}");
    }
    assert_eq!(world.server.event("clumsy1")["reason"], "wrong_password");
    assert_eq!(world.phone.asked(), asked, "somebody was prompted without a right password");
    // What Active Directory says of the account itself is explained without a password.
    for (account, reason) in STATES.into_iter().take(6).chain([("alice", "")]) {
        let output = world.server.run(&["explain", "--client", "vpn", "--user", account, "--json"]);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["reason"].as_str().unwrap_or_default(), reason, "{told}");
        assert_eq!(told["end"], if reason.is_empty() { "prompt" } else { "reject" }, "{told}");
    }
}

#[test]
fn every_name_form_finds_its_person() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice", "dave", "erin", "noupn", "müller", "o'brien", "ada", "smith", "weird", "li"]);
    world.phone.approve_by_itself();
    let forms = [
        ("alice", "alice"),
        ("ALICE", "alice"),
        ("alice@corp.example.test", "alice"),
        ("Alice@CORP.Example.Test", "alice"),
        ("CORP\\alice", "alice"),
        ("corp\\Alice", "alice"),
        ("dave@partner.example.test", "dave"),
        ("erin.smith@corp.example.test", "erin"),
        // the implicit UPN: sAMAccountName@realm, although userPrincipalName says something else
        ("erin@corp.example.test", "erin"),
        ("noupn@corp.example.test", "noupn"),
        ("müller", "müller"),
        ("CORP\\müller", "müller"),
        ("o'brien", "o'brien"),
        // their distinguished names hold a comma; parentheses and an asterisk; nearly everything else
        ("ada", "ada"),
        ("smith", "smith"),
        ("weird", "weird"),
        ("li", "li"),
    ];
    for (name, account) in forms {
        assert_eq!(world.sign_in(name, PASSWORD).code, ACCESS_ACCEPT, "{name}");
        let event = world.server.event(name);
        assert_eq!((&event["account"], &event["reason"]), (&account.into(), &"approved".into()), "{name}");
    }
}

#[test]
fn names_that_mean_something_in_a_filter_find_nobody() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    let names = [
        "*",
        "al*",
        "alice)(objectClass=*",
        "*)(|(sAMAccountName=alice",
        "alice\\2a",
        "ali,ce",
        "\"alice\"",
        "OTHER\\alice",
    ];
    for name in names {
        assert_eq!(world.sign_in(name, PASSWORD).code, ACCESS_REJECT, "{name}");
        let reason = world.server.event(name)["reason"].clone();
        assert!(reason == "unknown_user" || reason == "bad_name", "{name}: {reason}");
    }
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn a_name_with_a_nul_is_refused() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("alice\0", PASSWORD).code, ACCESS_REJECT);
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn passwords_are_bytes_up_to_the_128_of_pap() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["pwutf8", "pwspace", "pwlong", "pw128"]);
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("pwutf8", "Pässwörd-€uro1").code, ACCESS_ACCEPT);
    assert_eq!(world.sign_in("pwspace", " Lead and trail 1 ").code, ACCESS_ACCEPT);
    assert_eq!(world.sign_in("CORP\\pwspace", "Lead and trail 1").code, ACCESS_REJECT, "blanks were trimmed");
    let long = format!("L0ng-{}", "x".repeat(122));
    assert_eq!(world.sign_in("pwlong", &long).code, ACCESS_ACCEPT);
    // its 200 octets are right in the directory, but RFC 2865 section 5.2 ends at 128
    let too_long = format!("L0ng-{}", "y".repeat(195));
    assert!(directory.takes("CORP\\pw128", &too_long));
    let reply = world.nas().ask("pw128", too_long.as_bytes(), SOON.min(Duration::from_secs(3)));
    assert!(reply.is_none_or(|reply| reply.code == ACCESS_REJECT), "a password cut to 128 octets was taken");
    // and the first 128 octets of it are not the password
    assert_eq!(world.sign_in("CORP\\pw128", &too_long[..128]).code, ACCESS_REJECT);
}

#[test]
fn members_of_an_exempt_group_pass_on_the_password_alone_however_nested() {
    let Some(directory) = Directory::get() else { return };
    let group = format!("exempt_groups = [\"CN=VPN-Users,OU=Groups,OU=Lab,{BASE}\"]");
    let world = World::new(&directory, &group, "");
    // alice is in VPN-Users itself, bob one group down, carol two
    for name in ["alice", "bob", "carol"] {
        assert_eq!(world.sign_in(name, PASSWORD).code, ACCESS_ACCEPT, "{name}");
        assert_eq!(world.server.event(name)["reason"], "exempt_group", "{name}");
    }
    // in groups that contain each other, and in none of this one
    assert_eq!(world.sign_in("dave", PASSWORD).code, ACCESS_REJECT);
    assert_eq!(world.server.event("dave")["reason"], "not_enrolled");
    assert_eq!(world.sign_in("CORP\\carol", "a wrong password").code, ACCESS_REJECT, "exempt from the password, too");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn guessing_does_not_lock_the_account_in_the_directory() {
    let Some(directory) = Directory::get() else { return };
    let window = Duration::from_secs(16);
    let throttle = format!("failures_per_person = 3\nwindow = \"{}s\"", window.as_secs());
    let world = World::new(&directory, "", &throttle);
    world.enrol(&["heidi"]);
    world.phone.approve_by_itself();
    let begun = Instant::now();
    // the directory locks at the fifth, until an administrator unlocks
    for guess in 0..9 {
        let name = ["heidi", "CORP\\heidi", "heidi@corp.example.test"][guess % 3];
        assert_eq!(world.sign_in(name, &format!("guess {guess}")).code, ACCESS_REJECT);
    }
    assert!(begun.elapsed() < window, "too slow to prove anything");
    let reasons: Vec<String> = world.server.all_events(9).iter().map(|event| event["reason"].to_string()).collect();
    let count = |reason: &str| reasons.iter().filter(|found| found.trim_matches('"') == reason).count();
    assert_eq!((count("wrong_password"), count("throttled_person")), (3, 6), "{reasons:?}");
    assert!(directory.takes("CORP\\heidi", PASSWORD), "guessers locked the account");
    // the throttle ends by itself, and the person comes in
    let accepted = crate::peers::eventually("the throttle's end", || {
        let reply = world.sign_in("heidi", PASSWORD);
        std::thread::sleep(Duration::from_millis(200));
        (reply.code == ACCESS_ACCEPT).then_some(reply)
    });
    assert_eq!(accepted.code, ACCESS_ACCEPT);
}

#[test]
fn a_controller_that_stops_amid_holds_lets_nobody_in_unproven() {
    let Some(mut directory) = Alone::get() else { return };
    let world = World::alone(&directory);
    world.enrol(&["alice", "bob", "carol"]);
    let (mut alice, mut bob, mut carol) = (world.nas(), world.nas(), world.nas());
    let alices = alice.request("alice", PASSWORD.as_bytes(), &[]);
    let bobs = bob.request("bob", PASSWORD.as_bytes(), &[]);
    alice.send(&alices);
    bob.send(&bobs);
    let (alices_prompt, bobs_prompt) = (world.phone.prompt_of("alice"), world.phone.prompt_of("bob"));

    directory.freeze();
    // whose password was not checked is not let in, and is told so in time
    let reply = carol.ask("carol", PASSWORD.as_bytes(), SOON).unwrap();
    assert_eq!(reply.code, ACCESS_REJECT);
    assert_eq!(world.server.event("carol")["reason"], "directory_unreachable");
    // whose password was checked before needs the directory no more
    world.phone.approve(&alices_prompt);
    world.phone.deny(&bobs_prompt);
    assert_eq!(alice.receive(&alices, SOON).unwrap().code, ACCESS_ACCEPT);
    assert_eq!(bob.receive(&bobs, SOON).unwrap().code, ACCESS_REJECT);

    directory.thaw();
    world.phone.approve_by_itself();
    crate::peers::eventually("carol, once the controller is back", || {
        (world.sign_in("carol", PASSWORD).code == ACCESS_ACCEPT).then_some(())
    });
}

/// Long enough for whatever comes before the deadline of what is held.
const AT_LAST: Duration = Duration::from_secs(80);

/// Two holds, then the provider goes away in the given manner, then it comes back.
fn provider_goes_away(directory: &Directory, go: impl Fn(&World)) {
    // What is held has to outlast all that carol waits for, on a busy machine, too.
    let world = World::new(directory, "answer_within = \"180s\"", "");
    world.enrol(&["alice", "bob", "carol"]);
    let (mut alice, mut bob, mut carol) = (world.nas(), world.nas(), world.nas());
    let alices = alice.request("alice", PASSWORD.as_bytes(), &[]);
    let bobs = bob.request("bob", PASSWORD.as_bytes(), &[]);
    alice.send(&alices);
    bob.send(&bobs);
    let (alices_prompt, bobs_prompt) = (world.phone.prompt_of("alice"), world.phone.prompt_of("bob"));

    go(&world);
    let reply = carol.ask("carol", PASSWORD.as_bytes(), AT_LAST).unwrap();
    assert_eq!(reply.code, ACCESS_REJECT, "the password alone let somebody in");
    let reason = world.server.event("carol")["reason"].clone();
    assert!(reason == "provider_unreachable" || reason == "provider_lost", "{reason}");
    // an approval that we cannot hear is none
    world.phone.approve(&alices_prompt);
    assert!(alice.receive(&alices, SILENCE).is_none_or(|reply| reply.code == ACCESS_REJECT));

    world.relay.resume();
    assert_eq!(alice.receive(&alices, AT_LAST).unwrap().code, ACCESS_ACCEPT);
    world.phone.deny(&bobs_prompt);
    assert_eq!(bob.receive(&bobs, AT_LAST).unwrap().code, ACCESS_REJECT);
}

#[test]
fn a_provider_that_stalls_amid_holds_lets_nobody_in_unproven() {
    let Some(directory) = Directory::get() else { return };
    provider_goes_away(&directory, |world| world.relay.stall());
}

#[test]
fn a_provider_that_dies_amid_holds_lets_nobody_in_unproven() {
    let Some(directory) = Directory::get() else { return };
    provider_goes_away(&directory, |world| world.relay.cut());
}
