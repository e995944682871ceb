//! What the process's tracing does and holds, for people and monitors. No secret is in it.

use std::sync::atomic::Ordering;

use crate::destination::Destination;
use crate::json::Writer;
use crate::number;
use crate::process::Process;
use crate::report::{DropReason, Lane, Tally};

/// A reading of everything.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Observations of the whole process.
    pub observations: LaneStats,
    /// Scores of the whole process.
    pub scores: LaneStats,
    /// Media of the whole process: each use of a content by an observation.
    pub media: LaneStats,
    /// Bytes of open observations, queues and requests.
    pub bytes: usize,
    /// What `bytes` may be at most.
    pub bytes_limit: usize,
    /// The share of new traces that are recorded.
    pub admission: f64,
    /// Destinations held.
    pub clients: usize,
    /// Requests begun.
    pub requests: u64,
    /// Of these, repetitions.
    pub retries: u64,
    /// Panics caught in the exporter.
    pub panics: u64,
    /// The largest lag of the export loop, in seconds.
    pub largest_lag: f64,
    /// Seconds from the moment a batch was due until a server had acknowledged it: median and 99th percentile.
    pub delivery_p50: Option<f64>,
    /// See `delivery_p50`.
    pub delivery_p99: Option<f64>,
    /// The same by destination.
    pub destinations: Vec<DestinationStats>,
}

/// One lane's counters. They always sum: submitted = delivered + dropped + pending + unconfirmed.
#[derive(Clone, Debug)]
pub struct LaneStats {
    /// Handed over by the application.
    pub submitted: u64,
    /// Acknowledged by a server.
    pub delivered: u64,
    /// Waiting or being sent.
    pub pending: u64,
    /// Sent, and closed before an answer came.
    pub unconfirmed: u64,
    /// Given up, by reason; reasons that never occurred are absent.
    pub dropped: Vec<(&'static str, u64)>,
    /// Values that a mask failed on. They were left out; what they belonged to is counted above.
    pub mask_failed: u64,
}

/// One destination's part.
#[derive(Clone, Debug)]
pub struct DestinationStats {
    /// Its public key.
    pub public_key: String,
    /// Its base URL.
    pub base_url: String,
    /// Bytes waiting.
    pub bytes: usize,
    /// Observations.
    pub observations: LaneStats,
    /// Scores.
    pub scores: LaneStats,
    /// Media.
    pub media: LaneStats,
}

impl LaneStats {
    fn of(tally: &Tally) -> Self {
        let dropped =
            DropReason::ALL.into_iter().map(|reason| (reason.as_str(), tally.dropped[reason as usize]));
        Self {
            submitted: tally.submitted,
            delivered: tally.delivered,
            pending: tally.pending,
            unconfirmed: tally.unconfirmed,
            dropped: dropped.filter(|(_, count)| *count > 0).collect(),
            mask_failed: tally.stripped,
        }
    }
}

impl LaneStats {
    fn write(&self, out: &mut Writer, name: &str) {
        out.begin(name, b'{')
            .whole("submitted", self.submitted)
            .whole("delivered", self.delivered)
            .whole("pending", self.pending)
            .whole("unconfirmed", self.unconfirmed)
            .begin("dropped", b'{');
        for (reason, count) in &self.dropped {
            out.whole(reason, *count);
        }
        out.end(b'}').whole("mask_failed", self.mask_failed).end(b'}');
    }
}

impl Stats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Writer::new();
        out.begin("", b'{');
        let lanes = |out: &mut Writer, lanes: [&LaneStats; 3]| {
            for (name, lane) in ["observations", "scores", "media"].into_iter().zip(lanes) {
                lane.write(out, name);
            }
        };
        let seconds = |out: &mut Writer, name: &str, seconds: Option<f64>| {
            out.raw(name, &seconds.map(number::text).unwrap_or_default());
        };
        lanes(&mut out, [&self.observations, &self.scores, &self.media]);
        out.whole("bytes", self.bytes as u64)
            .whole("bytes_limit", self.bytes_limit as u64)
            .number("admission", self.admission)
            .whole("clients", self.clients as u64)
            .whole("requests", self.requests)
            .whole("retries", self.retries)
            .whole("panics", self.panics)
            .number("largest_lag", self.largest_lag);
        seconds(&mut out, "delivery_p50", self.delivery_p50);
        seconds(&mut out, "delivery_p99", self.delivery_p99);
        out.begin("destinations", b'[');
        for part in &self.destinations {
            out.begin("", b'{').text("public_key", &part.public_key).text("base_url", &part.base_url);
            out.whole("bytes", part.bytes as u64);
            lanes(&mut out, [&part.observations, &part.scores, &part.media]);
            out.end(b'}');
        }
        out.end(b']').end(b'}');
        out.finish()
    }
}

impl DestinationStats {
    fn of(destination: &Destination) -> Self {
        Self {
            public_key: destination.public_key.clone(),
            base_url: destination.endpoint.url.text(),
            bytes: destination.bytes(),
            observations: LaneStats::of(&destination.lane(Lane::Observations)),
            scores: LaneStats::of(&destination.lane(Lane::Scores)),
            media: LaneStats::of(&destination.lane(Lane::Media)),
        }
    }
}

impl Process {
    /// Reads all counters. With 10,000 destinations this takes milliseconds; it is not for the hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let destinations = self.registry.lock().all();
        let shared = &self.shared;
        let sum = |lane: Lane| {
            let live = destinations.iter().map(|destination| destination.lane(lane));
            LaneStats::of(&live.fold(shared.retired.tally(lane), |sum, tally| sum.plus(&tally)))
        };
        #[allow(clippy::cast_precision_loss)]
        let largest_lag = shared.lag.load(Ordering::Relaxed) as f64 / 1e9;
        Stats {
            observations: sum(Lane::Observations),
            scores: sum(Lane::Scores),
            media: sum(Lane::Media),
            bytes: shared.budget.used(),
            bytes_limit: shared.budget.limit(),
            admission: shared.admission.share(),
            clients: self.registry.lock().len(),
            requests: shared.requests.load(Ordering::Relaxed),
            retries: shared.retries.load(Ordering::Relaxed),
            panics: shared.panics.load(Ordering::Relaxed),
            largest_lag,
            delivery_p50: shared.delivery.quantile(0.5).map(|duration| duration.as_secs_f64()),
            delivery_p99: shared.delivery.quantile(0.99).map(|duration| duration.as_secs_f64()),
            destinations: destinations.iter().map(|destination| DestinationStats::of(destination)).collect(),
        }
    }
}
