//! The door for RADIUS over TLS: accepts, does the handshakes, finds whose certificate it is, and has one task for each
//! connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Books;
use super::connection::{Connection, End, Outbox};
use super::station::Station;
use crate::config::{Eleven, RadiusTls, TlsLimits};
use crate::radius::accounting::AccountingDoor;
use crate::radius::certificate::Shown;
use crate::radius::clients::{Known, Place, Stranger};
use crate::radius::discard::LogGate;
use crate::radius::door::{Door, Shared, Whose};
use crate::radius::eleven::{self, RADIUS_1_1, Serving};
use crate::radius::framing::first_packet;
use crate::radius::packet::MAX_PACKET;
use crate::signin::reception::SignIns;
use crate::telemetry::metrics::Metrics;
use crate::tls::{self, Authorities, Reloaded};

/// How long an accept loop rests after an error, so that a lasting one does not become a busy loop.
const REST: Duration = Duration::from_millis(20);

/// How often the files of the certificates are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Requests of one connection that are kept in mind: one for each identifier.
const REMEMBERED: usize = 256;

/// The same in RADIUS/1.1, whose tokens are many more: requests that run, and none that was answered.
const RUNNING: usize = 4096;

/// The running door.
#[derive(Debug)]
pub struct TlsListener {
    around: Arc<Around>,
    loops: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

/// What all connections share.
struct Around {
    shared: Arc<Shared>,
    sign_ins: Arc<SignIns>,
    books: Books,
    limits: TlsLimits,
    eleven: Eleven,
    config: Reloaded<ServerConfig>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Station<Outbox>>>>,
    next: AtomicU64,
    stopping: watch::Sender<bool>,
    gate: LogGate,
}

impl std::fmt::Debug for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("open", &self.open().len()).finish_non_exhaustive()
    }
}

impl Around {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Station<Outbox>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, refused: &Refused, peer: SocketAddr) {
        self.metrics.radius_tls_ended(refused.word()).inc();
        if self.gate.opens(self.shared.start(), std::time::Instant::now()) {
            tracing::warn!(%peer, cause = refused.word(), why = %refused, "a RADIUS connection over TLS was not served");
        }
    }
}

/// Why a connection is not served.
#[derive(Debug)]
enum Refused {
    /// As many connections as there may be.
    Connections,
    /// As many as its client may have.
    ClientConnections,
    /// No client over TLS has its address.
    Address,
    /// None of those that have its address has its certificate.
    Certificate,
    /// Its certificate is not good any more: its session was resumed.
    Expired,
    /// It does not speak RADIUS/1.1, which is required.
    Version,
    /// What went wrong before there was a certificate.
    Handshake(String),
}

impl Refused {
    fn word(&self) -> &'static str {
        match self {
            Refused::Connections => "connections",
            Refused::ClientConnections => "client_connections",
            Refused::Address => "unknown_address",
            Refused::Certificate => "unknown_certificate",
            Refused::Expired => "expired",
            Refused::Version => "version",
            Refused::Handshake(_) => "handshake",
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Connections => f.write_str("radius.tls.connections are open"),
            Refused::ClientConnections => f.write_str("the client has as many connections as its section allows"),
            Refused::Address => f.write_str("no client with transport = \"tls\" has this address"),
            Refused::Certificate => f.write_str("its certificate has none of the client's certificate_names"),
            Refused::Expired => f.write_str("its certificate has expired"),
            Refused::Version => f.write_str("it does not speak RADIUS/1.1, which radius.tls.radius_1_1 requires"),
            Refused::Handshake(why) => write!(f, "the TLS handshake failed: {why}"),
        }
    }
}

impl From<Stranger> for Refused {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Address => Refused::Address,
            Stranger::Certificate => Refused::Certificate,
        }
    }
}

