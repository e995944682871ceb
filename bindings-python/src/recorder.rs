//! What is common to every run of a LangChain handler: it begins below its parent, or at what is current, and is remembered
//! by its id until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use tracespool_core::attr::ObservationType;
use tracespool_core::id::TraceId;

use crate::arguments::{Given, kind_of, plain, trace_context_of};
use crate::client::Client;
use crate::current::Current;
use crate::handle::{self, Handle};
use crate::names::names;
use crate::notices::problem;
use crate::observation::Observation;
use crate::origin::Origin;
use crate::runs::{OpenRun, OpenRuns};
use crate::said::Said;

/// The base of a handler: its open runs and where they are recorded. Its `on_...` methods are in [`crate::events`].
#[pyclass(frozen, subclass, module = "tracespool._native")]
pub(crate) struct Recorder {
    pub(crate) runs: Py<OpenRuns>,
    target: Mutex<Target>,
    last_trace: Mutex<Option<TraceId>>,
    /// True once there was any: until then nobody needs to look for them.
    pub(crate) prompts: AtomicBool,
    interrupts: AtomicBool,
}

/// Where roots are recorded.
#[derive(Clone, Default)]
struct Target {
    handle: Option<Arc<Handle>>,
    public_key: Option<Arc<str>>,
    /// The handler was given a trace context.
    placed: bool,
}

/// A run that begins.
pub(crate) struct Beginning<'a, 'py> {
    pub(crate) id: &'a Bound<'py, PyAny>,
    pub(crate) parent: Option<&'a Bound<'py, PyAny>>,
    pub(crate) name: &'a str,
    pub(crate) kind: ObservationType,
    pub(crate) given: Given<'a, 'py>,
    pub(crate) tags: Option<&'a Bound<'py, PyAny>>,
    pub(crate) metadata: Option<&'a Bound<'py, PyDict>>,
    pub(crate) more: Option<&'a Bound<'py, PyDict>>,
}

impl Recorder {
    /// Begins a run and makes it current.
    pub(crate) fn start<'py>(
        of: &Bound<'py, Self>,
        run: &Beginning<'_, 'py>,
    ) -> PyResult<Bound<'py, OpenRun>> {
        let (py, this) = (of.py(), of.get());
        let runs = this.runs.bind(py).get();
        let above = run.parent.map(|parent| runs.find(parent)).transpose()?.flatten();
        let is_root = run.parent.is_none();
        let Beginning { tags, metadata, more, kind, .. } = *run;
        let said = Said { tags, metadata, more, kind, is_root };
        let mut thread = None;
        let (mut observation, current) = match &above {
            Some(above) => {
                let parent = above.get().observation.bind(py).get();
                let mut origin = Origin::read(py)?;
                let started = Observation::start(&parent.handle, run.name, kind, origin.below(parent));
                (started, origin.into_current())
            }
            None => this.start_outside(of, run, &said, &mut thread)?,
        };
        if above.is_none() {
            *this.last_trace.lock() = Some(observation.core.context().trace_id);
        }
        said.describe(&mut observation)?;
        run.given.apply(&observation.handle, &mut &mut observation.core)?;
        let held = observation.core.held_bytes_mut();
        let observation = Bound::new(py, observation)?;
        let begun = runs.insert(run.id, observation, held, above.map(Bound::unbind), thread, current)?;
        if runs.is_full() {
            of.getattr(&names(py).bounds)?.call_method1("keep", (&this.runs,))?;
        }
        Ok(begun)
    }

    /// A run without a parent that is known here goes below what is current, with what it says of the trace.
    fn start_outside<'py>(
        &self,
        of: &Bound<'py, Self>,
        run: &Beginning<'_, 'py>,
        said: &Said<'_, 'py>,
        thread: &mut Option<Py<PyAny>>,
    ) -> PyResult<(Observation, Current<'py>)> {
        let py = of.py();
        let target = self.target.lock().clone();
        let handle = match target.handle {
            Some(handle) => handle,
            None => handle::resolve(py, target.public_key.as_deref())?,
        };
        let mut context = if target.placed { Some(of.getattr("_trace_context")?) } else { None };
        if said.is_root
            && let Some(metadata) = run.metadata
            && metadata.get_item(&names(py).thread_id)?.is_some_and(|thread| !thread.is_none())
        {
            let client = handle::object(py, &handle)?;
            let found = of.call_method1("_thread", (client, metadata, run.given.input.as_deref()))?;
            let (known, left): (Py<PyAny>, Option<Bound<'py, PyAny>>) = found.extract()?;
            *thread = Some(known);
            context = context.or(left);
        }
        let context = trace_context_of(context.as_ref(), handle.public_key());
        let own = if said.is_root { said.of_trace()? } else { Default::default() };
        let mut origin = Origin::read(py)?;
        let propagated = (!own.is_empty()).then(|| {
            Arc::new(match origin.propagated() {
                Some(outer) => own.within(outer),
                None => own,
            })
        });
        if let (Some(propagated), Some(around)) = (&propagated, origin.observation()) {
            around.get().core.propagate(propagated);
        }
        let mut place = origin.place(&handle, context);
        place.propagated = propagated.as_ref().or(place.propagated);
        let observation = Observation::start(&handle, run.name, run.kind, place);
        Ok((observation, origin.into_current()))
    }

    /// Ends a run with what is given.
    pub(crate) fn end<'py>(
        of: &Bound<'py, Self>,
        id: &Bound<'py, PyAny>,
        given: &Given<'_, 'py>,
    ) -> PyResult<()> {
        let (py, this) = (of.py(), of.get());
        let root = this.runs.bind(py).get().finish(id, given)?;
        if let Some(root) = root
            && this.interrupts.load(Ordering::Relaxed)
        {
            of.call_method1(&names(py).leave, (root,))?;
        }
        Ok(())
    }

    /// A prompt belongs to the next model on its level, or to one below a sibling that follows it.
    pub(crate) fn note_prompt(
        &self,
        run: &Bound<'_, OpenRun>,
        prompt: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = run.py();
        let Some(above) = &run.get().parent else { return Ok(()) };
        match prompt {
            Some(prompt) if prompt.is_truthy()? => {
                above.get().note_prompt(Some(prompt.unbind()));
                self.prompts.store(true, Ordering::Relaxed);
            }
            _ => {
                if let Some(known) = above.get().prompt(py) {
                    run.get().note_prompt(Some(known));
                }
            }
        }
        Ok(())
    }

    /// The prompt that a model below `parent` links to; it is taken by one only.
    pub(crate) fn take_prompt<'py>(&self, parent: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = parent.py();
        let mut at = self.runs.bind(py).get().find(parent)?;
        while let Some(run) = at {
            if let Some(prompt) = run.get().take_prompt() {
                return Ok(Some(prompt.into_bound(py)));
            }
            at = run.get().parent.as_ref().map(|above| above.bind(py).clone());
        }
        Ok(None)
    }
}

