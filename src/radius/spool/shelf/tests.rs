use super::*;
use proptest::prelude::*;

const ROOM: u64 = 1 << 30;

fn entry(number: u32) -> Entry {
    let received = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + u64::from(number));
    let [a, b, c, d] = number.to_be_bytes();
    Entry { received, attributes: [44, 6, a, b, c, d].into() }
}

fn take_all(reader: &mut Reader) -> Vec<Entry> {
    let mut taken = Vec::new();
    loop {
        let entries = reader.next(7).unwrap();
        if entries.is_empty() {
            return taken;
        }
        for entry in &entries {
            reader.delivered(entry).unwrap();
        }
        taken.extend(entries);
    }
}

#[test]
fn what_went_in_comes_out_once_and_in_order_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Entry> = (0..100).map(entry).collect();
    let (mut writer, mut reader) = open(folder.path(), ROOM).unwrap();
    assert_eq!(writer.add(&all[..60]).unwrap(), 60);
    for entry in reader.next(25).unwrap() {
        reader.delivered(&entry).unwrap();
    }
    drop((writer, reader));
    let (mut writer, mut reader) = open(folder.path(), ROOM).unwrap();
    assert_eq!(writer.stock().records(), 35);
    assert_eq!(writer.add(&all[60..]).unwrap(), 40);
    assert_eq!(take_all(&mut reader), all[25..]);
    assert_eq!((writer.stock().records(), writer.stock().octets()), (0, 0));
    drop((writer, reader));
    let (_, mut reader) = open(folder.path(), ROOM).unwrap();
    assert_eq!(take_all(&mut reader), []);
}

#[test]
fn two_servers_do_not_share_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), ROOM).unwrap();
    let refused = open(folder.path(), ROOM).err().unwrap();
    assert!(refused.to_string().contains("another server uses it"), "{refused}");
    drop(first);
    open(folder.path(), ROOM).unwrap();
}

#[test]
fn segments_follow_each_other_and_go_when_they_have_been_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = open(folder.path(), ROOM).unwrap();
    let large = |number: u8| Entry { attributes: vec![number; 4000].into(), ..entry(1) };
    let all: Vec<Entry> = (0..=255).cycle().take(2500).map(large).collect();
    for some in all.chunks(100) {
        assert_eq!(writer.add(some).unwrap(), some.len());
    }
    assert!(segments(folder.path()).unwrap().len() >= 3);
    assert!(take_all(&mut reader) == all);
    assert_eq!(segments(folder.path()).unwrap().len(), 1);
}

#[test]
fn a_full_spool_takes_nothing_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = open(folder.path(), entry(0).size() * 3).unwrap();
    let all: Vec<Entry> = (0..5).map(entry).collect();
    assert_eq!(writer.add(&all).unwrap(), 3);
    assert_eq!(writer.add(&all[3..]).unwrap(), 0);
    let first = reader.next(1).unwrap();
    reader.delivered(&first[0]).unwrap();
    assert_eq!(writer.add(&all[3..]).unwrap(), 1);
    assert_eq!(take_all(&mut reader), all[1..4]);
}

#[test]
fn damage_in_the_middle_costs_its_segment_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(folder.path(), ROOM).unwrap();
    writer.add(&[entry(1), entry(2), entry(3)]).unwrap();
    writer.length = SEGMENT;
    writer.add(&[entry(4)]).unwrap();
    drop(writer);
    let path = folder.path().join(name(1));
    let mut octets = std::fs::read(&path).unwrap();
    let second = usize::try_from(entry(1).size()).unwrap() + HEAD;
    octets[second] ^= 1;
    std::fs::write(&path, octets).unwrap();
    let (_, mut reader) = open(folder.path(), ROOM).unwrap();
    assert_eq!(take_all(&mut reader), [entry(1), entry(4)]);
}

proptest! {
    /// Power fails in the middle of a write: what was whole is there, the rest is not, and writing goes on.
    #[test]
    fn wherever_the_last_write_breaks_off_what_was_whole_stays(keep in 0_usize..200) {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _) = open(folder.path(), ROOM).unwrap();
        let all: Vec<Entry> = (0..8).map(entry).collect();
        writer.add(&all).unwrap();
        drop(writer);
        let path = folder.path().join(name(1));
        let octets = std::fs::read(&path).unwrap();
        let keep = keep.min(octets.len());
        std::fs::write(&path, &octets[..keep]).unwrap();
        let whole = keep / usize::try_from(entry(0).size()).unwrap();
        let (mut writer, mut reader) = open(folder.path(), ROOM).unwrap();
        writer.add(&[entry(99)]).unwrap();
        let mut expected = all[..whole].to_vec();
        expected.push(entry(99));
        prop_assert_eq!(take_all(&mut reader), expected);
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&octets);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name(1)), &octets).unwrap();
        std::fs::write(folder.path().join(PLACE), &octets).unwrap();
        let (mut writer, mut reader) = open(folder.path(), ROOM).unwrap();
        writer.add(&[entry(1)]).unwrap();
        take_all(&mut reader);
    }
}
