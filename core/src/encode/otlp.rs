//! OTLP spans and export requests as protobuf bytes (opentelemetry-proto 1.5, `trace/v1/trace.proto`).
//!
//! What never goes out, because servers lose the whole request over it: a key without a value, an empty array, lists of
//! pairs, byte values, ids of the wrong length, an all-zero parent.

use bytes::Bytes;

use super::protobuf::{bytes_field, bytes_field_len, fixed64_field, head, varint, varint_len};
use crate::id::{SpanId, TraceId};

// ScopeSpans.spans = 2; Span: trace_id 1, span_id 2, parent_span_id 4, name 5, kind 6, start 7, end 8, attributes 9,
// events 11, status 15, flags 16.
const SPANS: u8 = 0x12;
const TRACE_ID: u8 = 0x0a;
const SPAN_ID: u8 = 0x12;
const PARENT_SPAN_ID: u8 = 0x22;
const NAME: u8 = 0x2a;
const KIND: u8 = 0x30;
const START: u8 = 0x39;
const END: u8 = 0x41;
const ATTRIBUTES: u8 = 0x4a;
const EVENTS: u8 = 0x5a;
const STATUS: u8 = 0x7a;
const STATUS_ERROR: u8 = 2;

// KeyValue: key 1, value 2. AnyValue: string 1, bool 2, int 3, double 4, array 5. ArrayValue.values = 1.
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;
const STRING: u8 = 0x0a;
const BOOL: u8 = 0x10;
const INT: u8 = 0x18;
const DOUBLE: u8 = 0x21;
const ARRAY: u8 = 0x2a;

