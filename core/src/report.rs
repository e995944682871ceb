//! What became of the user's data: drop reasons, flush reports and counters. Everything submitted ends as delivered,
//! dropped with a reason, pending or unconfirmed, and these always sum to what was submitted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::json::Writer;

/// Why data was given up; the same word in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The destination's byte budget was used up, or its trace had already lost an observation to that.
    QueueFull,
    /// The process's byte budget was used up.
    ProcessBudget,
    /// The server refused a request of this one item as too large, or it could not be cut to size.
    TooLarge,
    /// The server refused the data (a 4xx answer, a partial success, a 207 item, a redirect).
    Rejected,
    /// The server refused the credentials until the data had expired or its destination was closed.
    Unauthorized,
    /// Not delivered within ten minutes.
    Expired,
    /// Its destination was closed, by the cache or by a clean-up, before it could be delivered.
    Evicted,
    /// The observation was never ended.
    NeverEnded,
    /// The observation was ended in another process than the one that started it.
    Forked,
    /// The mask function failed; only the content was dropped.
    MaskFailed,
    /// The value could not be encoded.
    EncodeFailed,
    /// Submitted, or still pending, after the goodbye's deadline.
    AfterGoodbye,
    /// The destination has no place for it: a score for an OTLP backend.
    Unsupported,
    /// Its trace was not admitted; see [`crate::admission`].
    Shed,
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All reasons, in the order of the counters.
    pub const ALL: [Self; Self::COUNT] = [
        Self::QueueFull,
        Self::ProcessBudget,
        Self::TooLarge,
        Self::Rejected,
        Self::Unauthorized,
        Self::Expired,
        Self::Evicted,
        Self::NeverEnded,
        Self::Forked,
        Self::MaskFailed,
        Self::EncodeFailed,
        Self::AfterGoodbye,
        Self::Unsupported,
        Self::Shed,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ProcessBudget => "process_budget",
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::NeverEnded => "never_ended",
            Self::Forked => "forked",
            Self::MaskFailed => "mask_failed",
            Self::EncodeFailed => "encode_failed",
            Self::AfterGoodbye => "after_goodbye",
            Self::Unsupported => "unsupported",
            Self::Shed => "shed",
        }
    }
}

/// What kind of thing was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Observations, to the OTLP endpoint.
    Observations,
    /// Scores, to their own endpoint.
    Scores,
    /// Media contents: each use of one by an observation.
    Media,
}

impl Lane {
    /// All.
    pub const ALL: [Self; 3] = [Self::Observations, Self::Scores, Self::Media];
    /// Those whose items travel in batches.
    #[cfg(feature = "full")]
    pub(crate) const BATCHED: &'static [Self] = &[Self::Observations, Self::Scores];
    #[cfg(not(feature = "full"))]
    pub(crate) const BATCHED: &'static [Self] = &[Self::Observations];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observations => "observations",
            Self::Scores => "scores",
            Self::Media => "media",
        }
    }
}

/// Counters of one destination or of the whole process.
#[derive(Debug, Default)]
pub struct Counters {
    lanes: [LaneCounters; 3],
}

#[derive(Debug, Default)]
struct LaneCounters {
    submitted: AtomicU64,
    delivered: AtomicU64,
    unconfirmed: AtomicU64,
    dropped: [AtomicU64; DropReason::COUNT],
    stripped: AtomicU64,
}

