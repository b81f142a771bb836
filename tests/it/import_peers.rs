//! Imports from a real Active Directory domain controller (Samba), with the right to DirSync and without it, and
//! from a real OpenLDAP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anteroom::import::mark::{Mark, Pass, Position, Why};
use anteroom::import::pass::{Ask, Event, Importer, Outcome};
use anteroom::import::progress::Progress;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sqlite::SqliteStore;

use crate::import::ready;
use crate::peers::samba::{Alone, BASE, SERVICE_PASSWORD};
use crate::peers::{eventually, missing, peer_file, program};

const SERVICE: (&str, &str) = ("svc-proxy@corp.example.test", SERVICE_PASSWORD);
const ADMINISTRATOR: (&str, &str) = ("administrator@corp.example.test", "Adm1n-Passw0rd!");

pub(crate) fn configuration(target: &str, import: &str) -> String {
    format!(
        r#"
[server]
name = "node"
store = "store.db"
[radius]
[[radius.client]]
name = "vpn"
address = "192.0.2.1"
secret = "0123456789abcdef"
target = "corp"
provider = "cloud"
[provider.cloud]
type = "native"
url = "https://cloud.example"
key_id = "k"
key = "0123456789abcdef0123456789abcdef"
[target.corp]
{target}
[import]
interval = "1h"
stop_above = 999
{import}
"#
    )
}

/// A store, and an importer into it.
pub(crate) struct World {
    importer: Importer,
    store: Arc<SqliteStore>,
    _folder: tempfile::TempDir,
}

impl World {
    /// With the text of `[target.corp]`, and of the import's items.
    pub(crate) async fn new(target: &str, import: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (importer, store) = ready(&configuration(target, import), folder.path()).await;
        World { importer, store, _folder: folder }
    }

    async fn samba(directory: &Alone, (name, password): (&str, &str), items: &str) -> Self {
        let target = format!(
            "type = \"ad\"\nservers = \"ldaps://{}\"\nca_file = \"{}\"\nbase = \"{BASE}\"\nbind_name = \"{name}\"\n\
             bind_password = \"{password}\"\ndomains = \"CORP\"\nconnect_timeout = \"10s\"\ntimeout = \"10s\"",
            directory.address(),
            directory.ca().display()
        );
        World::new(&target, items).await
    }

    /// What a scheduled pass does.
    pub(crate) async fn pass(&self) -> Outcome {
        self.importer.run(&Ask::default(), &Progress::default(), &mut |_| ()).await.unwrap()
    }

    /// A pass that reads everybody.
    pub(crate) async fn full(&self) -> Outcome {
        let ask = Ask { full: true, ..Ask::default() };
        self.importer.run(&ask, &Progress::default(), &mut |_| ()).await.unwrap()
    }

    /// The person of this name.
    pub(crate) async fn named(&self, name: &str) -> Profile {
        self.store.profile_named(name).await.unwrap().unwrap_or_else(|| panic!("nobody is {name}"))
    }

    /// Who takes part, by the shortest name.
    pub(crate) async fn enabled(&self) -> BTreeSet<String> {
        let all = self.store.profiles("", 10_000).await.unwrap();
        let local = |profile: Profile| {
            let name = profile.aliases.into_iter().find(|alias| !alias.contains('\\'));
            name.unwrap_or(profile.person.name)
        };
        all.into_iter().filter(|one| one.person.enabled).map(local).collect()
    }

    /// Where the next pass over the directory would go on.
    async fn position(&self) -> Option<Position> {
        let octets = self.store.import_memory("mark:corp").await.unwrap()?;
        Mark::read(&octets)?.position
    }
}

/// Whether only what has changed was read.
pub(crate) fn is_changes(outcome: &Outcome) -> bool {
    matches!(outcome.passes[..], [(_, Pass::Changes(_))])
}

