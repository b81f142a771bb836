//! Why a datagram got no answer: one closed list, counted by cause, logged without content at a bounded
//! rate.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::authenticator::VerifyError;
use super::packet::DecodeError;

/// Declares the causes once: variant and word.
macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Why a datagram got no answer. The log and the metric label use the same word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Discarded {
            $($(#[$doc])* $variant,)*
        }

        impl Discarded {
            /// Every cause.
            pub const ALL: &'static [Discarded] = &[$(Discarded::$variant),*];

            /// The word in the log and the metrics.
            pub fn word(self) -> &'static str {
                match self { $(Discarded::$variant => $word,)* }
            }
        }
    };
}

causes! {
    /// No configured client has this address.
    UnknownSource = "unknown_source",
    /// More packets from this address than its client allows.
    OverRate = "over_rate",
    /// Fewer octets than a header has.
    TooShort = "too_short",
    /// The Length field is below 20 or above 4096.
    BadLength = "bad_length",
    /// The Length field says more than was received.
    Truncated = "truncated",
    /// An attribute's length is below 2.
    AttributeTooShort = "attribute_too_short",
    /// An attribute ends beyond the packet.
    AttributeOverrun = "attribute_overrun",
    /// A kind of packet that this port does not take.
    WrongCode = "wrong_code",
    /// No Message-Authenticator where one is required.
    Unsigned = "unsigned",
    /// More than one Message-Authenticator.
    SignedTwice = "signed_twice",
    /// A Message-Authenticator that does not have 16 octets.
    BadSignatureLength = "bad_signature_length",
    /// A wrong Message-Authenticator: another secret, or a changed packet.
    WrongSignature = "wrong_signature",
    /// A wrong Request Authenticator of an Accounting-Request: another secret, or a changed packet.
    WrongAuthenticator = "wrong_authenticator",
    /// Proxy-State without Message-Authenticator, from a client that is not excused (CVE-2024-3596).
    UnsignedProxyState = "unsigned_proxy_state",
    /// So much Proxy-State that no reply could echo it.
    ProxyStateTooLong = "proxy_state_too_long",
    /// The table of requests is full.
    TableFull = "table_full",
    /// The server is stopping and begins nothing new.
    Draining = "draining",
    /// As many sign-ins wait for directories as may (`limits.at_directory`): the client asks again, or its next server.
    Overloaded = "overloaded",
    /// A CoA- or Disconnect-Request whose Event-Timestamp is not of now (RFC 5176 section 6.3): somebody may be repeating it.
    Stale = "stale",
    /// An accounting record could not be handed over; the client will send it again.
    NotRecorded = "not_recorded",
}

impl Discarded {
    /// Whether a connection on which it came must be closed (RFC 6613 section 2.6.4): its other side is broken, or no
    /// client of ours.
    pub fn ends_connection(self) -> bool {
        use Discarded as D;
        matches!(
            self,
            D::TooShort
                | D::BadLength
                | D::Truncated
                | D::AttributeTooShort
                | D::AttributeOverrun
                | D::SignedTwice
                | D::BadSignatureLength
                | D::WrongSignature
                | D::WrongAuthenticator
        )
    }
}

impl From<DecodeError> for Discarded {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooShort { .. } => Discarded::TooShort,
            DecodeError::BadLength { .. } => Discarded::BadLength,
            DecodeError::Truncated { .. } => Discarded::Truncated,
            DecodeError::AttributeTooShort { .. } => Discarded::AttributeTooShort,
            DecodeError::AttributeOverrun { .. } => Discarded::AttributeOverrun,
        }
    }
}

impl From<VerifyError> for Discarded {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Unsigned => Discarded::Unsigned,
            VerifyError::SignedTwice => Discarded::SignedTwice,
            VerifyError::BadSignatureLength => Discarded::BadSignatureLength,
            VerifyError::WrongSignature => Discarded::WrongSignature,
            VerifyError::WrongAuthenticator => Discarded::WrongAuthenticator,
        }
    }
}

impl fmt::Display for Discarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How often one line of a kind is logged, at most.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through per [`LOG_INTERVAL`].
#[derive(Debug, Default)]
pub struct LogGate {
    /// Milliseconds after the start from which on the next line may pass.
    next: AtomicU64,
}

impl LogGate {
    /// Whether to log now. `start` is the same moment in each call.
    pub fn opens(&self, start: Instant, now: Instant) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = milliseconds(now.saturating_duration_since(start));
        let next = self.next.load(Ordering::Relaxed);
        let later = now.saturating_add(milliseconds(LOG_INTERVAL));
        now >= next && self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The counters of all discarded datagrams.
#[derive(Debug)]
pub struct Discards {
    causes: Vec<(AtomicU64, LogGate)>,
    start: Instant,
}

impl Discards {
    /// All at zero.
    pub fn new(start: Instant) -> Self {
        Discards { causes: Discarded::ALL.iter().map(|_| Default::default()).collect(), start }
    }

    /// Counts one, and logs it unless the same cause was logged a moment ago. The datagram's content is
    /// never logged.
    pub fn note(&self, cause: Discarded, peer: SocketAddr, client: Option<&str>, now: Instant) {
        let Some((count, gate)) = self.causes.get(cause as usize) else { return };
        let total = count.fetch_add(1, Ordering::Relaxed) + 1;
        if gate.opens(self.start, now) {
            let client = client.unwrap_or("none");
            tracing::warn!(cause = cause.word(), %peer, client, total, "packets discarded without an answer");
        }
    }

    /// How many were discarded for this cause since the start.
    pub fn count(&self, cause: Discarded) -> u64 {
        self.causes.get(cause as usize).map_or(0, |(count, _)| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_counted_by_itself() {
        let start = Instant::now();
        let discards = Discards::new(start);
        for (times, cause) in Discarded::ALL.iter().enumerate() {
            (0..times).for_each(|_| discards.note(*cause, "192.0.2.1:1".parse().unwrap(), None, start));
        }
        for (times, cause) in Discarded::ALL.iter().enumerate() {
            assert_eq!(discards.count(*cause), times as u64, "{cause}");
        }
    }

    #[test]
    fn the_gate_opens_once_per_interval() {
        let start = Instant::now();
        let gate = LogGate::default();
        assert!(gate.opens(start, start));
        assert!(!gate.opens(start, start + LOG_INTERVAL - Duration::from_millis(1)));
        assert!(gate.opens(start, start + LOG_INTERVAL));
        assert!(!gate.opens(start, start + LOG_INTERVAL));
    }
}
