//! Datagrams to a door, one after the other: nothing panics, the table keeps to its bound, every reply is a
//! packet with its signature first, and none of them lets anybody in.
//!
//! Input: for each datagram a length of two octets, a flag octet, the datagram. Flag 1: sign it, so that the
//! fuzzer gets past the signature. Flag 2: finish it at once.

#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anteroom::config::{AddressRange, Client, ClientPolicy, OnDeadline, PersonAddress, RadiusClient, Requirement};
use anteroom::radius::attribute::MESSAGE_AUTHENTICATOR;
use anteroom::radius::authenticator::{ClientKey, sign_request};
use anteroom::radius::clients::Clients;
use anteroom::radius::door::{Door, Shared, Step};
use anteroom::radius::packet::{Code, Packet};
use anteroom::secret::Secret;
use anteroom::signin::outcome::{Outcome, Reason};
use libfuzzer_sys::fuzz_target;

const CAPACITY: usize = 16;

static KEY: LazyLock<ClientKey> = LazyLock::new(|| ClientKey::new(Secret::new(b"xyzzy5461".to_vec())));

fn door(start: Instant) -> Door<()> {
    let client = Client {
        name: "vpn".into(),
        application: "VPN".into(),
        target: "corp".into(),
        provider: "phone".into(),
        answer_within: Duration::from_secs(55),
        on_deadline: OnDeadline::Reject,
        carry_over: Duration::from_secs(30),
        held: 1000,
        policy: ClientPolicy::default(),
    };
    let client = RadiusClient {
        client: Arc::new(client),
        addresses: vec![AddressRange { first: [192, 0, 2, 1].into(), last: [192, 0, 2, 1].into() }],
        secret: Secret::new(b"xyzzy5461".to_vec()),
        require_message_authenticator: Requirement::Auto,
        limit_proxy_state: Requirement::Auto,
        duplicate_window: Duration::from_secs(5),
        person_address: Some(PersonAddress { vendor: Some(12356), number: 2 }),
        reply_attributes: Vec::new(),
        reject_message: Some("Access denied.".into()),
        packets_per_second: 1_000_000,
    };
    let clients = Clients::new(&[Arc::new(client)], start).expect("the replies fit");
    Door::new(Arc::new(Shared::new(clients, start)), CAPACITY)
}

fuzz_target!(|input: &[u8]| {
    let start = Instant::now();
    let door = door(start);
    let peer = SocketAddr::from(([192, 0, 2, 1], 1812));
    let mut rest = input;
    let mut now = start;
    let mut held = Vec::new();
    while let Some((&[high, low, flag], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (datagram, tail) = tail.split_at(length);
        rest = tail;
        let mut datagram = datagram.to_vec();
        if flag & 1 != 0 {
            sign_request(&mut datagram, &KEY);
        }
        now += Duration::from_millis(u64::from(flag) * 4);
        match door.receive(peer, &datagram, now, || [0; 12]) {
            Step::Begin(begin) => {
                if flag & 2 != 0 {
                    let outcome = Outcome::Reject(Reason::Denied);
                    let reply = door.finish(&begin.ticket, &outcome, now).expect("it runs and has room");
                    check(&reply, Code::ACCESS_REJECT);
                } else {
                    held.push(begin.ticket);
                }
            }
            Step::Resend(reply) => check(&reply, Code::ACCESS_REJECT),
            Step::Reply(reply) => check(&reply, Code::ACCESS_ACCEPT),
            Step::Discard(_) | Step::Running(_) => {}
        }
        assert!(door.running() <= CAPACITY);
    }
    for ticket in held {
        if let Some(reply) = door.abandon(&ticket, now) {
            check(&reply, Code::ACCESS_REJECT);
        }
    }
    assert_eq!(door.running(), 0);
});

fn check(reply: &[u8], code: Code) {
    let packet = Packet::decode(reply).expect("our own reply is a packet");
    assert_eq!(packet.code(), code);
    assert_eq!(packet.attributes().next().map(|attribute| attribute.number), Some(MESSAGE_AUTHENTICATOR));
}
