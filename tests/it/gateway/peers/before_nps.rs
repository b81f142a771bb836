//! RD Gateway with an NPS behind: FreeRADIUS plays the NPS, pyrad the gateway, and a server of our own one that sends
//! back what it gets. And three clients at once: a VPN on Active Directory, a gateway on target `none`, one on `radius`.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anteroom::radius::authenticator::{ClientKey, sign_reply};
use anteroom::radius::packet::{Builder, Code, Packet};
use anteroom::secret::Secret;

use super::*;
use crate::peers::freeradius::{FreeRadius, TARGET_SECRET};
use crate::peers::wire::Nas;
use crate::peers::world::SOON;

/// The address of the gateway whose target is an NPS.
const BEFORE_NPS: &str = "127.0.0.3";

/// A world with a VPN, a gateway on target `none`, and one on this NPS.
fn world_before(directory: &Directory, nps: SocketAddr) -> World {
    let (own, before) =
        (gateway("rdg", GATEWAY, "Remote Desktop"), gateway("nps", BEFORE_NPS, "Remote Desktop by NPS"));
    let gateways = format!(
        r#"
[[reply]]
name = "everybody"
clients = ["nps"]
people = ["alice"]
attributes = {{ "Class" = "{{user}}" }}

{own}
{before}

[target.rdg]
type = "none"
directory = "corp"
{EVERYBODY}

[target.nps]
type = "radius"
servers = "{nps}"
secret = "{TARGET_SECRET}"
domains = "CORP"
timeout = "1s"
"#
    );
    World::new(directory, &gateways, "")
}

#[test]
fn the_nps_decides_the_phone_is_asked_once_and_its_attributes_come_with_the_accept() {
    let Some(directory) = directory() else { return };
    let Some(nps) = FreeRadius::start() else { return };
    let world = world_before(&directory, nps.radius());
    world.enrol(&["alice", "bob"]);
    let states = ["0a", "fe80000000000001", "0b", "0a", "03", "04", "05", "06", "07", "08"];
    let asked = connect_from(BEFORE_NPS, &world, ("CORP\\alice", "PC-0815", "PW"), &states);
    let prompt = world.phone.prompt_of("alice");
    assert_eq!(&*prompt.application, "Remote Desktop by NPS");
    world.phone.approve(&prompt);
    let heard = asked.join().unwrap();
    assert_eq!((heard.code, &heard.whole["authentic"]), (Some(ACCESS_ACCEPT), &true.into()));
    // Ours first, then the NPS's device redirection, then the Proxy-States in their order.
    let mut expected = vec![(25, "616c696365".to_owned()), (26, "000001373f0600000007".to_owned())];
    expected.extend(states.map(|state| (33, state.to_owned())));
    assert_eq!(heard.attributes[1..], expected);
    let seen = nps.requests();
    assert!(seen.contains("User-Name = \"CORP\\\\alice\"") && seen.contains("UserAuthType:PW"), "{seen}");
    assert_eq!(seen.matches("Proxy-State = ").count(), 11, "the gateway's ten and ours: {seen}");
    assert!(!seen.contains("User-Password"), "{seen}");
    // Within `reconnect_within` the NPS is asked and the person is not.
    let again = connect_from(BEFORE_NPS, &world, ("CORP\\alice", "PC-0815", "PW"), &[]).join().unwrap();
    assert_eq!((again.code, world.phone.asked()), (Some(ACCESS_ACCEPT), 1));
    // What the NPS refuses is refused at once.
    let refused = connect_from(BEFORE_NPS, &world, ("CORP\\bob", "PC-0815", "PW"), &["0102"]).join().unwrap();
    assert_eq!((refused.code, world.phone.asked()), (Some(ACCESS_REJECT), 1));
    assert_eq!(refused.attributes.len(), 2, "signature and Proxy-State: {:?}", refused.attributes);
    assert_eq!(world.server.event("CORP\\bob")["reason"], "connection_denied");
    // Nobody is throttled by what the NPS's policies say.
    for _ in 0..6 {
        connect_from(BEFORE_NPS, &world, ("CORP\\bob", "PC-0815", "PW"), &[]).join().unwrap();
    }
    let reasons: Vec<_> = world.server.events("CORP\\bob", 7).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, vec!["connection_denied"; 7]);
}

