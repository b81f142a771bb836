use super::*;
use crate::radius::authenticator::{sign_accounting, sign_request};
use crate::radius::testing::{client, range, shared};
use crate::secret::Secret;
use proptest::prelude::*;

const ACCT_SESSION_ID: u8 = 44;
const TARGET: &str = "192.0.2.5:4000";
const WALL: u64 = 1_800_000_000;

fn key(secret: &str) -> ClientKey {
    ClientKey::new(Secret::from_text(secret.into()))
}

fn relay(target: &str, from: &str, client: &str, addresses: (&str, &str)) -> ChangeRelay {
    ChangeRelay {
        target: target.into(),
        from: vec![from.parse().unwrap()],
        target_secret: Secret::from_text(format!("of the target {target}")),
        own_name: (target == "own").then(|| "anteroom".into()),
        client: client.into(),
        addresses: vec![range(addresses.0, addresses.1)],
        to: "192.0.2.100:3799".parse().unwrap(),
        client_secret: Secret::from_text(format!("of the client {client}")),
    }
}

/// A target with one client, one with two, and one on the same machine as the first.
fn door() -> (Changes, Instant) {
    let start = Instant::now();
    let relays = vec![
        relay("one", "192.0.2.5", "vpn", ("192.0.2.10", "192.0.2.10")),
        relay("two", "192.0.2.6", "vpn", ("192.0.2.10", "192.0.2.10")),
        relay("two", "192.0.2.6", "wifi", ("192.0.2.0", "192.0.2.255")),
        relay("own", "192.0.2.5", "wifi", ("192.0.2.0", "192.0.2.255")),
        relay("own", "192.0.2.5", "vpn", ("192.0.2.10", "192.0.2.10")),
    ];
    let configured = Configured { listen: Vec::new(), relays };
    (Changes::new(&configured, shared(vec![client("vpn")], start)), start)
}

fn request(code: Code, target: &str, attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut packet = Builder::new(code, 7, &[0; 16], 100);
    attributes.iter().for_each(|(number, value)| packet.push(*number, value).unwrap());
    let mut bytes = packet.into_bytes();
    let key = key(&format!("of the target {target}"));
    sign_request(&mut bytes, &key);
    sign_accounting(&mut bytes, &key);
    bytes
}

fn session() -> (u8, Vec<u8>) {
    (ACCT_SESSION_ID, b"session-1".to_vec())
}

fn receive(door: &(Changes, Instant), peer: &str, bytes: &[u8]) -> Step {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(WALL);
    door.0.receive(peer.parse().unwrap(), bytes, (door.1, wall))
}

/// Code and attributes of a reply to `request`, which must be an authentic one of the target's.
fn told(reply: &[u8], request: &[u8], target: &str) -> (u8, Vec<(u8, Vec<u8>)>) {
    let asked: Authenticator = request[4..20].try_into().unwrap();
    let key = key(&format!("of the target {target}"));
    let verified = Verified::reply(Packet::decode(reply).unwrap(), &asked, &key).unwrap();
    assert!(verified.signed());
    let packet = verified.packet();
    let all: Vec<_> = packet.attributes().map(|attribute| (attribute.number, attribute.value.to_vec())).collect();
    assert_eq!(all[0].0, MESSAGE_AUTHENTICATOR);
    (packet.code().0, all[1..].to_vec())
}

fn refused(door: &(Changes, Instant), peer: &str, target: &str, attributes: &[(u8, Vec<u8>)]) -> u32 {
    let bytes = request(COA_REQUEST, target, attributes);
    let Step::Reply(reply) = receive(door, peer, &bytes) else { panic!("no refusal of {attributes:?}") };
    let (code, attributes) = told(&reply, &bytes, target);
    assert_eq!((code, attributes[0].0), (45, ERROR_CAUSE_NUMBER));
    u32::from_be_bytes(attributes[0].1.clone().try_into().unwrap())
}

const ERROR_CAUSE_NUMBER: u8 = 101;

fn client_of(door: &(Changes, Instant), peer: &str, target: &str, attributes: &[(u8, Vec<u8>)]) -> String {
    let bytes = request(COA_REQUEST, target, attributes);
    let Step::Relay(relay) = receive(door, peer, &bytes) else { panic!("not relayed: {attributes:?}") };
    assert_eq!(door.0.target_of(&relay), target);
    door.0.clients()[relay.client].name.clone()
}

