//! `GET /metrics` and `GET /health`, on an address of their own. Nothing here knows a person.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::telemetry::metrics::Metrics;

/// Whether this server can do its work: not before it has started, and not while a part that no sign-in can
/// do without is away.
#[derive(Debug)]
pub struct Health {
    away: Mutex<BTreeMap<String, String>>,
}

/// The answer to `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether sign-ins can be done. Status 200 if so, else 503.
    pub ready: bool,
    /// What is missing, by part, and why.
    pub missing: BTreeMap<String, String>,
}

impl Default for Health {
    fn default() -> Self {
        Health { away: Mutex::new(BTreeMap::from([("server".into(), "starting".into())])) }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `part` works. A new server waits for the part `server`.
    pub fn works(&self, part: &str) {
        self.lock().remove(part);
    }

    /// Notes that `part` does not work. `why` is shown to whoever asks: no names of people, no secrets.
    pub fn missing(&self, part: &str, why: &str) {
        self.lock().insert(part.to_owned(), why.to_owned());
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        let missing = self.lock().clone();
        Report { ready: missing.is_empty(), missing }
    }
}

/// The two pages.
pub fn router(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    let metrics = Router::new().route("/metrics", get(show_metrics)).with_state(metrics);
    Router::new().route("/health", get(show_health)).with_state(health).merge(metrics)
}

/// Serves them until `stop` is done.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(metrics, health)).with_graceful_shutdown(stop).await
}

async fn show_metrics(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text())
}

async fn show_health(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    async fn fetch(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_served_until_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, health) = (Arc::new(Metrics::new(["vpn"])), Arc::new(Health::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, metrics, Arc::clone(&health), async {
            let _ = stopped.await;
        }));
        let starting = fetch(address, "/health").await;
        assert!(starting.starts_with("HTTP/1.1 503"), "{starting}");
        assert!(starting.ends_with(r#"{"ready":false,"missing":{"server":"starting"}}"#), "{starting}");
        health.works("server");
        let ready = fetch(address, "/health").await;
        assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with(r#"{"ready":true,"missing":{}}"#), "{ready}");
        health.missing("store", "disk full");
        assert!(fetch(address, "/health").await.starts_with("HTTP/1.1 503"));
        let metrics = fetch(address, "/metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("anteroom_held_sign_ins 0"), "{metrics}");
        assert!(metrics.contains("application/openmetrics-text"));
        assert!(fetch(address, "/").await.starts_with("HTTP/1.1 404"));
        drop(stop);
        server.await.unwrap().unwrap();
    }
}