#[test]
fn a_password_from_a_gateway_before_an_nps_and_a_gateways_request_from_a_vpn_are_refused() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let Some(nps) = FreeRadius::start() else { return };
    let world = world_before(&directory, nps.radius());
    world.enrol(&["alice"]);
    let output = radclient(world.server.radius(), BEFORE_NPS, Some(PASSWORD));
    assert!(received(&output, "Access-Reject"), "{output:?}");
    assert_eq!(world.server.event("CORP\\alice")["reason"], "unwanted_password");
    assert_eq!(nps.requests(), "", "nothing of it has gone on");
    assert_eq!(world.phone.asked(), 0);
}

/// What an NPS does whose policies are in the wrong order: every request goes back to Anteroom, from the address of a
/// client, with a Proxy-State more.
#[test]
fn what_comes_back_to_us_is_a_loop_and_ends_after_one_round() {
    let Some(directory) = directory() else { return };
    let behind = UdpSocket::bind((BEFORE_NPS, 0)).unwrap();
    let world = world_before(&directory, behind.local_addr().unwrap());
    world.enrol(&["alice"]);
    let rounds = Arc::new(AtomicUsize::new(0));
    let (server, counted) = (world.server.radius(), Arc::clone(&rounds));
    std::thread::spawn(move || send_back(&behind, server, &counted));
    let heard = connect_from(BEFORE_NPS, &world, ("CORP\\alice", "PC-0815", "PW"), &["0a"]).join().unwrap();
    assert_eq!(heard.code, Some(ACCESS_REJECT));
    assert_eq!((rounds.load(Ordering::SeqCst), world.phone.asked()), (1, 0), "one round, and nobody is prompted");
    let reasons: Vec<_> = world.server.events("CORP\\alice", 2).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["request_loop", "connection_denied"]);
    assert!(world.server.logs().contains("has come round"), "it is told in the log");
    let told = world.server.run(&["explain", "--client", "nps", "--user", "CORP\\alice"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("the RADIUS servers behind, which decide"), "{told:?}");
}

/// Sends each request back to `server` under the secret of the gateway, and its answer to who asked first.
fn send_back(behind: &UdpSocket, server: SocketAddr, rounds: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = behind.recv_from(&mut buffer) {
        rounds.fetch_add(1, Ordering::SeqCst);
        let asked = buffer[..length].to_vec();
        let packet = Packet::decode(&asked).unwrap();
        let kept = packet.attributes().filter(|attribute| ![1, 80].contains(&attribute.number));
        let kept: Vec<(u8, &[u8])> = kept.map(|attribute| (attribute.number, attribute.value)).collect();
        let mut nas = Nas::at(BEFORE_NPS, server, SHARED_SECRET);
        let request = nas.bare(std::str::from_utf8(packet.value(1).unwrap()).unwrap(), &kept);
        nas.send(&request);
        let reply = nas.receive(&request, SOON).expect("an answer to what came round");
        let key = ClientKey::new(Secret::new(TARGET_SECRET.as_bytes().to_vec()));
        let mut answer = Builder::new(Code(reply.code), packet.identifier(), packet.authenticator(), 64);
        answer.push(80, &[0; 16]).unwrap();
        let mut answer = answer.into_bytes();
        sign_reply(&mut answer, packet.authenticator(), &key);
        behind.send_to(&answer, from).unwrap();
    }
}

