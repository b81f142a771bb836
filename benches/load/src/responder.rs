//! The least that a RADIUS server can do: receive, parse, look for a duplicate, sign an Accept, send. What
//! a retransmission costs elsewhere is measured against this.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::wire::{self, Keys};

/// Entries of the table of duplicates before it starts again.
const MOST: usize = 200_000;

/// Answers for ever, each request `delay` after it came.
pub fn run(listen: SocketAddr, keys: &Keys, delay: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
    let mut later: VecDeque<(Instant, Vec<u8>, SocketAddr)> = VecDeque::new();
    if !delay.is_zero() {
        socket.set_read_timeout(Some(Duration::from_millis(5)))?;
    }
    let mut seen: HashMap<(SocketAddr, u8), [u8; 16]> = HashMap::new();
    let (mut buffer, mut reply) = ([0; wire::MAX_PACKET], Vec::new());
    loop {
        while later.front().is_some_and(|(due, _, _)| *due <= Instant::now()) {
            if let Some((_, reply, peer)) = later.pop_front() {
                let _ = socket.send_to(&reply, peer);
            }
        }
        let (length, peer) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        let Some(request) = buffer.get(..length).and_then(wire::checked) else { continue };
        let (Some(&wire::ACCESS_REQUEST), Some(&identifier)) = (request.first(), request.get(1)) else { continue };
        let Some(authenticator) = request.get(4..20).and_then(|octets| <[u8; 16]>::try_from(octets).ok()) else {
            continue;
        };
        if seen.get(&(peer, identifier)) != Some(&authenticator) {
            if seen.len() >= MOST {
                seen.clear();
            }
            seen.insert((peer, identifier), authenticator);
        }
        if keys.reply(&mut reply, wire::ACCESS_ACCEPT, request).is_none() {
            continue;
        }
        if delay.is_zero() {
            // A reply that cannot be sent is a lost one, as with any datagram.
            let _ = socket.send_to(&reply, peer);
        } else {
            later.push_back((Instant::now() + delay, reply.clone(), peer));
        }
    }
}
