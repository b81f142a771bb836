//! The right to import, what imports leave for each other, how they went, and plans that wait.

use std::time::{Duration, SystemTime};

use crate::users::roster::{HeldPlan, ImportLock, ImportRun, Memory};
use crate::users::sql::begin_people;
use crate::users::sql::driver::{Change, Driver, Insertion};
use crate::users::sql::value::{Kind, Row, fixed, unreadable};
use crate::users::store::{StoreError, StoreResult};

const RUN_COLUMNS: [(&str, Kind); 6] = [
    ("began", Kind::Int),
    ("ended", Kind::Int),
    ("node", Kind::Text),
    ("item", Kind::Text),
    ("result", Kind::Text),
    ("summary", Kind::Text),
];

static RUNS: Insertion = Insertion::new("import_runs", &RUN_COLUMNS, "");

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 11] =
    [TAKE, TOKEN, RENEW, OURS, GIVE_BACK, HOLDER, MEMORY, REMEMBER, RUNS_BACK, PLANS, HOLD];

const TAKE: &str = "UPDATE import_lock SET node = $1, token = token + 1, until = $2 WHERE one = 1 AND until <= $3";
const TOKEN: &str = "SELECT token FROM import_lock WHERE one = 1";
const RENEW: &str = "UPDATE import_lock SET until = $2 WHERE one = 1 AND token = $1 AND until > 0";
const OURS: &str = "SELECT token FROM import_lock WHERE one = 1 AND token = $1 AND until > 0";
const GIVE_BACK: &str = "UPDATE import_lock SET until = 0 WHERE one = 1 AND token = $1";
const HOLDER: &str = "SELECT node, until FROM import_lock WHERE one = 1 AND until > $1";
const MEMORY: &str = "SELECT value FROM import_memory WHERE key = $1";
const REMEMBER: &str = "INSERT INTO import_memory (key, value) VALUES ($1, $2) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const RUNS_BACK: &str =
    "SELECT began, ended, node, item, result, summary FROM import_runs ORDER BY began DESC, id DESC LIMIT $1";
const PLANS: &str = "SELECT id, made, item, reason, summary, approved, approved_by FROM import_plans ORDER BY made, id";
const HOLD: &str = "INSERT INTO import_plans (id, made, item, reason, summary, approved, approved_by) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET made = excluded.made, \
     item = excluded.item, reason = excluded.reason, summary = excluded.summary, approved = excluded.approved, \
     approved_by = excluded.approved_by";

fn end(lease: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_add(lease).unwrap_or(now)
}

/// Takes the right, where nobody has it.
pub(super) async fn lock(driver: &dyn Driver, node: &str, lease: Duration) -> StoreResult<Option<ImportLock>> {
    let mut change = driver.begin().await?;
    let values = vec![node.into(), end(lease).into(), SystemTime::now().into()];
    if change.run(fixed(TAKE), values).await? == 0 {
        return Ok(None);
    }
    let mut rows = change.rows(fixed(TOKEN), vec![]).await?;
    let token = rows.first_mut().ok_or_else(|| unreadable("token"))?.needed_int("token")?;
    change.commit().await?;
    Ok(Some(ImportLock { token, lease }))
}

/// Keeps the right for another lease; `false` if it is lost.
pub(super) async fn renew(change: &mut dyn Change, lock: &ImportLock, lease: Duration) -> StoreResult<bool> {
    Ok(change.run(fixed(RENEW), vec![lock.token.into(), end(lease).into()]).await? == 1)
}

/// Goes on only with the right to import, and keeps it.
pub(super) async fn fenced(change: &mut dyn Change, lock: &ImportLock) -> StoreResult<()> {
    if renew(change, lock, lock.lease).await? {
        return Ok(());
    }
    Err(taken_over())
}

/// Goes on only with the right to import, and leaves it to others to keep it. Whoever asks has the lock on people, at
/// least with others: so nobody who has taken the right over has got past [`barrier`] yet.
pub(super) async fn still_ours(change: &mut dyn Change, lock: &ImportLock) -> StoreResult<()> {
    if change.rows(fixed(OURS), vec![lock.token.into()]).await?.is_empty() { Err(taken_over()) } else { Ok(()) }
}

/// Waits until nobody who had the right before can be in the middle of a change any more: each of them has the lock on
/// people meanwhile, and looks for the right once it has it.
pub(super) async fn barrier(driver: &dyn Driver, lock: &ImportLock) -> StoreResult<()> {
    let mut change = begin_people(driver).await?;
    fenced(change.as_mut(), lock).await?;
    change.commit().await
}

