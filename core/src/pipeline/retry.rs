//! What an answer means, as pure functions: delivered, to be sent again, refused, split, or a matter of credentials.

use std::time::Duration;

use crate::encode::{otlp, scores};
use crate::full::FULL;
use crate::id;
use crate::report::Lane;
use crate::transport::{FailureKind, Outcome, Phase};

/// A server's Retry-After is a minimum, clamped to this so that no header parks a destination for good.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// The server remembers an unknown key for 300 s, and every attempt renews that. Source: server behaviour.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(330);
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What is to be done about a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Taken; `refused` items of it were not, and of `unknown` nothing was said.
    Delivered { refused: u64, unknown: u64 },
    /// Send again, no sooner than this; `ordered`: the server said so, and a flush does not cut it short.
    Retry { after: Duration, why: Why, ordered: bool },
    /// The server will never take it.
    Refused,
    /// Too large as it is.
    Split,
}

/// Who a retry is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The origin: no answer came. `while_sending`: the request's own size may be the reason.
    Transport { while_sending: bool },
    /// The destination: an error of the server's.
    Server,
    /// The destination: too many requests.
    Throttled,
    /// The destination: bad credentials.
    Unauthorized,
}

/// Decides. `failures` are the destination's failures in a row, this one not counted; `sent` is the batch's size.
pub(crate) fn decide(outcome: &Outcome, lane: Lane, sent: u64, failures: u32) -> Verdict {
    let response = match outcome {
        Outcome::Response(response) => response,
        Outcome::Failed(failure) if failure.kind == FailureKind::Invalid => return Verdict::Refused,
        Outcome::Failed(failure) => {
            let while_sending = failure.phase == Phase::Send && failure.kind == FailureKind::Timeout;
            return Verdict::Retry {
                after: backoff(failures),
                why: Why::Transport { while_sending },
                ordered: false,
            };
        }
    };
    match response.status {
        200..=299 => match lane {
            Lane::Scores if FULL.is_some() => {
                let (taken, refused) = scores::verdict(response.status, &response.body, sent);
                Verdict::Delivered { refused, unknown: sent - taken - refused }
            }
            Lane::Observations if response.content_type == "application/x-protobuf" => {
                Verdict::Delivered { refused: otlp::rejected_spans(&response.body).min(sent), unknown: 0 }
            }
            _ => Verdict::Delivered { refused: 0, unknown: 0 },
        },
        401 | 403 => {
            Verdict::Retry { after: jittered(UNAUTHORIZED_PAUSE, 0.1), why: Why::Unauthorized, ordered: true }
        }
        413 => Verdict::Split,
        408 | 429 | 500..=599 => {
            let told = response.retry_after.map(|after| after.min(MAX_RETRY_AFTER));
            let throttled = response.status == 429;
            let why = if throttled { Why::Throttled } else { Why::Server };
            let after = told.unwrap_or_default().max(backoff(failures));
            Verdict::Retry { after, why, ordered: throttled || told.is_some() }
        }
        // 3xx is never followed and never a success: the data would be gone without a word.
        _ => Verdict::Refused,
    }
}

/// Exponential, with jitter, so that a thousand destinations of a restarted server do not come back as one.
pub(crate) fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    jittered(first.saturating_mul(1 << failures.min(10)).min(longest), 0.5)
}

/// `pause` and up to `share` of it more.
pub(crate) fn jittered(pause: Duration, share: f64) -> Duration {
    pause.mul_f64(1.0 + share * id::jitter())
}

/// Bounds the retries of the whole process: a tenth of its requests and ten a second.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: f64,
    filled: u64,
}

impl RetryBudget {
    const PER_REQUEST: f64 = 0.1;
    const PER_SECOND: f64 = 10.0;
    const MOST: f64 = 200.0;

    pub(crate) fn new(now: u64) -> Self {
        Self { tokens: Self::MOST / 2.0, filled: now }
    }

    /// Counts a first attempt.
    pub(crate) fn request(&mut self) {
        self.tokens = (self.tokens + Self::PER_REQUEST).min(Self::MOST);
    }

    /// A repetition was answered well: it gives its token back, so that recovery is not rationed.
    pub(crate) fn succeeded(&mut self) {
        self.tokens = (self.tokens + 1.0).min(Self::MOST);
    }

    /// Takes a retry's token where there is one.
    pub(crate) fn retry(&mut self, now: u64) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let seconds = now.saturating_sub(self.filled) as f64 / 1e9;
        self.filled = now;
        self.tokens = (self.tokens + seconds * Self::PER_SECOND).min(Self::MOST);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Failure, Response};

    fn answer(status: u16) -> Outcome {
        Outcome::Response(Response { status, ..Response::default() })
    }

    #[test]
    fn statuses_mean_what_the_design_says() {
        let decide = |status| decide(&answer(status), Lane::Observations, 5, 0);
        for status in [200, 202, 207] {
            assert_eq!(decide(status), Verdict::Delivered { refused: 0, unknown: 0 }, "{status}");
        }
        for status in [301, 302, 304, 400, 404, 405, 422] {
            assert_eq!(decide(status), Verdict::Refused, "{status}");
        }
        assert_eq!(decide(413), Verdict::Split);
        for (status, why) in [
            (408, Why::Server),
            (500, Why::Server),
            (503, Why::Server),
            (429, Why::Throttled),
            (401, Why::Unauthorized),
            (403, Why::Unauthorized),
        ] {
            assert!(matches!(decide(status), Verdict::Retry { why: w, .. } if w == why), "{status}");
        }
    }

    #[test]
    fn retry_after_is_a_minimum_and_clamped() {
        let limited = |seconds| {
            Outcome::Response(Response {
                status: 429,
                retry_after: Some(Duration::from_secs(seconds)),
                ..Response::default()
            })
        };
        for (said, at_least, at_most) in [(20, 20, 20), (0, 0, 1), (1_000_000, 300, 300)] {
            let Verdict::Retry { after, .. } = decide(&limited(said), Lane::Scores, 1, 0) else { panic!() };
            assert!(
                after >= Duration::from_secs(at_least) && after <= Duration::from_secs(at_most),
                "{after:?}"
            );
        }
    }

    #[test]
    fn a_timeout_while_sending_is_told_apart() {
        let failed =
            |phase| Outcome::Failed(Failure { phase, kind: FailureKind::Timeout, detail: String::new() });
        let why = |phase| match decide(&failed(phase), Lane::Observations, 1, 0) {
            Verdict::Retry { why, .. } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(Phase::Send), Why::Transport { while_sending: true });
        assert_eq!(why(Phase::Receive), Why::Transport { while_sending: false });
    }

    #[test]
    fn the_retry_budget_runs_dry_and_fills_again() {
        let mut budget = RetryBudget::new(0);
        let taken = (0..1000).filter(|_| budget.retry(0)).count();
        assert_eq!(taken, 100);
        assert!(budget.retry(1_000_000_000));
    }
}
