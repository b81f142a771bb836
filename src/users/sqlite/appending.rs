//! What is only ever appended, audit events and accounting records, on a connection and a thread of its own: `sqlx`
//! copies each value twice more and takes it through a channel, which costs as much as SQLite takes for the row.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Statement, TransactionBehavior};

use crate::users::sql::driver::Rows;
use crate::users::sql::value::{Cell, listed};
use crate::users::sqlite::{BUSY, fault};
use crate::users::store::{StoreError, StoreResult};

/// Pages of the log after which they are copied into the file: 48 MiB, below what is left of the log after that.
const CHECKPOINT: i64 = 12_288;

/// The connection, once something was appended.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unopened,
    Open(Connection),
    Closed,
}

impl Appender {
    /// For a file that is there and whose tables are up to date. Opens nothing yet.
    pub(super) fn new(path: PathBuf) -> Appender {
        Appender { path, state: Mutex::new(State::Unopened) }
    }

    /// Appends all rows, or none, by a statement for one. Blocks while somebody else writes.
    ///
    /// # Errors
    /// [`StoreError`], as for every other change.
    pub(super) fn append(&self, sql: &str, rows: &dyn Rows) -> StoreResult<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Unopened = *state {
            *state = State::Open(self.open().map_err(fault::plain_error)?);
        }
        let State::Open(connection) = &mut *state else {
            return Err(StoreError::Unavailable("it has been closed".into()));
        };
        insert(connection, sql, rows).map_err(fault::plain_error)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -4096)?;
        // They tell what they have become. Every transaction touches most pages of the index by person: copied into the
        // file after every few of them, a page is copied once for all.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_size_limit", 67_108_864, |_| Ok(()))?;
        Ok(connection)
    }

    /// Closes the file.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(connection) = std::mem::replace(&mut *state, State::Closed)
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(%error, "the appending connection of the user store was not closed cleanly");
        }
    }
}

/// Dropped before its end, the transaction is rolled back.
fn insert(connection: &mut Connection, sql: &str, rows: &dyn Rows) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(sql)?;
        let (mut cells, mut before) = (Vec::new(), Vec::new());
        for place in 0..rows.len() {
            rows.row(place, &mut cells);
            if statement.parameter_count() != cells.len() {
                return Err(rusqlite::Error::InvalidParameterCount(cells.len(), statement.parameter_count()));
            }
            for (at, cell) in cells.iter().enumerate() {
                // SQLite keeps what a row had for the next one; of most sign-ins half of the columns are the same.
                if before.get(at) != Some(cell) {
                    bind(&mut statement, at + 1, *cell)?;
                }
            }
            statement.raw_execute()?;
            std::mem::swap(&mut cells, &mut before);
            cells.clear();
        }
    }
    transaction.commit()
}

fn bind(statement: &mut Statement<'_>, position: usize, cell: Cell<'_>) -> rusqlite::Result<()> {
    match cell {
        Cell::Int(number) => statement.raw_bind_parameter(position, number),
        Cell::Text(text) => statement.raw_bind_parameter(position, text),
        Cell::Word(word) => statement.raw_bind_parameter(position, word),
        Cell::Blob(octets) => statement.raw_bind_parameter(position, octets),
        Cell::List(texts) => statement.raw_bind_parameter(position, listed(texts)),
        Cell::Address(address) => statement.raw_bind_parameter(position, address.to_string()),
        Cell::SignIn(sign_in) => statement.raw_bind_parameter(position, str::from_utf8(&sign_in.digits()).ok()),
        Cell::Column(_) => Err(rusqlite::Error::InvalidQuery),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::sql::value::Value;

    fn file() -> (tempfile::TempDir, Appender) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER NOT NULL, b TEXT) STRICT").unwrap();
        (folder, Appender::new(path))
    }

    fn rows(appender: &Appender) -> Vec<(i64, Option<String>)> {
        let reader = Connection::open(&appender.path).unwrap();
        let mut statement = reader.prepare("SELECT a, b FROM t ORDER BY rowid").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    const INSERT: &str = "INSERT INTO t (a, b) VALUES (?,?)";

    fn row(number: i64, text: Option<&str>) -> Vec<Value> {
        vec![number.into(), text.into()]
    }

    #[test]
    fn all_rows_come_in_and_in_their_order() {
        let (_folder, appender) = file();
        appender.append(INSERT, &vec![row(2, Some("x")), row(1, None)]).unwrap();
        // What an earlier row had must not stay in the place of nothing.
        appender.append(INSERT, &vec![row(3, None)]).unwrap();
        assert_eq!(rows(&appender), [(2, Some("x".into())), (1, None), (3, None)]);
    }

    #[test]
    fn what_a_row_has_like_the_one_before_is_its_own_all_the_same() {
        let (_folder, appender) = file();
        let same = || vec![row(1, Some("x")), row(1, Some("y")), row(2, Some("y")), row(2, None), row(2, None)];
        appender.append(INSERT, &same()).unwrap();
        // Nothing stays from the last row of the transaction before.
        appender.append(INSERT, &vec![row(2, None)]).unwrap();
        let expected = [(1, Some("x")), (1, Some("y")), (2, Some("y")), (2, None), (2, None), (2, None)];
        assert_eq!(rows(&appender), expected.map(|(number, text)| (number, text.map(str::to_owned))));
    }

    #[test]
    fn of_rows_that_do_not_all_fit_none_comes_in() {
        let (_folder, appender) = file();
        let bad = vec![Value::Int(None), Value::from("x")];
        assert!(matches!(appender.append(INSERT, &vec![row(1, None), bad]), Err(StoreError::Conflict(_))));
        let of_another_kind = vec![Value::Ints(vec![]), Value::from("x")];
        assert!(appender.append(INSERT, &vec![row(1, None), of_another_kind]).is_err());
        assert!(appender.append(INSERT, &vec![vec![1_i64.into()]]).is_err(), "a value is missing");
        assert_eq!(rows(&appender), []);
        appender.append(INSERT, &vec![row(1, None)]).unwrap();
        assert_eq!(rows(&appender), [(1, None)], "it goes on");
    }

    #[test]
    fn after_its_end_nothing_is_appended() {
        let (_folder, appender) = file();
        appender.append(INSERT, &vec![row(1, None)]).unwrap();
        appender.close();
        assert!(matches!(appender.append(INSERT, &vec![row(1, None)]), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn a_file_that_is_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let appender = Appender::new(folder.path().join("gone.db"));
        assert!(matches!(appender.append(INSERT, &vec![row(1, None)]), Err(StoreError::Unavailable(_))));
        assert!(!appender.path.exists());
    }
}
