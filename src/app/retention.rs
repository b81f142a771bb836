//! Removes what the store need not keep any longer, a little at a time, so that nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::users::roster::Roster;

/// How often it is looked whether there is something to remove.
const EVERY: Duration = Duration::from_secs(600);

/// Rows of each kind that are removed at once: some milliseconds.
const AT_ONCE: u32 = 200;

/// How long others have the store to themselves in between.
const BREATH: Duration = Duration::from_millis(50);

/// Removes until it is aborted.
pub(super) async fn run(store: Arc<dyn Roster>, keep: Duration) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A clock that stands before 1970 keeps everything.
        let Some(before) = SystemTime::now().checked_sub(keep) else { continue };
        let mut removed = 0_u64;
        loop {
            match store.prune(before, AT_ONCE).await {
                Ok(0) => break,
                Ok(some) => removed = removed.saturating_add(some),
                Err(error) => {
                    tracing::warn!(%error, "old records could not be removed; it is tried again later");
                    break;
                }
            }
            tokio::time::sleep(BREATH).await;
        }
        if removed > 0 {
            tracing::info!(removed, "records older than audit.keep were removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Steps};
    use crate::signin::attempt::{Door, SignInId};
    use crate::signin::outcome::{Reason, Verdict};
    use crate::users::sql::SqlStore;
    use crate::users::store::Store;

    fn event(age: Duration) -> Event {
        Event {
            time: SystemTime::now() - age,
            sign_in: SignInId::new([0; 12]),
            door: Door::Radius,
            client: "vpn".into(),
            application: "VPN".into(),
            name: "alice".into(),
            unique_id: Some("id-alice".into()),
            account: None,
            source: "127.0.0.1".parse().unwrap(),
            person_address: None,
            method: None,
            provider: None,
            primary: None,
            factor: None,
            verdict: Verdict::Accept,
            reason: Reason::Approved,
            rule: None,
            earlier: None,
            requests: 1,
            steps: Steps::default(),
            server: "gate-1".into(),
        }
    }

    #[tokio::test]
    async fn old_records_are_removed_and_young_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlStore::open(folder.path().join("store.db"), true).await.unwrap());
        let day = Duration::from_secs(86_400);
        let events: Vec<Event> = (0..500).map(|_| event(3 * day)).chain([event(day)]).collect();
        store.record(&events).await.unwrap();
        let run = tokio::spawn(run(store.clone(), 2 * day));
        let everything = SystemTime::now() + day;
        // What is left in the end is the young one; until then the old ones become fewer.
        let mut last = None;
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            last = store.last_sign_in("id-alice").await.unwrap();
            if store.prune(SystemTime::now() - 2 * day, 1).await.unwrap() == 0 {
                break;
            }
        }
        run.abort();
        assert!(last.is_some());
        assert_eq!(store.prune(everything, 1000).await.unwrap(), 1);
    }
}
