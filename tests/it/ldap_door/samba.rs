//! The forms of a bind name that Active Directory takes, against a real domain controller (Samba).

use anteroom::ldap::message::{Envelope, op};
use anteroom::ldap::result::code;
use anteroom::ldap::search::{Entry, Scope};
use anteroom::primary::names::guid_text;

use super::client::Client;
use crate::peers::ldap_world::{LdapWorld, active_directory};
use crate::peers::samba::{BASE, Directory, PASSWORD, SERVICE_PASSWORD};

/// A security identifier as text ([MS-DTYP] section 2.4.2.1).
fn sid_text(octets: &[u8]) -> String {
    let subs = octets[8..].chunks(4).map(|sub| u32::from_le_bytes(sub.try_into().unwrap()).to_string());
    format!("S-1-{}-{}", octets[7], subs.collect::<Vec<_>>().join("-"))
}

#[test]
fn a_person_is_the_same_by_every_form_of_name_that_the_directory_takes() {
    let Some(directory) = Directory::get() else { return };
    let more = "service_accounts = \"svc-proxy@corp.example.test\"";
    let world = LdapWorld::new(&active_directory(&directory), more, "");
    world.enrol(&["alice", "ada"]);
    world.phone.approve_by_itself();
    let asked = world.phone.asked();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signed_in = runtime.block_on(sign_in_by_every_form(&world));
    assert_eq!(world.phone.asked() - asked, signed_in, "each bind of a person is a sign-in");
}

/// Signs alice in by each form of her name; how many there are.
async fn sign_in_by_every_form(world: &LdapWorld) -> u64 {
    let mut service = Client::connect(world.ldap()).await;
    assert_eq!(service.bind(1, "svc-proxy@corp.example.test", SERVICE_PASSWORD).await.0, code::SUCCESS);
    service.send_search(2, BASE, Scope::Subtree, "(sAMAccountName=alice)").await;
    let message = service.next().await.unwrap();
    assert_eq!(message.tag, op::SEARCH_ENTRY);
    let envelope = Envelope::read(&message.frame).unwrap();
    let entry = Entry::read(envelope.operation(&message.frame)).unwrap();
    let guid = guid_text(entry.first("objectGUID").unwrap()).unwrap();
    let sid = sid_text(entry.first("objectSid").unwrap());
    let parts: Vec<&str> = entry.dn.split(',').filter(|part| !part.starts_with("DC=")).collect();
    let path: Vec<&str> = parts.iter().rev().map(|part| part.split_once('=').unwrap().1).collect();
    let forms = [
        entry.dn.to_owned(),
        entry.dn.to_uppercase().replace(',', ", "),
        "alice@corp.example.test".to_owned(),
        "CORP\\alice".to_owned(),
        format!("corp.example.test/{}", path.join("/")),
        format!("{{{guid}}}"),
        format!("<GUID={guid}>"),
        format!("<SID={sid}>"),
        sid,
    ];
    let mut client = Client::connect(world.ldap()).await;
    for (number, name) in (1_u32..).zip(&forms) {
        assert_eq!(client.bind(number * 2, name, PASSWORD).await.0, code::SUCCESS, "{name}");
        let event = world.server.event(name);
        assert_eq!((&event["account"], &event["door"]), (&"alice".into(), &"ldap".into()), "{name}");
        let (entries, result) = client.search(number * 2 + 1, entry.dn, Scope::Base, "(objectClass=*)").await;
        assert_eq!((entries, result), (1, code::SUCCESS), "bound as somebody by {name}");
    }
    for nobody in
        ["CN=Nobody,CN=Users,DC=corp,DC=example,DC=test", "corp.example.test/Users/Nobody", "S-1-5-21-1-2-3-4"]
    {
        assert_eq!(client.bind(90, nobody, PASSWORD).await, (code::INVALID_CREDENTIALS, String::new()), "{nobody}");
    }
    // AD's canonical name has the comma as it is, Samba's has it escaped.
    let escaped = ["Lovelace, Ada", "Lovelace\\, Ada"];
    for (number, last) in (100_u32..).zip(escaped) {
        let name = format!("corp.example.test/Lab/People/Engineering/{last}");
        assert_eq!(client.bind(number, &name, PASSWORD).await.0, code::SUCCESS, "{name}");
    }
    (forms.len() + escaped.len()) as u64
}
