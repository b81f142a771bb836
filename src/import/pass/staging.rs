//! The writing side of a pass: steps are kept aside, sorted, while the directory is still being read, and written in the
//! order of the store's own keys once everybody has been looked at.
//!
//! ```text
//! sifting ─ steps ─▶ keeping (a task) ─▶ spool ── the end ──▶ people, by unique id
//!                                    │                        those who waited for a name
//!                                    └─▶ spool ─────────────▶ names of newcomers, by name
//!                                                             mails
//! ```
//!
//! One after the other; where nobody comes but newcomers, both at the same time if the store is quicker so. Where the
//! store was empty, such a store gets them while they are read, see [`super::straight`].
//!
//! People come out of a directory in an order that has nothing to do with their unique ids: written as they come, each
//! would change pages of its own all over the store, and a transaction of a few hundred of them thousands of pages.
//! Nothing is in the store before the end, so that a pass that is held or fails has nothing to take back there.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::straight::{Handful, Straight};
use super::{Ask, ImportError, Importer, plan_id};
use crate::import::progress::{Phase, Progress};
use crate::import::spool::{Sorted, Spool};
use crate::users::letters::LetterKind;
use crate::users::profile::{NameKind, Profile};
use crate::users::roster::{Claim, Import, ImportLock, Memory, Roster, Step};

/// Steps that are handed on together.
const TOGETHER: usize = 1000;
/// Steps that are staged together: what one transaction takes, at most.
const STAGED_TOGETHER: usize = 2000;
/// Handfuls of steps that may wait to be kept.
const WAITING: usize = 1;

/// A step as it is kept, for as long as one import runs.
#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Bare(Profile),
    Change(Profile),
    Remove(String),
    Claim(String, NameKind, String),
    Write(String, LetterKind),
}

/// Which steps are written before others: nobody's name is claimed before whoever has it could give it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    People,
    Late,
    Names,
    Letters,
}

/// Where steps go. Without the right to import, nowhere.
pub(super) struct Staging {
    roster: Arc<dyn Roster>,
    lock: Option<ImportLock>,
    by: String,
    steps: Vec<Kept>,
    turn: Turn,
    /// Whether everybody is new.
    newcomers_only: bool,
    way: Option<Way>,
    wrote: bool,
}

/// Where steps are handed on to.
enum Way {
    Aside(Running),
    Straight(Straight),
}

struct Running {
    steps: mpsc::Sender<(Turn, Vec<Kept>)>,
    task: JoinHandle<io::Result<Aside>>,
}

