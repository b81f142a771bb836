//! The commands that the README shows, as a reader would type them.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::peers::samba::{Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::server::SHARED_SECRET;
use crate::peers::world::World;

fn anteroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.stdin(Stdio::null()).env_remove("ANTEROOM_CONFIG");
    command
}

/// Ports on loopback that were free just now: one for UDP, two for TCP.
fn free_ports() -> [u16; 3] {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    [udp.local_addr().unwrap().port(), tcp[0].local_addr().unwrap().port(), tcp[1].local_addr().unwrap().port()]
}

#[test]
fn demo_check_runs_every_outcome() {
    let [radius, web, ldap] = free_ports().map(|port| port.to_string());
    let output = anteroom()
        .args(["demo", "--check", "--radius-port", &radius, "--web-port", &web, "--ldap-port", &ldap])
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    for reason in ["approved", "denied", "fraud", "expired", "wrong_password", "not_enrolled"] {
        assert!(table.contains(reason), "the table shows no {reason}:\n{table}");
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split("sign-in   ").nth(1).unwrap().split("```").next().unwrap();
    for line in shown.lines().skip(1).filter(|line| *line != "…") {
        assert!(table.contains(line), "the README shows another table: {line:?}\n{table}");
    }
}

#[test]
fn check_reports_every_mistake_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("anteroom.toml");
    let mistakes = [
        "[[radius.client]]",
        "name = \"vpn\"",
        "address = \"192.0.2.300\"",
        "secret = \"a shared secret of the test\"",
        "answer_within = \"two minutes or so\"",
        "target = \"nowhere\"",
        "[target.corp]",
        "servers = \"ldaps://dc1.example.test\"",
        "base = \"DC=example,DC=test\"",
        "bind_name = \"svc@example.test\"",
        "bind_password = \"the service account's\"",
        "conections = 4",
    ];
    fs::write(&file, mistakes.join("\n")).unwrap();
    let output = anteroom().args(["check", "--offline", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for (line, key) in [(3, "address"), (5, "answer_within"), (6, "target"), (12, "conections")] {
        let place = format!("anteroom.toml:{line}:");
        assert!(said.contains(&place) && said.contains(key), "nothing about {key} in line {line}:\n{said}");
    }
    assert!(said.contains("192.0.2.300") && said.contains("connections"), "neither found nor allowed values:\n{said}");
}

#[test]
fn check_tries_the_connections_that_a_configuration_names() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    let check = |file: &Path| {
        let output = anteroom().args(["check", "--config"]).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let failed: Vec<String> = said.lines().filter(|line| line.starts_with("FAIL")).map(str::to_owned).collect();
        assert_eq!(output.status.code(), Some(i32::from(!failed.is_empty())), "{said}");
        (said, failed)
    };
    let good = world.server.configuration();
    let (said, failed) = check(&good);
    assert!(failed.is_empty(), "{said}");
    for what in [directory.address(), "cloud", "1812"] {
        assert!(said.contains(what), "nothing about {what}:\n{said}");
    }
    // the service account's password is wrong
    let bad = good.with_file_name("bad.toml");
    fs::write(&bad, fs::read_to_string(&good).unwrap().replace(SERVICE_PASSWORD, "not the password of it")).unwrap();
    let (said, failed) = check(&bad);
    assert!(failed.iter().any(|line| line.contains("corp")), "{said}");
    assert!(failed.iter().all(|line| !line.contains("cloud")), "{said}");
    world.relay.cut();
    let (said, failed) = check(&good);
    assert!(failed.iter().any(|line| line.contains("cloud")), "{said}");
}

#[test]
fn check_tells_names_that_the_directory_does_not_know() {
    let Some(directory) = Directory::get() else { return };
    let sections = "[[rule]]\nname = \"leavers\"\nusers = [\"alice\", \"nobody-of-that-name\"]\n\
                    groups = \"cn=leavers,ou=nowhere,dc=corp,dc=example\"\nthen = \"refuse\"\n\
                    [[route]]\nusers = \"ALICE\"\nmethods = \"push\"\n";
    let world = World::new(&directory, "exempt_groups = \"not, a name = \"", sections);
    let output = anteroom().args(["check", "--config"]).arg(world.server.configuration()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let told = |level: &str, what: &str| said.lines().any(|line| line.starts_with(level) && line.contains(what));
    assert!(told("FAIL", "rule leavers  there is no group \"cn=leavers,ou=nowhere"), "{said}");
    assert!(told("FAIL", "exempt_groups  there is no group \"not, a name = \""), "{said}");
    assert!(told("warn", "rule leavers  there is no account \"nobody-of-that-name\""), "{said}");
    assert!(!said.to_lowercase().contains("\"alice\""), "{said}");
}

#[test]
fn built_in_client_is_answered() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    let server = world.server.radius().to_string();
    let ask = |password: &str| {
        anteroom()
            .args(["test", "radius", "--server", &server, "--user", "alice", "--timeout", "15"])
            .args(["--secret-env", "TEST_SECRET", "--password-env", "TEST_PASSWORD"])
            .envs([("TEST_SECRET", SHARED_SECRET), ("TEST_PASSWORD", password)])
            .output()
            .unwrap()
    };
    let accepted = ask(PASSWORD);
    assert_eq!(accepted.status.code(), Some(0), "{accepted:?}");
    let refused = ask("");
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
}
