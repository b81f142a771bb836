use std::time::Duration;

use super::*;
use crate::import::testing::item;
use crate::users::model::{Method, Person};
use crate::users::profile::Field;

const CONTENT: i64 = 0b1100;

fn profile(name: &str) -> Profile {
    let mut profile = Profile::new(Person::bare(format!("id-{name}"), name));
    profile.item = Some("staff".into());
    profile
}

fn candidate(name: &str) -> Candidate {
    Candidate { profile: profile(name), disabled: false, has_language: false }
}

fn stored(name: &str, state: i64) -> Profile {
    Profile { content: CONTENT | state, ..profile(name) }
}

#[test]
fn somebody_new_is_added_by_the_items_rule() {
    let mut item = item("staff");
    let enabled = |item: &ImportItem, candidate: Candidate| match decide(item, candidate, CONTENT, None) {
        Decision::Add(profile) => profile.person.enabled,
        other => panic!("{other:?}"),
    };
    assert!(enabled(&item, candidate("alice")));
    assert!(!enabled(&item, Candidate { disabled: true, ..candidate("alice") }));
    item.enabled = EnabledRule::None;
    assert!(!enabled(&item, candidate("alice")));
    item.enabled = EnabledRule::NewWithPhone;
    assert!(!enabled(&item, candidate("alice")));
    let mut with_phone = candidate("alice");
    with_phone.profile.person.phone = Some("+12025550111".into());
    assert!(enabled(&item, with_phone));
    item.add = false;
    assert_eq!(decide(&item, candidate("alice"), CONTENT, None), Decision::Skip(Skipped::NotAdded));
}

#[test]
fn a_change_names_its_fields_and_keeps_what_is_not_the_directorys() {
    let mut before = stored("alice", NORMAL);
    before.person.method = Method::Call;
    before.person.language = "fr".into();
    let mut seen = candidate("alice");
    seen.profile.person.email = Some("a@corp.example".into());
    let Decision::Change(change) = decide(&item("staff"), seen, CONTENT + 8, Some(before)) else { panic!() };
    assert_eq!(change.fields.iter().collect::<Vec<_>>(), [Field::Email]);
    assert_eq!((change.after.person.method, change.after.person.language.as_str()), (Method::Call, "fr"));
    assert_eq!((change.after.content, change.disables), (CONTENT + 8, false));
}

#[test]
fn local_fields_are_no_change() {
    let mut before = stored("alice", NORMAL);
    before.person.phone = Some("+12025550199".into());
    before.local = before.local.with(Field::Phone);
    let decision = decide(&item("staff"), candidate("alice"), CONTENT + 8, Some(before));
    let Decision::Touch(after) = decision else { panic!("{decision:?}") };
    assert_eq!(after.person.phone.as_deref(), Some("+12025550199"));
}

#[test]
fn an_item_that_does_not_update_leaves_people_alone_unless_they_come_back() {
    let mut item = item("staff");
    item.update = false;
    let mut seen = candidate("alice");
    seen.profile.person.email = Some("a@corp.example".into());
    let decision = decide(&item, seen.clone(), CONTENT + 8, Some(stored("alice", NORMAL)));
    assert_eq!(decision, Decision::Skip(Skipped::NotUpdated));
    let mut left = stored("alice", LEFT);
    left.person.enabled = false;
    let Decision::Change(change) = decide(&item, seen, CONTENT + 8, Some(left)) else { panic!() };
    assert_eq!(change.fields.iter().collect::<Vec<_>>(), [Field::Enabled]);
}

#[test]
fn a_disabled_account_is_treated_as_the_item_says() {
    let mut item = item("staff");
    let off = || Candidate { disabled: true, ..candidate("alice") };
    let Decision::Change(change) = decide(&item, off(), CONTENT, Some(stored("alice", NORMAL))) else { panic!() };
    assert!(change.disables && !change.after.person.enabled);
    let back = decide(&item, candidate("alice"), CONTENT, Some(change.after));
    let Decision::Change(back) = back else { panic!("{back:?}") };
    assert!(back.after.person.enabled);
    item.disabled_accounts = DisabledAccounts::Import;
    assert_eq!(decide(&item, off(), CONTENT, Some(stored("alice", NORMAL))), Decision::Keep);
    item.disabled_accounts = DisabledAccounts::Skip;
    let skipped = Decision::Skip(Skipped::AccountDisabled);
    assert_eq!(decide(&item, off(), CONTENT, Some(stored("alice", NORMAL))), skipped);
}

#[test]
fn somebody_whom_an_admin_disabled_is_not_enabled_by_a_change() {
    let mut before = stored("alice", NORMAL);
    before.person.enabled = false;
    before.local = before.local.with(Field::Enabled);
    let mut seen = candidate("alice");
    seen.profile.person.email = Some("a@corp.example".into());
    let Decision::Change(change) = decide(&item("staff"), seen, CONTENT + 8, Some(before)) else { panic!() };
    assert!(!change.after.person.enabled);
}

