//! A client that says exactly what it is told to, and a house behind the door.

use std::net::SocketAddr;
use std::time::Duration;

use anteroom::demo::phone::behaviour::{Behaviour, Decision};
use anteroom::demo::{Demo, Ports};
use anteroom::ldap::bind::write_bind_request;
use anteroom::ldap::filter::Filter;
use anteroom::ldap::message::{Envelope, LARGE_FRAME, next_frame, op};
use anteroom::ldap::pool::{Wire, tls_connector};
use anteroom::ldap::result::{LdapResult, write_extended_request, write_unbind};
use anteroom::ldap::search::{Scope, SearchRequest};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything here takes, shorter than a test's patience.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn house() -> Demo {
    Demo::start(Ports::default()).await.expect("the demo starts")
}

pub(crate) fn door(demo: &Demo) -> SocketAddr {
    demo.server.ldap()[0]
}

pub(crate) fn answer(decision: Decision) -> Behaviour {
    Behaviour::Answer { decision, after_ms: 0 }
}

async fn protect(stream: Box<dyn Wire>, trusted: &std::path::Path) -> (Client, Vec<u8>) {
    let connector = tls_connector(Some(trusted)).unwrap();
    let protected = connector.connect("localhost".try_into().unwrap(), stream).await.expect("a handshake");
    let certificate = protected.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (Client::over(Box::new(protected)), certificate)
}

/// Waits for a condition; fails after a while.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !condition() {
        assert!(std::time::Instant::now() < end, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u32,
    pub(crate) tag: u8,
    pub(crate) frame: Vec<u8>,
}

impl Message {
    /// Result code and text.
    pub(crate) fn result(&self) -> (u32, String) {
        let envelope = Envelope::read(&self.frame).unwrap();
        let result = LdapResult::read(&mut envelope.operation(&self.frame)).unwrap();
        (result.code, String::from_utf8(result.diagnostic.to_vec()).unwrap())
    }
}

pub(crate) struct Client {
    pub(crate) stream: Box<dyn Wire>,
    input: BytesMut,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client::connect_from("127.0.0.1", address).await
    }

    /// From another address of this machine.
    pub(crate) async fn connect_from(source: &str, address: SocketAddr) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(Box::new(stream))
    }

    pub(crate) fn over(stream: Box<dyn Wire>) -> Client {
        Client { stream, input: BytesMut::new() }
    }

    /// Asks for StartTLS, and gives result code and, where it begins, the protected connection and its certificate.
    pub(crate) async fn start_tls(mut self, id: u32, trusted: &std::path::Path) -> Result<(Client, Vec<u8>), u32> {
        let mut out = Vec::new();
        write_extended_request(&mut out, id, anteroom::ldap::result::oid::START_TLS, None);
        self.send(&out).await;
        let (code, _) = self.next().await.expect("an answer to StartTLS").result();
        if code == 0 { Ok(protect(self.stream, trusted).await) } else { Err(code) }
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The next message; `None` when the other side has closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let read = async {
            loop {
                if let Some(frame) = next_frame(&mut self.input, LARGE_FRAME).unwrap() {
                    let envelope = Envelope::read(&frame).unwrap();
                    return Some(Message { id: envelope.message_id, tag: envelope.op_tag, frame: frame.to_vec() });
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(SOON, read).await.expect("an answer comes")
    }

    /// Whether nothing has come for a moment.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let moment = Duration::from_millis(80);
        tokio::time::timeout(moment, self.stream.read_buf(&mut self.input)).await.is_err() && self.input.is_empty()
    }

    pub(crate) async fn send_bind(&mut self, id: u32, name: &str, password: &str) {
        let mut out = Vec::new();
        write_bind_request(&mut out, id, name.as_bytes(), password.as_bytes());
        self.send(&out).await;
    }

    /// Binds, and gives the result code and its text.
    pub(crate) async fn bind(&mut self, id: u32, name: &str, password: &str) -> (u32, String) {
        self.send_bind(id, name, password).await;
        let message = self.next().await.expect("an answer to the bind");
        assert_eq!((message.id, message.tag), (id, op::BIND_RESPONSE));
        message.result()
    }

    pub(crate) async fn send_search(&mut self, id: u32, base: &str, scope: Scope, filter: &str) {
        let mut out = Vec::new();
        let filter = Filter::parse(filter).unwrap().encode();
        let request =
            SearchRequest { base, scope, size_limit: 0, time_limit: Duration::ZERO, filter: &filter, attributes: &[] };
        request.write(&mut out, id);
        self.send(&out).await;
    }

    /// Entries and the result code of a search.
    pub(crate) async fn search(&mut self, id: u32, base: &str, scope: Scope, filter: &str) -> (usize, u32) {
        self.send_search(id, base, scope, filter).await;
        let mut entries = 0;
        loop {
            let message = self.next().await.expect("an answer to the search");
            assert_eq!(message.id, id);
            match message.tag {
                op::SEARCH_ENTRY => entries += 1,
                op::SEARCH_DONE => return (entries, message.result().0),
                other => panic!("{other:#04x}"),
            }
        }
    }

    /// Who am I? (RFC 4532)
    pub(crate) async fn who_am_i(&mut self, id: u32) -> String {
        let mut out = Vec::new();
        write_extended_request(&mut out, id, anteroom::ldap::result::oid::WHO_AM_I, None);
        self.send(&out).await;
        let message = self.next().await.expect("an answer to who am I");
        let envelope = Envelope::read(&message.frame).unwrap();
        let mut response = envelope.operation(&message.frame);
        LdapResult::read(&mut response).unwrap();
        String::from_utf8(response.optional(0x8b).unwrap().unwrap_or_default().to_vec()).unwrap()
    }

    pub(crate) async fn unbind(&mut self, id: u32) {
        let mut out = Vec::new();
        write_unbind(&mut out, id);
        self.send(&out).await;
    }
}
