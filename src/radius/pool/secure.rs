//! Lines over TLS (RFC 6614): the connection is made, verified by name, kept, and watched while nothing happens on it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::line::{Dropped, Drops, IDENTIFIERS, Line, Unsent};
use super::outgoing::Outgoing;
use super::{Settings, now};
use crate::config::{Eleven, TlsServer, TlsTarget};
use crate::radius::authenticator::ClientKey;
use crate::radius::changes;
use crate::radius::client::Request;
use crate::radius::duplicates::Reply;
use crate::radius::eleven::{Asking, RADIUS_1_1};
use crate::radius::framing::first_packet;
use crate::radius::packet::{MAX_PACKET, Packet};
use crate::tls::{self, Reloaded};

/// After a connection that could not be made no other is tried for this long; doubled with each further one.
const FIRST_REST: Duration = Duration::from_millis(250);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(8);
/// A line that has brought nothing for this long is asked whether its server is still there (Status-Server).
const WATCH: Duration = Duration::from_secs(20);
/// How long the other side may take none of what is sent to it.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// What the server hears to requests of its own.
type Refusals = Outgoing<Reply>;

/// A server that is reached over TLS.
#[derive(Debug)]
pub(super) struct Secure {
    server: TlsServer,
    name: ServerName<'static>,
    config: Arc<Reloaded<ClientConfig>>,
    eleven: Eleven,
    target: String,
    connect_within: Duration,
    /// Whether a silent line is asked by Status-Server.
    watched: bool,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
}

impl fmt::Display for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

impl Secure {
    /// Each server of a target. All share certificates and sessions that can be resumed.
    pub(super) fn each(target: &TlsTarget, settings: &Settings) -> Result<Vec<Secure>, String> {
        let (ca, own) = (target.ca.clone(), target.certificate.clone());
        let mut files: Vec<_> = own.iter().flat_map(|own| [own.chain.clone(), own.key.clone()]).collect();
        files.extend(ca.clone());
        let eleven = target.eleven;
        let make = move || tls::client_config(ca.as_deref(), own.as_ref(), eleven.protocols());
        let config = Arc::new(Reloaded::new(format!("target {}", settings.target), files, make)?);
        let secure = |server: &TlsServer| {
            let name = target.server_name.as_ref().unwrap_or(&server.host);
            let name = ServerName::try_from(name.clone()).map_err(|_| format!("{name:?} is no name of a server"))?;
            Ok(Secure {
                server: server.clone(),
                name,
                config: Arc::clone(&config),
                eleven,
                target: settings.target.clone(),
                connect_within: settings.timeout,
                watched: settings.probe.is_some(),
                rest: Mutex::default(),
            })
        };
        target.servers.iter().map(secure).collect()
    }

