//! `anteroom test ldap` tells what an application would meet: against a real OpenLDAP server, and against one
//! that says nothing.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::peers::samba::{PASSWORD, SERVICE_PASSWORD};
use crate::peers::slapd::{APPLICATION, BASE, Slapd};

fn ask(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(["test", "ldap"])
        .args(arguments)
        .args(["--password-env", "BIND_PASSWORD", "--timeout", "5"])
        .envs([("BIND_PASSWORD", SERVICE_PASSWORD), ("PERSON_PASSWORD", PASSWORD), ("WRONG", "not the password")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn service_account_finds_the_person_who_then_signs_in() {
    let Some(directory) = Slapd::get() else { return };
    let (ldaps, start_tls) = (format!("ldaps://{}", directory.ldaps()), format!("ldap://{}", directory.ldap()));
    let ca = directory.ca().display().to_string();
    for (url, how) in [(&ldaps, "LDAPS"), (&start_tls, "StartTLS")] {
        let common = ["--url", url, "--ca-file", &ca, "--bind-name", APPLICATION, "--base", BASE];
        let with = |more: &[&str]| ask(&[&common[..], more].concat());
        let (code, said) = with(&["--user", "alice", "--user-password-env", "PERSON_PASSWORD"]);
        assert_eq!(code, Some(0), "{said}");
        let steps: Vec<_> = said.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(steps.len(), 4, "{said}");
        assert!(steps[0].starts_with("connect") && steps[0].contains(how), "{said}");
        assert!(steps[3].starts_with("sign in") && steps[3].contains("0 success"), "{said}");
        assert!(said.contains("    uid=alice,ou=people"), "{said}");
        let (code, said) = with(&["--user", "alice", "--user-password-env", "WRONG"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("49 invalidCredentials") && said.contains("hint: wrong password"), "{said}");
        let (code, said) = with(&["--user", "nobody*", "--user-password-env", "PERSON_PASSWORD"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("nobody is called") && !said.contains("sign in"), "{said}");
        let (code, said) = with(&["--filter", "(mail=*@example.test)"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("3 found") && said.contains("    uid=carol"), "{said}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_step() {
    let Some(directory) = Slapd::get() else { return };
    let url = format!("ldaps://{}", directory.ldaps());
    // without the authority nothing is believed
    let (code, said) = ask(&["--url", &url, "--bind-name", APPLICATION]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("connect") && said.contains("TLS failed"), "{said}");
    let ca = directory.ca().display().to_string();
    let (code, said) = ask(&["--url", &url, "--ca-file", &ca, "--bind-name", "cn=nobody", "--base", BASE]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("49 invalidCredentials") && !said.contains("search"), "{said}");
    let (code, said) = ask(&["--url", "ldaps://127.0.0.1:1", "--bind-name", APPLICATION]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no connection"), "{said}");
    let (code, said) = ask(&["--url", "http://127.0.0.1", "--bind-name", APPLICATION]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!said.contains(SERVICE_PASSWORD), "{said}");
}

#[test]
fn silence_ends_with_an_exit_code_of_its_own() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ldaps://{}", silent.local_addr().unwrap());
    let (code, said) = ask(&["--url", &url, "--bind-name", APPLICATION]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no answer") && said.contains("hint: "), "{said}");
}
