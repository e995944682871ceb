//! An observation under way. Each value is encoded into its final bytes by the call that passes it; ending only closes
//! the record and hands its bytes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::Mutex;
use bytes::Bytes;

use crate::admission::Fate;
use crate::attr::{Field, Level, ObservationType};
use crate::budget::reserve;
use crate::client::Bound;
use crate::encode::dialect::Dialect;
use crate::encode::otlp::Value;
use crate::held::Held;
use crate::id::{SpanId, TraceId, Traceparent};
use crate::media::{Media, MediaField};
use crate::pipeline::{ITEM_OVERHEAD, Item};
use crate::propagate::Propagated;
use crate::report::{DropReason, Lane};
use crate::values::Values;

/// Bytes reserved for an observation that has no values yet: ids, times, type and the item around them.
const BASE_COST: usize = ITEM_OVERHEAD + 256;

/// What a child needs to know of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The observation.
    pub span_id: SpanId,
    /// The destination that it goes to; see [`crate::key::DestinationKey::short`].
    pub destination: u64,
    /// False where it is not sent at all: sampled out, or of a disabled client.
    pub recorded: bool,
    /// What admission said of its trace.
    pub fate: Fate,
}

impl SpanContext {
    /// As a `traceparent` header.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        Traceparent { trace_id: self.trace_id, span_id: self.span_id, sampled: self.recorded }
    }
}

/// A trace, and a parent in it, that the caller names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The parent.
    pub parent: Option<SpanId>,
    /// False where its sender has not sampled it; see [`crate::ClientOptions::follow_parent_sampling`].
    pub sampled: bool,
}

impl TraceContext {
    /// One of which nothing else is known: it counts as sampled.
    #[must_use]
    pub fn new(trace_id: TraceId, parent: Option<SpanId>) -> Self {
        Self { trace_id, parent, sampled: true }
    }
}

impl From<Traceparent> for TraceContext {
    fn from(header: Traceparent) -> Self {
        Self { trace_id: header.trace_id, parent: Some(header.span_id), sampled: header.sampled }
    }
}

/// What an observation starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: ObservationType,
    /// What was captured before it starts; wins over `propagated`.
    pub values: Option<&'a Values>,
    /// The observation that is current where it starts. One of another destination gives its trace id only.
    pub parent: Option<&'a SpanContext>,
    /// What the caller names; wins over `parent`.
    pub trace_context: Option<TraceContext>,
    /// Trace-level attributes of the scope that it starts in.
    pub propagated: Option<&'a Propagated>,
    /// Nanoseconds since 1970; `None` for now.
    pub start_time: Option<u64>,
}

/// What was raised; see [`Observation::record_exception`].
#[derive(Clone, Copy, Debug)]
pub struct Raised<'a> {
    /// Its class.
    pub kind: &'a str,
    /// What it says.
    pub message: &'a str,
    /// Where it came from, empty where that is not told.
    pub stack: &'a str,
}

/// See the module. Dropping it without ending it counts it as `never_ended`.
#[derive(Debug)]
pub struct Observation {
    context: SpanContext,
    bound: Option<Arc<Bound>>,
    root: bool,
    /// Counted as forked already.
    forked: AtomicBool,
    record: Mutex<Option<Record>>,
}

/// What became of an observation that was asked to end.
enum Closed {
    Item(Item),
    /// It was refused, and that is counted.
    Refused,
    /// It had ended before, or belongs to another process.
    Before,
}

#[derive(Debug)]
struct Record {
    values: Values,
    parent: Option<SpanId>,
    start: u64,
    reserved: usize,
    refused: Option<DropReason>,
}

impl Record {
    /// Reserves what it has grown by. Where that is refused, so is the observation: its content is freed now and it is
    /// counted when it ends.
    fn settle(&mut self, bound: &Bound, context: &SpanContext, root: bool) {
        let budget = &bound.process.shared.budget;
        let needed = BASE_COST + self.values.len();
        if self.refused.is_none() && needed > self.reserved {
            // In steps, so that small updates do not touch the shared counters each time.
            let more = (needed - self.reserved).next_multiple_of(512);
            match reserve(&bound.destination.budget, budget, more, root) {
                Ok(()) => self.reserved += more,
                Err(reason) => self.refused = Some(reason),
            }
        }
        if self.refused.is_some() && self.values.discard() {
            budget.release(self.reserved);
            bound.destination.budget.release(self.reserved);
            self.reserved = 0;
            bound.destination.refuse(context.trace_id.low());
        }
    }
}

