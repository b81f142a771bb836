use proptest::prelude::*;

use super::*;

fn round_trip(filter: &Filter) {
    let encoded = filter.encode();
    let mut reader = Reader::new(&encoded);
    assert_eq!(Filter::read(&mut reader).as_ref(), Ok(filter));
    assert!(reader.is_empty());
}

#[test]
fn each_kind_of_text_filter_is_understood() {
    let cases = [
        ("(cn=a)", Filter::Equality("cn".into(), b"a".to_vec())),
        ("(cn=)", Filter::Equality("cn".into(), Vec::new())),
        ("(cn=a\\2a\\29\\00)", Filter::Equality("cn".into(), b"a*)\0".to_vec())),
        ("(cn=*)", Filter::Present("cn".into())),
        ("(n>=5)", Filter::GreaterOrEqual("n".into(), b"5".to_vec())),
        ("(n<=5)", Filter::LessOrEqual("n".into(), b"5".to_vec())),
        ("(n~=5)", Filter::Approx("n".into(), b"5".to_vec())),
        ("(&)", Filter::And(Vec::new())),
        ("(|)", Filter::Or(Vec::new())),
        (
            "(cn=a*b*c)",
            Filter::Substrings {
                attribute: "cn".into(),
                initial: Some(b"a".to_vec()),
                any: vec![b"b".to_vec()],
                last: Some(b"c".to_vec()),
            },
        ),
        (
            "(cn=*b*)",
            Filter::Substrings { attribute: "cn".into(), initial: None, any: vec![b"b".to_vec()], last: None },
        ),
        (
            "(memberOf:1.2.840.113556.1.4.1941:=CN=g\\5c,DC=x)",
            Filter::Extensible {
                rule: Some(IN_CHAIN.into()),
                attribute: Some("memberOf".into()),
                value: b"CN=g\\,DC=x".to_vec(),
                dn_attributes: false,
            },
        ),
        (
            "(:dn:2.4.6:=x)",
            Filter::Extensible {
                rule: Some("2.4.6".into()),
                attribute: None,
                value: b"x".to_vec(),
                dn_attributes: true,
            },
        ),
    ];
    for (text, filter) in cases {
        assert_eq!(Filter::parse(text), Ok(filter.clone()), "{text}");
        round_trip(&filter);
    }
    let nested = Filter::parse("(&(objectClass=person)(!(|(a=1)(b=2))))").unwrap();
    round_trip(&nested);
}

#[test]
fn a_text_that_is_no_filter_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("", 0),
        ("cn=a", 0),
        ("(cn=a", 5),
        ("(cn=a))", 6),
        ("(cn=(a))", 4),
        ("(cn=\\4)", 4),
        ("(=a)", 1),
        ("(cn)", 3),
        ("(&(a=b)", 7),
        ("(cn:=", 5),
        ("(cn:1.2", 7),
    ] {
        assert_eq!(Filter::parse(text).map_err(|error| error.at), Err(at), "{text}");
    }
    assert!(Filter::parse(&"(!".repeat(100)).is_err());
}

#[test]
fn a_filter_nested_too_deeply_is_refused() {
    let mut filter = Filter::Present("a".into());
    for _ in 0..MAX_DEPTH {
        filter = Filter::Not(Box::new(filter));
    }
    assert!(Filter::read(&mut Reader::new(&filter.encode())).is_err());
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let value = || proptest::collection::vec(any::<u8>(), 0..8);
    let leaf = prop_oneof![
        ("[a-z]{1,5}", value()).prop_map(|(attribute, value)| Filter::Equality(attribute, value)),
        "[a-z]{1,5}".prop_map(Filter::Present),
        ("[a-z]{1,5}", value()).prop_map(|(attribute, value)| Filter::LessOrEqual(attribute, value)),
        ("[a-z]{1,5}", value(), any::<bool>()).prop_map(|(attribute, value, dn_attributes)| Filter::Extensible {
            rule: None,
            attribute: Some(attribute),
            value,
            dn_attributes
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(filter in any_filter()) {
        round_trip(&filter);
    }

    #[test]
    fn no_octets_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Filter::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[()&|!=*:\\\\a-c0-9<>~]{0,24}") {
        let _ = Filter::parse(&text);
    }
}
