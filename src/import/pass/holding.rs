//! A pass that waits for an administrator, because too many people would leave.

use std::time::SystemTime;

use super::{Ask, ImportError, Importer, Outcome, plan_id};
use crate::import::held::{Leaving, Waiting};
use crate::import::mark::Pass;
use crate::users::letters::LetterKind;
use crate::users::roster::HeldPlan;

impl Importer {
    /// What is asked, with a plan that waits in mind: whoever leaves by it is met again only where it is read in the same
    /// way. A look shows what waits; a pass does what is approved, and one that reads only changes goes on beside it.
    pub(super) async fn asked(&self, ask: &Ask) -> Result<Ask, ImportError> {
        let plans = self.roster.held_plans().await?;
        let mut due = plans.iter().filter(|plan| plan.id == plan_id(ask) && (ask.dry_run || plan.approved.is_some()));
        let full = due.any(|plan| Waiting::read(&plan.summary).is_some_and(|waiting| waiting.full));
        Ok(Ask { full: ask.full || full, ..ask.clone() })
    }

    /// Forgets a plan that a pass which was not held has settled.
    pub(super) async fn settle_plan(&self, ask: &Ask, outcome: &Outcome) -> Result<(), ImportError> {
        let full = reads_everybody(outcome);
        for plan in self.roster.held_plans().await?.iter().filter(|plan| plan.id == plan_id(ask) && !ask.dry_run) {
            if Waiting::read(&plan.summary).is_none_or(|waiting| waiting.is_settled_by(full)) {
                self.roster.drop_plan(&plan.id).await?;
            }
        }
        Ok(())
    }

    /// Whether an administrator has approved that these people leave.
    pub(super) async fn is_approved(&self, ask: &Ask, leaving: &Leaving) -> Result<bool, ImportError> {
        let plans = self.roster.held_plans().await?;
        let approved = plans.iter().filter(|plan| plan.id == plan_id(ask) && plan.approved.is_some());
        Ok(approved.filter_map(|plan| Waiting::read(&plan.summary)).any(|waiting| leaving.is_within(&waiting)))
    }

    /// Keeps the plan until somebody approves; one that waits for the same people already stays as it is.
    pub(super) async fn hold(
        &self,
        ask: &Ask,
        now: SystemTime,
        reason: String,
        leaving: &Leaving,
        outcome: &Outcome,
    ) -> Result<(String, String), ImportError> {
        let id = plan_id(ask);
        if ask.dry_run {
            return Ok((reason, id));
        }
        let waiting = leaving.waiting(&outcome.counts, reads_everybody(outcome));
        let plans = self.roster.held_plans().await?;
        let known = plans.iter().filter(|plan| plan.id == id).filter_map(|plan| Waiting::read(&plan.summary));
        if !known.into_iter().any(|known| known.is_for_the_same(&waiting)) {
            let plan = HeldPlan {
                id: id.clone(),
                made: now,
                item: id.clone(),
                reason: reason.clone(),
                summary: waiting.write(),
                approved: None,
            };
            self.roster.hold_plan(&plan).await?;
            if self.mails {
                self.roster.write_letter(&plan.id, LetterKind::Held).await?;
            }
        }
        Ok((reason, id))
    }
}

fn reads_everybody(outcome: &Outcome) -> bool {
    outcome.passes.iter().all(|(_, pass)| matches!(pass, Pass::Full(_)))
}
