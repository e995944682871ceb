//! Byte budgets. Bytes are reserved by atomics before anything is queued, so submitting never waits for the exporter.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::report::DropReason;

/// Bytes in use against a bound.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// What it may grow to while the process has room; see [`reserve`].
    borrowed: usize,
    failing: AtomicBool,
}

/// What a trace takes that is let in because there was room when it began.
const TRACE_ROOM: usize = 64 * 1024;

impl Budget {
    /// An empty budget of `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, borrowed: limit, failing: AtomicBool::new(false) }
    }

    /// Lets it grow to `most` while the process has room; see [`reserve`].
    pub fn grow_to(&mut self, most: usize) {
        self.borrowed = most.max(self.limit);
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes `bytes` where they fit. A root observation may use the whole budget, others leave one eighth of it free:
    /// roots end last and carry their trace's input and output.
    fn take(&self, bytes: usize, root: bool, limit: usize) -> bool {
        let limit = if root { limit } else { limit - limit / 8 };
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > limit {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Says whether this destination's server fails at the moment; see [`reserve`].
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// Gives bytes back.
    pub fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes bytes without asking: for copies that exist for a moment and must be counted, not refused.
    pub fn take_always(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What a destination may hold now. While less than half of the process's budget is in use one whose server does not fail
/// may borrow: a burst that nobody else is harmed by need not lose anything.
fn limit(destination: &Budget, process: &Budget) -> usize {
    let free = process.used() < process.limit / 2 && !destination.failing.load(Ordering::Relaxed);
    if free { destination.borrowed } else { destination.limit }
}

/// Whether a trace that begins now will find room, as far as can be told: so that what is kept is kept whole.
#[must_use]
pub fn has_room(destination: &Budget, process: &Budget) -> bool {
    let fits = |used: usize, limit: usize| used.saturating_add(TRACE_ROOM) <= limit - limit / 8;
    let half = !destination.failing.load(Ordering::Relaxed) || fits(process.used(), process.limit / 2);
    half && fits(destination.used(), limit(destination, process)) && fits(process.used(), process.limit)
}

/// Reserves in the destination's budget and the process's, or in neither. A destination whose server fails may only use
/// what the process has left of its first half: data that cannot be sent never takes the place of data that can.
///
/// # Errors
///
/// Which of the two is used up.
pub fn reserve(destination: &Budget, process: &Budget, bytes: usize, root: bool) -> Result<(), DropReason> {
    let failing = destination.failing.load(Ordering::Relaxed);
    if failing && process.used().saturating_add(bytes) > process.limit / 2 {
        return Err(DropReason::ProcessBudget);
    }
    if !destination.take(bytes, root, limit(destination, process)) {
        return Err(DropReason::QueueFull);
    }
    if !process.take(bytes, root, process.limit) {
        destination.release(bytes);
        return Err(DropReason::ProcessBudget);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_may_use_the_last_eighth() {
        let (destination, process) = (Budget::new(800), Budget::new(10_000));
        assert_eq!(reserve(&destination, &process, 700, false), Ok(()));
        assert_eq!(reserve(&destination, &process, 1, false), Err(DropReason::QueueFull));
        assert_eq!(reserve(&destination, &process, 100, true), Ok(()));
        assert_eq!(reserve(&destination, &process, 1, true), Err(DropReason::QueueFull));
        assert_eq!((destination.used(), process.used()), (800, 800));
    }

    #[test]
    fn a_failing_destination_has_half_of_the_process_at_most() {
        let (failing, well, process) = (Budget::new(1000), Budget::new(1000), Budget::new(1000));
        failing.set_failing(true);
        assert_eq!(reserve(&failing, &process, 500, true), Ok(()));
        assert_eq!(reserve(&failing, &process, 1, true), Err(DropReason::ProcessBudget));
        assert_eq!(reserve(&well, &process, 300, false), Ok(()));
    }

    #[test]
    fn a_burst_borrows_while_the_process_has_room_and_its_server_answers() {
        let (mut destination, process) = (Budget::new(100), Budget::new(1000));
        destination.grow_to(400);
        assert_eq!(reserve(&destination, &process, 400, true), Ok(()));
        assert_eq!(reserve(&destination, &process, 1, true), Err(DropReason::QueueFull));
        destination.release(300);
        destination.set_failing(true);
        assert_eq!(reserve(&destination, &process, 1, true), Err(DropReason::QueueFull));
        destination.set_failing(false);
        process.take_always(100);
        assert_eq!(reserve(&destination, &process, 1, true), Err(DropReason::QueueFull));
    }

    #[test]
    fn a_trace_is_let_in_while_there_is_room_for_the_whole_of_it() {
        let (destination, process) = (Budget::new(16 * TRACE_ROOM), Budget::new(64 * TRACE_ROOM));
        assert!(has_room(&destination, &process));
        destination.take_always(13 * TRACE_ROOM);
        assert!(has_room(&destination, &process));
        destination.take_always(1);
        assert!(!has_room(&destination, &process));
        destination.release(1);
        process.take_always(32 * TRACE_ROOM);
        assert!(has_room(&destination, &process));
        destination.set_failing(true);
        assert!(!has_room(&destination, &process));
    }

    #[test]
    fn a_full_process_gives_the_destination_its_bytes_back() {
        let (destination, process) = (Budget::new(800), Budget::new(80));
        assert_eq!(reserve(&destination, &process, 100, false), Err(DropReason::ProcessBudget));
        assert_eq!((destination.used(), process.used()), (0, 0));
    }
}
