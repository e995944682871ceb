//! A destination's side of the pipeline: its two lanes, what it has in flight and how it fares. It exists only while
//! there is data or a reason to wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::queue::{Batch, Entry, Item, LaneQueue};
use super::uploads::Uploads;
use crate::config::{BATCH_BYTES, FLUSH_AT, IN_FLIGHT};
use crate::destination::Destination;
use crate::report::{DropReason, Lane};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Dropped(DropReason),
    Unconfirmed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) destination: Arc<Destination>,
    pub(crate) origin: u32,
    pub(crate) lanes: [LaneQueue; Lane::BATCHED.len()],
    pub(crate) uploads: Uploads,
    /// Attempts under way.
    pub(crate) slots: Vec<u64>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Its last attempt failed.
    pub(crate) suspect: bool,
    pub(crate) unauthorized: bool,
    /// A pause that a flush does not cut short: the server asked for it.
    pub(crate) ordered_pause: bool,
    pub(crate) not_before: u64,
    /// Batches are cut to this fraction after a request could not be written in time.
    pub(crate) fraction: u32,
    /// Each 429 doubles the wait.
    pub(crate) throttle: u32,
    /// It stands in a line of its origin since then, under this stamp.
    pub(crate) queued: Option<(u64, u64)>,
    /// The earliest timer set for it.
    pub(crate) timer: Option<u64>,
    /// Flushes that wait for it.
    pub(crate) waiters: Vec<u64>,
    next_seq: u64,
    last_lane: Lane,
}

impl Spool {
    pub(crate) fn new(destination: Arc<Destination>, origin: u32) -> Self {
        Self {
            destination,
            origin,
            lanes: Default::default(),
            uploads: Uploads::default(),
            slots: Vec::new(),
            failures: 0,
            suspect: false,
            unauthorized: false,
            ordered_pause: false,
            not_before: 0,
            fraction: 1,
            throttle: 1,
            queued: None,
            timer: None,
            waiters: Vec::new(),
            next_seq: 1,
            last_lane: Lane::Scores,
        }
    }

    pub(crate) fn push(&mut self, lane: Lane, item: Item, linger: u64) {
        let seq = self.next_seq;
        self.next_seq += 1;
        if lane == Lane::Media {
            return self.uploads.push(Entry { item, seq }, linger);
        }
        let queue = &mut self.lanes[lane as usize];
        if queue.entries.is_empty() {
            queue.due = item.submitted.saturating_add(linger);
        }
        queue.push(Entry { item, seq });
    }

    /// The number of the last submission.
    pub(crate) fn mark(&self) -> u64 {
        self.next_seq - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.lanes.iter().all(LaneQueue::is_empty) && self.uploads.is_empty()
    }

