//! A stream of RADIUS packets in pieces: nothing panics, no packet is longer than what came, and a length that no packet has
//! ends the stream whatever follows.
//!
//! Input: an octet for how long the pieces are, then the stream.

#![no_main]

use anteroom::radius::certificate::Shown;
use anteroom::radius::framing::first_packet;
use anteroom::radius::packet::{HEADER, MAX_PACKET, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    // Whatever it is: a certificate's names are read from octets of the other side, too.
    let _ = Shown::read(stream);
    let mut waiting = Vec::new();
    for piece in stream.chunks(usize::from(*size).max(1)) {
        waiting.extend_from_slice(piece);
        loop {
            match first_packet(&waiting) {
                Ok(Some(length)) => {
                    assert!((HEADER..=MAX_PACKET).contains(&length) && length <= waiting.len());
                    let packet: Vec<u8> = waiting.drain(..length).collect();
                    if let Ok(packet) = Packet::decode(&packet) {
                        assert_eq!(packet.bytes().len(), length);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    waiting.extend_from_slice(&[0; 64]);
                    assert!(first_packet(&waiting).is_err());
                    return;
                }
            }
        }
        assert!(waiting.len() < MAX_PACKET + usize::from(*size).max(1));
    }
});