/// An attribute's value in one of the forms that every server takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text; also JSON text, which is what objects and arrays are sent as.
    Str(&'a str),
    /// Text that the caller knows to be UTF-8; anything else is sent with replacement characters.
    Utf8(&'a [u8]),
    /// A 64-bit integer; servers read it as a JavaScript number, exact up to 2^53.
    Int(i64),
    /// A finite number; infinities and NaN are sent as text, because servers turn them into null.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Text values; an empty list is not sent at all.
    Strs(&'a [String]),
}

/// Where an attribute stands in the buffer that it was appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// First byte of the attribute.
    pub start: usize,
    /// One past the last byte of its key.
    pub key_end: usize,
    /// One past its last byte.
    pub end: usize,
}

/// Appends one attribute of a span. The key is `prefix`, or `prefix.key` where a key is given.
#[inline]
pub fn attribute(out: &mut Vec<u8>, prefix: &str, key: Option<&str>, value: Value<'_>) -> Option<Written> {
    let start = out.len();
    key_value(out, ATTRIBUTES, prefix, key, value).map(|key_end| Written { start, key_end, end: out.len() })
}

/// Appends a `KeyValue`; returns where its key ends.
pub(super) fn key_value(
    out: &mut Vec<u8>,
    tag: u8,
    prefix: &str,
    key: Option<&str>,
    value: Value<'_>,
) -> Option<usize> {
    let key_len = prefix.len() + key.map_or(0, |key| key.len() + 1);
    let number;
    let text: &[u8] = match value {
        Value::Str(text) => text.as_bytes(),
        Value::Utf8(text) => match std::str::from_utf8(text) {
            Ok(_) => text,
            Err(_) => {
                let mended = String::from_utf8_lossy(text).into_owned();
                return key_value(out, tag, prefix, key, Value::Str(&mended));
            }
        },
        Value::Double(value) if !value.is_finite() => {
            number = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            number.as_bytes()
        }
        Value::Strs([]) => return None,
        Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Strs(_) => {
            return Some(scalar(out, tag, prefix, key, key_len, value));
        }
    };
    let any = bytes_field_len(text.len());
    let content = bytes_field_len(key_len) + bytes_field_len(any);
    out.reserve(content + 8);
    // Nearly all have lengths of one and two bytes: those are put together, and appended with one look at the capacity.
    let (c, k, a, t) = (content, key_len, any, text.len());
    match (c, k) {
        (..0x80, ..0x80) => out.extend_from_slice(&[tag, low(c), KEY, low(k)]),
        (0x80..0x4000, ..0x80) => out.extend_from_slice(&[tag, low(c) | MORE, high(c), KEY, low(k)]),
        _ => {
            head(out, tag, content);
            head(out, KEY, key_len);
        }
    }
    out.extend_from_slice(prefix.as_bytes());
    if let Some(key) = key {
        out.push(b'.');
        out.extend_from_slice(key.as_bytes());
    }
    let key_end = out.len();
    match (a, t) {
        (..0x80, _) => out.extend_from_slice(&[VALUE, low(a), STRING, low(t)]),
        (..0x4000, 0x80..) => {
            out.extend_from_slice(&[VALUE, low(a) | MORE, high(a), STRING, low(t) | MORE, high(t)]);
        }
        _ => {
            head(out, VALUE, any);
            head(out, STRING, text.len());
        }
    }
    out.extend_from_slice(text);
    Some(key_end)
}

/// Set in each byte of a varint but its last.
const MORE: u8 = 0x80;

/// The first seven bits of a length; the byte is right as it is where it is the only one.
#[allow(clippy::cast_possible_truncation)]
const fn low(length: usize) -> u8 {
    length as u8
}

/// The next seven.
#[allow(clippy::cast_possible_truncation)]
const fn high(length: usize) -> u8 {
    (length >> 7) as u8
}

fn write_key(out: &mut Vec<u8>, prefix: &str, key: Option<&str>, key_len: usize) {
    head(out, KEY, key_len);
    out.extend_from_slice(prefix.as_bytes());
    if let Some(key) = key {
        out.push(b'.');
        out.extend_from_slice(key.as_bytes());
    }
}

fn scalar(
    out: &mut Vec<u8>,
    tag: u8,
    prefix: &str,
    key: Option<&str>,
    key_len: usize,
    value: Value<'_>,
) -> usize {
    let array_len =
        |items: &[String]| items.iter().map(|s| bytes_field_len(bytes_field_len(s.len()))).sum::<usize>();
    #[allow(clippy::cast_sign_loss)]
    let any = match value {
        Value::Bool(_) => 2,
        Value::Int(value) => 1 + varint_len(value as u64),
        Value::Strs(items) => bytes_field_len(array_len(items)),
        _ => 9,
    };
    head(out, tag, bytes_field_len(key_len) + bytes_field_len(any));
    write_key(out, prefix, key, key_len);
    let key_end = out.len();
    head(out, VALUE, any);
    match value {
        Value::Bool(value) => out.extend_from_slice(&[BOOL, u8::from(value)]),
        #[allow(clippy::cast_sign_loss)]
        Value::Int(value) => {
            out.push(INT);
            varint(out, value as u64);
        }
        Value::Double(value) => fixed64_field(out, DOUBLE, value.to_bits()),
        Value::Strs(items) => {
            head(out, ARRAY, array_len(items));
            for item in items {
                head(out, KEY, bytes_field_len(item.len())); // ArrayValue.values = 1
                bytes_field(out, STRING, item.as_bytes());
            }
        }
        Value::Str(_) | Value::Utf8(_) => {}
    }
    key_end
}

/// Appends one event of a span: what happened at `time`, nanoseconds since 1970. It may stand between attributes.
pub fn event(out: &mut Vec<u8>, time: u64, name: &str, attributes: &[(&str, Value<'_>)]) {
    let mut said = Vec::new();
    for (key, value) in attributes {
        key_value(&mut said, 0x1a, key, None, *value); // Event.attributes = 3
    }
    head(out, EVENTS, 9 + bytes_field_len(name.len()) + said.len());
    fixed64_field(out, 0x09, time); // Event.time_unix_nano = 1
    bytes_field(out, 0x12, name.as_bytes()); // Event.name = 2
    out.extend_from_slice(&said);
}

/// Appends the content of an `AnyValue`, for lists.
pub(super) fn any_value(out: &mut Vec<u8>, value: Value<'_>) {
    let mut pair = Vec::new();
    if key_value(&mut pair, KEY, "", None, value).is_some()
        && let Some(Ok(pair)) = field(&pair, 1)
        && let Some(Ok(content)) = field(pair, 2)
    {
        out.extend_from_slice(content);
    }
}

/// The fixed part of a span.
#[derive(Clone, Copy, Debug)]
pub struct SpanHead<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The observation.
    pub span_id: SpanId,
    /// Its parent; absent for a root.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: &'a str,
    /// 1 internal, 2 server, 3 client.
    pub kind: u8,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970; not before `start`.
    pub end: u64,
    /// Status ERROR with this message; absent where all went well.
    pub error: Option<&'a str>,
}

/// Encodes one element of `ScopeSpans.spans`, tag and length included, from its head and its attributes, which are
/// slices of encoded attribute fields.
#[must_use]
pub fn span(head: &SpanHead<'_>, attributes: &[&[u8]]) -> Box<[u8]> {
    let mut out = Vec::new();
    append_span(&mut out, head, attributes);
    out.into_boxed_slice()
}

/// The same behind what is there already.
pub fn append_span(out: &mut Vec<u8>, span: &SpanHead<'_>, attributes: &[&[u8]]) {
    let attributes_len: usize = attributes.iter().map(|a| a.len()).sum();
    let status = span.error.map(|message| {
        (if message.is_empty() { 0 } else { bytes_field_len(message.len()) }) + 2 // code
    });
    let content = 18
        + 10
        + if span.parent.is_some() { 10 } else { 0 }
        + bytes_field_len(span.name.len())
        + 2
        + 9
        + 9
        + attributes_len
        + status.map_or(0, bytes_field_len);
    let len = bytes_field_len(content);
    let whole = out.len() + len;
    if out.is_empty() {
        out.reserve_exact(len);
    } else {
        out.reserve(len);
    }
    head(out, SPANS, content);
    // What is of fixed length is put together first: each append asks the vector for room.
    let mut ids = [0; 38];
    (ids[0], ids[1], ids[18], ids[19], ids[28], ids[29]) = (TRACE_ID, 16, SPAN_ID, 8, PARENT_SPAN_ID, 8);
    ids[2..18].copy_from_slice(&span.trace_id.0);
    ids[20..28].copy_from_slice(&span.span_id.0);
    match span.parent {
        Some(parent) => {
            ids[30..38].copy_from_slice(&parent.0);
            out.extend_from_slice(&ids);
        }
        None => out.extend_from_slice(&ids[..28]),
    }
    bytes_field(out, NAME, span.name.as_bytes());
    let mut times = [KIND, span.kind, START, 0, 0, 0, 0, 0, 0, 0, 0, END, 0, 0, 0, 0, 0, 0, 0, 0];
    times[3..11].copy_from_slice(&span.start.to_le_bytes());
    times[12..20].copy_from_slice(&span.end.to_le_bytes());
    out.extend_from_slice(&times);
    for attributes in attributes {
        out.extend_from_slice(attributes);
    }
    if let (Some(status), Some(message)) = (status, span.error) {
        head(out, STATUS, status);
        if !message.is_empty() {
            bytes_field(out, 0x12, message.as_bytes()); // Status.message = 2
        }
        out.extend_from_slice(&[0x18, STATUS_ERROR]); // Status.code = 3
    }
    debug_assert_eq!(out.len(), whole);
}

/// The resource and scope that stand around the spans of every request of a process.
#[derive(Clone, Debug)]
pub struct Envelope {
    pairs: Vec<(String, String)>,
    version: String,
    resource: Bytes,
    scope: Bytes,
}

impl Envelope {
    /// `resource` are key-value pairs as OpenTelemetry's semantic conventions name them (`service.name`, ...).
    #[must_use]
    pub fn new(resource: &[(String, String)], scope_name: &str, scope_version: &str) -> Self {
        let mut attributes = Vec::new();
        for (key, value) in resource {
            key_value(&mut attributes, KEY, key, None, Value::Str(value)); // Resource.attributes = 1
        }
        let mut encoded_resource = Vec::new();
        bytes_field(&mut encoded_resource, 0x0a, &attributes); // ResourceSpans.resource = 1
        let mut scope = Vec::new();
        bytes_field(&mut scope, 0x0a, scope_name.as_bytes());
        bytes_field(&mut scope, 0x12, scope_version.as_bytes());
        let mut encoded_scope = Vec::new();
        bytes_field(&mut encoded_scope, 0x0a, &scope); // ScopeSpans.scope = 1
        Self {
            pairs: resource.to_vec(),
            version: scope_version.to_owned(),
            resource: encoded_resource.into(),
            scope: encoded_scope.into(),
        }
    }

    /// The same resource around another scope, and under another `service.name` where one is given.
    #[must_use]
    pub fn with(&self, scope_name: &str, service_name: Option<&str>) -> Self {
        let mut pairs = self.pairs.clone();
        if let Some(name) = service_name {
            pairs.retain(|(key, _)| key != "service.name");
            pairs.push(("service.name".into(), name.to_owned()));
        }
        Self::new(&pairs, scope_name, &self.version)
    }

    /// One of encoded parts: the resource with what follows it in its message, and the scope likewise.
    pub(crate) fn of(resource: Bytes, scope: Bytes) -> Self {
        Self { pairs: Vec::new(), version: String::new(), resource, scope }
    }

    /// Bytes that the envelope adds to a request at most.
    #[must_use]
    pub fn overhead(&self) -> usize {
        self.resource.len() + self.scope.len() + 3 * 11
    }

    /// The bytes that go before `spans` bytes of encoded spans to make an `ExportTraceServiceRequest`.
    #[must_use]
    pub fn prefix(&self, spans: usize) -> Bytes {
        let scope_spans = self.scope.len() + spans;
        let resource_spans = self.resource.len() + bytes_field_len(scope_spans);
        let mut out = Vec::with_capacity(self.overhead());
        head(&mut out, 0x0a, resource_spans); // ExportTraceServiceRequest.resource_spans = 1
        out.extend_from_slice(&self.resource);
        head(&mut out, 0x12, scope_spans); // ResourceSpans.scope_spans = 2
        out.extend_from_slice(&self.scope);
        out.into()
    }
}

/// Reads `rejected_spans` of an `ExportTraceServiceResponse`'s `partial_success`; zero where the body is something else.
/// Langfuse answers JSON even to protobuf requests, so an unreadable body means that all was taken.
#[must_use]
pub fn rejected_spans(body: &[u8]) -> u64 {
    let Some(partial) = field(body, 1).and_then(Result::ok) else {
        return 0;
    };
    match field(partial, 1) {
        Some(Err(count)) => count,
        _ => 0,
    }
}

/// The first field with this number: bytes, or a varint's value as the error side.
pub(crate) fn field(mut message: &[u8], number: u64) -> Option<Result<&[u8], u64>> {
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        let content = match tag & 7 {
            0 => Err(read_varint(&mut message)?),
            1 => Ok(take(&mut message, 8)?),
            2 => {
                let len = usize::try_from(read_varint(&mut message)?).ok()?;
                Ok(take(&mut message, len)?)
            }
            5 => Ok(take(&mut message, 4)?),
            _ => return None,
        };
        if tag >> 3 == number {
            return Some(content);
        }
    }
    None
}

pub(crate) fn take<'a>(message: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = message.split_at_checked(len)?;
    *message = tail;
    Some(head)
}

