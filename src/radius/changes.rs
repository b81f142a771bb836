//! Changes of sessions (CoA and Disconnect, RFC 5176): a RADIUS target asks, and the client that has the session is asked
//! in its place. Pure.
//!
//! ```text
//! target ─ request, its secret ─▶ Changes::receive ─ which client? ─▶ Relay ─ request, the client's secret ─▶ client
//! target ◀─ answer, its Proxy-States ── Changes::finish ◀─ Relay::read ─────────────────────── ACK or NAK ─┘
//! ```
//!
//! What is refused in silence: sources that are no target's, packets whose authenticator is wrong, an Event-Timestamp that
//! is not of now. What is authentic and cannot be done gets a NAK with its Error-Cause. Proxy-States stay here and
//! come back in their order; a request that was asked again gets the same answer, and the client is asked once.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::attribute::{
    CHAP_PASSWORD, EAP_MESSAGE, EVENT_TIMESTAMP, MESSAGE_AUTHENTICATOR, NAS_IDENTIFIER, NAS_IP_ADDRESS,
    NAS_IPV6_ADDRESS, PROXY_STATE, SERVICE_TYPE, TUNNEL_PASSWORD, USER_PASSWORD, push,
};
use super::authenticator::{ClientKey, Verified, sign_reply};
use super::discard::Discarded;
use super::door::Shared;
use super::duplicates::{Duplicates, Full, Reply, RequestKey, Seen};
use super::packet::{Authenticator, Builder, Code, EncodeError, MAX_PACKET, Packet};
use super::reply;
use crate::config::AddressRange;
use crate::config::changes::{ChangeRelay, Changes as Configured};

use onward::{COA_REQUEST, DISCONNECT_REQUEST, refusal};
pub use onward::{Cause, Relay, unsupported};

mod onward;

/// Service-Type of a request that the client is to answer by an Access-Request (RFC 5176 section 3.2).
const AUTHORIZE_ONLY: [u8; 4] = [0, 0, 0, 17];

/// How far an Event-Timestamp may be from now (RFC 5176 section 6.3 has 300 seconds).
const CURRENT: Duration = Duration::from_secs(300);
/// How long an answer is kept for the same request again.
const KEPT: Duration = Duration::from_secs(30);
/// Requests of all targets that are kept, running and answered, at most.
pub const MOST: usize = 4096;
/// Packets per second from one server of a target.
const PER_SECOND: u32 = 1000;

/// A target whose servers may ask.
struct Origin {
    name: String,
    addresses: Vec<IpAddr>,
    key: ClientKey,
    own_name: Option<String>,
    /// Positions among the clients.
    clients: Vec<usize>,
}

/// A client that is asked.
#[derive(Debug)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Where.
    pub to: SocketAddr,
    /// Its secret, prepared.
    pub key: Arc<ClientKey>,
    addresses: Vec<AddressRange>,
}

/// What to do about a datagram.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    Discard(Discarded),
    /// Nothing: the client is being asked.
    Running,
    /// Send these bytes.
    Reply(Reply),
    /// Ask the client, and [`Changes::finish`] whatever becomes of it.
    Relay(Box<Relay>),
}

/// What the answer to the target needs.
#[derive(Debug)]
struct Ticket {
    origin: usize,
    key: RequestKey,
    generation: u32,
    identifier: u8,
    authenticator: Authenticator,
    proxy_states: Box<[u8]>,
}

/// The door for changes.
pub struct Changes {
    shared: Arc<Shared>,
    origins: Vec<Origin>,
    clients: Vec<Asked>,
    table: Mutex<Duplicates<()>>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("clients", &self.clients).finish_non_exhaustive()
    }
}

impl Changes {
    /// With the relays of a configuration.
    pub fn new(configured: &Configured, shared: Arc<Shared>) -> Self {
        let mut clients: Vec<Asked> = Vec::new();
        let mut origins: Vec<Origin> = Vec::new();
        for ChangeRelay { target, from, target_secret, own_name, client, addresses, to, client_secret } in
            &configured.relays
        {
            let place = clients.iter().position(|known| known.name == *client && known.to == *to);
            let place = place.unwrap_or_else(|| {
                let key = Arc::new(ClientKey::new(client_secret.duplicate()));
                clients.push(Asked { name: client.clone(), to: *to, key, addresses: addresses.clone() });
                clients.len() - 1
            });
            match origins.iter_mut().find(|origin| origin.name == *target) {
                Some(origin) => origin.clients.push(place),
                None => origins.push(Origin {
                    name: target.clone(),
                    addresses: from.clone(),
                    key: ClientKey::new(target_secret.duplicate()),
                    own_name: own_name.clone(),
                    clients: vec![place],
                }),
            }
        }
        let table = Mutex::new(Duplicates::new(MOST, shared.start()));
        Changes { shared, origins, clients, table }
    }

