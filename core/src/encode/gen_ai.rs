//! OpenTelemetry's conventions for generative AI, in their current (development) form:
//! <https://github.com/open-telemetry/semantic-conventions-genai>.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::counts::Count;
use super::dialect::{Attributes, CLIENT, INPUT, INTERNAL, MODEL_PARAMETERS, OUTPUT};
use super::json::{self, Object};
use super::messages::{Message, Messages, Part};
use super::otlp::Value;
use super::provider;
use crate::attr::ObservationType;
use crate::json::quote;

/// The operation; the convention has none for spans, chains, events, evaluators and guardrails.
pub(super) fn kind(out: &mut Attributes<'_>, kind: ObservationType) {
    let operation = match kind {
        ObservationType::Generation => "chat",
        ObservationType::Embedding => "embeddings",
        ObservationType::Agent => "invoke_agent",
        ObservationType::Tool => "execute_tool",
        ObservationType::Retriever => "retrieval",
        _ => return,
    };
    out.put("gen_ai.operation.name", Value::Str(operation));
}

/// Calls of a service are a client's spans; what runs in this process is internal.
pub(super) fn span_kind(kind: ObservationType) -> u8 {
    match kind {
        ObservationType::Generation | ObservationType::Embedding | ObservationType::Retriever => CLIENT,
        _ => INTERNAL,
    }
}

pub(super) fn input(out: &mut Attributes<'_>, kind: ObservationType, text: &str) {
    match kind {
        ObservationType::Generation | ObservationType::Agent => {
            let messages = Messages::of_input(text);
            out.put(
                "gen_ai.input.messages",
                Value::Str(&conversation(messages.as_ref(), text, "user", false)),
            );
            if let Some(messages) = messages {
                if let Some(tools) = messages.tools {
                    out.put("gen_ai.tool.definitions", Value::Str(tools.get()));
                }
                if messages.more {
                    out.put(INPUT, Value::Str(text));
                }
            }
        }
        ObservationType::Tool => out.put("gen_ai.tool.call.arguments", Value::Str(text)),
        ObservationType::Retriever => match Object::read(text) {
            None if !json::is_structure(text) => out.put("gen_ai.retrieval.query.text", Value::Str(text)),
            object => {
                if let Some(query) = object.and_then(|object| object.text("query")) {
                    out.put("gen_ai.retrieval.query.text", Value::Str(&query));
                }
                out.put(INPUT, Value::Str(text));
            }
        },
        _ => out.put(INPUT, Value::Str(text)),
    }
}

pub(super) fn output(out: &mut Attributes<'_>, kind: ObservationType, text: &str) {
    match kind {
        ObservationType::Generation | ObservationType::Agent => {
            let messages = Messages::of_output(text);
            let said = conversation(messages.as_ref(), text, "assistant", true);
            out.put("gen_ai.output.messages", Value::Str(&said));
            let Some(messages) = messages else { return };
            if let Some(model) = &messages.model {
                out.put("gen_ai.response.model", Value::Str(model));
            }
            if let Some(id) = &messages.id {
                out.put("gen_ai.response.id", Value::Str(id));
            }
            let reasons = messages.list.iter().filter_map(|message| message.finish_reason.as_deref());
            let reasons: Vec<String> = reasons.map(str::to_owned).collect();
            out.put("gen_ai.response.finish_reasons", Value::Strs(&reasons));
            if messages.more {
                out.put(OUTPUT, Value::Str(text));
            }
        }
        ObservationType::Tool => out.put("gen_ai.tool.call.result", Value::Str(text)),
        ObservationType::Retriever if is_documents(text) => {
            out.put("gen_ai.retrieval.documents", Value::Str(text));
        }
        _ => out.put(OUTPUT, Value::Str(text)),
    }
}

/// The convention's documents are objects.
fn is_documents(text: &str) -> bool {
    json::list(text).is_some_and(|list| list.iter().all(|raw| raw.get().starts_with('{')))
}

/// The convention's list of messages. A value that holds none is one message of `role` with the value as its text.
fn conversation(messages: Option<&Messages<'_>>, text: &str, role: &str, answer: bool) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    out.push('[');
    match messages {
        Some(messages) => {
            for message in &messages.list {
                if out.len() > 1 {
                    out.push(',');
                }
                write_message(&mut out, message, answer);
            }
        }
        None => {
            out.push_str("{\"role\":");
            quote(&mut out, role);
            out.push_str(",\"parts\":[{\"type\":\"text\",\"content\":");
            quote(&mut out, text);
            out.push_str("}]");
            out.push_str(if answer { ",\"finish_reason\":\"unknown\"}" } else { "}" });
        }
    }
    out.push(']');
    out
}

fn write_message(out: &mut String, message: &Message<'_>, answer: bool) {
    if message.members.get("parts").is_some() {
        // In the convention's form already.
        out.push_str(message.raw);
        return;
    }
    out.push_str("{\"role\":");
    quote(out, &message.role);
    out.push_str(",\"parts\":[");
    for (at, part) in message.parts().iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_part(out, part);
    }
    out.push(']');
    if answer {
        member(out, "finish_reason", message.finish_reason.as_deref().or(Some("unknown")));
    }
    let told = ["role", "content", "tool_calls", "tool_call_id", "finish_reason"];
    for (name, raw) in
        message.members.members().filter(|(name, raw)| !told.contains(name) && raw.get() != "null")
    {
        raw_member(out, name, raw.get());
    }
    out.push('}');
}

