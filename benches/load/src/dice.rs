//! Cheap numbers for Request Authenticators. Good enough to tell requests apart, not to keep a secret.

use std::time::{SystemTime, UNIX_EPOCH};

/// A splitmix64 sequence.
pub struct Dice(u64);

impl Dice {
    /// Starts another sequence in each run, so that a server's table of duplicates never knows it already.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32) ^ u64::from(std::process::id()) << 16)
    }

    /// The next Request Authenticator.
    pub fn authenticator(&mut self) -> [u8; 16] {
        let high = u128::from(self.next());
        (high << 64 | u128::from(self.next())).to_be_bytes()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
