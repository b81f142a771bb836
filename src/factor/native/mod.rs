//! Our own documented cloud protocol (`docs/native-protocol.md`), the client's side.
//!
//! ```text
//! run ─ register in `waiting` ─ POST ─ final? ──────────────────────────────► answer
//!                                  └─ pending: the request is dropped,
//!                                     only a table entry and a waker remain ─► answer
//!        one event stream per server ─► waiting.deliver ─► wake      (`stream`)
//!        stream down for more than a moment: ask for states in turns (`polling`)
//!        future dropped: DELETE from a bounded queue                 (`cancel`)
//! ```
//!
//! What it refuses: an approval that does not say so in every field (see [`wire::judge`]), redirects,
//! plain HTTP to other machines, certificates that cannot be verified.
//!
//! The caller ends the wait at the request's deadline ([`crate::factor::routing::Guarded`] does).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{NativeProvider, SendFields, UnreachableClass};
use crate::factor::cancelling::CancelQueue;
use crate::factor::native::batching::Batching;
use crate::factor::native::besides::Besides;
use crate::factor::native::cancel::Cancel;
use crate::factor::native::client::{Failure, REQUESTS_AT_ONCE, Reply, Transport};
use crate::factor::native::held::{Besided, Held};
use crate::factor::native::waiting::{Delivery, Waiting};
use crate::factor::native::wire::{Key, Message, ServerIdentity, Trouble};
use crate::factor::{self, Answer, Described, Factor, Health, Provider, Refusal, Request, Tell, object};
use crate::signin::attempt::SignInId;
use crate::users::model::Method;
use crate::users::pins::Pins;

pub mod batching;
pub mod besides;
pub mod client;
pub mod ping;
pub mod signing;
pub mod waiting;
pub mod wire;

mod cancel;
mod held;
mod polling;
mod stream;

/// How often one prompt is asked for when connections break. The idempotency key keeps it one prompt.
const ATTEMPTS: u32 = 3;

/// Late fraud reports that are kept until they are told, at most.
const LATE_FRAUDS: usize = 1000;

/// Pause before a prompt is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How patient the background tasks are. The default is right outside tests.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long the stream may be away before states are asked for.
    pub moment: Duration,
    /// Pause between two rounds of asking, and the wait that is asked for where few prompts are open.
    pub round: Duration,
    /// First pause before the stream is opened again; doubled up to 64 times of it.
    pub reconnect: Duration,
    /// Longest silence on the stream; the service sends a heartbeat at least each 20 seconds.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            moment: Duration::from_millis(500),
            round: Duration::from_secs(1),
            reconnect: Duration::from_millis(250),
            silence: Duration::from_secs(45),
        }
    }
}

/// Figures for status pages and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether the event stream is open.
    pub stream_up: bool,
    /// Prompts that are held now.
    pub waiting: usize,
    /// Messages that came for nobody: late, or cancelled.
    pub late: u64,
    /// Lines of the stream that made no sense.
    pub garbled: u64,
    /// Cancellations that found the queue full.
    pub cancels_lost: u64,
}

/// A provider that speaks the native protocol.
#[derive(Debug)]
pub struct Native {
    shared: Arc<Shared>,
    /// Where PINs are checked that people type on the phone.
    pins: Option<Pins>,
    /// Whether pushes ask for a number that the person's client shows.
    numbers: bool,
    tasks: Vec<JoinHandle<()>>,
}

/// What the tasks and the sign-ins share.
#[derive(Debug)]
struct Shared {
    name: String,
    described: Described,
    server: ServerIdentity,
    send: SendFields,
    timing: Timing,
    transport: Transport,
    waiting: Waiting,
    cancels: CancelQueue<Cancel>,
    batching: Batching,
    /// Bounds connections where the service speaks HTTP/1.1 only.
    requests: Semaphore,
    stream_up: AtomicBool,
    /// Set when an event may have been missed: every open prompt's state is asked for once.
    resync: AtomicBool,
    /// Wakes the polling task: the stream went down, came up, or `resync` was set.
    nudge: Notify,
    late: AtomicU64,
    /// Sign-ins whose fraud report came too late, not yet told.
    late_frauds: Mutex<Vec<SignInId>>,
    garbled: AtomicU64,
}

