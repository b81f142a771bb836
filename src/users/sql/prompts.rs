//! [`SharedPrompts`] on a database: each method one change, so that of two nodes one is the first.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::config::Throttle;
use crate::users::prompts::{Answered, Begun, Effect, GONE_AFTER, Intended, Node, Out, SharedPrompts, Standing};
use crate::users::sql::SqlStore;
use crate::users::sql::driver::Change;
use crate::users::sql::value::{Row, Value, fixed};
use crate::users::store::StoreResult;

/// Back-off doubles at most to so many times its first pause, as it does on one node.
const MOST_PAUSES: u32 = 64;

/// Takes the place of one that is over, of one whose node is gone, and of this node's own, of which at most one lives.
const CLAIM: &str = "INSERT INTO prompts_out (key, claim, unique_id, node, until, carried) VALUES ($1, $2, $3, $4, $5, 0) \
     ON CONFLICT (key) DO UPDATE SET claim = $2, unique_id = $3, node = $4, until = $5, outcome = NULL, method = NULL, \
     provider = NULL, carried = 0, tag = NULL \
     WHERE prompts_out.until <= $6 OR (prompts_out.outcome IS NULL AND (prompts_out.node = $4 \
     OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.node = prompts_out.node AND nodes.seen > $7))) \
     OR (prompts_out.outcome IS NOT NULL AND prompts_out.carried = 0)";
/// Counts one more where one more may be. What lies ahead was written by a clock that has been set back since.
const COUNT: &str = "INSERT INTO prompts (unique_id, sent, since, pause, patience) VALUES ($1, 1, $2, $5, 0) \
     ON CONFLICT (unique_id) DO UPDATE SET \
     sent = CASE WHEN prompts.since <= $3 OR prompts.since > $6 THEN 1 ELSE prompts.sent + 1 END, \
     pause = CASE WHEN prompts.since <= $3 OR prompts.since > $6 THEN $5 ELSE prompts.pause END, \
     patience = CASE WHEN prompts.since <= $3 OR prompts.since > $6 THEN 0 ELSE prompts.patience END, \
     since = CASE WHEN prompts.since <= $3 OR prompts.since > $6 THEN $2 ELSE prompts.since END \
     WHERE (prompts.quiet_until IS NULL OR prompts.quiet_until <= $2) \
     AND (prompts.patient_until IS NULL OR prompts.patient_until <= $2) \
     AND (prompts.sent < $4 OR prompts.since <= $3 OR prompts.since > $6)";
const STANDING: &str = "SELECT sent, since, quiet_until, patient_until FROM prompts WHERE unique_id = $1";
const OUT: &str = "SELECT claim, until, outcome, method, provider, carried, tag FROM prompts_out WHERE key = $1";
const RELEASE: &str = "DELETE FROM prompts_out WHERE key = $1 AND claim = $2 AND outcome IS NULL";
const ANSWER: &str = "UPDATE prompts_out SET outcome = $3, method = $4, provider = $5, carried = $6, tag = $7, until = $8 \
     WHERE key = $1 AND claim = $2";
const APPROVED: &str = "UPDATE prompts SET sent = 0, patience = 0, patient_until = NULL WHERE unique_id = $1";
const DENIED: &str = "INSERT INTO prompts (unique_id, sent, since, pause, quiet_until, patience, fraud) \
     VALUES ($1, 0, $2, $3 * 2, $2 + $3, 0, $5) ON CONFLICT (unique_id) DO UPDATE SET \
     quiet_until = $2 + prompts.pause, patience = 0, \
     pause = CASE WHEN prompts.pause * 2 > $4 THEN $4 ELSE prompts.pause * 2 END, \
     fraud = coalesce($5, prompts.fraud)";
const UNANSWERED: &str = "UPDATE prompts SET \
     patient_until = CASE WHEN patience > 0 THEN $2 + patience ELSE patient_until END, \
     patience = CASE WHEN patience = 0 THEN $3 WHEN patience * 2 > $4 THEN $4 ELSE patience * 2 END \
     WHERE unique_id = $1";
const FRAUD: &str = "SELECT fraud FROM prompts WHERE unique_id = $1";
const VOID: &str = "DELETE FROM prompts_out WHERE unique_id = $1 AND outcome IS NOT NULL";
const VOID_ALL: &str = "DELETE FROM prompts_out WHERE outcome IS NOT NULL";
/// All of somebody who goes.
pub(super) const ERASE: &str = "DELETE FROM prompts WHERE unique_id = $1";
pub(super) const ERASE_OUT: &str = "DELETE FROM prompts_out WHERE unique_id = $1";
const USE: &str = "UPDATE prompts_out SET carried = 0 WHERE key = $1 AND claim = $2 AND carried = 1 AND until > $3";
const ALIVE: &str =
    "INSERT INTO nodes (node, name, seen) VALUES ($1, $2, $3) ON CONFLICT (node) DO UPDATE SET seen = $3";
