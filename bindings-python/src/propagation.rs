//! `propagate_attributes` and what sets trace-level attributes on one observation.

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tracespool_core::attr::{Field, Level, OBSERVATION_METADATA, TRACE_METADATA};
use tracespool_core::encode::otlp::Value;
use tracespool_core::propagate::{Propagated, Propagation};

use crate::arguments::{metadata_key, plain, prompt_link, shown};
use crate::block::Block;
use crate::fastcall::{Function, Named};
use crate::handle::MASK_FAILED;
use crate::names::names;
use crate::notices::problem;
use crate::observation::Observation;
use crate::value::{Captured, Scratch, capture, for_each_item};

/// See [`Function::DOC`].
pub(crate) struct PropagateAttributes;

impl Function for PropagateAttributes {
    const NAME: &'static CStr = c"propagate_attributes";
    const DOC: &'static CStr = c"propagate_attributes(*, user_id=None, session_id=None, metadata=None, version=None, tags=None, trace_name=None, environment=None, prompt=None, as_baggage=False)\n--\n\nTrace-level attributes for the current observation and all that start inside the block.\n\nText of more than 200 characters is told and left out; tags and metadata add to those of an outer block.";

    fn call<'py>(py: Python<'py>, named: Named<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut own = Propagated::default();
        let mut as_baggage = false;
        let names = names(py);
        if named.positional > 0 {
            problem("", "propagate_attributes() takes keywords only; positional arguments are ignored");
        }
        for (name, value) in named.iter() {
            // By identity where a program wrote the name: its text is asked for otherwise.
            let is = |known: &Py<PyString>| name.is(known);
            let name = match () {
                () if is(&names.user_id) => "user_id",
                () if is(&names.session_id) => "session_id",
                () if is(&names.tags) => "tags",
                () if is(&names.metadata) => "metadata",
                () => name.extract::<&str>().unwrap_or_default(),
            };
            if value.is_none() || read(&mut own, name, &value)? {
                continue;
            }
            if name == "as_baggage" {
                as_baggage = value.is_truthy().unwrap_or(false);
            } else {
                problem(
                    "",
                    format!("propagate_attributes() has no argument {:?}; it is ignored", shown(name)),
                );
            }
        }
        let own = (!own.is_empty()).then(|| Arc::new(own));
        Bound::new(py, Block::new(own, None, as_baggage)).map(Bound::into_any)
    }
}

/// Tells what servers would not take, which is left out.
pub(crate) fn told(outcome: Result<(), String>) {
    if let Err(sentence) = outcome {
        problem("", sentence);
    }
}

/// Reads one argument; false where there is none of this name.
fn read(own: &mut Propagated, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let field = match name {
        "user_id" => Field::UserId,
        "session_id" => Field::SessionId,
        "version" => Field::Version,
        "trace_name" => Field::TraceName,
        "environment" => Field::Environment,
        "prompt" => {
            if let Some((name, version)) = prompt_link(value) {
                told(own.set_prompt(&name, version));
            }
            return Ok(true);
        }
        "tags" => {
            tags(own, value)?;
            return Ok(true);
        }
        // What an experiment puts on everything below one of its items, by attribute key.
        "_attributes" => {
            if let Ok(attributes) = value.cast::<PyDict>() {
                for_each_item(attributes, |key, value| {
                    if let Some(field) = key.extract().ok().and_then(Field::parse)
                        && !value.is_none()
                    {
                        own.set_internal(field, &plain(value)?);
                    }
                    Ok(())
                })?;
            }
            return Ok(true);
        }
        "metadata" => {
            match value.cast::<PyDict>() {
                Ok(dict) => metadata(own, dict)?,
                Err(_) => problem("", "metadata is no dict; it is not propagated"),
            }
            return Ok(true);
        }
        _ => return Ok(false),
    };
    told(own.set(field, &short(value)?));
    Ok(true)
}

fn tags(own: &mut Propagated, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut tags = Vec::new();
    if value.is_instance_of::<PyString>() {
        // Servers read one text as tags with commas between.
        let text = plain(value)?;
        tags.extend(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
    } else if let Ok(items) = value.try_iter() {
        for tag in items.flatten() {
            tags.push(short(&tag)?.into_owned());
        }
    } else {
        problem("", "tags is no list of str; it is not propagated");
    }
    told(own.add_tags(tags));
    Ok(())
}

/// A short text: a `str` as it is, another value as [`plain`] has it.
pub(crate) fn short<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    match value.cast::<PyString>().ok().and_then(|text| text.to_str().ok()) {
        Some(text) => Ok(text.into()),
        None => plain(value).map(Cow::from),
    }
}

