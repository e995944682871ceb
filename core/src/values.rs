//! What an observation says: its attributes, each encoded into its final bytes by the call that passed it. A field that is
//! set again replaces what was there; metadata merges by key.

use std::borrow::Cow;
use std::cell::Cell;

use crate::attr::{Field, Level, OBSERVATION_METADATA, ObservationType, TRACE_METADATA};
use crate::config::{ClientSettings, OBSERVATION_BYTES};
use crate::encode::dialect::{Dialect, Translator, as_json};
use crate::encode::otlp::{self, SpanHead, Value};
use crate::id::SpanId;
use crate::number::Digits;
use crate::observation::{Raised, SpanContext};
use crate::propagate::Propagated;

/// Metadata keys of one observation; further ones are left out.
const MAX_ATTRIBUTES: usize = 1024;
/// A field keeps at least this much of its text when the whole observation is too large.
pub(crate) const KEPT_TEXT: usize = 64 * 1024;

/// See the module. Also what is captured before an observation starts; see [`crate::Start::values`].
#[derive(Debug)]
pub struct Values {
    room: Room,
    status: Option<Box<str>>,
    error: bool,
    replaced: bool,
    /// Where another dialect than Langfuse's is written.
    translator: Option<Translator>,
}

/// The buffers. Each thread keeps a few for its next observations: they are too large for what an allocator hands out
/// quickly.
#[derive(Debug, Default)]
struct Room {
    name: String,
    attributes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Kept by a thread, and of what size at most.
const KEPT_ROOMS: usize = 8;
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
        kept.ok().flatten().unwrap_or_else(|| Self {
            name: String::with_capacity(64),
            attributes: Vec::with_capacity(2048),
            entries: Vec::with_capacity(12),
        })
    }

    fn give_back(mut self) {
        let bytes = self.attributes.capacity();
        if bytes == 0 || bytes > KEPT_BYTES || self.entries.capacity() > 64 || self.name.capacity() > 256 {
            return;
        }
        self.name.clear();
        self.attributes.clear();
        self.entries.clear();
        let _ = ROOMS.try_with(|rooms| {
            let mut kept = rooms.take();
            if kept.len() < KEPT_ROOMS {
                kept.push(self);
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
    /// What was raised.
    Exception,
    /// Metadata, by where its key stands in the buffer.
    Metadata {
        start: u32,
        len: u16,
        trace: bool,
    },
}

impl Drop for Values {
    fn drop(&mut self) {
        std::mem::take(&mut self.room).give_back();
    }
}

impl Values {
    /// What is captured for an observation of this kind before it starts.
    #[must_use]
    pub fn ahead(dialect: Dialect, kind: ObservationType) -> Self {
        // It has no start yet that a moment could be told from.
        Self::new(Translator::new(dialect, kind, u64::MAX))
    }

    pub(crate) fn new(translator: Option<Translator>) -> Self {
        Self { room: Room::take(), status: None, error: false, replaced: false, translator }
    }

    /// What every observation of a client begins with. `local_root` for the first one of this process in its trace, `given`
    /// where the caller named the trace.
    pub(crate) fn begin(
        settings: &ClientSettings,
        name: &str,
        kind: ObservationType,
        start: u64,
        local_root: bool,
        given: bool,
    ) -> Self {
        let mut values = Self::new(Translator::new(settings.dialect, kind, start));
        values.set_name(name);
        values.set(Field::Type, Value::Str(kind.as_str()));
        if local_root {
            values.set(Field::AppRoot, Value::Bool(true));
        }
        if given {
            values.set(Field::AsRoot, Value::Bool(true));
        }
        if let Some(environment) = &settings.environment {
            values.set(Field::Environment, Value::Str(environment));
        }
        if let Some(release) = &settings.release {
            values.set(Field::Release, Value::Str(release));
        }
        values
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.room.name
    }

    /// Bytes that it holds.
    pub(crate) fn len(&self) -> usize {
        self.room.name.len()
            + self.status.as_ref().map_or(0, |status| status.len())
            + self.room.attributes.len()
    }

    /// Frees the attributes. Returns false where there were none to free.
    pub(crate) fn discard(&mut self) -> bool {
        let had = self.room.attributes.capacity() > 0;
        (self.room.attributes, self.room.entries) = (Vec::new(), Vec::new());
        had
    }

    /// Renames it.
    pub fn set_name(&mut self, name: &str) {
        self.room.name.clear();
        self.room.name.push_str(&short(name));
    }

    /// Sets the level; `Error` also sets the span's status.
    pub fn set_level(&mut self, level: Level) {
        self.error = level == Level::Error;
        self.set(Field::Level, Value::Str(level.as_str()));
    }

    /// Sets the status message.
    pub fn set_status_message(&mut self, message: &str) {
        self.status = Some(short(message).into_owned().into());
        self.set(Field::StatusMessage, Value::Str(message));
    }

    /// Takes in what `other` says; it wins over what is there.
    #[allow(clippy::cast_possible_truncation)] // attributes stay below OBSERVATION_BYTES by far
    pub(crate) fn absorb(&mut self, other: &Self) {
        if other.room.entries.is_empty() && other.status.is_none() {
            return;
        }
        if let Some(status) = &other.status {
            self.status = Some(status.clone());
        }
        let shift = self.room.attributes.len() as u32;
        self.room.attributes.extend_from_slice(&other.room.attributes);
        self.replaced |= other.replaced;
        for theirs in &other.room.entries {
            let id = match theirs.id {
                Id::Metadata { start, len, trace } => Id::Metadata { start: start + shift, len, trace },
                Id::Field(Field::Level) => {
                    self.error = other.error;
                    theirs.id
                }
                Id::Field(_) | Id::Exception => theirs.id,
            };
            let entry = Entry { id, start: theirs.start + shift, end: theirs.end + shift };
            let at = match id {
                Id::Field(_) | Id::Exception => self.find(id),
                Id::Metadata { start, len, trace } => {
                    let end = start as usize + usize::from(len);
                    let key = self.room.attributes.get(start as usize..end).unwrap_or_default();
                    self.find_key(key, trace)
                }
            };
            match at {
                Some(at) => {
                    self.replaced = true;
                    self.room.entries[at] = entry;
                }
                None => self.room.entries.push(entry),
            }
        }
    }

    /// Closes it: the bytes of one span.
    pub(crate) fn span(
        &self,
        context: &SpanContext,
        parent: Option<SpanId>,
        start: u64,
        end: u64,
    ) -> Box<[u8]> {
        let mut out = Vec::new();
        self.append_span(&mut out, context, parent, (start, end));
        out.into_boxed_slice()
    }

    /// The same behind what is there already.
    pub(crate) fn append_span(
        &self,
        out: &mut Vec<u8>,
        context: &SpanContext,
        parent: Option<SpanId>,
        (start, end): (u64, u64),
    ) {
        let head = SpanHead {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent,
            name: &self.room.name,
            kind: self.translator.map_or(1, |translator| translator.span_kind()),
            start,
            end: end.max(start),
            error: self.error.then(|| self.status.as_deref().unwrap_or_default()),
        };
        if let Some(translator) = self.translator {
            return self.append_translated(out, &translator, &head);
        }
        let Room { attributes, entries, .. } = &self.room;
        if !self.replaced {
            return otlp::append_span(out, &head, &[attributes]);
        }
        let live: Vec<&[u8]> =
            entries.iter().map(|entry| &attributes[entry.start as usize..entry.end as usize]).collect();
        otlp::append_span(out, &head, &live);
    }

    /// The span in another dialect: gathered metadata becomes one attribute, and what only the end tells is added.
    fn append_translated(&self, out: &mut Vec<u8>, translator: &Translator, head: &SpanHead<'_>) {
        let Room { attributes, entries, .. } = &self.room;
        let bytes = |start: u32, end: u32| attributes.get(start as usize..end as usize).unwrap_or_default();
        let gathers = translator.gathers_metadata();
        let mut live: Vec<&[u8]> = Vec::with_capacity(entries.len() + 1);
        let (mut own, mut traces) = (Vec::new(), Vec::new());
        for Entry { id, start, end } in entries {
            match *id {
                Id::Metadata { start: key, len, trace } if gathers => {
                    let value = key + u32::from(len);
                    let pair = (bytes(key, value), bytes(value, *end));
                    if trace { traces.push(pair) } else { own.push(pair) }
                }
                _ => live.push(bytes(*start, *end)),
            }
        }
        let mut last = Vec::new();
        if gathers {
            translator.metadata(&mut last, &own, &traces);
        }
        let untyped = head.error.is_some() && self.find(Id::Exception).is_none();
        translator.close(&mut last, head.name, untyped);
        live.push(&last);
        otlp::append_span(out, head, &live);
    }

    /// Records what was raised: level `Error` with `status` as its message, and in other dialects than Langfuse's an `exception`
    /// event at `now` with its type and, where given, its stack. The last one recorded stays.
    pub(crate) fn set_exception(&mut self, now: u64, status: &str, raised: &Raised<'_>) {
        self.set_level(Level::Error);
        self.set_status_message(status);
        if let Some(translator) = self.translator {
            self.translate(Id::Exception, |out| {
                translator.exception(out, now, raised.kind, &short(raised.message), raised.stack);
            });
        }
    }

    /// Sets a field, or replaces it.
    pub fn set(&mut self, field: Field, value: Value<'_>) {
        if let Some(translator) = &self.translator {
            return self.set_translated(*translator, field, value);
        }
        let at = self.find(Id::Field(field));
        self.write(at, field.key(), None, value, |_| Id::Field(field));
    }

    /// Sets one top-level key of the metadata, or replaces its value.
    pub fn set_metadata(&mut self, key: &str, value: Value<'_>) {
        self.set_key(OBSERVATION_METADATA, key, value, false);
    }

    /// The same, or one key of the trace's metadata.
    pub(crate) fn set_any_metadata(&mut self, key: &str, value: Value<'_>, trace: bool) {
        self.set_key(if trace { TRACE_METADATA } else { OBSERVATION_METADATA }, key, value, trace);
    }

    fn set_key(&mut self, prefix: &'static str, key: &str, value: Value<'_>, trace: bool) {
        let at = self.find_key(key.as_bytes(), trace);
        if at.is_none() && self.room.entries.len() >= MAX_ATTRIBUTES {
            return;
        }
        let Ok(len) = u16::try_from(key.len()) else { return };
        let prefix = match self.translator {
            None => prefix,
            Some(translator) if translator.gathers_metadata() => {
                return self.gather(at, key, value, |start| Id::Metadata { start, len, trace });
            }
            Some(translator) => translator.metadata_prefix(trace),
        };
        self.write(at, prefix, Some(key), value, |key_at| Id::Metadata { start: key_at, len, trace });
    }

    fn find(&self, id: Id) -> Option<usize> {
        self.room.entries.iter().position(|entry| entry.id == id)
    }

    fn find_key(&self, key: &[u8], trace: bool) -> Option<usize> {
        let Room { attributes, entries, .. } = &self.room;
        entries.iter().position(|entry| match entry.id {
            Id::Metadata { start, len, trace: other } => {
                other == trace
                    && attributes.get(start as usize..start as usize + usize::from(len)) == Some(key)
            }
            Id::Field(_) | Id::Exception => false,
        })
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
        let Some(written) = otlp::attribute(&mut self.room.attributes, prefix, key, value) else {
            return;
        };
        let key_at = (written.key_end - key.map_or(0, str::len)) as u32;
        self.keep(at, Entry { id: id(key_at), start: written.start as u32, end: written.end as u32 });
    }

    /// Remembers what has been written, in place of what it replaces.
    #[inline]
    fn keep(&mut self, at: Option<usize>, entry: Entry) {
        match at {
            Some(at) => {
                self.replaced = true;
                self.room.entries[at] = entry;
                self.compact();
            }
            None => self.room.entries.push(entry),
        }
    }

    /// The same in another dialect; kept out of the way of Langfuse's own.
    #[cold]
    fn set_translated(&mut self, translator: Translator, field: Field, value: Value<'_>) {
        let cut = self.cut_to_size(value, self.find(Id::Field(field)));
        let value = cut.as_deref().map_or(value, Value::Str);
        self.translate(Id::Field(field), |out| translator.field(out, field, value));
    }

    /// Lets a translator write everything that one field becomes.
    #[allow(clippy::cast_possible_truncation)]
    fn translate(&mut self, id: Id, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.find(id);
        let start = self.room.attributes.len() as u32;
        write(&mut self.room.attributes);
        let end = self.room.attributes.len() as u32;
        if at.is_some() || start != end {
            self.keep(at, Entry { id, start, end });
        }
    }

    /// Keeps a metadata key and its value as JSON for the one object that they become.
    #[allow(clippy::cast_possible_truncation)]
    fn gather(&mut self, at: Option<usize>, key: &str, value: Value<'_>, id: impl FnOnce(u32) -> Id) {
        let cut = self.cut_to_size(value, at);
        let value = as_json(cut.as_deref().map_or(value, Value::Str));
        let out = &mut self.room.attributes;
        let start = out.len() as u32;
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value.as_bytes());
        let end = out.len() as u32;
        self.keep(at, Entry { id: id(start), start, end });
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
        let others = self.room.entries.iter().enumerate().filter(|(index, _)| Some(*index) != at);
        let used: usize = others.map(|(_, entry)| (entry.end - entry.start) as usize).sum();
        let room = OBSERVATION_BYTES.saturating_sub(used).max(KEPT_TEXT);
        (text.len() > room).then(|| cut(text, room))
    }

    /// Takes replaced attributes out once they are most of the buffer, so that updating one field in a loop is bounded.
    #[allow(clippy::cast_possible_truncation)]
    fn compact(&mut self) {
        let live: usize = self.room.entries.iter().map(|entry| (entry.end - entry.start) as usize).sum();
        if self.room.attributes.len() < 4096 || self.room.attributes.len() < live * 2 {
            return;
        }
        let old = std::mem::replace(&mut self.room.attributes, Vec::with_capacity(live + live / 4));
        let Room { attributes, entries, .. } = &mut self.room;
        for entry in entries {
            let start = attributes.len() as u32;
            attributes.extend_from_slice(&old[entry.start as usize..entry.end as usize]);
            if let Id::Metadata { start: key, .. } = &mut entry.id {
                *key = *key - entry.start + start;
            }
            (entry.start, entry.end) = (start, attributes.len() as u32);
        }
        self.replaced = false;
    }

    /// Puts a scope's attributes in.
    pub(crate) fn propagate(&mut self, propagated: &Propagated) {
        for (field, propagation) in &propagated.fields {
            self.set(*field, propagation.value());
        }
        for (key, propagation) in &propagated.metadata {
            self.set_key(TRACE_METADATA, key, propagation.value(), true);
        }
    }
}

/// The first `room` bytes of a text, to a character's end, and how much is gone.
pub(crate) fn cut(text: &[u8], room: usize) -> String {
    let head = &text[..room.min(text.len())];
    let kept = match std::str::from_utf8(head) {
        Ok(whole) => whole,
        // A character that the cut went through, or bytes that never were text: what is before them is kept.
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    [kept, "[truncated ", Digits::of((text.len() - kept.len()) as u64).as_str(), " bytes]"].concat()
}

/// A name or a status message as it is kept beside the attributes.
fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= KEPT_TEXT { text.into() } else { cut(text.as_bytes(), KEPT_TEXT).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tell: impl FnOnce(&mut Values)) -> Values {
        let mut values = Values::new(None);
        tell(&mut values);
        values
    }

    fn bytes(values: &Values) -> Box<[u8]> {
        let context = SpanContext {
            fate: crate::admission::Fate::Admitted,
            trace_id: crate::id::TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            destination: 0,
            recorded: true,
        };
        values.span(&context, None, 5, 6)
    }

    #[test]
    fn what_is_taken_in_is_as_if_it_had_been_set_here() {
        let first = |values: &mut Values| {
            values.set(Field::Version, Value::Str("propagated"));
            values.set_metadata("kept", Value::Int(1));
            values.set_metadata("key", Value::Str("old"));
        };
        let second = |values: &mut Values| {
            values.set(Field::Version, Value::Str("given"));
            values.set_metadata("key", Value::Str("new"));
            values.set_metadata("more", Value::Bool(true));
            values.set(Field::Input, Value::Str("{\"é\":1}"));
            values.set_level(Level::Error);
            values.set_status_message("bad");
        };
        let mut taken = told(first);
        taken.absorb(&told(second));
        let together = told(|values| {
            first(values);
            second(values);
        });
        assert_eq!(bytes(&taken), bytes(&together));
        assert!(!String::from_utf8_lossy(&bytes(&taken)).contains("propagated"));
    }

    #[test]
    fn what_a_draft_had_replaced_stays_replaced() {
        let draft = told(|values| {
            values.set(Field::Input, Value::Str("first"));
            values.set(Field::Input, Value::Str("second"));
        });
        let mut values = Values::new(None);
        values.absorb(&draft);
        let span = String::from_utf8_lossy(&bytes(&values)).into_owned();
        assert!(span.contains("second") && !span.contains("first"));
    }

    #[test]
    fn a_field_set_in_a_loop_takes_bounded_room() {
        let text = "x".repeat(3000);
        let values = told(|values| {
            for _ in 0..1000 {
                values.set(Field::Output, Value::Str(&text));
            }
        });
        assert!(values.len() < 10_000, "{}", values.len());
    }
}
