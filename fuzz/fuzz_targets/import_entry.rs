//! What a directory sends an import: entries, page cookies, DirSync cookies. Nothing panics, and a person who comes
//! of it has an id and a name.

#![no_main]

use anteroom::import::entry::Reading;
use anteroom::import::mark::Mark;
use anteroom::import::scope::{is_within, relative_id};
use anteroom::ldap::ber::Reader;
use anteroom::ldap::control::{find_control, oid, read_dirsync, read_paged};
use anteroom::ldap::message::Envelope;
use anteroom::ldap::search::Entry;
use anteroom_fuzz::import;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let import = import();
    let reading = Reading::new(&import.items[0], &import, &["CORP".to_owned()]);
    if let Ok(entry) = Entry::read(Reader::new(data)) {
        assert_eq!(reading.content(data) & 0b111, 0b100);
        if let Ok(candidate) = reading.candidate(&entry) {
            let person = &candidate.profile.person;
            assert!(!person.unique_id.is_empty() && !person.name.is_empty() && person.name.len() <= 256);
        }
    }
    if let Ok(envelope) = Envelope::read(data) {
        if let Ok(Some(value)) = find_control(data, &envelope, oid::PAGED) {
            let _ = read_paged(value);
        }
        if let Ok(Some(value)) = find_control(data, &envelope, oid::DIRSYNC) {
            let _ = read_dirsync(value);
        }
    }
    let _ = (read_paged(data), read_dirsync(data), relative_id(data), Mark::read(data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = is_within(text, "DC=corp");
    }
});
