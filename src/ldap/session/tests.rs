//! The session, driven by hand.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ldap::bind::write_bind_request;
use crate::ldap::filter::Filter;
use crate::ldap::message::write_message;
use crate::ldap::result::{LdapResult, write_abandon, write_extended_request, write_unbind};
use crate::ldap::search::{Scope, SearchRequest};

fn rules() -> Rules {
    let second = Duration::from_secs(1);
    Rules {
        plaintext: false,
        anonymous: Anonymous::Refuse,
        sasl: Sasl::Refuse,
        start_tls: true,
        limits: LdapLimits {
            max_message: 1 << 20,
            max_message_before_bind: 1 << 16,
            max_depth: 48,
            connections: 10,
            outstanding: 3,
            first_message_within: second,
            idle: second,
            buffered: 1 << 16,
            send_within: second,
        },
    }
}

fn protected() -> Session {
    Session::new(rules(), true)
}

/// A session of somebody who is bound.
fn bound() -> Session {
    let mut session = protected();
    session.begin_bind(1);
    session.bound(true);
    session
}

fn head(frame: &[u8]) -> Head {
    Head::read(frame, usize::MAX).unwrap().unwrap()
}

fn ask(session: &Session, frame: &[u8]) -> Step {
    session.request(frame, &head(frame))
}

fn pass(session: &mut Session, frame: &[u8]) {
    assert_eq!(ask(session, frame), Step::Forward);
    session.forwarded(frame, &head(frame));
}

/// Result code, text and tag of an answer.
fn said(octets: &[u8]) -> (u32, String, u8) {
    let envelope = Envelope::read(octets).unwrap();
    let result = LdapResult::read(&mut envelope.operation(octets)).unwrap();
    (result.code, String::from_utf8(result.diagnostic.to_vec()).unwrap(), envelope.op_tag)
}

fn refused(step: Step) -> (u32, String) {
    let (Step::Refuse(answer) | Step::Answer(answer)) = step else { panic!("{step:?}") };
    let (code, text, _) = said(&answer);
    (code, text)
}

fn bind(id: u32, name: &str, password: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_bind_request(&mut out, id, name.as_bytes(), password.as_bytes());
    out
}

fn sasl(id: u32, mechanism: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_message(&mut out, id, |message| {
        message.constructed(op::BIND_REQUEST, |bind| {
            bind.number(crate::ldap::ber::INTEGER, 3);
            bind.octets(b"");
            bind.constructed(0xa3, |sasl| sasl.octets(mechanism.as_bytes()));
        });
    });
    out
}

fn search(id: u32, base: &str, scope: Scope) -> Vec<u8> {
    let filter = Filter::Present("objectClass".into()).encode();
    let request = SearchRequest {
        base,
        scope,
        size_limit: 0,
        time_limit: Duration::ZERO,
        filter: &filter,
        attributes: &["supportedExtension"],
    };
    let mut out = Vec::new();
    request.write(&mut out, id);
    out
}

fn extended(id: u32, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_extended_request(&mut out, id, name, None);
    out
}

fn abandon(id: u32, what: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_abandon(&mut out, id, what);
    out
}

fn unbind(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_unbind(&mut out, id);
    out
}

fn response(id: u32, tag: u8) -> Head {
    Head { message_id: id, op_tag: tag, length: 14, start: 2 }
}

#[test]
fn what_is_no_bind_passes() {
    let session = bound();
    for tag in [0x63, 0x66, 0x68, 0x4a, 0x6c, 0x6e] {
        let mut frame = Vec::new();
        write_message(&mut frame, 5, |message| message.value(tag, b""));
        assert_eq!(ask(&session, &frame), Step::Forward, "{tag:#04x}");
    }
    assert_eq!(ask(&session, &extended(6, oid::WHO_AM_I)), Step::Forward);
    assert_eq!(ask(&session, &extended(6, "1.2.3.4")), Step::Forward);
    assert_eq!(ask(&session, &abandon(7, 5)), Step::Forward);
}

