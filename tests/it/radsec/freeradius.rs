//! FreeRADIUS speaks RADIUS over TLS itself: as a client in front of us, and as the server behind.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{over_tls, world_with};
use crate::peers::authority::Authority;
use crate::peers::freeradius::PASSWORD;
use crate::peers::freeradius_tls::FreeRadiusTls;
use crate::peers::server::SHARED_SECRET;
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas};
use crate::peers::world::SOON;
use crate::peers::{eventually, program};

/// What radclient says of one packet.
fn radclient(server: std::net::SocketAddr, kind: &str, attributes: &str) -> String {
    let mut command = Command::new("radclient");
    command.args(["-x", "-t", "15", "-r", "1", &server.to_string(), kind, SHARED_SECRET]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn sign_ins_and_accounting_go_through_freeradius_over_tls_on_both_sides() {
    if !program("radclient") {
        return;
    }
    let authority = Authority::new();
    authority.issue("behind.example.test");
    let Some(mut behind) = FreeRadiusTls::behind(&authority, "behind.example.test") else { return };
    let keys = over_tls(&behind.radsec().to_string(), &authority);
    let target = format!("{keys}\nserver_name = \"behind.example.test\"");
    let world = world_with("accounting_target = \"behind\"", &target, "", authority);
    let front = FreeRadiusTls::before(world.radsec(), &world.authority, "nas1.example.test").unwrap();
    let mut nas = Nas::new(front.radius(), SHARED_SECRET);
    // Approved: the server's attributes come back through both, and the client's Proxy-State.
    let request = nas.request("alice", PASSWORD.as_bytes(), &[(33, b"theirs")]);
    nas.send(&request);
    let prompt = world.phone.prompt_of("alice");
    world.phone.approve(&prompt);
    let reply = nas.receive(&request, SOON).expect("an answer");
    assert_eq!(reply.code, ACCESS_ACCEPT);
    assert!(reply.attributes.contains(&(25, b"behind-tls".to_vec())), "{reply:?}");
    assert!(reply.attributes.contains(&(33, b"theirs".to_vec())), "{reply:?}");
    assert_eq!(world.server.event("alice")["client"], "branch");
    // Denied, and a wrong password, which prompts nobody.
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    nas.send(&request);
    world.phone.deny(&world.phone.prompt_after("alice", &prompt));
    assert_eq!(nas.receive(&request, SOON).expect("an answer").code, ACCESS_REJECT);
    assert_eq!(nas.ask("bob", b"wrong", SOON).expect("an answer").code, ACCESS_REJECT);
    assert_eq!(world.phone.asked(), 2);
    // What is hidden is opened and hidden again on each of the three ways.
    world.phone.approve_by_itself();
    let bob = format!("User-Name = \"bob\"\nUser-Password = \"{PASSWORD}\"\nMessage-Authenticator = 0x00\n");
    let said = radclient(front.radius(), "auth", &bob);
    assert!(said.contains("Received Access-Accept") && said.contains("\"of the tunnel\""), "{said}");
    // Accounting goes the same way, is recorded here, and arrives behind.
    let session = "User-Name = \"bob\"\nAcct-Session-Id = \"over-tls\"\nAcct-Status-Type = Stop\n\
                   Acct-Input-Octets = 4711\nAcct-Session-Time = 60\n";
    let said = radclient(front.accounting(), "acct", session);
    assert!(said.contains("Received Accounting-Response"), "{said}");
    eventually("the record behind", || behind.detail().contains("Acct-Session-Id = \"over-tls\"").then_some(()));
    let recorded = eventually("the record here", || {
        let audit = world.server.audit();
        audit.lines().find(|line| line.contains("over-tls")).map(str::to_owned)
    });
    assert!(recorded.contains("\"octets_in\":4711"), "{recorded}");
    // The server behind comes back: the connection is made again.
    behind.restart();
    assert_eq!(nas.ask("bob", PASSWORD.as_bytes(), SOON).expect("an answer").code, ACCESS_ACCEPT);
}
