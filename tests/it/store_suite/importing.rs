//! Imports: nothing of one is seen before its end, all of it after, and nothing of one that died.

use std::time::{Duration, SystemTime};

use anteroom::users::letters::LetterKind;
use anteroom::users::profile::{Field, Fields, Profile};
use anteroom::users::roster::{Claim, HeldPlan, Import, ImportLock, ImportRun, Roster, Staged, Step};
use anteroom::users::store::StoreError;
use tokio::sync::mpsc;

use super::people::token;
use super::{at, profile};
use anteroom::users::token::Moving;

const LEASE: Duration = Duration::from_secs(600);

async fn lock(store: &dyn Roster) -> ImportLock {
    store.lock_import("node", LEASE).await.unwrap().expect("nobody else imports")
}

async fn begin(store: &dyn Roster) -> (ImportLock, Box<dyn Import>) {
    let lock = lock(store).await;
    let import = store.begin_import(&lock, "import:people").await.unwrap();
    (lock, import)
}

/// An import of these steps, in one piece.
async fn import(store: &dyn Roster, steps: Vec<Step>) -> Result<Staged, StoreError> {
    let (lock, mut import) = begin(store).await;
    let done = match import.stage(steps).await {
        Ok(()) => import.finish(&[]).await,
        Err(error) => Err(error),
    };
    store.unlock_import(&lock).await.unwrap();
    done
}

fn imported(unique_id: &str, name: &str) -> Profile {
    Profile { item: Some("people".into()), content: 1, ..profile(unique_id, name) }
}

async fn clean(store: &dyn Roster) {
    while let Some(state) = store.states("", 1).await.unwrap().pop() {
        assert!(store.dismiss(&state.unique_id, "t").await.unwrap());
    }
}

pub(crate) async fn one_node_at_a_time_may_import(store: &dyn Roster) {
    let first = store.lock_import("one", LEASE).await.unwrap().unwrap();
    assert_eq!(store.lock_import("two", LEASE).await.unwrap(), None);
    assert_eq!(store.import_holder().await.unwrap().unwrap().0, "one");
    assert!(store.renew_import(&first, LEASE).await.unwrap());
    let mut old = store.begin_import(&first, "t").await.unwrap();
    old.stage(vec![Step::Add(imported("id-1", "one"))]).await.unwrap();
    // The first falls asleep until its lease is over; the second takes over.
    assert!(store.renew_import(&first, Duration::ZERO).await.unwrap());
    let second = store.lock_import("two", LEASE).await.unwrap().unwrap();
    assert!(!store.renew_import(&first, LEASE).await.unwrap());
    let mut new = store.begin_import(&second, "t").await.unwrap();
    let late = old.stage(vec![Step::Add(imported("id-2", "two"))]).await.unwrap_err();
    assert!(matches!(&late, StoreError::Conflict(why) if why.contains("taken over")), "{late}");
    assert!(old.finish(&[]).await.is_err());
    assert!(store.remember_import(&first, &[("k".into(), Some(vec![1]))]).await.is_err());
    new.stage(vec![Step::Add(imported("id-3", "three"))]).await.unwrap();
    assert_eq!(new.finish(&[]).await.unwrap(), Staged { added: 1, ..Staged::default() });
    let ids: Vec<String> = store.states("", 10).await.unwrap().into_iter().map(|state| state.unique_id).collect();
    assert_eq!(ids, ["id-3"]);
    store.unlock_import(&first).await.unwrap();
    assert!(store.import_holder().await.unwrap().is_some(), "only the holder gives it back");
    store.unlock_import(&second).await.unwrap();
    assert_eq!(store.import_holder().await.unwrap(), None);
    clean(store).await;
}

