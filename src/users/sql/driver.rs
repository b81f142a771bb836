//! What a database must be able to do for the store: read with one statement, and change with several that
//! count together or not at all. [`crate::users::sqlite`] and [`crate::users::postgres`] can.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::SqlStr;

use crate::users::sql::value::{Cell, Kind, Row, Value, built};
use crate::users::store::StoreResult;

/// Which SQL a database speaks where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::users) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The texts of a JSON array that is parameter `number`, as something that `IN` accepts.
    pub(in crate::users) fn listed(self, number: usize) -> String {
        match self {
            Dialect::Sqlite => format!("(SELECT value FROM json_each(${number}))"),
            Dialect::Postgres => format!("(SELECT jsonb_array_elements_text(${number}::text::jsonb))"),
        }
    }
}

/// Rows to be inserted, each looked at when it is its turn: thousands of them, made at once, would push all else out of
/// the caches, and copies of their texts would be most of the work.
pub(in crate::users) trait Rows: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Puts the cells of one of them behind those that are there, in the order of the columns.
    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>);

    /// All of them, copied.
    fn copies(&self) -> Vec<Vec<Value>> {
        let copy = |place| {
            let mut cells = Vec::new();
            self.row(place, &mut cells);
            cells.into_iter().map(Value::from).collect()
        };
        (0..self.len()).map(copy).collect()
    }
}

/// Rows that were made before.
impl Rows for Vec<Vec<Value>> {
    fn len(&self) -> usize {
        self.len()
    }

    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>) {
        cells.extend(self.get(place).into_iter().flatten().map(Value::lent));
    }
}

/// A database.
pub(in crate::users) trait Driver: Send + Sync + std::fmt::Debug {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// One statement on the state as it is now. Never waits for a writer.
    fn read(&self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>>;

    /// As [`Driver::read`], for a row that is found by a key: what a sign-in waits for.
    fn look_up(&self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        self.read(sql, values)
    }

    /// Shows each row of one statement as it comes, without keeping any; `false`: it cannot, and none was shown.
    fn each<'a>(
        &'a self,
        _: SqlStr,
        _: &'a mut (dyn FnMut(Row) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Begins a change. Dropped without [`Change::commit`] it has never been.
    fn begin(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>>;

    /// Inserts rows for which nobody has to look at anything before: all of them, or none.
    fn append(&self, insertion: &'static Insertion, rows: Box<dyn Rows>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut change = self.begin().await?;
            insertion.lend(change.as_mut(), self.dialect(), rows.as_ref()).await?;
            drop(rows);
            change.commit().await
        })
    }

    /// As [`Driver::begin`], for what counts only with a later change: whoever commits need not wait until it can
    /// survive a power failure, because the later change does, and is written behind it.
    fn begin_staged(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        self.begin()
    }

    /// As [`Driver::begin_staged`], together with other changes of the same import. Whoever changes people otherwise is
    /// kept from it by each of them, and keeps each of them from beginning.
    fn begin_together(&self) -> BoxFuture<'_, StoreResult<Box<dyn Change>>> {
        self.begin_staged()
    }

    /// How long changes of many rows have kept others from changing.
    fn holds(&self) -> &Holds;

    /// The same database through a connection of its own that is made for many rows.
    fn for_many_rows(&self) -> BoxFuture<'_, StoreResult<Arc<dyn Driver>>>;

    /// Where an import may keep more than fits into memory.
    fn scratch(&self) -> PathBuf {
        std::env::temp_dir()
    }

    /// How much [`Driver::check`] has to read, in octets.
    fn octets(&self) -> u64 {
        0
    }

    /// Looks whether the data is sound, as far as that is quick.
    fn check(&self) -> BoxFuture<'_, StoreResult<()>>;

    /// Gives the connections back.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The longest that an import has kept others from changing people, over all of its changes.
#[derive(Debug, Default)]
pub(in crate::users) struct Holds(AtomicU64);

