//! Accounting: verified, recorded, acknowledged (RFC 2866). Pure.
//!
//! A record is acknowledged only after it was handed over, and handed over once: a retransmission gets the
//! acknowledgement again. Anteroom keeps no sessions; it passes on what a client reports.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use radius::core::rfc2866 as r2866;

use super::attribute::{
    ACCT_INPUT_GIGAWORDS, ACCT_INPUT_OCTETS, ACCT_OUTPUT_GIGAWORDS, ACCT_OUTPUT_OCTETS, ACCT_SESSION_ID,
    ACCT_SESSION_TIME, ACCT_STATUS_TYPE, USER_NAME,
};
use super::authenticator::Verified;
use super::clients::Known;
use super::discard::Discarded;
use super::door::{Shared, Whose};
use super::duplicates::{Duplicates, Full, Reply, RequestKey, Seen};
use super::eap::Eap;
use super::packet::{Code, Packet};
use super::reply::{self, Asked};
use super::reported;

/// What a client reports about a session. All texts are the client's own and not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountingRecord {
    /// The client's name in the configuration.
    pub client: String,
    /// The address that it reported from.
    pub source: IpAddr,
    /// What happened (Acct-Status-Type); nothing where the client did not say.
    pub status: Option<u32>,
    /// The client's name for the session.
    pub session: String,
    /// The name as the person typed it.
    pub name: String,
    /// Octets from the person.
    pub octets_in: Option<u64>,
    /// Octets to the person.
    pub octets_out: Option<u64>,
    /// How long the session has lasted.
    pub session_time: Option<Duration>,
}

impl AccountingRecord {
    /// The word for what happened.
    pub fn status_word(&self) -> &'static str {
        match self.status {
            Some(r2866::ACCT_STATUS_TYPE_START) => "start",
            Some(r2866::ACCT_STATUS_TYPE_STOP) => "stop",
            Some(r2866::ACCT_STATUS_TYPE_INTERIM_UPDATE) => "interim_update",
            Some(r2866::ACCT_STATUS_TYPE_ACCOUNTING_ON) => "accounting_on",
            Some(r2866::ACCT_STATUS_TYPE_ACCOUNTING_OFF) => "accounting_off",
            Some(_) => "other",
            None => "none",
        }
    }

    fn read(client: &Known, packet: &Packet<'_>, peer: SocketAddr) -> Self {
        let integer = |number| packet.value(number).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
        let text = |number| String::from_utf8_lossy(packet.value(number).unwrap_or_default()).into_owned();
        let octets = |low, high| {
            let low = integer(low)?;
            Some(u64::from(integer(high).unwrap_or(0)) << 32 | u64::from(low))
        };
        AccountingRecord {
            client: client.name().to_owned(),
            source: peer.ip().to_canonical(),
            status: integer(ACCT_STATUS_TYPE),
            session: text(ACCT_SESSION_ID),
            name: text(USER_NAME),
            octets_in: octets(ACCT_INPUT_OCTETS, ACCT_INPUT_GIGAWORDS),
            octets_out: octets(ACCT_OUTPUT_OCTETS, ACCT_OUTPUT_GIGAWORDS),
            session_time: integer(ACCT_SESSION_TIME).map(|seconds| Duration::from_secs(u64::from(seconds))),
        }
    }
}

/// What to do about a datagram.
#[derive(Debug)]
pub enum AccountingStep {
    /// Nothing.
    Discard(Discarded),
    /// Nothing: this very request is being recorded.
    Running,
    /// Send these bytes: an acknowledgement again, or the answer to Status-Server.
    Reply(Reply),
    /// Hand the record over; then [`AccountingDoor::acknowledge`] it, or [`AccountingDoor::forget`] it where
    /// that failed.
    Record(Box<AccountingRecord>, AccountingTicket),
}

/// A request that is being recorded: what its acknowledgement needs.
#[derive(Debug)]
pub struct AccountingTicket {
    key: RequestKey,
    generation: u32,
    reply: Reply,
    window: Duration,
    peer: SocketAddr,
    onward: Option<Onward>,
}

