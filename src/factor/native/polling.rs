//! Asking for states: the way back while the event stream is down, and after it has missed something.
//!
//! Open prompts are asked for in turns, a bounded number at once, whatever their number.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::Method;

use crate::factor::native::wire::{Key, Message};
use crate::factor::native::{Delivery, Shared};
use crate::factor::object;
use crate::signin::attempt::SignInId;

/// Requests for states under way at once.
const AT_ONCE: usize = 32;

/// Polls when there is a reason to, for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let shared = &*shared;
    loop {
        let resync = shared.resync.swap(false, Ordering::AcqRel);
        let up = shared.stream_up.load(Ordering::Acquire);
        if !resync && (up || shared.waiting.is_empty()) {
            if up {
                shared.nudge.notified().await;
            } else {
                // Nobody waits now; somebody may in a moment, and registering wakes no one.
                pause(shared, shared.timing.moment).await;
            }
            continue;
        }
        if !up && !resync {
            pause(shared, shared.timing.moment).await;
            if shared.stream_up.load(Ordering::Acquire) {
                continue;
            }
        }
        round(shared, up).await;
        tokio::time::sleep(shared.timing.round).await;
    }
}

/// Waits for a nudge or until `time` is over; either will do.
async fn pause(shared: &Shared, time: Duration) {
    let _ = tokio::time::timeout(time, shared.nudge.notified()).await;
}

/// Asks once for each open prompt. The service may hold the answer back a little where they are few.
async fn round(shared: &Shared, up: bool) {
    let few = shared.waiting.len() <= AT_ONCE;
    let wait = if few && !up { shared.timing.round.as_secs().max(1) } else { 0 };
    for part in shared.waiting.open_parts() {
        stream::iter(part)
            .for_each_concurrent(AT_ONCE, async |(key, id)| {
                ask(shared, key, id.as_deref(), wait).await;
            })
            .await;
    }
}

/// Asks for one state. No answer is no news: the prompt stays open until its deadline.
async fn ask(shared: &Shared, key: SignInId, id: Option<&str>, wait: u64) {
    let path = match id {
        Some(id) => format!("v1/verifications/{id}?wait={wait}"),
        None => format!("v1/verifications/by-key/{}?wait={wait}", Key::of(key).as_str()),
    };
    let within = shared.transport.timeout().saturating_add(Duration::from_secs(wait));
    let Ok(Ok(reply)) = tokio::time::timeout(within, shared.transport.request(Method::GET, &path)).await else {
        return;
    };
    if reply.status != 200 {
        return;
    }
    let Ok(message) = object::read::<Message<'_>>(&reply.body) else {
        shared.garbled.fetch_add(1, Ordering::Relaxed);
        return;
    };
    // Whatever it says, it is the answer about this prompt: about another it is garbled.
    let delivery =
        shared.waiting.deliver(key, &message, &shared.server.name, crate::factor::native::client::unix_now());
    if let Delivery::Answered(Some(waker)) = delivery {
        waker.wake();
    }
}
