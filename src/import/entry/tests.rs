use super::*;
use crate::import::testing::{import, item};
use crate::ldap::message::{Envelope, op};
use crate::ldap::search::write_entry;
use crate::users::model::{Method, Mode};

/// A whole entry as it comes from a directory.
struct Wire(Vec<u8>);

impl Wire {
    fn of(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Self {
        let mut frame = Vec::new();
        write_entry(&mut frame, 1, dn, attributes.iter().map(|(name, values)| (*name, *values)));
        let envelope = Envelope::read(&frame).unwrap();
        assert_eq!(envelope.op_tag, op::SEARCH_ENTRY);
        Wire(frame[envelope.op].to_vec())
    }

    fn entry(&self) -> Entry<'_> {
        Entry::read(crate::ldap::ber::Reader::new(&self.0)).unwrap()
    }
}

const GUID: [u8; 16] = [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

fn reading() -> Reading {
    let mut import = import(Vec::new());
    import.region = Some("US".into());
    Reading::new(&item("staff"), &import, &["CORP".into()])
}

fn ada(number: &str) -> Wire {
    Wire::of(
        "CN=Lovelace\\, Ada,OU=People,DC=corp",
        &[
            ("objectGUID", &[&GUID]),
            ("userPrincipalName", &["ada@corp.example".as_bytes()]),
            ("sAMAccountName", &[b"ada"]),
            ("givenName", &["Ada".as_bytes()]),
            ("sn", &["Łovelace".as_bytes()]),
            ("mail", &[b"ada@corp.example"]),
            ("telephoneNumber", &[number.as_bytes()]),
            ("preferredLanguage", &[b"de-CH, en;q=0.5"]),
            ("userAccountControl", &[b"512"]),
            ("description", &[b"  first\tprogrammer \0"]),
        ],
    )
}

#[test]
fn an_account_becomes_a_person_with_all_its_names() {
    let wire = ada("(202) 555-0111 x17");
    let candidate = reading().candidate(&wire.entry()).unwrap();
    let Candidate { profile, disabled, has_language } = candidate;
    let person = &profile.person;
    assert_eq!(person.unique_id, "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!((person.name.as_str(), person.upn.as_deref()), ("ada@corp.example", Some("ada@corp.example")));
    assert_eq!(profile.aliases, ["ada", "CORP\\ada"]);
    assert_eq!(person.dn.as_deref(), Some("CN=Lovelace\\, Ada,OU=People,DC=corp"));
    assert_eq!(person.last_name.as_deref(), Some("Łovelace"));
    assert_eq!(person.phone.as_deref(), Some("+12025550111"));
    assert_eq!(person.phone_extension.as_deref(), Some("17"));
    assert_eq!((person.language.as_str(), has_language), ("de-CH", true));
    assert_eq!(profile.description.as_deref(), Some("first programmer"));
    assert_eq!((person.method, person.enabled, disabled), (Method::Push, true, false));
    assert_eq!(profile.item.as_deref(), Some("staff"));
}

#[test]
fn who_is_new_gets_method_and_mode_of_the_item() {
    let item = crate::config::import::ImportItem { method: Method::Call, mode: Mode::Pin, ..item("staff") };
    let reading = Reading::new(&item, &import(Vec::new()), &[]);
    let person = reading.candidate(&ada("").entry()).unwrap().profile.person;
    assert_eq!((person.method, person.mode), (Method::Call, Mode::Pin));
}

#[test]
fn the_digest_follows_the_entry_and_the_settings() {
    let (one, two) = (ada("1"), ada("2"));
    let reading = reading();
    assert_eq!(reading.content(&one.0), reading.content(&ada("1").0));
    assert_ne!(reading.content(&one.0), reading.content(&two.0));
    let mut other = item("staff");
    other.attributes.phone = vec!["ipPhone".into()];
    let other = Reading::new(&other, &import(Vec::new()), &["CORP".into()]);
    assert_ne!(reading.content(&one.0), other.content(&one.0));
    assert_eq!(reading.content(&one.0) & 0b111, 0b100, "never zero, and two bits are free");
}

#[test]
fn an_entry_without_id_or_name_is_nobody() {
    let reading = reading();
    let of = |attributes: &[(&str, &[&[u8]])]| reading.candidate(&Wire::of("CN=x", attributes).entry()).unwrap_err();
    assert_eq!(of(&[("sAMAccountName", &[b"x"])]), Unfit::NoUniqueId);
    assert_eq!(of(&[("objectGUID", &[b"short"]), ("sAMAccountName", &[b"x"])]), Unfit::NoUniqueId);
    assert_eq!(of(&[("objectGUID", &[&GUID])]), Unfit::NoName);
    assert_eq!(of(&[("objectGUID", &[&GUID]), ("sAMAccountName", &[b"\xff"])]), Unfit::NoName);
    assert_eq!(of(&[("objectGUID", &[&GUID]), ("sAMAccountName", &[&[b'x'; 300]])]).to_string(), "no login name");
}

#[test]
fn ids_of_every_kind_find_their_person_again() {
    for (kind, octets, text) in [
        (IdKind::Guid, &GUID[..], "00112233-4455-6677-8899-aabbccddeeff"),
        (IdKind::Text, b"5A9C-X", "5a9c-x"),
        (IdKind::Octets, &[0, 255, 16], "00ff10"),
    ] {
        let mut item = item("staff");
        item.attributes.unique_id_kind = kind;
        let reading = Reading::new(&item, &import(Vec::new()), &[]);
        let wire = Wire::of("CN=x", &[("objectGUID", &[octets])]);
        let mut id = String::new();
        reading.unique_id(&wire.entry(), &mut id).unwrap();
        assert_eq!(id, text);
        let Some(Filter::Equality(_, value)) = reading.by_unique_id(&id) else { panic!() };
        if kind == IdKind::Text {
            assert_eq!(value, id.as_bytes());
        } else {
            assert_eq!(value, octets);
        }
    }
    assert_eq!(reading().by_unique_id("nonsense"), None);
}

#[test]
fn guids_are_written_as_the_sign_in_path_writes_them() {
    let mut id = String::new();
    guid_into(&GUID, &mut id).unwrap();
    assert_eq!(crate::primary::names::guid_text(&GUID), Some(id));
}

#[test]
fn only_what_looks_like_a_language_is_one() {
    for (text, tag) in
        [("en", Some("en")), ("de_CH", Some("de-CH")), ("fr, en", Some("fr")), ("zh-Hant-TW", Some("zh-Hant-TW"))]
    {
        assert_eq!(language(text).as_deref(), tag);
    }
    for text in ["", "english please", "e", "12", "en-", "x'; drop"] {
        assert_eq!(language(text), None, "{text}");
    }
}
