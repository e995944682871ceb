//! OpenInference: <https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html>.

use std::fmt::Write as _;

use super::counts::Count;
use super::dialect::{Attributes, MODEL_PARAMETERS};
use super::json::{self, Object};
use super::messages::{Messages, Part};
use super::otlp::Value;
use super::provider;
use crate::attr::ObservationType;
use crate::json::quote;

/// The kind; what the convention has no word for is a step of a chain.
pub(super) fn kind(out: &mut Attributes<'_>, kind: ObservationType) {
    let word = match kind {
        ObservationType::Generation => "LLM",
        ObservationType::Embedding => "EMBEDDING",
        ObservationType::Agent => "AGENT",
        ObservationType::Tool => "TOOL",
        ObservationType::Retriever => "RETRIEVER",
        ObservationType::Evaluator => "EVALUATOR",
        ObservationType::Guardrail => "GUARDRAIL",
        ObservationType::Chain | ObservationType::Span | ObservationType::Event => "CHAIN",
    };
    out.put("openinference.span.kind", Value::Str(word));
}

fn mime_type(text: &str) -> &'static str {
    if json::is_structure(text) { "application/json" } else { "text/plain" }
}

pub(super) fn input(out: &mut Attributes<'_>, kind: ObservationType, text: &str) {
    out.put("input.value", Value::Str(text));
    out.put("input.mime_type", Value::Str(mime_type(text)));
    match kind {
        ObservationType::Generation => {
            if let Some(messages) = Messages::of_input(text) {
                flatten(out, "llm.input_messages", &messages);
                let tools = messages.tools.and_then(|tools| json::list(tools.get())).unwrap_or_default();
                for (at, tool) in tools.into_iter().enumerate() {
                    out.under("llm.tools", &format!("{at}.tool.json_schema"), Value::Str(tool.get()));
                }
            }
        }
        ObservationType::Embedding => {
            let mut embed = |at: usize, text: &str| {
                let key = format!("{at}.embedding.text");
                out.under("embedding.embeddings", &key, Value::Str(text));
            };
            match json::list(text) {
                Some(texts) => {
                    let texts = texts.into_iter().filter_map(json::string);
                    texts.enumerate().for_each(|(at, text)| embed(at, &text));
                }
                None if text.len() <= json::LOOKED_INTO => embed(0, text),
                None => {}
            }
        }
        _ => {}
    }
}

pub(super) fn output(out: &mut Attributes<'_>, kind: ObservationType, text: &str) {
    out.put("output.value", Value::Str(text));
    out.put("output.mime_type", Value::Str(mime_type(text)));
    match kind {
        ObservationType::Generation => {
            if let Some(messages) = Messages::of_output(text) {
                flatten(out, "llm.output_messages", &messages);
                if let Some(reason) =
                    messages.list.iter().find_map(|message| message.finish_reason.as_deref())
                {
                    out.put("llm.finish_reason", Value::Str(reason));
                }
                if let Some(model) = &messages.model {
                    out.put("llm.response.model_name", Value::Str(model));
                }
            }
        }
        ObservationType::Retriever => documents(out, text),
        _ => {}
    }
}

/// `llm.input_messages.0.message.role` and so on.
fn flatten(out: &mut Attributes<'_>, prefix: &str, messages: &Messages<'_>) {
    let mut key = String::new();
    for (at, message) in messages.list.iter().enumerate() {
        let mut say = |name: std::fmt::Arguments<'_>, text: &str| {
            key.clear();
            let _ = write!(key, "{at}.message.{name}");
            out.under(prefix, &key, Value::Str(text));
        };
        say(format_args!("role"), &message.role);
        for (member, name) in [("name", "name"), ("tool_call_id", "tool_call_id")] {
            if let Some(text) = message.members.text(member) {
                say(format_args!("{name}"), &text);
            }
        }
        let only_text = message.text();
        if let Some(text) = &only_text {
            say(format_args!("content"), text);
        }
        let (mut contents, mut calls) = (0, 0);
        for part in message.parts() {
            match part {
                Part::ToolCall { id, name, arguments } => {
                    let call = format!("tool_calls.{calls}.tool_call");
                    calls += 1;
                    if let Some(id) = id {
                        say(format_args!("{call}.id"), &id);
                    }
                    say(format_args!("{call}.function.name"), &name);
                    if let Some(arguments) = arguments {
                        say(format_args!("{call}.function.arguments"), &arguments);
                    }
                }
                // Said already, as the message's one content.
                _ if only_text.is_some() => {}
                Part::ToolResponse { response, .. } => say(format_args!("content"), response),
                part => {
                    let content = format!("contents.{contents}.message_content");
                    contents += 1;
                    let (kind, name, text) = match &part {
                        Part::Reasoning(text) => ("reasoning", "text", &**text),
                        Part::Image(address) => ("image", "image.image.url", &**address),
                        Part::Text(text) => ("text", "text", &**text),
                        Part::Other(json) => ("text", "text", *json),
                        Part::ToolCall { .. } | Part::ToolResponse { .. } => continue,
                    };
                    say(format_args!("{content}.type"), kind);
                    say(format_args!("{content}.{name}"), text);
                }
            }
        }
    }
}

