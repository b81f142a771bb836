//! An LDAP client written by hand from RFC 4511, so that no mistake of ours can agree with itself. It keeps
//! every answer as the octets that arrived, and sends what the test wants, odd things too.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Long enough for any answer that comes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const BIND: u8 = 0x60;
pub(crate) const ENTRY: u8 = 0x64;
pub(crate) const SEARCH_DONE: u8 = 0x65;
pub(crate) const REFERENCE: u8 = 0x73;
pub(crate) const INTERMEDIATE: u8 = 0x79;

pub(crate) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
pub(crate) const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
pub(crate) const CANCEL: &str = "1.3.6.1.1.8";

// --- octets ----------------------------------------------------------------------------------------------------

/// An element.
pub(crate) fn tlv(tag: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..0x80 => out.push(u8::try_from(short).unwrap()),
        long => {
            let octets = u32::try_from(long).unwrap().to_be_bytes();
            let skip = octets.iter().take_while(|octet| **octet == 0).count();
            out.push(0x80 | u8::try_from(4 - skip).unwrap());
            out.extend_from_slice(&octets[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// An element that holds others.
pub(crate) fn nest(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(tag, parts.concat())
}

/// SEQUENCE.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    nest(0x30, parts)
}

/// OCTET STRING.
pub(crate) fn octets(value: impl AsRef<[u8]>) -> Vec<u8> {
    tlv(0x04, value)
}

/// A number with this tag.
pub(crate) fn number(tag: u8, value: u32) -> Vec<u8> {
    let octets = u64::from(value).to_be_bytes();
    // the shortest form whose first bit is zero
    let skip = (0..7).take_while(|&at| octets[at] == 0 && octets[at + 1] < 0x80).count();
    tlv(tag, &octets[skip..])
}

/// INTEGER.
pub(crate) fn integer(value: u32) -> Vec<u8> {
    number(0x02, value)
}

/// ENUMERATED.
pub(crate) fn enumerated(value: u32) -> Vec<u8> {
    number(0x0a, value)
}

/// A list of OCTET STRINGs.
pub(crate) fn list<T: AsRef<[u8]>>(tag: u8, values: &[T]) -> Vec<u8> {
    nest(tag, &values.iter().map(octets).collect::<Vec<_>>())
}

/// An element that was read: its tag and where its content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) tag: u8,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The elements between two offsets.
pub(crate) fn parts(bytes: &[u8], start: usize, end: usize) -> Vec<Part> {
    let mut found = Vec::new();
    let mut at = start;
    while at < end {
        let (header, length) = header(&bytes[at..end]).expect("a whole element");
        let start = at + header;
        assert!(start + length <= end, "an element reaches beyond what holds it");
        found.push(Part { tag: bytes[at], start, end: start + length });
        at = start + length;
    }
    found
}

/// Octets of an element's header and of its content, once the header is there.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    assert!((0x81..=0x84).contains(&first), "a length octet {first:#x}");
    let octets = bytes.get(2..2 + first - 0x80)?;
    Some((2 + octets.len(), octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))))
}

// --- requests --------------------------------------------------------------------------------------------------

/// A simple bind.
pub(crate) fn bind(name: &str, password: &str) -> Vec<u8> {
    nest(BIND, &[integer(3), octets(name), tlv(0x80, password)])
}

/// The end of a connection.
pub(crate) fn unbind() -> Vec<u8> {
    tlv(0x42, [])
}

/// How far a search reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    Base,
    One,
    Subtree,
}

/// A search without limits.
pub(crate) fn search(base: &str, scope: Scope, filter: Vec<u8>, attributes: &[&str]) -> Vec<u8> {
    search_with(base, scope, 0, false, filter, attributes)
}

/// A search with a size limit, or for the names of attributes only.
pub(crate) fn search_with(
    base: &str,
    scope: Scope,
    size: u32,
    types_only: bool,
    filter: Vec<u8>,
    attributes: &[&str],
) -> Vec<u8> {
    let parts = [
        octets(base),
        enumerated(scope as u32),
        enumerated(0),
        integer(size),
        integer(0),
        tlv(0x01, [if types_only { 0xff } else { 0 }]),
        filter,
        list(0x30, attributes),
    ];
    nest(0x63, &parts)
}

/// Whatever has this attribute.
pub(crate) fn present(attribute: &str) -> Vec<u8> {
    tlv(0x87, attribute)
}