pub(crate) async fn nothing_counts_before_the_end(store: &dyn Roster) {
    for name in ["alice", "bob", "carol"] {
        store.enrol(&Profile { local: Fields::default(), ..imported(&format!("id-{name}"), name) }, "t").await.unwrap();
    }
    let (lock, mut import) = begin(store).await;
    let mut steps: Vec<Step> = (0..600).map(|n| Step::Add(imported(&format!("id-{n:03}"), &format!("u{n}")))).collect();
    steps.push(Step::Change(Profile { content: 2, ..imported("id-alice", "alicia") }));
    steps.push(Step::Remove("id-bob".into()));
    import.stage(steps).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 3);
    assert_eq!(store.profiles("", 10).await.unwrap().len(), 3);
    assert_eq!(store.states("", 1000).await.unwrap().len(), 3);
    assert_eq!(store.person_named("alicia").await.unwrap(), None);
    assert_eq!(store.person_named("alice").await.unwrap().unwrap().name, "alice");
    assert!(store.person("id-bob").await.unwrap().is_some() && store.person("id-000").await.unwrap().is_none());
    assert_eq!(store.claims(&["alice".into(), "alicia".into()]).await.unwrap().len(), 1);
    let told = store.changes(Some("id-alice"), i64::MAX, 10).await.unwrap().len();

    let done = import.finish(&[("cookie".into(), Some(b"c1".to_vec()))]).await.unwrap();
    assert_eq!(done, Staged { added: 600, changed: 1, removed: 1 });
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 602);
    assert_eq!(store.profile_named("alice").await.unwrap(), None);
    let alicia = store.profile_named("ALICIA").await.unwrap().unwrap();
    assert_eq!((alicia.content, alicia.changed.by.as_str()), (2, "import:people"));
    assert_eq!(store.profile("id-bob").await.unwrap(), None);
    assert_eq!(store.profile_named("bob").await.unwrap(), None);
    assert_eq!(store.import_memory("cookie").await.unwrap(), Some(b"c1".to_vec()));
    let changes = store.changes(Some("id-alice"), i64::MAX, 10).await.unwrap();
    assert_eq!((changes.len(), changes[0].by.as_str()), (told + 1, "import:people"));
    assert_eq!(store.changes(Some("id-bob"), i64::MAX, 1).await.unwrap()[0].kind, "removed");
    // A page of states goes on where the last one ended.
    let (mut after, mut seen) = (String::new(), 0);
    while let Some(last) = store.states(&after, 250).await.unwrap().pop() {
        seen += 1;
        after = last.unique_id;
    }
    assert_eq!(seen, 3);
    // In any order there are the same.
    let mut every = Vec::new();
    store.every_state(&mut |state| every.push(state)).await.unwrap();
    every.sort_by(|one, other| one.unique_id.cmp(&other.unique_id));
    assert!(every == store.states("", 1000).await.unwrap() && every.len() == 602);
    clean(store).await;
}

pub(crate) async fn local_fields_are_kept(store: &dyn Roster) {
    let mut alice = imported("id-a", "alice");
    alice.person.device_token = Some("token-0123456789".into());
    store.enrol(&alice, "t").await.unwrap();
    let mut edited = store.profile("id-a").await.unwrap().unwrap();
    edited.person.phone = Some("+12025550199".into());
    store.change(&edited, "cli:root").await.unwrap();
    store.set_block("id-a", Some(at(1)), "cli:root").await.unwrap();
    let mut wanted = Profile { content: 2, ..imported("id-a", "alice") };
    (wanted.person.phone, wanted.person.email) = (Some("+12025550100".into()), Some("a@example.com".into()));
    // An add of somebody who exists is a change.
    let done = import(store, vec![Step::Add(wanted)]).await.unwrap();
    assert_eq!(done, Staged { changed: 1, ..Staged::default() });
    let after = store.profile("id-a").await.unwrap().unwrap();
    assert_eq!(after.person.phone.as_deref(), Some("+12025550199"));
    assert_eq!(after.person.email.as_deref(), Some("a@example.com"));
    assert_eq!(after.local.iter().collect::<Vec<_>>(), [Field::Phone]);
    assert_eq!(after.person.device_token, alice.person.device_token);
    assert_eq!((after.person.blocked_until, after.created.by.as_str()), (Some(at(1)), "t"));
    // The same again is no change.
    let again = Profile { local: Fields::default(), ..after };
    assert_eq!(import(store, vec![Step::Change(again)]).await.unwrap(), Staged::default());
    clean(store).await;
}

