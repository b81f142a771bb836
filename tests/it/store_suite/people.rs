//! Profiles, devices, tokens, PINs and records.

use std::time::{Duration, SystemTime};

use anteroom::audit::{Event, Steps};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Door, SignInId};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::users::details::{Device, Pin};
use anteroom::users::measures::{Measure, MeasureKind};
use anteroom::users::model::Method;
use anteroom::users::profile::{Field, Fields, Mode, Profile};
use anteroom::users::roster::Roster;
use anteroom::users::sealed::{KEY, Keys, NONCE};
use anteroom::users::store::StoreError;
use anteroom::users::token::{Algorithm, Moving, Token};

use super::{at, profile};

/// A profile with something in every field.
fn full() -> Profile {
    let mut full = profile("id-full", "Zoë");
    full.aliases = vec!["CORP\\zoë".into(), "zoe@other.example".into()];
    (full.group, full.description) = (Some("staff".into()), Some("\"quoted\", \\ and 漢字".into()));
    (full.backup_phone, full.backup_extension) = (Some("+12025550112".into()), Some("7".into()));
    (full.person.mode, full.local) = (Mode::Pin, Fields::default().with(Field::Phone));
    (full.item, full.content, full.quarantined) = (Some("people".into()), i64::MIN, Some(at(1)));
    let person = &mut full.person;
    (person.dn, person.email) = (Some("CN=Zoë,DC=example".into()), Some("zoe@example.com".into()));
    (person.first_name, person.last_name) = (Some("Zoë".into()), Some("O'Hara".into()));
    (person.phone, person.phone_extension) = (Some("+12025550111".into()), Some("890".into()));
    (person.device_token, person.method) = (Some("token-0123456789".into()), Method::Call);
    (person.language, person.enabled, person.blocked_until) = ("pt-BR".into(), false, Some(at(2)));
    full
}

/// `profile` as it stands in the store, whose stamps are the store's.
fn stamped(profile: &Profile, found: &Profile) -> Profile {
    Profile { created: found.created.clone(), changed: found.changed.clone(), ..profile.clone() }
}

pub(crate) async fn profiles_are_kept_whole(store: &dyn Roster) {
    let before = SystemTime::now() - Duration::from_secs(1);
    store.enrol(&full(), "cli:test").await.unwrap();
    let found = store.profile("id-full").await.unwrap().unwrap();
    assert_eq!(found, stamped(&full(), &found));
    assert!(found.created.time > before && found.created.by == "cli:test" && found.created == found.changed);
    assert_eq!(store.person("id-full").await.unwrap().unwrap(), full().person);
    assert_eq!(store.profile_named("ZOË").await.unwrap().unwrap(), found);
    assert_eq!(store.profiles("", 10).await.unwrap(), std::slice::from_ref(&found));
    let ids = ["id-full".to_owned(), "nobody".into(), "it's \"odd\"\\".into()];
    assert_eq!(store.profiles_of(&ids).await.unwrap(), [found]);
    assert_eq!(store.count().await.unwrap(), 1);
    assert!(store.dismiss("id-full", "cli:test").await.unwrap());
    assert_eq!(store.count().await.unwrap(), 0);
}

