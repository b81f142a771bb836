//! One-time codes: how they are made, and which of a token's codes a typed one is. Pure.
//!
//! RFC 4226 (by a counter), RFC 6238 (by the time).

use hmac::{Hmac, KeyInit, Mac};
use subtle::ConstantTimeEq as _;

use crate::users::token::{Algorithm, Moving, Token};

/// Most steps that are looked at on either side of a clock.
const MOST_STEPS: u64 = 60;

/// How far a clock may be off for [`resync`], in seconds to either side: a day, the time zone of a wrongly set device.
const REACH: u64 = 24 * 60 * 60;

/// How many codes of a counter may have been made and not used for [`resync`].
const AHEAD: u64 = 1_000;

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

/// What a typed code is, for whoever looks after a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It would be taken.
    Good(Found),
    /// It, or a later one, was used before.
    Used,
    /// It is a code of the token, so many steps from where it is looked for, and [`resync`] would find it.
    Off(i64),
    /// It is no code of the token.
    Wrong,
}

/// What a code of the token is that [`find`] does not take, as it is too late for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is the last one that was used.
    Used,
    /// It is older than that.
    Old,
}

/// Whether a code is one that was used, or older than one that was: as far back as [`find`] looks, and the last one that was
/// used for ever. `now` in seconds since 1970.
pub fn spent(token: &Token, seed: &[u8], typed: &[u8], now: u64, patience: Patience) -> Option<Spent> {
    let last = token.last_step?;
    let fits = |step: u64| is_code(token.algorithm, seed, step, token.digits, typed);
    if fits(last) {
        return Some(Spent::Used);
    }
    let back = match token.moving {
        Moving::Counter { .. } => last.saturating_sub(patience.look_ahead),
        Moving::Time { period } => {
            let period = u64::from(period.max(1));
            let theirs = (now / period).saturating_add_signed(token.drift);
            theirs.saturating_sub((patience.window / period).min(MOST_STEPS))
        }
    };
    // A clock that was set back may have left the last one far ahead.
    let back = back.max(last.saturating_sub(AHEAD));
    (back..last).any(fits).then_some(Spent::Old)
}

