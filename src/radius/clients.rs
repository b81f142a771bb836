//! The configured clients as the door needs them: found by address, keys prepared, and what has been
//! learned of their habits.
//!
//! The most specific range wins. `auto` settings learn from what is seen: `require_message_authenticator`
//! from the first signed request that was right; `limit_proxy_state` from the first request of all, as
//! FreeRADIUS does it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::attribute::{AddressForm, EAP_MESSAGE, PROXY_STATE, vendor_value};
use super::authenticator::{ClientKey, Verified};
use super::certificate::Shown;
use super::discard::{Discarded, LogGate};
use super::packet::{EncodeError, Packet};
use super::reply::Replies;
use crate::config::by_address::ByAddress;
use crate::config::{PersonAddress, RadiusClient, Requirement};

/// Why a client of the configuration cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// Its name.
    pub client: String,
    /// What its replies break.
    pub error: EncodeError,
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "client {:?}: its reply attributes or its reject message do not fit into a RADIUS packet",
            self.client
        )
    }
}

impl std::error::Error for ClientError {}

/// All clients.
#[derive(Debug)]
pub struct Clients {
    known: Vec<Arc<Known>>,
    by_address: ByAddress<Arc<Known>>,
    over_tls: Vec<Arc<Known>>,
}

/// Why a connection is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// No client over TLS has its address.
    Address,
    /// None of those that have its address has its certificate.
    Certificate,
}

impl Clients {
    /// Prepares the configured clients. `start` is any moment that is not later than all others.
    ///
    /// # Errors
    /// [`ClientError`] of the first client whose replies cannot be encoded.
    pub fn new(configured: &[Arc<RadiusClient>], start: Instant) -> Result<Self, ClientError> {
        let known = configured.iter().map(|config| Known::new(config, start).map(Arc::new));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        // The secret of a client over TLS is no secret: nothing that comes by UDP may be taken for its.
        let (over_tls, over_udp): (Vec<_>, Vec<_>) =
            known.iter().cloned().partition(|known| known.config.tls.is_some());
        let ranges =
            over_udp.iter().flat_map(|known| known.config.addresses.iter().map(|range| (range, Arc::clone(known))));
        Ok(Clients { by_address: ByAddress::new(ranges), over_tls, known })
    }

    /// Whether a client over TLS has this address.
    pub fn expects(&self, address: IpAddr) -> bool {
        self.at(address).next().is_some()
    }

    /// The client over TLS with this address and this certificate.
    ///
    /// # Errors
    /// [`Stranger`]. A certificate that could be two clients' is nobody's.
    pub fn prove(&self, address: IpAddr, shown: &Shown) -> Result<&Arc<Known>, Stranger> {
        if !self.expects(address) {
            return Err(Stranger::Address);
        }
        let mut fitting = self.at(address).filter(|known| known.config.tls.as_ref().is_some_and(|tls| shown.fits(tls)));
        fitting.next().filter(|_| fitting.next().is_none()).ok_or(Stranger::Certificate)
    }

    fn at(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Known>> {
        self.over_tls.iter().filter(move |known| known.config.addresses.iter().any(|range| range.contains(address)))
    }

    /// The client whose datagrams come from this address.
    pub fn find(&self, address: IpAddr) -> Option<&Arc<Known>> {
        self.by_address.find(address)
    }

    /// All of them, in the order of the configuration: for metrics and `check`.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().map(Arc::as_ref)
    }
}

/// Whether a client's unsigned requests may carry Proxy-State, as far as is known.
const UNDECIDED: u8 = 0;
const LIMITED: u8 = 1;
const EXCUSED: u8 = 2;

/// One client.
#[derive(Debug)]
pub struct Known {
    /// Its configuration.
    pub config: Arc<RadiusClient>,
    /// Its secret, prepared.
    pub key: ClientKey,
    /// Its replies, prepared.
    pub replies: Replies,
    person_address: Option<(PersonAddress, AddressForm)>,
    signed: AtomicU64,
    unsigned: AtomicU64,
    /// It has once signed a request that it did not have to sign.
    signs: AtomicBool,
    proxy_state: AtomicU8,
    gate: LogGate,
    start: Instant,
    /// Connections that it has open.
    open: AtomicUsize,
}

