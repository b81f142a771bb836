//! What must not cross: another client's State, another's name, fragments out of order, rounds that were used, and two
//! conversations of one person.

use super::*;

/// A second client beside the first.
fn other_client() -> String {
    format!("\n[[radius.client]]\nname = \"other\"\naddress = \"127.0.0.2\"\nsecret = \"{SHARED_SECRET}\"")
}

#[test]
fn a_state_is_good_once_and_only_where_it_was_given() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", &other_client());
    world.phone.approve_by_itself();
    let mut device = Device::new(&world, "alice", "one");
    let (state, proof) = device.challenged();

    let elsewhere = Nas::at("127.0.0.2", world.server.radius(), SHARED_SECRET);
    let mut foreign = Device { nas: elsewhere, name: "alice", station: "one" };
    let reply = foreign.ask(Some(&state), &proof);
    assert_eq!((reply.code, packet(&reply)), (ACCESS_REJECT, vec![4, proof[1], 0, 4]), "at another client");
    let mut somebody = Device::new(&world, "bob", "two");
    assert_eq!(somebody.ask(Some(&state), &proof).code, ACCESS_REJECT, "under another name");
    let password = device.nas.request("alice", PASSWORD.as_bytes(), &[(STATE, &state)]);
    device.nas.send(&password);
    assert_eq!(device.nas.receive(&password, SOON).unwrap().code, ACCESS_REJECT, "with a password");
    let mut altered = state.clone();
    altered[3] ^= 1;
    assert_eq!(device.ask(Some(&altered), &proof).code, ACCESS_REJECT, "altered");
    assert_eq!(world.phone.asked(), 0);

    assert_eq!(device.ask(Some(&state), &proof).code, ACCESS_ACCEPT, "none of this has harmed whose it is");
    assert_eq!(device.ask(Some(&state), &proof).code, ACCESS_REJECT, "once");
    assert_eq!(world.phone.asked(), 1);
    assert_eq!(world.server.event("bob")["reason"], "state_foreign");
    let mut reasons: Vec<_> =
        world.server.events("alice", 5).iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons, ["approved", "state_foreign", "state_foreign", "state_foreign", "state_used"]);
}

#[test]
fn a_round_that_is_repeated_gets_the_same_answer_and_starts_nothing() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    let mut device = Device::new(&world, "alice", "one");
    let first = device.ask(None, &device.identity());
    let wanted = [2, packet(&first)[1], 0, 6, 3, 4];
    let state = values(&first, STATE)[0];
    let second = device.ask(Some(state), &wanted);
    let repeated = device.ask(Some(state), &wanted);
    assert_eq!(values(&second, STATE), values(&repeated, STATE), "under another identifier");
    assert_eq!(packet(&second), packet(&repeated));
    assert_eq!(target.requests().matches("EAP-Message").count(), 2, "the target was asked once for each round");
}

#[test]
fn fragments_out_of_order_are_refused_before_anybody_is_asked() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    let mut whole = vec![2, 9, 0x02, 0x58, 25, 0x80];
    whole.extend((0..594_u32).map(|n| u8::try_from(n % 251).unwrap()));
    let mut fragments = message(&whole);
    fragments.swap(0, 1);
    let request = nas.bare("alice", &fragments);
    nas.send(&request);
    let reply = nas.receive(&request, SOON).unwrap();
    assert_eq!(reply.code, ACCESS_REJECT);
    assert_eq!(world.server.event("alice")["reason"], "broken_eap");
    assert!(!target.requests().contains("EAP-Message"));
}

#[test]
fn whose_outer_name_is_another_persons_is_asked_as_who_they_are() {
    let Some(target) = peers() else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    // The device is alice's, whatever it calls itself outside.
    assert!(ended(supplicant(&world, &target, "ttls-pap", "02:00:00:00:00:01")));
    let event = world.server.event("ttls-pap");
    assert_eq!((&event["account"], &event["reason"]), (&"alice".into(), &"approved".into()));
}

