//! Two EAP conversations of one person: their device has begun again while their prompt is out.
//!
//! Within EAP each conversation has proofs and keys of its own, so the second cannot be given the answer of the first. But
//! one prompt is enough: who has shown the first proof again, through the same client and from the same device, waits
//! for the prompt that is out, and its approval counts for both.

use std::sync::Arc;

use super::{Hold, HoldKey, Lead, Pending};
use crate::signin::attempt::Attempt;
use crate::signin::waiting::Waiting;

/// What a conversation found under its person's key.
#[derive(Debug)]
pub(in crate::signin) enum Shared {
    /// Another one's prompt is out, or about to be.
    Joins(Waiting),
    /// None is. For as long as this is kept, others find this one.
    Leads(Found),
}

/// The entry by which others find a hold. Dropped, they do not any more.
#[derive(Debug)]
pub(in crate::signin) struct Found {
    pending: Arc<Pending>,
    key: HoldKey,
    hold: Arc<Hold>,
}

impl Drop for Found {
    fn drop(&mut self) {
        let mut table = self.pending.table();
        if table.shared.get(&self.key).is_some_and(|hold| Arc::ptr_eq(hold, &self.hold)) {
            table.shared.remove(&self.key);
        }
    }
}

impl Pending {
    /// Joins the conversation that is found under `key`, or lets the hold of `lead` be found there.
    pub(in crate::signin) fn share(self: &Arc<Self>, key: HoldKey, lead: &Lead, attempt: &Attempt) -> Shared {
        let mut table = self.table();
        if let Some(hold) = table.shared.get(&key)
            && !Arc::ptr_eq(hold, &lead.hold)
            && hold.has_place()
        {
            hold.take_place(attempt.received);
            self.metrics.joins.inc();
            let place = super::Place(Arc::clone(hold));
            return Shared::Joins(Waiting::held(place, attempt.deadline(), attempt.client.on_deadline));
        }
        table.shared.insert(key, Arc::clone(&lead.hold));
        drop(table);
        Shared::Leads(Found { pending: Arc::clone(self), key, hold: Arc::clone(&lead.hold) })
    }
}
