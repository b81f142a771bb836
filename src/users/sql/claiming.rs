//! Names that an import claims: written under its generation like people, each one's or nobody's. One that somebody
//! else has waits until the end of the import, by when its holder may have given it up.

use std::collections::HashMap;
use std::sync::Arc;

use crate::users::roster::Claim;
use crate::users::sql::driver::{Change, Dialect, Rows};
use crate::users::sql::importing::fenced;
use crate::users::sql::people::{NAMES, read_profile};
use crate::users::sql::staging::{CHUNK, Staging};
use crate::users::sql::value::{Cell, Value, built, list};
use crate::users::sql::{begin_staged, text};
use crate::users::store::{StoreError, StoreResult};

/// Names that may wait for their holders to give them up in the same import.
const WAITING: usize = 10_000;

/// A claim of a name that waits: what it is, and the row.
pub(super) struct Waiting {
    folded: String,
    pub(super) unique_id: String,
    row: Vec<Value>,
}

impl Staging {
    /// Claims names. One that somebody else has waits until the end.
    pub(super) async fn claim(&mut self, change: &mut dyn Change, rows: &dyn Rows) -> StoreResult<()> {
        let waiting = claimed(change, self.dialect(), rows).await?;
        self.wait(waiting)
    }

    /// Keeps claims of names that somebody else has until the end.
    pub(super) fn wait(&mut self, waiting: Vec<Waiting>) -> StoreResult<()> {
        self.waiting.extend(waiting);
        if self.waiting.len() > WAITING {
            return Err(StoreError::Conflict(format!("more than {WAITING} names belong to somebody else already")));
        }
        Ok(())
    }

    /// Claims the names of people who came without them. Somebody new is nobody's to change before the import counts;
    /// somebody who was in the store already may have kept other names.
    pub(super) async fn claim_later(&mut self, change: &mut dyn Change, claims: Vec<Claim>) -> StoreResult<()> {
        if claims.is_empty() {
            return Ok(());
        }
        let claims = if self.doubtful { theirs(change, self.dialect(), claims).await? } else { claims };
        let generation = self.generation;
        self.claim(change, &Claims { claims: &claims, generation }).await
    }

    /// Claims again the names that were somebody else's: by now they may have given them up.
    pub(super) async fn settle(&mut self) -> StoreResult<()> {
        let driver = Arc::clone(&self.driver);
        let mut waiting = std::mem::take(&mut self.waiting).into_iter().peekable();
        while waiting.peek().is_some() {
            let chunk: Vec<Waiting> = waiting.by_ref().take(CHUNK).collect();
            let mut change = begin_staged(driver.as_ref()).await?;
            fenced(change.as_mut(), &self.lock).await?;
            let rows = chunk.iter().map(|claim| claim.row.clone()).collect();
            NAMES.run(change.as_mut(), driver.dialect(), rows).await?;
            let names: Vec<String> = chunk.iter().map(|claim| claim.folded.clone()).collect();
            let holders = holders(change.as_mut(), driver.dialect(), &names).await?;
            for claim in &chunk {
                let holder = holders.get(&claim.folded);
                if holder != Some(&claim.unique_id) {
                    return Err(StoreError::Conflict(format!(
                        "the name {:?} of {} belongs to {} as well",
                        claim.folded,
                        claim.unique_id,
                        holder.map_or("somebody else", String::as_str)
                    )));
                }
            }
            change.commit().await?;
        }
        Ok(())
    }
}

/// Claims by people who are new, as rows for [`NAMES`].
pub(super) struct Claims<'a> {
    pub(super) claims: &'a [Claim],
    pub(super) generation: i64,
}

impl Rows for Claims<'_> {
    fn len(&self) -> usize {
        self.claims.len()
    }

    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>) {
        let Some(Claim { folded, kind, unique_id }) = self.claims.get(place) else { return };
        cells.extend([Cell::from(folded.as_str()), text::ALIVE.into(), self.generation.into()]);
        cells.extend([Cell::Word(kind.word()), unique_id.as_str().into()]);
    }
}

/// Claims names; those that somebody else has come back.
pub(super) async fn claimed(change: &mut dyn Change, dialect: Dialect, rows: &dyn Rows) -> StoreResult<Vec<Waiting>> {
    let inserted = NAMES.lend(change, dialect, rows).await?;
    if usize::try_from(inserted).is_ok_and(|inserted| inserted == rows.len()) {
        return Ok(Vec::new());
    }
    let claims: Vec<Waiting> = rows.copies().into_iter().filter_map(waiting).collect();
    let names: Vec<String> = claims.iter().map(|claim| claim.folded.clone()).collect();
    let holders = holders(change, dialect, &names).await?;
    Ok(claims.into_iter().filter(|claim| holders.get(&claim.folded) != Some(&claim.unique_id)).collect())
}

/// Those claims that their people still have.
async fn theirs(change: &mut dyn Change, dialect: Dialect, claims: Vec<Claim>) -> StoreResult<Vec<Claim>> {
    let people: Vec<String> = claims.iter().map(|claim| claim.unique_id.clone()).collect();
    let sql = built(format!("{}{}", text::LATEST_OF, dialect.listed(1)));
    let mut names = HashMap::new();
    for mut row in change.rows(sql, vec![list(&people)]).await? {
        let profile = read_profile(&mut row)?;
        names.insert(profile.person.unique_id.clone(), profile.names());
    }
    let theirs = |claim: &Claim| {
        let names = names.get(&claim.unique_id);
        names.is_some_and(|names| names.iter().any(|(folded, _)| *folded == claim.folded))
    };
    Ok(claims.into_iter().filter(theirs).collect())
}

fn waiting(row: Vec<Value>) -> Option<Waiting> {
    let text = |place: usize| match row.get(place) {
        Some(Value::Text(Some(text))) => Some(text.clone()),
        _ => None,
    };
    let died = matches!(row.get(1), Some(Value::Int(Some(died))) if *died == text::ALIVE);
    let (folded, unique_id) = (text(0)?, text(4)?);
    died.then_some(Waiting { folded, unique_id, row })
}

/// Who will have these names.
async fn holders(change: &mut dyn Change, dialect: Dialect, names: &[String]) -> StoreResult<HashMap<String, String>> {
    const HOLDERS: &str = "SELECT folded, unique_id FROM names WHERE died = 9223372036854775807 AND folded IN ";
    let sql = built(format!("{HOLDERS}{}", dialect.listed(1)));
    let mut holders = HashMap::new();
    for mut row in change.rows(sql, vec![list(names)]).await? {
        holders.insert(row.needed_text("folded")?, row.needed_text("unique_id")?);
    }
    Ok(holders)
}