impl Native {
    /// Builds the client and starts its background tasks on the current runtime: event stream,
    /// polling, cancellations, prompts that gather. Dropping the value stops them; [`Native::drain`] before that lets
    /// cancellations finish.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn start(config: &NativeProvider, server: ServerIdentity) -> Result<Self, client::BuildError> {
        Native::start_with(config, server, Timing::default())
    }

    /// [`Native::start`] with other patience, for tests.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn start_with(
        config: &NativeProvider,
        server: ServerIdentity,
        timing: Timing,
    ) -> Result<Self, client::BuildError> {
        let (cancels, queue) = CancelQueue::new();
        let (batching, gathered) = Batching::new();
        let shared = Arc::new(Shared {
            name: config.common.name.clone(),
            described: Described::native(config),
            server,
            send: config.common.send,
            timing,
            transport: Transport::new(config)?,
            waiting: Waiting::new(),
            cancels,
            batching,
            requests: Semaphore::new(REQUESTS_AT_ONCE),
            stream_up: AtomicBool::new(false),
            resync: AtomicBool::new(false),
            nudge: Notify::new(),
            late: AtomicU64::new(0),
            late_frauds: Mutex::default(),
            garbled: AtomicU64::new(0),
        });
        let mut tasks = vec![
            tokio::spawn(stream::run(Arc::clone(&shared))),
            tokio::spawn(polling::run(Arc::clone(&shared))),
            tokio::spawn(cancel::run(Arc::clone(&shared), queue)),
        ];
        let sender = || tokio::spawn(batching::run(Arc::clone(&shared), Arc::clone(&gathered)));
        tasks.extend((0..batching::SENDERS).map(|_| sender()));
        Ok(Native { shared, pins: None, numbers: config.number_matching, tasks })
    }

    /// With where PINs are, which people type on the phone; without it nobody is asked for theirs.
    #[must_use]
    pub fn with_pins(mut self, pins: Option<Pins>) -> Self {
        self.pins = pins;
        self
    }

    /// Figures for status pages and metrics.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        Status {
            stream_up: shared.stream_up.load(Ordering::Relaxed),
            waiting: shared.waiting.len(),
            late: shared.late.load(Ordering::Relaxed),
            garbled: shared.garbled.load(Ordering::Relaxed),
            cancels_lost: shared.cancels.lost(),
        }
    }

    /// Waits until the queued cancellations are sent, or `within` is over.
    pub async fn drain(&self, within: Duration) {
        // Time over: the prompts expire by themselves.
        let _ = tokio::time::timeout(within, self.shared.cancels.empty()).await;
    }

    /// What the person is to type on the phone.
    fn besides(&self, request: &Request) -> Result<Option<Box<Besides>>, Refusal> {
        let owed = factor::owes_pin(self, &request.person, request.method, request.pin_passed());
        let is_shown = request.method == Method::Push && request.tell.as_ref().is_some_and(Tell::while_open);
        let number = (self.numbers && is_shown).then(|| {
            let mut random = [0; 4];
            getrandom::fill(&mut random).map(|()| besides::number(random))
        });
        let number =
            number.transpose().inspect_err(|error| tracing::error!(%error, "no random octets from the kernel"));
        Ok(Besides::new(owed && self.carries_pin(request.method), number.map_err(|_| Refusal::Lost)?))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Factor for Native {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.shared.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let shared = &*self.shared;
        let (key, deadline) = (request.sign_in, Instant::from_std(request.deadline));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Expired)));
        }
        let besides = match self.besides(&request) {
            Ok(besides) => besides,
            Err(refusal) => return Box::pin(std::future::ready(Answer::Refused(refusal))),
        };
        let Ok(body) = wire::ask(&request, &shared.server, (shared.send, besides.as_deref()), left) else {
            return Box::pin(std::future::ready(Answer::Refused(Refusal::Misconfigured)));
        };
        let body = Bytes::from(body);
        if let Some(besides) = besides {
            let Request { method, person, tell, .. } = request;
            let unique_id = person.unique_id.clone();
            return Box::pin(self.hold_besides(Besided { key, method, unique_id, besides, tell, body, deadline }));
        }
        if !shared.waiting.register(key, request.method, client::unix_now()) {
            return Box::pin(std::future::ready(self.twice(key)));
        }
        drop(request);
        Box::pin(Held::new(shared, key).asked(Box::new((body, deadline))))
    }
}

