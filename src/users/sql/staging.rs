//! An import on its way: written under a generation that does not count yet, then made to count by one step.
//!
//! ```text
//! begin    what a dead import left is removed; generation = current + 1
//! stage    a few hundred rows a transaction: new versions born in the generation, old ones ending with it
//! finish   current = generation            one row: from now on everybody reads the other versions
//!          then what has ended is removed, a few hundred rows a transaction
//! ```
//!
//! The lock's token is looked at in every transaction: a node that was given up for dead and wakes up again
//! cannot write any more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;

use crate::users::cache::PeopleCache;
use crate::users::changes::differences;
use crate::users::letters::LetterKind;
use crate::users::profile::Profile;
use crate::users::roster::{Claim, Handfuls, Import, ImportLock, Memory, Staged, Step};
use crate::users::sql::changing::Told;
use crate::users::sql::claiming::Waiting;
use crate::users::sql::clearing::{clear, retire};
use crate::users::sql::driver::{Change, Dialect, Driver};
use crate::users::sql::importing::{barrier, fenced, remember};
use crate::users::sql::newcomers::Came;
use crate::users::sql::people::name_rows;
use crate::users::sql::records::{self, Noted};
use crate::users::sql::value::{built, fixed, list};
use crate::users::sql::{begin_people, begin_staged, details, letters, people, text};
use crate::users::store::{StoreError, StoreResult};
use crate::users::token::Token;

/// Steps of the first transaction of an import, and of one that settles names.
pub(super) const CHUNK: usize = 256;

/// Steps of one transaction, at least and at most. With fewer, the trips that each transaction takes anyway would be
/// nearly all of it.
const CHUNKS: std::ops::RangeInclusive<usize> = 16..=2048;

/// How long a transaction may take before the next one gets fewer steps: others wait meanwhile. Where one takes less
/// than half of it, the next gets more. What takes several trips for each person, such as new names, stops there, and
/// the rest is for the next transaction: how many of those there are in a chunk is not known before.
const LONG: Duration = Duration::from_millis(16);

pub(super) struct Staging {
    pub(super) driver: Arc<dyn Driver>,
    cache: Arc<PeopleCache>,
    pub(super) lock: ImportLock,
    pub(super) by: Arc<str>,
    pub(super) current: i64,
    pub(super) generation: i64,
    /// Whether somebody who came without their names was in the store already: they may have others.
    pub(super) doubtful: bool,
    pub(super) done: Staged,
    pub(super) waiting: Vec<Waiting>,
    /// People who came as newcomers and are none.
    pub(super) known: Vec<Profile>,
    pub(super) pace: Pace,
}

/// How many steps the next transaction gets, and how long a transaction may take.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    steps: usize,
    long: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { steps: CHUNK, long: LONG }
    }
}

impl Pace {
    /// Steps of the next transaction.
    pub(super) fn next(&self) -> usize {
        self.steps
    }

    /// Whether a transaction that began then has had its time.
    pub(super) fn is_over(&self, began: Instant) -> bool {
        began.elapsed() >= self.long
    }

    /// Makes the next transaction as large as others can bear.
    pub(super) fn took(&mut self, steps: usize, took: Duration) {
        let (least, most) = CHUNKS.into_inner();
        if took > self.long {
            // As many as would have been done in time: on a machine that has become slow halves would take many turns.
            let share = self.long.as_secs_f64() / took.as_secs_f64();
            let divisor = if share > 0.5 {
                2
            } else if share > 0.125 {
                4
            } else {
                16
            };
            self.steps = (self.steps / divisor).max(least);
        } else if steps >= self.steps && took < self.long / 2 {
            self.steps = (self.steps * 2).min(most);
        }
    }
}

/// Removes what a dead import has left, and takes the next generation.
pub(super) async fn begin(
    driver: Arc<dyn Driver>,
    cache: Arc<PeopleCache>,
    lock: &ImportLock,
    by: &str,
) -> StoreResult<Staging> {
    barrier(driver.as_ref(), lock).await?;
    clear(driver.as_ref(), lock).await?;
    retire(driver.as_ref(), lock).await?;
    let mut change = begin_people(driver.as_ref()).await?;
    fenced(change.as_mut(), lock).await?;
    change.run(fixed("UPDATE people_state SET newest = current + 1"), vec![]).await?;
    let current = people::current(change.as_mut()).await?;
    change.commit().await?;
    Ok(Staging {
        driver,
        cache,
        lock: lock.clone(),
        by: by.into(),
        current,
        generation: current + 1,
        doubtful: false,
        done: Staged::default(),
        waiting: Vec::new(),
        known: Vec::new(),
        pace: Pace::default(),
    })
}

