//! What an answer to a person's bind is worth when the name that was bound may be one of the past.
//!
//! The user store knows people by their unique id and keeps the distinguished name that they had at the last import.
//! Since then the entry may have moved, and another one may have that name. So whoever was bound by a remembered name
//! is accepted only after the directory has said that the name is still theirs; what it has said so is believed for
//! [`BELIEVED`], which is less than directories take to tell each other of a change.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;

use super::Directory;
use crate::ldap::ber::Writer;
use crate::ldap::filter::write_equality;
use crate::ldap::result::code;
use crate::primary::{Fault, Finding, Identity, Refusal, names};
use crate::secret::Secret;

/// How long it is believed that a distinguished name is still the same person's.
const BELIEVED: Duration = Duration::from_secs(60);
/// Names that are believed at once, at most.
const ENTRIES: usize = 65_536;

/// Which distinguished names the directory has said to be whose, a short while ago.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    hasher: RandomState,
    until: Mutex<HashMap<u64, Instant>>,
}

impl Confirmed {
    fn key(&self, who: &Identity) -> u64 {
        self.hasher.hash_one((&who.unique_id, &who.dn))
    }

    fn has(&self, who: &Identity, now: Instant) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&self.key(who)).is_some_and(|until| now < *until)
    }

    fn add(&self, who: &Identity, now: Instant) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= ENTRIES {
            until.retain(|_, until| now < *until);
        }
        if until.len() < ENTRIES {
            until.insert(self.key(who), now + BELIEVED);
        }
    }
}

impl Directory {
    pub(super) async fn try_password_of(&self, who: &Identity, password: &Secret, deadline: Instant) -> Finding {
        let first = self.bind_as(&who.dn, password, deadline).await;
        match self.judge(who, first, deadline).await {
            Ok(finding) => finding,
            Err(dn) => self.bind_as(&dn, password, deadline).await.at(dn),
        }
    }

    /// As [`crate::primary::Primary::judged`].
    pub(super) async fn judge(&self, who: &Identity, finding: Finding, deadline: Instant) -> Result<Finding, String> {
        let doubtful = match &finding {
            Finding::Fault(Fault::Refused { code: code::NO_SUCH_OBJECT | code::INVALID_DN_SYNTAX }) => true,
            Finding::Right => who.remembered && !self.confirmed.has(who, Instant::now()),
            Finding::Wrong(Refusal::WrongPassword | Refusal::NoSuchUser) => who.remembered,
            _ => false,
        };
        if !doubtful {
            return Ok(finding);
        }
        // Only a DN that really changed is worth another try: the same one again would count the same mistake twice.
        match self.refresh(who, deadline).await {
            Ok(Some(now)) if !names::same(&now.dn, &who.dn) => {
                debug!(unique_id = %who.unique_id, "the person's DN has changed");
                Err(now.dn)
            }
            Ok(Some(_)) => {
                self.confirmed.add(who, Instant::now());
                Ok(finding)
            }
            // Whoever the entry is that was bound, it is not this person.
            Ok(None) if finding == Finding::Right => Ok(Finding::Wrong(Refusal::NoSuchUser)),
            Ok(None) => Ok(match finding {
                Finding::Fault(Fault::Refused { code: code::NO_SUCH_OBJECT }) => Finding::Wrong(Refusal::NoSuchUser),
                finding => finding,
            }),
            Err(fault) if finding == Finding::Right => Ok(Finding::Fault(fault)),
            // What the first bind came to still stands, and must be counted if it was a mistake.
            Err(_) => Ok(finding),
        }
    }

    /// The identity with this unique id as it is now.
    pub(in crate::primary) async fn refresh(
        &self,
        who: &Identity,
        deadline: Instant,
    ) -> Result<Option<Identity>, Fault> {
        let guid =
            if self.unique_id.eq_ignore_ascii_case("objectGUID") { names::guid_octets(&who.unique_id) } else { None };
        let value = guid.as_ref().map_or(who.unique_id.as_bytes(), <[u8; 16]>::as_slice);
        let mut filter = Vec::new();
        Writer::new(&mut filter).constructed(0xa0, |and| {
            self.rules.people.iter().for_each(|people| and.raw(people));
            write_equality(and, &self.unique_id, value);
        });
        let mut found = self.find(&filter, deadline).await?;
        Ok(if found.len() == 1 { found.pop().flatten() } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(dn: &str) -> Identity {
        Identity {
            unique_id: "1".into(),
            name: "alice".into(),
            upn: None,
            dn: dn.into(),
            remembered: true,
            details: None,
        }
    }

    #[test]
    fn a_name_is_believed_for_a_while_and_for_its_owner_only() {
        let (confirmed, now) = (Confirmed::default(), Instant::now());
        confirmed.add(&alice("CN=a"), now);
        assert!(confirmed.has(&alice("CN=a"), now + BELIEVED / 2));
        assert!(!confirmed.has(&alice("CN=a"), now + BELIEVED));
        assert!(!confirmed.has(&alice("CN=b"), now));
        assert!(!confirmed.has(&Identity { unique_id: "2".into(), ..alice("CN=a") }, now));
    }

    #[test]
    fn a_full_table_believes_nothing_new_until_something_is_forgotten() {
        let (confirmed, now) = (Confirmed::default(), Instant::now());
        for number in 0..ENTRIES + 5 {
            confirmed.add(&alice(&number.to_string()), now);
        }
        assert_eq!(confirmed.until.lock().unwrap().len(), ENTRIES);
        let later = now + BELIEVED;
        confirmed.add(&alice("CN=new"), later);
        assert_eq!(confirmed.until.lock().unwrap().len(), 1);
        assert!(confirmed.has(&alice("CN=new"), later));
    }
}
