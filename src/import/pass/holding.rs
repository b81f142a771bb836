//! A pass that waits for an administrator, because too many people would leave.

use std::time::SystemTime;

use super::{Ask, ImportError, Importer, plan_id};
use crate::import::held::{Leaving, Waiting};
use crate::import::plan::Counts;
use crate::users::letters::LetterKind;
use crate::users::roster::HeldPlan;

impl Importer {
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
        counts: &Counts,
    ) -> Result<(String, String), ImportError> {
        let id = plan_id(ask);
        if ask.dry_run {
            return Ok((reason, id));
        }
        let waiting = leaving.waiting(counts);
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
