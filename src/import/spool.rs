//! Sorts more records than fit into memory: sorted runs in one file without a name, merged when they are read. What
//! fits never touches a file.
//!
//! ```text
//! put ─▶ a few megabytes ─ full: sorted ─▶ run ┐
//!                                         run ├─ merged ─▶ take, in the order of the keys
//!                          the rest: sorted ──┘
//! ```
//!
//! The file has no name from the beginning and is its owner's only: whoever dies leaves nothing of it behind.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Octets of records that are sorted at once.
const RUN: usize = 4 << 20;
/// Octets of a run that are read at once.
const READ: usize = 32 << 10;
/// Octets before a record: the lengths of its key and of its value.
const HEAD: usize = 8;

/// Records that come in any order.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    run: usize,
    octets: Vec<u8>,
    places: Vec<usize>,
    file: Option<File>,
    /// Where each run ends in the file; it begins where the one before ends.
    ends: Vec<u64>,
    records: u64,
}

impl Spool {
    /// None yet. What does not fit into memory goes to a file in `folder`.
    pub fn new(folder: PathBuf) -> Spool {
        Spool::of(folder, RUN)
    }

    fn of(folder: PathBuf, run: usize) -> Spool {
        let (octets, places, ends) = Default::default();
        Spool { folder, run, octets, places, file: None, ends, records: 0 }
    }

    /// Takes a record, whose value `write` appends. Those with the same key keep their order.
    ///
    /// # Errors
    /// What `write` says, or a record of more than four gigabytes.
    pub fn put(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        if self.octets.capacity() == 0 {
            // At once: growing by doubling it would end up with twice what it holds.
            self.octets.reserve_exact(self.run.saturating_add(self.run / 4));
        }
        let place = self.octets.len();
        self.octets.extend_from_slice(&[0; HEAD]);
        self.octets.extend_from_slice(key);
        let value = self.octets.len();
        let written = write(&mut self.octets);
        let lengths = [key.len(), self.octets.len() - value].map(u32::try_from);
        let ([Ok(key), Ok(value)], Ok(())) = (lengths, &written) else {
            self.octets.truncate(place);
            return Err(written.err().unwrap_or_else(|| io::ErrorKind::FileTooLarge.into()));
        };
        let head = u64::from(key) << 32 | u64::from(value);
        if let Some(octets) = self.octets.get_mut(place..place + HEAD) {
            octets.copy_from_slice(&head.to_be_bytes());
        }
        self.places.push(place);
        self.records += 1;
        Ok(())
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether it is time to [`Spool::spill`].
    pub fn is_full(&self) -> bool {
        self.octets.len() >= self.run
    }

    fn sort(&mut self) {
        let octets = &self.octets;
        // The places themselves keep those with one key in order.
        self.places.sort_unstable_by(|one, two| key_at(octets, *one).cmp(key_at(octets, *two)).then(one.cmp(two)));
    }

    /// Moves what is in memory to the file. It blocks: not for a thread that others wait for.
    ///
    /// # Errors
    /// Of the file: no room, no right.
    pub fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        let mut end = self.ends.last().copied().unwrap_or_default();
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        writer.seek(SeekFrom::Start(end))?;
        for place in &self.places {
            let record = record_at(&self.octets, *place);
            writer.write_all(record)?;
            end += u64::try_from(record.len()).unwrap_or_default();
        }
        writer.flush()?;
        self.ends.push(end);
        self.octets.clear();
        self.places.clear();
        Ok(())
    }

    /// All records in the order of their keys. It blocks.
    ///
    /// # Errors
    /// Of the file.
    pub fn sorted(mut self) -> io::Result<Sorted> {
        if self.ends.is_empty() {
            self.sort();
            let places = std::mem::take(&mut self.places).into_iter();
            return Ok(Sorted::Memory { octets: self.octets, places });
        }
        if !self.places.is_empty() {
            self.spill()?;
        }
        let Some(file) = self.file.take() else { return Err(io::ErrorKind::NotFound.into()) };
        drop((std::mem::take(&mut self.octets), std::mem::take(&mut self.places)));
        let mut begin = 0;
        let mut runs = Vec::with_capacity(self.ends.len());
        for end in self.ends {
            runs.push(Run { next: std::mem::replace(&mut begin, end), end, octets: Vec::new(), at: 0 });
        }
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (place, run) in runs.iter_mut().enumerate() {
            heads.extend(run.record(&file)?.map(|record| Reverse(Head { record, place })));
        }
        Ok(Sorted::Merged { file, runs, heads })
    }
}

/// Records in the order of their keys.
#[derive(Debug)]
pub enum Sorted {
    /// There were few.
    Memory {
        /// All of them.
        octets: Vec<u8>,
        /// Where each begins.
        places: std::vec::IntoIter<usize>,
    },
    /// There were many.
    Merged {
        /// Where they are.
        file: File,
        /// The runs in it.
        runs: Vec<Run>,
        /// The next record of each.
        heads: BinaryHeap<Reverse<Head>>,
    },
}

