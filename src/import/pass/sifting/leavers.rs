//! The end of the middle: those who were not met, those who waited for a name, and those whose quarantine is over.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::super::gathering::{Extent, Scopes};
use super::super::staging::Staging;
use super::super::{Event, ImportError};
use super::{PAGE, Sieve, TOGETHER, existing};
use crate::config::import::Leavers;
use crate::import::known::{LEFT, STATES};
use crate::import::plan;
use crate::users::profile::{Field, Fields};
use crate::users::roster::{State, Step};

/// People whose quarantine is over who are erased in one pass; the next takes the others.
const ERASED_AT_ONCE: u32 = 10_000;

impl Sieve<'_> {
    /// Decides on those who were not met, and on those who waited for a name.
    pub(in super::super) async fn settle(
        &mut self,
        scopes: &Scopes,
        now: SystemTime,
        staging: &mut Staging,
    ) -> Result<(), ImportError> {
        let mut wanted: HashSet<String> = self.names.wanted_of().into_iter().collect();
        if scopes.any_full() && self.somebody_is_missing(scopes) {
            let mut after = String::new();
            loop {
                let page = self.roster.states(&after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.unique_id);
                self.leave(&page, &mut wanted, scopes, now, staging).await?;
            }
        } else {
            for ids in scopes.changed.chunks(TOGETHER) {
                let states = self.roster.states_of(ids).await?;
                self.leave(&states, &mut wanted, scopes, now, staging).await?;
            }
        }
        self.vacate(wanted, staging).await?;
        let (decisions, conflicts) = self.names.settle(&self.hashes);
        staging.turn_late().await?;
        for decision in decisions {
            self.carry_out(decision, staging).await?;
        }
        conflicts.into_iter().for_each(|conflict| self.conflict(conflict));
        Ok(())
    }

    fn somebody_is_missing(&self, scopes: &Scopes) -> bool {
        let read = |place: &usize| scopes.items.get(*place) == Some(&Extent::Full);
        (0..self.import.items.len()).filter(read).any(|place| {
            let (all, seen) = self.known.of_item(place);
            all != seen
        }) || !scopes.changed.is_empty()
    }

    /// What becomes of those among `states` who were not met. Whoever leaves gives up the names that newcomers want;
    /// `wanted` are those who have them and are not decided on.
    async fn leave(
        &mut self,
        states: &[State],
        wanted: &mut HashSet<String>,
        scopes: &Scopes,
        now: SystemTime,
        staging: &mut Staging,
    ) -> Result<(), ImportError> {
        let mut missing: Vec<(String, Leavers)> = Vec::new();
        for state in states {
            let Some(standing) = self.known.find(&self.hashes, &state.unique_id) else { continue };
            let Some(place) = standing.item.filter(|_| !standing.seen) else { continue };
            let is_asked = match scopes.items.get(place) {
                Some(Extent::Full) => true,
                Some(Extent::Changes) => scopes.changed.binary_search(&state.unique_id).is_ok(),
                _ => false,
            };
            if let Some(item) = self.import.items.get(place).filter(|_| is_asked) {
                missing.push((state.unique_id.clone(), item.leavers));
            }
        }
        for missing in missing.chunks(TOGETHER) {
            let ids: Vec<String> = missing.iter().map(|(id, _)| id.clone()).collect();
            let mut existing = existing(&self.roster, &ids).await?;
            for (id, rule) in missing {
                let Some(before) = existing.remove(id) else { continue };
                let names = Some(&before).filter(|before| wanted.contains(id) && !keeps_names(before.local)).cloned();
                let mut decision = plan::leave(*rule, before, now);
                if let Some(after) = decision.profile() {
                    wanted.remove(id);
                    if let Some(before) = names {
                        decision = plan::vacate(before, after.clone());
                        self.names.free(&self.hashes, &decision);
                    }
                    self.carry_out(decision, staging).await?;
                }
            }
        }
        Ok(())
    }

    /// Frees the names of those among `wanted` who have left before, for newcomers who bear them.
    async fn vacate(&mut self, wanted: HashSet<String>, staging: &mut Staging) -> Result<(), ImportError> {
        let holders: Vec<String> = wanted.into_iter().collect();
        let states = self.roster.states_of(&holders).await?;
        let gone: Vec<String> = states
            .into_iter()
            .filter(|state| {
                let standing = self.known.find(&self.hashes, &state.unique_id);
                let left = state.quarantined.is_some() || state.content & STATES == LEFT;
                left && !state.enabled && !keeps_names(state.local) && standing.is_none_or(|standing| !standing.seen)
            })
            .map(|state| state.unique_id)
            .collect();
        for (_, before) in existing(&self.roster, &gone).await? {
            let decision = plan::vacate(before.clone(), before);
            self.names.free(&self.hashes, &decision);
            self.carry_out(decision, staging).await?;
        }
        Ok(())
    }

    /// Erases those whose quarantine is over.
    pub(in super::super) async fn erase(
        &mut self,
        quarantine: Duration,
        now: SystemTime,
        staging: &mut Staging,
    ) -> Result<(), ImportError> {
        let Some(before) = now.checked_sub(quarantine) else { return Ok(()) };
        for id in self.roster.quarantined(before, ERASED_AT_ONCE).await? {
            if self.known.find(&self.hashes, &id).is_some_and(|standing| standing.seen) {
                continue;
            }
            self.counts.erased += 1;
            (self.watch)(&Event::Erased(&id));
            staging.take(Step::Remove(id)).await?;
        }
        Ok(())
    }
}

/// Whether somebody's names were set here: then nobody else gets them.
fn keeps_names(local: Fields) -> bool {
    [Field::Name, Field::Upn, Field::Aliases].into_iter().any(|field| local.contains(field))
}