#[test]
fn what_is_no_request_ends_the_connection() {
    let session = bound();
    for tag in [0x61, 0x64, 0x65, 0x78, 0x79, 0x30] {
        let mut frame = Vec::new();
        write_message(&mut frame, 5, |message| message.value(tag, b""));
        let Step::End(Some(notice)) = ask(&session, &frame) else { panic!("{tag:#04x}") };
        assert_eq!(said(&notice).0, code::PROTOCOL_ERROR);
    }
    assert!(matches!(ask(&session, &search(0, "dc=x", Scope::Base)), Step::End(Some(_))), "id 0 is the server's");
}

#[test]
fn a_name_and_a_password_over_tls_are_a_sign_in() {
    assert_eq!(ask(&protected(), &bind(1, "cn=a", "p")), Step::Bind);
    let here = Session::new(Rules { plaintext: true, ..rules() }, false);
    assert_eq!(ask(&here, &bind(1, "cn=a", "p")), Step::Bind);
}

#[test]
fn a_password_in_the_clear_is_refused_and_nobody_is_bound_then() {
    let session = Session::new(rules(), false);
    let (code, text) = refused(ask(&session, &bind(1, "cn=a", "p")));
    assert_eq!(code, code::CONFIDENTIALITY_REQUIRED);
    assert!(text.contains("StartTLS"));
    let (code, _) = refused(ask(&Session::new(Rules { sasl: Sasl::Relay, ..rules() }, false), &sasl(1, "plain")));
    assert_eq!(code, code::CONFIDENTIALITY_REQUIRED);
}

#[test]
fn a_name_without_a_password_goes_to_the_sign_in_which_refuses_it() {
    assert_eq!(ask(&protected(), &bind(1, "cn=a", "")), Step::Bind);
}

#[test]
fn nobody_in_particular_is_refused_or_the_directorys_affair() {
    assert_eq!(refused(ask(&protected(), &bind(1, "", ""))).0, code::INAPPROPRIATE_AUTHENTICATION);
    assert_eq!(refused(ask(&protected(), &search(1, "dc=x", Scope::Base))).0, code::STRONGER_AUTH_REQUIRED);
    for name in ["1.3.6.1.4.1.4203.1.11.1", "1.2.3"] {
        // Password modify, and what nobody knows.
        assert_eq!(refused(ask(&protected(), &extended(1, name))).0, code::STRONGER_AUTH_REQUIRED);
    }
    assert_eq!(ask(&protected(), &extended(1, oid::CANCEL)), Step::Forward);
    assert_eq!(ask(&protected(), &search(1, "", Scope::Base)), Step::Forward, "the rootDSE");
    assert_eq!(refused(ask(&protected(), &search(1, "", Scope::Subtree))).0, code::STRONGER_AUTH_REQUIRED);
    assert_eq!(ask(&protected(), &extended(1, oid::WHO_AM_I)), Step::Forward);
    assert_eq!(ask(&protected(), &extended(1, oid::FAST_BIND)), Step::Forward);
    let mut open = Session::new(Rules { anonymous: Anonymous::Allow, ..rules() }, true);
    assert_eq!(ask(&open, &bind(1, "", "")), Step::RelayBind(Relayed::Anonymous));
    pass(&mut open, &search(1, "dc=x", Scope::Base));
}

#[test]
fn sasl_is_refused_with_what_to_set_or_relayed() {
    let (code, text) = refused(ask(&protected(), &sasl(1, "GSSAPI")));
    assert_eq!(code, code::AUTH_METHOD_NOT_SUPPORTED);
    assert!(text.contains("sasl = \"relay\""), "{text}");
    let relays = Session::new(Rules { sasl: Sasl::Relay, ..rules() }, true);
    assert_eq!(ask(&relays, &sasl(1, "GSSAPI")), Step::RelayBind(Relayed::Sasl));
    assert_eq!(refused(ask(&relays, &sasl(1, "external"))).0, code::AUTH_METHOD_NOT_SUPPORTED);
}