/// Changes the controller as its administrator.
fn change(directory: &Alone, ldif: &str) {
    let mut child = Command::new("ldapmodify")
        .env("LDAPTLS_CACERT", directory.ca())
        .args(["-x", "-H", &format!("ldaps://{}", directory.address()), "-D", ADMINISTRATOR.0, "-w", ADMINISTRATOR.1])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "the controller refused:\n{ldif}");
}

fn user(cn: &str, sam: &str, upn: &str, parent: &str, control: u32) -> String {
    format!(
        "dn: CN={cn},{parent}\nchangetype: add\nobjectClass: user\nsAMAccountName: {sam}\nuserPrincipalName: {upn}\n\
         givenName: Given\nsn: Last\nmobile: +1 202 555 0111\nuserAccountControl: {control}\n\n"
    )
}

/// A unit with people, groups and a unit in it. Units of two tests have different names.
fn unit(directory: &Alone, name: &str) -> String {
    let top = format!("OU={name},{BASE}");
    let realm = "corp.example.test";
    let mut ldif = format!(
        "dn: {top}\nchangetype: add\nobjectClass: organizationalUnit\n\ndn: OU=Inner,{top}\nchangetype: add\n\
         objectClass: organizationalUnit\n\n"
    );
    for (cn, sam, control) in [("Anna", "a", 544), ("Müller\\, Jörg", "b", 544), ("Off", "off", 546)] {
        ldif += &user(cn, &format!("{name}-{sam}"), &format!("{name}-{sam}@{realm}"), &top, control);
    }
    ldif += &user("Other", &format!("{name}-other"), &format!("{name}-other@partner.example.test"), &top, 544);
    for (group, members) in [
        ("inner", format!("CN=Müller\\, Jörg,{top}")),
        ("outer", format!("CN=Anna,{top}\nmember: CN={name}-inner,{top}")),
    ] {
        ldif += &format!(
            "dn: CN={name}-{group},{top}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}-{group}\n\
             groupType: -2147483646\nmember: {members}\n\n"
        );
    }
    change(directory, &ldif);
    top
}

