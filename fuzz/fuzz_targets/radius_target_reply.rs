//! Any authentic reply of a RADIUS target: what it says is passed on whole and readable, or not at all; without a panic.

#![no_main]

use anteroom::config::{PersonAddress, ReplyRules};
use anteroom::radius::authenticator::{Verified, sign_reply};
use anteroom::radius::packet::{Builder, Code, HEADER, MAX_PACKET, Packet};
use anteroom::radius::said::Said;
use anteroom_fuzz::KEY;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, Vec<u8>)| {
    let (code, ruled, attributes) = input;
    let mut packet = Builder::new(Code(code), 1, &[0; 16], attributes.len());
    if packet.push_encoded(&attributes).is_err() {
        return;
    }
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, &[3; 16], &KEY);
    let Ok(reply) = Packet::decode(&bytes) else { return };
    let Ok(verified) = Verified::reply(reply, &[3; 16], &KEY) else { return };
    let place = |vendor, number| PersonAddress { vendor, number };
    let rules = ReplyRules {
        drop: vec![place(Some(9), 1)],
        rename: vec![(place(None, 11), place(Some(3076), 25))],
        ..ReplyRules::default()
    };
    let rules = if ruled { rules } else { ReplyRules::default() };
    let Ok(said) = Said::read(&verified, &[3; 16], &KEY, &rules, MAX_PACKET - HEADER) else { return };
    let mut passed = Builder::new(Code::ACCESS_ACCEPT, 1, &[9; 16], said.length());
    said.write(&mut passed, &[9; 16], &KEY).expect("what fits is written");
    assert_eq!(passed.bytes().len() - HEADER, said.length());
    assert!(Packet::decode(passed.bytes()).is_ok());
});
