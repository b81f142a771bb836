//! What a server on a file has counted before its restart, out of its audit: guesses, denials, refusals. Servers that share a
//! database count there.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::AppError;
use crate::signin::reception::SignIns;
use crate::signin::throttle::Before;
use crate::users::roster::Roster;

/// Counts it again, unless that is `shared`.
///
/// # Errors
/// The audit cannot be read: whoever guesses could begin anew.
pub(super) async fn restore(sign_ins: &Arc<SignIns>, roster: &Arc<impl Roster>, shared: bool) -> Result<(), AppError> {
    for what in Before::ALL.into_iter().filter(|_| !shared) {
        let Some(lasts) = sign_ins.counts_for(what) else { continue };
        let wall = SystemTime::now();
        let since = wall.checked_sub(lasts).unwrap_or(SystemTime::UNIX_EPOCH);
        let found = roster.in_a_row(what.reasons(), since, what == Before::WrongPassword).await;
        let found = found.map_err(|error| AppError(format!("the audit cannot be read: {error}")))?;
        let now = Instant::now();
        for one in found {
            let ago = wall.duration_since(one.last).unwrap_or_default();
            let last = now.checked_sub(ago).unwrap_or(now);
            sign_ins.counted_before(&one.unique_id, what, (one.many, last));
        }
    }
    Ok(())
}
