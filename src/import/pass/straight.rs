//! Newcomers on their way into an empty store, while the directory is still being read.
//!
//! Only into a database that several connections write at once, which keeps the tables' keys in memory meanwhile: there
//! people need not come in the order of their unique ids, so that nothing is kept aside and sorted, and reading hides
//! behind writing. Nobody leaves an empty store and nobody in it has a name, so that nothing can be held for an
//! approval and no step has to wait for another. What was written counts as little as ever before the import finishes.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ImportError;
use crate::users::profile::Profile;
use crate::users::roster::{Claim, Import, Step};
use crate::users::store::StoreResult;

/// Handfuls that may wait to be written.
const WAITING: usize = 2;

/// An import of newcomers that writes as they come.
pub(super) struct Straight {
    people: mpsc::Sender<Vec<Step>>,
    names: mpsc::Sender<Vec<Step>>,
    task: JoinHandle<(Box<dyn Import>, StoreResult<()>)>,
}

impl Drop for Straight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A handful of newcomers, their names and the mails about them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Handful {
    people: Vec<Step>,
    names: Vec<Step>,
}

impl Handful {
    /// Adds a step; one that is not about a newcomer comes back.
    pub(super) fn add(&mut self, step: Step) -> Result<(), Box<Step>> {
        match step {
            Step::Add(profile) | Step::Bare(profile) => {
                self.names.extend(claims(&profile));
                self.people.push(Step::Bare(profile));
            }
            Step::Claim(_) | Step::Write(..) => self.names.push(step),
            Step::Change(_) | Step::Remove(_) | Step::Token(_) => return Err(Box::new(step)),
        }
        Ok(())
    }
}

fn claims(profile: &Profile) -> impl Iterator<Item = Step> {
    let unique_id = &profile.person.unique_id;
    profile.names().into_iter().map(|(folded, kind)| Step::Claim(Claim { folded, kind, unique_id: unique_id.clone() }))
}

impl Straight {
    /// Begins to write.
    pub(super) fn start(mut import: Box<dyn Import>) -> Self {
        let (people, all_people) = mpsc::channel(WAITING);
        let (names, all_names) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            let staged = import.stage_newcomers(all_people, all_names).await;
            (import, staged)
        });
        Straight { people, names, task }
    }

    /// Hands people on; `false`: writing has ended, and [`Straight::end`] says why.
    pub(super) async fn take(&self, handful: Handful) -> bool {
        let sent = self.people.send(handful.people).await.is_ok();
        sent && (handful.names.is_empty() || self.names.send(handful.names).await.is_ok())
    }

    /// Waits until everybody is written.
    ///
    /// # Errors
    /// [`ImportError`]; what was written has been removed then, or is removed by the next import.
    pub(super) async fn end(mut self) -> Result<Box<dyn Import>, ImportError> {
        // Without senders writing comes to its end.
        (self.people, self.names) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let (import, staged) = (&mut self.task).await.map_err(|error| ImportError::Broken(error.to_string()))?;
        match staged {
            Ok(()) => Ok(import),
            Err(error) => {
                // What it leaves behind is removed by the next import, if this does not succeed.
                let _ = import.abandon().await;
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::letters::LetterKind;
    use crate::users::model::Person;
    use crate::users::profile::NameKind;

    #[test]
    fn a_handful_has_people_without_and_names_with_whose_they_are() {
        let mut handful = Handful::default();
        let profile = Profile::new(Person { upn: Some("Anna@corp.example".into()), ..Person::bare("3", "Anna") });
        handful.add(Step::Add(profile.clone())).unwrap();
        handful.add(Step::Write("3".into(), LetterKind::New)).unwrap();
        let claim = |folded: &str, kind| Step::Claim(Claim { folded: folded.into(), kind, unique_id: "3".into() });
        let names = vec![
            claim("anna", NameKind::Name),
            claim("anna@corp.example", NameKind::Upn),
            Step::Write("3".into(), LetterKind::New),
        ];
        assert_eq!(handful, Handful { people: vec![Step::Bare(profile.clone())], names });
        for step in [Step::Change(profile), Step::Remove("3".into())] {
            assert_eq!(handful.add(step.clone()), Err(Box::new(step)));
        }
    }
}