impl Observation {
    /// One that records nothing but has ids, so that what runs inside it stays together.
    pub(crate) fn unrecorded(context: SpanContext) -> Self {
        Self { context, bound: None, root: false, forked: AtomicBool::new(false), record: Mutex::new(None) }
    }

    pub(crate) fn begin(
        bound: Arc<Bound>,
        context: SpanContext,
        parent: Option<SpanId>,
        start: &Start<'_>,
        now: u64,
    ) -> Self {
        let settings = &bound.settings;
        let began = start.start_time.unwrap_or(now);
        let local_root = parent.is_none() || start.trace_context.is_some();
        let given = start.trace_context.is_some();
        let mut record = Record {
            values: Values::begin(settings, start.name, start.kind, began, local_root, given),
            parent,
            start: began,
            reserved: 0,
            refused: None,
        };
        let trace = context.trace_id.low();
        if parent.is_some() && bound.destination.refuses(trace) {
            record.refused = Some(DropReason::QueueFull);
        }
        let values = &mut record.values;
        if let Some(propagated) = start.propagated {
            values.propagate(propagated);
        }
        if let Some(captured) = start.values {
            values.absorb(captured);
        }
        let root = parent.is_none();
        record.settle(&bound, &context, root);
        Self {
            context,
            bound: Some(bound),
            root,
            forked: AtomicBool::new(false),
            record: Mutex::new(Some(record)),
        }
    }

    /// Its ids and where it goes.
    #[must_use]
    pub fn context(&self) -> &SpanContext {
        &self.context
    }