/// What was kept aside.
struct Aside {
    people: Spool,
    names: Spool,
    /// Whether all people are new.
    newcomers: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Staging {
    pub(super) fn new(importer: &Importer, lock: Option<&ImportLock>, ask: &Ask) -> Self {
        Staging {
            roster: Arc::clone(&importer.roster),
            lock: lock.cloned(),
            by: format!("import:{}", plan_id(ask)),
            steps: Vec::new(),
            turn: Turn::People,
            newcomers_only: false,
            way: None,
            wrote: false,
        }
    }

    /// Nobody is in the store: whoever comes is new.
    pub(super) fn expect_newcomers(&mut self) {
        self.newcomers_only = true;
    }

    /// Takes a step. A person comes at most once before [`Staging::turn_late`].
    pub(super) async fn take(&mut self, step: Step) -> Result<(), ImportError> {
        if self.lock.is_none() {
            return Ok(());
        }
        self.steps.push(match step {
            Step::Add(profile) | Step::Bare(profile) => Kept::Bare(profile),
            Step::Change(profile) => Kept::Change(profile),
            Step::Remove(unique_id) => Kept::Remove(unique_id),
            Step::Claim(Claim { folded, kind, unique_id }) => Kept::Claim(folded, kind, unique_id),
            Step::Write(about, kind) => Kept::Write(about, kind),
            step @ Step::Token(_) => return Err(unexpected(&step)),
        });
        if self.steps.len() >= TOGETHER { self.hand_on().await } else { Ok(()) }
    }

    /// From here on steps are written after those that were taken before: they take names that others give up.
    pub(super) async fn turn_late(&mut self) -> Result<(), ImportError> {
        self.hand_on().await?;
        self.turn = Turn::Late;
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<(), ImportError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let (turn, steps) = (self.turn, std::mem::take(&mut self.steps));
        let sent = match self.way().await? {
            Way::Aside(running) => running.steps.send((turn, steps)).await.is_ok(),
            Way::Straight(straight) => {
                let mut handful = Handful::default();
                for step in steps {
                    handful.add(step.into()).map_err(|step| unexpected(&step))?;
                }
                straight.take(handful).await
            }
        };
        if sent {
            return Ok(());
        }
        // Whoever takes them has ended early, and says why.
        match self.way.take() {
            Some(Way::Aside(running)) => self.kept(running).await.map(|_| ())?,
            Some(Way::Straight(straight)) => straight.end().await.map(|_| ())?,
            None => {}
        }
        Err(ImportError::Broken("the steps of the import could not be kept".into()))
    }

    async fn way(&mut self) -> Result<&Way, ImportError> {
        let way = match self.way.take() {
            Some(way) => way,
            None => match self.lock.clone().filter(|_| self.newcomers_only && self.roster.writes_together()) {
                Some(lock) => Way::Straight(Straight::start(self.roster.begin_import(&lock, &self.by).await?)),
                None => Way::Aside(start(Aside::new(&self.roster.scratch()))),
            },
        };
        Ok(self.way.insert(way))
    }

    /// What was kept aside.
    async fn kept(&self, mut running: Running) -> Result<Aside, ImportError> {
        // Without a sender the task comes to its end.
        running.steps = mpsc::channel(1).0;
        let kept = (&mut running.task).await.map_err(|error| ImportError::Broken(error.to_string()))?;
        kept.map_err(|error| self.unkept(&error))
    }

    /// The file beside the store that holds what was read could not be written or read.
    fn unkept(&self, error: &io::Error) -> ImportError {
        ImportError::Broken(format!("what was read could not be kept in {}: {error}", self.roster.scratch().display()))
    }

    /// Makes all of it count, and `memory` with it.
    pub(super) async fn finish(&mut self, memory: &[Memory], progress: &Progress) -> Result<(), ImportError> {
        let Some(lock) = self.lock.clone() else { return Ok(()) };
        self.hand_on().await?;
        let Some(way) = self.way.take() else {
            if !memory.is_empty() {
                self.roster.remember_import(&lock, memory).await?;
            }
            return Ok(());
        };
        self.wrote = true;
        let import = match way {
            Way::Straight(straight) => straight.end().await?,
            Way::Aside(running) => {
                let aside = self.kept(running).await?;
                progress.write(aside.people.records() + aside.names.records());
                let mut import = self.roster.begin_import(&lock, &self.by).await?;
                if let Err(error) = self.write(aside, import.as_mut(), progress).await {
                    // What it leaves behind is removed by the next import, if this does not succeed.
                    let _ = import.abandon().await;
                    return Err(error);
                }
                import
            }
        };
        progress.enter(Phase::Finishing);
        import.finish(memory).await?;
        Ok(())
    }

    /// Removes what is in the store already, where the import came to nothing.
    pub(super) async fn abandon(&mut self) {
        if let Some(Way::Straight(straight)) = self.way.take()
            && let Ok(import) = straight.end().await
        {
            let _ = import.abandon().await;
        }
    }

    async fn write(&self, kept: Aside, import: &mut dyn Import, progress: &Progress) -> Result<(), ImportError> {
        let newcomers = kept.newcomers && self.roster.writes_together();
        let sorted = aside(move || Ok((kept.people.sorted()?, kept.names.sorted()?))).await?;
        let (people, names) = sorted.map_err(|error| self.unkept(&error))?;
        if newcomers {
            let (people_sink, all_people) = mpsc::channel(1);
            let (names_sink, all_names) = mpsc::channel(1);
            let (staged, people, names) = tokio::join!(
                import.stage_newcomers(all_people, all_names),
                self.flow(people, people_sink, progress),
                self.flow(names, names_sink, progress),
            );
            staged?;
            return people.and(names);
        }
        self.stage(people, import, progress).await?;
        self.stage(names, import, progress).await
    }

    async fn stage(&self, sorted: Sorted, import: &mut dyn Import, progress: &Progress) -> Result<(), ImportError> {
        let (mut sorted, mut steps) = self.handful(sorted).await?;
        while !steps.is_empty() {
            let many = u64::try_from(steps.len()).unwrap_or_default();
            let (staged, next) = tokio::join!(import.stage(steps), self.handful(sorted));
            staged?;
            progress.wrote(many);
            (sorted, steps) = next?;
        }
        Ok(())
    }

    /// Hands steps on until there are no more. Whoever stops taking them says why.
    async fn flow(
        &self,
        mut sorted: Sorted,
        sink: mpsc::Sender<Vec<Step>>,
        progress: &Progress,
    ) -> Result<(), ImportError> {
        loop {
            let steps;
            (sorted, steps) = self.handful(sorted).await?;
            let many = u64::try_from(steps.len()).unwrap_or_default();
            if many == 0 || sink.send(steps).await.is_err() {
                return Ok(());
            }
            progress.wrote(many);
        }
    }

    /// The next steps in their order; none: that was all.
    async fn handful(&self, sorted: Sorted) -> Result<(Sorted, Vec<Step>), ImportError> {
        aside(move || handful(sorted)).await?.map_err(|error| self.unkept(&error))
    }

    /// The longest that others were kept from changing people; nothing where nothing was written.
    pub(super) fn longest_hold(&self) -> Duration {
        if self.wrote { self.roster.longest_hold() } else { Duration::ZERO }
    }
}

/// Runs what blocks where nobody waits for it.
async fn aside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(run).await.map_err(|error| ImportError::Broken(error.to_string()))
}

