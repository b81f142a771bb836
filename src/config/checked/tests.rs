//! Each kind of mistake, beside a file in which all is well.

use super::*;

const MINIMAL: &str = include_str!("../../../conf/minimal.toml");

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in
        [("vpn.secret", "a-long-enough-secret\n"), ("bind.secret", "bind-password"), ("cloud.key", &"k".repeat(32))]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn read_in(folder: &FilePath, text: &str) -> Result<Checked, Mistakes> {
    let none = Environment::default();
    read(text, &folder.join("anteroom.toml"), &none, &none, SystemTime::UNIX_EPOCH)
}

#[test]
fn minimal_sample_is_fine() {
    let folder = folder();
    let checked = read_in(folder.path(), MINIMAL).unwrap();
    assert_eq!(checked.config.radius.clients[0].secret.open(), b"a-long-enough-secret");
    assert_eq!(checked.config.radius.clients[0].client.target, "corp");
}