fn names(unit: &str, names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{unit}-{name}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn active_directory_is_followed_by_its_counter_and_by_dirsync() {
    let Some(directory) = Alone::get() else { return };
    if !program("ldapmodify") {
        return;
    }
    for (unit_name, account, dirsync) in [("usn", SERVICE, false), ("sync", ADMINISTRATOR, true)] {
        let top = unit(&directory, unit_name);
        let items = format!("[[import.item]]\nname = \"staff\"\nou = \"{top}\"");
        let world = World::samba(&directory, account, &items).await;
        let first = world.pass().await;
        assert_eq!(first.passes[0].1, Pass::Full(Why::First));
        assert_eq!((first.counts.read, first.counts.added), (4, 4), "{unit_name}");
        assert_eq!(world.enabled().await, names(unit_name, &["a", "b", "other"]), "the disabled account is disabled");
        let position = world.position().await;
        assert_eq!(matches!(position, Some(Position::DirSync { .. })), dirsync, "{position:?}");
        let joerg = world.named(&format!("CORP\\{unit_name}-b")).await;
        assert_eq!(joerg.person.dn.as_deref(), Some(&*format!("CN=Müller\\, Jörg,{top}")));
        assert_eq!(joerg.person.phone.as_deref(), Some("+12025550111"));

        let nothing = world.pass().await;
        assert!(is_changes(&nothing) && nothing.counts.is_empty(), "{nothing:?}");

        // changed, renamed, moved between units, enabled, new
        let mut ldif = format!("dn: CN=Anna,{top}\nchangetype: modify\nreplace: mail\nmail: anna@new.example\n\n");
        ldif += &format!("dn: CN=Müller\\, Jörg,{top}\nchangetype: modrdn\nnewrdn: CN=Jörg Maier\ndeleteoldrdn: 1\n\n");
        ldif += &format!(
            "dn: CN=Other,{top}\nchangetype: modrdn\nnewrdn: CN=Other\ndeleteoldrdn: 1\nnewsuperior: OU=Inner,{top}\n\n"
        );
        ldif +=
            &format!("dn: CN=Off,{top}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 544\n\n");
        let new = format!("{unit_name}-new");
        ldif += &user("New", &new, &format!("{new}@corp.example.test"), &top, 544);
        change(&directory, &ldif);
        let changed = world.pass().await;
        assert!(is_changes(&changed), "{changed:?}");
        assert_eq!((changed.counts.added, changed.counts.changed, changed.counts.disabled), (1, 4, 0), "{changed:?}");
        assert_eq!(world.named(&format!("{unit_name}-a")).await.person.email.as_deref(), Some("anna@new.example"));
        let moved = world.named(&format!("{unit_name}-other")).await;
        assert_eq!(moved.person.dn.as_deref(), Some(&*format!("CN=Other,OU=Inner,{top}")));
        assert_eq!(moved.person.upn.as_deref(), Some(&*format!("{unit_name}-other@partner.example.test")));
        assert_eq!(world.enabled().await, names(unit_name, &["a", "b", "other", "off", "new"]));

        // moved out of the unit, and deleted
        let out = format!(
            "dn: CN=Anna,{top}\nchangetype: modrdn\nnewrdn: CN={unit_name} Anna\ndeleteoldrdn: 1\n\
             newsuperior: CN=Users,{BASE}\n\ndn: CN=New,{top}\nchangetype: delete\n\n"
        );
        change(&directory, &out);
        let gone = world.pass().await;
        assert!(is_changes(&gone), "{gone:?}");
        assert_eq!(gone.counts.disabled, if dirsync { 2 } else { 1 }, "only DirSync shows deletions: {gone:?}");
        let full = world.full().await;
        assert_eq!(full.counts.disabled, if dirsync { 0 } else { 1 }, "a full pass finds the rest: {full:?}");
        assert_eq!(world.enabled().await, names(unit_name, &["b", "other", "off"]));
        assert!(world.full().await.counts.is_empty());

        // a unit that is renamed changes nobody's entry, and everybody's DN
        change(&directory, &format!("dn: OU=Inner,{top}\nchangetype: modrdn\nnewrdn: OU=Deep\ndeleteoldrdn: 1\n\n"));
        let renamed = world.pass().await;
        assert_eq!(renamed.passes[0].1, Pass::Full(Why::Structure));
        assert_eq!(renamed.counts.changed, 1, "{renamed:?}");

        // a cookie that is lost, and a database that is another one
        let octets = world.store.import_memory("mark:corp").await.unwrap().unwrap();
        let mut mark = Mark::read(&octets).unwrap();
        let expected = if dirsync {
            mark.position = Some(Position::dirsync(b"not a cookie", false));
            Why::Refused
        } else {
            mark.invocation = Some("another life".into());
            Why::OtherDatabase
        };
        let lock = world.store.lock_import("test", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
        world.store.remember_import(&lock, &[("mark:corp".into(), Some(mark.write()))]).await.unwrap();
        world.store.unlock_import(&lock).await.unwrap();
        let lost = world.pass().await;
        assert_eq!(lost.passes[0].1, Pass::Full(expected));
        assert!(lost.counts.is_empty(), "{lost:?}");
        assert!(is_changes(&world.pass().await), "and the pass after goes on from there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_nested_groups_come_and_go_with_their_groups() {
    let Some(directory) = Alone::get() else { return };
    if !program("ldapmodify") {
        return;
    }
    let top = unit(&directory, "grp");
    let items = "[[import.item]]\nname = \"inner\"\ngroup = \"grp-inner\"\nlanguage = \"de\"\nmethod = \"call\"\n\
                 [[import.item]]\nname = \"outer\"\ngroup = \"grp-outer\"\n";
    let world = World::samba(&directory, SERVICE, items).await;
    let first = world.pass().await;
    assert_eq!((first.counts.added, first.counts.again), (2, 1), "{first:?}");
    let (a, b) = (world.named("grp-a").await, world.named("grp-b").await);
    assert_eq!((a.item.as_deref(), b.item.as_deref()), (Some("outer"), Some("inner")), "the first item wins");
    assert_eq!((b.person.language.as_str(), b.person.method.word()), ("de", "call"));
    change(
        &directory,
        &format!(
            "dn: CN=grp-inner,{top}\nchangetype: modify\ndelete: member\nmember: CN=Müller\\, Jörg,{top}\n\
                  -\nadd: member\nmember: CN=Other,{top}\n\n"
        ),
    );
    let changed = world.pass().await;
    assert_eq!(changed.passes[0].1, Pass::Full(Why::Structure));
    assert_eq!((changed.counts.added, changed.counts.disabled), (1, 1), "{changed:?}");
    assert_eq!(world.enabled().await, names("grp", &["a", "other"]));
    // An item by search and one by names; the whole fixture with its odd names.
    let items = format!(
        "[[import.item]]\nname = \"lab\"\nou = \"OU=People,OU=Lab,{BASE}\"\n\
         [[import.item]]\nname = \"search\"\nsearch = \"(sAMAccountName=grp-o*)\"\n\
         [[import.item]]\nname = \"names\"\npeople = [\"CORP\\\\grp-a\", \"grp-b@corp.example.test\", \"CN=Off,{top}\"]\n"
    );
    let world = World::samba(&directory, SERVICE, &items).await;
    let all = world.full().await;
    assert_eq!(all.counts.conflicts, 0, "{all:?}");
    for name in ["müller", "李", "li", "weird", "smith", "o'brien", "noupn", "nomail", "dave@partner.example.test"] {
        if name != "李" {
            world.named(name).await;
        }
    }
    assert_eq!(world.named("li").await.person.last_name.as_deref(), Some("李"));
    assert_eq!(world.named("bob").await.person.phone_extension.as_deref(), Some("17"));
    assert_eq!(world.named("carol").await.person.phone.as_deref(), Some("0044 20 7946 0103"), "no country to guess");
    for (name, item) in [("grp-other", "search"), ("grp-off", "search"), ("grp-a", "names"), ("grp-b", "names")] {
        assert_eq!(world.named(name).await.item.as_deref(), Some(item), "{name}");
    }
    assert!(world.store.profile_named("wks01$").await.unwrap().is_none(), "a computer is nobody");
    assert!(world.full().await.counts.is_empty());
}

/// OpenLDAP, for as long as this value lives.
pub(crate) struct Slapd {
    child: Child,
    pub(crate) port: u16,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Slapd {
    pub(crate) fn start(people: u32) -> Option<Self> {
        if !program("slapd") || !program("ldapmodify") {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("anteroom-people-{}-{number}", std::process::id()));
        let mut child = Command::new(peer_file("slapd-people.sh"))
            .arg(&folder)
            .args([port.to_string(), people.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.trim() != "ready" {
            let _ = child.wait();
            missing("OpenLDAP", "slapd-people.sh said why above");
            return None;
        }
        Some(Slapd { child, port })
    }

    pub(crate) fn change(&self, ldif: &str) {
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.port)])
            .args(["-D", "cn=admin,dc=scale,dc=example,dc=test", "-w", SERVICE_PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "slapd refused:\n{ldif}");
    }

    async fn world(&self, items: &str) -> World {
        World::new(&target(self.port, "svc-proxy"), items).await
    }
}

/// The lines of `[target.corp]` for the OpenLDAP at this port, read by one of its service accounts.
pub(crate) fn target(port: u16, account: &str) -> String {
    format!(
        "type = \"ldap\"\nservers = \"ldap://127.0.0.1:{port}\"\nplaintext = true\nbase = \"dc=scale,dc=example,dc=test\"\n\
         bind_name = \"cn={account},ou=services,dc=scale,dc=example,dc=test\"\nbind_password = \"{SERVICE_PASSWORD}\""
    )
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openldap_is_read_in_pages_and_followed_by_the_time_of_change() {
    let Some(slapd) = Slapd::start(2500) else { return };
    let base = "dc=scale,dc=example,dc=test";
    let world = slapd.world(&format!("[[import.item]]\nname = \"staff\"\nou = \"ou=people,{base}\"")).await;
    let first = world.pass().await;
    assert_eq!((first.counts.read, first.counts.added, first.counts.conflicts), (2500, 2500, 0));
    assert_eq!(world.named("u000007").await.person.last_name.as_deref(), Some("Šimek"));
    let nothing = world.pass().await;
    assert!(is_changes(&nothing) && nothing.counts.is_empty(), "{nothing:?}");
    slapd.change(&format!(
        "dn: uid=u000003,ou=people,{base}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n\
         dn: uid=u000004,ou=people,{base}\nchangetype: delete\n\n\
         dn: uid=u000005,ou=people,{base}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n\n"
    ));
    let changed = world.pass().await;
    assert!(is_changes(&changed), "{changed:?}");
    assert_eq!(changed.counts.changed, 2, "{changed:?}");
    assert_eq!(world.named("renamed").await.person.email.as_deref(), Some("u000005@example.test"));
    // A unit that has just changed makes one pass a full one, although the next ones look some minutes back as well.
    slapd
        .change(&format!("dn: ou=people,{base}\nchangetype: modify\nreplace: description\ndescription: all of us\n\n"));
    let structure = world.pass().await;
    assert_eq!(structure.passes.first().unwrap().1, Pass::Full(Why::Structure));
    assert_eq!(structure.counts.disabled, 1, "whoever was deleted is missed by a full pass");
    let next = world.pass().await;
    assert!(is_changes(&next) && next.counts.is_empty(), "{next:?}");
    let next = world.pass().await;
    assert!(is_changes(&next), "{next:?}");
    slapd.change(&format!("dn: ou=people,{base}\nchangetype: modify\nreplace: description\ndescription: again\n\n"));
    assert!(!is_changes(&world.pass().await), "another change of the same unit");
    let full = world.full().await;
    assert_eq!((full.counts.disabled, full.counts.changed), (0, 0), "{full:?}");
    assert!(world.full().await.counts.is_empty());
    // Groups within each other in a ring, and a member that is gone.
    let world = slapd.world("[[import.item]]\nname = \"team\"\ngroup = \"outer\"").await;
    assert_eq!(world.full().await.counts.added, 2);
    assert_eq!(world.enabled().await, ["u000000", "u000001"].map(str::to_owned).into());
    let flat = slapd.world("[[import.item]]\nname = \"team\"\ngroup = \"outer\"\nnested = false").await;
    assert_eq!(flat.full().await.counts.added, 1);
    // Nothing tells that a group is gone but that it is not there.
    assert!(is_changes(&world.pass().await));
    slapd.change(&format!("dn: cn=inner,ou=groups,{base}\nchangetype: delete\n\n"));
    let gone = world.pass().await;
    assert_eq!((gone.passes[0].1.clone(), gone.counts.disabled), (Pass::Full(Why::Structure), 1), "{gone:?}");
    assert_eq!(world.enabled().await, ["u000000"].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_looks_on_at_a_first_import_is_told_how_many_there_will_be() {
    let Some(slapd) = Slapd::start(1500) else { return };
    let base = "dc=scale,dc=example,dc=test";
    let staff = format!("[[import.item]]\nname = \"staff\"\nou = \"ou=people,{base}\"");
    let world = slapd.world(&staff).await;
    let progress = Progress::default();
    progress.watch();
    let mut known = None;
    let ask = Ask { full: true, ..Ask::default() };
    // Reading waits for whoever decides: so the count, which is a task of its own, comes first.
    let mut waiting = |_: &Event<'_>| {
        let counted = || Some(progress.expected()).filter(|expected| *expected > 0);
        known.get_or_insert_with(|| eventually("the count of a first import", counted));
    };
    assert_eq!(world.importer.run(&ask, &progress, &mut waiting).await.unwrap().counts.added, 1500);
    assert_eq!(known, Some(1500));
    // Where nobody looks on the directory is not asked; nor where it would have to look for members first.
    for (items, watched) in [(staff, false), ("[[import.item]]\nname = \"team\"\ngroup = \"outer\"".to_owned(), true)] {
        let world = slapd.world(&items).await;
        let progress = Progress::default();
        if watched {
            progress.watch();
        }
        world.importer.run(&ask, &progress, &mut |_| ()).await.unwrap();
        assert_eq!(progress.expected(), 0, "{items}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_holds_for_the_next_pass_whatever_that_would_have_read() {
    let Some(slapd) = Slapd::start(30) else { return };
    let base = "dc=scale,dc=example,dc=test";
    let item = format!("[[import.item]]\nname = \"staff\"\nou = \"ou=people,{base}\"");
    let text = configuration(&target(slapd.port, "svc-proxy"), &item).replace("stop_above = 999", "stop_above = 5");
    let folder = tempfile::tempdir().unwrap();
    let (importer, store) = ready(&text, folder.path()).await;
    let world = World { importer, store, _folder: folder };
    assert_eq!(world.pass().await.counts.added, 30);
    let gone: String = (0..8).map(|n| format!("dn: uid=u{n:06},ou=people,{base}\nchangetype: delete\n\n")).collect();
    slapd.change(&gone);
    // OpenLDAP does not tell of deletions: only a full pass misses them, and waits.
    let held = world.full().await;
    assert!(held.held.is_some() && world.enabled().await.len() == 30, "{held:?}");
    let changes = world.pass().await;
    assert!(is_changes(&changes) && changes.held.is_none(), "others do not wait: {changes:?}");
    assert_eq!(world.store.held_plans().await.unwrap().len(), 1, "what only changes were read for settles nothing");
    // Whoever looks before they approve sees what they approve.
    let look = Ask { dry_run: true, ..Ask::default() };
    let look = world.importer.run(&look, &Progress::default(), &mut |_| ()).await.unwrap();
    assert_eq!((look.counts.disabled, look.held.is_some()), (8, true), "{look:?}");
    assert!(world.store.approve_plan("all", "cli:root").await.unwrap());
    let done = world.pass().await;
    assert_eq!((done.counts.disabled, done.held.is_none(), is_changes(&done)), (8, true, false), "{done:?}");
    assert_eq!(world.enabled().await.len(), 22);
    assert!(world.store.held_plans().await.unwrap().is_empty());
    assert!(is_changes(&world.pass().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_to_nobody_are_told() {
    let Some(slapd) = Slapd::start(30) else { return };
    let base = "dc=scale,dc=example,dc=test";
    let people = format!("people = [\"u000001\", \"nobody-here\", \"uid=gone,ou=people,{base}\", \"u000002\"]");
    let world = slapd.world(&format!("[[import.item]]\nname = \"chosen\"\n{people}")).await;
    let done = world.full().await;
    assert_eq!(done.counts.added, 2, "{done:?}");
    let [warning] = &done.warnings[..] else { panic!("{:?}", done.warnings) };
    let nobody = format!("nobody called nobody-here, uid=gone,ou=people,{base};");
    assert!(warning.contains("\"chosen\"") && warning.contains(&nobody), "{warning}");
    let world = slapd.world("[[import.item]]\nname = \"chosen\"\npeople = [\"u000001\", \"U000001\"]").await;
    assert_eq!(world.full().await.warnings, Vec::<String>::new(), "one person by two names");
}
