//! What imports leave behind: rows of one that died before it counted, and versions that one which counts has
//! replaced. A few hundred rows a transaction, and fewer where that takes long.

use std::collections::HashSet;
use std::time::Instant;

use crate::users::roster::ImportLock;
use crate::users::sql::driver::Driver;
use crate::users::sql::importing::fenced;
use crate::users::sql::staging::Pace;
use crate::users::sql::value::{Value, built, fixed, list, unreadable};
use crate::users::sql::{begin_staged, text};
use crate::users::store::StoreResult;

/// How many rows the next transaction takes.
fn limit(pace: &Pace) -> Value {
    i64::try_from(pace.next()).unwrap_or(i64::MAX).into()
}

/// Removes what an import has written that never came to count.
pub(super) async fn clear(driver: &dyn Driver, lock: &ImportLock) -> StoreResult<()> {
    const LEFT: &str = "SELECT count(*) FROM people_state WHERE newest > current";
    let mut left = driver.read(fixed(LEFT), vec![]).await?;
    if left.first_mut().ok_or_else(|| unreadable("newest"))?.needed_int("newest")? == 0 {
        return Ok(());
    }
    // New versions and claims first: they hold the keys that the old ones get back.
    for (table, key) in [("people", "unique_id"), ("names", "folded"), ("tokens", "serial")] {
        let find = format!(
            "SELECT {key} FROM {table} WHERE {key} > $1 AND born > (SELECT current FROM people_state) \
             ORDER BY {key} LIMIT $2"
        );
        let (mut after, mut pace) = (String::new(), Pace::default());
        loop {
            let values = vec![after.as_str().into(), limit(&pace)];
            let mut keys = Vec::new();
            for mut row in driver.read(built(find.as_str()), values).await? {
                keys.push(row.needed_text(key)?);
            }
            let Some(last) = keys.last().cloned() else { break };
            let mut change = begin_staged(driver).await?;
            let began = Instant::now();
            fenced(change.as_mut(), lock).await?;
            let sql = format!(
                "DELETE FROM {table} WHERE born > (SELECT current FROM people_state) AND {key} IN {}",
                driver.dialect().listed(1)
            );
            change.run(built(sql), vec![list(&keys)]).await?;
            change.commit().await?;
            pace.took(keys.len(), began.elapsed());
            after = last;
        }
    }
    const ENDING: &str = "died > (SELECT current FROM people_state) AND died < 9223372036854775807";
    for (table, key) in [("people", "unique_id"), ("names", "folded")] {
        let restore = format!(
            "UPDATE {table} SET died = 9223372036854775807 WHERE {ENDING} AND {key} IN \
             (SELECT {key} FROM {table} WHERE {ENDING} LIMIT $1)"
        );
        until_none(driver, lock, &restore).await?;
    }
    for table in ["changes", "letters"] {
        let coming = format!(
            "DELETE FROM {table} WHERE id IN \
             (SELECT id FROM {table} WHERE generation > (SELECT current FROM people_state) LIMIT $1)"
        );
        until_none(driver, lock, &coming).await?;
    }
    let mut change = begin_staged(driver).await?;
    fenced(change.as_mut(), lock).await?;
    change.run(fixed("UPDATE people_state SET newest = current"), vec![]).await?;
    change.commit().await
}

/// Runs a statement with a limit until it touches nothing more, each time in a transaction of its own.
async fn until_none(driver: &dyn Driver, lock: &ImportLock, sql: &str) -> StoreResult<()> {
    let mut pace = Pace::default();
    loop {
        let mut change = begin_staged(driver).await?;
        let began = Instant::now();
        fenced(change.as_mut(), lock).await?;
        let touched = change.run(built(sql), vec![limit(&pace)]).await?;
        change.commit().await?;
        if touched == 0 {
            return Ok(());
        }
        pace.took(usize::try_from(touched).unwrap_or_default(), began.elapsed());
    }
}

/// Removes what has ended: old versions and names, and everything of people who have gone.
pub(super) async fn retire(driver: &dyn Driver, lock: &ImportLock) -> StoreResult<()> {
    const ENDED: &str = "died <= (SELECT current FROM people_state) AND died < 9223372036854775807";
    let names =
        format!("DELETE FROM names WHERE {ENDED} AND folded IN (SELECT folded FROM names WHERE {ENDED} LIMIT $1)");
    until_none(driver, lock, &names).await?;
    retire_people(driver, lock, ENDED, Pace::default()).await
}

/// Removes versions of people that have `ended`, and everything of those of whom no other is left.
pub(super) async fn retire_people(
    driver: &dyn Driver,
    lock: &ImportLock,
    ended: &str,
    mut pace: Pace,
) -> StoreResult<()> {
    let find = format!("SELECT unique_id FROM people WHERE {ended} LIMIT $1");
    loop {
        let mut change = begin_staged(driver).await?;
        let began = Instant::now();
        fenced(change.as_mut(), lock).await?;
        let mut ids = Vec::new();
        for mut row in change.rows(built(find.as_str()), vec![limit(&pace)]).await? {
            ids.push(row.needed_text("unique_id")?);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let listed = driver.dialect().listed(1);
        let sql = format!("SELECT unique_id FROM people WHERE NOT ({ended}) AND unique_id IN {listed}");
        let mut alive = HashSet::new();
        for mut row in change.rows(built(sql), vec![list(&ids)]).await? {
            alive.insert(row.needed_text("unique_id")?);
        }
        let (kept, gone): (Vec<String>, Vec<String>) = ids.into_iter().partition(|id| alive.contains(id));
        if !kept.is_empty() {
            let sql = format!("DELETE FROM people WHERE {ended} AND unique_id IN {listed}");
            change.run(built(sql), vec![list(&kept)]).await?;
        }
        let mut done = kept.len();
        // A dozen statements for each: the rest is found again by the next transaction.
        for gone in &gone {
            if done > 0 && pace.is_over(began) {
                break;
            }
            for sql in text::ERASE {
                change.run(fixed(sql), vec![gone.as_str().into()]).await?;
            }
            done += 1;
        }
        change.commit().await?;
        pace.took(done, began.elapsed());
    }
}
