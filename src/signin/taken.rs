//! The time that each step of a sign-in has taken, as small as a held one keeps it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::audit::Steps;

/// What the steps have taken so far, and when the factor was asked.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) identify: Micros,
    pub(super) primary: Micros,
    pub(super) policy: Micros,
    pub(super) factor: Micros,
    /// What earlier rounds took, with the time between them.
    pub(super) earlier: Micros,
    /// When somebody was asked for the second factor, while they have not answered.
    pub(super) asked: Option<Instant>,
}

impl Taken {
    /// The same for the audit, with the time of all of it.
    pub(super) fn steps(&self, total: Duration) -> Steps {
        let Taken { identify, primary, policy, factor, .. } = self;
        Steps {
            identify: identify.time(),
            primary: primary.time(),
            policy: policy.time(),
            factor: factor.time(),
            total,
        }
    }
}

impl From<Steps> for Taken {
    /// The steps of earlier rounds.
    fn from(steps: Steps) -> Self {
        let of = |time: Option<Duration>| time.map(Micros::from).unwrap_or_default();
        Taken {
            identify: of(steps.identify),
            primary: of(steps.primary),
            policy: of(steps.policy),
            factor: of(steps.factor),
            earlier: steps.total.into(),
            asked: None,
        }
    }
}

/// A time in microseconds, 71 minutes at most, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Micros(Option<NonZeroU32>);

impl Micros {
    /// The time, if there is one.
    pub(super) fn time(self) -> Option<Duration> {
        self.0.map(|micros| Duration::from_micros(micros.get().into()))
    }

    /// Takes so much more.
    pub(super) fn add(&mut self, more: Duration) {
        *self = (self.time().unwrap_or_default().saturating_add(more)).into();
    }
}

impl From<Duration> for Micros {
    fn from(time: Duration) -> Self {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        Micros(Some(NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_never_overflow() {
        let mut taken = Micros::default();
        assert_eq!(taken.time(), None);
        taken.add(Duration::from_millis(3));
        taken.add(Duration::from_micros(5));
        assert_eq!(taken.time(), Some(Duration::from_micros(3005)));
        taken.add(Duration::MAX);
        assert_eq!(taken.time(), Some(Duration::from_micros(u32::MAX.into())));
        assert!(Micros::from(Duration::ZERO).time().is_some(), "no time at all is a time");
        assert_eq!(size_of::<Taken>(), 40);
    }
}
