//! `challenge` and what belongs to it, of `[[radius.client]]`.

use super::super::place::Path;
use super::super::{Challenges, YesNo, written};
use super::{Checker, word};

impl Checker<'_> {
    /// Whether and how a client shows challenges.
    pub(super) fn challenge(&self, at: &Path, written: &mut written::Client) -> Option<Challenges> {
        let shows = word(written.challenge.take(), YesNo::No) == YesNo::Yes;
        let given = [
            ("challenge_tries", written.challenge_tries.is_some()),
            ("challenge_within", written.challenge_within.is_some()),
            ("challenge_beside_prompt", written.challenge_beside_prompt.is_some()),
            ("challenge_menu", written.challenge_menu.is_some()),
        ];
        if !shows && !self.is_spoiled(&at.key("challenge")) {
            for (key, _) in given.iter().filter(|(_, given)| *given) {
                let advice = "set challenge = \"yes\" if the client shows challenges, or take the key out";
                self.warn(&at.key(key), "has no effect, as the client is never sent a challenge", advice);
            }
        }
        let tries = self.count(&at.key("challenge_tries"), written.challenge_tries.take(), 3, 1, 10);
        let within = self.duration(&at.key("challenge_within"), written.challenge_within.take(), "3m", "10s", "10m");
        shows.then_some(Challenges {
            tries,
            within,
            beside_prompt: written.challenge_beside_prompt.take().unwrap_or(false),
            menu: written.challenge_menu.take().unwrap_or(false),
        })
    }
}
