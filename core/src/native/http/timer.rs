//! Wake-ups for attempts, earliest first.
//!
//! A timer carries no meaning of its own: the attempt that it wakes looks at the clock and at its stage and knows what is
//! due. So nothing is ever taken back: an entry whose attempt is gone (its serial number differs) is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Below this many entries the stale ones are not worth collecting.
const COMPACT_ABOVE: usize = 4096;

/// (when, attempt's place, attempt's serial number)
type Entry = (u64, usize, u64);

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
}

impl Timers {
    /// Wakes the attempt at the given time.
    pub(super) fn arm(&mut self, at: u64, place: usize, serial: u64) {
        self.heap.push(Reverse((at, place, serial)));
    }

    /// The earliest wake-up of a living attempt.
    pub(super) fn next(&mut self, alive: impl Fn(usize, u64) -> bool) -> Option<u64> {
        while let Some(&Reverse((at, place, serial))) = self.heap.peek() {
            if alive(place, serial) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// The next entry that is due, living or not.
    pub(super) fn due(&mut self, now: u64) -> Option<(usize, u64)> {
        let &Reverse((at, place, serial)) = self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((place, serial))
    }

    /// Requests are far shorter than their deadlines, so stale entries would outnumber living ones without this.
    pub(super) fn compact(&mut self, living: usize, alive: impl Fn(usize, u64) -> bool) {
        if self.heap.len() > COMPACT_ABOVE.max(8 * living) {
            self.heap.retain(|&Reverse((_, place, serial))| alive(place, serial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_entries_neither_wake_nor_pile_up() {
        let mut timers = Timers::default();
        for at in 0..10_000 {
            timers.arm(at, 0, at);
        }
        assert_eq!(timers.next(|_, serial| serial >= 7), Some(7));
        timers.compact(1, |_, serial| serial == 9_999);
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(timers.due(9_998), None);
        assert_eq!(timers.due(9_999), Some((0, 9_999)));
    }
}
