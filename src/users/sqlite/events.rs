//! Audit events and accounting records into their tables, many rows to a statement: a trip to SQLite's thread costs as much as
//! inserting a row.

use std::sync::{Arc, LazyLock};

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool};

use crate::audit::{Accounted, Event};
use crate::users::sqlite::fault::store_error;
use crate::users::sqlite::rows::{duration_micros, micros};
use crate::users::store::{StoreResult, statement};

/// Rows of one statement, largest first. SQLite allows 32,766 parameters; few sizes keep few statements
/// prepared.
pub(super) const SIZES: [usize; 3] = [64, 8, 1];

type Texts = LazyLock<[Arc<str>; 3]>;

/// The text for each of [`SIZES`]. Made of constants only.
pub(super) static EVENTS: Texts =
    LazyLock::new(|| SIZES.map(|rows| Arc::from(statement::insert("events", &statement::EVENT_COLUMNS, rows))));

/// As [`EVENTS`], for accounting records.
pub(super) static ACCOUNTING: Texts = LazyLock::new(|| {
    SIZES.map(|rows| Arc::from(statement::insert("accounting", &statement::ACCOUNTING_COLUMNS, rows)))
});

/// Appends `events` in one transaction.
pub(super) async fn record(writer: &SqlitePool, events: &[Event]) -> StoreResult<()> {
    insert(writer, &EVENTS, events, bind_event).await
}

/// Appends `accounted` in one transaction.
pub(super) async fn record_accounting(writer: &SqlitePool, accounted: &[Accounted]) -> StoreResult<()> {
    insert(writer, &ACCOUNTING, accounted, bind_accounted).await
}

async fn insert<T>(
    writer: &SqlitePool,
    texts: &[Arc<str>; 3],
    rows: &[T],
    bind: fn(Insert, &T) -> Insert,
) -> StoreResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut change = writer.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
    let mut rest = rows;
    for (size, text) in SIZES.into_iter().zip(texts) {
        let mut chunks = rest.chunks_exact(size);
        for chunk in chunks.by_ref() {
            let query = sqlx::query(AssertSqlSafe(Arc::clone(text)));
            chunk.iter().fold(query, bind).execute(&mut *change).await.map_err(store_error)?;
        }
        rest = chunks.remainder();
    }
    change.commit().await.map_err(store_error)
}

type Insert = Query<'static, Sqlite, SqliteArguments>;

/// Binds one row in the order of [`statement::EVENT_COLUMNS`].
fn bind_event(insert: Insert, event: &Event) -> Insert {
    insert
        .bind(micros(event.time))
        .bind(event.sign_in.to_string())
        .bind(event.door.word())
        .bind(event.client.clone())
        .bind(event.application.clone())
        .bind(event.name.clone())
        .bind(event.unique_id.clone())
        .bind(event.account.clone())
        .bind(event.source.to_string())
        .bind(event.person_address.map(|address| address.to_string()))
        .bind(event.method.map(|method| method.word()))
        .bind(event.provider.clone())
        .bind(event.primary)
        .bind(event.factor)
        .bind(event.verdict.word())
        .bind(event.reason.code())
        .bind(i64::from(event.requests))
        .bind(event.steps.identify.map(duration_micros))
        .bind(event.steps.primary.map(duration_micros))
        .bind(event.steps.policy.map(duration_micros))
        .bind(event.steps.factor.map(duration_micros))
        .bind(duration_micros(event.steps.total))
        .bind(event.server.clone())
}

/// Binds one row in the order of [`statement::ACCOUNTING_COLUMNS`].
fn bind_accounted(insert: Insert, accounted: &Accounted) -> Insert {
    let record = &accounted.record;
    // SQLite's integers end at half of what a client can report; nobody has moved that much.
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    insert
        .bind(micros(accounted.time))
        .bind(record.client.clone())
        .bind(record.source.to_string())
        .bind(record.status_word())
        .bind(record.session.clone())
        .bind(record.name.clone())
        .bind(record.octets_in.map(integer))
        .bind(record.octets_out.map(integer))
        .bind(record.session_time.map(|time| integer(time.as_secs())))
}