#[test]
fn version_2_is_refused() {
    let mut frame = bind(1, "cn=a", "p");
    let version = frame.windows(3).position(|three| three == [2, 1, 3]).unwrap();
    frame[version + 2] = 2;
    assert_eq!(refused(ask(&protected(), &frame)).0, code::PROTOCOL_ERROR);
}

#[test]
fn a_malformed_bind_ends_the_connection() {
    let mut frame = Vec::new();
    write_message(&mut frame, 1, |message| message.value(op::BIND_REQUEST, b"\x02\x01\x03"));
    assert!(matches!(ask(&protected(), &frame), Step::End(Some(_))));
}

#[test]
fn while_a_bind_is_held_only_its_end_is_heard() {
    let mut session = protected();
    session.begin_bind(4);
    assert!(session.is_held() && session.binding() == Some(4));
    assert_eq!(ask(&session, &search(5, "dc=x", Scope::Base)), Step::Later);
    assert_eq!(ask(&session, &extended(5, oid::START_TLS)), Step::Later);
    assert_eq!(ask(&session, &abandon(6, 4)), Step::Drop, "a bind cannot be abandoned");
    assert_eq!(ask(&session, &abandon(6, 3)), Step::Later);
    assert_eq!(ask(&session, &bind(7, "cn=b", "q")), Step::Supersede);
    assert_eq!(ask(&session, &unbind(8)), Step::End(None));
    session.bound(true);
    assert_eq!(ask(&session, &search(5, "dc=x", Scope::Base)), Step::Forward);
}

#[test]
fn while_a_bind_is_relayed_the_next_one_waits() {
    let mut session = protected();
    session.begin_relayed(4, Relayed::Service);
    assert_eq!(ask(&session, &bind(7, "cn=b", "q")), Step::Later);
    assert_eq!(session.response(&response(9, op::BIND_RESPONSE)), Reply::Pass, "another bind's answer is not its");
    assert_eq!(session.response(&response(4, op::BIND_RESPONSE)), Reply::BindAnswer(Relayed::Service));
    session.relayed(Relayed::Service, code::SUCCESS);
    assert!(session.is_bound() && session.is_idle());
}

#[test]
fn a_relayed_bind_binds_only_by_a_success() {
    for (what, code, expected) in [
        (Relayed::Sasl, code::SUCCESS, true),
        (Relayed::Sasl, code::SASL_BIND_IN_PROGRESS, false),
        (Relayed::Sasl, code::INVALID_CREDENTIALS, false),
        (Relayed::Anonymous, code::SUCCESS, false),
        (Relayed::Service, code::INVALID_CREDENTIALS, false),
    ] {
        let mut session = bound();
        session.begin_relayed(4, what);
        session.relayed(what, code);
        assert_eq!(session.is_bound(), expected, "{what:?} {code}");
        assert_eq!(session.is_layered(), what == Relayed::Sasl && code == code::SUCCESS);
    }
}

#[test]
fn a_bind_waits_for_what_is_outstanding() {
    let mut session = bound();
    pass(&mut session, &search(5, "dc=x", Scope::Base));
    assert_eq!(ask(&session, &bind(6, "cn=a", "p")), Step::Drain);
    session.response(&response(5, op::SEARCH_ENTRY));
    assert_eq!(ask(&session, &bind(6, "cn=a", "p")), Step::Drain);
    session.response(&response(5, op::SEARCH_DONE));
    assert_eq!(ask(&session, &bind(6, "cn=a", "p")), Step::Bind);
}

#[test]
fn an_extended_response_ends_any_operation() {
    // Samba answers so where a critical control is unknown to it.
    let mut session = bound();
    pass(&mut session, &search(5, "dc=x", Scope::Base));
    session.response(&response(5, op::EXTENDED_RESPONSE));
    assert!(session.is_drained());
}

#[test]
fn too_many_outstanding_operations_get_busy() {
    let mut session = bound();
    for id in 5..8 {
        pass(&mut session, &search(id, "dc=x", Scope::Base));
    }
    assert_eq!(refused(ask(&session, &search(8, "dc=x", Scope::Base))).0, code::BUSY);
    pass(&mut session, &abandon(9, 6));
    pass(&mut session, &search(8, "dc=x", Scope::Base));
    session.lost_directory();
    assert!(session.is_drained() && !session.is_bound());
}

