//! Foreign spans under way: what was found when they started.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tracespool_core::admission::Fate;
use tracespool_core::id::SpanId;
use tracespool_core::propagate::Propagated;

/// Spans under way that are remembered for one destination; beyond, the oldest is forgotten (it was never ended).
const MAX_STARTED: usize = 8192;
/// Destinations with spans under way; beyond, another one's are forgotten.
const MAX_TABLES: usize = 1024;
/// Tables that are kept although nothing of theirs is under way.
const KEPT_TABLES: usize = 16;

/// What was found when a span started.
pub(crate) struct Started {
    /// The filter said that it will be sent.
    pub(crate) exported: bool,
    pub(crate) app_root: bool,
    /// Its trace was not admitted.
    pub(crate) shed: bool,
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

/// By destination.
#[derive(Default)]
struct Tables(HashMap<u64, Table>);

impl Tables {
    fn put(&mut self, destination: u64, span: SpanId, started: Started) {
        if self.0.len() >= MAX_TABLES
            && !self.0.contains_key(&destination)
            && let Some(other) = self.0.keys().next().copied()
        {
            self.0.remove(&other);
        }
        self.0.entry(destination).or_default().put(span, started);
    }

    fn take(&mut self, destination: u64, span: SpanId) -> Option<Started> {
        let table = self.0.get_mut(&destination)?;
        let started = table.spans.remove(&span);
        if table.spans.is_empty() {
            table.order.clear();
            // A tenant that comes once does not stay.
            if self.0.len() > KEPT_TABLES {
                self.0.remove(&destination);
            }
        }
        started
    }
}

/// The lock is held for looking only.
static TABLES: Mutex<Option<Tables>> = Mutex::new(None);

/// What is known of a span that is under way.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// It will be sent to the destination that was asked about.
    pub(crate) exported: bool,
    /// What admission said of its trace.
    pub(crate) fate: Fate,
}

/// What `destination` knows of this span, where it is under way.
pub(crate) fn find(destination: u64, span: SpanId) -> Option<Known> {
    let tables = TABLES.lock();
    let table = tables.as_ref().and_then(|tables| tables.0.get(&destination));
    let started = table.and_then(|table| table.spans.get(&span))?;
    let fate = if started.shed { Fate::Shed } else { Fate::Admitted };
    Some(Known { exported: started.exported && !started.shed, fate })
}

/// Remembers a span that has started.
pub(crate) fn put(destination: u64, span: SpanId, started: Started) {
    let mut tables = TABLES.lock();
    tables.get_or_insert_default().put(destination, span, started);
}

/// Forgets a span that has ended; returns what was found when it started.
pub(crate) fn take(destination: u64, span: SpanId) -> Option<Started> {
    let mut tables = TABLES.lock();
    tables.as_mut()?.take(destination, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_never_end_are_forgotten_and_others_are_not() {
        let started =
            || Started { exported: true, app_root: false, shed: false, orphan: false, propagated: None };
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

    #[test]
    fn tenants_that_come_and_go_leave_nothing() {
        let started =
            || Started { exported: true, app_root: false, shed: false, orphan: false, propagated: None };
        let mut tables = Tables::default();
        for tenant in 0..100 {
            for number in 1..=3u64 {
                tables.put(tenant, SpanId(number.to_be_bytes()), started());
            }
            for number in 1..=3u64 {
                assert!(tables.take(tenant, SpanId(number.to_be_bytes())).is_some());
            }
        }
        assert!(tables.0.len() <= KEPT_TABLES);
        assert!(tables.0.values().all(|table| table.order.is_empty()));
        for tenant in 0..2 * MAX_TABLES as u64 {
            tables.put(tenant, SpanId([1; 8]), started());
        }
        assert_eq!(tables.0.len(), MAX_TABLES);
    }
}
