//! What goes to a database and comes back: three kinds of value, the same for SQLite and PostgreSQL, so that
//! the store's logic is written once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::{ColumnIndex, Database, Decode, Encode, IntoArguments, SqlStr, Type, TypeInfo, ValueRef};

use crate::signin::attempt::SignInId;
use crate::users::store::{StoreError, StoreResult};

/// A value of a column or a parameter. Booleans are 0 and 1, times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::users) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    /// A text of this program.
    Word(&'static str),
    Blob(Option<Vec<u8>>),
    /// A whole column of many rows, for PostgreSQL only.
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Blobs(Vec<Option<Vec<u8>>>),
}

/// A value of a row, where it is: what is not a text already becomes one only where that is needed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::users) enum Cell<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    /// A text of this program.
    Word(&'static str),
    Blob(Option<&'a [u8]>),
    /// A list of texts, as [`list`] writes it.
    List(&'a [String]),
    Address(IpAddr),
    SignIn(SignInId),
    /// A whole column, which no row can have: whatever writes rows refuses it.
    Column(&'a Value),
}

impl Cell<'_> {
    /// A text of this program, or nothing.
    pub(in crate::users) fn word(word: Option<&'static str>) -> Self {
        word.map_or(Cell::Text(None), Cell::Word)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Cell::Int(Some(number))
    }
}

impl From<bool> for Cell<'_> {
    fn from(yes: bool) -> Self {
        Cell::Int(Some(i64::from(yes)))
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Cell::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Cell::Text(text)
    }
}

impl Value {
    /// The same, lent.
    pub(in crate::users) fn lent(&self) -> Cell<'_> {
        match self {
            Value::Int(number) => Cell::Int(*number),
            Value::Text(text) => Cell::Text(text.as_deref()),
            Value::Word(word) => Cell::Word(word),
            Value::Blob(octets) => Cell::Blob(octets.as_deref()),
            Value::Ints(_) | Value::Texts(_) | Value::Blobs(_) => Cell::Column(self),
        }
    }
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Int(number) => Value::Int(number),
            Cell::Text(text) => Value::Text(text.map(str::to_owned)),
            Cell::Word(word) => Value::Word(word),
            Cell::Blob(octets) => Value::Blob(octets.map(<[u8]>::to_vec)),
            Cell::List(texts) => list(texts),
            Cell::Address(address) => address.to_string().into(),
            Cell::SignIn(sign_in) => sign_in.to_string().into(),
            Cell::Column(column) => column.clone(),
        }
    }
}

/// The kinds of column there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::users) enum Kind {
    Int,
    Text,
    Blob,
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Int(Some(i64::from(number)))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Int(Some(i64::from(yes)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Value::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Value::Text(text.map(str::to_owned))
    }
}

impl From<Vec<u8>> for Value {
    fn from(octets: Vec<u8>) -> Self {
        Value::Blob(Some(octets))
    }
}

impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Self {
        Value::Int(Some(micros(time)))
    }
}

impl From<Option<SystemTime>> for Value {
    fn from(time: Option<SystemTime>) -> Self {
        Value::Int(time.map(micros))
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Value::Int(Some(micros_of(duration)))
    }
}

/// A time as microseconds since 1970, kept within what the column can hold.
pub(in crate::users) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

/// A duration in microseconds, kept within what the column can hold.
pub(in crate::users) fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) }
}

/// A list of texts as one parameter: a JSON array, which both databases can take apart.
pub(in crate::users) fn list(texts: &[String]) -> Value {
    listed(texts).into()
}

/// As [`list`], as text. Texts can always be written.
pub(in crate::users) fn listed(texts: &[String]) -> String {
    serde_json::to_string(texts).unwrap_or_else(|_| "[]".into())
}