/// Whatever has this value.
pub(crate) fn equal(attribute: &str, value: &str) -> Vec<u8> {
    nest(0xa3, &[octets(attribute), octets(value)])
}

/// A comparison.
pub(crate) fn compare(dn: &str, attribute: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    nest(0x6e, &[octets(dn), sequence(&[octets(attribute), octets(value)])])
}

/// An attribute and its values.
pub(crate) fn attribute<T: AsRef<[u8]>>(name: &str, values: &[T]) -> Vec<u8> {
    sequence(&[octets(name), list(0x31, values)])
}

/// A new entry; the attributes by [`attribute`].
pub(crate) fn add(dn: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    nest(0x68, &[octets(dn), sequence(attributes)])
}

/// One change of a modification: 0 adds, 1 deletes, 2 replaces.
pub(crate) fn change<T: AsRef<[u8]>>(kind: u32, name: &str, values: &[T]) -> Vec<u8> {
    sequence(&[enumerated(kind), attribute(name, values)])
}

/// A modification; the changes by [`change`].
pub(crate) fn modify(dn: &str, changes: &[Vec<u8>]) -> Vec<u8> {
    nest(0x66, &[octets(dn), sequence(changes)])
}

/// A deletion.
pub(crate) fn delete(dn: &str) -> Vec<u8> {
    tlv(0x4a, dn)
}

/// Another name, perhaps elsewhere; the old one's value goes.
pub(crate) fn rename(dn: &str, name: &str, parent: Option<&str>) -> Vec<u8> {
    let mut parts = vec![octets(dn), octets(name), tlv(0x01, [0xff])];
    parts.extend(parent.map(|parent| tlv(0x80, parent)));
    nest(0x6c, &parts)
}

/// An extended operation.
pub(crate) fn extended(oid: &str, value: Option<Vec<u8>>) -> Vec<u8> {
    let mut parts = vec![tlv(0x80, oid)];
    parts.extend(value.map(|value| tlv(0x81, value)));
    nest(0x77, &parts)
}

/// Forget about that request.
pub(crate) fn abandon(id: u32) -> Vec<u8> {
    number(0x50, id)
}

/// A control.
pub(crate) fn control(oid: &str, critical: bool, value: Option<Vec<u8>>) -> Vec<u8> {
    let mut parts = vec![octets(oid)];
    if critical {
        parts.push(tlv(0x01, [0xff]));
    }
    parts.extend(value.map(octets));
    sequence(&parts)
}

/// A whole message.
pub(crate) fn message(id: u32, operation: &[u8], controls: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = vec![integer(id), operation.to_vec()];
    if !controls.is_empty() {
        parts.push(nest(0xa0, controls));
    }
    sequence(&parts)
}

// --- answers ---------------------------------------------------------------------------------------------------

/// A message that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl Frame {
    fn parts(&self) -> Vec<Part> {
        let (header, length) = header(&self.0).unwrap();
        parts(&self.0, header, header + length)
    }

    /// Its message id.
    pub(crate) fn id(&self) -> u32 {
        let id = self.parts()[0];
        self.0[id.start..id.end].iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet))
    }

    /// The tag of its operation.
    pub(crate) fn tag(&self) -> u8 {
        self.parts()[1].tag
    }

    /// Whether no further answer to the same request follows.
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self.tag(), ENTRY | REFERENCE | INTERMEDIATE)
    }

    /// Elements of its operation.
    pub(crate) fn operation(&self) -> Vec<Part> {
        let operation = self.parts()[1];
        parts(&self.0, operation.start, operation.end)
    }

    /// Its result code, if it carries one.
    pub(crate) fn code(&self) -> u32 {
        let code = self.operation()[0];
        assert_eq!(code.tag, 0x0a, "no result in {self:?}");
        u32::from(self.0[code.start])
    }

    /// Its text for people.
    pub(crate) fn text(&self) -> String {
        let text = self.operation()[2];
        String::from_utf8_lossy(&self.0[text.start..text.end]).into_owned()
    }

    /// Where the value of a control lies.
    pub(crate) fn control(&self, oid: &str) -> Option<Part> {
        let controls = self.parts().into_iter().find(|part| part.tag == 0xa0)?;
        parts(&self.0, controls.start, controls.end).into_iter().find_map(|one| {
            let inside = parts(&self.0, one.start, one.end);
            let name = inside[0];
            (self.0[name.start..name.end] == *oid.as_bytes()).then(|| *inside.last().unwrap())
        })
    }

    /// Where the elements of the one SEQUENCE in a control's value lie.
    pub(crate) fn control_parts(&self, oid: &str) -> Option<Vec<Part>> {
        let value = self.control(oid)?;
        let sequence = parts(&self.0, value.start, value.end)[0];
        Some(parts(&self.0, sequence.start, sequence.end))
    }

    /// The octets of a part.
    pub(crate) fn octets(&self, part: Part) -> Vec<u8> {
        self.0[part.start..part.end].to_vec()
    }
}

