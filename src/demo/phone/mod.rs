//! The phone simulator: a prompt service that speaks the whole native protocol, with a web page that
//! stands for everybody's phone. For the demo, the tests and the benchmarks; on loopback only.
//!
//! * `/v1/…`: the native protocol (`protocol`), signed where a key is configured.
//! * `/`: the page with its buttons (`page`).
//! * `/simulator/…`: what to do by itself, figures, and a plain endpoint (`simulator`).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::demo::phone::admission::Nonces;
use crate::demo::phone::listener::{Connections, Peer, PhoneListener};
use crate::demo::phone::prompts::Prompts;
use crate::factor::native::client::unix_now;
use crate::factor::native::signing::{KeyError, Signer, push_hex};
use crate::secret::Secret;

pub mod behaviour;
pub mod prompts;

pub(crate) mod admission;
pub(crate) mod answers;
pub(crate) mod events;
pub(crate) mod listener;
pub(crate) mod page;
pub(crate) mod wanted;

mod prompt;
mod protocol;
mod simulator;
mod state;

pub use behaviour::{Behaviour, Decision, Garbage, Moment};
pub use prompts::{Counts, Prompt, State};

/// Planned things done under one lock.
const BATCH: usize = 512;

/// How a simulator is started.
#[derive(Debug, Default)]
pub struct PhoneOptions {
    /// The key that requests must be signed with: its id and itself. Without one, unsigned requests are
    /// taken (behind a TLS front that checks client certificates, or to play with curl).
    pub key: Option<(String, Secret)>,
    /// What happens to prompts of people who have no behaviour of their own.
    pub behaviour: Behaviour,
}

/// What has been seen of one idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Requests.
    pub posts: u32,
    /// Prompts: 0 or 1.
    pub prompts: u32,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Phone {
    local: SocketAddr,
    simulator: Arc<Simulator>,
    connections: Arc<Connections>,
    tasks: [JoinHandle<()>; 2],
}

/// What the handlers share.
struct Simulator {
    signer: Option<Signer>,
    nonces: Mutex<Nonces>,
    prompts: Mutex<Prompts>,
    /// Rings when something is due earlier than before.
    plan_changed: Notify,
    /// Bumped to end every event stream.
    streams_end: watch::Sender<u64>,
    /// Whether event streams can be opened.
    streams_open: AtomicBool,
    /// On the page's forms, and its content security policy.
    token: String,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("counts", &self.prompts().counts).finish_non_exhaustive()
    }
}

