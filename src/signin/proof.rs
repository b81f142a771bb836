//! The two proofs that an Accept needs, and where each is made.
//!
//! * [`PrimaryPassed`] is made by [`crate::primary::check`] alone.
//! * [`SecondPassed`] is an approved factor, made by [`crate::factor::ask`] alone, or a named exemption,
//!   made by [`super::policy`] alone.
//!
//! All three have private fields, so no other module can build one.

pub use crate::factor::FactorApproved;
pub use crate::primary::PrimaryPassed;
pub use crate::signin::policy::{Exempted, Exemption};

use std::sync::Arc;

/// The second proof.
#[derive(Debug)]
pub enum SecondPassed {
    /// The person approved. Shared, because an approval may carry over to the client's retry.
    Approved(Arc<FactorApproved>),
    /// A rule that the configuration names lets this person in without.
    Exempt(Exempted),
}

impl SecondPassed {
    /// Whose proof it is, by unique id.
    pub fn unique_id(&self) -> &str {
        match self {
            SecondPassed::Approved(approved) => approved.unique_id(),
            SecondPassed::Exempt(exempted) => exempted.unique_id(),
        }
    }
}
