//! Spans of other instrumentation, encoded as OpenTelemetry's own exporter encodes them: kind, events, links, status,
//! scope and resource included. Two forms that servers cannot read are left to the caller to turn into text: byte
//! values and lists of pairs.

use bytes::Bytes;

use super::otlp::{self, Envelope, Value};
use super::protobuf::{bytes_field, bytes_field_len, fixed64_field, head, varint};
use crate::config::OBSERVATION_BYTES;
use crate::id::{SpanId, TraceId};
use crate::values::{KEPT_TEXT, cut};

// Span: trace_id 1, span_id 2, trace_state 3, parent 4, name 5, kind 6, start 7, end 8, attributes 9, dropped 10,
// events 11, dropped 12, links 13, dropped 14, status 15, flags 16.
const SPANS: u8 = 0x12;
const SPAN_ATTRIBUTES: u8 = 0x4a;
const EVENTS: u8 = 0x5a;
const LINKS: u8 = 0x6a;
const DROPPED: [u8; 3] = [0x50, 0x60, 0x70];
const STATUS: u8 = 0x7a;
/// The number 16 does not fit into one byte with its wire type.
const FLAGS: [u8; 2] = [0x85, 0x01];
// Event: time 1, name 2, attributes 3. Link: trace_id 1, span_id 2, trace_state 3, attributes 4, flags 6.
const EVENT_ATTRIBUTES: u8 = 0x1a;
const LINK_ATTRIBUTES: u8 = 0x22;
const LINK_FLAGS: u8 = 0x35;
// Scope and resource attributes are Scope.attributes = 3 and Resource.attributes = 1.
const SCOPE_ATTRIBUTES: u8 = 0x1a;
const RESOURCE_ATTRIBUTES: u8 = 0x0a;
/// Attributes of a scope or resource together, in bytes; further ones are left out.
const ENVELOPE_BYTES: usize = 64 * 1024;

/// An attribute's value: what [`Value`] has, and lists of numbers and booleans.
#[derive(Clone, Copy, Debug)]
pub enum Any<'a> {
    /// One value.
    One(Value<'a>),
    /// Several; an empty list is not sent at all.
    List(&'a [Value<'a>]),
}

/// The fixed part of a foreign span.
#[derive(Clone, Copy, Debug)]
pub struct ForeignHead<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent; absent for a root.
    pub parent: Option<SpanId>,
    /// The `tracestate` header's text; empty where there is none.
    pub trace_state: &'a str,
    /// Its name.
    pub name: &'a str,
    /// `SpanKind` as a number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// `StatusCode` as a number and its message.
    pub status: (u8, &'a str),
    /// The parent came from another process.
    pub remote_parent: bool,
    /// Attributes, events and links that the instrumentation itself dropped.
    pub dropped: [u32; 3],
}

/// A foreign span under way into bytes: attributes, events and links in any order, then [`Foreign::finish`].
#[derive(Debug, Default)]
pub struct Foreign {
    body: Vec<u8>,
}

/// What an event or a link is made of; see [`Foreign::event`] and [`Foreign::link`].
#[derive(Debug)]
pub struct Part {
    body: Vec<u8>,
    tag: u8,
    attributes: u8,
}

impl Part {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, value: Any<'_>) {
        any(&mut self.body, self.attributes, key, None, value);
    }
}

impl Foreign {
    /// Room for a usual span.
    #[must_use]
    pub fn new() -> Self {
        Self { body: Vec::with_capacity(2048) }
    }

    /// Adds an attribute under `prefix`, or `prefix.key`. Text beyond what one observation may have is cut, with a note.
    pub fn attribute(&mut self, prefix: &str, key: Option<&str>, value: Any<'_>) {
        let room = OBSERVATION_BYTES.saturating_sub(self.body.len()).max(KEPT_TEXT);
        let cut = match value {
            Any::One(Value::Str(text)) if text.len() > room => cut(text.as_bytes(), room),
            _ => return any(&mut self.body, SPAN_ATTRIBUTES, prefix, key, value),
        };
        any(&mut self.body, SPAN_ATTRIBUTES, prefix, key, Any::One(Value::Str(&cut)));
    }

    /// The attributes so far, encoded: what [`crate::Held::patch`] adds.
    #[must_use]
    pub fn attributes(&self) -> &[u8] {
        &self.body
    }

    /// Begins an event at `time`, nanoseconds since 1970.
    #[must_use]
    pub fn event(name: &str, time: u64) -> Part {
        let mut body = Vec::with_capacity(128);
        fixed64_field(&mut body, 0x09, time);
        bytes_field(&mut body, 0x12, name.as_bytes());
        Part { body, tag: EVENTS, attributes: EVENT_ATTRIBUTES }
    }