/// A connection's place among those of its client. Gives it back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Known>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Known {
    fn new(config: &Arc<RadiusClient>, start: Instant) -> Result<Self, ClientError> {
        let replies =
            Replies::prepare(config).map_err(|error| ClientError { client: config.client.name.clone(), error })?;
        let proxy_state = match config.limit_proxy_state {
            Requirement::Yes => LIMITED,
            Requirement::Auto => UNDECIDED,
            Requirement::No => EXCUSED,
        };
        Ok(Known {
            config: Arc::clone(config),
            key: ClientKey::new(config.secret.duplicate()),
            replies,
            person_address: config.person_address,
            signed: AtomicU64::new(0),
            unsigned: AtomicU64::new(0),
            signs: AtomicBool::new(false),
            proxy_state: AtomicU8::new(proxy_state),
            gate: LogGate::default(),
            start,
            open: AtomicUsize::new(0),
        })
    }

    /// A place for one more connection over TLS, where there is one left.
    pub fn connect(self: &Arc<Self>) -> Option<Place> {
        let place = Place(Arc::clone(self));
        let open = self.open.fetch_add(1, Ordering::AcqRel);
        self.config.tls.as_ref().is_some_and(|tls| open < tls.connections).then_some(place)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.client.name
    }

    /// Access-Requests with a right Message-Authenticator since the start.
    pub fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// Access-Requests without a Message-Authenticator since the start, dropped ones included.
    pub fn unsigned(&self) -> u64 {
        self.unsigned.load(Ordering::Relaxed)
    }

    /// It has signed before, as somebody remembers: see [`Known::learns_to_sign`].
    pub fn has_signed_before(&self) {
        self.signs.store(true, Ordering::Relaxed);
    }

    /// Whether it has signed although it need not have, so that from now on it must.
    pub fn learns_to_sign(&self) -> bool {
        self.config.require_message_authenticator == Requirement::Auto && self.signs.load(Ordering::Relaxed)
    }

    /// Decides whether an Access-Request is good enough, by its signature and the client's settings
    /// (CVE-2024-3596).
    ///
    /// # Errors
    /// [`Discarded::Unsigned`] or [`Discarded::UnsignedProxyState`].
    pub fn admits(&self, request: &Verified<'_>, now: Instant) -> Result<(), Discarded> {
        let packet = request.packet();
        // EAP is always signed (RFC 3579 section 3.1), also by clients that never sign a password: it
        // teaches nothing about them.
        let eap = packet.value(EAP_MESSAGE).is_some();
        if request.signed() {
            self.signed.fetch_add(1, Ordering::Relaxed);
            if !eap {
                self.signs.store(true, Ordering::Relaxed);
                self.decide_proxy_state(LIMITED);
            }
            return Ok(());
        }
        self.unsigned.fetch_add(1, Ordering::Relaxed);
        let required = match self.config.require_message_authenticator {
            Requirement::Yes => true,
            Requirement::Auto => self.signs.load(Ordering::Relaxed),
            Requirement::No => false,
        };
        if required || eap {
            self.warn(now, "it is dropped: let the client send it, or set require_message_authenticator = \"no\"");
            return Err(Discarded::Unsigned);
        }
        if self.config.tls.is_some() {
            // Nobody on the way can have changed it.
            return Ok(());
        }
        if packet.value(PROXY_STATE).is_some() {
            if self.decide_proxy_state(EXCUSED) == LIMITED {
                self.warn(
                    now,
                    "it has Proxy-State and is dropped: update the proxy, or set limit_proxy_state = \"no\"",
                );
                return Err(Discarded::UnsignedProxyState);
            }
        } else {
            self.decide_proxy_state(LIMITED);
        }
        self.warn(
            now,
            "the client is open to CVE-2024-3596: let it send one, then set require_message_authenticator = \"yes\"",
        );
        Ok(())
    }

    /// The address of the person's device, where the request tells it.
    pub fn person_address(&self, packet: &Packet<'_>) -> Option<IpAddr> {
        let (place, form) = self.person_address?;
        let value = match place.vendor {
            None => packet.value(place.number),
            Some(vendor) => vendor_value(packet, vendor, place.number),
        };
        form.read(value?)
    }

    /// Decides the habit if it is undecided; returns what holds.
    fn decide_proxy_state(&self, habit: u8) -> u8 {
        match self.proxy_state.compare_exchange(UNDECIDED, habit, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => habit,
            Err(decided) => decided,
        }
    }

    fn warn(&self, now: Instant, advice: &'static str) {
        if self.gate.opens(self.start, now) {
            let unsigned = self.unsigned();
            tracing::warn!(client = self.name(), unsigned, advice, "Access-Request without Message-Authenticator");
        }
    }
}

#[cfg(test)]
mod tests;
