//! The sockets of a simulated service: plain or TLS, HTTP/1.1 or HTTP/2, every connection and handshake counted, and
//! all of them can be cut.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use rustls::HandshakeKind;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::demo::phone::listener::{Connection, PhoneListener};
use crate::simulate::desk::Desk;

/// Connections whose handshake is done and whose turn has not come.
const READY: usize = 64;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Reads the files.
pub(super) fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let unfit = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unfit(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unfit(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(&files.certificate, &error))?;
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| unfit(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connections that are ready to be served. Handshakes run beside each other, so that a slow one holds up nobody.
pub(super) struct Doorway {
    ready: mpsc::Receiver<(Stream, SocketAddr)>,
    local: SocketAddr,
}

impl Doorway {
    /// A doorway, and what accepts: the port is closed when that has ended.
    pub(super) fn open(
        tcp: PhoneListener,
        tls: Option<TlsAcceptor>,
        desk: Arc<Desk>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let local = Listener::local_addr(&tcp)?;
        let (sender, ready) = mpsc::channel(READY);
        let task = tokio::spawn(accept(tcp, tls, desk, sender));
        Ok((Doorway { ready, local }, task))
    }
}

impl Listener for Doorway {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

type Ready = mpsc::Sender<(Stream, SocketAddr)>;

async fn accept(mut tcp: PhoneListener, tls: Option<TlsAcceptor>, desk: Arc<Desk>, ready: Ready) {
    // They end with this task.
    let mut handshakes = JoinSet::new();
    loop {
        let (connection, peer) = tcp.accept().await;
        while handshakes.try_join_next().is_some() {}
        desk.count(|counts| counts.connections = counts.connections.saturating_add(1));
        let Some(acceptor) = &tls else {
            if ready.send((Stream::Plain(connection), peer)).await.is_err() {
                return;
            }
            continue;
        };
        if desk.server().refuse_tls {
            continue;
        }
        let (acceptor, desk, ready) = (acceptor.clone(), Arc::clone(&desk), ready.clone());
        handshakes.spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(connection)).await else { return };
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            desk.count(|counts| {
                let count = if resumed { &mut counts.resumed } else { &mut counts.handshakes };
                *count = count.saturating_add(1);
            });
            // Nobody takes it when the simulator has stopped.
            let _ = ready.send((Stream::Tls(Box::new(stream)), peer)).await;
        });
    }
}

/// One connection.
pub(super) enum Stream {
    Plain(Connection),
    Tls(Box<TlsStream<Connection>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_write(cx, octets),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
