//! Packets per second from one source address: a token bucket each, in a bounded table. Pure.
//!
//! Only addresses of configured clients get here. A bucket is one number, the moment until which the
//! source has used up its rate; one that lies in the past is the same as none, and can be forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Buckets in one of the shards. A source beyond that shares one bucket with the others of its shard.
const BUCKETS_PER_SHARD: usize = 4096;

/// Parts of the table, so that sockets seldom wait for each other.
const SHARDS: usize = 16;

/// One second, in the unit of the buckets.
const SECOND: u64 = 1_000_000_000;

/// The buckets of all sources.
#[derive(Debug)]
pub struct Rates {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    start: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    /// By source: nanoseconds after the start until which its rate is used up.
    used_until: HashMap<IpAddr, u64>,
    /// The shared bucket of those that found no place.
    overflow: u64,
    /// When forgotten buckets are looked for again.
    next_sweep: u64,
}

impl Rates {
    /// An empty table.
    pub fn new(start: Instant) -> Self {
        Rates { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new(), start }
    }

    /// Takes one packet from the source's bucket, which holds one second's worth and fills at `per_second`.
    /// False when it is empty.
    pub fn allows(&self, source: IpAddr, per_second: u32, now: Instant) -> bool {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let shard = usize::try_from(self.hasher.hash_one(source) % (SHARDS as u64)).unwrap_or_default();
        let Some(shard) = self.shards.get(shard) else { return false };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = shard.bucket(source, now);
        let after = (*bucket).max(now).saturating_add(SECOND / u64::from(per_second.max(1)));
        let allowed = after <= now.saturating_add(SECOND);
        if allowed {
            *bucket = after;
        }
        allowed
    }

    /// Sources that have a bucket.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).used_until.len()).sum()
    }

    /// Whether no source has a bucket.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    fn bucket(&mut self, source: IpAddr, now: u64) -> &mut u64 {
        if self.used_until.len() >= BUCKETS_PER_SHARD && !self.used_until.contains_key(&source) {
            if self.next_sweep <= now {
                self.used_until.retain(|_, until| *until > now);
                self.next_sweep = now + SECOND;
            }
            if self.used_until.len() >= BUCKETS_PER_SHARD {
                return &mut self.overflow;
            }
        }
        self.used_until.entry(source).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use std::time::Duration;

    #[test]
    fn a_burst_of_one_second_passes_and_then_the_rate() {
        let start = Instant::now();
        let rates = Rates::new(start);
        let source = "192.0.2.1".parse().unwrap();
        assert_eq!((0..100).filter(|_| rates.allows(source, 10, start)).count(), 10);
        assert!(!rates.allows(source, 10, start + Duration::from_millis(99)));
        assert!(rates.allows(source, 10, start + Duration::from_millis(100)));
        assert!(!rates.allows(source, 10, start + Duration::from_millis(100)));
        assert_eq!((0..100).filter(|_| rates.allows(source, 10, start + Duration::from_secs(9))).count(), 10);
    }

    #[test]
    fn one_source_does_not_use_up_the_rate_of_another() {
        let start = Instant::now();
        let rates = Rates::new(start);
        while rates.allows("192.0.2.1".parse().unwrap(), 5, start) {}
        assert!(rates.allows("192.0.2.2".parse().unwrap(), 5, start));
    }

    #[test]
    fn a_hundred_thousand_sources_do_not_grow_the_table_without_bound() {
        let start = Instant::now();
        let rates = Rates::new(start);
        let allowed = (0..100_000u128).filter(|n| rates.allows(Ipv6Addr::from(*n).into(), 1, start)).count();
        assert_eq!(rates.len(), SHARDS * BUCKETS_PER_SHARD);
        assert_eq!(allowed, SHARDS * BUCKETS_PER_SHARD + SHARDS);
        assert!((0..2000u128).all(|n| rates.allows(Ipv6Addr::from(n << 64).into(), 1, start + Duration::from_secs(5))));
        assert!(rates.len() < SHARDS * BUCKETS_PER_SHARD);
    }
}
