//! A directory that does what only a real Active Directory or a broken server does. A script decides what is
//! sent for each request; [`ordinary`] is what a good server would send.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::ldap::bind::{Authentication, BindRequest, write_bind_response};
use anteroom::ldap::message::{Envelope, LARGE_FRAME, next_frame, op};
use anteroom::ldap::result::{oid, write_extended_response, write_response};
use anteroom::ldap::search::{ReceivedSearch, write_entry};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Name and password of the service account that [`ordinary`] knows.
pub(crate) const SERVICE: (&str, &str) = ("cn=service", "service-password");
/// DN and password of the one person that [`ordinary`] knows.
pub(crate) const PERSON: (&str, &str) = ("CN=Alice,OU=People,DC=fake,DC=test", "right");

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Bind { name: String, password: Vec<u8> },
    Search,
    Extended,
    Other(u8),
}

/// One request, as a script sees it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    /// Message id.
    pub(crate) id: u32,
    pub(crate) asked: Asked,
    /// All of its octets.
    pub(crate) frame: Vec<u8>,
}

impl Request {
    /// Whether somebody but the service account binds.
    pub(crate) fn is_user_bind(&self) -> bool {
        matches!(&self.asked, Asked::Bind { name, .. } if name != SERVICE.0)
    }
}

impl Request {
    /// Whether the service account's own entry is looked for, which [`ordinary`] takes for a person's.
    pub(crate) fn is_search_for_service(&self) -> bool {
        let envelope = Envelope::read(&self.frame).unwrap();
        self.asked == Asked::Search
            && ReceivedSearch::read(envelope.operation(&self.frame)).is_ok_and(|search| search.base == SERVICE.0)
    }
}

/// What is done for a request, in order.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// So many copies of these octets.
    Repeat(Vec<u8>, usize),
    /// Endless copies of these octets.
    Flood(Vec<u8>),
    /// Nothing more on this connection, which stays open.
    Hang,
    Close,
}

type Script = dyn Fn(&Request) -> Vec<Act> + Send + Sync;

/// The fake. It stops when this is dropped.
pub(crate) struct FakeDirectory {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeDirectory {
    pub(crate) async fn start(script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(crate) async fn start_on(
        address: SocketAddr,
        script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, Arc::new(script), Arc::clone(&seen), Arc::clone(&connections)));
        FakeDirectory { address, seen, connections, task }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How often people's passwords were tried.
    pub(crate) fn user_binds(&self) -> usize {
        self.seen().iter().filter(|request| request.is_user_bind()).count()
    }

