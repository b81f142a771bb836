use super::*;
use crate::users::model::Method;

fn person(name: &str) -> Option<Person> {
    Some(Person::bare(name, name))
}

fn checked_cache(now: Instant) -> PeopleCache {
    let cache = PeopleCache::default();
    assert_eq!(cache.look("a", now, false), Look::Check);
    assert!(cache.checked(1, now));
    cache
}

fn generation(cache: &PeopleCache, unique_id: &str, now: Instant) -> u64 {
    match cache.look(unique_id, now, true) {
        Look::Read { generation } => generation,
        other => panic!("expected Read, got {other:?}"),
    }
}

#[test]
fn what_was_kept_is_known_until_the_next_check_is_due() {
    let now = Instant::now();
    let cache = checked_cache(now);
    cache.keep("a", person("a").as_ref(), generation(&cache, "a", now));
    cache.keep("b", None, generation(&cache, "b", now));
    let later = now + CHECK_AFTER - Duration::from_millis(1);
    assert_eq!(cache.look("a", later, false), Look::Known(person("a")));
    assert_eq!(cache.look("b", later, false), Look::Known(None));
    assert_eq!(cache.look("a", now + CHECK_AFTER, false), Look::Check);
}

#[test]
fn while_one_caller_checks_others_are_served_until_it_is_stale() {
    let now = Instant::now();
    let cache = checked_cache(now);
    cache.keep("a", person("a").as_ref(), generation(&cache, "a", now));
    let due = now + CHECK_AFTER;
    assert_eq!(cache.look("a", due, false), Look::Check);
    assert_eq!(cache.look("a", due, false), Look::Known(person("a")));
    let stale = now + STALE_AFTER;
    assert_eq!(cache.look("a", stale, false), Look::Check, "the first checker has not come back");
    assert!(matches!(cache.look("a", stale, false), Look::Read { .. }));
    assert!(matches!(cache.look("a", stale, true), Look::Read { .. }));
}

#[test]
fn a_changed_number_empties_the_memory() {
    let now = Instant::now();
    let cache = checked_cache(now);
    cache.keep("a", person("a").as_ref(), generation(&cache, "a", now));
    assert!(!cache.checked(1, now + CHECK_AFTER));
    assert_eq!(cache.len(), 1);
    assert!(cache.checked(2, now + CHECK_AFTER));
    assert!(cache.is_empty());
}

#[test]
fn a_row_read_before_a_change_cannot_enter_after_it() {
    let now = Instant::now();
    let cache = checked_cache(now);
    let before = generation(&cache, "a", now);
    cache.forget("a");
    cache.keep("a", person("a").as_ref(), before);
    assert!(cache.is_empty());
    let before = generation(&cache, "a", now);
    cache.checked(2, now);
    cache.keep("a", person("a").as_ref(), before);
    assert!(cache.is_empty());
}

#[test]
fn an_older_look_does_not_replace_a_newer_one() {
    let now = Instant::now();
    let cache = checked_cache(now);
    assert!(cache.checked(3, now + Duration::from_millis(2)));
    assert!(!cache.checked(2, now + Duration::from_millis(1)));
    assert!(!cache.checked(3, now + Duration::from_millis(3)));
}

#[test]
fn it_stays_bounded_and_keeps_those_in_use() {
    let now = Instant::now();
    let cache = checked_cache(now);
    cache.keep("used", person("used").as_ref(), generation(&cache, "used", now));
    for number in 0..3 * CAPACITY {
        let id = number.to_string();
        cache.keep(&id, None, generation(&cache, &id, now));
        assert_eq!(cache.look("used", now, true), Look::Known(person("used")));
        assert!(cache.len() <= CAPACITY);
    }
    assert_eq!(cache.len(), CAPACITY);
}

#[test]
fn as_many_people_as_fit_are_all_remembered_in_any_order() {
    let now = Instant::now();
    let cache = checked_cache(now);
    for round in 0..3 {
        for number in 0..CAPACITY {
            let id = number.to_string();
            match cache.look(&id, now, true) {
                Look::Read { generation } if round == 0 => cache.keep(&id, None, generation),
                Look::Known(None) if round > 0 => {}
                other => panic!("round {round}, {number}: {other:?}"),
            }
        }
    }
}

