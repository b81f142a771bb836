//! Why an LDAP connection is not served, or is ended by us: counted, and told in the log once in a while, so that nobody
//! who floods the door fills it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::result::code;
use super::session::notice;
use crate::radius::discard::LogGate;
use crate::telemetry::metrics::Metrics;

/// What a connection lacked or overstepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nobody's address.
    UnknownClient,
    /// As many connections as there may be.
    Connections,
    /// As many as this client may have.
    ClientConnections,
    /// No header of the PROXY protocol where a balancer owes one.
    Balancer,
    /// No TLS came of it.
    Handshake,
    /// The first request, or the rest of one, did not come in time.
    FirstMessage,
    /// The other side took nothing for too long.
    SendWithin,
    /// A message that is too large.
    MaxMessage,
    /// A message that is too large as long as nobody is bound, or a bind that is.
    MaxMessageBeforeBind,
    /// Elements within each other.
    MaxDepth,
    /// What came is no LDAP.
    NotLdap,
    /// Too much was sent while a bind was held.
    Buffered,
}

impl Cause {
    /// Every one.
    pub const ALL: [Cause; 12] = [
        Cause::UnknownClient,
        Cause::Connections,
        Cause::ClientConnections,
        Cause::Balancer,
        Cause::Handshake,
        Cause::FirstMessage,
        Cause::SendWithin,
        Cause::MaxMessage,
        Cause::MaxMessageBeforeBind,
        Cause::MaxDepth,
        Cause::NotLdap,
        Cause::Buffered,
    ];

    /// The word in metrics and the log; where a key of the configuration sets the bound, that key.
    pub fn word(self) -> &'static str {
        match self {
            Cause::UnknownClient => "unknown_client",
            Cause::Connections => "connections",
            Cause::ClientConnections => "client_connections",
            Cause::Balancer => "proxy_protocol",
            Cause::Handshake => "handshake",
            Cause::FirstMessage => "first_message_within",
            Cause::SendWithin => "send_within",
            Cause::MaxMessage => "max_message",
            Cause::MaxMessageBeforeBind => "max_message_before_bind",
            Cause::MaxDepth => "max_depth",
            Cause::NotLdap => "not_ldap",
            Cause::Buffered => "buffered",
        }
    }

    /// What to do about it, for the log.
    fn advice(self) -> &'static str {
        match self {
            Cause::UnknownClient => "no [[ldap.client]] has this address",
            Cause::Connections => "raise ldap.connections, or see who opens so many",
            Cause::ClientConnections => "raise the client's connections, or see why it keeps so many open",
            Cause::Balancer => {
                "let the balancer send the PROXY protocol, version 2, or take it out of ldap.proxy_protocol"
            }
            Cause::Handshake => "does it trust the certificate, and speak TLS 1.2 or 1.3?",
            Cause::FirstMessage | Cause::SendWithin => "it was too slow, or is gone",
            Cause::MaxMessage | Cause::MaxMessageBeforeBind | Cause::MaxDepth | Cause::Buffered => {
                "raise this key of [ldap] if the application needs it"
            }
            Cause::NotLdap => "something else speaks here; a client for LDAPS belongs to listen_tls",
        }
    }

    /// The Notice of Disconnection that says so (RFC 4511 section 4.4.1); none where nobody would read it.
    pub fn notice(self) -> Option<Vec<u8>> {
        let (code, text) = match self {
            Cause::MaxMessage => (code::PROTOCOL_ERROR, "the message is larger than max_message allows"),
            Cause::MaxMessageBeforeBind => {
                (code::PROTOCOL_ERROR, "the message is larger than max_message_before_bind allows")
            }
            Cause::MaxDepth => (code::PROTOCOL_ERROR, "the message is nested deeper than max_depth allows"),
            Cause::NotLdap => (code::PROTOCOL_ERROR, "that is no LDAP"),
            Cause::Buffered => (code::BUSY, "more was sent than is kept while a bind is held"),
            Cause::UnknownClient
            | Cause::Connections
            | Cause::ClientConnections
            | Cause::Balancer
            | Cause::Handshake
            | Cause::FirstMessage
            | Cause::SendWithin => return None,
        };
        Some(notice(code, text))
    }
}

/// The counters, and when each cause was logged last.
#[derive(Debug)]
pub struct Sheds {
    gates: [LogGate; Cause::ALL.len()],
    start: Instant,
    metrics: Arc<Metrics>,
}

impl Sheds {
    /// Nothing was logged yet.
    pub fn new(metrics: Arc<Metrics>, start: Instant) -> Sheds {
        Sheds { gates: Default::default(), start, metrics }
    }

    /// Counts one, and logs it unless the same cause was logged a moment ago.
    pub fn note(&self, cause: Cause, source: IpAddr, client: Option<&str>, now: Instant) {
        let count = self.metrics.ldap_refused(cause.word());
        count.inc();
        if self.gates.get(cause as usize).is_some_and(|gate| gate.opens(self.start, now)) {
            let (client, total) = (client.unwrap_or("none"), count.get());
            let (cause, advice) = (cause.word(), cause.advice());
            tracing::warn!(cause, %source, client, total, advice, "LDAP connections not served, or ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_place_and_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.word()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
            assert!(cause.notice().is_none_or(|notice| notice.len() < 200));
        }
    }
}