    /// How many searches were asked.
    pub(crate) fn searches(&self) -> usize {
        self.seen().iter().filter(|request| request.asked == Asked::Search).count()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FakeDirectory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
) {
    let mut running = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = connections.fetch_add(1, Ordering::SeqCst);
        running.spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn serve(mut stream: TcpStream, connection: usize, script: Arc<Script>, seen: Arc<Mutex<Vec<Request>>>) {
    stream.set_nodelay(true).unwrap();
    let mut input = BytesMut::new();
    loop {
        while let Ok(Some(frame)) = next_frame(&mut input, LARGE_FRAME) {
            let request = understand(connection, &frame);
            seen.lock().unwrap().push(request.clone());
            for act in script(&request) {
                match act {
                    Act::Send(octets) => {
                        if stream.write_all(&octets).await.is_err() {
                            return;
                        }
                    }
                    Act::Repeat(octets, times) => {
                        for _ in 0..times {
                            if stream.write_all(&octets).await.is_err() {
                                return;
                            }
                        }
                    }
                    Act::Wait(time) => tokio::time::sleep(time).await,
                    Act::Flood(octets) => while stream.write_all(&octets).await.is_ok() {},
                    Act::Hang => std::future::pending().await,
                    Act::Close => return,
                }
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(octets) if octets > 0 => {}
            _ => return,
        }
    }
}

fn understand(connection: usize, frame: &[u8]) -> Request {
    let envelope = Envelope::read(frame).expect("our own client writes LDAP");
    let asked = match envelope.op_tag {
        op::BIND_REQUEST => {
            let bind = BindRequest::read(envelope.operation(frame)).expect("a bind");
            let Authentication::Simple(password) = bind.authentication else { panic!("not a simple bind") };
            Asked::Bind { name: String::from_utf8_lossy(bind.name).into_owned(), password: password.to_vec() }
        }
        op::SEARCH_REQUEST => Asked::Search,
        op::EXTENDED_REQUEST => Asked::Extended,
        tag => Asked::Other(tag),
    };
    Request { connection, id: envelope.message_id, asked, frame: frame.to_vec() }
}

/// What a good server sends: it knows [`SERVICE`] and [`PERSON`], and finds the person whatever is asked.
pub(crate) fn ordinary(request: &Request) -> Vec<Act> {
    match &request.asked {
        Asked::Bind { name, password } => {
            let pair = (name.as_str(), password.as_slice());
            let right = pair == (SERVICE.0, SERVICE.1.as_bytes()) || pair == (PERSON.0, PERSON.1.as_bytes());
            vec![if right { bind(request.id, 0, "") } else { refused(request.id, "52e") }]
        }
        Asked::Search => vec![person(request.id, PERSON.0, 1), done(request.id, 0)],
        Asked::Extended => vec![response(request.id, op::EXTENDED_RESPONSE, 2)],
        Asked::Other(_) => vec![Act::Close],
    }
}

/// A BindResponse.
pub(crate) fn bind(id: u32, code: u32, text: &str) -> Act {
    let mut out = Vec::new();
    write_bind_response(&mut out, id, code, text);
    Act::Send(out)
}

/// A BindResponse with AD's text for a sub-code.
pub(crate) fn refused(id: u32, data: &str) -> Act {
    bind(id, 49, &format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v4563"))
}

/// A person's entry; `number` makes it unique.
pub(crate) fn person(id: u32, dn: &str, number: u8) -> Act {
    let guid = [vec![number; 16]];
    let name = [b"alice".to_vec()];
    let upn = [b"alice@fake.test".to_vec()];
    let mut out = Vec::new();
    let attributes: [(&str, &[Vec<u8>]); 3] =
        [("objectGUID", &guid), ("sAMAccountName", &name), ("userPrincipalName", &upn)];
    write_entry(&mut out, id, dn, attributes);
    Act::Send(out)
}

/// A group whose members AD cuts: `member;range=FIRST-LAST`, with `*` as last for the end of the list.
pub(crate) fn member_range(id: u32, dn: &str, first: usize, last: Option<usize>, members: &[String]) -> Act {
    let last = last.map_or("*".to_owned(), |last| last.to_string());
    let description = format!("member;range={first}-{last}");
    let mut out = Vec::new();
    let attributes: [(&str, &[String]); 2] = [("member", &[]), (&description, members)];
    write_entry(&mut out, id, dn, attributes);
    Act::Send(out)
}

/// Entries that AD gives at most for one search without pages (MaxPageSize).
pub(crate) const PAGE_LIMIT: usize = 1000;

/// A search with `hits` hits, cut at `limit` as AD does: the entries so far, then sizeLimitExceeded.
pub(crate) fn limited(id: u32, hits: usize, limit: usize) -> Vec<Act> {
    let entry = |number: usize| {
        let unique = u8::try_from(number % 256).unwrap();
        person(id, &format!("CN=p{number},DC=fake,DC=test"), unique)
    };
    (0..hits.min(limit)).map(entry).chain([done(id, if hits >= limit { 4 } else { 0 })]).collect()
}

/// A SearchResultDone.
pub(crate) fn done(id: u32, code: u32) -> Act {
    response(id, op::SEARCH_DONE, code)
}

/// Any response that is nothing but a result.
pub(crate) fn response(id: u32, tag: u8, code: u32) -> Act {
    let mut out = Vec::new();
    write_response(&mut out, id, tag, code, "", "");
    Act::Send(out)
}

/// A Notice of Disconnection.
pub(crate) fn disconnection() -> Act {
    let mut out = Vec::new();
    write_extended_response(&mut out, 0, (52, ""), Some(oid::DISCONNECTION), None);
    Act::Send(out)
}

/// The octets of an act that sends.
pub(crate) fn octets(act: &Act) -> Vec<u8> {
    match act {
        Act::Send(octets) => octets.clone(),
        _ => Vec::new(),
    }
}
