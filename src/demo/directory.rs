//! A small directory in this process that speaks real LDAP and looks like Active Directory: for
//! `anteroom demo`, for trying a configuration, and for tests. Loopback only; nothing in it is worth a secret.
//!
//! It knows simple binds, searches with real filters, StartTLS where it has a certificate, and answers the
//! account states with AD's own sub-codes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::ldap::bind::{Authentication, BindRequest, VERSION, write_bind_response};
use crate::ldap::filter::Filter;
use crate::ldap::message::{Envelope, SMALL_FRAME, next_frame, op};
use crate::ldap::result::{code, oid, read_extended_request, write_extended_response, write_response};
use crate::ldap::search::{ReceivedSearch, Scope, write_entry};

mod content;

use content::DemoEntry;
pub use content::{
    AccountState, DEMO_BASE, DEMO_DOMAIN, DEMO_NETBIOS, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD,
    DemoPerson, demo_people, group_dn,
};

/// Connections at once.
const MOST_CONNECTIONS: usize = 512;
/// A connection that says nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// Entries that one search returns at most, as AD's MaxPageSize.
const MOST_ENTRIES: usize = 1000;

/// How the demo directory protects its connections.
#[derive(Clone, Default)]
pub enum DemoTls {
    /// Not at all.
    #[default]
    Plain,
    /// From the first octet.
    Ldaps(Arc<rustls::ServerConfig>),
    /// After StartTLS; before it, binds are refused as a hardened AD does.
    StartTls(Arc<rustls::ServerConfig>),
}

/// A running demo directory. It stops when this is dropped.
#[derive(Debug)]
pub struct DemoDirectory {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    entries: RwLock<Arc<Vec<DemoEntry>>>,
    binds: AtomicU64,
    searches: AtomicU64,
}

impl DemoDirectory {
    /// Starts on `address` (port 0: any free one) without TLS.
    ///
    /// # Errors
    /// When the address is not on loopback or cannot be listened on.
    pub async fn start(address: SocketAddr, people: Vec<DemoPerson>) -> io::Result<Self> {
        Self::start_with(address, people, DemoTls::Plain).await
    }

    /// Starts with the protection given.
    ///
    /// # Errors
    /// As [`DemoDirectory::start`].
    pub async fn start_with(address: SocketAddr, people: Vec<DemoPerson>, tls: DemoTls) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the demo directory listens on loopback only"));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            entries: RwLock::new(Arc::new(content::entries(people))),
            binds: AtomicU64::new(0),
            searches: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), tls));
        Ok(DemoDirectory { address, shared, task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Replaces everybody.
    pub fn set_people(&self, people: Vec<DemoPerson>) {
        let entries = Arc::new(content::entries(people));
        *self.shared.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    /// Binds that were tried so far, the service account's own included.
    pub fn binds(&self) -> u64 {
        self.shared.binds.load(Ordering::Relaxed)
    }

    /// Searches that were asked so far.
    pub fn searches(&self) -> u64 {
        self.shared.searches.load(Ordering::Relaxed)
    }
}

impl Drop for DemoDirectory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: DemoTls) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Connections end with the directory: the set aborts its tasks when it is dropped.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    if let Err(error) = serve(stream, &shared, tls).await {
                        debug!(%error, "a connection to the demo directory ended");
                    }
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: &Shared, tls: DemoTls) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        DemoTls::Plain => {
            let mut session = Session { shared, who: None, protected: true, can_start_tls: false };
            converse(stream, &mut session).await.map(drop)
        }
        DemoTls::Ldaps(config) => {
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            let mut session = Session { shared, who: None, protected: true, can_start_tls: false };
            converse(stream, &mut session).await.map(drop)
        }
        DemoTls::StartTls(config) => {
            let mut session = Session { shared, who: None, protected: false, can_start_tls: true };
            let Some(stream) = converse(stream, &mut session).await? else { return Ok(()) };
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            let mut session = Session { shared, who: None, protected: true, can_start_tls: false };
            converse(stream, &mut session).await.map(drop)
        }
    }
}

