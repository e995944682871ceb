//! OTLP attribute values as JSON, decoded the way the Langfuse server decodes them.

use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Number, Value, json};

/// The attributes of one span, resource or scope by key; of duplicates the last counts.
pub(crate) type Attributes = Map<String, Value>;

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Decodes a list of attributes. A key without any value is an error that names the key: the real server answers
/// 200 to such a request and loses all of it later, so here the sender learns about it at once.
pub(crate) fn decode(list: Vec<KeyValue>) -> Result<Attributes, String> {
    let mut decoded = Map::new();
    for KeyValue { key, value, .. } in list {
        let Some(value) = value else {
            return Err(format!("attribute {key:?} has no value; the whole request would be lost"));
        };
        decoded.insert(key, decode_value(value));
    }
    Ok(decoded)
}

fn decode_value(value: AnyValue) -> Value {
    match value.value {
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(flag)) => Value::Bool(flag),
        Some(Any::IntValue(number)) => Value::from(number),
        Some(Any::DoubleValue(number)) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Some(Any::ArrayValue(array)) if array.values.is_empty() => Value::from(r#"{"arrayValue":{}}"#),
        Some(Any::ArrayValue(array)) => array.values.into_iter().map(decode_value).collect(),
        Some(wrapped @ (Any::KvlistValue(_) | Any::BytesValue(_))) => {
            Value::String(wrapper(wrapped).to_string())
        }
        Some(_) | None => Value::from("{}"),
    }
}

/// Maps and bytes are not decoded by the server: what is stored is the JSON of their OTLP wrapper.
fn wrapper(value: Any) -> Value {
    let inner = |value: AnyValue| value.value.map_or_else(|| json!({}), wrapper);
    match value {
        Any::StringValue(text) => json!({ "stringValue": text }),
        Any::BoolValue(flag) => json!({ "boolValue": flag }),
        Any::IntValue(number) => json!({ "intValue": number }),
        Any::DoubleValue(number) => json!({ "doubleValue": number }),
        Any::ArrayValue(array) => {
            json!({"arrayValue": {"values": array.values.into_iter().map(inner).collect::<Vec<_>>()}})
        }
        Any::KvlistValue(list) => {
            let entry = |pair: KeyValue| json!({"key": pair.key, "value": pair.value.map(inner)});
            json!({"kvlistValue": {"values": list.values.into_iter().map(entry).collect::<Vec<_>>()}})
        }
        Any::BytesValue(bytes) => {
            json!({"bytesValue": base64::engine::general_purpose::STANDARD.encode(bytes)})
        }
        _ => json!({}),
    }
}

/// The text under the first of several keys that has a non-empty one; values that are not text are written as JSON.
pub(crate) fn first_text(attributes: &Attributes, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| attributes.get(*key).map(as_text).filter(|text| !text.is_empty()))
}

/// Text stays as it is, everything else is written as JSON.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a flag is set; `"true"` counts.
pub(crate) fn flag(attributes: &Attributes, keys: &[&str]) -> bool {
    keys.iter().any(|key| match attributes.get(*key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    })
}
