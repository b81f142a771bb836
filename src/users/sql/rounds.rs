//! [`SharedRounds`] on a database.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::rounds::{LARGEST, SharedRounds, Taken, WaitingRound};
use crate::users::sealed::Sealed;
use crate::users::sql::SqlStore;
use crate::users::sql::value::{Value, fixed};
use crate::users::store::{StoreError, StoreResult};

const COUNT: &str = "SELECT count(*) AS waiting FROM rounds WHERE unique_id = $1 AND until > $2";
const KEEP: &str = "INSERT INTO rounds (reference, holder, unique_id, sealed, until) VALUES ($1, $2, $3, $4, $5)";
const TAKE: &str = "DELETE FROM rounds WHERE reference = $1 AND holder = $2 AND until > $3 RETURNING sealed";
const WAITS: &str = "SELECT holder FROM rounds WHERE reference = $1 AND until > $2";
const OVER: &str = "DELETE FROM rounds WHERE reference IN (SELECT reference FROM rounds WHERE until <= $1 \
     ORDER BY until LIMIT $2) AND until <= $1 RETURNING reference, sealed";
const OFFER_SECRET: &str = "INSERT INTO shared_secrets (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const RESEAL_SECRET: &str = "UPDATE shared_secrets SET sealed = $3 WHERE name = $1 AND sealed = $2";
const SECRETS: &str = "SELECT name, sealed FROM shared_secrets ORDER BY name";
const SECRET: &str = "SELECT sealed FROM shared_secrets WHERE name = $1";

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 9] =
    [COUNT, KEEP, TAKE, WAITS, OVER, OFFER_SECRET, RESEAL_SECRET, SECRETS, SECRET];

impl SqlStore {
    /// One statement that gives rows, as a change of its own.
    async fn take(&self, sql: &'static str, values: Vec<Value>) -> StoreResult<Vec<super::value::Row>> {
        let mut change = self.driver().begin().await?;
        let rows = change.rows(fixed(sql), values).await?;
        change.commit().await?;
        Ok(rows)
    }
}

impl SharedRounds for SqlStore {
    fn keep_round<'a>(
        &'a self,
        round: &'a WaitingRound,
        most: u32,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            if round.sealed.as_bytes().len() > LARGEST {
                return Err(StoreError::Unusable(format!("a round has more than {LARGEST} octets")));
            }
            let mut counted =
                self.driver().look_up(fixed(COUNT), vec![round.unique_id.as_str().into(), now.into()]).await?;
            let waiting = counted.first_mut().map_or(Ok(0), |row| row.needed_int("waiting"))?;
            if waiting >= i64::from(most) {
                return Ok(false);
            }
            let values = vec![
                round.reference.as_str().into(),
                round.holder.as_str().into(),
                round.unique_id.as_str().into(),
                round.sealed.as_bytes().to_vec().into(),
                round.until.into(),
            ];
            let mut change = self.driver().begin().await?;
            change.run(fixed(KEEP), values).await?;
            change.commit().await?;
            Ok(true)
        })
    }

    fn take_round<'a>(
        &'a self,
        reference: &'a str,
        holder: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Taken>> {
        Box::pin(async move {
            let mut rows = self.take(TAKE, vec![reference.into(), holder.into(), now.into()]).await?;
            match rows.first_mut() {
                Some(row) => Ok(Taken::Ours(Sealed::from_bytes(row.needed_blob("sealed")?))),
                None if self.round_waits(reference, now).await? => Ok(Taken::Foreign),
                None => Ok(Taken::Gone),
            }
        })
    }

    fn round_waits<'a>(&'a self, reference: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let rows = self.driver().look_up(fixed(WAITS), vec![reference.into(), now.into()]).await?;
            Ok(!rows.is_empty())
        })
    }

    fn rounds_over(&self, now: SystemTime, most: u32) -> BoxFuture<'_, StoreResult<Vec<(String, Sealed)>>> {
        Box::pin(async move {
            let mut rows = self.take(OVER, vec![now.into(), most.into()]).await?;
            let read = |row: &mut super::value::Row| {
                Ok((row.needed_text("reference")?, Sealed::from_bytes(row.needed_blob("sealed")?)))
            };
            rows.iter_mut().map(read).collect()
        })
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Sealed>>> {
        Box::pin(async move {
            let mut rows = self.driver().read(fixed(SECRET), vec![name.into()]).await?;
            rows.first_mut().map(|row| row.needed_blob("sealed").map(Sealed::from_bytes)).transpose()
        })
    }

    fn secrets(&self) -> BoxFuture<'_, StoreResult<Vec<(String, Sealed)>>> {
        Box::pin(async move {
            let mut rows = self.driver().read(fixed(SECRETS), Vec::new()).await?;
            rows.iter_mut()
                .map(|row| Ok((row.needed_text("name")?, Sealed::from_bytes(row.needed_blob("sealed")?))))
                .collect()
        })
    }

    fn reseal_secret<'a>(
        &'a self,
        name: &'a str,
        sealed: &'a Sealed,
        anew: &'a Sealed,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let values = vec![name.into(), sealed.as_bytes().to_vec().into(), anew.as_bytes().to_vec().into()];
            let mut change = self.driver().begin().await?;
            let touched = change.run(fixed(RESEAL_SECRET), values).await?;
            change.commit().await?;
            Ok(touched == 1)
        })
    }

    fn offer_secret<'a>(&'a self, name: &'a str, ours: &'a Sealed) -> BoxFuture<'a, StoreResult<Sealed>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            change.run(fixed(OFFER_SECRET), vec![name.into(), ours.as_bytes().to_vec().into()]).await?;
            change.commit().await?;
            self.secret(name).await?.ok_or_else(|| StoreError::Unusable("the shared secret is gone".into()))
        })
    }
}