const FORGET_NODES: &str = "DELETE FROM nodes WHERE seen <= $1";
const FORGET_OUT: &str = "DELETE FROM prompts_out WHERE until <= $1";
const FORGET_PROMPTS: &str = "DELETE FROM prompts WHERE since <= $1 AND (quiet_until IS NULL OR quiet_until <= $2) \
     AND (patient_until IS NULL OR patient_until <= $2) AND (fraud IS NULL OR fraud <= $1)";
const NOT_SENT: &str = "UPDATE prompts SET sent = sent - 1 WHERE unique_id = $1 AND sent > 0";
const ENDS: &str = "DELETE FROM nodes WHERE node = $1";
const NODES: &str = "SELECT node, name FROM nodes WHERE seen > $1 ORDER BY name, node";

#[cfg(test)]
/// Whole statements, for the test that prepares each.
pub(in crate::users) const FIXED: [&str; 20] = [
    CLAIM,
    COUNT,
    STANDING,
    OUT,
    RELEASE,
    ANSWER,
    APPROVED,
    DENIED,
    UNANSWERED,
    NOT_SENT,
    FRAUD,
    VOID,
    VOID_ALL,
    USE,
    ALIVE,
    FORGET_NODES,
    FORGET_OUT,
    FORGET_PROMPTS,
    ENDS,
    NODES,
];