#[test]
fn a_device_that_begins_again_while_its_prompt_is_out_is_not_prompted_twice() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    let mut device = Device::new(&world, "alice", "one");
    let (state, proof) = device.challenged();
    let held = device.say(Some(&state), &proof);
    let prompt = world.phone.prompt_of("alice");
    // It has given up, and goes through all of it again.
    let (state, proof) = device.challenged();
    let again = device.say(Some(&state), &proof);
    // Another device of theirs is another sign-in.
    let mut second = Device::new(&world, "alice", "two");
    let (state, proof) = second.challenged();
    let other = second.say(Some(&state), &proof);
    world.phone.prompt_after("alice", &prompt);
    world.joins(1);
    // Both of them.
    world.phone.approve(&prompt);
    for (device, request) in [(&device, &held), (&device, &again), (&second, &other)] {
        let reply = device.nas.receive(request, SOON).unwrap();
        // EAP-Success is of the very conversation.
        assert_eq!((reply.code, packet(&reply)), (ACCESS_ACCEPT, vec![3, request_identifier(request), 0, 4]));
    }
    assert_eq!(world.phone.asked(), 2, "one for each device");
}

/// The EAP identifier of a request.
fn request_identifier(request: &Request) -> u8 {
    let mut at = 20;
    while request.bytes[at] != EAP_MESSAGE {
        at += usize::from(request.bytes[at + 1]);
    }
    request.bytes[at + 3]
}

#[test]
fn a_round_goes_to_the_server_that_began_and_nobody_else_answers_for_it() {
    use crate::radius_targets::hostile::reply;
    let [first, second] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let servers = [first.local_addr().unwrap(), second.local_addr().unwrap()];
    let other = second.try_clone().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    // The first one begins, and is never heard of again; an Accept comes from the second one's address instead.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = first.recv_from(&mut buffer) {
            let asked = &buffer[..length];
            let packet = anteroom::radius::packet::Packet::decode(asked).unwrap();
            if packet.value(STATE).is_none() {
                let key = anteroom::secret::Secret::from_text(crate::peers::freeradius::TARGET_SECRET.into());
                let key = anteroom::radius::authenticator::ClientKey::new(key);
                let code = anteroom::radius::packet::Code::ACCESS_CHALLENGE;
                let mut answer = anteroom::radius::packet::Builder::new(code, asked[1], packet.authenticator(), 64);
                answer.push(80, &[0; 16]).unwrap();
                answer.push(EAP_MESSAGE, &[1, 2, 0, 6, 25, 0x20]).unwrap();
                answer.push(STATE, b"of the first").unwrap();
                let mut answer = answer.into_bytes();
                anteroom::radius::authenticator::sign_reply(&mut answer, packet.authenticator(), &key);
                first.send_to(&answer, from).unwrap();
            } else {
                let accept = reply(asked, ACCESS_ACCEPT, asked[1], b"x", crate::peers::freeradius::TARGET_SECRET);
                other.send_to(&accept, from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, _)) = second.recv_from(&mut buffer) {
            let _ = told.send(buffer[..length].to_vec());
        }
    });
    let world = relayed(&servers, "tries = 2\nprobe = \"0s\"", "");
    let mut device = Device::new(&world, "alice", "one");
    let challenge = device.ask(None, &device.identity());
    assert_eq!((challenge.code, packet(&challenge)), (ACCESS_CHALLENGE, vec![1, 2, 0, 6, 25, 0x20]));
    let lost = device.ask(Some(values(&challenge, STATE)[0]), &[2, 2, 0, 6, 25, 0]);
    assert_eq!((lost.code, packet(&lost)), (ACCESS_REJECT, vec![4, 2, 0, 4]));
    assert_eq!(world.server.event("alice")["reason"], "directory_unreachable");
    assert!(heard.try_recv().is_err(), "the second one knows nothing of it and was not asked");
    assert_eq!(world.phone.asked(), 0);
}
