//! `start_as_current_observation`: a block, sync or async, or a decorator.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use tracespool_core::TraceContext;
use tracespool_core::attr::ObservationType;
use tracespool_core::id::TraceId;
use tracespool_core::{Chosen, admission};

use crate::ahead::Ahead;
use crate::arguments::Given;
use crate::handle::Handle;
use crate::notices::problem;
use crate::observation::Observation;
use crate::origin::Origin;
use crate::otel::Before;

/// What every run of a scope starts from.
struct Plan {
    handle: Arc<Handle>,
    kind: ObservationType,
    trace_context: Option<TraceContext>,
    end_on_exit: bool,
    /// The name, and what was captured by the call that made the scope.
    ahead: Ahead,
    /// Something was given and not captured: the scope was made where it would have been shed.
    bare: bool,
}

/// What the call that makes a scope decides of its first run, lest values be captured for nothing: whether it is shed and,
/// where it begins a trace, the ids that this was decided about.
#[cold]
fn decide(
    py: Python<'_>,
    handle: &Arc<Handle>,
    trace_context: Option<TraceContext>,
    below: Option<&Bound<'_, Observation>>,
) -> PyResult<Chosen> {
    let mut origin = Origin::read(py)?;
    let place = match below {
        Some(parent) => origin.below(parent.get()),
        None => origin.place(handle, trace_context),
    };
    let mut chosen = Chosen::default();
    let trace_id = match place.known_trace() {
        Some(trace_id) => trace_id,
        None if handle.core.admits_all() => return Ok(chosen),
        None => {
            if handle.has_ids() {
                handle.choose_ids(&mut chosen, true);
            }
            *chosen.trace_id.get_or_insert_with(TraceId::random)
        }
    };
    chosen.shed = handle.core.sheds(place.parent, place.trace_context, place.chosen, trace_id);
    Ok(chosen)
}

/// A block whose observation is the current one inside: `with`, `async with`, or a decorator for a function.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Scope {
    plan: Arc<Plan>,
    parent: Option<Py<Observation>>,
    runs: Mutex<Runs>,
}

/// What was current before a run, and the observation of it.
type Run = (Py<Observation>, Before);

/// The runs of one scope; more than one only where it is entered again inside itself.
#[derive(Default)]
struct Runs {
    last: Option<Run>,
    outer: Vec<Run>,
    /// See [`decide`].
    first: Chosen,
}

impl Scope {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn plan<'py>(
        py: Python<'py>,
        handle: &Arc<Handle>,
        name: &str,
        kind: ObservationType,
        trace_context: Option<TraceContext>,
        end_on_exit: bool,
        given: &Given<'_, 'py>,
        below: Option<&Bound<'py, Observation>>,
    ) -> PyResult<Self> {
        let mut ahead = Ahead::new(handle.core.settings().dialect, kind, name);
        let first =
            if admission::used() { decide(py, handle, trace_context, below)? } else { Chosen::default() };
        if handle.core.enabled() && !first.shed {
            given.apply(handle, &mut ahead)?;
        }
        let bare = first.shed && given.any();
        let plan = Plan { handle: handle.clone(), kind, trace_context, end_on_exit, ahead, bare };
        let runs = Mutex::new(Runs { first, ..Runs::default() });
        Ok(Self { plan: Arc::new(plan), parent: below.map(|parent| parent.clone().unbind()), runs })
    }

    fn enter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Observation>> {
        let plan = &*self.plan;
        let mut origin = Origin::read(py)?;
        let first =
            if admission::used() { std::mem::take(&mut self.runs.lock().first) } else { Chosen::default() };
        let mut place = match &self.parent {
            Some(parent) => origin.below(parent.get()),
            None => origin.place(&plan.handle, plan.trace_context),
        };
        place.chosen = Chosen { unsampled_parent: place.chosen.unsampled_parent, ..first };
        let values = &plan.ahead.values;
        let observation =
            Observation::start_with(&plan.handle, values.name(), plan.kind, place, Some(values));
        plan.ahead.attach(&observation.core);
        let observation = Bound::new(py, observation)?;
        let run = (observation.clone().unbind(), origin.enter(&observation)?);
        let mut runs = self.runs.lock();
        if let Some(outer) = runs.last.replace(run) {
            runs.outer.push(outer);
        }
        Ok(observation)
    }

    fn exit(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let run = {
            let mut runs = self.runs.lock();
            let run = runs.last.take();
            runs.last = runs.outer.pop();
            run
        };
        let Some((observation, previous)) = run else {
            return Ok(());
        };
        let observation = observation.bind(py);
        let left = previous.leave(observation.as_any());
        if !error.is_none() {
            observation.get().record_error(error, true);
        }
        if self.plan.end_on_exit {
            observation.get().finish(py, None);
        }
        left
    }
}

#[pymethods]
impl Scope {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Observation>> {
        self.enter(py)
    }

    /// Ends the observation; what was raised is recorded and raised on.
    #[pyo3(signature = (_kind, error, _traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        self.exit(py, error).map(|()| false)
    }

    fn __aenter__(&self, py: Python<'_>) -> PyResult<Ready> {
        self.enter(py).map(|observation| Ready(observation.into_any().unbind()))
    }

    #[pyo3(signature = (_kind, error, _traceback, /))]
    fn __aexit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        // `None` is false: what was raised goes on.
        self.exit(py, error).map(|()| Ready::none(py))
    }

    /// Another scope of the same plan: a decorator takes one for each call.
    fn again(&self, py: Python<'_>) -> Self {
        Self {
            plan: self.plan.clone(),
            parent: self.parent.as_ref().map(|parent| parent.clone_ref(py)),
            runs: Mutex::default(),
        }
    }

    /// Decorates a function: every call of it runs in a block of its own.
    #[pyo3(signature = (function, /))]
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        if this.plan.bare {
            let sentence = "a function was decorated while new traces are not admitted: what the decorator was given beside its \
                            name is left out";
            problem(this.plan.handle.public_key(), sentence);
        }
        py.import("tracespool._observe")?.call_method1("scoped", (slf, function))
    }
}

/// An awaitable that is done: entering and leaving a scope never waits.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Ready(Py<PyAny>);

impl Ready {
    /// Nothing to bind.
    pub(crate) fn none(py: Python<'_>) -> Self {
        Self(py.None())
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err((self.0.clone_ref(py),)))
    }
}
