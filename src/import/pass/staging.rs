//! The writing side of a pass: a task that stages steps while others are still being found.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Ask, ImportError, Importer, plan_id};
use crate::users::roster::{Import, ImportLock, Memory, Roster, Step};
use crate::users::store::{StoreError, StoreResult};

/// Steps that are staged together.
const TOGETHER: usize = 1000;
/// Handfuls of steps that may wait to be staged.
const WAITING: usize = 1;

/// Where steps go. Without the right to import, nowhere.
pub(super) struct Staging {
    roster: Arc<dyn Roster>,
    lock: Option<ImportLock>,
    by: String,
    steps: Vec<Step>,
    running: Option<Running>,
    wrote: bool,
}

struct Running {
    steps: mpsc::Sender<Vec<Step>>,
    task: JoinHandle<Ended>,
}

/// What the task ends with: the import, and whether everything was taken.
type Ended = (Box<dyn Import>, StoreResult<()>);

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
            running: None,
            wrote: false,
        }
    }

    /// Takes a step.
    pub(super) async fn take(&mut self, step: Step) -> Result<(), ImportError> {
        if self.lock.is_none() {
            return Ok(());
        }
        self.steps.push(step);
        if self.steps.len() >= TOGETHER { self.hand_on().await } else { Ok(()) }
    }

    async fn hand_on(&mut self) -> Result<(), ImportError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let running = match &mut self.running {
            Some(running) => running,
            none => {
                self.wrote = true;
                none.insert(start(self.roster.begin_import(lock, &self.by).await?))
            }
        };
        let steps = std::mem::take(&mut self.steps);
        if running.steps.send(steps).await.is_ok() {
            return Ok(());
        }
        // The task has ended early, and says why.
        let mut running = self.running.take();
        let ended = match &mut running {
            Some(running) => (&mut running.task).await,
            None => return Ok(()),
        };
        let (import, staged) = ended.map_err(|error| ImportError::Broken(error.to_string()))?;
        // What it leaves behind is removed by the next import, if this does not succeed.
        let _ = import.abandon().await;
        Err(staged.err().map_or(ImportError::Broken("the store stopped taking people".into()), ImportError::Store))
    }

    async fn staged(&mut self) -> Result<Option<Box<dyn Import>>, ImportError> {
        if !self.steps.is_empty() {
            self.hand_on().await?;
        }
        let Some(mut running) = self.running.take() else { return Ok(None) };
        // Without a sender the task comes to its end.
        running.steps = mpsc::channel(1).0;
        let ended = (&mut running.task).await;
        let (import, staged) = ended.map_err(|error| ImportError::Broken(error.to_string()))?;
        match staged {
            Ok(()) => Ok(Some(import)),
            Err(error) => {
                let _ = import.abandon().await;
                Err(ImportError::Store(error))
            }
        }
    }

    /// Makes all of it count, and `memory` with it.
    pub(super) async fn finish(&mut self, memory: &[Memory]) -> Result<(), ImportError> {
        let Some(lock) = self.lock.clone() else { return Ok(()) };
        match self.staged().await? {
            Some(import) => {
                import.finish(memory).await?;
            }
            None if memory.is_empty() => {}
            None => self.roster.remember_import(&lock, memory).await?,
        }
        Ok(())
    }

    /// The longest that others were kept from changing people; nothing where nothing was written.
    pub(super) fn longest_hold(&self) -> Duration {
        if self.wrote { self.roster.longest_hold() } else { Duration::ZERO }
    }

    /// Takes back what was staged.
    pub(super) async fn abandon(&mut self) -> Result<(), ImportError> {
        if let Some(import) = self.staged().await? {
            import.abandon().await?;
        }
        Ok(())
    }
}

fn start(mut import: Box<dyn Import>) -> Running {
    let (steps, mut waiting) = mpsc::channel::<Vec<Step>>(WAITING);
    let task = tokio::spawn(async move {
        while let Some(steps) = waiting.recv().await {
            let staged: Result<(), StoreError> = import.stage(steps).await;
            if staged.is_err() {
                return (import, staged);
            }
        }
        (import, Ok(()))
    });
    Running { steps, task }
}