    /// True while values can be added and it has not ended. A caller may skip encoding what nobody would take.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| !bound.process.shared.abandoned.load(Ordering::Relaxed))
            && self.record.lock().as_ref().is_some_and(|record| record.refused.is_none())
    }

    /// Runs `change` on the open record; the lock is held for copying and translating bytes only, never while an
    /// interpreter runs.
    fn change(&self, change: impl FnOnce(&mut Values)) {
        let Some(bound) = &self.bound else { return };
        // In the child of a fork another thread may have held this lock when the process was copied.
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            return;
        }
        let mut guard = self.record.lock();
        if let Some(record) = guard.as_mut()
            && record.refused.is_none()
        {
            change(&mut record.values);
            record.settle(bound, &self.context, self.root);
        }
    }

    /// The same for one that nobody else has yet, without its lock.
    fn change_mut(&mut self, change: impl FnOnce(&mut Values)) {
        let Self { bound: Some(bound), record, context, root, .. } = self else { return };
        // Capturing may have run the application's code, and that may have forked.
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            return;
        }
        if let Some(record) = record.get_mut()
            && record.refused.is_none()
        {
            change(&mut record.values);
            record.settle(bound, context, *root);
        }
    }

    /// [`Observation::is_recording`] for one that nobody else has yet.
    pub fn is_recording_mut(&mut self) -> bool {
        self.bound.as_ref().is_some_and(|bound| !bound.process.shared.abandoned.load(Ordering::Relaxed))
            && self.record.get_mut().as_ref().is_some_and(|record| record.refused.is_none())
    }

    /// [`Observation::set`] for one that nobody else has yet.
    pub fn set_mut(&mut self, field: Field, value: Value<'_>) {
        self.change_mut(|values| values.set(field, value));
    }

    /// [`Observation::set_metadata`] for one that nobody else has yet.
    pub fn set_metadata_mut(&mut self, key: &str, value: Value<'_>) {
        self.change_mut(|values| values.set_metadata(key, value));
    }

    /// [`Observation::held_bytes`] for one that nobody else has yet.
    pub fn held_bytes_mut(&mut self) -> usize {
        self.record.get_mut().as_ref().map_or(0, |record| record.reserved)
    }

    /// Sets a field, or replaces it.
    pub fn set(&self, field: Field, value: Value<'_>) {
        self.change(|values| values.set(field, value));
    }

    /// Sets several fields under one lock.
    pub fn set_all(&self, fields: &[(Field, Value<'_>)]) {
        self.change(|values| {
            for (field, value) in fields {
                values.set(*field, *value);
            }
        });
    }

    /// Sets one top-level key of the metadata, or replaces its value.
    pub fn set_metadata(&self, key: &str, value: Value<'_>) {
        self.change(|values| values.set_metadata(key, value));
    }

    /// Uploads a content that one of its fields refers to.
    pub fn attach(&self, field: MediaField, content: Media) {
        if let Some(bound) = &self.bound
            && self.is_recording()
        {
            bound.attach(&self.context, field, content);
        }
    }

    /// Puts a scope's attributes onto this observation too.
    pub fn propagate(&self, propagated: &Propagated) {
        self.change(|values| values.propagate(propagated));
    }

    /// Renames it.
    pub fn set_name(&self, name: &str) {
        self.change(|values| values.set_name(name));
    }

    /// Sets its level; `Error` also sets the span's status.
    pub fn set_level(&self, level: Level) {
        self.change(|values| values.set_level(level));
    }

    /// Sets its status message.
    pub fn set_status_message(&self, message: &str) {
        self.change(|values| values.set_status_message(message));
    }

    /// Records what was raised: level `Error` with `status` as its message, and in other dialects than Langfuse's an `exception`
    /// event with its type and, where given, its stack. The last one recorded stays.
    pub fn record_exception(&self, status: &str, raised: &Raised<'_>) {
        let Some(bound) = &self.bound else { return };
        let now = bound.process.unix();
        self.change(|values| values.set_exception(now, status, raised));
    }

    /// Whose attributes it is written in; `None` where nothing is recorded.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.bound.as_ref().map(|bound| bound.settings.dialect)
    }

    /// True once it has ended, and from the start for one that records nothing.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(bound) = &self.bound else { return true };
        bound.process.shared.abandoned.load(Ordering::Acquire) || self.record.lock().is_none()
    }

    /// Bytes of the budget that it holds while it is open.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Some(bound) = &self.bound else { return 0 };
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            return 0;
        }
        self.record.lock().as_ref().map_or(0, |record| record.reserved)
    }

    /// Ends it at `end_time` (nanoseconds since 1970; `None` for now) and hands it over. A second call does nothing.
    /// In a process that did not start it, it is counted as `forked`. Returns whether this call ended it.
    pub fn end(&self, end_time: Option<u64>) -> bool {
        let Some(bound) = &self.bound else { return false };
        match self.close(bound, end_time) {
            Closed::Item(item) => bound.process.submit(&bound.destination, Lane::Observations, item),
            Closed::Refused => {}
            Closed::Before => return false,
        }
        true
    }

    /// Ends it, but leaves it to the caller whether and when it is handed over.
    #[must_use]
    pub fn end_held(&self, end_time: Option<u64>) -> Option<Held> {
        let bound = self.bound.as_ref()?;
        match self.close(bound, end_time) {
            Closed::Item(item) => Some(Held::new(bound.clone(), item)),
            Closed::Refused | Closed::Before => None,
        }
    }

    fn close(&self, bound: &Arc<Bound>, end_time: Option<u64>) -> Closed {
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            if !self.forked.swap(true, Ordering::Relaxed) {
                bound.count_forked();
            }
            return Closed::Before;
        }
        let Some(record) = self.record.lock().take() else {
            return Closed::Before;
        };
        let process = &bound.process;
        let destination = &bound.destination;
        if let Some(reason) = record.refused {
            destination.refuse(self.context.trace_id.low());
            process.refuse(destination, Lane::Observations, reason, record.reserved);
            return Closed::Refused;
        }
        let now = process.now();
        let end = end_time.unwrap_or(now.unix);
        let payload = record.values.span(&self.context, record.parent, record.start, end);
        let item = Item {
            payload: Bytes::from(payload),
            wrapper: None,
            content: None,
            submitted: now.mono,
            timeout: bound.settings.timeout,
        };
        // From here on exactly the item's bytes are held.
        bound.adjust(record.reserved, item.cost());
        Closed::Item(item)
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let Some(bound) = &self.bound else { return };
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            // The parent's: another thread may have been growing these very buffers when the process was copied.
            std::mem::forget(self.record.get_mut().take());
            std::mem::forget(self.bound.take());
            return;
        }
        if let Some(record) = self.record.get_mut().take() {
            bound.process.refuse(
                &bound.destination,
                Lane::Observations,
                DropReason::NeverEnded,
                record.reserved,
            );
        }
    }
}
