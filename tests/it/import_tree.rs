//! Imports from directories that do what no peer of ours does: lists of members in ranges, members in other domains,
//! pointers to other servers, groups that are deleted without a trace, another server, a restored backup, and 389
//! Directory Server's own attributes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::collections::BTreeSet;
use std::sync::Arc;

use anteroom::import::mark::{Pass, Why};
use anteroom::import::pass::{Ask, ImportError, Importer, Outcome};
use anteroom::import::progress::Progress;
use anteroom::users::roster::Roster;
use anteroom::users::sqlite::SqliteStore;

use crate::import::ready;
use crate::support::tree_directory::{Tree, TreeDirectory};

const TOP: &str = r#"
[server]
name = "node"
store = "store.db"
[radius]
[[radius.client]]
name = "vpn"
address = "192.0.2.1"
secret = "0123456789abcdef"
target = "one"
provider = "cloud"
[provider.cloud]
type = "native"
url = "https://cloud.example"
key_id = "k"
key = "0123456789abcdef0123456789abcdef"
"#;

/// The unique id as a text, so that a test can read it.
const IDS: &str = "[import.item.attributes]\nunique_id = \"employeeID\"\nuser_name = [\"sAMAccountName\"]\n";

fn target(name: &str, kind: &str, ports: &[u16]) -> String {
    let servers: Vec<String> = ports.iter().map(|port| format!("\"ldap://127.0.0.1:{port}\"")).collect();
    format!(
        "[target.{name}]\ntype = \"{kind}\"\nservers = [{}]\nplaintext = true\nbase = \"dc={name}\"\n\
         bind_name = \"cn=service\"\nbind_password = \"service-password\"\nconnect_timeout = \"2s\"\n",
        servers.join(", ")
    )
}

struct World {
    importer: Importer,
    store: Arc<SqliteStore>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(targets: &str, items: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{TOP}{targets}[import]\nstop_above = 999\n{items}");
        let (importer, store) = ready(&text, folder.path()).await;
        World { importer, store, _folder: folder }
    }

    async fn try_pass(&self) -> Result<Outcome, ImportError> {
        self.importer.run(&Ask::default(), &Progress::default(), &mut |_| ()).await
    }

    async fn pass(&self) -> Outcome {
        self.try_pass().await.unwrap()
    }