impl Provider for Native {
    fn probe(&self) -> BoxFuture<'_, Result<Health, factor::Trouble>> {
        Box::pin(async { self.ping().await.map_err(|error| factor::Trouble(error.to_string())) })
    }

    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        Box::pin(Native::drain(self, within))
    }

    fn connections(&self) -> u64 {
        self.shared.transport.connections()
    }

    fn late_frauds(&self) -> Vec<SignInId> {
        std::mem::take(&mut *self.shared.late_frauds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    /// `POST`, again with the same key where a connection broke. What the service says goes to `waiting`;
    /// `sent` is set before anything can leave.
    async fn ask(&self, key: SignInId, begin: (Bytes, Instant), sent: &AtomicBool) -> Result<(), Refusal> {
        let (body, deadline) = begin;
        // Closed only when the semaphore is, which never happens.
        let Ok(_permit) = self.requests.acquire().await else { return Err(Refusal::Lost) };
        if self.transport.paused().is_some() {
            return Err(Refusal::Unreachable(UnreachableClass::RateLimited));
        }
        sent.store(true, Ordering::Relaxed);
        let mut maybe_sent = false;
        for attempt in 1..=ATTEMPTS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if maybe_sent { Refusal::Lost } else { Refusal::Expired });
            }
            let within = self.transport.timeout().min(left);
            let sending = async {
                if attempt == 1 { self.send(body.clone()).await } else { self.transport.ask(body.clone()).await }
            };
            let failure = match tokio::time::timeout(within, sending).await {
                Ok(Ok(reply)) => return self.take(key, &reply, maybe_sent),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::OutOfTime,
            };
            tracing::debug!(sign_in = %key, provider = self.name, ?failure, attempt, "request failed");
            match failure {
                Failure::Unsent(_) | Failure::Proxy if !maybe_sent => return Err(failure.refusal(false)),
                Failure::Unsent(_) | Failure::Proxy => {}
                Failure::Broken | Failure::OutOfTime => maybe_sent = true,
                Failure::CertificateRefused if maybe_sent => return Err(Refusal::Lost),
                Failure::CertificateRefused => return Err(Refusal::Unreachable(UnreachableClass::Refused)),
                Failure::TooLong => return Err(Refusal::Garbled),
            }
            if self.waiting.answer(key).is_some() {
                return Ok(());
            }
            tokio::time::sleep(RETRY_PAUSE.saturating_mul(attempt)).await;
        }
        Err(Refusal::Lost)
    }

    /// Takes the answer of `POST`. `maybe_sent`: an earlier try may have caused a prompt.
    fn take(&self, key: SignInId, reply: &Reply, maybe_sent: bool) -> Result<(), Refusal> {
        match reply.status {
            200 | 201 => {
                let message = object::read::<Message<'_>>(&reply.body).map_err(|_| Refusal::Garbled)?;
                // The task that would be woken is the one that runs here.
                self.waiting.deliver(key, &message, &self.server.name, client::unix_now());
                Ok(())
            }
            status => Err(refusal_of(status, &reply.body, maybe_sent)),
        }
    }

    /// Takes a message that came by itself or was polled for.
    fn deliver(&self, message: &Message<'_>) -> Delivery {
        let Some(key) = Key::parse(&message.idempotency_key) else {
            // Whom it was about cannot be known: ask for all.
            self.garbled.fetch_add(1, Ordering::Relaxed);
            self.ask_for_states();
            return Delivery::Unknown;
        };
        let delivery = self.waiting.deliver(key, message, &self.server.name, client::unix_now());
        if matches!(delivery, Delivery::Unknown) {
            self.late.fetch_add(1, Ordering::Relaxed);
            if message.state == "fraud" && message.server == self.server.name {
                let mut late = self.late_frauds.lock().unwrap_or_else(PoisonError::into_inner);
                if late.len() < LATE_FRAUDS {
                    late.push(key);
                }
                tracing::warn!(
                    sign_in = %key, provider = self.name,
                    "a fraud report came after its sign-in had ended: whoever it was is blocked"
                );
            }
        }
        delivery
    }

    /// Has every open prompt's state asked for once.
    fn ask_for_states(&self) {
        self.resync.store(true, Ordering::Release);
        self.nudge.notify_one();
    }
}

/// What an HTTP status other than 200 and 201 means (docs/native-protocol.md, "Errors").
fn refusal_of(status: u16, body: &[u8], maybe_sent: bool) -> Refusal {
    let no_prompt = |class| if maybe_sent { Refusal::Lost } else { Refusal::Unreachable(class) };
    match status {
        401 | 403 => no_prompt(UnreachableClass::Refused),
        429 => no_prompt(UnreachableClass::RateLimited),
        400..=499 => Refusal::Misconfigured,
        500..=599 => match object::read::<Trouble>(body) {
            Ok(Trouble { prompt_sent: Some(false) }) => no_prompt(UnreachableClass::ServerError),
            _ => Refusal::Lost,
        },
        _ => Refusal::Garbled,
    }
}

#[cfg(test)]
mod tests;
