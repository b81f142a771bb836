//! One connection to a directory server: made, protected, asked one thing at a time.
//!
//! The task that asks also writes and reads: there is no reader task and no channel. An answer that is not
//! the answer to what was asked, and an operation that is dropped before its answer, leave the connection
//! `busy`, and a busy connection is never used again.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::{Zeroize, Zeroizing};

use super::trouble::{ConnectError, Trouble};
use crate::config::{Security, ServerUrl};
use crate::ldap::bind::{AnswerError, read_answer, read_bind_response, write_bind_request};
use crate::ldap::message::{LARGE_FRAME, SMALL_FRAME, frame_length, op};
use crate::ldap::result::{LdapResult, code, oid, write_extended_request};
use crate::ldap::search::{Entry, SearchRequest};
use crate::primary::Refusal;
use crate::tls;

/// Room that is offered to each read, in octets: more than an answer on the sign-in path takes.
const READ_ROOM: usize = 4096;
/// Buffers that grew beyond this are given back after an operation.
const KEPT_BUFFER: usize = 16 * 1024;
/// Search references and intermediate responses that are passed over in one search, at most.
const MAX_PASSED_OVER: u32 = 64;
/// After this long without use a connection is asked by a system call whether it is still open.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// What a bind came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAnswer {
    /// Result code.
    pub code: u32,
    /// What code 49 means by its sub-code.
    pub refusal: Refusal,
}

/// A stream to one side of the LDAP door, whatever protects it.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.write_all(octets).await,
            Stream::Tls(tls) => {
                tls.write_all(octets).await?;
                tls.flush().await
            }
        }
    }

    async fn receive(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read_buf(input).await,
            Stream::Tls(tls) => tls.read_buf(input).await,
        }
    }

    /// Whether octets or the end of the stream have arrived. Asks nobody who has not been told already.
    fn has_something(&mut self) -> bool {
        let mut octet = [0];
        let mut room = ReadBuf::new(&mut octet);
        let mut context = Context::from_waker(Waker::noop());
        let poll = match self {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(&mut context, &mut room),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_read(&mut context, &mut room),
        };
        !matches!(poll, Poll::Pending)
    }
}

/// A connection to one server.
pub struct Connection {
    stream: Stream,
    pub(super) input: BytesMut,
    /// Held a password now and then.
    pub(super) output: Zeroizing<Vec<u8>>,
    last_id: u32,
    busy: bool,
    used: Instant,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects and protects the connection as the URL says. Takes as long as it takes: put a limit on it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(server: &ServerUrl, tls: &TlsConnector) -> Result<Self, ConnectError> {
        let addresses = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
        let tcp = tls::connect(addresses.map_err(ConnectError::Resolve)?).await.map_err(ConnectError::Tcp)?;
        let mut connection = Connection {
            stream: Stream::Plain(tcp),
            input: BytesMut::new(),
            output: Zeroizing::new(Vec::new()),
            last_id: 0,
            busy: false,
            used: Instant::now(),
        };
        match server.security {
            Security::Plaintext => return Ok(connection),
            Security::StartTls => connection.start_tls().await?,
            Security::Ldaps => {}
        }
        let name = ServerName::try_from(server.host.clone()).map_err(|_| ConnectError::BadHost)?;
        let Stream::Plain(tcp) = connection.stream else { return Err(ConnectError::BadHost) };
        let protected = tls.connect(name, tcp).await.map_err(ConnectError::Tls)?;
        connection.stream = Stream::Tls(Box::new(protected));
        Ok(connection)
    }

    /// The StartTLS operation up to the handshake (RFC 4511 section 4.14).
    async fn start_tls(&mut self) -> Result<(), ConnectError> {
        let id = self.begin();
        write_extended_request(&mut self.output, id, oid::START_TLS, None);
        self.send().await.map_err(ConnectError::Garbled)?;
        let length = self.frame(SMALL_FRAME).await.map_err(ConnectError::Garbled)?;
        let frame = self.input.get(..length).unwrap_or_default();
        let answer = |error| ConnectError::Garbled(Trouble::Answer(error));
        let envelope = read_answer(frame, id).map_err(answer)?;
        if envelope.op_tag != op::EXTENDED_RESPONSE {
            return Err(answer(AnswerError::WrongType { found: envelope.op_tag }));
        }
        let result = LdapResult::read(&mut envelope.operation(frame)).map_err(|error| answer(error.into()))?;
        if result.code != code::SUCCESS {
            return Err(ConnectError::StartTlsRefused(result.code));
        }
        if self.input.len() != length {
            return Err(ConnectError::Injection);
        }
        self.done(length);
        Ok(())
    }