impl Phone {
    /// Starts a simulator on a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be bound, or the key is unfit.
    pub async fn start(address: SocketAddr, options: PhoneOptions) -> io::Result<Self> {
        if !address.ip().to_canonical().is_loopback() {
            let text = "the phone simulator serves loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let signer = options.key.map(|(id, key)| Signer::new(&id, &key)).transpose().map_err(unfit)?;
        let tcp = TcpListener::bind(address).await?;
        let local = tcp.local_addr()?;
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (mut token, epoch) =
            (String::new(), u64::from(u32::from_be_bytes([random[0], random[1], random[2], random[3]])));
        push_hex(&mut token, random.get(8..).unwrap_or_default());
        let mut prompts = Prompts::new(epoch);
        prompts.behaviours.set(None, options.behaviour);
        let simulator = Arc::new(Simulator {
            signer,
            nonces: Mutex::default(),
            prompts: Mutex::new(prompts),
            plan_changed: Notify::new(),
            streams_end: watch::Sender::new(0),
            streams_open: AtomicBool::new(true),
            token,
        });
        let routes = Router::new()
            .merge(protocol::routes())
            .merge(simulator::routes())
            .merge(page::routes::<Simulator>())
            .with_state(Arc::clone(&simulator))
            .into_make_service_with_connect_info::<Peer>();
        let connections = Arc::new(Connections::default());
        let listener = PhoneListener { tcp, connections: Arc::clone(&connections) };
        let tasks = [
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::error!(%error, "phone simulator stopped");
                }
            }),
            tokio::spawn(schedule(Arc::clone(&simulator))),
        ];
        Ok(Phone { local, simulator, connections, tasks })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its base address, for a provider's `url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.local)
    }

    /// Decides every pending prompt of a login name; how many there were.
    pub fn decide(&self, person: &str, decision: Decision) -> usize {
        self.simulator.decide_person(person, decision)
    }

    /// The prompts that are remembered, oldest first.
    pub fn prompts(&self) -> Vec<Prompt> {
        let mut all: Vec<Prompt> = self.simulator.prompts().iter().cloned().collect();
        all.sort_unstable_by_key(|prompt| prompt.number);
        all
    }

    /// How many prompts are pending.
    pub fn pending(&self) -> usize {
        self.simulator.prompts().iter().filter(|prompt| prompt.state == State::Pending).count()
    }

    /// What has been seen of an idempotency key.
    pub fn seen(&self, key: &str) -> Seen {
        let prompts = self.simulator.prompts();
        let known = prompts.by_key(key);
        Seen {
            posts: known.map_or(0, |prompt| prompt.posts).saturating_add(prompts.early_posts(key)),
            prompts: u32::from(known.is_some()),
            cancelled: prompts.is_cancelled(key),
        }
    }

    /// Figures since the start.
    pub fn counts(&self) -> Counts {
        self.simulator.prompts().counts
    }

    /// Sets what happens to prompts of one login name, or of everybody who has no behaviour of their own.
    pub fn set_behaviour(&self, person: Option<&str>, behaviour: Behaviour) {
        self.simulator.prompts().behaviours.set(person, behaviour);
    }

    /// Gives a person a code that is good for one time.
    pub fn give_code(&self, person: &str, code: &str) {
        self.simulator.prompts().behaviours.give_code(person, code);
    }

    /// What a person types on their phone from now on, whatever they are asked for: their PIN, or another number than the one
    /// that is shown.
    pub fn types(&self, person: &str, pin: Option<&str>, number: Option<&str>) {
        let mut prompts = self.simulator.prompts();
        if let Some(pin) = pin {
            prompts.behaviours.give_pin(person, pin);
        }
        if let Some(number) = number {
            prompts.behaviours.give_number(person, number);
        }
    }

    /// Ends all event streams, and lets new ones be opened or not.
    pub fn drop_streams(&self, open_again: bool) {
        self.simulator.streams_open.store(open_again, Ordering::Relaxed);
        self.simulator.streams_end.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Lets event streams be opened again.
    pub fn allow_streams(&self) {
        self.simulator.streams_open.store(true, Ordering::Relaxed);
    }

    /// Forgets all events, as a service does that was restarted: no cursor is known any more.
    pub fn forget_events(&self) {
        self.simulator.prompts().events.forget();
    }

    /// Stops at once: the port is closed and every connection is cut.
    pub async fn stop(mut self) {
        self.halt();
        for task in &mut self.tasks {
            // Aborted is what it shall be.
            let _ = task.await;
        }
        self.connections.cut_all();
    }

    fn halt(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connections.cut_all();
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.halt();
    }
}

fn unfit(error: KeyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the signing key is unfit: {error:?}"))
}

impl Simulator {
    /// The table. A poisoned one is still of use in a simulator.
    fn prompts(&self) -> MutexGuard<'_, Prompts> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide_person(&self, person: &str, decision: Decision) -> usize {
        let mut prompts = self.prompts();
        let (now, wall) = (Instant::now(), unix_now());
        let theirs = prompts.iter().filter(|prompt| &*prompt.person == person && prompt.state == State::Pending);
        let numbers: Vec<u64> = theirs.map(|prompt| prompt.number).collect();
        numbers.into_iter().filter(|number| prompts.decide(*number, decision.into(), now, wall)).count()
    }

    /// Counts a request for a state; the prompt's number, and what rings when it is decided.
    fn poll(&self, number: Option<u64>, wait: bool) -> (Option<u64>, Option<oneshot::Receiver<State>>) {
        let mut prompts = self.prompts();
        prompts.counts.polls = prompts.counts.polls.saturating_add(1);
        (number, number.filter(|_| wait).and_then(|number| prompts.wait(number)))
    }
}

/// Does what is planned, when it is due.
async fn schedule(simulator: Arc<Simulator>) {
    loop {
        let now = Instant::now();
        let next = {
            let mut prompts = simulator.prompts();
            prompts.run_due(now, unix_now(), BATCH);
            prompts.next_due()
        };
        match next {
            Some(next) if next <= now => tokio::task::yield_now().await,
            _ => {
                let sleep = next.map_or(Duration::from_secs(60), |next| next.saturating_duration_since(now));
                // Time over, or something earlier was planned: look again either way.
                let _ = tokio::time::timeout(sleep, simulator.plan_changed.notified()).await;
            }
        }
    }
}
