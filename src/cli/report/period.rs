//! Points in time as an operator types them: a time, a date, or how long ago.

use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(SystemTime);

impl Moment {
    /// As the clock counts it.
    pub fn time(self) -> SystemTime {
        self.0
    }
}

/// Reads one: `2026-11-22T10:00:00Z`, `2026-11-22` (midnight here), `7d` or `2h 30m` (ago).
///
/// # Errors
/// What may be written, for a person.
pub fn moment(text: &str) -> Result<Moment, String> {
    moment_at(text, SystemTime::now(), &TimeZone::system())
}

fn moment_at(text: &str, now: SystemTime, zone: &TimeZone) -> Result<Moment, String> {
    let ago = |ago: Duration| now.checked_sub(ago);
    let midnight =
        |date: Date| date.to_zoned(zone.clone()).ok().map(|zoned: Zoned| SystemTime::from(zoned.timestamp()));
    let time = match (text.parse::<Timestamp>(), text.parse::<Date>(), humantime::parse_duration(text)) {
        (Ok(time), ..) => Some(SystemTime::from(time)),
        (_, Ok(date), _) => midnight(date),
        (.., Ok(duration)) => ago(duration),
        _ => None,
    };
    time.map(Moment).ok_or_else(|| {
        "a time such as 2026-11-22T10:00:00Z, a date such as 2026-11-22, or how long ago, such as 7d or 2h".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_durations_are_understood() {
        let at = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
        let now = at("2026-11-22T12:00:00Z");
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let read = |text| moment_at(text, now, &zone).map(Moment::time);
        assert_eq!(read("2026-11-22T10:00:00+02:00"), Ok(at("2026-11-22T08:00:00Z")));
        assert_eq!(read("2026-11-22"), Ok(at("2026-11-21T23:00:00Z")));
        assert_eq!(read("2h 30m"), Ok(at("2026-11-22T09:30:00Z")));
        assert!(read("yesterday").is_err() && read("").is_err() && read("9999999999999y").is_err());
    }
}
