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
}

/// Begins the goodbye and returns at once; `None` where nothing was ever traced. What is submitted later has the rest of
/// the same deadline and goes out at once; after it, it is counted as `after_goodbye`.
#[must_use]
pub fn begin(timeout: Duration) -> Option<Goodbye> {
    let native = existing()?;
    let process = &native.process;
    let deadline = process.now().mono.saturating_add(nanos(timeout));
    process.shared.goodbye.store(deadline, Ordering::Release);
    Some(Goodbye { ticket: process.begin_flush(None, timeout, false) })
}

impl Goodbye {
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