pub(crate) async fn changes_become_local_and_are_told(store: &dyn Roster) {
    let mut alice = profile("id-a", "alice");
    alice.quarantined = Some(at(1));
    alice.person.enabled = false;
    store.enrol(&alice, "import:people").await.unwrap();
    let found = store.profile("id-a").await.unwrap().unwrap();
    let mut wanted = found.clone();
    (wanted.person.email, wanted.person.enabled) = (Some("a@example.com".into()), true);
    wanted.person.device_token = Some("planted-token-0042".into());
    wanted.person.blocked_until = Some(at(9));
    let fields = store.change(&wanted, "cli:root").await.unwrap().unwrap();
    let told: Vec<&str> = fields.iter().map(|field| field.field()).collect();
    assert_eq!(told, ["email", "device token", "state", "quarantined", "local"]);
    let after = store.profile("id-a").await.unwrap().unwrap();
    assert_eq!(after.local.iter().collect::<Vec<_>>(), [Field::Email, Field::Enabled]);
    assert_eq!((after.quarantined, after.person.blocked_until), (None, None), "a change is no block");
    assert_eq!((after.created, after.changed.by.as_str()), (found.created, "cli:root"));
    assert_eq!(after.person.device_token, wanted.person.device_token);

    let record = store.changes(Some("id-a"), i64::MAX, 10).await.unwrap();
    let kinds: Vec<&str> = record.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["changed", "added"]);
    assert_eq!((record[0].fields.clone(), record[0].name.as_str()), (fields, "alice"));
    assert!(!format!("{record:?}").contains("planted"));
    assert_eq!(store.changes(None, record[0].id, 1).await.unwrap(), record[1..]);

    let released = Fields::default().with(Field::Email).with(Field::Phone);
    assert_eq!(store.release("id-a", released, "cli:root").await.unwrap().unwrap().len(), 1);
    assert_eq!(store.release("nobody", released, "cli:root").await.unwrap(), None);
    let after = store.profile("id-a").await.unwrap().unwrap();
    assert_eq!(after.local.iter().collect::<Vec<_>>(), [Field::Enabled]);

    // Asked for again there is nothing to change; somebody else is not there.
    let again = store.profile("id-a").await.unwrap().unwrap();
    assert_eq!(store.change(&again, "cli:root").await.unwrap(), Some(Vec::new()));
    assert_eq!(store.change(&profile("nobody", "nobody"), "cli:root").await.unwrap(), None);
    assert_eq!(store.changes(Some("id-a"), i64::MAX, 10).await.unwrap().len(), 3);

    assert!(store.set_block("id-a", Some(at(5)), "cli:root").await.unwrap());
    assert!(!store.set_block("nobody", None, "cli:root").await.unwrap());
    assert_eq!(store.person("id-a").await.unwrap().unwrap().blocked_until, Some(at(5)));
    assert_eq!(store.changes(Some("id-a"), i64::MAX, 1).await.unwrap()[0].kind, "blocked");
    store.dismiss("id-a", "cli:root").await.unwrap();
}

pub(crate) async fn aliases_lead_to_their_person_alone(store: &dyn Roster) {
    let mut alice = profile("id-a", "alice");
    alice.aliases = vec!["CORP\\Alice".into(), "ALICE@corp.example".into()];
    store.enrol(&alice, "t").await.unwrap();
    for name in ["alice", "Corp\\alice", "alice@CORP.example", "alice@example.com"] {
        assert_eq!(store.person_named(name).await.unwrap().map(|person| person.unique_id).as_deref(), Some("id-a"));
    }
    let mut bob = profile("id-b", "bob");
    bob.aliases = vec!["corp\\ALICE".into()];
    assert!(matches!(store.enrol(&bob, "t").await, Err(StoreError::Conflict(_))));
    bob.aliases.clear();
    store.enrol(&bob, "t").await.unwrap();
    bob.aliases = vec!["corp\\ALICE".into()];
    assert!(matches!(store.change(&bob, "t").await, Err(StoreError::Conflict(_))));
    let mut claims = store.claims(&["corp\\alice".into(), "bob".into(), "carol".into()]).await.unwrap();
    claims.sort();
    assert_eq!(claims, [("bob".into(), "id-b".into()), ("corp\\alice".into(), "id-a".to_owned())]);
    let alice = Profile { aliases: Vec::new(), ..store.profile("id-a").await.unwrap().unwrap() };
    store.change(&alice, "t").await.unwrap();
    store.change(&bob, "t").await.unwrap();
    assert_eq!(store.person_named("CORP\\alice").await.unwrap().unwrap().unique_id, "id-b");
    for id in ["id-a", "id-b"] {
        assert!(store.dismiss(id, "t").await.unwrap());
    }
    assert_eq!(store.claims(&["corp\\alice".into(), "bob".into()]).await.unwrap(), []);
}

fn device(number: u32) -> Device {
    Device { name: format!("phone {number}"), kind: "app".into(), token: format!("planted-token-{number:04}") }
}