impl Sorted {
    /// The value of the next record. It blocks.
    ///
    /// # Errors
    /// Of the file.
    pub fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Sorted::Memory { octets, places } => {
                let record = places.next().map(|place| record_at(octets, place));
                Ok(record.map(|record| value_of(record).to_vec()))
            }
            Sorted::Merged { file, runs, heads } => {
                let Some(Reverse(Head { record, place })) = heads.pop() else { return Ok(None) };
                if let Some(run) = runs.get_mut(place) {
                    heads.extend(run.record(file)?.map(|record| Reverse(Head { record, place })));
                }
                Ok(Some(value_of(&record).to_vec()))
            }
        }
    }
}

/// A run that is read.
#[derive(Debug)]
pub struct Run {
    /// Where the file goes on, and where the run ends in it.
    next: u64,
    end: u64,
    octets: Vec<u8>,
    at: usize,
}

impl Run {
    fn record(&mut self, file: &File) -> io::Result<Option<Vec<u8>>> {
        loop {
            let rest = self.octets.get(self.at..).unwrap_or_default();
            let length = length_of(rest);
            if let Some(record) = length.and_then(|length| rest.get(..length)) {
                let record = record.to_vec();
                self.at += record.len();
                return Ok(Some(record));
            }
            if self.next == self.end {
                return if rest.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let wanted = length.unwrap_or_default().saturating_sub(rest.len()).max(READ);
            let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
            self.octets.drain(..self.at);
            self.at = 0;
            let had = self.octets.len();
            self.octets.resize(had + wanted.min(left), 0);
            file.read_exact_at(self.octets.get_mut(had..).unwrap_or_default(), self.next)?;
            self.next += u64::try_from(wanted.min(left)).unwrap_or_default();
        }
    }
}

/// The next record of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    record: Vec<u8>,
    place: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        key_at(&self.record, 0).cmp(key_at(&other.record, 0)).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The lengths of the key and of the value of the record that `octets` begin with.
fn lengths(octets: &[u8]) -> Option<(usize, usize)> {
    let head = u64::from_be_bytes(*octets.first_chunk()?);
    Some((usize::try_from(head >> 32).ok()?, usize::try_from(head & u64::from(u32::MAX)).ok()?))
}

fn length_of(octets: &[u8]) -> Option<usize> {
    lengths(octets).map(|(key, value)| HEAD + key + value)
}

fn record_at(octets: &[u8], place: usize) -> &[u8] {
    let rest = octets.get(place..).unwrap_or_default();
    length_of(rest).and_then(|length| rest.get(..length)).unwrap_or_default()
}

fn key_at(octets: &[u8], place: usize) -> &[u8] {
    let rest = octets.get(place..).unwrap_or_default();
    lengths(rest).and_then(|(key, _)| rest.get(HEAD..HEAD + key)).unwrap_or_default()
}

fn value_of(record: &[u8]) -> &[u8] {
    lengths(record).and_then(|(key, _)| record.get(HEAD + key..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(run: usize, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::of(folder.path().to_owned(), run);
        for (key, value) in records {
            spool.put(key, |octets| octets.write_all(value)).unwrap();
            if spool.is_full() {
                spool.spill().unwrap();
            }
        }
        assert_eq!(spool.records(), u64::try_from(records.len()).unwrap());
        let is_in_memory = spool.ends.is_empty();
        let mut sorted = spool.sorted().unwrap();
        assert_eq!(is_in_memory, matches!(sorted, Sorted::Memory { .. }));
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 0, "the file has a name");
        std::iter::from_fn(|| sorted.take().unwrap()).collect()
    }

    fn expected(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut records = records.to_vec();
        records.sort_by(|one, two| one.0.cmp(&two.0));
        records.into_iter().map(|(_, value)| value).collect()
    }

    proptest! {
        #[test]
        fn records_come_back_in_order_whatever_fits_into_memory(
            records in proptest::collection::vec((proptest::collection::vec(0..3_u8, 0..4), any::<Vec<u8>>()), 0..60),
            run in 1..2_000_usize,
        ) {
            prop_assert_eq!(through(run, &records), expected(&records));
        }
    }

    #[test]
    fn records_longer_than_what_is_read_at_once_are_whole() {
        let record = |key: u8, length: usize| (vec![key], vec![key; length]);
        let records = [record(3, READ * 3 + 1), record(1, READ - 1), record(2, 0), record(1, READ)];
        assert_eq!(through(READ, &records), expected(&records));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let mut spool = Spool::of("/nowhere/at/all".into(), 1);
        spool.put(b"k", |octets| octets.write_all(b"v")).unwrap();
        assert_eq!(spool.spill().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
