//! The middle of a pass: tells who is new, who has changed and who is gone, and decides what becomes of them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use super::gathering::{Extent, Gathered, Scopes};
use super::staging::Staging;
use super::{Event, ImportError, Importer, Selection, Watch};
use crate::config::import::{DisabledAccounts, Import, Leavers};
use crate::import::entry::Candidate;
use crate::import::held::Leaving;
use crate::import::known::{Hashes, Known, Marks, Met};
use crate::import::plan::{self, Conflict, Counts, Decision, Names, Skipped};
use crate::import::progress::Progress;
use crate::ldap::pool::Batch;
use crate::mail::rule;
use crate::users::profile::Profile;
use crate::users::roster::{Roster, Step};

mod leavers;

/// People whom the store is asked about at once.
const TOGETHER: usize = 500;
/// People of one page of the store.
const PAGE: u32 = 2_000;
/// Conflicts that are kept for the outcome; all of them are counted and shown to whoever watches.
const KEPT_CONFLICTS: usize = 100;

/// Somebody who is to be decided on.
struct Pending {
    item: usize,
    candidate: Candidate,
    content: i64,
    is_known: bool,
}

/// Tells people apart.
pub(super) struct Sieve<'a> {
    roster: Arc<dyn Roster>,
    import: Arc<Import>,
    selection: Arc<Selection>,
    hashes: Hashes,
    known: Known,
    /// Whether anybody was in the store when the pass began: else no name is taken.
    store_is_empty: bool,
    /// Whether how many people there will be is best known by the directory: nobody came before, and one item is read.
    believes_the_directory: bool,
    strangers: Marks,
    names: Names,
    pending: Vec<Pending>,
    counts: Counts,
    conflicts: Vec<Conflict>,
    leaving: Leaving,
    mails: bool,
    watch: Watch<'a>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(importer: &Importer, selection: &Arc<Selection>, watch: Watch<'a>) -> Self {
        Sieve {
            roster: Arc::clone(&importer.roster),
            import: Arc::clone(&importer.import),
            selection: Arc::clone(selection),
            hashes: Hashes::default(),
            known: Known::default(),
            store_is_empty: false,
            believes_the_directory: false,
            strangers: Marks::default(),
            names: Names::default(),
            pending: Vec::new(),
            counts: Counts::default(),
            conflicts: Vec::new(),
            leaving: Leaving::default(),
            mails: importer.mails,
            watch,
        }
    }

    /// Learns who is in the store: everybody, or only those whom the pass is about.
    pub(super) async fn learn(&mut self, scopes: &Scopes, progress: &Progress) -> Result<(), ImportError> {
        if scopes.any_full() {
            let (roster, known, hashes) = (&self.roster, &mut self.known, &self.hashes);
            let items = &self.selection.names;
            roster.every_state(&mut |state| known.add(hashes, &state, items)).await?;
            self.store_is_empty = self.known.is_empty();
            let known = self.all(scopes);
            progress.expect(u64::try_from(known).unwrap_or_default());
            let full = scopes.items.iter().filter(|extent| **extent == Extent::Full).count();
            self.believes_the_directory = known == 0 && full == 1;
        } else {
            for ids in scopes.changed.chunks(TOGETHER) {
                let states = self.roster.states_of(ids).await?;
                states.iter().for_each(|state| self.known.add(&self.hashes, state, &self.selection.names));
            }
            progress.expect(u64::try_from(scopes.changed.len()).unwrap_or_default());
        }
        self.known.seal();
        Ok(())
    }

    /// Whether it is not known how many people there will be: nobody came before from what is read in full.
    pub(super) fn is_first(&self, scopes: &Scopes) -> bool {
        scopes.any_full() && self.all(scopes) == 0
    }

    /// Whether nobody was in the store when the pass began.
    pub(super) fn store_is_empty(&self) -> bool {
        self.store_is_empty
    }

    /// Looks at everybody who comes.
    pub(super) async fn sift(
        &mut self,
        mut batches: Receiver<Batch>,
        staging: &mut Staging,
        progress: &Progress,
    ) -> Result<(), ImportError> {
        let selection = Arc::clone(&self.selection);
        let mut id = String::new();
        while let Some(batch) = batches.recv().await {
            let Some(Some(reading)) = selection.readings.get(batch.tag) else { continue };
            progress.add(u64::try_from(batch.len()).unwrap_or_default());
            if self.believes_the_directory && batch.estimate > 0 {
                progress.expect(u64::from(batch.estimate));
            }
            for entry in batch.entries() {
                let (entry, octets) = entry
                    .map_err(|error| ImportError::Broken(format!("the directory's answer is malformed: {error}")))?;
                self.counts.read += 1;
                if let Err(unfit) = reading.unique_id(&entry, &mut id) {
                    self.skip(entry.dn, Skipped::Unfit(unfit));
                    continue;
                }
                let content = reading.content(octets);
                let met = match self.known.meet(&self.hashes, &id, content) {
                    Met::Stranger if !self.strangers.insert(self.hashes.narrow(&id)) => Met::Again,
                    met => met,
                };
                match met {
                    Met::Unchanged => self.counts.unchanged += 1,
                    Met::Again => self.counts.again += 1,
                    Met::Changed | Met::Stranger => match reading.candidate(&entry) {
                        Ok(candidate) => {
                            let is_known = met == Met::Changed;
                            self.pending.push(Pending { item: batch.tag, candidate, content, is_known });
                        }
                        Err(unfit) => self.skip(entry.dn, Skipped::Unfit(unfit)),
                    },
                }
            }
            if self.pending.len() >= TOGETHER {
                self.decide(staging).await?;
            }
        }
        self.decide(staging).await
    }

    fn skip(&mut self, who: &str, why: Skipped) {
        self.counts.skipped += 1;
        (self.watch)(&Event::Skipped(who, why));
    }

    fn conflict(&mut self, conflict: Conflict) {
        self.counts.conflicts += 1;
        (self.watch)(&Event::Conflict(&conflict));
        if self.conflicts.len() < KEPT_CONFLICTS {
            self.conflicts.push(conflict);
        }
    }

    /// Decides on those who wait for it.
    async fn decide(&mut self, staging: &mut Staging) -> Result<(), ImportError> {
        let pending = std::mem::take(&mut self.pending);
        let ids: Vec<String> = pending
            .iter()
            .filter(|one| one.is_known)
            .map(|one| one.candidate.profile.person.unique_id.clone())
            .collect();
        let mut existing = existing(&self.roster, &ids).await?;
        let mut decisions = Vec::with_capacity(pending.len());
        for Pending { item: place, candidate, content, .. } in pending {
            let Some(item) = self.import.items.get(place) else { continue };
            let before = existing.remove(&candidate.profile.person.unique_id);
            if let Some(earlier) = before.as_ref().and_then(|before| before.item.as_ref())
                && self.comes_before(earlier, place)
            {
                self.skip(&candidate.profile.person.name, Skipped::EarlierItem);
                continue;
            }
            let (id, name) = (candidate.profile.person.unique_id.clone(), candidate.profile.person.name.clone());
            match plan::decide(item, candidate, content, before) {
                Decision::Skip(why) => {
                    if why == Skipped::AccountDisabled && item.disabled_accounts == DisabledAccounts::Skip {
                        // As if the directory had not shown them: whoever was in the store has left.
                        self.known.mark(&self.hashes, &id, false);
                    }
                    self.skip(&name, why);
                }
                decision => decisions.push(decision),
            }
        }
        self.admit(decisions, staging).await
    }

    /// Whether an item that this run does not read comes before the one at `place`.
    fn comes_before(&self, earlier: &str, place: usize) -> bool {
        let readings = self.selection.names.iter().zip(&self.selection.readings).take(place);
        readings.into_iter().any(|(name, reading)| name == earlier && reading.is_none())
    }

    /// Keeps names apart, and stages what may be.
    async fn admit(&mut self, decisions: Vec<Decision>, staging: &mut Staging) -> Result<(), ImportError> {
        let mut holders = HashMap::new();
        if !self.store_is_empty {
            let claims: Vec<String> = decisions.iter().flat_map(Decision::claims).collect();
            for claims in claims.chunks(TOGETHER) {
                holders.extend(self.roster.claims(claims).await?);
            }
        }
        for decision in decisions {
            match self.names.admit(&self.hashes, decision, &holders) {
                Ok(Some(decision)) => self.carry_out(decision, staging).await?,
                Ok(None) => {}
                Err(conflict) => self.conflict(conflict),
            }
        }
        Ok(())
    }

    async fn carry_out(&mut self, decision: Decision, staging: &mut Staging) -> Result<(), ImportError> {
        match &decision {
            Decision::Add(_) => self.counts.added += 1,
            Decision::Touch(_) => self.counts.unchanged += 1,
            Decision::Keep => {
                self.counts.unchanged += 1;
                return Ok(());
            }
            Decision::Skip(_) => return Ok(()),
            Decision::Change(change) => {
                if change.disables {
                    self.leaving.add(&change.before.person.unique_id, &change.before.person.name);
                }
                match (change.after.quarantined.is_some(), change.disables) {
                    (true, _) => self.counts.quarantined += 1,
                    (false, true) => self.counts.disabled += 1,
                    (false, false) => self.counts.changed += 1,
                }
            }
        }
        (self.watch)(&Event::Decided(&decision));
        let letter = self.letter(&decision);
        let step = match decision {
            Decision::Add(profile) => Step::Add(*profile),
            Decision::Touch(profile) => Step::Change(*profile),
            Decision::Change(change) => Step::Change(change.after),
            Decision::Keep | Decision::Skip(_) => return Ok(()),
        };
        staging.take(step).await?;
        let Some(letter) = letter else { return Ok(()) };
        self.counts.mails += 1;
        staging.take(letter).await
    }

    /// The mail that the person's item asks for.
    fn letter(&self, decision: &Decision) -> Option<Step> {
        let profile = decision.profile().filter(|_| self.mails)?;
        let item = self.import.items.iter().find(|item| Some(&item.name) == profile.item.as_ref())?;
        let kind = rule::letter(item.mail, decision)?;
        Some(Step::Write(profile.person.unique_id.clone(), kind))
    }

    /// An item that had people and finds none is not believed.
    pub(super) fn check_empty(&self, gathered: &Gathered, scopes: &Scopes, allowed: bool) -> Result<(), ImportError> {
        for (place, item) in self.import.items.iter().enumerate() {
            if scopes.items.get(place) != Some(&Extent::Full) || gathered.entries(place) != Some(0) || allowed {
                continue;
            }
            let (had, _) = self.known.of_item(place);
            if had > 0 && item.leavers != Leavers::Keep {
                return Err(ImportError::Empty { item: item.name.clone(), had });
            }
        }
        Ok(())
    }

    /// Those who would be disabled or removed.
    pub(super) fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }

    /// In numbers.
    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// The first conflicts.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        self.conflicts.clone()
    }

    /// How many people the items that are read had brought.
    pub(super) fn all(&self, scopes: &Scopes) -> usize {
        let read = |place: &usize| scopes.items.get(*place).is_some_and(|extent| *extent != Extent::NotRead);
        (0..self.import.items.len()).filter(read).map(|place| self.known.of_item(place).0).sum()
    }
}

/// The profiles of those of these people who are in the store.
async fn existing(roster: &Arc<dyn Roster>, unique_ids: &[String]) -> Result<HashMap<String, Profile>, ImportError> {
    let mut existing = HashMap::new();
    for ids in unique_ids.chunks(TOGETHER) {
        let profiles = roster.profiles_of(ids).await?;
        existing.extend(profiles.into_iter().map(|profile| (profile.person.unique_id.clone(), profile)));
    }
    Ok(existing)
}
