//! Programs that sign in again and again: one full sign-in stands for those that follow it, for a short while.
//!
//! Applications bind with their own account before each search. The first such bind is a sign-in like any other;
//! for [`STANDS`] after it the same account, from the same address, with the same credential, needs neither the
//! look-up nor an event of its own. The directory still has to accept each of them, and what it refuses ends this
//! at once. All that were served this way leave one event with their number.
//!
//! Also remembered: from which addresses each such account has come, as one that it has not used before is worth a
//! warning.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Client;
use crate::primary::{Identity, Refusal};
use crate::signin::outcome::{Accept, Reason, Verdict};
use crate::signin::passing::Brought;
use crate::signin::pending::lock;
use crate::signin::policy::Exemption;
use crate::signin::proof::SecondPassed;
use crate::signin::reception::{SignIns, now};
use crate::signin::throttle::Guess;
use crate::signin::together::{self, Leave};

/// How long one full sign-in of a program stands.
pub const STANDS: Duration = Duration::from_secs(60);

/// Sign-ins that stand at once, and accounts whose addresses are known, at most.
const ENTRIES: usize = 4096;
/// Addresses that are known of one account, at most.
const ADDRESSES: usize = 256;

/// What a standing sign-in is found by: client, address, name and credential, as a keyed digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StandKey([u8; 16]);

/// A sign-in that stands.
#[derive(Debug)]
pub struct Standing {
    client: Arc<Client>,
    name: Box<str>,
    who: Arc<Identity>,
    source: IpAddr,
}

impl Standing {
    /// The distinguished name that was bound.
    pub fn dn(&self) -> &str {
        &self.who.dn
    }
}

#[derive(Debug)]
struct Entry {
    standing: Arc<Standing>,
    until: Instant,
    /// Sign-ins that it has stood for.
    again: u32,
}

/// A client's name and an account's unique id.
type Account = (Box<str>, Box<str>);

/// The tables.
#[derive(Debug)]
pub(super) struct Standings {
    digest: Hmac<Sha256>,
    entries: Mutex<HashMap<StandKey, Entry>>,
    addresses: Mutex<HashMap<Account, Vec<IpAddr>>>,
    /// What came before is in the audit only.
    started: SystemTime,
}

impl Standings {
    pub(super) fn new(random: &[u8; 32]) -> Self {
        // HMAC takes keys of any length; its block is 64 octets. The tail keeps it apart from the key of holds.
        let mut block = [b's'; 64];
        block.iter_mut().zip(random).for_each(|(to, from)| *to = *from);
        let digest = <Hmac<Sha256> as KeyInit>::new(&block.into());
        Standings { digest, entries: Mutex::default(), addresses: Mutex::default(), started: SystemTime::now() }
    }

    /// Whether this account has not come from this address through this client, as far as is remembered.
    fn is_new(&self, client: &str, unique_id: &str, source: IpAddr) -> bool {
        let mut known = lock(&self.addresses);
        let key = (client.into(), unique_id.into());
        if known.len() >= ENTRIES && !known.contains_key(&key) {
            known.clear();
        }
        let addresses = known.entry(key).or_default();
        if addresses.contains(&source) {
            return false;
        }
        if addresses.len() >= ADDRESSES {
            addresses.remove(0);
        }
        addresses.push(source);
        true
    }
}

