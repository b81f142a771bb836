//! The commands of the user store as an administrator types them: tokens, PINs, keys, backup, export and erasure.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The seed of RFC 6238 appendix B, which must be seen nowhere again.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let config = [
            "[server]",
            "name = \"gate-1\"",
            "store = \"people.db\"",
            "[[radius.client]]",
            "name = \"vpn\"",
            "address = \"192.0.2.1\"",
            "secret = \"a shared secret of the test\"",
            "application = \"VPN\"",
            "target = \"corp\"",
            "provider = \"cloud\"",
            "[target.corp]",
            "type = \"ad\"",
            "servers = \"ldaps://dc1.example.test\"",
            "base = \"DC=example,DC=test\"",
            "bind_name = \"svc@example.test\"",
            "bind_password = \"the service account's\"",
            "[provider.cloud]",
            "type = \"native\"",
            "url = \"https://cloud.example.test\"",
            "key_id = \"k\"",
            "key = \"0123456789abcdef0123456789abcdef\"",
        ];
        let file = folder.path().join("anteroom.toml");
        fs::write(&file, config.join("\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        House { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn try_to(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"))
            .args(words)
            .env("ANTEROOM_CONFIG", self.path("anteroom.toml"))
            .env("SUDO_USER", "ada")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        command.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        command.wait_with_output().unwrap()
    }

    /// What a command prints that must succeed.
    fn run(&self, words: &[&str], input: &str) -> String {
        let output = self.try_to(words, input);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
    }

    /// What a command says that must be refused.
    fn refused(&self, words: &[&str], input: &str) -> String {
        let output = self.try_to(words, input);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn add(&self, name: &str) {
        let words = ["user", "add", name, "--unique-id", &format!("id-{name}"), "--phone", "+1 202 555 0111 x890"];
        self.run(&words, "");
    }
}

fn contains(path: &Path, word: &[u8]) -> bool {
    fs::read(path).unwrap().windows(word.len()).any(|window| window == word)
}

#[test]
fn seeds_and_pins_go_in_and_never_come_out() {
    let house = House::new();
    house.add("alice");
    house.add("bob");
    let printed = house.run(&["user", "token", "add", "alice", "T-1", "--seed", "-"], &format!("{SEED}\n"));
    assert!(printed.contains("T-1 (SHA1, 6 digits, every 30 s)"), "{printed}");
    assert!(house.refused(&["user", "token", "add", "bob", "T-1", "--seed", "-"], SEED).contains("serial number"));
    assert!(house.refused(&["user", "token", "add", "bob", "T-2", "--seed", SEED], "").contains("standard input"));
    let weak = house.refused(&["user", "pin", "alice"], "1234\n");
    assert!(weak.contains("go up"), "{weak}");
    house.run(&["user", "pin", "alice", "--expires-in", "90d"], "407193\n");
    assert!(house.refused(&["user", "pin", "alice"], "407193\n").contains("used before"));
    house.run(&["user", "device", "add", "alice", "phone", "--kind", "ios"], "planted-device-token\n");
    house.run(&["user", "token", "assign", "T-1", "bob"], "");
    assert!(house.run(&["user", "token", "list"], "").contains("of bob"));

    let everything = [
        house.run(&["user", "show", "alice"], ""),
        house.run(&["user", "show", "alice", "--json"], ""),
        house.run(&["user", "data", "bob"], ""),
        house.run(&["user", "history"], ""),
        house.run(&["user", "export"], ""),
        house.run(&["user", "export", "--json"], ""),
    ]
    .concat();
    for planted in [SEED, "12345678901234567890", "407193", "planted-device", "$argon2"] {
        assert!(!everything.contains(planted), "{planted}:\n{everything}");
    }
    assert!(everything.contains("by cli:ada") && everything.contains("…oken"), "{everything}");
    assert!(!contains(&house.path("people.db"), b"12345678901234567890"));
}

