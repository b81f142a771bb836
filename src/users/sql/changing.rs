//! People whom an import changes or takes away: a new version is born in its generation, and the one that counts ends
//! with it.
//!
//! ```text
//! nothing staged, names stay ─▶ together: one read, one end, one insertion of all of them
//! else                       ─▶ one by one, as many as there is time for
//! ```

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use crate::users::changes::differences;
use crate::users::profile::{Profile, Stamp};
use crate::users::sql::driver::Change;
use crate::users::sql::people::{PEOPLE, Version, drop_names, name_rows, read_version, update, version_row, versions};
use crate::users::sql::staging::Staging;
use crate::users::sql::text;
use crate::users::sql::value::{built, fixed, list};
use crate::users::store::{StoreError, StoreResult};

/// What a step has changed: one word, and the person before and after.
pub(super) type Told = (&'static str, Profile, Option<Profile>);

/// What is told of a change; nothing where nobody would see a difference.
fn shown(before: Profile, after: Profile) -> Option<Told> {
    let differs = !differences(Some(&before), Some(&after)).is_empty();
    differs.then_some(("changed", before, Some(after)))
}

impl Staging {
    fn stamp(&self) -> Stamp {
        Stamp { time: SystemTime::now(), by: self.by.to_string() }
    }

    /// Changes people: those of whom nothing is staged and whose names stay together, then the others in their order. Those
    /// for whom the transaction, which began then, has no time any more come back.
    pub(super) async fn change_all(
        &mut self,
        change: &mut dyn Change,
        wanted: Vec<Profile>,
        began: Instant,
    ) -> StoreResult<(Vec<Told>, Vec<Profile>)> {
        let ids: Vec<String> = wanted.iter().map(|profile| profile.person.unique_id.clone()).collect();
        let mut found = if ids.len() > 1 { self.counting(change, &ids).await? } else { HashMap::new() };
        let stamp = self.stamp();
        let (mut together, mut others) = (Vec::new(), Vec::new());
        for wanted in wanted {
            // Whoever comes a second time finds nobody here, and what the first time has staged there.
            let Some(now) = found.remove(&wanted.person.unique_id) else {
                others.push(wanted);
                continue;
            };
            let kept = Profile { changed: now.changed.clone(), ..wanted.clone().imported_over(&now) };
            if kept == now {
                continue;
            }
            if kept.names() == now.names() {
                together.push((now, Profile { changed: stamp.clone(), ..kept }));
            } else {
                others.push(wanted);
            }
        }
        let mut is_late = !together.is_empty() && self.pace.is_over(began);
        let mut told = self.replace(change, together).await?;
        let mut others = others.into_iter();
        while !is_late && let Some(wanted) = others.next() {
            told.extend(self.change(change, wanted).await?);
            is_late = self.pace.is_over(began);
        }
        Ok((told, others.collect()))
    }

    /// What counts of those of these people of whom nothing is staged.
    async fn counting(&self, change: &mut dyn Change, ids: &[String]) -> StoreResult<HashMap<String, Profile>> {
        let sql = built(format!("{}{}", text::LATEST_OF, self.dialect().listed(1)));
        let mut found = HashMap::new();
        for mut row in change.rows(sql, vec![list(ids)]).await? {
            let Version { profile, born, .. } = read_version(&mut row)?;
            if born <= self.current {
                found.insert(profile.person.unique_id.clone(), profile);
            }
        }
        Ok(found)
    }

    /// Ends the versions that count and brings the ones after them.
    async fn replace(&mut self, change: &mut dyn Change, people: Vec<(Profile, Profile)>) -> StoreResult<Vec<Told>> {
        if people.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = people.iter().map(|(before, _)| before.person.unique_id.clone()).collect();
        let sql = built(format!("{}{}", text::END_PEOPLE, self.dialect().listed(2)));
        change.run(sql, vec![self.generation.into(), list(&ids)]).await?;
        let rows = people.iter().map(|(_, after)| version_row(after, self.generation)).collect();
        let inserted = PEOPLE.run(change, self.dialect(), rows).await?;
        if usize::try_from(inserted) != Ok(people.len()) {
            return Err(StoreError::Unavailable("not everybody who changes could be written".into()));
        }
        self.done.changed += inserted;
        Ok(people.into_iter().filter_map(|(before, after)| shown(before, after)).collect())
    }

    /// Changes one person, in whatever state the import has left them so far.
    pub(super) async fn change(&mut self, change: &mut dyn Change, wanted: Profile) -> StoreResult<Option<Told>> {
        let unique_id = wanted.person.unique_id.clone();
        let found = versions(change, &unique_id, self.current).await?;
        let Some(now) = found.now else {
            if found.staged.is_none() {
                self.add_one(change, wanted).await?;
            }
            return Ok(None);
        };
        let after = Profile { changed: now.profile.changed.clone(), ..wanted.imported_over(&now.profile) };
        if found.staged.is_none() && after == now.profile {
            return Ok(None);
        }
        let after = Profile { changed: self.stamp(), ..after };
        let renamed = after.names() != found.staged.as_ref().map_or_else(|| now.profile.names(), |v| v.profile.names());
        let before = [Some(&now.profile), found.staged.as_ref().map(|staged| &staged.profile)];
        if renamed {
            drop_names(change, self.dialect(), &unique_id, before.into_iter().flatten()).await?;
        }
        match &found.staged {
            Some(staged) => update(change, &after, staged.born).await?,
            None => {
                change.run(fixed(text::END_PERSON), vec![unique_id.as_str().into(), self.generation.into()]).await?;
                PEOPLE.run(change, self.dialect(), vec![version_row(&after, self.generation)]).await?;
            }
        }
        if renamed {
            let later = Some((Some(&after), self.generation));
            let current = self.current;
            self.claim(change, &name_rows(&unique_id, Some(&now.profile), current, later)).await?;
        }
        if found.staged.is_none() {
            self.done.changed += 1;
        }
        Ok(shown(now.profile, after))
    }

    async fn add_one(&mut self, change: &mut dyn Change, wanted: Profile) -> StoreResult<()> {
        self.add(change, vec![wanted], true).await.map(|_| ())
    }

    /// Takes a person away.
    pub(super) async fn remove(&mut self, change: &mut dyn Change, unique_id: &str) -> StoreResult<Option<Told>> {
        let found = versions(change, unique_id, self.current).await?;
        let Some(Version { profile, .. }) = found.now else { return Ok(None) };
        let staged = found.staged.map(|staged| staged.profile);
        let all = [Some(&profile), staged.as_ref()].into_iter().flatten();
        drop_names(change, self.dialect(), unique_id, all).await?;
        change.run(fixed(text::UNSTAGE_PERSON), vec![unique_id.into(), self.current.into()]).await?;
        change.run(fixed(text::END_PERSON), vec![unique_id.into(), self.generation.into()]).await?;
        let (current, later) = (self.current, Some((None, self.generation)));
        self.claim(change, &name_rows(unique_id, Some(&profile), current, later)).await?;
        self.done.removed += 1;
        Ok(Some(("removed", profile, None)))
    }
}
