//! The LDAP door's sockets: accepts, finds the client, does the handshakes, and has one task for each connection.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::clients::{Admitted, Clients, Place};
use super::pool::Wire;
use super::proxy;
use super::relay::{Behind, Event, Link, Surroundings};
use super::session::{Rules, Session};
use super::shed::{Cause, Sheds};
use crate::config::{self, AddressRange, Certificate, LdapClient, LdapLimits};
use crate::telemetry::metrics::Metrics;
use crate::tls::ticket::LateTicket;
use crate::tls::{self, Reloaded};

/// How long an accept loop rests after an error, so that a lasting one does not become a busy loop.
const REST: Duration = Duration::from_millis(20);
/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A directory, by whatever way it is reached.
pub type Directories = Arc<dyn Behind>;

/// The running door.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    loops: Vec<JoinHandle<()>>,
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
}

struct Shared {
    clients: Clients<Directories>,
    balancers: Vec<AddressRange>,
    limits: LdapLimits,
    certificates: Option<Reloaded<rustls::ServerConfig>>,
    surroundings: Arc<Surroundings>,
    metrics: Arc<Metrics>,
    sheds: Sheds,
    open: Mutex<std::collections::HashMap<u64, Arc<Handle>>>,
    next: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("open", &self.clients.open()).finish_non_exhaustive()
    }
}

const RUNNING: u8 = 0;
const STOPPING: u8 = 1;
const OVER: u8 = 2;

/// By which a connection hears that the server stops.
#[derive(Debug)]
struct Handle {
    stage: AtomicU8,
    waker: AtomicWaker,
}

impl Handle {
    fn tell(&self, stage: u8) {
        self.stage.store(stage, Ordering::Release);
        self.waker.wake();
    }
}

/// A connection's entry among those that hear of a stop.
struct Registered {
    shared: Arc<Shared>,
    number: u64,
    handle: Arc<Handle>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.open().remove(&self.number);
        self.shared.metrics.ldap_connections.dec();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, std::collections::HashMap<u64, Arc<Handle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shed(&self, cause: Cause, source: IpAddr, client: Option<&str>) {
        self.sheds.note(cause, source, client, std::time::Instant::now());
    }

    fn register(self: &Arc<Self>) -> Registered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(Handle { stage: AtomicU8::new(RUNNING), waker: AtomicWaker::new() });
        self.open().insert(number, Arc::clone(&handle));
        self.metrics.ldap_connections.inc();
        Registered { shared: Arc::clone(self), number, handle }
    }
}

