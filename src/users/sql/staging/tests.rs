use crate::users::model::Person;
use crate::users::profile::NameKind;
use crate::users::roster::Roster;
use crate::users::sql::SqlStore;
use crate::users::sql::clearing::retire_people;
use crate::users::sqlite::SqliteStore;

use super::*;

const LEASE: Duration = Duration::from_secs(600);

impl Pace {
    /// Every transaction has had its time at once.
    pub(in crate::users::sql) fn hasty() -> Pace {
        Pace { long: Duration::ZERO, ..Pace::default() }
    }
}

fn profile(number: u32, name: &str) -> Profile {
    Profile { content: 1, ..Profile::new(Person::bare(format!("id-{number}"), name)) }
}

async fn staging(store: &SqlStore) -> (ImportLock, Staging) {
    let lock = store.lock_import("node", LEASE).await.unwrap().unwrap();
    let driver = store.driver.for_many_rows().await.unwrap();
    let mut staging = begin(driver, Arc::clone(&store.cache), &lock, "import:all").await.unwrap();
    staging.pace = Pace::hasty();
    (lock, staging)
}

/// All names, and whether each leads to the person of that number.
async fn names(store: &SqlStore) -> Vec<(String, String)> {
    let all = store.profiles("", 100).await.unwrap();
    all.into_iter().map(|profile| (profile.person.unique_id, profile.person.name)).collect()
}

#[tokio::test]
async fn a_transaction_that_has_had_its_time_leaves_the_rest_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("store.db"), true).await.unwrap();
    for number in 0..6 {
        store
            .enrol(&Profile { item: Some("all".into()), ..profile(number, &format!("u{number}")) }, "t")
            .await
            .unwrap();
    }
    let (lock, mut staging) = staging(&store).await;
    // Each gets another name, which takes several trips: one of them to a transaction.
    let renamed = |number| Step::Change(profile(number, &format!("new{number}")));
    let mut steps: Vec<Step> = (0..3).map(renamed).collect();
    steps.extend([Step::Remove("id-3".into()), Step::Remove("id-4".into()), Step::Bare(profile(7, "u7"))]);
    steps.push(Step::Claim(Claim { folded: "u7".into(), kind: NameKind::Name, unique_id: "id-7".into() }));
    let mut left = staging.chunk(steps).await.unwrap();
    let mut transactions = vec![left.len()];
    assert!(matches!(left.last(), Some(Step::Claim(_))), "names wait until everybody is done: {left:?}");
    while !left.is_empty() {
        left = staging.chunk(left).await.unwrap();
        transactions.push(left.len());
    }
    assert_eq!(transactions, [5, 4, 3, 2, 0]);
    let before = names(&store).await;
    assert_eq!(before.len(), 6, "nothing counts yet: {before:?}");
    Box::new(staging).finish(&[]).await.unwrap();
    store.unlock_import(&lock).await.unwrap();
    let mut after = names(&store).await;
    after.sort();
    let expected = [("id-0", "new0"), ("id-1", "new1"), ("id-2", "new2"), ("id-5", "u5"), ("id-7", "u7")];
    assert_eq!(after, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    assert!(store.profile_named("u0").await.unwrap().is_none() && store.profile_named("u3").await.unwrap().is_none());
    assert_eq!(store.profile_named("u7").await.unwrap().unwrap().person.unique_id, "id-7");
}

#[tokio::test]
async fn who_has_gone_is_erased_one_to_a_transaction_where_time_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("store.db"), true).await.unwrap();
    for number in 0..5 {
        store.enrol(&profile(number, &format!("u{number}")), "t").await.unwrap();
    }
    // As an import leaves them when it dies after it has begun to count.
    let (lock, staging) = staging(&store).await;
    let mut change = begin_staged(staging.driver.as_ref()).await.unwrap();
    for id in ["id-1", "id-2", "id-3"] {
        change.run(fixed(text::END_PERSON), vec![id.into(), staging.generation.into()]).await.unwrap();
    }
    change.run(fixed("UPDATE people_state SET current = newest"), vec![]).await.unwrap();
    change.commit().await.unwrap();
    const ENDED: &str = "died <= (SELECT current FROM people_state) AND died < 9223372036854775807";
    retire_people(staging.driver.as_ref(), &lock, ENDED, Pace::hasty()).await.unwrap();
    let mut rows = store.driver.read(fixed("SELECT unique_id FROM people ORDER BY unique_id"), vec![]).await.unwrap();
    let ids: Vec<String> = rows.iter_mut().map(|row| row.needed_text("unique_id").unwrap()).collect();
    assert_eq!(ids, ["id-0", "id-4"]);
    staging.driver.close().await;
}

#[test]
fn the_pace_follows_what_transactions_take() {
    let mut pace = Pace::default();
    assert_eq!(pace.next(), CHUNK);
    pace.took(CHUNK, LONG / 4);
    assert_eq!(pace.next(), 2 * CHUNK);
    pace.took(100, LONG / 4);
    assert_eq!(pace.next(), 2 * CHUNK, "fewer steps than there could be tell nothing");
    pace.took(2 * CHUNK, LONG * 3 / 4);
    assert_eq!(pace.next(), 2 * CHUNK);
    pace.took(2 * CHUNK, LONG * 3);
    assert_eq!(pace.next(), CHUNK / 2);
    pace.took(CHUNK / 2, LONG * 100);
    assert_eq!(pace.next(), *CHUNKS.start());
    for _ in 0..20 {
        pace.took(pace.next(), Duration::ZERO);
    }
    assert_eq!(pace.next(), *CHUNKS.end());
}
