use std::time::Duration;

use super::*;
use crate::config::{PersonAddress, RadiusClient, ReplyAttribute, Requirement};
use crate::radius::attribute::{
    AddressForm, CALLING_STATION_ID, CHAP_PASSWORD, CLASS, EAP_MESSAGE, MESSAGE_AUTHENTICATOR, PROXY_STATE,
    REPLY_MESSAGE, USER_NAME, USER_PASSWORD,
};
use crate::radius::authenticator::sign_request;
use crate::radius::client::Request;
use crate::radius::packet::Builder;
use crate::radius::testing::{accept, bad_packets, client, key, shared, vector};
use crate::secret::Secret;
use crate::signin::attempt::Unusable;

mod any_datagrams;

const PEER: &str = "192.0.2.1:40000";

struct Lab {
    door: Door<u32>,
    now: Instant,
}

impl Lab {
    fn new(client: RadiusClient) -> Lab {
        let now = Instant::now();
        Lab { door: Door::new(shared(vec![client], now), 100), now }
    }

    fn receive(&self, bytes: &[u8]) -> Step<u32> {
        self.door.receive(PEER.parse().unwrap(), bytes, self.now, || [9; 12])
    }

    fn begin(&self, bytes: &[u8]) -> Begin<u32> {
        match self.receive(bytes) {
            Step::Begin(begin) => begin,
            other => panic!("{other:?}"),
        }
    }

    fn discarded(&self, bytes: &[u8]) -> &'static str {
        match self.receive(bytes) {
            Step::Discard(cause) => {
                assert!(self.door.shared().discards.count(cause) > 0);
                cause.word()
            }
            other => panic!("{other:?}"),
        }
    }

    fn finish(&self, ticket: &Ticket, outcome: &Outcome) -> Option<Reply> {
        self.door.finish(ticket, outcome, self.now)
    }
}

fn request(identifier: u8, sign: bool, attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let password = Secret::new(b"arctangent".to_vec());
    let request = Request { sign, attributes, ..Request::access("nemo", &password) };
    request.encode(identifier, &[identifier; 16], &key()).unwrap()
}

/// A signed request made of these attributes only.
fn bare(identifier: u8, attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let request = Request { code: Code::ACCESS_REQUEST, attributes, ..Request::status() };
    request.encode(identifier, &[identifier; 16], &key()).unwrap()
}

fn numbers(bytes: &[u8]) -> Vec<u8> {
    Packet::decode(bytes).unwrap().attributes().map(|attribute| attribute.number).collect()
}

