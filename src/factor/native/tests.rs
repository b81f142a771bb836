use super::*;
use crate::config::{Common, Outbound};
use crate::users::model::Person;

#[test]
fn status_is_sorted_by_whether_a_prompt_can_have_been_sent() {
    use UnreachableClass::{RateLimited, ServerError};
    let none = br#"{"error":"maintenance","prompt_sent":false}"#.as_slice();
    let maybe = br#"{"error":"oops","prompt_sent":true}"#.as_slice();
    let table = [
        (429, b"".as_slice(), false, Refusal::Unreachable(RateLimited)),
        (429, b"", true, Refusal::Lost),
        (503, none, false, Refusal::Unreachable(ServerError)),
        (503, none, true, Refusal::Lost),
        (503, maybe, false, Refusal::Lost),
        (503, b"<html>", false, Refusal::Lost),
        (500, b"{}", false, Refusal::Lost),
        (400, none, false, Refusal::Misconfigured),
        (401, b"", false, Refusal::Unreachable(UnreachableClass::Refused)),
        (403, b"", false, Refusal::Unreachable(UnreachableClass::Refused)),
        (204, b"", false, Refusal::Garbled),
        (302, b"", false, Refusal::Garbled),
        (600, none, false, Refusal::Garbled),
    ];
    for (status, body, maybe_sent, expected) in table {
        assert_eq!(refusal_of(status, body, maybe_sent), expected, "{status} {maybe_sent}");
    }
}

fn request(sign_in: SignInId) -> Request {
    let person = Person::bare("u", "alice");
    Request {
        sign_in,
        person: Arc::new(person),
        method: crate::users::model::Method::Push,
        code: None,
        application: "VPN".into(),
        person_address: None,
        deadline: std::time::Instant::now() + Duration::from_secs(30),
        device: None,
        number_matching: Default::default(),
        can_type: false,
        tell: None,
        given: None,
    }
}

/// What a held prompt costs here: the entry, its share of the table's empty places, the id, and the two
/// futures. A bound of the design, printed by the test when it is broken.
#[tokio::test]
async fn held_prompt_stays_below_600_octets() {
    let config = NativeProvider {
        common: Common {
            name: "cloud".into(),
            outbound: Outbound {
                url: "http://127.0.0.1:1".into(),
                ca_file: None,
                proxy: None,
                timeout: Duration::from_secs(1),
            },
            send: SendFields { names: true, email: true, phone: true, person_address: true },
            failover: Vec::new(),
        },
        authentication: crate::config::NativeAuthentication::Signed {
            key_id: "k".into(),
            key: crate::secret::Secret::from_text("0123456789abcdef0123456789abcdef".into()),
        },
        pin_on_phone: false,
        number_matching: false,
    };
    let server = ServerIdentity { name: "one".into(), address: None };
    let native = Native::start(&config, server).expect("a loopback address");
    let guarded = crate::factor::routing::Guarded::new(Arc::new(native));
    let native = Native::start(&config, ServerIdentity { name: "two".into(), address: None }).expect("as before");
    let sign_in = SignInId::new([1; 12]);
    let inner = size_of_val(&*native.run(request(sign_in)));
    let outer = size_of_val(&*guarded.run(request(sign_in)));
    let table = 3 * waiting::ENTRY + 32;
    assert!(inner + outer + table <= 448, "{inner} + {outer} + {table}");
}
