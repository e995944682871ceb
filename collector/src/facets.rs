//! What groups and describes observations: metadata, tags and the environment's name.

use serde_json::{Map, Value};

use crate::attributes::{Attributes, as_text};

const TAGS: [&str; 6] = [
    "langfuse.trace.tags",
    "langfuse.tags",
    "langfuse.observation.metadata.langfuse_tags",
    "langfuse.trace.metadata.langfuse_tags",
    "ai.telemetry.metadata.tags",
    "tag.tags",
];

/// The blob, overlaid by the dotted keys, overlaid by the trace's metadata.
pub(crate) fn metadata(attributes: &Attributes, encoded: bool) -> Value {
    let mut merged = Map::new();
    let mut scalar = None;
    for key in ["langfuse.observation.metadata", "langfuse.metadata", "langfuse.trace.metadata"] {
        match attributes.get(key).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok()) {
            Some(Value::Object(map)) => merged.extend(map),
            Some(Value::Array(items)) => {
                merged.extend(items.into_iter().enumerate().map(|(index, item)| (index.to_string(), item)));
            }
            Some(other) if encoded => scalar = Some(other),
            _ => {}
        }
    }
    let prefixes = [
        "langfuse.metadata.",
        "ai.telemetry.metadata.",
        "langfuse.observation.metadata.",
        "langfuse.trace.metadata.",
    ];
    for prefix in prefixes {
        for (key, value) in attributes {
            let Some(key) = key.strip_prefix(prefix) else {
                continue;
            };
            let decoded = value.as_str().filter(|_| encoded).and_then(|text| serde_json::from_str(text).ok());
            merged.insert(key.to_owned(), decoded.unwrap_or_else(|| value.clone()));
        }
    }
    match scalar {
        Some(scalar) if merged.is_empty() => scalar,
        _ => Value::Object(merged),
    }
}

/// A list of tags: an array, JSON text of one, or text with commas.
pub(crate) fn tags(attributes: &Attributes) -> Option<String> {
    let value =
        TAGS.iter().find_map(|key| attributes.get(*key).filter(|value| value.as_str() != Some("")))?;
    let list: Vec<String> = match value {
        Value::Array(items) => items.iter().map(as_text).collect(),
        Value::String(text) if text.starts_with('[') => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => items.iter().map(as_text).collect(),
            _ => vec![text.clone()],
        },
        Value::String(text) => text.split(',').map(|tag| tag.trim().to_owned()).collect(),
        other => vec![other.to_string()],
    };
    Some(Value::from(list).to_string())
}

/// Lower case, without leading `langfuse-`, at most 40 characters of `a-z0-9-_`, else `default`.
pub(crate) fn normalised(environment: &str) -> String {
    let lower = environment.to_lowercase();
    let mut rest = lower.as_str();
    while let Some(stripped) = rest.strip_prefix("langfuse") {
        rest = stripped.strip_prefix(['-', '_']).unwrap_or(stripped);
    }
    let cut: String = rest.chars().take(40).collect();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if cut.is_empty() || !cut.chars().all(fits) { "default".into() } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_normalised_and_never_an_error() {
        let long = "x".repeat(45);
        let cases = [
            ("PROD", "prod"),
            ("langfuse-x", "x"),
            ("langfuse", "default"),
            ("a b", "default"),
            ("dev.1", "default"),
        ];
        for (given, stored) in cases {
            assert_eq!(normalised(given), stored);
        }
        assert_eq!(normalised(&long), long[..40]);
    }
}
