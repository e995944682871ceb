//! Sampling by trace id: every observation and score of a trace shares its fate, in every process.

use crate::id::TraceId;
use crate::number;

/// Keeps a trace where the low 64 bits of its id are below `rate` x 2^64, as OpenTelemetry's `TraceIdRatioBased` does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    bound: Option<u64>,
}

impl Sampler {
    /// Keeps everything.
    pub const ALL: Self = Self { bound: None };

    /// `rate` from 0 (nothing) to 1 (everything).
    ///
    /// # Errors
    ///
    /// Outside that range, or not a number.
    pub fn new(rate: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(["sample_rate ", &number::text(rate), " is not a number from 0 to 1"].concat());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let bound = (rate * 18_446_744_073_709_551_616.0) as u64;
        Ok(Self { bound: (rate < 1.0).then_some(bound) })
    }

    /// The share of traces that is kept.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn rate(self) -> f64 {
        self.bound.map_or(1.0, |bound| bound as f64 / 18_446_744_073_709_551_616.0)
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn keeps(self, trace_id: TraceId) -> bool {
        self.bound.is_none_or(|bound| trace_id.low() < bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_kept_is_the_rate() {
        let half = Sampler::new(0.5).unwrap();
        let kept = (0..10_000).filter(|_| half.keeps(TraceId::random())).count();
        assert!((4_700..5_300).contains(&kept), "{kept}");
        assert!(!Sampler::new(0.0).unwrap().keeps(TraceId([0; 16])));
        assert!(Sampler::new(1.0).unwrap().keeps(TraceId([255; 16])));
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(Sampler::new(bad).is_err());
        }
    }
}