    /// Binds. A success makes the connection the bound person's, so it is of no use for searches any more.
    ///
    /// # Errors
    /// [`Trouble`]; only after [`Trouble::NotSent`] is it sure that the server has not checked the password.
    pub async fn bind(&mut self, name: &[u8], password: &[u8]) -> Result<BindAnswer, Trouble> {
        self.bind_with(name, password, |result| BindAnswer { code: result.code, refusal: result.refusal() }).await
    }

    /// Binds; `read` makes of the answer what the caller keeps.
    ///
    /// # Errors
    /// As [`Connection::bind`].
    pub async fn bind_with<T>(
        &mut self,
        name: &[u8],
        password: &[u8],
        read: impl FnOnce(&LdapResult<'_>) -> T,
    ) -> Result<T, Trouble> {
        let id = self.begin();
        write_bind_request(&mut self.output, id, name, password);
        let sent = self.send().await;
        self.output.zeroize();
        sent?;
        let length = self.frame(SMALL_FRAME).await?;
        let frame = self.input.get(..length).unwrap_or_default();
        let answer = read(&read_bind_response(frame, id)?);
        self.done(length);
        Ok(answer)
    }

    /// Searches; `read` makes of each entry what the caller keeps. At most `size_limit` entries are taken.
    /// The result code of the search comes with them.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn search<T>(
        &mut self,
        request: &SearchRequest<'_>,
        read: impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), Trouble> {
        let id = self.begin();
        request.write(&mut self.output, id);
        self.send().await?;
        let mut found = Found::of(request, read);
        loop {
            let length = self.frame(LARGE_FRAME).await?;
            let frame = self.input.get(..length).unwrap_or_default();
            if let Some(code) = found.take(frame, id)? {
                self.done(length);
                return Ok((code, found.entries));
            }
            self.input.advance(length);
        }
    }

    /// The id of the last operation.
    pub(super) fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Sends whole messages that somebody else wrote.
    pub(super) async fn send_these(&mut self, messages: &[u8]) -> Result<(), Trouble> {
        self.stream.send(messages).await.map_err(|error| Trouble::NotSent(error.kind()))
    }

    /// Waits for octets. Nothing is lost when it is dropped.
    pub(super) async fn receive(&mut self) -> Result<(), Trouble> {
        self.input.reserve(READ_ROOM);
        match self.stream.receive(&mut self.input).await {
            Ok(octets) if octets > 0 => Ok(()),
            _ => Err(Trouble::Closed),
        }
    }

    /// The whole message, if it is here, that starts behind `taken` octets.
    pub(super) fn message_behind(&self, taken: usize) -> Result<Option<&[u8]>, Trouble> {
        let rest = self.input.get(taken..).unwrap_or_default();
        Ok(frame_length(rest, LARGE_FRAME)?.and_then(|length| rest.get(..length)))
    }

    /// Forgets octets that have been looked at.
    pub(super) fn forget(&mut self, taken: usize) {
        self.input.advance(taken.min(self.input.len()));
        if self.input.is_empty() && self.input.capacity() > KEPT_BUFFER {
            self.input = BytesMut::new();
        }
    }