#[test]
fn forgetting_one_leaves_the_others() {
    let now = Instant::now();
    let cache = checked_cache(now);
    for id in ["a", "b", "c"] {
        cache.keep(id, person(id).as_ref(), generation(&cache, id, now));
    }
    cache.forget("a");
    cache.forget("nobody");
    assert!(matches!(cache.look("a", now, true), Look::Read { .. }));
    for id in ["b", "c"] {
        assert_eq!(cache.look(id, now, true), Look::Known(person(id)));
    }
    cache.forget("c");
    cache.forget("b");
    assert!(cache.is_empty());
}

#[test]
fn a_person_comes_back_whole() {
    let now = Instant::now();
    let cache = checked_cache(now);
    let full = Person {
        unique_id: "id".into(),
        name: "Åsa".into(),
        upn: Some("åsa@example.com".into()),
        dn: Some("CN=Åsa".into()),
        first_name: Some(String::new()),
        last_name: Some("L".into()),
        email: Some("e@example.com".into()),
        phone: Some("+1 202 555 0111".into()),
        phone_extension: Some("17".into()),
        device_token: Some("token".into()),
        method: Method::SmsReply,
        mode: crate::users::model::Mode::Pin,
        language: "sv".into(),
        enabled: false,
        blocked_until: Some(std::time::SystemTime::UNIX_EPOCH),
    };
    let some = Person { upn: None, first_name: None, phone: None, device_token: None, ..full.clone() };
    for person in [full.clone(), some] {
        cache.keep("id", Some(&person), generation(&cache, "id", now));
        assert_eq!(cache.look("id", now, true), Look::Known(Some(person)));
        cache.forget("id");
    }
    let huge = Person { dn: Some("x".repeat(70_000)), ..full };
    cache.keep("id", Some(&huge), generation(&cache, "id", now));
    assert!(cache.is_empty(), "what does not fit is not remembered");
}

#[test]
fn a_name_is_known_as_long_as_nobody_is_changed() {
    let now = Instant::now();
    let cache = checked_cache(now);
    let alice = person("alice").unwrap();
    let generation = |cache: &PeopleCache| match cache.look_named("al", now, true) {
        Look::Read { generation } => generation,
        other => panic!("expected Read, got {other:?}"),
    };
    let before = generation(&cache);
    cache.keep_named("al", &alice, before);
    assert_eq!(cache.look_named("al", now, false), Look::Known(person("alice")));
    assert_eq!(cache.look("alice", now, false), Look::Known(person("alice")), "by the unique id, too");
    assert!(matches!(cache.look_named("alice", now, false), Look::Read { .. }), "another name is not known");
    assert_eq!(cache.look_named("al", now + CHECK_AFTER, false), Look::Check);
    cache.forget("somebody else");
    assert!(matches!(cache.look_named("al", now, false), Look::Read { .. }));
    cache.keep_named("al", &alice, before);
    assert!(matches!(cache.look_named("al", now, false), Look::Read { .. }), "read before the change");
    cache.keep_named("al", &alice, generation(&cache));
    cache.forget_all();
    assert!(matches!(cache.look_named("al", now, false), Look::Read { .. }));
}

#[test]
fn names_are_bounded_and_never_outlive_their_person() {
    let now = Instant::now();
    let cache = checked_cache(now);
    for number in 0..=CAPACITY {
        let one = person(&number.to_string()).unwrap();
        let Look::Read { generation } = cache.look_named(&one.name, now, true) else { panic!("known already") };
        cache.keep_named(&one.name, &one, generation);
    }
    assert!(cache.lock().names.len() <= CAPACITY && cache.len() <= CAPACITY);
    let last = CAPACITY.to_string();
    assert_eq!(cache.look_named(&last, now, false), Look::Known(person(&last)));
}
