//! Brings the people and tokens of a file into the store: all or nothing, unless bad lines are to be skipped.

use std::collections::HashMap;
use std::time::Duration;

use crate::import::csv::Row;
use crate::import::files::BadLine;
use crate::import::plan::Counts;
use crate::import::tokens::TokenRow;
use crate::primary::Primary;
use crate::primary::directory::Directory;
use crate::users::keys::KeyFile;
use crate::users::profile::{Fields, Profile};
use crate::users::roster::{Roster, Step};
use crate::users::store::StoreResult;
use crate::users::token::Token;

/// People whom the store is asked about at once.
const TOGETHER: usize = 500;
/// How long the right to import is kept for a file.
const LEASE: Duration = Duration::from_secs(120);
/// How long the directory may take to find one person.
const FIND: Duration = Duration::from_secs(10);

/// What a file would do.
#[derive(Debug, Default)]
pub struct FilePlan {
    /// What is to be staged.
    pub steps: Vec<Step>,
    /// Login name and changed fields of each person in `steps`; none: new.
    pub people: Vec<(String, Option<Fields>)>,
    /// In numbers.
    pub counts: Counts,
    /// Lines that cannot be used, in order.
    pub bad: Vec<BadLine>,
}

/// Compares the rows of a file with the store. A row without a unique id is somebody who is enrolled under that
/// name, or whom `directory` knows by it.
///
/// # Errors
/// When the store cannot be read.
pub async fn plan(roster: &dyn Roster, rows: Vec<Row>, directory: Option<&Directory>) -> StoreResult<FilePlan> {
    let mut plan = FilePlan::default();
    for rows in chunks(rows) {
        let ids: Vec<String> = rows.iter().map(|row| row.profile.person.unique_id.clone()).collect();
        let known: Vec<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        let mut existing: HashMap<String, Profile> = HashMap::new();
        for profile in roster.profiles_of(&known).await? {
            existing.insert(profile.person.unique_id.clone(), profile);
        }
        for mut row in rows {
            plan.counts.read += 1;
            let mut before = existing.remove(&row.profile.person.unique_id);
            if row.profile.person.unique_id.is_empty() {
                before = roster.profile_named(&row.profile.person.name).await?;
                match &before {
                    Some(before) => row.profile.person.unique_id.clone_from(&before.person.unique_id),
                    None => match identify(directory, &mut row).await {
                        Ok(()) => before = roster.profile(&row.profile.person.unique_id).await?,
                        Err(why) => {
                            plan.bad.push(BadLine { line: row.line, why });
                            continue;
                        }
                    },
                }
            }
            let names: Vec<String> = row.profile.names().into_iter().map(|(name, _)| name).collect();
            let claims = roster.claims(&names).await?;
            let taken = claims.into_iter().find(|(_, holder)| *holder != row.profile.person.unique_id);
            if let Some((name, holder)) = taken {
                let why = format!("the name {name} belongs to somebody else, with the unique id {holder}");
                plan.bad.push(BadLine { line: row.line, why });
                continue;
            }
            decide(&mut plan, row, before);
        }
    }
    plan.bad.sort_by_key(|bad| bad.line);
    Ok(plan)
}

fn chunks(rows: Vec<Row>) -> impl Iterator<Item = Vec<Row>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<Row> = rows.by_ref().take(TOGETHER).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn decide(plan: &mut FilePlan, row: Row, before: Option<Profile>) {
    let Some(before) = before else {
        plan.counts.added += 1;
        plan.people.push((row.profile.person.name.clone(), None));
        plan.steps.push(Step::Add(row.profile));
        return;
    };
    let after = row.over(&before).imported_over(&before);
    let fields = after.differing(&before);
    if fields.is_empty() {
        plan.counts.unchanged += 1;
        return;
    }
    plan.counts.changed += 1;
    plan.people.push((after.person.name.clone(), Some(fields)));
    plan.steps.push(Step::Change(after));
}

/// Asks the directory who a row is.
async fn identify(directory: Option<&Directory>, row: &mut Row) -> Result<(), String> {
    let name = &row.profile.person.name;
    let Some(directory) = directory else {
        return Err(format!("no unique id, and nobody is enrolled as {name}; give --target to ask the directory"));
    };
    let who = directory.identify(name, std::time::Instant::now() + FIND).await;
    let who = who.map_err(|error| match error {
        crate::primary::IdentifyError::Unknown => format!("the directory does not know {name}"),
        crate::primary::IdentifyError::Ambiguous => format!("the directory knows several people as {name}"),
        crate::primary::IdentifyError::Fault(fault) => format!("the directory cannot say who {name} is ({fault:?})"),
    })?;
    let person = &mut row.profile.person;
    person.unique_id = who.unique_id;
    person.dn.get_or_insert(who.dn);
    if person.upn.is_none() {
        person.upn = who.upn;
    }
    Ok(())
}

/// Makes the steps count, all at once.
///
/// # Errors
/// Why nothing was changed, in words.
pub async fn apply(roster: &dyn Roster, node: &str, by: &str, steps: Vec<Step>) -> Result<(), String> {
    if steps.is_empty() {
        return Ok(());
    }
    let words = |error: crate::users::store::StoreError| format!("{error}; nothing was changed");
    let lock = roster.lock_import(node, LEASE).await.map_err(words)?;
    let lock = lock.ok_or("another import runs; wait until it is done (`anteroom import status`)")?;
    let applied = async {
        let mut import = roster.begin_import(&lock, by).await?;
        match import.stage(steps).await {
            Ok(()) => import.finish(&[]).await.map(|_| ()),
            Err(error) => {
                import.abandon().await?;
                Err(error)
            }
        }
    }
    .await;
    if let Err(error) = roster.unlock_import(&lock).await {
        tracing::warn!(%error, "the end of an import could not be noted");
    }
    applied.map_err(words)
}

/// What a file of tokens would do.
#[derive(Debug, Default)]
pub struct TokenPlan {
    /// The tokens to be added.
    pub tokens: Vec<Token>,
    /// Tokens that are known already, with the same owner.
    pub known: u64,
    /// Lines that cannot be used, in order.
    pub bad: Vec<BadLine>,
}

/// Finds the owners of tokens, and seals their seeds.
///
/// # Errors
/// When the store cannot be read.
pub async fn plan_tokens(roster: &dyn Roster, rows: Vec<TokenRow>, keys: &KeyFile) -> StoreResult<TokenPlan> {
    let mut plan = TokenPlan::default();
    for row in rows {
        let owner = match &row.owner {
            None => None,
            Some(name) => match roster.profile_named(name).await? {
                Some(profile) => Some(profile.person.unique_id),
                None => {
                    let why = format!("nobody is enrolled as {name}");
                    plan.bad.push(BadLine { line: row.line, why });
                    continue;
                }
            },
        };
        if let Some(known) = roster.token(&row.serial).await? {
            if known.unique_id == owner {
                plan.known += 1;
            } else {
                let why = format!("the token {} is enrolled already, for somebody else", row.serial);
                plan.bad.push(BadLine { line: row.line, why });
            }
            continue;
        }
        match keys.seal_seed(&row.serial, owner.as_deref(), &row.seed) {
            Ok(seed) => plan.tokens.push(Token {
                serial: row.serial,
                unique_id: owner,
                label: row.label,
                seed,
                algorithm: row.algorithm,
                digits: row.digits,
                moving: row.moving,
                drift: 0,
                last_step: None,
                last_used: None,
            }),
            Err(error) => plan.bad.push(BadLine { line: row.line, why: error.to_string() }),
        }
    }
    plan.bad.sort_by_key(|bad| bad.line);
    Ok(plan)
}
