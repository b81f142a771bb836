//! [`TypedCodes`] on a database: each method one change that is committed, so that of two nodes one is the first.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::changes::{Difference, time_text};
use crate::users::codes::{CodeKind, KeptCode};
use crate::users::sealed::Sealed;
use crate::users::sql::SqlStore;
use crate::users::sql::details::{note, one, person};
use crate::users::sql::driver::{Change, Dialect, Insertion};
use crate::users::sql::value::{Kind, Row, Value, fixed, unreadable};
use crate::users::store::StoreResult;
use crate::users::typed::{Bound, Sending, SentCode, Tried, TypedCodes};

const CODE_COLUMNS: [(&str, Kind); 9] = [
    ("unique_id", Kind::Text),
    ("hash", Kind::Text),
    ("place", Kind::Int),
    ("kind", Kind::Text),
    ("uses", Kind::Int),
    ("expires", Kind::Int),
    ("reason", Kind::Text),
    ("added", Kind::Int),
    ("added_by", Kind::Text),
];

/// Backup and temporary codes.
pub(in crate::users) static CODES: Insertion = Insertion::new("codes", &CODE_COLUMNS, "");

/// Counts a try where another is allowed. A `last` that lies further ahead than a lock lasts was written by a clock that
/// has been set back since.
const COUNT_TRY: &str = "INSERT INTO tries (unique_id, kind, wrong, last) VALUES ($1, $2, 1, $3) \
     ON CONFLICT (unique_id, kind) DO UPDATE SET last = $3, \
     wrong = CASE WHEN tries.last <= $4 OR tries.last > $5 THEN 1 ELSE tries.wrong + 1 END \
     WHERE tries.wrong < $6 OR tries.last <= $4 OR tries.last > $5";
const UNCOUNT_TRY: &str = "UPDATE tries SET wrong = wrong - 1 WHERE unique_id = $1 AND kind = $2 AND wrong > 0";
const FORGET_TRIES: &str = "DELETE FROM tries WHERE unique_id = $1 AND kind = $2";
const KEPT: &str = "SELECT kind, hash, uses, expires, reason, added, added_by FROM codes WHERE unique_id = $1 \
     ORDER BY kind, place";
const DROP_KEPT: &str = "DELETE FROM codes WHERE unique_id = $1 AND kind = $2";
const USE_KEPT: &str = "UPDATE codes SET uses = uses - 1 WHERE unique_id = $1 AND hash = $2 AND uses > 0 \
     AND (expires IS NULL OR expires > $3)";
const DROP_USED: &str = "DELETE FROM codes WHERE unique_id = $1 AND uses <= 0";
const BEGIN_SENT: &str = "INSERT INTO sent_codes (unique_id, provider, code, expires, tries, began, number) \
     VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (unique_id, provider) DO UPDATE SET \
     code = excluded.code, expires = excluded.expires, tries = excluded.tries, \
     began = CASE WHEN sent_codes.began <= $7 OR sent_codes.began > $9 THEN $6 ELSE sent_codes.began END, \
     number = CASE WHEN sent_codes.began <= $7 OR sent_codes.began > $9 THEN 1 ELSE sent_codes.number + 1 END \
     WHERE sent_codes.number < $8 OR sent_codes.began <= $7 OR sent_codes.began > $9";
const TRY_SENT: &str = "UPDATE sent_codes SET tries = tries - 1 WHERE unique_id = $1 AND provider = $2 \
     AND code IS NOT NULL AND expires > $3 AND tries > 0";
const SENT: &str = "SELECT code FROM sent_codes WHERE unique_id = $1 AND provider = $2 AND code IS NOT NULL \
     AND expires > $3";
const EXPIRE_PIN: &str = "UPDATE pins SET change_required = 1 WHERE unique_id = $1";
const USE_SENT: &str = "UPDATE sent_codes SET code = NULL WHERE unique_id = $1 AND provider = $2 AND code = $3";

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 12] = [
    COUNT_TRY,
    UNCOUNT_TRY,
    FORGET_TRIES,
    KEPT,
    DROP_KEPT,
    USE_KEPT,
    DROP_USED,
    BEGIN_SENT,
    TRY_SENT,
    SENT,
    USE_SENT,
    EXPIRE_PIN,
];