pub(crate) async fn names_move_in_a_ring(store: &dyn Roster) {
    for name in ["a", "b", "c"] {
        store.enrol(&imported(&format!("id-{name}"), name), "t").await.unwrap();
    }
    let (lock, mut staging) = begin(store).await;
    // Each gets the next one's name, the last a person's who goes; and each step is a transaction of its own.
    staging.stage(vec![Step::Change(imported("id-a", "b"))]).await.unwrap();
    staging.stage(vec![Step::Change(imported("id-b", "c"))]).await.unwrap();
    staging.stage(vec![Step::Add(imported("id-d", "a"))]).await.unwrap();
    staging.stage(vec![Step::Remove("id-c".into())]).await.unwrap();
    let done = staging.finish(&[]).await.unwrap();
    assert_eq!(done, Staged { added: 1, changed: 2, removed: 1 });
    store.unlock_import(&lock).await.unwrap();
    for (name, id) in [("a", "id-d"), ("b", "id-a"), ("c", "id-b")] {
        assert_eq!(store.person_named(name).await.unwrap().unwrap().unique_id, id);
        assert_eq!(store.person_named(&format!("{name}@example.com")).await.unwrap().unwrap().unique_id, id);
    }
    clean(store).await;
}

pub(crate) async fn two_claims_of_one_name_are_a_conflict(store: &dyn Roster) {
    store.enrol(&imported("id-a", "alice"), "t").await.unwrap();
    let error = import(store, vec![Step::Add(imported("id-b", "ALICE"))]).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Conflict(_)), "{text}");
    assert!(text.contains("\"alice\"") && text.contains("id-a") && text.contains("id-b"), "{text}");
    let twice = vec![Step::Add(imported("id-c", "carol")), Step::Add(imported("id-d", "Carol"))];
    assert!(matches!(import(store, twice).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.count().await.unwrap(), 1);
    // While an import claims a name nobody else gets it.
    let (lock, mut staging) = begin(store).await;
    staging.stage(vec![Step::Add(imported("id-e", "erin"))]).await.unwrap();
    assert!(matches!(store.enrol(&profile("id-f", "erin"), "t").await, Err(StoreError::Conflict(_))));
    staging.abandon().await.unwrap();
    store.unlock_import(&lock).await.unwrap();
    store.enrol(&profile("id-f", "erin"), "t").await.unwrap();
    clean(store).await;
}

/// The person without their names, and their names.
fn in_parts(profile: Profile) -> (Step, Vec<Step>) {
    let unique_id = profile.person.unique_id.clone();
    let claim = |(folded, kind)| Step::Claim(Claim { folded, kind, unique_id: unique_id.clone() });
    let claims = profile.names().into_iter().map(claim).collect();
    (Step::Bare(profile), claims)
}

