//! The only source of "when": a heap of moments, each naming what is to be looked at again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A spool's data is due, its wait is over, or its oldest data expires.
    Spool(u64),
    /// An origin may be probed.
    Origin(u32),
    /// A control request's deadline, or the end of its pause.
    Control(u64),
    /// A flush's deadline.
    Flush(u64),
    /// The regular look at what nobody uses any more.
    Sweep,
}

/// Moments in order. Entries are not taken out when they are no longer wanted: whoever is woken looks at its own state
/// and finds out whether there is anything to do; now and then the unwanted ones are tidied away.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
    /// Length above which it is tidied.
    bound: usize,
}

impl Timers {
    pub(crate) fn set(&mut self, at: u64, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Forgets timers that nobody waits for any more, once they are most of a long heap.
    pub(crate) fn tidy(&mut self, wanted: impl Fn(u64, Timer) -> bool) {
        if self.heap.len() > self.bound {
            self.heap.retain(|Reverse((at, timer))| wanted(*at, *timer));
            self.bound = 1024.max(self.heap.len() * 2);
        }
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next timer that is due, with its moment.
    pub(crate) fn pop(&mut self, now: u64) -> Option<(u64, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
