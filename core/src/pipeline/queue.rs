//! One lane of a spool: what waits for a batch, and batches that wait to be sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::{REQUEST_BYTES, SCORE_FLUSH_AT, SCORE_REQUEST_BYTES};
use crate::encode::otlp::Envelope;
use crate::encode::scores;
use crate::full::{FULL, Gated};
use crate::interchange::span::UnreadSpan;
use crate::report::Lane;
use crate::transport::Payload;
use crate::upload::Content;

/// Bytes that an item costs beside its payload: this struct, the queue's slot and the shared buffer's head.
pub const ITEM_OVERHEAD: usize = 160;

/// One encoded observation or score.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its final bytes.
    pub payload: Bytes,
    /// What goes around it in a request, where that is not what goes around all others.
    pub wrapper: Option<Wrapper>,
    /// The content that it announces, where it is a use of media.
    pub(crate) content: Option<Gated<Arc<Content>>>,
    /// When it was submitted, monotonic nanoseconds.
    pub submitted: u64,
    /// Total time that a request with it may take.
    pub timeout: Duration,
}

/// What goes around an item in a request.
#[derive(Clone, Debug)]
pub enum Wrapper {
    /// A score as an event of the ingestion endpoint; see [`scores::wrapper`].
    Event(Gated<Box<[u8]>>),
    /// A span of another scope and resource than the process's own.
    Envelope(Gated<Arc<Envelope>>),
    /// The payload is a span of other instrumentation that has yet to be encoded.
    UnreadSpan(Gated<Box<UnreadSpan>>),
}

impl Wrapper {
    fn len(&self) -> usize {
        match self {
            Self::Event(head) => head.len() + 1,
            Self::Envelope(envelope) => envelope.overhead(),
            Self::UnreadSpan(span) => span.overhead(),
        }
    }
}

impl Item {
    /// Bytes that the budgets hold for it; a content holds its own. An envelope is counted for each of its spans, although
    /// they share it.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.payload.len() + self.wrapper_len() + ITEM_OVERHEAD
    }

    fn wrapper_len(&self) -> usize {
        self.wrapper.as_ref().map_or(0, Wrapper::len)
    }

    fn envelope(&self) -> Option<&Arc<Envelope>> {
        match &self.wrapper {
            Some(Wrapper::Envelope(envelope)) => Some(envelope),
            _ => None,
        }
    }
}

/// An item with its place in the order of submission, which is what flushes go by.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) item: Item,
    pub(crate) seq: u64,
}

/// How scores travel to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScoreForm {
    /// A JSON array on the score endpoint.
    Array,
    /// `score-create` events on the ingestion endpoint.
    Ingestion,
}

/// Items that travel in one request. Sent again, it carries the same bytes.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) lane: Lane,
    pub(crate) entries: Vec<Entry>,
    pub(crate) attempts: u32,
    /// When it was due to be sent.
    pub(crate) ready: u64,
    payload: Option<(Option<ScoreForm>, Payload)>,
}

impl Batch {
    pub(crate) fn new(lane: Lane, entries: Vec<Entry>, ready: u64) -> Self {
        Self { lane, entries, attempts: 0, ready, payload: None }
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.entries.iter().map(|entry| entry.item.timeout).max().unwrap_or_default()
    }

    /// When its oldest item was submitted.
    pub(crate) fn oldest(&self) -> u64 {
        self.entries.iter().map(|entry| entry.item.submitted).min().unwrap_or(u64::MAX)
    }

    /// The request's body, made once for as long as the form stays the same.
    pub(crate) fn payload(&mut self, envelope: &Envelope, form: ScoreForm) -> Payload {
        let form = (FULL.is_some() && self.lane == Lane::Scores).then_some(form);
        if let Some((made_for, payload)) = &self.payload
            && *made_for == form
        {
            return payload.clone();
        }
        let payload = match form {
            None => self.spans(envelope),
            Some(ScoreForm::Array) => scores::array(self.entries.iter().map(|entry| &entry.item)),
            Some(ScoreForm::Ingestion) => scores::ingestion(self.entries.iter().map(|entry| &entry.item)),
        };
        self.payload = Some((form, payload.clone()));
        payload
    }

    /// Spans by their envelopes, each of which is a `ResourceSpans` of its own; a request is as many as there are.
    fn spans(&self, own: &Envelope) -> Payload {
        let mut chunks = Vec::with_capacity(self.entries.len() + 1);
        if FULL.is_none() || self.entries.iter().all(|entry| entry.item.wrapper.is_none()) {
            chunks.push(own.prefix(self.entries.iter().map(|entry| entry.item.payload.len()).sum()));
            chunks.extend(self.entries.iter().map(|entry| entry.item.payload.clone()));
            return Payload::new(chunks);
        }
        let mut group = |envelope: &Envelope, items: &[&Item]| {
            chunks.push(envelope.prefix(items.iter().map(|item| item.payload.len()).sum()));
            chunks.extend(items.iter().map(|item| item.payload.clone()));
        };
        let (mut foreign, ours): (Vec<&Item>, Vec<&Item>) =
            self.entries.iter().map(|entry| &entry.item).partition(|item| item.wrapper.is_some());
        if !ours.is_empty() {
            group(own, &ours);
        }
        // By address: a stable sort keeps the order of submission within each.
        foreign.sort_by_key(|item| item.envelope().map(Arc::as_ptr));
        for items in foreign.chunk_by(|a, b| a.envelope().map(Arc::as_ptr) == b.envelope().map(Arc::as_ptr)) {
            if let Some(envelope) = items.first().and_then(|item| item.envelope()) {
                group(envelope, items);
            }
        }
        Payload::new(chunks)
    }

