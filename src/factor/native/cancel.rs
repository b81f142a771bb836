//! Cancellations: what the queue of them ([`crate::factor::cancelling`]) sends.
//!
//! A prompt whose id is not known (its request was still under way) is cancelled by its idempotency key;
//! the service remembers the key, so that the request, should it arrive later, prompts nobody.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::mpsc;

use crate::factor::cancelling;
use crate::factor::native::Shared;
use crate::factor::native::wire::Key;
use crate::signin::attempt::SignInId;

/// Tries for each.
const ATTEMPTS: u32 = 3;

/// A prompt that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) key: SignInId,
    pub(super) id: Option<Box<str>>,
}

/// Sends what is queued, for ever.
pub(super) async fn run(shared: Arc<Shared>, queue: mpsc::Receiver<Cancel>) {
    let shared = &*shared;
    let send = |cancel| async move {
        send(shared, &cancel).await;
        shared.cancels.finish();
    };
    cancelling::run(queue, send).await;
}

async fn send(shared: &Shared, cancel: &Cancel) {
    let path = match &cancel.id {
        Some(id) => format!("v1/verifications/{id}"),
        None => format!("v1/verifications/by-key/{}", Key::of(cancel.key).as_str()),
    };
    for attempt in 1..=ATTEMPTS {
        let request = shared.transport.request(Method::DELETE, &path);
        match tokio::time::timeout(shared.transport.timeout(), request).await {
            // Over, unknown or refused: trying again would not change it.
            Ok(Ok(reply)) if reply.status < 500 && reply.status != 429 => return,
            outcome => {
                let failure = outcome.ok();
                tracing::debug!(sign_in = %cancel.key, provider = shared.name, ?failure, attempt, "cancel failed");
            }
        }
        tokio::time::sleep(Duration::from_millis(200).saturating_mul(attempt)).await;
    }
}
