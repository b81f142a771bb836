//! People whom one test adds to the real domain, who may be guessed at without spoiling what other tests count on: only
//! that test has the controller meanwhile, and they go with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::samba::{Alone, BASE};

/// What the controller has counted of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// `badPwdCount`.
    pub(crate) bad_passwords: u32,
    /// Whether `lockoutTime` says that the account is locked.
    pub(crate) locked: bool,
}

/// The people, until this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd<'a> {
    directory: &'a Alone,
    pub(crate) names: Vec<String>,
}

/// Their passwords.
pub(crate) fn password(name: &str) -> String {
    format!("Right-Passw0rd-of-{name}!")
}

fn place() -> String {
    format!("OU=Crowd,{BASE}")
}

impl<'a> Crowd<'a> {
    /// Adds so many, `crowd00` and so on.
    pub(crate) fn new(directory: &'a Alone, many: usize) -> Self {
        let names: Vec<String> = (0..many).map(|number| format!("crowd{number:02}")).collect();
        let place = place();
        let mut ldif = format!("dn: {place}\nobjectClass: organizationalUnit\n\n");
        for name in &names {
            let quoted: Vec<u8> = format!("\"{}\"", password(name)).encode_utf16().flat_map(u16::to_le_bytes).collect();
            let quoted = STANDARD.encode(quoted);
            let _ = write!(
                ldif,
                "dn: CN={name},{place}\nobjectClass: user\nsAMAccountName: {name}\n\
                 userPrincipalName: {name}@corp.example.test\nuserAccountControl: 512\nunicodePwd:: {quoted}\n\n"
            );
        }
        directory.administered("ldapadd", &[], &ldif);
        Crowd { directory, names }
    }

    /// What the controller has counted of each.
    pub(crate) fn counted(&self) -> BTreeMap<String, Counted> {
        let arguments = [
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-b",
            &place(),
            "(objectClass=user)",
            "sAMAccountName",
            "badPwdCount",
            "lockoutTime",
        ];
        let text = self.directory.administered("ldapsearch", &arguments, "");
        let entries = text.split("\n\n").filter(|entry| entry.contains("sAMAccountName: "));
        let counted = entries.map(|entry| {
            let value = |name: &str| entry.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            let bad_passwords = value("badPwdCount").map_or(0, |count| count.parse().unwrap());
            let locked = value("lockoutTime").is_some_and(|time| time != "0");
            (value("sAMAccountName").unwrap().to_owned(), Counted { bad_passwords, locked })
        });
        counted.collect()
    }

    /// The domain's own threshold.
    pub(crate) fn threshold(&self) -> u32 {
        let text =
            self.directory.administered("ldapsearch", &["-LLL", "-s", "base", "-b", BASE, "lockoutThreshold"], "");
        text.lines().find_map(|line| line.strip_prefix("lockoutThreshold: ")).unwrap().parse().unwrap()
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.directory.administered("ldapdelete", &["-r", &place()], "");
    }
}
