//! SASL binds: refused with a message where nothing is said, and relayed where the client's section accepts that they
//! carry no second factor. What follows some of them is no LDAP any more: a layer of the mechanism's own, which signs or
//! encrypts. Against real ones: DIGEST-MD5 with OpenLDAP, GSS-SPNEGO (NTLM) with Active Directory (Samba).

use std::process::{Command, Output};

use serde_json::Value;

use crate::peers::ldap_world::{LdapWorld, open_ldap};
use crate::peers::samba::{BASE as AD_BASE, Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::slapd::{BASE, Slapd};
use crate::peers::{missing, peer_file, program};

const RELAYED: &str = "sasl = \"relay\"";

/// `ldapsearch` or another tool of OpenLDAP as dora by DIGEST-MD5. `layer`: none, signed, or as strong as it can be.
fn tool(world: &LdapWorld, url: &str, (name, layer, password): (&str, &str, &str), arguments: &[&str]) -> Output {
    let mut command = Command::new(name);
    command.env("LDAPTLS_CACERT", world.ca()).env("LDAPTLS_REQCERT", "demand").env("LDAPTIMEOUT", "30");
    // The first line of what it says is about SASL, and tells the strength of the layer.
    command.args(["-H", url, "-Y", "DIGEST-MD5", "-O", layer, "-U", "dora", "-w", password]);
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The strength of the layer, as the tool says it.
fn strength(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.strip_prefix("SASL SSF: ")?.trim().parse().ok())
}

#[test]
fn sasl_binds_with_and_without_a_layer_pass_where_they_are_relayed() {
    let Some(directory) = Slapd::get().filter(|_| program("ldapsearch")) else { return };
    let world = LdapWorld::new(&open_ldap(directory), RELAYED, "");
    world.enrol(&["alice"]);
    // Within TLS the library is content with what that gives, and adds no layer.
    for (url, layered) in [(format!("ldap://{}", world.ldap()), true), (format!("ldaps://{}", world.ldaps()), false)] {
        for (layer, expected) in [("maxssf=0", 0..=0), ("minssf=1,maxssf=1", 1..=1), ("minssf=56", 56..=256)] {
            let output = tool(&world, &url, ("ldapwhoami", layer, PASSWORD), &[]);
            let text = said(&output);
            assert!(output.status.success() && text.contains(&format!("uid=dora,ou=people,{BASE}")), "{layer}: {text}");
            let fits = |strength| expected.contains(&strength) || !layered;
            assert!(strength(&text).is_some_and(fits), "{layer}: {text}");
            // More than any buffer holds, through the layer.
            let found = &["-LLL", "-z", "none", "-b", BASE, "(uid=m001*)", "description"];
            let output = tool(&world, &url, ("ldapsearch", layer, PASSWORD), found);
            let text = said(&output);
            assert!(output.status.success() && text.matches("dn: uid=m001").count() == 100, "{layer}: {text}");
            let pages = &["-LLL", "-E", "pr=500/noprompt", "-z", "none", "-b", BASE, "(uid=m0*)", "description"];
            let output = tool(&world, &url, ("ldapsearch", layer, PASSWORD), pages);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.matches("dn: uid=m0").count() == 10_000, "{layer}");
        }
        let wrong = tool(&world, &url, ("ldapwhoami", "maxssf=0", "not the password"), &[]);
        assert_eq!(wrong.status.code(), Some(49), "{}", said(&wrong));
    }
    assert_eq!(world.phone.asked(), 0, "they carry no second factor");
    assert!(world.server.logs().contains("a SASL bind was accepted without a second factor"), "and the log says so");
    // Three that went well for whoami, three for each search, and the wrong password, over each of the two addresses.
    let events = world.server.events("sasl:DIGEST-MD5", 20);
    let of = |reason: &str| events.iter().filter(|event| event["reason"] == reason).count();
    assert_eq!((of("sasl_relayed"), of("wrong_password"), events.len()), (18, 2, 20), "{events:?}");
    assert!(events.iter().all(|event| event["factor"].is_null() && event["unique_id"].is_null()), "{events:?}");
}

#[test]
fn a_person_who_binds_by_name_behind_a_sasl_bind_without_a_layer_is_asked() {
    use crate::peers::ldap::{bind, integer, nest, octets};
    let Some(directory) = Slapd::get() else { return };
    let world = LdapWorld::new(&open_ldap(directory), RELAYED, "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    let mut wire = world.over_ldaps();
    let sasl = |mechanism: &str, credentials: &str| {
        nest(0x60, &[integer(3), octets(""), nest(0xa3, &[octets(mechanism), octets(credentials)])])
    };
    let plain = format!("\0dora\0{PASSWORD}");
    let answer = wire.ask(&sasl("PLAIN", &plain), &[]).remove(0);
    let alice = format!("uid=alice,ou=people,{BASE}");
    // Whether slapd takes PLAIN or not: the next bind is a person's.
    assert!([0, 7, 49].contains(&answer.code()), "{answer:x?}");
    assert_eq!(wire.ask(&bind(&alice, PASSWORD), &[])[0].code(), 0);
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn sasl_binds_are_refused_with_a_message_where_nothing_is_said() {
    let Some(directory) = Slapd::get().filter(|_| program("ldapsearch")) else { return };
    let world = LdapWorld::new(&open_ldap(directory), "", "");
    let output = tool(&world, &format!("ldaps://{}", world.ldaps()), ("ldapwhoami", "maxssf=0", PASSWORD), &[]);
    let text = said(&output);
    // authMethodNotSupported
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("sasl = \"relay\""), "{text}");
}

/// What Samba's library saw.
fn samba(address: &str, layer: &str, name: &str, password: &str) -> Value {
    let script = peer_file("samba-sasl.py");
    let output =
        Command::new("/usr/bin/python3").arg(script).args([address, layer, name, password, AD_BASE]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

fn has_samba() -> bool {
    let found = Command::new("/usr/bin/python3").args(["-c", "import samba.samdb"]).output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        missing("samba", "/usr/bin/python3 cannot import it");
    }
    there
}

#[test]
fn active_directory_is_searched_through_signed_and_sealed_layers() {
    let Some(directory) = Directory::get().filter(|_| has_samba()) else { return };
    // A domain controller takes layers outside TLS only.
    let target = format!(
        "type = \"ad\"\nservers = \"ldap://{}\"\nplaintext = true\nbase = \"{AD_BASE}\"\n\
         bind_name = \"svc-proxy@corp.example.test\"\nbind_password = \"{SERVICE_PASSWORD}\"\ndomains = \"CORP\"\n",
        directory.address()
    );
    let direct = |layer| samba(&format!("{}:389", directory.address()), layer, "svc-proxy", SERVICE_PASSWORD);
    let world = LdapWorld::new(&target, RELAYED, "");
    let through = |layer, password| samba(&world.ldap().to_string(), layer, "svc-proxy", password);
    for layer in ["sign", "seal"] {
        let direct = direct(layer);
        assert!(direct["whole"].as_u64().is_some_and(|found| found > 10), "{direct}");
        assert_eq!(through(layer, SERVICE_PASSWORD), direct, "{layer}");
    }
    assert!(through("seal", "not the password")["refused"].is_string());
    assert_eq!(world.phone.asked(), 0);
    let refusing = LdapWorld::new(&target, "", "");
    let refused = samba(&refusing.ldap().to_string(), "seal", "svc-proxy", SERVICE_PASSWORD);
    assert!(refused["refused"].is_string(), "{refused}");
}