#[test]
fn keys_are_rotated_and_a_lost_one_is_named() {
    let house = House::new();
    house.add("alice");
    for serial in ["T-1", "T-2"] {
        house.run(&["user", "token", "add", "alice", serial, "--seed", "-"], SEED);
    }
    assert!(house.run(&["keys", "show"], "").contains("  2 values, seals"));
    let before = fs::read_to_string(house.path("anteroom.keys")).unwrap();
    assert!(house.run(&["keys", "rotate"], "").contains("sealed 2 values anew"));
    let shown = house.run(&["keys", "show"], "");
    assert!(shown.contains("  0 values\n") && shown.contains("  2 values, seals"), "{shown}");
    assert!(house.run(&["keys", "forget"], "").contains("1 keys are left"));
    // The file of before the rotation has not got the key any more.
    fs::write(house.path("anteroom.keys"), before).unwrap();
    assert!(house.run(&["keys", "show"], "").contains("2 values, LOST"));
    let told = house.refused(&["user", "token", "assign", "T-1"], "");
    assert!(told.contains("is not in the key file") && told.contains("Nothing else is affected"), "{told}");
    let told = house.refused(&["keys", "rotate"], "");
    assert!(told.contains("2 values could not be opened"), "{told}");
    assert!(house.run(&["user", "show", "alice"], "").contains("T-1"), "the rest is as it was");
}

#[test]
fn a_backup_brings_everything_back() {
    let house = House::new();
    house.add("alice");
    house.run(&["user", "token", "add", "alice", "T-1", "--seed", "-"], SEED);
    let saved = house.path("saved.db").display().to_string();
    assert!(house.run(&["backup", &saved], "").contains("anteroom.keys"));
    house.run(&["user", "remove", "alice"], "");
    house.add("mallory");
    let printed = house.run(&["restore", &saved], "");
    assert!(printed.contains("people.db.before-restore-"), "{printed}");
    assert!(house.run(&["user", "show", "alice"], "").contains("T-1"));
    assert!(house.refused(&["user", "show", "mallory"], "").contains("nobody in the user store"));
    assert!(house.refused(&["backup", &saved], "").contains("there already"));
}

#[test]
fn everybody_is_exported_and_one_is_erased() {
    let house = House::new();
    house.add("alice");
    house.run(&["user", "add", "=cmd()", "--unique-id", "id-formula", "--alias", "CORP\\f", "--alias", "f2"], "");
    let file = house.path("people.csv").display().to_string();
    assert!(house.run(&["user", "export", &file], "").contains("2 people written"));
    let text = fs::read_to_string(&file).unwrap();
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let head = csv.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let column =
        |row: &csv::StringRecord, name: &str| row[head.iter().position(|column| column == name).unwrap()].to_owned();
    assert_eq!((column(&rows[0], "name"), column(&rows[0], "aliases")), ("'=cmd()".into(), "CORP\\f; f2".into()));
    assert_eq!(column(&rows[1], "phone"), "+12025550111");
    assert_eq!((column(&rows[1], "country_code"), column(&rows[1], "phone_extension")), ("1".into(), "890".into()));
    let json: serde_json::Value = serde_json::from_str(&house.run(&["user", "export", "--json"], "")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);

    assert!(house.refused(&["user", "erase", "alice"], "").contains("--yes"));
    assert!(house.run(&["user", "erase", "alice", "--yes"], "").contains("erased alice"));
    assert!(!house.run(&["user", "history"], "").contains("alice"));
    house.add("alice");
    house.run(&["user", "set", "alice", "--group", "staff", "--mode", "pin", "--backup-phone", "+49 30 901820"], "");
    let shown = house.run(&["user", "show", "alice"], "");
    assert!(shown.contains("backup_phone, mode") || shown.contains("group, backup_phone, mode"), "{shown}");
    let printed = house.run(&["user", "release", "alice", "backup_phone", "group"], "");
    assert!(printed.contains("local: ") && printed.contains("changed alice"), "{printed}");
}
