use std::path::PathBuf;

use clap::{Args as _, FromArgMatches};

use super::*;
use crate::users::sqlite::SqliteStore;
use crate::users::store::Store;

/// Runs `anteroom user --store FILE ...` and gives what it printed.
async fn user(store: &std::path::Path, words: &[&str]) -> Result<String, String> {
    let command = Args::augment_args(clap::Command::new("user"));
    let all = [&["user", "--store", store.to_str().unwrap()], words].concat();
    let matches = command.try_get_matches_from(all).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    run_into(Args::from_arg_matches(&matches).unwrap(), &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

const TOKEN: &str = "planted-token-000042";

async fn with_alice() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.db");
    let words = [
        "add",
        "alice",
        "--unique-id",
        "6F1C7E0A-9C1B-4B54-8D43-4D2F7A9BE001",
        "--phone",
        "+1 202 555 0111",
        "--extension",
        "17",
        "--device-token",
        TOKEN,
        "--first-name",
        "Alice",
        "--email",
        "alice@example.com",
    ];
    let printed = user(&path, &words).await.unwrap();
    assert!(printed.contains("created the user store") && printed.contains("added alice\n"), "{printed}");
    assert!(printed.contains("  phone: (none) -> +12025550111\n"), "{printed}");
    assert!(printed.contains("  device token: (none) -> …0042\n") && !printed.contains(TOKEN), "{printed}");
    (folder, path)
}

#[tokio::test]
async fn a_person_is_added_shown_and_listed_without_their_token() {
    let (_folder, path) = with_alice().await;
    let shown = user(&path, &["show", "ALICE"]).await.unwrap();
    assert!(shown.contains("unique id:     6f1c7e0a-9c1b-4b54-8d43-4d2f7a9be001\n"), "{shown}");
    let listed = user(&path, &["list"]).await.unwrap();
    assert!(listed.contains("+12025550111 ext 17") && listed.ends_with("1 person\n"), "{listed}");
    let json = user(&path, &["show", "alice", "--json"]).await.unwrap();
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&read["device_token"], &read["method"]), (&"…0042".into(), &"push".into()));
    let all = user(&path, &["list", "--json"]).await.unwrap();
    let read: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(read.as_array().unwrap().len(), 1);
    for printed in [shown, listed, json, all] {
        assert!(!printed.contains(TOKEN), "{printed}");
    }
}

#[tokio::test]
async fn only_the_given_fields_change_and_the_change_is_told() {
    let (_folder, path) = with_alice().await;
    let printed = user(&path, &["set", "alice", "--extension", "", "--language", "pt-BR"]).await.unwrap();
    assert_eq!(printed, "changed alice\n  extension: 17 -> (none)\n  language: en -> pt-BR\n");
    let printed = user(&path, &["set", "alice", "--language", "pt-BR"]).await.unwrap();
    assert_eq!(printed, "nothing to change for alice\n");
    let printed = user(&path, &["set", "alice", "--device-token", "another-token-000042"]).await.unwrap();
    assert_eq!(printed, "changed alice\n  device token: …0042 -> …0042\n");
    let printed = user(&path, &["set", "alice", "--phone", "", "--method", "call"]).await.unwrap();
    assert!(printed.contains("note: alice has no phone, which call needs"), "{printed}");
    user(&path, &["set", "alice", "--name", "alicia"]).await.unwrap();
    assert!(user(&path, &["show", "alice"]).await.is_err());
    assert!(user(&path, &["show", "alicia"]).await.unwrap().contains("pt-BR"));
}

#[tokio::test]
async fn people_are_disabled_blocked_and_removed() {
    let (_folder, path) = with_alice().await;
    let printed = user(&path, &["disable", "alice"]).await.unwrap();
    assert_eq!(printed, "changed alice\n  state: enabled -> disabled\n");
    assert!(user(&path, &["list"]).await.unwrap().contains("disabled"));
    user(&path, &["enable", "alice"]).await.unwrap();
    let printed = user(&path, &["block", "alice", "--forever", "--reason", "left"]).await.unwrap();
    assert_eq!(printed, "changed alice\n  blocked until: (none) -> further notice\n");
    assert!(user(&path, &["list"]).await.unwrap().contains("blocked until further notice"));
    // An edit does not undo the block.
    user(&path, &["set", "alice", "--last-name", "Liddell"]).await.unwrap();
    let printed = user(&path, &["unblock", "alice"]).await.unwrap();
    assert_eq!(printed, "changed alice\n  blocked until: further notice -> (none)\n");
    let printed = user(&path, &["block", "alice", "--for", "8h", "--reason", "laptop stolen"]).await.unwrap();
    assert!(printed.contains("blocked until: (none) -> 2"), "{printed}");
    let printed = user(&path, &["remove", "alice"]).await.unwrap();
    assert!(printed.contains("removed alice") && printed.contains("last name: Liddell -> (none)"), "{printed}");
    assert_eq!(user(&path, &["list", "--json"]).await.unwrap(), "[]\n");
    let error = user(&path, &["remove", "alice"]).await.unwrap_err();
    assert!(error.contains("`anteroom user list`"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_is_expected() {
    let (_folder, path) = with_alice().await;
    for (option, value, expected) in [
        ("--phone", "555 0111", "country code"),
        ("--phone", "+1 202 555 0111 0000 0000", "country code"),
        ("--email", "alice", "@"),
        ("--upn", "alice@", "@"),
        ("--language", "english please", "BCP 47"),
        ("--extension", "12a", "digits"),
        ("--first-name", "a\nb", "control"),
        ("--name", "", "text"),
        ("--method", "pigeon", "push, call, sms_reply"),
    ] {
        let error = user(&path, &["set", "alice", option, value]).await.unwrap_err();
        assert!(error.contains(expected), "{option} {value}: {error}");
    }
    let error = user(&path, &["set", "alice", "--device-token", "planted secret"]).await.unwrap_err();
    assert!(!error.contains("planted"), "{error}");
    let error = user(&path, &["add", "ALICE", "--unique-id", "other"]).await.unwrap_err();
    assert!(error.contains("another enrolled person") && error.contains("anteroom user set"), "{error}");
    let error = user(&path, &["add", "bob"]).await.unwrap_err();
    assert!(error.contains("--unique-id"), "{error}");
}

#[tokio::test]
async fn a_missing_store_is_not_created_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("typo.db");
    let error = user(&path, &["list"]).await.unwrap_err();
    assert!(error.contains("there is no user store") && error.contains("user add"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_list_of_several_pages_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.db");
    user(&path, &["add", "user-0000", "--unique-id", "0"]).await.unwrap();
    let store = SqliteStore::open(&path, false).await.unwrap();
    let template = store.person("0").await.unwrap().unwrap();
    for number in 1..1_200 {
        let (unique_id, name) = (number.to_string(), format!("user-{number:04}\u{1b}[2J"));
        store.add(&Person { unique_id, name, ..template.clone() }).await.unwrap();
    }
    let listed = user(&path, &["list"]).await.unwrap();
    assert_eq!(listed.lines().count(), 1_202);
    assert!(listed.contains("user-1199") && listed.ends_with("1200 people\n") && !listed.contains('\u{1b}'));
    let json = user(&path, &["list", "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap().len(), 1_200);
}

#[test]
fn the_command_line_is_consistent() {
    Args::augment_args(clap::Command::new("user")).debug_assert();
}