pub(crate) fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = message.split_first()?;
        *message = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn an_attribute_of_any_length_reads_back() {
        let lengths = [0, 1, 100, 124, 125, 126, 127, 128, 129, 16_379, 16_380, 16_383, 16_384, 70_000];
        for key_len in [1, 40, 97, 98, 126, 127, 200] {
            for text_len in lengths {
                let (key, value) = ("k".repeat(key_len), "v".repeat(text_len));
                let mut out = Vec::new();
                let written = attribute(&mut out, "prefix", Some(&key), Value::Str(&value)).unwrap();
                assert!(out[..written.key_end].ends_with(format!("prefix.{key}").as_bytes()));
                let pair = field(&out, 9).unwrap().unwrap();
                assert_eq!(out.len(), bytes_field_len(pair.len()), "{key_len} {text_len}");
                assert_eq!(field(pair, 1).map(|f| f.map(text)), Some(Ok(format!("prefix.{key}"))));
                let any = field(pair, 2).unwrap().unwrap();
                assert_eq!(field(any, 1).map(|f| f.map(text)), Some(Ok(value)), "{key_len} {text_len}");
            }
        }
    }

    #[test]
    fn a_span_reads_back_field_by_field() {
        let mut attributes = Vec::new();
        let written =
            attribute(&mut attributes, "langfuse.observation.metadata", Some("a.b"), Value::Str("v"))
                .unwrap();
        assert_eq!((written.start, written.end), (0, attributes.len()));
        assert!(attributes[..written.key_end].ends_with(b"metadata.a.b"));
        let encoded = span(
            &SpanHead {
                trace_id: TraceId([1; 16]),
                span_id: SpanId([2; 8]),
                parent: Some(SpanId([3; 8])),
                name: "name",
                kind: 1,
                start: 5,
                end: 6,
                error: Some("bad"),
            },
            &[&attributes],
        );
        let spans = field(&encoded, 2).unwrap().unwrap();
        assert_eq!(field(spans, 1), Some(Ok(&[1u8; 16][..])));
        assert_eq!(field(spans, 2), Some(Ok(&[2u8; 8][..])));
        assert_eq!(field(spans, 4), Some(Ok(&[3u8; 8][..])));
        assert_eq!(field(spans, 5).map(|f| f.map(text)), Some(Ok("name".into())));
        assert_eq!(field(spans, 6), Some(Err(1)));
        assert_eq!(field(spans, 7), Some(Ok(&5u64.to_le_bytes()[..])));
        assert_eq!(field(spans, 8), Some(Ok(&6u64.to_le_bytes()[..])));
        let pair = field(spans, 9).unwrap().unwrap();
        assert_eq!(field(pair, 1).map(|f| f.map(text)), Some(Ok("langfuse.observation.metadata.a.b".into())));
        let status = field(spans, 15).unwrap().unwrap();
        assert_eq!(
            (field(status, 2).map(|f| f.map(text)), field(status, 3)),
            (Some(Ok("bad".into())), Some(Err(2)))
        );
    }

    #[test]
    fn a_root_has_no_parent_field() {
        let head = SpanHead {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            parent: None,
            name: "",
            kind: 1,
            start: 1,
            end: 1,
            error: None,
        };
        let encoded = span(&head, &[]);
        let spans = field(&encoded, 2).unwrap().unwrap();
        assert!(field(spans, 4).is_none() && field(spans, 15).is_none());
    }

    #[test]
    fn values_take_the_form_that_every_server_reads() {
        let value = |value: Value<'_>| {
            let mut out = Vec::new();
            attribute(&mut out, "k", None, value)?;
            let pair = field(&out, 9).unwrap().unwrap().to_vec();
            Some(field(&pair, 2).unwrap().unwrap().to_vec())
        };
        assert_eq!(field(&value(Value::Int(-1)).unwrap(), 3), Some(Err(u64::MAX)));
        assert_eq!(field(&value(Value::Bool(true)).unwrap(), 2), Some(Err(1)));
        assert_eq!(field(&value(Value::Double(1.5)).unwrap(), 4), Some(Ok(&1.5f64.to_le_bytes()[..])));
        assert_eq!(field(&value(Value::Double(f64::NAN)).unwrap(), 1), Some(Ok(&b"NaN"[..])));
        assert_eq!(field(&value(Value::Utf8(b"a\xffb")).unwrap(), 1), Some(Ok("a\u{fffd}b".as_bytes())));
        assert_eq!(value(Value::Strs(&[])), None);
        let tags = value(Value::Strs(&["x".into(), "yz".into()])).unwrap();
        let array = field(&tags, 5).unwrap().unwrap();
        assert_eq!(field(field(array, 1).unwrap().unwrap(), 1), Some(Ok(&b"x"[..])));
    }

    #[test]
    fn an_envelope_nests_by_length() {
        let envelope = Envelope::new(&[("service.name".into(), "s".into())], "scope", "1");
        let body = [envelope.prefix(3).to_vec(), b"abc".to_vec()].concat();
        let resource_spans = field(&body, 1).unwrap().unwrap();
        assert_eq!(resource_spans.len() + 2, body.len());
        let scope_spans = field(resource_spans, 2).unwrap().unwrap();
        assert!(scope_spans.ends_with(b"abc"));
    }

    #[test]
    fn partial_success_is_read_and_json_is_not_mistaken_for_it() {
        assert_eq!(rejected_spans(&[0x0a, 0x02, 0x08, 0x05]), 5);
        assert_eq!(rejected_spans(b"{\"id\":\"1\"}"), 0);
        assert_eq!(rejected_spans(b""), 0);
        assert_eq!(rejected_spans(&[0x0a, 0xff]), 0);
    }
}