impl TlsListener {
    /// Binds all addresses and starts to serve them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with a certificate or an address, in words; nothing is served then.
    pub fn start(
        door: &RadiusTls,
        shared: &Arc<Shared>,
        sign_ins: &Arc<SignIns>,
        books: &Books,
        metrics: &Arc<Metrics>,
    ) -> Result<TlsListener, String> {
        let authorities = Authorities { ca: door.client_ca.clone(), crl: door.client_crl.clone() };
        let certificate = door.certificate.clone();
        let mut files = vec![certificate.chain.clone(), certificate.key.clone(), authorities.ca.clone()];
        files.extend(authorities.crl.clone());
        let eleven = door.eleven;
        let make = move || tls::server_config(&certificate, Some(&authorities), eleven.protocols());
        let around = Arc::new(Around {
            shared: Arc::clone(shared),
            sign_ins: Arc::clone(sign_ins),
            books: books.clone(),
            limits: door.limits,
            eleven,
            config: Reloaded::new("the RADIUS door for TLS", files, make)?,
            metrics: Arc::clone(metrics),
            places: Arc::new(Semaphore::new(door.limits.connections)),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
            gate: LogGate::default(),
        });
        let bind = |address: &SocketAddr| {
            tls::listen(*address).map_err(|error| {
                format!("cannot listen on {address}: {error}; is another RadSec server running there?")
            })
        };
        let sockets = door.listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let addresses = sockets.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
        let addresses = addresses.map_err(|error| error.to_string())?;
        let mut loops: Vec<_> =
            sockets.into_iter().map(|socket| tokio::spawn(accept(socket, Arc::clone(&around)))).collect();
        loops.push(tokio::spawn(look_around(Arc::clone(&around))));
        Ok(TlsListener { around, loops, addresses })
    }

    /// Where connections are accepted, with the ports that the kernel chose for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads certificate, key and authorities again. Connections that are open stay.
    pub fn reload(&self) {
        self.around.config.reload();
    }

    /// Requests that are being worked on, and connections whose last answers are on their way.
    pub fn running(&self) -> usize {
        let open = self.around.open();
        let requests: usize = open.values().map(|station| station.door.running()).sum();
        if *self.around.stopping.borrow() { requests + open.len() } else { requests }
    }

    /// Accepts nothing more, and closes each connection when its last request has been answered.
    pub fn drain(&self) {
        self.loops.iter().for_each(JoinHandle::abort);
        self.around.stopping.send_replace(true);
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.drain();
    }
}

async fn accept(listener: TcpListener, around: Arc<Around>) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => match Arc::clone(&around.places).try_acquire_owned() {
                Ok(permit) => drop(tokio::spawn(serve(tcp, peer, permit, Arc::clone(&around)))),
                Err(_) => around.refuse(&Refused::Connections, peer),
            },
            Err(error) => {
                tracing::warn!(%error, "a RADIUS connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn look_around(around: Arc<Around>) {
    loop {
        tokio::time::sleep(LOOK).await;
        around.config.reload_if_changed();
    }
}

/// A connection's entry among those that are open. When it goes, so does all work for it: nobody is there to be
/// answered.
struct Registered {
    around: Arc<Around>,
    number: u64,
    station: Arc<Station<Outbox>>,
    _place: Place,
}

impl Registered {
    fn new(
        around: &Arc<Around>,
        (client, place): (Arc<Known>, Place),
        (peer, serving): (SocketAddr, Option<Serving>),
    ) -> Self {
        let eleven = serving.map(|serving| (serving, Arc::clone(&client)));
        let (whose, capacity) = whose(&client, serving);
        let door = Door::of(Arc::clone(&around.shared), whose, capacity);
        let station = Arc::new(Station { port: Outbox::new(peer, eleven), door });
        let number = around.next.fetch_add(1, Ordering::Relaxed);
        around.open().insert(number, Arc::clone(&station));
        around.metrics.radius_tls_connections.inc();
        Registered { around: Arc::clone(around), number, station, _place: place }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.station.door.give_up().into_iter().for_each(|work| work.task.abort());
        self.around.open().remove(&self.number);
        self.around.metrics.radius_tls_connections.dec();
    }
}

/// One connection, from its first octet to its last.
async fn serve(tcp: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, around: Arc<Around>) {
    let first_until = Instant::now() + around.limits.first_packet_within;
    let (stream, client, place) = match Box::pin(admit(tcp, peer, first_until, &around)).await {
        Ok(admitted) => admitted,
        Err(refused) => return around.refuse(&refused, peer),
    };
    let serving = match version(&stream, &around) {
        Ok(serving) => serving,
        Err(refused) => {
            Box::pin(refuse_version(stream, &client, first_until)).await;
            return around.refuse(&refused, peer);
        }
    };
    tracing::debug!(%peer, client = client.name(), eleven = serving.is_some(), "RADIUS over TLS");
    let (whose, capacity) = whose(&client, serving);
    let registered = Registered::new(&around, (Arc::clone(&client), place), (peer, serving));
    let connection = Connection {
        station: Arc::clone(&registered.station),
        accounting: Arc::new(AccountingDoor::of(Arc::clone(&around.shared), whose, capacity)),
        sign_ins: Arc::clone(&around.sign_ins),
        books: around.books.clone(),
        limits: around.limits,
    };
    let end = connection.converse(stream, first_until, around.stopping.subscribe()).await;
    drop(registered);
    if end != End::Closed {
        around.metrics.radius_tls_ended(end.word()).inc();
        tracing::debug!(%peer, client = client.name(), cause = end.word(), "a RADIUS connection over TLS was closed");
    }
    drop(permit);
}

/// Whose packets come, and how many requests are kept in mind.
fn whose(client: &Arc<Known>, serving: Option<Serving>) -> (Whose, usize) {
    match serving {
        Some(_) => (Whose::Once(Arc::clone(client)), RUNNING),
        None => (Whose::Proven(Arc::clone(client)), REMEMBERED),
    }
}

/// What is needed where ALPN has come to RADIUS/1.1.
fn version(stream: &TlsStream<TcpStream>, around: &Around) -> Result<Option<Serving>, Refused> {
    if stream.get_ref().1.alpn_protocol() != Some(RADIUS_1_1) {
        return if around.eleven == Eleven::Require { Err(Refused::Version) } else { Ok(None) };
    }
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).map_err(|error| Refused::Handshake(format!("no random octets ({error})")))?;
    Ok(Some(Serving { salt }))
}

