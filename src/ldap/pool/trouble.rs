//! What goes wrong between us and a directory server, in words for the log and for `anteroom check`.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::ldap::bind::AnswerError;
use crate::ldap::message::FrameError;
use crate::ldap::result::code_name;

/// What went wrong on a connection.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The request did not leave as a whole, so the server cannot have acted on it.
    NotSent(io::ErrorKind),
    /// The request left, and the connection was closed before its answer.
    Closed,
    /// The answer was no LDAP.
    Frame(FrameError),
    /// The answer was not the answer to what was asked.
    Answer(AnswerError),
    /// More entries than were asked for, or pages without end.
    Flood,
    /// Nothing came for this long.
    Silence(Duration),
    /// Whoever asked does not want the rest any more.
    Unwanted,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotSent(error) => write!(f, "the request could not be sent: {error}"),
            Trouble::Closed => f.write_str("the server closed the connection before its answer"),
            Trouble::Frame(error) => write!(f, "the answer is no LDAP: {error}"),
            Trouble::Answer(error) => error.fmt(f),
            Trouble::Flood => f.write_str("more entries than were asked for"),
            Trouble::Silence(time) => write!(f, "no answer within {time:?}"),
            Trouble::Unwanted => f.write_str("the rest of the answer is not wanted any more"),
        }
    }
}

impl From<FrameError> for Trouble {
    fn from(error: FrameError) -> Self {
        Trouble::Frame(error)
    }
}

impl From<AnswerError> for Trouble {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Disconnection { .. } => Trouble::Closed,
            other => Trouble::Answer(other),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The host name has no address.
    Resolve(io::Error),
    /// Nothing answers there.
    Tcp(io::Error),
    /// The host cannot be in a certificate.
    BadHost,
    /// The TLS handshake failed; the text names the reason.
    Tls(io::Error),
    /// The server does not do StartTLS.
    StartTlsRefused(u32),
    /// Octets arrived in the clear behind the answer to StartTLS: somebody tries to slip them into the session.
    Injection,
    /// StartTLS was answered by nonsense.
    Garbled(Trouble),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Resolve(error) => {
                write!(f, "the host name has no address ({error}); check its spelling and the DNS")
            }
            ConnectError::Tcp(error) => write!(f, "no connection ({error}); check address, port and firewall"),
            ConnectError::BadHost => f.write_str("the host is neither a DNS name nor an address"),
            ConnectError::Tls(error) => write!(
                f,
                "TLS failed ({error}); check that ca_file holds the authority of the server's certificate and that \
                 the certificate carries the host name given here"
            ),
            ConnectError::StartTlsRefused(code) => {
                write!(f, "the server refuses StartTLS ({code} {}); use ldaps:// instead", code_name(*code))
            }
            ConnectError::Injection => f.write_str(
                "octets arrived in the clear behind the answer to StartTLS: the connection is tampered with",
            ),
            ConnectError::Garbled(trouble) => write!(f, "StartTLS failed: {trouble}"),
        }
    }
}
