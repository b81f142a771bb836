use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::audit::Steps;
use crate::signin::attempt::Door;
use crate::signin::outcome::{Reason, Verdict};
use crate::users::model::Method;

fn written<T>(value: T, write: impl FnOnce(&mut Vec<u8>, T)) -> String {
    let mut out = Vec::new();
    write(&mut out, value);
    String::from_utf8(out).unwrap()
}

#[test]
fn durations_have_a_decimal_and_no_idle_zeros() {
    for (nanos, text) in [
        (0, "0.0"),
        (499, "0.0"),
        (500, "0.001"),
        (10_000, "0.01"),
        (100_000, "0.1"),
        (101_000, "0.101"),
        (1_020_000, "1.02"),
        (999_999_500, "1000.0"),
        (3_002_500_400, "3002.5"),
    ] {
        assert_eq!(written(Duration::from_nanos(nanos), milliseconds), text);
    }
    assert_eq!(written(Duration::MAX, milliseconds), "18446744073709551.615");
}

#[test]
fn numbers_are_decimal() {
    for value in [0, 7, 10, 99, 100, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(written(value, number), value.to_string());
    }
}

proptest! {
    #[test]
    fn a_line_is_what_a_writer_of_json_would_write(
        texts in proptest::collection::vec(any::<String>(), 6),
        maybe in proptest::option::of(any::<String>()),
        micros in proptest::collection::vec(proptest::option::of(0..10_000_000_000_u64), 5),
        (v4, v6) in (any::<u32>(), proptest::option::of(any::<u128>())),
        requests in any::<u32>(),
        octets in any::<[u8; 12]>(),
    ) {
        let step = |at: usize| micros[at].map(Duration::from_micros);
        let event = Event {
            time: SystemTime::UNIX_EPOCH,
            sign_in: SignInId::new(octets),
            door: Door::Ldap,
            client: texts[0].clone(),
            application: texts[1].clone(),
            name: texts[2].clone(),
            unique_id: maybe.clone(),
            account: Some(texts[3].clone()),
            source: Ipv4Addr::from_bits(v4).into(),
            person_address: v6.map(|bits| Ipv6Addr::from_bits(bits).into()),
            method: Some(Method::Push),
            provider: maybe.clone(),
            primary: Some("passed"),
            factor: None,
            verdict: Verdict::Accept,
            reason: Reason::Approved,
            rule: maybe.as_deref().map(Into::into),
            earlier: Some(texts[4].as_str().into()),
            requests,
            steps: Steps {
                identify: step(0),
                primary: step(1),
                policy: step(2),
                factor: step(3),
                total: step(4).unwrap_or_default(),
            },
            server: texts[5].clone(),
        };
        let ms = |duration: Option<Duration>| duration.map(crate::audit::milliseconds);
        let pairs = [
            ("time", json!("1970-01-01T00:00:00.000000Z")),
            ("sign_in", json!(event.sign_in.to_string())),
            ("door", json!("ldap")),
            ("client", json!(event.client)),
            ("application", json!(event.application)),
            ("name", json!(event.name)),
            ("unique_id", json!(event.unique_id)),
            ("account", json!(event.account)),
            ("source", json!(event.source)),
            ("person_address", json!(event.person_address)),
            ("method", json!("push")),
            ("provider", json!(event.provider)),
            ("primary", json!("passed")),
            ("factor", json!(null)),
            ("verdict", json!("accept")),
            ("reason", json!("approved")),
            ("rule", json!(event.rule.as_deref())),
            ("earlier", json!(event.earlier)),
            ("requests", json!(requests)),
            ("identify_ms", json!(ms(event.steps.identify))),
            ("primary_ms", json!(ms(event.steps.primary))),
            ("policy_ms", json!(ms(event.steps.policy))),
            ("factor_ms", json!(ms(event.steps.factor))),
            ("total_ms", json!(ms(Some(event.steps.total)))),
            ("server", json!(event.server)),
        ];
        let theirs: Vec<String> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let mut out = Vec::new();
        append(&mut out, &event);
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{{{}}}\n", theirs.join(",")));
    }
}
