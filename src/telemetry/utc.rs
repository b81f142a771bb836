//! A time as RFC 3339 has it, in UTC to the microsecond: written in every line of the log and of the audit, so digit by
//! digit and without a formatter.

use std::fmt;
use std::time::SystemTime;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The text of a time, such as `2026-11-23T08:28:46.000250Z`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Utc([u8; 27]);

impl Utc {
    /// Of a time in the years 1970 to 9999. Any other is that of a broken clock: the beginning of 1970 says so.
    pub fn new(time: SystemTime) -> Utc {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (year, month, day) = date(since.as_secs() / DAY);
        if year > 9_999 {
            return Utc::new(SystemTime::UNIX_EPOCH);
        }
        let second = since.as_secs() % DAY;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put::<4>(&mut text, 0, year);
        put::<2>(&mut text, 5, month);
        put::<2>(&mut text, 8, day);
        put::<2>(&mut text, 11, second / 3_600);
        put::<2>(&mut text, 14, second / 60 % 60);
        put::<2>(&mut text, 17, second % 60);
        put::<6>(&mut text, 20, u64::from(since.subsec_micros()));
        Utc(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from March on, so that the day
/// that comes and goes is the last one: then the months before any one have as many days as a line through them says.
fn date(day: u64) -> (u64, u64, u64) {
    // From 1 March of the year 0; 146,097 days are 400 years.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn put<const N: usize>(text: &mut [u8; 27], at: usize, number: u64) {
    if let Some(place) = text.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = digits::<N>(number);
    }
}

/// The last `N` decimal digits of a number, with zeros before them.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        *place = digit(number);
        number /= 10;
    }
    digits
}

/// The last decimal digit of a number.
pub(crate) fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    /// The first second of the year 10,000.
    const END: u64 = 253_402_300_800;

    #[test]
    fn the_days_at_the_edges_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (END - 1, "9999-12-31T23:59:59.000000Z"),
            (END, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Utc::new(at(seconds, 0)).as_str(), text);
        }
        assert_eq!(Utc::new(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).as_str(), "1970-01-01T00:00:00.000000Z");
    }

    proptest! {
        #[test]
        fn every_time_is_written_as_others_write_it(seconds in 0..END, nanos in 0..1_000_000_000_u32) {
            let theirs = format!("{:.6}", Timestamp::try_from(at(seconds, nanos)).unwrap());
            prop_assert_eq!(Utc::new(at(seconds, nanos)).to_string(), theirs);
        }
    }
}
