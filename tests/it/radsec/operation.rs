//! The door for RADIUS over TLS in operation: files that are read again, certificates that are revoked, and bounds.

use std::sync::Arc;

use rustls::ClientConfig;

use super::{Stream, World, nas, over_udp, world, world_with};
use crate::peers::authority::Authority;
use crate::peers::eventually;
use crate::peers::freeradius::{FreeRadius, PASSWORD};
use crate::peers::wire::{ACCESS_ACCEPT, Nas};

/// The code that a sign-in on this connection is answered with; nothing where the connection is not served.
fn code(stream: &mut Stream, nas: &mut Nas) -> Option<u8> {
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    stream.ask(nas, &request).map(|reply| reply.code)
}

/// A client of its own certificate, and its number.
fn client(world: &World) -> (Arc<ClientConfig>, u64) {
    let trust = world.trust(Some((&world.authority, "nas1.example.test", 4096)));
    (trust, world.authority.last())
}

#[test]
fn revoked_and_new_certificates_count_from_sighup_on_and_open_connections_stay() {
    let Some(target) = FreeRadius::start() else { return };
    let authority = Authority::new();
    authority.revoke(&[]);
    let list = format!("client_crl_file = \"{}\"", authority.file("crl.pem").display());
    let world = world(&over_udp(target.radius()), &list, authority);
    world.phone.approve_by_itself();
    let mut nas = nas();
    let ((good, _), (lost, number)) = (client(&world), client(&world));
    let mut open = world.connect(&good);
    assert_eq!(code(&mut open, &mut nas), Some(ACCESS_ACCEPT));
    assert_eq!(code(&mut world.connect(&lost), &mut nas), Some(ACCESS_ACCEPT));
    // Its session cannot be resumed either.
    world.authority.revoke(&[number]);
    world.server.hang_up();
    eventually("the revoked certificate's refusal", || {
        code(&mut world.connect(&lost), &mut nas).is_none().then_some(())
    });
    assert!(world.ended("handshake"));
    assert_eq!(code(&mut open, &mut nas), Some(ACCESS_ACCEPT), "an open connection stays");
    assert_eq!(
        code(&mut world.connect(&good), &mut nas),
        Some(ACCESS_ACCEPT),
        "another certificate is as good as ever"
    );

    // A new certificate of ours.
    let shown = |stream: &Stream| stream.0.conn.peer_certificates().map(|chain| chain[0].clone());
    let before = shown(&open);
    let address = world.server.address().to_owned();
    let (issued, _) = world.authority.issue(&address);
    world.server.hang_up();
    eventually("the new certificate", || {
        let mut stream = world.connect(&client(&world).0);
        assert_eq!(code(&mut stream, &mut nas), Some(ACCESS_ACCEPT));
        (shown(&stream).as_ref() == Some(&issued)).then_some(())
    });
    assert_ne!(before, Some(issued.clone()));
    assert_eq!(code(&mut open, &mut nas), Some(ACCESS_ACCEPT), "an open connection stays");

    // Nonsense changes nothing, and is told.
    std::fs::write(world.authority.file(&format!("{address}.pem")), "no certificate").unwrap();
    world.server.hang_up();
    eventually("a word in the log", || world.server.logs().contains("no certificate in it").then_some(()));
    let mut stream = world.connect(&client(&world).0);
    assert_eq!(code(&mut stream, &mut nas), Some(ACCESS_ACCEPT));
    assert_eq!(shown(&stream), Some(issued));
    assert_eq!(code(&mut open, &mut nas), Some(ACCESS_ACCEPT));
}

#[test]
fn a_connection_too_many_is_closed_and_disturbs_no_other() {
    let Some(target) = FreeRadius::start() else { return };
    for (client, tls, cause) in [("", "connections = 2", "connections"), ("connections = 2", "", "client_connections")]
    {
        let world = world_with(client, &over_udp(target.radius()), tls, Authority::new());
        world.phone.approve_by_itself();
        let (mut nas, mut first, mut second) = (nas(), world.own(), world.own());
        for stream in [&mut first, &mut second] {
            assert_eq!(code(stream, &mut nas), Some(ACCESS_ACCEPT), "{cause}");
        }
        assert_eq!(code(&mut world.own(), &mut nas), None, "{cause}");
        eventually(cause, || world.ended(cause).then_some(()));
        for stream in [&mut first, &mut second] {
            assert_eq!(code(stream, &mut nas), Some(ACCESS_ACCEPT), "{cause}");
        }
        // The place of one that goes is free.
        drop(first);
        eventually("a place", || (code(&mut world.own(), &mut nas) == Some(ACCESS_ACCEPT)).then_some(()));
        assert_eq!(code(&mut second, &mut nas), Some(ACCESS_ACCEPT), "{cause}");
    }
}