#[pymethods]
impl Recorder {
    /// A class that adds to it has arguments of its own.
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Ok(Self {
            runs: Py::new(py, OpenRuns::new(py))?,
            target: Mutex::default(),
            last_trace: Mutex::default(),
            prompts: AtomicBool::new(false),
            interrupts: AtomicBool::new(false),
        })
    }

    /// Says where roots are recorded; `placed` where the handler has a `_trace_context`.
    #[pyo3(name = "_open", signature = (public_key, client, placed, /))]
    fn open(&self, public_key: Option<&Bound<'_, PyAny>>, client: Option<&Bound<'_, PyAny>>, placed: bool) {
        let handle = client.and_then(|client| match client.cast::<Client>() {
            Ok(client) => Some(client.get().handle.clone()),
            Err(_) => {
                problem("", "CallbackHandler: client is no Client; the current one is used");
                None
            }
        });
        let public_key = public_key.and_then(|key| match key.extract::<&str>() {
            Ok(key) => Some(key.into()),
            Err(_) => {
                problem("", "CallbackHandler: public_key is no str; it is ignored");
                None
            }
        });
        *self.target.lock() = Target { handle, public_key, placed };
    }

    /// Its open runs.
    #[getter(_runs)]
    fn runs(&self, py: Python<'_>) -> Py<OpenRuns> {
        self.runs.clone_ref(py)
    }

    /// The trace of the last root run.
    #[getter]
    fn last_trace_id(&self) -> Option<String> {
        let last = *self.last_trace.lock();
        last.map(|trace| trace.to_string())
    }

    #[setter]
    fn set_last_trace_id(&self, trace: Option<&str>) {
        *self.last_trace.lock() = trace.and_then(TraceId::parse);
    }

    /// Whether any graph was interrupted.
    #[getter(_interrupts)]
    fn interrupts(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed)
    }

    #[setter(_interrupts)]
    fn set_interrupts(&self, value: bool) {
        self.interrupts.store(value, Ordering::Relaxed);
    }

    /// Begins a run of `kind`; `more` is metadata of it alone.
    #[pyo3(name = "_start", signature = (id, parent, name, kind, input, tags, metadata, more=None, /))]
    #[allow(clippy::too_many_arguments)]
    fn py_start<'py>(
        slf: &Bound<'py, Self>,
        id: &Bound<'py, PyAny>,
        parent: Option<&Bound<'py, PyAny>>,
        name: &Bound<'py, PyAny>,
        kind: &Bound<'py, PyAny>,
        input: &Bound<'py, PyAny>,
        tags: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let name = match name.cast::<PyString>() {
            Ok(name) => name.to_string_lossy().into_owned(),
            Err(_) => plain(name)?,
        };
        let run = Beginning {
            id,
            parent,
            name: &name,
            kind: kind_of(Some(kind), ""),
            given: Given { input: Some(input.as_borrowed()), ..Given::default() },
            tags,
            metadata: metadata.and_then(|metadata| metadata.cast().ok()),
            more,
        };
        Self::start(slf, &run).map(drop)
    }
}
