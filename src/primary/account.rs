//! Whether an Active Directory account may sign in, by what its entry says. Pure.
//!
//! NPS asks the same of an account that a gateway has made sure of: disabled, locked out, expired, logon hours
//! ([MS-SAMR] section 3.1.5.14.2 for the bits). It does not look at the password then, as the gateway's Windows has. An
//! account whose password has expired, or must be changed, passes no Windows logon by password, so such a claim is
//! refused here; with a smart card the password does not matter.

use std::time::{Duration, SystemTime};

use super::Refusal;
use crate::ldap::search::Entry;

/// What is read of an account.
pub(super) const ATTRIBUTES: [&str; 5] =
    ["userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "logonHours", "pwdLastSet"];

/// ADS_UF_ACCOUNTDISABLE.
const DISABLED: i64 = 0x2;
/// ADS_UF_LOCKOUT, of the computed attribute: the domain's lockout duration is taken into account there.
const LOCKED_OUT: i64 = 0x10;
/// ADS_UF_PASSWORD_EXPIRED, of the computed attribute.
const PASSWORD_EXPIRED: i64 = 0x80_0000;
/// Seconds from 1601 to 1970.
const BEFORE_UNIX: u64 = 11_644_473_600;
/// Octets of logonHours: a bit for each hour of the week, from Sunday 0 h UTC on, lowest bit first.
const HOURS: usize = 21;

/// An account's entry, as far as it says whether it may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    control: i64,
    computed: i64,
    expires: i64,
    hours: Option<[u8; HOURS]>,
    password_set: i64,
}

impl Account {
    /// Reads an entry. Nothing where it does not say what must be known, or in a way that cannot be understood.
    pub(super) fn read(entry: &Entry<'_>) -> Option<Self> {
        let number = |name: &str| entry.first_text(name)?.parse::<i64>().ok();
        Some(Account {
            control: number("userAccountControl")?,
            computed: number("msDS-User-Account-Control-Computed")?,
            // Never, where it is not there.
            expires: match entry.first("accountExpires") {
                None => 0,
                Some(_) => number("accountExpires")?,
            },
            hours: match entry.first("logonHours") {
                None => None,
                Some(hours) => Some(hours.try_into().ok()?),
            },
            password_set: number("pwdLastSet")?,
        })
    }

    /// Since when the directory knows its password, in 100 ns since 1601; 0: it must be changed.
    pub(super) fn password_set(&self) -> i64 {
        self.password_set
    }

    /// Why it may not sign in now. `by_password`: the person did so by password, or nobody knows how.
    pub(super) fn refusal(&self, now: SystemTime, by_password: bool) -> Option<Refusal> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if (self.control | self.computed) & DISABLED != 0 {
            Some(Refusal::Disabled)
        } else if self.computed & LOCKED_OUT != 0 {
            Some(Refusal::LockedOut)
        } else if self.has_expired(since) {
            Some(Refusal::AccountExpired)
        } else if !self.within_hours(since) {
            Some(Refusal::LogonHours)
        } else if by_password && self.password_set == 0 {
            Some(Refusal::MustChangePassword)
        } else if by_password && self.computed & PASSWORD_EXPIRED != 0 {
            Some(Refusal::PasswordExpired)
        } else {
            None
        }
    }

    /// 0 and the largest number mean never.
    fn has_expired(&self, since: Duration) -> bool {
        let ticks = u64::try_from(self.expires).unwrap_or_default();
        let seconds = ticks / 10_000_000;
        ticks != 0 && self.expires != i64::MAX && seconds <= since.as_secs().saturating_add(BEFORE_UNIX)
    }

    fn within_hours(&self, since: Duration) -> bool {
        let Some(hours) = &self.hours else { return true };
        // 1970 began on a Thursday.
        let hour = (since.as_secs() / 3600 + 4 * 24) % (7 * 24);
        let octet = usize::try_from(hour / 8).ok().and_then(|place| hours.get(place));
        octet.is_some_and(|octet| octet >> (hour % 8) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { control: 0x200, computed: 0, expires: i64::MAX, hours: None, password_set: 133_000_000_000_000_000 }
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn refusal(account: &Account) -> Option<Refusal> {
        account.refusal(at("2026-11-22T13:00:00Z"), true)
    }

    fn filetime(text: &str) -> i64 {
        let seconds = text.parse::<jiff::Timestamp>().unwrap().as_second();
        (seconds + i64::try_from(BEFORE_UNIX).unwrap()) * 10_000_000
    }

    #[test]
    fn a_good_account_may_sign_in() {
        assert_eq!(refusal(&account()), None);
        for expires in [0, i64::MAX, filetime("2026-11-22T13:00:01Z")] {
            assert_eq!(refusal(&Account { expires, ..account() }), None, "{expires}");
        }
    }

    #[test]
    fn each_state_has_its_refusal() {
        let cases = [
            (Account { control: 0x202, ..account() }, Refusal::Disabled),
            (Account { computed: 0x2, ..account() }, Refusal::Disabled),
            (Account { computed: 0x10, ..account() }, Refusal::LockedOut),
            (Account { expires: filetime("2026-11-22T13:00:00Z"), ..account() }, Refusal::AccountExpired),
            (Account { expires: 1, ..account() }, Refusal::AccountExpired),
            (Account { hours: Some([0; HOURS]), ..account() }, Refusal::LogonHours),
            (Account { password_set: 0, ..account() }, Refusal::MustChangePassword),
            (Account { password_set: 0, computed: 0x80_0000, ..account() }, Refusal::MustChangePassword),
            (Account { computed: 0x80_0000, ..account() }, Refusal::PasswordExpired),
        ];
        for (account, expected) in cases {
            assert_eq!(refusal(&account), Some(expected), "{account:?}");
        }
    }

    #[test]
    fn a_smart_card_does_not_care_for_the_password() {
        let now = at("2026-11-22T13:00:00Z");
        let stale = Account { password_set: 0, computed: 0x80_0000, ..account() };
        assert_eq!(stale.refusal(now, false), None);
        assert_eq!(Account { computed: 0x80_0010, ..stale }.refusal(now, false), Some(Refusal::LockedOut));
    }

    #[test]
    fn logon_hours_are_bits_from_sunday_midnight_utc_on() {
        let only = |hour: usize| {
            let mut hours = [0; HOURS];
            hours[hour / 8] = 1 << (hour % 8);
            Account { hours: Some(hours), ..account() }
        };
        // 2026-11-22 is a Sunday.
        for (hour, time) in [
            (0, "2026-11-22T00:00:00Z"),
            (0, "2026-11-22T00:59:59Z"),
            (9, "2026-11-22T09:30:00Z"),
            (24 + 13, "2026-11-23T13:00:00Z"),
            (6 * 24 + 23, "2026-11-28T23:59:59Z"),
        ] {
            assert_eq!(only(hour).refusal(at(time), true), None, "{time}");
            assert_eq!(only((hour + 1) % 168).refusal(at(time), true), Some(Refusal::LogonHours), "{time}");
        }
        assert_eq!(Account { hours: Some([0xff; HOURS]), ..account() }.refusal(at("2026-11-22T13:00:00Z"), true), None);
    }
}
