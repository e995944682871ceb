//! Attributes of other instrumentation's spans, scopes and resources, as every server reads them.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tracespool_core::encode::foreign::{Any, Foreign, Part};
use tracespool_core::encode::otlp::Value;
use tracespool_core::filter;

use crate::names::Names;
use crate::value::{Captured, Scratch, capture_text, for_each_item};

/// The name of a span's scope; empty without one.
pub(crate) fn scope_name(names: &Names, span: &Bound<'_, PyAny>) -> String {
    let py = span.py();
    span.getattr(names.instrumentation_scope.bind(py))
        .and_then(|scope| scope.getattr(names.name.bind(py)))
        .map(|name| text(&name).into_owned())
        .unwrap_or_default()
}

/// Whether a span has an attribute of the conventions for generative AI.
pub(crate) fn is_genai(names: &Names, span: &Bound<'_, PyAny>) -> PyResult<bool> {
    let mut found = false;
    for_each_attribute(names, span, |key, _| {
        found |= key.starts_with(filter::GENAI_PREFIX);
        Ok(())
    })?;
    Ok(found)
}

/// The `tracestate` text of a span context.
pub(crate) fn trace_state(names: &Names, context: &Bound<'_, PyAny>) -> String {
    let state = context.getattr(names.trace_state.bind(context.py()));
    match state {
        Ok(state) if state.is_truthy().unwrap_or(false) => {
            state.call_method0("to_header").map(|header| text(&header).into_owned()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Adds the attributes of an event or a link.
pub(crate) fn part_attributes(names: &Names, of: &Bound<'_, PyAny>, part: &mut Part) -> PyResult<()> {
    for_each_attribute(names, of, |key, value| with_any(value, |any| part.attribute(key, any)).map(drop))
}

/// Calls `each` with the attributes of a span, scope, resource, event or link.
pub(crate) fn for_each_attribute<'py>(
    names: &Names,
    of: &Bound<'py, PyAny>,
    mut each: impl FnMut(&str, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let py = of.py();
    let Ok(attributes) = of.getattr(names.attributes.bind(py)) else { return Ok(()) };
    if attributes.is_none() {
        return Ok(());
    }
    // A plain dict: OpenTelemetry's own mapping takes a lock for each item.
    let copied = attributes.call_method0(names.copy.bind(py)).ok();
    let dict = match copied.and_then(|copy| copy.cast_into::<PyDict>().ok()) {
        Some(dict) => dict,
        None => py.get_type::<PyDict>().call1((attributes,))?.cast_into::<PyDict>()?,
    };
    for_each_item(&dict, |key, value| {
        if value.is_none() {
            return Ok(());
        }
        let key = text(key);
        if key.is_empty() { Ok(()) } else { each(&key, value) }
    })
}

/// Text as it is; what has no UTF-8 form is mended.
pub(crate) fn text<'a>(value: &'a Bound<'_, PyAny>) -> Cow<'a, str> {
    match value.cast::<PyString>() {
        Ok(text) => text.to_string_lossy(),
        Err(_) => value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default().into(),
    }
}

/// Adds an attribute; false for a value that is no attribute's.
pub(crate) fn attribute(foreign: &mut Foreign, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    with_any(value, |any| foreign.attribute(key, None, any))
}

/// Calls `put` with a value as every server reads it: scalars and lists of one kind as they are, anything else as JSON text.
pub(crate) fn with_any(value: &Bound<'_, PyAny>, put: impl FnOnce(Any<'_>)) -> PyResult<bool> {
    if let Ok(text) = value.cast::<PyString>() {
        put(Any::One(Value::Str(&text.to_string_lossy())));
        return Ok(true);
    }
    if let Some(scalar) = scalar(value) {
        put(Any::One(scalar));
        return Ok(true);
    }
    if let Ok(bytes) = value.cast::<PyBytes>()
        && let Ok(text) = std::str::from_utf8(bytes.as_bytes())
    {
        put(Any::One(Value::Str(text)));
        return Ok(true);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items: Vec<Bound<'_, PyAny>> = value.try_iter()?.collect::<PyResult<_>>()?;
        let texts: Vec<Option<Cow<'_, str>>> = items
            .iter()
            .map(|item| item.cast::<PyString>().ok().map(|text| text.to_string_lossy()))
            .collect();
        let values: Option<Vec<Value<'_>>> = items
            .iter()
            .zip(&texts)
            .map(|(item, text)| text.as_deref().map(Value::Str).or_else(|| scalar(item)))
            .collect();
        let one_kind = |values: &[Value<'_>]| {
            values.windows(2).all(|pair| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1]))
        };
        if let Some(values) = values.filter(|values| !values.is_empty() && one_kind(values)) {
            put(Any::List(&values));
            return Ok(true);
        }
    }
    let scratch = &mut Scratch::take();
    match capture_text(value, scratch)? {
        Captured::Text(text) => put(Any::One(Value::Str(text))),
        Captured::Encoded => put(Any::One(Value::Str(scratch.text()))),
        _ => return Ok(false),
    }
    Ok(true)
}

fn scalar(value: &Bound<'_, PyAny>) -> Option<Value<'static>> {
    if let Ok(flag) = value.cast::<PyBool>() {
        Some(Value::Bool(flag.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        value.extract().ok().map(Value::Int)
    } else if value.is_instance_of::<PyFloat>() {
        value.extract().ok().map(Value::Double)
    } else {
        None
    }
}
