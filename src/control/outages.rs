//! The record of declared outages: one line of JSON each, beside the store. What is not over when the server starts
//! goes on, so that a restart in the middle of an outage does not send people to a provider that is away.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LONGEST_OUTAGE;

/// How much of the end of the record is read at the start, in octets: some hundred outages.
const READ: u64 = 256 * 1024;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// When it was declared, in RFC 3339.
    pub(super) time: String,
    /// `outage_begin` or `outage_end`.
    pub(super) what: String,
    /// Of which providers.
    pub(super) providers: Vec<String>,
    /// For how long.
    pub(super) seconds: Option<u64>,
    /// Why.
    pub(super) reason: Option<String>,
    /// User id of whoever asked.
    pub(super) by: Option<u32>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Outages(Mutex<PathBuf>);

impl Outages {
    pub(super) fn at(path: PathBuf) -> Self {
        Outages(Mutex::new(path))
    }

    fn path(&self) -> MutexGuard<'_, PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line, and has it on the disk when it returns.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let path = self.path();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&*path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The outages of these providers that are not over: since when, and until when.
    pub(super) fn lasting(&self, providers: &[&str], now: SystemTime) -> Vec<(String, SystemTime, SystemTime)> {
        let path = self.path();
        match tail(&path) {
            Ok(text) => lasting(&text, providers, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the record of outages cannot be read: none goes on");
                Vec::new()
            }
        }
    }
}

/// The last lines of a file.
fn tail(path: &std::path::Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(READ)))?;
    let mut octets = Vec::new();
    file.take(READ).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Reads the lines in order. One that makes no sense, as the first of a tail may, says nothing.
fn lasting(text: &str, providers: &[&str], now: SystemTime) -> Vec<(String, SystemTime, SystemTime)> {
    let mut open: BTreeMap<&str, (SystemTime, SystemTime)> = BTreeMap::new();
    for record in text.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok()) {
        let Ok(at) = record.time.parse::<Timestamp>().map(SystemTime::from) else { continue };
        for provider in providers.iter().filter(|name| record.providers.iter().any(|known| known == *name)) {
            let lasts = record.seconds.map(Duration::from_secs).filter(|_| record.what == "outage_begin");
            let until = lasts.and_then(|lasts| at.checked_add(lasts.min(LONGEST_OUTAGE)));
            // Declared anew while it lasts, an outage goes on from its beginning.
            let since = open.get(provider).filter(|(_, until)| at < *until).map_or(at, |(since, _)| *since);
            match until {
                Some(until) => open.insert(provider, (since, until)),
                None => open.remove(provider),
            };
        }
    }
    let lasts = open.into_iter().filter(|(_, (since, until))| *since <= now && now < *until);
    lasts.map(|(provider, (since, until))| (provider.to_owned(), since, until)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn line(seconds: i64, what: &str, providers: &[&str], lasts: Option<u64>) -> String {
        let record = Record {
            time: Timestamp::from_second(seconds).unwrap().to_string(),
            what: what.into(),
            providers: providers.iter().map(|name| (*name).to_owned()).collect(),
            seconds: lasts,
            reason: None,
            by: Some(0),
        };
        format!("{}\n", serde_json::to_string(&record).unwrap())
    }

    #[test]
    fn what_is_not_over_goes_on_from_its_beginning() {
        let record = [
            "half a li".to_owned(),
            "\n".into(),
            line(1000, "outage_begin", &["entra", "duo"], Some(600)),
            line(1300, "outage_begin", &["entra"], Some(600)),
            line(1400, "outage_end", &["duo"], None),
            line(1500, "outage_begin", &["gone"], Some(6000)),
        ]
        .concat();
        let found = |now| lasting(&record, &["entra", "duo"], at(now));
        assert_eq!(found(1600), [("entra".to_owned(), at(1000), at(1900))]);
        assert_eq!(found(1900), []);
        assert_eq!(found(900), [], "the clock was set back: nothing has begun");
    }

    #[test]
    fn one_that_was_over_begins_anew() {
        let record =
            [line(1000, "outage_begin", &["duo"], Some(10)), line(2000, "outage_begin", &["duo"], Some(10))].concat();
        assert_eq!(lasting(&record, &["duo"], at(2005)), [("duo".to_owned(), at(2000), at(2010))]);
    }

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_can() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outages.jsonl");
        let outages = Outages::at(path.clone());
        assert_eq!(outages.lasting(&["duo"], at(5)), []);
        let text = line(0, "outage_begin", &["duo"], Some(60));
        outages.write(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(outages.lasting(&["duo"], at(5)), [("duo".to_owned(), at(0), at(60))]);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
