//! Approvals that are kept: those that came when their client may already have given up, each for one retry, and
//! those that a client's `reuse` lets stand for several sign-ins. Pure.
//!
//! No call scans: each approval stands once in a queue by its coming, and each call takes a bounded number of
//! ended ones from its front. One that was used leaves its place in the queue behind until its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::signin::pending::HoldKey;
use crate::signin::proof::FactorApproved;

/// Ends looked at in one call: more than one, so that the queue shrinks while approvals keep coming.
const ENDS_PER_CALL: usize = 4;

/// The table.
#[derive(Debug)]
pub(super) struct Carried {
    by_key: HashMap<HoldKey, Approval>,
    ends: VecDeque<(Instant, HoldKey)>,
    /// Places in the queue, at most.
    capacity: usize,
}

#[derive(Debug)]
struct Approval {
    approval: Arc<FactorApproved>,
    until: Instant,
    uses: u32,
}

impl Carried {
    /// Room for this many.
    pub(super) fn new(capacity: usize) -> Self {
        Carried { by_key: HashMap::new(), ends: VecDeque::new(), capacity }
    }

    /// Keeps an approval for `uses` uses, unless there is no room: then the retry prompts again.
    pub(super) fn keep(
        &mut self,
        key: HoldKey,
        (approval, uses): (Arc<FactorApproved>, u32),
        until: Instant,
        now: Instant,
    ) {
        self.expire(now);
        if self.ends.len() < self.capacity {
            self.ends.push_back((until, key));
            self.by_key.insert(key, Approval { approval, until, uses });
        }
    }

    /// Uses an approval that is still good. After its last use it is gone.
    pub(super) fn take(&mut self, key: HoldKey, now: Instant) -> Option<Arc<FactorApproved>> {
        self.expire(now);
        let kept = self.by_key.get_mut(&key)?;
        let approval = (now < kept.until && kept.uses > 0).then(|| Arc::clone(&kept.approval));
        kept.uses = kept.uses.saturating_sub(1);
        if kept.uses == 0 || approval.is_none() {
            self.by_key.remove(&key);
        }
        approval
    }

    /// Forgets every approval of a person, or everybody's. Looks at all, as only a fraud report or an operator asks for
    /// this.
    pub(super) fn forget(&mut self, unique_id: Option<&str>) {
        self.by_key.retain(|_, kept| unique_id.is_some_and(|unique_id| kept.approval.unique_id() != unique_id));
    }

    fn expire(&mut self, now: Instant) {
        for _ in 0..ENDS_PER_CALL {
            let Some((_, key)) = self.ends.pop_front_if(|(until, _)| *until <= now) else { return };
            // The key may have got a later approval since.
            if self.by_key.get(&key).is_some_and(|kept| kept.until <= now) {
                self.by_key.remove(&key);
            }
        }
    }
}
