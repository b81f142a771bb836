//! What a client's `[[reply]]` sections would have for the person.

use crate::primary::Identity;
use crate::signin::attempt::Attempt;
use crate::signin::outcome::Reason;
use crate::signin::replies;

use super::Walk;

impl Walk<'_> {
    /// Each section, and the attributes that an Access-Accept would have.
    pub(super) async fn replies(&mut self, attempt: &Attempt, who: &Identity) -> Result<(), Reason> {
        let Some(reply) = &attempt.client.reply else { return Ok(()) };
        let resolved = match replies::resolve(self.sign_ins, attempt, who, reply).await {
            Ok(resolved) => resolved,
            Err(reason) => {
                self.judge("reply", false, reason.advice());
                return Err(reason);
            }
        };
        for (section, fits) in resolved.sections {
            let text = match (fits, section.last) {
                (true, true) => "is for the person; no later one counts",
                (true, false) => "is for the person",
                (false, _) => "is for others",
            };
            self.judge(&format!("reply {}", section.name), fits, text);
        }
        for filled in resolved.attributes {
            self.say("accept has", "note", filled.show());
        }
        Ok(())
    }
}
