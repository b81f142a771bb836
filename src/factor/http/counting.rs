//! Counts the connections that an HTTP client begins: with TLS each of them is a handshake, and there must be one
//! per connection, not per prompt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tower::{Layer, Service};

/// Wraps the client's connector.
#[derive(Debug, Clone)]
pub(super) struct CountConnections(pub(super) Arc<AtomicU64>);

impl<S> Layer<S> for CountConnections {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, count: Arc::clone(&self.0) }
    }
}

/// A connector that is counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    count: Arc<AtomicU64>,
}

impl<R, S: Service<R>> Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.call(request)
    }
}