pub(crate) async fn people_may_come_before_their_names(store: &dyn Roster) {
    // Enrolled by hand, with a login name of their own that the import leaves alone.
    store.enrol(&imported("id-b", "bob"), "t").await.unwrap();
    let mut edited = store.profile("id-b").await.unwrap().unwrap();
    edited.person.name = "robert".into();
    store.change(&edited, "cli:root").await.unwrap();
    let parts: Vec<_> = [imported("id-a", "alice"), imported("id-b", "bob"), imported("id-c", "carol")]
        .into_iter()
        .map(in_parts)
        .collect();
    let (people, claims): (Vec<Step>, Vec<Vec<Step>>) = parts.into_iter().unzip();
    let (lock, mut staging) = begin(store).await;
    staging.stage(people).await.unwrap();
    staging.stage(claims.into_iter().flatten().collect()).await.unwrap();
    assert_eq!(store.person_named("alice").await.unwrap(), None);
    // Whoever is only about to come is nobody's to change or remove, and their names are taken.
    assert_eq!(store.change(&imported("id-a", "another"), "t").await.unwrap(), None);
    assert!(!store.dismiss("id-a", "t").await.unwrap());
    assert!(matches!(store.enrol(&profile("id-z", "carol"), "t").await, Err(StoreError::Conflict(_))));
    let done = staging.finish(&[]).await.unwrap();
    assert_eq!((done.added, done.removed), (2, 0));
    store.unlock_import(&lock).await.unwrap();
    for (name, id) in [("alice", "id-a"), ("Alice@Example.com", "id-a"), ("robert", "id-b"), ("carol", "id-c")] {
        assert_eq!(store.person_named(name).await.unwrap().unwrap().unique_id, id, "{name}");
    }
    assert_eq!(store.person_named("bob").await.unwrap(), None, "a name that is not theirs");
    assert_eq!(store.changes(Some("id-a"), i64::MAX, 9).await.unwrap()[0].kind, "added");
    // A name that somebody got in between is a conflict, and nothing counts.
    let (lock, mut staging) = begin(store).await;
    let (person, claims) = in_parts(imported("id-d", "dora"));
    staging.stage(vec![person]).await.unwrap();
    store.enrol(&profile("id-x", "dora"), "t").await.unwrap();
    staging.stage(claims).await.unwrap();
    let error = staging.finish(&[]).await.unwrap_err().to_string();
    assert!(error.contains("\"dora\"") && error.contains("id-d") && error.contains("id-x"), "{error}");
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(store.profile("id-d").await.unwrap(), None);
    clean(store).await;
}

/// Brings people and names at the same time, a handful at once.
async fn together(staging: &mut dyn Import, parts: Vec<(Step, Vec<Step>)>) -> Result<(), StoreError> {
    let (people, names): (Vec<Step>, Vec<Vec<Step>>) = parts.into_iter().unzip();
    let (people_sink, all_people) = mpsc::channel(1);
    let (names_sink, all_names) = mpsc::channel(1);
    let flow = |steps: Vec<Step>, sink: mpsc::Sender<Vec<Step>>| async move {
        for handful in steps.chunks(150) {
            if sink.send(handful.to_vec()).await.is_err() {
                return;
            }
        }
    };
    let names = names.into_iter().flatten().collect();
    tokio::join!(staging.stage_newcomers(all_people, all_names), flow(people, people_sink), flow(names, names_sink)).0
}

