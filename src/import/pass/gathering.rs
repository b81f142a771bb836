//! The reading side of a pass: what kind of pass each directory gets, then all items in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::Sender;

use super::{Ask, ImportError, Importer, Place, Selection};
use crate::config::import::{Import, Incremental};
use crate::import::changes::{self, Changed};
use crate::import::entry::Reading;
use crate::import::mark::{Mark, Pass, ServerFacts, Why, next_pass, seconds};
use crate::import::reader::{ReadError, Source, Told};
use crate::import::scope;
use crate::ldap::pool::Batch;
use crate::users::roster::Memory;

/// What a pass does with one directory.
struct Plan {
    target: String,
    source: Source,
    pass: Pass,
    /// The people to read; `None`: all.
    only: Option<Vec<String>>,
    mark: Mark,
}

/// What a pass does with each directory.
pub(super) struct Plans {
    plans: Vec<Plan>,
    places: BTreeMap<String, Place>,
    patience: Duration,
    page: u32,
}

/// How much of an item a pass reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Nothing.
    NotRead,
    /// Everybody.
    Full,
    /// Some people by their unique ids.
    Changes,
}

/// How much of everything a pass reads.
#[derive(Debug)]
pub(super) struct Scopes {
    /// Each configured item.
    pub(super) items: Vec<Extent>,
    /// Unique ids, sorted, of the people who are looked at where not everybody is.
    pub(super) changed: Vec<String>,
}

impl Scopes {
    /// Whether any item is read in full.
    pub(super) fn any_full(&self) -> bool {
        self.items.contains(&Extent::Full)
    }
}

impl Plans {
    /// Asks each directory what there is to be done.
    pub(super) async fn make(
        importer: &Importer,
        ask: &Ask,
        selection: &Selection,
        now: SystemTime,
    ) -> Result<Plans, ImportError> {
        let import = &importer.import;
        let mut plans =
            Plans { plans: Vec::new(), places: importer.places.clone(), patience: import.patience, page: import.page };
        for reading in selection.readings.iter().flatten() {
            let target = &reading.item().target;
            if plans.plans.iter().any(|plan| plan.target == *target) {
                continue;
            }
            let readings: Vec<&Reading> =
                selection.readings.iter().flatten().filter(|other| other.item().target == *target).collect();
            let plan = plans.plan(importer, ask, target, &readings, selection.whole, now).await?;
            plans.plans.push(plan);
        }
        Ok(plans)
    }

    async fn plan(
        &self,
        importer: &Importer,
        ask: &Ask,
        target: &str,
        readings: &[&Reading],
        whole: bool,
        now: SystemTime,
    ) -> Result<Plan, ImportError> {
        let import = &importer.import;
        let settings = importer.settings(target);
        let last = importer.roster.import_memory(&memory_key(target)).await?.and_then(|octets| Mark::read(&octets));
        let Some(&first) = readings.first() else { return Err(ImportError::NoItem(target.to_owned())) };
        let mut source = self.open(target, last.as_ref()).await?;
        let facts = changes::facts(&mut source, first.item().preset).await?;
        let mut pass = next_pass(import, last.as_ref(), &facts, &settings, ask.full || !whole, now);
        let full = last.as_ref().map(|last| last.full);
        let remembers = whole && import.incremental != Incremental::Never;
        let groups = if remembers { changes::groups(&mut source, readings).await? } else { None };
        if let (Pass::Changes(_), Some(last)) = (&pass, &last)
            && last.groups != groups
        {
            pass = Pass::Full(Why::Structure);
        }
        if let Pass::Changes(position) = &pass {
            match changes::since(&mut source, import, readings, &facts, position, now).await? {
                Changed::People { unique_ids, position } => {
                    let mark = Mark { position: Some(position), groups, ..mark(&facts, settings, now, full) };
                    return Ok(Plan { target: target.to_owned(), source, pass, only: Some(unique_ids), mark });
                }
                Changed::TooMuch(why) => pass = Pass::Full(why),
            }
        }
        let mut mark = Mark { groups, ..mark(&facts, settings, now, None) };
        if whole && !ask.dry_run {
            let previous = last.filter(|last| last.server == facts.server && last.invocation == facts.invocation);
            let previous = previous.and_then(|last| last.position).filter(|_| pass != Pass::Full(Why::Refused));
            mark.position = changes::begin(&mut source, import, first, &facts, previous.as_ref(), now).await?;
        }
        Ok(Plan { target: target.to_owned(), source, pass, only: None, mark })
    }

    async fn open(&self, target: &str, last: Option<&Mark>) -> Result<Source, ReadError> {
        let Some(place) = self.places.get(target) else {
            return Err(ReadError::Unusable(format!("there is no [target.{target}]")));
        };
        let preferred = last.map(|last| last.server.as_str());
        Source::open(Arc::clone(&place.directory), &place.base, preferred, self.patience, self.page).await
    }

    /// For the outcome.
    pub(super) fn passes(&self) -> Vec<(String, Pass)> {
        self.plans.iter().map(|plan| (plan.target.clone(), plan.pass.clone())).collect()
    }

    /// What is to be remembered once the pass counts.
    pub(super) fn marks(&self) -> Vec<Memory> {
        self.plans.iter().map(|plan| remembered(&plan.target, &plan.mark)).collect()
    }