/// Answers one message after the other; gives the stream back for the handshake of StartTLS.
async fn converse<S>(mut stream: S, session: &mut Session<'_>) -> io::Result<Option<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::with_capacity(1024);
    let mut output = Vec::new();
    loop {
        let broken = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while let Some(frame) = next_frame(&mut input, SMALL_FRAME).map_err(broken)? {
            let next = session.answer(&frame, &mut output);
            if !output.is_empty() {
                stream.write_all(&output).await?;
                stream.flush().await?;
                output.clear();
            }
            match next {
                Next::Continue => {}
                Next::Close => return Ok(None),
                // What came behind the request in the clear must not be taken for a part of the session.
                Next::StartTls => return Ok(if input.is_empty() { Some(stream) } else { None }),
            }
        }
        match tokio::time::timeout(IDLE, stream.read_buf(&mut input)).await {
            Ok(Ok(octets)) if octets > 0 => {}
            _ => return Ok(None),
        }
    }
}

/// What comes after an answer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Continue,
    Close,
    StartTls,
}

/// One connection's state.
struct Session<'a> {
    shared: &'a Shared,
    /// Who is bound, as Who Am I says it (RFC 4532); nobody before a bind that was right.
    who: Option<String>,
    protected: bool,
    can_start_tls: bool,
}

