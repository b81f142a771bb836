//! What is counted against the person: wrong passwords and prompts, at this node and, where nodes share a database, at all.

use std::time::{Duration, SystemTime};

use crate::primary::Identity;
use crate::signin::attempt::Attempt;
use crate::signin::nodes;
use crate::signin::outcome::Reason;
use crate::signin::pending::lock;
use crate::signin::reception::now;
use crate::signin::ruling;
use crate::signin::together;

use super::{Walk, shown};

impl Walk<'_> {
    /// Whether a password would be tried.
    pub(super) async fn throttle(&mut self, attempt: &Attempt, who: &Identity) -> Result<(), Reason> {
        let (sign_ins, source, place) = (self.sign_ins, attempt.person_address, ruling::person_address(attempt));
        lock(&sign_ins.throttle)
            .would_admit(&who.unique_id, source, place, now())
            .inspect_err(|reason| self.say("throttle", "no", reason.advice()))?;
        match together::would_admit(sign_ins, &who.unique_id, source).await {
            Ok(0) => Ok(()),
            Ok(wrong) => {
                let most = sign_ins.deps.throttle.failures_per_person;
                self.say("throttle", "note", format!("wrong passwords, over all nodes: {wrong} of {most}"));
                Ok(())
            }
            Err(reason) => {
                self.say("throttle", "no", format!("over all nodes: {}", reason.advice()));
                Err(reason)
            }
        }
    }

    /// Whether they would be prompted, or a code of theirs be looked at.
    pub(super) async fn prompts(&mut self, who: &Identity, is_code: bool) -> Result<(), Reason> {
        let sign_ins = self.sign_ins;
        lock(&sign_ins.throttle)
            .would_prompt(&who.unique_id, is_code, now())
            .inspect_err(|reason| self.say("prompts", "no", reason.advice()))?;
        let Some(shared) = sign_ins.deps.nodes.as_ref().filter(|_| !is_code) else { return Ok(()) };
        let bounds = &sign_ins.deps.throttle;
        let Some(standing) = nodes::standing(shared, &who.unique_id, bounds).await else {
            self.say("prompts", "note", "the database does not say what other nodes have counted; this one would ask");
            return Ok(());
        };
        let sent = format!(
            "{} of {} without an approval within {}, over all nodes",
            standing.sent,
            bounds.prompts_per_person,
            humantime::format_duration(bounds.prompt_window)
        );
        if let Some(until) = standing.quiet_until {
            // Said to the second, and never a time that is over.
            let until = until.checked_add(Duration::from_secs(1)).unwrap_or(SystemTime::now());
            self.say("prompts", "no", format!("nobody asks them until {}, at whichever node; {sent}", shown(until)));
            return Err(Reason::PromptLimited);
        }
        let may = standing.sent < bounds.prompts_per_person;
        self.judge("prompts", may, sent);
        if may { Ok(()) } else { Err(Reason::PromptLimited) }
    }
}
