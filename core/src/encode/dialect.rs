//! Whose attributes an observation is written in: Langfuse's own, or those of a convention that other backends read.
//!
//! A translation happens in the call that passes a value, like any encoding. One field may become several attributes;
//! they stand together in the observation's buffer, so that setting the field again replaces all of them. What a
//! convention has no field for goes out under `tracespool.*`, so that nothing is lost. The tables are in `docs/otlp.md`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::counts::numbers;
use super::json;
use super::otlp::{self, Value};
use super::{gen_ai, openinference};
use crate::attr::{Field, ObservationType};
use crate::full::{FULL, Full};
use crate::json::quote;
use crate::time::parse_rfc3339;

/// A vocabulary of span attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `langfuse.*`, for Langfuse servers.
    #[default]
    Langfuse,
    /// OpenInference, for Arize Phoenix and others: <https://arize-ai.github.io/openinference/spec/>.
    OpenInference,
    /// OpenTelemetry's conventions for generative AI: <https://opentelemetry.io/docs/specs/semconv/gen-ai/>.
    GenAi,
}

impl Dialect {
    /// The word in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Langfuse => "langfuse",
            Self::OpenInference => "openinference",
            Self::GenAi => "gen_ai",
        }
    }

    /// Reads the word; any case.
    ///
    /// # Errors
    ///
    /// A sentence that names the words there are.
    pub fn parse(word: &str) -> Result<Self, String> {
        [Self::Langfuse, Self::OpenInference, Self::GenAi]
            .into_iter()
            .find(|dialect| dialect.as_str().eq_ignore_ascii_case(word.trim()))
            .ok_or_else(|| {
                format!(
                    "dialect {:?} is none of langfuse, openinference, gen_ai",
                    word.chars().take(40).collect::<String>()
                )
            })
    }
}

// What no convention has a field for.
const TYPE: &str = "tracespool.type";
pub(super) const INPUT: &str = "tracespool.input";
pub(super) const OUTPUT: &str = "tracespool.output";
pub(super) const USAGE: &str = "tracespool.usage";
pub(super) const COST: &str = "tracespool.cost";
pub(super) const MODEL_PARAMETERS: &str = "tracespool.model_parameters";
pub(super) const METADATA: &str = "tracespool.metadata";
pub(super) const TRACE_METADATA: &str = "tracespool.trace.metadata";

/// Span kinds of OTLP.
pub(super) const INTERNAL: u8 = 1;
pub(super) const CLIENT: u8 = 3;

/// An exception's stack keeps this much: enough for any trace that a person reads.
const STACK_BYTES: usize = 16 * 1024;

/// Writes one observation's fields in another dialect than Langfuse's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translator {
    #[allow(dead_code)] // a proof
    full: Full,
    dialect: Dialect,
    kind: ObservationType,
    /// When the observation started, nanoseconds since 1970.
    start: u64,
}

impl Translator {
    /// `None` for Langfuse's own, which needs no translation.
    pub(crate) fn new(dialect: Dialect, kind: ObservationType, start: u64) -> Option<Self> {
        let full = FULL?;
        (dialect != Dialect::Langfuse).then_some(Self { full, dialect, kind, start })
    }

    /// Metadata is one JSON object here, not an attribute for each key.
    pub(crate) fn gathers_metadata(&self) -> bool {
        self.dialect == Dialect::OpenInference
    }

