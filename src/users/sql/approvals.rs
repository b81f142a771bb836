//! [`Approvals`] on a database.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::approvals::{Approval, ApprovalKey, Approvals};
use crate::users::sql::driver::{Change, Dialect, Insertion};
use crate::users::sql::value::{Kind, Row, Value, fixed, unreadable};
use crate::users::sql::{SqlStore, details, prompts};
use crate::users::store::StoreResult;

const COLUMNS: [(&str, Kind); 13] = [
    ("key", Kind::Blob),
    ("unique_id", Kind::Text),
    ("name", Kind::Text),
    ("rule", Kind::Text),
    ("kind", Kind::Text),
    ("client", Kind::Text),
    ("application", Kind::Text),
    ("place", Kind::Text),
    ("method", Kind::Text),
    ("provider", Kind::Text),
    ("approved", Kind::Int),
    ("until", Kind::Int),
    ("sign_in", Kind::Text),
];

static APPROVALS: Insertion = Insertion::new("approvals", &COLUMNS, "");

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, unique_id, name, rule, kind, client, application, place, method, provider, approved, until, \
             sign_in FROM approvals WHERE ",
            $rest
        )
    };
}

const ONE: &str = select!("key = $1");
const OF_ALL: &str = select!("key > $1 AND until > $2 ORDER BY key LIMIT $3");
const OF_PERSON: &str = select!("key > $1 AND until > $2 AND unique_id = $4 ORDER BY key LIMIT $3");
const DROP_OVER: &str = "DELETE FROM approvals WHERE until <= $1";
const DROP_ONE: &str = "DELETE FROM approvals WHERE key = $1";
const DROP_ALL: &str = "DELETE FROM approvals";
pub(super) const DROP_PERSON: &str = "DELETE FROM approvals WHERE unique_id = $1";

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 7] = [ONE, OF_ALL, OF_PERSON, DROP_OVER, DROP_ONE, DROP_ALL, DROP_PERSON];

fn row(approval: &Approval) -> Vec<Value> {
    vec![
        approval.key.to_vec().into(),
        approval.unique_id.as_str().into(),
        approval.name.as_str().into(),
        approval.rule.as_str().into(),
        approval.kind.as_str().into(),
        approval.client.as_str().into(),
        approval.application.as_str().into(),
        approval.place.clone().into(),
        approval.method.word().into(),
        approval.provider.clone().into(),
        approval.approved.into(),
        approval.until.into(),
        approval.sign_in.as_str().into(),
    ]
}

fn read(row: &mut Row) -> StoreResult<Approval> {
    Ok(Approval {
        key: row.needed_blob("key")?.try_into().map_err(|_| unreadable("key"))?,
        unique_id: row.needed_text("unique_id")?,
        name: row.needed_text("name")?,
        rule: row.needed_text("rule")?,
        kind: row.needed_text("kind")?,
        client: row.needed_text("client")?,
        application: row.needed_text("application")?,
        place: row.text("place")?,
        method: row.word("method")?,
        provider: row.text("provider")?,
        approved: row.needed_time("approved")?,
        until: row.needed_time("until")?,
        sign_in: row.needed_text("sign_in")?,
    })
}

/// Whoever is blocked by now gave their approval too late.
async fn keep(change: &mut dyn Change, dialect: Dialect, approval: &Approval, now: SystemTime) -> StoreResult<bool> {
    let person = details::person(change, &approval.unique_id).await?;
    if person.is_none_or(|person| person.is_blocked(now) || !person.enabled) {
        return Ok(false);
    }
    change.run(fixed(DROP_OVER), vec![now.into()]).await?;
    change.run(fixed(DROP_ONE), vec![approval.key.to_vec().into()]).await?;
    APPROVALS.run(change, dialect, vec![row(approval)]).await?;
    Ok(true)
}

impl Approvals for SqlStore {
    fn keep<'a>(&'a self, approval: &'a Approval, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let kept = keep(change.as_mut(), self.driver().dialect(), approval, now).await?;
            change.commit().await?;
            Ok(kept)
        })
    }

    fn approval<'a>(&'a self, key: &'a ApprovalKey) -> BoxFuture<'a, StoreResult<Option<Approval>>> {
        Box::pin(self.look_up(fixed(ONE), vec![key.to_vec().into()], read))
    }

    fn approvals<'a>(
        &'a self,
        unique_id: Option<&'a str>,
        after: &'a [u8],
        limit: u32,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>> {
        let mut values = vec![after.to_vec().into(), now.into(), limit.into()];
        values.extend(unique_id.map(Value::from));
        let sql = fixed(if unique_id.is_some() { OF_PERSON } else { OF_ALL });
        Box::pin(self.read_all(sql, values, read))
    }

    fn forget_approvals<'a>(&'a self, unique_id: Option<&'a str>) -> BoxFuture<'a, StoreResult<u64>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let (sql, values) = match unique_id {
                Some(unique_id) => (DROP_PERSON, vec![unique_id.into()]),
                None => (DROP_ALL, vec![]),
            };
            let gone = change.run(fixed(sql), values).await?;
            match unique_id {
                Some(unique_id) => prompts::void(change.as_mut(), unique_id).await?,
                None => prompts::void_all(change.as_mut()).await?,
            }
            change.commit().await?;
            Ok(gone)
        })
    }
}
