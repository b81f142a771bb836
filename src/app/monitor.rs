//! Once a second: brings what the doors, directories and providers know into the metrics and the health page.

use std::sync::Arc;
use std::time::Duration;

use crate::factor::routing::{BreakerState, Guarded};
use crate::primary::directory::Directory;
use crate::radius::discard::Discarded;
use crate::radius::door::Shared;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// What is looked at.
pub(super) struct Watched {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) radius: Arc<Shared>,
    pub(super) directories: Vec<(String, Arc<Directory>)>,
    pub(super) providers: Vec<(String, Arc<Guarded>)>,
}

/// Looks until it is aborted.
pub(super) async fn run(watched: Watched) {
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
        for (name, guarded) in &watched.providers {
            watched.metrics.provider_up(name, guarded.state() == BreakerState::Closed);
        }
        for (name, directory) in &watched.directories {
            let servers = directory.servers();
            for (server, up) in &servers {
                watched.metrics.directory_server_up(name, server, *up);
            }
            let part = format!("target {name}");
            if servers.iter().any(|(_, up)| *up) || servers.is_empty() {
                watched.health.works(&part);
            } else {
                watched.health.missing(&part, "no directory server answers");
            }
        }
    }
}
