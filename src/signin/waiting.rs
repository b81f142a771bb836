//! A request that waits for its sign-in, and the one of them whose task runs it.
//!
//! The request that began a sign-in polls it while it waits: one task for both. When that request leaves first,
//! answered at its deadline or given up by its client, the sign-in goes on in a task of its own, until it ends for
//! those who still wait or notices that nobody does.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::Either;
use tokio::runtime::Handle;

use crate::config::OnDeadline;
use crate::signin::outcome::{Outcome, Reason};
use crate::signin::pending::{Hold, Place};

/// A sign-in that runs; it gives its outcome to its hold.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One request's place in a sign-in. Dropping it gives the place up; when the last place of a sign-in is
/// given up, its prompt is cancelled.
#[derive(Debug)]
#[must_use]
pub struct Waiting {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Decided before any hold began.
    Known(Arc<Outcome>),
    /// Waits for a hold until its own deadline.
    Held(Held),
}

/// Fields are dropped in this order: first the place is given up, then the sign-in finds out who is left.
#[derive(Debug)]
struct Held {
    place: Place,
    led: Led,
    deadline: Instant,
    on_deadline: OnDeadline,
}

/// The sign-in that this request began, until it has ended.
struct Led(Option<Running>);

impl fmt::Debug for Led {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Led").field(&self.0.is_some()).finish()
    }
}

impl Led {
    /// Runs the sign-in to its end, or until its hold is given up, which wakes its task, too.
    fn poll(&mut self, hold: &Hold, context: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.0 else { return Poll::Ready(()) };
        if running.as_mut().poll(context).is_ready() {
            self.0 = None;
        }
        if self.0.is_none() || hold.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        // Without a runtime everything ends; the sign-in leaves its event as it is dropped.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(running);
        }
    }
}

impl Waiting {
    /// A request that needs no hold.
    pub(super) fn known(outcome: Arc<Outcome>) -> Self {
        Waiting { kind: Kind::Known(outcome) }
    }

    /// A request that waits for a hold that somebody else began.
    pub(super) fn held(place: Place, deadline: Instant, on_deadline: OnDeadline) -> Self {
        Waiting { kind: Kind::Held(Held { place, led: Led(None), deadline, on_deadline }) }
    }

    /// The request that began the sign-in, and runs it.
    pub(super) fn leading(mut self, running: Running) -> Self {
        if let Kind::Held(held) = &mut self.kind {
            held.led = Led(Some(running));
        }
        self
    }

    /// The outcome, at the request's own deadline at the latest.
    pub fn outcome(self) -> impl Future<Output = Arc<Outcome>> + Send + use<> {
        match self.kind {
            Kind::Known(outcome) => Either::Left(std::future::ready(outcome)),
            Kind::Held(held) => Either::Right(held.outcome()),
        }
    }

    /// A handle by which the door tells that the client still listens; none where nothing is held.
    pub fn pulse(&self) -> Option<Pulse> {
        match &self.kind {
            Kind::Known(_) => None,
            Kind::Held(held) => Some(Pulse(Arc::clone(held.place.hold()))),
        }
    }
}

impl Held {
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its argument twice")]
    fn outcome(mut self) -> impl Future<Output = Arc<Outcome>> + Send + use<> {
        // Nothing that could be asked of `self` again is kept in a variable: a hundred thousand of these are held at once.
        async move {
            if self.led.0.is_some() {
                let ended = std::future::poll_fn(|context| self.led.poll(self.place.hold(), context));
                // At the deadline there is no outcome; that is all that matters.
                let _ = tokio::time::timeout_at(self.deadline.into(), ended).await;
            } else {
                Box::pin(other(self.place.hold(), self.deadline)).await;
            }
            let hold = self.place.hold();
            match hold.outcome() {
                Some(outcome) => Arc::clone(outcome),
                None => {
                    hold.note_time_is_up();
                    Arc::new(match self.on_deadline {
                        OnDeadline::Reject => Outcome::Reject(Reason::Deadline),
                        OnDeadline::Silence => Outcome::Discard(Reason::Deadline),
                    })
                }
            }
        }
    }
}

/// Waits for a hold whose flow another task runs. Seldom, so it is on the heap and nobody else has room for it.
async fn other(hold: &Hold, deadline: Instant) {
    let done = hold.done();
    tokio::pin!(done);
    done.as_mut().enable();
    if hold.outcome().is_none() {
        let _ = tokio::time::timeout_at(deadline.into(), done).await;
    }
}

/// Tells a hold that its client still listens. It takes no place: the hold ends without it.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Hold>);

impl Pulse {
    /// The client has just asked again (a retransmission).
    pub fn heard_again(&self, now: Instant) {
        self.0.heard_again(now);
    }
}
