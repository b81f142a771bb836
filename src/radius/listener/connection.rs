//! One connection of RADIUS over TLS: its packets in, its answers out, any number under way (RFC 6613, RFC 6614).
//!
//! One task reads and writes. Answers wait in the [`Outbox`]; while it is full no more packets are read, so that whoever
//! does not read answers stalls nobody else, and is cut off when none is taken for too long.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Books;
use super::station::{Dice, Station, Way, record, send_now};
use crate::config::TlsLimits;
use crate::radius::accounting::AccountingDoor;
use crate::radius::clients::Known;
use crate::radius::discard::Discarded;
use crate::radius::duplicates::Reply;
use crate::radius::eleven::{Serving, Token};
use crate::radius::framing::first_packet;
use crate::radius::packet::{Code, MAX_PACKET, Packet};
use crate::signin::reception::SignIns;

/// Octets of answers that wait until no more packets are read. Those of requests that run come on top.
const FULL: usize = 64 * 1024;

/// Octets that are written in one go, some more with the last answer: one record of TLS.
const CHUNK: usize = 12 * 1024;

/// Packets taken in one go before other tasks of the same thread get their turn.
const TURN: usize = 32;

/// How often a connection that is to end looks whether its last requests have been answered.
const REST: Duration = Duration::from_millis(10);

/// Answers on their way out.
#[derive(Debug)]
pub(super) struct Outbox {
    peer: SocketAddr,
    /// Where RADIUS/1.1 is spoken: what is needed for it, and the client, whose key it is.
    eleven: Option<(Serving, Arc<Known>)>,
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: VecDeque<Reply>,
    octets: usize,
    /// Nothing will come any more.
    last: bool,
}

impl Outbox {
    pub(super) fn new(peer: SocketAddr, eleven: Option<(Serving, Arc<Known>)>) -> Self {
        Outbox { peer, eleven, waiting: Mutex::default(), filled: Notify::new(), emptied: Notify::new() }
    }

    /// Nothing will come any more: what is there is to be written, and then the end.
    fn end(&self) {
        self.waiting().last = true;
        self.filled.notify_one();
    }

    /// Waits until packets may be read.
    async fn room(&self) {
        while self.waiting().octets > FULL {
            self.emptied.notified().await;
        }
    }

    /// Waits for answers and puts some of them into `chunk`. False when there will be none.
    async fn next(&self, chunk: &mut Vec<u8>) -> bool {
        chunk.clear();
        loop {
            {
                let mut waiting = self.waiting();
                while chunk.len() < CHUNK
                    && let Some(answer) = waiting.answers.pop_front()
                {
                    waiting.octets -= answer.len();
                    chunk.extend_from_slice(&answer);
                }
                if !chunk.is_empty() || waiting.last {
                    break;
                }
            }
            self.filled.notified().await;
        }
        self.emptied.notify_one();
        !chunk.is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way for Outbox {
    /// Of RADIUS/1.1.
    type Route = Token;

    fn send(&self, reply: &Reply, token: &Token) -> io::Result<()> {
        let reply = match &self.eleven {
            None => Arc::clone(reply),
            Some((serving, client)) => {
                let made = serving.reply(reply, *token, &client.key);
                made.ok_or_else(|| io::Error::other("a reply that RADIUS/1.1 cannot hold"))?.into()
            }
        };
        let mut waiting = self.waiting();
        waiting.octets += reply.len();
        waiting.answers.push_back(reply);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its other side closed it, or the server stops.
    Closed,
    /// No first packet, a packet that did not come to its end, or nothing for too long.
    Silent,
    /// None of what was sent was taken for too long.
    Stalled,
    /// A length that no packet has.
    Length,
    /// A packet after which it must be closed.
    Packet(Discarded),
}

impl End {
    /// The word in metrics and logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            End::Closed => "closed",
            End::Silent => "silent",
            End::Stalled => "stalled",
            End::Length => "bad_length",
            End::Packet(cause) => cause.word(),
        }
    }
}

/// What a connection needs besides its stream.
pub(super) struct Connection {
    pub(super) station: Arc<Station<Outbox>>,
    pub(super) accounting: Arc<AccountingDoor>,
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) books: Books,
    pub(super) limits: TlsLimits,
}

