//! Who is in the store, as small as a full pass over a million people needs it: 32 octets each. Pure.
//!
//! A person is looked up by a hash of their unique id, with keys of this very run, and compared by the digest of
//! what the directory said of them last. Most people of a pass are never more than that.

use std::hash::{BuildHasher, RandomState};

use crate::users::roster::State;

/// The two lowest bits of a digest: why somebody stands as they do.
pub(crate) const STATES: i64 = 0b11;
/// As the directory says.
pub(crate) const NORMAL: i64 = 0;
/// Disabled by us because the directory has disabled the account.
pub(crate) const ACCOUNT_DISABLED: i64 = 1;
/// Disabled by us because their item did not find them any more.
pub(crate) const LEFT: i64 = 2;

/// What an index of an item is for people whom no item of the configuration brought.
const NO_ITEM: u16 = u16::MAX;

/// Hashes texts with keys of one run.
#[derive(Debug, Default)]
pub struct Hashes(RandomState, RandomState);

impl Hashes {
    /// A hash that no two of a few million texts share.
    pub fn wide(&self, text: &str) -> u128 {
        u128::from(self.0.hash_one(text)) << 64 | u128::from(self.1.hash_one(text))
    }

    /// A hash that two of a million texts share once in forty million runs.
    pub fn narrow(&self, text: &str) -> u64 {
        self.0.hash_one(text)
    }
}

/// How many lists a [`Marks`] is: their number is the part of each hash that is not kept.
const LISTS: usize = 1 << 16;
/// Hashes of a [`Block`].
const IN_BLOCK: usize = 20;
/// Blocks that are allocated together.
const IN_SLAB: usize = 512;
/// Where a list ends.
const NO_BLOCK: u32 = u32::MAX;

/// Some hashes of one list, without their lowest sixteen bits. It takes 128 octets.
#[derive(Debug, Clone, Copy)]
struct Block {
    high: [u32; IN_BLOCK],
    middle: [u16; IN_BLOCK],
    used: u32,
    /// The block that was filled before it.
    next: u32,
}

/// A set of [`Hashes::narrow`]: of names or people that were met. It is many short lists of blocks that never move, six
/// octets a hash: a hash table of millions would be half empty, and there twice while it grows, and lists that grow by
/// themselves leave holes behind.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// The last block of each list; none at all before the first hash.
    lists: Vec<u32>,
    slabs: Vec<Vec<Block>>,
    blocks: u32,
}

impl Marks {
    fn parts(hash: u64) -> (usize, u32, u16) {
        let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
        (usize::from(u16::from_be_bytes([g, h])), u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]))
    }

    fn block(&self, number: u32) -> Option<&Block> {
        let number = usize::try_from(number).ok()?;
        self.slabs.get(number / IN_SLAB)?.get(number % IN_SLAB)
    }

    /// Adds one; whether it is new.
    pub fn insert(&mut self, hash: u64) -> bool {
        if self.contains(hash) {
            return false;
        }
        let (list, high, middle) = Self::parts(hash);
        if self.lists.is_empty() {
            self.lists = vec![NO_BLOCK; LISTS];
        }
        let Some(last) = self.lists.get_mut(list) else { return false };
        let place = usize::try_from(*last).unwrap_or_default();
        let slab = self.slabs.get_mut(place / IN_SLAB);
        match slab.and_then(|slab| slab.get_mut(place % IN_SLAB)).filter(|block| !block.is_full()) {
            Some(block) => block.push(high, middle),
            None => {
                let mut block = Block { high: [0; IN_BLOCK], middle: [0; IN_BLOCK], used: 0, next: *last };
                block.push(high, middle);
                *last = self.blocks;
                self.blocks += 1;
                match self.slabs.last_mut().filter(|slab| slab.len() < IN_SLAB) {
                    Some(slab) => slab.push(block),
                    None => {
                        let mut slab = Vec::with_capacity(IN_SLAB);
                        slab.push(block);
                        self.slabs.push(slab);
                    }
                }
            }
        }
        true
    }

    /// Whether it is there.
    pub fn contains(&self, hash: u64) -> bool {
        let (list, high, middle) = Self::parts(hash);
        let mut next = self.lists.get(list).copied().unwrap_or(NO_BLOCK);
        while let Some(block) = self.block(next) {
            if block.contains(high, middle) {
                return true;
            }
            next = block.next;
        }
        false
    }

    #[cfg(test)]
    fn octets(&self) -> usize {
        self.slabs.len() * IN_SLAB * size_of::<Block>() + self.lists.len() * size_of::<u32>()
    }
}