pub(crate) async fn devices_keep_their_order(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert_eq!(store.devices("id-a").await.unwrap(), []);
    assert!(store.set_devices("id-a", &[device(2), device(1)], "person").await.unwrap());
    assert_eq!(store.devices("id-a").await.unwrap(), [device(2), device(1)]);
    assert_eq!(store.person("id-a").await.unwrap().unwrap().device_token, Some(device(2).token));
    let mut alice = store.profile("id-a").await.unwrap().unwrap();
    alice.person.device_token = Some("another-token-0000".into());
    store.change(&alice, "t").await.unwrap();
    let devices = store.devices("id-a").await.unwrap();
    assert_eq!((devices[0].token.as_str(), &devices[1]), ("another-token-0000", &device(1)));
    alice.person.device_token = None;
    store.change(&alice, "t").await.unwrap();
    assert_eq!(store.devices("id-a").await.unwrap(), [device(1)]);
    assert!(store.set_devices("id-a", &[], "t").await.unwrap());
    assert_eq!(store.person("id-a").await.unwrap().unwrap().device_token, None);
    assert!(!store.set_devices("nobody", &[device(1)], "t").await.unwrap());
    assert!(!format!("{:?}", store.changes(None, i64::MAX, 50).await.unwrap()).contains("planted"));
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add([0, 0, 0, 1], Secret::new(vec![7; KEY])).unwrap();
    keys
}

pub(crate) fn token(serial: &str, unique_id: Option<&str>, moving: Moving) -> Token {
    let seed = Secret::from_text("12345678901234567890".into());
    Token {
        serial: serial.into(),
        unique_id: unique_id.map(str::to_owned),
        label: None,
        seed: keys().seal_seed(serial, unique_id, &seed, [9; NONCE]).unwrap(),
        algorithm: Algorithm::Sha256,
        digits: 8,
        moving,
        drift: 0,
        last_step: None,
        last_used: None,
    }
}

pub(crate) async fn a_code_is_used_once(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    store.add_token(&token("T", Some("id-a"), Moving::Time { period: 30 }), "t").await.unwrap();
    store.add_token(&token("C", Some("id-a"), Moving::Counter { next: 5 }), "t").await.unwrap();
    let uses = |serial: &'static str, step| store.use_code("id-a", serial, step, 1);
    let together = futures_util::future::join_all((0..8).map(|_| uses("T", 100))).await;
    assert_eq!(together.into_iter().filter(|used| *used.as_ref().unwrap()).count(), 1);
    assert!(!uses("T", 99).await.unwrap(), "a step before one that was used");
    assert!(uses("T", 101).await.unwrap());
    assert!(!uses("C", 4).await.unwrap(), "a counter before the next");
    assert!(uses("C", 7).await.unwrap());
    assert!(!uses("C", 7).await.unwrap());
    for (person, serial, step) in [("id-b", "T", 200), ("id-a", "X", 200), ("id-a", "T", u64::MAX)] {
        assert!(!store.use_code(person, serial, step, 0).await.unwrap(), "{person} {serial} {step}");
    }
    let found = store.token("T").await.unwrap().unwrap();
    assert_eq!((found.last_step, found.drift, found.moving), (Some(101), 1, Moving::Time { period: 30 }));
    assert!(found.last_used.is_some());
    assert_eq!(store.token("C").await.unwrap().unwrap().moving, Moving::Counter { next: 8 });
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) async fn tokens_belong_to_people_who_exist(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let free = token("S-1", None, Moving::Time { period: 60 });
    store.add_token(&free, "t").await.unwrap();
    assert_eq!(store.token("S-1").await.unwrap().unwrap(), free);
    assert!(matches!(store.add_token(&free, "t").await, Err(StoreError::Conflict(_))), "one serial twice");
    let nobodys = token("S-2", Some("nobody"), Moving::Time { period: 60 });
    assert!(matches!(store.add_token(&nobodys, "t").await, Err(StoreError::Conflict(_))));
    assert!(!store.use_code("id-a", "S-1", 1, 0).await.unwrap(), "nobody's token is nobody's proof");
    let hers = Token { label: Some("key ring".into()), ..token("S-1", Some("id-a"), Moving::Time { period: 60 }) };
    assert!(store.set_token(&hers, "cli:root").await.unwrap());
    assert_eq!(store.tokens_of("id-a").await.unwrap(), std::slice::from_ref(&hers));
    assert!(!store.set_token(&nobodys, "t").await.unwrap());
    let to_nobody = Token { unique_id: Some("nobody".into()), ..hers.clone() };
    assert!(matches!(store.set_token(&to_nobody, "t").await, Err(StoreError::Conflict(_))));
    store.add_token(&token("S-3", None, Moving::Counter { next: 0 }), "t").await.unwrap();
    let serials: Vec<String> = store.tokens("S-1", 10).await.unwrap().into_iter().map(|token| token.serial).collect();
    assert_eq!(serials, ["S-3"]);
    assert!(store.remove_token("S-3", "t").await.unwrap());
    assert!(!store.remove_token("S-3", "t").await.unwrap());
    let kinds: Vec<String> =
        store.changes(Some("id-a"), i64::MAX, 1).await.unwrap().into_iter().map(|change| change.kind).collect();
    assert_eq!(kinds, ["token changed"]);
    store.dismiss("id-a", "t").await.unwrap();
    assert_eq!(store.token("S-1").await.unwrap(), None, "a person's token goes with them");
}

