//! What is written once and never changed: audit events, accounting records, changes. Many rows to a statement:
//! a trip to SQLite's thread costs as much as inserting a row.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::audit::{Accounted, Event, Steps};
use crate::users::changes::{ChangeRecord, Difference, arrival, written};
use crate::users::model::{Method, Person};
use crate::users::profile::Profile;
use crate::users::sql::driver::{Change, Dialect, Insertion, Rows};
use crate::users::sql::measures;
use crate::users::sql::value::{Cell, Kind, Row, Value, built, fixed, list, micros, micros_of, unreadable};
use crate::users::store::StoreResult;

/// Columns of an event, in the order of [`event_row`].
const EVENT_COLUMNS: [(&str, Kind); 25] = [
    ("time", Kind::Int),
    ("sign_in", Kind::Text),
    ("door", Kind::Text),
    ("client", Kind::Text),
    ("application", Kind::Text),
    ("name", Kind::Text),
    ("unique_id", Kind::Text),
    ("account", Kind::Text),
    ("source", Kind::Text),
    ("person_address", Kind::Text),
    ("method", Kind::Text),
    ("provider", Kind::Text),
    ("primary_result", Kind::Text),
    ("factor_result", Kind::Text),
    ("verdict", Kind::Text),
    ("reason", Kind::Text),
    ("requests", Kind::Int),
    ("identify_us", Kind::Int),
    ("primary_us", Kind::Int),
    ("policy_us", Kind::Int),
    ("factor_us", Kind::Int),
    ("total_us", Kind::Int),
    ("server", Kind::Text),
    ("rule", Kind::Text),
    ("earlier", Kind::Text),
];

/// Columns of an accounting record, in the order of [`accounting_row`].
const ACCOUNTING_COLUMNS: [(&str, Kind); 9] = [
    ("time", Kind::Int),
    ("client", Kind::Text),
    ("source", Kind::Text),
    ("status", Kind::Text),
    ("session", Kind::Text),
    ("name", Kind::Text),
    ("octets_in", Kind::Int),
    ("octets_out", Kind::Int),
    ("session_seconds", Kind::Int),
];

const CHANGE_COLUMNS: [(&str, Kind); 7] = [
    ("time", Kind::Int),
    ("changed_by", Kind::Text),
    ("unique_id", Kind::Text),
    ("name", Kind::Text),
    ("kind", Kind::Text),
    ("fields", Kind::Text),
    ("generation", Kind::Int),
];

/// Audit events.
pub(in crate::users) static EVENTS: Insertion = Insertion::new("events", &EVENT_COLUMNS, "");

/// Accounting records.
pub(in crate::users) static ACCOUNTING: Insertion = Insertion::new("accounting", &ACCOUNTING_COLUMNS, "");

/// Changes.
pub(in crate::users) static CHANGES: Insertion = Insertion::new("changes", &CHANGE_COLUMNS, "");

/// Rows for [`EVENTS`].
impl Rows for Arc<Vec<Event>> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>) {
        cells.extend(self.get(place).into_iter().flat_map(event_row));
    }
}

fn event_row(event: &Event) -> [Cell<'_>; EVENT_COLUMNS.len()] {
    let Steps { identify, primary, policy, factor, total } = event.steps;
    let time = |taken: Option<Duration>| Cell::Int(taken.map(micros_of));
    [
        Cell::Int(Some(micros(event.time))),
        Cell::SignIn(event.sign_in),
        Cell::Word(event.door.word()),
        Cell::Text(Some(&event.client)),
        Cell::Text(Some(&event.application)),
        Cell::Text(Some(&event.name)),
        Cell::Text(event.unique_id.as_deref()),
        Cell::Text(event.account.as_deref()),
        Cell::Address(event.source),
        event.person_address.map_or(Cell::Text(None), Cell::Address),
        Cell::word(event.method.map(Method::word)),
        Cell::Text(event.provider.as_deref()),
        Cell::word(event.primary),
        Cell::word(event.factor),
        Cell::Word(event.verdict.word()),
        Cell::Word(event.reason.code()),
        Cell::Int(Some(i64::from(event.requests))),
        time(identify),
        time(primary),
        time(policy),
        time(factor),
        time(Some(total)),
        Cell::Text(Some(&event.server)),
        Cell::Text(event.rule.as_deref()),
        Cell::Text(event.earlier.as_deref()),
    ]
}

/// A row for [`ACCOUNTING`].
pub(super) fn accounting_row(accounted: &Accounted) -> Vec<Value> {
    let record = &accounted.record;
    // The databases' integers end at half of what a client can report; nobody has moved that much.
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    vec![
        accounted.time.into(),
        record.client.as_str().into(),
        record.source.to_string().into(),
        record.status_word().into(),
        record.session.as_str().into(),
        record.name.as_str().into(),
        record.octets_in.map(integer).into(),
        record.octets_out.map(integer).into(),
        record.session_time.map(|time| integer(time.as_secs())).into(),
    ]
}

/// A change to be kept.
pub(super) struct Noted<'a> {
    unique_id: &'a str,
    name: &'a str,
    kind: &'a str,
    by: &'a str,
    /// As they are kept, see [`written`].
    fields: String,
}

impl<'a> Noted<'a> {
    pub(super) fn new(profile: &'a Profile, kind: &'a str, by: &'a str, fields: &[Difference]) -> Self {
        Noted::of(&profile.person.unique_id, &profile.person.name, kind, by, fields)
    }

    pub(super) fn of(unique_id: &'a str, name: &'a str, kind: &'a str, by: &'a str, fields: &[Difference]) -> Self {
        Noted { unique_id, name, kind, by, fields: written(fields) }
    }

