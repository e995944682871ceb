//! What callers and the exporter share about one destination: counters, budget and settings, all atomics. The exporter's
//! own state (queues, retries) lives in the pipeline and exists only while there is data.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::sync::Mutex;

use crate::budget::Budget;
use crate::config::{ClientSettings, FIRST_LINGER, FIRST_OBSERVATIONS};
use crate::control::Load;
use crate::encode::otlp::Envelope;
use crate::endpoint::{BaseUrl, Endpoint, basic_auth};
use crate::interchange::pack::Packs;
use crate::key::DestinationKey;
use crate::map::Set;
use crate::report::{Counters, Lane, Tally};
use crate::upload::{self, Contents};

/// Traces remembered as having lost an observation.
const MAX_REFUSED_TRACES: usize = 4096;

/// One place where data goes.
#[derive(Debug)]
pub struct Destination {
    pub(crate) id: u64,
    pub(crate) key: DestinationKey,
    pub(crate) public_key: String,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) otlp_path: Arc<str>,
    /// Resource and scope of its own, where they differ from the process's.
    pub(crate) envelope: Option<Envelope>,
    pub(crate) budget: Budget,
    pub(crate) contents: Contents,
    pub(crate) counters: Counters,
    /// Records that the exporter has yet to encode.
    pub(crate) packs: Packs,
    /// True while the exporter knows that data waits here and has a timer for it.
    pub(crate) armed: AtomicBool,
    /// Observations and their bytes that wait for a batch.
    pub(crate) waiting: AtomicU32,
    pub(crate) waiting_bytes: AtomicUsize,
    pub(crate) flush_at: AtomicU32,
    pub(crate) linger: AtomicU64,
    pub(crate) gzip: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) last_used: AtomicU64,
    /// Control requests that wait for an answer.
    pub(crate) controls: Load,
    refusing: AtomicBool,
    refused: Mutex<RefusedTraces>,
    retired: Arc<Counters>,
}

/// Which destinations a clean-up means. What is not said matches everything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    public_key: Option<String>,
    base_url: Option<String>,
    authorization: Option<String>,
}

impl Wanted {
    /// Those with this public key, base URL (however it is spelled) and secret key; a secret says nothing without its
    /// public key.
    #[must_use]
    pub fn new(public_key: Option<&str>, base_url: Option<&str>, secret_key: Option<&str>) -> Self {
        Self {
            public_key: public_key.map(str::to_owned),
            base_url: base_url
                .map(|url| BaseUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.text())),
            authorization: public_key.zip(secret_key).map(|(key, secret)| basic_auth(key, secret)),
        }
    }

    /// Whether it means this one.
    #[must_use]
    pub fn matches(&self, public_key: &str, endpoint: &Endpoint) -> bool {
        let sends = |wanted: &String| {
            endpoint.headers.iter().any(|(name, value)| name == "authorization" && value == wanted)
        };
        self.public_key.as_ref().is_none_or(|key| key == public_key)
            && self.base_url.as_ref().is_none_or(|url| *url == endpoint.url.text())
            && self.authorization.as_ref().is_none_or(sends)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.retired.absorb(&self.counters);
    }
}

#[derive(Debug, Default)]
struct RefusedTraces {
    set: Set<u64>,
    order: VecDeque<u64>,
}

impl Destination {
    pub(crate) fn new(
        id: u64,
        settings: &ClientSettings,
        endpoint: Arc<Endpoint>,
        bytes: usize,
        retired: Arc<Counters>,
        now: u64,
    ) -> Self {
        Self {
            id,
            key: settings.key,
            public_key: settings.public_key.clone(),
            endpoint,
            otlp_path: settings.otlp_path.as_str().into(),
            envelope: None,
            budget: Budget::new(bytes),
            contents: Contents::new(upload::of_destination(bytes)),
            counters: Counters::default(),
            packs: Packs::default(),
            armed: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            waiting_bytes: AtomicUsize::new(0),
            flush_at: AtomicU32::new(settings.flush_at),
            linger: AtomicU64::new(nanos(settings.flush_interval)),
            gzip: AtomicBool::new(settings.gzip),
            closed: AtomicBool::new(false),
            last_used: AtomicU64::new(now),
            controls: Load::default(),
            refusing: AtomicBool::new(false),
            refused: Mutex::default(),
            retired,
        }
    }

    /// With a budget that may grow to `most` bytes while the process has room.
    pub(crate) fn growing_to(mut self, most: usize) -> Self {
        self.budget.grow_to(most);
        self
    }

    /// With an envelope of its own.
    pub(crate) fn within(mut self, envelope: Option<Envelope>) -> Self {
        self.envelope = envelope;
        self
    }

    /// Where several handles ask for different batch sizes or waits, the smallest wins.
    pub(crate) fn adopt(&self, settings: &ClientSettings, now: u64) {
        self.flush_at.fetch_min(settings.flush_at, Ordering::Relaxed);
        self.linger.fetch_min(nanos(settings.flush_interval), Ordering::Relaxed);
        self.gzip.store(settings.gzip, Ordering::Relaxed);
        self.last_used.store(now, Ordering::Relaxed);
    }

    /// How long new data waits for company.
    pub(crate) fn linger(&self) -> u64 {
        let linger = self.linger.load(Ordering::Relaxed);
        if self.counters.submissions(Lane::Observations) <= FIRST_OBSERVATIONS {
            return linger.min(nanos(FIRST_LINGER));
        }
        linger
    }

    /// All lanes together.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Lane::ALL.iter().fold(Tally::default(), |sum, lane| sum.plus(&self.counters.tally(*lane)))
    }

    /// The counters of one lane.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> Tally {
        self.counters.tally(lane)
    }

    /// The public key that the destination was opened with.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Where requests go; its `Debug` shows no credentials.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Bytes waiting, open observations included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// Whether any trace has.
    #[inline]
    pub(crate) fn refuses_any(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    /// Whether this trace has lost an observation to a full queue: what is left of it would be a torso.
    pub(crate) fn refuses(&self, trace: u64) -> bool {
        self.refuses_any() && self.refused.lock().set.contains(&trace)
    }

    /// Marks a trace; the oldest mark goes when there are too many.
    pub(crate) fn refuse(&self, trace: u64) {
        let mut refused = self.refused.lock();
        self.refusing.store(true, Ordering::Relaxed);
        if refused.set.insert(trace) {
            refused.order.push_back(trace);
            if refused.order.len() > MAX_REFUSED_TRACES
                && let Some(oldest) = refused.order.pop_front()
            {
                refused.set.remove(&oldest);
            }
        }
    }
}

/// A duration as nanoseconds, capped at what 64 bits hold.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

/// The same, the other way; what is no duration is none, and what is too long is as long as there is.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
pub(crate) fn seconds(seconds: f64) -> std::time::Duration {
    std::time::Duration::from_nanos((seconds * 1e9) as u64)
}