impl Import for Staging {
    fn stage(&mut self, steps: Vec<Step>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut steps = VecDeque::from(steps);
            while !steps.is_empty() {
                let many = self.pace.next().min(steps.len());
                let left = self.chunk(steps.drain(..many).collect()).await?;
                for step in left.into_iter().rev() {
                    steps.push_front(step);
                }
            }
            Ok(())
        })
    }

    fn stage_newcomers(&mut self, people: Handfuls, names: Handfuls) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.newcomers(people, names))
    }

    fn finish<'a>(mut self: Box<Self>, memory: &'a [Memory]) -> BoxFuture<'a, StoreResult<Staged>> {
        Box::pin(async move {
            self.change_known().await?;
            self.settle().await?;
            let mut change = begin_people(self.driver.as_ref()).await?;
            fenced(change.as_mut(), &self.lock).await?;
            const SWITCH: &str = "UPDATE people_state SET current = $1, newest = $1, version = version + 1 \
                                  WHERE current = $1 - 1 AND newest = $1";
            if change.run(fixed(SWITCH), vec![self.generation.into()]).await? != 1 {
                return Err(StoreError::Conflict("another import has begun; this one is given up".into()));
            }
            remember(change.as_mut(), memory).await?;
            let committed = change.commit().await;
            // Also where it is not known whether it counts.
            self.cache.forget_all();
            committed?;
            if let Err(error) = retire(self.driver.as_ref(), &self.lock).await {
                // It counts; the rest is for the next import to clear.
                tracing::warn!(%error, "what the import has replaced could not be removed yet");
            }
            self.driver.close().await;
            Ok(self.done)
        })
    }

    fn abandon(self: Box<Self>) -> BoxFuture<'static, StoreResult<()>> {
        Box::pin(async move {
            let cleared = clear(self.driver.as_ref(), &self.lock).await;
            self.driver.close().await;
            cleared
        })
    }
}

impl Staging {
    pub(super) fn dialect(&self) -> Dialect {
        self.driver.dialect()
    }

    /// One transaction; the steps that it had no time for come back.
    async fn chunk(&mut self, steps: Vec<Step>) -> StoreResult<Vec<Step>> {
        let driver = Arc::clone(&self.driver);
        let many = steps.len();
        let mut change = begin_staged(driver.as_ref()).await?;
        let began = Instant::now();
        fenced(change.as_mut(), &self.lock).await?;
        let (before, waited) = (self.done, self.waiting.len());
        let written = self.write(change.as_mut(), Sorted::of(steps), began).await;
        let committed = match written {
            Ok(left) => change.commit().await.map(|()| left),
            Err(error) => Err(error),
        };
        match &committed {
            Ok(left) => self.pace.took(many - left.len().min(many), began.elapsed()),
            Err(_) => {
                self.done = before;
                self.waiting.truncate(waited);
            }
        }
        committed
    }

    async fn write(&mut self, change: &mut dyn Change, steps: Sorted, began: Instant) -> StoreResult<Vec<Step>> {
        let mut existing = self.add(change, steps.adds, true).await?;
        existing.extend(self.add(change, steps.bare, false).await?);
        existing.extend(steps.changes);
        let (mut told, changes) = self.change_all(change, existing, began).await?;
        let mut removes = steps.removes.into_iter();
        while changes.is_empty()
            && (told.is_empty() || !self.pace.is_over(began))
            && let Some(unique_id) = removes.next()
        {
            told.extend(self.remove(change, &unique_id).await?);
        }
        let left = Sorted { changes, removes: removes.collect(), ..Sorted::default() };
        if !left.is_empty() {
            // What comes after them waits for its turn.
            self.note(change, &told).await?;
            return Ok(Sorted { claims: steps.claims, tokens: steps.tokens, letters: steps.letters, ..left }.steps());
        }
        self.claim_later(change, steps.claims).await?;
        self.add_tokens(change, steps.tokens).await?;
        let now = SystemTime::now();
        let letters = steps.letters.iter().map(|(about, kind)| letters::row(about, *kind, now, self.generation));
        letters::LETTERS.run(change, self.dialect(), letters.collect()).await?;
        self.note(change, &told).await?;
        Ok(Vec::new())
    }

    /// Keeps what has changed for whoever asks later.
    pub(super) async fn note(&self, change: &mut dyn Change, told: &[Told]) -> StoreResult<()> {
        let noted: Vec<Noted<'_>> = told
            .iter()
            .map(|(kind, before, after)| {
                let about = after.as_ref().unwrap_or(before);
                Noted::new(about, kind, &self.by, &differences(Some(before), after.as_ref()))
            })
            .collect();
        records::note(change, self.dialect(), self.generation, noted).await
    }

