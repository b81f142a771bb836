//! The files of a spool: segments to which records are added, and the place up to which they have been delivered.
//!
//! ```text
//! FOLDER/00000001  record record record     length, checksum, when it came, attributes
//! FOLDER/00000002  record …                 the newest one is written to
//! FOLDER/place     segment, offset, checksum: everything before has been delivered
//! ```
//!
//! A record that is broken was not acknowledged to anybody where it is the last one of the newest segment: it is cut
//! off. Anywhere else it is damage, which costs the rest of its segment and is told loudly.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::radius::packet::MAX_PACKET;

/// Octets of length and checksum before each record.
const HEAD: usize = 12;
/// Octets of a record at most: when it came, and the attributes of a packet.
const LONGEST: usize = 8 + MAX_PACKET;
/// A segment that has as many octets is followed by the next.
const SEGMENT: u64 = 4 << 20;
/// The file that says up to where everything has been delivered.
const PLACE: &str = "place";

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it came.
    pub received: SystemTime,
    /// Its attributes, encoded.
    pub attributes: Box<[u8]>,
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        let received = self.received.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let received = u64::try_from(received.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let length = u32::try_from(8 + self.attributes.len()).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&checksum(&[&length, &received, &self.attributes]));
        out.extend_from_slice(&received);
        out.extend_from_slice(&self.attributes);
    }

    fn size(&self) -> u64 {
        (HEAD + 8 + self.attributes.len()) as u64
    }
}

fn checksum(parts: &[&[u8]]) -> [u8; 8] {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// What stands at the start of some octets of a segment.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Record(Entry),
    /// Not all of a record, which may be under way.
    Part,
    /// No record.
    Damage,
}

fn read(octets: &[u8]) -> Found {
    let Some((length, rest)) = octets.split_first_chunk::<4>() else { return Found::Part };
    let size = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(8..=LONGEST).contains(&size) {
        return Found::Damage;
    }
    let Some((sum, rest)) = rest.split_first_chunk::<8>() else { return Found::Part };
    let Some(record) = rest.get(..size) else { return Found::Part };
    let Some((received, attributes)) = record.split_first_chunk::<8>() else { return Found::Damage };
    if checksum(&[length, received, attributes]) != *sum {
        return Found::Damage;
    }
    let received = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_be_bytes(*received)));
    match received {
        Some(received) => Found::Record(Entry { received, attributes: attributes.into() }),
        None => Found::Damage,
    }
}

/// What writer and reader share: how much waits.
#[derive(Debug, Default)]
pub(super) struct Stock {
    octets: AtomicU64,
    records: AtomicU64,
}

impl Stock {
    /// Records that wait.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Octets that wait.
    pub(super) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    fn add(&self, records: u64, octets: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    fn take(&self, records: u64, octets: u64) {
        // Never below nothing, whatever damage there was.
        let less = |count: &AtomicU64, by: u64| {
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(by)));
        };
        less(&self.records, records);
        less(&self.octets, octets);
    }
}

/// Adds records.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    number: u64,
    file: File,
    length: u64,
    most: u64,
    stock: Arc<Stock>,
}

/// Takes records in their order.
#[derive(Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    number: u64,
    offset: u64,
    place: File,
    stock: Arc<Stock>,
}

/// Opens a spool, which is made if there is none, of at most so many octets.
///
/// # Errors
/// What the system says.
pub(super) fn open(folder: &Path, most: u64) -> io::Result<(Writer, Reader)> {
    std::fs::create_dir_all(folder)?;
    let numbers = segments(folder)?;
    let place = options().read(true).write(true).create(true).truncate(false).open(folder.join(PLACE))?;
    // Held as long as the reader: two servers would each deliver, and take away, what the other writes.
    place.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("another server uses it: set radius.accounting_spool for each"),
        TryLockError::Error(error) => error,
    })?;
    let first = numbers.first().copied().unwrap_or(1);
    // What has been delivered is told by a file that says so and nothing else; without it all is delivered again.
    let (number, offset) = read_place(&place).filter(|(number, _)| *number >= first).unwrap_or((first, 0));
    let stock = Arc::new(Stock::default());
    let newest = numbers.last().copied().unwrap_or(number).max(number);
    let mut length = 0;
    for counted in number..=newest {
        let octets = match std::fs::read(folder.join(name(counted))) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let from = if counted == number { usize::try_from(offset).unwrap_or(usize::MAX) } else { 0 };
        let (mut records, mut at) = (0, from);
        while let Found::Record(entry) = read(octets.get(at..).unwrap_or_default()) {
            records += 1;
            at += usize::try_from(entry.size()).unwrap_or(usize::MAX);
        }
        stock.add(records, (at - from) as u64);
        length = at as u64;
        if at < octets.len() && counted == newest {
            tracing::warn!(folder = %folder.display(), octets = octets.len() - at, "an unfinished accounting record is cut off");
        }
    }
    let file = options().create(true).truncate(false).write(true).open(folder.join(name(newest)))?;
    let length = if numbers.contains(&newest) { length } else { 0 };
    file.set_len(length)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    let writer = Writer { folder: folder.into(), number: newest, file, length, most, stock: Arc::clone(&stock) };
    Ok((writer, Reader { folder: folder.into(), number, offset, place, stock }))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn name(number: u64) -> String {
    format!("{number:08}")
}

fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_place(file: &File) -> Option<(u64, u64)> {
    let mut octets = [0; 24];
    file.read_exact_at(&mut octets, 0).ok()?;
    let (place, sum) = octets.split_first_chunk::<16>()?;
    let (number, offset) = place.split_first_chunk::<8>()?;
    (checksum(&[place]) == *sum).then_some((u64::from_be_bytes(*number), u64::from_be_bytes(offset.try_into().ok()?)))
}

impl Writer {
    /// Adds as many of the records, in their order, as there is room for, and says how many. They survive the machine.
    ///
    /// # Errors
    /// What the system says; then none of them counts.
    pub(super) fn add(&mut self, entries: &[Entry]) -> io::Result<usize> {
        let mut octets = Vec::new();
        let mut count = 0;
        for entry in entries {
            if self.stock.octets() + octets.len() as u64 + entry.size() > self.most
                || entry.attributes.len() > MAX_PACKET
            {
                break;
            }
            entry.write(&mut octets);
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        if self.length >= SEGMENT {
            let number = self.number + 1;
            self.file = options().create(true).truncate(true).write(true).open(self.folder.join(name(number)))?;
            File::open(&self.folder)?.sync_all()?;
            (self.number, self.length) = (number, 0);
        }
        let written = self.file.write_all_at(&octets, self.length).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What may be there of them is written over by the next ones.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += octets.len() as u64;
        self.stock.add(count as u64, octets.len() as u64);
        Ok(count)
    }

    /// How much waits.
    pub(super) fn stock(&self) -> Arc<Stock> {
        Arc::clone(&self.stock)
    }
}

impl Reader {
    /// The next records that have not been delivered, at most so many.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<Entry>> {
        loop {
            let newest = segments(&self.folder)?.last().copied().unwrap_or(self.number);
            let mut octets = Vec::new();
            match File::open(self.folder.join(name(self.number))) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(self.offset))?;
                    file.take((most.max(1) * (HEAD + LONGEST)) as u64).read_to_end(&mut octets)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && newest > self.number => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
            let (mut entries, mut at) = (Vec::new(), 0);
            let end = loop {
                match read(octets.get(at..).unwrap_or_default()) {
                    Found::Record(entry) if entries.len() < most => {
                        at += usize::try_from(entry.size()).unwrap_or(usize::MAX);
                        entries.push(entry);
                    }
                    other => break other,
                }
            };
            // Nothing is added any more to a segment that is not the newest.
            if !entries.is_empty() || newest <= self.number {
                return Ok(entries);
            }
            if !octets.is_empty() && !matches!(end, Found::Record(_)) {
                let segment = self.folder.join(name(self.number));
                tracing::error!(segment = %segment.display(), offset = self.offset, "accounting records are damaged and lost");
                self.stock.take(0, octets.len() as u64);
            }
            self.turn()?;
        }
    }

    /// The first of them has been delivered.
    ///
    /// # Errors
    /// What the system says: after a crash it may then be delivered again.
    pub(super) fn delivered(&mut self, entry: &Entry) -> io::Result<()> {
        self.offset += entry.size();
        self.stock.take(1, entry.size());
        self.note()
    }

    fn turn(&mut self) -> io::Result<()> {
        let over = self.folder.join(name(self.number));
        (self.number, self.offset) = (self.number + 1, 0);
        self.note()?;
        match std::fs::remove_file(over) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn note(&mut self) -> io::Result<()> {
        let (number, offset) = (self.number.to_be_bytes(), self.offset.to_be_bytes());
        let sum = checksum(&[&number, &offset]);
        let mut octets = Vec::with_capacity(24);
        for part in [number, offset, sum] {
            octets.extend_from_slice(&part);
        }
        self.place.seek(SeekFrom::Start(0))?;
        self.place.write_all(&octets)
    }
}

#[cfg(test)]
mod tests;
