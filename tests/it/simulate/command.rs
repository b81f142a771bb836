//! `anteroom simulate` as docs/simulate.md shows it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

const PAGE: &str = include_str!("../../../docs/simulate.md");

/// A running command. Ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a simulator on a free port; its address, and the section of the configuration that it prints.
fn start(folder: &Path, arguments: &[&str]) -> (Running, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.current_dir(folder).args(arguments).args(["--port", "0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let text: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let url = text.iter().find_map(|line| line.trim().strip_prefix("http").map(|rest| format!("http{rest}")));
    let url = url.unwrap_or_else(|| panic!("no address in {text:?}"));
    let section = text.iter().skip_while(|line| !line.contains("[provider.")).map(|line| format!("{line}\n"));
    (Running(child), url, section.collect())
}

/// Blocks of the page in one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn every_command_of_the_page_starts_a_simulator_and_prints_a_good_configuration() {
    let commands: Vec<&str> = blocks("sh").into_iter().flat_map(str::lines).collect();
    assert!(commands.len() >= 4, "the page shows no commands");
    let (folder, files, _) = tls_files();
    for (from, to) in [(&files.certificate, "cert.pem"), (&files.key, "key.pem")] {
        let to = folder.path().join(to);
        if *from != to {
            std::fs::copy(from, to).unwrap();
        }
    }
    std::fs::write(folder.path().join("bad-day.toml"), blocks("toml")[0]).unwrap();
    let rest = "[[radius.client]]\nname = \"vpn\"\naddress = \"192.0.2.1\"\nsecret = \"0123456789abcdef0123\"\n\
        [target.corp]\ntype = \"ldap\"\nservers = \"ldaps://ldap.example.test\"\nbase = \"dc=example,dc=test\"\n\
        bind_name = \"cn=x\"\nbind_password = \"y\"\n";
    for command in commands.iter().filter(|command| command.starts_with("anteroom simulate")) {
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.starts_with('#')).collect();
        let (_running, url, section) = start(folder.path(), &arguments);
        assert!(url.starts_with("http"), "{command}: {url}");
        let file = folder.path().join("printed.toml");
        std::fs::write(&file, format!("{rest}{section}")).unwrap();
        let check = Command::new(env!("CARGO_BIN_EXE_anteroom"))
            .args(["check", "--offline", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(check.status.success(), "{command}:\n{section}\n{}", String::from_utf8_lossy(&check.stderr));
    }
}

#[tokio::test]
async fn scenario_file_of_the_page_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad-day.toml"), blocks("toml")[0]).unwrap();
    let (_running, url, _) = start(folder.path(), &["simulate", "privacyidea", "--scenario", "bad-day.toml"]);
    let pairs = [("username", "anteroom"), ("password", "simulated-secret-0123456789abcdef")];
    let first = form(client().post(format!("{url}/auth")), &pairs).send().await.unwrap();
    assert_eq!(first.status().as_u16(), 401, "401 once, as the page says");
    let again = form(client().post(format!("{url}/auth")), &pairs).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 200);
}

#[test]
fn mistakes_are_told_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("odd.toml"), "[everybody]\nanswer = \"perhaps\"\n").unwrap();
    for (arguments, word) in [
        (&["okta", "--scenario", "odd.toml"][..], "perhaps"),
        (&["okta", "--scenario", "missing.toml"], "missing.toml"),
        (&["okta", "--secret-env", "ANTEROOM_TEST_NO_SUCH_VARIABLE"], "ANTEROOM_TEST_NO_SUCH_VARIABLE"),
        (&["okta", "--certificate", "odd.toml", "--key", "odd.toml"], "odd.toml"),
        (&["native", "--certificate", "odd.toml", "--key", "odd.toml"], "odd.toml"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        let output = command.current_dir(folder.path()).arg("simulate").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(word), "{arguments:?}: {said}");
    }
}