    /// Somebody has come.
    pub(super) fn came(profile: &'a Profile, by: &'a str) -> Self {
        let Person { unique_id, name, .. } = &profile.person;
        Noted { unique_id, name, kind: "added", by, fields: arrival(profile) }
    }
}

/// Rows for [`CHANGES`].
struct NotedAt<'a> {
    noted: &'a [Noted<'a>],
    time: i64,
    generation: i64,
}

impl Rows for NotedAt<'_> {
    fn len(&self) -> usize {
        self.noted.len()
    }

    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>) {
        let Some(Noted { unique_id, name, kind, by, fields }) = self.noted.get(place) else { return };
        cells.push(self.time.into());
        cells.extend([by, unique_id, name, kind].map(|text| Cell::from(*text)));
        cells.extend([Cell::from(fields.as_str()), self.generation.into()]);
    }
}

/// Keeps changes that count with `generation`.
pub(super) async fn note(
    change: &mut dyn Change,
    dialect: Dialect,
    generation: i64,
    noted: Vec<Noted<'_>>,
) -> StoreResult<()> {
    note_at(change, dialect, generation, noted, SystemTime::now()).await
}

/// As [`note`], at a time.
pub(super) async fn note_at(
    change: &mut dyn Change,
    dialect: Dialect,
    generation: i64,
    noted: Vec<Noted<'_>>,
    time: SystemTime,
) -> StoreResult<()> {
    let rows = NotedAt { noted: &noted, time: micros(time), generation };
    CHANGES.lend(change, dialect, &rows).await.map(|_| ())
}

/// Changes of everybody, newest first.
pub(in crate::users) const ALL_CHANGES: &str = "SELECT id, time, changed_by, unique_id, name, kind, fields FROM changes \
     WHERE id < $1 AND generation <= (SELECT current FROM people_state) ORDER BY id DESC LIMIT $2";

/// Changes of one person, newest first; also of one who is gone.
pub(in crate::users) const CHANGES_OF: &str = "SELECT id, time, changed_by, unique_id, name, kind, fields FROM changes \
     WHERE id < $1 AND unique_id = $3 AND generation <= (SELECT current FROM people_state) ORDER BY id DESC LIMIT $2";

pub(super) fn read_change(row: &mut Row) -> StoreResult<ChangeRecord> {
    Ok(ChangeRecord {
        id: row.needed_int("id")?,
        time: row.needed_time("time")?,
        by: row.needed_text("changed_by")?,
        unique_id: row.needed_text("unique_id")?,
        name: row.needed_text("name")?,
        kind: row.needed_text("kind")?,
        fields: serde_json::from_str(&row.needed_text("fields")?).map_err(|_| unreadable("fields"))?,
    })
}

/// When a person was last accepted, in the audit and before it.
pub(in crate::users) const LAST_SIGN_IN: &str = "SELECT max(t.at) FROM (\
     SELECT max(time) AS at FROM events WHERE unique_id = $1 AND verdict = 'accept' \
     UNION ALL SELECT last_sign_in FROM standing WHERE unique_id = $1) t";

/// The oldest events, whose accepted ones are remembered before they go.
const OLD_EVENTS: &str = "SELECT id FROM events WHERE time < $1 ORDER BY time LIMIT $2";

/// Keeps the last accepted sign-in of everybody in a list of events.
fn keep_last(dialect: Dialect) -> String {
    let newer = match dialect {
        Dialect::Sqlite => "max",
        Dialect::Postgres => "greatest",
    };
    format!(
        "INSERT INTO standing (unique_id, last_sign_in) \
         SELECT unique_id, max(time) FROM events WHERE verdict = 'accept' AND unique_id IS NOT NULL \
         AND unique_id IN (SELECT unique_id FROM people) AND id IN ({OLD_EVENTS}) GROUP BY unique_id \
         ON CONFLICT (unique_id) DO UPDATE SET last_sign_in = \
         {newer}(coalesce(standing.last_sign_in, excluded.last_sign_in), excluded.last_sign_in)"
    )
}

/// Removes the oldest of everything; how many.
pub(super) async fn prune(
    change: &mut dyn Change,
    dialect: Dialect,
    before: SystemTime,
    limit: u32,
) -> StoreResult<u64> {
    let values = || vec![Value::from(before), Value::from(limit)];
    change.run(built(keep_last(dialect)), values()).await?;
    let mut gone = 0;
    for table in ["events", "accounting", "changes", "measures"] {
        let sql =
            format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE time < $1 ORDER BY time LIMIT $2)");
        gone += change.run(built(sql), values()).await?;
    }
    Ok(gone)
}

/// What stands in the place of a name that was taken out.
pub(in crate::users) const NOBODY: &str = "(erased)";

/// Takes a person out of all records; how many were changed. `names` are theirs, as typed and as compared.
pub(super) async fn anonymise(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    names: &[String],
) -> StoreResult<u64> {
    let mut gone = change.run(fixed("DELETE FROM changes WHERE unique_id = $1"), vec![unique_id.into()]).await?;
    gone += change.run(fixed(measures::FORGET_PERSON), vec![unique_id.into()]).await?;
    let cleared =
        format!("UPDATE events SET name = '{NOBODY}', account = NULL, person_address = NULL, unique_id = NULL");
    let theirs = change.run(built(format!("{cleared} WHERE unique_id = $1")), vec![unique_id.into()]).await?;
    let list = list(names);
    let typed = format!("{cleared} WHERE unique_id IS NULL AND name IN {}", dialect.listed(1));
    let typed = change.run(built(typed), vec![list.clone()]).await?;
    let accounted = format!("UPDATE accounting SET name = '{NOBODY}' WHERE name IN {}", dialect.listed(1));
    let accounted = change.run(built(accounted), vec![list]).await?;
    Ok(gone + theirs + typed + accounted)
}
