//! Approvals that are good for more sign-ins, as a `[[caching]]` rule says. Pure, but for the trait that keeps them.
//!
//! One is found by a keyed digest of everything that must be as it was: the rule, the person, what has proved them (a
//! digest of the password that was right, or since when the directory knows their password), and where the rule looks at
//! these, the kind of sign-in, the application and the device. So one that was made with another password is not found;
//! and what is kept tells nobody a password.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::users::model::Method;
use crate::users::store::StoreResult;

/// By what an approval is found.
pub type ApprovalKey = [u8; 32];

/// How far ahead the clock of the node may be on which it was given.
const SKEW: Duration = Duration::from_secs(60);

/// An approval that was given by a person, with what it was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// By what it is found.
    pub key: ApprovalKey,
    /// Who gave it.
    pub unique_id: String,
    /// Their account name then.
    pub name: String,
    /// The rule by which it is kept.
    pub rule: String,
    /// What kind of sign-in it was given for: `radius`, `ldap` or `rd_gateway`.
    pub kind: String,
    /// Through which client.
    pub client: String,
    /// For which application.
    pub application: String,
    /// The address of the person's device, or their computer's name.
    pub place: Option<String>,
    /// How they were asked.
    pub method: Method,
    /// By whom.
    pub provider: Option<String>,
    /// When they approved.
    pub approved: SystemTime,
    /// Until when it is kept; a rule that has become shorter since counts.
    pub until: SystemTime,
    /// The sign-in for which it was given.
    pub sign_in: String,
}

impl Approval {
    /// Whether it is good for a rule that keeps approvals for `lasts`. A clock that was set back makes none young again.
    pub fn is_good(&self, lasts: Duration, now: SystemTime) -> bool {
        let age = now.duration_since(self.approved);
        now < self.until && age.map_or_else(|ahead| ahead.duration() <= SKEW, |age| age < lasts)
    }
}

/// An approval as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Account name of whoever gave it.
    pub user: String,
    /// Who that is.
    pub unique_id: String,
    /// The rule by which it is kept.
    pub rule: String,
    /// What kind of sign-in it was given for.
    pub kind: String,
    /// Through which client.
    pub client: String,
    /// For which application.
    pub application: String,
    /// From where.
    pub place: Option<String>,
    /// How they were asked.
    pub method: String,
    /// By whom.
    pub provider: Option<String>,
    /// When they approved.
    pub approved: String,
    /// Until when it is kept.
    pub until: String,
    /// The sign-in for which it was given.
    pub sign_in: String,
    /// Where the next page begins.
    pub after: String,
}

/// Where approvals are kept.
pub trait Approvals: Send + Sync {
    /// Keeps one, in place of an earlier one that would be found in its stead; `false`: the person is blocked by now, or is
    /// no more. Those whose time is over go.
    fn keep<'a>(&'a self, approval: &'a Approval, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>>;

    /// The one that is found by this: one indexed read.
    fn approval<'a>(&'a self, key: &'a ApprovalKey) -> BoxFuture<'a, StoreResult<Option<Approval>>>;

    /// Those that are still kept, of everybody or of one person, in the order of their keys: up to `limit` behind `after`,
    /// which is empty for the first page.
    fn approvals<'a>(
        &'a self,
        unique_id: Option<&'a str>,
        after: &'a [u8],
        limit: u32,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>>;

    /// Forgets those of a person, or everybody's; how many.
    fn forget_approvals<'a>(&'a self, unique_id: Option<&'a str>) -> BoxFuture<'a, StoreResult<u64>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_good_for_as_long_as_its_rule_says_now() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let approval = Approval {
            key: [0; 32],
            unique_id: "id".into(),
            name: "alice".into(),
            rule: "office".into(),
            kind: "radius".into(),
            client: "vpn".into(),
            application: "VPN".into(),
            place: None,
            method: Method::Push,
            provider: None,
            approved: at(1000),
            until: at(1600),
            sign_in: "00".into(),
        };
        let good = |lasts, now| approval.is_good(Duration::from_secs(lasts), at(now));
        assert!(good(600, 1000) && good(600, 1599) && !good(600, 1600));
        assert!(!good(60, 1060) && good(60, 1059), "a rule that has become shorter");
        assert!(!good(6000, 1600), "a rule that has become longer");
        assert!(good(600, 940) && !good(600, 939), "a clock that was set back");
    }
}
