//! The commands of the user store as an administrator types them: tokens, PINs, keys, backup, export and erasure.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anteroom::factor::local::code::code;
use anteroom::users::token::Algorithm;

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
    let printed = house.run(&["token", "add", "alice", "T-1", "--seed", "-"], &format!("{SEED}\n"));
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

/// What a token of this seed shows at a time, so many steps later.
fn shown(seed: &[u8], steps: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    code(Algorithm::Sha1, seed, (now / 30).checked_add_signed(steps).unwrap(), 6).unwrap()
}

#[test]
fn a_token_is_made_shown_once_tested_and_found_again() {
    let house = House::new();
    house.add("alice");
    let uri = house.run(&["token", "add", "alice", "--output", "uri", "--issuer", "Corp & Sons"], "");
    assert!(
        uri.starts_with("otpauth://totp/Corp%20%26%20Sons:alice?secret=") && uri.ends_with("&period=30\n"),
        "{uri}"
    );
    let listed = house.run(&["token", "list", "alice", "--json"], "");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let serial = listed["serial"].as_str().unwrap();
    assert_eq!((&listed["person"], &listed["digits"], &listed["period"]), (&"alice".into(), &6.into(), &30.into()));
    let read = anteroom::import::otpauth::read(&uri);
    let seed = read.tokens[0].seed.open().to_vec();
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();

    assert!(house.run(&["token", "test", serial], &shown(&seed, 0)).contains("would be taken"));
    assert!(house.run(&["token", "test", serial], &shown(&seed, 0)).contains("would be taken"), "nothing was used up");
    let off = house.refused(&["token", "test", serial], &shown(&seed, 500));
    assert!(off.contains("steps ahead: `anteroom token resync"), "{off}");
    assert!(house.refused(&["token", "test", serial], "12345").contains("6 digits"));
    let two = format!("{}\n{}\n", shown(&seed, 500), shown(&seed, 501));
    let found = house.run(&["token", "resync", serial], &two);
    assert!(found.contains("found again") && found.contains("both codes are used up"), "{found}");
    assert!(house.refused(&["token", "resync", serial], &two).contains("no two codes"));
    assert!(house.refused(&["token", "test", serial], &shown(&seed, 500)).contains("used before"));
    house.run(&["token", "assign", serial], "");
    assert!(house.refused(&["token", "resync", serial], &two).contains("assign it first"));

    let json = house.run(&["token", "add", "alice", "T-9", "--output", "json", "--algorithm", "SHA512"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["serial"], &json["person"]), (&"T-9".into(), &"alice".into()));
    let text = house.run(&["token", "add", "alice", "T-8"], "");
    assert!(text.contains('█') && text.contains("anteroom token test T-8") && !text.contains('\u{1b}'), "{text}");
    assert!(house.run(&["token", "add", "alice", "T-7", "--output", "svg"], "").contains("<svg"));
    let everything = [house.run(&["user", "history"], ""), house.run(&["user", "show", "alice"], "")].concat();
    assert!(!everything.contains(secret), "{everything}");
    house.run(&["token", "remove", "T-9"], "");
    assert!(house.refused(&["token", "remove", "T-9"], "").contains("token list"));
}

#[test]
fn tokens_of_a_file_come_by_either_command() {
    let house = House::new();
    house.add("alice");
    let file = house.path("tokens.csv");
    fs::write(&file, format!("upn,serial number,secret key,time interval\nalice,F-1,{SEED},30\n")).unwrap();
    let file = file.to_str().unwrap();
    assert!(house.run(&["token", "import", file, "--dry-run"], "").contains("Nothing was changed"));
    assert!(house.run(&["token", "import", file], "").contains("1 tokens added"));
    assert!(house.run(&["import", "tokens", file], "").contains("1 are known already"));
    assert!(house.run(&["token", "list"], "").contains("F-1"));
    // a store is enough: no configuration is needed
    fs::write(house.path("more.csv"), format!("upn,serial number,secret key,time interval\nalice,F-2,{SEED},30\n"))
        .unwrap();
    let alone = Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .env_remove("ANTEROOM_CONFIG")
        .current_dir(house.folder.path())
        .args(["token", "--store", "people.db", "import", "more.csv"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&alone.stdout).contains("1 tokens added"), "{alone:?}");
    assert!(
        house.run(&["token", "test", "F-2"], &shown(b"12345678901234567890", 0)).contains("would be taken"),
        "one key file"
    );
}

