//! One-time bypasses, blocks and what people reported: put down with their reason; a bypass is used once, whatever
//! number of nodes tries to.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::users::letters::LetterKind;
use crate::users::measures::{Measure, MeasureKind};
use crate::users::sql::driver::{Change, Dialect, Driver, Insertion};
use crate::users::sql::value::{Kind, Row, Value, fixed};
use crate::users::sql::{details, letters, people};
use crate::users::store::StoreResult;

const COLUMNS: [(&str, Kind); 9] = [
    ("time", Kind::Int),
    ("kind", Kind::Text),
    ("unique_id", Kind::Text),
    ("name", Kind::Text),
    ("made_by", Kind::Text),
    ("reason", Kind::Text),
    ("until", Kind::Int),
    ("sign_in", Kind::Text),
    ("used", Kind::Int),
];

/// Measures.
pub(in crate::users) static MEASURES: Insertion = Insertion::new("measures", &COLUMNS, "");

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 5] = [OPEN, OPEN_OF, USE, BETWEEN, FORGET_PERSON];

/// People who have an open bypass, at most: more are used a little later.
const OPEN: &str = "SELECT unique_id FROM measures WHERE kind = 'bypass' AND used IS NULL AND until > $1 AND unique_id IS NOT NULL LIMIT 10000";
const OPEN_OF: &str = "SELECT id FROM measures WHERE unique_id = $1 AND kind = 'bypass' AND used IS NULL AND until > $2 \
     ORDER BY until, id LIMIT 1";
/// The row is locked by whoever comes first; the next one finds it used.
const USE: &str =
    "UPDATE measures SET used = $3, sign_in = $4 WHERE id = $1 AND kind = 'bypass' AND used IS NULL AND until > $2";
const BETWEEN: &str = "SELECT time, kind, unique_id, name, made_by, reason, until, sign_in, used, id FROM measures \
     WHERE time >= $1 AND time < $2 AND id > $3 ORDER BY id LIMIT $4";
pub(super) const FORGET_PERSON: &str = "UPDATE measures SET unique_id = NULL, name = '(erased)' WHERE unique_id = $1";

/// How long it may take until a bypass that another process has made is noticed.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// Who has an open bypass, as of a moment ago: so that a sign-in without one costs no trip to the database.
#[derive(Debug, Default)]
pub(super) struct OpenBypasses(Mutex<Option<(Instant, HashSet<String>)>>);

impl OpenBypasses {
    /// Whether the person has one; `None`: it has to be looked at again.
    pub(super) fn has(&self, unique_id: &str, now: Instant) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (looked, people) = known.as_ref()?;
        (now.saturating_duration_since(*looked) < LOOK_AFTER).then(|| people.contains(unique_id))
    }

    fn keep(&self, looked: Instant, people: HashSet<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((looked, people));
    }

    /// Forgets what is known: somebody has got one.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Looks again.
    pub(super) async fn look(&self, driver: &dyn Driver, now: SystemTime) -> StoreResult<()> {
        let began = Instant::now();
        let mut rows = driver.read(fixed(OPEN), vec![now.into()]).await?;
        let people = rows.iter_mut().map(|row| row.needed_text("unique_id")).collect::<StoreResult<_>>()?;
        self.keep(began, people);
        Ok(())
    }
}

fn row(measure: &Measure) -> Vec<Value> {
    vec![
        measure.time.into(),
        measure.kind.word().into(),
        measure.unique_id.clone().into(),
        measure.name.as_str().into(),
        measure.by.as_str().into(),
        measure.reason.as_str().into(),
        measure.until.into(),
        measure.sign_in.clone().into(),
        measure.used.into(),
    ]
}

/// Puts one down and does what it says; `false` if there is no such person. A block never ends an earlier, longer one.
pub(super) async fn take(
    change: &mut dyn Change,
    dialect: Dialect,
    measure: &Measure,
    tell: bool,
) -> StoreResult<bool> {
    let unique_id = measure.unique_id.as_deref().unwrap_or_default();
    let Some(person) = details::person(change, unique_id).await? else { return Ok(false) };
    let later = |until: SystemTime| person.blocked_until.is_none_or(|already| already < until);
    // What an administrator says replaces what was; what comes by itself only ever adds to it.
    let replaces = measure.kind == MeasureKind::Block;
    if measure.kind == MeasureKind::Unblock {
        details::set_block(change, dialect, unique_id, None, &measure.by).await?;
    } else if measure.kind.blocks() && (replaces || measure.until.is_some_and(later)) {
        details::set_block(change, dialect, unique_id, measure.until, &measure.by).await?;
    }
    let measure = Measure { name: person.name, ..measure.clone() };
    MEASURES.run(change, dialect, vec![row(&measure)]).await?;
    if tell && measure.kind.is_told() {
        let current = people::current(change).await?;
        letters::write(change, dialect, unique_id, LetterKind::Fraud, current).await?;
    }
    Ok(true)
}

/// Uses a bypass of the person, if there is one: `true` for one caller only, on whatever node.
pub(super) async fn use_bypass(
    change: &mut dyn Change,
    unique_id: &str,
    sign_in: &str,
    now: SystemTime,
) -> StoreResult<bool> {
    let mut rows = change.rows(fixed(OPEN_OF), vec![unique_id.into(), now.into()]).await?;
    let Some(row) = rows.first_mut() else { return Ok(false) };
    let values = vec![row.needed_int("id")?.into(), now.into(), now.into(), sign_in.into()];
    Ok(change.run(fixed(USE), values).await? == 1)
}

/// Whether the person has an open bypass. Uses nothing.
pub(super) async fn has_bypass(driver: &dyn Driver, unique_id: &str, now: SystemTime) -> StoreResult<bool> {
    Ok(!driver.read(fixed(OPEN_OF), vec![unique_id.into(), now.into()]).await?.is_empty())
}

/// Those of a period, oldest first: up to `limit` after the number `after`, each with its number.
pub(super) async fn between(
    driver: &dyn Driver,
    (since, until): (SystemTime, SystemTime),
    after: i64,
    limit: u32,
) -> StoreResult<Vec<(i64, Measure)>> {
    let values = vec![since.into(), until.into(), after.into(), limit.into()];
    let mut rows = driver.read(fixed(BETWEEN), values).await?;
    let read = |row: &mut Row| {
        let measure = Measure {
            time: row.needed_time("time")?,
            kind: row.word("kind")?,
            unique_id: row.text("unique_id")?,
            name: row.needed_text("name")?,
            by: row.needed_text("made_by")?,
            reason: row.needed_text("reason")?,
            until: row.time("until")?,
            sign_in: row.text("sign_in")?,
            used: row.time("used")?,
        };
        Ok((row.needed_int("id")?, measure))
    };
    rows.iter_mut().map(read).collect()
}
