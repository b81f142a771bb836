//! An exchange with a RADIUS server: for `anteroom test radius` and the tests.
//!
//! A request is sent again, byte for byte, until a reply comes that is authentic; anything else is ignored
//! as if it had not come, and named when the time is up.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use super::attribute::{MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, USER_NAME, USER_PASSWORD};
use super::authenticator::{ClientKey, Verified, VerifyError, sign_accounting, sign_request};
use super::packet::{Authenticator, Builder, Code, EncodeError, MAX_PACKET, Packet};
use super::password::{self, PasswordError};
use crate::secret::Secret;

/// A request to be built.
#[derive(Debug)]
pub struct Request<'a> {
    /// What kind.
    pub code: Code,
    /// User-Name, if any.
    pub name: Option<&'a str>,
    /// User-Password, if any.
    pub password: Option<&'a Secret>,
    /// Further attributes, by number, in order.
    pub attributes: &'a [(u8, Vec<u8>)],
    /// Whether a Message-Authenticator comes first. An Accounting-Request never has one.
    pub sign: bool,
}

impl<'a> Request<'a> {
    /// An Access-Request with a password, signed.
    pub fn access(name: &'a str, password: &'a Secret) -> Self {
        Request { code: Code::ACCESS_REQUEST, name: Some(name), password: Some(password), attributes: &[], sign: true }
    }

    /// A Status-Server, signed.
    pub fn status() -> Self {
        Request { code: Code::STATUS_SERVER, name: None, password: None, attributes: &[], sign: true }
    }

    /// The packet. Pure: `authenticator` is random, save for an Accounting-Request, which makes its own.
    ///
    /// # Errors
    /// [`RequestError`] when it does not fit.
    pub fn encode(
        &self,
        identifier: u8,
        authenticator: &Authenticator,
        key: &ClientKey,
    ) -> Result<Vec<u8>, RequestError> {
        let accounting = self.code == Code::ACCOUNTING_REQUEST;
        let mut packet = Builder::new(self.code, identifier, authenticator, 128);
        if self.sign && !accounting {
            packet.push(MESSAGE_AUTHENTICATOR, &[0; 16])?;
        }
        if let Some(name) = self.name {
            packet.push(USER_NAME, name.as_bytes())?;
        }
        if let Some(password) = self.password {
            packet.push(USER_PASSWORD, &password::hide(password, key.keyed(), authenticator)?)?;
        }
        for (number, value) in self.attributes {
            packet.push(*number, value)?;
        }
        let mut bytes = packet.into_bytes();
        if accounting {
            sign_accounting(&mut bytes, key);
        } else {
            sign_request(&mut bytes, key);
        }
        Ok(bytes)
    }
}

/// Why a request cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// An attribute or the packet is too long.
    Encode(EncodeError),
    /// The password is too long.
    Password(PasswordError),
}

impl From<EncodeError> for RequestError {
    fn from(error: EncodeError) -> Self {
        RequestError::Encode(error)
    }
}

impl From<PasswordError> for RequestError {
    fn from(error: PasswordError) -> Self {
        RequestError::Password(error)
    }
}

/// How often and how long to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From one sending to the next, and from the last to the end.
    pub timeout: Duration,
    /// How often the request is sent, at least once.
    pub sends: u32,
    /// Whether replies without Message-Authenticator are ignored.
    pub require_signature: bool,
}

/// An authentic reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What kind.
    pub code: Code,
    /// Its attributes, by number, in order.
    pub attributes: Vec<(u8, Vec<u8>)>,
    /// Whether it carried a Message-Authenticator.
    pub signed: bool,
    /// How often the request was sent.
    pub sends: u32,
    /// From the first sending to the reply.
    pub elapsed: Duration,
}