    async fn enabled(&self) -> BTreeSet<String> {
        let all = self.store.profiles("", 10_000).await.unwrap();
        all.into_iter().filter(|one| one.person.enabled).map(|one| one.person.name).collect()
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn why(outcome: &Outcome) -> Option<Why> {
    match outcome.passes[..] {
        [(_, Pass::Full(why))] => Some(why),
        _ => None,
    }
}

/// A domain as a controller shows it, with nobody in it.
fn domain(base: &str) -> Tree {
    let mut tree = Tree::default();
    tree.add("", &[("highestCommittedUSN", "100"), ("dsServiceName", "cn=dsa")]);
    tree.add("cn=dsa", &[("invocationId", "first life"), ("objectClass", "nTDSDSA")]);
    tree.add(base, &[("objectClass", "domain")]);
    tree.add(&format!("ou=people,{base}"), &[("objectClass", "organizationalUnit")]);
    tree
}

fn user(tree: &mut Tree, name: &str, base: &str) -> String {
    let dn = format!("cn={name},ou=people,{base}");
    let id = format!("id-{name}");
    tree.add(&dn, &[("objectClass", "user"), ("objectCategory", "person"), ("employeeID", &id), ("uSNChanged", "50")]);
    tree.add(&dn, &[("sAMAccountName", name)]);
    dn
}

fn group(tree: &mut Tree, name: &str, base: &str, members: &[String]) -> String {
    let dn = format!("cn={name},ou=people,{base}");
    tree.add(&dn, &[("objectClass", "group"), ("objectCategory", "group"), ("groupType", "-2147483646")]);
    tree.add(&dn, &[("sAMAccountName", name), ("uSNChanged", "50")]);
    members.iter().for_each(|member| tree.add(&dn, &[("member", member)]));
    dn
}

#[tokio::test]
async fn members_in_other_domains_are_found_in_ranges_and_a_gap_is_an_error() {
    let (mut one, mut two) = (domain("dc=one"), domain("dc=two"));
    let mut members: Vec<String> = (0..10).map(|n| user(&mut one, &format!("own{n}"), "dc=one")).collect();
    members.extend((0..120).map(|n| user(&mut two, &format!("other{n:03}"), "dc=two")));
    members.push("cn=stranger,dc=three".into());
    group(&mut one, "staff", "dc=one", &members);
    one.range = 50;
    let (one, two) = (TreeDirectory::start(one).await, TreeDirectory::start(two).await);
    let targets = target("one", "ad", &[one.port()]) + &target("two", "ad", &[two.port()]);
    let item = format!("[[import.item]]\nname = \"staff\"\ntarget = \"one\"\ngroup = \"staff\"\n{IDS}");
    let world = World::new(&targets, &item).await;
    one.edit(|tree| tree.gap = 1);
    let error = world.try_pass().await.unwrap_err().to_string();
    assert!(error.contains("ranges that do not fit together"), "{error}");
    assert!(world.enabled().await.is_empty());
    one.edit(|tree| tree.gap = 0);
    let all = world.pass().await;
    assert_eq!((all.counts.added, all.counts.conflicts), (130, 0), "{all:?}");
    assert!(all.warnings[0].contains("1 members are in no configured directory"), "{:?}", all.warnings);
    let last = world.store.profile_named("other119").await.unwrap().unwrap();
    assert_eq!(last.person.dn.as_deref(), Some("cn=other119,ou=people,dc=two"));
    assert!(world.pass().await.counts.is_empty());
}

#[tokio::test]
async fn pointers_to_other_servers_are_followed_only_when_asked() {
    let (mut one, mut two) = (domain("dc=one"), domain("dc=two"));
    user(&mut one, "here", "dc=one");
    user(&mut two, "there", "dc=two");
    let (one, two) = (TreeDirectory::start(one).await, TreeDirectory::start(two).await);
    // Each points to the other: nobody is read for ever.
    one.edit(|tree| tree.references = vec![format!("ldap://127.0.0.1:{}/dc=two??sub", two.port())]);
    two.edit(|tree| tree.references = vec![format!("ldap://127.0.0.1:{}/dc=one", one.port())]);
    let targets = target("one", "ad", &[one.port()]);
    for (follow, expected) in [(false, names(["here"])), (true, names(["here", "there"]))] {
        let item = format!(
            "[[import.item]]\nname = \"all\"\nsearch = \"(objectClass=user)\"\nfollow_referrals = {follow}\n{IDS}"
        );
        let world = World::new(&targets, &item).await;
        world.pass().await;
        assert_eq!(world.enabled().await, expected, "follow_referrals = {follow}");
        assert_eq!(two.fake.connections() > 0, follow, "not so much as a connection");
    }
    // A pointer that leads nowhere is an error, not a shorter answer.
    let port = two.port();
    drop(two);
    let item = format!("[[import.item]]\nname = \"all\"\nou = \"ou=people,dc=one\"\nfollow_referrals = true\n{IDS}");
    let world = World::new(&targets, &item).await;
    let error = world.try_pass().await.unwrap_err().to_string();
    assert!(error.contains(&format!("referral ldap://127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_nested_group_that_is_deleted_without_a_trace_is_noticed_at_once() {
    let mut tree = domain("dc=one");
    let (a, b) = (user(&mut tree, "a", "dc=one"), user(&mut tree, "b", "dc=one"));
    let inner = group(&mut tree, "inner", "dc=one", &[b]);
    group(&mut tree, "outer", "dc=one", &[a, inner.clone()]);
    let directory = TreeDirectory::start(tree).await;
    let item = format!("[[import.item]]\nname = \"team\"\ngroup = \"outer\"\n{IDS}");
    let world = World::new(&target("one", "ad", &[directory.port()]), &item).await;
    assert_eq!(why(&world.pass().await), Some(Why::First));
    assert_eq!(world.enabled().await, names(["a", "b"]));
    assert_eq!(why(&world.pass().await), None, "nothing has changed");
    directory.edit(|tree| tree.delete(&inner));
    assert_eq!(why(&world.pass().await), Some(Why::Structure));
    assert_eq!(world.enabled().await, names(["a"]));
    assert_eq!(why(&world.pass().await), None);
    // The group itself: an error, and nobody leaves for it.
    directory.edit(|tree| tree.delete("cn=outer,ou=people,dc=one"));
    let error = world.try_pass().await.unwrap_err().to_string();
    assert!(error.contains("no group \"outer\""), "{error}");
    assert_eq!(world.enabled().await, names(["a"]));
}

#[tokio::test]
async fn another_server_a_restored_backup_and_a_counter_that_went_back_are_read_in_full() {
    let mut tree = domain("dc=one");
    user(&mut tree, "a", "dc=one");
    let (first, second) = (TreeDirectory::start(tree.clone()).await, TreeDirectory::start(tree).await);
    let targets = target("one", "ad", &[first.port(), second.port()]);
    let item = format!("[[import.item]]\nname = \"all\"\nou = \"ou=people,dc=one\"\n{IDS}");
    let world = World::new(&targets, &item).await;
    assert_eq!(why(&world.pass().await), Some(Why::First));
    // What has changed is found by the counter.
    first.edit(|tree| {
        tree.entries.get_mut("").unwrap().insert("highestcommittedusn".into(), vec![b"120".to_vec()]);
        let a = tree.entries.get_mut("cn=a,ou=people,dc=one").unwrap();
        a.insert("usnchanged".into(), vec![b"110".to_vec()]);
        a.insert("mail".into(), vec![b"a@corp.example".to_vec()]);
    });
    let changed = world.pass().await;
    assert_eq!((why(&changed), changed.counts.changed), (None, 1), "{changed:?}");
    let set = |tree: &mut Tree, dn: &str, name: &str, value: &str| {
        tree.entries.get_mut(dn).unwrap().insert(name.into(), vec![value.as_bytes().to_vec()]);
    };
    first.edit(|tree| set(tree, "cn=dsa", "invocationid", "second life"));
    assert_eq!(why(&world.pass().await), Some(Why::OtherDatabase));
    assert_eq!(why(&world.pass().await), None);
    first.edit(|tree| set(tree, "", "highestcommittedusn", "90"));
    assert_eq!(why(&world.pass().await), Some(Why::WentBack));
    assert_eq!(why(&world.pass().await), None);
    drop(first);
    let other = world.pass().await;
    assert_eq!(why(&other), Some(Why::OtherServer));
    assert_eq!(other.counts.changed, 1, "the second server does not know of the change: {other:?}");
    assert_eq!(why(&world.pass().await), None, "and goes on there");
}

#[tokio::test]
async fn people_of_389_are_known_locked_and_followed_by_its_own_attributes() {
    let mut tree = Tree::default();
    tree.add("dc=one", &[("objectClass", "domain")]);
    tree.add("ou=people,dc=one", &[("objectClass", "organizationalUnit")]);
    let mut dns = Vec::new();
    for (name, class) in [("anna", "inetOrgPerson"), ("ben", "posixAccount"), ("carl", "inetOrgPerson")] {
        let dn = format!("uid={name},ou=people,dc=one");
        let id = format!("3E26A9C1-{name}");
        tree.add(&dn, &[("objectClass", class), ("uid", name), ("nsUniqueId", &id)]);
        tree.add(&dn, &[("modifyTimestamp", "20250101000000Z")]);
        dns.push(dn);
    }
    tree.add(&dns[2], &[("nsAccountLock", "TRUE")]);
    let unique = [("objectClass", "groupOfUniqueNames"), ("cn", "team"), ("modifyTimestamp", "20250101000000Z")];
    tree.add("cn=team,dc=one", &unique);
    tree.add("cn=team,dc=one", &[("uniqueMember", &dns[0]), ("uniqueMember", "cn=more,dc=one")]);
    tree.add("cn=more,dc=one", &[("objectClass", "posixGroup"), ("cn", "more"), ("memberUid", "ben")]);
    let directory = TreeDirectory::start(tree).await;
    let targets = target("one", "ldap", &[directory.port()]);
    let world =
        World::new(&targets, "[[import.item]]\nname = \"all\"\nou = \"ou=people,dc=one\"\npreset = \"389\"\n").await;
    let first = world.pass().await;
    assert_eq!((why(&first), first.counts.added), (Some(Why::First), 3));
    assert_eq!(world.enabled().await, names(["anna", "ben"]), "carl is locked");
    assert!(world.store.profile("3e26a9c1-anna").await.unwrap().is_some());
    assert_eq!(why(&world.pass().await), None);
    directory.edit(|tree| {
        let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%SZ").to_string();
        let anna = tree.entries.get_mut("uid=anna,ou=people,dc=one").unwrap();
        anna.insert("modifytimestamp".into(), vec![now.into_bytes()]);
        anna.insert("mail".into(), vec![b"anna@corp.example".to_vec()]);
    });
    let changed = world.pass().await;
    assert_eq!((why(&changed), changed.counts.read, changed.counts.changed), (None, 1, 1), "{changed:?}");
    // Groups of every kind, within each other.
    let items = "[[import.item]]\nname = \"team\"\ngroup = \"team\"\npreset = \"389\"\n";
    let team = World::new(&targets, items).await;
    team.pass().await;
    assert_eq!(team.enabled().await, names(["anna", "ben"]));
}