    /// The clients that are asked.
    pub fn clients(&self) -> &[Asked] {
        &self.clients
    }

    /// Whose request it is.
    pub fn target_of(&self, relay: &Relay) -> &str {
        self.origins.get(relay.ticket.origin).map_or("", |origin| &origin.name)
    }

    /// Judges a datagram. `wall`: the wall clock, for Event-Timestamp.
    pub fn receive(&self, peer: SocketAddr, bytes: &[u8], (now, wall): (Instant, SystemTime)) -> Step {
        self.judge(peer, bytes, (now, wall))
            .unwrap_or_else(|cause| Step::Discard(self.shared.discard(cause, peer, None, now)))
    }

    fn judge(&self, peer: SocketAddr, bytes: &[u8], (now, wall): (Instant, SystemTime)) -> Result<Step, Discarded> {
        let address = peer.ip().to_canonical();
        let mut origins = self.origins.iter().enumerate().filter(|(_, origin)| origin.addresses.contains(&address));
        if origins.clone().next().is_none() {
            return Err(Discarded::UnknownSource);
        }
        if !self.shared.rates.allows(address, PER_SECOND, now) {
            return Err(Discarded::OverRate);
        }
        let packet = Packet::decode(bytes)?;
        if ![DISCONNECT_REQUEST, COA_REQUEST].contains(&packet.code()) {
            return Err(Discarded::WrongCode);
        }
        // Its authenticator is a digest of all of it: the same one is the same request.
        let key = RequestKey::new(peer, packet.identifier());
        match self.table().seen(&key, packet.authenticator(), now) {
            Seen::Running(_) => return Ok(Step::Running),
            Seen::Answered(reply) => return Ok(Step::Reply(reply)),
            Seen::New => {}
        }
        if self.shared.draining() {
            return Err(Discarded::Draining);
        }
        // Several targets may be on one machine, each with its secret.
        let (place, origin, verified) = origins
            .find_map(|(place, origin)| Some((place, origin, Verified::change(packet, &origin.key).ok()?)))
            .ok_or(Discarded::WrongAuthenticator)?;
        if !packet.values(EVENT_TIMESTAMP).all(|value| is_current(value, wall)) {
            return Err(Discarded::Stale);
        }
        let begun = self.table().begin(key, packet.authenticator(), now).map_err(|Full| Discarded::TableFull)?;
        let ticket = Ticket {
            origin: place,
            key,
            generation: begun.generation,
            identifier: packet.identifier(),
            authenticator: *packet.authenticator(),
            proxy_states: reply::proxy_states(&packet),
        };
        match self.route(origin, &verified.packet()) {
            Ok(client) => {
                let own = |number: u8, value: &[u8]| {
                    number == NAS_IDENTIFIER && origin.own_name.as_ref().is_some_and(|own| own.as_bytes() == value)
                };
                let mut attributes = Vec::with_capacity(bytes.len());
                for attribute in packet.attributes() {
                    if ![MESSAGE_AUTHENTICATOR, PROXY_STATE].contains(&attribute.number)
                        && !own(attribute.number, attribute.value)
                    {
                        push(&mut attributes, attribute.number, attribute.value);
                    }
                }
                let (code, signed) = (packet.code(), packet.value(MESSAGE_AUTHENTICATOR).is_some());
                Ok(Step::Relay(Box::new(Relay { client, code, signed, attributes: attributes.into(), ticket })))
            }
            Err(cause) => Ok(self.answer(packet.code(), &ticket, Err(cause), now).map_or(Step::Running, Step::Reply)),
        }
    }

