//! An application notices nothing: one conversation, of every operation and many controls, is played with the
//! directory itself, again, through a plain TCP forwarder, and through Anteroom, and every answer is compared
//! octet for octet. The second time shows that the conversation repeats itself; the forwarder, that a
//! difference is not one of timing.

use crate::peers::ldap::{Trust, Wire};
use crate::peers::relay::Relay;
use crate::peers::samba::Directory;
use crate::peers::slapd::{self, Slapd};

mod conversation;
mod record;

use conversation::{Kind, Place, play, play_oddities};
use record::{Record, assert_same};

fn open_ldap() -> Place {
    Place {
        kind: Kind::OpenLdap,
        base: slapd::BASE,
        account: (slapd::APPLICATION, crate::peers::samba::SERVICE_PASSWORD),
        person: "uid=bob,ou=people,dc=open,dc=example,dc=test",
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
        // nobody signs in as this one, so that nothing of it changes
        person: "CN=Contact Only,OU=People,OU=Lab,DC=corp,DC=example,DC=test",
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
}
