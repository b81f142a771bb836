//! Imports from a directory: a second pass has nothing to do, what goes wrong changes nothing, and nobody is
//! disabled in numbers without being asked about.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anteroom::config::import::MailRule;
use anteroom::import::mark::{Pass, Why};
use anteroom::import::pass::{Ask, Event, ImportError, Importer, Outcome, Place};
use anteroom::import::plan::Decision;
use anteroom::import::progress::Progress;
use anteroom::primary::directory::Directory;
use anteroom::users::profile::{Field, Profile};
use anteroom::users::roster::Roster;
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::store::{Store, StoreError};

use crate::support::people_directory::{PeopleDirectory, Somebody, Wrong};

/// What a test needs: a directory with people, and a store in a folder.
struct World {
    directory: PeopleDirectory,
    importer: Importer,
    store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

/// The configuration of one item, in the words of the file.
pub(crate) fn configuration(port: u16, import: &str, item: &str) -> String {
    format!(
        r#"
[server]
name = "node"
store = "store.db"
[radius]
[[radius.client]]
name = "vpn"
address = "192.0.2.1"
secret = "0123456789abcdef"
target = "corp"
provider = "cloud"
[target.corp]
type = "ldap"
servers = "ldap://127.0.0.1:{port}"
plaintext = true
base = "dc=fake"
bind_name = "cn=service"
bind_password = "service-password"
[provider.cloud]
type = "native"
url = "https://cloud.example"
key_id = "k"
key = "0123456789abcdef0123456789abcdef"
[import]
page = 10
patience = "3s"
region = "US"
{import}
[[import.item]]
name = "staff"
ou = "ou=people,dc=fake"
{item}
"#
    )
}

/// An importer for a configuration, and its store in `folder`.
pub(crate) async fn ready(text: &str, folder: &std::path::Path) -> (Importer, Arc<SqliteStore>) {
    let config = anteroom::config::load_text(text, &folder.join("anteroom.toml"));
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let store = Arc::new(SqliteStore::open(folder.join("store.db"), true).await.unwrap());
    let places = config.targets.iter().map(|(name, target)| {
        let directory = Arc::new(Directory::new(target).unwrap());
        (name.clone(), Place { directory, base: target.base.clone(), domains: target.domains.clone() })
    });
    let importer = Importer {
        import: Arc::new(config.import.clone()),
        places: places.collect(),
        roster: store.clone(),
        node: "node".into(),
        lease: anteroom::import::pass::LEASE,
        mails: config.mail.is_some(),
    };
    (importer, store)
}

async fn world(people: Vec<Somebody>, import: &str, item: &str) -> World {
    let directory = PeopleDirectory::start(people).await;
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(directory.fake.address.port(), import, item);
    let (importer, store) = ready(&text, folder.path()).await;
    World { directory, importer, store, folder }
}

impl World {
    async fn run(&self, ask: &Ask) -> Result<Outcome, ImportError> {
        self.importer.run(ask, &Progress::default(), &mut |_| ()).await
    }

    async fn full(&self) -> Result<Outcome, ImportError> {
        self.run(&Ask { full: true, ..Ask::default() }).await
    }

    async fn everybody(&self) -> Vec<Profile> {
        let mut all = self.store.profiles("", 10_000).await.unwrap();
        all.sort_by(|a, b| a.person.unique_id.cmp(&b.person.unique_id));
        all
    }

