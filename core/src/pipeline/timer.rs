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
    /// A flush's deadline.
    Flush(u64),
    /// The regular look at what nobody uses any more.
    Sweep,
}

/// Moments in order. Entries are never removed early: whoever is woken looks at its own state and finds out whether
/// there is anything to do.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: u64, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
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