pub(crate) async fn pins_are_replaced_and_remembered(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let pin = |number: u32| Pin { hash: format!("hash {number}"), change_required: number == 1, expires: Some(at(9)) };
    assert_eq!(store.pin("id-a").await.unwrap(), None);
    for number in 1..=4 {
        assert!(store.set_pin("id-a", Some(&pin(number)), 2, "person").await.unwrap());
    }
    assert_eq!(store.pin("id-a").await.unwrap(), Some(pin(4)));
    assert_eq!(store.earlier_pins("id-a").await.unwrap(), ["hash 3", "hash 2"]);
    assert!(!store.set_pin("nobody", Some(&pin(1)), 2, "t").await.unwrap());
    assert!(!format!("{:?}", store.changes(Some("id-a"), i64::MAX, 9).await.unwrap()).contains("hash"));
    assert!(store.set_pin("id-a", None, 2, "t").await.unwrap());
    assert_eq!(store.pin("id-a").await.unwrap(), None);
    assert_eq!(store.earlier_pins("id-a").await.unwrap(), Vec::<String>::new());
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) async fn a_dismissed_person_leaves_nothing(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    store.set_devices("id-a", &[device(1)], "t").await.unwrap();
    store
        .set_pin("id-a", Some(&Pin { hash: "h".into(), change_required: false, expires: None }), 5, "t")
        .await
        .unwrap();
    store.set_block("id-a", Some(at(5)), "t").await.unwrap();
    assert!(store.dismiss("id-a", "t").await.unwrap());
    assert!(!store.dismiss("id-a", "t").await.unwrap());
    // One of the same id who comes later has nothing of the one who went.
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert_eq!(store.devices("id-a").await.unwrap(), []);
    assert_eq!(store.pin("id-a").await.unwrap(), None);
    assert_eq!(store.person("id-a").await.unwrap().unwrap().blocked_until, None);
    store.dismiss("id-a", "t").await.unwrap();
}

fn event(number: u64, name: &str, unique_id: Option<&str>, verdict: Verdict) -> Event {
    let mut random = [0; 12];
    random[..8].copy_from_slice(&number.to_be_bytes());
    Event {
        time: at(number),
        sign_in: SignInId::new(random),
        door: Door::Radius,
        client: "vpn".into(),
        application: "VPN".into(),
        name: name.into(),
        unique_id: unique_id.map(str::to_owned),
        account: None,
        source: "127.0.0.1".parse().unwrap(),
        person_address: None,
        method: None,
        provider: None,
        primary: None,
        factor: None,
        verdict,
        reason: Reason::Approved,
        rule: None,
        earlier: None,
        requests: 1,
        steps: Steps::default(),
        server: "gate-1".into(),
    }
}

