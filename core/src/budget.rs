//! Byte budgets. Bytes are reserved by atomics before anything is queued, so submitting never waits for the exporter.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::report::DropReason;

/// Bytes in use against a bound.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    failing: AtomicBool,
}

impl Budget {
    /// An empty budget of `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, failing: AtomicBool::new(false) }
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
    fn take(&self, bytes: usize, root: bool) -> bool {
        let limit = if root { self.limit } else { self.limit - self.limit / 8 };
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
    if !destination.take(bytes, root) {
        return Err(DropReason::QueueFull);
    }
    if !process.take(bytes, root) {
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
    fn a_full_process_gives_the_destination_its_bytes_back() {
        let (destination, process) = (Budget::new(800), Budget::new(80));
        assert_eq!(reserve(&destination, &process, 100, false), Err(DropReason::ProcessBudget));
        assert_eq!((destination.used(), process.used()), (0, 0));
    }
}
