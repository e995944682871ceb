//! `propagate_attributes` and `client.use()`: blocks that change what is current without starting an observation.

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tracespool_core::attr::{Field, Level, OBSERVATION_METADATA, TRACE_METADATA};
use tracespool_core::encode::otlp::Value;
use tracespool_core::propagate::{Propagated, Propagation};

use crate::arguments::{metadata_key, plain, prompt_link, shown};
use crate::current::Record;
use crate::fastcall::{Function, Named};
use crate::handle::{Handle, MASK_FAILED};
use crate::notices::problem;
use crate::observation::Observation;
use crate::origin::Origin;
use crate::otel::Before;
use crate::scope::Ready;
use crate::value::{Captured, Scratch, capture, for_each_item};

/// A block: `with`, `async with`, or a decorator.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Block {
    /// What the block itself propagates, if anything.
    own: Option<Arc<Propagated>>,
    handle: Option<Arc<Handle>>,
    /// What is said here also leaves the process.
    as_baggage: bool,
    runs: Mutex<Runs>,
}

/// What a run of a block made current, and what was before.
type Run = (Py<Record>, Before);

/// The runs of one block; more than one only where it is entered again inside itself.
#[derive(Default)]
struct Runs {
    last: Option<Run>,
    outer: Vec<Run>,
}

impl Block {
    fn new(own: Propagated, handle: Option<Arc<Handle>>, as_baggage: bool) -> Self {
        Self { own: (!own.is_empty()).then(|| own.into()), handle, as_baggage, runs: Mutex::default() }
    }

    /// A block inside which `handle` is the client of calls that name none.
    pub(crate) fn using(handle: Arc<Handle>) -> Self {
        Self::new(Propagated::default(), Some(handle), false)
    }

    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let origin = Origin::read(py)?;
        let observation = origin.observation().cloned();
        let mut propagated = match (&self.own, origin.propagated()) {
            (None, outer) => outer.cloned(),
            (Some(own), None) => Some(own.clone()),
            (Some(own), Some(outer)) => Some(Arc::new(own.within(outer))),
        };
        let mut baggage = Vec::new();
        if self.as_baggage
            && let Some(propagated) = &mut propagated
        {
            let leaving = Arc::make_mut(propagated);
            leaving.to_baggage();
            baggage.extend_from_slice(leaving.baggage());
            // So that the other process does not take its part for a trace of its own.
            let trace = origin.ids().map(|(trace, _)| ("langfuse_trace_id".to_owned(), trace.to_string()));
            baggage.extend(trace);
        }
        if let (Some(_), Some(propagated), Some(observation)) = (&self.own, &propagated, &observation) {
            observation.get().core.propagate(propagated);
        }
        let handle = self.handle.clone().or_else(|| origin.handle().cloned());
        let record = Bound::new(
            py,
            Record {
                observation: observation.map(Bound::unbind),
                propagated,
                handle,
                before: None,
                over: AtomicBool::new(false),
            },
        )?;
        let before = origin.enter_block(record.as_any(), &baggage)?;
        let run = (record.unbind(), before);
        let mut runs = self.runs.lock();
        if let Some(outer) = runs.last.replace(run) {
            runs.outer.push(outer);
        }
        Ok(())
    }

    fn exit(&self, py: Python<'_>) -> PyResult<()> {
        let run = {
            let mut runs = self.runs.lock();
            let run = runs.last.take();
            runs.last = runs.outer.pop();
            run
        };
        run.map_or(Ok(()), |(record, before)| before.leave(record.bind(py).as_any()))
    }
}

#[pymethods]
impl Block {
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        self.enter(py)
    }

    #[pyo3(signature = (_kind, _error, _traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        self.exit(py).map(|()| false)
    }

    fn __aenter__(&self, py: Python<'_>) -> PyResult<Ready> {
        self.enter(py).map(|()| Ready::none(py))
    }

    #[pyo3(signature = (_kind, _error, _traceback, /))]
    fn __aexit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        self.exit(py).map(|()| Ready::none(py))
    }

    /// Another block of the same kind: a decorator takes one for each call.
    fn again(&self) -> Self {
        Self {
            own: self.own.clone(),
            handle: self.handle.clone(),
            as_baggage: self.as_baggage,
            runs: Mutex::default(),
        }
    }

    /// Decorates a function: every call of it runs in a block of its own.
    #[pyo3(signature = (function, /))]
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("tracespool._observe")?.call_method1("scoped", (slf, function))
    }
}

/// See [`Function::DOC`].
pub(crate) struct PropagateAttributes;

impl Function for PropagateAttributes {
    const NAME: &'static CStr = c"propagate_attributes";
    const DOC: &'static CStr = c"propagate_attributes(*, user_id=None, session_id=None, metadata=None, version=None, tags=None, trace_name=None, environment=None, prompt=None, as_baggage=False)\n--\n\nTrace-level attributes for the current observation and all that start inside the block.\n\nText of more than 200 characters is told and left out; tags and metadata add to those of an outer block.";

    fn call<'py>(py: Python<'py>, named: Named<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut own = Propagated::default();
        let mut as_baggage = false;
        if named.positional > 0 {
            problem("", "propagate_attributes() takes keywords only; positional arguments are ignored");
        }
        for (name, value) in named.iter() {
            let name = name.extract::<&str>().unwrap_or_default();
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
