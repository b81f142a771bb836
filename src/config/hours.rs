//! Hours of the week in a time zone: when something holds. Pure.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Words of the days, Monday first, as ISO 8601 counts them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Spans of some days of the week, in the time of one zone.
#[derive(Debug, Clone)]
pub struct Hours {
    days: [bool; 7],
    /// From and until, in minutes from midnight; one that ends before its beginning ends on the next day.
    spans: Vec<(u16, u16)>,
    zone: TimeZone,
}

impl Hours {
    /// Reads days such as `mon` and `mon-fri` (none: every day) and spans such as `08:00-18:00` and `22:00-06:00` (none:
    /// the whole day).
    ///
    /// # Errors
    /// The first text that is none.
    pub fn read<'a>(days: &'a [String], spans: &'a [String], zone: TimeZone) -> Result<Self, &'a str> {
        let mut on = [days.is_empty(); 7];
        for text in days {
            let (first, last) = days_of(text).ok_or(text.as_str())?;
            let length = (last + 7 - first) % 7;
            on.iter_mut().enumerate().for_each(|(place, day)| *day |= (place + 7 - first) % 7 <= length);
        }
        let mut within = Vec::new();
        for text in spans {
            within.push(span(text).ok_or(text.as_str())?);
        }
        if spans.is_empty() {
            within.push((0, DAY));
        }
        Ok(Hours { days: on, spans: within, zone })
    }

    /// Whether `now` lies in them. What goes over midnight belongs to the day on which it begins. A moment that no
    /// calendar knows lies in none.
    pub fn contain(&self, now: SystemTime) -> bool {
        let Ok(now) = Timestamp::try_from(now) else { return false };
        let now = self.zone.to_datetime(now);
        let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        let today = usize::from(now.weekday().to_monday_zero_offset().unsigned_abs());
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        self.spans.iter().any(|&(from, until)| {
            if from < until {
                on(today) && (from..until).contains(&minute)
            } else {
                on(today) && minute >= from || on(today + 6) && minute < until
            }
        })
    }
}

fn days_of(text: &str) -> Option<(usize, usize)> {
    let day = |text: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(text.trim()));
    match text.split_once('-') {
        Some((first, last)) => Some((day(first)?, day(last)?)),
        None => Some((day(text)?, day(text)?)),
    }
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from < DAY && from != until).then_some((from, until))
}

/// `07:30` as minutes; up to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let fine = (1..=2).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        fine.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60).then_some(hours * 60 + minutes).filter(|minute| *minute <= DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &[&str], spans: &[&str], zone: &str) -> Hours {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Hours::read(&texts(days), &texts(spans), TimeZone::get(zone).unwrap()).unwrap()
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn spans_begin_with_their_first_minute_and_end_before_their_last() {
        // 2026-11-23 is a Monday.
        let office = hours(&["mon-fri"], &["07:30-19:00"], "UTC");
        for (time, inside) in [
            ("2026-11-23T07:29:59Z", false),
            ("2026-11-23T07:30:00Z", true),
            ("2026-11-27T18:59:59Z", true),
            ("2026-11-27T19:00:00Z", false),
            ("2026-11-28T11:00:00Z", false),
        ] {
            assert_eq!(office.contain(at(time)), inside, "{time}");
        }
        let weekend = hours(&["sat-mon"], &[], "UTC");
        assert!(weekend.contain(at("2026-11-23T23:59:59Z")) && !weekend.contain(at("2026-11-24T00:00:00Z")));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = hours(&["mon"], &["22:00-06:00"], "UTC");
        assert!(!night.contain(at("2026-11-23T05:00:00Z")) && night.contain(at("2026-11-23T22:00:00Z")));
        assert!(night.contain(at("2026-11-24T05:59:59Z")) && !night.contain(at("2026-11-24T06:00:00Z")));
    }

    #[test]
    fn they_are_hours_of_the_zone_in_summer_and_in_winter() {
        let zurich = hours(&[], &["07:00-08:00"], "Europe/Zurich");
        assert!(zurich.contain(at("2026-11-23T06:30:00Z")) && !zurich.contain(at("2026-11-23T05:30:00Z")));
        assert!(zurich.contain(at("2026-07-20T05:30:00Z")) && !zurich.contain(at("2026-07-20T06:30:00Z")));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "07:00", "7-8", "08:00-08:00", "07:00-24:01", "07:60-08:00", "24:00-08:00", "07:00-08:00x"] {
            assert_eq!(Hours::read(&[], &[text.to_owned()], TimeZone::UTC).err(), Some(text), "{text:?}");
        }
        for text in ["", "moon", "mon-", "mon-fri-sun", "monday"] {
            assert_eq!(Hours::read(&[text.to_owned()], &[], TimeZone::UTC).err(), Some(text), "{text:?}");
        }
    }
}
