use super::*;
use crate::import::testing::{import, item};

fn reading(scope: ImportScope) -> Reading {
    let mut item = item("staff");
    item.scope = scope;
    Reading::new(&item, &import(Vec::new()), &[])
}

fn only(reading: &Reading) -> Job {
    let mut jobs = jobs(reading, "DC=corp").unwrap().unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[test]
fn a_unit_is_searched_with_or_without_its_sub_units() {
    let unit = |subtree| only(&reading(ImportScope::Ou { dn: "OU=x,DC=corp".into(), subtree }));
    assert_eq!((unit(true).base.as_str(), unit(true).scope), ("OU=x,DC=corp", Scope::Subtree));
    assert_eq!(unit(false).scope, Scope::One);
    assert!(unit(true).base_must_exist);
}

#[test]
fn a_search_starts_at_its_own_base_or_the_directory() {
    let search = |base: Option<&str>| {
        only(&reading(ImportScope::Search { base: base.map(str::to_owned), filter: "(l=Bern)".into() }))
    };
    assert_eq!(search(None).base, "DC=corp");
    assert_eq!(search(Some("OU=y")).base, "OU=y");
    let bad = reading(ImportScope::Search { base: None, filter: "(l=".into() });
    assert!(jobs(&bad, "DC=corp").unwrap_err().contains("(l="));
}

#[test]
fn people_are_asked_for_by_dn_or_by_any_of_their_names() {
    let names = vec!["CN=Ada\\, L,DC=corp".into(), "alice".into(), "CORP\\bob".into(), "c@corp.example".into()];
    let jobs = jobs(&reading(ImportScope::People(names)), "DC=corp").unwrap().unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!((jobs[0].scope, jobs[0].base.as_str()), (Scope::Base, "CN=Ada\\, L,DC=corp"));
    let asked = format!("{:?}", jobs[1].filter);
    assert!(asked.contains(&format!("{:?}", b"bob".to_vec())), "the domain is not part of the account: {asked}");
}

#[test]
fn a_restricted_job_asks_for_both() {
    let reading = reading(ImportScope::Ou { dn: "OU=x".into(), subtree: true });
    let job = only(&reading);
    let ids = ["00112233-4455-6677-8899-aabbccddeeff".to_owned(), "not a guid".to_owned()];
    let restricted = job.of_these(&reading, &ids);
    let Filter::And(parts) = restricted.filter else { panic!() };
    assert_eq!(parts[0], job.filter);
    let Filter::Or(ids) = &parts[1] else { panic!() };
    assert_eq!(ids.len(), 1, "what is no id of this directory is nobody there");
}

#[test]
fn a_dn_is_within_its_base_whatever_the_case_and_blanks() {
    assert!(is_within("CN=a,OU=x,DC=corp", "ou=X, dc=CORP"));
    assert!(is_within("OU=x,DC=corp", "OU=x,DC=corp"));
    assert!(!is_within("CN=a,OU=yx,DC=corp", "OU=x,DC=corp"));
    assert!(!is_within("CN=a\\,OU=x,DC=corp", "OU=x,DC=corp"), "an escaped comma is part of the name");
    assert!(is_within("CN=a,DC=corp", ""));
}

#[test]
fn the_relative_id_is_the_last_part_of_a_sid() {
    let sid = [&[1, 5, 0, 0, 0, 0, 0, 5][..], &[21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 2, 0, 0]].concat();
    assert_eq!(relative_id(&sid), Some(513));
    assert_eq!(relative_id(&sid[..27]), None);
    assert_eq!(relative_id(b""), None);
}

#[test]
fn a_name_with_an_equals_sign_is_a_dn_only_behind_an_attribute() {
    assert!(is_dn("CN=x") && is_dn("2.5.4.3=x"));
    assert!(!is_dn("alice") && !is_dn("a b=c") && !is_dn("=x"));
}