#[test]
fn a_vpn_and_two_gateways_at_once_do_not_cross() {
    let Some(directory) = directory() else { return };
    let Some(nps) = FreeRadius::start() else { return };
    let world = world_before(&directory, nps.radius());
    // alice may connect by the NPS, bob by the directory, and everybody has a VPN.
    world.enrol(&["alice", "bob", "carol", "dave"]);
    let (mut nas, mut second) = (world.nas(), world.nas());
    let vpn = |nas: &mut Nas, name: &str| {
        let request = nas.request(name, PASSWORD.as_bytes(), &[]);
        nas.send(&request);
        request
    };
    // All of them are held at the same time, each person by one prompt.
    let carol = vpn(&mut nas, "carol");
    let bob = connect(&world, "CORP\\bob", "PC-1", "PW", &["01"]);
    let alice = connect_from(BEFORE_NPS, &world, ("CORP\\alice", "PC-2", "PW"), &["02"]);
    let dave = vpn(&mut second, "dave");
    let prompts = ["carol", "bob", "alice", "dave"].map(|name| world.phone.prompt_of(name));
    let applications = prompts.each_ref().map(|prompt| prompt.application.to_string());
    assert_eq!(applications, ["Test VPN", "Remote Desktop", "Remote Desktop by NPS", "Test VPN"]);
    // Answered in another order than they came.
    world.phone.deny(&prompts[3]);
    world.phone.approve(&prompts[1]);
    world.phone.approve(&prompts[2]);
    world.phone.approve(&prompts[0]);
    let (bob, alice) = (bob.join().unwrap(), alice.join().unwrap());
    assert_eq!((bob.code, alice.code), (Some(ACCESS_ACCEPT), Some(ACCESS_ACCEPT)));
    assert_eq!(second.receive(&dave, SOON).unwrap().code, ACCESS_REJECT);
    assert_eq!(nas.receive(&carol, SOON).unwrap().code, ACCESS_ACCEPT);
    let states =
        |heard: &Heard| heard.attributes.iter().filter(|(n, _)| *n == 33).map(|(_, v)| v.clone()).collect::<Vec<_>>();
    assert_eq!((states(&bob), states(&alice)), (vec!["01".to_owned()], vec!["02".to_owned()]));
    assert!(
        bob.attributes.iter().all(|(number, _)| ![25, 26].contains(number)),
        "nothing of the NPS: {:?}",
        bob.attributes
    );
    for (name, client, reason) in [
        ("carol", "vpn", "approved"),
        ("dave", "vpn", "denied"),
        ("CORP\\bob", "rdg", "approved"),
        ("CORP\\alice", "nps", "approved"),
    ] {
        let event = world.server.event(name);
        assert_eq!((&event["client"], &event["reason"]), (&client.into(), &reason.into()), "{name}");
    }
    assert_eq!(world.phone.asked(), 4);
    assert_eq!(alice.attributes[1], (25, "616c696365".to_owned()), "{:?}", alice.attributes);
    // The same person through two of them is two sign-ins, and an approval of one is none of the other.
    let first = vpn(&mut nas, "alice");
    let at_vpn = world.phone.prompt_after("alice", &prompts[2]);
    assert_eq!(&*at_vpn.application, "Test VPN");
    world.phone.approve(&at_vpn);
    assert_eq!(nas.receive(&first, SOON).unwrap().code, ACCESS_ACCEPT);
}

#[test]
fn a_hundred_sign_ins_through_three_clients_at_once_each_hear_their_own() {
    let Some(directory) = directory() else { return };
    let Some(nps) = FreeRadius::start() else { return };
    let world = world_before(&directory, nps.radius());
    world.enrol(&["alice", "bob", "carol", "dave"]);
    world.phone.approve_by_itself();
    world.phone.deny_by_itself("dave");
    // Through which client, who, and what they are to hear.
    let cases: [(&str, &str, u8); 7] = [
        ("vpn", "carol", ACCESS_ACCEPT),
        ("vpn", "dave", ACCESS_REJECT),
        ("vpn", "CORP\\alice", ACCESS_ACCEPT),
        (GATEWAY, "CORP\\bob", ACCESS_ACCEPT),
        (GATEWAY, "CORP\\dave", ACCESS_REJECT),
        (BEFORE_NPS, "CORP\\alice", ACCESS_ACCEPT),
        (BEFORE_NPS, "CORP\\bob", ACCESS_REJECT),
    ];
    let (cases, world) = (&cases, &world);
    let one = move |number: usize| {
        let (client, name, expected) = cases[number % cases.len()];
        let mark = format!("mark-{number:03}");
        // Two computers each: what is held at once is bounded for each person.
        let computer = format!("PC-{}", number / cases.len() % 2);
        let machine = [&311_u32.to_be_bytes(), &[50, 2 + 4][..], computer.as_bytes()].concat();
        let called: (u8, &[u8]) = (30, b"UserAuthType:PW");
        let state: (u8, &[u8]) = (33, mark.as_bytes());
        let (mut nas, request);
        if client == "vpn" {
            nas = world.nas();
            request = nas.request(name, PASSWORD.as_bytes(), &[state]);
        } else {
            nas = Nas::at(client, world.server.radius(), SHARED_SECRET);
            request = nas.bare(name, &[called, (26, &machine), state]);
        }
        nas.send(&request);
        let reply = nas.receive(&request, SOON).unwrap_or_else(|| panic!("{client}: no answer for {name}"));
        assert_eq!(reply.code, expected, "{client}: {name}");
        let others: Vec<_> = reply.attributes.iter().filter(|(attribute, _)| *attribute != 80).cloned().collect();
        let mut own = vec![(33, mark.as_bytes().to_vec())];
        if client == BEFORE_NPS && expected == ACCESS_ACCEPT {
            let redirection = [&311_u32.to_be_bytes(), &[63, 6, 0, 0, 0, 7][..]].concat();
            own.splice(0..0, [(25, b"alice".to_vec()), (26, redirection)]);
        }
        assert_eq!(others, own, "{client}: {name}");
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..105).map(|number| scope.spawn(move || one(number))).collect();
        all.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