#[test]
fn who_leaves_is_disabled_or_quarantined_once() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!(leave(Leavers::Keep, stored("alice", NORMAL), now), Decision::Keep);
    let Decision::Change(gone) = leave(Leavers::Disable, stored("alice", NORMAL), now) else { panic!() };
    assert!(gone.disables && gone.after.quarantined.is_none());
    assert_eq!(leave(Leavers::Disable, gone.after.clone(), now), Decision::Keep);
    let Decision::Change(removed) = leave(Leavers::Remove, stored("alice", NORMAL), now) else { panic!() };
    assert_eq!(removed.after.quarantined, Some(now));
    assert_eq!(leave(Leavers::Remove, removed.after.clone(), now), Decision::Keep);
    // Who was disabled when the rule became "remove" goes into quarantine, too.
    let later = leave(Leavers::Remove, gone.after, now);
    assert!(matches!(&later, Decision::Touch(after) if after.quarantined == Some(now)), "{later:?}");
    // Who comes back in time is as before.
    let Decision::Change(back) = decide(&item("staff"), candidate("alice"), CONTENT, Some(removed.after)) else {
        panic!()
    };
    assert!(back.after.person.enabled && back.after.quarantined.is_none());
}

fn holders(list: &[(&str, &str)]) -> HashMap<String, String> {
    list.iter().map(|(name, holder)| ((*name).to_owned(), (*holder).to_owned())).collect()
}

fn rename(from: &str, to: &str) -> Decision {
    let before = stored(from, NORMAL);
    let mut after = before.clone();
    after.person.name = to.into();
    changed(before, after)
}

#[test]
fn a_name_that_somebody_has_is_a_conflict_that_is_named() {
    let (hashes, mut names) = (Hashes::default(), Names::default());
    let add = |name: &str, id: &str| {
        let mut profile = profile(name);
        profile.person.unique_id = id.into();
        Decision::Add(Box::new(profile))
    };
    assert!(names.admit(&hashes, add("bob", "1"), &holders(&[])).unwrap().is_some());
    let conflict = names.admit(&hashes, add("BOB", "2"), &holders(&[])).unwrap_err();
    assert_eq!((conflict.name.as_str(), conflict.holder), ("bob", None));
    assert_eq!(names.admit(&hashes, add("carol", "3"), &holders(&[("carol", "9")])), Ok(None));
    assert_eq!(names.wanted_of(), ["9"]);
    let (settled, conflicts) = names.settle(&hashes);
    assert!(settled.is_empty());
    assert_eq!(conflicts[0].to_string(), "carol cannot have the name carol: the person with the unique id 9 has it");
}

#[test]
fn names_that_are_given_up_in_the_same_import_are_free() {
    let (hashes, mut names) = (Hashes::default(), Names::default());
    // alice becomes bob before bob has become carol
    let taken = holders(&[("bob", "id-bob")]);
    assert_eq!(names.admit(&hashes, rename("alice", "bob"), &taken), Ok(None));
    assert!(names.admit(&hashes, rename("bob", "carol"), &taken).unwrap().is_some());
    let (settled, conflicts) = names.settle(&hashes);
    assert_eq!((settled.len(), conflicts.len()), (1, 0));
}

#[test]
fn people_who_exchange_their_names_both_get_them() {
    let (hashes, mut names) = (Hashes::default(), Names::default());
    let taken = holders(&[("bob", "id-bob"), ("alice", "id-alice"), ("dave", "id-dave")]);
    for (from, to) in [("alice", "bob"), ("bob", "alice"), ("carol", "dave")] {
        assert_eq!(names.admit(&hashes, rename(from, to), &taken), Ok(None));
    }
    let (settled, conflicts) = names.settle(&hashes);
    assert_eq!((settled.len(), conflicts.len()), (2, 1));
    assert_eq!(conflicts[0].name, "dave");
}

#[test]
fn a_chain_that_ends_at_a_conflict_falls_as_a_whole() {
    let (hashes, mut names) = (Hashes::default(), Names::default());
    let taken = holders(&[("b", "id-b"), ("c", "id-c"), ("z", "id-z")]);
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "z")] {
        assert_eq!(names.admit(&hashes, rename(from, to), &taken), Ok(None));
    }
    let (settled, conflicts) = names.settle(&hashes);
    assert_eq!((settled.len(), conflicts.len()), (0, 3));
}

#[test]
fn who_has_left_gives_names_up_and_keeps_the_rest() {
    let mut before = stored("alice", LEFT);
    before.person.phone = Some("+12025550111".into());
    before.aliases = vec!["CORP\\alice".into()];
    let Decision::Change(change) = vacate(before.clone(), before) else { panic!() };
    assert_eq!(change.after.person.name, "alice~idalice");
    assert!(change.after.aliases.is_empty() && change.after.person.upn.is_none());
    assert_eq!(change.after.person.phone.as_deref(), Some("+12025550111"));
}
