//! MS-CHAPv2 whose password has expired: the device hears why, and its change goes to one server alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anteroom::radius::attribute::join_vendor;
use anteroom::radius::authenticator::{ClientKey, sign_reply};
use anteroom::radius::packet::{Builder, Code, Packet};
use anteroom::secret::Secret;

use super::*;

const MICROSOFT: u32 = 311;

fn vendor(number: u8, value: &[u8]) -> Vec<u8> {
    join_vendor(MICROSOFT, number, value).unwrap()
}

/// A server that counts the requests and refuses with this error of MS-CHAP; or says nothing at all.
fn server(error: Option<&'static str>) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, count) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = Packet::decode(&buffer[..length]).unwrap();
            counted.fetch_add(usize::from(request.code() == Code::ACCESS_REQUEST), Ordering::SeqCst);
            let Some(error) = error else { continue };
            let mut packet = Builder::new(Code::ACCESS_REJECT, request.identifier(), request.authenticator(), 100);
            packet.push(80, &[0; 16]).unwrap();
            packet.push(VENDOR_SPECIFIC, &vendor(2, &[b"\x07", error.as_bytes()].concat())).unwrap();
            let mut bytes = packet.into_bytes();
            let key = ClientKey::new(Secret::from_text(TARGET_SECRET.into()));
            sign_reply(&mut bytes, request.authenticator(), &key);
            socket.send_to(&bytes, from).unwrap();
        }
    });
    (address, count)
}

/// One request with an MS-CHAP2-Response (25), or with a change (27), of alice.
fn ask(world: &Relayed, number: u8) -> Reply {
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    let value = if number == 25 { [&[7, 0][..], &[3; 48]].concat() } else { [&[7, 9][..], &[4; 66]].concat() };
    let (challenge, proof) = (vendor(11, &[9; 16]), vendor(number, &value));
    let request = nas.bare("alice", &[(VENDOR_SPECIFIC, &challenge), (VENDOR_SPECIFIC, &proof)]);
    nas.send(&request);
    nas.receive(&request, SOON).expect("an answer")
}

/// The MS-CHAP-Error of a reply, with its identifier before it.
fn error(reply: &Reply) -> String {
    let found = values(reply, VENDOR_SPECIFIC);
    assert_eq!(found.len(), 1, "{reply:?}");
    assert_eq!((&found[0][..4], found[0][4]), (&MICROSOFT.to_be_bytes()[..], 2));
    format!("{} {}", found[0][6], String::from_utf8_lossy(&found[0][7..]))
}

#[test]
fn the_device_hears_why_a_target_refuses_and_a_wrong_password_is_like_a_denied_prompt() {
    for (said, told, reason) in [
        ("E=648 R=0 C=00112233445566778899AABBCCDDEEFF V=3 M=Password Expired", "7 E=648 R=0 C=", "password_expired"),
        ("E=647 R=0 C=00112233445566778899AABBCCDDEEFF V=3 M=Locked", "7 E=647 R=0 C=", "account_disabled"),
        ("E=709 R=0 C=00112233445566778899AABBCCDDEEFF V=3 M=Too short", "7 E=709 R=0 C=", "new_password_refused"),
        // What tells a wrong password from another refusal does not pass: another try would not be denied.
        ("E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=Wrong", "7 E=691 R=0 C=", "wrong_password"),
        ("nonsense", "7 E=691 R=0 C=", "wrong_password"),
    ] {
        let (target, _) = server(Some(said));
        let world = relayed(&[target], "probe = \"0s\"", "");
        let reply = ask(&world, 25);
        assert_eq!(reply.code, ACCESS_REJECT);
        assert!(error(&reply).starts_with(told) && error(&reply).contains(" V=3"), "{said}: {}", error(&reply));
        assert_eq!(world.server.event("alice")["reason"], reason, "{said}");
        assert_eq!(world.phone.asked(), 0);
    }
}

#[test]
fn a_change_of_a_password_goes_to_one_server_and_to_no_second_one() {
    let ((silent, at_first), (other, at_second)) = (server(None), server(Some("E=691 R=0")));
    let world = relayed(&[silent, other], "tries = 2\nprobe = \"0s\"", "");
    let reply = ask(&world, 27);
    assert_eq!(reply.code, ACCESS_REJECT);
    assert!(error(&reply).starts_with("9 E=691 R=0 C="), "{}", error(&reply));
    assert_eq!(world.server.event("alice")["reason"], "directory_unreachable");
    assert_eq!((at_first.load(Ordering::SeqCst), at_second.load(Ordering::SeqCst)), (2, 0), "the same request twice");
    // A sign-in goes on to the second one.
    assert_eq!(ask(&world, 25).code, ACCESS_REJECT);
    assert!(at_second.load(Ordering::SeqCst) > 0);
}

#[test]
fn an_expired_password_is_changed_at_freeradius_and_the_factor_comes_behind_the_new_one() {
    const NEW: &str = "N3w-Passw0rd-of-the-test";
    let Some(target) = FreeRadius::start().filter(|_| program("radclient")) else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    let ask = |password: &str, new: Option<&str>| world.ms_chap("expired", password, new);
    assert_eq!(ask(PASSWORD, None), "reject with error 648");
    assert!(ask("wrong", Some(NEW)).starts_with("reject"), "whoever does not know the old one changes nothing");
    assert_eq!(world.phone.asked(), 0);
    // The change is the sign-in: with the keys of the new password, and only once the person has approved.
    assert_eq!(ask(PASSWORD, Some(NEW)), "accept");
    assert_eq!(world.phone.asked(), 1);
    assert!(ask(PASSWORD, None).starts_with("reject"));
    assert_eq!(ask(NEW, None), "accept");
    assert_eq!(world.phone.asked(), 2);
    let reasons: Vec<_> = world.server.events("expired", 5).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(
        (&reasons[0], &reasons[2], &reasons[4]),
        (&"password_expired".into(), &"approved".into(), &"approved".into())
    );
    assert!(!(world.server.logs() + &world.server.audit()).contains(NEW));
}
