//! A latency histogram of fixed size: 64 buckets for each power of two, so an error of at most 1.6 %.

use std::time::Duration;

use serde_json::{Value, json};

/// Buckets for each power of two.
const STEPS: u64 = 64;

/// Counts of durations.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self { buckets: vec![0; 60 * 64], count: 0, max: 0 }
    }

    /// Counts one duration, given in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        if let Some(bucket) = usize::try_from(index(nanoseconds)).ok().and_then(|at| self.buckets.get_mut(at)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `per_mille` of a thousand do not exceed.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (at, count) in (0_u64..).zip(&self.buckets) {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(highest(at).min(self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    /// Milliseconds at the usual places.
    pub fn json(&self) -> Value {
        let at = |per_mille| millis(self.quantile(per_mille));
        json!({
            "count": self.count, "p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999),
            "max": millis(Duration::from_nanos(self.max)),
        })
    }
}

/// Milliseconds with three digits behind the point.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn index(value: u64) -> u64 {
    if value < STEPS {
        return value;
    }
    let exponent = u64::from(value.ilog2());
    (exponent - 5) * STEPS + (value >> (exponent - 6)) % STEPS
}

/// The highest value that falls into a bucket.
fn highest(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_within_its_bucket() {
        for value in (0..1_000).chain((10..50).map(|bit| (1_u64 << bit) + 12_345)) {
            let top = highest(index(value));
            assert!(top >= value && top - value <= value / 60, "{value} {top}");
            assert_eq!(index(top), index(value));
            assert_eq!(index(top + 1), index(value) + 1);
        }
    }

    #[test]
    fn quantiles_of_one_to_a_thousand() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|value| histogram.add(value * 1_000_000));
        let p50 = histogram.quantile(500).as_millis();
        let p99 = histogram.quantile(990).as_millis();
        assert!((500..=508).contains(&p50) && (990..=1000).contains(&p99), "{p50} {p99}");
        assert_eq!(histogram.quantile(1000).as_millis(), 1000);
    }
}
