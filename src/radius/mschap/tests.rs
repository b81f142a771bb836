use proptest::prelude::*;

use super::*;
use crate::radius::packet::{Builder, Code};
use crate::radius::testing::key;

fn octets(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        digits.chars().filter_map(|c| c.to_digit(16)).filter_map(|digit| u8::try_from(digit).ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 2759 section 9.2: user "User", password "clientPass".
const AUTHENTICATOR: &str = "5B 5D 7C 7D 7B 3F 2F 3E 3C 2C 60 21 32 26 26 28";
const PEER: &str = "21 40 23 24 25 5E 26 2A 28 29 5F 2B 3A 33 7C 7E";
const RESPONSE_OF_RFC: &str = "82 30 9E CD 8D 70 8B 5E A0 8F AA 39 81 CD 83 54 42 33 11 4A 3D 85 D6 DF";
const HASHED: &str = "41 C0 0C 58 4B D2 D9 1C 40 17 A2 A1 2F A5 9F 3F";

fn hashed() -> [u8; 16] {
    octets(HASHED).try_into().unwrap()
}

fn response_2() -> Vec<u8> {
    [&[7, 0][..], &octets(PEER), &[0; 8], &octets(RESPONSE_OF_RFC)].concat()
}

fn attributes(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut encoded = Vec::new();
    parts.iter().for_each(|(number, value)| put(&mut encoded, *number, value));
    encoded
}

fn read(name: &[u8], parts: &[(u8, Vec<u8>)]) -> Result<Proof, Broken> {
    Proof::read(name, Attributes::new(&attributes(parts)))
}

fn second(name: &[u8]) -> Proof {
    read(name, &[(CHALLENGE, octets(AUTHENTICATOR)), (RESPONSE_2, response_2())]).unwrap()
}

#[test]
fn the_vectors_of_rfc_2759_and_rfc_3079_come_out() {
    for name in [&b"User"[..], b"CORP\\User"] {
        let proof = second(name);
        assert_eq!(proof.challenge()[..], octets("D0 2E 43 86 BC E9 12 26"));
        assert_eq!(proof.response()[..], octets(RESPONSE_OF_RFC));
        assert_eq!(proof.authenticator_response(&hashed()), "S=407A5589115FD0D6209F510FE9C04566932CDA56");
        let (send, receive) = proof.keys(&hashed());
        assert_eq!(send.open(), octets("8B 7C DC 14 9B 99 3A 1B A1 18 CB 15 3F 56 DC CB"));
        assert_eq!(receive.len(), 16);
        assert!(!receive.matches(send.open()));
    }
    assert_ne!(second(b"User@corp").challenge(), second(b"User").challenge(), "a realm is part of what was hashed");
}

#[test]
fn what_is_not_one_whole_proof_is_none() {
    let challenge = || (CHALLENGE, octets(AUTHENTICATOR));
    let broken = |parts: &[(u8, Vec<u8>)]| read(b"User", parts).unwrap_err();
    assert_eq!(broken(&[]), Broken::NoResponse);
    assert_eq!(broken(&[challenge()]), Broken::NoResponse);
    assert_eq!(broken(&[(RESPONSE_2, response_2())]), Broken::NoChallenge);
    assert_eq!(broken(&[challenge(), challenge(), (RESPONSE_2, response_2())]), Broken::NoChallenge);
    assert_eq!(broken(&[(CHALLENGE, vec![1; 8]), (RESPONSE_2, response_2())]), Broken::NoChallenge);
    assert_eq!(broken(&[challenge(), (RESPONSE, [&[7, 1][..], &[5; 48]].concat())]), Broken::NoChallenge);
    assert_eq!(broken(&[challenge(), (RESPONSE_2, response_2()), (RESPONSE_2, response_2())]), Broken::NoResponse);
    assert_eq!(broken(&[challenge(), (RESPONSE_2, vec![7; 49])]), Broken::BadResponse);
    assert_eq!(broken(&[(CHALLENGE, vec![1; 8]), (RESPONSE, vec![0; 50])]), Broken::BadResponse, "LAN Manager alone");
    for number in CHANGES {
        assert_eq!(broken(&[challenge(), (RESPONSE_2, response_2()), (number, vec![7; 68])]), Broken::Change);
    }
}

#[test]
fn the_first_version_is_answered_with_its_key() {
    let response = [&[3, 1][..], &[0; 24], &octets(RESPONSE_OF_RFC)].concat();
    let proof = read(b"User", &[(CHALLENGE, vec![9; 8]), (RESPONSE, response)]).unwrap();
    assert!(!proof.is_second() && proof.challenge() == &[9; 8]);
    let said = proof.answer(&hashed());
    let mut reply = Builder::new(Code::ACCESS_ACCEPT, 1, &[4; 16], 0);
    said.write(&mut reply, &[4; 16], &key()).unwrap();
    assert_eq!(said.length(), reply.bytes().len() - 20);
    let parts: Vec<_> = microsoft(Packet::decode(reply.bytes()).unwrap().attributes()).collect();
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [7, 8, 12]);
    let opened = crate::radius::salted::open_blocks(parts[2].value, key().keyed(), &[4; 16]).unwrap();
    assert_eq!(opened.open()[8..24], hashed());
}

#[test]
fn a_right_proof_is_answered_with_success_and_keys_for_the_client_alone() {
    let said = second(b"User").answer(&hashed());
    let mut reply = Builder::new(Code::ACCESS_ACCEPT, 1, &[4; 16], 0);
    said.write(&mut reply, &[4; 16], &key()).unwrap();
    assert_eq!(said.length(), reply.bytes().len() - 20, "as long as it says");
    let parts: Vec<_> = microsoft(Packet::decode(reply.bytes()).unwrap().attributes()).collect();
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [SUCCESS_2, 7, 8, 16, 17]);
    assert_eq!(parts[0].value[0], 7, "the identifier of the response");
    assert_eq!(parts[0].value[1..], *b"S=407A5589115FD0D6209F510FE9C04566932CDA56");
    let send = crate::radius::salted::open(parts[3].value, key().keyed(), &[4; 16]).unwrap();
    assert_eq!(send.open(), octets("8B 7C DC 14 9B 99 3A 1B A1 18 CB 15 3F 56 DC CB"));
}