/// Tells a client that does not speak RADIUS/1.1 why it is not served, in answer to its first packet.
async fn refuse_version(mut stream: TlsStream<TcpStream>, client: &Known, until: Instant) {
    let told = async {
        let mut input = bytes::BytesMut::with_capacity(MAX_PACKET);
        let length = loop {
            if let Some(length) = first_packet(&input).ok()? {
                break length;
            }
            if stream.read_buf(&mut input).await.ok()? == 0 {
                return None;
            }
        };
        let refusal = eleven::refusal(input.get(..length)?, &client.key)?;
        stream.write_all(&refusal).await.ok()?;
        stream.shutdown().await.ok()
    };
    // Whoever says or takes nothing hears nothing.
    let _ = timeout_at(until, told).await;
}

/// Whose connection it is, after its handshake.
async fn admit(
    tcp: TcpStream,
    peer: SocketAddr,
    until: Instant,
    around: &Around,
) -> Result<(TlsStream<TcpStream>, Arc<Known>, Place), Refused> {
    let (clients, address) = (&around.shared.clients, peer.ip());
    if !clients.expects(address) {
        return Err(Refused::Address);
    }
    let failed = |error: std::io::Error| Refused::Handshake(error.to_string());
    let handshake = TlsAcceptor::from(around.config.current()).accept(tcp);
    let late = |_| Refused::Handshake("it took too long".to_owned());
    let mut stream = timeout_at(until, handshake).await.map_err(late)?.map_err(failed)?;
    let proven = prove(&stream, peer, around);
    if proven.is_err() {
        // The client sees an end in order, and not a reset.
        let _ = timeout_at(until, stream.shutdown()).await;
    }
    proven.map(|(client, place)| (stream, client, place))
}

fn prove(stream: &TlsStream<TcpStream>, peer: SocketAddr, around: &Around) -> Result<(Arc<Known>, Place), Refused> {
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let shown = certificate.and_then(|certificate| Shown::read(certificate)).ok_or(Refused::Certificate)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if !shown.is_good(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)) {
        return Err(Refused::Expired);
    }
    let client = Arc::clone(around.shared.clients.prove(peer.ip(), &shown)?);
    let place = client.connect().ok_or(Refused::ClientConnections)?;
    Ok((client, place))
}
