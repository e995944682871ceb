//! Foreign spans under way: what was found when they started.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tracespool_core::id::SpanId;
use tracespool_core::propagate::Propagated;

/// Spans under way that are remembered for one destination; beyond, the oldest is forgotten (it was never ended).
const MAX_STARTED: usize = 8192;
/// What was found when a span started.
pub(crate) struct Started {
    /// The filter said that it will be sent.
    pub(crate) exported: bool,
    pub(crate) app_root: bool,
    /// Its parent goes to another destination.
    pub(crate) orphan: bool,
    pub(crate) propagated: Option<Arc<Propagated>>,
}

#[derive(Default)]
struct Table {
    spans: HashMap<SpanId, Started>,
    order: VecDeque<SpanId>,
}

impl Table {
    fn put(&mut self, span: SpanId, started: Started) {
        self.spans.insert(span, started);
        self.order.push_back(span);
        while self.spans.len() > MAX_STARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.spans.remove(&oldest);
        }
        if self.order.len() > 2 * MAX_STARTED {
            // Ended ones have left their places behind.
            let spans = &self.spans;
            self.order.retain(|span| spans.contains_key(span));
        }
    }
}

/// By destination. The lock is held for looking only.
static TABLES: Mutex<Option<HashMap<u64, Table>>> = Mutex::new(None);

/// Whether this span is under way and will be sent to `destination`.
pub(crate) fn is_exported(destination: u64, span: SpanId) -> bool {
    let tables = TABLES.lock();
    let table = tables.as_ref().and_then(|tables| tables.get(&destination));
    table.and_then(|table| table.spans.get(&span)).is_some_and(|started| started.exported)
}

/// Remembers a span that has started.
pub(crate) fn put(destination: u64, span: SpanId, started: Started) {
    let mut tables = TABLES.lock();
    tables.get_or_insert_default().entry(destination).or_default().put(span, started);
}

/// Forgets a span that has ended; returns what was found when it started.
pub(crate) fn take(destination: u64, span: SpanId) -> Option<Started> {
    let mut tables = TABLES.lock();
    tables.as_mut()?.get_mut(&destination)?.spans.remove(&span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_never_end_are_forgotten_and_others_are_not() {
        let started = || Started { exported: true, app_root: false, orphan: false, propagated: None };
        let id = |number: usize| SpanId((number as u64 + 1).to_be_bytes());
        let mut table = Table::default();
        for number in 0..3 * MAX_STARTED {
            table.put(id(number), started());
        }
        assert_eq!(table.spans.len(), MAX_STARTED);
        assert!(!table.spans.contains_key(&id(0)) && table.spans.contains_key(&id(3 * MAX_STARTED - 1)));
        let open = id(3 * MAX_STARTED - 1);
        for number in 0..5 * MAX_STARTED {
            table.put(id(100_000 + number), started());
            table.spans.remove(&id(100_000 + number));
            assert!(table.order.len() <= 2 * MAX_STARTED + 1);
        }
        assert!(table.spans.contains_key(&open));
    }
}
