//! `propagate_attributes` and `client.use()`: blocks that change what is current without starting an observation.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tracespool_core::attr::Field;
use tracespool_core::encode::otlp::Value;
use tracespool_core::propagate::{Propagated, Propagation};

use crate::arguments::{plain, prompt_link, shown};
use crate::current::Record;
use crate::handle::Handle;
use crate::notices::problem;
use crate::observation::Observation;
use crate::origin::Origin;
use crate::otel::Before;
use crate::scope::Ready;
use crate::value::{Captured, Scratch, capture, for_each_item};

/// One attribute of a block, captured.
enum Said {
    Text(Field, String),
    Prompt(String, i64),
    Tags(Vec<String>),
    Metadata(String, Propagation),
}

/// A block: `with`, `async with`, or a decorator.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Block {
    said: Arc<[Said]>,
    handle: Option<Arc<Handle>>,
    /// What is said here also leaves the process.
    as_baggage: bool,
    /// What the block made current, and what was before.
    runs: Mutex<Vec<(Py<Record>, Before)>>,
}

impl Block {
    fn new(said: Vec<Said>, handle: Option<Arc<Handle>>, as_baggage: bool) -> Self {
        Self { said: said.into(), handle, as_baggage, runs: Mutex::default() }
    }

    fn saying(self, said: Arc<[Said]>) -> Self {
        Self { said, ..self }
    }

    /// A block inside which `handle` is the client of calls that name none.
    pub(crate) fn using(handle: Arc<Handle>) -> Self {
        Self::new(Vec::new(), Some(handle), false)
    }

    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let origin = Origin::read(py)?;
        let observation = origin.observation().cloned();
        let propagated = if self.said.is_empty() {
            origin.propagated().cloned()
        } else {
            let mut inner = origin.propagated().map(|outer| outer.inner()).unwrap_or_default();
            say(&mut inner, &self.said);
            if self.as_baggage {
                inner.to_baggage();
            }
            let inner = Arc::new(inner);
            if let Some(observation) = &observation {
                observation.get().core.propagate(&inner);
            }
            Some(inner)
        };
        let handle = self.handle.clone().or_else(|| origin.handle().cloned());
        let mut baggage = Vec::new();
        if self.as_baggage
            && let Some(propagated) = &propagated
        {
            baggage.extend_from_slice(propagated.baggage());
            // So that the other process does not take its part for a trace of its own.
            let trace = origin.ids().map(|(trace, _)| ("langfuse_trace_id".to_owned(), trace.to_string()));
            baggage.extend(trace);
        }
        let record =
            Bound::new(py, Record { observation: observation.map(Bound::unbind), propagated, handle })?;
        let before = origin.enter_block(record.as_any(), &baggage)?;
        self.runs.lock().push((record.unbind(), before));
        Ok(())
    }

    fn exit(&self, py: Python<'_>) -> PyResult<()> {
        let run = self.runs.lock().pop();
        run.map_or(Ok(()), |(record, before)| before.leave(record.bind(py).as_any()))
    }
}

/// Adds what was said; what servers would not take is told and left out.
fn say(propagated: &mut Propagated, said: &[Said]) {
    for said in said {
        let outcome = match said {
            Said::Text(field, text) => propagated.set(*field, text),
            Said::Prompt(name, version) => propagated.set_prompt(name, *version),
            Said::Tags(tags) => propagated.add_tags(tags),
            Said::Metadata(key, value) => propagated.add_metadata(key, value.clone()),
        };
        if let Err(sentence) = outcome {
            problem("", sentence);
        }
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
        Self::new(Vec::new(), self.handle.clone(), self.as_baggage).saying(self.said.clone())
    }

    /// Decorates a function: every call of it runs in a block of its own.
    #[pyo3(signature = (function, /))]
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("tracespool._observe")?.call_method1("scoped", (slf, function))
    }
}