    async fn enabled(&self) -> BTreeSet<String> {
        self.everybody().await.into_iter().filter(|one| one.person.enabled).map(|one| one.person.name).collect()
    }
}

fn crowd(names: std::ops::Range<u32>) -> Vec<Somebody> {
    names
        .map(|n| Somebody {
            mail: Some(format!("u{n}@corp.example")),
            mobile: Some(format!("202-555-01{:02} x{n}", n % 100)),
            ..Somebody::new(&format!("u{n:03}"))
        })
        .collect()
}

#[tokio::test]
async fn people_come_in_pages_and_a_second_pass_has_nothing_to_do() {
    let world = world(crowd(0..35), "", "").await;
    let first = world.full().await.unwrap();
    assert_eq!((first.counts.read, first.counts.added), (35, 35));
    assert_eq!(world.directory.pages.load(std::sync::atomic::Ordering::SeqCst), 4, "35 people in pages of 10");
    let all = world.everybody().await;
    assert_eq!(all.len(), 35);
    assert_eq!(all[7].person.phone.as_deref(), Some("+12025550107"));
    assert_eq!(all[7].person.phone_extension.as_deref(), Some("7"));
    assert_eq!((all[7].item.as_deref(), all[7].created.by.as_str()), (Some("staff"), "import:all"));
    let told = world.store.changes(Some("id-u007"), i64::MAX, 10).await.unwrap();
    assert_eq!((told.len(), told[0].kind.as_str(), told[0].by.as_str()), (1, "added", "import:all"));
    let phone = told[0].fields.iter().find(|field| field.field() == "phone").unwrap();
    assert_eq!((phone.before(), phone.after()), (None, Some("+12025550107")));
    assert!(first.longest_hold > Duration::ZERO);
    let second = world.full().await.unwrap();
    assert!(second.counts.is_empty(), "{:?}", second.counts);
    assert_eq!(second.counts.unchanged, 35);
    assert_eq!(world.everybody().await, all, "nobody was touched");
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_changes_nothing() {
    let world = world(crowd(0..12), "", "").await;
    world.full().await.unwrap();
    let before = world.everybody().await;
    let mut people = crowd(1..13);
    people[3].mail = Some("new@corp.example".into());
    world.directory.set(people);
    let mut told = Vec::new();
    let ask = Ask { full: true, dry_run: true, ..Ask::default() };
    let outcome = world
        .importer
        .run(&ask, &Progress::default(), &mut |event| {
            if let Event::Decided(decision) = event {
                told.push(match decision {
                    Decision::Add(profile) => format!("add {}", profile.person.name),
                    Decision::Change(change) => {
                        let fields: Vec<_> = change.fields.iter().map(Field::word).collect();
                        format!("change {} {}", change.before.person.name, fields.join(","))
                    }
                    other => format!("{other:?}"),
                });
            }
        })
        .await
        .unwrap();
    told.sort();
    assert_eq!(told, ["add u012", "change u000 enabled", "change u004 email"]);
    assert_eq!((outcome.counts.added, outcome.counts.changed, outcome.counts.disabled), (1, 1, 1));
    assert_eq!(world.everybody().await, before);
    assert!(world.store.import_runs(10).await.unwrap().len() == 1, "a look is no run");
}

#[tokio::test]
async fn what_goes_wrong_in_the_middle_changes_nothing_and_is_told() {
    let world = world(crowd(0..35), "", "").await;
    world.full().await.unwrap();
    let before = world.everybody().await;
    // everybody has changed, and five people are gone: whatever is half done would show
    let mut people = crowd(0..30);
    people.iter_mut().for_each(|one| one.mail = Some(format!("{}@new.example", one.uid)));
    world.directory.set(people);
    for (wrong, says) in [
        (Wrong::LostIn(0), "lost while it was read"),
        (Wrong::LostIn(2), "lost while it was read"),
        (Wrong::Refused(1, 53), "53 unwillingToPerform"),
        (Wrong::Refused(2, 3), "time limit"),
        (Wrong::Refused(2, 4), "size limit"),
        (Wrong::Refused(0, 11), "size limit"),
        (Wrong::Refused(0, 32), "has no \"ou=people,dc=fake\""),
        (Wrong::Refused(1, 50), "50 insufficientAccessRights"),
        (Wrong::Nobody, "never taken as \"all gone\""),
        (Wrong::Garbage(1), "malformed"),
    ] {
        world.directory.go(wrong);
        let error = world.full().await.unwrap_err().to_string();
        assert!(error.contains(says), "{wrong:?}: {error}");
        assert_eq!(world.everybody().await, before, "{wrong:?}");
        let run = world.store.import_runs(1).await.unwrap().remove(0);
        assert_eq!(run.result, "failed", "{wrong:?}");
        assert!(world.store.import_holder().await.unwrap().is_none(), "{wrong:?}: the right is given back");
    }
    world.directory.go(Wrong::Nothing);
    let outcome = world.full().await.unwrap();
    assert_eq!((outcome.counts.changed, outcome.counts.disabled), (30, 5));
}

#[tokio::test]
async fn too_many_leavers_wait_for_an_approval_of_exactly_them() {
    let world = world(crowd(0..30), "stop_above = 5", "leavers = \"remove\"").await;
    world.full().await.unwrap();
    world.directory.set(crowd(6..31));
    let held = world.full().await.unwrap();
    let (reason, plan) = held.held.unwrap();
    assert!(reason.contains("6 people") && plan == "all", "{reason}");
    assert_eq!(world.enabled().await.len(), 30);
    assert_eq!(world.everybody().await.len(), 30, "nothing at all is done while it waits");
    // The same again is the same plan: an approval that comes in between counts.
    assert!(world.store.approve_plan("all", "cli:root").await.unwrap());
    world.directory.set(crowd(7..31));
    let other = world.full().await.unwrap();
    assert!(other.held.is_some(), "somebody more has left since the approval");
    assert!(world.store.approve_plan("all", "cli:root").await.unwrap());
    let done = world.full().await.unwrap();
    assert_eq!((done.held, done.counts.quarantined, done.counts.added), (None, 7, 1));
    assert_eq!(world.enabled().await.len(), 24);
    let gone = world.store.profile_named("u003").await.unwrap().unwrap();
    assert!(gone.quarantined.is_some() && !gone.person.enabled);
    assert!(world.store.held_plans().await.unwrap().is_empty(), "an approval is good for once");
    assert_eq!(world.full().await.unwrap().counts.quarantined, 0);
}

#[tokio::test]
async fn who_comes_back_is_enabled_again_and_who_does_not_is_erased_after_the_quarantine() {
    let world = world(crowd(0..4), "quarantine = \"0s\"", "leavers = \"remove\"").await;
    world.full().await.unwrap();
    world.directory.set(crowd(2..4));
    let gone = world.full().await.unwrap();
    assert_eq!((gone.counts.quarantined, gone.counts.erased), (2, 0));
    world.directory.set(crowd(1..4));
    let back = world.full().await.unwrap();
    assert_eq!((back.counts.changed, back.counts.erased), (1, 1));
    let names: Vec<_> = world.everybody().await.into_iter().map(|one| (one.person.name, one.person.enabled)).collect();
    assert_eq!(names, [("u001".into(), true), ("u002".into(), true), ("u003".into(), true)]);
}

#[tokio::test]
async fn a_taken_name_is_told_and_nobody_is_overwritten() {
    let mut people = crowd(0..3);
    people.push(Somebody { uid: "U001".into(), ..Somebody::new("other") });
    let world = world(people, "", "").await;
    let outcome = world.full().await.unwrap();
    assert_eq!((outcome.counts.added, outcome.counts.conflicts), (3, 1));
    assert!(outcome.conflicts[0].to_string().contains("the name u001"), "{}", outcome.conflicts[0]);
    let again = world.full().await.unwrap();
    assert!(again.counts.is_empty());
    assert_eq!(again.conflicts[0].holder.as_deref(), Some("id-u001"));
    // Two people exchange their names: both get them.
    let mut people = crowd(0..3);
    (people[0].uid, people[1].uid) = (people[1].uid.clone(), people[0].uid.clone());
    world.directory.set(people);
    let swapped = world.full().await.unwrap();
    assert_eq!((swapped.counts.changed, swapped.counts.conflicts), (2, 0), "{swapped:?}");
    assert_eq!(world.store.person("id-u000").await.unwrap().unwrap().name, "u001");
    // An account that was deleted and made anew takes the old name as the old one leaves.
    let mut people = crowd(0..3);
    people[2].id = "id-anew".into();
    (people[0].uid, people[1].uid) = (people[1].uid.clone(), people[0].uid.clone());
    world.directory.set(people);
    let settled = world.full().await.unwrap();
    assert_eq!((settled.counts.added, settled.counts.conflicts), (1, 0), "{settled:?}");
    assert_eq!(world.store.person_named("u002").await.unwrap().unwrap().unique_id, "id-anew");
    assert!(world.full().await.unwrap().counts.is_empty());
}

#[tokio::test]
async fn what_was_changed_here_is_kept_but_never_lets_a_leaver_in() {
    let world = world(crowd(0..3), "", "").await;
    world.full().await.unwrap();
    let mut edited = world.store.profile("id-u001").await.unwrap().unwrap();
    edited.person.phone = Some("+41446681800".into());
    edited.person.enabled = false;
    world.store.change(&edited, "cli:root").await.unwrap();
    edited.person.enabled = true;
    world.store.change(&edited, "cli:root").await.unwrap();
    let mut people = crowd(0..3);
    people[1].mobile = Some("202-555-0199".into());
    people[1].mail = Some("new@corp.example".into());
    world.directory.set(people);
    world.full().await.unwrap();
    let after = world.store.profile("id-u001").await.unwrap().unwrap();
    assert_eq!(after.person.phone.as_deref(), Some("+41446681800"));
    assert_eq!(after.person.email.as_deref(), Some("new@corp.example"));
    assert!(after.person.enabled);
    let mut people = crowd(0..3);
    people.remove(1);
    world.directory.set(people);
    world.full().await.unwrap();
    assert!(!world.store.profile("id-u001").await.unwrap().unwrap().person.enabled);
}

#[tokio::test]
async fn a_locked_store_is_told_and_nothing_is_lost() {
    let world = world(crowd(0..5), "", "").await;
    world.full().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.folder.path().join("store.db"));
    let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    world.directory.set(crowd(0..6));
    let error = world.full().await.unwrap_err();
    assert!(matches!(error, ImportError::Store(StoreError::Unavailable(_))), "{error}");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(world.full().await.unwrap().counts.added, 1);
}

#[tokio::test]
async fn two_imports_do_not_run_together() {
    let world = world(crowd(0..5), "", "").await;
    let lock = world.store.lock_import("elsewhere", Duration::from_secs(60)).await.unwrap().unwrap();
    let error = world.full().await.unwrap_err();
    assert!(matches!(&error, ImportError::Locked { node } if node == "elsewhere"), "{error}");
    world.store.unlock_import(&lock).await.unwrap();
    world.full().await.unwrap();
}

#[tokio::test]
async fn new_settings_make_the_next_pass_a_full_one() {
    let mut world = world(crowd(0..5), "interval = \"1h\"", "").await;
    let first = world.run(&Ask::default()).await.unwrap();
    assert_eq!(first.passes, [("corp".to_owned(), Pass::Full(Why::First))]);
    let mut import = (*world.importer.import).clone();
    import.items[0].mail = MailRule::New;
    world.importer.import = Arc::new(import);
    let other = world.run(&Ask::default()).await.unwrap();
    assert_eq!(other.passes, [("corp".to_owned(), Pass::Full(Why::OtherItems))]);
    assert!(other.counts.is_empty(), "{:?}", other.counts);
}