pub(crate) async fn newcomers_come_together_with_their_names(store: &dyn Roster) {
    // Enrolled while the directory was read: one as the directory has them, one with a name of their own.
    store.enrol(&imported("id-010", "u010"), "t").await.unwrap();
    store.enrol(&imported("id-020", "robert"), "t").await.unwrap();
    let mut edited = store.profile("id-020").await.unwrap().unwrap();
    edited.person.name = "bobby".into();
    store.change(&edited, "cli:root").await.unwrap();
    let newcomers = |range: std::ops::Range<u32>| {
        range.map(|n| in_parts(imported(&format!("id-{n:03}"), &format!("u{n:03}")))).collect::<Vec<_>>()
    };
    let (lock, mut staging) = begin(store).await;
    let mut parts = newcomers(0..400);
    // One of them comes twice, and one is written to.
    parts.push(in_parts(imported("id-030", "u030")));
    parts.last_mut().unwrap().1.push(Step::Write("id-030".into(), LetterKind::New));
    together(staging.as_mut(), parts).await.unwrap();
    assert_eq!((store.count().await.unwrap(), store.letters_waiting().await.unwrap()), (2, 0));
    assert_eq!(store.person_named("u000").await.unwrap(), None);
    assert!(matches!(store.enrol(&profile("id-z", "u399"), "t").await, Err(StoreError::Conflict(_))));
    let done = staging.finish(&[]).await.unwrap();
    assert_eq!((done.added, done.removed), (398, 0));
    store.unlock_import(&lock).await.unwrap();
    assert_eq!((store.count().await.unwrap(), store.letters_waiting().await.unwrap()), (400, 1));
    for (name, id) in [("u000", "id-000"), ("U399@example.com", "id-399"), ("u010", "id-010"), ("bobby", "id-020")] {
        assert_eq!(store.person_named(name).await.unwrap().unwrap().unique_id, id, "{name}");
    }
    assert_eq!(store.person_named("u020").await.unwrap(), None, "a name that is not theirs");
    let told = store.changes(Some("id-399"), i64::MAX, 1).await.unwrap();
    assert_eq!((told[0].kind.as_str(), told[0].by.as_str()), ("added", "import:people"));
    let told = store.changes(Some("id-030"), i64::MAX, 9).await.unwrap();
    let came = told.iter().filter(|change| change.name == "u030").count();
    assert_eq!(came, 1, "who comes twice is told once: {told:?}");
    let letter = store.letters_due(SystemTime::now() + LEASE, 9).await.unwrap().pop().unwrap();
    assert!(store.forget_letter(letter.id).await.unwrap());

    // A name that somebody else has is a conflict that is named, among many that are not; and nothing counts.
    let (lock, mut staging) = begin(store).await;
    let mut parts = newcomers(400..600);
    parts.push(in_parts(imported("id-700", "bobby")));
    together(staging.as_mut(), parts).await.unwrap();
    let error = staging.finish(&[]).await.unwrap_err().to_string();
    assert!(error.contains("\"bobby\"") && error.contains("id-700") && error.contains("id-020"), "{error}");
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 400);

    // Whoever has lost the right to import cannot go on on this way either, and leaves nothing.
    let old = store.lock_import("old", LEASE).await.unwrap().unwrap();
    let mut late = store.begin_import(&old, "t").await.unwrap();
    together(late.as_mut(), newcomers(600..700)).await.unwrap();
    assert!(store.renew_import(&old, Duration::ZERO).await.unwrap());
    let new = store.lock_import("new", LEASE).await.unwrap().unwrap();
    let next = store.begin_import(&new, "t").await.unwrap();
    let error = together(late.as_mut(), newcomers(700..800)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("taken over")), "{error}");
    assert!(late.finish(&[]).await.is_err());
    assert_eq!(next.finish(&[]).await.unwrap(), Staged::default());
    store.unlock_import(&new).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 400);
    assert_eq!(store.claims(&["u450".into(), "u650".into(), "u750".into()]).await.unwrap(), []);
    store.enrol(&profile("id-y", "u650"), "t").await.unwrap();
    clean(store).await;
}