#[test]
fn a_request_becomes_an_attempt() {
    let lab = Lab::new(RadiusClient {
        person_address: Some((PersonAddress { vendor: None, number: CALLING_STATION_ID }, AddressForm::Text)),
        ..client("vpn")
    });
    let begin = lab.begin(&request(7, true, &[(CALLING_STATION_ID, b"198.51.100.3".to_vec())]));
    let attempt = begin.attempt;
    assert_eq!((&*attempt.name, attempt.client.name.as_str()), ("nemo", "vpn"));
    assert!(attempt.credential.unwrap().matches(b"arctangent"));
    assert_eq!(attempt.source, "192.0.2.1".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(attempt.person_address, Some("198.51.100.3".parse().unwrap()));
    assert_eq!(attempt.id.to_string(), "09".repeat(12));
    assert_eq!(attempt.received, lab.now);
}

#[test]
fn every_bad_packet_is_dropped_for_its_cause() {
    let packets = bad_packets();
    assert!(packets.len() > 25);
    for (name, cause, bytes) in packets {
        assert_eq!(Lab::new(client("vpn")).discarded(&bytes), cause, "{name}");
    }
}

#[test]
fn an_unknown_source_gets_nothing() {
    let now = Instant::now();
    let lonely =
        RadiusClient { addresses: vec![crate::radius::testing::range("192.0.2.9", "192.0.2.9")], ..client("x") };
    let lab = Lab { door: Door::new(shared(vec![lonely], now), 100), now };
    assert_eq!(lab.discarded(&request(1, true, &[])), "unknown_source");
}

#[test]
fn a_source_over_its_rate_gets_nothing_for_a_while() {
    let mut lab = Lab::new(RadiusClient { packets_per_second: 2, ..client("vpn") });
    lab.begin(&request(1, true, &[]));
    lab.begin(&request(2, true, &[]));
    assert_eq!(lab.discarded(&request(3, true, &[])), "over_rate");
    lab.now += Duration::from_millis(500);
    lab.begin(&request(3, true, &[]));
}

#[test]
fn a_retransmission_gets_silence_and_then_the_identical_bytes() {
    let mut lab = Lab::new(client("vpn"));
    let bytes = request(1, true, &[]);
    let begin = lab.begin(&bytes);
    assert!(matches!(lab.receive(&bytes), Step::Running(_)));
    lab.now += Duration::from_secs(50);
    assert!(matches!(lab.receive(&bytes), Step::Running(_)));
    let reply = lab.finish(&begin.ticket, &accept()).unwrap();
    lab.now += Duration::from_secs(29);
    let Step::Resend(again) = lab.receive(&bytes) else { panic!() };
    assert_eq!(reply, again);
    lab.now += Duration::from_secs(5);
    assert!(matches!(lab.receive(&bytes), Step::Begin(_)));
}

#[test]
fn silence_is_repeated_as_silence() {
    let lab = Lab::new(client("vpn"));
    let bytes = request(1, true, &[]);
    let begin = lab.begin(&bytes);
    assert_eq!(lab.finish(&begin.ticket, &Outcome::Discard(Reason::Deadline)), None);
    assert!(matches!(lab.receive(&bytes), Step::Resend(reply) if reply.is_empty()));
}

#[test]
fn a_request_that_nobody_looked_at_starts_anew() {
    for reason in [Reason::Overloaded, Reason::ShuttingDown] {
        let lab = Lab::new(client("vpn"));
        let bytes = request(1, true, &[]);
        let begin = lab.begin(&bytes);
        assert_eq!(lab.finish(&begin.ticket, &Outcome::Discard(reason)), None);
        assert_eq!(lab.door.running(), 0);
        let again = lab.begin(&bytes);
        assert_eq!(lab.finish(&begin.ticket, &accept()), None, "the first one is over");
        assert!(lab.finish(&again.ticket, &accept()).is_some());
        assert!(matches!(lab.receive(&bytes), Step::Resend(_)));
    }
}

#[test]
fn a_client_whose_authenticators_repeat_does_not_get_the_answer_of_another_person() {
    let lab = Lab::new(client("vpn"));
    let password = Secret::new(b"arctangent".to_vec());
    let packet = |name: &str| Request::access(name, &password).encode(1, &[7; 16], &key()).unwrap();
    let first = lab.begin(&packet("nemo"));
    assert!(lab.finish(&first.ticket, &accept()).is_some());
    assert!(matches!(lab.receive(&packet("nemo")), Step::Resend(_)));
    let second = lab.begin(&packet("somebody-else"));
    assert!(matches!(lab.receive(&packet("somebody-else")), Step::Running(_)));
    assert!(lab.finish(&second.ticket, &Outcome::Reject(Reason::Denied)).is_some());
}

#[test]
fn retransmissions_are_counted_and_lead_to_the_work() {
    let lab = Lab::new(client("vpn"));
    let bytes = request(1, true, &[]);
    let begin = lab.begin(&bytes);
    assert!(matches!(lab.receive(&bytes), Step::Running(None)));
    assert!(lab.door.attach(&begin.ticket.key(), 71).is_none());
    assert!(matches!(lab.receive(&bytes), Step::Running(Some(71))));
    lab.finish(&begin.ticket, &accept());
    assert!(matches!(lab.receive(&bytes), Step::Resend(_)));
    assert_eq!(lab.door.shared().retransmissions(), 3);
}

#[test]
fn a_superseded_request_is_never_answered() {
    let lab = Lab::new(client("vpn"));
    let older = lab.begin(&request(1, true, &[]));
    assert!(lab.door.attach(&older.ticket.key(), 71).is_none());
    let password = Secret::new(b"arctangent".to_vec());
    let bytes = Request::access("nemo", &password).encode(1, &[99; 16], &key()).unwrap();
    let newer = lab.begin(&bytes);
    assert_eq!(newer.superseded, Some(71));
    assert_eq!(lab.finish(&older.ticket, &accept()), None);
    assert!(matches!(lab.receive(&bytes), Step::Running(_)));
    assert!(lab.finish(&newer.ticket, &accept()).is_some());
}

#[test]
fn only_an_accept_becomes_an_access_accept() {
    let lab = Lab::new(client("vpn"));
    for (identifier, reason) in (1..).zip(Reason::ALL) {
        let begin = lab.begin(&request(identifier, true, &[]));
        let reply = lab.finish(&begin.ticket, &Outcome::Reject(*reason)).unwrap();
        assert_eq!(Packet::decode(&reply).unwrap().code(), Code::ACCESS_REJECT, "{reason}");
    }
    let begin = lab.begin(&request(0, true, &[]));
    let reply = lab.finish(&begin.ticket, &accept()).unwrap();
    assert_eq!(Packet::decode(&reply).unwrap().code(), Code::ACCESS_ACCEPT);
}

#[test]
fn every_reason_is_refused_with_the_same_bytes() {
    let bytes = request(1, true, &[(PROXY_STATE, b"one".to_vec())]);
    let replies: std::collections::HashSet<Vec<u8>> = Reason::ALL
        .iter()
        .map(|reason| {
            let lab = Lab::new(RadiusClient { reject_message: Some("Sorry.".into()), ..client("vpn") });
            let begin = lab.begin(&bytes);
            lab.finish(&begin.ticket, &Outcome::Reject(*reason)).unwrap().to_vec()
        })
        .collect();
    assert_eq!(replies.len(), 1);
    let reply = replies.into_iter().next().unwrap();
    assert_eq!(numbers(&reply), [MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, PROXY_STATE]);
}

#[test]
fn a_reply_is_signed_first_and_echoes_proxy_states_last_and_in_order() {
    let lab = Lab::new(RadiusClient {
        reply_attributes: vec![ReplyAttribute { number: CLASS, value: b"staff".to_vec() }],
        ..client("vpn")
    });
    let states = [b"one".to_vec(), Vec::new(), b"two".to_vec()].map(|state| (PROXY_STATE, state));
    let bytes = request(1, true, &states);
    let begin = lab.begin(&bytes);
    let reply = lab.finish(&begin.ticket, &accept()).unwrap();
    let packet = Packet::decode(&reply).unwrap();
    assert_eq!(numbers(&reply), [MESSAGE_AUTHENTICATOR, CLASS, PROXY_STATE, PROXY_STATE, PROXY_STATE]);
    assert_eq!(packet.values(PROXY_STATE).collect::<Vec<_>>(), [&b"one"[..], b"", b"two"]);
    assert_eq!(packet.identifier(), 1);
    let key = key();
    assert!(Verified::reply(packet, &[1; 16], &key).unwrap().signed());
    assert!(Verified::reply(packet, &[2; 16], &key).is_err());
}

#[test]
fn more_proxy_state_than_a_reply_can_hold_is_dropped() {
    let lab = Lab::new(RadiusClient { reject_message: Some("no ".repeat(700)), ..client("vpn") });
    let states = vec![(PROXY_STATE, vec![7; 253]); 7];
    let begin = lab.begin(&request(1, true, &states));
    assert!(lab.finish(&begin.ticket, &Outcome::Reject(Reason::Denied)).is_some());
    let states = vec![(PROXY_STATE, vec![7; 253]); 8];
    assert_eq!(lab.discarded(&request(2, true, &states)), "proxy_state_too_long");
}

#[test]
fn what_cannot_be_tried_is_an_attempt_all_the_same() {
    let user = |name: &[u8]| (USER_NAME, name.to_vec());
    let password = |length| (USER_PASSWORD, vec![1; length]);
    let empty = {
        let hidden = crate::radius::password::hide(&Secret::new(Vec::new()), key().keyed(), &[5; 16]).unwrap();
        (USER_PASSWORD, hidden)
    };
    for (attributes, expected) in [
        (vec![], Unusable::BadName),
        (vec![password(16)], Unusable::BadName),
        (vec![user(b""), password(16)], Unusable::BadName),
        (vec![user(b"ne\0mo"), password(16)], Unusable::BadName),
        (vec![user(b"ne\nmo"), password(16)], Unusable::BadName),
        (vec![user(b"ne\xffmo"), password(16)], Unusable::BadName),
        (vec![user(b"nemo"), user(b"flopsy"), password(16)], Unusable::BadName),
        (vec![user(b"nemo")], Unusable::NoPassword),
        (vec![user(b"nemo"), (CHAP_PASSWORD, vec![1; 17])], Unusable::NoPassword),
        (vec![user(b"nemo"), (EAP_MESSAGE, vec![2, 0, 0, 4])], Unusable::NoPassword),
        (vec![user(b"nemo"), empty], Unusable::EmptyPassword),
        (vec![user(b"nemo"), password(0)], Unusable::BadPassword),
        (vec![user(b"nemo"), password(17)], Unusable::BadPassword),
        (vec![user(b"nemo"), password(144)], Unusable::BadPassword),
        (vec![user(b"nemo"), password(16), password(16)], Unusable::BadPassword),
        (vec![user(b"nemo"), password(16), (CHAP_PASSWORD, vec![1; 17])], Unusable::BadPassword),
    ] {
        let lab = Lab::new(client("vpn"));
        let begin = lab.begin(&bare(5, &attributes));
        assert_eq!(begin.attempt.credential.err(), Some(expected), "{attributes:?}");
        let reply = lab.door.finish(&begin.ticket, &Outcome::Reject(Reason::from_unusable(expected)), lab.now);
        assert!(reply.is_some());
    }
}

#[test]
fn unsigned_requests_are_dropped_unless_the_client_is_excused() {
    let published = vector("rfc2865_7_1_user_telnet_request");
    assert_eq!(Lab::new(client("vpn")).discarded(&published), "unsigned");
    let lab = Lab::new(RadiusClient { require_message_authenticator: Requirement::No, ..client("vpn") });
    let begin = lab.begin(&published);
    assert!(begin.attempt.credential.unwrap().matches(b"arctangent"));
    let reply = lab.finish(&begin.ticket, &accept()).unwrap();
    assert_eq!(numbers(&reply)[0], MESSAGE_AUTHENTICATOR, "signed although the request was not");
    let known = lab.door.shared().clients.iter().next().unwrap();
    assert_eq!((known.signed(), known.unsigned()), (0, 1));
}

#[test]
fn blastradius_a_changed_request_is_dropped() {
    // CVE-2024-3596: the attacker puts a Proxy-State of his own into a request on its way.
    let lab = Lab::new(RadiusClient { require_message_authenticator: Requirement::Auto, ..client("vpn") });
    let bytes = request(1, true, &[]);
    let mut changed = bytes.clone();
    changed.extend_from_slice(&[PROXY_STATE, 5, 1, 2, 3]);
    let length = u16::try_from(changed.len()).unwrap();
    changed[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(lab.discarded(&changed), "wrong_signature");
    // He takes the signature out as well, after the client has once signed.
    lab.begin(&bytes);
    assert_eq!(lab.discarded(&request(2, false, &[(PROXY_STATE, b"x".to_vec())])), "unsigned");
    assert_eq!(lab.discarded(&request(2, false, &[])), "unsigned");
}

#[test]
fn a_client_that_never_signs_is_limited_to_requests_without_proxy_state() {
    let never = || RadiusClient { require_message_authenticator: Requirement::No, ..client("vpn") };
    let forged = request(2, false, &[(PROXY_STATE, b"x".to_vec())]);
    let lab = Lab::new(never());
    lab.begin(&request(1, false, &[]));
    assert_eq!(lab.discarded(&forged), "unsigned_proxy_state");
    // An old proxy, whose very first request has Proxy-State, is excused.
    let lab = Lab::new(never());
    lab.begin(&forged);
    lab.begin(&request(3, false, &[(PROXY_STATE, b"x".to_vec())]));
    let lab = Lab::new(RadiusClient { limit_proxy_state: Requirement::Yes, ..never() });
    assert_eq!(lab.discarded(&forged), "unsigned_proxy_state");
    let lab = Lab::new(RadiusClient { limit_proxy_state: Requirement::No, ..never() });
    lab.begin(&request(1, false, &[]));
    lab.begin(&forged);
}

#[test]
fn neither_status_server_nor_eap_pins_a_client_to_signing() {
    let lab = Lab::new(RadiusClient { require_message_authenticator: Requirement::Auto, ..client("vpn") });
    assert!(matches!(lab.receive(&vector("rfc5997_6_1_status_request")), Step::Reply(_)));
    lab.begin(&bare(1, &[(USER_NAME, b"nemo".to_vec()), (EAP_MESSAGE, vec![2, 0, 0, 4])]));
    lab.begin(&request(2, false, &[]));
    lab.begin(&request(3, true, &[]));
    assert_eq!(lab.discarded(&request(4, false, &[])), "unsigned");
}

#[test]
fn status_server_is_answered_and_signed() {
    let lab = Lab::new(RadiusClient {
        reply_attributes: vec![ReplyAttribute { number: CLASS, value: b"staff".to_vec() }],
        ..client("vpn")
    });
    let bytes = vector("rfc5997_6_1_status_request");
    let Step::Reply(reply) = lab.receive(&bytes) else { panic!() };
    assert_eq!(numbers(&reply), [MESSAGE_AUTHENTICATOR], "no attribute that would let anybody in");
    let asked = *Packet::decode(&bytes).unwrap().authenticator();
    let key = key();
    let verified = Verified::reply(Packet::decode(&reply).unwrap(), &asked, &key).unwrap();
    assert_eq!((verified.packet().code(), verified.signed()), (Code::ACCESS_ACCEPT, true));
}

#[test]
fn a_draining_door_begins_nothing_and_still_answers_what_it_knows() {
    let lab = Lab::new(client("vpn"));
    let (running, answered) = (request(1, true, &[]), request(2, true, &[]));
    let begin = lab.begin(&running);
    let done = lab.begin(&answered);
    lab.finish(&done.ticket, &accept()).unwrap();
    lab.door.shared().drain();
    assert_eq!(lab.discarded(&request(3, true, &[])), "draining");
    assert_eq!(lab.discarded(&vector("rfc5997_6_1_status_request")), "draining");
    assert!(matches!(lab.receive(&answered), Step::Resend(_)));
    assert!(matches!(lab.receive(&running), Step::Running(_)));
    assert!(lab.finish(&begin.ticket, &accept()).is_some());
    assert!(matches!(lab.receive(&running), Step::Resend(_)));
}

#[test]
fn a_full_table_drops_new_requests() {
    let now = Instant::now();
    let lab = Lab { door: Door::new(shared(vec![client("vpn")], now), 1), now };
    lab.begin(&request(1, true, &[]));
    assert_eq!(lab.discarded(&request(2, true, &[])), "table_full");
}

#[test]
fn an_abandoned_request_is_a_reject() {
    let lab = Lab::new(client("vpn"));
    let begin = lab.begin(&request(1, true, &[]));
    let reply = lab.door.abandon(&begin.ticket, lab.now).unwrap();
    assert_eq!(Packet::decode(&reply).unwrap().code(), Code::ACCESS_REJECT);
    assert_eq!(lab.finish(&begin.ticket, &accept()), None, "a request ends once");
}

#[test]
fn no_secret_is_shown_by_debug() {
    let lab = Lab::new(client("vpn"));
    let mut builder = Builder::new(Code::ACCESS_REQUEST, 1, &[1; 16], 0);
    builder.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    builder.push(USER_NAME, b"nemo").unwrap();
    let hidden = crate::radius::password::hide(&Secret::new(b"PLANTED".to_vec()), key().keyed(), &[1; 16]).unwrap();
    builder.push(USER_PASSWORD, &hidden).unwrap();
    let mut bytes = builder.into_bytes();
    sign_request(&mut bytes, &key());
    let begin = lab.begin(&bytes);
    let text = format!("{begin:?} {:?}", lab.door);
    let listed = |secret: &[u8]| secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    for secret in [&b"PLANTED"[..], b"xyzzy5461"] {
        assert!(!text.contains(&listed(secret)) && !text.contains(std::str::from_utf8(secret).unwrap()), "{text}");
    }
}

#[test]
fn while_the_directory_cannot_keep_up_nothing_new_begins_and_retransmissions_are_served() {
    let lab = Lab::new(client("vpn"));
    let first = request(1, true, &[]);
    let begun = lab.begin(&first);
    lab.door.shared().set_overloaded(true);
    assert_eq!(lab.discarded(&request(2, true, &[])), "overloaded");
    assert!(matches!(lab.receive(&first), Step::Running(_)));
    let reply = lab.finish(&begun.ticket, &Outcome::Reject(Reason::Denied)).unwrap();
    assert!(matches!(lab.receive(&first), Step::Resend(again) if again == reply));
    lab.door.shared().set_overloaded(false);
    lab.begin(&request(2, true, &[]));
}
