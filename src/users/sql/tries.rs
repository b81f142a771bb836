//! [`SharedTries`] on a database.

use std::net::IpAddr;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::sql::SqlStore;
use crate::users::sql::value::{Row, fixed, unreadable};
use crate::users::store::StoreResult;
use crate::users::tries::{ComeFrom, SharedTries, WrongLately};
use crate::users::typed::Tried;

const LATELY: &str = "SELECT unique_id, kind, wrong FROM tries WHERE last >= $1 AND kind IN ('password', 'refusal') \
     AND wrong > 0 ORDER BY last DESC LIMIT 20000";
const FORGIVE: &str = "UPDATE tries SET wrong = CASE WHEN wrong > $3 THEN wrong - $3 ELSE 0 END \
     WHERE unique_id = $1 AND kind = $2";
const CAME: &str = "SELECT CAST(1 AS BIGINT) FROM events WHERE unique_id = $1 AND time >= $2 AND verdict = 'accept' \
     AND person_address IS NOT NULL LIMIT 1";
const CAME_FROM: &str = "SELECT CAST(1 AS BIGINT) FROM events WHERE unique_id = $1 AND time >= $2 AND verdict = 'accept' \
     AND person_address = $3 LIMIT 1";

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 4] = [LATELY, FORGIVE, CAME, CAME_FROM];

fn read(row: &mut Row) -> StoreResult<WrongLately> {
    Ok(WrongLately {
        unique_id: row.needed_text("unique_id")?,
        what: row.word("kind")?,
        wrong: u32::try_from(row.needed_int("wrong")?).map_err(|_| unreadable("wrong"))?,
    })
}

impl SharedTries for SqlStore {
    fn wrong_lately(&self, since: SystemTime) -> BoxFuture<'_, StoreResult<Vec<WrongLately>>> {
        Box::pin(self.read_all(fixed(LATELY), vec![since.into()], read))
    }

    fn forgive_tries<'a>(&'a self, unique_id: &'a str, what: Tried, many: u32) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.alter(FORGIVE, vec![unique_id.into(), what.word().into(), many.into()]).await.map(|_| ())
        })
    }

    fn come_from<'a>(
        &'a self,
        unique_id: &'a str,
        place: Option<IpAddr>,
        since: SystemTime,
    ) -> BoxFuture<'a, StoreResult<ComeFrom>> {
        Box::pin(async move {
            let anywhere = !self.driver().read(fixed(CAME), vec![unique_id.into(), since.into()]).await?.is_empty();
            let Some(place) = place.filter(|_| anywhere) else { return Ok(ComeFrom { anywhere, here: false }) };
            let values = vec![unique_id.into(), since.into(), place.to_string().into()];
            let here = !self.driver().read(fixed(CAME_FROM), values).await?.is_empty();
            Ok(ComeFrom { anywhere, here })
        })
    }
}
