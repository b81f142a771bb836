use std::os::unix::fs::PermissionsExt;
use std::path::Path as FilePath;

use super::super::sources::Environment;
use super::super::{Checked, Mistakes, Requirement, checked, known};
use super::*;

/// The smallest configuration, with these lines in its client's section.
fn read(lines: &str, variables: &[(&str, &str)]) -> Result<Checked, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["vpn.secret", "bind.secret", "cloud.key"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "k".repeat(32)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = include_str!("../../../conf/minimal.toml")
        .replace("[[radius.client]]\n", &format!("[[radius.client]]\n{lines}\n"));
    let overrides = Environment::of(variables);
    checked::read(
        &text,
        &folder.path().join("anteroom.toml"),
        &overrides,
        &Environment::default(),
        std::time::SystemTime::now(),
    )
}

/// The profiles of appliances that send a password.
fn people() -> impl Iterator<Item = &'static Profile> {
    PROFILES.iter().map(|(_, profile)| *profile).filter(|profile| !profile.authorizes)
}

#[test]
fn every_profile_is_in_its_place_and_sets_only_keys_of_a_client() {
    let tables = known::tables();
    let (_, keys) = tables.iter().find(|(table, _)| *table == "radius.client.*").unwrap();
    let words: Vec<&str> = PROFILES.iter().map(|(word, _)| *word).collect();
    assert!(words.is_sorted() && words.len() > 15, "{words:?}");
    for (word, profile) in PROFILES {
        assert_eq!(*word, profile.word);
        assert_eq!(profile.guide, format!("{word}.md"));
        let at = |preset: &Preset| {
            keys.iter().position(|key| *key == preset.key).unwrap_or_else(|| panic!("{word}: {preset}"))
        };
        let places: Vec<usize> = profile.presets.iter().map(at).collect();
        assert!(places.is_sorted_by(|one, other| one < other), "{word}: a key twice, or not in the order of the file");
        for preset in profile.presets {
            assert!(preset.source.len() > 10, "{word}: {preset} has no source");
        }
    }
}

#[test]
fn every_profile_makes_a_good_section_and_what_it_sets_counts() {
    for profile in people() {
        let checked =
            read(&format!("profile = \"{}\"", profile.word), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let client = &checked.config.radius.clients[0];
        let set =
            |key: &str| profile.presets.iter().find(|preset| preset.key == key).map(|preset| preset.value.to_string());
        assert_eq!(
            client.client.challenge.is_some(),
            set("challenge").as_deref() == Some("\"yes\""),
            "{}",
            profile.word
        );
        assert_eq!(client.client.passcode.is_some(), set("passcode").is_some(), "{}", profile.word);
        assert_eq!(client.person_address.is_some(), set("person_address").is_some(), "{}", profile.word);
        let auto = set("require_message_authenticator").as_deref() == Some("\"auto\"");
        assert_eq!(client.require_message_authenticator == Requirement::Auto, auto, "{}", profile.word);
        assert_ne!(client.require_message_authenticator, Requirement::No, "{}", profile.word);
        let done = client.profile.as_ref().unwrap();
        assert_eq!((done.set.len(), done.written.len()), (profile.presets.len(), 0));
        // Nothing that it sets is without effect; what is dangerous about it is said, and by whom it was set.
        for warning in &checked.warnings {
            assert!(
                warning.found.contains("unsigned requests")
                    && warning.found.ends_with(&format!("(set by profile = \"{}\")", profile.word)),
                "{warning}"
            );
        }
        assert_eq!(checked.warnings.len(), usize::from(auto), "{}", profile.word);
    }
}

#[test]
fn nothing_about_who_may_come_in_or_how_long_is_set_by_a_profile() {
    let harmless = [
        "number_matching",
        "require_message_authenticator",
        "duplicate_window",
        "person_address",
        "passcode",
        "challenge",
        "challenge_menu",
    ];
    for (word, profile) in PROFILES {
        for preset in profile.presets {
            assert!(harmless.contains(&preset.key), "{word} sets {preset}");
        }
    }
}

#[test]
fn what_the_section_writes_itself_counts() {
    let checked =
        read("profile = \"cisco-asa\"\nchallenge = \"no\"\nrequire_message_authenticator = \"yes\"", &[]).unwrap();
    let client = &checked.config.radius.clients[0];
    assert!(client.client.challenge.is_none() && client.person_address.is_some());
    assert_eq!(client.require_message_authenticator, Requirement::Yes);
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let done = client.profile.as_ref().unwrap();
    assert_eq!(done.set.iter().map(|preset| preset.key).collect::<Vec<_>>(), ["person_address"]);
    let written: Vec<_> = done.written.iter().map(|(preset, value)| (preset.key, value.as_str())).collect();
    assert_eq!(written, [("require_message_authenticator", "\"yes\""), ("challenge", "\"no\"")]);
}

#[test]
fn the_environment_counts_as_the_section() {
    let variables =
        [("ANTEROOM__RADIUS__CLIENT__0__PROFILE", "ocserv"), ("ANTEROOM__RADIUS__CLIENT__0__CHALLENGE", "no")];
    let checked = read("", &variables).unwrap();
    let client = &checked.config.radius.clients[0];
    assert_eq!(client.profile.as_ref().unwrap().profile.word, "ocserv");
    assert!(client.client.challenge.is_none());
}

#[test]
fn a_mistyped_profile_gets_the_near_miss_and_the_list() {
    for (typed, near) in
        [("cisco_asa", Some("cisco-asa")), ("fortgate", Some("fortigate")), ("Pulse", Some("pulse")), ("toaster", None)]
    {
        let mistakes = read(&format!("profile = \"{typed}\""), &[]).unwrap_err().mistakes;
        let [only] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert_eq!(only.key, "radius.client[0].profile");
        assert!(PROFILES.iter().all(|(word, _)| only.allowed.contains(&format!("\"{word}\""))), "{only}");
        match near {
            Some(near) => assert!(only.allowed.ends_with(&format!("; did you mean \"{near}\"?")), "{only}"),
            None => assert!(!only.allowed.contains("did you mean"), "{only}"),
        }
    }
}

#[test]
fn a_client_without_a_profile_is_left_as_it_is() {
    assert!(read("", &[]).unwrap().config.radius.clients[0].profile.is_none());
    assert_eq!(client_position(&Path::top("ldap").key("client").index(0)), None);
    assert_eq!(client_position(&Path::top("radius").key("client").index(3).key("name")), Some(3));
}

#[test]
fn every_profile_has_its_guide() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("conf/guides");
    for (word, profile) in PROFILES {
        let page =
            std::fs::read_to_string(folder.join(profile.guide)).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert!(page.contains(&format!("profile = \"{word}\"")), "{} does not show its profile", profile.guide);
    }
}

#[test]
fn the_page_of_profiles_is_what_they_are() {
    let page = include_str!("../../../docs/profiles.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| [")).collect();
    let expected = PROFILES.iter().flat_map(|(word, profile)| {
        let row = move |preset: &Preset| {
            format!("| [{word}](../conf/guides/{}) | `{preset}` | {} |", profile.guide, preset.source)
        };
        profile.presets.iter().map(row)
    });
    assert_eq!(rows, expected.collect::<Vec<_>>(), "docs/profiles.md");
    let sample = include_str!("../../../conf/anteroom.toml");
    let guides = include_str!("../../../conf/guides/README.md");
    for (word, profile) in PROFILES {
        assert!(sample.contains(&format!("\"{word}\"")), "conf/anteroom.toml does not name {word}");
        assert!(guides.contains(&format!("]({})", profile.guide)), "conf/guides/README.md does not lead to {word}");
    }
}
