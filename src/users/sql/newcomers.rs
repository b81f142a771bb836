//! People who are new: how they come into the store, and the quick way for an import that brings nobody else, as the
//! first one does.
//!
//! ```text
//! people ─▶ two, each a transaction after the other: people, changes ┐ at the same time
//! names  ─▶ two, each a transaction after the other: names, mails    ┘
//! then      whoever was in the store after all: their claims are taken back, and they are changed
//! ```
//!
//! All of them share the lock that keeps changes of people apart, so that others wait for a transaction of each, at most.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::users::profile::{Profile, Stamp};
use crate::users::roster::{Claim, Handfuls, ImportLock, Step};
use crate::users::sql::claiming::{Claims, Waiting, claimed};
use crate::users::sql::driver::{Change, Driver};
use crate::users::sql::importing::{fenced, still_ours};
use crate::users::sql::people::{Arrivals, PEOPLE};
use crate::users::sql::records::{self, Noted};
use crate::users::sql::staging::{Pace, Staging};
use crate::users::sql::value::{built, list};
use crate::users::sql::{begin_staged, letters};
use crate::users::store::{StoreError, StoreResult};

/// People who may turn out to have been in the store: somebody enrols them while an import runs.
const KNOWN: usize = 10_000;

/// How many write people at the same time, and how many names: while one waits for its commit, another one's rows are
/// written. Two neighbours in the order share a key at most, so that nobody waits for who waits for them.
const SIDES: usize = 2;

/// What every part of an import knows.
pub(super) struct About {
    driver: Arc<dyn Driver>,
    lock: ImportLock,
    by: Arc<str>,
    generation: i64,
}

/// Who came, of those who were to.
pub(super) struct Came {
    /// How many.
    pub(super) added: u64,
    /// They.
    pub(super) adds: Vec<Profile>,
    /// Those who were in the store.
    pub(super) existing: Vec<Profile>,
    /// Whether not everybody came: they were there, or came twice.
    pub(super) short: bool,
}

impl About {
    /// Writes people without their names, and that they came.
    pub(super) async fn bring(&self, change: &mut dyn Change, adds: Vec<Profile>) -> StoreResult<Came> {
        let stamp = Stamp { time: SystemTime::now(), by: self.by.to_string() };
        let stamped = |profile| Profile { created: stamp.clone(), changed: stamp.clone(), ..profile };
        let mut adds: Vec<Profile> = adds.into_iter().map(stamped).collect();
        let dialect = self.driver.dialect();
        let rows = Arrivals { profiles: &adds, born: self.generation };
        let added = PEOPLE.lend(change, dialect, &rows).await?;
        let mut existing = Vec::new();
        let short = usize::try_from(added).is_ok_and(|added| added < adds.len());
        if short {
            const OLDER: &str = "SELECT unique_id FROM people WHERE died = 9223372036854775807 AND born < $1 \
                                 AND unique_id IN ";
            let ids: Vec<String> = adds.iter().map(|profile| profile.person.unique_id.clone()).collect();
            let sql = built(format!("{OLDER}{}", dialect.listed(2)));
            let mut older = HashSet::new();
            for mut row in change.rows(sql, vec![self.generation.into(), list(&ids)]).await? {
                older.insert(row.needed_text("unique_id")?);
            }
            (existing, adds) = adds.into_iter().partition(|profile| older.contains(&profile.person.unique_id));
            // One who comes twice in an import comes once; the first counts, also of another transaction.
            let mut seen = self.came(change, &ids).await?;
            adds.retain(|profile| seen.insert(profile.person.unique_id.clone()));
        }
        let noted = adds.iter().map(|profile| Noted::came(profile, &self.by)).collect();
        records::note_at(change, dialect, self.generation, noted, stamp.time).await?;
        Ok(Came { added, adds, existing, short })
    }

    /// Those of these people whom this import has brought before.
    async fn came(&self, change: &mut dyn Change, ids: &[String]) -> StoreResult<HashSet<String>> {
        const BEFORE: &str = "SELECT unique_id FROM changes WHERE kind = 'added' AND generation = $1 AND unique_id IN ";
        let sql = built(format!("{BEFORE}{}", self.driver.dialect().listed(2)));
        let mut came = change.rows(sql, vec![self.generation.into(), list(ids)]).await?;
        came.iter_mut().map(|row| row.needed_text("unique_id")).collect()
    }

    async fn begin(&self) -> StoreResult<Box<dyn Change>> {
        let mut change = self.driver.begin_together().await?;
        still_ours(change.as_mut(), &self.lock).await?;
        Ok(change)
    }

    /// Writes people until there are no more.
    async fn people(self, handfuls: Shared) -> StoreResult<Part> {
        let (mut pace, mut part) = (Pace::default(), Part::default());
        while let Some(steps) = next(&handfuls).await {
            let mut steps = steps.into_iter().peekable();
            while steps.peek().is_some() {
                let people: Vec<Profile> =
                    steps.by_ref().take(pace.next()).map(newcomer).collect::<StoreResult<_>>()?;
                let many = people.len();
                let mut change = self.begin().await?;
                let began = Instant::now();
                let came = self.bring(change.as_mut(), people).await?;
                change.commit().await?;
                pace.took(many, began.elapsed());
                part.added += came.added;
                part.known.extend(came.existing);
                if part.known.len() > KNOWN {
                    let why = format!("more than {KNOWN} people were enrolled while the import ran; run it again");
                    return Err(StoreError::Conflict(why));
                }
            }
        }
        Ok(part)
    }

