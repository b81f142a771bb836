//! RADIUS/1.1: come to by ALPN, and then spoken with a client written apart, and between two of us.

use std::process::Command;

use super::{World, over_tls, over_udp, world};
use crate::peers::authority::Authority;
use crate::peers::freeradius::{FreeRadius, PASSWORD};
use crate::peers::peer_file;

/// "of the tunnel" with its tag, as nobody has hidden it.
const TUNNEL_PASSWORD: &str = "69=006f66207468652074756e6e656c";

/// The lines that `radius11.py` prints.
fn asks(world: &World, alpn: &str, name: &str, password: &str) -> Vec<String> {
    let file = |name: &str| world.authority.file(name).display().to_string();
    let radsec = world.radsec();
    let (address, port) = (radsec.ip().to_string(), radsec.port().to_string());
    let files = [file("ca.pem"), file("nas1.example.test.pem"), file("nas1.example.test.key")];
    let output = Command::new("/usr/bin/python3")
        .arg(peer_file("radius11.py"))
        .args([&address, &port, &files[0], &files[1], &files[2], alpn, name, password])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_sign_in_over_radius_1_1_shows_nothing_that_md5_has_touched() {
    let Some(target) = FreeRadius::start() else { return };
    let world = world(&over_udp(target.radius()), "radius_1_1 = \"allow\"", Authority::new());
    world.phone.approve_by_itself();
    let said = asks(&world, "radius/1.1,radius/1.0", "bob", PASSWORD);
    assert_eq!(said, ["alpn radius/1.1", &format!("accept {TUNNEL_PASSWORD}")]);
    assert_eq!(world.server.event("bob")["reason"], "approved");
    assert_eq!(asks(&world, "radius/1.1", "alice", "wrong"), ["alpn radius/1.1", "reject"]);
    assert_eq!(world.server.event("alice")["reason"], "wrong_password");
    let long = "x".repeat(129);
    assert_eq!(asks(&world, "radius/1.1", "mute", &long)[1], "reject", "no password is as long");
    assert_eq!(world.server.event("mute")["reason"], "bad_password");
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn both_sides_come_to_one_version_or_say_why_not() {
    let Some(target) = FreeRadius::start() else { return };
    let allows = world(&over_udp(target.radius()), "radius_1_1 = \"allow\"", Authority::new());
    allows.phone.approve_by_itself();
    for (offered, chosen) in [("-", "None"), ("radius/1.0", "radius/1.0"), ("radius/1.0,radius/1.1", "radius/1.1")] {
        let said = asks(&allows, offered, "alice", PASSWORD);
        assert_eq!(said[0], format!("alpn {chosen}"), "{offered}");
        assert!(said[1].starts_with("accept"), "{offered}: {said:?}");
    }
    assert!(asks(&allows, "h2", "alice", PASSWORD)[0].starts_with("handshake failed"));

    let requires = world(&over_udp(target.radius()), "radius_1_1 = \"require\"", Authority::new());
    requires.phone.approve_by_itself();
    let refused = asks(&requires, "-", "alice", PASSWORD);
    assert_eq!(refused, ["alpn None", "protocol error cause 406 of code 1", "then closed"]);
    assert!(asks(&requires, "radius/1.0", "alice", PASSWORD)[0].starts_with("handshake failed"));
    assert_eq!(requires.phone.asked(), 0);
    assert!(requires.ended("version") && requires.ended("handshake"));
    assert!(asks(&requires, "radius/1.1", "alice", PASSWORD)[1].starts_with("accept"));

    let forbids = world(&over_udp(target.radius()), "", Authority::new());
    forbids.phone.approve_by_itself();
    let said = asks(&forbids, "radius/1.1,radius/1.0", "alice", PASSWORD);
    assert!(said[0] == "alpn None" && said[1].starts_with("accept"), "{said:?}");
}

/// The keys of a target that is another of us, with the certificate of its client.
fn of_us(behind: &World, radius_1_1: &str) -> String {
    let keys = over_tls(&behind.radsec().to_string(), &behind.authority);
    let keys = keys.replace("anteroom.example.test", "nas1.example.test");
    format!("{keys}\nradius_1_1 = \"{radius_1_1}\"")
}

#[test]
fn two_of_us_speak_it_with_each_other_and_what_is_hidden_arrives() {
    let Some(target) = FreeRadius::start() else { return };
    let behind = world(&over_udp(target.radius()), "radius_1_1 = \"require\"", Authority::new());
    behind.phone.approve_by_itself();
    let front = world(&of_us(&behind, "require"), "radius_1_1 = \"require\"", Authority::new());
    front.phone.approve_by_itself();
    assert_eq!(asks(&front, "radius/1.1", "bob", PASSWORD)[1], format!("accept {TUNNEL_PASSWORD}"));
    assert_eq!((front.phone.asked(), behind.phone.asked()), (1, 1));
    assert_eq!(asks(&front, "radius/1.1", "alice", "wrong")[1], "reject");

    let old = world(&over_udp(target.radius()), "", Authority::new());
    old.phone.approve_by_itself();
    let allows = world(&of_us(&old, "allow"), "", Authority::new());
    allows.phone.approve_by_itself();
    assert!(asks(&allows, "-", "alice", PASSWORD)[1].starts_with("accept"), "with who does not speak it, as before");
    let insists = world(&of_us(&old, "require"), "", Authority::new());
    assert_eq!(asks(&insists, "-", "alice", PASSWORD)[1], "reject");
    assert_eq!(insists.server.event("alice")["reason"], "directory_unreachable");
}
