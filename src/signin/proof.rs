//! The two proofs that an Accept needs, and where each is made.
//!
//! * [`PrimaryPassed`] is made by [`crate::primary::check`] alone.
//! * [`SecondPassed`] is an approved factor, made by [`crate::factor::ask`] alone (on this node or on another one, see [`super::nodes`]), or a named exemption,
//!   made by [`super::policy`] alone.
//!
//! All three have private fields, so no other module can build one.

pub use crate::factor::FactorApproved;
pub use crate::primary::PrimaryPassed;
pub use crate::signin::policy::{Exempted, Exemption};

use std::sync::Arc;

use crate::signin::outcome::Reason;

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

/// An acceptance. It cannot be built without both proofs, and they must be of one person.
#[derive(Debug)]
pub struct Accept {
    primary: PrimaryPassed,
    second: SecondPassed,
    attributes: Option<Arc<[u8]>>,
}

impl Accept {
    /// Joins the two proofs.
    ///
    /// # Errors
    /// [`Reason::Internal`] when they speak of different people, which would be a mistake of ours.
    pub fn new(primary: PrimaryPassed, second: SecondPassed) -> Result<Self, Reason> {
        if primary.who().unique_id == second.unique_id() {
            Ok(Accept { primary, second, attributes: None })
        } else {
            Err(Reason::Internal)
        }
    }

    /// With attributes of its own for this very person, encoded; they stand behind those of the client's section.
    #[must_use]
    pub fn with(self, attributes: Option<Arc<[u8]>>) -> Self {
        Accept { attributes, ..self }
    }

    /// Attributes for this very person, encoded.
    pub fn attributes(&self) -> &[u8] {
        self.attributes.as_deref().unwrap_or_default()
    }

    /// The first proof.
    pub fn primary(&self) -> &PrimaryPassed {
        &self.primary
    }

    /// The second proof.
    pub fn second(&self) -> &SecondPassed {
        &self.second
    }
}
