use super::*;
use crate::config::ReplyAttribute;
use crate::radius::attribute::{CLASS, vendor_value};
use crate::radius::authenticator::sign_reply;
use crate::radius::packet::Packet;
use proptest::prelude::*;

const ASKED: Authenticator = [3; 16];
const CLIENT_ASKED: Authenticator = [9; 16];
const ROOM: usize = 3800;
const FILTER_ID: u8 = 11;
const SESSION_TIMEOUT: u8 = 27;

fn target() -> ClientKey {
    ClientKey::new(Secret::new(b"between us and the target".to_vec()))
}

fn client() -> ClientKey {
    ClientKey::new(Secret::new(b"between the client and us".to_vec()))
}

fn reply(code: Code, attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut packet = Builder::new(code, 1, &[0; 16], 200);
    packet.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    attributes.iter().for_each(|(number, value)| packet.push(*number, value).unwrap());
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, &ASKED, &target());
    bytes
}

fn read_with(code: Code, attributes: &[(u8, Vec<u8>)], rules: &ReplyRules) -> Result<Said, SaidError> {
    let bytes = reply(code, attributes);
    let key = target();
    let verified = Verified::reply(Packet::decode(&bytes).unwrap(), &ASKED, &key).unwrap();
    Said::read(&verified, &ASKED, &key, rules, ROOM)
}

fn written(said: &Said) -> Vec<u8> {
    let mut packet = Builder::new(Code::ACCESS_ACCEPT, 1, &[0; 16], 200);
    said.write(&mut packet, &CLIENT_ASKED, &client()).unwrap();
    assert_eq!(packet.bytes().len() - 20, said.length(), "the length that was foretold");
    packet.into_bytes()
}

fn passed(code: Code, attributes: &[(u8, Vec<u8>)], rules: &ReplyRules) -> Vec<(u8, Vec<u8>)> {
    let bytes = written(&read_with(code, attributes, rules).unwrap());
    Packet::decode(&bytes).unwrap().attributes().map(|one| (one.number, one.value.to_vec())).collect()
}

fn at(vendor: impl Into<Option<u32>>, number: u8) -> PersonAddress {
    PersonAddress { vendor: vendor.into(), number }
}

fn cisco(text: &[u8]) -> (u8, Vec<u8>) {
    (VENDOR_SPECIFIC, join_vendor(9, 1, text).unwrap())
}

#[test]
fn attributes_pass_in_their_order_and_what_is_between_the_two_servers_does_not() {
    let class = (CLASS, b"of 1987".to_vec());
    let all = [
        class.clone(),
        (STATE, b"s".to_vec()),
        cisco(b"shell:priv-lvl=15"),
        (PROXY_STATE, vec![1]),
        (CLASS, vec![0, 255]),
    ];
    let said = read_with(Code::ACCESS_ACCEPT, &all, &ReplyRules::default()).unwrap();
    assert_eq!(said.state(), Some(&b"s"[..]));
    assert_eq!(
        passed(Code::ACCESS_ACCEPT, &all, &ReplyRules::default()),
        [class, cisco(b"shell:priv-lvl=15"), (CLASS, vec![0, 255])]
    );
}

#[test]
fn rules_drop_keep_rename_and_add() {
    let all =
        [(FILTER_ID, b"staff".to_vec()), (SESSION_TIMEOUT, vec![0, 0, 1, 0]), cisco(b"a=b"), (CLASS, b"c".to_vec())];
    let drop = ReplyRules { drop: vec![at(None, SESSION_TIMEOUT), at(9, 1)], ..ReplyRules::default() };
    assert_eq!(passed(Code::ACCESS_ACCEPT, &all, &drop), [all[0].clone(), all[3].clone()]);
    let only = ReplyRules { only: vec![at(9, 1)], ..ReplyRules::default() };
    assert_eq!(passed(Code::ACCESS_ACCEPT, &all, &only), [all[2].clone()]);
    let rename = ReplyRules {
        rename: vec![(at(None, FILTER_ID), at(3076, 25)), (at(9, 1), at(None, CLASS))],
        add: vec![ReplyAttribute { number: FILTER_ID, value: b"added".to_vec() }],
        ..ReplyRules::default()
    };
    let group_policy = (VENDOR_SPECIFIC, join_vendor(3076, 25, b"staff").unwrap());
    let expected =
        [group_policy, all[1].clone(), (CLASS, b"a=b".to_vec()), all[3].clone(), (FILTER_ID, b"added".to_vec())];
    assert_eq!(passed(Code::ACCESS_ACCEPT, &all, &rename), expected);
}

#[test]
fn a_vendors_attribute_that_no_rule_names_keeps_every_octet() {
    // Two parts in one attribute, a vendor that keeps to no form, and one of four octets.
    let two = [&9_u32.to_be_bytes()[..], &[1, 3, b'a', 1, 3, b'b']].concat();
    let odd = [&429_u32.to_be_bytes()[..], &[0, 0, 9, 9]].concat();
    let all: Vec<_> = [two, odd, 7_u32.to_be_bytes().to_vec()].map(|value| (VENDOR_SPECIFIC, value)).to_vec();
    assert_eq!(passed(Code::ACCESS_ACCEPT, &all, &ReplyRules::default()), all);
}

