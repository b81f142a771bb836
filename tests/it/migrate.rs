//! `anteroom migrate nps` as its user runs it: files that nobody else can read, nothing secret on the terminal, and a
//! configuration that `anteroom check` accepts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn anteroom(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(arguments)
        .env_remove("ANTEROOM_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn export() -> String {
    format!("{}/tests/vectors/nps-export.xml", env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn migrate(export: &str, into: &Path) -> Output {
    let into = into.to_str().unwrap();
    let more = ["--domain", "corp.example.com", "--gateway", "RDG 1", "--zone", "Europe/Zurich", "--into", into];
    anteroom(&[&["migrate", "nps", export], &more[..]].concat())
}

#[test]
fn an_export_becomes_a_configuration_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("new");
    let output = migrate(&export(), &into);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains("PLANTED"), "{}", said(&output));
    assert!(said(&output).contains("\"Named person\""), "{}", said(&output));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&into), 0o700);
    let mut secrets = 0;
    for entry in fs::read_dir(&into).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        secrets += usize::from(text.contains("PLANTED"));
        assert!(!(text.contains("PLANTED") && path.ends_with("anteroom.toml")));
    }
    assert_eq!(secrets, 2, "a file for each client that is used");
    let file = into.join("anteroom.toml");
    let check = anteroom(&["check", "--offline", "--config", file.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}\n{}", said(&check), fs::read_to_string(&file).unwrap());
    // A second time it would write over what is there.
    let again = migrate(&export(), &into);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
}

#[test]
fn an_export_in_utf_16_is_read_too_and_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(export()).unwrap();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = folder.path().join("wide.xml");
    fs::write(&path, [&[0xff, 0xfe], wide.as_slice()].concat()).unwrap();
    let output = migrate(path.to_str().unwrap(), &folder.path().join("wide"));
    assert!(output.status.success(), "{}", said(&output));
    for (name, text) in [
        ("empty.xml", ""),
        ("other.xml", "<Root><Children/></Root>"),
        ("entities.xml", "<!DOCTYPE Root [<!ENTITY a \"PLANTED\">]><Root>&a;</Root>"),
        ("broken.xml", "<Root><PLANTED></Root>"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let into = folder.path().join(format!("{name}.new"));
        let output = migrate(path.to_str().unwrap(), &into);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        assert!(!into.exists() && !said(&output).contains("PLANTED"), "{name}: {}", said(&output));
    }
}

#[test]
fn what_the_export_does_not_say_must_be_said() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("new");
    for (domain, zone) in [("corp", "UTC"), ("corp..example", "UTC"), ("corp.example", "Nowhere/Land")] {
        let more = ["--domain", domain, "--zone", zone, "--into", into.to_str().unwrap()];
        let output = anteroom(&[&["migrate", "nps", &export()], &more[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{domain} {zone}: {}", said(&output));
    }
    assert!(!into.exists());
}