pub(crate) async fn a_bypass_is_used_once_and_every_measure_is_kept(store: &dyn Roster) {
    let now = SystemTime::now();
    let minute = Duration::from_secs(60);
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let measure = |kind, reason: &str| Measure {
        time: now,
        kind,
        unique_id: Some("id-a".into()),
        name: "alice".into(),
        by: "cli:t".into(),
        reason: reason.into(),
        until: Some(now + minute),
        sign_in: None,
        used: None,
    };
    let sign_in = SignInId::new([7; 12]);
    assert!(!store.use_bypass("id-a", sign_in, now).await.unwrap(), "nobody has one");
    assert!(!store.has_bypass("id-a", now).await.unwrap());
    assert!(store.take_measure(&measure(MeasureKind::Bypass, "one"), false).await.unwrap());
    assert!(store.may_bypass("id-a") && store.has_bypass("id-a", now).await.unwrap());
    assert!(!store.use_bypass("id-b", sign_in, now).await.unwrap(), "somebody else's");
    assert!(!store.use_bypass("id-a", sign_in, now + minute).await.unwrap(), "over");
    let uses = (0..8).map(|_| store.use_bypass("id-a", sign_in, now));
    let used = futures_util::future::join_all(uses).await.into_iter().filter(|used| *used.as_ref().unwrap()).count();
    assert_eq!(used, 1);
    assert!(!store.has_bypass("id-a", now).await.unwrap());
    assert!(!store.use_bypass("id-a", sign_in, now).await.unwrap());
    assert!(!store.may_bypass("id-a"), "known without another look");
    for kind in [MeasureKind::Block, MeasureKind::Unblock, MeasureKind::Fraud, MeasureKind::Lockout] {
        assert!(store.take_measure(&measure(kind, "why"), true).await.unwrap());
        let blocked = store.person("id-a").await.unwrap().unwrap().blocked_until.is_some();
        assert_eq!(blocked, kind != MeasureKind::Unblock, "{kind}");
    }
    let period = (now - minute, now + minute);
    let all = store.measures(period, 0, 2).await.unwrap();
    let rest = store.measures(period, all[1].0, 100).await.unwrap();
    let kinds: Vec<MeasureKind> = all.iter().chain(&rest).map(|(_, measure)| measure.kind).collect();
    use MeasureKind::{Block, Bypass, Fraud, Lockout, Unblock};
    assert_eq!(kinds, [Bypass, Block, Unblock, Fraud, Lockout]);
    assert_eq!((all[0].1.used.is_some(), all[0].1.sign_in.as_deref()), (true, Some("070707070707070707070707")));
    let letters = store.letters_due(now + minute, 10).await.unwrap();
    let letter = letters.iter().find(|letter| letter.kind == anteroom::users::letters::LetterKind::Fraud).unwrap();
    assert_eq!(letter.about, "id-a");
    assert!(store.forget_letter(letter.id).await.unwrap());
    store.dismiss("id-a", "t").await.unwrap();
    store.anonymise("id-a", &["alice".into()]).await.unwrap();
    let left = store.measures(period, 0, 100).await.unwrap();
    assert!(left.iter().all(|(_, measure)| measure.unique_id.is_none() && measure.name != "alice"), "{left:?}");
}

pub(crate) async fn old_records_go_and_the_last_sign_in_stays(store: &dyn Roster) {
    // Whatever the suite has written before is gone first.
    while store.prune(SystemTime::now() + Duration::from_secs(60), 1000).await.unwrap() > 0 {}
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), None);
    let events: Vec<Event> = (0..10)
        .map(|number| event(number, "alice", Some("id-a"), if number == 7 { Verdict::Accept } else { Verdict::Reject }))
        .chain([event(5, "gone", Some("id-gone"), Verdict::Accept)])
        .collect();
    store.record(&events).await.unwrap();
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), Some(at(7)));
    assert_eq!(store.prune(at(9), 3).await.unwrap(), 3);
    assert_eq!(store.prune(at(9), 100).await.unwrap(), 7);
    assert_eq!(store.prune(at(9), 100).await.unwrap(), 0);
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), Some(at(7)));
    store.record(&[event(8, "alice", Some("id-a"), Verdict::Accept)]).await.unwrap();
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), Some(at(8)));
    assert_eq!(store.prune(at(100), 100).await.unwrap(), 2);
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), Some(at(8)));
    assert_eq!(store.last_sign_in("id-gone").await.unwrap(), None, "nobody is kept who is gone");
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) async fn an_erased_person_is_named_nowhere(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let events = [
        event(1, "ALICE", Some("id-a"), Verdict::Accept),
        event(2, "Alice", None, Verdict::Reject),
        event(3, "bob", None, Verdict::Reject),
    ];
    store.record(&events).await.unwrap();
    store.dismiss("id-a", "t").await.unwrap();
    let changed = store.anonymise("id-a", &["alice".into(), "Alice".into()]).await.unwrap();
    assert!(changed >= 3, "{changed}");
    assert_eq!(store.last_sign_in("id-a").await.unwrap(), None);
    assert_eq!(store.changes(Some("id-a"), i64::MAX, 10).await.unwrap(), []);
    assert_eq!(store.anonymise("id-a", &["alice".into(), "Alice".into()]).await.unwrap(), 0);
}