fn read_kept(row: &mut Row) -> StoreResult<KeptCode> {
    Ok(KeptCode {
        kind: row.word("kind")?,
        hash: row.needed_text("hash")?,
        uses: u32::try_from(row.needed_int("uses")?).map_err(|_| unreadable("uses"))?,
        expires: row.time("expires")?,
        reason: row.text("reason")?,
        added: row.needed_time("added")?,
        added_by: row.needed_text("added_by")?,
    })
}

fn row(unique_id: &str, place: i64, code: &KeptCode, by: &str) -> Vec<Value> {
    vec![
        unique_id.into(),
        code.hash.as_str().into(),
        place.into(),
        code.kind.word().into(),
        code.uses.into(),
        code.expires.into(),
        code.reason.clone().into(),
        code.added.into(),
        by.into(),
    ]
}

async fn kept(change: &mut dyn Change, unique_id: &str) -> StoreResult<Vec<KeptCode>> {
    change.rows(fixed(KEPT), vec![unique_id.into()]).await?.iter_mut().map(read_kept).collect()
}

/// How many codes, or uses, of a kind are still good.
fn left(codes: &[KeptCode], kind: CodeKind, now: SystemTime) -> u32 {
    let good = codes.iter().filter(|code| code.kind == kind && code.is_good(now));
    good.fold(0, |sum: u32, code| sum.saturating_add(code.uses))
}

/// What is kept of codes that have come: how many, until when, why; nothing of them.
fn told(codes: &[KeptCode], kind: CodeKind, now: SystemTime) -> Vec<Difference> {
    let many = left(codes, kind, now);
    let mut fields = vec![Difference("uses".into(), None, Some(many.to_string()))];
    if let Some(code) = codes.first() {
        fields.extend(code.expires.map(|until| Difference("good until".into(), None, Some(time_text(until)))));
        fields.extend(code.reason.clone().map(|reason| Difference("reason".into(), None, Some(reason))));
    }
    fields
}

async fn set_kept(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    (kind, codes): (CodeKind, &[KeptCode]),
    by: &str,
) -> StoreResult<bool> {
    let Some(person) = person(change, unique_id).await? else { return Ok(false) };
    let gone = change.run(fixed(DROP_KEPT), vec![unique_id.into(), kind.word().into()]).await?;
    if codes.is_empty() {
        if gone > 0 {
            note(change, dialect, &person, &format!("{kind} codes withdrawn"), by, Vec::new()).await?;
        }
        return Ok(true);
    }
    let rows = (1..).zip(codes).map(|(place, code)| row(unique_id, place, code, by)).collect();
    CODES.run(change, dialect, rows).await?;
    change.run(fixed(FORGET_TRIES), vec![unique_id.into(), Tried::Code.word().into()]).await?;
    note(change, dialect, &person, &format!("{kind} codes made"), by, told(codes, kind, SystemTime::now())).await?;
    Ok(true)
}

async fn use_kept(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    code: &KeptCode,
    now: SystemTime,
) -> StoreResult<Option<u32>> {
    let Some(person) = person(change, unique_id).await? else { return Ok(None) };
    let values = vec![unique_id.into(), code.hash.as_str().into(), now.into()];
    if change.run(fixed(USE_KEPT), values).await? != 1 {
        return Ok(None);
    }
    change.run(fixed(DROP_USED), vec![unique_id.into()]).await?;
    let after = left(&kept(change, unique_id).await?, code.kind, now);
    let fields = one("uses left", Some(after.saturating_add(1).to_string()), Some(after.to_string()));
    note(change, dialect, &person, &format!("{} code used", code.kind), "sign-in", fields).await?;
    Ok(Some(after))
}

