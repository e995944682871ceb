//! What all threads of a process share with the exporter: budgets, notices and the sums of forgotten destinations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::sync::ArcSwap;

use crate::admission::Admission;
use crate::budget::Budget;
use crate::config::Limits;
use crate::control::Load;
use crate::encode::otlp::Envelope;
use crate::histogram::Histogram;
use crate::notice::Notices;
use crate::report::Counters;
use crate::upload;

/// Atomics and short locks; nothing here waits for the exporter.
#[derive(Debug)]
pub struct Shared {
    /// The bounds that this process was made with.
    pub limits: Limits,
    /// Bytes of open observations, inbox, spools and requests.
    pub budget: Budget,
    /// Of these, what media contents hold.
    pub(crate) contents: Budget,
    /// Which new traces are recorded.
    pub admission: Admission,
    /// Lines for the application's log.
    pub notices: Notices,
    /// Sums of destinations that no longer exist.
    pub retired: Arc<Counters>,
    /// Resource and scope around the spans of every request.
    pub envelope: ArcSwap<Envelope>,
    /// When the exporter will look at its inbox by itself, monotonic nanoseconds: 0 while it is awake, `u64::MAX` while
    /// it sleeps without a timer or does not run.
    pub(crate) next_look: AtomicU64,
    /// Set in the child of a fork: whatever was reached through this is the parent's.
    pub(crate) abandoned: AtomicBool,
    /// The goodbye's deadline, monotonic nanoseconds; 0 before there is one.
    pub(crate) goodbye: AtomicU64,
    /// Requests begun, requests that had to be repeated, panics caught, largest lag of the loop in nanoseconds.
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) lag: AtomicU64,
    /// Control requests that wait for an answer.
    pub(crate) controls: Load,
    /// From the moment a batch was due until a server had acknowledged it.
    pub delivery: Histogram,
}

impl Shared {
    pub(crate) fn new(limits: Limits, envelope: Envelope) -> Self {
        Self {
            limits,
            budget: Budget::new(limits.process_bytes),
            contents: Budget::new(upload::of_process(limits.process_bytes)),
            admission: Admission::default(),
            notices: Notices::default(),
            retired: Arc::default(),
            envelope: ArcSwap::from_pointee(envelope),
            next_look: AtomicU64::new(u64::MAX),
            abandoned: AtomicBool::new(false),
            goodbye: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            controls: Load::default(),
            delivery: Histogram::default(),
        }
    }
}