#[test]
fn codes_are_shown_once_and_told_of_without_themselves() {
    let house = House::new();
    house.add("alice");
    let list = house.run(&["user", "codes", "alice", "--output", "codes"], "");
    let codes: Vec<&str> = list.lines().collect();
    assert!(codes.len() == 10 && codes.iter().all(|code| code.len() == 10), "{list}");
    assert_eq!(house.run(&["user", "codes", "alice", "--left"], ""), "alice has 10 backup codes left\n");
    let text = house.run(&["user", "codes", "alice", "--number", "3"], "");
    assert!(
        text.contains("shown this once") && text.lines().filter(|line| line.starts_with("  ")).count() == 3,
        "{text}"
    );
    let json = house.run(&["user", "codes", "alice", "--left", "--output", "json"], "");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["left"], 3);
    assert!(house.try_to(&["user", "code", "alice"], "").status.code() == Some(2), "a reason is wanted");
    assert!(house.refused(&["user", "code", "alice", "--reason", " "], "").contains("--reason"));
    assert!(house.refused(&["user", "code", "alice", "--reason", "x", "--for", "31d"], "").contains("30 days"));
    let given = house.run(&["user", "code", "alice", "--reason", "phone lost", "--uses", "3", "--output", "json"], "");
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    let code = given["codes"][0].as_str().unwrap();
    assert_eq!((code.len(), &given["uses"]), (9, &3.into()));
    let show = house.run(&["user", "show", "alice"], "");
    assert!(show.contains("3 left") && show.contains("phone lost") && show.contains("by cli:ada"), "{show}");
    let history = house.run(&["user", "history", "alice"], "");
    assert!(history.contains("temporary codes made") && history.contains("phone lost"), "{history}");
    let everything = [show, history, house.run(&["user", "data", "alice"], "")].concat();
    assert!(codes.iter().all(|code| !everything.contains(code)) && !everything.contains(code), "{everything}");
    assert!(!everything.contains("$argon2") && !contains(&house.path("people.db"), code.as_bytes()));
    house.run(&["user", "code", "alice", "--withdraw"], "");
    house.run(&["user", "codes", "alice", "--withdraw"], "");
    assert_eq!(house.run(&["user", "codes", "alice", "--left", "--output", "codes"], ""), "0\n");
    // A backup of the store brings them along.
    house.run(&["user", "codes", "alice"], "");
    house.run(&["backup", house.path("saved").to_str().unwrap()], "");
}

#[test]
fn pins_are_made_expired_and_cleared() {
    let house = House::new();
    house.add("alice");
    let made = house.run(&["user", "pin", "alice", "--generate", "--digits", "6"], "");
    let pin = made.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(pin.len() == 6 && pin.bytes().all(|octet| octet.is_ascii_digit()), "{made}");
    assert!(house.run(&["user", "show", "alice"], "").contains("must be changed"));
    assert!(house.refused(&["user", "pin", "alice"], &pin).contains("used before"));
    house.run(&["user", "pin", "alice"], "407193\n");
    assert!(!house.run(&["user", "show", "alice"], "").contains("must be changed"));
    house.run(&["user", "pin", "alice", "--expire"], "");
    assert!(house.run(&["user", "show", "alice"], "").contains("must be changed"));
    house.run(&["user", "pin", "alice", "--clear"], "");
    assert!(house.refused(&["user", "pin", "alice", "--expire"], "").contains("has no PIN"));
    assert!(!house.run(&["user", "history"], "").contains(&pin));
}

#[test]
fn every_command_of_the_page_on_methods_does_what_it_says() {
    const PAGE: &str = include_str!("../../docs/methods.md");
    let house = House::new();
    house.add("alice");
    house.add("bob");
    let token = format!("upn,serial number,secret key,time interval\nbob,F-1,{SEED},60\n");
    fs::write(house.path("vendor.pskc"), token).unwrap();
    fs::write(house.path("vendor.txt"), "passphrase").unwrap();
    let seed = b"12345678901234567890";
    let commands: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("    anteroom ")).collect();
    assert!(commands.len() > 14, "{commands:?}");
    for command in commands {
        let input = match command {
            "token add alice T-0001 --seed -" => format!("{SEED}\n"),
            "token test T-0001" => shown(seed, 0),
            "token resync T-0001" => format!("{}\n{}\n", shown(seed, 3), shown(seed, 4)),
            "user pin alice --must-change" => "407193\n".to_owned(),
            _ => String::new(),
        };
        let words = command.replace("\"phone forgotten\"", "forgotten");
        let words: Vec<String> = words
            .split(' ')
            .map(|word| match word {
                file if file.starts_with("vendor.") => house.path(file).display().to_string(),
                word => word.to_owned(),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        house.run(&words, &input);
    }
}

/// oathtool is an implementation that shares nothing with ours.
#[test]
fn codes_are_those_of_oathtool() {
    if !crate::peers::program("oathtool") {
        return;
    }
    let seed = b"planted-seed-of-oathtool";
    let hex: String = seed.iter().map(|octet| format!("{octet:02x}")).collect();
    let oathtool = |words: &[&str]| {
        let output = Command::new("oathtool").args(words).arg(&hex).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for (word, algorithm) in
        [("--totp=SHA1", Algorithm::Sha1), ("--totp=SHA256", Algorithm::Sha256), ("--totp=SHA512", Algorithm::Sha512)]
    {
        for (digits, period, time) in [(6, 30, 59_u64), (7, 60, 1_234_567_890), (8, 30, 20_000_000_000)] {
            let theirs =
                oathtool(&[word, "-d", &digits.to_string(), "-s", &format!("{period}s"), "--now", &format!("@{time}")]);
            assert_eq!(code(algorithm, seed, time / period, digits), Some(theirs), "{word} {digits} {period} {time}");
        }
    }
    for counter in [0, 7, 4_294_967_296] {
        let theirs = oathtool(&["--hotp", "-d", "6", "-c", &counter.to_string()]);
        assert_eq!(code(Algorithm::Sha1, seed, counter, 6), Some(theirs), "{counter}");
    }
}

#[test]
fn keys_are_rotated_and_a_lost_one_is_named() {
    let house = House::new();
    house.add("alice");
    for serial in ["T-1", "T-2"] {
        house.run(&["user", "token", "add", "alice", serial, "--seed", "-"], SEED);
    }
    assert!(house.run(&["keys", "show"], "").contains("  2 values, seals"));
    // The configuration may be named after the word that says what is wanted, as everywhere.
    let configuration = house.path("anteroom.toml").display().to_string();
    assert!(house.run(&["keys", "show", "--config", &configuration], "").contains("  2 values, seals"));
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