fn metadata(own: &mut Propagated, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    let scratch = &mut Scratch::take();
    for_each_item(dict, |key, value| one_of_metadata(own, key, value, scratch))
}

/// One top-level key of the metadata.
pub(crate) fn one_of_metadata(
    own: &mut Propagated,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    scratch: &mut Scratch,
) -> PyResult<()> {
    scratch.clear();
    let value = match capture(value, scratch)? {
        Captured::Absent => return Ok(()),
        Captured::Text(text) => Propagation::Str(text.to_owned()),
        Captured::Int(number) => Propagation::Int(number),
        Captured::Double(number) => Propagation::Double(number),
        Captured::Bool(flag) => Propagation::Bool(flag),
        Captured::Encoded => Propagation::Str(scratch.text().to_owned()),
    };
    told(own.add_metadata(&metadata_key(key)?, value));
    Ok(())
}

/// `update_trace` of Langfuse 3.x: trace-level attributes on one observation.
pub(crate) fn update_trace(observation: &Observation, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let Some(keywords) = keywords else { return Ok(()) };
    let mut propagated = Propagated::default();
    for_each_item(keywords, |name, value| {
        let name = name.extract::<&str>().unwrap_or_default();
        match name {
            _ if value.is_none() => {}
            "name" => told(propagated.set(Field::TraceName, &short(value)?)),
            "public" => {
                observation.core.set(Field::TracePublic, Value::Bool(value.is_truthy().unwrap_or(false)))
            }
            // A trace's input and output are those of its root.
            "input" => content(observation, Field::Input, value)?,
            "output" => content(observation, Field::Output, value)?,
            _ if read(&mut propagated, name, value)? => {}
            _ => problem(
                observation.public_key(),
                format!("update_trace() has no argument {:?}; it is ignored", shown(name)),
            ),
        }
        Ok(())
    })?;
    observation.core.propagate(&propagated);
    Ok(())
}

/// An attribute by its key; see `Observation.set_attribute`.
pub(crate) fn set_attribute(observation: &Observation, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let core = &observation.core;
    if !core.is_recording() {
        return Ok(());
    }
    let scratch = &mut Scratch::take();
    let field = Field::parse(key);
    if matches!(field, Some(Field::Level | Field::StatusMessage)) {
        let text = plain(value)?;
        match (field, Level::parse(&text)) {
            (Some(Field::StatusMessage), _) => core.set_status_message(&text),
            (_, Some(level)) => core.set_level(level),
            _ => {}
        }
        return Ok(());
    }
    if field == Some(Field::TraceTags) {
        let mut propagated = Propagated::default();
        tags(&mut propagated, value)?;
        core.propagate(&propagated);
        return Ok(());
    }
    if let Some(field @ (Field::Input | Field::Output)) = field {
        return content(observation, field, value);
    }
    let masked;
    let value = if observation.handle.masked() && matches!(field, None | Some(Field::Metadata)) {
        masked = observation.handle.mask(value)?;
        masked.as_ref()
    } else {
        Some(value)
    };
    scratch.clear();
    let value = match value.map(|value| capture(value, scratch)).transpose()? {
        None => Value::Str(MASK_FAILED),
        Some(Captured::Absent) => return Ok(()),
        Some(Captured::Text(text)) => Value::Str(text),
        Some(Captured::Int(number)) => Value::Int(number),
        Some(Captured::Double(number)) => Value::Double(number),
        Some(Captured::Bool(flag)) => Value::Bool(flag),
        Some(Captured::Encoded) => Value::Str(scratch.text()),
    };
    let below = |prefix: &str| key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
    match field {
        Some(field) => core.set(field, value),
        None => match below(TRACE_METADATA) {
            Some(key) => {
                let mut propagated = Propagated::default();
                let value = match value {
                    Value::Int(number) => Propagation::Int(number),
                    Value::Double(number) => Propagation::Double(number),
                    Value::Bool(flag) => Propagation::Bool(flag),
                    Value::Str(text) => Propagation::Str(text.to_owned()),
                    // Captured values have no other form.
                    Value::Utf8(_) | Value::Strs(_) => return Ok(()),
                };
                if let Err(sentence) = propagated.add_metadata(key, value) {
                    problem(observation.public_key(), sentence);
                }
                core.propagate(&propagated);
            }
            None => core.set_metadata(below(OBSERVATION_METADATA).unwrap_or(key), value),
        },
    }
    Ok(())
}

fn content(observation: &Observation, field: Field, value: &Bound<'_, PyAny>) -> PyResult<()> {
    crate::arguments::content(
        &observation.handle,
        &mut &observation.core,
        &mut Scratch::take(),
        field,
        Some(value),
    )
}
