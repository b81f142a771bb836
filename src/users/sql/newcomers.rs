//! People who are new: how they come into the store, and the quick way for an import that brings nobody else, as the
//! first one does.
//!
//! ```text
//! people ─▶ a transaction after the other: people, changes ┐ at the same time
//! names  ─▶ a transaction after the other: names, mails    ┘
//! then      whoever was in the store after all: their claims are taken back, and they are changed
//! ```
//!
//! Both ways share the lock that keeps changes of people apart, so that others wait for a transaction of each, at most.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::users::changes::differences;
use crate::users::profile::{Profile, Stamp};
use crate::users::roster::{Claim, Handfuls, ImportLock, Step};
use crate::users::sql::claiming::{Waiting, claim_row, claimed};
use crate::users::sql::driver::{Change, Driver};
use crate::users::sql::importing::{fenced, still_ours};
use crate::users::sql::people::{PEOPLE, version_row};
use crate::users::sql::records::{self, Noted};
use crate::users::sql::staging::{CHUNK, Pace, Staging};
use crate::users::sql::value::{built, list};
use crate::users::sql::{begin_staged, begin_together, letters};
use crate::users::store::{StoreError, StoreResult};

/// People who may turn out to have been in the store: somebody enrols them while an import runs.
const KNOWN: usize = 10_000;

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
        let rows = adds.iter().map(|profile| version_row(profile, self.generation)).collect();
        let added = PEOPLE.run(change, dialect, rows).await?;
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
            // One who comes twice in an import comes once; the first counts.
            let mut seen = HashSet::new();
            adds.retain(|profile| seen.insert(profile.person.unique_id.clone()));
        }
        let noted: Vec<Noted<'_>> = adds
            .iter()
            .map(|profile| Noted::new(profile, "added", &self.by, differences(None, Some(profile))))
            .collect();
        records::note_at(change, dialect, self.generation, &noted, stamp.time).await?;
        Ok(Came { added, adds, existing, short })
    }

    async fn begin(&self) -> StoreResult<Box<dyn Change>> {
        let mut change = begin_together(self.driver.as_ref()).await?;
        still_ours(change.as_mut(), &self.lock).await?;
        Ok(change)
    }

    /// Writes all people; how many came, and who was in the store already.
    async fn people(&self, mut handfuls: Handfuls) -> StoreResult<(u64, Vec<Profile>)> {
        let (mut pace, mut added, mut known) = (Pace::default(), 0, Vec::new());
        while let Some(steps) = handfuls.recv().await {
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
                added += came.added;
                known.extend(came.existing);
                if known.len() > KNOWN {
                    let why = format!("more than {KNOWN} people were enrolled while the import ran; run it again");
                    return Err(StoreError::Conflict(why));
                }
            }
        }
        Ok((added, known))
    }

    /// Writes all names and mails; the names that are somebody else's come back.
    async fn names(&self, mut handfuls: Handfuls) -> StoreResult<Vec<Waiting>> {
        let (mut pace, mut waiting) = (Pace::default(), Vec::new());
        while let Some(steps) = handfuls.recv().await {
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
                waiting.extend(self.claim(change.as_mut(), &claims).await?);
                let now = SystemTime::now();
                let mails = mails.iter().map(|(about, kind)| letters::row(about, *kind, now, self.generation));
                letters::LETTERS.run(change.as_mut(), self.driver.dialect(), mails.collect()).await?;
                change.commit().await?;
                pace.took(many, began.elapsed());
            }
        }
        Ok(waiting)
    }

    async fn claim(&self, change: &mut dyn Change, claims: &[Claim]) -> StoreResult<Vec<Waiting>> {
        let rows = || claims.iter().map(|claim| claim_row(claim, self.generation)).collect();
        claimed(change, self.driver.dialect(), rows).await
    }
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
        let about = self.about();
        let ((added, known), waiting) = tokio::try_join!(about.people(people), about.names(names))?;
        self.done.added += added;
        self.known.extend(known);
        self.wait(waiting)
    }

    /// Changes people who came as newcomers and were in the store: only now it is known which names they keep.
    pub(super) async fn change_known(&mut self) -> StoreResult<()> {
        let driver = Arc::clone(&self.driver);
        let mut known = std::mem::take(&mut self.known).into_iter().peekable();
        while known.peek().is_some() {
            let chunk: Vec<Profile> = known.by_ref().take(CHUNK).collect();
            let mut change = begin_staged(driver.as_ref()).await?;
            fenced(change.as_mut(), &self.lock).await?;
            let mut told = Vec::new();
            for profile in chunk {
                self.unclaim(change.as_mut(), &profile).await?;
                told.extend(self.change(change.as_mut(), profile).await?);
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