impl Block {
    fn used(&self) -> usize {
        usize::try_from(self.used).unwrap_or(IN_BLOCK).min(IN_BLOCK)
    }

    fn is_full(&self) -> bool {
        self.used() == IN_BLOCK
    }

    fn contains(&self, high: u32, middle: u16) -> bool {
        let kept = self.high.iter().zip(&self.middle).take(self.used());
        kept.into_iter().any(|(one, other)| *one == high && *other == middle)
    }

    fn push(&mut self, high: u32, middle: u16) {
        let place = self.used();
        if let (Some(one), Some(other)) = (self.high.get_mut(place), self.middle.get_mut(place)) {
            (*one, *other) = (high, middle);
            self.used += 1;
        }
    }
}

impl Extend<u64> for Marks {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, hashes: I) {
        hashes.into_iter().for_each(|hash| {
            self.insert(hash);
        });
    }
}

#[derive(Debug, Clone, Copy)]
struct Key {
    id: u128,
    content: i64,
    item: u16,
    enabled: bool,
    quarantined: bool,
    seen: bool,
}

/// What is known of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The digest, see [`crate::users::profile::Profile::content`].
    pub content: i64,
    /// The place of the item that brought them in the configuration, if it is still there.
    pub item: Option<usize>,
    /// Whether they take part.
    pub enabled: bool,
    /// Whether they are gone from the directory.
    pub quarantined: bool,
    /// Whether this pass has met them.
    pub seen: bool,
}

/// The people in the store.
#[derive(Debug, Default)]
pub struct Known {
    keys: Vec<Key>,
    sorted: bool,
}

impl Known {
    /// Takes note of a person. `items` are the names of the configured items, in order.
    pub fn add(&mut self, hashes: &Hashes, state: &State, items: &[String]) {
        let item = state.item.as_ref().and_then(|item| items.iter().position(|name| name == item));
        self.keys.push(Key {
            id: hashes.wide(&state.unique_id),
            content: state.content,
            item: item.and_then(|place| u16::try_from(place).ok()).unwrap_or(NO_ITEM),
            enabled: state.enabled,
            quarantined: state.quarantined.is_some(),
            seen: false,
        });
        self.sorted = false;
    }

    /// Makes them ready to be looked up.
    pub fn seal(&mut self) {
        self.keys.sort_unstable_by_key(|key| key.id);
        self.sorted = true;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn place(&self, id: u128) -> Option<usize> {
        debug_assert!(self.sorted || self.keys.is_empty(), "looked up before it was sealed");
        self.keys.binary_search_by_key(&id, |key| key.id).ok()
    }

    /// What is known of the person with this unique id.
    pub fn find(&self, hashes: &Hashes, unique_id: &str) -> Option<Standing> {
        let key = self.keys.get(self.place(hashes.wide(unique_id))?)?;
        Some(Standing {
            content: key.content,
            item: (key.item != NO_ITEM).then_some(usize::from(key.item)),
            enabled: key.enabled,
            quarantined: key.quarantined,
            seen: key.seen,
        })
    }

    /// Says whether this pass has met the person.
    pub fn mark(&mut self, hashes: &Hashes, unique_id: &str, seen: bool) {
        if let Some(key) = self.place(hashes.wide(unique_id)).and_then(|place| self.keys.get_mut(place)) {
            key.seen = seen;
        }
    }

    /// Meets the person with this unique id, of whom the directory says what `content` digests.
    pub fn meet(&mut self, hashes: &Hashes, unique_id: &str, content: i64) -> Met {
        let Some(key) = self.place(hashes.wide(unique_id)).and_then(|place| self.keys.get_mut(place)) else {
            return Met::Stranger;
        };
        if std::mem::replace(&mut key.seen, true) {
            return Met::Again;
        }
        if key.content & !STATES == content && key.content & STATES != LEFT && !key.quarantined {
            return Met::Unchanged;
        }
        Met::Changed
    }

    /// How many people an item has brought, and how many of them this pass has met. People who have left do not
    /// count.
    pub fn of_item(&self, item: usize) -> (usize, usize) {
        let of_item = |key: &&Key| usize::from(key.item) == item && key.content & STATES != LEFT && !key.quarantined;
        let all = self.keys.iter().filter(of_item);
        all.fold((0, 0), |(all, seen), key| (all + 1, seen + usize::from(key.seen)))
    }
}

/// What a pass finds when it meets somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// In the store, and the directory says what it said last.
    Unchanged,
    /// In the store, and the directory says something else, or they are back.
    Changed,
    /// This pass has met them before.
    Again,
    /// Not in the store.
    Stranger,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::profile::Fields;

