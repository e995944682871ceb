//! Token counts and costs, under the many names that vendors have for the same thing.

use serde_json::value::RawValue;

use super::dialect::Attributes;
use super::json::{self, Object};
use super::otlp::Value;

/// What is counted, or paid for, under the many names that vendors have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    InputAudio,
    OutputAudio,
    Reasoning,
}

impl Count {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "input" | "input_tokens" | "inputTokens" | "prompt" | "prompt_tokens" | "promptTokens" => {
                Self::Input
            }
            "output" | "output_tokens" | "outputTokens" | "completion" | "completion_tokens"
            | "completionTokens" => Self::Output,
            "total" | "total_tokens" | "totalTokens" => Self::Total,
            "cache_read"
            | "cache_read_tokens"
            | "cache_read_input_tokens"
            | "input_cache_read"
            | "input_cached_tokens"
            | "cached_tokens"
            | "prompt_tokens_details.cached_tokens"
            | "input_tokens_details.cached_tokens" => Self::CacheRead,
            "cache_write"
            | "cache_creation"
            | "cache_creation_input_tokens"
            | "cache_write_input_tokens"
            | "input_cache_creation"
            | "input_cache_write" => Self::CacheWrite,
            "input_audio"
            | "input_audio_tokens"
            | "prompt_tokens_details.audio_tokens"
            | "input_tokens_details.audio_tokens" => Self::InputAudio,
            "output_audio"
            | "output_audio_tokens"
            | "completion_tokens_details.audio_tokens"
            | "output_tokens_details.audio_tokens" => Self::OutputAudio,
            "reasoning"
            | "reasoning_tokens"
            | "output_reasoning"
            | "output_reasoning_tokens"
            | "completion_tokens_details.reasoning_tokens"
            | "output_tokens_details.reasoning_tokens" => Self::Reasoning,
            _ => return None,
        })
    }
}

/// The attributes that a count goes into, and whether it is a price.
pub(super) type Place = (&'static [&'static str], bool);

/// Usage or cost: an object of numbers, with objects of details in it. What has no place in the convention goes below
/// `rest` under its own name.
pub(super) fn numbers(
    out: &mut Attributes<'_>,
    text: &str,
    rest: &'static str,
    place: impl Fn(Count) -> Place,
) {
    let Some(object) = Object::read(text) else {
        out.put(rest, Value::Str(text));
        return;
    };
    let mut told: Vec<String> = Vec::new();
    let mut entry = |name: &str, raw: &RawValue| {
        let (keys, price) = Count::of(name).map_or((&[][..], false), &place);
        if keys.first().is_some_and(|key| !out.has(key)) {
            let value =
                if price { json::number(raw).map(Value::Double) } else { json::whole(raw).map(Value::Int) };
            if let Some(value) = value {
                keys.iter().for_each(|key| out.put(key, value));
                return;
            }
        }
        if !told.iter().any(|other| other == name) {
            told.push(name.to_owned());
            out.json(rest, name, raw);
        }
    };
    for (name, raw) in object.members() {
        match Object::of(raw) {
            Some(details) => {
                for (inner, raw) in details.members() {
                    entry(&format!("{name}.{inner}"), raw);
                }
            }
            None => entry(name, raw),
        }
    }
}
