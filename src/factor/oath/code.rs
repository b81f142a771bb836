//! One-time codes: how they are made, and which of a token's codes a typed one is. Pure.
//!
//! RFC 4226 (by a counter), RFC 6238 (by the time).

use hmac::{Hmac, KeyInit, Mac};
use subtle::ConstantTimeEq as _;

use crate::users::token::{Algorithm, Moving, Token};

/// Most steps that are looked at on either side of a clock.
const MOST_STEPS: u64 = 60;

/// How far a token may be off.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Seconds that a clock may be off, beyond the drift that is known.
    pub window: u64,
    /// Codes of a counter that may have been made and not used.
    pub look_ahead: u64,
}

/// A code that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The time step, or the counter.
    pub step: u64,
    /// Steps that the token's clock is ahead of ours; 0 for a counter.
    pub drift: i64,
}

/// Finds which code of a token was typed: one that is later than every one that was used. `now` in seconds since 1970.
pub fn find(token: &Token, seed: &[u8], typed: &[u8], now: u64, patience: Patience) -> Option<Found> {
    let unused = |step: &u64| token.last_step.is_none_or(|last| *step > last);
    let fits = |step: &u64| is_code(token.algorithm, seed, *step, token.digits, typed);
    match token.moving {
        Moving::Counter { next } => {
            let found = (next..=next.saturating_add(patience.look_ahead)).filter(unused).find(fits)?;
            Some(Found { step: found, drift: 0 })
        }
        Moving::Time { period } => {
            let period = u64::from(period.max(1));
            let ours = now / period;
            let theirs = ours.checked_add_signed(token.drift)?;
            let apart = (patience.window / period).min(MOST_STEPS);
            // The nearest first; none is looked at twice.
            let around = (0..=apart).flat_map(|apart| {
                let later = theirs.checked_add(apart);
                let earlier = theirs.checked_sub(apart).filter(|_| apart > 0);
                later.into_iter().chain(earlier)
            });
            let step = around.into_iter().filter(unused).find(fits)?;
            let drift = i64::try_from(i128::from(step) - i128::from(ours)).ok()?;
            Some(Found { step, drift })
        }
    }
}

/// Whether `typed` is the code of `step`, found out in the same time whatever it is.
fn is_code(algorithm: Algorithm, seed: &[u8], step: u64, digits: u32, typed: &[u8]) -> bool {
    code(algorithm, seed, step, digits).is_some_and(|code| code.as_bytes().ct_eq(typed).into())
}

/// The code of one step (RFC 4226 section 5.3), 6 to 8 digits (RFC 6238 allows up to 10 of longer hashes).
pub fn code(algorithm: Algorithm, seed: &[u8], step: u64, digits: u32) -> Option<String> {
    let step = step.to_be_bytes();
    let digest = match algorithm {
        Algorithm::Sha1 => digest::<Hmac<sha1::Sha1>>(seed, &step)?,
        Algorithm::Sha256 => digest::<Hmac<sha2::Sha256>>(seed, &step)?,
        Algorithm::Sha512 => digest::<Hmac<sha2::Sha512>>(seed, &step)?,
    };
    let offset = usize::from(digest.last()? & 0x0f);
    let part: [u8; 4] = digest.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
    let number = u64::from(u32::from_be_bytes(part) & 0x7fff_ffff) % 10_u64.checked_pow(digits)?;
    let width = usize::try_from(digits).ok()?;
    Some(format!("{number:0width$}"))
}

fn digest<M: Mac + KeyInit>(seed: &[u8], step: &[u8; 8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(seed).ok()?;
    mac.update(step);
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::users::sealed::Sealed;

    const SEED: &[u8] = b"12345678901234567890";

    fn token(moving: Moving, last_step: Option<u64>) -> Token {
        Token {
            serial: "T-1".into(),
            unique_id: Some("u1".into()),
            label: None,
            seed: Sealed::from_bytes(Vec::new()),
            algorithm: Algorithm::Sha1,
            digits: 6,
            moving,
            drift: 0,
            last_step,
            last_used: None,
        }
    }

    /// RFC 4226 appendix D.
    #[test]
    fn codes_by_a_counter_are_those_of_rfc_4226() {
        let expected =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, expected) in (0..).zip(expected) {
            assert_eq!(code(Algorithm::Sha1, SEED, counter, 6).as_deref(), Some(expected), "{counter}");
        }
    }

    /// RFC 6238 appendix B.
    #[test]
    fn codes_by_the_time_are_those_of_rfc_6238() {
        let seed = |length: usize| SEED.iter().copied().cycle().take(length).collect::<Vec<u8>>();
        let rows = [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000_u64, "65353130", "77737706", "47863826"),
        ];
        for (time, sha1, sha256, sha512) in rows {
            let expected =
                [(Algorithm::Sha1, 20, sha1), (Algorithm::Sha256, 32, sha256), (Algorithm::Sha512, 64, sha512)];
            for (algorithm, length, expected) in expected {
                assert_eq!(code(algorithm, &seed(length), time / 30, 8).as_deref(), Some(expected), "{time}");
            }
        }
    }

    const PATIENCE: Patience = Patience { window: 60, look_ahead: 3 };

    fn typed(step: u64) -> String {
        code(Algorithm::Sha1, SEED, step, 6).unwrap()
    }

    #[test]
    fn a_clock_that_is_off_is_followed_within_the_window() {
        let now = 1_000_000 * 30 + 7;
        let at = |drift, last, step: i64| {
            let token = Token { drift, ..token(Moving::Time { period: 30 }, last) };
            let typed = typed(1_000_000_u64.checked_add_signed(step).unwrap());
            find(&token, SEED, typed.as_bytes(), now, PATIENCE).map(|found| (found.step, found.drift))
        };
        assert_eq!(at(0, None, 0), Some((1_000_000, 0)));
        assert_eq!(at(0, None, 2), Some((1_000_002, 2)));
        assert_eq!(at(0, None, -2), Some((999_998, -2)));
        assert_eq!(at(0, None, 3), None);
        assert_eq!(at(5, None, 7), Some((1_000_007, 7)), "from what is known of its clock");
        assert_eq!(at(5, None, 2), None);
        assert_eq!(at(0, Some(1_000_000), 0), None, "used before");
        assert_eq!(at(0, Some(1_000_000), -1), None, "older than one that was used");
        assert_eq!(at(0, Some(1_000_000), 1), Some((1_000_001, 1)));
        assert_eq!(at(i64::MIN, None, 0), None);
    }

    #[test]
    fn a_counter_may_be_ahead_and_never_behind() {
        let at = |next, step| {
            let token = token(Moving::Counter { next }, None);
            find(&token, SEED, typed(step).as_bytes(), 0, PATIENCE).map(|found| found.step)
        };
        assert_eq!(at(5, 5), Some(5));
        assert_eq!(at(5, 8), Some(8));
        assert_eq!(at(5, 9), None);
        assert_eq!(at(5, 4), None);
        assert_eq!(at(u64::MAX, 0), None);
    }

    proptest! {
        #[test]
        fn only_a_code_of_the_window_is_one(seed in proptest::collection::vec(any::<u8>(), 1..80), now in any::<u64>(),
                drift in any::<i64>(), digits in 0..30_u32, typed in "[0-9]{0,12}", period in any::<u32>()) {
            let token = Token { drift, digits, ..token(Moving::Time { period }, None) };
            if let Some(found) = find(&token, &seed, typed.as_bytes(), now, PATIENCE) {
                prop_assert_eq!(code(Algorithm::Sha1, &seed, found.step, digits), Some(typed));
            }
        }
    }
}