impl SignIns {
    /// What a sign-in with this name and credential would be found by.
    pub fn stand_key(&self, client: &Client, source: IpAddr, name: &[u8], credential: &[u8]) -> StandKey {
        let mut digest = self.standings.digest.clone();
        let address = match source.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        for part in [client.name.as_bytes(), &address, name, credential] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.iter_mut().zip(digest.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        StandKey(key)
    }

    /// The sign-in that stands under this key.
    pub fn stands(&self, key: &StandKey) -> Option<Arc<Standing>> {
        let entries = lock(&self.standings.entries);
        let entry = entries.get(key).filter(|entry| now() < entry.until)?;
        Some(Arc::clone(&entry.standing))
    }

    /// The directory has accepted one more that it stands for.
    pub fn stood(&self, key: &StandKey) {
        if let Some(entry) = lock(&self.standings.entries).get_mut(key) {
            entry.again = entry.again.saturating_add(1);
        }
    }

    /// The directory has refused what was thought to stand: it stands no more, and the refusal is counted, by all nodes.
    pub fn fell(self: &Arc<Self>, key: &StandKey, refusal: Refusal) {
        let Some(entry) = lock(&self.standings.entries).remove(key) else { return };
        let permit = lock(&self.throttle).admit(&entry.standing.who.unique_id, None, now());
        if let Ok(permit) = permit {
            let guess = if refusal == Refusal::WrongPassword { Guess::Wrong } else { Guess::Uncounted };
            let counts = lock(&self.throttle).settle(permit, guess, now());
            // Nobody waits for that: the others hear of it in a moment.
            drop(together::settle(self, &entry.standing.who.unique_id, Leave::Free, guess, counts));
        }
        let reason = Reason::from_primary(refusal);
        self.leave_standing(&entry.standing, (Verdict::Reject, reason), reason.code(), 1);
        if entry.again > 0 {
            self.leave_stood(&entry);
        }
    }

    /// The directory would not say whether it stands: the next one is a sign-in of its own, which asks the other servers.
    pub fn unsettled(&self, key: &StandKey) {
        let ended = lock(&self.standings.entries).remove(key);
        ended.iter().filter(|entry| entry.again > 0).for_each(|entry| self.leave_stood(entry));
    }

    /// Lets an acceptance stand, if it is a program's, and says so where it comes from an address of its own.
    pub fn keep_standing(
        self: &Arc<Self>,
        key: StandKey,
        (client, name, source): (&Arc<Client>, &str, IpAddr),
        accept: &Accept,
    ) {
        let SecondPassed::Exempt(exempted) = accept.second() else { return };
        if exempted.rule() != Exemption::ServiceAccount {
            return;
        }
        let who = Arc::clone(accept.primary().who());
        if who.remembered {
            return;
        }
        if self.standings.is_new(&client.name, &who.unique_id, source) {
            tokio::spawn(warn_of_new_address(Arc::clone(self), Arc::clone(client), Arc::clone(&who), source));
        }
        let Some(until) = now().checked_add(STANDS) else { return };
        let standing = Arc::new(Standing { client: Arc::clone(client), name: name.into(), who, source });
        let before = {
            let mut entries = lock(&self.standings.entries);
            if entries.len() >= ENTRIES && !entries.contains_key(&key) {
                return;
            }
            entries.insert(key, Entry { standing, until, again: 0 })
        };
        if let Some(before) = before.filter(|before| before.again > 0) {
            self.leave_stood(&before);
        }
    }

    /// Leaves the events of those that stand no more; with `all`, of every one. To be called now and then.
    pub fn tell_standings(&self, all: bool) {
        let now = now();
        let ended: Vec<Entry> = lock(&self.standings.entries)
            .extract_if(|_, entry| all || entry.until <= now)
            .map(|(_, entry)| entry)
            .collect();
        ended.iter().filter(|entry| entry.again > 0).for_each(|entry| self.leave_stood(entry));
    }

    fn leave_stood(&self, entry: &Entry) {
        let accepted = (Verdict::Accept, Reason::ServiceAccount);
        self.leave_standing(&entry.standing, accepted, "passed", entry.again);
    }

    fn leave_standing(&self, standing: &Standing, verdict: (Verdict, Reason), primary: &'static str, requests: u32) {
        let Standing { client, name, who, source } = standing;
        let brought = Brought { client, name: name.clone().into(), who: Some(who), source: *source };
        self.leave_unheld(brought, verdict, primary, requests);
    }
}

/// Warns, unless the audit remembers that the account came from there before this server was started.
async fn warn_of_new_address(sign_ins: Arc<SignIns>, client: Arc<Client>, who: Arc<Identity>, source: IpAddr) {
    let before = (Reason::ServiceAccount.code(), sign_ins.standings.started);
    let before = sign_ins.deps.store.has_come_from(&who.unique_id, source, before).await;
    if !before.unwrap_or(false) {
        sign_ins.deps.metrics.service_addresses.inc();
        tracing::warn!(
            client = client.name, account = ?who.name, %source,
            "a service account signs in from an address that it has not used before"
        );
    }
}