    /// Writes names and mails until there are no more.
    async fn names(self, handfuls: Shared) -> StoreResult<Part> {
        let (mut pace, mut part) = (Pace::default(), Part::default());
        while let Some(steps) = next(&handfuls).await {
            let mut steps = steps.into_iter().peekable();
            while steps.peek().is_some() {
                let (mut claims, mut mails) = (Vec::new(), Vec::new());
                for step in steps.by_ref().take(pace.next()) {
                    match step {
                        Step::Claim(claim) => claims.push(claim),
                        Step::Write(about, kind) => mails.push((about, kind)),
                        _ => return Err(misplaced()),
                    }
                }
                let many = claims.len() + mails.len();
                let mut change = self.begin().await?;
                let began = Instant::now();
                part.waiting.extend(self.claim(change.as_mut(), &claims).await?);
                let now = SystemTime::now();
                let mails = mails.iter().map(|(about, kind)| letters::row(about, *kind, now, self.generation));
                letters::LETTERS.run(change.as_mut(), self.driver.dialect(), mails.collect()).await?;
                change.commit().await?;
                pace.took(many, began.elapsed());
            }
        }
        Ok(part)
    }

    async fn claim(&self, change: &mut dyn Change, claims: &[Claim]) -> StoreResult<Vec<Waiting>> {
        claimed(change, self.driver.dialect(), &Claims { claims, generation: self.generation }).await
    }
}

/// Handfuls that several take from.
type Shared = Arc<Mutex<Handfuls>>;

async fn next(handfuls: &Shared) -> Option<Vec<Step>> {
    handfuls.lock().await.recv().await
}

/// What one of those who write newcomers has done.
#[derive(Default)]
struct Part {
    /// How many people came.
    added: u64,
    /// Who was in the store already.
    known: Vec<Profile>,
    /// Names that are somebody else's.
    waiting: Vec<Waiting>,
}

fn newcomer(step: Step) -> StoreResult<Profile> {
    if let Step::Bare(profile) = step { Ok(profile) } else { Err(misplaced()) }
}

/// Never shown unless the program is wrong.
fn misplaced() -> StoreError {
    StoreError::Unavailable("a step of the import came on a way that is not for it".into())
}

impl Staging {
    pub(super) fn about(&self) -> About {
        About {
            driver: Arc::clone(&self.driver),
            lock: self.lock.clone(),
            by: Arc::clone(&self.by),
            generation: self.generation,
        }
    }

    /// Writes people and names at the same time.
    pub(super) async fn newcomers(&mut self, people: Handfuls, names: Handfuls) -> StoreResult<()> {
        let (people, names): (Shared, Shared) = (Arc::new(Mutex::new(people)), Arc::new(Mutex::new(names)));
        // Dropped on an early way out, it ends all of them in the middle of what nobody will ever see.
        let mut parts = JoinSet::new();
        for _ in 0..SIDES {
            parts.spawn(self.about().people(Arc::clone(&people)));
            parts.spawn(self.about().names(Arc::clone(&names)));
        }
        drop((people, names));
        while let Some(part) = parts.join_next().await {
            let part =
                part.map_err(|error| StoreError::Unavailable(format!("a part of the import failed: {error}")))??;
            self.done.added += part.added;
            self.known.extend(part.known);
            self.wait(part.waiting)?;
        }
        Ok(())
    }

    /// Changes people who came as newcomers and were in the store: only now it is known which names they keep.
    pub(super) async fn change_known(&mut self) -> StoreResult<()> {
        let driver = Arc::clone(&self.driver);
        let mut known = std::mem::take(&mut self.known).into_iter().peekable();
        while known.peek().is_some() {
            let mut change = begin_staged(driver.as_ref()).await?;
            let began = Instant::now();
            fenced(change.as_mut(), &self.lock).await?;
            let mut told = Vec::new();
            for profile in known.by_ref() {
                self.unclaim(change.as_mut(), &profile).await?;
                told.extend(self.change(change.as_mut(), profile).await?);
                if self.pace.is_over(began) {
                    break;
                }
            }
            self.note(change.as_mut(), &told).await?;
            change.commit().await?;
        }
        Ok(())
    }

    /// Takes back what was claimed for somebody as for a newcomer.
    async fn unclaim(&mut self, change: &mut dyn Change, profile: &Profile) -> StoreResult<()> {
        let unique_id = profile.person.unique_id.as_str();
        let names: Vec<String> = profile.names().into_iter().map(|(folded, _)| folded).collect();
        let listed = self.dialect().listed(3);
        let sql = format!("DELETE FROM names WHERE unique_id = $1 AND born = $2 AND folded IN {listed}");
        change.run(built(sql), vec![unique_id.into(), self.generation.into(), list(&names)]).await?;
        self.waiting.retain(|claim| claim.unique_id != unique_id);
        Ok(())
    }
}