impl Counters {
    pub(crate) fn submitted(&self, lane: Lane, count: u64) {
        self.lanes[lane as usize].submitted.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, lane: Lane, count: u64) {
        self.lanes[lane as usize].delivered.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn unconfirmed(&self, lane: Lane, count: u64) {
        self.lanes[lane as usize].unconfirmed.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, lane: Lane, reason: DropReason, count: u64) {
        self.lanes[lane as usize].dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts content that a mask failed on. What it belonged to goes on without it and is counted where it ends.
    pub(crate) fn stripped(&self, lane: Lane, count: u64) {
        self.lanes[lane as usize].stripped.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds what another set of counters holds: a destination that is forgotten leaves its sums to the process.
    pub(crate) fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.lanes.iter().zip(&other.lanes) {
            let LaneCounters { submitted, delivered, unconfirmed, dropped, stripped } = theirs;
            mine.stripped.fetch_add(stripped.load(Ordering::Relaxed), Ordering::Relaxed);
            mine.submitted.fetch_add(submitted.load(Ordering::Relaxed), Ordering::Relaxed);
            mine.delivered.fetch_add(delivered.load(Ordering::Relaxed), Ordering::Relaxed);
            mine.unconfirmed.fetch_add(unconfirmed.load(Ordering::Relaxed), Ordering::Relaxed);
            for (mine, theirs) in mine.dropped.iter().zip(dropped) {
                mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// How many were handed over in a lane.
    pub(crate) fn submissions(&self, lane: Lane) -> u64 {
        self.lanes[lane as usize].submitted.load(Ordering::Relaxed)
    }

    /// The counters of one lane at this moment. `pending` is what is left of `submitted`.
    #[must_use]
    pub fn tally(&self, lane: Lane) -> Tally {
        let counters = &self.lanes[lane as usize];
        // Outcomes are read before submissions, so that a concurrent submission can only add to `pending`.
        let delivered = counters.delivered.load(Ordering::Acquire);
        let unconfirmed = counters.unconfirmed.load(Ordering::Acquire);
        let dropped = DropReason::ALL.map(|reason| counters.dropped[reason as usize].load(Ordering::Acquire));
        let submitted = counters.submitted.load(Ordering::Acquire);
        let ended = delivered + unconfirmed + dropped.iter().sum::<u64>();
        let stripped = counters.stripped.load(Ordering::Relaxed);
        Tally {
            submitted,
            delivered,
            unconfirmed,
            dropped,
            pending: submitted.saturating_sub(ended),
            stripped,
        }
    }
}

/// A reading of one lane's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ended observations, or scores, that the application handed over.
    pub submitted: u64,
    /// Acknowledged by the server.
    pub delivered: u64,
    /// Waiting, being sent, or being retried.
    pub pending: u64,
    /// Sent, but closed before the server answered.
    pub unconfirmed: u64,
    /// Given up, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::COUNT],
    /// Values that a mask failed on: they were left out of what is counted above.
    pub stripped: u64,
}

impl Tally {
    /// The sum over all reasons.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// The sum of two readings.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.submitted += other.submitted;
        self.delivered += other.delivered;
        self.pending += other.pending;
        self.unconfirmed += other.unconfirmed;
        self.stripped += other.stripped;
        for (mine, theirs) in self.dropped.iter_mut().zip(&other.dropped) {
            *mine += theirs;
        }
        self
    }
}

/// What a flush saw of the data that was pending when it was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// True where nothing was left pending or unconfirmed.
    pub complete: bool,
    /// Acknowledged by the server during the flush.
    pub delivered: u64,
    /// Given up during the flush.
    pub dropped: u64,
    /// Still waiting; it stays in the queue and is sent later, unless the client was closed.
    pub pending: u64,
    /// Sent, no answer by the deadline.
    pub unconfirmed: u64,
    /// The same by destination.
    pub destinations: Vec<DestinationReport>,
}

/// One destination's part of a [`Report`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationReport {
    /// The destination's public key.
    pub public_key: String,
    /// Its base URL.
    pub base_url: String,
    /// See [`Report::delivered`].
    pub delivered: u64,
    /// See [`Report::dropped`].
    pub dropped: u64,
    /// See [`Report::pending`].
    pub pending: u64,
    /// See [`Report::unconfirmed`].
    pub unconfirmed: u64,
}

impl Report {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let counts = |out: &mut Writer, counts: [u64; 4]| {
            for (name, count) in ["delivered", "dropped", "pending", "unconfirmed"].into_iter().zip(counts) {
                out.whole(name, count);
            }
        };
        let Self { complete, delivered, dropped, pending, unconfirmed, destinations } = self;
        let mut out = Writer::new();
        out.begin("", b'{').flag("complete", *complete);
        counts(&mut out, [*delivered, *dropped, *pending, *unconfirmed]);
        out.begin("destinations", b'[');
        for part in destinations {
            let DestinationReport { public_key, base_url, delivered, dropped, pending, unconfirmed } = part;
            out.begin("", b'{').text("public_key", public_key).text("base_url", base_url);
            counts(&mut out, [*delivered, *dropped, *pending, *unconfirmed]);
            out.end(b'}');
        }
        out.end(b']').end(b'}');
        out.finish()
    }

    /// Sums destinations up.
    #[must_use]
    pub fn of(destinations: Vec<DestinationReport>) -> Self {
        let mut report = Self { destinations, ..Self::default() };
        for part in &report.destinations {
            report.delivered += part.delivered;
            report.dropped += part.dropped;
            report.pending += part.pending;
            report.unconfirmed += part.unconfirmed;
        }
        report.complete = report.pending == 0 && report.unconfirmed == 0;
        report
    }
}
