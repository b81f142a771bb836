//! Octets on their way out that the other side has not taken yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::{CHUNK, KEPT};
use crate::ldap::pool::Wire;

/// What one side has yet to take.
#[derive(Default)]
pub(super) struct Outbox {
    octets: Vec<u8>,
    sent: usize,
    /// Octets may lie in the layer below.
    unflushed: bool,
    blocked: Option<Instant>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Whether answers of our own may still be added.
    pub(super) fn has_room(&self) -> bool {
        self.octets.len() - self.sent < CHUNK
    }

    /// Since when the other side takes nothing.
    pub(super) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    /// Adds octets that leave with the next flush.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Everything that has not left.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut octets = std::mem::take(&mut self.octets);
        octets.drain(..self.sent.min(octets.len()));
        self.sent = 0;
        octets
    }

    /// Sends octets at once where nothing else is waiting, and keeps what is not taken.
    pub(super) fn send(&mut self, wire: &mut dyn Wire, mut octets: &[u8], context: &mut Context<'_>) -> io::Result<()> {
        if self.octets.is_empty() {
            octets = self.write(wire, octets, context)?;
        }
        self.octets.extend_from_slice(octets);
        self.flush(wire, context)
    }

    /// Sends what is waiting.
    pub(super) fn flush(&mut self, wire: &mut dyn Wire, context: &mut Context<'_>) -> io::Result<()> {
        if !self.octets.is_empty() {
            let octets = std::mem::take(&mut self.octets);
            let left = self.write(wire, octets.get(self.sent..).unwrap_or_default(), context)?.len();
            self.sent = octets.len() - left;
            self.octets = octets;
            if left == 0 {
                self.sent = 0;
                self.octets.clear();
                if self.octets.capacity() > KEPT {
                    self.octets = Vec::new();
                }
            }
        }
        if self.unflushed {
            match Pin::new(wire).poll_flush(context) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return Ok(());
                }
            }
        }
        if self.octets.is_empty() {
            self.blocked = None;
        }
        Ok(())
    }

    /// Writes as much as is taken; the rest comes back.
    fn write<'a>(
        &mut self,
        wire: &mut dyn Wire,
        mut octets: &'a [u8],
        context: &mut Context<'_>,
    ) -> io::Result<&'a [u8]> {
        while !octets.is_empty() {
            match Pin::new(&mut *wire).poll_write(context, octets) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => {
                    octets = octets.get(taken..).unwrap_or_default();
                    self.unflushed = true;
                    self.blocked = None;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    break;
                }
            }
        }
        Ok(octets)
    }
}
