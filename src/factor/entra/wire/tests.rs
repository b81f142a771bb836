use proptest::prelude::*;

use super::*;

const ROOT: &str = "BeginTwoWayAuthenticationResponse";

fn answer(value: Option<&str>, result: Option<&str>) -> Answer {
    Answer { value: value.map(Into::into), result: result.map(Into::into), ..Answer::default() }
}

#[test]
fn only_true_beside_success_is_an_approval() {
    let values: Vec<&str> = VALUES.iter().map(|(value, _)| *value).collect();
    let values = values.into_iter().chain(["Success", "AuthenticationPending", "success", "Success ", ""]).map(Some);
    for value in values.chain([None]) {
        for result in [None, Some("true"), Some("false"), Some("challenge"), Some("True"), Some("1"), Some("true ")] {
            let approved = value == Some("Success") && result == Some("true");
            assert_eq!(judge(&answer(value, result), "a@b") == Said::Approved, approved, "{value:?} {result:?}");
        }
    }
}

#[test]
fn every_documented_value_has_its_reason() {
    for (value, refusal) in VALUES {
        let value = value.replace('*', "SomethingNew");
        assert_eq!(judge(&answer(Some(&value), Some("false")), "a@b"), Said::Refused(refusal), "{value}");
        assert_ne!(refusal, Refusal::Garbled);
    }
    assert_eq!(refusal_of("NobodyKnows"), Refusal::Garbled);
    assert_eq!(judge(&answer(Some("Success"), Some("challenge")), "a@b"), Said::Challenge);
    assert_eq!(judge(&answer(Some("Success"), Some("false")), "a@b"), Said::Refused(Refusal::Garbled));
}

#[test]
fn an_approval_of_somebody_else_is_none() {
    let mut other = answer(Some("Success"), Some("true"));
    other.user = Some("Mallory@corp.example".into());
    assert_eq!(judge(&other, "alice@corp.example"), Said::Refused(Refusal::Garbled));
    other.user = Some("ALICE@corp.example".into());
    assert_eq!(judge(&other, "alice@corp.example"), Said::Approved);
}

fn body(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<{ROOT} xmlns:i=\"x\">{inner}</{ROOT}>\n")
}

#[test]
fn fields_are_read_where_they_belong() {
    let read_back = read(
        ROOT,
        body(
            "<Version>1.0</Version><Result><Value>Suc&#99;ess</Value><Message i:nil=\"true\"/></Result>\
              <SessionId>5</SessionId><AuthenticationResult>true</AuthenticationResult>\
              <UserPrincipalName>a&amp;b@c</UserPrincipalName><Other><SessionId>9</SessionId></Other>",
        )
        .as_bytes(),
    )
    .unwrap();
    assert_eq!((read_back.value.as_deref(), read_back.session.as_deref()), (Some("Success"), Some("5")));
    assert_eq!((read_back.result.as_deref(), read_back.user.as_deref()), (Some("true"), Some("a&b@c")));
}

#[test]
fn what_is_not_one_clear_answer_is_none() {
    let twice = "<AuthenticationResult>false</AuthenticationResult><AuthenticationResult>true</AuthenticationResult>";
    let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
    for inner in [twice, &deep, "<a>", "</a>", "<a></b>", "&own;"] {
        assert_eq!(read(ROOT, body(inner).as_bytes()), None, "{inner}");
    }
    let right = body("<AuthenticationResult>true</AuthenticationResult>");
    assert!(read(ROOT, right.as_bytes()).is_some());
    assert_eq!(read("EndTwoWayAuthenticationResponse", right.as_bytes()), None);
    for spoiled in [format!("{right}{right}"), format!("{right}x"), format!("<!DOCTYPE a>{right}"), String::new()] {
        assert_eq!(read(ROOT, spoiled.as_bytes()), None, "{spoiled}");
    }
    assert_eq!(read(ROOT, b"\xff\xfe"), None);
}

#[test]
fn children_stand_in_the_order_that_the_service_reads() {
    let asked = Begin {
        user: "élodie@corp.example",
        method: Method::Push,
        context: "c",
        code_for_number: false,
        sync: false,
        caller: None,
        language: "en-us",
    };
    let body = begin(&asked);
    let order = [
        "<Version>",
        "<UserPrincipalName>",
        "<Lcid>",
        "<AuthenticationMethodId>",
        "<AuthenticationMethodProperties",
        "<ContextId>",
        "<SyncCall>",
        "<RequireUserMatch>true",
        "<CallerName>",
        "<CallerIP>",
    ];
    let places: Vec<usize> = order.iter().map(|name| body.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{body}");
    assert!(!body.contains("xmlns="));
}

proptest! {
    #[test]
    fn any_name_is_escaped_and_read_back(user in "\\PC{1,40}") {
        let body = end("s", "c", Some("1"), &user).replace("EndTwoWayAuthenticationRequest", ROOT);
        let read_back = read(ROOT, body.as_bytes()).unwrap();
        prop_assert_eq!(read_back.user.unwrap_or_default(), user);
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(ROOT, &body);
    }
}
