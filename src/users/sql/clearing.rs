//! What imports leave behind: rows of one that died before it counted, and versions that one which counts has
//! replaced. A few hundred rows a transaction.

use std::collections::HashSet;

use crate::users::roster::ImportLock;
use crate::users::sql::driver::Driver;
use crate::users::sql::importing::fenced;
use crate::users::sql::value::{built, fixed, list, unreadable};
use crate::users::sql::{begin_staged, text};
use crate::users::store::StoreResult;

/// Rows of one transaction.
const AT_ONCE: i64 = 256;

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
        let mut after = String::new();
        loop {
            let values = vec![after.as_str().into(), AT_ONCE.into()];
            let mut keys = Vec::new();
            for mut row in driver.read(built(find.as_str()), values).await? {
                keys.push(row.needed_text(key)?);
            }
            let Some(last) = keys.last().cloned() else { break };
            let mut change = begin_staged(driver).await?;
            fenced(change.as_mut(), lock).await?;
            let sql = format!(
                "DELETE FROM {table} WHERE born > (SELECT current FROM people_state) AND {key} IN {}",
                driver.dialect().listed(1)
            );
            change.run(built(sql), vec![list(&keys)]).await?;
            change.commit().await?;
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
    loop {
        let mut change = begin_staged(driver).await?;
        fenced(change.as_mut(), lock).await?;
        let touched = change.run(built(sql), vec![AT_ONCE.into()]).await?;
        change.commit().await?;
        if touched == 0 {
            return Ok(());
        }
    }
}

/// Removes what has ended: old versions and names, and everything of people who have gone.
pub(super) async fn retire(driver: &dyn Driver, lock: &ImportLock) -> StoreResult<()> {
    const ENDED: &str = "died <= (SELECT current FROM people_state) AND died < 9223372036854775807";
    let names =
        format!("DELETE FROM names WHERE {ENDED} AND folded IN (SELECT folded FROM names WHERE {ENDED} LIMIT $1)");
    until_none(driver, lock, &names).await?;
    let find = format!("SELECT unique_id FROM people WHERE {ENDED} LIMIT $1");
    loop {
        let mut change = begin_staged(driver).await?;
        fenced(change.as_mut(), lock).await?;
        let mut ids = Vec::new();
        for mut row in change.rows(built(find.as_str()), vec![AT_ONCE.into()]).await? {
            ids.push(row.needed_text("unique_id")?);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let listed = driver.dialect().listed(1);
        let sql = format!("DELETE FROM people WHERE {ENDED} AND unique_id IN {listed}");
        change.run(built(sql), vec![list(&ids)]).await?;
        let sql = format!("SELECT unique_id FROM people WHERE unique_id IN {listed}");
        let mut alive = HashSet::new();
        for mut row in change.rows(built(sql), vec![list(&ids)]).await? {
            alive.insert(row.needed_text("unique_id")?);
        }
        for gone in ids.iter().filter(|id| !alive.contains(*id)) {
            for sql in text::ERASE {
                change.run(fixed(sql), vec![gone.as_str().into()]).await?;
            }
        }
        change.commit().await?;
    }
}
