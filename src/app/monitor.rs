//! Once a second: brings what the doors, directories and providers know into the metrics and the health page.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::books::Spools;
use super::habits::Habits;
use crate::audit::{Note, Notes};
use crate::factor::routing::{BreakerState, Guarded};
use crate::primary::directory::Directory;
use crate::primary::radius::Radius;
use crate::radius::discard::Discarded;
use crate::radius::door::Shared;
use crate::radius::pool::Dropped;
use crate::signin::reception::SignIns;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::users::store::Store;

/// How long the user store may take to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// What is looked at.
pub(super) struct Watched {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) radius: Arc<Shared>,
    pub(super) habits: Habits,
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) store: Arc<dyn Store>,
    pub(super) directories: Vec<(String, Arc<Directory>)>,
    pub(super) radius_targets: Vec<(String, Arc<Radius>)>,
    pub(super) spools: Spools,
    pub(super) providers: Vec<(String, Arc<Guarded>)>,
    /// This server's name, and where what it has to note goes.
    pub(super) server: String,
    pub(super) notes: Notes,
}

/// Looks until it is aborted.
pub(super) async fn run(mut watched: Watched) {
    let discards: Vec<_> =
        Discarded::ALL.iter().map(|cause| (*cause, watched.metrics.discards(cause.word()))).collect();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (cause, counter) in &discards {
            counter.inc_by(watched.radius.discards.count(*cause).saturating_sub(counter.get()));
        }
        let again = &watched.metrics.retransmissions;
        again.inc_by(watched.radius.retransmissions().saturating_sub(again.get()));
        for client in watched.radius.clients.iter() {
            watched.metrics.radius_requests(client.name(), client.signed(), client.unsigned());
        }
        watched.habits.keep(&watched.radius.clients);
        // Nobody has the empty id; whether it can be asked for is what matters.
        match tokio::time::timeout(STORE_PATIENCE, watched.store.person("")).await {
            Ok(Ok(_)) => watched.health.works("store"),
            Ok(Err(_)) => watched.health.missing("store", "the user store cannot be read"),
            Err(_) => watched.health.missing("store", "the user store does not answer"),
        }
        for (name, guarded) in &watched.providers {
            let usable = guarded.state() == BreakerState::Closed && guarded.outage_left().is_none();
            watched.metrics.provider_up(name, usable);
            for sign_in in guarded.late_frauds() {
                watched.metrics.late_frauds.inc();
                let sign_ins = Arc::clone(&watched.sign_ins);
                tokio::spawn(async move { sign_ins.late_fraud(sign_in).await });
                (watched.notes)(Note {
                    time: SystemTime::now(),
                    kind: "late_fraud",
                    providers: vec![name.clone()],
                    sign_in: Some(sign_in),
                    seconds: None,
                    reason: None,
                    by: None,
                    server: watched.server.clone(),
                });
            }
        }
        for (name, directory) in &watched.directories {
            watch_target(&watched, name, &directory.servers(), "no directory server answers");
        }
        for (name, spool) in &*watched.spools {
            watched.metrics.accounting_waiting(name, spool.waiting());
        }
        for (name, target) in &watched.radius_targets {
            let states = target.pool().states();
            watch_target(&watched, name, &states, "no RADIUS server answers");
            for cause in Dropped::ALL {
                watched.metrics.target_drops(name, cause.word(), target.pool().dropped(cause));
            }
        }
    }
}

/// Tells which servers of a target are up.
fn watch_target(watched: &Watched, name: &str, servers: &[(String, bool)], missing: &'static str) {
    for (server, up) in servers {
        watched.metrics.directory_server_up(name, server, *up);
    }
    let part = format!("target {name}");
    if servers.iter().any(|(_, up)| *up) || servers.is_empty() {
        watched.health.works(&part);
    } else {
        watched.health.missing(&part, missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_missing_on_the_health_page() {
        let health = Arc::new(Health::default());
        health.works("server");
        let start = std::time::Instant::now();
        let radius = Arc::new(Shared::new(crate::radius::clients::Clients::new(&[], start).unwrap(), start));
        let watched = Watched {
            metrics: Arc::new(Metrics::new([])),
            health: Arc::clone(&health),
            radius,
            habits: Habits::default(),
            sign_ins: crate::signin::testing::rejecting(),
            store: crate::signin::testing::store_away(),
            directories: Vec::new(),
            radius_targets: Vec::new(),
            spools: Arc::default(),
            providers: Vec::new(),
            server: "test".into(),
            notes: Arc::new(|_| {}),
        };
        let monitor = tokio::spawn(run(watched));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(health.report().missing.into_keys().collect::<Vec<_>>(), ["store"]);
        monitor.abort();
    }
}
