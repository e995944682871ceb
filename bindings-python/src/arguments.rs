//! What callers say of an observation, captured into its final bytes. Nothing that can be passed raises: what is not
//! usable is told once and left out.

use std::borrow::Cow;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tracespool_core::TraceContext;
use tracespool_core::attr::{Field, Level, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::{SpanId, TraceId, Traceparent};
use tracespool_core::media::{Media, MediaField};

use crate::handle::{Handle, MASK_FAILED};
use crate::notices::problem;
use crate::value::{Captured, Scratch, capture, capture_text, for_each_item};

/// Takes captured values: an observation, or what one will start with.
pub(crate) trait Sink {
    /// False where nobody would take anything, so that nothing needs to be encoded.
    fn wants(&mut self) -> bool;
    fn field(&mut self, field: Field, value: Value<'_>);
    fn metadata(&mut self, key: &str, value: Value<'_>);
    fn level(&mut self, level: Level);
    fn status_message(&mut self, text: &str);
    fn name(&mut self, text: &str);
    fn media(&mut self, field: MediaField, contents: Vec<Media>);
}

impl Sink for &tracespool_core::Observation {
    fn wants(&mut self) -> bool {
        self.is_recording()
    }
    fn field(&mut self, field: Field, value: Value<'_>) {
        self.set(field, value);
    }
    fn metadata(&mut self, key: &str, value: Value<'_>) {
        self.set_metadata(key, value);
    }
    fn level(&mut self, level: Level) {
        self.set_level(level);
    }
    fn status_message(&mut self, text: &str) {
        self.set_status_message(text);
    }
    fn name(&mut self, text: &str) {
        self.set_name(text);
    }
    fn media(&mut self, field: MediaField, contents: Vec<Media>) {
        for content in contents {
            self.attach(field, content);
        }
    }
}

/// One that nobody else has yet: without its lock.
impl Sink for &mut tracespool_core::Observation {
    fn wants(&mut self) -> bool {
        self.is_recording_mut()
    }
    fn field(&mut self, field: Field, value: Value<'_>) {
        self.set_mut(field, value);
    }
    fn metadata(&mut self, key: &str, value: Value<'_>) {
        self.set_metadata_mut(key, value);
    }
    fn level(&mut self, level: Level) {
        self.set_level(level);
    }
    fn status_message(&mut self, text: &str) {
        self.set_status_message(text);
    }
    fn name(&mut self, text: &str) {
        self.set_name(text);
    }
    fn media(&mut self, field: MediaField, contents: Vec<Media>) {
        for content in contents {
            self.attach(field, content);
        }
    }
}

type Argument<'a, 'py> = Option<Borrowed<'a, 'py, PyAny>>;

/// The arguments of `update` and of everything that starts an observation.
#[derive(Clone, Copy, Default)]
pub(crate) struct Given<'a, 'py> {
    pub(crate) input: Argument<'a, 'py>,
    pub(crate) output: Argument<'a, 'py>,
    pub(crate) metadata: Argument<'a, 'py>,
    pub(crate) version: Argument<'a, 'py>,
    pub(crate) level: Argument<'a, 'py>,
    pub(crate) status_message: Argument<'a, 'py>,
    pub(crate) completion_start_time: Argument<'a, 'py>,
    pub(crate) model: Argument<'a, 'py>,
    pub(crate) model_parameters: Argument<'a, 'py>,
    pub(crate) usage_details: Argument<'a, 'py>,
    pub(crate) cost_details: Argument<'a, 'py>,
    pub(crate) prompt: Argument<'a, 'py>,
}

impl Given<'_, '_> {
    /// Whether anything was given.
    pub(crate) fn any(&self) -> bool {
        let Self { input, output, metadata, version, level, status_message, .. } = self;
        let Self {
            completion_start_time, model, model_parameters, usage_details, cost_details, prompt, ..
        } = self;
        [input, output, metadata, version, level, status_message, completion_start_time]
            .into_iter()
            .chain([model, model_parameters, usage_details, cost_details, prompt])
            .any(Option::is_some)
    }

    /// Encodes and hands over everything that was given.
    ///
    /// # Errors
    ///
    /// Only what is no `Exception`, from the application's own code.
    pub(crate) fn apply(&self, handle: &Handle, sink: &mut impl Sink) -> PyResult<()> {
        if !sink.wants() {
            return Ok(());
        }
        let scratch = &mut Scratch::take();
        content(handle, sink, scratch, Field::Input, self.input.as_deref())?;
        content(handle, sink, scratch, Field::Output, self.output.as_deref())?;
        if let Some(metadata) = self.metadata {
            self::metadata(handle, sink, scratch, &metadata)?;
        }
        for (field, value) in [
            (Field::Version, self.version),
            (Field::Model, self.model),
            (Field::ModelParameters, self.model_parameters),
            (Field::UsageDetails, self.usage_details),
            (Field::CostDetails, self.cost_details),
        ] {
            if let Some(value) = value {
                let mapped =
                    matches!(field, Field::ModelParameters | Field::UsageDetails | Field::CostDetails);
                let put = |text: &str| {
                    // Servers read an object here and silently drop anything else.
                    if mapped && !text.starts_with('{') {
                        let argument = match field {
                            Field::ModelParameters => "model_parameters",
                            Field::UsageDetails => "usage_details",
                            _ => "cost_details",
                        };
                        let sentence = format!("{argument} {:?} is no mapping; it is ignored", shown(text));
                        problem(handle.public_key(), sentence);
                    } else {
                        sink.field(field, Value::Str(text));
                    }
                };
                if mapped { text(scratch, &value, put) } else { bare(scratch, &value, put) }?;
            }
        }
        if let Some(time) = self.completion_start_time {
            // Servers read JSON here, so that even text comes with its quotes.
            scratch.clear();
            crate::value::encode(&time, scratch)?;
            sink.field(Field::CompletionStartTime, Value::Str(scratch.text()));
        }
        if let Some(message) = self.status_message {
            bare(scratch, &message, |text| sink.status_message(text))?;
        }
        if let Some(level) = self.level {
            let word = level.str().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            // An enum's `str` names its class too.
            match Level::parse(word.rsplit('.').next().unwrap_or_default()) {
                Some(level) => sink.level(level),
                None => problem(
                    handle.public_key(),
                    format!(
                        "level {:?} is none of DEBUG, DEFAULT, WARNING, ERROR; it is ignored",
                        shown(&word)
                    ),
                ),
            }
        }
        if let Some(prompt) = self.prompt
            && let Some((name, version)) = prompt_link(&prompt)
        {
            sink.field(Field::PromptName, Value::Str(&name));
            sink.field(Field::PromptVersion, Value::Int(version));
        }
        Ok(())
    }
}

/// The name and version that link an observation to a prompt; `None` for a fallback, which no server knows.
pub(crate) fn prompt_link(prompt: &Bound<'_, PyAny>) -> Option<(String, i64)> {
    if let Ok(prompt) = prompt.cast::<PyDict>() {
        let name = prompt.get_item("name").ok()??.extract().ok()?;
        return Some((name, prompt.get_item("version").ok()??.extract().ok()?));
    }
    if prompt.getattr("is_fallback").is_ok_and(|fallback| fallback.is_truthy().unwrap_or(false)) {
        return None;
    }
    Some((prompt.getattr("name").ok()?.extract().ok()?, prompt.getattr("version").ok()?.extract().ok()?))
}

/// Input or output: masked, `None` is nothing, text as it is, the rest as JSON.
pub(crate) fn content(
    handle: &Handle,
    sink: &mut impl Sink,
    scratch: &mut Scratch,
    field: Field,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let Some(value) = value else { return Ok(()) };
    let masked;
    let value = if handle.masked() {
        match handle.mask(value)? {
            Some(value) => {
                masked = value;
                &masked
            }
            None => {
                sink.field(field, Value::Str(MASK_FAILED));
                return Ok(());
            }
        }
    } else {
        value
    };
    scratch.seek_media(handle.media());
    let captured = text(scratch, value, |text| sink.field(field, Value::Str(text)));
    let place = if field == Field::Output { MediaField::Output } else { MediaField::Input };
    hand_over(sink, scratch, place);
    captured
}

/// Hands over the media that were found.
pub(crate) fn hand_over(sink: &mut impl Sink, scratch: &mut Scratch, place: MediaField) {
    scratch.seek_media(false);
    if let Some(contents) = scratch.take_media() {
        sink.media(place, contents);
    }
}

/// One attribute for each top-level key; what is no mapping is one attribute.
fn metadata(
    handle: &Handle,
    sink: &mut impl Sink,
    scratch: &mut Scratch,
    given: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let masked;
    let given = if handle.masked() {
        match handle.mask(given)? {
            Some(value) => {
                masked = value;
                &masked
            }
            None => {
                let Ok(dict) = given.cast::<PyDict>() else {
                    sink.field(Field::Metadata, Value::Str(MASK_FAILED));
                    return Ok(());
                };
                return for_each_item(dict, |key, _| {
                    sink.metadata(&metadata_key(key)?, Value::Str(MASK_FAILED));
                    Ok(())
                });
            }
        }
    } else {
        given
    };
    scratch.seek_media(handle.media());
    let captured = metadata_values(sink, scratch, given);
    hand_over(sink, scratch, MediaField::Metadata);
    captured
}

fn metadata_values(sink: &mut impl Sink, scratch: &mut Scratch, given: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(dict) = given.cast::<PyDict>() else {
        return text(scratch, given, |text| sink.field(Field::Metadata, Value::Str(text)));
    };
    for_each_item(dict, |key, value| put_metadata(sink, &metadata_key(key)?, value, scratch))
}

/// One top-level key of the metadata.
pub(crate) fn put_metadata(
    sink: &mut impl Sink,
    key: &str,
    value: &Bound<'_, PyAny>,
    scratch: &mut Scratch,
) -> PyResult<()> {
    scratch.clear();
    match capture(value, scratch)? {
        Captured::Absent => {}
        Captured::Text(text) => sink.metadata(key, Value::Str(text)),
        Captured::Int(number) => sink.metadata(key, Value::Int(number)),
        Captured::Double(number) => sink.metadata(key, Value::Double(number)),
        Captured::Bool(flag) => sink.metadata(key, Value::Bool(flag)),
        Captured::Encoded => sink.metadata(key, Value::Str(scratch.text())),
    }
    Ok(())
}

/// A key of metadata: what is no `str` as `str()` has it.
pub(crate) fn metadata_key<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    if let Some(key) = key.cast::<PyString>().ok().and_then(|key| key.to_str().ok()) {
        return Ok(key.into());
    }
    match key.str() {
        Ok(key) => Ok(key.to_string_lossy().into_owned().into()),
        Err(error) if error.is_instance_of::<PyException>(key.py()) => plain(key).map(Cow::from),
        Err(error) => Err(error),
    }
}

/// Hands `value` as text to `put`; `None` is nothing.
pub(crate) fn text(scratch: &mut Scratch, value: &Bound<'_, PyAny>, put: impl FnOnce(&str)) -> PyResult<()> {
    scratch.clear();
    match capture_text(value, scratch)? {
        Captured::Text(text) => put(text),
        Captured::Encoded => put(scratch.text()),
        _ => {}
    }
    Ok(())
}

/// The same for a field that is text by nature: what is no `str` comes without the quotes of JSON.
fn bare(scratch: &mut Scratch, value: &Bound<'_, PyAny>, put: impl FnOnce(&str)) -> PyResult<()> {
    if value.is_exact_instance_of::<PyString>() || value.is_none() {
        return text(scratch, value, put);
    }
    plain(value).map(|text| put(&text))
}

/// A short text such as an id: a `str`, or what another value looks like without the quotes of JSON.
pub(crate) fn plain(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let scratch = &mut Scratch::take();
    Ok(match capture(value, scratch)? {
        Captured::Text(text) => text.to_owned(),
        Captured::Encoded => scratch.text().to_owned(),
        Captured::Absent => String::new(),
        Captured::Int(_) | Captured::Double(_) | Captured::Bool(_) => {
            scratch.clear();
            crate::value::encode(value, scratch)?;
            scratch.text().to_owned()
        }
    })
}

/// What the observation is; a word that nobody knows makes it a span.
pub(crate) fn kind_of(as_type: Option<&Bound<'_, PyAny>>, public_key: &str) -> ObservationType {
    let Some(as_type) = as_type else {
        return ObservationType::Span;
    };
    let word = as_type.cast::<PyString>().ok().and_then(|word| word.to_str().ok());
    word.and_then(ObservationType::parse).unwrap_or_else(|| {
        let given = plain(as_type).unwrap_or_default();
        problem(public_key, format!("as_type {:?} is none of span, generation, event, embedding, agent, tool, chain, retriever, evaluator, guardrail; span is used", shown(&given)));
        ObservationType::Span
    })
}

/// A `traceparent`, or a request's headers with one. `None` where it is something else; headers without a usable one are
/// no trace context, as W3C Trace Context asks.
#[allow(clippy::option_option)]
fn from_header(given: &Bound<'_, PyAny>) -> Option<Option<TraceContext>> {
    let parse = |header: &str| Traceparent::parse(header).map(TraceContext::from);
    if let Ok(header) = given.cast::<PyString>() {
        return Some(parse(&header.to_string_lossy()));
    }
    if given.get_item("trace_id").is_ok() {
        return None;
    }
    let header = ["traceparent", "Traceparent"].into_iter().find_map(|name| given.get_item(name).ok())?;
    Some(plain(&header).ok().as_deref().and_then(parse))
}

/// `{"trace_id": ..., "parent_span_id": ...}`, a `traceparent` or a request's headers; ids that no server would take are told and left out.
pub(crate) fn trace_context_of(given: Option<&Bound<'_, PyAny>>, public_key: &str) -> Option<TraceContext> {
    let given = given?;
    if let Some(found) = from_header(given) {
        return found;
    }
    let item = |key: &str| given.get_item(key).ok().filter(|value| !value.is_none());
    let trace_id = item("trace_id").and_then(|id| plain(&id).ok());
    let Some(trace) = trace_id.as_deref().and_then(TraceId::parse) else {
        problem(
            public_key,
            format!(
                "trace_context: trace_id {:?} is not 32 hexadecimal digits; it is ignored",
                shown(&trace_id.unwrap_or_default())
            ),
        );
        return None;
    };
    let parent = item("parent_span_id").and_then(|id| span_id_of(&id, public_key));
    Some(TraceContext::new(trace, parent))
}

/// An observation's id as an argument.
pub(crate) fn span_id_of(given: &Bound<'_, PyAny>, public_key: &str) -> Option<SpanId> {
    let id = plain(given).unwrap_or_default();
    let parsed = SpanId::parse(&id);
    if parsed.is_none() {
        problem(
            public_key,
            format!("observation id {:?} is not 16 hexadecimal digits; it is ignored", shown(&id)),
        );
    }
    parsed
}

/// A value as it may stand in a message: short.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
