//! The pages for machines that watch this server: metrics and health.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::AppError;
use crate::telemetry::health::{self, Health};
use crate::telemetry::metrics::Metrics;

/// Serves them until the sender is used or dropped.
pub(super) async fn start(
    address: SocketAddr,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> Result<(oneshot::Sender<()>, JoinHandle<()>), AppError> {
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener =
        listener.map_err(|error| AppError(format!("metrics.listen: cannot listen on {address}: {error}")))?;
    let (stop, stopped) = oneshot::channel();
    let (metrics, health) = (Arc::clone(metrics), Arc::clone(health));
    let served = tokio::spawn(async move {
        let stopped = async {
            // The sender is gone only when the server is: that is a stop, too.
            let _ = stopped.await;
        };
        if let Err(error) = health::serve(listener, metrics, health, stopped).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok((stop, served))
}
