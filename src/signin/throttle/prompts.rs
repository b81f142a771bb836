//! Prompts of one person: a rate, and the quiet after denials and after prompts that nobody answered. And the codes that
//! are typed, at a rate of their own: they ring no phone, so that no quiet holds them, and whoever bombs somebody with
//! prompts does not keep their code out.

use std::time::Instant;

use crate::config;
use crate::signin::outcome::Reason;

/// What is counted of one person's prompts.
#[derive(Debug, Clone)]
pub(super) struct Prompts {
    sent: u16,
    typed: u16,
    pub(super) since: Instant,
    /// What most people have none of: there is an entry for everybody who is asked, so it is small without.
    refusals: Option<Box<Refusals>>,
}

/// What came of prompts that were not approved.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals {
    pub(super) denials: u32,
    /// Prompts in a row that nobody answered.
    pub(super) unanswered: u32,
    /// Quiet since a denial, until then.
    pub(super) quiet_until: Option<Instant>,
    /// Quiet since prompts that nobody answered, until then.
    pub(super) patient_until: Option<Instant>,
    /// When they last reported fraud.
    pub(super) fraud: Option<Instant>,
}

impl Prompts {
    pub(super) fn none(now: Instant) -> Self {
        Prompts { sent: 0, typed: 0, since: now, refusals: None }
    }

    pub(super) fn is_over(&self, bounds: &config::Throttle, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= bounds.prompt_window
    }

    /// Counts a prompt, if there may be one.
    pub(super) fn one_more(&mut self, bounds: &config::Throttle, now: Instant) -> Result<(), Reason> {
        if self.is_quiet(now) {
            return Err(Reason::PromptLimited);
        }
        if self.is_over(bounds, now) {
            // Of what came of earlier ones only a report of fraud is remembered.
            let fraud = self.fraud().map(|at| Box::new(Refusals { fraud: Some(at), ..Refusals::default() }));
            *self = Prompts { refusals: fraud, ..Prompts::none(now) };
        }
        count(&mut self.sent, bounds)
    }

    /// The last one that was counted never left.
    pub(super) fn not_sent(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// Counts a typed code, if there may be one.
    pub(super) fn one_more_code(&mut self, bounds: &config::Throttle, now: Instant) -> Result<(), Reason> {
        if self.is_over(bounds, now) {
            // What is quiet stays so: that is about prompts.
            (self.sent, self.typed, self.since) = (0, 0, now);
        }
        count(&mut self.typed, bounds)
    }

    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let Some(refusals) = &self.refusals else { return false };
        [refusals.quiet_until, refusals.patient_until].into_iter().flatten().any(|until| now < until)
    }

    /// When they last reported fraud.
    pub(super) fn fraud(&self) -> Option<Instant> {
        self.refusals.as_ref()?.fraud
    }

    /// To note that a prompt was not approved.
    pub(super) fn refusals(&mut self) -> &mut Refusals {
        self.refusals.get_or_insert_default()
    }

    /// They approved: what was sent and not answered before counts no more.
    pub(super) fn approved(&mut self) {
        (self.sent, self.typed) = (0, 0);
        if let Some(refusals) = &mut self.refusals {
            (refusals.unanswered, refusals.patient_until) = (0, None);
        }
    }
}

fn count(counted: &mut u16, bounds: &config::Throttle) -> Result<(), Reason> {
    if u32::from(*counted) >= bounds.prompts_per_person.min(u16::MAX.into()) {
        return Err(Reason::PromptLimited);
    }
    *counted = counted.saturating_add(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<(u64, Prompts)>() <= 40);
    }
}
