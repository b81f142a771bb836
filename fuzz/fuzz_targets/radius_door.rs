//! Datagrams to a door, one after the other: nothing panics, the table keeps to its bound, every reply is a
//! packet with its signature first, and none of them lets anybody in.
//!
//! Input: see [`datagrams`]. Flag 1: sign it, so that the fuzzer gets past the signature. Flag 2: finish it at
//! once.

#![no_main]

use std::time::{Duration, Instant};

use anteroom::radius::authenticator::sign_request;
use anteroom::radius::door::{Door, Step};
use anteroom::radius::packet::Code;
use anteroom::signin::outcome::{Outcome, Reason};
use anteroom_fuzz::{KEY, check_reply, datagrams, peer, shared};
use libfuzzer_sys::fuzz_target;

const CAPACITY: usize = 16;

fuzz_target!(|input: &[u8]| {
    let start = Instant::now();
    let door = Door::<()>::new(shared(start), CAPACITY);
    let mut now = start;
    let mut held = Vec::new();
    for (flags, mut datagram) in datagrams(input) {
        if flags & 1 != 0 {
            sign_request(&mut datagram, &KEY);
        }
        now += Duration::from_millis(u64::from(flags) * 4);
        match door.receive(peer(), &datagram, now, || [0; 12]) {
            Step::Begin(begin) => {
                if flags & 2 != 0 {
                    let outcome = Outcome::Reject(Reason::Denied);
                    let reply = door.finish(&begin.ticket, &outcome, now).expect("it runs and has room");
                    check_reply(&reply, Code::ACCESS_REJECT);
                } else {
                    held.push(begin.ticket);
                }
            }
            Step::Resend(reply) => check_reply(&reply, Code::ACCESS_REJECT),
            // Only Status-Server is answered without a sign-in.
            Step::Reply(reply) => {
                assert_eq!(datagram.first(), Some(&Code::STATUS_SERVER.0));
                check_reply(&reply, Code::ACCESS_ACCEPT);
            }
            Step::Discard(_) | Step::Running(_) => {}
        }
        assert!(door.running() <= CAPACITY);
    }
    for ticket in held {
        if let Some(reply) = door.abandon(&ticket, now) {
            check_reply(&reply, Code::ACCESS_REJECT);
        }
    }
    assert_eq!(door.running(), 0);
});