/// A row, read from the left.
#[derive(Debug)]
pub(in crate::users) struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these columns.
    pub(in crate::users) fn of(values: Vec<Value>) -> Row {
        Row(values.into_iter())
    }

    /// The next column as it is.
    pub(in crate::users) fn value(&mut self, column: &str) -> StoreResult<Value> {
        self.0.next().ok_or_else(|| unreadable(column))
    }

    pub(in crate::users) fn int(&mut self, column: &str) -> StoreResult<Option<i64>> {
        match self.value(column)? {
            Value::Int(number) => Ok(number),
            Value::Text(None) => Ok(None),
            _ => Err(unreadable(column)),
        }
    }

    pub(in crate::users) fn text(&mut self, column: &str) -> StoreResult<Option<String>> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            _ => Err(unreadable(column)),
        }
    }

    pub(in crate::users) fn blob(&mut self, column: &str) -> StoreResult<Option<Vec<u8>>> {
        match self.value(column)? {
            Value::Blob(octets) => Ok(octets),
            Value::Text(None) => Ok(None),
            _ => Err(unreadable(column)),
        }
    }

    pub(in crate::users) fn needed_int(&mut self, column: &str) -> StoreResult<i64> {
        self.int(column)?.ok_or_else(|| unreadable(column))
    }

    pub(in crate::users) fn needed_text(&mut self, column: &str) -> StoreResult<String> {
        self.text(column)?.ok_or_else(|| unreadable(column))
    }

    pub(in crate::users) fn needed_blob(&mut self, column: &str) -> StoreResult<Vec<u8>> {
        self.blob(column)?.ok_or_else(|| unreadable(column))
    }

    pub(in crate::users) fn flag(&mut self, column: &str) -> StoreResult<bool> {
        Ok(self.needed_int(column)? != 0)
    }

    pub(in crate::users) fn time(&mut self, column: &str) -> StoreResult<Option<SystemTime>> {
        self.int(column)?.map(|micros| time(micros).ok_or_else(|| unreadable(column))).transpose()
    }

    pub(in crate::users) fn needed_time(&mut self, column: &str) -> StoreResult<SystemTime> {
        self.time(column)?.ok_or_else(|| unreadable(column))
    }

    /// A word of a closed list.
    pub(in crate::users) fn word<T: std::str::FromStr>(&mut self, column: &str) -> StoreResult<T> {
        self.needed_text(column)?.parse().map_err(|_| unreadable(column))
    }
}

/// A column whose content cannot be what we wrote.
pub(in crate::users) fn unreadable(column: &str) -> StoreError {
    StoreError::Unusable(format!("column {column} of a row cannot be read; was it written by a newer Anteroom?"))
}

/// A row of `DB`, taken apart.
pub(in crate::users) fn row_of<DB>(row: &DB::Row) -> Result<Row, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    for<'r> i64: Decode<'r, DB>,
    for<'r> String: Decode<'r, DB>,
    for<'r> Vec<u8>: Decode<'r, DB>,
{
    use sqlx::Row as _;
    let value = |index: usize| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Text(None));
        }
        let kind = match raw.type_info().name() {
            "INTEGER" | "INT8" => Some(Kind::Int),
            "TEXT" => Some(Kind::Text),
            "BLOB" | "BYTEA" => Some(Kind::Blob),
            _ => None,
        };
        let value = match kind {
            Some(Kind::Int) => i64::decode(raw).map(Value::from),
            Some(Kind::Text) => String::decode(raw).map(Value::from),
            Some(Kind::Blob) => Vec::<u8>::decode(raw).map(Value::from),
            None => Err("a type that the store does not use".into()),
        };
        value.map_err(|source| sqlx::Error::ColumnDecode { index: index.to_string(), source })
    };
    (0..row.len()).map(value).collect::<Result<_, _>>().map(Row::of)
}

/// A query with its parameters.
pub(in crate::users) fn bound<'q, DB>(
    sql: SqlStr,
    values: Vec<Value>,
) -> sqlx::query::Query<'q, DB, <DB as Database>::Arguments>
where
    DB: Database,
    <DB as Database>::Arguments: IntoArguments<DB>,
    Option<i64>: Encode<'q, DB> + Type<DB>,
    Option<String>: Encode<'q, DB> + Type<DB>,
    Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
{
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Word(word) => query.bind(Some(word.to_owned())),
        Value::Blob(octets) => query.bind(octets),
        // Only PostgreSQL's own binding knows arrays; elsewhere they are a mistake that no row survives.
        Value::Ints(_) | Value::Texts(_) | Value::Blobs(_) => query.bind(None::<i64>),
    })
}

/// A statement whose text was put together from constants.
pub(in crate::users) fn built(text: impl Into<Arc<str>>) -> SqlStr {
    use sqlx::SqlSafeStr as _;
    sqlx::AssertSqlSafe(text.into()).into_sql_str()
}

/// A statement whose text is a constant.
pub(in crate::users) fn fixed(text: &'static str) -> SqlStr {
    use sqlx::SqlSafeStr as _;
    text.into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_column_even_at_the_ends() {
        assert_eq!(micros(SystemTime::UNIX_EPOCH - Duration::from_micros(7)), -7);
        assert_eq!(time(-7), Some(SystemTime::UNIX_EPOCH - Duration::from_micros(7)));
        assert_eq!(micros(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX / 4)), i64::MAX);
    }

    #[test]
    fn a_column_of_another_kind_is_refused() {
        let mut row = Row(vec![Value::from("a"), Value::from(1_i64), Value::Text(None)].into_iter());
        assert!(matches!(row.int("one"), Err(StoreError::Unusable(_))));
        assert!(matches!(row.text("two"), Err(StoreError::Unusable(_))));
        assert!(matches!(row.needed_int("three"), Err(StoreError::Unusable(_))));
        assert!(matches!(row.text("four"), Err(StoreError::Unusable(_))));
    }
}
