//! Datagrams to the door for changes (CoA and Disconnect), one after the other: nothing panics, what goes on to the client has
//! nothing of the target's signature and Proxy-States, and every answer is an authentic one.
//!
//! Input: see [`datagrams`]. Flag 1: sign it, so that the fuzzer gets past the signature. Flag 2: the client answers with
//! the request's own attributes; else it does not answer.

#![no_main]

use std::time::{Duration, Instant, SystemTime};

use anteroom::config::changes::{ChangeRelay, Changes as Configured};
use anteroom::radius::attribute::{MESSAGE_AUTHENTICATOR, PROXY_STATE};
use anteroom::radius::authenticator::{Verified, sign_accounting, sign_request};
use anteroom::radius::changes::{Cause, Changes, Step};
use anteroom::radius::packet::Packet;
use anteroom::secret::Secret;
use anteroom_fuzz::{KEY, SECRET, datagrams, peer, shared};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let start = Instant::now();
    let relay = ChangeRelay {
        target: "nps".into(),
        from: vec![peer().ip()],
        target_secret: Secret::new(SECRET.to_vec()),
        own_name: Some("anteroom".into()),
        client: "vpn".into(),
        addresses: Vec::new(),
        to: peer(),
        client_secret: Secret::new(SECRET.to_vec()),
    };
    let door = Changes::new(&Configured { listen: Vec::new(), relays: vec![relay] }, shared(start));
    let mut now = start;
    for (flags, mut datagram) in datagrams(input) {
        if flags & 1 != 0 && datagram.len() >= 20 {
            datagram[4..20].fill(0);
            sign_request(&mut datagram, &KEY);
            sign_accounting(&mut datagram, &KEY);
        }
        now += Duration::from_millis(u64::from(flags) * 4);
        let reply = match door.receive(peer(), &datagram, (now, SystemTime::UNIX_EPOCH)) {
            Step::Discard(_) | Step::Running => continue,
            Step::Reply(reply) => Some(reply),
            Step::Relay(relay) => {
                let sent = relay.encode(9, &KEY).expect("what came fits");
                let verified = Verified::change(Packet::decode(&sent).unwrap(), &KEY).expect("authentic");
                assert_eq!(verified.packet().value(PROXY_STATE), None);
                let said = Packet::decode(&datagram).unwrap();
                let own = said.attributes().filter(|one| ![MESSAGE_AUTHENTICATOR, PROXY_STATE].contains(&one.number));
                assert!(verified.packet().attributes().count() <= own.count() + 1);
                let answer = if flags & 2 != 0 {
                    Ok((true, said.bytes()[20..].to_vec()))
                } else {
                    Err(Cause::ResourcesUnavailable)
                };
                door.finish(&relay, answer, now)
            }
        };
        if let Some(reply) = reply {
            let asked = *Packet::decode(&datagram).unwrap().authenticator();
            assert!(Verified::reply(Packet::decode(&reply).unwrap(), &asked, &KEY).unwrap().signed());
        }
    }
});
