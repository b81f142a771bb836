//! An application notices nothing: one conversation, of every operation and many controls, is played with the
//! directory itself, again, through a plain TCP forwarder, and through Anteroom, and every answer is compared
//! octet for octet. The second time shows that the conversation repeats itself; the forwarder, that a
//! difference is not one of timing.

use crate::peers::ldap::{Scope, Trust, Wire, bind, control, extended, present, search};
use crate::peers::ldap_world::{self, LdapWorld};
use crate::peers::relay::Relay;
use crate::peers::samba::{Directory, PASSWORD};
use crate::peers::slapd::{self, Slapd};

mod conversation;
mod record;

use conversation::{Kind, Place, no_requests, play, play_oddities};
use record::{Record, assert_same};

fn open_ldap() -> Place {
    Place {
        kind: Kind::OpenLdap,
        base: slapd::BASE,
        account: (slapd::APPLICATION, crate::peers::samba::SERVICE_PASSWORD),
        person: "uid=bob,ou=people,dc=open,dc=example,dc=test",
        quiet: "uid=m00007,ou=many,dc=open,dc=example,dc=test",
        group: "cn=staff,ou=groups,dc=open,dc=example,dc=test",
        people: "ou=many,dc=open,dc=example,dc=test",
        scratch: format!("ou=scratch,{}", slapd::BASE),
        classes: &["inetOrgPerson"],
        many: "title",
    }
}

fn active_directory() -> Place {
    Place {
        kind: Kind::ActiveDirectory,
        base: "DC=corp,DC=example,DC=test",
        account: ("CN=Administrator,CN=Users,DC=corp,DC=example,DC=test", "Adm1n-Passw0rd!"),
        person: "CN=Contact Only,OU=People,OU=Lab,DC=corp,DC=example,DC=test",
        quiet: "CN=Contact Only,OU=People,OU=Lab,DC=corp,DC=example,DC=test",
        group: "CN=VPN-Users,OU=Groups,OU=Lab,DC=corp,DC=example,DC=test",
        people: "OU=People,OU=Lab,DC=corp,DC=example,DC=test",
        scratch: "OU=States,OU=Lab,DC=corp,DC=example,DC=test".to_owned(),
        classes: &["user"],
        many: "url",
    }
}

/// Plays the conversation over one way to the directory.
fn converse(place: &Place, connect: &dyn Fn() -> Wire) -> (Record, Record) {
    (play(connect(), place), play_oddities(connect, place))
}

fn compare(what: &str, expected: &(Record, Record), found: &(Record, Record)) {
    assert_same(what, &expected.0, &found.0);
    assert_same(&format!("{what}, oddities"), &expected.1, &found.1);
}

