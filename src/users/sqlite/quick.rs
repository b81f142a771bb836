//! The one read that most sign-ins need, a person by a key, in the thread that asks: a trip to a thread of `sqlx`
//! and back costs several times what SQLite takes for a page that is in memory.
//!
//! A disk that answers late would hold up other sign-ins of the same thread. So after one slow read the others go
//! to the threads for a while, and so does whatever fails here: what is wrong is told there.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Statement};

use crate::users::sql::value::{Row, Value};

/// A read that takes longer is one for the threads.
const SLOW: Duration = Duration::from_millis(5);

/// How long they are used after a slow one.
const REST: Duration = Duration::from_secs(1);

/// Statements kept prepared on each connection.
const STATEMENTS: usize = 8;

/// Connections that read at once.
#[derive(Debug)]
pub(super) struct Quick {
    connections: Vec<Mutex<Option<Connection>>>,
    opened: Instant,
    /// Milliseconds after `opened` until which nothing is read here.
    resting: AtomicU64,
}

impl Quick {
    /// Opens so many connections to a file that is there. One that cannot be opened is left out.
    pub(super) fn open(path: &Path, many: usize) -> Quick {
        let connect = |_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags).ok()?;
            // Whoever would have to wait for a lock goes to the threads.
            connection.busy_timeout(Duration::ZERO).ok()?;
            connection.pragma_update(None, "cache_size", -2048).ok()?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            Some(Mutex::new(Some(connection)))
        };
        let connections = (0..many).filter_map(connect).collect();
        Quick { connections, opened: Instant::now(), resting: AtomicU64::new(0) }
    }

    /// The rows, or nothing where they are to be read by a thread.
    pub(super) fn read(&self, sql: &str, values: &[Value]) -> Option<Vec<Row>> {
        let began = Instant::now();
        if self.since_opened(began) < self.resting.load(Ordering::Relaxed) {
            return None;
        }
        let place = self.connections.iter().find_map(|place| place.try_lock().ok())?;
        let rows = rows(place.as_ref()?, sql, values);
        drop(place);
        let ended = Instant::now();
        if ended.saturating_duration_since(began) > SLOW {
            let until = ended.checked_add(REST).unwrap_or(ended);
            self.resting.store(self.since_opened(until), Ordering::Relaxed);
        }
        rows.ok()
    }

    fn since_opened(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened).as_millis()).unwrap_or(u64::MAX)
    }

    /// Closes the file.
    pub(super) fn close(&self) {
        for place in &self.connections {
            drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// Puts values into the places of a statement. One that is missing, or of a kind that only PostgreSQL knows, is an error.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    if statement.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), statement.parameter_count()));
    }
    for (position, value) in (1..).zip(values) {
        match value {
            Value::Int(number) => statement.raw_bind_parameter(position, number)?,
            Value::Text(text) => statement.raw_bind_parameter(position, text)?,
            Value::Word(word) => statement.raw_bind_parameter(position, word)?,
            Value::Blob(octets) => statement.raw_bind_parameter(position, octets)?,
            Value::Ints(_) | Value::Texts(_) | Value::Blobs(_) => return Err(rusqlite::Error::InvalidQuery),
        }
    }
    Ok(())
}

fn rows(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    let columns = statement.column_count();
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let value = |column| match row.get_ref(column)? {
            ValueRef::Null => Ok(Value::Text(None)),
            ValueRef::Integer(number) => Ok(Value::from(number)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Value::from(text)),
                Err(error) => Err(rusqlite::Error::Utf8Error(column, error)),
            },
            ValueRef::Blob(octets) => Ok(Value::from(octets.to_vec())),
            ValueRef::Real(_) => Err(rusqlite::Error::InvalidQuery),
        };
        rows.push(Row::of((0..columns).map(value).collect::<rusqlite::Result<_>>()?));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("CREATE TABLE t (a INTEGER, b TEXT, c BLOB); INSERT INTO t VALUES (7, 'x', x'01')")
            .unwrap();
        (folder, path)
    }

    #[test]
    fn values_come_back_as_they_are() {
        let (_folder, path) = file();
        let quick = Quick::open(&path, 2);
        for _ in 0..2 {
            let mut rows = quick.read("SELECT a, b, c, NULL FROM t WHERE b = $1", &["x".into()]).unwrap();
            let row = rows.first_mut().unwrap();
            assert_eq!(row.needed_int("a").unwrap(), 7);
            assert_eq!(row.needed_text("b").unwrap(), "x");
            assert_eq!(row.needed_blob("c").unwrap(), [1]);
            assert_eq!(row.text("d").unwrap(), None);
        }
        assert!(quick.read("SELECT a FROM t WHERE b = $1", &["y".into()]).unwrap().is_empty());
    }

    #[test]
    fn what_fails_is_left_to_the_threads() {
        let (_folder, path) = file();
        let quick = Quick::open(&path, 1);
        assert!(quick.read("SELECT nothing FROM t", &[]).is_none());
        let taken = quick.connections[0].lock().unwrap();
        assert!(quick.read("SELECT a FROM t", &[]).is_none(), "nobody waits for a connection");
        drop(taken);
        quick.resting.store(u64::MAX, Ordering::Relaxed);
        assert!(quick.read("SELECT a FROM t", &[]).is_none());
        quick.resting.store(0, Ordering::Relaxed);
        assert!(quick.read("SELECT a FROM t", &[]).is_some());
        quick.close();
        assert!(quick.read("SELECT a FROM t", &[]).is_none());
    }

    #[test]
    fn after_a_slow_read_the_threads_are_used() {
        let (_folder, path) = file();
        let quick = Quick::open(&path, 1);
        let long =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT max(i) FROM n";
        assert!(quick.read(long, &[]).is_some());
        assert!(quick.read("SELECT a FROM t", &[]).is_none());
    }
}
