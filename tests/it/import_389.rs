//! Imports from a real 389 Directory Server with its preset: who is read, who is disabled, groups within groups, and
//! what has changed by modifyTimestamp.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::io::Write;
use std::process::{Command, Stdio};

use anteroom::import::mark::{Pass, Why};

use crate::import_peers::{World, is_changes};
use crate::peers::script::Script;
use crate::peers::{missing, peer_file};

const BASE: &str = "dc=ds,dc=example,dc=test";

/// The server, for as long as this value lives.
struct Directory {
    port: u16,
    _script: Script,
    _folder: tempfile::TempDir,
}

impl Directory {
    fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("ds");
        match Script::start(Command::new(peer_file("ds389.sh")).arg(place).arg(port.to_string())) {
            Ok(script) => Some(Directory { port, _script: script, _folder: folder }),
            Err(why) => {
                missing("389 Directory Server", &why);
                None
            }
        }
    }

    fn change(&self, ldif: &str) {
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.port)])
            .args(["-D", "cn=Directory Manager", "-w", "Adm1n-Passw0rd!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "the server refused:\n{ldif}");
    }

    async fn world(&self, item: &str) -> World {
        let target = format!(
            "type = \"ldap\"\nservers = \"ldap://127.0.0.1:{}\"\nplaintext = true\nbase = \"{BASE}\"\n\
             bind_name = \"uid=svc-proxy,ou=services,{BASE}\"\nbind_password = \"Pr0xy-Passw0rd!\"",
            self.port
        );
        World::new(&target, &format!("[[import.item]]\nname = \"staff\"\npreset = \"389\"\n{item}")).await
    }
}

fn person(uid: &str, cn: &str, parent: &str, more: &str) -> String {
    format!(
        "dn: cn={cn},{parent}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {uid}\ngivenName: Given\n\
         sn: Last-{uid}\nmail: {uid}@ds.example.test\nmobile: +1 202 555 0111\n{more}\n"
    )
}

fn names(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_389_directory_is_read_and_followed_by_the_time_of_change() {
    let Some(directory) = Directory::start() else { return };
    let people = format!("ou=people,{BASE}");
    let inner = format!("ou=inner,{people}");
    let unix = format!(
        "dn: uid=unix,{people}\nchangetype: add\nobjectClass: account\nobjectClass: posixAccount\nuid: unix\n\
         cn: Unix\nuidNumber: 7\ngidNumber: 7\nhomeDirectory: /nowhere\n\n"
    );
    directory.change(
        &[
            person("anna", "Anna", &people, "preferredLanguage: fr\n"),
            person("joerg", "Müller\\, Jörg", &people, ""),
            person("off", "Off", &people, "nsAccountLock: true\n"),
            person("deep", "Deep", &inner, ""),
            person("gone", "Gone", &inner, ""),
            unix,
        ]
        .concat(),
    );
    let world = directory.world(&format!("ou = \"{people}\"")).await;
    let first = world.pass().await;
    assert_eq!((first.counts.read, first.counts.conflicts), (6, 0), "{first:?}");
    assert_eq!(world.enabled().await, names(&["anna", "joerg", "deep", "gone", "unix"]));
    let anna = world.named("anna").await;
    assert_eq!(anna.person.language.as_str(), "fr");
    assert_eq!(anna.person.phone.as_deref(), Some("+12025550111"));
    // An nsUniqueId: four times eight digits, and not the entryUUID.
    let id = &anna.person.unique_id;
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 8, 8, 8], "{id}");
    let dn = world.named("joerg").await.person.dn.unwrap();
    assert!(dn.contains("Jörg") && dn.to_lowercase().ends_with(&people), "{dn}");

    // Nobody changes, then somebody does: an address, a name, a place, and an account that is locked.
    let nothing = world.pass().await;
    assert!(is_changes(&nothing) && nothing.counts.is_empty(), "{nothing:?}");
    directory.change(&format!(
        "dn: cn=Anna,{people}\nchangetype: modify\nreplace: mail\nmail: new@ds.example.test\n\n\
         dn: cn=Müller\\, Jörg,{people}\nchangetype: modify\nreplace: nsAccountLock\nnsAccountLock: true\n\n\
         dn: cn=Deep,{inner}\nchangetype: modify\nreplace: uid\nuid: renamed\n\n\
         dn: cn=Deep,{inner}\nchangetype: modrdn\nnewrdn: cn=Moved\ndeleteoldrdn: 1\nnewsuperior: {people}\n\n\
         dn: cn=Gone,{inner}\nchangetype: delete\n\n"
    ));
    let changed = world.pass().await;
    assert!(is_changes(&changed), "{changed:?}");
    assert_eq!((changed.counts.changed, changed.counts.disabled), (2, 1), "{changed:?}");
    assert_eq!(world.named("anna").await.person.email.as_deref(), Some("new@ds.example.test"));
    assert_eq!(world.named("anna").await.person.unique_id, *id);
    assert_eq!(world.named("renamed").await.person.dn.as_deref(), Some(format!("cn=Moved,{people}").as_str()));
    assert_eq!(world.enabled().await, names(&["anna", "gone", "renamed", "unix"]));
    // Deletions are not among the changes: a full pass misses whoever was deleted.
    let full = world.full().await;
    assert_eq!((full.counts.disabled, full.counts.changed), (1, 0), "{full:?}");
    assert_eq!(world.enabled().await, names(&["anna", "renamed", "unix"]));
    assert!(world.full().await.counts.is_empty());

    // Groups of two kinds within each other, in a ring.
    directory.change(&format!(
        "dn: cn=outer,ou=groups,{BASE}\nchangetype: add\nobjectClass: groupOfNames\nmember: cn=Anna,{people}\n\
         member: cn=inner,ou=groups,{BASE}\n\n\
         dn: cn=inner,ou=groups,{BASE}\nchangetype: add\nobjectClass: groupOfUniqueNames\n\
         uniqueMember: cn=Moved,{people}\nuniqueMember: cn=outer,ou=groups,{BASE}\n\n"
    ));
    let team = directory.world("group = \"outer\"").await;
    assert_eq!(team.full().await.counts.added, 2);
    assert_eq!(team.enabled().await, names(&["anna", "renamed"]));
    directory.change(&format!("dn: cn=inner,ou=groups,{BASE}\nchangetype: delete\n\n"));
    let left = team.pass().await;
    assert_eq!((left.passes[0].1.clone(), left.counts.disabled), (Pass::Full(Why::Structure), 1), "{left:?}");
    assert_eq!(team.enabled().await, names(&["anna"]));
}
