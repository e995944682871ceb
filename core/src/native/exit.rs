//! The goodbye: one deadline for all destinations, then a report of what was lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::existing;
use crate::destination::nanos;
use crate::process::Ticket;
use crate::report::Report;

/// A goodbye under way.
#[derive(Debug)]
pub struct Goodbye {
    ticket: Ticket,
    left: Duration,
}

/// Sets the process's one deadline, unless it has one, and says how much of `timeout` lies before it: all of it the first time,
/// later the rest at most. `None` where nothing was ever traced. From now on what is submitted goes out at once.
#[must_use]
pub fn announce(timeout: Duration) -> Option<Duration> {
    let process = &existing()?.process;
    let now = process.mono();
    let deadline = now.saturating_add(nanos(timeout)).max(1);
    let set = process.shared.goodbye.compare_exchange(0, deadline, Ordering::AcqRel, Ordering::Acquire);
    let left = set.err().map_or(timeout, |first| Duration::from_nanos(first.saturating_sub(now)));
    Some(left.min(timeout))
}

/// Begins the goodbye and returns at once; `None` where nothing was ever traced. A process has one deadline, however often this is
/// called: later calls, and what is submitted later, have the rest of it; after it, submissions are counted as `after_goodbye`. The
/// child of a fork has its own.
#[must_use]
pub fn begin(timeout: Duration) -> Option<Goodbye> {
    let left = announce(timeout)?;
    Some(Goodbye { ticket: existing()?.process.begin_flush(None, left, false), left })
}

impl Goodbye {
    /// How long it may take from its beginning on.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Waits for `slice` at most; the report, once it is there or the deadline has passed.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> Option<Report> {
        match existing() {
            Some(native) => self.ticket.wait(slice, &native.process),
            // In the child of a fork there is nothing to wait for.
            None => Some(Report::of(Vec::new())),
        }
    }

    /// Waits until the deadline at most.
    #[must_use]
    pub fn join(&self) -> Report {
        match existing() {
            Some(native) => self.ticket.join(&native.process),
            None => Report::of(Vec::new()),
        }
    }
}