fn taken_over() -> StoreError {
    StoreError::Conflict("another node has taken over the import; this one is given up".into())
}

/// Gives the right back.
pub(super) async fn unlock(change: &mut dyn Change, lock: &ImportLock) -> StoreResult<()> {
    change.run(fixed(GIVE_BACK), vec![lock.token.into()]).await.map(|_| ())
}

/// Who has the right.
pub(super) async fn holder(driver: &dyn Driver) -> StoreResult<Option<(String, SystemTime)>> {
    let mut rows = driver.read(fixed(HOLDER), vec![SystemTime::now().into()]).await?;
    let read = |row: &mut Row| Ok((row.needed_text("node")?, row.needed_time("until")?));
    rows.first_mut().map(read).transpose()
}

/// What was left under a key.
pub(super) async fn memory(driver: &dyn Driver, key: &str) -> StoreResult<Option<Vec<u8>>> {
    let mut rows = driver.read(fixed(MEMORY), vec![key.into()]).await?;
    rows.first_mut().map(|row| row.needed_blob("value")).transpose()
}

/// Leaves and takes away.
pub(super) async fn remember(change: &mut dyn Change, entries: &[Memory]) -> StoreResult<()> {
    for (key, value) in entries {
        match value {
            Some(value) => change.run(fixed(REMEMBER), vec![key.as_str().into(), value.clone().into()]).await?,
            None => change.run(fixed("DELETE FROM import_memory WHERE key = $1"), vec![key.as_str().into()]).await?,
        };
    }
    Ok(())
}

/// Notes how an import went.
pub(super) async fn record_run(driver: &dyn Driver, run: &ImportRun) -> StoreResult<()> {
    let row = vec![
        run.began.into(),
        run.ended.into(),
        run.node.as_str().into(),
        run.item.as_str().into(),
        run.result.as_str().into(),
        run.summary.as_str().into(),
    ];
    let mut change = driver.begin().await?;
    RUNS.run(change.as_mut(), driver.dialect(), vec![row]).await?;
    change.commit().await
}

/// How imports went, newest first.
pub(super) async fn runs(driver: &dyn Driver, limit: u32) -> StoreResult<Vec<ImportRun>> {
    let mut rows = driver.read(fixed(RUNS_BACK), vec![limit.into()]).await?;
    let read = |row: &mut Row| {
        Ok(ImportRun {
            began: row.needed_time("began")?,
            ended: row.needed_time("ended")?,
            node: row.needed_text("node")?,
            item: row.needed_text("item")?,
            result: row.needed_text("result")?,
            summary: row.needed_text("summary")?,
        })
    };
    rows.iter_mut().map(read).collect()
}

/// Keeps a plan that waits.
pub(super) async fn hold(change: &mut dyn Change, plan: &HeldPlan) -> StoreResult<()> {
    let (approved, by) = plan.approved.clone().unzip();
    let values = vec![
        plan.id.as_str().into(),
        plan.made.into(),
        plan.item.as_str().into(),
        plan.reason.as_str().into(),
        plan.summary.as_str().into(),
        approved.into(),
        by.into(),
    ];
    change.run(fixed(HOLD), values).await.map(|_| ())
}

/// Plans, oldest first.
pub(super) async fn plans(driver: &dyn Driver) -> StoreResult<Vec<HeldPlan>> {
    let mut rows = driver.read(fixed(PLANS), vec![]).await?;
    let read = |row: &mut Row| {
        Ok(HeldPlan {
            id: row.needed_text("id")?,
            made: row.needed_time("made")?,
            item: row.needed_text("item")?,
            reason: row.needed_text("reason")?,
            summary: row.needed_text("summary")?,
            approved: row.time("approved")?.zip(row.text("approved_by")?),
        })
    };
    rows.iter_mut().map(read).collect()
}

/// Approves a plan.
pub(super) async fn approve(change: &mut dyn Change, id: &str, by: &str) -> StoreResult<bool> {
    const APPROVE: &str = "UPDATE import_plans SET approved = $2, approved_by = $3 WHERE id = $1";
    Ok(change.run(fixed(APPROVE), vec![id.into(), SystemTime::now().into(), by.into()]).await? == 1)
}

/// Forgets a plan.
pub(super) async fn drop_plan(change: &mut dyn Change, id: &str) -> StoreResult<bool> {
    Ok(change.run(fixed("DELETE FROM import_plans WHERE id = $1"), vec![id.into()]).await? == 1)
}
