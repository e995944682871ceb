//! Flush tickets. A flush remembers, for each destination, how far submissions had come when it was called, and is
//! answered when everything up to there has ended, or at its deadline with what has not.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::queue::Entry;
use super::spool::Fate;
use crate::destination::Destination;
use crate::report::{DestinationReport, Report};

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
            base_url: destination.endpoint.url.to_string(),
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
