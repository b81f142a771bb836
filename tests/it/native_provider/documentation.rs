//! What the documentation says is what the code does.

use anteroom::factor::native::wire::{self, Event, Expected, Message, Said};

use super::*;

const TEXT: &str = include_str!("../../../docs/native-protocol.md");
const OPENAPI: &str = include_str!("../../../docs/native-protocol.openapi.yaml");

fn blocks() -> Vec<&'static str> {
    TEXT.split("```json\n").skip(1).map(|rest| rest.split_once("```").expect("closed").0.trim()).collect()
}

fn sign_in() -> SignInId {
    SignInId::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
}

fn said(message: &Message<'_>) -> Said {
    let (asked_at, now) = (1_767_225_590, 1_767_225_601);
    let method = Method::Push;
    wire::judge(message, Expected { sign_in: sign_in(), server: "one", id: None, method, besides: None, asked_at, now })
}

#[test]
fn example_request_is_what_is_sent() {
    let person = Person {
        unique_id: "3f2504e0".into(),
        name: "alice".into(),
        upn: None,
        dn: None,
        first_name: Some("Alice".into()),
        last_name: Some("Liddell".into()),
        email: Some("alice@example.test".into()),
        phone: Some("+1 555 0100".into()),
        phone_extension: Some("42".into()),
        device_token: Some("token-1".into()),
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    };
    let request = Request { person: Arc::new(person), ..request("alice", sign_in(), Duration::ZERO) };
    let server = ServerIdentity { name: "one".into(), address: Some([10, 0, 0, 1].into()) };
    let send = SendFields { names: true, email: true, phone: true, person_address: true };
    let sent = wire::ask(&request, &server, (send, None), Duration::from_secs(54)).expect("serialisable");
    let sent: serde_json::Value = serde_json::from_slice(&sent).expect("JSON");
    let told: serde_json::Value = serde_json::from_str(blocks()[0]).expect("JSON");
    assert_eq!(sent, told);
}

#[test]
fn example_answers_mean_what_the_text_says() {
    let answers = blocks();
    assert_eq!(said(&serde_json::from_str(answers[1]).expect("JSON")), Said::Pending);
    assert_eq!(said(&serde_json::from_str(answers[2]).expect("JSON")), Said::Approved);
    let events: Vec<Event<'_>> = answers[3].lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.iter().map(|event| &*event.event).collect::<Vec<_>>(), ["hello", "verification", "heartbeat"]);
    assert!(events[0].resumed);
    assert_eq!(said(events[1].verification.as_ref().expect("one")), Said::Approved);
}

#[test]
fn test_vector_is_ours() {
    let key = Secret::from_text("0123456789abcdef0123456789abcdef".into());
    let nonce = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
    let body = br#"{"idempotency_key":"000102030405060708090a0b"}"#;
    let signed = Signed { method: "POST", target: "/v1/verifications", time: 1_767_225_600, nonce, body };
    let header = Signer::new("anteroom-1", &key).expect("fit").header(signed);
    assert!(TEXT.contains(&format!("Authorization: {header}\n")));
}

#[test]
fn every_state_and_path_is_described_twice() {
    let words = ["pending", "approved", "denied", "fraud", "expired", "undeliverable", "needs_code", "wrong_code"];
    for word in words {
        assert!(TEXT.contains(&format!("| `{word}` |")), "{word}");
    }
    assert!(OPENAPI.contains(&format!("enum: [{}]", words.join(", "))));
    for path in ["/v1/verifications", "/v1/verifications/{id}", "/v1/events", "/v1/ping"] {
        assert!(TEXT.contains(path) && OPENAPI.contains(&format!("  {path}:\n")), "{path}");
    }
    for method in anteroom::factor::native::wire::METHODS {
        assert!(TEXT.contains(&format!("`{method}`")) && OPENAPI.contains(method.word()), "{method}");
    }
}