/// What a retriever found: texts, or objects that hold one.
fn documents(out: &mut Attributes<'_>, text: &str) {
    const PREFIX: &str = "retrieval.documents";
    const CONTENT: [&str; 4] = ["content", "page_content", "text", "document"];
    let list = json::list(text).or_else(|| json::list(Object::read(text)?.get("documents")?.get()));
    for (at, raw) in list.unwrap_or_default().into_iter().enumerate() {
        let mut say =
            |name: &str, value: Value<'_>| out.under(PREFIX, &format!("{at}.document.{name}"), value);
        if let Some(text) = json::string(raw) {
            say("content", Value::Str(&text));
            continue;
        }
        let Some(document) = Object::of(raw) else { continue };
        let content = document.first(&CONTENT);
        if let Some((_, content)) = content {
            say("content", Value::Str(&json::plain(content)));
        }
        if let Some(id) = document.get("id") {
            say("id", Value::Str(&json::plain(id)));
        }
        let score = document.get("score").and_then(json::number);
        if let Some(score) = score {
            say("score", Value::Double(score));
        }
        let mut rest = String::new();
        for (name, raw) in document.members() {
            let said = content.is_some_and(|(at, _)| CONTENT[at] == name)
                || name == "id"
                || (name == "score" && score.is_some());
            if !said {
                rest.push(if rest.is_empty() { '{' } else { ',' });
                quote(&mut rest, name);
                rest.push(':');
                rest.push_str(raw.get());
            }
        }
        if !rest.is_empty() {
            rest.push('}');
            say("metadata", Value::Str(&rest));
        }
    }
}

pub(super) fn model(out: &mut Attributes<'_>, kind: ObservationType, name: &str) {
    if kind == ObservationType::Embedding {
        // The convention uses neither provider nor system here.
        return out.put("embedding.model_name", Value::Str(name));
    }
    out.put("llm.model_name", Value::Str(name));
    if let Some(provider) = provider::of_model(name) {
        out.put("llm.provider", Value::Str(provider.openinference));
        if let Some(maker) = provider::of_model(name.rsplit('/').next().unwrap_or_default()) {
            out.put("llm.system", Value::Str(maker.openinference));
        }
    }
}

pub(super) fn model_parameters(out: &mut Attributes<'_>, kind: ObservationType, text: &str) {
    if Object::read(text).is_none() {
        return out.put(MODEL_PARAMETERS, Value::Str(text));
    }
    out.put(
        if kind == ObservationType::Embedding {
            "embedding.invocation_parameters"
        } else {
            "llm.invocation_parameters"
        },
        Value::Str(text),
    );
}

pub(super) fn usage(count: Count) -> &'static [&'static str] {
    match count {
        Count::Input => &["llm.token_count.prompt"],
        Count::Output => &["llm.token_count.completion"],
        Count::Total => &["llm.token_count.total"],
        Count::CacheRead => &["llm.token_count.prompt_details.cache_read"],
        Count::CacheWrite => &["llm.token_count.prompt_details.cache_write"],
        Count::InputAudio => &["llm.token_count.prompt_details.audio"],
        Count::OutputAudio => &["llm.token_count.completion_details.audio"],
        Count::Reasoning => &["llm.token_count.completion_details.reasoning"],
    }
}

pub(super) fn cost(count: Count) -> &'static [&'static str] {
    match count {
        Count::Input => &["llm.cost.prompt"],
        Count::Output => &["llm.cost.completion"],
        Count::Total => &["llm.cost.total"],
        Count::CacheRead => &["llm.cost.prompt_details.cache_read"],
        Count::CacheWrite => &["llm.cost.prompt_details.cache_write"],
        Count::InputAudio => &["llm.cost.prompt_details.audio"],
        Count::OutputAudio => &["llm.cost.completion_details.audio"],
        Count::Reasoning => &["llm.cost.completion_details.reasoning"],
    }
}