#[test]
fn every_answer_of_openldap_is_the_same_octet_for_octet() {
    let Some(directory) = Slapd::get() else { return };
    let (place, trust) = (open_ldap(), Trust { ca: directory.ca(), name: directory.host().to_owned() });
    let direct = converse(&place, &|| Wire::ldaps(directory.ldaps(), &trust));
    assert!(direct.0.len() > 100, "a short conversation: {}", direct.0.len());
    compare("over StartTLS", &direct, &converse(&place, &|| Wire::start_tls(directory.ldap(), &trust)));
    let relay = Relay::to(directory.ldaps());
    compare("through a forwarder", &direct, &converse(&place, &|| Wire::ldaps(relay.address(), &trust)));
    let client = format!("service_accounts = [\"{}\"]", slapd::APPLICATION);
    let world = LdapWorld::new(&ldap_world::open_ldap(directory), &client, "");
    compare("through Anteroom", &direct, &converse(&place, &|| world.over_ldaps()));
    compare("through Anteroom over StartTLS", &direct, &converse(&place, &|| world.over_start_tls()));
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn every_answer_of_active_directory_is_the_same_octet_for_octet() {
    let Some(directory) = Directory::get() else { return };
    let (place, trust) = (active_directory(), Trust { ca: directory.ca(), name: directory.address().to_owned() });
    let ldaps = format!("{}:636", directory.address()).parse().unwrap();
    let direct = converse(&place, &|| Wire::ldaps(ldaps, &trust));
    compare("again", &direct, &converse(&place, &|| Wire::ldaps(ldaps, &trust)));
    let relay = Relay::to(ldaps);
    compare("through a forwarder", &direct, &converse(&place, &|| Wire::ldaps(relay.address(), &trust)));
    let world = LdapWorld::new(&ldap_world::active_directory(&directory), "service_accounts = [\"Administrator\"]", "");
    compare("through Anteroom", &direct, &converse(&place, &|| world.over_ldaps()));
    assert_eq!(world.phone.asked(), 0);
}

/// What a person gets: a bind with the password policy control, then what they may see.
fn as_alice(mut wire: Wire) -> Vec<Vec<u8>> {
    let alice = "uid=alice,ou=people,dc=open,dc=example,dc=test";
    let policy = control("1.3.6.1.4.1.42.2.27.8.5.1", false, None);
    let everything = || present("objectClass");
    let asked = [
        (bind(alice, PASSWORD), vec![policy]),
        (extended(crate::peers::ldap::WHO_AM_I, None), vec![]),
        (search(slapd::BASE, Scope::One, everything(), &["*"]), vec![]),
        // authzTo is for nobody's eyes
        (search(slapd::APPLICATION, Scope::Base, everything(), &["*"]), vec![]),
        (crate::peers::ldap::delete(alice), vec![]),
    ];
    let answers = asked.iter().flat_map(|(operation, controls)| wire.ask(operation, controls));
    answers.map(|frame| frame.0).collect()
}

#[test]
fn after_the_approval_a_person_has_the_directory_as_if_they_had_bound_there() {
    let Some(directory) = Slapd::get() else { return };
    let trust = Trust { ca: directory.ca(), name: directory.host().to_owned() };
    let direct = as_alice(Wire::ldaps(directory.ldaps(), &trust));
    let world = LdapWorld::new(&ldap_world::open_ldap(directory), "", "");
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    assert_eq!(as_alice(world.over_ldaps()), direct);
    assert_eq!(world.phone.asked(), 1);
}

/// Attributes of the rootDSE, each with its values.
fn root(mut wire: Wire) -> Vec<(String, Vec<String>)> {
    let entry = wire.ask(&search("", Scope::Base, present("objectClass"), &["*", "+"]), &[]).remove(0);
    let text = |part| String::from_utf8(entry.octets(part)).unwrap();
    let list = entry.operation()[1];
    let inside = |part: crate::peers::ldap::Part| crate::peers::ldap::parts(&entry.0, part.start, part.end);
    let attributes = inside(list).into_iter().map(|attribute| {
        let parts = inside(attribute);
        (text(parts[0]), inside(parts[1]).into_iter().map(text).collect())
    });
    attributes.collect()
}

#[test]
fn the_root_says_what_is_true_through_anteroom_and_else_what_the_directory_says() {
    let Some(directory) = Slapd::get() else { return };
    let trust = Trust { ca: directory.ca(), name: directory.host().to_owned() };
    let direct = root(Wire::ldaps(directory.ldaps(), &trust));
    let world = LdapWorld::new(&ldap_world::open_ldap(directory), "", "");
    let through = root(world.over_ldaps());
    let others = |attributes: &[(String, Vec<String>)]| {
        let edited = ["supportedSASLMechanisms", "supportedExtension"];
        attributes.iter().filter(|(name, _)| !edited.contains(&name.as_str())).cloned().collect::<Vec<_>>()
    };
    assert!(others(&direct).len() > 5, "{direct:?}");
    assert_eq!(others(&through), others(&direct));
    // no SASL, as the client's section does not say that it is relayed
    assert!(!through.iter().any(|(name, _)| name == "supportedSASLMechanisms"), "{through:?}");
    let extensions = |attributes: &[(String, Vec<String>)]| {
        let found = attributes.iter().find(|(name, _)| name == "supportedExtension");
        let mut values = found.expect("supportedExtension").1.clone();
        values.retain(|oid| oid != crate::peers::ldap::START_TLS);
        values
    };
    assert_eq!(extensions(&through), extensions(&direct));
}

#[test]
fn what_is_no_request_ends_the_connection_and_never_reaches_the_directory() {
    let Some(directory) = Slapd::get() else { return };
    let client = format!("service_accounts = [\"{}\"]", slapd::APPLICATION);
    let world = LdapWorld::new(&ldap_world::open_ldap(directory), &client, "");
    for (what, operation) in no_requests() {
        let mut wire = world.over_ldaps();
        let (name, password) = open_ldap().account;
        assert_eq!(wire.ask(&bind(name, password), &[])[0].code(), 0);
        wire.send_raw(&crate::peers::ldap::message(7, &operation, &[]));
        // the Notice of Disconnection, and nothing after it
        let notice = wire.frame().unwrap_or_else(|| panic!("{what}: no notice"));
        assert_eq!((notice.id(), notice.code()), (0, 2), "{what}: {notice:x?}");
        assert!(notice.0.ends_with(b"1.3.6.1.4.1.1466.20036"), "{what}: {notice:x?}");
        assert_eq!(wire.frame(), None, "{what}");
    }
}

#[test]
fn a_change_of_a_password_needs_a_bind_however_long_it_is() {
    let Some(directory) = Slapd::get() else { return };
    let world = LdapWorld::new(&ldap_world::open_ldap(directory), "", "");
    for padding in [0, 40 * 1024] {
        let (old, new) =
            (crate::peers::ldap::tlv(0x81, PASSWORD), crate::peers::ldap::tlv(0x82, "x".repeat(8 + padding)));
        let alice = crate::peers::ldap::tlv(0x80, "uid=alice,ou=people,dc=open,dc=example,dc=test");
        let change = extended("1.3.6.1.4.1.4203.1.11.1", Some(crate::peers::ldap::sequence(&[alice, old, new])));
        let mut wire = world.over_ldaps();
        wire.send(&change, &[]);
        let answer = wire.frame().expect("a refusal");
        // The door's own words: slapd, too, would say 8, after it has looked at the old password. Where the request is
        // longer than an unknown client's may be, the connection ends.
        let own = answer.0.windows(18).any(|text| text == b"a bind is required");
        assert!((answer.id(), answer.code(), own) == (1, 8, true) || answer.id() == 0, "{padding}: {answer:x?}");
    }
}