async fn expire_pin(change: &mut dyn Change, dialect: Dialect, unique_id: &str, by: &str) -> StoreResult<bool> {
    let Some(person) = person(change, unique_id).await? else { return Ok(false) };
    if change.run(fixed(EXPIRE_PIN), vec![unique_id.into()]).await? == 0 {
        return Ok(false);
    }
    note(change, dialect, &person, "PIN expired", by, Vec::new()).await?;
    Ok(true)
}

impl SqlStore {
    /// One statement as a change of its own; how many rows it touched.
    pub(super) async fn alter(&self, sql: &'static str, values: Vec<Value>) -> StoreResult<u64> {
        let mut change = self.driver().begin().await?;
        let touched = change.run(fixed(sql), values).await?;
        change.commit().await?;
        Ok(touched)
    }
}

impl TypedCodes for SqlStore {
    fn count_try<'a>(
        &'a self,
        unique_id: &'a str,
        what: Tried,
        bound: Bound,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let over = now.checked_sub(bound.locked_for).unwrap_or(SystemTime::UNIX_EPOCH);
            let wild = now.checked_add(bound.locked_for).unwrap_or(now);
            let values =
                vec![unique_id.into(), what.word().into(), now.into(), over.into(), wild.into(), bound.tries.into()];
            Ok(self.alter(COUNT_TRY, values).await? == 1)
        })
    }

    fn uncount_try<'a>(&'a self, unique_id: &'a str, what: Tried) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.alter(UNCOUNT_TRY, vec![unique_id.into(), what.word().into()]).await.map(|_| ()) })
    }

    fn forget_tries<'a>(&'a self, unique_id: &'a str, what: Tried) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.alter(FORGET_TRIES, vec![unique_id.into(), what.word().into()]).await.map(|_| ()) })
    }

    fn kept_codes<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<KeptCode>>> {
        Box::pin(async move {
            let mut rows = self.driver().read(fixed(KEPT), vec![unique_id.into()]).await?;
            rows.iter_mut().map(read_kept).collect()
        })
    }

    fn set_kept_codes<'a>(
        &'a self,
        unique_id: &'a str,
        kind: CodeKind,
        codes: &'a [KeptCode],
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let done = set_kept(change.as_mut(), self.driver().dialect(), unique_id, (kind, codes), by).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn use_kept_code<'a>(
        &'a self,
        unique_id: &'a str,
        code: &'a KeptCode,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Option<u32>>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let left = use_kept(change.as_mut(), self.driver().dialect(), unique_id, code, now).await?;
            change.commit().await?;
            Ok(left)
        })
    }

    fn expire_pin<'a>(&'a self, unique_id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let done = expire_pin(change.as_mut(), self.driver().dialect(), unique_id, by).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn begin_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        code: &'a Sealed,
        sending: Sending,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let expires = now.checked_add(sending.lives).unwrap_or(now);
            let over = now.checked_sub(sending.per).unwrap_or(SystemTime::UNIX_EPOCH);
            let wild = now.checked_add(sending.per).unwrap_or(now);
            let values = vec![
                unique_id.into(),
                provider.into(),
                code.as_bytes().to_vec().into(),
                expires.into(),
                sending.tries.into(),
                now.into(),
                over.into(),
                sending.most.into(),
                wild.into(),
            ];
            Ok(self.alter(BEGIN_SENT, values).await? == 1)
        })
    }

    fn try_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<SentCode>> {
        Box::pin(async move {
            let values = || vec![unique_id.into(), provider.into(), now.into()];
            let mut change = self.driver().begin().await?;
            let counted = change.run(fixed(TRY_SENT), values()).await?;
            let mut rows = change.rows(fixed(SENT), values()).await?;
            change.commit().await?;
            match (rows.first_mut(), counted) {
                (None, _) => Ok(SentCode::Nothing),
                (Some(_), 0) => Ok(SentCode::TriedOut),
                (Some(row), _) => Ok(SentCode::Sealed(Sealed::from_bytes(row.needed_blob("code")?))),
            }
        })
    }

    fn use_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        code: &'a Sealed,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let values = vec![unique_id.into(), provider.into(), code.as_bytes().to_vec().into()];
        Box::pin(async move { Ok(self.alter(USE_SENT, values).await? == 1) })
    }
}