    /// Whether the connection may be used again: nothing is under way on it, it was not idle for `longest`,
    /// and the server has neither closed it nor said anything unasked.
    pub fn usable(&mut self, now: Instant, longest: Duration) -> bool {
        let idle = now.saturating_duration_since(self.used);
        if self.busy || idle >= longest || !self.input.is_empty() {
            return false;
        }
        if idle >= ASK_AFTER {
            let peeked = socket2::SockRef::from(self.stream.tcp()).peek(&mut [MaybeUninit::uninit()]);
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // TLS 1.3 tickets may still lie there; the read below takes them away.
                Ok(octets) if octets > 0 && matches!(self.stream, Stream::Tls(_)) => {}
                _ => return false,
            }
        }
        !self.stream.has_something()
    }

    /// The stream itself, for the LDAP door; `None` while an operation is under way on it.
    pub fn into_wire(self) -> Option<Box<dyn Wire>> {
        match self.stream {
            _ if self.busy || !self.input.is_empty() => None,
            Stream::Plain(tcp) => Some(Box::new(tcp)),
            Stream::Tls(tls) => Some(tls),
        }
    }

    /// Whether an operation is under way, or went wrong.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// When the last operation ended.
    pub fn used(&self) -> Instant {
        self.used
    }

    /// Remembers when it was used last, and gives large buffers back.
    pub fn rest(&mut self, now: Instant) {
        self.used = now;
        if self.input.capacity() > KEPT_BUFFER {
            self.input = BytesMut::new();
        }
        if self.output.capacity() > KEPT_BUFFER {
            self.output = Zeroizing::new(Vec::new());
        }
    }

    /// Certificate of the server, in DER, where there is TLS.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => {
                tls.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|certificate| certificate.to_vec())
            }
        }
    }

    /// Starts an operation and gives its message id.
    pub(super) fn begin(&mut self) -> u32 {
        self.busy = true;
        self.output.clear();
        self.last_id = if self.last_id >= 0x7fff_ffff { 1 } else { self.last_id + 1 };
        self.last_id
    }

    pub(super) fn done(&mut self, length: usize) {
        self.input.advance(length);
        // Whatever lies behind the answer was not asked for; the connection stays unusable then.
        self.busy = !self.input.is_empty();
    }

    pub(super) async fn send(&mut self) -> Result<(), Trouble> {
        self.stream.send(&self.output).await.map_err(|error| Trouble::NotSent(error.kind()))
    }

    /// Waits for a whole message at the start of `input` and returns its length.
    pub(super) async fn frame(&mut self, limit: usize) -> Result<usize, Trouble> {
        loop {
            if let Some(length) = frame_length(&self.input, limit)? {
                return Ok(length);
            }
            self.receive().await?;
        }
    }
}

/// What a search has found so far.
pub(super) struct Found<T, R> {
    read: R,
    most: usize,
    passed_over: u32,
    pub(super) entries: Vec<T>,
}

impl<T, R: Fn(&Entry<'_>) -> T> Found<T, R> {
    pub(super) fn of(request: &SearchRequest<'_>, read: R) -> Self {
        let most = usize::try_from(request.size_limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
        Found { read, most, passed_over: 0, entries: Vec::new() }
    }

    /// Takes one message of the answer to operation `id`; the result code when it was the last one.
    pub(super) fn take(&mut self, frame: &[u8], id: u32) -> Result<Option<u32>, Trouble> {
        let envelope = read_answer(frame, id)?;
        let mut operation = envelope.operation(frame);
        match envelope.op_tag {
            op::SEARCH_ENTRY if self.entries.len() < self.most => {
                let entry = Entry::read(operation).map_err(AnswerError::Malformed)?;
                self.entries.push((self.read)(&entry));
            }
            op::SEARCH_REFERENCE | op::INTERMEDIATE_RESPONSE if self.passed_over < MAX_PASSED_OVER => {
                self.passed_over += 1;
            }
            // Samba ends a search with an ExtendedResponse where a critical control is unknown to it.
            op::SEARCH_DONE | op::EXTENDED_RESPONSE => {
                return Ok(Some(LdapResult::read(&mut operation).map_err(AnswerError::Malformed)?.code));
            }
            op::SEARCH_ENTRY | op::SEARCH_REFERENCE | op::INTERMEDIATE_RESPONSE => return Err(Trouble::Flood),
            found => return Err(AnswerError::WrongType { found }.into()),
        }
        Ok(None)
    }
}

/// Connects to the first address that answers.
/// Makes the TLS side of connections, with verification on: against the authorities in `ca`, or the system's
/// where that is `None`.
///
/// # Errors
/// What is wrong with the authorities, in words.
pub fn tls_connector(ca: Option<&std::path::Path>) -> Result<TlsConnector, String> {
    Ok(TlsConnector::from(Arc::new(tls::client_config(ca, None, &[])?)))
}
