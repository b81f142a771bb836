//! Text around a directory: filters and base DNs of the configuration, names as people type them, and Active
//! Directory's diagnostics. Nothing panics, a filter survives the wire, and no name changes its filter.

#![no_main]

use anteroom::ldap::ber::Reader;
use anteroom::ldap::filter::Filter;
use anteroom::ldap::result::{LdapResult, code};
use anteroom::primary::Refusal;
use anteroom::primary::names::{NameRules, TypedName, dns_domain, escape_dn_value, guid_octets, guid_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let answer = LdapResult { code: code::INVALID_CREDENTIALS, matched_dn: b"", diagnostic: data };
    assert_eq!(answer.sub_code().is_none(), !has_sub_code(data));
    assert!(Refusal::ALL.contains(&answer.refusal()));

    let Ok(text) = std::str::from_utf8(data) else { return };
    match Filter::parse(text) {
        Ok(filter) => {
            let encoded = filter.encode();
            let mut reader = Reader::new(&encoded);
            assert_eq!(Filter::read(&mut reader), Ok(filter));
            assert!(reader.is_empty());
        }
        Err(error) => assert!(error.at <= text.len() && !error.to_string().is_empty()),
    }
    if let Ok(name) = TypedName::read(text, &[]) {
        search_for(&name);
    }
    let _ = dns_domain(text);
    assert!(escape_dn_value(text).len() <= 3 * text.len());
    if let Some(octets) = guid_octets(text) {
        assert!(guid_text(&octets).is_some_and(|again| again.len() == text.len()));
    }
});

/// Another way to say what a sub-code is: the first `data `, then a hexadecimal number of 32 bits.
fn has_sub_code(data: &[u8]) -> bool {
    let Some(at) = data.windows(5).position(|window| window == b"data ") else { return false };
    let digits = data[at + 5..].split(|octet| !octet.is_ascii_hexdigit()).next().unwrap_or_default();
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    !digits.is_empty() && digits.len() - zeros <= 8
}

/// A typed name only ever fills values: the filter's shape is that of the rules.
fn search_for(name: &TypedName<'_>) {
    let rules = NameRules {
        name_attributes: vec!["sAMAccountName".into()],
        at_attributes: vec!["userPrincipalName".into()],
        own_domains: vec!["corp".into()],
        people: vec![Filter::Present("objectClass".into()).encode()],
    };
    let mut encoded = Vec::new();
    rules.write_filter(name, &mut encoded);
    let mut reader = Reader::new(&encoded);
    let Ok(Filter::And(parts)) = Filter::read(&mut reader) else { panic!("not our own filter") };
    assert!(reader.is_empty());
    let [Filter::Present(_), Filter::Or(names)] = &parts[..] else { panic!("{parts:?}") };
    assert!((1..=2).contains(&names.len()) && names.iter().all(|name| matches!(name, Filter::Equality(..))));
}