#[test]
fn a_refusal_has_its_identifier_and_a_number_by_its_reason() {
    for (reason, number) in [
        (Reason::WrongPassword, 691),
        (Reason::UnknownUser, 691),
        (Reason::Denied, 691),
        (Reason::LogonHours, 646),
        (Reason::AccountDisabled, 647),
        (Reason::AccountLocked, 647),
        (Reason::PasswordExpired, 648),
        (Reason::MustChangePassword, 648),
        (Reason::NewPasswordRefused, 709),
    ] {
        let encoded = refusal(9, 0xabc, reason);
        let parts: Vec<_> = microsoft(Attributes::new(&encoded)).collect();
        assert_eq!((parts.len(), parts[0].number, parts[0].value[0]), (1, MS_CHAP_ERROR, 9));
        let text = std::str::from_utf8(&parts[0].value[1..]).unwrap();
        assert!(text.starts_with(&format!("E={number} R=0 C=000")) && text.contains("0ABC V=3 M="), "{text}");
    }
    assert!(Reason::ALL.iter().all(|reason| refusal(9, u128::MAX, *reason).len() <= LONGEST_REFUSAL));
}

#[test]
fn a_requests_identifier_is_found() {
    let found = |parts: &[(u8, Vec<u8>)]| {
        let mut packet = Builder::new(Code::ACCESS_REQUEST, 1, &[0; 16], 0);
        packet.push_encoded(&attributes(parts)).unwrap();
        identifier(&Packet::decode(packet.bytes()).unwrap())
    };
    assert_eq!(found(&[(CHALLENGE, vec![1; 16]), (RESPONSE_2, response_2())]), Some(7));
    assert_eq!(found(&[(27, vec![7, 44, 0])]), Some(44));
    assert_eq!(found(&[(CHALLENGE, vec![1; 16])]), None);
    assert_eq!(found(&[(RESPONSE_2, vec![])]), None);
}

#[test]
fn nothing_of_a_proof_is_shown() {
    assert_eq!(format!("{:?}", second(b"User")), "Proof(version 2)");
}

proptest! {
    /// Whatever stands there, it is a proof or it is none.
    #[test]
    fn anything_can_be_read(encoded in proptest::collection::vec(any::<u8>(), 0..200), name in "[a-z\\\\@]{0,20}") {
        let _ = Proof::read(name.as_bytes(), Attributes::new(&encoded));
    }
}
