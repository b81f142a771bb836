//! A RADIUS client written by hand from RFC 2865, 2869 and 3579, so that no mistake of ours can agree with
//! itself. It checks every reply and sends what the test wants, broken things too.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

pub(crate) const ACCESS_REQUEST: u8 = 1;
pub(crate) const ACCESS_ACCEPT: u8 = 2;
pub(crate) const ACCESS_REJECT: u8 = 3;
pub(crate) const ACCESS_CHALLENGE: u8 = 11;
const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// A client on a port of its own.
#[derive(Debug)]
pub(crate) struct Nas {
    socket: UdpSocket,
    secret: Vec<u8>,
    next: u8,
}

/// A request as sent; sending it twice is a retransmission.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
}

/// A reply whose authenticators were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u8,
    pub(crate) attributes: Vec<(u8, Vec<u8>)>,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    /// All that an observer without the secret can tell replies apart by: code, and attributes in order, the
    /// keyed value blanked.
    pub(crate) fn shape(&self) -> (u8, Vec<(u8, Vec<u8>)>) {
        let blank = |(number, value): &(u8, Vec<u8>)| match *number {
            MESSAGE_AUTHENTICATOR => (*number, vec![0; value.len()]),
            number => (number, value.clone()),
        };
        (self.code, self.attributes.iter().map(blank).collect())
    }
}

fn hmac_md5(secret: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(secret).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Hides a password (RFC 2865 section 5.2).
fn hide(password: &[u8], secret: &[u8], authenticator: &[u8]) -> Vec<u8> {
    let mut padded = password.to_vec();
    padded.resize(password.len().div_ceil(16).max(1) * 16, 0);
    let mut previous = authenticator.to_vec();
    let mut hidden = Vec::new();
    for block in padded.chunks(16) {
        let pad = Md5::digest([secret, &previous].concat());
        previous = block.iter().zip(pad).map(|(a, b)| a ^ b).collect();
        hidden.extend_from_slice(&previous);
    }
    hidden
}

impl Nas {
    /// A client of `server` with this secret.
    pub(crate) fn new(server: SocketAddr, secret: &str) -> Self {
        Nas::at("127.0.0.1", server, secret)
    }

    /// The same, with this address.
    pub(crate) fn at(address: &str, server: SocketAddr, secret: &str) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect(server).unwrap();
        Nas { socket, secret: secret.as_bytes().to_vec(), next: 0 }
    }

    /// A signed PAP request with further attributes.
    pub(crate) fn request(&mut self, name: &str, password: &[u8], more: &[(u8, &[u8])]) -> Request {
        let mut authenticator = [0; 16];
        getrandom::fill(&mut authenticator).unwrap();
        let hidden = hide(password, &self.secret, &authenticator);
        let password = (USER_PASSWORD, hidden.as_slice());
        self.signed(authenticator, name, &[&[password], more].concat())
    }

    /// A signed request without a password.
    pub(crate) fn bare(&mut self, name: &str, more: &[(u8, &[u8])]) -> Request {
        let mut authenticator = [0; 16];
        getrandom::fill(&mut authenticator).unwrap();
        self.signed(authenticator, name, more)
    }

    fn signed(&mut self, authenticator: [u8; 16], name: &str, more: &[(u8, &[u8])]) -> Request {
        self.next = self.next.wrapping_add(1);
        let mut bytes = vec![ACCESS_REQUEST, self.next, 0, 0];
        bytes.extend_from_slice(&authenticator);
        let mut attribute = |number: u8, value: &[u8]| {
            bytes.push(number);
            bytes.push(u8::try_from(value.len() + 2).unwrap());
            bytes.extend_from_slice(value);
        };
        attribute(MESSAGE_AUTHENTICATOR, &[0; 16]);
        attribute(USER_NAME, name.as_bytes());
        more.iter().for_each(|(number, value)| attribute(*number, value));
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
        let signature = hmac_md5(&self.secret, &bytes);
        bytes[22..38].copy_from_slice(&signature);
        Request { bytes }
    }

    /// Sends a request, for the first time or again.
    pub(crate) fn send(&self, request: &Request) {
        self.socket.send(&request.bytes).unwrap();
    }

    /// The reply to `request`, if one comes within `wait`. Replies to other requests are passed over; one with
    /// a wrong authenticator fails the test.
    pub(crate) fn receive(&self, request: &Request, wait: Duration) -> Option<Reply> {
        let end = Instant::now() + wait;
        let mut buffer = [0; 4096];
        loop {
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).unwrap();
            // a refused port is reported here, too: the server is gone, and so is the answer
            let Ok(length) = self.socket.recv(&mut buffer) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let bytes = &buffer[..length];
            if bytes[1] == request.bytes[1] {
                return Some(self.check(bytes, request));
            }
        }
    }

    /// Asks and waits.
    pub(crate) fn ask(&mut self, name: &str, password: &[u8], wait: Duration) -> Option<Reply> {
        let request = self.request(name, password, &[]);
        self.send(&request);
        self.receive(&request, wait)
    }

    /// The reply in `bytes`, which must be an authentic one to `request`.
    pub(crate) fn check(&self, bytes: &[u8], request: &Request) -> Reply {
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len(), "length");
        let asked = &request.bytes[4..20];
        let expected = Md5::digest([&bytes[..4], asked, &bytes[20..], &self.secret].concat());
        assert_eq!(expected[..], bytes[4..20], "Response Authenticator");
        let mut attributes = Vec::new();
        let mut at = 20;
        while at < bytes.len() {
            let end = at + usize::from(bytes[at + 1]);
            attributes.push((bytes[at], bytes[at + 2..end].to_vec()));
            at = end;
        }
        assert_eq!(attributes.first().map(|first| first.0), Some(MESSAGE_AUTHENTICATOR), "first attribute");
        let mut unsigned = bytes.to_vec();
        unsigned[4..20].copy_from_slice(asked);
        unsigned[22..38].fill(0);
        assert_eq!(hmac_md5(&self.secret, &unsigned)[..], bytes[22..38], "Message-Authenticator");
        Reply { code: bytes[0], attributes, bytes: bytes.to_vec() }
    }
}