#[test]
fn keys_are_opened_and_sealed_again_for_the_client() {
    let (send, receive) = (Secret::new(vec![5; 32]), Secret::new(vec![6; 16]));
    let password = Secret::new(b"tunnel".to_vec());
    let sealed = |plain, salt| salted::seal(plain, target().keyed(), &ASKED, salt).unwrap();
    let old = Secret::new((0..32).collect());
    let both = [&MICROSOFT.to_be_bytes()[..], &[16, 52], &sealed(&send, 1), &[17, 36], &sealed(&receive, 2)];
    let all = [
        (VENDOR_SPECIFIC, both.concat()),
        (TUNNEL_PASSWORD, [&[1][..], &sealed(&password, 3)].concat()),
        (VENDOR_SPECIFIC, join_vendor(MICROSOFT, 12, &salted::seal_blocks(&old, target().keyed(), &ASKED)).unwrap()),
    ];
    let said = read_with(Code::ACCESS_ACCEPT, &all, &ReplyRules::default()).unwrap();
    assert!(!format!("{said:?}").contains("5, 5"));
    let bytes = written(&said);
    let packet = Packet::decode(&bytes).unwrap();
    let opened = |value| salted::open(value, client().keyed(), &CLIENT_ASKED).unwrap();
    let key = |number| vendor_value(&packet, MICROSOFT, number).unwrap();
    assert!(opened(key(16)).matches(send.open()));
    assert!(opened(key(17)).matches(receive.open()));
    assert_ne!(key(16)[..2], key(17)[..2], "each value has a salt of its own");
    let tunnel = packet.value(TUNNEL_PASSWORD).unwrap();
    assert_eq!(tunnel[0], 1);
    assert!(opened(&tunnel[1..]).matches(password.open()));
    assert!(salted::open_blocks(key(12), client().keyed(), &CLIENT_ASKED).unwrap().matches(old.open()));
}

#[test]
fn keys_and_eap_pass_although_reply_only_does_not_name_them() {
    let sealed = salted::seal(&Secret::new(vec![5; 32]), target().keyed(), &ASKED, 1).unwrap();
    let key = (VENDOR_SPECIFIC, join_vendor(MICROSOFT, 16, &sealed).unwrap());
    let all = [(EAP_MESSAGE, vec![3, 1, 0, 4]), key, (CLASS, b"c".to_vec())];
    let only = ReplyRules { only: vec![at(None, FILTER_ID)], ..ReplyRules::default() };
    let numbers: Vec<u8> = passed(Code::ACCESS_ACCEPT, &all, &only).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [EAP_MESSAGE, VENDOR_SPECIFIC]);
}

#[test]
fn of_a_refusal_only_what_the_device_needs_passes() {
    let error = (VENDOR_SPECIFIC, join_vendor(MICROSOFT, MS_CHAP_ERROR, b"\0E=648 R=0 C=00 V=3 M=expired").unwrap());
    let all = [
        (CLASS, b"c".to_vec()),
        error.clone(),
        (18, b"no such user".to_vec()),
        cisco(b"x"),
        (EAP_MESSAGE, vec![4, 1, 0, 4]),
    ];
    let rules = ReplyRules { add: vec![ReplyAttribute { number: CLASS, value: vec![1] }], ..ReplyRules::default() };
    assert_eq!(passed(Code::ACCESS_REJECT, &all, &rules), [error, (EAP_MESSAGE, vec![4, 1, 0, 4])]);
}

#[test]
fn a_broken_key_or_a_reply_that_is_too_long_is_no_answer() {
    let broken = [(VENDOR_SPECIFIC, join_vendor(MICROSOFT, 16, &[1; 5]).unwrap())];
    assert_eq!(read_with(Code::ACCESS_ACCEPT, &broken, &ReplyRules::default()).err(), Some(SaidError::BrokenSecret));
    let long: Vec<_> = (0..15).map(|_| (CLASS, vec![1; 253])).collect();
    assert_eq!(read_with(Code::ACCESS_ACCEPT, &long, &ReplyRules::default()).err(), Some(SaidError::TooLong));
}

proptest! {
    /// Whatever a target sends: no panic, nothing longer than foretold, and what is passed can be read.
    #[test]
    fn any_attributes_pass_or_fail_in_one_piece(
        attributes in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..30),
        vendors in proptest::collection::vec((prop_oneof![Just(311_u32), Just(9)], any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..8),
        code in prop_oneof![Just(2_u8), Just(3), Just(11)],
        named in any::<bool>(),
    ) {
        let mut all: Vec<_> = attributes.into_iter().filter(|(number, _)| *number != MESSAGE_AUTHENTICATOR).collect();
        all.extend(vendors.into_iter().map(|(vendor, number, value)| (VENDOR_SPECIFIC, join_vendor(vendor, number, &value).unwrap())));
        let rules = if named { ReplyRules { only: vec![at(9, 1), at(None, CLASS)], ..ReplyRules::default() } } else { ReplyRules::default() };
        if let Ok(said) = read_with(Code(code), &all, &rules) {
            let bytes = written(&said);
            prop_assert!(Packet::decode(&bytes).is_ok());
        }
    }
}