fn write_part(out: &mut String, part: &Part<'_>) {
    let mut of = |kind: &str| {
        out.push_str("{\"type\":");
        quote(out, kind);
    };
    match part {
        Part::Text(text) => {
            of("text");
            member(out, "content", Some(text));
        }
        Part::Reasoning(text) => {
            of("reasoning");
            member(out, "content", Some(text));
        }
        Part::Image(address) => {
            let blob = address
                .strip_prefix("data:")
                .and_then(|rest| rest.split_once(";base64,"))
                .filter(|(kind, _)| kind.starts_with("image/"));
            of(if blob.is_some() { "blob" } else { "uri" });
            member(out, "modality", Some("image"));
            match blob {
                Some((kind, content)) => {
                    member(out, "mime_type", Some(kind));
                    member(out, "content", Some(content));
                }
                None => member(out, "uri", Some(address)),
            }
        }
        Part::ToolCall { id, name, arguments } => {
            of("tool_call");
            member(out, "id", id.as_deref());
            member(out, "name", Some(name));
            match arguments {
                Some(json) if json::is_structure(json) => raw_member(out, "arguments", json),
                text => member(out, "arguments", text.as_deref()),
            }
        }
        Part::ToolResponse { id, response } => {
            of("tool_call_response");
            member(out, "id", id.as_deref());
            raw_member(out, "response", response);
        }
        Part::Other(json) => {
            if Object::read(json).is_some_and(|object| object.text("type").is_some()) {
                out.push_str(json);
                return;
            }
            of("json");
            raw_member(out, "content", json);
        }
    }
    out.push('}');
}

fn member(out: &mut String, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        out.push(',');
        quote(out, name);
        out.push(':');
        quote(out, text);
    }
}

fn raw_member(out: &mut String, name: &str, json: &str) {
    out.push(',');
    quote(out, name);
    out.push(':');
    out.push_str(json);
}

pub(super) fn model(out: &mut Attributes<'_>, name: &str) {
    out.put("gen_ai.request.model", Value::Str(name));
    if let Some(provider) = provider::of_model(name) {
        out.put("gen_ai.provider.name", Value::Str(provider.gen_ai));
    }
}

/// A parameter's attribute and type.
enum Parameter {
    Whole(&'static str),
    Number(&'static str),
    Flag(&'static str),
    Texts(&'static str),
}

fn parameter(name: &str) -> Option<Parameter> {
    use Parameter::{Flag, Number, Texts, Whole};
    Some(match name {
        "temperature" => Number("gen_ai.request.temperature"),
        "top_p" => Number("gen_ai.request.top_p"),
        "top_k" => Number("gen_ai.request.top_k"),
        "frequency_penalty" => Number("gen_ai.request.frequency_penalty"),
        "presence_penalty" => Number("gen_ai.request.presence_penalty"),
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => Whole("gen_ai.request.max_tokens"),
        "seed" => Whole("gen_ai.request.seed"),
        "n" => Whole("gen_ai.request.choice.count"),
        "dimensions" => Whole("gen_ai.embeddings.dimension.count"),
        "stream" => Flag("gen_ai.request.stream"),
        "stop" | "stop_sequences" => Texts("gen_ai.request.stop_sequences"),
        "encoding_format" => Texts("gen_ai.request.encoding_formats"),
        _ => return None,
    })
}

/// Parameters that the convention knows, in its types; the others under their own names.
pub(super) fn model_parameters(out: &mut Attributes<'_>, text: &str) {
    let Some(object) = Object::read(text) else {
        return out.put(MODEL_PARAMETERS, Value::Str(text));
    };
    for (name, raw) in object.members() {
        if !parameter(name).is_some_and(|parameter| put_parameter(out, parameter, raw)) {
            out.json(MODEL_PARAMETERS, name, raw);
        }
    }
}

/// False where the value is none of the parameter's type, or the attribute is taken.
fn put_parameter(out: &mut Attributes<'_>, parameter: Parameter, raw: &RawValue) -> bool {
    let texts;
    let (key, value) = match parameter {
        Parameter::Whole(key) => (key, json::whole(raw).map(Value::Int)),
        Parameter::Number(key) => (key, json::number(raw).map(Value::Double)),
        Parameter::Flag(key) => (key, raw.get().parse().ok().map(Value::Bool)),
        Parameter::Texts(key) => {
            let one = || json::string(raw).map(|text| vec![text.into_owned()]);
            let several = || {
                let list = json::list(raw.get())?;
                list.into_iter().map(|raw| json::string(raw).map(Cow::into_owned)).collect()
            };
            texts = one().or_else(several).unwrap_or_default();
            (key, (!texts.is_empty()).then_some(Value::Strs(&texts)))
        }
    };
    let Some(value) = value.filter(|_| !out.has(key)) else { return false };
    out.put(key, value);
    true
}

pub(super) fn usage(count: Count) -> &'static [&'static str] {
    match count {
        Count::Input => &["gen_ai.usage.input_tokens"],
        Count::Output => &["gen_ai.usage.output_tokens"],
        Count::CacheRead => &["gen_ai.usage.cache_read.input_tokens"],
        // The second is its name in earlier releases of the convention, and all that some backends read.
        Count::CacheWrite => {
            &["gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"]
        }
        Count::InputAudio => &["gen_ai.usage.audio.input_tokens"],
        Count::OutputAudio => &["gen_ai.usage.audio.output_tokens"],
        Count::Reasoning => &["gen_ai.usage.reasoning.output_tokens"],
        Count::Total => &[],
    }
}
