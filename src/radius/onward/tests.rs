use super::*;
use crate::radius::attribute::{CALLING_STATION_ID, join_vendor};

const AUTHENTICATOR: Authenticator = [4; 16];

fn client() -> ClientKey {
    ClientKey::new(Secret::new(b"between the client and us".to_vec()))
}

fn target() -> ClientKey {
    ClientKey::new(Secret::new(b"between us and the target".to_vec()))
}

fn form(nas_identifier: Option<&str>) -> Form {
    Form { nas_identifier: nas_identifier.map(Into::into), proxy_state: *b"anteroom\0\0\0\x01" }
}

const NOTHING: Filling<'_> = Filling { name: None, password: None, state: None };

fn request(attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut packet = Builder::new(Code::ACCESS_REQUEST, 7, &AUTHENTICATOR, 100);
    packet.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    attributes.iter().for_each(|(number, value)| packet.push(*number, value).unwrap());
    let mut bytes = packet.into_bytes();
    sign_request(&mut bytes, &client());
    bytes
}

fn onward(bytes: &[u8]) -> Option<Onward> {
    let key = client();
    Onward::read(&Verified::request(Packet::decode(bytes).unwrap(), &key).unwrap(), 4000)
}

fn name() -> (u8, Vec<u8>) {
    (USER_NAME, b"alice".to_vec())
}

fn pap() -> (u8, Vec<u8>) {
    (USER_PASSWORD, password::hide(&Secret::from_text("right".into()), client().keyed(), &AUTHENTICATOR).unwrap())
}

fn numbers(bytes: &[u8]) -> Vec<u8> {
    Packet::decode(bytes).unwrap().attributes().map(|attribute| attribute.number).collect()
}

#[test]
fn a_password_is_hidden_again_and_the_rest_goes_on_in_its_order() {
    let states: Vec<_> = (0..10).map(|n| (PROXY_STATE, vec![n; 20])).collect();
    let station = (CALLING_STATION_ID, b"203.0.113.7".to_vec());
    let given =
        [vec![name(), pap(), (NAS_IP_ADDRESS, vec![192, 0, 2, 1]), (STATE, b"old".to_vec()), station], states].concat();
    let request = onward(&request(&given)).unwrap();
    let secret = Secret::from_text("right".into());
    let filling = Filling { password: Some(&secret), ..NOTHING };
    let bytes = request.encode(filling, &form(None), (200, &[8; 16]), &target()).unwrap();
    let mut expected = vec![MESSAGE_AUTHENTICATOR, USER_NAME, USER_PASSWORD, NAS_IP_ADDRESS, CALLING_STATION_ID];
    expected.extend([PROXY_STATE; 11]);
    assert_eq!(numbers(&bytes), expected, "ten of the client's, and ours behind them");
    let key = target();
    let packet = Packet::decode(&bytes).unwrap();
    let verified = Verified::request(packet, &key).unwrap();
    assert!(verified.signed() && verified.password().unwrap().unwrap().matches(b"right"));
    let states: Vec<&[u8]> = packet.values(PROXY_STATE).collect();
    assert!(states.iter().take(10).enumerate().all(|(n, state)| state[0] == u8::try_from(n).unwrap()));
    assert_eq!((packet.identifier(), packet.authenticator()), (200, &[8; 16]));
}

#[test]
fn a_request_of_our_own_has_no_proxy_state_and_names_us() {
    let given = [
        name(),
        pap(),
        (NAS_IDENTIFIER, b"vpn".to_vec()),
        (NAS_IP_ADDRESS, vec![192, 0, 2, 1]),
        (PROXY_STATE, vec![1]),
    ];
    let request = onward(&request(&given)).unwrap();
    let secret = Secret::from_text("right".into());
    let filling = Filling { password: Some(&secret), name: Some("ALICE"), state: Some(b"round") };
    let bytes = request.encode(filling, &form(Some("anteroom")), (1, &[8; 16]), &target()).unwrap();
    assert_eq!(numbers(&bytes), [MESSAGE_AUTHENTICATOR, USER_NAME, USER_PASSWORD, STATE, NAS_IDENTIFIER]);
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(packet.value(USER_NAME), Some(&b"ALICE"[..]));
    assert_eq!(packet.value(NAS_IDENTIFIER), Some(&b"anteroom"[..]));
    assert_eq!(packet.value(STATE), Some(&b"round"[..]));
}

#[test]
fn chap_keeps_the_challenge_that_was_the_authenticator() {
    let request = onward(&request(&[name(), (CHAP_PASSWORD, vec![1; 17])])).unwrap();
    assert_eq!(request.kind(), ProofKind::Chap);
    let bytes = request.encode(NOTHING, &form(None), (1, &[8; 16]), &target()).unwrap();
    assert_eq!(Packet::decode(&bytes).unwrap().value(CHAP_CHALLENGE), Some(&AUTHENTICATOR[..]));
    let given = onward(&self::request(&[name(), (CHAP_PASSWORD, vec![1; 17]), (CHAP_CHALLENGE, vec![2; 8])])).unwrap();
    let bytes = given.encode(NOTHING, &form(None), (1, &[8; 16]), &target()).unwrap();
    assert_eq!(Packet::decode(&bytes).unwrap().values(CHAP_CHALLENGE).collect::<Vec<_>>(), [&[2; 8]]);
}

