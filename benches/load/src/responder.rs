//! The least that a RADIUS server can do: receive, parse, look for a duplicate, sign an Accept, send. What
//! a retransmission costs elsewhere is measured against this.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use crate::wire::{self, Keys};

/// Entries of the table of duplicates before it starts again.
const MOST: usize = 200_000;

/// Answers for ever.
pub fn run(listen: SocketAddr, keys: &Keys) -> io::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    let mut seen: HashMap<(SocketAddr, u8), [u8; 16]> = HashMap::new();
    let (mut buffer, mut reply) = ([0; wire::MAX_PACKET], Vec::new());
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
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
        if keys.reply(&mut reply, wire::ACCESS_ACCEPT, request).is_some() {
            // A reply that cannot be sent is a lost one, as with any datagram.
            let _ = socket.send_to(&reply, peer);
        }
    }
}