pub(crate) async fn many_change_together_and_those_with_other_names_one_by_one(store: &dyn Roster) {
    let came = (0..150).map(|n| Step::Add(imported(&format!("many-{n:03}"), &format!("u{n:03}")))).collect();
    import(store, came).await.unwrap();
    let mut edited = store.profile("many-007").await.unwrap().unwrap();
    edited.person.email = Some("own@example.com".into());
    store.change(&edited, "cli:root").await.unwrap();
    let wanted = |n: u32, name: String| {
        let mut profile = Profile { content: 2, ..imported(&format!("many-{n:03}"), &name) };
        profile.person.email = Some(format!("{n}@example.com"));
        profile
    };
    // Two exchange their names, one comes twice, one is as they were, one was never there.
    let mut steps: Vec<Step> = (0..150)
        .map(|n| match n {
            1 => wanted(1, "u002".into()),
            2 => wanted(2, "u001".into()),
            5 => imported("many-005", "u005"),
            n => wanted(n, format!("u{n:03}")),
        })
        .map(Step::Change)
        .collect();
    let mut again = wanted(9, "u009".into());
    again.description = Some("twice".into());
    steps.push(Step::Change(again));
    steps.push(Step::Change(wanted(400, "u400".into())));
    let (lock, mut staging) = begin(store).await;
    staging.stage(steps).await.unwrap();
    assert_eq!(store.person_named("u003").await.unwrap().unwrap().email, None, "it counts before its end");
    let done = staging.finish(&[]).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed), (1, 149, 0));
    store.unlock_import(&lock).await.unwrap();
    let email = |name: &'static str| async move {
        let person = store.person_named(name).await.unwrap().unwrap();
        (person.unique_id, person.email)
    };
    let expected = [
        ("u003", "many-003", "3@example.com"),
        ("u001", "many-002", "2@example.com"),
        ("u002", "many-001", "1@example.com"),
    ];
    for (name, id, mail) in expected.into_iter().chain([("u007", "many-007", "own@example.com")]) {
        assert_eq!(email(name).await, (id.into(), Some(mail.into())), "{name}");
    }
    assert_eq!(email("u005").await, ("many-005".into(), None));
    assert_eq!(store.profile("many-009").await.unwrap().unwrap().description.as_deref(), Some("twice"));
    let told = store.changes(Some("many-003"), i64::MAX, 9).await.unwrap();
    let kinds: Vec<&str> = told.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["changed", "added"]);
    assert_eq!((told[0].fields[0].field(), told[0].fields[0].after()), ("email", Some("3@example.com")));
    assert_eq!(store.changes(Some("many-005"), i64::MAX, 9).await.unwrap().len(), 1, "nothing of them has changed");
    clean(store).await;
}

pub(crate) async fn an_abandoned_import_leaves_nothing(store: &dyn Roster) {
    for name in ["alice", "bob"] {
        store.enrol(&imported(&format!("id-{name}"), name), "t").await.unwrap();
    }
    let before = store.profiles("", 10).await.unwrap();
    let steps = || {
        let mut steps: Vec<Step> =
            (0..700).map(|n| Step::Add(imported(&format!("id-{n:03}"), &format!("u{n}")))).collect();
        steps.push(Step::Change(Profile { content: 2, ..imported("id-alice", "alicia") }));
        steps.push(Step::Remove("id-bob".into()));
        steps
    };
    let (lock, mut import) = begin(store).await;
    import.stage(steps()).await.unwrap();
    import.abandon().await.unwrap();
    assert_eq!(store.profiles("", 10).await.unwrap(), before);
    // One that dies says nothing: the next begins by removing what it has left.
    let mut dead = store.begin_import(&lock, "t").await.unwrap();
    dead.stage(steps()).await.unwrap();
    drop(dead);
    let mut next = store.begin_import(&lock, "t").await.unwrap();
    assert_eq!(store.profiles("", 10).await.unwrap(), before);
    next.stage(vec![Step::Add(imported("id-000", "u0"))]).await.unwrap();
    assert_eq!(next.finish(&[]).await.unwrap(), Staged { added: 1, ..Staged::default() });
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 3);
    assert_eq!(store.profile("id-alice").await.unwrap().as_ref(), before.first());
    assert!(store.person_named("bob").await.unwrap().is_some());
    assert_eq!(store.changes(Some("id-bob"), i64::MAX, 1).await.unwrap()[0].kind, "added");
    clean(store).await;
}

