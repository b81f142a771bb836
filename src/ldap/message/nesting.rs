//! Nesting and inner lengths of a message that passes in pieces, as [`super::check`] looks at a whole one. Pure.

use super::super::ber::{BerError, CONSTRUCTED, Header};
use super::FrameError;

/// Longest header of an element, in octets: a tag of five, a length of five.
const LONGEST_HEADER: usize = 10;

/// What has been seen of a message so far.
#[derive(Debug)]
pub struct Nesting {
    /// Octets of the message that have been seen.
    seen: usize,
    /// Where the elements end that we are inside of, from the outermost.
    ends: Vec<usize>,
    deepest: usize,
    /// A header of which a part has been seen.
    header: Vec<u8>,
    /// Octets of a plain element that have yet to come.
    skip: usize,
}

impl Nesting {
    /// A message of this length whose header has `start` octets.
    pub fn new(length: usize, start: usize, deepest: usize) -> Self {
        Nesting { seen: 0, ends: vec![length], deepest, header: Vec::new(), skip: start }
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// [`FrameError::TooDeep`], [`FrameError::Malformed`].
    pub fn look(&mut self, mut piece: &[u8]) -> Result<(), FrameError> {
        while !piece.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(piece.len());
                self.skip -= skipped;
                self.seen += skipped;
                piece = piece.get(skipped..).unwrap_or_default();
                continue;
            }
            while self.ends.last() == Some(&self.seen) {
                self.ends.pop();
            }
            let Some(&end) = self.ends.last() else { return Err(BerError::Trailing.into()) };
            let Some((&octet, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.seen += 1;
            self.header.push(octet);
            let Some(header) = Header::read(&self.header)? else {
                if self.header.len() >= LONGEST_HEADER || self.seen >= end {
                    return Err(BerError::Truncated.into());
                }
                continue;
            };
            self.header.clear();
            if header.length > end.saturating_sub(self.seen) {
                return Err(BerError::Truncated.into());
            }
            if header.tag & CONSTRUCTED == 0 {
                self.skip = header.length;
            } else if self.ends.len() >= self.deepest {
                return Err(FrameError::TooDeep);
            } else {
                self.ends.push(self.seen + header.length);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Head, check};
    use super::*;

    fn in_pieces(frame: &[u8], size: usize, deepest: usize) -> Result<(), FrameError> {
        let head = Head::read(frame, usize::MAX).unwrap().unwrap();
        let mut nesting = Nesting::new(head.length, head.start, deepest);
        frame.chunks(size).try_for_each(|piece| nesting.look(piece))
    }

    fn nested(levels: usize) -> Vec<u8> {
        let mut inner = vec![0x04, 1, b'x'];
        for _ in 0..levels {
            inner.splice(0..0, [0x30, u8::try_from(inner.len()).unwrap()]);
        }
        let mut frame = vec![0x30, u8::try_from(inner.len() + 5).unwrap(), 2, 1, 1, 0x66];
        frame.push(u8::try_from(inner.len()).unwrap());
        frame.extend(inner);
        frame
    }

    #[test]
    fn a_deep_message_is_refused_however_it_is_cut() {
        let frame = nested(10);
        let head = Head::read(&frame, usize::MAX).unwrap().unwrap();
        for size in 1..=frame.len() {
            for deepest in [11, 12, 13] {
                assert_eq!(in_pieces(&frame, size, deepest), check(&frame, &head, deepest), "{size} {deepest}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(body in proptest::collection::vec(any::<u8>(), 0..60), size in 1..20_usize) {
            let mut frame = vec![0x30, u8::try_from(body.len() + 5).unwrap(), 2, 1, 1, 0x66];
            frame.push(u8::try_from(body.len()).unwrap());
            frame.extend(body);
            let head = Head::read(&frame, usize::MAX).unwrap().unwrap();
            prop_assert_eq!(in_pieces(&frame, size, 48).is_ok(), check(&frame, &head, 48).is_ok());
        }
    }
}
