//! A person as a row and back.

use std::time::{Duration, SystemTime};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};

use crate::users::model::Person;
use crate::users::sqlite::fault::{store_error, unreadable};
use crate::users::store::StoreResult;

/// A time as microseconds since 1970, kept within what the column can hold.
pub(super) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

/// A duration as microseconds, kept within what the column can hold.
pub(super) fn duration_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) }
}

/// Binds a person in the order of [`statement::ADD`](crate::users::store::statement::ADD).
pub(super) fn bind_person(statement: &'static str, person: &Person) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement)
        .bind(person.unique_id.clone())
        .bind(person.name.clone())
        .bind(person.upn.clone())
        .bind(person.dn.clone())
        .bind(person.first_name.clone())
        .bind(person.last_name.clone())
        .bind(person.email.clone())
        .bind(person.phone.clone())
        .bind(person.phone_extension.clone())
        .bind(person.device_token.clone())
        .bind(person.method.word())
        .bind(person.language.clone())
        .bind(person.enabled)
        .bind(person.blocked_until.map(micros))
}

/// Reads a person back, in the order of the statements that select one.
pub(super) fn read_person(row: &SqliteRow) -> StoreResult<Person> {
    let method: &str = row.try_get(10).map_err(store_error)?;
    let blocked_until: Option<i64> = row.try_get(13).map_err(store_error)?;
    Ok(Person {
        unique_id: row.try_get(0).map_err(store_error)?,
        name: row.try_get(1).map_err(store_error)?,
        upn: row.try_get(2).map_err(store_error)?,
        dn: row.try_get(3).map_err(store_error)?,
        first_name: row.try_get(4).map_err(store_error)?,
        last_name: row.try_get(5).map_err(store_error)?,
        email: row.try_get(6).map_err(store_error)?,
        phone: row.try_get(7).map_err(store_error)?,
        phone_extension: row.try_get(8).map_err(store_error)?,
        device_token: row.try_get(9).map_err(store_error)?,
        method: method.parse().map_err(|_| unreadable("method"))?,
        language: row.try_get(11).map_err(store_error)?,
        enabled: row.try_get::<i64, _>(12).map_err(store_error)? != 0,
        blocked_until: blocked_until
            .map(|micros| time(micros).ok_or_else(|| unreadable("blocked_until")))
            .transpose()?,
    })
}

/// Reads several.
pub(super) fn read_people(rows: &[SqliteRow]) -> StoreResult<Vec<Person>> {
    rows.iter().map(read_person).collect()
}
