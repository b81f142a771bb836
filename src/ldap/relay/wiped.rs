//! Octets leave a buffer in which passwords may be, and nothing of them stays behind.

use std::ops::Range;

use zeroize::Zeroize;

/// Takes octets out of a buffer. What follows them moves up, and the place that becomes free is wiped.
pub(super) fn take_out(buffer: &mut Vec<u8>, taken: Range<usize>) {
    let left = move_up(buffer, taken);
    buffer.truncate(left);
}

/// How many octets are left at the front.
fn move_up(octets: &mut [u8], taken: Range<usize>) -> usize {
    let length = octets.len();
    let (start, end) = (taken.start.min(length), taken.end.min(length));
    let left = start + (length - end);
    octets.copy_within(end.., start);
    octets.get_mut(left..).unwrap_or_default().zeroize();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_out_is_nowhere_any_more() {
        for taken in [0..0, 0..6, 3..9, 0..12, 6..12, 12..12, 5..40] {
            let mut octets = *b"secretbehind";
            let (start, end) = (taken.start, taken.end.min(12));
            let expected = [&b"secretbehind"[..start], &b"secretbehind"[end..]].concat();
            let left = move_up(&mut octets, taken.clone());
            assert_eq!(octets[..left], expected, "{taken:?}");
            assert!(octets[left..].iter().all(|octet| *octet == 0), "{taken:?}: {octets:?}");
            let mut buffer = b"secretbehind".to_vec();
            take_out(&mut buffer, taken);
            assert_eq!(buffer, expected);
        }
    }
}
