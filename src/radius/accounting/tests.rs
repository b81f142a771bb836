use super::*;
use crate::radius::client::Request;
use crate::radius::testing::{client, key, shared, vector};

fn peer() -> SocketAddr {
    "192.0.2.1:40000".parse().unwrap()
}

fn lab() -> (AccountingDoor, Instant) {
    let now = Instant::now();
    (AccountingDoor::new(shared(vec![client("vpn")], now), 100), now)
}

fn stop() -> Vec<u8> {
    let attributes = [
        (ACCT_STATUS_TYPE, vec![0, 0, 0, 2]),
        (ACCT_SESSION_ID, b"s-17".to_vec()),
        (ACCT_INPUT_OCTETS, vec![0, 0, 1, 0]),
        (ACCT_OUTPUT_OCTETS, vec![0, 0, 0, 5]),
        (ACCT_OUTPUT_GIGAWORDS, vec![0, 0, 0, 2]),
        (ACCT_SESSION_TIME, vec![0, 0, 0, 60]),
    ];
    let request =
        Request { code: Code::ACCOUNTING_REQUEST, name: Some("nemo"), attributes: &attributes, ..Request::status() };
    request.encode(3, &[0; 16], &key()).unwrap()
}

#[test]
fn a_record_is_handed_over_once_and_acknowledged_each_time() {
    let (door, now) = lab();
    let bytes = stop();
    let AccountingStep::Record(record, ticket) = door.receive(peer(), &bytes, now) else { panic!() };
    let expected = AccountingRecord {
        client: "vpn".into(),
        source: peer().ip(),
        status: Some(2),
        session: "s-17".into(),
        name: "nemo".into(),
        octets_in: Some(256),
        octets_out: Some(2 << 32 | 5),
        session_time: Some(Duration::from_secs(60)),
    };
    assert_eq!((*record).clone(), expected);
    assert_eq!(record.status_word(), "stop");
    assert!(matches!(door.receive(peer(), &bytes, now), AccountingStep::Running));
    let reply = door.acknowledge(ticket, now);
    let key = key();
    let asked = *Packet::decode(&bytes).unwrap().authenticator();
    let verified = Verified::reply(Packet::decode(&reply).unwrap(), &asked, &key).unwrap();
    assert_eq!(verified.packet().code(), Code::ACCOUNTING_RESPONSE);
    let AccountingStep::Reply(again) = door.receive(peer(), &bytes, now) else { panic!() };
    assert_eq!(reply, again);
}

#[test]
fn a_record_that_was_not_handed_over_is_not_acknowledged() {
    let (door, now) = lab();
    let AccountingStep::Record(_, ticket) = door.receive(peer(), &stop(), now) else { panic!() };
    door.forget(&ticket, now);
    assert!(matches!(door.receive(peer(), &stop(), now), AccountingStep::Record(..)));
}

#[test]
fn a_changed_record_is_dropped() {
    let (door, now) = lab();
    let mut bytes = stop();
    *bytes.last_mut().unwrap() ^= 1;
    let step = door.receive(peer(), &bytes, now);
    assert!(matches!(step, AccountingStep::Discard(Discarded::WrongAuthenticator)), "{step:?}");
}

#[test]
fn rfc5997_6_2_status_server_gets_an_accounting_response() {
    let (door, now) = lab();
    let bytes = vector("rfc5997_6_2_accounting_status");
    let AccountingStep::Reply(reply) = door.receive(peer(), &bytes, now) else { panic!() };
    assert_eq!(Packet::decode(&reply).unwrap().code(), Code::ACCOUNTING_RESPONSE);
    let mut spoiled = bytes;
    spoiled[1] ^= 1;
    let step = door.receive(peer(), &spoiled, now);
    assert!(matches!(step, AccountingStep::Discard(Discarded::WrongSignature)), "{step:?}");
}

#[test]
fn an_access_request_at_the_accounting_port_is_dropped() {
    let (door, now) = lab();
    let step = door.receive(peer(), &vector("rfc2865_7_1_user_telnet_request"), now);
    assert!(matches!(step, AccountingStep::Discard(Discarded::WrongCode)), "{step:?}");
}