/// Trace-level attributes for the current observation and all that start inside the block.
///
/// Text of more than 200 characters is told and left out; tags and metadata add to those of an outer block.
#[pyfunction]
#[pyo3(signature = (**keywords))]
#[pyo3(
    text_signature = "(*, user_id=None, session_id=None, metadata=None, version=None, tags=None, trace_name=None, environment=None, prompt=None, as_baggage=False)"
)]
pub(crate) fn propagate_attributes(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Block> {
    let mut said = Vec::new();
    let mut as_baggage = false;
    if let Some(keywords) = keywords {
        for_each_item(keywords, |name, value| {
            let name = name.extract::<&str>().unwrap_or_default();
            if value.is_none() || read(&mut said, name, value)? {
                return Ok(());
            }
            if name == "as_baggage" {
                as_baggage = value.is_truthy().unwrap_or(false);
            } else {
                problem(
                    "",
                    format!("propagate_attributes() has no argument {:?}; it is ignored", shown(name)),
                );
            }
            Ok(())
        })?;
    }
    Ok(Block::new(said, None, as_baggage))
}

/// Reads one argument; false where there is none of this name.
fn read(said: &mut Vec<Said>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let field = match name {
        "user_id" => Field::UserId,
        "session_id" => Field::SessionId,
        "version" => Field::Version,
        "trace_name" => Field::TraceName,
        "environment" => Field::Environment,
        "prompt" => {
            said.extend(prompt_link(value).map(|(name, version)| Said::Prompt(name, version)));
            return Ok(true);
        }
        "tags" => {
            let mut tags = Vec::new();
            match value.try_iter() {
                Ok(items) if !value.is_instance_of::<PyString>() => {
                    for tag in items.flatten() {
                        tags.push(plain(&tag)?);
                    }
                }
                _ => problem("", "tags is no list of str; it is not propagated"),
            }
            said.push(Said::Tags(tags));
            return Ok(true);
        }
        "metadata" => {
            match value.cast::<PyDict>() {
                Ok(dict) => metadata(said, dict)?,
                Err(_) => problem("", "metadata is no dict; it is not propagated"),
            }
            return Ok(true);
        }
        _ => return Ok(false),
    };
    said.push(Said::Text(field, plain(value)?));
    Ok(true)
}

fn metadata(said: &mut Vec<Said>, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    let scratch = &mut Scratch::take();
    for_each_item(dict, |key, value| {
        scratch.clear();
        let value = match capture(value, scratch)? {
            Captured::Absent => return Ok(()),
            Captured::Text(text) => Propagation::Str(text.to_owned()),
            Captured::Int(number) => Propagation::Int(number),
            Captured::Double(number) => Propagation::Double(number),
            Captured::Bool(flag) => Propagation::Bool(flag),
            Captured::Encoded => Propagation::Str(scratch.text().to_owned()),
        };
        said.push(Said::Metadata(plain(key)?, value));
        Ok(())
    })
}

/// `update_trace` of Langfuse 3.x: trace-level attributes on one observation.
pub(crate) fn update_trace(observation: &Observation, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let Some(keywords) = keywords else { return Ok(()) };
    let mut said = Vec::new();
    for_each_item(keywords, |name, value| {
        let name = name.extract::<&str>().unwrap_or_default();
        match name {
            _ if value.is_none() => {}
            "name" => said.push(Said::Text(Field::TraceName, plain(value)?)),
            "public" => {
                observation.core.set(Field::TracePublic, Value::Bool(value.is_truthy().unwrap_or(false)))
            }
            // A trace's input and output are those of its root.
            "input" => content(observation, Field::Input, value)?,
            "output" => content(observation, Field::Output, value)?,
            _ if read(&mut said, name, value)? => {}
            _ => problem(
                observation.public_key(),
                format!("update_trace() has no argument {:?}; it is ignored", shown(name)),
            ),
        }
        Ok(())
    })?;
    let mut propagated = Propagated::default();
    say(&mut propagated, &said);
    observation.core.propagate(&propagated);
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