    /// How much of each configured item is read.
    pub(super) fn scopes(&self, selection: &Selection) -> Scopes {
        let extent = |reading: &Option<Reading>| {
            let target = reading.as_ref().map(|reading| &reading.item().target);
            let plan = self.plans.iter().find(|plan| Some(&plan.target) == target);
            match plan.map(|plan| &plan.only) {
                None => Extent::NotRead,
                Some(None) => Extent::Full,
                Some(Some(_)) => Extent::Changes,
            }
        };
        let changed = self.plans.iter().filter_map(|plan| plan.only.as_ref()).flatten().cloned();
        let mut changed: Vec<String> = changed.collect();
        changed.sort_unstable();
        Scopes { items: selection.readings.iter().map(extent).collect(), changed }
    }

    /// Reads the members of a group who are in other directories than the group.
    async fn elsewhere(
        &mut self,
        reading: &Reading,
        tag: usize,
        told: &mut Told,
        sink: &Sender<Batch>,
    ) -> Result<(), ReadError> {
        let dns = std::mem::take(&mut told.elsewhere);
        let mut by_target: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for dn in dns {
            // The longest base that covers it: a child domain lies below its parent's.
            let covering = self.places.iter().filter(|(_, place)| scope::is_within(&dn, &place.base));
            match covering.max_by_key(|(_, place)| place.base.len()) {
                Some((target, _)) => by_target.entry(target.clone()).or_default().push(dn),
                None => told.elsewhere.push(dn),
            }
        }
        for (target, dns) in by_target {
            let place = self.plans.iter().position(|plan| plan.target == target);
            if let Some(plan) = place.and_then(|place| self.plans.get_mut(place)) {
                plan.source.read_dns(reading, &dns, tag, sink, told).await?;
            } else {
                self.open(&target, None).await?.read_dns(reading, &dns, tag, sink, told).await?;
            }
        }
        Ok(())
    }
}

/// What the directories told.
#[derive(Debug)]
pub(super) struct Gathered {
    /// By the places of the items in the configuration.
    told: Vec<Option<Told>>,
}

impl Gathered {
    /// Entries that an item found; `None`: it was not read in full.
    pub(super) fn entries(&self, item: usize) -> Option<u64> {
        self.told.get(item).and_then(Option::as_ref).map(|told| told.entries)
    }

    /// What an administrator should know.
    pub(super) fn warnings(&self, import: &Import) -> Vec<String> {
        let told = import.items.iter().zip(&self.told).filter_map(|(item, told)| Some((item, told.as_ref()?)));
        told.flat_map(|(item, told)| {
            let elsewhere = told.elsewhere.first().map(|first| {
                format!(
                    "item {:?}: {} members are in no configured directory and were not read, such as {first}; \
                     a [target] whose base covers them would",
                    item.name,
                    told.elsewhere.len()
                )
            });
            let nobody = (!told.nobody.is_empty()).then(|| {
                format!(
                    "item {:?}: the directory has nobody called {}; check the spelling, and what the item's filter leaves out",
                    item.name,
                    told.nobody.join(", ")
                )
            });
            elsewhere.into_iter().chain(nobody)
        })
        .collect()
    }
}

/// Reads all items in order. The end of the channel is not the end of the answer: only an `Ok` is.
pub(super) async fn gather(
    mut plans: Plans,
    selection: Arc<Selection>,
    sink: Sender<Batch>,
) -> Result<Gathered, ImportError> {
    let mut told = Vec::new();
    for (tag, reading) in selection.readings.iter().enumerate() {
        let target = reading.as_ref().map(|reading| &reading.item().target);
        let place = plans.plans.iter().position(|plan| Some(&plan.target) == target);
        let (Some(reading), Some(plan)) = (reading, place.and_then(|place| plans.plans.get_mut(place))) else {
            told.push(None);
            continue;
        };
        if plan.only.as_ref().is_some_and(Vec::is_empty) {
            told.push(None);
            continue;
        }
        let mut one = plan.source.read(reading, tag, plan.only.as_deref(), &sink).await?;
        plans.elsewhere(reading, tag, &mut one, &sink).await?;
        told.push(Some(one));
    }
    Ok(Gathered { told })
}

/// What is remembered of a directory after a pass.
fn remembered(target: &str, mark: &Mark) -> Memory {
    (memory_key(target), Some(mark.write()))
}

/// Where a directory's mark is kept.
fn memory_key(target: &str) -> String {
    format!("mark:{target}")
}

/// A mark for a pass that began at `now`; `full` is when the last full pass began.
fn mark(facts: &ServerFacts, settings: String, now: SystemTime, full: Option<u64>) -> Mark {
    Mark {
        server: facts.server.clone(),
        invocation: facts.invocation.clone(),
        position: None,
        settings,
        full: full.unwrap_or(seconds(now)),
        groups: None,
    }
}

/// A task that does not outlive who waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    pub(super) async fn end<V>(mut self) -> Result<V, ImportError>
    where
        T: Into<Result<V, ImportError>>,
    {
        match (&mut self.0).await {
            Ok(ended) => ended.into(),
            Err(error) => Err(ImportError::Broken(format!("a part of the import failed: {error}"))),
        }
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