    /// Which client a request is for: the only one that its target may ask, or the one that it names.
    fn route(&self, origin: &Origin, packet: &Packet<'_>) -> Result<usize, Cause> {
        if packet.values(SERVICE_TYPE).any(|value| value == AUTHORIZE_ONLY) {
            return Err(Cause::UnsupportedService);
        }
        if [USER_PASSWORD, CHAP_PASSWORD, TUNNEL_PASSWORD, EAP_MESSAGE]
            .iter()
            .any(|hidden| packet.value(*hidden).is_some())
        {
            return Err(Cause::UnsupportedAttribute);
        }
        if let [only] = origin.clients[..] {
            return Ok(only);
        }
        let its = || origin.clients.iter().filter_map(|place| Some((*place, self.clients.get(*place)?)));
        let v4 = packet.value(NAS_IP_ADDRESS).and_then(|value| <[u8; 4]>::try_from(value).ok()).map(IpAddr::from);
        let v6 = packet.value(NAS_IPV6_ADDRESS).and_then(|value| <[u8; 16]>::try_from(value).ok());
        let address = v4.or(v6.map(|octets| IpAddr::from(Ipv6Addr::from(octets))));
        let name = packet.value(NAS_IDENTIFIER);
        let name = name.filter(|name| origin.own_name.as_ref().is_none_or(|own| own.as_bytes() != *name));
        let by_address = |client: &Asked, address: IpAddr| {
            let ranges = client.addresses.iter().filter(|range| range.contains(address));
            ranges.map(AddressRange::span).min()
        };
        match (address, name) {
            (None, None) => Err(Cause::RequestNotRoutable),
            (Some(address), _) => {
                let fitting = its().filter_map(|(place, client)| Some((by_address(client, address)?, place)));
                fitting.min().map(|(_, place)| place).ok_or(Cause::NasIdentificationMismatch)
            }
            (None, Some(name)) => {
                let named = its().find(|(_, client)| client.name.as_bytes() == name);
                named.map(|(place, _)| place).ok_or(Cause::NasIdentificationMismatch)
            }
        }
    }

    /// Ends a request: what the client said, or why it could not be asked. Nothing is to be sent where the target has
    /// given this request up for another.
    pub fn finish(&self, relay: &Relay, said: Result<(bool, Vec<u8>), Cause>, now: Instant) -> Option<Reply> {
        self.answer(relay.code, &relay.ticket, said, now)
    }

    fn answer(&self, code: Code, ticket: &Ticket, said: Result<(bool, Vec<u8>), Cause>, now: Instant) -> Option<Reply> {
        let (done, attributes) = said.unwrap_or_else(|cause| (false, refusal(cause)));
        let code = Code(code.0 + if done { 1 } else { 2 });
        let origin = self.origins.get(ticket.origin)?;
        let asked = (ticket.identifier, &ticket.authenticator);
        let made = encode(code, asked, (&attributes, &ticket.proxy_states), &origin.key);
        // What was done was done: where the client's attributes do not fit beside the Proxy-States, that much is told.
        let made = made.or_else(|_| encode(code, asked, (&[], &ticket.proxy_states), &origin.key));
        let Ok(reply) = made else {
            self.table().forget(&ticket.key, ticket.generation);
            return None;
        };
        let current = self.table().finish(&ticket.key, ticket.generation, Arc::clone(&reply), KEPT, now);
        current.then_some(reply)
    }

    fn table(&self) -> MutexGuard<'_, Duplicates<()>> {
        // The table is whole between any two of its statements; a panic elsewhere must not close the door.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to the request with this identifier and authenticator.
fn encode(
    code: Code,
    (identifier, authenticator): (u8, &Authenticator),
    (attributes, proxy_states): (&[u8], &[u8]),
    key: &ClientKey,
) -> Result<Reply, EncodeError> {
    let room = (18 + attributes.len() + proxy_states.len()).min(MAX_PACKET);
    let mut packet = Builder::new(code, identifier, authenticator, room);
    packet.push(MESSAGE_AUTHENTICATOR, &[0; 16])?;
    packet.push_encoded(attributes)?;
    packet.push_encoded(proxy_states)?;
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, authenticator, key);
    Ok(Reply::from(bytes))
}

fn is_current(value: &[u8], wall: SystemTime) -> bool {
    let Ok(octets) = <[u8; 4]>::try_from(value) else { return false };
    let told = Duration::from_secs(u64::from(u32::from_be_bytes(octets)));
    let now = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    told.abs_diff(now) <= CURRENT
}

#[cfg(test)]
mod tests;