impl Listener {
    /// Binds all addresses and starts to serve them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the certificate, a client's target or an address, in words; nothing is served then.
    pub fn start(
        door: &config::Ldap,
        surroundings: Surroundings,
        metrics: Arc<Metrics>,
        behind: impl Fn(&str) -> Option<Directories>,
    ) -> Result<Listener, String> {
        let clients = door.clients.iter().map(|client| {
            let target = &client.client.target;
            let behind = behind(target).ok_or_else(|| format!("target {target:?} is no directory"))?;
            Ok((Arc::clone(client), behind))
        });
        let clients = clients.collect::<Result<Vec<_>, String>>()?;
        let shared = Arc::new(Shared {
            clients: Clients::new(clients, door.limits.connections),
            balancers: door.proxy_protocol.clone(),
            limits: door.limits,
            certificates: door.certificate.as_ref().map(certificates).transpose()?,
            surroundings: Arc::new(surroundings),
            sheds: Sheds::new(Arc::clone(&metrics), std::time::Instant::now()),
            metrics,
            open: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let mut listener = Listener { shared, loops: Vec::new(), plain: Vec::new(), tls: Vec::new() };
        let bind = |address: &SocketAddr| {
            tls::listen(*address)
                .map_err(|error| format!("cannot listen on {address}: {error}; is another LDAP server running there?"))
        };
        let plain = door.listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let tls = door.listen_tls.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        for (sockets, is_tls) in [(plain, false), (tls, true)] {
            for socket in sockets {
                let address = socket.local_addr().map_err(|error| error.to_string())?;
                if is_tls { &mut listener.tls } else { &mut listener.plain }.push(address);
                listener.loops.push(tokio::spawn(accept(socket, is_tls, Arc::clone(&listener.shared))));
            }
        }
        if !listener.loops.is_empty() {
            listener.loops.push(tokio::spawn(look_around(Arc::clone(&listener.shared))));
        }
        Ok(listener)
    }

    /// Where LDAP is spoken, with the ports that the kernel chose for 0.
    pub fn plain(&self) -> &[SocketAddr] {
        &self.plain
    }

    /// Where TLS begins with the first octet.
    pub fn tls(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Reads certificate and key again.
    pub fn reload(&self) {
        self.shared.certificates.iter().for_each(Reloaded::reload);
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.clients.open()
    }

    /// Accepts nothing more. What is under way is finished; connections on which nothing is get the Notice of
    /// Disconnection (RFC 4511 section 4.4.1).
    pub fn drain(&self) {
        self.loops.iter().for_each(JoinHandle::abort);
        self.shared.open().values().for_each(|handle| handle.tell(STOPPING));
    }

    /// Waits until nothing is under way on any connection any more: after [`Listener::drain`], until the last one has ended.
    pub async fn finished(&self) {
        while self.connections() > 0 {
            tokio::time::sleep(REST).await;
        }
    }

    /// Ends every connection with the Notice of Disconnection, and waits until they have it.
    pub async fn close(&self) {
        self.shared.open().values().for_each(|handle| handle.tell(OVER));
        self.finished().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.drain();
        self.shared.open().values().for_each(|handle| handle.tell(OVER));
    }
}

/// The certificate that clients see, read again when its files change. Connections that are open keep theirs.
fn certificates(files: &Certificate) -> Result<Reloaded<rustls::ServerConfig>, String> {
    let (paths, files) = (vec![files.chain.clone(), files.key.clone()], files.clone());
    Reloaded::new("the LDAP door", paths, move || tls::server_config(&files, None, &[]))
}

async fn accept(listener: TcpListener, tls: bool, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => match shared.clients.place() {
                Ok(place) => drop(tokio::spawn(serve(tcp, peer, tls, place, Arc::clone(&shared)))),
                Err(cause) => shared.shed(cause, peer.ip(), None),
            },
            Err(error) => {
                tracing::warn!(%error, "an LDAP connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// What is to be done now and then: new certificates, events of sign-ins that stood.
async fn look_around(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        shared.certificates.iter().for_each(Reloaded::reload_if_changed);
        shared.surroundings.sign_ins.tell_standings(false);
    }
}

/// One connection, from its first octet to its last.
async fn serve(tcp: TcpStream, peer: SocketAddr, tls: bool, place: Place, shared: Arc<Shared>) {
    let within = shared.limits.first_message_within;
    let admitted = timeout(within, Box::pin(admit(tcp, peer, tls, &shared))).await;
    let (client, wire, source) = match admitted {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(why)) => {
            tracing::debug!(%peer, why, "an LDAP connection ended before it began");
            return;
        }
        Err(_) => return shared.shed(Cause::FirstMessage, peer.ip(), None),
    };
    let registered = shared.register();
    let known = client.client();
    let rules = rules(&known.config, &shared, source);
    let session = Session::new(rules, tls);
    let surroundings = Arc::clone(&shared.surroundings);
    let link =
        Link::new(surroundings, Arc::clone(&known.config), Arc::clone(&known.behind), source.address, wire, session);
    let (link, last_words) = converse(link, &registered).await;
    drop(registered);
    Box::pin(link.finish(last_words)).await;
    drop(place);
}

fn rules(client: &LdapClient, shared: &Shared, source: Source) -> Rules {
    Rules {
        // What stays within this machine cannot be overheard on the way.
        plaintext: client.plaintext || source.here,
        anonymous: client.anonymous,
        sasl: client.sasl,
        start_tls: shared.certificates.is_some(),
        limits: shared.limits,
    }
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
struct Source {
    address: IpAddr,
    /// From this very machine, not by way of a balancer.
    here: bool,
}

type Welcome = (Admitted<Directories>, Box<dyn Wire>, Source);

/// Whose connection it is, and its handshake.
async fn admit(mut tcp: TcpStream, peer: SocketAddr, is_tls: bool, shared: &Shared) -> Result<Welcome, String> {
    let ip = peer.ip().to_canonical();
    let source = if shared.balancers.iter().any(|range| range.contains(ip)) {
        let told = told_source(&mut tcp).await.map_err(|why| {
            shared.shed(Cause::Balancer, ip, None);
            format!("a balancer's header: {why}")
        })?;
        Source { address: told.unwrap_or(ip), here: false }
    } else {
        Source { address: ip, here: ip.is_loopback() }
    };
    let client = shared.clients.admit(source.address).map_err(|cause| {
        shared.shed(cause, source.address, None);
        cause.word().to_owned()
    })?;
    let wire: Box<dyn Wire> = if is_tls {
        protect(Box::new(tcp), shared, (source.address, &client.client().config.client.name)).await?
    } else {
        Box::new(tcp)
    };
    Ok((client, wire, source))
}

async fn protect(
    wire: Box<dyn Wire>,
    shared: &Shared,
    (source, client): (IpAddr, &str),
) -> Result<Box<dyn Wire>, String> {
    let certificates = shared.certificates.as_ref().ok_or("there is no certificate")?;
    let acceptor = TlsAcceptor::from(certificates.current());
    let mut protected = acceptor.accept(LateTicket::new(wire)).await.map_err(|error| {
        // Whoever only looks whether somebody listens hangs up, every few seconds.
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            shared.metrics.ldap_refused(Cause::Handshake.word()).inc();
        } else {
            shared.shed(Cause::Handshake, source, Some(client));
        }
        format!("the TLS handshake failed: {error}")
    })?;
    protected.get_mut().0.handshake_is_over();
    Ok(Box::new(protected))
}

async fn told_source(tcp: &mut TcpStream) -> Result<Option<IpAddr>, String> {
    let mut octets = [0; proxy::START];
    tcp.read_exact(&mut octets).await.map_err(|error| error.to_string())?;
    let start = proxy::start(&octets).map_err(|bad| format!("{bad:?}"))?;
    let mut rest = vec![0; start.rest];
    tcp.read_exact(&mut rest).await.map_err(|error| error.to_string())?;
    proxy::source(start, &rest).map_err(|bad| format!("{bad:?}"))
}

/// Serves a connection until one side ends it. The last words come back with it.
async fn converse(mut link: Link, registered: &Registered) -> (Link, Option<Vec<u8>>) {
    let handle = &registered.handle;
    let mut timer = pin!(sleep_until(link.next_look()));
    loop {
        let event = poll_fn(|context| {
            handle.waker.register(context.waker());
            match handle.stage.load(Ordering::Acquire) {
                RUNNING => {}
                STOPPING => link.stop(),
                _ => return Poll::Ready(Some(Event::End(link.farewell()))),
            }
            if let Poll::Ready(event) = link.poll(context) {
                return Poll::Ready(Some(event));
            }
            let next = link.next_look();
            if next < timer.deadline() {
                timer.as_mut().reset(next);
            }
            timer.as_mut().poll(context).map(|()| None)
        });
        match event.await {
            Some(Event::End(last_words)) => return (link, last_words),
            Some(Event::Shed(cause)) => return shed(link, cause, registered),
            Some(Event::StartTls) => {
                let Some(client) = link.take_client() else { return (link, None) };
                let shared = &registered.shared;
                let (source, name) = link.who();
                let name = name.to_owned();
                let handshake = Box::pin(protect(client, shared, (source, &name)));
                match timeout(shared.limits.first_message_within, handshake).await {
                    Ok(Ok(wire)) => link.protected(wire),
                    _ => return (link, None),
                }
            }
            None => {
                match link.look(Instant::now()) {
                    Some(Event::End(last_words)) => return (link, last_words),
                    Some(Event::Shed(cause)) => return shed(link, cause, registered),
                    Some(Event::StartTls) | None => {}
                }
                timer.as_mut().reset(link.next_look());
            }
        }
    }
}

fn shed(link: Link, cause: Cause, registered: &Registered) -> (Link, Option<Vec<u8>>) {
    let (source, client) = link.who();
    registered.shared.shed(cause, source, Some(client));
    (link, cause.notice())
}
