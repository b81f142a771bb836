//! Packets in a stream (RFC 6613 section 2.6, RFC 6614): where each one ends. Pure.
//!
//! A stream that has once been wrong about a length cannot be trusted to be right about the next: it is closed.

use super::packet::{HEADER, MAX_PACKET};

/// A length that no packet has: the connection must be closed (RFC 6613 section 2.6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLength(pub usize);

/// How many octets the first packet of `input` has; nothing while that, or the packet itself, is not all there.
///
/// # Errors
/// [`BadLength`], as soon as the length is there.
pub fn first_packet(input: &[u8]) -> Result<Option<usize>, BadLength> {
    let Some(&[_, _, high, low]) = input.first_chunk::<4>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(HEADER..=MAX_PACKET).contains(&length) {
        return Err(BadLength(length));
    }
    Ok(Some(length).filter(|length| *length <= input.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_is_judged_as_soon_as_it_is_there() {
        assert_eq!(first_packet(&[1, 2, 0]), Ok(None));
        for length in [0_u16, 19, 4097, u16::MAX] {
            let [high, low] = length.to_be_bytes();
            assert_eq!(first_packet(&[1, 2, high, low]), Err(BadLength(usize::from(length))));
        }
        assert_eq!(first_packet(&[1, 2, 0, 20]), Ok(None));
    }

    proptest! {
        /// However a stream is cut into pieces, the same packets come out of it.
        #[test]
        fn packets_come_out_as_they_went_in(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in proptest::collection::vec(1..64_usize, 1..200),
        ) {
            let packets: Vec<Vec<u8>> = bodies.iter().map(|body| {
                let length = u16::try_from(HEADER + body.len()).unwrap().to_be_bytes();
                [&[1, 2, length[0], length[1]][..], &[0; 16], body].concat()
            }).collect();
            let stream = packets.concat();
            let (mut rest, mut input, mut out) = (&stream[..], Vec::new(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                input.extend_from_slice(piece);
                rest = behind;
                while let Some(length) = first_packet(&input).unwrap() {
                    out.push(input.drain(..length).collect::<Vec<u8>>());
                }
                if rest.is_empty() { break; }
            }
            prop_assert!(input.is_empty());
            prop_assert_eq!(out, packets);
        }
    }
}