    fn state(id: &str, content: i64) -> State {
        State {
            unique_id: id.into(),
            name: id.into(),
            content,
            item: Some("staff".into()),
            enabled: true,
            quarantined: None,
            local: Fields::default(),
        }
    }

    #[test]
    fn a_person_is_met_once_and_compared_by_the_digest() {
        let (hashes, mut known) = (Hashes::default(), Known::default());
        let items = ["others".to_owned(), "staff".to_owned()];
        for (id, content) in [("a", 4), ("b", 4 | ACCOUNT_DISABLED), ("c", 4 | LEFT), ("d", 12)] {
            known.add(&hashes, &state(id, content), &items);
        }
        known.seal();
        let mut meet = |id: &str| known.meet(&hashes, id, 4);
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(&mut meet),
            [Met::Unchanged, Met::Unchanged, Met::Changed, Met::Changed, Met::Stranger]
        );
        assert_eq!(meet("a"), Met::Again);
        assert_eq!(known.find(&hashes, "a").unwrap().item, Some(1));
        assert_eq!(known.of_item(1), (3, 3), "who has left does not count");
        assert_eq!(known.of_item(0), (0, 0));
        known.mark(&hashes, "a", false);
        assert_eq!(known.of_item(1), (3, 2));
    }

    #[test]
    fn marks_are_a_set() {
        let (hashes, mut marks) = (Hashes::default(), Marks::default());
        assert!(!marks.contains(0), "nothing is in an empty one");
        let all: Vec<u64> = (0..100_000).map(|n: u32| hashes.narrow(&n.to_string())).collect();
        assert!(all.iter().all(|hash| marks.insert(*hash)));
        assert!(all.iter().all(|hash| marks.contains(*hash) && !marks.insert(*hash)));
        assert!(!marks.contains(hashes.narrow("another")));
        // Those that differ in one bit, wherever it is, and more in one list than a block takes.
        let mut marks = Marks::default();
        assert!(marks.insert(0) && (0..64).all(|bit| marks.insert(1 << bit)));
        assert!((0..10_000_u64).all(|n| marks.insert(n << 16 | 7)));
        assert!((0..10_000_u64).all(|n| marks.contains(n << 16 | 7) && !marks.contains(n << 16 | 9)));
    }

    #[test]
    fn a_million_marks_take_little_more_than_ten_octets_each() {
        let (hashes, mut marks) = (Hashes::default(), Marks::default());
        marks.extend((0..1_000_000).map(|n: u32| hashes.narrow(&n.to_string())));
        assert!(marks.octets() < 12_000_000, "{}", marks.octets());
        assert_eq!(size_of::<Block>(), 128);
    }

    #[test]
    fn a_key_takes_thirty_two_octets() {
        assert!(size_of::<Key>() <= 32);
    }
}
