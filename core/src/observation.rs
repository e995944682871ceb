//! An observation under way. Each value is encoded into its final bytes by the call that passes it; ending only closes
//! the record and hands its bytes over.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::attr::{Field, Level, OBSERVATION_METADATA, ObservationType, TRACE_METADATA};
use crate::budget::reserve;
use crate::client::Bound;
use crate::config::OBSERVATION_BYTES;
use crate::encode::otlp::{self, SpanHead, Value};
use crate::id::{SpanId, TraceId, Traceparent};
use crate::pipeline::{ITEM_OVERHEAD, Item};
use crate::propagate::{Propagated, Propagation};
use crate::report::{DropReason, Lane};

/// Metadata keys of one observation; further ones are left out.
const MAX_ATTRIBUTES: usize = 1024;
/// Bytes reserved for an observation that has no values yet: ids, times, type and the item around them.
const BASE_COST: usize = ITEM_OVERHEAD + 256;
/// A field keeps at least this much of its text when the whole observation is too large.
const KEPT_TEXT: usize = 64 * 1024;

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
}

impl SpanContext {
    /// As a `traceparent` header.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        Traceparent { trace_id: self.trace_id, span_id: self.span_id, sampled: self.recorded }
    }
}

/// What an observation starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: ObservationType,
    /// The observation that is current where it starts. One of another destination gives its trace id only.
    pub parent: Option<&'a SpanContext>,
    /// A trace, and a parent in it, that the caller names; wins over `parent`.
    pub trace_context: Option<(TraceId, Option<SpanId>)>,
    /// Trace-level attributes of the scope that it starts in.
    pub propagated: Option<&'a Propagated>,
    /// Nanoseconds since 1970; `None` for now.
    pub start_time: Option<u64>,
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

#[derive(Debug)]
struct Record {
    name: Box<str>,
    parent: Option<SpanId>,
    start: u64,
    error: bool,
    status: Option<Box<str>>,
    attributes: Vec<u8>,
    entries: Vec<Entry>,
    replaced: bool,
    reserved: usize,
    refused: Option<DropReason>,
}

/// The buffers of an observation under way. Each thread keeps a few for its next ones: they are too large for what an
/// allocator hands out quickly.
#[derive(Debug)]
struct Room {
    attributes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Kept by a thread, and of what size at most.
const KEPT_ROOMS: usize = 4;
const KEPT_BYTES: usize = 8 * 1024;

thread_local! {
    // Taken out and put back whole, so that nothing is borrowed while anything else runs.
    static ROOMS: Cell<Vec<Room>> = const { Cell::new(Vec::new()) };
}

impl Room {
    fn take() -> Self {
        let kept = ROOMS.try_with(|rooms| {
            let mut kept = rooms.take();
            let room = kept.pop();
            rooms.set(kept);
            room
        });
        kept.ok()
            .flatten()
            .unwrap_or_else(|| Self { attributes: Vec::with_capacity(2048), entries: Vec::with_capacity(12) })
    }

    fn give_back(record: &mut Record) {
        let (mut attributes, mut entries) =
            (std::mem::take(&mut record.attributes), std::mem::take(&mut record.entries));
        if attributes.capacity() > KEPT_BYTES || entries.capacity() > 64 {
            return;
        }
        attributes.clear();
        entries.clear();
        let _ = ROOMS.try_with(|rooms| {
            let mut kept = rooms.take();
            if kept.len() < KEPT_ROOMS {
                kept.push(Self { attributes, entries });
            }
            rooms.set(kept);
        });
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Id,
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Field(Field),
    /// Metadata, by where its key stands in the buffer.
    Metadata {
        start: u32,
        len: u16,
        trace: bool,
    },
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
        let local_root = parent.is_none() || start.trace_context.is_some();
        let room = Room::take();
        let mut record = Record {
            name: short(start.name),
            parent,
            start: start.start_time.unwrap_or(now),
            error: false,
            status: None,
            attributes: room.attributes,
            entries: room.entries,
            replaced: false,
            reserved: 0,
            refused: None,
        };
        let trace = context.trace_id.low();
        if parent.is_some() && bound.destination.refuses(trace) {
            record.refused = Some(DropReason::QueueFull);
        }
        let settings = &bound.settings;
        record.set(Field::Type, Value::Str(start.kind.as_str()));
        if local_root {
            record.set(Field::AppRoot, Value::Bool(true));
        }
        if start.trace_context.is_some() {
            record.set(Field::AsRoot, Value::Bool(true));
        }
        if let Some(environment) = &settings.environment {
            record.set(Field::Environment, Value::Str(environment));
        }
        if let Some(release) = &settings.release {
            record.set(Field::Release, Value::Str(release));
        }
        if let Some(propagated) = start.propagated {
            record.propagate(propagated);
        }
        let mut observation = Self {
            context,
            bound: Some(bound),
            root: parent.is_none(),
            forked: AtomicBool::new(false),
            record: Mutex::new(None),
        };
        observation.settle_reservation(&mut record);
        observation.record = Mutex::new(Some(record));
        observation
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

    /// Runs `change` on the open record; the lock is held for copying bytes only, never while an interpreter runs.
    fn change(&self, change: impl FnOnce(&mut Record)) {
        let Some(bound) = &self.bound else { return };
        // In the child of a fork another thread may have held this lock when the process was copied.
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            return;
        }
        let mut guard = self.record.lock();
        if let Some(record) = guard.as_mut()
            && record.refused.is_none()
        {
            change(record);
            self.settle_reservation(record);
        }
    }

