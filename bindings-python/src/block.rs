//! Blocks that change what is current without starting an observation: `propagate_attributes`, `client.use()` and
//! `continue_trace`.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pyo3::prelude::*;
use tracespool_core::SpanContext;
use tracespool_core::admission::Fate;
use tracespool_core::id::Traceparent;
use tracespool_core::propagate::Propagated;

use crate::current::{Inside, Record};
use crate::handle::Handle;
use crate::home::home;
use crate::origin::Origin;
use crate::otel::Before;
use crate::scope::Ready;

/// A block: `with`, `async with`, or a decorator.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Block {
    /// What the block itself propagates, if anything.
    own: Option<Arc<Propagated>>,
    handle: Option<Arc<Handle>>,
    /// What a request's `traceparent` said.
    traceparent: Option<Traceparent>,
    /// What is said here also leaves the process.
    as_baggage: bool,
    /// What its first run made current, so that a block that is entered once, as nearly all are, is a single object.
    first: OnceLock<Inside>,
    runs: Mutex<Runs>,
}

/// What a run of a block made current, the block itself where there is nothing else, and what was before.
type Run = (Option<Py<Record>>, Before);

/// The runs of one block; more than one only where it is entered again inside itself.
#[derive(Default)]
struct Runs {
    last: Option<Run>,
    outer: Vec<Run>,
}

impl Block {
    pub(crate) fn new(own: Option<Arc<Propagated>>, handle: Option<Arc<Handle>>, as_baggage: bool) -> Self {
        let traceparent = None;
        Self { own, handle, traceparent, as_baggage, first: OnceLock::new(), runs: Mutex::default() }
    }

    /// A block inside which `handle` is the client of calls that name none.
    pub(crate) fn using(handle: Arc<Handle>) -> Self {
        Self::new(None, Some(handle), false)
    }

    /// A block inside which observations that have none above them go below a sender's span.
    fn continuing(traceparent: Option<Traceparent>) -> Self {
        Self { traceparent, ..Self::new(None, None, false) }
    }

    /// What holds inside its first run.
    pub(crate) fn inside(&self) -> Option<&Inside> {
        self.first.get()
    }

    fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let origin = Origin::read(py)?;
        let begun = this.traceparent.map(of_sender);
        let observation = if begun.is_some() { None } else { origin.observation().cloned() };
        let sender = match observation {
            Some(_) => None,
            None => begun.or_else(|| origin.sender().copied()),
        };
        let mut propagated = match (&this.own, origin.propagated()) {
            (None, outer) => outer.cloned(),
            (Some(own), None) => Some(own.clone()),
            (Some(own), Some(outer)) => Some(Arc::new(own.within(outer))),
        };
        let mut baggage = Vec::new();
        if this.as_baggage
            && let Some(propagated) = &mut propagated
        {
            let leaving = Arc::make_mut(propagated);
            leaving.to_baggage();
            baggage.extend_from_slice(leaving.baggage());
            // So that the other process does not take its part for a trace of its own.
            let trace = origin.ids().map(|(trace, _)| ("langfuse_trace_id".to_owned(), trace.to_string()));
            baggage.extend(trace);
        }
        if let (Some(_), Some(propagated), Some(observation)) = (&this.own, &propagated, &observation) {
            observation.get().core.propagate(propagated);
        }
        let handle = this.handle.clone().or_else(|| origin.handle().cloned());
        let inside = Inside { observation: observation.map(Bound::unbind), sender, propagated, handle };
        let record = match this.first.set(inside) {
            Ok(()) => None,
            Err(inside) => Some(Bound::new(py, Record::new(inside))?),
        };
        let mine = record.as_ref().map_or(slf.as_any(), |record| record.as_any());
        let before = origin.enter_block(mine, &baggage, begun.as_ref())?;
        let run = (record.map(Bound::unbind), before);
        let mut runs = this.runs.lock();
        if let Some(outer) = runs.last.replace(run) {
            runs.outer.push(outer);
        }
        Ok(())
    }

    fn exit(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let run = {
            let mut runs = slf.get().runs.lock();
            let run = runs.last.take();
            runs.last = runs.outer.pop();
            run
        };
        match run {
            Some((Some(record), before)) => before.leave(record.bind(py).as_any()),
            Some((None, before)) => before.leave(slf.as_any()),
            None => Ok(()),
        }
    }
}

/// A sender's span as what observations go below. Admission decides here, once for all of them.
fn of_sender(said: Traceparent) -> SpanContext {
    let Traceparent { trace_id, span_id, sampled } = said;
    let admitted = home().shared().admission.admits(trace_id);
    let fate = if admitted { Fate::Admitted } else { Fate::Shed };
    SpanContext { trace_id, span_id, destination: 0, recorded: sampled, fate }
}

/// A block inside which observations that have none above them go on in the trace that a `traceparent` header names, below its
/// sender's span; what is no such header changes nothing.
#[pyfunction]
#[pyo3(signature = (traceparent, /))]
pub(crate) fn continue_trace(traceparent: &str) -> Block {
    Block::continuing(Traceparent::parse(traceparent))
}

#[pymethods]
impl Block {
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::enter(slf)
    }

    #[pyo3(signature = (_kind, _error, _traceback, /))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        Self::exit(slf).map(|()| false)
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> PyResult<Ready> {
        Self::enter(slf).map(|()| Ready::none(slf.py()))
    }

    #[pyo3(signature = (_kind, _error, _traceback, /))]
    fn __aexit__(
        slf: &Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        Self::exit(slf).map(|()| Ready::none(slf.py()))
    }

    /// Another block of the same kind: a decorator takes one for each call.
    fn again(&self) -> Self {
        let traceparent = self.traceparent;
        Self { traceparent, ..Self::new(self.own.clone(), self.handle.clone(), self.as_baggage) }
    }

    /// Decorates a function: every call of it runs in a block of its own.
    #[pyo3(signature = (function, /))]
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("tracespool._observe")?.call_method1("scoped", (slf, function))
    }
}