    /// Whether no connection is to be tried now.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rest().until.is_some_and(|until| now < until)
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        self.config.reload_if_changed();
        let addresses = tokio::net::lookup_host((self.server.host.as_str(), self.server.port)).await;
        let addresses = addresses.map_err(|error| format!("its name has no address ({error})"))?;
        let tcp = tls::connect(addresses).await.map_err(|error| format!("no connection ({error})"))?;
        let connector = TlsConnector::from(self.config.current());
        let tls = connector.connect(self.name.clone(), tcp).await;
        let tls = tls.map_err(|error| format!("TLS failed ({error}); see ca_file, server_name and certificate"))?;
        match (self.eleven, speaks_eleven(&tls)) {
            (Eleven::Require, false) => Err("the server does not speak RADIUS/1.1; see radius_1_1".to_owned()),
            _ => Ok(tls),
        }
    }

    /// Makes a connection, or notes that it could not be made.
    async fn connected(&self) -> Option<TlsStream<TcpStream>> {
        let made = timeout(self.connect_within, Box::pin(self.connect())).await;
        let made = made.unwrap_or_else(|_| Err(format!("no connection within {:?}", self.connect_within)));
        let mut rest = self.rest();
        match made {
            Ok(stream) => {
                *rest = Rest::default();
                Some(stream)
            }
            Err(why) => {
                let pause = FIRST_REST.saturating_mul(1 << rest.failures.min(8)).min(LONGEST_REST);
                rest.failures = rest.failures.saturating_add(1);
                rest.until = now().checked_add(pause);
                drop(rest);
                tracing::warn!(target_name = self.target, server = %self.server, why, "no TLS to a RADIUS server");
                None
            }
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the line's connection and keeps it for as long as it is good.
pub(super) async fn keep(line: Arc<Line>, secure: Arc<Secure>, key: Arc<ClientKey>, drops: Arc<Drops>) {
    // Also when this task is aborted: nobody is to wait for ever.
    let ends = Ends(Arc::clone(&line));
    let Some(stream) = secure.connected().await else { return };
    let refusals = Refusals::default();
    let unsent = (&line.unsent, &refusals);
    let asking = speaks_eleven(&stream).then(Mutex::<Asking>::default);
    let (reader, writer) = tokio::io::split(stream);
    let why = tokio::select! {
        why = read(reader, (&line, asking.as_ref()), (&key, &refusals), &drops) => why,
        why = write(writer, (unsent, asking.as_ref()), &key) => why,
        why = watch(&line, &secure, &key) => why,
        () = left(&line) => "nothing waits on it any more",
    };
    drop(ends);
    tracing::debug!(server = %secure.server, why, "a connection to a RADIUS target has ended");
}

struct Ends(Arc<Line>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whether ALPN has come to RADIUS/1.1.
fn speaks_eleven(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(RADIUS_1_1)
}

/// Reads replies. `asking`: where RADIUS/1.1 is spoken.
async fn read(
    mut reader: ReadHalf<TlsStream<TcpStream>>,
    (line, asking): (&Line, Option<&Mutex<Asking>>),
    (key, refusals): (&ClientKey, &Refusals),
    drops: &Drops,
) -> &'static str {
    let mut input = BytesMut::new();
    loop {
        input.reserve(MAX_PACKET);
        match reader.read_buf(&mut input).await {
            Ok(0) | Err(_) => return "the server closed it",
            Ok(_) => {}
        }
        loop {
            match first_packet(&input) {
                Ok(Some(length)) => {
                    let packet = input.split_to(length);
                    if asking.is_none() {
                        refuse_change(&packet, refusals, key);
                    }
                    let heard = match asking.map(|asking| lock(asking).reply(&packet, key)) {
                        None => line.hear(&packet, key),
                        Some(Some(reply)) => line.hear(&reply, key),
                        Some(None) => Err(Dropped::Unexpected),
                    };
                    if let Err(cause) = heard {
                        drops.note(cause);
                    }
                }
                Ok(None) => break,
                Err(_) => return "the server sent a length that no packet has",
            }
        }
    }
}

/// Answers a CoA-Request or Disconnect-Request of the server's, which would come by this connection if it could be relayed
/// (RFC 6614 section 2.5). A server that reads no answers gets no more of them than there are identifiers.
fn refuse_change(packet: &[u8], refusals: &Refusals, key: &ClientKey) {
    let refusal = Packet::decode(packet).ok().and_then(|packet| changes::unsupported(packet, key).ok());
    if let Some(refusal) = refusal.filter(|_| refusals.items().len() < IDENTIFIERS) {
        refusals.push(refusal);
    }
}

/// The requests of a chunk as RADIUS/1.1 has them. One that it cannot hold is left out, and its time runs out.
fn modern(chunk: &[u8], asking: &Mutex<Asking>, key: &ClientKey) -> Vec<u8> {
    let (mut rest, mut made) = (chunk, Vec::with_capacity(chunk.len()));
    while let Ok(Some((packet, more))) = first_packet(rest).map(|length| rest.split_at_checked(length?)) {
        made.extend(lock(asking).request(packet, key).unwrap_or_default());
        rest = more;
    }
    made
}

fn lock(asking: &Mutex<Asking>) -> MutexGuard<'_, Asking> {
    asking.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends requests. `asking`: where RADIUS/1.1 is spoken. Each packet is written by itself, and so has a record of TLS of its
/// own: FreeRADIUS 3.2 reads one packet of a record and closes the connection on what is behind it.
async fn write(
    mut writer: WriteHalf<TlsStream<TcpStream>>,
    (unsent, asking): ((&Unsent, &Refusals), Option<&Mutex<Asking>>),
    key: &ClientKey,
) -> &'static str {
    let mut chunk = Vec::new();
    loop {
        next(unsent, &mut chunk).await;
        if let Some(asking) = asking {
            chunk = modern(&chunk, asking, key);
        }
        let written = timeout(SEND_WITHIN, async {
            let mut rest = chunk.as_slice();
            while let Some(length) = first_packet(rest).ok().flatten() {
                let (packet, more) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                writer.write_all(packet).await?;
                rest = more;
            }
            writer.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "it broke",
            Err(_) => return "the server takes nothing",
        }
    }
}

/// Asks for the server's status when nothing has happened for a while, and ends when there is no answer.
async fn watch(line: &Arc<Line>, secure: &Secure, key: &ClientKey) -> &'static str {
    if !secure.watched {
        return std::future::pending().await;
    }
    loop {
        let heard = line.heard();
        tokio::time::sleep(WATCH).await;
        if line.heard() != heard {
            continue;
        }
        let mut authenticator = [0; 16];
        if getrandom::fill(&mut authenticator).is_err() {
            continue;
        }
        let Some(mut taken) = line.take(authenticator, false) else { continue };
        let Ok(packet) = Request::status().encode(taken.identifier, &authenticator, key) else { continue };
        taken.send(packet.into());
        let answered = timeout(secure.connect_within.saturating_mul(2), taken.heard()).await.is_ok();
        drop(taken);
        // A server that is slow with a sign-in may be one that does not know Status-Server.
        if !answered && line.heard() == heard && line.busy() == 0 {
            return "the server does not answer";
        }
    }
}

/// A retired line is over when nothing waits on it.
async fn left(line: &Line) {
    while !(line.is_retired() && line.busy() == 0) {
        line.left.notified().await;
    }
}

/// Waits for packets and puts some of them into `chunk`.
async fn next((unsent, refusals): (&Unsent, &Refusals), chunk: &mut Vec<u8>) {
    chunk.clear();
    tokio::select! {
        _ = unsent.filled() => {}
        _ = refusals.filled() => {}
    }
    refusals.items().drain(..).for_each(|refusal| chunk.extend_from_slice(&refusal));
    let mut packets = unsent.items();
    while chunk.len() < MAX_PACKET
        && let Some((_, packet)) = packets.pop_front()
    {
        chunk.extend_from_slice(&packet);
    }
}