/// A record that is to go to a target, too.
#[derive(Debug)]
pub struct Onward {
    /// Which target.
    pub target: Arc<str>,
    /// What it is to have: attributes, encoded.
    pub attributes: Box<[u8]>,
}

impl AccountingTicket {
    /// What is to go to a target; at most once.
    pub fn take_onward(&mut self) -> Option<Onward> {
        self.onward.take()
    }
}

/// The accounting door of one socket or connection.
#[derive(Debug)]
pub struct AccountingDoor {
    shared: Arc<Shared>,
    whose: Whose,
    table: Mutex<Duplicates<()>>,
}

impl AccountingDoor {
    /// A door for datagrams, whose table keeps at most `capacity` requests.
    pub fn new(shared: Arc<Shared>, capacity: usize) -> Self {
        Self::of(shared, Whose::ByAddress, capacity)
    }

    /// A door for the packets of `whose`.
    pub fn of(shared: Arc<Shared>, whose: Whose, capacity: usize) -> Self {
        let table = Mutex::new(Duplicates::new(capacity, shared.start()));
        AccountingDoor { shared, whose, table }
    }

    /// Judges a datagram.
    pub fn receive(&self, peer: SocketAddr, bytes: &[u8], now: Instant) -> AccountingStep {
        let (client, packet) = match self.shared.admit(&self.whose, peer, bytes, now) {
            Ok(admitted) => admitted,
            Err(cause) => return AccountingStep::Discard(cause),
        };
        let step = match packet.code() {
            Code::ACCOUNTING_REQUEST => self.accounting_request(client, packet, peer, now),
            Code::STATUS_SERVER => self.shared.status_server(client, packet, true).map(AccountingStep::Reply),
            _ => Err(Discarded::WrongCode),
        };
        step.unwrap_or_else(|cause| AccountingStep::Discard(self.shared.discard(cause, peer, Some(client), now)))
    }

    fn accounting_request(
        &self,
        client: &Known,
        packet: Packet<'_>,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<AccountingStep, Discarded> {
        let key = RequestKey::new(peer, packet.identifier());
        match self.table().seen(&key, packet.authenticator(), now) {
            Seen::Running(_) => {
                self.shared.count_retransmission();
                return Ok(AccountingStep::Running);
            }
            Seen::Answered(reply) => {
                self.shared.count_retransmission();
                return Ok(AccountingStep::Reply(reply));
            }
            Seen::New => {}
        }
        // The last records of ending sessions are taken while the server drains, too.
        Verified::accounting(packet, &client.key)?;
        let asked = Asked {
            eap: Eap::None,
            ms_chap: None,
            identifier: packet.identifier(),
            authenticator: packet.authenticator(),
            proxy_states: &reply::proxy_states(&packet),
        };
        let reply = reply::acknowledgement(asked, &client.key).map_err(|_| Discarded::ProxyStateTooLong)?;
        let begun = self.table().begin(key, packet.authenticator(), now).map_err(|Full| Discarded::TableFull)?;
        let window = client.config.duplicate_window;
        let onward = client
            .config
            .accounting_target
            .as_ref()
            .map(|target| Onward { target: Arc::clone(target), attributes: reported::attributes(&packet, peer.ip()) });
        let ticket = AccountingTicket { key, generation: begun.generation, reply, window, peer, onward };
        Ok(AccountingStep::Record(Box::new(AccountingRecord::read(client, &packet, peer)), ticket))
    }

    /// The acknowledgement of a record that was handed over.
    pub fn acknowledge(&self, ticket: AccountingTicket, now: Instant) -> Reply {
        let kept = Arc::clone(&ticket.reply);
        self.table().finish(&ticket.key, ticket.generation, kept, ticket.window, now);
        ticket.reply
    }

    /// Forgets a record that could not be handed over: the client will send it again.
    pub fn forget(&self, ticket: &AccountingTicket, now: Instant) {
        self.table().forget(&ticket.key, ticket.generation);
        self.shared.discard(Discarded::NotRecorded, ticket.peer, None, now);
    }

    fn table(&self) -> MutexGuard<'_, Duplicates<()>> {
        // The table is whole between any two of its statements; a panic elsewhere must not close the door.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
