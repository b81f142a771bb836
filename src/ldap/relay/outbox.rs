//! Octets on their way out that the other side has not taken yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;
use zeroize::Zeroize;

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
    /// Whether passwords may be among them, so that nothing of them stays behind.
    wipes: bool,
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Outbox {
    /// For octets among which passwords may be.
    pub(super) fn wiping() -> Self {
        Outbox { octets: Vec::new(), sent: 0, unflushed: false, blocked: None, wipes: true }
    }

    fn wipe(&mut self) {
        if self.wipes {
            self.octets.zeroize();
        }
    }

    /// Keeps octets for later.
    fn keep(&mut self, octets: &[u8]) {
        let needed = self.octets.len() + octets.len();
        if self.wipes && needed > self.octets.capacity() {
            let mut larger = Vec::with_capacity(needed.next_power_of_two());
            larger.extend_from_slice(&self.octets);
            self.wipe();
            self.octets = larger;
        }
        self.octets.extend_from_slice(octets);
    }

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
        self.keep(octets);
        self.flush(wire, context)
    }

    /// Sends what is waiting.
    pub(super) fn flush(&mut self, wire: &mut dyn Wire, context: &mut Context<'_>) -> io::Result<()> {
        if !self.octets.is_empty() {
            let octets = std::mem::take(&mut self.octets);
            let left = self.write(wire, octets.get(self.sent..).unwrap_or_default(), context).map(<[u8]>::len);
            let length = octets.len();
            // Back where it is wiped, whatever became of it.
            self.octets = octets;
            let left = left?;
            self.sent = length - left;
            if left == 0 {
                self.sent = 0;
                self.wipe();
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// What arrives at a side that takes eight octets at a time.
    async fn sent_through(mut outbox: Outbox, octets: &[u8]) -> Vec<u8> {
        let (wire, mut side) = duplex(8);
        let mut wire: Box<dyn Wire> = Box::new(wire);
        let mut read = Vec::new();
        std::future::poll_fn(|context| Poll::Ready(outbox.send(wire.as_mut(), octets, context))).await.unwrap();
        while read.len() < octets.len() {
            let mut some = [0; 8];
            let taken = side.read(&mut some).await.unwrap();
            read.extend_from_slice(&some[..taken]);
            std::future::poll_fn(|context| Poll::Ready(outbox.flush(wire.as_mut(), context))).await.unwrap();
        }
        assert!(outbox.is_empty());
        read
    }

    #[tokio::test]
    async fn a_slow_side_gets_everything_in_order() {
        for outbox in [Outbox::default(), Outbox::wiping()] {
            let octets: Vec<u8> = (0..=255).collect();
            assert_eq!(sent_through(outbox, &octets).await, octets);
        }
    }

    #[test]
    fn what_is_outgrown_or_has_left_is_wiped() {
        let mut outbox = Outbox::wiping();
        outbox.keep(b"secret");
        outbox.keep(b" behind");
        assert_eq!(outbox.octets, b"secret behind");
        outbox.wipe();
        assert!(outbox.octets.is_empty());
        let mut plain = Outbox::default();
        plain.keep(b"results");
        plain.wipe();
        assert_eq!(plain.octets, b"results", "what goes to the client is no password, and is not wiped");
    }
}
