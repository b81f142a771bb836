//! What an import makes of a store is what the next one wants: whatever was in the directory, in the store and in the
//! configuration, an import right after another has nothing to do. The same in a file and in PostgreSQL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anteroom::config::import::Leavers;
use anteroom::import::pass::{Ask, Importer, Outcome};
use anteroom::import::progress::Progress;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use proptest::prelude::*;

use crate::import::{configuration, ready};
use crate::peers::postgres::Postgres;
use crate::support::people_directory::{PeopleDirectory, Somebody};

/// How many databases there are.
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// What a directory and a store go through.
#[derive(Debug, Clone)]
struct Story {
    /// Who is imported by an item that wants everybody.
    before: Vec<Somebody>,
    /// Whom an administrator then changes, and how.
    edits: Vec<(u32, u32)>,
    /// Who is in the directory later,
    after: Vec<Somebody>,
    /// and what the item says then.
    rules: String,
}

fn story() -> impl Strategy<Value = Story> {
    let edits = proptest::collection::vec((0..12_u32, 0..4_u32), 0..4);
    (people(), edits, people(), rules()).prop_map(|(before, edits, after, rules)| Story { before, edits, after, rules })
}

fn somebody() -> impl Strategy<Value = Somebody> {
    (0..12_u32, 0..12_u32, any::<bool>(), proptest::option::of(0..3_u32), proptest::option::of(0..3_u32)).prop_map(
        |(id, uid, locked, mail, mobile)| Somebody {
            id: format!("id-{id}"),
            uid: format!("{}{uid}", if uid % 2 == 0 { "u" } else { "U" }),
            mail: mail.map(|mail| format!("m{mail}@corp.example")),
            mobile: mobile.map(|mobile| format!("202555011{mobile}")),
            locked,
        },
    )
}

/// People with ids of their own, as a directory has them. Names may be claimed twice.
fn people() -> impl Strategy<Value = Vec<Somebody>> {
    proptest::collection::vec(somebody(), 1..15).prop_map(|people| {
        let mut seen = BTreeSet::new();
        people.into_iter().filter(|one| seen.insert(one.id.clone())).collect()
    })
}

fn rules() -> impl Strategy<Value = String> {
    let leavers = prop_oneof![Just("keep"), Just("disable"), Just("remove")];
    let disabled = prop_oneof![Just("skip"), Just("disable"), Just("import")];
    let enabled = prop_oneof![Just("all"), Just("none"), Just("new_with_phone")];
    (leavers, disabled, enabled, any::<bool>(), any::<bool>()).prop_map(|(leavers, disabled, enabled, add, update)| {
        format!(
            "leavers = \"{leavers}\"\ndisabled_accounts = \"{disabled}\"\nenabled = \"{enabled}\"\nadd = {add}\n\
             update = {update}"
        )
    })
}

async fn run(importer: &Importer) -> Outcome {
    let ask = Ask { full: true, allow_empty: true, ..Ask::default() };
    importer.run(&ask, &Progress::default(), &mut |_| ()).await.unwrap()
}

async fn edit(store: &dyn Roster, edits: Vec<(u32, u32)>) {
    for (id, what) in edits {
        let Some(mut profile) = store.profile(&format!("id-{id}")).await.unwrap() else { continue };
        match what {
            0 => profile.person.enabled = !profile.person.enabled,
            1 => profile.person.phone = None,
            2 => profile.person.name = format!("local{id}"),
            _ => {
                store.dismiss(&profile.person.unique_id, "t").await.unwrap();
                continue;
            }
        }
        store.change(&profile, "cli:root").await.unwrap();
    }
}

/// apply(plan(directory, store)) makes a second plan empty.
async fn settles(story: Story, in_postgres: Option<Arc<SqlStore>>) {
    let Story { before, edits, after, rules } = story;
    let directory = PeopleDirectory::start(before).await;
    let folder = tempfile::tempdir().unwrap();
    let text = |rules: &str| configuration(directory.fake.address.port(), "stop_above = 999", rules);
    let (mut importer, file) = ready(&text(""), folder.path()).await;
    let store = in_postgres.unwrap_or_else(|| Arc::clone(&file));
    importer.roster = store.clone();
    run(&importer).await;
    edit(store.as_ref(), edits).await;
    let config = anteroom::config::load_text(&text(&rules), &folder.path().join("anteroom.toml")).unwrap();
    importer.import = Arc::new(config.import.clone());
    directory.set(after);
    let first = run(&importer).await;
    let everybody = store.profiles("", 10_000).await.unwrap();
    let second = run(&importer).await;
    assert!(second.counts.is_empty(), "{first:#?} {second:#?}");
    assert_eq!(second.counts.conflicts, first.counts.conflicts, "{first:#?} {second:#?}");
    assert_eq!(store.profiles("", 10_000).await.unwrap(), everybody);
    let names = everybody.iter().flat_map(Profile::names);
    let mut seen = BTreeSet::new();
    assert!(names.into_iter().all(|(name, _)| seen.insert(name)), "two people have one name");
    assert!(config.import.items[0].leavers != Leavers::Keep || second.counts.disabled == 0);
    store.close().await;
    file.close().await;
}

fn blocking(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_second_import_into_a_file_has_nothing_to_do(story in story()) {
        blocking(settles(story, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_second_import_into_postgres_has_nothing_to_do(story in story()) {
        if let Some(server) = Postgres::shared() {
            let database = server.database(&format!("settles{}", DATABASES.fetch_add(1, Ordering::Relaxed)));
            blocking(async {
                let store = SqlStore::connect(&server.at(&database)).await.unwrap();
                settles(story, Some(Arc::new(store))).await;
            });
        }
    }
}
