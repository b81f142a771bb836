//! What can go wrong on the way out, sorted by what can have happened at the service.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::config::UnreachableClass;
use crate::factor::Refusal;
use crate::factor::native::signing::KeyError;

/// Why a client cannot be built from a configuration. The text says what to do.
#[derive(Debug)]
pub enum BuildError {
    /// The address is not one.
    BadUrl(url::ParseError),
    /// The address has a user name, a password, a query or a fragment, or is neither http nor https.
    UnfitUrl,
    /// `http://` to somewhere else than this machine.
    Unprotected,
    /// A file cannot be read.
    File(PathBuf, std::io::Error),
    /// A PEM file holds nothing usable.
    Pem(PathBuf),
    /// The signing key is unfit.
    Key(KeyError),
    /// A secret that goes into a header or a form is no text.
    NoText(&'static str),
    /// The private key that signs assertions, or its certificate, is none.
    AssertionKey,
    /// Client certificates need `https://`.
    CertificateWithoutTls,
    /// The proxy's address or password is unfit.
    Proxy,
    /// The tokens of the user store are wanted, and there is none.
    NoStore,
    /// The TLS or HTTP library refuses.
    Client(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::BadUrl(error) => write!(f, "the provider's url cannot be read: {error}"),
            BuildError::UnfitUrl => {
                f.write_str("the provider's url must be https://HOST[:PORT][/PATH] without user, query or fragment")
            }
            BuildError::Unprotected => f.write_str("http:// is for loopback addresses only; use https://"),
            BuildError::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            BuildError::Pem(path) => write!(f, "no usable PEM certificate or key in {}", path.display()),
            BuildError::Key(KeyError::TooShort { have }) => {
                write!(f, "the signing key has {have} octets; at least 32 are needed")
            }
            BuildError::Key(KeyError::BadId) => f.write_str("the key id must be 1 to 64 of A-Z a-z 0-9 - _ ."),
            BuildError::NoText(what) => write!(f, "{what} must be text in UTF-8"),
            BuildError::AssertionKey => f.write_str(
                "the private key must be an RSA key in PEM (PKCS#8 or PKCS#1), and its certificate PEM, too",
            ),
            BuildError::CertificateWithoutTls => f.write_str("a client certificate needs an https:// url"),
            BuildError::Proxy => f.write_str("the proxy must be http://HOST:PORT, and its password text in UTF-8"),
            BuildError::NoStore => f.write_str("there is no user store whose tokens could be looked at"),
            BuildError::Client(why) => write!(f, "the HTTP client cannot be built: {why}"),
        }
    }
}

impl Error for BuildError {}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent: no connection, or no TLS.
    Unsent(UnreachableClass),
    /// Nothing was sent: the proxy on the way does not let us through.
    Proxy,
    /// The connection broke after the request may have been sent.
    Broken,
    /// Time was up after the request may have been sent.
    OutOfTime,
    /// Our certificate was refused, so that nothing was read of us.
    CertificateRefused,
    /// The answer is longer than any real one.
    TooLong,
}

impl Failure {
    /// What it means. `prompts`: the request could have prompted somebody.
    pub fn refusal(self, prompts: bool) -> Refusal {
        match self {
            Failure::Unsent(class) => Refusal::Unreachable(class),
            Failure::Proxy => Refusal::Unreachable(UnreachableClass::Connect),
            Failure::CertificateRefused => Refusal::Unreachable(UnreachableClass::Refused),
            Failure::Broken | Failure::OutOfTime if prompts => Refusal::Lost,
            Failure::Broken => Refusal::Unreachable(UnreachableClass::Connect),
            Failure::OutOfTime => Refusal::Unreachable(UnreachableClass::Timeout),
            Failure::TooLong => super::garbled(prompts),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Unsent(UnreachableClass::Tls) => {
                "TLS handshake failed: check that the certificate is valid for the host in the url, and name its authority \
                 in ca_file if it is a private one"
            }
            Failure::Unsent(_) => "no connection: check the url, DNS, the firewall and the proxy settings",
            Failure::Proxy => "the proxy does not let us through: check proxy, proxy_user and proxy_password",
            Failure::CertificateRefused => "our certificate is refused: check certificate and certificate_key",
            Failure::Broken => "the connection broke: check that the service runs",
            Failure::OutOfTime => "no answer in time: check that the service runs, or raise timeout",
            Failure::TooLong => "the answer is longer than any real one: check the url",
        })
    }
}

/// Sorts an error by what can have happened at the service.
pub(super) fn sort(error: &reqwest::Error) -> Failure {
    let tls = tls_error(error);
    if error.is_connect() {
        let text = describe(error);
        // A proxy that is not there is no connection; one that is there has answered something else than yes.
        let unreached = text.contains("failed to create underlying connection");
        if tls.is_none() && text.contains("tunnel error") && !unreached {
            return Failure::Proxy;
        }
        let class = if tls.is_some() { UnreachableClass::Tls } else { UnreachableClass::Connect };
        return Failure::Unsent(class);
    }
    match tls {
        // TLS 1.3 refuses a client's certificate after the client has finished its part of the handshake.
        Some(rustls::Error::AlertReceived(_)) => Failure::CertificateRefused,
        _ => Failure::Broken,
    }
}

/// The TLS error in a chain of causes.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(here) = cause {
        if let Some(tls) = here.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error's source is that of the error it wraps, so that the wrapped one itself is skipped.
        let wrapped = here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(wrapped) = wrapped {
            cause = Some(wrapped);
            continue;
        }
        cause = here.source();
    }
    None
}

/// An error with its causes, without the address.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(here) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&here.to_string());
        cause = here.source();
    }
    if text.is_empty() { "unknown".to_owned() } else { text }
}