pub(crate) async fn changes_meanwhile_are_kept(store: &dyn Roster) {
    for name in ["alice", "bob"] {
        store.enrol(&imported(&format!("id-{name}"), name), "t").await.unwrap();
    }
    let (lock, mut import) = begin(store).await;
    let mut wanted = Profile { content: 2, ..imported("id-alice", "alicia") };
    wanted.person.email = Some("new@example.com".into());
    import.stage(vec![Step::Change(wanted), Step::Remove("id-bob".into())]).await.unwrap();
    // An administrator disables her, a fraud report blocks her, she enrols a phone: all while the import runs.
    let mut alice = store.profile("id-alice").await.unwrap().unwrap();
    alice.person.enabled = false;
    alice.aliases = vec!["CORP\\alice".into()];
    store.change(&alice, "cli:root").await.unwrap();
    store.set_block("id-alice", Some(at(3)), "server").await.unwrap();
    alice.person.device_token = Some("token-0123456789".into());
    store.change(&alice, "person").await.unwrap();
    assert!(!store.person("id-alice").await.unwrap().unwrap().enabled);
    assert_eq!(store.person_named("alice").await.unwrap().unwrap().unique_id, "id-alice");
    let bob = store.profile("id-bob").await.unwrap().unwrap();
    store.change(&Profile { description: Some("leaves".into()), ..bob }, "t").await.unwrap();
    import.finish(&[]).await.unwrap();
    store.unlock_import(&lock).await.unwrap();
    let after = store.profile("id-alice").await.unwrap().unwrap();
    assert_eq!((after.person.name.as_str(), after.person.email.as_deref()), ("alicia", Some("new@example.com")));
    assert!(!after.person.enabled && after.local.contains(Field::Enabled));
    assert_eq!((after.person.blocked_until, after.person.device_token.is_some()), (Some(at(3)), true));
    assert_eq!(store.person_named("corp\\ALICE").await.unwrap().unwrap().name, "alicia");
    assert_eq!(store.person_named("alice").await.unwrap(), None);
    assert_eq!(store.profile("id-bob").await.unwrap(), None);
    assert_eq!(store.person_named("bob").await.unwrap(), None);
    clean(store).await;
}

pub(crate) async fn a_removed_person_leaves_with_everything(store: &dyn Roster) {
    store.enrol(&imported("id-a", "alice"), "t").await.unwrap();
    store.add_token(&token("S-9", Some("id-a"), Moving::Time { period: 30 }), "t").await.unwrap();
    store.set_block("id-a", Some(at(1)), "t").await.unwrap();
    let mut gone = store.profile("id-a").await.unwrap().unwrap();
    (gone.quarantined, gone.person.enabled) = (Some(at(5)), false);
    import(store, vec![Step::Change(gone)]).await.unwrap();
    assert!(!store.person("id-a").await.unwrap().unwrap().enabled);
    assert_eq!(store.quarantined(at(5), 10).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.quarantined(at(6), 10).await.unwrap(), ["id-a"]);
    assert_eq!(import(store, vec![Step::Remove("id-a".into())]).await.unwrap().removed, 1);
    assert_eq!(store.token("S-9").await.unwrap(), None);
    let told = store.changes(Some("id-a"), i64::MAX, 9).await.unwrap();
    let kinds: Vec<&str> = told.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&"removed"), Some(&"added")),
        "the day on which they came is known"
    );
    assert_eq!(import(store, vec![Step::Remove("id-a".into())]).await.unwrap(), Staged::default());
    import(store, vec![Step::Add(imported("id-a", "alice"))]).await.unwrap();
    assert_eq!(store.person("id-a").await.unwrap().unwrap().blocked_until, None);
    clean(store).await;
}