    /// Begins a link to another span.
    #[must_use]
    pub fn link(trace_id: TraceId, span_id: SpanId, trace_state: &str, remote: bool) -> Part {
        let mut body = Vec::with_capacity(64);
        bytes_field(&mut body, 0x0a, &trace_id.0);
        bytes_field(&mut body, 0x12, &span_id.0);
        if !trace_state.is_empty() {
            bytes_field(&mut body, 0x1a, trace_state.as_bytes());
        }
        body.push(LINK_FLAGS);
        body.extend_from_slice(&flags(remote).to_le_bytes());
        Part { body, tag: LINKS, attributes: LINK_ATTRIBUTES }
    }

    /// Adds an event or a link, unless the span would become larger than one observation may be. Says whether it did.
    pub fn add(&mut self, part: &Part) -> bool {
        let fits = self.body.len() + part.body.len() <= OBSERVATION_BYTES;
        if fits {
            bytes_field(&mut self.body, part.tag, &part.body);
        }
        fits
    }

    /// Encodes one element of `ScopeSpans.spans`, tag and length included.
    #[must_use]
    pub fn finish(self, head: &ForeignHead<'_>) -> Box<[u8]> {
        let mut span = Vec::with_capacity(self.body.len() + head.name.len() + 160);
        bytes_field(&mut span, 0x0a, &head.trace_id.0);
        bytes_field(&mut span, 0x12, &head.span_id.0);
        if !head.trace_state.is_empty() {
            bytes_field(&mut span, 0x1a, head.trace_state.as_bytes());
        }
        if let Some(parent) = head.parent {
            bytes_field(&mut span, 0x22, &parent.0);
        }
        let cut_name;
        let name = if head.name.len() > KEPT_TEXT {
            cut_name = cut(head.name.as_bytes(), KEPT_TEXT);
            &cut_name
        } else {
            head.name
        };
        bytes_field(&mut span, 0x2a, name.as_bytes());
        span.extend_from_slice(&[0x30, head.kind]);
        fixed64_field(&mut span, 0x39, head.start);
        fixed64_field(&mut span, 0x41, head.end.max(head.start));
        span.extend_from_slice(&self.body);
        for (tag, dropped) in DROPPED.into_iter().zip(head.dropped) {
            if dropped > 0 {
                span.push(tag);
                varint(&mut span, dropped.into());
            }
        }
        let (code, message) = head.status;
        let message = start_of(message, KEPT_TEXT).as_bytes();
        let mut status = Vec::with_capacity(message.len() + 8);
        if !message.is_empty() {
            bytes_field(&mut status, 0x12, message);
        }
        if code != 0 {
            status.extend_from_slice(&[0x18, code]);
        }
        bytes_field(&mut span, STATUS, &status);
        span.extend_from_slice(&FLAGS);
        span.extend_from_slice(&flags(head.remote_parent).to_le_bytes());
        let mut out = Vec::with_capacity(bytes_field_len(span.len()));
        bytes_field(&mut out, SPANS, &span);
        out.into_boxed_slice()
    }
}

