//! `[pin]`: the rules for PINs.

use super::super::place::Path;
use super::super::written;
use super::{Checker, word};
use crate::users::pin::Rules;
use crate::users::typed::Bound;

impl Checker<'_> {
    pub(super) fn pin(&self, written: written::Pin) -> Rules {
        let at = Path::top("pin");
        let expires = self.duration(&at.key("expires_after"), written.expires_after, "0s", "0s", "3650d");
        Rules {
            shortest: self.size(&at.key("shortest"), written.shortest, 4, 4, 16),
            refuse_weak: word(written.weak, written::Weak::Refuse) == written::Weak::Refuse,
            history: self.count(&at.key("history"), written.history, 5, 0, 10),
            expires_after: Some(expires).filter(|after| !after.is_zero()),
            own_change: written.own_change.unwrap_or(true),
            bound: Bound {
                tries: self.count(&at.key("tries"), written.tries, 5, 1, 100),
                locked_for: self.duration(&at.key("locked_for"), written.locked_for, "15m", "1s", "1d"),
            },
        }
    }
}
