//! Datagrams to an accounting door, one after the other: nothing panics, what is recorded is bounded by what
//! was sent, and only Accounting-Request and Status-Server are acknowledged.
//!
//! Input: see [`datagrams`]. Flag 1: sign it, so that the fuzzer gets past the signature. Flag 2: acknowledge it
//! at once; flag 4: forget it; neither: it stays under way.

#![no_main]

use std::time::{Duration, Instant};

use anteroom::radius::accounting::{AccountingDoor, AccountingStep};
use anteroom::radius::authenticator::{Verified, sign_accounting, sign_request};
use anteroom::radius::packet::{Code, Packet};
use anteroom_fuzz::{KEY, datagrams, peer, shared};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let start = Instant::now();
    let door = AccountingDoor::new(shared(start), 16);
    let mut now = start;
    let mut under_way = Vec::new();
    for (flags, mut datagram) in datagrams(input) {
        if flags & 1 != 0 && datagram.first() == Some(&Code::STATUS_SERVER.0) {
            sign_request(&mut datagram, &KEY);
        } else if flags & 1 != 0 {
            sign_accounting(&mut datagram, &KEY);
        }
        now += Duration::from_millis(u64::from(flags) * 4);
        match door.receive(peer(), &datagram, now) {
            AccountingStep::Record(record, ticket) => {
                assert_eq!(datagram.first(), Some(&Code::ACCOUNTING_REQUEST.0));
                // A stray octet becomes the replacement character, of three.
                assert!(record.session.len() <= 3 * 253 && record.name.len() <= 3 * 253);
                let _ = record.status_word();
                if flags & 2 != 0 {
                    check(&door.acknowledge(ticket, now), &datagram);
                    let again = door.receive(peer(), &datagram, now);
                    assert!(matches!(again, AccountingStep::Reply(_)), "{again:?}");
                } else if flags & 4 != 0 {
                    door.forget(&ticket, now);
                } else {
                    under_way.push((ticket, datagram));
                }
            }
            AccountingStep::Reply(reply) => check(&reply, &datagram),
            AccountingStep::Discard(_) | AccountingStep::Running => {}
        }
    }
    for (ticket, datagram) in under_way {
        check(&door.acknowledge(ticket, now), &datagram);
    }
});

/// A reply is an authentic acknowledgement of this very request.
fn check(reply: &[u8], request: &[u8]) {
    let packet = Packet::decode(reply).expect("our own reply is a packet");
    assert_eq!(packet.code(), Code::ACCOUNTING_RESPONSE);
    let request = Packet::decode(request).expect("it was answered");
    assert_eq!(packet.identifier(), request.identifier());
    assert!(Verified::reply(packet, request.authenticator(), &KEY).is_ok());
}
