//! `propagate_attributes` and `client.use()`: blocks that change what is current without starting an observation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tracespool_core::attr::Field;
use tracespool_core::encode::otlp::Value;
use tracespool_core::propagate::{Propagated, Propagation};

use crate::arguments::{plain, prompt_link, shown};
use crate::current::{self, Current, Record};
use crate::handle::Handle;
use crate::notices::problem;
use crate::observation::Observation;
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
    /// What the block made current, and what was before.
    runs: Mutex<Vec<(Py<Record>, Py<PyAny>)>>,
}

impl Block {
    fn new(said: Vec<Said>, handle: Option<Arc<Handle>>) -> Self {
        Self { said: said.into(), handle, runs: Mutex::default() }
    }

    /// A block inside which `handle` is the client of calls that name none.
    pub(crate) fn using(handle: Arc<Handle>) -> Self {
        Self::new(Vec::new(), Some(handle))
    }

    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let current = Current::read(py)?;
        let observation = current.observation().cloned();
        let propagated = if self.said.is_empty() {
            current.propagated().cloned()
        } else {
            let mut inner = current.propagated().map(|outer| outer.inner()).unwrap_or_default();
            say(&mut inner, &self.said);
            let inner = Arc::new(inner);
            if let Some(observation) = &observation {
                observation.get().core.propagate(&inner);
            }
            Some(inner)
        };
        let handle = self.handle.clone().or_else(|| current.handle().cloned());
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
        current::set(record.as_any())?;
        let run = (record.unbind(), current.into_value());
        self.runs.lock().push(run);
        Ok(())
    }

    fn exit(&self, py: Python<'_>) -> PyResult<()> {
        let run = self.runs.lock().pop();
        run.map_or(Ok(()), |(record, previous)| current::leave(record.bind(py).as_any(), previous.bind(py)))
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
        Self { said: self.said.clone(), handle: self.handle.clone(), runs: Mutex::default() }
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
    if let Some(keywords) = keywords {
        for_each_item(keywords, |name, value| {
            let name = name.extract::<&str>().unwrap_or_default();
            if value.is_none() || read(&mut said, name, value)? {
                return Ok(());
            }
            if name == "as_baggage" {
                if value.is_truthy().unwrap_or(false) {
                    problem("", "as_baggage is not supported: attributes stay in this process");
                }
            } else {
                problem(
                    "",
                    format!("propagate_attributes() has no argument {:?}; it is ignored", shown(name)),
                );
            }
            Ok(())
        })?;
    }
    Ok(Block::new(said, None))
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
