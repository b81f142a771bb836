//! Real LDAP clients through the LDAP door, in front of OpenLDAP: its own tools, the two LDAP libraries of Python, and
//! Perl's. Each binds a service account, searches, binds people on the same connection and over StartTLS.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::peers::ldap_world::{LdapWorld, active_directory, open_ldap};
use crate::peers::samba::{Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::script::Script;
use crate::peers::slapd::{APPLICATION, BASE, Slapd};
use crate::peers::{missing, peer_file, program};

const PERL: &str = "Net::LDAP";
const ALICE: &str = "uid=alice,ou=people,dc=open,dc=example,dc=test";

fn world(directory: &Slapd) -> LdapWorld {
    let client = format!("service_accounts = [\"{APPLICATION}\"]");
    let world = LdapWorld::new(&open_ldap(directory), &client, "");
    world.enrol(&["alice", "bob"]);
    world
}

/// One of OpenLDAP's tools, over LDAPS or with `-ZZ` for StartTLS.
fn tool(world: &LdapWorld, start_tls: bool, name: &str, who: (&str, &str), arguments: &[&str]) -> Output {
    let mut command = Command::new(name);
    command.env("LDAPTLS_CACERT", world.ca()).env("LDAPTLS_REQCERT", "demand").env("LDAPTIMEOUT", "30");
    if start_tls {
        command.args(["-ZZ", "-H", &format!("ldap://{}", world.ldap())]);
    } else {
        command.args(["-H", &format!("ldaps://{}", world.ldaps())]);
    }
    command.args(["-x", "-D", who.0, "-w", who.1]).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn openldap_tools_work_for_a_service_account_and_for_a_person() {
    let Some(directory) = Slapd::get().filter(|_| program("ldapsearch")) else { return };
    let world = world(directory);
    world.phone.approve_by_itself();
    let folder = tempfile::tempdir().unwrap();
    let ldif = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    for (start_tls, unit) in [(false, "tools-one"), (true, "tools-two")] {
        let service = |name: &str, arguments: &[&str]| {
            let output = tool(&world, start_tls, name, (APPLICATION, SERVICE_PASSWORD), arguments);
            (output.status.code(), said(&output))
        };
        let asked = world.phone.asked();
        let (code, text) = service("ldapsearch", &["-LLL", "-b", BASE, "(uid=alice)", "mail"]);
        assert!(code == Some(0) && text.contains("mail: alice@example.test"), "{text}");
        let (code, text) =
            service("ldapsearch", &["-LLL", "-E", "pr=100/noprompt", "-z", "none", "-b", BASE, "(uid=m0*)", "1.1"]);
        assert!(code == Some(0) && text.matches("dn: uid=m0").count() == 10_000, "{text}");
        let (code, text) = service("ldapwhoami", &[]);
        assert!(code == Some(0) && text.contains(APPLICATION), "{text}");
        let dn = format!("ou={unit},ou=scratch,{BASE}");
        let entry = ldif("add.ldif", format!("dn: {dn}\nobjectClass: organizationalUnit\nou: {unit}\n"));
        let (code, text) = service("ldapadd", &["-f", &entry]);
        assert_eq!(code, Some(0), "{text}");
        let change =
            ldif("modify.ldif", format!("dn: {dn}\nchangetype: modify\nadd: description\ndescription: changed\n"));
        let (code, text) = service("ldapmodify", &["-f", &change]);
        assert_eq!(code, Some(0), "{text}");
        // compareTrue and compareFalse are exit codes
        assert_eq!(service("ldapcompare", &[&dn, "description:changed"]).0, Some(6));
        assert_eq!(service("ldapcompare", &[&dn, "description:other"]).0, Some(5));
        let (code, text) = service("ldapmodrdn", &["-r", &dn, "ou=renamed"]);
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = service("ldapdelete", &[&format!("ou=renamed,ou=scratch,{BASE}")]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(world.phone.asked(), asked, "a service account was prompted");
        let (code, text) = {
            let output = tool(&world, start_tls, "ldapwhoami", (ALICE, PASSWORD), &[]);
            (output.status.code(), said(&output))
        };
        assert!(code == Some(0) && text.contains(ALICE), "{text}");
        assert_eq!(world.phone.asked(), asked + 1, "one bind, one prompt");
        let output = tool(&world, start_tls, "ldapwhoami", (ALICE, "not the password"), &[]);
        assert_eq!(output.status.code(), Some(49), "{}", said(&output));
        assert_eq!(world.phone.asked(), asked + 1, "a prompt for a wrong password");
    }
    let accepted = world.server.all_events(1);
    let of = |name: &str| accepted.iter().filter(|event| event["name"] == name).cloned().collect::<Vec<Value>>();
    assert!(of(APPLICATION).iter().all(|event| event["reason"] == "service_account"), "{accepted:#?}");
    assert!(of(ALICE).iter().any(|event| event["reason"] == "approved"), "{accepted:#?}");
}

#[test]
fn a_name_that_is_nobodys_is_refused_as_a_wrong_password_is_and_an_explained_refusal_always_has_its_reason() {
    let Some(directory) = Slapd::get().filter(|_| program("ldapwhoami")) else { return };
    let client = format!("service_accounts = [\"{APPLICATION}\"]\nexplain_refusals = true");
    let explaining = LdapWorld::new(&open_ldap(directory), &client, "");
    explaining.enrol(&["alice"]);
    let silent = world(directory);
    // a unit, an account that no client names and that has no name of a person, and an entry that is not there
    let names = [format!("ou=people,{BASE}"), format!("cn=svc-proxy,ou=services,{BASE}"), format!("cn=none,{BASE}")];
    for name in &names {
        for (world, text) in [(&silent, None), (&explaining, Some("unknown_user: "))] {
            let output = tool(world, true, "ldapwhoami", (name, SERVICE_PASSWORD), &[]);
            assert_eq!(output.status.code(), Some(49), "{name}: {}", said(&output));
            assert_eq!(said(&output).contains("additional info"), text.is_some(), "{name}: {}", said(&output));
            assert!(said(&output).contains(text.unwrap_or_default()), "{name}: {}", said(&output));
        }
    }
    // OpenLDAP has no words of its own for it
    let output = tool(&explaining, true, "ldapwhoami", (ALICE, "not the password"), &[]);
    assert!(output.status.code() == Some(49) && said(&output).contains("wrong_password: "), "{}", said(&output));
    let output = tool(&silent, true, "ldapwhoami", (ALICE, "not the password"), &[]);
    assert!(output.status.code() == Some(49) && !said(&output).contains("additional info"), "{}", said(&output));
    assert_eq!((explaining.phone.asked(), silent.phone.asked()), (0, 0));
}

#[test]
fn a_person_changes_their_own_password_with_openldap_tools() {
    let Some(directory) = Slapd::get().filter(|_| program("ldappasswd")) else { return };
    let world = world(directory);
    world.enrol(&["carol"]);
    world.phone.approve_by_itself();
    let carol = "uid=carol,ou=people,dc=open,dc=example,dc=test";
    let new = "N3w-Passw0rd-of-C4rol!";
    for (old, new) in [(PASSWORD, new), (new, PASSWORD)] {
        let output = tool(&world, true, "ldappasswd", (carol, old), &["-a", old, "-s", new, carol]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = tool(&world, true, "ldapwhoami", (carol, PASSWORD), &[]);
    assert!(output.status.success(), "{}", said(&output));
}

/// What the library saw.
fn played(library: &str, url: &str, ca: &Path, service: &str, base: &str, filter: &str) -> Value {
    let mut command = if library == PERL {
        let mut perl = Command::new("/usr/bin/perl");
        perl.arg(peer_file("net-ldap.pl"));
        perl
    } else {
        let mut python = Command::new("/usr/bin/python3");
        python.arg(peer_file("ldap-clients.py")).arg(library);
        python
    };
    let output = command.arg(url).arg(ca).args([service, SERVICE_PASSWORD, base, filter, PASSWORD]).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{library} at {url}: {error}: {}", said(&output)))
}

fn python_has(module: &str) -> bool {
    let found = Command::new("/usr/bin/python3").args(["-c", &format!("import {module}")]).output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        missing(module, "/usr/bin/python3 cannot import it");
    }
    there
}

fn converse(world: &LdapWorld, library: &str, service: &str, base: &str, filter: &str, person: &str) {
    world.phone.approve_by_itself();
    for url in [format!("ldaps://{}", world.ldaps()), format!("ldap://{}", world.ldap())] {
        let asked = world.phone.asked();
        let seen = played(library, &url, &world.ca(), service, base, filter);
        for step in ["service", "person", "service_again", "person_first"] {
            assert_eq!(seen[step], 0, "{library}, {url}, {step}: {seen}");
        }
        assert_eq!(seen["wrong_password"], 49, "{library}, {url}: {seen}");
        for found in ["found", "own_entry", "found_again"] {
            let names: Vec<String> = serde_json::from_value(seen[found].clone()).unwrap();
            assert!(names.len() == 1 && names[0].eq_ignore_ascii_case(person), "{library}, {url}, {found}: {seen}");
        }
        assert!(seen["paged"].as_u64().unwrap() >= 3, "{library}, {url}: {seen}");
        assert_eq!(world.phone.asked(), asked + 2, "{library}, {url}: one prompt for each bind of the person");
    }
}

#[test]
fn ldap3_of_python_signs_people_in() {
    let Some(directory) = Slapd::get().filter(|_| python_has("ldap3")) else { return };
    let people = format!("ou=people,{BASE}");
    converse(&world(directory), "ldap3", APPLICATION, &people, "(uid=alice)", ALICE);
}

#[test]
fn python_ldap_signs_people_in() {
    let Some(directory) = Slapd::get().filter(|_| python_has("ldap")) else { return };
    let people = format!("ou=people,{BASE}");
    converse(&world(directory), "python-ldap", APPLICATION, &people, "(uid=alice)", ALICE);
}

#[test]
fn net_ldap_of_perl_signs_people_in() {
    let found = Command::new("/usr/bin/perl").args(["-MNet::LDAP", "-MIO::Socket::SSL", "-e", "1"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        missing(PERL, "/usr/bin/perl cannot load it");
        return;
    }
    let Some(directory) = Slapd::get() else { return };
    let people = format!("ou=people,{BASE}");
    converse(&world(directory), PERL, APPLICATION, &people, "(uid=alice)", ALICE);
}

#[test]
fn both_libraries_of_python_sign_people_of_active_directory_in() {
    let Some(directory) = Directory::get().filter(|_| python_has("ldap") && python_has("ldap3")) else { return };
    let world = LdapWorld::new(&active_directory(&directory), "service_accounts = [\"svc-proxy\"]", "");
    world.enrol(&["bob"]);
    let (service, base) = ("svc-proxy@corp.example.test", "OU=Lab,DC=corp,DC=example,DC=test");
    let bob = "CN=Bob Brown,OU=Engineering,OU=People,OU=Lab,DC=corp,DC=example,DC=test";
    for library in ["ldap3", "python-ldap"] {
        converse(&world, library, service, base, "(sAMAccountName=bob)", bob);
    }
}

/// `GET /` as somebody; the status, and whether the page came.
fn page(server: &str, who: Option<(&str, &str)>) -> (u16, bool) {
    use base64::Engine;
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((server, 8080)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(40))).unwrap();
    let authorization = who.map_or_else(String::new, |(name, password)| {
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        format!("Authorization: Basic {both}\r\n")
    });
    stream
        .write_all(format!("GET / HTTP/1.1\r\nHost: wiki\r\nConnection: close\r\n{authorization}\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(&answer);
    (status, answer.contains("the page behind the sign-in"))
}

#[test]
fn apache_shows_its_page_after_the_approval_and_remembers_it() {
    let Some(directory) = Slapd::get().filter(|_| program("apache2")) else { return };
    let world = world(directory);
    let folder = tempfile::tempdir().unwrap();
    // the child of a root process serves as somebody else, who must read the authority
    std::fs::copy(world.ca(), folder.path().join("ca.pem")).unwrap();
    let address = format!("127.68.{}.{}", std::process::id() >> 8 & 0xff, (std::process::id() & 0xff).clamp(1, 254));
    let url = format!("ldaps://{}/ou=people,{BASE}?uid?sub", world.ldaps());
    let _apache = Script::start(
        Command::new(peer_file("apache-ldap.sh"))
            .arg(folder.path().join("apache"))
            .args([&address, &url])
            .arg(folder.path().join("ca.pem"))
            .args([APPLICATION, SERVICE_PASSWORD]),
    )
    .unwrap();
    assert_eq!(page(&address, None), (401, false));
    assert_eq!(page(&address, Some(("alice", "not the password"))), (401, false));
    assert_eq!(world.phone.asked(), 0);
    let seen = std::thread::scope(|scope| {
        let browser = scope.spawn(|| page(&address, Some(("alice", PASSWORD))));
        let prompt = world.phone.prompt_of("alice");
        world.phone.approve(&prompt);
        browser.join().unwrap()
    });
    assert_eq!(seen, (200, true));
    // Apache's own cache of binds answers the next request of the page
    assert_eq!(page(&address, Some(("alice", PASSWORD))), (200, true));
    assert_eq!(world.phone.asked(), 1);
    let seen = std::thread::scope(|scope| {
        let browser = scope.spawn(|| page(&address, Some(("bob", PASSWORD))));
        let prompt = world.phone.prompt_of("bob");
        world.phone.deny(&prompt);
        browser.join().unwrap()
    });
    assert_eq!(seen, (401, false));
}