impl Answer {
    /// The text for the person, if any.
    pub fn message(&self) -> Option<String> {
        let parts = || self.attributes.iter().filter(|(number, _)| *number == REPLY_MESSAGE);
        parts().next()?;
        let text = parts().flat_map(|(_, value)| value.iter().copied()).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// The request cannot be built.
    Request(RequestError),
    /// The socket failed.
    Io(io::Error),
    /// No authentic reply in time.
    NoAnswer {
        /// How often the request was sent.
        sends: u32,
        /// What was wrong with the last reply that was ignored, if any came.
        ignored: Option<VerifyError>,
    },
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::Request(RequestError::Encode(_)) => f.write_str("the request does not fit into a packet"),
            ExchangeError::Request(RequestError::Password(_)) => f.write_str("the password is longer than 128 octets"),
            ExchangeError::Io(error) => write!(f, "the socket failed: {error}"),
            ExchangeError::NoAnswer { sends, ignored: None } => {
                write!(
                    f,
                    "no answer to {sends} sendings: is the server running, is this address one of its clients, and is the secret right?"
                )
            }
            ExchangeError::NoAnswer { ignored: Some(VerifyError::Unsigned), .. } => {
                f.write_str("the answer had no Message-Authenticator and was ignored")
            }
            ExchangeError::NoAnswer { ignored: Some(_), .. } => {
                f.write_str("an answer came that is not authentic and was ignored: is the secret right?")
            }
        }
    }
}

impl std::error::Error for ExchangeError {}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        ExchangeError::Io(error)
    }
}

/// Asks a server and waits for its reply. A new socket each time, so that the identifier is free.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange(
    server: SocketAddr,
    key: &ClientKey,
    request: &Request<'_>,
    patience: Patience,
) -> Result<Answer, ExchangeError> {
    exchange_from(None, server, key, request, patience).await
}

/// As [`exchange`], from this address of the machine's, or from whichever leads to the server.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_from(
    from: Option<IpAddr>,
    server: SocketAddr,
    key: &ClientKey,
    request: &Request<'_>,
    patience: Patience,
) -> Result<Answer, ExchangeError> {
    let mut random = [0; 17];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let [identifier, authenticator @ ..] = random;
    let bytes = request.encode(identifier, &authenticator, key).map_err(ExchangeError::Request)?;
    let any = || match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((from.unwrap_or_else(any), 0)).await?;
    socket.connect(server).await?;
    exchange_over(&socket, &bytes, key, patience).await
}

/// Sends a request that is built already over a connected socket, and waits for its reply.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_over(
    socket: &UdpSocket,
    request: &[u8],
    key: &ClientKey,
    patience: Patience,
) -> Result<Answer, ExchangeError> {
    let begin = Instant::now();
    let mut buffer = vec![0; MAX_PACKET];
    let mut ignored = None;
    let mut sends = 0;
    while sends < patience.sends.max(1) {
        // A refusal by the other host's kernel shows up on either call; the server may be back in a moment.
        let sent = socket.send(request).await;
        sends += 1;
        let end = tokio::time::Instant::now() + patience.timeout;
        if sent.is_err() {
            tokio::time::sleep_until(end).await;
            continue;
        }
        while let Ok(received) = tokio::time::timeout_at(end, socket.recv(&mut buffer)).await {
            let Ok(length) = received else {
                tokio::time::sleep_until(end).await;
                break;
            };
            match judge(request, buffer.get(..length).unwrap_or_default(), key, patience.require_signature) {
                Some(Ok((code, attributes, signed))) => {
                    return Ok(Answer { code, attributes, signed, sends, elapsed: begin.elapsed() });
                }
                Some(Err(error)) => ignored = Some(error),
                None => {}
            }
        }
    }
    Err(ExchangeError::NoAnswer { sends, ignored })
}

type Judged = Result<(Code, Vec<(u8, Vec<u8>)>, bool), VerifyError>;

/// Nothing for a datagram that is no reply to this request at all.
fn judge(request: &[u8], reply: &[u8], key: &ClientKey, require_signature: bool) -> Option<Judged> {
    let request = Packet::decode(request).ok()?;
    let reply = Packet::decode(reply).ok().filter(|reply| reply.identifier() == request.identifier())?;
    let verified = match Verified::reply(reply, request.authenticator(), key) {
        Ok(verified) if require_signature && !verified.signed() => return Some(Err(VerifyError::Unsigned)),
        Ok(verified) => verified,
        Err(error) => return Some(Err(error)),
    };
    let attributes = reply.attributes().map(|attribute| (attribute.number, attribute.value.to_vec())).collect();
    Some(Ok((reply.code(), attributes, verified.signed())))
}

#[cfg(test)]
mod tests;
