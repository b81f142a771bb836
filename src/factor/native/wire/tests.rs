use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::users::model::Person;

fn sign_in() -> SignInId {
    SignInId::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
}

const KEY: &str = "000102030405060708090a0b";
const NOW: u64 = 1_767_225_600;

fn expected() -> Expected<'static> {
    let (asked_at, now) = (NOW - 10, NOW);
    Expected { sign_in: sign_in(), server: "one", id: Some("v1"), method: Method::Push, besides: None, asked_at, now }
}

fn said(message: &Value) -> Said {
    said_besides(message, None)
}

/// What it says where this is to be typed on the phone.
fn said_besides(message: &Value, besides: Option<&Besides>) -> Said {
    let text = message.to_string();
    object::read::<Message<'_>>(text.as_bytes())
        .map_or(Said::Refused(Refusal::Garbled), |message| judge(&message, Expected { besides, ..expected() }))
}

fn approved() -> Value {
    json!({"id": "v1", "idempotency_key": KEY, "server": "one", "state": "approved",
           "result": {"approved": true, "method": "push", "at": NOW}})
}

#[test]
fn arrays_are_no_messages_however_well_their_values_fit() {
    let whole = json!(["v1", KEY, "one", "approved", {"approved": true, "method": "push", "at": NOW}]);
    let inside = with(approved(), "/result", json!([true, "push", NOW]));
    assert_eq!(said(&approved()), Said::Approved);
    for odd in [whole, inside, json!([approved()])] {
        assert_eq!(said(&odd), Said::Refused(Refusal::Garbled), "{odd}");
    }
}

fn with(mut message: Value, pointer: &str, value: Value) -> Value {
    *message.pointer_mut(pointer).expect("present") = value;
    message
}

fn without(mut message: Value, parent: &str, field: &str) -> Value {
    message.pointer_mut(parent).and_then(Value::as_object_mut).expect("present").remove(field);
    message
}

#[test]
fn approval_in_every_field_is_approved() {
    assert_eq!(said(&approved()), Said::Approved);
}

#[test]
fn unknown_fields_are_ignored() {
    let mut message = approved();
    message.as_object_mut().unwrap().insert("later".into(), json!({"x": 1}));
    assert_eq!(said(&message), Said::Approved);
}

#[test]
fn approval_that_lacks_or_spoils_any_field_is_garbled() {
    let mut spoiled = Vec::new();
    for field in ["id", "idempotency_key", "server", "state", "result"] {
        spoiled.push(without(approved(), "", field));
        for value in [Value::Null, json!(""), json!("other"), json!(1), json!(true), json!([]), json!({})] {
            spoiled.push(with(approved(), &format!("/{field}"), value));
        }
    }
    for field in ["approved", "method", "at"] {
        spoiled.push(without(approved(), "/result", field));
        for value in [Value::Null, json!(""), json!("approved"), json!(0), json!(false), json!([]), json!(-1)] {
            spoiled.push(with(approved(), &format!("/result/{field}"), value));
        }
    }
    for state in ["Approved", "APPROVED", "approved ", "pending", "allow", "success"] {
        spoiled.push(with(approved(), "/state", json!(state)));
    }
    for at in [NOW - 311, NOW + 301] {
        spoiled.push(with(approved(), "/result/at", json!(at)));
    }
    spoiled.push(with(approved(), "/result/method", json!("call")));
    spoiled.push(with(approved(), "/idempotency_key", json!(KEY.to_uppercase())));
    for message in spoiled {
        assert_eq!(said(&message), Said::Refused(Refusal::Garbled), "{message}");
    }
}

