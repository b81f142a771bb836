use proptest::prelude::*;

use super::*;
use crate::ldap::ber::Reader;
use crate::ldap::filter::Filter;

fn rules() -> NameRules {
    NameRules {
        name_attributes: vec!["sAMAccountName".into()],
        at_attributes: vec!["userPrincipalName".into()],
        own_domains: vec!["corp.example.test".into(), "CORP".into()],
        people: vec![Filter::parse("(sAMAccountType=805306368)").unwrap().encode()],
    }
}

fn alternatives(typed: &str) -> Vec<Filter> {
    let mut out = Vec::new();
    rules().write_filter(&TypedName::read(typed, &[]).unwrap(), &mut out);
    let Filter::And(parts) = Filter::read(&mut Reader::new(&out)).unwrap() else { panic!("not an and") };
    assert_eq!(parts[0], Filter::parse("(sAMAccountType=805306368)").unwrap());
    match parts.into_iter().nth(1) {
        Some(Filter::Or(alternatives)) => alternatives,
        other => panic!("{other:?}"),
    }
}

fn equality(attribute: &str, value: &str) -> Filter {
    Filter::Equality(attribute.into(), value.as_bytes().to_vec())
}

#[test]
fn each_form_of_a_name_is_looked_for_where_it_can_stand() {
    let sam = |value| equality("sAMAccountName", value);
    let upn = |value| equality("userPrincipalName", value);
    assert_eq!(alternatives("Alice"), [sam("Alice")]);
    assert_eq!(alternatives("CORP\\Alice"), [sam("Alice")]);
    assert_eq!(alternatives("alice@partner.test"), [upn("alice@partner.test")]);
    assert_eq!(alternatives("a@CORP.Example.test"), [upn("a@CORP.Example.test"), sam("a")]);
    assert_eq!(alternatives("a@corp"), [upn("a@corp"), sam("a")]);
    assert_eq!(alternatives("a@b@corp"), [upn("a@b@corp"), sam("a@b")]);
    assert_eq!(alternatives("@corp"), [sam("@corp")]);
}

#[test]
fn characters_that_mean_something_in_filters_are_just_characters() {
    for name in ["*", "a)(cn=*", "a*", "(", "a\\5c29", "Lovelace, Ada", "\"q\"", "müller", "李", "a&b|c!d"] {
        let plain = name.replace('\\', "/");
        assert_eq!(alternatives(&plain), [equality("sAMAccountName", &plain)], "{name}");
    }
}

#[test]
fn names_that_cannot_be_anybodys_are_refused() {
    let read = |typed| TypedName::read(typed, &[]);
    assert_eq!(read(""), Err(BadName::Empty));
    assert_eq!(read("   "), Err(BadName::Empty));
    assert_eq!(read("CORP\\"), Err(BadName::Empty));
    assert_eq!(read("alice\0"), Err(BadName::Control));
    assert_eq!(read("ali\nce"), Err(BadName::Control));
    assert_eq!(read("ali\u{85}ce"), Err(BadName::Control));
    assert_eq!(TypedName::read(&"a".repeat(257), &[]), Err(BadName::TooLong));
    assert!(TypedName::read(&"a".repeat(256), &[]).is_ok());
}

#[test]
fn a_foreign_domain_is_refused_where_ours_are_named() {
    let ours = ["CORP".to_owned(), "Köln".to_owned()];
    assert_eq!(TypedName::read("corp\\bob", &ours), Ok(TypedName::InDomain("bob")));
    assert_eq!(TypedName::read("KÖLN\\bob", &ours), Ok(TypedName::InDomain("bob")));
    assert_eq!(TypedName::read("OTHER\\bob", &ours), Err(BadName::OtherDomain));
    assert_eq!(TypedName::read("\\bob", &ours), Err(BadName::OtherDomain));
    assert_eq!(TypedName::read("OTHER\\bob", &[]), Ok(TypedName::InDomain("bob")));
}

#[test]
fn the_dns_name_is_read_from_the_base() {
    assert_eq!(dns_domain("OU=Lab, DC=corp,dc=Example,DC=test").as_deref(), Some("corp.Example.test"));
    assert_eq!(dns_domain("o=example"), None);
}

#[test]
fn dn_values_are_escaped_as_rfc_4514_asks() {
    for (value, escaped) in [
        ("Lovelace, Ada", "Lovelace\\, Ada"),
        ("#a#", "\\#a#"),
        (" a b ", "\\ a b\\ "),
        (" ", "\\ "),
        ("a\\\"+;<>=", "a\\\\\\\"\\+\\;\\<\\>\\="),
        ("Zürich", "Zürich"),
        ("a\0", "a\\00"),
    ] {
        assert_eq!(escape_dn_value(value), escaped);
    }
}

#[test]
fn a_guid_is_shown_as_windows_shows_it() {
    let octets = [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    assert_eq!(guid_text(&octets).as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
    assert_eq!(guid_octets("00112233-4455-6677-8899-AABBCCDDEEFF"), Some(octets));
    assert_eq!(guid_text(&octets[1..]), None);
    assert_eq!(guid_octets("00112233445566778899aabbccddeeff"), None);
    assert_eq!(guid_octets("zz112233-4455-6677-8899-aabbccddeeff"), None);
    // 36 characters with 32 digits and 4 dashes, in other places; signs that a number may have; too many dashes.
    assert_eq!(guid_octets("001122334455-6677-8899-aabb-ccddeeff"), None);
    assert_eq!(guid_octets("-00112233-4455-6677-8899aabbccddeeff"), None);
    assert_eq!(guid_octets("00112233-4455-6677-8899aabbccddeeff-"), None);
    assert_eq!(guid_octets("+0112233-4455-6677-8899-aabbccddeeff"), None);
    assert_eq!(guid_octets("00112233-4455-6677-8899-aabbccddeef-"), None);
    assert_eq!(guid_octets("00112233-4455-6677-8899-aabbccddeefff"), None);
    assert_eq!(guid_octets("{0112233-4455-6677-8899-aabbccddeef}"), None);
    assert_eq!(guid_octets(""), None);
    assert_eq!(guid_octets("é0112233-4455-6677-8899-aabbccddeef"), None);
}

proptest! {
    #[test]
    fn guids_round_trip(octets in any::<[u8; 16]>()) {
        prop_assert_eq!(guid_octets(&guid_text(&octets).unwrap()), Some(octets));
    }

    #[test]
    fn whatever_is_typed_reaches_the_directory_as_one_value(typed in "\\PC{1,40}") {
        prop_assume!(!typed.contains('\\') && !typed.contains('@') && !typed.trim().is_empty());
        prop_assert_eq!(alternatives(&typed), [equality("sAMAccountName", &typed)]);
    }

    #[test]
    fn no_name_makes_it_panic(typed in any::<String>()) {
        let _ = TypedName::read(&typed, &["CORP".into()]);
        let _ = guid_octets(&typed);
        let _ = escape_dn_value(&typed);
        let _ = dns_domain(&typed);
    }
}