/// The first bytes of a text, to a character's end.
fn start_of(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// `SpanFlags`: bit 8 says that bit 9, whether the parent is remote, is known.
fn flags(remote: bool) -> u32 {
    if remote { 0x300 } else { 0x100 }
}

fn any(out: &mut Vec<u8>, tag: u8, prefix: &str, key: Option<&str>, value: Any<'_>) {
    match value {
        Any::One(value) => {
            otlp::key_value(out, tag, prefix, key, value);
        }
        Any::List([]) => {}
        Any::List(values) => {
            let mut array = Vec::new();
            for value in values {
                let mut one = Vec::new();
                otlp::any_value(&mut one, *value);
                bytes_field(&mut array, 0x0a, &one); // ArrayValue.values = 1
            }
            let mut name = String::from(prefix);
            if let Some(key) = key {
                name.push('.');
                name.push_str(key);
            }
            let wrapped = bytes_field_len(array.len());
            head(out, tag, bytes_field_len(name.len()) + bytes_field_len(wrapped));
            bytes_field(out, 0x0a, name.as_bytes()); // KeyValue.key = 1
            head(out, 0x12, wrapped); // KeyValue.value = 2
            bytes_field(out, 0x2a, &array); // AnyValue.array_value = 5
        }
    }
}

/// Scope and resource of foreign spans under way into an [`Envelope`].
#[derive(Debug, Default)]
pub struct ForeignEnvelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl ForeignEnvelope {
    /// Adds an attribute of the resource.
    pub fn resource(&mut self, key: &str, value: Any<'_>) {
        Self::add(&mut self.resource, RESOURCE_ATTRIBUTES, key, value);
    }

    /// Adds an attribute of the scope.
    pub fn scope(&mut self, key: &str, value: Any<'_>) {
        Self::add(&mut self.scope, SCOPE_ATTRIBUTES, key, value);
    }

    fn add(out: &mut Vec<u8>, tag: u8, key: &str, value: Any<'_>) {
        let before = out.len();
        any(out, tag, key, None, value);
        if out.len() > ENVELOPE_BYTES {
            out.truncate(before);
        }
    }

    /// The envelope of spans of the scope `name` and `version`. Empty texts are left out.
    #[must_use]
    pub fn finish(self, name: &str, version: &str, scope_schema: &str, resource_schema: &str) -> Envelope {
        let short = |text: &str| start_of(text, 1024).to_owned();
        let mut scope = Vec::with_capacity(self.scope.len() + name.len() + version.len() + 16);
        for (tag, text) in [(0x0a, short(name)), (0x12, short(version))] {
            if !text.is_empty() {
                bytes_field(&mut scope, tag, text.as_bytes());
            }
        }
        scope.extend_from_slice(&self.scope);
        // `schema_url` is field 3 of both ResourceSpans and ScopeSpans.
        let wrapped = |message: &[u8], schema: &str| -> Bytes {
            let mut out = Vec::with_capacity(message.len() + schema.len() + 16);
            bytes_field(&mut out, 0x0a, message);
            let schema = short(schema);
            if !schema.is_empty() {
                bytes_field(&mut out, 0x1a, schema.as_bytes());
            }
            out.into()
        };
        Envelope::of(wrapped(&self.resource, resource_schema), wrapped(&scope, scope_schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::otlp::field;

    fn bytes(message: &[u8], number: u64) -> &[u8] {
        field(message, number).unwrap().unwrap()
    }

    #[test]
    fn a_foreign_span_reads_back_field_by_field() {
        let mut foreign = Foreign::new();
        foreign.attribute("n", None, Any::List(&[Value::Int(1), Value::Int(2)]));
        foreign.attribute("empty", None, Any::List(&[]));
        foreign.attribute("langfuse.trace.metadata", Some("k"), Any::One(Value::Bool(true)));
        let mut event = Foreign::event("exception", 7);
        event.attribute("exception.type", Any::One(Value::Str("ValueError")));
        assert!(foreign.add(&event));
        assert!(foreign.add(&Foreign::link(TraceId([4; 16]), SpanId([5; 8]), "a=b", true)));
        let head = ForeignHead {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            parent: Some(SpanId([3; 8])),
            trace_state: "v=1",
            name: "chat",
            kind: 3,
            start: 9,
            end: 8,
            status: (2, "bad"),
            remote_parent: true,
            dropped: [0, 300, 0],
        };
        let encoded = foreign.finish(&head);
        let span = bytes(&encoded, 2);
        assert_eq!(bytes(span, 1), [1; 16]);
        assert_eq!(bytes(span, 3), b"v=1");
        assert_eq!(bytes(span, 4), [3; 8]);
        assert_eq!(field(span, 6), Some(Err(3)));
        assert_eq!(bytes(span, 8), 9u64.to_le_bytes(), "an end is never before its start");
        let list = bytes(bytes(bytes(span, 9), 2), 5);
        assert_eq!(field(bytes(list, 1), 3), Some(Err(1)));
        assert_eq!(field(span, 12), Some(Err(300)));
        assert_eq!(bytes(bytes(span, 11), 2), b"exception");
        assert_eq!(bytes(bytes(span, 13), 6), 0x300u32.to_le_bytes());
        assert_eq!(field(bytes(span, 15), 3), Some(Err(2)));
        assert_eq!(bytes(span, 16), 0x300u32.to_le_bytes());
        assert_eq!(span.windows(5).filter(|window| window == b"empty").count(), 0);
    }

    #[test]
    fn an_envelope_carries_its_own_scope_and_resource_and_is_bounded() {
        let mut foreign = ForeignEnvelope::default();
        foreign.resource("service.name", Any::One(Value::Str("shop")));
        foreign.resource("huge", Any::One(Value::Str(&"x".repeat(ENVELOPE_BYTES))));
        foreign.scope("a", Any::One(Value::Int(1)));
        let envelope = foreign.finish("openinference.x", "1.2", "https://schema", "");
        let body = [envelope.prefix(3).to_vec(), b"abc".to_vec()].concat();
        let resource_spans = bytes(&body, 1);
        let pair = bytes(bytes(resource_spans, 1), 1);
        assert_eq!(bytes(pair, 1), b"service.name");
        let scope_spans = bytes(resource_spans, 2);
        assert_eq!(bytes(bytes(scope_spans, 1), 1), b"openinference.x");
        assert_eq!(bytes(scope_spans, 3), b"https://schema");
        assert!(scope_spans.ends_with(b"abc") && body.len() < 400);
    }

    #[test]
    fn a_text_beyond_the_bound_is_cut_with_a_note() {
        let mut foreign = Foreign::new();
        foreign.attribute("k", None, Any::One(Value::Str(&"é".repeat(OBSERVATION_BYTES))));
        assert!(foreign.body.len() < OBSERVATION_BYTES + 100);
        assert!(foreign.body.ends_with(b" bytes]"));
    }
}
