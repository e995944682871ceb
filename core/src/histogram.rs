//! Durations in buckets of 1.6 %: 6 KiB of atomics, bounded whatever is recorded.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Buckets of one doubling.
const STEPS: u32 = 64;
/// Durations below 2^10 ns share the first bucket; above 2^35 ns (34 s) the last.
const LOWEST: u32 = 10;
const DOUBLINGS: u32 = 25;

/// See the module.
pub struct Histogram {
    buckets: Box<[AtomicU32]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..STEPS * DOUBLINGS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram(p50 {:?}, p99 {:?})", self.quantile(0.5), self.quantile(0.99))
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(1 << LOWEST);
    let doubling = 63 - nanos.leading_zeros();
    #[allow(clippy::cast_possible_truncation)]
    let step = ((nanos >> (doubling - 6)) as u32) - STEPS;
    (((doubling - LOWEST) * STEPS + step) as usize).min((STEPS * DOUBLINGS) as usize - 1)
}

/// The upper end of a bucket.
fn upper(bucket: usize) -> u64 {
    let (doubling, step) = (bucket as u64 / u64::from(STEPS), bucket as u64 % u64::from(STEPS));
    (u64::from(STEPS) + step + 1) << (doubling + u64::from(LOWEST) - 6)
}

impl Histogram {
    /// Counts a duration in nanoseconds.
    pub fn record(&self, nanos: u64) {
        if let Some(bucket) = self.buckets.get(bucket(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The duration that this share of the recorded ones does not exceed, to 1.6 %; `None` where none was recorded.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| u64::from(bucket.load(Ordering::Relaxed))).collect();
        let total: u64 = counts.iter().sum();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(upper(at)))
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| u64::from(bucket.load(Ordering::Relaxed))).sum()
    }

    /// Forgets everything: for measuring a span of time.
    pub fn clear(&self) {
        for bucket in &*self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_percent() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=1000u64 {
            histogram.record(millis * 1_000_000);
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        for extreme in [0, 1, u64::MAX] {
            histogram.record(extreme);
        }
        assert_eq!(histogram.count(), 1003);
    }
}