    /// All attempts under way.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = &u64> {
        self.slots.iter().chain(&self.uploads.slots)
    }

    /// Items that wait, for a batch or to be sent again.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.lanes
            .iter()
            .flat_map(|lane| lane.entries.iter().chain(lane.retries.iter().flat_map(|batch| &batch.entries)))
            .chain(self.uploads.waiting())
    }

    /// Whether this lane has something to send now.
    pub(crate) fn lane_due(&self, lane: Lane, now: u64) -> bool {
        let queue = &self.lanes[lane as usize];
        if !queue.retries.is_empty() {
            return true;
        }
        if queue.entries.is_empty() {
            return false;
        }
        now >= queue.due
            || !self.waiters.is_empty()
            || queue.entries.len() >= self.batch_count()
            || queue.bytes >= BATCH_BYTES / self.fraction as usize
    }

    fn batch_count(&self) -> usize {
        (self.destination.flush_at.load(Ordering::Relaxed) / self.fraction).max(1) as usize
    }

    /// How many go at once where somebody waits: small batches one after the other would outlast any deadline. As many as make a
    /// batch by bytes.
    fn hurried_count(&self, lane: Lane) -> usize {
        let (most, mut left) = (FLUSH_AT / self.fraction, BATCH_BYTES / self.fraction as usize);
        let fits = |entry: &&Entry| {
            let rest = left.checked_sub(entry.item.payload.len());
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        self.lanes[lane as usize].entries.iter().take(most as usize).take_while(fits).count()
    }

    /// Whether one more attempt may begin, by the spool's own rules. `scores`: the server's way of taking them is known.
    pub(crate) fn ready(&self, now: u64, scores: bool) -> bool {
        !self.is_saturated()
            && now >= self.not_before
            && (self.lane_due(Lane::Observations, now) || (scores && self.lane_due(Lane::Scores, now)))
    }

    /// The server took something, or at least answered sensibly. A pause that it ordered stands until it is over.
    pub(crate) fn recover(&mut self, now: u64) {
        (self.failures, self.suspect, self.unauthorized) = (0, false, false);
        self.ordered_pause &= now < self.not_before;
    }

    /// Nothing is sent before `until`. Of pauses that the server ordered the longest stands.
    pub(crate) fn pause(&mut self, now: u64, until: u64, ordered: bool) {
        self.failures += 1;
        self.suspect = true;
        let standing = self.ordered_pause && now < self.not_before;
        self.not_before = if standing { self.not_before.max(until) } else { until };
        self.ordered_pause = ordered || standing;
    }

    /// Whether it has all the attempts under way that it may have: while it is failing, one is enough to find out.
    pub(crate) fn is_saturated(&self) -> bool {
        self.slots.len() >= if self.suspect { 1 } else { IN_FLIGHT.destination }
    }

    /// The next batch: what is to be sent again first, then the lane that did not go last.
    pub(crate) fn take_batch(&mut self, now: u64, scores: bool, asked: u64) -> Option<Batch> {
        let order = match self.last_lane {
            Lane::Observations => [Lane::Scores, Lane::Observations],
            Lane::Scores | Lane::Media => [Lane::Observations, Lane::Scores],
        };
        let count = self.batch_count();
        for lane in order.into_iter().filter(|lane| Lane::BATCHED.contains(lane)) {
            let count = if self.waiters.is_empty() { count } else { count.max(self.hurried_count(lane)) };
            if (lane == Lane::Scores && !scores) || !self.lane_due(lane, now) {
                continue;
            }
            let queue = &mut self.lanes[lane as usize];
            let batch = queue.retries.pop_front().or_else(|| queue.cut(lane, count, self.fraction, asked));
            if let Some(batch) = batch {
                self.last_lane = lane;
                if batch.attempts == 0 {
                    self.taken(&batch.entries);
                }
                return Some(batch);
            }
        }
        None
    }

    /// Tells the callers' side that these no longer wait for a batch.
    fn taken(&self, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(|entry| entry.item.payload.len()).sum();
        #[allow(clippy::cast_possible_truncation)]
        self.destination.waiting.fetch_sub(entries.len() as u32, Ordering::Relaxed);
        self.destination.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.lanes.iter().all(|lane| lane.entries.is_empty()) {
            // AcqRel pairs with the caller's swap: whoever still saw `true` has already put its item into the inbox,
            // and the exporter looks there again before it sleeps.
            self.destination.armed.swap(false, Ordering::AcqRel);
        }
    }

    /// Takes out what was submitted before `oldest`.
    pub(crate) fn expire(&mut self, oldest: u64) -> Vec<(Lane, Vec<Entry>)> {
        let mut expired = Vec::new();
        for lane in Lane::BATCHED.iter().copied() {
            let queue = &mut self.lanes[lane as usize];
            if queue.oldest().is_none_or(|submitted| submitted >= oldest) {
                continue;
            }
            let late = queue.entries.iter().take_while(|entry| entry.item.submitted < oldest).count();
            let entries: Vec<Entry> = queue.entries.drain(..late).collect();
            queue.bytes -= entries.iter().map(|entry| entry.item.payload.len()).sum::<usize>();
            // A batch expires whole with its youngest item, so that what is sent again stays the same bytes.
            let (old, young): (Vec<Batch>, Vec<Batch>) = queue
                .retries
                .drain(..)
                .partition(|batch| batch.entries.iter().all(|entry| entry.item.submitted < oldest));
            queue.retries = young.into();
            if !entries.is_empty() {
                self.taken(&entries);
                expired.push((lane, entries));
            }
            expired.extend(old.into_iter().map(|batch| (lane, batch.entries)));
        }
        expired.push((Lane::Media, self.uploads.expire(oldest)));
        expired
    }

    /// Takes out everything that waits.
    pub(crate) fn drain(&mut self) -> Vec<(Lane, Vec<Entry>)> {
        let mut all = Vec::new();
        for lane in Lane::BATCHED.iter().copied() {
            let queue = std::mem::take(&mut self.lanes[lane as usize]);
            let entries: Vec<Entry> = queue.entries.into();
            if !entries.is_empty() {
                self.taken(&entries);
                all.push((lane, entries));
            }
            all.extend(queue.retries.into_iter().map(|batch| (lane, batch.entries)));
        }
        all.push((Lane::Media, self.uploads.drain()));
        all
    }

    /// When its oldest item, or the youngest of its oldest batch, has to be given up.
    pub(crate) fn expires(&self, max_age: u64) -> Option<u64> {
        let youngest = |batch: &Batch| batch.entries.iter().map(|entry| entry.item.submitted).max();
        self.lanes
            .iter()
            .flat_map(|lane| {
                let waiting = lane.entries.front().map(|entry| entry.item.submitted);
                lane.retries.iter().filter_map(youngest).chain(waiting)
            })
            .chain(self.uploads.waiting().map(|entry| entry.item.submitted).min())
            .min()
            .map(|submitted| submitted.saturating_add(max_age).saturating_add(1))
    }
}
