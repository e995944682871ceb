//! Admission: whether new traces are recorded at all. A process that is short of memory sheds tracing before it sheds work.
//!
//! The switch asks at the start of a trace, before anything is encoded. What is below an observation shares its fate, so that
//! a trace begun before stays whole until its end and one that was shed stays away, whatever the switch says meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::id::TraceId;

/// Where the mixed trace id is compared with nothing.
const EVERYTHING: u64 = u64::MAX;

/// True once any switch of this program has been below 1: until then callers need not look for theirs.
static USED: AtomicBool = AtomicBool::new(false);

/// What the switch has said of an observation, and so says of what is below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It was not asked: the observation is not recorded for another reason, or is another program's.
    #[default]
    Unasked,
    /// Its trace is recorded.
    Admitted,
    /// Its trace was shed.
    Shed,
}

/// One process's switch: the share of new traces that are recorded.
#[derive(Debug)]
pub struct Admission {
    bound: AtomicU64,
}

impl Default for Admission {
    fn default() -> Self {
        Self { bound: AtomicU64::new(EVERYTHING) }
    }
}

impl Admission {
    /// Sets the share, from 0 (no new trace) to 1 (all). In between the trace's id decides, alike in every process.
    ///
    /// # Errors
    ///
    /// Outside that range, or not a number: nothing is changed.
    pub fn set(&self, share: f64) -> Result<(), String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("the share of traces to admit is a number from 0 to 1, not {share}"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let bound = if share < 1.0 { (share * 18_446_744_073_709_551_616.0) as u64 } else { EVERYTHING };
        if bound != EVERYTHING {
            USED.store(true, Ordering::Relaxed);
        }
        self.bound.store(bound, Ordering::Relaxed);
        Ok(())
    }

    /// The share.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share(&self) -> f64 {
        match self.bound.load(Ordering::Relaxed) {
            EVERYTHING => 1.0,
            bound => bound as f64 / 18_446_744_073_709_551_616.0,
        }
    }

    /// Whether a trace that begins now is recorded.
    #[inline]
    #[must_use]
    pub fn admits(&self, trace_id: TraceId) -> bool {
        let bound = self.bound.load(Ordering::Relaxed);
        bound == EVERYTHING || mixed(trace_id.low()) < bound
    }

    /// Whether every trace is.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        self.bound.load(Ordering::Relaxed) == EVERYTHING
    }

    /// Whether something without a trace, such as a session's score, is taken now.
    #[must_use]
    pub fn admits_any(&self) -> bool {
        self.bound.load(Ordering::Relaxed) != 0
    }
}

/// False while no switch of this program was ever below 1.
#[inline]
#[must_use]
pub fn used() -> bool {
    USED.load(Ordering::Relaxed)
}

/// Another order of the same ids: sampling compares them as they are, and half of what a rate of 0.1 has left is to be half of it.
/// The finalizer of `SplitMix64`.
fn mixed(low: u64) -> u64 {
    let low = (low ^ (low >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let low = (low ^ (low >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    low ^ (low >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::{Field, ObservationType};
    use crate::encode::otlp::Value;
    use crate::process::Process;
    use crate::report::{DropReason, Lane};
    use crate::sample::Sampler;
    use crate::score::{ScoreInput, ScoreValue};
    use crate::standing;
    use crate::{Client, Observation, SpanContext, Start};
    use std::sync::{Arc, OnceLock};

    fn home() -> Arc<Process> {
        static HOME: OnceLock<Arc<Process>> = OnceLock::new();
        HOME.get_or_init(standing::process).clone()
    }

    fn client(key: &str) -> Client {
        standing::client(key, home)
    }

    fn begin(client: &Client, parent: Option<&SpanContext>) -> Observation {
        client.start(&Start {
            name: "n",
            kind: ObservationType::Span,
            values: None,
            parent,
            trace_context: None,
            propagated: None,
            start_time: None,
        })
    }

    fn score(client: &Client, of: Option<&SpanContext>) {
        let input = ScoreInput {
            name: "s".into(),
            value: Some(ScoreValue::Number(1.0)),
            trace_id: Some(of.map_or(TraceId([7; 16]), |of| of.trace_id).to_string()),
            fate: of.map_or(Fate::Unasked, |of| of.fate),
            ..ScoreInput::default()
        };
        client.score(input).unwrap();
    }

    #[test]
    fn traces_are_kept_or_shed_whole_and_the_sums_hold() {
        let (client, other) = (client("pk-a"), client("pk-b"));
        let begun = begin(&client, None);
        home().shared().admission.set(0.0).unwrap();
        let child = begin(&client, Some(begun.context()));
        child.set(Field::Input, Value::Str("x"));
        let shed = begin(&client, None);
        assert!(child.is_recording() && !shed.is_recording() && !shed.end(None));
        assert!(!shed.context().traceparent().sampled);
        score(&client, Some(child.context()));
        score(&client, Some(shed.context()));
        score(&client, None);
        home().shared().admission.set(1.0).unwrap();
        for client in [&client, &other] {
            assert!(!begin(client, Some(shed.context())).is_recording());
        }
        score(&client, Some(shed.context()));
        score(&client, None);
        assert!(child.end(None) && begun.end(None) && begin(&client, None).end(None));
        let observations = client.tally(Lane::Observations);
        assert_eq!((observations.submitted, observations.pending), (5, 3));
        assert_eq!(observations.dropped[DropReason::Shed as usize], 2);
        let scores = client.tally(Lane::Scores);
        assert_eq!((scores.submitted, scores.pending), (5, 2));
        assert_eq!(scores.dropped[DropReason::Shed as usize], 3);
        assert_eq!(other.tally(Lane::Observations).dropped_total(), 1);
    }

    #[test]
    fn a_share_is_a_share_of_what_sampling_has_left() {
        let admission = Admission::default();
        let sampler = Sampler::new(0.1).unwrap();
        let ids: Vec<TraceId> =
            (0..100_000).map(|_| TraceId::random()).filter(|id| sampler.keeps(*id)).collect();
        assert!(ids.iter().all(|id| admission.admits(*id)));
        admission.set(0.5).unwrap();
        let kept = ids.iter().filter(|id| admission.admits(**id)).count();
        assert!((4_500..5_500).contains(&kept), "{kept} of {}", ids.len());
        admission.set(0.0).unwrap();
        assert!(!ids.iter().any(|id| admission.admits(*id)) && !admission.admits_any());
        assert!(used());
    }

    #[test]
    fn what_is_no_share_changes_nothing() {
        let admission = Admission::default();
        for share in [0.0, 1.0 / 3.0, 0.25, 1.0] {
            admission.set(share).unwrap();
            assert!((admission.share() - share).abs() < 1e-15);
            for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
                assert!(admission.set(bad).is_err());
                assert!((admission.share() - share).abs() < 1e-15);
            }
        }
    }
}