    /// Sets a field, or replaces it.
    pub fn set(&self, field: Field, value: Value<'_>) {
        self.change(|record| record.set(field, value));
    }

    /// Sets several fields under one lock.
    pub fn set_all(&self, fields: &[(Field, Value<'_>)]) {
        self.change(|record| {
            for (field, value) in fields {
                record.set(*field, *value);
            }
        });
    }

    /// Sets one top-level key of the metadata, or replaces its value.
    pub fn set_metadata(&self, key: &str, value: Value<'_>) {
        self.change(|record| record.set_metadata(OBSERVATION_METADATA, key, value, false));
    }

    /// Puts a scope's attributes onto this observation too.
    pub fn propagate(&self, propagated: &Propagated) {
        self.change(|record| record.propagate(propagated));
    }

    /// Renames it.
    pub fn set_name(&self, name: &str) {
        self.change(|record| record.name = short(name));
    }

    /// Sets its level; `Error` also sets the span's status.
    pub fn set_level(&self, level: Level) {
        self.change(|record| {
            record.error = level == Level::Error;
            record.set(Field::Level, Value::Str(level.as_str()));
        });
    }

    /// Sets its status message.
    pub fn set_status_message(&self, message: &str) {
        self.change(|record| {
            record.status = Some(short(message));
            record.set(Field::StatusMessage, Value::Str(message));
        });
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
        if bound.process.shared.abandoned.load(Ordering::Acquire) {
            if !self.forked.swap(true, Ordering::Relaxed) {
                bound.count_forked();
            }
            return false;
        }
        let Some(mut record) = self.record.lock().take() else {
            return false;
        };
        let process = &bound.process;
        let destination = &bound.destination;
        if let Some(reason) = record.refused {
            destination.refuse(self.context.trace_id.low());
            process.refuse(destination, Lane::Observations, reason, record.reserved);
            return true;
        }
        let now = process.now();
        let payload = record.finish(&self.context, end_time.unwrap_or(now.unix));
        Room::give_back(&mut record);
        let item = Item {
            payload: Bytes::from(payload),
            wrapper: None,
            submitted: now.mono,
            timeout: bound.settings.timeout,
        };
        // From here on exactly the item's bytes are held.
        let cost = item.cost();
        match cost.cmp(&record.reserved) {
            std::cmp::Ordering::Greater => {
                process.shared.budget.take_always(cost - record.reserved);
                destination.budget.take_always(cost - record.reserved);
            }
            std::cmp::Ordering::Less => {
                process.shared.budget.release(record.reserved - cost);
                destination.budget.release(record.reserved - cost);
            }
            std::cmp::Ordering::Equal => {}
        }
        process.submit(destination, Lane::Observations, item);
        true
    }

    /// Reserves what the record has grown by. Where that is refused, so is the observation: its content is freed now and
    /// it is counted when it ends.
    fn settle_reservation(&self, record: &mut Record) {
        let Some(bound) = &self.bound else { return };
        let status = record.status.as_ref().map_or(0, |status| status.len());
        let needed = BASE_COST + record.name.len() + status + record.attributes.len();
        if record.refused.is_none() && needed > record.reserved {
            // In steps, so that small updates do not touch the shared counters each time.
            let more = (needed - record.reserved).next_multiple_of(512);
            match reserve(&bound.destination.budget, &bound.process.shared.budget, more, self.root) {
                Ok(()) => record.reserved += more,
                Err(reason) => record.refused = Some(reason),
            }
        }
        if record.refused.is_some() && record.attributes.capacity() > 0 {
            record.attributes = Vec::new();
            record.entries = Vec::new();
            bound.process.shared.budget.release(record.reserved);
            bound.destination.budget.release(record.reserved);
            record.reserved = 0;
            bound.destination.refuse(self.context.trace_id.low());
        }
    }
}

/// The first `room` bytes of a text, to a character's end, and how much is gone.
fn cut(text: &[u8], room: usize) -> String {
    let head = &text[..room.min(text.len())];
    let kept = match std::str::from_utf8(head) {
        Ok(whole) => whole,
        // A character that the cut went through, or bytes that never were text: what is before them is kept.
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    format!("{kept}[truncated {} bytes]", text.len() - kept.len())
}

/// A name or a status message as it is kept beside the attributes.
fn short(text: &str) -> Box<str> {
    if text.len() <= KEPT_TEXT { text.into() } else { cut(text.as_bytes(), KEPT_TEXT).into() }
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

impl Record {
    fn set(&mut self, field: Field, value: Value<'_>) {
        let at = self.entries.iter().position(|entry| entry.id == Id::Field(field));
        self.write(at, field.key(), None, value, |_| Id::Field(field));
    }

    fn set_metadata(&mut self, prefix: &'static str, key: &str, value: Value<'_>, trace: bool) {
        let attributes = &self.attributes;
        let at = self.entries.iter().position(|entry| match entry.id {
            Id::Metadata { start, len, trace: other } => {
                other == trace
                    && attributes.get(start as usize..start as usize + usize::from(len))
                        == Some(key.as_bytes())
            }
            Id::Field(_) => false,
        });
        if at.is_none() && self.entries.len() >= MAX_ATTRIBUTES {
            return;
        }
        let Ok(len) = u16::try_from(key.len()) else { return };
        self.write(at, prefix, Some(key), value, |key_at| Id::Metadata { start: key_at, len, trace });
    }

    #[allow(clippy::cast_possible_truncation)] // attributes stay below OBSERVATION_BYTES by far
    fn write(
        &mut self,
        at: Option<usize>,
        prefix: &str,
        key: Option<&str>,
        value: Value<'_>,
        id: impl FnOnce(u32) -> Id,
    ) {
        let cut;
        let value = match self.cut_to_size(value, at) {
            Some(text) => {
                cut = text;
                Value::Str(&cut)
            }
            None => value,
        };
        let Some(written) = otlp::attribute(&mut self.attributes, prefix, key, value) else {
            return;
        };
        let key_at = (written.key_end - key.map_or(0, str::len)) as u32;
        let entry = Entry { id: id(key_at), start: written.start as u32, end: written.end as u32 };
        match at {
            Some(at) => {
                self.replaced = true;
                self.entries[at] = entry;
                self.compact();
            }
            None => self.entries.push(entry),
        }
    }

    /// Where a text would make the observation too large: what is kept of it, with a note of what is gone. What the text
    /// replaces does not count.
    fn cut_to_size(&self, value: Value<'_>, at: Option<usize>) -> Option<String> {
        let text = match value {
            Value::Str(text) => text.as_bytes(),
            Value::Utf8(text) => text,
            _ => return None,
        };
        if text.len() <= KEPT_TEXT {
            return None;
        }
        let others = self.entries.iter().enumerate().filter(|(index, _)| Some(*index) != at);
        let used: usize = others.map(|(_, entry)| (entry.end - entry.start) as usize).sum();
        let room = OBSERVATION_BYTES.saturating_sub(used).max(KEPT_TEXT);
        (text.len() > room).then(|| cut(text, room))
    }

    /// Takes replaced attributes out once they are most of the buffer, so that updating one field in a loop is bounded.
    #[allow(clippy::cast_possible_truncation)]
    fn compact(&mut self) {
        let live: usize = self.entries.iter().map(|entry| (entry.end - entry.start) as usize).sum();
        if self.attributes.len() < 4096 || self.attributes.len() < live * 2 {
            return;
        }
        let mut attributes = Vec::with_capacity(live + live / 4);
        for entry in &mut self.entries {
            let start = attributes.len() as u32;
            attributes.extend_from_slice(&self.attributes[entry.start as usize..entry.end as usize]);
            if let Id::Metadata { start: key, .. } = &mut entry.id {
                *key = *key - entry.start + start;
            }
            (entry.start, entry.end) = (start, attributes.len() as u32);
        }
        self.attributes = attributes;
        self.replaced = false;
    }

    fn propagate(&mut self, propagated: &Propagated) {
        fn value(value: &Propagation) -> Value<'_> {
            match value {
                Propagation::Str(text) => Value::Str(text),
                Propagation::Int(number) => Value::Int(*number),
                Propagation::Double(number) => Value::Double(*number),
                Propagation::Bool(flag) => Value::Bool(*flag),
                Propagation::Strs(texts) => Value::Strs(texts),
            }
        }
        for (field, propagation) in &propagated.fields {
            self.set(*field, value(propagation));
        }
        for (key, propagation) in &propagated.metadata {
            self.set_metadata(TRACE_METADATA, key, value(propagation), true);
        }
    }

    fn finish(&self, context: &SpanContext, end: u64) -> Box<[u8]> {
        let head = SpanHead {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent: self.parent,
            name: &self.name,
            start: self.start,
            end: end.max(self.start),
            error: self.error.then(|| self.status.as_deref().unwrap_or_default()),
        };
        if !self.replaced {
            return otlp::span(&head, &[&self.attributes]);
        }
        let live: Vec<&[u8]> = self
            .entries
            .iter()
            .map(|entry| &self.attributes[entry.start as usize..entry.end as usize])
            .collect();
        otlp::span(&head, &live)
    }
}