fn handful(mut sorted: Sorted) -> io::Result<(Sorted, Vec<Step>)> {
    let mut steps = Vec::with_capacity(STAGED_TOGETHER);
    while steps.len() < STAGED_TOGETHER
        && let Some(octets) = sorted.take()?
    {
        steps.push(postcard::from_bytes::<Kept>(&octets).map_err(io::Error::other)?.into());
    }
    Ok((sorted, steps))
}

/// Never shown unless the program is wrong, or somebody was enrolled and has left within the minutes of an import.
fn unexpected(step: &Step) -> ImportError {
    let what = match step {
        Step::Token(token) => format!("the token {} does not come from a directory", token.serial),
        _ => "somebody was enrolled while everybody was new; run the import again".to_owned(),
    };
    ImportError::Broken(what)
}

impl From<Kept> for Step {
    fn from(kept: Kept) -> Step {
        match kept {
            Kept::Bare(profile) => Step::Bare(profile),
            Kept::Change(profile) => Step::Change(profile),
            Kept::Remove(unique_id) => Step::Remove(unique_id),
            Kept::Claim(folded, kind, unique_id) => Step::Claim(Claim { folded, kind, unique_id }),
            Kept::Write(about, kind) => Step::Write(about, kind),
        }
    }
}

impl Aside {
    /// Nothing yet. What does not fit into memory goes to files in `folder`.
    fn new(folder: &Path) -> Self {
        Aside { people: Spool::new(folder.to_owned()), names: Spool::new(folder.to_owned()), newcomers: true }
    }

    /// Puts a step, and the names of whoever it brings, where they belong.
    fn keep(&mut self, turn: Turn, step: &Kept) -> io::Result<()> {
        let (turn, by, spool) = match step {
            Kept::Bare(profile) | Kept::Change(profile) => (turn, &profile.person.unique_id, &mut self.people),
            Kept::Remove(unique_id) => (turn, unique_id, &mut self.people),
            Kept::Claim(folded, ..) => (Turn::Names, folded, &mut self.names),
            Kept::Write(about, _) => (Turn::Letters, about, &mut self.names),
        };
        let key = [&[turn as u8], by.as_bytes()].concat();
        spool.put(&key, |octets| postcard::to_io(step, octets).map(|_| ()).map_err(io::Error::other))?;
        match step {
            Kept::Bare(profile) => {
                for (folded, kind) in profile.names() {
                    self.keep(turn, &Kept::Claim(folded, kind, profile.person.unique_id.clone()))?;
                }
            }
            Kept::Change(_) | Kept::Remove(_) => self.newcomers = false,
            Kept::Claim(..) | Kept::Write(..) => {}
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.people.is_full() || self.names.is_full()
    }

    /// Moves what is in memory to files. It blocks.
    fn spill(mut self) -> io::Result<Self> {
        for spool in [&mut self.people, &mut self.names] {
            if spool.is_full() {
                spool.spill()?;
            }
        }
        Ok(self)
    }
}

fn start(mut aside: Aside) -> Running {
    let (steps, mut waiting) = mpsc::channel::<(Turn, Vec<Kept>)>(WAITING);
    let task = tokio::spawn(async move {
        while let Some((turn, steps)) = waiting.recv().await {
            for step in &steps {
                aside.keep(turn, step)?;
            }
            if aside.is_full() {
                aside = tokio::task::spawn_blocking(move || aside.spill()).await.map_err(io::Error::other)??;
            }
        }
        Ok(aside)
    });
    Running { steps, task }
}

#[cfg(test)]
mod tests;