pub(crate) async fn tokens_and_letters_of_an_import_come_with_it(store: &dyn Roster) {
    store.enrol(&imported("id-a", "alice"), "t").await.unwrap();
    let time = Moving::Time { period: 30 };
    let steps = |owner: Option<&str>| -> Vec<Step> {
        let serials = (0..300).map(|number| format!("S{number:03}"));
        let tokens = serials.map(|serial| Step::Token(Box::new(token(&serial, owner, time))));
        tokens.chain([Step::Write("id-a".into(), LetterKind::New)]).collect()
    };
    let nothing = async || {
        assert_eq!(store.tokens("", 1000).await.unwrap(), []);
        assert_eq!(store.token("S007").await.unwrap(), None);
        assert!(store.tokens_of("id-a").await.unwrap().is_empty());
        assert!(!store.use_code("id-a", "S007", 1, 0).await.unwrap(), "a token that is not there yet");
        assert!(store.letters_due(at(u64::from(u32::MAX)), 10).await.unwrap().is_empty());
    };
    let (lock, mut import) = begin(store).await;
    import.stage(steps(Some("id-a"))).await.unwrap();
    nothing().await;
    let twice = store.add_token(&token("S007", None, time), "t").await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "its serial number is taken already");
    import.abandon().await.unwrap();
    nothing().await;
    // One that dies is cleared by the next; that one counts.
    let mut dead = store.begin_import(&lock, "t").await.unwrap();
    dead.stage(steps(Some("id-a"))).await.unwrap();
    drop(dead);
    let mut import = store.begin_import(&lock, "cli:root").await.unwrap();
    nothing().await;
    import.stage(steps(Some("id-a"))).await.unwrap();
    import.finish(&[]).await.unwrap();
    assert_eq!(store.tokens("", 1000).await.unwrap().len(), 300);
    assert!(store.use_code("id-a", "S007", 1, 0).await.unwrap());
    assert!(!store.use_code("id-a", "S007", 1, 0).await.unwrap(), "a used code stays used");
    let told = store.changes(Some("id-a"), i64::MAX, 1).await.unwrap().remove(0);
    assert_eq!((told.kind.as_str(), told.by.as_str()), ("token added", "cli:root"));
    let letter = store.letters_due(at(u64::from(u32::MAX)), 10).await.unwrap().remove(0);
    assert_eq!((letter.about.as_str(), letter.kind), ("id-a", LetterKind::New));
    assert!(store.forget_letter(letter.id).await.unwrap() && !store.forget_letter(letter.id).await.unwrap());
    // A serial number that is known, and an owner who is not: none of the others comes either.
    for (serial, owner) in [("S007", Some("id-a")), ("NEW", Some("id-nobody"))] {
        let mut import = store.begin_import(&lock, "t").await.unwrap();
        let steps =
            vec![Step::Token(Box::new(token("FIRST", None, time))), Step::Token(Box::new(token(serial, owner, time)))];
        let error = import.stage(steps).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
        import.abandon().await.unwrap();
        assert_eq!(store.token("FIRST").await.unwrap(), None);
    }
    store.unlock_import(&lock).await.unwrap();
    clean(store).await;
    assert!(store.tokens("", 10).await.unwrap().is_empty());
}

pub(crate) async fn memory_runs_and_plans_are_kept(store: &dyn Roster) {
    let lock = lock(store).await;
    store.remember_import(&lock, &[("a".into(), Some(vec![0, 255])), ("cookie".into(), None)]).await.unwrap();
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(store.import_memory("a").await.unwrap(), Some(vec![0, 255]));
    assert_eq!(store.import_memory("cookie").await.unwrap(), None);
    let run = |number: u64| ImportRun {
        began: at(number),
        ended: at(number + 1),
        node: "node".into(),
        item: "people".into(),
        result: "done".into(),
        summary: "{}".into(),
    };
    for number in 0..3 {
        store.record_import_run(&run(number)).await.unwrap();
    }
    assert_eq!(store.import_runs(2).await.unwrap(), [run(2), run(1)]);
    let plan = |made: u64| HeldPlan {
        id: "p-1".into(),
        made: at(made),
        item: "people".into(),
        reason: "12 would be disabled".into(),
        summary: "{}".into(),
        approved: None,
    };
    store.hold_plan(&plan(1)).await.unwrap();
    assert!(store.approve_plan("p-1", "cli:root").await.unwrap());
    assert!(!store.approve_plan("p-2", "cli:root").await.unwrap());
    assert_eq!(store.held_plans().await.unwrap()[0].approved.as_ref().unwrap().1, "cli:root");
    store.hold_plan(&plan(2)).await.unwrap();
    assert_eq!(store.held_plans().await.unwrap(), [plan(2)], "a new plan is not the one that was approved");
    assert!(store.drop_plan("p-1").await.unwrap());
    assert!(!store.drop_plan("p-1").await.unwrap());
}