/// Judges a code and uses nothing up. `now` in seconds since 1970.
pub fn judge(token: &Token, seed: &[u8], typed: &[u8], now: u64, patience: Patience) -> Judged {
    if let Some(found) = find(token, seed, typed, now, patience) {
        return Judged::Good(found);
    }
    let unused = Token { last_step: None, ..token.clone() };
    if find(&unused, seed, typed, now, patience).is_some() {
        return Judged::Used;
    }
    let fits = |step: u64| is_code(token.algorithm, seed, step, token.digits, typed);
    let (from, back, ahead) = match token.moving {
        Moving::Counter { next } => (next, AHEAD, AHEAD),
        Moving::Time { period } => {
            let period = u64::from(period.max(1));
            let reach = REACH / period;
            (now / period, reach, reach)
        }
    };
    let steps = from.saturating_sub(back)..=from.saturating_add(ahead);
    // The nearest of several.
    let nearest = steps.filter(|step| fits(*step)).min_by_key(|step| step.abs_diff(from));
    match nearest {
        None => Judged::Wrong,
        Some(step) if matches!(token.moving, Moving::Counter { .. }) && step < from => Judged::Used,
        Some(step) => i64::try_from(i128::from(step) - i128::from(from)).map_or(Judged::Wrong, Judged::Off),
    }
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

/// Finds a token again that is further off than [`find`] looks: by two codes that follow each other, both later than every
/// one that was used. What is found is the second. `now` in seconds since 1970.
///
/// The nearest pair is taken. Two codes of six digits are a number of twelve: that a wrong pair fits anywhere within the
/// 5,760 steps of both sides happens once in 170 million tries, and tries are counted.
pub fn resync(token: &Token, seed: &[u8], (first, second): (&[u8], &[u8]), now: u64) -> Option<Found> {
    let fits = |step: u64, typed: &[u8]| is_code(token.algorithm, seed, step, token.digits, typed);
    let step = reachable(token, now, |step| {
        let next = step.checked_add(1)?;
        (fits(step, first) && fits(next, second)).then_some(next)
    })?;
    let drift = match token.moving {
        Moving::Counter { .. } => 0,
        // The second code is shown while the clock here is one step further than where the search began, or not yet;
        // the step that it is off more or less is within the window.
        Moving::Time { period } => i64::try_from(i128::from(step) - i128::from(now / u64::from(period.max(1)))).ok()?,
    };
    Some(Found { step, drift })
}

/// Whether a code could be the first of two by which [`resync`] finds the token again.
pub fn could_resync(token: &Token, seed: &[u8], typed: &[u8], now: u64) -> bool {
    let fits = |step| is_code(token.algorithm, seed, step, token.digits, typed).then_some(());
    reachable(token, now, fits).is_some()
}

/// The nearest step within reach of [`resync`], later than every one that was used, that `fits`.
fn reachable<T>(token: &Token, now: u64, fits: impl Fn(u64) -> Option<T>) -> Option<T> {
    let fits = |step: u64| if token.last_step.is_none_or(|last| step > last) { fits(step) } else { None };
    match token.moving {
        Moving::Counter { next } => (next..=next.saturating_add(AHEAD)).find_map(fits),
        Moving::Time { period } => {
            let period = u64::from(period.max(1));
            let ours = now / period;
            (0..=REACH / period).find_map(|apart| {
                let later = ours.checked_add(apart).and_then(fits);
                later.or_else(|| ours.checked_sub(apart).filter(|_| apart > 0).and_then(fits))
            })
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

    #[test]
    fn two_codes_in_a_row_find_a_clock_or_a_counter_again() {
        let now = 1_000_000 * 30 + 7;
        let at = |last, first: i64, second: i64| {
            let token = token(Moving::Time { period: 30 }, last);
            let code = |step: i64| typed(1_000_000_u64.checked_add_signed(step).unwrap());
            let (first, second) = (code(first), code(second));
            resync(&token, SEED, (first.as_bytes(), second.as_bytes()), now).map(|found| found.drift)
        };
        assert_eq!(at(None, 700, 701), Some(701));
        assert_eq!(at(None, -2000, -1999), Some(-1999));
        assert_eq!(at(None, 2880, 2881), Some(2881), "a day");
        assert_eq!(at(None, 2900, 2901), None, "more than a day");
        assert_eq!(at(None, 700, 702), None, "not in a row");
        assert_eq!(at(None, 701, 700), None, "the wrong way round");
        assert_eq!(at(None, 700, 700), None, "one code twice");
        assert_eq!(at(Some(1_000_700), 700, 701), None, "the first was used before");
        assert_eq!(at(Some(1_000_699), 700, 701), Some(701));
        let counts = |next, first, second| {
            let token = token(Moving::Counter { next }, None);
            resync(&token, SEED, (typed(first).as_bytes(), typed(second).as_bytes()), 0).map(|found| found.step)
        };
        assert_eq!(counts(5, 900, 901), Some(901));
        assert_eq!(counts(5, 4, 5), None, "behind");
        assert_eq!(counts(5, 2000, 2001), None);
        assert_eq!(counts(u64::MAX, 0, 1), None);
    }

    #[test]
    fn what_a_code_is_can_be_told_without_using_it() {
        let now = 1_000_000 * 30 + 7;
        let at = |last, step: i64| {
            let token = token(Moving::Time { period: 30 }, last);
            judge(&token, SEED, typed(1_000_000_u64.checked_add_signed(step).unwrap()).as_bytes(), now, PATIENCE)
        };
        assert_eq!(at(None, 1), Judged::Good(Found { step: 1_000_001, drift: 1 }));
        assert_eq!(at(Some(1_000_001), 1), Judged::Used);
        assert_eq!(at(None, -500), Judged::Off(-500));
        assert_eq!(at(None, 5000), Judged::Wrong);
        let counts =
            |next, step| judge(&token(Moving::Counter { next }, None), SEED, typed(step).as_bytes(), 0, PATIENCE);
        assert_eq!(counts(5, 4), Judged::Used);
        assert_eq!(counts(5, 500), Judged::Off(495));
        assert_eq!(counts(5, 5000), Judged::Wrong);
    }

    #[test]
    fn steps_of_a_minute_and_codes_of_seven_digits_are_followed_too() {
        for (algorithm, digits, period) in
            [(Algorithm::Sha1, 6, 60), (Algorithm::Sha256, 7, 30), (Algorithm::Sha512, 8, 60)]
        {
            let token = Token { algorithm, digits, ..token(Moving::Time { period }, None) };
            let now = 2_000_000_000_u64;
            let shown = code(algorithm, SEED, now / u64::from(period), digits).unwrap();
            assert_eq!(shown.len(), digits as usize);
            let found = find(&token, SEED, shown.as_bytes(), now, PATIENCE).unwrap();
            assert_eq!((found.step, found.drift), (now / u64::from(period), 0));
            let later = now + 59 + u64::from(period);
            let found = find(&token, SEED, shown.as_bytes(), later, PATIENCE);
            assert_eq!(found.is_some(), later / u64::from(period) - now / u64::from(period) <= 60 / u64::from(period));
        }
    }

    /// Our clock goes forward, back, and back to the truth. Nothing that was used is good again, and nothing is learned
    /// from what did not fit.
    #[test]
    fn a_clock_that_jumps_gives_no_code_a_second_life() {
        let mut token = token(Moving::Time { period: 30 }, None);
        let truth = 3_000_000_000_u64;
        let mut sign_in = |ours: u64, shown_at: u64| {
            let found = find(&token, SEED, typed(shown_at / 30).as_bytes(), ours, PATIENCE)?;
            (token.last_step, token.drift) = (Some(found.step), found.drift);
            Some(found.step)
        };
        assert!(sign_in(truth, truth).is_some());
        assert_eq!(sign_in(truth - 3600, truth), None, "an hour back, the same code");
        assert_eq!(sign_in(truth - 3600, truth - 3600), None, "an hour back, the code of then");
        assert_eq!(sign_in(truth + 3600, truth + 60), None, "an hour ahead: refused, not followed");
        assert_eq!(sign_in(truth + 60, truth), None, "right again, and the old code");
        assert!(sign_in(truth + 60, truth + 60).is_some(), "right again");
    }

    proptest! {
        #[test]
        fn no_pair_of_texts_panics(seed in proptest::collection::vec(any::<u8>(), 1..20), now in any::<u64>(),
                first in "[0-9]{0,9}", second in "[0-9]{0,9}", next in any::<u64>(), last in any::<Option<u64>>()) {
            let by_counter = token(Moving::Counter { next }, last);
            if let Some(found) = resync(&by_counter, &seed, (first.as_bytes(), second.as_bytes()), now) {
                prop_assert_eq!(code(Algorithm::Sha1, &seed, found.step, 6), Some(second));
                prop_assert!(last.is_none_or(|last| found.step > last));
            }
        }

        #[test]
        fn only_a_code_of_the_window_is_one(seed in proptest::collection::vec(any::<u8>(), 1..80), now in any::<u64>(),
                drift in any::<i64>(), digits in 0..30_u32, typed in "[0-9]{0,12}", period in any::<u32>()) {
            let token = Token { drift, digits, ..token(Moving::Time { period }, None) };
            if let Some(found) = find(&token, &seed, typed.as_bytes(), now, PATIENCE) {
                prop_assert_eq!(code(Algorithm::Sha1, &seed, found.step, digits), Some(typed));
            }
        }
    }

    #[test]
    fn a_code_that_was_used_and_an_older_one_are_told_from_a_wrong_one() {
        let patience = Patience { window: 60, look_ahead: 3 };
        let of = |step: u64| code(Algorithm::Sha1, SEED, step, 6).unwrap();
        let said = |token: &Token, step: u64, now| spent(token, SEED, of(step).as_bytes(), now, patience);
        let counter = token(Moving::Counter { next: 8 }, Some(7));
        assert_eq!(said(&counter, 7, 0), Some(Spent::Used));
        for old in 4..7 {
            assert_eq!(said(&counter, old, 0), Some(Spent::Old), "{old}");
        }
        assert_eq!([said(&counter, 3, 0), said(&counter, 8, 0)], [None, None], "further back, and not used");
        let timed = token(Moving::Time { period: 30 }, Some(100));
        assert_eq!(said(&timed, 100, 3000), Some(Spent::Used));
        assert_eq!(said(&timed, 100, 900_000), Some(Spent::Used), "for ever");
        assert_eq!([said(&timed, 99, 3000), said(&timed, 98, 3000)], [Some(Spent::Old); 2]);
        assert_eq!([said(&timed, 97, 3000), said(&timed, 101, 3000)], [None, None]);
        let new = token(Moving::Time { period: 30 }, None);
        assert_eq!(said(&new, 100, 3000), None, "nothing was used yet");
        // A clock that was set back: no more is looked at than of a counter.
        let ahead = token(Moving::Time { period: 30 }, Some(u64::MAX - 1));
        assert_eq!(said(&ahead, 100, 3000), None);
    }
}
