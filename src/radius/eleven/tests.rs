use proptest::prelude::*;

use super::*;
use crate::radius::attribute::{Attributes, USER_NAME};
use crate::radius::authenticator::Verified;
use crate::radius::packet::HEADER;
use crate::radius::testing::key;

const SERVING: Serving = Serving { salt: [5; 12] };

/// A RADIUS/1.1 packet by hand.
fn packet(code: u8, token: Token, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![code, 0, 0, 0];
    bytes.extend_from_slice(&token);
    bytes.extend_from_slice(&[0; 12]);
    for (number, value) in attributes {
        bytes.extend_from_slice(&[*number, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    bytes
}

/// Header fields that must be zero are, and there is no Message-Authenticator.
fn is_clean(bytes: &[u8]) -> bool {
    let signed = Attributes::new(&bytes[HEADER..]).any(|attribute| attribute.number == MESSAGE_AUTHENTICATOR);
    bytes[1] == 0 && bytes[8..HEADER] == [0; 12] && !signed
}

#[test]
fn a_request_becomes_a_signed_one_with_a_hidden_password() {
    let key = key();
    let sent = packet(1, [9, 8, 7, 6], &[(USER_NAME, b"alice"), (USER_PASSWORD, b"pass word"), (PROXY_STATE, b"p")]);
    let inward = SERVING.request(&sent, &key).unwrap();
    assert_eq!((inward.token, inward.port()), ([9, 8, 7, 6], 0x0807));
    let verified = Verified::request(Packet::decode(&inward.packet).unwrap(), &key).unwrap();
    assert!(verified.signed());
    assert_eq!(verified.packet().identifier(), 6);
    assert_eq!(verified.packet().authenticator(), &[9, 8, 7, 6, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
    assert_eq!(verified.password().unwrap().unwrap().open(), b"pass word");
    assert_eq!(verified.packet().value(PROXY_STATE), Some(&b"p"[..]));
}

#[test]
fn reserved_fields_and_a_message_authenticator_are_ignored() {
    let key = key();
    let mut sent = packet(12, [1, 2, 3, 4], &[(MESSAGE_AUTHENTICATOR, &[0xee; 16])]);
    sent[1] = 0xaa;
    sent[8..20].fill(0xbb);
    let inward = SERVING.request(&sent, &key).unwrap();
    assert!(Verified::request(Packet::decode(&inward.packet).unwrap(), &key).unwrap().signed());
}

#[test]
fn a_password_of_no_possible_length_is_none() {
    let key = key();
    for length in [0, 129, 144, 253] {
        let sent = packet(1, [1; 4], &[(USER_NAME, b"alice"), (USER_PASSWORD, &vec![7; length])]);
        let inward = SERVING.request(&sent, &key).unwrap();
        let verified = Verified::request(Packet::decode(&inward.packet).unwrap(), &key).unwrap();
        assert!(verified.password().is_err(), "{length}");
    }
}

#[test]
fn accounting_is_signed_as_accounting_is() {
    let key = key();
    let inward = SERVING.request(&packet(4, [1; 4], &[(USER_NAME, b"alice")]), &key).unwrap();
    assert!(Verified::accounting(Packet::decode(&inward.packet).unwrap(), &key).is_ok());
}

/// Both ends with each other: a request with a password, a reply with everything that is ever hidden.
#[test]
fn a_request_and_its_reply_pass_between_both_ends() {
    let key = key();
    let mut asking = Asking::default();
    let authenticator = [3; 16];
    let mut request = Builder::new(Code::ACCESS_REQUEST, 77, &authenticator, 0);
    request.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    request.push(USER_NAME, b"alice").unwrap();
    let hidden = password::hide(&Secret::new(b"secret".to_vec()), key.keyed(), &authenticator).unwrap();
    request.push(USER_PASSWORD, &hidden).unwrap();
    let mut request = request.into_bytes();
    sign_request(&mut request, &key);

    let sent = asking.request(&request, &key).unwrap();
    assert!(is_clean(&sent) && sent[4..8] == [0, 0, 0, 77]);
    assert_eq!(Packet::decode(&sent).unwrap().value(USER_PASSWORD), Some(&b"secret"[..]));
    let inward = SERVING.request(&sent, &key).unwrap();
    let served = Packet::decode(&inward.packet).unwrap();
    assert_eq!(Verified::request(served, &key).unwrap().password().unwrap().unwrap().open(), b"secret");

    let under = served.authenticator();
    let seal = |plain: &[u8], salt| salted::seal(&Secret::new(plain.to_vec()), key.keyed(), under, salt).unwrap();
    let keys = salted::seal_blocks(&Secret::new(vec![8; 32]), key.keyed(), under);
    let both = [&MICROSOFT.to_be_bytes()[..], &[16, 36], &seal(b"send key", 1)[..], &[26, 3, 1]].concat();
    let mut both = both;
    both[5] = u8::try_from(seal(b"send key", 1).len() + 2).unwrap();
    let mut reply = Builder::new(Code::ACCESS_ACCEPT, served.identifier(), under, 0);
    reply.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    reply.push(TUNNEL_PASSWORD, &[&[1][..], &seal(b"tunnel", 2)].concat()).unwrap();
    reply.push(VENDOR_SPECIFIC, &both).unwrap();
    reply.push(VENDOR_SPECIFIC, &join_vendor(MICROSOFT, 12, &keys).unwrap()).unwrap();
    reply.push(VENDOR_SPECIFIC, &[0, 0, 0, 9, 1, 3, 7]).unwrap();
    let mut reply = reply.into_bytes();
    sign_reply(&mut reply, under, &key);

    let answer = SERVING.reply(&reply, inward.token, &key).unwrap();
    assert!(is_clean(&answer) && answer[4..8] == sent[4..8]);
    let open = Packet::decode(&answer).unwrap();
    assert_eq!(open.value(TUNNEL_PASSWORD), Some(&b"\x01tunnel"[..]));
    let shown: Vec<_> = open.values(VENDOR_SPECIFIC).map(|value| value[4..].to_vec()).collect();
    let expected = [b"\x10\x0asend key".to_vec(), vec![26, 3, 1], [&[12, 34][..], &[8; 32]].concat(), vec![1, 3, 7]];
    assert_eq!(shown, expected);

    let heard = asking.reply(&answer, &key).unwrap();
    let verified = Verified::reply(Packet::decode(&heard).unwrap(), &authenticator, &key).unwrap();
    assert!(verified.signed() && verified.packet().identifier() == 77);
    let opened = |number: u8| {
        let value = crate::radius::attribute::vendor_value(&verified.packet(), MICROSOFT, number).unwrap();
        match number {
            12 => salted::open_blocks(value, key.keyed(), &authenticator).unwrap().open().to_vec(),
            _ => salted::open(value, key.keyed(), &authenticator).unwrap().open().to_vec(),
        }
    };
    assert_eq!((opened(16), opened(12)), (b"send key".to_vec(), vec![8; 32]));
}

#[test]
fn only_the_answer_to_what_was_asked_last_under_an_identifier_is_one() {
    let key = key();
    let mut asking = Asking::default();
    let request = |authenticator| Builder::new(Code::STATUS_SERVER, 4, &authenticator, 0).into_bytes();
    let first = asking.request(&request([1; 16]), &key).unwrap();
    let second = asking.request(&request([2; 16]), &key).unwrap();
    assert_ne!(first[4..8], second[4..8]);
    let answer = |token: &[u8]| packet(2, token.try_into().unwrap(), &[]);
    assert!(asking.reply(&answer(&first[4..8]), &key).is_none(), "late");
    assert!(asking.reply(&answer(&[7, 7, 7, 7]), &key).is_none());
    assert!(asking.reply(&packet(52, second[4..8].try_into().unwrap(), &[]), &key).is_none(), "an error is no answer");
    let heard = asking.reply(&answer(&second[4..8]), &key).unwrap();
    assert!(Verified::reply(Packet::decode(&heard).unwrap(), &[2; 16], &key).is_ok());
}

#[test]
fn who_does_not_speak_it_hears_why() {
    let key = key();
    let request = Builder::new(Code::ACCESS_REQUEST, 9, &[6; 16], 0).into_bytes();
    let said = refusal(&request, &key).unwrap();
    let verified = Verified::reply(Packet::decode(&said).unwrap(), &[6; 16], &key).unwrap();
    let packet = verified.packet();
    assert!(verified.signed() && (packet.code(), packet.identifier()) == (PROTOCOL_ERROR, 9));
    assert_eq!(packet.value(101), Some(&[0, 0, 1, 150][..]));
    assert_eq!(packet.value(241), Some(&[4, 0, 0, 0, 1][..]));
}

proptest! {
    #[test]
    fn anything_can_come(bytes in proptest::collection::vec(any::<u8>(), 0..300), password in proptest::collection::vec(1..=255_u8, 1..=128)) {
        let _ = (SERVING.request(&bytes, &key()), Asking::default().reply(&bytes, &key()), refusal(&bytes, &key()));
        let sent = packet(1, [1, 2, 3, 4], &[(USER_PASSWORD, &password)]);
        let key = key();
        let inward = SERVING.request(&sent, &key).unwrap();
        let verified = Verified::request(Packet::decode(&inward.packet).unwrap(), &key).unwrap();
        let opened = verified.password().unwrap().unwrap();
        prop_assert_eq!(opened.open(), &password[..]);
    }
}
