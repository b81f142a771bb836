//! `[[rule]]`: who needs a second factor when, from where and through what. The checked form. Pure.
//!
//! What a rule is for and what it says are two things: `[[caching]]` has the same conditions ([`super::caching`]).

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::AddressRange;
use crate::users::model::Method;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// One rule. A condition that is not given holds for everybody.
#[derive(Debug, Clone)]
pub struct Rule<T = Then> {
    /// Its name in the audit, the log, the metrics and explanations.
    pub name: Arc<str>,
    /// Names of the clients it is for; empty: all.
    pub clients: Vec<String>,
    /// Names of the applications it is for, compared without case; empty: all.
    pub applications: Vec<String>,
    /// Account names or UPNs, compared without case; empty together with `groups`: everybody.
    pub users: Vec<String>,
    /// Distinguished names of groups, nested members included.
    pub groups: Vec<String>,
    /// Networks of the person's own address; empty: from anywhere. An address that nobody knows is in none.
    pub networks: Vec<AddressRange>,
    /// When it holds; none: always.
    pub hours: Option<Hours>,
    /// What it says.
    pub then: T,
}

/// What rules say, as far as it matters to which of them counts.
pub trait Says {
    /// Whether the rule is as good as none where nobody can tell that it fits. Else no later rule may count either.
    fn may_be_passed(&self) -> bool;
}

/// What a rule says of those it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// A second factor, in one of these ways, the best first; empty: as it would be without the rule.
    Require(Vec<Method>),
    /// No second factor.
    Skip,
    /// They do not come in.
    Refuse,
}

impl Says for Then {
    fn may_be_passed(&self) -> bool {
        *self == Then::Skip
    }
}

impl Then {
    /// The word in the configuration and the metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Then::Require(_) => "require",
            Then::Skip => "skip",
            Then::Refuse => "refuse",
        }
    }
}

/// Hours of a week in a time zone.
#[derive(Debug, Clone)]
pub struct Hours {
    /// On which days a span may begin, from Monday on.
    pub days: [bool; 7],
    /// Spans of a day; one that ends at or before its beginning ends on the next day.
    pub spans: Vec<Span>,
    /// Whose clock counts.
    pub zone: TimeZone,
}

/// From a minute of the day to another, which is not part of it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First minute, below [`DAY`].
    pub from: u16,
    /// The minute after the last, up to [`DAY`].
    pub until: u16,
}

impl Span {
    /// The whole day.
    pub const DAY: Span = Span { from: 0, until: DAY };

    fn is_over_midnight(self) -> bool {
        self.until <= self.from
    }
}

impl Hours {
    /// Whether `now` lies in them. What goes over midnight belongs to the day on which it begins. A clock that is
    /// outside of the years that have a calendar lies in none.
    pub fn contain(&self, now: SystemTime) -> bool {
        let Ok(now) = Timestamp::try_from(now) else { return false };
        let now = self.zone.to_datetime(now);
        let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        let (today, yesterday) = (self.is_day(now.weekday()), self.is_day(now.weekday().previous()));
        self.spans.iter().any(|span| {
            if span.is_over_midnight() {
                (today && minute >= span.from) || (yesterday && minute < span.until)
            } else {
                today && (span.from..span.until).contains(&minute)
            }
        })
    }

    fn is_day(&self, day: Weekday) -> bool {
        let place = usize::from(day.to_monday_zero_offset().unsigned_abs());
        self.days.get(place).copied().unwrap_or(false)
    }
}

impl<T> Rule<T> {
    /// The same conditions, with something else to say.
    pub fn with<U>(self, then: U) -> Rule<U> {
        let Rule { name, clients, applications, users, groups, networks, hours, then: _ } = self;
        Rule { name, clients, applications, users, groups, networks, hours, then }
    }

    /// Whether it is for a client of this name and application.
    pub fn is_for_client(&self, client: &str, application: &str) -> bool {
        (self.clients.is_empty() || self.clients.iter().any(|name| name == client))
            && (self.applications.is_empty()
                || self.applications.iter().any(|name| name.to_lowercase() == application.to_lowercase()))
    }

    /// Whether it is for whoever its other conditions hold for.
    pub fn is_for_everybody(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Whether it names this account.
    pub fn names(&self, account: &str, upn: Option<&str>) -> bool {
        let same = |listed: &String, name: &str| listed.to_lowercase() == name.to_lowercase();
        self.users.iter().any(|listed| same(listed, account) || upn.is_some_and(|upn| same(listed, upn)))
    }

    /// Whether nothing limits it at all.
    pub fn is_for_all(&self) -> bool {
        self.is_for_everybody()
            && self.clients.is_empty()
            && self.applications.is_empty()
            && self.networks.is_empty()
            && self.hours.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    fn hours(days: &[usize], spans: &[(u16, u16)], zone: &str) -> Hours {
        let mut on = [false; 7];
        days.iter().for_each(|day| on[*day] = true);
        let spans = spans.iter().map(|(from, until)| Span { from: *from, until: *until }).collect();
        Hours { days: on, spans, zone: TimeZone::get(zone).unwrap() }
    }

    #[test]
    fn office_hours_begin_with_their_first_minute_and_end_before_their_last() {
        let office = hours(&[0, 1, 2, 3, 4], &[(480, 1080)], "Europe/Berlin");
        // 2026-11-20 is a Friday; Berlin is an hour ahead of UTC in winter.
        for (time, inside) in [
            ("2026-11-20T06:59:59Z", false),
            ("2026-11-20T07:00:00Z", true),
            ("2026-11-20T16:59:59Z", true),
            ("2026-11-20T17:00:00Z", false),
            ("2026-11-21T09:00:00Z", false),
            ("2026-07-17T06:00:00Z", true),
            ("2026-07-17T16:00:00Z", false),
        ] {
            assert_eq!(office.contain(at(time)), inside, "{time}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = hours(&[0], &[(22 * 60, 6 * 60)], "UTC");
        for (time, inside) in [
            ("2026-11-16T05:00:00Z", false),
            ("2026-11-16T21:59:00Z", false),
            ("2026-11-16T22:00:00Z", true),
            ("2026-11-17T05:59:59Z", true),
            ("2026-11-17T06:00:00Z", false),
            ("2026-11-17T22:00:00Z", false),
        ] {
            assert_eq!(night.contain(at(time)), inside, "{time}");
        }
    }

    #[test]
    fn the_hour_that_a_clock_skips_or_repeats_is_what_the_clock_on_the_wall_says() {
        let early = hours(&[6], &[(120, 180)], "Europe/Berlin");
        // 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00 again.
        assert!(!early.contain(at("2026-03-29T00:59:59Z")) && !early.contain(at("2026-03-29T01:00:00Z")));
        for time in ["2026-10-25T00:00:00Z", "2026-10-25T01:59:59Z"] {
            assert!(early.contain(at(time)), "{time}");
        }
        assert!(!early.contain(at("2026-10-25T02:00:00Z")));
    }
}
