//! `anteroom import` as its user runs it: what it prints, what it refuses, and that a full disk changes nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::io::Write;
use std::process::{Command, Output};

use crate::import::configuration;
use crate::support::people_directory::{PeopleDirectory, Somebody};

struct World {
    directory: PeopleDirectory,
    folder: tempfile::TempDir,
}

async fn world(people: Vec<Somebody>) -> World {
    let directory = PeopleDirectory::start(people).await;
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(directory.fake.address.port(), "incremental = \"never\"", "");
    std::fs::write(folder.path().join("anteroom.toml"), text).unwrap();
    World { directory, folder }
}

impl World {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.arg("import").arg("--config").arg(self.folder.path().join("anteroom.toml")).args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What it prints when it does what it was asked to.
    async fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// What it complains about when it does not.
    async fn bad(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

fn crowd(count: u32) -> Vec<Somebody> {
    (0..count).map(|n| Somebody::new(&format!("u{n:05}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_an_import_a_stop_and_an_approval() {
    let world = world(crowd(60)).await;
    let look = world.good(&["--dry-run"]).await;
    assert!(look.contains("add        u00000") && look.contains("… and 10 more"), "{look}");
    assert!(
        look.contains("60 read, 0 as they were, 60 would be added") && look.contains("Nothing was changed"),
        "{look}"
    );
    let json = world.good(&["--dry-run", "--json"]).await;
    assert_eq!(json.lines().count(), 61);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last["summary"]["counts"]["added"], 60);
    let done = world.good(&[]).await;
    assert!(done.contains("60 added") && done.contains("Done."), "{done}");
    assert_eq!(world.good(&["--quiet"]).await, "");
    world.directory.set(crowd(50));
    let held = world.bad(&[]).await;
    assert!(held.contains("NOTHING was changed: 10 people would be disabled or removed, more than 5"), "{held}");
    assert!(held.contains("10 would be disabled"), "{held}");
    let status = world.good(&["status"]).await;
    assert!(status.contains("waits for `anteroom import approve`") && status.contains("  u00057"), "{status}");
    assert!(status.contains("held") && status.contains("10 would be disabled"), "{status}");
    assert!(world.good(&["approve"]).await.contains("10 people"));
    assert!(world.good(&[]).await.contains("10 disabled"));
    assert!(world.bad(&["approve"]).await.contains("no plan waits"));
    let status: serde_json::Value = serde_json::from_str(&world.good(&["status", "--json"]).await).unwrap();
    assert_eq!(status["runs"][0]["result"], "done");
    assert!(world.bad(&["--item", "nobody"]).await.contains("no [[import.item]] named \"nobody\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_changes_nothing() {
    let world = world(crowd(20)).await;
    world.good(&["--full"]).await;
    world.directory.set(crowd(6000));
    // A limit on the size of a file is what a full disk is to a database.
    let command = format!(
        "trap '' XFSZ; ulimit -f 1500; exec {} import --config {} --full",
        env!("CARGO_BIN_EXE_anteroom"),
        world.folder.path().join("anteroom.toml").display()
    );
    let output = tokio::task::spawn_blocking(move || Command::new("bash").args(["-c", &command]).output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("user store cannot be used") && said.contains("nothing was changed"), "{said}");
    let status = world.good(&["--dry-run", "--json", "--full"]).await;
    let last: serde_json::Value = serde_json::from_str(status.lines().last().unwrap()).unwrap();
    assert_eq!(last["summary"]["counts"]["unchanged"], 20);
    assert_eq!(last["summary"]["counts"]["added"], 5980);
}

/// A command that may mount what nobody else sees, as root or in a user namespace; nothing where neither is allowed.
fn mounting() -> Option<Command> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    ways.into_iter().find_map(|way| {
        let tried = Command::new("unshare").args(way).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        tried.is_ok_and(|tried| tried.status.success()).then(|| {
            let mut command = Command::new("unshare");
            command.args(way);
            command
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_really_full_changes_nothing() {
    let Some(mut command) = mounting() else {
        // No package brings the right to mount: `a_full_disk_changes_nothing` shows the same without one.
        let told =
            b"NOT TESTED: a disk that is really full: nothing can be mounted here, as root or in a user namespace.\n";
        std::io::stderr().write_all(told).unwrap();
        return;
    };
    let world = world(crowd(6000)).await;
    let people = world.file("people.csv", "unique_id,name\nid-here,here\n");
    let folder = world.folder.path().display();
    let script = format!(
        "set -eu; import() {{ {} import --config {folder}/disk/anteroom.toml \"$@\"; }}
         mkdir {folder}/disk; mount -t tmpfs -o size=3m none {folder}/disk; cp {folder}/anteroom.toml {folder}/disk
         import csv {people}; import --full 2>{folder}/said && exit 3
         mount -o remount,size=64m {folder}/disk
         # without room even the right to import may not have been given back: then it runs out by itself
         for try in $(seq 90); do import --dry-run --json --full >{folder}/left && break; sleep 1; done
         import --full; import --full",
        env!("CARGO_BIN_EXE_anteroom")
    );
    command.args(["bash", "-c", &script]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(world.folder.path().join(name)).unwrap_or_default();
    assert!(output.status.success(), "{printed}{}", read("said"));
    assert!(read("said").contains("disk is full") && read("said").contains("nothing was changed"), "{}", read("said"));
    let left: serde_json::Value = serde_json::from_str(read("left").lines().last().unwrap()).unwrap();
    assert_eq!(left["summary"]["counts"]["added"], 6000, "{left}");
    assert!(printed.contains("6000 added") && printed.contains("6000 as they were"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_file_come_when_every_line_is_good() {
    let world = world(Vec::new()).await;
    let text =
        "unique_id,name,email,phone\nid-1,alice,a@corp.example,(202) 555-0111 x7\nid-2,bob,b@corp.example,\n,carol,,\n";
    let file = world.file("people.csv", text);
    let refused = world.bad(&["csv", &file]).await;
    assert!(refused.contains("line 4") && refused.contains("nothing was changed"), "{refused}");
    let look = world.good(&["csv", &file, "--skip-bad", "--dry-run"]).await;
    assert!(look.contains("add        alice") && look.contains("2 would be added"), "{look}");
    assert!(world.good(&["csv", &file, "--skip-bad"]).await.contains("2 added"));
    let file = world.file("change.csv", "name,phone\nalice,+41 44 668 18 00\nbob,\n");
    let changed = world.good(&["csv", &file]).await;
    assert!(changed.contains("1 as they were, 1 changed"), "{changed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_with_their_owners_and_are_known_the_next_time() {
    let world = world(Vec::new()).await;
    let people = world.file("people.csv", "unique_id,name,upn\nid-1,alice,alice@corp.example\n");
    world.good(&["csv", &people]).await;
    let good = "upn,serial number,secret key,time interval,manufacturer,model\n\
                alice@corp.example,1234567,JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP,30,Contoso,HardwareKey\n\
                ,7654321,JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXQ,60,,\n";
    let with_stranger = format!("{good}nobody@corp.example,3,JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXA,30,,\n");
    let refused = world.bad(&["tokens", &world.file("bad.csv", &with_stranger)]).await;
    assert!(refused.contains("line 4: nobody is enrolled as nobody@corp.example"), "{refused}");
    assert!(!refused.contains("JBSWY3DP"), "{refused}");
    let file = world.file("tokens.csv", good);
    let done = world.good(&["tokens", &file]).await;
    assert!(done.contains("2 tokens added, 1 of them without an owner"), "{done}");
    assert!(world.good(&["tokens", &file]).await.contains("0 tokens added"));
}