#[test]
fn a_request_goes_to_the_client_under_its_own_secret_and_the_answer_back_with_the_proxy_states() {
    let door = door();
    let states = [(PROXY_STATE, vec![1; 9]), (PROXY_STATE, vec![2])];
    let vendor = (26, vec![0, 0, 0, 9, 1, 3, 7]);
    let stamp = (EVENT_TIMESTAMP, u32::try_from(WALL - 299).unwrap().to_be_bytes().to_vec());
    for (code, word) in [(DISCONNECT_REQUEST, "disconnect"), (COA_REQUEST, "coa")] {
        let signature = (MESSAGE_AUTHENTICATOR, vec![0; 16]);
        let peer = if code == COA_REQUEST { "192.0.2.5:4001" } else { TARGET };
        let given =
            [vec![states[0].clone(), session(), signature, vendor.clone(), stamp.clone()], vec![states[1].clone()]];
        let bytes = request(code, "one", &given.concat());
        let Step::Relay(relay) = receive(&door, peer, &bytes) else { panic!("not relayed") };
        assert_eq!(relay.word(), word);
        assert!(matches!(receive(&door, peer, &bytes), Step::Running), "the client is asked once");
        let client = key("of the client vpn");
        let sent = relay.encode(99, &client).unwrap();
        let verified = Verified::change(Packet::decode(&sent).unwrap(), &client).unwrap();
        let passed: Vec<_> = verified.packet().attributes().map(|a| (a.number, a.value.to_vec())).collect();
        assert_eq!((verified.packet().code(), passed[0].0), (code, MESSAGE_AUTHENTICATOR));
        assert_eq!(passed[1..], [session(), vendor.clone(), stamp.clone()], "no Proxy-State of the target's");
        for (more, done) in [(1, true), (2, false)] {
            let mut answer = Builder::new(Code(code.0 + more), 99, &[0; 16], 0);
            answer.push(26, &[0, 0, 0, 9, 2, 3, 8]).unwrap();
            answer.push(PROXY_STATE, b"stray").unwrap();
            let answer = answer.into_bytes();
            assert_eq!(
                relay.read(&Packet::decode(&answer).unwrap()),
                Some((done, vec![26, 9, 0, 0, 0, 9, 2, 3, 8])),
                "{word}"
            );
        }
        for other in [0, 3, 2] {
            let answer = Builder::new(Code(if other == 2 { 2 } else { code.0 + other }), 99, &[0; 16], 0).into_bytes();
            assert_eq!(relay.read(&Packet::decode(&answer).unwrap()), None, "no answer to it");
        }
        let reply = door.0.finish(&relay, Ok((true, vec![44, 3, 7])), door.1).unwrap();
        let expected = [vec![(44, vec![7])], states.to_vec()].concat();
        assert_eq!(told(&reply, &bytes, "one"), (code.0 + 1, expected));
        let Step::Reply(again) = receive(&door, peer, &bytes) else { panic!("not answered again") };
        assert_eq!(again, reply);
    }
}

#[test]
fn who_is_no_target_or_has_another_secret_or_repeats_what_is_old_hears_nothing() {
    let door = door();
    let good = request(COA_REQUEST, "one", &[session()]);
    let discarded = |peer: &str, bytes: &[u8]| match receive(&door, peer, bytes) {
        Step::Discard(cause) => cause,
        other => panic!("{other:?}"),
    };
    assert_eq!(discarded("192.0.2.7:4000", &good), Discarded::UnknownSource);
    assert_eq!(discarded("192.0.2.6:4000", &good), Discarded::WrongAuthenticator, "another target's secret");
    let mut altered = good.clone();
    altered[22] ^= 1;
    assert_eq!(discarded(TARGET, &altered), Discarded::WrongAuthenticator);
    assert_eq!(discarded(TARGET, &good[..19]), Discarded::TooShort);
    for code in [Code::ACCESS_REQUEST, Code::ACCOUNTING_REQUEST, Code(41), Code(45)] {
        assert_eq!(discarded(TARGET, &request(code, "one", &[session()])), Discarded::WrongCode);
    }
    // A signature that is wrong where the authenticator is right.
    let mut packet = Builder::new(COA_REQUEST, 7, &[0; 16], 0);
    packet.push(MESSAGE_AUTHENTICATOR, &[5; 16]).unwrap();
    let mut forged = packet.into_bytes();
    sign_accounting(&mut forged, &key("of the target one"));
    assert_eq!(discarded(TARGET, &forged), Discarded::WrongAuthenticator);
    for stamp in [WALL - 301, WALL + 301, 0] {
        let stamp = (EVENT_TIMESTAMP, u32::try_from(stamp).unwrap().to_be_bytes().to_vec());
        assert_eq!(discarded(TARGET, &request(COA_REQUEST, "one", &[session(), stamp])), Discarded::Stale);
    }
    assert_eq!(discarded(TARGET, &request(COA_REQUEST, "one", &[(EVENT_TIMESTAMP, vec![1])])), Discarded::Stale);
}