impl Holds {
    /// A change is over that took so long.
    pub(in crate::users) fn note(&self, took: Duration) {
        self.0.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Begins anew.
    pub(in crate::users) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The longest, to the microsecond.
    pub(in crate::users) fn longest(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Several statements that count together.
pub(in crate::users) trait Change: Send {
    /// Runs a statement; how many rows it touched.
    fn run(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<u64>>;

    /// Runs a statement that gives rows.
    fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> BoxFuture<'_, StoreResult<Vec<Row>>>;

    /// Inserts many rows faster than a statement does: all of them, or none where a key is taken. `None`: none came in,
    /// a statement has to do it.
    fn bulk<'a>(&'a mut self, _: &'a Insertion, _: &'a dyn Rows) -> BoxFuture<'a, StoreResult<Option<u64>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Makes all of it count.
    fn commit(self: Box<Self>) -> BoxFuture<'static, StoreResult<()>>;
}

/// Rows of one statement for SQLite, largest first. It allows 32,766 parameters; few sizes keep few statements
/// prepared.
const SIZES: [usize; 3] = [64, 8, 1];

/// Rows of one statement for PostgreSQL, at most. Beyond a thousand it gets no faster.
const ARRAY: usize = 1_000;

/// An insertion of many rows into one table: SQLite takes a list of rows, PostgreSQL an array for each column.
#[derive(Debug)]
pub(in crate::users) struct Insertion {
    table: &'static str,
    columns: &'static [(&'static str, Kind)],
    tail: &'static str,
    lists: OnceLock<[Arc<str>; 3]>,
    arrays: OnceLock<Arc<str>>,
    copy: OnceLock<Box<str>>,
}

impl Insertion {
    /// Into `table`; `tail` is what follows the rows, such as `ON CONFLICT DO NOTHING`.
    pub(in crate::users) const fn new(
        table: &'static str,
        columns: &'static [(&'static str, Kind)],
        tail: &'static str,
    ) -> Self {
        Insertion { table, columns, tail, lists: OnceLock::new(), arrays: OnceLock::new(), copy: OnceLock::new() }
    }

    /// The text that SQLite runs for each of [`SIZES`]: bare question marks are what it binds fastest.
    pub(in crate::users) fn lists(&self) -> &[Arc<str>; 3] {
        self.lists.get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns.len()].join(","));
            SIZES.map(|rows| {
                let rows = vec![row.as_str(); rows].join(",");
                format!("INSERT INTO {} ({}) VALUES {rows} {}", self.table, self.names(), self.tail).into()
            })
        })
    }

    /// The text that SQLite runs for one row.
    pub(in crate::users) fn single(&self) -> &Arc<str> {
        let [.., one] = self.lists();
        one
    }

    /// The text that PostgreSQL runs.
    pub(in crate::users) fn arrays(&self) -> &Arc<str> {
        self.arrays.get_or_init(|| {
            let array = |(place, (_, kind)): (usize, &(&str, Kind))| {
                let name = match kind {
                    Kind::Int => "bigint",
                    Kind::Text => "text",
                    Kind::Blob => "bytea",
                };
                format!("${}::{name}[]", place + 1)
            };
            let arrays: Vec<String> = self.columns.iter().enumerate().map(array).collect();
            let (names, arrays) = (self.names(), arrays.join(", "));
            format!("INSERT INTO {} ({names}) SELECT * FROM UNNEST({arrays}) {}", self.table, self.tail).into()
        })
    }

    /// The text with which PostgreSQL copies rows, in its binary format.
    pub(in crate::users) fn copy(&self) -> &str {
        self.copy.get_or_init(|| {
            format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.table, self.names()).into_boxed_str()
        })
    }

    /// Whether rows may be left out because their keys are taken.
    pub(in crate::users) fn leaves_out(&self) -> bool {
        !self.tail.is_empty()
    }

    /// How many values a row has.
    pub(in crate::users) fn width(&self) -> usize {
        self.columns.len()
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// Inserts `rows`, each with a value for each column; how many came in.
    pub(in crate::users) async fn run(
        &self,
        change: &mut dyn Change,
        dialect: Dialect,
        rows: Vec<Vec<Value>>,
    ) -> StoreResult<u64> {
        match change.bulk(self, &rows).await? {
            Some(inserted) => Ok(inserted),
            None => self.by_statements(change, dialect, rows).await,
        }
    }

    /// As [`Insertion::run`], of rows that stay where they are.
    pub(in crate::users) async fn lend(
        &self,
        change: &mut dyn Change,
        dialect: Dialect,
        rows: &dyn Rows,
    ) -> StoreResult<u64> {
        match change.bulk(self, rows).await? {
            Some(inserted) => Ok(inserted),
            None => self.by_statements(change, dialect, rows.copies()).await,
        }
    }

    async fn by_statements(
        &self,
        change: &mut dyn Change,
        dialect: Dialect,
        mut rows: Vec<Vec<Value>>,
    ) -> StoreResult<u64> {
        let mut inserted = 0;
        while !rows.is_empty() {
            let (size, text) = match dialect {
                Dialect::Postgres => (rows.len().min(ARRAY), self.arrays()),
                Dialect::Sqlite => {
                    let mut sizes = SIZES.into_iter().zip(self.lists());
                    let fits = sizes.find(|(size, _)| *size <= rows.len());
                    let Some(fits) = fits else { break };
                    fits
                }
            };
            let rest = rows.split_off(size);
            let values = match dialect {
                Dialect::Sqlite => rows.into_iter().flatten().collect(),
                Dialect::Postgres => self.turned(rows),
            };
            inserted += change.run(built(Arc::clone(text)), values).await?;
            rows = rest;
        }
        Ok(inserted)
    }

    /// Rows as columns.
    fn turned(&self, rows: Vec<Vec<Value>>) -> Vec<Value> {
        let many = rows.len();
        let mut columns: Vec<Value> = self
            .columns
            .iter()
            .map(|(_, kind)| match kind {
                Kind::Int => Value::Ints(Vec::with_capacity(many)),
                Kind::Text => Value::Texts(Vec::with_capacity(many)),
                Kind::Blob => Value::Blobs(Vec::with_capacity(many)),
            })
            .collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                match (column, value) {
                    (Value::Ints(column), Value::Int(number)) => column.push(number),
                    (Value::Texts(column), Value::Text(text)) => column.push(text),
                    (Value::Texts(column), Value::Word(word)) => column.push(Some(word.to_owned())),
                    (Value::Blobs(column), Value::Blob(octets)) => column.push(octets),
                    // A value of another kind leaves its column short, which the database refuses.
                    _ => {}
                }
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TWO: Insertion = Insertion::new("t", &[("a", Kind::Int), ("b", Kind::Text)], "ON CONFLICT DO NOTHING");

    #[test]
    fn each_database_gets_its_own_text() {
        let [_, _, one] = TWO.lists();
        assert_eq!(&**one, "INSERT INTO t (a, b) VALUES (?,?) ON CONFLICT DO NOTHING");
        assert_eq!(
            &**TWO.arrays(),
            "INSERT INTO t (a, b) SELECT * FROM UNNEST($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn rows_become_columns() {
        let rows = vec![vec![Value::from(1_i64), Value::from("x")], vec![Value::Int(None), Value::Text(None)]];
        let columns = TWO.turned(rows);
        assert_eq!(columns, [Value::Ints(vec![Some(1), None]), Value::Texts(vec![Some("x".into()), None])]);
    }
}