#[test]
fn the_rootdse_is_needed_whole() {
    let mut session = protected();
    pass(&mut session, &search(5, "", Scope::Base));
    assert_eq!(session.response(&response(5, op::SEARCH_ENTRY)), Reply::Root);
    assert_eq!(session.response(&response(6, op::SEARCH_ENTRY)), Reply::Pass);
    assert_eq!(session.offers(5), Offers { start_tls: false, sasl: false, sasl_clear: true, extensions: true });
    session.response(&response(5, op::SEARCH_DONE));
    assert!(!session.offers(5).extensions);
}

#[test]
fn start_tls_is_answered_here() {
    let plain = Session::new(rules(), false);
    let Step::StartTls(answer) = ask(&plain, &extended(2, oid::START_TLS)) else { panic!("not begun") };
    assert_eq!(said(&answer).0, code::SUCCESS);
    assert_eq!(refused(ask(&protected(), &extended(2, oid::START_TLS))).0, code::OPERATIONS_ERROR);
    let mut valued = Vec::new();
    write_extended_request(&mut valued, 2, oid::START_TLS, Some(b"x"));
    assert_eq!(refused(ask(&plain, &valued)).0, code::PROTOCOL_ERROR, "a value is not passed on");
    let none = Session::new(Rules { start_tls: false, ..rules() }, false);
    assert_eq!(refused(ask(&none, &extended(2, oid::START_TLS))).0, code::PROTOCOL_ERROR);
    let mut asked = Session::new(rules(), false);
    pass(&mut asked, &search(1, "", Scope::Base));
    assert_eq!(refused(ask(&asked, &extended(2, oid::START_TLS))).0, code::OPERATIONS_ERROR);
}

#[test]
fn requests_may_be_longer_once_somebody_is_bound() {
    assert_eq!((protected().longest(), bound().longest()), (1 << 16, 1 << 20));
}

#[test]
fn an_answer_for_what_cannot_be_served_has_the_requests_type() {
    for (request, answer) in [(0x60, 0x61), (0x63, 0x65), (0x66, 0x67), (0x68, 0x69), (0x4a, 0x6b), (0x6c, 0x6d)] {
        let head = Head { message_id: 9, op_tag: request, length: 20, start: 2 };
        let octets = Session::unserved(&head, code::UNAVAILABLE, "").unwrap();
        assert_eq!(said(&octets).2, answer);
        assert_eq!(Envelope::read(&octets).unwrap().message_id, 9);
    }
    let abandon = Head { message_id: 9, op_tag: op::ABANDON_REQUEST, length: 20, start: 2 };
    assert_eq!(Session::unserved(&abandon, code::UNAVAILABLE, ""), None);
}

proptest! {
    #[test]
    fn no_message_panics(body in proptest::collection::vec(any::<u8>(), 0..80), tag in any::<u8>(), id in 0..9_u32) {
        let mut frame = Vec::new();
        write_message(&mut frame, id, |message| message.value(tag, &body));
        for mut session in [protected(), bound(), Session::new(Rules { sasl: Sasl::Relay, ..rules() }, false)] {
            if let Ok(Some(head)) = Head::read(&frame, usize::MAX) {
                if session.request(&frame, &head) == Step::Forward {
                    session.forwarded(&frame, &head);
                }
                session.response(&head);
                session.begin_bind(3);
                session.request(&frame, &head);
            }
        }
    }

    #[test]
    fn a_head_is_the_same_however_much_of_the_message_is_there(cut in 0..40_usize) {
        let frame = search(300, "dc=example", Scope::Base);
        let whole = head(&frame);
        prop_assert!(matches!(Head::read(&frame[..cut.min(frame.len())], usize::MAX), Ok(None) | Ok(Some(_))));
        if let Ok(Some(early)) = Head::read(&frame[..cut.min(frame.len())], usize::MAX) {
            prop_assert_eq!(early, whole);
        }
    }
}
