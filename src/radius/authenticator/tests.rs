use super::*;
use crate::radius::attribute::{Attribute, USER_PASSWORD};
use crate::radius::packet::{Builder, Code};
use crate::radius::testing::{key, vector};

/// Each published reply is authentic, and no longer when any of its bits is flipped.
fn check_reply(request: &str, reply: &str) {
    let (request, reply) = (vector(request), vector(reply));
    let asked = Packet::decode(&request).unwrap();
    let key = key();
    let verified = Verified::reply(Packet::decode(&reply).unwrap(), asked.authenticator(), &key).unwrap();
    assert!(!verified.signed());
    for bit in 0..reply.len() * 8 {
        let mut spoiled = reply.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        if let Ok(packet) = Packet::decode(&spoiled) {
            assert!(Verified::reply(packet, asked.authenticator(), &key).is_err(), "bit {bit}");
        }
    }
    let mut other = *asked.authenticator();
    other[0] ^= 1;
    let result = Verified::reply(Packet::decode(&reply).unwrap(), &other, &key);
    assert_eq!(result.err(), Some(VerifyError::WrongAuthenticator));
}

#[test]
fn rfc2865_7_1_user_telnet() {
    check_reply("rfc2865_7_1_user_telnet_request", "rfc2865_7_1_user_telnet_accept");
}

#[test]
fn rfc2865_7_2_framed_chap() {
    check_reply("rfc2865_7_2_framed_chap_request", "rfc2865_7_2_framed_chap_accept");
}

#[test]
fn rfc2865_7_3_challenge() {
    check_reply("rfc2865_7_3_challenge_request", "rfc2865_7_3_challenge_challenge");
    check_reply("rfc2865_7_3_response_request", "rfc2865_7_3_response_reject");
}

#[test]
fn rfc5997_6_1_status_server() {
    check_reply("rfc5997_6_1_status_request", "rfc5997_6_1_status_accept");
}

#[test]
fn published_passwords_open_with_the_right_secret_only() {
    for (name, password) in [
        ("rfc2865_7_1_user_telnet_request", "arctangent"),
        ("rfc2865_7_3_challenge_request", "challenge"),
        ("rfc2865_7_3_response_request", "99101462"),
    ] {
        let bytes = vector(name);
        let packet = Packet::decode(&bytes).unwrap();
        let opened = |key: &ClientKey| Verified::request(packet, key).unwrap().password().unwrap().unwrap();
        assert!(opened(&key()).matches(password.as_bytes()), "{name}");
        assert!(!opened(&ClientKey::new(Secret::new(b"xyzzy5462".to_vec()))).matches(password.as_bytes()), "{name}");
    }
    let chap = vector("rfc2865_7_2_framed_chap_request");
    assert!(Verified::request(Packet::decode(&chap).unwrap(), &key()).unwrap().password().unwrap().is_none());
}

#[test]
fn every_bit_of_a_signed_request_is_covered() {
    for name in ["rfc5997_6_1_status_request", "rfc5997_6_2_accounting_status"] {
        let bytes = vector(name);
        let key = key();
        assert!(Verified::request(Packet::decode(&bytes).unwrap(), &key).unwrap().signed());
        for bit in 0..bytes.len() * 8 {
            let mut spoiled = bytes.clone();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            if let Ok(packet) = Packet::decode(&spoiled) {
                assert!(!Verified::request(packet, &key).is_ok_and(|request| request.signed()), "bit {bit}");
            }
        }
    }
}

#[test]
fn a_signature_may_stand_anywhere_but_only_once() {
    let key = key();
    for before in 0..3 {
        let mut builder = Builder::new(Code::ACCESS_REQUEST, 9, &[5; 16], 0);
        (0..before).for_each(|_| builder.push(1, b"nemo").unwrap());
        builder.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
        (before..3).for_each(|_| builder.push(33, b"state").unwrap());
        let mut bytes = builder.into_bytes();
        sign_request(&mut bytes, &key);
        assert!(Verified::request(Packet::decode(&bytes).unwrap(), &key).unwrap().signed());
        let at = bytes.len();
        bytes.extend_from_slice(&[MESSAGE_AUTHENTICATOR, 18]);
        bytes.resize(at + 18, 0);
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let result = Verified::request(Packet::decode(&bytes).unwrap(), &key);
        assert_eq!(result.err(), Some(VerifyError::SignedTwice));
    }
}

#[test]
fn the_request_authenticator_of_accounting_covers_the_packet() {
    let key = key();
    let mut builder = Builder::new(Code::ACCOUNTING_REQUEST, 9, &[0; 16], 0);
    builder.push(40, &[0, 0, 0, 1]).unwrap();
    let mut bytes = builder.into_bytes();
    sign_accounting(&mut bytes, &key);
    assert!(radius::core::packet::Packet::is_authentic_request(&bytes, crate::radius::testing::SECRET));
    assert!(Verified::accounting(Packet::decode(&bytes).unwrap(), &key).is_ok());
    bytes[25] ^= 1;
    let result = Verified::accounting(Packet::decode(&bytes).unwrap(), &key);
    assert_eq!(result.err(), Some(VerifyError::WrongAuthenticator));
}

#[test]
fn signed_replies_are_authentic_to_the_radius_crate_too() {
    let request = vector("rfc2865_7_1_user_telnet_request");
    let mut builder = Builder::new(Code::ACCESS_REJECT, 0, &[0; 16], 0);
    builder.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    builder.push(18, b"no").unwrap();
    let mut reply = builder.into_bytes();
    let asked = *Packet::decode(&request).unwrap().authenticator();
    sign_reply(&mut reply, &asked, &key());
    let secret = crate::radius::testing::SECRET;
    assert!(radius::core::packet::Packet::is_authentic_response(&reply, &request, secret));
    let verified_key = key();
    assert!(Verified::reply(Packet::decode(&reply).unwrap(), &asked, &verified_key).unwrap().signed());
}

#[test]
fn debug_shows_neither_secret_nor_password() {
    let bytes = vector("rfc2865_7_1_user_telnet_request");
    let key = key();
    let request = Verified::request(Packet::decode(&bytes).unwrap(), &key).unwrap();
    let text = format!("{request:?} {key:?}");
    assert!(!text.contains("xyzzy") && !text.contains("120, 121") && text.contains("ClientKey(..)"), "{text}");
    assert!(request.packet().attributes().any(|Attribute { number, .. }| number == USER_PASSWORD));
}