    /// Adds people, with their names or without; those who exist already come back.
    pub(super) async fn add(
        &mut self,
        change: &mut dyn Change,
        adds: Vec<Profile>,
        named: bool,
    ) -> StoreResult<Vec<Profile>> {
        if adds.is_empty() {
            return Ok(Vec::new());
        }
        let Came { added, adds, existing, short } = self.about().bring(change, adds).await?;
        self.doubtful |= short;
        self.done.added += added;
        if !named {
            return Ok(existing);
        }
        let (current, generation) = (self.current, self.generation);
        let claims =
            |profile: &Profile| name_rows(&profile.person.unique_id, None, current, Some((Some(profile), generation)));
        let claims: Vec<_> = adds.iter().flat_map(claims).collect();
        self.claim(change, &claims).await?;
        Ok(existing)
    }

    /// Adds tokens, each with an owner who is there or with none.
    async fn add_tokens(&mut self, change: &mut dyn Change, tokens: Vec<Token>) -> StoreResult<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        let dialect = self.dialect();
        let owners: Vec<String> = tokens.iter().filter_map(|token| token.unique_id.clone()).collect();
        let sql = built(format!("{}{}", text::NAMES_NOW, dialect.listed(1)));
        let mut names = HashMap::new();
        for mut row in change.rows(sql, vec![list(&owners)]).await? {
            names.insert(row.needed_text("unique_id")?, row.needed_text("name")?);
        }
        if let Some(token) = tokens.iter().find(|one| one.unique_id.as_ref().is_some_and(|id| !names.contains_key(id)))
        {
            let why = format!("nobody is enrolled any more whose the token {} could be", token.serial);
            return Err(StoreError::Conflict(why));
        }
        let rows: Vec<_> = tokens.iter().map(|token| details::token_row(token, &self.by, self.generation)).collect();
        let wanted = rows.len();
        let inserted = details::TOKENS.run(change, dialect, rows).await?;
        if usize::try_from(inserted).is_ok_and(|inserted| inserted < wanted) {
            return Err(StoreError::Conflict("a token with one of these serial numbers is there already".into()));
        }
        let noted: Vec<Noted<'_>> = tokens
            .iter()
            .map(|token| {
                let id = token.unique_id.as_deref().unwrap_or_default();
                let name = names.get(id).map(String::as_str).unwrap_or_default();
                Noted::of(id, name, "token added", &self.by, &details::came(token))
            })
            .collect();
        records::note(change, dialect, self.generation, noted).await
    }
}

/// The steps of one transaction by what they do. People come before those who change, and those before the ones who go.
#[derive(Default)]
struct Sorted {
    adds: Vec<Profile>,
    bare: Vec<Profile>,
    claims: Vec<Claim>,
    changes: Vec<Profile>,
    removes: Vec<String>,
    tokens: Vec<Token>,
    letters: Vec<(String, LetterKind)>,
}

impl Sorted {
    fn of(steps: Vec<Step>) -> Self {
        let mut sorted = Sorted::default();
        for step in steps {
            match step {
                Step::Add(profile) => sorted.adds.push(profile),
                Step::Bare(profile) => sorted.bare.push(profile),
                Step::Claim(claim) => sorted.claims.push(claim),
                Step::Change(profile) => sorted.changes.push(profile),
                Step::Remove(unique_id) => sorted.removes.push(unique_id),
                Step::Token(token) => sorted.tokens.push(*token),
                Step::Write(about, kind) => sorted.letters.push((about, kind)),
            }
        }
        sorted
    }

    fn is_empty(&self) -> bool {
        let Sorted { adds, bare, claims, changes, removes, tokens, letters } = self;
        let people = adds.is_empty() && bare.is_empty() && changes.is_empty() && removes.is_empty();
        people && claims.is_empty() && tokens.is_empty() && letters.is_empty()
    }

    /// As steps again, in the order in which they are done.
    fn steps(self) -> Vec<Step> {
        let Sorted { adds, bare, claims, changes, removes, tokens, letters } = self;
        let people = adds.into_iter().map(Step::Add).chain(bare.into_iter().map(Step::Bare));
        let people = people.chain(changes.into_iter().map(Step::Change)).chain(removes.into_iter().map(Step::Remove));
        let rest =
            claims.into_iter().map(Step::Claim).chain(tokens.into_iter().map(|token| Step::Token(Box::new(token))));
        people.chain(rest).chain(letters.into_iter().map(|(about, kind)| Step::Write(about, kind))).collect()
    }
}

#[cfg(test)]
mod tests;
