//! Token usage and cost of an observation.

use serde_json::{Map, Value};

use crate::attributes::Attributes;

/// Usage by bucket, or nothing. An explicit but unreadable map means "none"; only broken JSON falls through to the
/// generic attributes.
pub(crate) fn usage(attributes: &Attributes) -> Option<Map<String, Value>> {
    match attributes.get("langfuse.observation.usage_details") {
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => return filled(explicit(map)),
            Ok(_) => return None,
            Err(_) => {}
        },
        Some(_) => return None,
        None => {}
    }
    filled(generic(attributes))
}

/// Cost by bucket, or nothing. Only numbers count.
pub(crate) fn cost(attributes: &Attributes) -> Option<Map<String, Value>> {
    if let Some(Value::String(text)) = attributes.get("langfuse.observation.cost_details")
        && let Ok(Value::Object(map)) = serde_json::from_str(text)
    {
        let numbers: Map<String, Value> = map.into_iter().filter(|(_, value)| value.is_number()).collect();
        return (!numbers.is_empty()).then_some(numbers);
    }
    let total =
        ["gen_ai.usage.cost", "llm.cost.total"].iter().find_map(|key| attributes.get(*key)?.as_f64())?;
    Some(Map::from_iter([("total".to_owned(), Value::from(total))]))
}

/// The total of a usage or cost map: its own, or the sum of its parts.
pub(crate) fn total(map: &Map<String, Value>) -> f64 {
    map.get("total").and_then(Value::as_f64).unwrap_or_else(|| map.values().filter_map(Value::as_f64).sum())
}

fn filled(mut map: Map<String, Value>) -> Option<Map<String, Value>> {
    if map.is_empty() {
        return None;
    }
    if !map.contains_key("total") {
        let sum: u64 = map.values().filter_map(Value::as_u64).fold(0, u64::saturating_add);
        map.insert("total".into(), Value::from(sum));
    }
    Some(map)
}

/// OpenAI's two shapes are renamed and their details taken out of the sums; any other map keeps its whole numbers.
fn explicit(map: Map<String, Value>) -> Map<String, Value> {
    for (input, output) in [("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")] {
        if let Some(renamed) = openai(&map, input, output) {
            return renamed;
        }
    }
    map.into_iter().filter_map(|(key, value)| Some((key, Value::from(whole(&value)?)))).collect()
}

fn openai(map: &Map<String, Value>, input: &str, output: &str) -> Option<Map<String, Value>> {
    let details = [(format!("{input}_details"), "input"), (format!("{output}_details"), "output")];
    let ours = |key: &String| {
        key == input || key == output || key == "total_tokens" || details.iter().any(|(name, _)| name == key)
    };
    if !map.keys().all(ours) {
        return None;
    }
    let mut renamed = Map::new();
    let mut left = [whole(map.get(input)?)?, whole(map.get(output)?)?];
    renamed.insert("total".into(), Value::from(whole(map.get("total_tokens")?)?));
    for ((name, side), left) in details.iter().zip(&mut left) {
        if let Some(Value::Object(parts)) = map.get(name) {
            for (key, value) in parts {
                let Some(count) = whole(value) else { continue };
                *left = left.saturating_sub(count);
                renamed.insert(format!("{side}_{key}"), Value::from(count));
            }
        }
        renamed.insert((*side).into(), Value::from(*left));
    }
    Some(renamed)
}

fn generic(attributes: &Attributes) -> Map<String, Value> {
    let read = |keys: &[&str]| keys.iter().find_map(|key| whole(attributes.get(*key)?));
    let input = read(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"]);
    let output =
        read(&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"]);
    let cached = read(&["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"]);
    let created =
        read(&["gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"]);
    let reasoning = read(&["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"]);
    let total = read(&["gen_ai.usage.total_tokens", "llm.token_count.total"]);
    let rest = |sum: Option<u64>, parts: [Option<u64>; 2]| {
        sum.map(|sum| parts.into_iter().flatten().fold(sum, u64::saturating_sub))
    };
    [
        ("input", rest(input, [cached, created])),
        ("output", rest(output, [reasoning, None])),
        ("input_cached_tokens", cached),
        ("input_cache_creation", created),
        ("output_reasoning_tokens", reasoning),
        ("total", total),
    ]
    .into_iter()
    .filter_map(|(name, count)| Some((name.to_owned(), Value::from(count?))))
    .collect()
}

/// A non-negative whole number, also as text.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn usage_of(details: &Value) -> Value {
        let attributes = Map::from_iter([(
            "langfuse.observation.usage_details".to_owned(),
            Value::from(details.to_string()),
        )]);
        usage(&attributes).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn own_keys_stay_and_total_is_the_sum() {
        assert_eq!(
            usage_of(&json!({"input": 3, "x": "4", "f": 1.5, "n": -1})),
            json!({"input": 3, "x": 4, "total": 7})
        );
    }

    #[test]
    fn openai_details_leave_the_sums() {
        let details = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4}});
        assert_eq!(
            usage_of(&details),
            json!({"input": 6, "output": 5, "total": 15, "input_cached_tokens": 4})
        );
    }
}