    /// Two halves, for a server that finds the whole too large; `None` where there is but one item.
    pub(crate) fn split(mut self) -> Result<(Self, Self), Self> {
        if self.entries.len() < 2 {
            return Err(self);
        }
        let second = self.entries.split_off(self.entries.len() / 2);
        Ok((Self::new(self.lane, self.entries, self.ready), Self::new(self.lane, second, self.ready)))
    }
}

/// What waits in one lane of a spool.
#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) bytes: usize,
    pub(crate) retries: VecDeque<Batch>,
    /// When the first waiting item has waited long enough.
    pub(crate) due: u64,
}

impl LaneQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.retries.is_empty()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.item.payload.len();
        self.entries.push_back(entry);
    }

    /// Takes the next batch from the front: at most `count` items and one request's bytes, but always one item. Where it
    /// is not due by its wait, it became ready at `asked`.
    pub(crate) fn cut(&mut self, lane: Lane, count: usize, fraction: u32, asked: u64) -> Option<Batch> {
        let (count, limit) = match lane {
            Lane::Observations | Lane::Media => (count, REQUEST_BYTES),
            Lane::Scores => (count.min(SCORE_FLUSH_AT as usize), SCORE_REQUEST_BYTES),
        };
        let limit = limit / fraction as usize;
        let (mut taken, mut bytes) = (0, 0);
        for entry in self.entries.iter().take(count.max(1)) {
            let size = entry.item.payload.len() + entry.item.wrapper_len() + 1;
            if taken > 0 && bytes + size > limit {
                break;
            }
            bytes += size;
            taken += 1;
        }
        if taken == 0 {
            return None;
        }
        let entries = self.take(taken);
        if self.entries.is_empty() {
            // A burst must not pin its high-water mark in each of thousands of spools.
            self.entries = VecDeque::new();
        }
        self.bytes -= entries.iter().map(|entry| entry.item.payload.len()).sum::<usize>();
        Some(Batch::new(lane, entries, self.due.min(asked)))
    }

    /// Takes so many from the front; their bytes are still counted.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Entry> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some(entry) = self.entries.pop_front()
        {
            taken.push(entry);
        }
        taken
    }

    /// When the oldest item, waiting or to be sent again, was submitted.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let waiting = self.entries.front().map(|entry| entry.item.submitted);
        self.retries.iter().map(Batch::oldest).chain(waiting).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, len: usize) -> Entry {
        let item = Item {
            payload: vec![b'x'; len].into(),
            wrapper: None,
            content: None,
            submitted: seq,
            timeout: Duration::from_secs(5),
        };
        Entry { item, seq }
    }

    #[test]
    fn batches_are_bounded_in_items_and_bytes() {
        let mut queue = LaneQueue::default();
        for (seq, len) in [(1, 10), (2, 10), (3, 3 << 20), (4, 3 << 20), (5, 8 << 20), (6, 1)] {
            queue.push(entry(seq, len));
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| queue.cut(Lane::Observations, 512, 1, 0))
            .map(|batch| batch.entries.len())
            .collect();
        assert_eq!(sizes, [3, 1, 1, 1]);
        assert_eq!(queue.bytes, 0);
        queue.push(entry(7, 1));
        queue.push(entry(8, 1));
        assert_eq!(queue.cut(Lane::Observations, 1, 1, 0).unwrap().entries.len(), 1);
    }

    #[test]
    fn spans_go_out_by_envelope_whatever_their_order() {
        use crate::encode::otlp::field;
        let own = Envelope::new(&[], "own", "1");
        let foreign = |name: &str| Arc::new(Envelope::new(&[], name, "1"));
        let (a, b) = (foreign("a"), foreign("b"));
        let entries =
            [None, Some(&a), Some(&b), None, Some(&a)].into_iter().enumerate().map(|(at, envelope)| {
                let mut entry = entry(at as u64, 0);
                entry.item.payload = vec![0x12, 1, b'0' + at as u8].into();
                entry.item.wrapper = envelope
                    .cloned()
                    .zip(FULL)
                    .map(|(envelope, full)| Wrapper::Envelope(Gated::new(envelope, full)));
                entry
            });
        let mut batch = Batch::new(Lane::Observations, entries.collect(), 0);
        let body = batch.payload(&own, ScoreForm::Array).to_vec();
        let mut rest = body.as_slice();
        let mut seen = Vec::new();
        while let Some(Ok(resource_spans)) = field(rest, 1) {
            rest = &rest[2 + resource_spans.len()..];
            let scope_spans = field(resource_spans, 2).unwrap().unwrap();
            let scope = field(field(scope_spans, 1).unwrap().unwrap(), 1).unwrap().unwrap().to_vec();
            let spans: Vec<u8> = scope_spans.iter().copied().filter(u8::is_ascii_digit).collect();
            seen.push((String::from_utf8(scope).unwrap(), String::from_utf8(spans).unwrap()));
        }
        seen.sort();
        let seen: Vec<String> = seen.into_iter().map(|(scope, spans)| format!("{scope}:{spans}")).collect();
        assert_eq!(seen, ["a:114", "b:12", "own:103"]);
    }

    #[test]
    fn a_retry_sends_the_same_bytes_and_a_split_loses_nothing() {
        let envelope = Envelope::new(&[], "s", "1");
        let mut batch = Batch::new(Lane::Observations, vec![entry(1, 3), entry(2, 4), entry(3, 5)], 0);
        assert_eq!(
            batch.payload(&envelope, ScoreForm::Array).to_vec(),
            batch.payload(&envelope, ScoreForm::Array).to_vec()
        );
        let (first, second) = batch.split().unwrap();
        assert_eq!((first.len(), second.len()), (1, 2));
        assert!(first.split().is_err());
    }
}
