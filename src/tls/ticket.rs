//! The ticket of a TLS 1.3 session, sent with the first answer: one packet less for each connection.
//!
//! A server may send a ticket whenever it likes once the client has finished (RFC 8446 section 4.6.1). rustls has it
//! ready at once, and a stream of tokio-rustls sends what is ready before its handshake counts as done. Nobody waits
//! for a ticket: a client that says nothing more has no use for it, and one that asks for something gets an answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The outer type of a record of TLS 1.3 that is encrypted (RFC 8446 section 5.2).
const ENCRYPTED: u8 = 23;
/// An encrypted alert is 24 octets; every ticket of ours is far longer.
const LONGEST_ALERT: usize = 64;

/// How far the handshake on this connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has come since the server sent something.
    Flight,
    /// The client has answered it: what begins with an encrypted record now is the ticket.
    Answered,
    /// Everything passes.
    Over,
}

/// A connection below TLS, which keeps the ticket of its handshake back until something else is sent.
#[derive(Debug)]
pub struct LateTicket<W> {
    wire: W,
    stage: Stage,
    ticket: Vec<u8>,
}

impl<W> LateTicket<W> {
    /// A connection on which the handshake has yet to begin.
    pub fn new(wire: W) -> Self {
        LateTicket { wire, stage: Stage::Flight, ticket: Vec::new() }
    }

    /// The handshake is over: what is sent from here on is an answer.
    pub fn handshake_is_over(&mut self) {
        self.stage = Stage::Over;
    }
}

impl<W: AsyncWrite + Unpin> LateTicket<W> {
    /// Whether this is the ticket.
    fn keeps(&self, parts: &[IoSlice<'_>]) -> bool {
        let first = parts.iter().find_map(|part| part.first());
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.stage == Stage::Answered && first == Some(&ENCRYPTED) && length > LONGEST_ALERT
    }

    fn poll_parts(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.keeps(parts) {
            parts.iter().for_each(|part| self.ticket.extend_from_slice(part));
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        while !self.ticket.is_empty() {
            let ticket = std::mem::take(&mut self.ticket);
            let all: Vec<IoSlice<'_>> =
                std::iter::once(&*ticket).chain(parts.iter().map(|part| &**part)).map(IoSlice::new).collect();
            let written = Pin::new(&mut self.wire).poll_write_vectored(context, &all);
            drop(all);
            let sent = if let Poll::Ready(Ok(sent)) = written { sent } else { 0 };
            match sent.checked_sub(ticket.len()) {
                // All of the ticket, and perhaps something of the rest.
                Some(0) => {}
                Some(rest) => return Poll::Ready(Ok(rest)),
                None => self.ticket.extend_from_slice(ticket.get(sent..).unwrap_or_default()),
            }
            match ready!(written) {
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.stage != Stage::Over {
            self.stage = Stage::Flight;
        }
        match parts {
            [only] => Pin::new(&mut self.wire).poll_write(context, only),
            several => Pin::new(&mut self.wire).poll_write_vectored(context, several),
        }
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for LateTicket<W> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.wire).poll_read(context, into))?;
        if into.filled().len() == before {
            // The client has ended: it cannot use the ticket.
            this.ticket = Vec::new();
        } else if this.stage == Stage::Flight {
            this.stage = Stage::Answered;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for LateTicket<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_parts(context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_parts(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
