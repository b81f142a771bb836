//! RADIUS over TCP without TLS (RFC 6613), on loopback addresses alone: for tests, and programs of this machine that need
//! a stream. Clients are known by address and secret, as over UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Books;
use super::connection::{Connection, Outbox};
use super::station::Station;
use crate::config::TlsLimits;
use crate::radius::accounting::AccountingDoor;
use crate::radius::discard::Discarded;
use crate::radius::door::{Door, Shared, Whose};
use crate::signin::reception::SignIns;
use crate::tls;

/// How long an accept loop rests after an error, so that a lasting one does not become a busy loop.
const REST: Duration = Duration::from_millis(20);

/// Requests of one connection that are kept in mind: one for each identifier.
const REMEMBERED: usize = 256;

/// What its connections may take.
const LIMITS: TlsLimits = TlsLimits {
    connections: 256,
    first_packet_within: Duration::from_secs(10),
    idle: Duration::from_secs(600),
    send_within: Duration::from_secs(30),
};

/// The running door.
#[derive(Debug)]
pub struct LoopbackListener {
    around: Arc<Around>,
    loops: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

/// What all connections share.
struct Around {
    shared: Arc<Shared>,
    sign_ins: Arc<SignIns>,
    books: Books,
    places: Arc<Semaphore>,
    open: Mutex<Vec<Weak<Station<Outbox>>>>,
    stopping: watch::Sender<bool>,
}

impl std::fmt::Debug for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

impl LoopbackListener {
    /// Binds all addresses and starts to serve them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says to an address, or that it is none of the loopback network; nothing is served then.
    pub fn start(
        listen: &[SocketAddr],
        shared: &Arc<Shared>,
        sign_ins: &Arc<SignIns>,
        books: &Books,
    ) -> io::Result<LoopbackListener> {
        let bind = |address: &SocketAddr| {
            if !address.ip().is_loopback() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an address of the loopback network"));
            }
            tls::listen(*address)
        };
        let sockets = listen.iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        let addresses = sockets.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let around = Arc::new(Around {
            shared: Arc::clone(shared),
            sign_ins: Arc::clone(sign_ins),
            books: books.clone(),
            places: Arc::new(Semaphore::new(LIMITS.connections)),
            open: Mutex::default(),
            stopping: watch::Sender::new(false),
        });
        let loops = sockets.into_iter().map(|socket| tokio::spawn(accept(socket, Arc::clone(&around)))).collect();
        Ok(LoopbackListener { around, loops, addresses })
    }

    /// Where connections are accepted.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Requests that are being worked on.
    pub fn running(&self) -> usize {
        let open = self.around.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(Weak::upgrade).map(|station| station.door.running()).sum()
    }

    /// Accepts nothing more, and closes each connection when its last request has been answered.
    pub fn drain(&self) {
        self.loops.iter().for_each(JoinHandle::abort);
        self.around.stopping.send_replace(true);
    }
}

impl Drop for LoopbackListener {
    fn drop(&mut self) {
        self.drain();
    }
}

async fn accept(listener: TcpListener, around: Arc<Around>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Nobody waits for a place: who finds none is closed.
                if let Ok(permit) = Arc::clone(&around.places).try_acquire_owned() {
                    tokio::spawn(serve(stream, peer, permit, Arc::clone(&around)));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a RADIUS connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// One connection, from its first octet to its last.
async fn serve(stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, around: Arc<Around>) {
    if around.shared.clients.find(peer.ip()).is_none() {
        around.shared.discard(Discarded::UnknownSource, peer, None, std::time::Instant::now());
        return;
    }
    let door = Door::of(Arc::clone(&around.shared), Whose::ByAddress, REMEMBERED);
    let station = Arc::new(Station { port: Outbox::new(peer, None), door });
    {
        let mut open = around.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|station| station.strong_count() > 0);
        open.push(Arc::downgrade(&station));
    }
    let connection = Connection {
        station: Arc::clone(&station),
        accounting: Arc::new(AccountingDoor::of(Arc::clone(&around.shared), Whose::ByAddress, REMEMBERED)),
        sign_ins: Arc::clone(&around.sign_ins),
        books: around.books.clone(),
        limits: LIMITS,
    };
    let first_until = Instant::now() + LIMITS.first_packet_within;
    let end = connection.converse(stream, first_until, around.stopping.subscribe()).await;
    // Nobody is there to be answered.
    station.door.give_up().into_iter().for_each(|work| work.task.abort());
    tracing::debug!(%peer, cause = end.word(), "a RADIUS connection over TCP was closed");
    drop(permit);
}
