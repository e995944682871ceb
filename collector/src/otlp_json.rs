//! OTLP/JSON to the types of the protobuf schema.
//!
//! As lenient as the server: unknown fields are skipped, numbers may be text, only camelCase counts. Ids are hex.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Map, Value};

/// Reads a whole request; `None` when a list is not a list.
pub(crate) fn read(body: &[u8]) -> Option<ExportTraceServiceRequest> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let request = value.as_object()?;
    Some(ExportTraceServiceRequest { resource_spans: list(request, "resourceSpans", resource_spans)? })
}

fn list<T>(
    object: &Map<String, Value>,
    key: &str,
    read: impl Fn(&Map<String, Value>) -> Option<T>,
) -> Option<Vec<T>> {
    match object.get(key) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| read(item.as_object()?)).collect(),
        Some(_) => None,
    }
}

fn object<'a>(parent: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    parent.get(key)?.as_object()
}

fn text(parent: &Map<String, Value>, key: &str) -> String {
    parent.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number, also as text; anything else is zero, which means missing.
fn number(parent: &Map<String, Value>, key: &str) -> u64 {
    match parent.get(key) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        _ => 0,
    }
}

fn small(parent: &Map<String, Value>, key: &str) -> u32 {
    u32::try_from(number(parent, key)).unwrap_or_default()
}

/// Hex to bytes; what is not hex becomes one byte, a length that validation refuses.
fn id(parent: &Map<String, Value>, key: &str) -> Vec<u8> {
    let text = text(parent, key);
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
        })
        .collect();
    bytes.unwrap_or_else(|| vec![0])
}

fn resource_spans(value: &Map<String, Value>) -> Option<ResourceSpans> {
    let resource = match object(value, "resource") {
        Some(resource) => Some(Resource { attributes: attributes(resource)?, ..Resource::default() }),
        None => None,
    };
    Some(ResourceSpans {
        resource,
        scope_spans: list(value, "scopeSpans", scope_spans)?,
        ..ResourceSpans::default()
    })
}

fn scope_spans(value: &Map<String, Value>) -> Option<ScopeSpans> {
    let scope = match object(value, "scope") {
        Some(scope) => Some(InstrumentationScope {
            name: text(scope, "name"),
            version: text(scope, "version"),
            attributes: attributes(scope)?,
            dropped_attributes_count: small(scope, "droppedAttributesCount"),
        }),
        None => None,
    };
    Some(ScopeSpans { scope, spans: list(value, "spans", span)?, ..ScopeSpans::default() })
}

fn span(value: &Map<String, Value>) -> Option<Span> {
    let status = object(value, "status")
        .map(|status| Status { message: text(status, "message"), code: enumeration(status, "code", STATUS) });
    Some(Span {
        trace_id: id(value, "traceId"),
        span_id: id(value, "spanId"),
        parent_span_id: id(value, "parentSpanId"),
        trace_state: text(value, "traceState"),
        flags: small(value, "flags"),
        name: text(value, "name"),
        kind: enumeration(value, "kind", KIND),
        start_time_unix_nano: number(value, "startTimeUnixNano"),
        end_time_unix_nano: number(value, "endTimeUnixNano"),
        attributes: attributes(value)?,
        dropped_attributes_count: small(value, "droppedAttributesCount"),
        events: list(value, "events", event)?,
        dropped_events_count: small(value, "droppedEventsCount"),
        links: list(value, "links", link)?,
        dropped_links_count: small(value, "droppedLinksCount"),
        status,
    })
}

fn event(value: &Map<String, Value>) -> Option<Event> {
    Some(Event {
        time_unix_nano: number(value, "timeUnixNano"),
        name: text(value, "name"),
        attributes: attributes(value)?,
        dropped_attributes_count: small(value, "droppedAttributesCount"),
    })
}

fn link(value: &Map<String, Value>) -> Option<Link> {
    Some(Link {
        trace_id: id(value, "traceId"),
        span_id: id(value, "spanId"),
        trace_state: text(value, "traceState"),
        attributes: attributes(value)?,
        dropped_attributes_count: small(value, "droppedAttributesCount"),
        flags: small(value, "flags"),
    })
}

const STATUS: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
const KIND: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

/// Enumerations come as numbers or, from some exporters, by name.
fn enumeration<const N: usize>(parent: &Map<String, Value>, key: &str, names: [&str; N]) -> i32 {
    match parent.get(key) {
        Some(Value::String(name)) => names.iter().position(|known| known == name).map_or_else(
            || name.parse().unwrap_or_default(),
            |place| i32::try_from(place).unwrap_or_default(),
        ),
        _ => i32::try_from(number(parent, key)).unwrap_or_default(),
    }
}

fn attributes(parent: &Map<String, Value>) -> Option<Vec<KeyValue>> {
    list(parent, "attributes", key_value)
}

fn key_value(pair: &Map<String, Value>) -> Option<KeyValue> {
    let value = object(pair, "value").map(any_value);
    Some(KeyValue { key: text(pair, "key"), value, ..KeyValue::default() })
}

fn any_value(wrapped: &Map<String, Value>) -> AnyValue {
    let value = wrapped.iter().next().and_then(|(kind, value)| {
        Some(match (kind.as_str(), value) {
            ("stringValue", Value::String(text)) => Any::StringValue(text.clone()),
            ("boolValue", Value::Bool(flag)) => Any::BoolValue(*flag),
            ("intValue", Value::Number(number)) => Any::IntValue(number.as_i64()?),
            ("intValue", Value::String(text)) => Any::IntValue(text.parse().ok()?),
            ("doubleValue", Value::Number(number)) => Any::DoubleValue(number.as_f64()?),
            ("doubleValue", Value::String(text)) => Any::StringValue(text.clone()),
            ("arrayValue", Value::Object(array)) => {
                Any::ArrayValue(ArrayValue { values: list(array, "values", |item| Some(any_value(item)))? })
            }
            ("kvlistValue", Value::Object(map)) => {
                Any::KvlistValue(KeyValueList { values: list(map, "values", key_value)? })
            }
            ("bytesValue", Value::String(text)) => {
                use base64::Engine as _;
                Any::BytesValue(base64::engine::general_purpose::STANDARD.decode(text).ok()?)
            }
            _ => return None,
        })
    });
    AnyValue { value }
}
