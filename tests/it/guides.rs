//! What the guides show for `anteroom.toml` is accepted as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The rest of a configuration, for one client.
const REST: &str = r#"
[radius]
listen = "127.0.0.1:1812"
[ldap]
listen = "127.0.0.1:3389"
listen_tls = "127.0.0.1:6636"
certificate = "door.pem"
certificate_key = "door.key"
[target.corp]
servers = "ldaps://dc1.corp.example.com"
base = "DC=corp,DC=example,DC=com"
bind_name = "svc-anteroom@corp.example.com"
bind_password_file = "bind.secret"
[provider.cloud]
url = "https://prompt.example.com"
key_id = "anteroom-1"
key_file = "cloud.key"
"#;

/// What an RD Gateway's client needs besides.
const GATEWAY: &str = r#"
[target.gateway]
type = "none"
directory = "corp"
[[target.gateway.policy]]
name = "everybody"
"#;

/// The indented or fenced blocks of a page that hold a client, without their indentation.
fn clients(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = vec![String::new()];
    for line in page.lines() {
        // a client's section goes on across the blank lines within its block
        let inside = line.strip_prefix("    ").or((line.is_empty()).then_some(""));
        match (inside, blocks.last_mut()) {
            (Some(line), Some(block)) => *block = format!("{block}{line}\n"),
            _ => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| block.contains(".client]]"));
    blocks
}

#[test]
fn every_client_that_a_guide_shows_is_a_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let made = rcgen::generate_simple_self_signed(vec!["anteroom.corp.example.com".to_owned()]).unwrap();
    file("door.pem", &made.cert.pem());
    file("door.key", &made.signing_key.serialize_pem());
    file("bind.secret", "the password of the account");
    file("cloud.key", "a key of thirty-two octets or more, certainly");
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/guides");
    let (mut shown, mut profiles) = (0, BTreeSet::new());
    for entry in fs::read_dir(guides).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        for client in clients(&page) {
            for secret in client.lines().filter_map(|line| line.strip_prefix("secret_file = \"")) {
                file(secret.split('"').next().unwrap(), "a shared secret of the test, long enough");
            }
            let gateway = if client.contains("rd-gateway") { GATEWAY } else { "" };
            let configuration = file("anteroom.toml", &format!("[server]\nstore = \"a.db\"\n{client}{REST}{gateway}"));
            let check = Command::new(env!("CARGO_BIN_EXE_anteroom"))
                .args(["check", "--offline", "--config"])
                .arg(configuration)
                .env_remove("ANTEROOM_CONFIG")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
            assert_eq!(check.status.code(), Some(0), "{}:\n{client}\n{said}", path.display());
            // and what its profile has done is told
            if let Some(profile) = client.lines().find_map(|line| line.strip_prefix("profile = \"")) {
                let word = profile.split('"').next().unwrap();
                assert!(said.contains(&format!("  profile {word} (")), "{}:\n{said}", path.display());
                assert_eq!(path.file_stem().unwrap().to_str(), Some(word), "the guide of another profile");
                profiles.insert(word.to_owned());
            }
            shown += 1;
        }
    }
    assert_eq!(profiles.len(), anteroom::config::profile::PROFILES.len(), "a profile has no guide with a section");
    assert!(shown >= 15, "only {shown} guides show a client");
}
