//! The simulator's sockets: ordinary TCP connections that can be cut on purpose, so that clients can be
//! tested against it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A way to cut one connection.
#[derive(Debug, Default)]
pub(super) struct Cut {
    done: AtomicBool,
    reader: AtomicWaker,
}

impl Cut {
    /// Cuts the connection: nothing more is read or written.
    pub(super) fn cut(&self) {
        self.done.store(true, Ordering::Release);
        self.reader.wake();
    }
}

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<HashMap<u64, Weak<Cut>>>,
    next: AtomicU64,
}

impl Connections {
    /// Cuts every one.
    pub(crate) fn cut_all(&self) {
        for cut in self.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            if let Some(cut) = cut.upgrade() {
                cut.cut();
            }
        }
    }
}

/// What a handler knows of its connection.
#[derive(Debug, Clone)]
pub(super) struct Peer(pub(super) Arc<Cut>);

/// A TCP listener whose connections can be cut.
#[derive(Debug)]
pub(crate) struct PhoneListener {
    pub(crate) tcp: TcpListener,
    pub(crate) connections: Arc<Connections>,
}

impl Listener for PhoneListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (tcp, address) = Listener::accept(&mut self.tcp).await;
        // Answers are small and must not wait for more.
        let _ = tcp.set_nodelay(true);
        let (cut, number) = (Arc::new(Cut::default()), self.connections.next.fetch_add(1, Ordering::Relaxed));
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(number, Arc::downgrade(&cut));
        drop(open);
        (Connection { tcp, cut, number, connections: Arc::clone(&self.connections) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, PhoneListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, PhoneListener>) -> Self {
        Peer(Arc::clone(&stream.io().cut))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    tcp: TcpStream,
    cut: Arc<Cut>,
    number: u64,
    connections: Arc<Connections>,
}

impl Connection {
    fn whole(&self) -> io::Result<()> {
        if self.cut.done.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.cut.reader.register(cx.waker());
        this.whole()?;
        Pin::new(&mut this.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.whole()?;
        Pin::new(&mut this.tcp).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.whole()?;
        Pin::new(&mut this.tcp).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