// --- the connection --------------------------------------------------------------------------------------------

/// How a connection is protected.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The authority that signed the server's certificate.
    pub(crate) ca: PathBuf,
    /// The name that must be in it.
    pub(crate) name: String,
}

impl Trust {
    fn session(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        let ca = fs::read(&self.ca).unwrap();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from(self.name.clone()).unwrap()).unwrap()
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Between the two.
    Gone,
}

/// A connection to a server.
pub(crate) struct Wire {
    stream: Stream,
    input: Vec<u8>,
    last_id: u32,
}

impl Wire {
    /// Connects without protection.
    pub(crate) fn plain(server: SocketAddr) -> Self {
        let tcp = TcpStream::connect(server).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        // a slow reader is to be one: the kernel shall not read for it
        socket2::SockRef::from(&tcp).set_recv_buffer_size(64 * 1024).unwrap();
        Wire { stream: Stream::Plain(tcp), input: Vec::new(), last_id: 0 }
    }

    /// Connects over LDAPS.
    pub(crate) fn ldaps(server: SocketAddr, trust: &Trust) -> Self {
        let mut wire = Wire::plain(server);
        wire.protect(trust);
        wire
    }

    /// Connects, and protects the connection by StartTLS. Message ids then start anew.
    pub(crate) fn start_tls(server: SocketAddr, trust: &Trust) -> Self {
        let mut wire = Wire::plain(server);
        let answer = wire.ask(&extended(START_TLS, None), &[]).pop().unwrap();
        assert_eq!(answer.code(), 0, "StartTLS: {}", answer.text());
        wire.protect(trust);
        wire.last_id = 0;
        wire
    }

    /// The TLS handshake, from now on.
    pub(crate) fn protect(&mut self, trust: &Trust) {
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Gone) else { panic!("protected twice") };
        let mut tls = StreamOwned::new(trust.session(), tcp);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).unwrap();
        }
        self.stream = Stream::Tls(Box::new(tls));
    }

    /// Sends octets.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let sent = match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
            Stream::Gone => panic!("no stream"),
        };
        sent.unwrap();
    }

    /// The next message id that has not been used.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// Sends a request; its message id.
    pub(crate) fn send(&mut self, operation: &[u8], controls: &[Vec<u8>]) -> u32 {
        let id = self.next_id();
        self.send_raw(&message(id, operation, controls));
        id
    }

    /// The next message; `None` when the server has closed the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((header, length)) = header(&self.input)
                && self.input.len() >= header + length
            {
                let rest = self.input.split_off(header + length);
                return Some(Frame(std::mem::replace(&mut self.input, rest)));
            }
            let mut room = vec![0; 64 * 1024];
            let read = match &mut self.stream {
                Stream::Plain(tcp) => tcp.read(&mut room),
                Stream::Tls(tls) => tls.read(&mut room),
                Stream::Gone => panic!("no stream"),
            };
            match read {
                Ok(length @ 1..) => self.input.extend_from_slice(&room[..length]),
                Ok(_) => break,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("no answer within {PATIENCE:?}")
                }
                // a reset, or an end without the goodbye of TLS
                Err(_) => break,
            }
        }
        assert!(self.input.is_empty(), "the connection ended within a message: {:x?}", self.input);
        None
    }

    /// All answers to one request, which nothing else is mixed with.
    pub(crate) fn answer(&mut self, id: u32) -> Vec<Frame> {
        let mut answers = Vec::new();
        loop {
            let frame = self.frame().expect("an answer before the end of the connection");
            assert_eq!(frame.id(), id, "an answer to another request: {frame:x?}");
            let last = frame.is_last();
            answers.push(frame);
            if last {
                return answers;
            }
        }
    }

    /// Asks and waits for all answers.
    pub(crate) fn ask(&mut self, operation: &[u8], controls: &[Vec<u8>]) -> Vec<Frame> {
        let id = self.send(operation, controls);
        self.answer(id)
    }
}