fn before(now: SystemTime, by: std::time::Duration) -> SystemTime {
    now.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn read(row: &mut Row) -> StoreResult<Out> {
    let (claim, until) = (row.needed_text("claim")?, row.needed_time("until")?);
    let (outcome, method) = (row.text("outcome")?, row.text("method")?);
    let (provider, carried) = (row.text("provider")?, row.needed_int("carried")? != 0);
    let tag = row.blob("tag")?.unwrap_or_default();
    let method = method.and_then(|word| word.parse().ok());
    let answer = outcome.map(|outcome| Answered { outcome, method, provider, carried, tag });
    Ok(Out { claim, until, answer })
}

async fn find(change: &mut dyn Change, key: &str) -> StoreResult<Option<Out>> {
    let mut rows = change.rows(fixed(OUT), vec![key.into()]).await?;
    rows.first_mut().map(read).transpose()
}

async fn begin(
    change: &mut dyn Change,
    prompt: &Intended,
    bounds: &Throttle,
    now: SystemTime,
) -> StoreResult<Option<Begun>> {
    if let Some(key) = &prompt.key {
        let values = vec![
            key.as_str().into(),
            prompt.claim.as_str().into(),
            prompt.unique_id.as_str().into(),
            prompt.node.as_str().into(),
            prompt.until.into(),
            now.into(),
            before(now, GONE_AFTER).into(),
        ];
        if change.run(fixed(CLAIM), values).await? == 0 {
            return Ok(find(change, key).await?.map(Begun::Theirs));
        }
    }
    if prompt.is_code {
        return Ok(Some(Begun::Ours));
    }
    let window = bounds.prompt_window;
    let values = vec![
        prompt.unique_id.as_str().into(),
        now.into(),
        before(now, window).into(),
        bounds.prompts_per_person.into(),
        bounds.denial_backoff.into(),
        now.checked_add(window).unwrap_or(now).into(),
    ];
    Ok(Some(if change.run(fixed(COUNT), values).await? == 0 { Begun::Limited } else { Begun::Ours }))
}

/// When the person has last reported fraud.
async fn fraud(change: &mut dyn Change, unique_id: &str) -> StoreResult<Option<SystemTime>> {
    let mut rows = change.rows(fixed(FRAUD), vec![unique_id.into()]).await?;
    Ok(rows.first_mut().map(|row| row.time("fraud")).transpose()?.flatten())
}

async fn tell(
    change: &mut dyn Change,
    prompt: &Intended,
    answer: Option<&Answered>,
    until: SystemTime,
) -> StoreResult<()> {
    let Some(key) = &prompt.key else { return Ok(()) };
    let mut values = vec![key.as_str().into(), prompt.claim.as_str().into()];
    let Some(answer) = answer else { return change.run(fixed(RELEASE), values).await.map(|_| ()) };
    values.extend([
        answer.outcome.as_str().into(),
        answer.method.map(|method| method.word().to_owned()).into(),
        answer.provider.clone().into(),
        answer.carried.into(),
        answer.tag.clone().into(),
        until.into(),
    ]);
    change.run(fixed(ANSWER), values).await.map(|_| ())
}

async fn end(
    change: &mut dyn Change,
    prompt: &Intended,
    (answer, until): (Option<&Answered>, SystemTime),
    (effect, bounds): (&Effect, &Throttle),
    now: SystemTime,
) -> StoreResult<bool> {
    let whose = || Value::from(prompt.unique_id.as_str());
    let (first, most) = (bounds.denial_backoff, bounds.denial_backoff.saturating_mul(MOST_PAUSES));
    let mut counts = true;
    match effect {
        Effect::None => {}
        Effect::Approved(began) => {
            // The row is locked from here on: a fraud report comes before this, or finds the answer and voids it.
            change.run(fixed(APPROVED), vec![whose()]).await?;
            counts = fraud(change, &prompt.unique_id).await?.is_none_or(|fraud| fraud < *began);
        }
        Effect::Denied | Effect::Fraud => {
            let is_fraud = matches!(effect, Effect::Fraud);
            let fraud = is_fraud.then_some(now);
            let values = vec![whose(), now.into(), first.into(), most.into(), fraud.into()];
            change.run(fixed(DENIED), values).await?;
            if is_fraud {
                void(change, &prompt.unique_id).await?;
            }
        }
        Effect::Unanswered => {
            change.run(fixed(UNANSWERED), vec![whose(), now.into(), first.into(), most.into()]).await?;
        }
        Effect::NotSent => drop(change.run(fixed(NOT_SENT), vec![whose()]).await?),
    }
    tell(change, prompt, answer.filter(|_| counts), until).await?;
    Ok(counts)
}

/// Forgets what this person has answered to prompts of any node: it is good for nothing more.
pub(super) async fn void(change: &mut dyn Change, unique_id: &str) -> StoreResult<()> {
    change.run(fixed(VOID), vec![unique_id.into()]).await.map(|_| ())
}

/// The same, of everybody.
pub(super) async fn void_all(change: &mut dyn Change) -> StoreResult<()> {
    change.run(fixed(VOID_ALL), vec![]).await.map(|_| ())
}

impl SharedPrompts for SqlStore {
    fn begin_prompt<'a>(
        &'a self,
        prompt: &'a Intended,
        bounds: &'a Throttle,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Begun>> {
        Box::pin(async move {
            loop {
                let mut change = self.driver().begin().await?;
                match begin(change.as_mut(), prompt, bounds, now).await? {
                    Some(Begun::Ours) => {
                        change.commit().await?;
                        return Ok(Begun::Ours);
                    }
                    // Dropped without a commit: what was claimed was not.
                    Some(other) => return Ok(other),
                    // It has gone in between.
                    None => {}
                }
            }
        })
    }

    fn may_prompt<'a>(
        &'a self,
        unique_id: &'a str,
        bounds: &'a Throttle,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Standing>> {
        let (begun, ahead) = (before(now, bounds.prompt_window), now.checked_add(bounds.prompt_window).unwrap_or(now));
        let read = move |row: &mut Row| {
            let (sent, since) = (row.needed_int("sent")?, row.needed_time("since")?);
            let counts = since > begun && since <= ahead;
            let quiet = row.time("quiet_until")?.max(row.time("patient_until")?).filter(|until| now < *until);
            let sent = if counts { u32::try_from(sent).unwrap_or(u32::MAX) } else { 0 };
            Ok(Standing { sent, quiet_until: quiet })
        };
        Box::pin(async move {
            let found = self.look_up(fixed(STANDING), vec![unique_id.into()], read).await?;
            Ok(found.unwrap_or_default())
        })
    }

    fn prompt_out<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<Out>>> {
        Box::pin(self.look_up(fixed(OUT), vec![key.into()], read))
    }

    fn end_prompt<'a>(
        &'a self,
        prompt: &'a Intended,
        answer: (Option<&'a Answered>, SystemTime),
        effect: (&'a Effect, &'a Throttle),
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let counts = end(change.as_mut(), prompt, answer, effect, now).await?;
            change.commit().await?;
            Ok(counts)
        })
    }

    fn use_carried<'a>(&'a self, key: &'a str, claim: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { Ok(self.alter(USE, vec![key.into(), claim.into(), now.into()]).await? == 1) })
    }

    fn alive<'a>(&'a self, node: &'a Node, bounds: &'a Throttle, now: SystemTime) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut change = self.driver().begin().await?;
            let (who, name) = (node.node.as_str(), node.name.as_str());
            change.run(fixed(ALIVE), vec![who.into(), name.into(), now.into()]).await?;
            change.run(fixed(FORGET_NODES), vec![before(now, GONE_AFTER.saturating_mul(10)).into()]).await?;
            change.run(fixed(FORGET_OUT), vec![now.into()]).await?;
            change.run(fixed(FORGET_PROMPTS), vec![before(now, bounds.prompt_window).into(), now.into()]).await?;
            change.commit().await
        })
    }

    fn ends<'a>(&'a self, node: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.alter(ENDS, vec![node.into()]).await.map(|_| ()) })
    }

    fn nodes(&self, now: SystemTime) -> BoxFuture<'_, StoreResult<Vec<Node>>> {
        let read = |row: &mut Row| Ok(Node { node: row.needed_text("node")?, name: row.needed_text("name")? });
        Box::pin(self.read_all(fixed(NODES), vec![before(now, GONE_AFTER).into()], read))
    }
}
