//! A backup is taken while the store is in use, and can be put back into either database.

use std::path::Path;
use std::time::SystemTime;

use anteroom::users::backup::{Restored, backup, restore};
use anteroom::users::details::{Device, Pin};
use anteroom::users::place::StoreAt;
use anteroom::users::roster::{Roster, Step};
use anteroom::users::sql::SqlStore;
use anteroom::users::sqlite::SqliteStore;
use anteroom::users::store::{Store, StoreError};
use anteroom::users::token::Moving;

use crate::peers::postgres::Postgres;
use crate::store_suite::people::token;
use crate::store_suite::{at, profile};

/// A store with something of everything.
async fn fill(store: &dyn Roster) {
    for number in 0..1200 {
        store.enrol(&profile(&format!("id-{number:04}"), &format!("user-{number}")), "t").await.unwrap();
    }
    let device = Device { name: "d".into(), kind: "app".into(), token: "token-0123456789".into() };
    store.set_devices("id-0001", &[device], "t").await.unwrap();
    store.add_token(&token("T", Some("id-0001"), Moving::Counter { next: 7 }), "t").await.unwrap();
    let pin = Pin { hash: "hash".into(), change_required: true, expires: Some(at(5)) };
    store.set_pin("id-0001", Some(&pin), 3, "t").await.unwrap();
    store.set_pin("id-0001", Some(&pin), 3, "t").await.unwrap();
    store.set_block("id-0002", Some(at(9)), "t").await.unwrap();
    let lock = store.lock_import("node", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    store.remember_import(&lock, &[("cookie".into(), Some(vec![0, 1, 255]))]).await.unwrap();
    store.unlock_import(&lock).await.unwrap();
}

/// Whether everything is there that [`fill`] has put there.
async fn judge(store: &dyn Roster) {
    assert_eq!(store.count().await.unwrap(), 1200);
    assert_eq!(store.person_named("USER-1199").await.unwrap().unwrap().unique_id, "id-1199");
    assert_eq!(store.person("id-0001").await.unwrap().unwrap().device_token.as_deref(), Some("token-0123456789"));
    assert_eq!(store.person("id-0002").await.unwrap().unwrap().blocked_until, Some(at(9)));
    let expected = token("T", Some("id-0001"), Moving::Counter { next: 7 });
    assert_eq!(store.token("T").await.unwrap(), Some(expected));
    assert_eq!(store.pin("id-0001").await.unwrap().unwrap().expires, Some(at(5)));
    assert_eq!(store.earlier_pins("id-0001").await.unwrap(), ["hash"]);
    assert_eq!(store.import_memory("cookie").await.unwrap(), Some(vec![0, 1, 255]));
    assert_eq!(store.changes(Some("id-0001"), i64::MAX, 10).await.unwrap().len(), 5);
    // And it can go on.
    store.enrol(&profile("id-new", "new"), "t").await.unwrap();
    assert_eq!(store.changes(None, i64::MAX, 1).await.unwrap()[0].unique_id, "id-new");
    store.dismiss("id-new", "t").await.unwrap();
}

fn file(path: impl AsRef<Path>) -> StoreAt {
    StoreAt::File(path.as_ref().to_owned())
}

#[tokio::test]
async fn a_backup_of_a_store_in_use_is_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("store.db"), folder.path().join("saved.db"));
    let store = SqliteStore::open(&path, true).await.unwrap();
    fill(&store).await;
    // An import is on its way; the backup has none of it.
    let lock = store.lock_import("node", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    let mut import = store.begin_import(&lock, "t").await.unwrap();
    import.stage(vec![Step::Add(profile("id-coming", "coming")), Step::Remove("id-0005".into())]).await.unwrap();
    backup(&file(&path), &saved).await.unwrap();
    import.finish(&[]).await.unwrap();
    store.unlock_import(&lock).await.unwrap();
    assert_eq!(std::fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o600);
    let error = backup(&file(&path), &saved).await.unwrap_err();
    assert!(error.to_string().contains("there already"), "{error}");
    assert!(store.person("id-coming").await.unwrap().is_some());
    // In use it is not exchanged.
    let error = restore(&file(&path), &saved, false, "now").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("in use")), "{error}");
    assert!(store.person("id-coming").await.unwrap().is_some());
    store.close().await;

    let Restored::Beside(old) = restore(&file(&path), &saved, false, "now").await.unwrap() else {
        panic!("the old store is gone");
    };
    let store = SqliteStore::open(&path, false).await.unwrap();
    judge(&store).await;
    store.close().await;
    let before = SqliteStore::open(&old, false).await.unwrap();
    assert!(before.person("id-coming").await.unwrap().is_some());
    before.close().await;
    // A place where nothing is.
    let fresh = folder.path().join("fresh.db");
    assert_eq!(restore(&file(&fresh), &saved, false, "now").await.unwrap(), Restored::New);
    judge(&SqliteStore::open(&fresh, false).await.unwrap()).await;
    let left: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("part") || name.contains("restoring"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("store.db"), folder.path().join("saved.db"));
    let store = SqliteStore::open(&path, true).await.unwrap();
    fill(&store).await;
    store.close().await;
    backup(&file(&path), &saved).await.unwrap();
    let mut octets = std::fs::read(&saved).unwrap();
    let middle = octets.len() / 2;
    octets[middle..middle + 8000].fill(0x55);
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, &octets).unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "not a backup ".repeat(100)).unwrap();
    for bad in [damaged, notes, folder.path().join("missing.db")] {
        let error = restore(&file(&path), &bad, false, "now").await.unwrap_err();
        assert!(!matches!(error, StoreError::Conflict(_)), "{error}");
        assert!(error.to_string().contains(bad.to_str().unwrap()), "{error}");
    }
    judge(&SqliteStore::open(&path, false).await.unwrap()).await;
}

#[tokio::test]
async fn a_store_moves_to_postgres_and_back() {
    let Some(server) = Postgres::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("store.db"), folder.path().join("saved.db"));
    let store = SqliteStore::open(&path, true).await.unwrap();
    fill(&store).await;
    store.close().await;
    backup(&file(&path), &saved).await.unwrap();
    let database = server.database("moved");
    let shared = || StoreAt::Postgres(Box::new(server.at(&database)));
    assert_eq!(restore(&shared(), &saved, false, "now").await.unwrap(), Restored::Replaced);
    let node = SqlStore::connect(&server.at(&database)).await.unwrap();
    judge(&node).await;
    let error = restore(&shared(), &saved, false, "now").await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("--replace")), "{error}");
    node.set_block("id-0003", Some(SystemTime::now()), "t").await.unwrap();
    // The server's own backup is taken while it is in use, and is a file like any other.
    let back = folder.path().join("back.db");
    backup(&shared(), &back).await.unwrap();
    let opened = SqliteStore::open(&back, false).await.unwrap();
    judge(&opened).await;
    assert!(opened.person("id-0003").await.unwrap().unwrap().blocked_until.is_some());
    assert_eq!(restore(&shared(), &saved, true, "now").await.unwrap(), Restored::Replaced);
    assert_eq!(node.profile("id-0003").await.unwrap().unwrap().person.blocked_until, None);
}