    /// What stands before the metadata's keys.
    pub(crate) fn metadata_prefix(&self, trace: bool) -> &'static str {
        if trace { TRACE_METADATA } else { METADATA }
    }

    /// The span's kind, as OTLP numbers them.
    pub(crate) fn span_kind(&self) -> u8 {
        match self.dialect {
            Dialect::GenAi => gen_ai::span_kind(self.kind),
            _ => INTERNAL,
        }
    }

    /// Appends everything that a field becomes.
    pub(crate) fn field(&self, out: &mut Vec<u8>, field: Field, value: Value<'_>) {
        let mut out = Attributes::new(out);
        let text = as_text(value);
        match field {
            Field::Type => {
                out.put(TYPE, value);
                match self.dialect {
                    Dialect::GenAi => gen_ai::kind(&mut out, self.kind),
                    _ => openinference::kind(&mut out, self.kind),
                }
            }
            Field::Input => match self.dialect {
                Dialect::GenAi => gen_ai::input(&mut out, self.kind, &text),
                _ => openinference::input(&mut out, self.kind, &text),
            },
            Field::Output => match self.dialect {
                Dialect::GenAi => gen_ai::output(&mut out, self.kind, &text),
                _ => openinference::output(&mut out, self.kind, &text),
            },
            Field::Model => match self.dialect {
                Dialect::GenAi => gen_ai::model(&mut out, &text),
                _ => openinference::model(&mut out, self.kind, &text),
            },
            Field::ModelParameters => match self.dialect {
                Dialect::GenAi => gen_ai::model_parameters(&mut out, &text),
                _ => openinference::model_parameters(&mut out, self.kind, &text),
            },
            Field::UsageDetails => numbers(&mut out, &text, USAGE, |count| match self.dialect {
                Dialect::GenAi => (gen_ai::usage(count), false),
                _ => (openinference::usage(count), false),
            }),
            Field::CostDetails => numbers(&mut out, &text, COST, |count| match self.dialect {
                Dialect::GenAi => (&[], true),
                _ => (openinference::cost(count), true),
            }),
            Field::CompletionStartTime => self.first_token(&mut out, &text),
            Field::PromptName => match self.dialect {
                Dialect::GenAi => out.put("gen_ai.prompt.name", value),
                _ => out.put("prompt.id", value),
            },
            Field::PromptVersion => match self.dialect {
                Dialect::GenAi => out.put("tracespool.prompt.version", value),
                _ => out.put("llm.prompt_template.version", Value::Str(&text)),
            },
            Field::SessionId => {
                out.put("session.id", value);
                if self.dialect == Dialect::GenAi {
                    out.put("gen_ai.conversation.id", value);
                }
            }
            Field::TraceTags => match self.dialect {
                Dialect::GenAi => out.put("tracespool.trace.tags", value),
                _ => out.put("tag.tags", value),
            },
            Field::UserId => out.put("user.id", value),
            Field::Environment => out.put("deployment.environment.name", value),
            Field::Release => out.put("service.version", value),
            Field::Metadata => out.put(METADATA, value),
            Field::Level => out.put("tracespool.level", value),
            Field::StatusMessage => out.put("tracespool.status_message", value),
            Field::Version => out.put("tracespool.version", value),
            Field::TraceName => out.put("tracespool.trace.name", value),
            Field::TracePublic => out.put("tracespool.trace.public", value),
            Field::ExperimentId => out.put("tracespool.experiment.id", value),
            Field::ExperimentName => out.put("tracespool.experiment.name", value),
            Field::ExperimentDescription => out.put("tracespool.experiment.description", value),
            Field::ExperimentMetadata => out.put("tracespool.experiment.metadata", value),
            Field::ExperimentDatasetId => out.put("tracespool.experiment.dataset.id", value),
            Field::ExperimentItemId => out.put("tracespool.experiment.item.id", value),
            Field::ExperimentItemVersion => out.put("tracespool.experiment.item.version", value),
            Field::ExperimentItemExpectedOutput => {
                out.put("tracespool.experiment.item.expected_output", value)
            }
            Field::ExperimentItemMetadata => out.put("tracespool.experiment.item.metadata", value),
            Field::ExperimentItemRoot => out.put("tracespool.experiment.item.root_observation_id", value),
            // Marks for Langfuse's own reading of a trace.
            Field::AppRoot | Field::AsRoot => {}
        }
    }

    /// When the first token came; the value is JSON text.
    fn first_token(&self, out: &mut Attributes<'_>, text: &str) {
        let moment = text.trim().trim_matches('"');
        out.put("tracespool.completion_start_time", Value::Str(moment));
        if self.dialect == Dialect::GenAi
            && let Some(nanos) = parse_rfc3339(moment)
            && let Some(waited) = nanos.checked_sub(self.start)
        {
            #[allow(clippy::cast_precision_loss)]
            let seconds = waited as f64 / 1e9;
            out.put("gen_ai.response.time_to_first_chunk", Value::Double(seconds));
        }
    }

    /// What was raised: an event as OpenTelemetry writes exceptions, and the error's type.
    pub(crate) fn exception(&self, out: &mut Vec<u8>, at: u64, kind: &str, message: &str, stack: &str) {
        // The end of a stack is where it was raised.
        let from = (0..=stack.len())
            .find(|at| stack.len() - at <= STACK_BYTES && stack.is_char_boundary(*at))
            .unwrap_or_default();
        let attributes = [
            ("exception.type", kind),
            ("exception.message", message),
            ("exception.stacktrace", stack.get(from..).unwrap_or_default()),
        ];
        let said = attributes.map(|(key, text)| (key, Value::Str(text)));
        let said: &[(&str, Value<'_>)] = if stack.is_empty() { &said[..2] } else { &said };
        otlp::event(out, at, "exception", said);
        Attributes::new(out).put("error.type", Value::Str(if kind.is_empty() { OTHER_ERROR } else { kind }));
    }

    /// The metadata as one JSON object, of keys and of values that are JSON already. Where the trace's metadata and the
    /// observation's own have a key in common, the trace's value goes under its own name.
    pub(crate) fn metadata(&self, out: &mut Vec<u8>, own: &[(&[u8], &[u8])], traces: &[(&[u8], &[u8])]) {
        fn text(bytes: &[u8]) -> &str {
            std::str::from_utf8(bytes).unwrap_or_default()
        }
        let mut all = String::new();
        let mut add = |key: &[u8], value: &[u8]| {
            all.push(if all.is_empty() { '{' } else { ',' });
            quote(&mut all, text(key));
            all.push(':');
            all.push_str(text(value));
        };
        for (key, value) in own {
            add(key, value);
        }
        for (key, value) in traces {
            if own.iter().any(|(other, _)| other == key) {
                let _ = otlp::attribute(out, TRACE_METADATA, Some(text(key)), Value::Str(text(value)));
            } else {
                add(key, value);
            }
        }
        if !all.is_empty() {
            all.push('}');
            let _ = otlp::attribute(out, "metadata", None, Value::Str(&all));
        }
    }

    /// What is known only at the end: what the name stands for, and that an error has no better type.
    pub(crate) fn close(&self, out: &mut Vec<u8>, name: &str, untyped_error: bool) {
        let mut out = Attributes::new(out);
        let key = match (self.dialect, self.kind) {
            (Dialect::GenAi, ObservationType::Agent) => "gen_ai.agent.name",
            (Dialect::GenAi, ObservationType::Tool) => "gen_ai.tool.name",
            (_, ObservationType::Agent) => "agent.name",
            (_, ObservationType::Tool) => "tool.name",
            _ => "",
        };
        if !key.is_empty() && !name.is_empty() {
            out.put(key, Value::Str(name));
        }
        if untyped_error {
            out.put("error.type", Value::Str(OTHER_ERROR));
        }
    }
}

/// The word of OpenTelemetry's conventions for an error without a type.
const OTHER_ERROR: &str = "_OTHER";

/// The attributes of one field, appended to an observation's buffer. Of one key, the first value stays.
pub(super) struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    keys: Vec<&'static str>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, keys: Vec::new() }
    }

    /// Writes an attribute of the convention.
    pub(super) fn put(&mut self, key: &'static str, value: Value<'_>) {
        if !self.has(key) {
            self.keys.push(key);
            let _ = otlp::attribute(self.out, key, None, value);
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    /// Writes an attribute whose key is made of two; the caller vouches that it is written once.
    pub(super) fn under(&mut self, prefix: &str, key: &str, value: Value<'_>) {
        let _ = otlp::attribute(self.out, prefix, Some(key), value);
    }

    /// A JSON value as an attribute: scalars as themselves, `null` not at all.
    pub(super) fn json(&mut self, prefix: &str, key: &str, raw: &RawValue) {
        match raw.get() {
            "null" => {}
            "true" => self.under(prefix, key, Value::Bool(true)),
            "false" => self.under(prefix, key, Value::Bool(false)),
            text => match (text.parse::<i64>(), json::number(raw)) {
                (Ok(whole), _) => self.under(prefix, key, Value::Int(whole)),
                (_, Some(number)) => self.under(prefix, key, Value::Double(number)),
                _ => self.under(prefix, key, Value::Str(&json::plain(raw))),
            },
        }
    }
}

/// Any value as text: what is no text as JSON.
fn as_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Utf8(text) => String::from_utf8_lossy(text),
        Value::Int(number) => number.to_string().into(),
        Value::Double(number) => number.to_string().into(),
        Value::Bool(flag) => if flag { "true" } else { "false" }.into(),
        Value::Strs(texts) => {
            let mut out = String::from("[");
            for text in texts {
                if out.len() > 1 {
                    out.push(',');
                }
                quote(&mut out, text);
            }
            out.push(']');
            out.into()
        }
    }
}

/// A metadata value as JSON: text that is an object or a list stays one.
pub(crate) fn as_json(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Str(text) => quoted(text),
        Value::Utf8(text) => quoted(&String::from_utf8_lossy(text)).into_owned().into(),
        Value::Double(number) if !number.is_finite() => quoted(&number.to_string()).into_owned().into(),
        Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Strs(_) => as_text(value),
    }
}

fn quoted(text: &str) -> Cow<'_, str> {
    if json::is_structure(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, text);
    out.into()
}