impl Connection {
    /// Serves the stream until one side ends it. `first_until`: when its first packet must be there.
    /// `stopping`: true once the server stops.
    pub(super) async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite,
        first_until: Instant,
        stopping: watch::Receiver<bool>,
    ) -> End {
        let (reader, writer) = tokio::io::split(stream);
        let (station, within) = (Arc::clone(&self.station), self.limits.send_within);
        tokio::select! {
            end = self.read(reader, first_until, stopping) => end,
            end = write(writer, &station.port, within) => end,
        }
    }

    async fn read(
        &self,
        mut reader: ReadHalf<impl AsyncRead>,
        first_until: Instant,
        mut stopping: watch::Receiver<bool>,
    ) -> End {
        let mut input = BytesMut::new();
        let mut dice = Dice::default();
        let mut until = first_until;
        loop {
            let was_empty = input.is_empty();
            // A packet's worth at a time: what a connection takes stays small.
            input.reserve(MAX_PACKET);
            let received = tokio::select! {
                received = timeout_at(until, reader.read_buf(&mut input)) => received,
                () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => return self.last_answers().await,
            };
            match received {
                Ok(Ok(0) | Err(_)) => return End::Closed,
                Ok(Ok(_)) => {}
                // A hold can take longer than a connection may be silent.
                Err(_) if input.is_empty() && self.station.door.running() > 0 => {
                    until = Instant::now() + self.limits.idle;
                    continue;
                }
                Err(_) => return End::Silent,
            }
            match self.packets(&mut input, &mut dice).await {
                Err(end) => return end,
                // The first packet is not there yet, or this one has been under way before.
                Ok(0) if until == first_until || !was_empty => {}
                Ok(0) => until = Instant::now() + self.limits.first_packet_within,
                Ok(_) if input.is_empty() => until = Instant::now() + self.limits.idle,
                Ok(_) => until = Instant::now() + self.limits.first_packet_within,
            }
        }
    }

    /// Takes every packet that is all there, and says how many.
    async fn packets(&self, input: &mut BytesMut, dice: &mut Dice) -> Result<usize, End> {
        let mut taken = 0;
        while let Some(length) = first_packet(input).map_err(|_| End::Length)? {
            let packet = input.split_to(length);
            let (station, mut peer) = (&self.station, self.station.port.peer);
            let inward = match &station.port.eleven {
                None => None,
                Some((serving, client)) => {
                    let inward = serving.request(&packet, &client.key);
                    Some(inward.ok_or_else(|| unfit(&packet))?)
                }
            };
            let (packet, token) = inward.as_ref().map_or((&packet[..], Token::default()), |inward| {
                peer.set_port(inward.port());
                (&inward.packet, inward.token)
            });
            let discarded = if packet.first() == Some(&Code::ACCOUNTING_REQUEST.0) {
                let way = Arc::clone(station);
                record(&self.accounting, &self.books, packet, peer, move |reply| send_now(&way.port, reply, &token))
            } else {
                station.take(&self.sign_ins, packet, (peer, token), dice)
            };
            if let Some(cause) = discarded.filter(|cause| cause.ends_connection()) {
                return Err(End::Packet(cause));
            }
            taken += 1;
            if taken % TURN == 0 {
                tokio::task::yield_now().await;
            }
            station.port.room().await;
        }
        Ok(taken)
    }

    /// Reads nothing more, and ends when what runs has been answered.
    async fn last_answers(&self) -> End {
        while self.station.door.running() > 0 {
            tokio::time::sleep(REST).await;
        }
        self.station.port.end();
        std::future::pending().await
    }
}

/// Why a packet of RADIUS/1.1 cannot be taken: its attributes are broken, or it is as long as none of ours may be.
fn unfit(packet: &[u8]) -> End {
    Packet::decode(packet).err().map_or(End::Length, |error| End::Packet(error.into()))
}

/// Writes answers until there are none any more.
async fn write(mut writer: WriteHalf<impl AsyncWrite>, outbox: &Outbox, within: Duration) -> End {
    let mut chunk = Vec::new();
    while outbox.next(&mut chunk).await {
        let written = timeout(within, async {
            writer.write_all(&chunk).await?;
            writer.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Closed,
            Err(_) => return End::Stalled,
        }
    }
    let _ = timeout(within, writer.shutdown()).await;
    End::Closed
}

#[cfg(test)]
mod tests;
