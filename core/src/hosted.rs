//! The pipeline on a host's event loop, where there are no threads and where whoever drives may be gone before an answer comes:
//! an edge runtime forgets a request's timers and fetches together with the request.
//!
//! The host takes a [`Hosted::turn`], carries out what [`Hosted::poll_action`] hands out and tells what came of it. Any number of
//! its requests may drive at once; what one of them began and never told of is given up at its deadline by the next turn of any.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::{InFlight, Limits};
use crate::pipeline::ids::IdMap;
use crate::pipeline::{Action, Pipeline};
use crate::process::{Driver, Process};
use crate::transport::{Failure, FailureKind, Now, Outcome, Phase, Slot};

/// Bounds that fit an isolate of 128 MB, which the application shares. What waits exists up to three times for a moment: as the
/// caller's text, here, and compressed.
pub const LIMITS: Limits = Limits {
    destination_bytes: 16 << 20,
    borrowed_bytes: 0,
    process_bytes: 24 << 20,
    // A destination takes about 2 KB.
    max_destinations: 1024,
    // Time advances only while requests run, so idle destinations stay longer than this where nobody calls.
    idle_ttl: Duration::from_secs(600),
    max_age: Duration::from_secs(600),
    // Edge hosts allow six connections to a request at once; two are left to the application.
    in_flight: InFlight { destination: 2, origin: 4, process: 4 },
};

/// How often the cache is searched for what nobody uses.
const SWEEP: u64 = 60_000_000_000;
/// The host ends an attempt at its deadline; one that it has not told of so long after is lost.
const LOST_AFTER: u64 = 500_000_000;

/// Rings when somebody wants the pipeline to look earlier than it said.
#[derive(Debug, Default)]
pub struct Bell(AtomicBool);

impl Driver for Arc<Bell> {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Hosted {
    process: Arc<Process>,
    pipeline: Pipeline,
    bell: Arc<Bell>,
    actions: VecDeque<Action>,
    flights: IdMap<u64, Flight>,
    next_sweep: u64,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    /// Monotonic nanoseconds.
    lost_at: u64,
    bytes: usize,
}

impl Hosted {
    /// Becomes the driver of a process that has none.
    #[must_use]
    pub fn new(process: Arc<Process>) -> Self {
        let now = process.now();
        // What was handed over before there was a driver has woken nobody.
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        process.set_driver(Box::new(bell.clone()));
        let pipeline = Pipeline::new(process.shared().clone(), now);
        let next_sweep = now.mono.saturating_add(SWEEP);
        Self { process, pipeline, bell, actions: VecDeque::new(), flights: IdMap::default(), next_sweep }
    }

    /// Whether a turn is wanted earlier than the last one said, since this was asked last.
    #[must_use]
    pub fn rang(&self) -> bool {
        self.bell.0.swap(false, Ordering::Relaxed)
    }

    /// Looks at everything whose time has come. Returns when the next turn is due, in monotonic nanoseconds, if nothing
    /// happens before.
    pub fn turn(&mut self) -> u64 {
        let process = self.process.clone();
        let shared = process.shared();
        shared.next_look.store(0, Ordering::Relaxed);
        process.attention.store(false, Ordering::Relaxed);
        self.bell.0.store(false, Ordering::Relaxed);
        let now = process.now();
        self.give_up_lost(now);
        while let Ok(command) = process.inbox().try_recv() {
            self.pipeline.handle_command(command, now);
        }
        self.pipeline.handle_timeout(now);
        while let Some(action) = self.pipeline.poll_action(now) {
            match &action {
                Action::Send { slot, request } => {
                    let bytes = request.payload.len();
                    shared.budget.take_always(bytes);
                    let lost_at = request.deadline.saturating_add(LOST_AFTER);
                    self.flights.insert(slot.0, Flight { lost_at, bytes });
                }
                Action::Cancel { slot } => {
                    self.land(*slot);
                    // What was never begun need not be.
                    self.actions.retain(
                        |waiting| !matches!(waiting, Action::Send { slot: other, .. } if other == slot),
                    );
                }
                // Connections are the host's.
                Action::DiscardIdle => continue,
            }
            self.actions.push_back(action);
        }
        if now.mono >= self.next_sweep {
            self.next_sweep = now.mono.saturating_add(SWEEP);
            process.sweep();
        }
        let lost = self.flights.values().map(|flight| flight.lost_at).min().unwrap_or(u64::MAX);
        let next = self.pipeline.next_timeout().unwrap_or(u64::MAX).min(lost);
        shared.next_look.store(next, Ordering::Relaxed);
        next
    }

    /// What is to be done; to be asked until `None` after every turn.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes what came of a request. What was given up or cancelled before means nothing any more. A turn is due at once.
    pub fn finish(&mut self, slot: Slot, outcome: &Outcome) {
        if self.land(slot) {
            self.pipeline.handle_outcome(slot, outcome, self.process.now());
        }
    }

    /// Requests begun and not finished, whoever began them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// True where nothing waits, nothing is in flight and nobody flushes or asks.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.process.inbox().is_empty() && self.pipeline.is_idle()
    }

    fn land(&mut self, slot: Slot) -> bool {
        let Some(flight) = self.flights.remove(&slot.0) else {
            return false;
        };
        self.process.shared().budget.release(flight.bytes);
        true
    }

    fn give_up_lost(&mut self, now: Now) {
        let lost: Vec<u64> = self
            .flights
            .iter()
            .filter_map(|(slot, flight)| (flight.lost_at <= now.mono).then_some(*slot))
            .collect();
        for slot in lost {
            let outcome = Outcome::Failed(Failure {
                phase: Phase::Receive,
                kind: FailureKind::Timeout,
                detail: "the host's request that sent it ended before the answer came".into(),
            });
            self.finish(Slot(slot), &outcome);
        }
    }
}

#[cfg(test)]
mod tests;