impl Session<'_> {
    /// Answers one message. Pure but for the counters.
    fn answer(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Next {
        let Ok(envelope) = Envelope::read(frame) else { return Next::Close };
        let (id, operation) = (envelope.message_id, envelope.operation(frame));
        match envelope.op_tag {
            op::UNBIND_REQUEST => return Next::Close,
            op::ABANDON_REQUEST => {}
            op::BIND_REQUEST => match BindRequest::read(operation) {
                Ok(request) => self.bind(id, &request, out),
                Err(_) => write_bind_response(out, id, code::PROTOCOL_ERROR, "malformed"),
            },
            op::SEARCH_REQUEST => match ReceivedSearch::read(operation) {
                Ok(request) => self.search(id, &request, out),
                Err(_) => write_response(out, id, op::SEARCH_DONE, code::PROTOCOL_ERROR, "", "malformed"),
            },
            op::EXTENDED_REQUEST => {
                let name = read_extended_request(operation).map(|(name, _)| name).unwrap_or_default();
                if name == oid::START_TLS.as_bytes() && self.can_start_tls {
                    write_extended_response(out, id, (code::SUCCESS, ""), Some(oid::START_TLS), None);
                    return Next::StartTls;
                }
                if name == oid::WHO_AM_I.as_bytes() {
                    let who = self.who.as_deref().unwrap_or_default().as_bytes();
                    write_extended_response(out, id, (code::SUCCESS, ""), None, Some(who));
                } else {
                    write_extended_response(out, id, (code::PROTOCOL_ERROR, "not supported"), None, None);
                }
            }
            // Requests and their responses are neighbours; what is no request gets no answer.
            tag if tag & 0x60 == 0x60 || tag == op::DELETE_REQUEST => {
                let response = if tag == op::DELETE_REQUEST { op::DELETE_RESPONSE } else { tag + 1 };
                write_response(out, id, response, code::UNWILLING_TO_PERFORM, "", "the demo directory is read-only");
            }
            _ => return Next::Close,
        }
        Next::Continue
    }

    fn bind(&mut self, id: u32, request: &BindRequest<'_>, out: &mut Vec<u8>) {
        self.who = None;
        self.shared.binds.fetch_add(1, Ordering::Relaxed);
        let Authentication::Simple(password) = request.authentication else {
            return write_bind_response(out, id, code::AUTH_METHOD_NOT_SUPPORTED, "simple binds only");
        };
        if request.version != VERSION {
            return write_bind_response(out, id, code::PROTOCOL_ERROR, "version 3 only");
        }
        // As real AD: no password, no question (RFC 4513 section 5.1.2 asks servers to refuse; AD does not).
        if password.is_empty() {
            return write_bind_response(out, id, code::SUCCESS, "");
        }
        if !self.protected {
            let text = "00002028: LdapErr: DSID-0C090202, comment: The server requires binds to turn on integrity \
                        checking if SSL\\TLS are not already active on the connection, data 0, v4563";
            return write_bind_response(out, id, code::STRONGER_AUTH_REQUIRED, text);
        }
        let entries = self.entries();
        let name = std::str::from_utf8(request.name).unwrap_or_default();
        let entry = content::by_bind_name(&entries, name);
        let account = entry.and_then(|entry| entry.account.as_ref());
        let sub_code = match account {
            Some((_, AccountState::Locked)) => AccountState::Locked.sub_code(),
            Some((right, state)) if right.matches(password) => state.sub_code(),
            _ => Some(0x52e),
        };
        match sub_code {
            None => {
                self.who = entry.map(|entry| format!("dn:{}", entry.dn));
                write_bind_response(out, id, code::SUCCESS, "");
            }
            Some(sub_code) => {
                let text = format!(
                    "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {sub_code:x}, v4563"
                );
                write_bind_response(out, id, code::INVALID_CREDENTIALS, &text);
            }
        }
    }

    fn search(&self, id: u32, request: &ReceivedSearch<'_>, out: &mut Vec<u8>) {
        self.shared.searches.fetch_add(1, Ordering::Relaxed);
        let done = |out: &mut Vec<u8>, code, text: &str| write_response(out, id, op::SEARCH_DONE, code, "", text);
        let Ok(filter) = Filter::read(&mut { request.filter }) else {
            return done(out, code::PROTOCOL_ERROR, "malformed filter");
        };
        if request.base.is_empty() && request.scope == Scope::Base {
            write_root(out, id);
            return done(out, code::SUCCESS, "");
        }
        if self.who.is_none() {
            let text = "000004DC: LdapErr: DSID-0C0907E9, comment: In order to perform this operation a successful \
                        bind must be completed on the connection., data 0, v4563";
            return done(out, code::OPERATIONS_ERROR, text);
        }
        let entries = self.entries();
        if !entries.iter().any(|entry| below(&entry.dn, request.base, Scope::Subtree)) {
            return done(out, code::NO_SUCH_OBJECT, "");
        }
        let limit = usize::try_from(request.size_limit).ok().filter(|&limit| limit > 0).unwrap_or(MOST_ENTRIES);
        let limit = limit.min(MOST_ENTRIES);
        let mut found = entries.iter().filter(|entry| {
            below(&entry.dn, request.base, request.scope) && content::matches(&entries, entry, &filter)
        });
        for entry in found.by_ref().take(limit) {
            let selected = entry.attributes.iter().filter(|(name, _)| is_wanted(request, name));
            write_entry(out, id, &entry.dn, selected.map(|(name, values)| (*name, values.as_slice())));
        }
        let more = found.next().is_some();
        done(out, if more { code::SIZE_LIMIT_EXCEEDED } else { code::SUCCESS }, "");
    }

    fn entries(&self) -> Arc<Vec<DemoEntry>> {
        Arc::clone(&self.shared.entries.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The entry that tells clients about the server (RFC 4512 section 5.1).
fn write_root(out: &mut Vec<u8>, id: u32) {
    let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S.0Z").to_string().into_bytes();
    let base = [DEMO_BASE.as_bytes().to_vec()];
    let version = [b"3".to_vec()];
    let attributes: [(&str, &[Vec<u8>]); 4] = [
        ("defaultNamingContext", &base),
        ("namingContexts", &base),
        ("supportedLDAPVersion", &version),
        ("currentTime", std::slice::from_ref(&now)),
    ];
    write_entry(out, id, "", attributes);
}

fn is_wanted(request: &ReceivedSearch<'_>, name: &str) -> bool {
    let mut none = true;
    for wanted in request.attributes() {
        none = false;
        if wanted == "*" || wanted.eq_ignore_ascii_case(name) {
            return true;
        }
    }
    none
}

/// Whether `dn` lies within the scope of a search from `base`.
fn below(dn: &str, base: &str, scope: Scope) -> bool {
    let (dn, base) = (dn.to_lowercase(), base.to_lowercase());
    let Some(above) = dn.strip_suffix(&base) else { return false };
    match (above, scope) {
        ("", Scope::Base | Scope::Subtree) => true,
        ("", Scope::One) | (_, Scope::Base) => false,
        (above, Scope::Subtree) => base.is_empty() || above.ends_with(','),
        (above, Scope::One) => above.strip_suffix(',').is_some_and(|name| !name.replace("\\,", "").contains(',')),
    }
}
