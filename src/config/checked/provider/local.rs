//! `type = "local"`: how far tokens of the user store may be off, and how often somebody may be wrong.

use super::super::super::place::Path;
use super::super::super::{LocalProvider, Provider, written};
use super::super::{Checker, word};
use crate::factor::local::split::PinSide;
use crate::users::typed::Bound;

impl Checker<'_> {
    pub(super) fn local(&self, at: &Path, name: String, written: &mut written::Provider) -> Provider {
        Provider::Local(LocalProvider {
            name,
            failover: Self::failover(written),
            window: self.duration(&at.key("window"), written.window.take(), "30s", "0s", "10m"),
            look_ahead: self.count(&at.key("look_ahead"), written.look_ahead.take(), 10, 0, 100),
            bound: Bound {
                tries: self.count(&at.key("tries"), written.tries.take(), 5, 1, 100),
                locked_for: self.duration(&at.key("locked_for"), written.locked_for.take(), "15m", "1s", "1d"),
            },
            pin_side: word(written.pin.take(), PinSide::Before),
        })
    }
}
