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

/// Asks once for each open prompt. The service may hold the answer back a little where they are few. What it did not tell
/// is asked for again: an event that was missed does not come a second time.
async fn round(shared: &Shared, up: bool) {
    let few = shared.waiting.len() <= AT_ONCE;
    let wait = if few && !up { shared.timing.round.as_secs().max(1) } else { 0 };
    let mut untold = Vec::new();
    for part in shared.waiting.open_parts() {
        untold.extend(ask_all(shared, part, wait).await);
    }
    let others_ask = || !shared.stream_up.load(Ordering::Acquire) || shared.resync.load(Ordering::Acquire);
    while !untold.is_empty() && !others_ask() {
        tokio::time::sleep(shared.timing.round).await;
        untold.retain(|(key, _)| shared.waiting.is_open(*key));
        untold = ask_all(shared, untold, 0).await;
    }
}

/// A prompt, and the service's id of it where known.
type Prompt = (SignInId, Option<Box<str>>);

/// Asks for these states; those of which nothing was told.
async fn ask_all(shared: &Shared, prompts: Vec<Prompt>, wait: u64) -> Vec<Prompt> {
    let asked = stream::iter(prompts).map(|(key, id)| async move {
        let told = ask(shared, key, id.as_deref(), wait).await;
        (!told).then_some((key, id))
    });
    asked.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Asks for one state; whether the service told something. No answer is no news: the prompt stays open until its deadline.
async fn ask(shared: &Shared, key: SignInId, id: Option<&str>, wait: u64) -> bool {
    let path = match id {
        Some(id) => format!("v1/verifications/{id}?wait={wait}"),
        None => format!("v1/verifications/by-key/{}?wait={wait}", Key::of(key).as_str()),
    };
    let within = shared.transport.timeout().saturating_add(Duration::from_secs(wait));
    let Ok(Ok(reply)) = tokio::time::timeout(within, shared.transport.request(Method::GET, &path)).await else {
        return false;
    };
    let now = crate::factor::native::client::unix_now();
    if reply.status == 404 && id.is_some() {
        let delivery = shared.waiting.lose(key, now);
        if let Delivery::Answered(Some(waker)) = delivery {
            waker.wake();
        }
        // One that is too young for that is asked for again.
        return !shared.waiting.is_open(key);
    }
    if reply.status != 200 {
        return reply.status < 500 && reply.status != 429;
    }
    let Ok(message) = object::read::<Message<'_>>(&reply.body) else {
        shared.garbled.fetch_add(1, Ordering::Relaxed);
        return true;
    };
    // Whatever it says, it is the answer about this prompt: about another it is garbled.
    let delivery = shared.waiting.deliver(key, &message, &shared.server.name, now);
    if let Delivery::Answered(Some(waker)) = delivery {
        waker.wake();
    }
    true
}
