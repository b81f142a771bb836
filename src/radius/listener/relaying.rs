//! The loops for changes: a target's request goes to the client, and its answer back.
//!
//! One socket for each address. A request that goes on is a task of its own, which ends within [`PATIENCE`]; how many there
//! are at once the door bounds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use super::port::{Buffer, Port, Route};
use super::{Troubles, station, take_turn};
use crate::config::{Balance, changes as configured};
use crate::radius::authenticator::{ClientKey, Verified};
use crate::radius::changes::{Cause, Changes, Relay, Step};
use crate::radius::door::Shared;
use crate::radius::packet::Packet;
use crate::radius::pool::{self, NoReply, Pool, Replied};
use crate::telemetry::metrics::Metrics;

/// From one sending to a client to the next.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a client is sent a request.
const TRIES: u32 = 3;
/// How long a client has for its answer in all.
const PATIENCE: Duration = Duration::from_secs(8);
/// Sockets to one client, each good for 256 requests at once.
const SOCKETS: usize = 2;

/// The running door.
#[derive(Debug)]
pub struct ChangesListener {
    loops: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Relaying {
    changes: Changes,
    metrics: Arc<Metrics>,
    /// By the position of the client.
    pools: Vec<Pool>,
}

impl ChangesListener {
    /// Binds all addresses and starts to serve them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says to an address; nothing is served then.
    pub fn start(
        configured: &configured::Changes,
        shared: &Arc<Shared>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<ChangesListener> {
        let changes = Changes::new(configured, Arc::clone(shared));
        let pool =
            |client: &crate::radius::changes::Asked| Pool::new(settings(&client.name), &[client.to], &client.key);
        let pools = changes.clients().iter().map(pool).collect();
        let relaying = Arc::new(Relaying { changes, metrics: Arc::clone(metrics), pools });
        drop(configured.listen.iter().map(|address| Port::bind_alone(*address)).collect::<io::Result<Vec<_>>>()?);
        let ports = configured.listen.iter().map(|address| Port::bind(*address));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        let addresses = ports.iter().map(Port::address).collect::<io::Result<Vec<_>>>()?;
        let serve = |port| tokio::spawn(serve(Arc::new(port), Arc::clone(&relaying)));
        Ok(ChangesListener { loops: ports.into_iter().map(serve).collect(), addresses })
    }

    /// The addresses that changes are received on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for ChangesListener {
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}

fn settings(client: &str) -> pool::Settings {
    pool::Settings {
        target: client.to_owned(),
        balance: Balance::Ordered,
        timeout: TIMEOUT,
        tries: TRIES,
        // RFC 5176 leaves it to the client.
        requires_signature: false,
        probe: None,
        dead_for: TIMEOUT,
        sockets: SOCKETS,
    }
}

async fn serve(port: Arc<Port>, relaying: Arc<Relaying>) {
    let mut buffer = Buffer::new();
    let mut troubles = Troubles::default();
    loop {
        let turn = take_turn(&port, &mut buffer, |bytes, route| {
            match relaying.changes.receive(route.peer, bytes, (Instant::now(), SystemTime::now())) {
                Step::Discard(_) | Step::Running => {}
                Step::Reply(reply) => station::send_now(&*port, &reply, &route),
                Step::Relay(relay) => {
                    tokio::spawn(relay_one(Arc::clone(&relaying), relay, (Arc::clone(&port), route)));
                }
            }
        });
        troubles.after(turn.await).await;
    }
}

/// Asks the client, and answers the target.
async fn relay_one(relaying: Arc<Relaying>, relay: Box<Relay>, (port, route): (Arc<Port>, Route)) {
    let changes = &relaying.changes;
    let (Some(client), Some(pool)) = (changes.clients().get(relay.client), relaying.pools.get(relay.client)) else {
        return;
    };
    let make = |identifier: u8, _: &_| relay.encode(identifier, &client.key);
    let deadline = tokio::time::Instant::now().into_std() + PATIENCE;
    let said = match pool.ask(None, &make, deadline).await {
        Ok(replied) => read(&relay, &replied, &client.key).ok_or(Cause::OtherProxyProcessingError),
        Err(NoReply::Unanswered) => Err(Cause::OtherProxyProcessingError),
        Err(NoReply::Unreachable) => Err(Cause::RequestNotRoutable),
        Err(NoReply::Full | NoReply::TooLong) => Err(Cause::ResourcesUnavailable),
    };
    let answer = match &said {
        Ok((true, _)) => "ack",
        Ok((false, _)) => "nak",
        Err(_) => "none",
    };
    let cause = said.as_ref().err().map(|cause| *cause as u32);
    let (target_name, kind) = (changes.target_of(&relay), relay.word());
    relaying.metrics.radius_changes((target_name, &client.name), kind, answer).inc();
    // What is changed stays out of the log: a session's attributes are the client's and the target's.
    tracing::info!(target_name, client = client.name, kind, answer, cause, "session change relayed");
    if let Some(reply) = changes.finish(&relay, said, Instant::now()) {
        station::send_now(&*port, &reply, &route);
    }
}

/// What the client says in a reply that the pool has verified.
fn read(relay: &Relay, replied: &Replied, key: &ClientKey) -> Option<(bool, Vec<u8>)> {
    let packet = Packet::decode(&replied.packet).ok()?;
    relay.read(&Verified::reply(packet, &replied.request, key).ok()?.packet())
}
