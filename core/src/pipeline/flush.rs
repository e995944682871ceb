//! Flush tickets. A flush remembers, for each destination, how far submissions had come when it was called, and is
//! answered when everything up to there has ended, or at its deadline with what has not.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::Sender;

use super::Pipeline;
use super::attempt::Attempt;
use super::breaker::Origin;
use super::queue::Entry;
use super::spool::Fate;
use super::timer::Timer;
use crate::destination::Destination;
use crate::report::{DestinationReport, DropReason, Report};
use crate::transport::Now;

/// What a caller asks for.
#[derive(Debug)]
pub struct FlushRequest {
    /// Which destinations; `None` for all.
    pub destinations: Option<Vec<Arc<Destination>>>,
    /// When it is to be answered at the latest, monotonic nanoseconds.
    pub deadline: u64,
    /// Whether what is left at the end is dropped as `evicted`.
    pub close: bool,
    /// Takes the report; never waited for.
    pub reply: Sender<Report>,
}

/// A flush under way.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) deadline: u64,
    pub(crate) close: bool,
    pub(crate) parts: HashMap<u64, Part>,
    reply: Sender<Report>,
    done: Vec<DestinationReport>,
}

/// One destination's share of a flush.
#[derive(Debug)]
pub(crate) struct Part {
    /// The last submission that counts.
    mark: u64,
    remaining: u64,
    report: DestinationReport,
}

impl Flush {
    pub(crate) fn new(request: &FlushRequest) -> Self {
        Self {
            deadline: request.deadline,
            close: request.close,
            parts: HashMap::new(),
            reply: request.reply.clone(),
            done: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, destination: &Destination, mark: u64, remaining: u64) {
        let report = DestinationReport {
            public_key: destination.public_key.clone(),
            base_url: destination.endpoint.url.text(),
            ..DestinationReport::default()
        };
        self.parts.insert(destination.id, Part { mark, remaining, report });
    }

    /// Counts what became of these items. True where that was the last of this destination.
    pub(crate) fn settle(&mut self, spool: u64, entries: &[Entry], fate: Fate) -> bool {
        let Some(part) = self.parts.get_mut(&spool) else {
            return false;
        };
        let count = entries.iter().filter(|entry| entry.seq <= part.mark).count() as u64;
        part.remaining -= count;
        match fate {
            Fate::Delivered => part.report.delivered += count,
            Fate::Dropped(_) => part.report.dropped += count,
            Fate::Unconfirmed => part.report.unconfirmed += count,
        }
        part.remaining == 0
    }

    /// How many of these items belong to this flush.
    pub(crate) fn covers<'a>(&self, spool: u64, entries: impl Iterator<Item = &'a Entry>) -> u64 {
        self.parts.get(&spool).map_or(0, |part| entries.filter(|entry| entry.seq <= part.mark).count() as u64)
    }

    /// Ends one destination's share; `in_flight` of its items were sent and not answered. Returns how many had not ended.
    pub(crate) fn finish(&mut self, spool: u64, in_flight: u64) -> u64 {
        let Some(mut part) = self.parts.remove(&spool) else { return 0 };
        part.report.unconfirmed += in_flight;
        // Closing gives the rest up.
        let left = part.remaining - in_flight;
        if self.close {
            part.report.dropped += left;
        } else {
            part.report.pending += left;
        }
        self.done.push(part.report);
        part.remaining
    }

    /// Answers where every destination has ended. True where it did.
    pub(crate) fn answer(&mut self) -> bool {
        if !self.parts.is_empty() {
            return false;
        }
        // Whoever asked may have stopped listening at its own deadline.
        let _ = self.reply.try_send(Report::of(std::mem::take(&mut self.done)));
        true
    }
}

impl Pipeline {
    pub(super) fn begin_flush(&mut self, request: &FlushRequest, now: Now) {
        let flush_id = self.next_flush;
        self.next_flush += 1;
        let ids: Vec<u64> = match &request.destinations {
            Some(destinations) => destinations.iter().map(|destination| destination.id).collect(),
            None => self.spools.keys().copied().collect(),
        };
        let mut flush = Flush::new(request);
        for id in &ids {
            let Some(spool) = self.spools.get_mut(id) else {
                continue;
            };
            let in_flight: u64 =
                spool.all_slots().filter_map(|slot| self.attempts.get(slot)).map(Attempt::items).sum();
            let pending = spool.waiting().count() as u64 + in_flight;
            if pending == 0 {
                continue;
            }
            flush.add(&spool.destination, spool.mark(), pending);
            spool.waiters.push(flush_id);
            spool.uploads.hurry(now.mono);
            if !spool.ordered_pause {
                // Nobody who waits should wait for a pause of our own making.
                spool.not_before = spool.not_before.min(now.mono);
            }
            if let (Some(_), false) = (spool.queued, spool.suspect) {
                // It already stands in line; let it stand in the one that goes first.
                spool.queued = None;
            }
        }
        let waiting: Vec<u64> = flush.parts.keys().copied().collect();
        if flush.answer() {
            return;
        }
        self.timers.set(request.deadline, Timer::Flush(flush_id));
        self.flushes.insert(flush_id, flush);
        for id in waiting {
            self.look(id, now);
        }
    }

    /// Ends a destination's part of a flush, and the flush where it was the last part.
    pub(super) fn finish_part(&mut self, flush_id: u64, id: u64, now: Now) {
        let mut in_flight = 0;
        if let Some(spool) = self.spools.get_mut(&id) {
            spool.waiters.retain(|waiter| *waiter != flush_id);
            if let Some(flush) = self.flushes.get(&flush_id) {
                let attempts = spool.all_slots().filter_map(|slot| self.attempts.get(slot));
                in_flight = flush.covers(id, attempts.flat_map(Attempt::entries));
            }
        }
        let Some(flush) = self.flushes.get_mut(&flush_id) else {
            return;
        };
        // What was submitted after the call is not this flush's to give up.
        let close = flush.finish(id, in_flight) > 0 && flush.close;
        if flush.answer() {
            self.flushes.remove(&flush_id);
        }
        if close {
            self.close_spool(id, DropReason::Evicted, now);
        }
    }

    pub(super) fn end_flush(&mut self, flush_id: u64, now: Now) {
        let Some(flush) = self.flushes.get(&flush_id) else {
            return;
        };
        let parts: Vec<u64> = flush.parts.keys().copied().collect();
        for id in parts {
            self.finish_part(flush_id, id, now);
        }
    }

    /// Ends a destination's part of the flushes that cannot see it delivered any more: it is paused beyond their deadline.
    pub(super) fn give_up_hopeless(&mut self, id: u64, now: Now) {
        let Some(spool) = self.spools.get(&id) else { return };
        if spool.waiters.is_empty() || spool.all_slots().next().is_some() {
            return;
        }
        let opens = self.origins.get(&spool.origin).and_then(Origin::opens_at).unwrap_or(0);
        let batches = spool.lanes.iter().any(|lane| !lane.is_empty()).then_some(spool.not_before.max(opens));
        let uploads = spool.uploads.when(true);
        let earliest = batches.into_iter().chain(uploads).min().unwrap_or(spool.not_before.max(opens));
        if earliest <= now.mono {
            return;
        }
        for flush_id in spool.waiters.clone() {
            if self.flushes.get(&flush_id).is_some_and(|flush| earliest >= flush.deadline) {
                self.finish_part(flush_id, id, now);
            }
        }
    }
}
