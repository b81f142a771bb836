use proptest::prelude::*;

use super::*;

fn keys(ids: &[u8]) -> Keys {
    let mut keys = Keys::default();
    for id in ids {
        keys.add([0, 0, 0, *id], Secret::new(vec![*id; KEY])).unwrap();
    }
    keys
}

fn seed() -> Secret {
    Secret::from_text("planted seed 12345".into())
}

#[test]
fn what_was_sealed_opens_for_its_own_row_only() {
    let keys = keys(&[1]);
    let sealed = keys.seal_seed("S-1", Some("alice"), &seed(), [7; NONCE]).unwrap();
    assert!(keys.open_seed("S-1", Some("alice"), &sealed).unwrap().matches(seed().open()));
    for (serial, person) in [("S-2", Some("alice")), ("S-1", Some("bob")), ("S-1", None), ("S-1alice", None)] {
        assert_eq!(keys.open_seed(serial, person, &sealed).unwrap_err(), SealError::Damaged);
    }
    assert_eq!(keys.open("something else", &["S-1", "alice"], &sealed).unwrap_err(), SealError::Damaged);
}

#[test]
fn parts_of_an_identity_cannot_be_shifted() {
    let keys = keys(&[1]);
    let sealed = keys.seal("w", &["ab", "c"], &seed(), [7; NONCE]).unwrap();
    assert_eq!(keys.open("w", &["a", "bc"], &sealed).unwrap_err(), SealError::Damaged);
    assert_eq!(keys.open("wab", &["c"], &sealed).unwrap_err(), SealError::Damaged);
}

#[test]
fn the_newest_key_seals_and_older_ones_still_open() {
    let old = keys(&[1]);
    let before = old.seal_seed("S", None, &seed(), [7; NONCE]).unwrap();
    let both = keys(&[1, 2]);
    let after = both.seal_seed("S", None, &seed(), [8; NONCE]).unwrap();
    assert_eq!((before.key_id(), after.key_id()), (old.newest(), both.newest()));
    for sealed in [&before, &after] {
        assert!(both.open_seed("S", None, sealed).unwrap().matches(seed().open()));
    }
    assert_eq!(old.open_seed("S", None, &after).unwrap_err(), SealError::Lost(both.newest().unwrap()));
    assert!(SealError::Lost(both.newest().unwrap()).to_string().contains("00000002"));
    assert_eq!(Keys::default().seal_seed("S", None, &seed(), [0; NONCE]).unwrap_err(), SealError::NoKey);
}

#[test]
fn unused_keys_are_forgotten_but_never_the_newest() {
    let mut three = keys(&[1, 2, 3]);
    let ids: Vec<KeyId> = three.ids().collect();
    assert_eq!(three.forget_unused(&ids[..1]), [ids[1]]);
    assert_eq!(three.forget_unused(&[]), [ids[0]]);
    assert_eq!(three.newest(), Some(ids[2]));
}

#[test]
fn a_key_file_is_read_back_and_its_mistakes_are_named_by_line() {
    let written = keys(&[1, 2]).text();
    let read = Keys::parse(&written).unwrap();
    assert_eq!(read.ids().collect::<Vec<_>>(), keys(&[1, 2]).ids().collect::<Vec<_>>());
    assert_eq!(read.text().as_str(), written.as_str());
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(Keys::parse("").unwrap().newest(), None);
    for (text, error) in [
        ("\n# x\n0000000g AAAA", SealError::Line(3)),
        (&format!("1 {key}"), SealError::Line(1)),
        ("00000001 AAAA", SealError::Line(1)),
        (&format!("00000001 {key}\n00000001 {key}"), SealError::Twice(KeyId(1))),
    ] {
        assert_eq!(Keys::parse(text).unwrap_err(), error, "{text}");
    }
    let many: String = (0..100).map(|id| format!("{id:08x} {key}\n")).collect();
    assert_eq!(Keys::parse(&many).unwrap_err(), SealError::TooMany);
}

#[test]
fn nothing_shows_a_key_or_a_seed() {
    let keys = keys(&[65]);
    let sealed = keys.seal_seed("S", None, &seed(), [7; NONCE]).unwrap();
    let shown = format!("{keys:?} {sealed:?} {:?}", Sealed::from_bytes(vec![9]));
    assert!(!shown.contains("planted") && !shown.contains("65, 65") && shown.contains("damaged"), "{shown}");
}

proptest! {
    #[test]
    fn any_change_of_a_sealed_value_is_noticed(place in 0..200_usize, bit in 0..8_u32, cut in any::<bool>()) {
        let keys = keys(&[1]);
        let sealed = keys.seal_seed("S", Some("alice"), &seed(), [7; NONCE]).unwrap();
        let mut octets = sealed.as_bytes().to_vec();
        let place = place % octets.len();
        if cut {
            octets.truncate(place);
        } else {
            octets[place] ^= 1 << bit;
        }
        prop_assert!(keys.open_seed("S", Some("alice"), &Sealed::from_bytes(octets)).is_err());
    }

    #[test]
    fn any_text_is_keys_or_a_mistake(text in ".{0,300}") {
        let _ = Keys::parse(&text);
    }
}
