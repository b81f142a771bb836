//! Mails that wait: put down with what they are about, taken by one server at a time, forgotten once sent.

use std::time::SystemTime;

use crate::users::letters::{Letter, LetterKind};
use crate::users::sql::driver::{Change, Dialect, Driver, Insertion};
use crate::users::sql::value::{Kind, Row, Value, fixed, unreadable};
use crate::users::store::StoreResult;

const COLUMNS: [(&str, Kind); 6] = [
    ("about", Kind::Text),
    ("kind", Kind::Text),
    ("made", Kind::Int),
    ("due", Kind::Int),
    ("tries", Kind::Int),
    ("generation", Kind::Int),
];

/// Letters. One of a kind that waits already does not come in.
pub(in crate::users) static LETTERS: Insertion = Insertion::new("letters", &COLUMNS, "ON CONFLICT DO NOTHING");

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 3] = [DUE, TAKE, WAITING];

const DUE: &str = "SELECT id, about, kind, made, due, tries FROM letters \
     WHERE due <= $1 AND generation <= (SELECT current FROM people_state) ORDER BY due LIMIT $2";
const TAKE: &str = "UPDATE letters SET due = $3, tries = tries + 1 WHERE id = $1 AND due = $2";
const WAITING: &str = "SELECT count(*) FROM letters WHERE generation <= (SELECT current FROM people_state)";

/// A row for [`LETTERS`], which counts from `generation` on.
pub(super) fn row(about: &str, kind: LetterKind, now: SystemTime, generation: i64) -> Vec<Value> {
    vec![about.into(), kind.word().into(), now.into(), now.into(), Value::from(0_i64), generation.into()]
}

/// Puts one down.
pub(super) async fn write(
    change: &mut dyn Change,
    dialect: Dialect,
    about: &str,
    kind: LetterKind,
    generation: i64,
) -> StoreResult<()> {
    LETTERS.run(change, dialect, vec![row(about, kind, SystemTime::now(), generation)]).await.map(|_| ())
}

/// Those that are due, longest first.
pub(super) async fn due(driver: &dyn Driver, now: SystemTime, limit: u32) -> StoreResult<Vec<Letter>> {
    let mut rows = driver.read(fixed(DUE), vec![now.into(), limit.into()]).await?;
    let read = |row: &mut Row| {
        Ok(Letter {
            id: row.needed_int("id")?,
            about: row.needed_text("about")?,
            kind: row.word("kind")?,
            made: row.needed_time("made")?,
            due: row.needed_time("due")?,
            tries: u32::try_from(row.needed_int("tries")?).map_err(|_| unreadable("tries"))?,
        })
    };
    rows.iter_mut().map(read).collect()
}

/// Takes one, so that nobody else gets it before `until`.
pub(super) async fn take(change: &mut dyn Change, letter: &Letter, until: SystemTime) -> StoreResult<bool> {
    let values = vec![letter.id.into(), letter.due.into(), until.into()];
    Ok(change.run(fixed(TAKE), values).await? == 1)
}

/// Forgets one.
pub(super) async fn forget(change: &mut dyn Change, id: i64) -> StoreResult<bool> {
    Ok(change.run(fixed("DELETE FROM letters WHERE id = $1"), vec![id.into()]).await? == 1)
}

/// How many wait.
pub(super) async fn waiting(driver: &dyn Driver) -> StoreResult<u64> {
    let mut rows = driver.read(fixed(WAITING), vec![]).await?;
    let count = rows.first_mut().ok_or_else(|| unreadable("count"))?.needed_int("count")?;
    Ok(u64::try_from(count).unwrap_or_default())
}
