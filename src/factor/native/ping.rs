//! `ping` for `anteroom check` and the circuit breaker: reachability, credentials, clock, certificate.

use std::error::Error;
use std::fmt;
use std::time::Instant;

use reqwest::Method;

use crate::config::UnreachableClass;
use crate::factor::native::Native;
use crate::factor::native::client::{self, Failure, unix_now};
use crate::factor::native::wire::{ALLOWED_SKEW, LONGEST_MESSAGE, Pong};
use crate::factor::{Health, http, object};

/// Why a ping failed. The text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingError {
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No answer in time, or the connection broke.
    Broken,
    /// Our key or certificate is refused.
    Credentials {
        /// HTTP status, or 0 where TLS refused the certificate.
        status: u16,
    },
    /// Too many requests.
    RateLimited,
    /// The service answered 5xx.
    ServerError {
        /// HTTP status.
        status: u16,
    },
    /// There is no such address at the service.
    NotThere {
        /// HTTP status.
        status: u16,
    },
    /// The answer is not that of the native protocol.
    Garbled,
    /// A web page, as of something that stands in the way.
    Page,
    /// The clocks differ by more than approvals may.
    Clock {
        /// The service's clock minus ours, in seconds.
        skew: i64,
    },
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PingError::Connect => f.write_str("no connection: check the url, DNS, the firewall and the proxy settings"),
            PingError::Tls => f.write_str(
                "TLS handshake failed: check that the certificate is valid for the host in the url, \
                 and name its authority in ca_file if it is a private one",
            ),
            PingError::Broken => f.write_str("no answer in time: check that the service runs, or raise timeout"),
            PingError::Credentials { status } => {
                write!(f, "credentials refused (status {status}): check key_id and key, or certificate, and the clock")
            }
            PingError::RateLimited => f.write_str("rate limited (status 429): wait, or ask the service for more"),
            PingError::ServerError { status } => {
                write!(f, "the service is in trouble (status {status}): ask who runs it")
            }
            PingError::NotThere { status } => {
                write!(f, "status {status}: the url does not lead to a native service; it must end before /v1")
            }
            PingError::Garbled => f.write_str("the answer is not that of the native protocol: check the url"),
            PingError::Page => f.write_str(http::PAGE),
            PingError::Clock { skew } => {
                write!(
                    f,
                    "the service's clock is {skew} s ahead of ours (negative: behind): set this server's time (NTP)"
                )
            }
        }
    }
}

impl Error for PingError {}

impl Native {
    /// Asks the service for a sign of life.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn ping(&self) -> Result<Health, PingError> {
        let transport = &self.shared.transport;
        let begun = Instant::now();
        let asked = async {
            let response = transport.open(Method::GET, "v1/ping").await?;
            client::read(response, LONGEST_MESSAGE).await
        };
        let reply = match tokio::time::timeout(transport.timeout(), asked).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(failure)) => return Err(PingError::of(failure)),
            Err(_) => return Err(PingError::Broken),
        };
        let round_trip = begun.elapsed();
        match reply.status {
            200 if http::is_page(&reply) => return Err(PingError::Page),
            200 => {}
            401 | 403 => return Err(PingError::Credentials { status: reply.status }),
            429 => return Err(PingError::RateLimited),
            500..=599 => return Err(PingError::ServerError { status: reply.status }),
            status => return Err(PingError::NotThere { status }),
        }
        let pong: Pong<'_> = object::read(&reply.body).map_err(|_| PingError::Garbled)?;
        let skew = i64::try_from(i128::from(pong.time) - i128::from(unix_now())).map_err(|_| PingError::Garbled)?;
        if skew.unsigned_abs() > ALLOWED_SKEW {
            return Err(PingError::Clock { skew });
        }
        let lacks = self.lacks(&pong);
        Ok(Health { round_trip, clock_skew: Some(skew), certificate_expires: reply.certificate_expires, lacks })
    }
}

impl Native {
    /// What our section counts on, and the service does not say that it does.
    fn lacks(&self, pong: &Pong<'_>) -> Option<&'static str> {
        let takes = |word: &str| pong.takes.iter().any(|taken| taken == word);
        let has_pins = self.shared.described.carries_pin(crate::users::model::Method::Push);
        if has_pins && !takes("pin") {
            return Some("pin_on_phone is set, and the service does not say that it asks for PINs (mode \"pin\")");
        }
        let lacks = self.numbers && !takes("number");
        lacks.then_some("number_matching is set, and the service does not say that its app asks for numbers")
    }
}

impl PingError {
    fn of(failure: Failure) -> Self {
        match failure {
            Failure::Unsent(UnreachableClass::Tls) => PingError::Tls,
            Failure::Unsent(_) | Failure::Proxy => PingError::Connect,
            Failure::CertificateRefused => PingError::Credentials { status: 0 },
            Failure::Broken | Failure::OutOfTime => PingError::Broken,
            Failure::TooLong => PingError::Garbled,
        }
    }
}