#[test]
fn an_approval_without_what_was_to_be_typed_is_none() {
    let with_result = |fields: Value| {
        let mut message = approved();
        let result = message.pointer_mut("/result").and_then(Value::as_object_mut).unwrap();
        result.extend(fields.as_object().unwrap().clone());
        message
    };
    let pin = Besides::new(true, None);
    let garbled = Said::Refused(Refusal::Garbled);
    assert_eq!(said_besides(&with_result(json!({"pin": "40927"})), pin.as_deref()), Said::Approved);
    assert_eq!(said_besides(&approved(), pin.as_deref()), garbled);
    for odd in [
        json!(""),
        json!("4092a"),
        json!("12345678901234567"),
        json!(40927),
        json!(true),
        Value::Null,
        json!(["40927"]),
    ] {
        assert_eq!(said_besides(&with_result(json!({ "pin": odd })), pin.as_deref()), garbled, "{odd}");
    }
    let number = Besides::new(false, Some("42".into()));
    assert_eq!(said_besides(&with_result(json!({"number": "42"})), number.as_deref()), Said::Approved);
    assert_eq!(said_besides(&with_result(json!({"number": "24"})), number.as_deref()), Said::Refused(Refusal::Denied));
    for message in [approved(), with_result(json!({"number": null})), with_result(json!({"number": 42}))] {
        assert_eq!(said_besides(&message, number.as_deref()), garbled, "{message}");
    }
    let both = Besides::new(true, Some("42".into()));
    assert_eq!(said_besides(&with_result(json!({"number": "42"})), both.as_deref()), garbled);
    assert_eq!(said_besides(&with_result(json!({"pin": "40927"})), both.as_deref()), garbled);
    let all = with_result(json!({"number": "42", "pin": "40927"}));
    assert_eq!((said_besides(&all, both.as_deref()), said(&all)), (Said::Approved, Said::Approved));
    let message = all.to_string();
    let shown = format!("{:?}", object::read::<Message<'_>>(message.as_bytes()).unwrap());
    assert!(!shown.contains("40927"), "{shown}");
}

#[test]
fn each_state_has_its_meaning() {
    for (state, refusal) in [
        ("denied", Refusal::Denied),
        ("fraud", Refusal::Fraud),
        ("expired", Refusal::Expired),
        ("undeliverable", Refusal::Undeliverable),
        ("needs_code", Refusal::NeedsCode),
        ("wrong_code", Refusal::WrongCode),
    ] {
        let message = with(approved(), "/state", json!(state));
        assert_eq!(said(&message), Said::Refused(Refusal::Garbled), "contradicting {state}");
        assert_eq!(said(&with(message.clone(), "/result/approved", json!(false))), Said::Refused(refusal));
        assert_eq!(said(&without(message, "", "result")), Said::Refused(refusal));
    }
    let pending = without(with(approved(), "/state", json!("pending")), "", "result");
    assert_eq!(said(&pending), Said::Pending);
}

#[test]
fn field_given_twice_is_garbled() {
    let text = approved().to_string().replacen('{', r#"{"state":"denied","#, 1);
    assert!(serde_json::from_str::<Message<'_>>(&text).is_err());
}

#[test]
fn key_reads_back() {
    let key = Key::of(sign_in());
    assert_eq!(key.as_str(), KEY);
    assert_eq!(Key::parse(KEY), Some(sign_in()));
    for spoiled in ["", "0", "000102030405060708090a0", "000102030405060708090a0b0", "000102030405060708090A0b"] {
        assert_eq!(Key::parse(spoiled), None, "{spoiled}");
    }
}

#[test]
fn ids_that_could_leave_their_place_in_a_path_are_refused() {
    for id in ["", ".", "..", "a/b", "a?b", "a#b", "a b", "ä", "%2e"] {
        assert!(!is_id(id), "{id}");
    }
    assert!(is_id("v_1-A") && is_id(&"x".repeat(128)) && !is_id(&"x".repeat(129)));
}

fn request(method: Method) -> Request {
    let person = Person {
        unique_id: "3f2504e0".into(),
        name: "alice".into(),
        upn: Some("alice@example.test".into()),
        dn: Some("CN=Alice".into()),
        first_name: Some("Alice".into()),
        last_name: Some("Liddell".into()),
        email: Some("alice@example.test".into()),
        phone: Some("+1 555 0100".into()),
        phone_extension: Some("42".into()),
        device_token: Some("token-1".into()),
        method,
        mode: crate::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    };
    Request {
        sign_in: sign_in(),
        person: Arc::new(person),
        method,
        code: None,
        application: "VPN".into(),
        person_address: Some([192, 0, 2, 7].into()),
        deadline: Instant::now(),
        device: None,
        number_matching: Default::default(),
        can_type: false,
        tell: None,
        given: None,
    }
}

fn body(method: Method, send: SendFields) -> Value {
    let server = ServerIdentity { name: "one".into(), address: Some([10, 0, 0, 1].into()) };
    let body = ask(&request(method), &server, (send, None), Duration::from_millis(54_900)).expect("serialisable");
    serde_json::from_slice(&body).expect("JSON")
}

const ALL: SendFields = SendFields { names: true, email: true, phone: true, person_address: true };

#[test]
fn request_carries_everything() {
    let expected = json!({
        "idempotency_key": KEY, "application": "VPN", "method": "push", "mode": "standard", "language": "en",
        "expires_in": 54, "server": {"name": "one", "address": "10.0.0.1"},
        "person": {"unique_id": "3f2504e0", "user_name": "alice", "first_name": "Alice", "last_name": "Liddell",
                   "email": "alice@example.test", "phone": "+1 555 0100", "phone_extension": "42",
                   "device_token": "token-1", "address": "192.0.2.7"}
    });
    assert_eq!(body(Method::Push, ALL), expected);
    assert_eq!(body(Method::Call, ALL)["person"]["device_token"], Value::Null, "a call needs no token");
}

#[test]
fn what_is_to_be_typed_on_the_phone_is_asked_for() {
    let server = ServerIdentity { name: "one".into(), address: None };
    for (besides, mode, number) in [
        (Besides::new(true, None), "pin", Value::Null),
        (Besides::new(false, Some("42".into())), "standard", json!("42")),
        (Besides::new(true, Some("42".into())), "pin", json!("42")),
    ] {
        let body = ask(&request(Method::Push), &server, (ALL, besides.as_deref()), Duration::from_secs(9)).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["mode"], &body["number"]), (&json!(mode), &number));
    }
}

#[test]
fn switched_off_fields_stay_at_home() {
    let none = SendFields { names: false, email: false, phone: false, person_address: false };
    let expected = json!({"unique_id": "3f2504e0", "user_name": "alice", "device_token": "token-1"});
    assert_eq!(body(Method::Push, none)["person"], expected);
    for (send, fields) in [
        (SendFields { names: true, ..none }, ["first_name", "last_name"].as_slice()),
        (SendFields { email: true, ..none }, &["email"]),
        (SendFields { phone: true, ..none }, &["phone", "phone_extension"]),
        (SendFields { person_address: true, ..none }, &["address"]),
    ] {
        let person = body(Method::Push, send)["person"].clone();
        assert_eq!(person.as_object().map(serde_json::Map::len), Some(3 + fields.len()));
        assert!(fields.iter().all(|field| !person[field].is_null()), "{person}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_approve_by_chance(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = serde_json::from_slice::<Message<'_>>(&bytes) {
            prop_assert_ne!(judge(&message, expected()), Said::Approved);
        }
        let _ = serde_json::from_slice::<Event<'_>>(&bytes);
    }

    #[test]
    fn one_changed_octet_never_turns_a_denial_into_an_approval(at in 0_usize..200, octet in any::<u8>()) {
        let denied = json!({"id": "v1", "idempotency_key": KEY, "server": "one", "state": "denied",
                            "result": {"approved": false, "method": "push", "at": NOW}});
        let mut bytes = denied.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = octet;
        if let Ok(message) = serde_json::from_slice::<Message<'_>>(&bytes) {
            prop_assert_ne!(judge(&message, expected()), Said::Approved);
        }
    }
}