#[test]
fn the_client_is_the_only_one_or_the_one_that_is_named() {
    let door = door();
    let nas = |octets: [u8; 4]| (NAS_IP_ADDRESS, octets.to_vec());
    let named = |name: &str| (NAS_IDENTIFIER, name.as_bytes().to_vec());
    // It may ask one client alone, whatever it calls it.
    assert_eq!(client_of(&door, "192.0.2.5:1", "one", &[session()]), "vpn");
    assert_eq!(client_of(&door, "192.0.2.5:2", "one", &[nas([10, 0, 0, 1])]), "vpn");
    // Of two, the more exact address wins.
    assert_eq!(client_of(&door, "192.0.2.6:1", "two", &[nas([192, 0, 2, 10])]), "vpn");
    assert_eq!(client_of(&door, "192.0.2.6:2", "two", &[nas([192, 0, 2, 11])]), "wifi");
    assert_eq!(client_of(&door, "192.0.2.6:3", "two", &[named("wifi")]), "wifi");
    let two = "192.0.2.6:9";
    assert_eq!(refused(&door, two, "two", &[session()]), 502);
    assert_eq!(refused(&door, two, "two", &[nas([10, 0, 0, 1])]), 403);
    assert_eq!(refused(&door, two, "two", &[named("printer")]), 403);
    // What this server calls itself names nobody, and does not go on.
    assert_eq!(refused(&door, "192.0.2.5:9", "own", &[named("anteroom")]), 502);
    let bytes = request(COA_REQUEST, "own", &[named("anteroom"), nas([192, 0, 2, 10])]);
    let Step::Relay(relay) = receive(&door, "192.0.2.5:8", &bytes) else { panic!("not relayed") };
    let sent = relay.encode(1, &key("of the client vpn")).unwrap();
    assert_eq!(Packet::decode(&sent).unwrap().attributes().map(|a| a.number).collect::<Vec<_>>(), [NAS_IP_ADDRESS]);
    // What a client could not read, and what it would have to answer by an Access-Request.
    for hidden in [USER_PASSWORD, CHAP_PASSWORD, TUNNEL_PASSWORD, EAP_MESSAGE] {
        assert_eq!(refused(&door, "192.0.2.5:7", "one", &[session(), (hidden, vec![1; 17])]), 401);
    }
    assert_eq!(refused(&door, "192.0.2.5:7", "one", &[(SERVICE_TYPE, AUTHORIZE_ONLY.to_vec())]), 405);
}

#[test]
fn what_could_not_be_asked_and_what_does_not_fit_is_a_nak_and_the_table_is_bounded() {
    let door = door();
    let states: Vec<_> = (0..15).map(|n| (PROXY_STATE, vec![n; 253])).collect();
    let bytes = request(DISCONNECT_REQUEST, "one", &states);
    let Step::Relay(relay) = receive(&door, TARGET, &bytes) else { panic!("not relayed") };
    let long = [26, 255].into_iter().chain([9; 253]).collect::<Vec<u8>>();
    let reply = door.0.finish(&relay, Ok((true, long)), door.1).unwrap();
    let (code, attributes) = told(&reply, &bytes, "one");
    assert_eq!((code, attributes), (41, states), "it was done, whatever else the client had to say");
    let mut relays = Vec::new();
    let wait = |number: usize| Duration::from_millis(2 * u64::try_from(number).unwrap());
    for number in 0_usize.. {
        let mut packet = Builder::new(COA_REQUEST, u8::try_from(number % 256).unwrap(), &[0; 16], 0);
        packet.push(ACCT_SESSION_ID, &number.to_be_bytes()).unwrap();
        let mut bytes = packet.into_bytes();
        sign_accounting(&mut bytes, &key("of the target one"));
        let peer = SocketAddr::new("192.0.2.5".parse().unwrap(), 5000 + u16::try_from(number / 256).unwrap());
        match door.0.receive(peer, &bytes, (door.1 + wait(number), SystemTime::UNIX_EPOCH)) {
            Step::Relay(relay) => relays.push(relay),
            Step::Discard(Discarded::TableFull) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(relays.len(), MOST - 1, "one was answered, and is kept");
}

proptest! {
    #[test]
    fn no_octets_break_it(code in 40u8..46, attributes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let door = door();
        let mut packet = Builder::new(Code(code), 7, &[0; 16], 300);
        packet.push_encoded(&attributes).unwrap();
        let mut bytes = packet.into_bytes();
        sign_accounting(&mut bytes, &key("of the target one"));
        if let Step::Relay(relay) = receive(&door, TARGET, &bytes) {
            prop_assert!(relay.encode(1, &key("of the client vpn")).is_ok());
            prop_assert!(door.0.finish(&relay, Ok((true, attributes)), door.1).is_some());
        }
    }
}