#[test]
fn exactly_one_kind_of_proof_is_one() {
    let ms = |number| (VENDOR_SPECIFIC, join_vendor(MICROSOFT, number, &[0; 50]).unwrap());
    let kind = |attributes: &[(u8, Vec<u8>)]| proof_kind(&Packet::decode(&request(attributes)).unwrap());
    assert_eq!(kind(&[pap()]), Some(ProofKind::Pap));
    assert_eq!(kind(&[ms(11), ms(25)]), Some(ProofKind::MsChap));
    assert_eq!(kind(&[ms(1)]), Some(ProofKind::MsChap));
    assert_eq!(kind(&[ms(27)]), Some(ProofKind::MsChap));
    assert_eq!(kind(&[(EAP_MESSAGE, vec![2, 0, 0, 4])]), Some(ProofKind::Eap));
    assert_eq!(kind(&[ms(11)]), None);
    assert_eq!(kind(&[name()]), None);
    assert_eq!(kind(&[pap(), ms(25)]), None);
    assert_eq!(kind(&[(EAP_MESSAGE, vec![2]), (CHAP_PASSWORD, vec![1; 17])]), None);
}

#[test]
fn what_has_passed_us_before_is_known() {
    let form = form(None);
    let through = onward(&request(&[name(), pap(), (PROXY_STATE, form.proxy_state.to_vec())])).unwrap();
    assert!(through.has_passed(&form));
    assert!(!onward(&request(&[name(), pap(), (PROXY_STATE, b"theirs".to_vec())])).unwrap().has_passed(&form));
}

#[test]
fn a_request_that_has_no_room_for_our_mark_goes_on_without() {
    let fill = |last: usize| {
        let mut attributes = vec![name(), (CHAP_PASSWORD, vec![1; 17]), (CHAP_CHALLENGE, vec![2; 16])];
        attributes.extend(vec![(25, vec![3; 253]); 15]);
        attributes.extend([(25, vec![3; 100]), (25, vec![4; last])]);
        request(&attributes)
    };
    let form = form(None);
    let (mut with, mut without) = (0, 0);
    for asked in (0..=85).map(fill) {
        let sent = onward(&asked).unwrap().encode(NOTHING, &form, (9, &[8; 16]), &target()).unwrap();
        let marked = Packet::decode(&sent).unwrap().value(PROXY_STATE) == Some(&form.proxy_state);
        assert_eq!(marked, asked.len() + 14 <= 4096, "{}", asked.len());
        *if marked { &mut with } else { &mut without } += 1;
    }
    assert!(with > 0 && without > 10, "{with} {without}");
}

#[test]
fn only_the_same_proof_is_the_same() {
    let chap = |value| {
        onward(&request(&[name(), (CHAP_PASSWORD, vec![value; 17]), (CHAP_CHALLENGE, vec![2; 8])])).unwrap().proof()
    };
    assert!(chap(1).matches(chap(1).open()));
    assert!(!chap(1).matches(chap(2).open()));
    let shown = format!("{:?}", onward(&request(&[name(), (CHAP_PASSWORD, vec![77; 17])])).unwrap());
    assert!(!shown.contains("77"), "{shown}");
}

#[test]
fn a_gateways_request_goes_on_without_any_proof_and_is_known_when_it_comes_round() {
    let key = client();
    let of_gateway = |attributes: &[(u8, Vec<u8>)]| {
        let bytes = request(attributes);
        Onward::of_gateway(&Verified::request(Packet::decode(&bytes).unwrap(), &key).unwrap(), 4000)
    };
    let called = (30, b"UserAuthType:PW".to_vec());
    let machine = (VENDOR_SPECIFIC, join_vendor(MICROSOFT, 50, b"PC-0815").unwrap());
    let bare = [name(), called, machine, (PROXY_STATE, vec![7; 9])];
    assert!(onward(&request(&bare)).is_none(), "elsewhere it proves nothing");
    let proof = Secret::from_text("never sent".into());
    for (form, expected) in [
        (form(None), vec![MESSAGE_AUTHENTICATOR, USER_NAME, 30, 26, PROXY_STATE, PROXY_STATE]),
        (form(Some("us")), vec![MESSAGE_AUTHENTICATOR, USER_NAME, NAS_IDENTIFIER, PROXY_STATE, 30, 26]),
    ] {
        let asked = of_gateway(&bare).unwrap();
        assert!(asked.kind() == ProofKind::Gateway && !asked.has_passed(&form));
        let filling = Filling { password: Some(&proof), ..NOTHING };
        let sent = asked.encode(filling, &form, (9, &[8; 16]), &target()).unwrap();
        assert_eq!(numbers(&sent), expected);
        let back: Vec<_> = Packet::decode(&sent).unwrap().attributes().map(|a| (a.number, a.value.to_vec())).collect();
        assert!(of_gateway(&back[1..]).unwrap().has_passed(&form));
    }
    let ms = |number| (VENDOR_SPECIFIC, join_vendor(MICROSOFT, number, &[0; 50]).unwrap());
    let proofs = [vec![pap()], vec![(CHAP_PASSWORD, vec![1; 17])], vec![(EAP_MESSAGE, vec![2])]];
    let proofs = proofs.into_iter().chain(MS_CHAP_PROOFS.map(|number| vec![ms(number)])).chain([vec![pap(), ms(25)]]);
    for proof in proofs {
        assert!(of_gateway(&[&bare[..], &proof].concat()).is_none(), "nobody may think that it was checked");
    }
}
