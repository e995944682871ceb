//! The open runs of a framework that tells of begins and ends by id (LangChain): which observation stands for which run,
//! bounded whatever is never ended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use tracespool_core::attr::Level;

use crate::arguments::{Given, Sink, kind_of, put_metadata};
use crate::current::{self, Current, Record};
use crate::names::names;
use crate::observation::{Observation, begun};
use crate::value::{Scratch, for_each_item};

/// Keys that steer the integration and are not recorded.
const STEERING: [&str; 5] =
    ["langfuse_prompt", "langfuse_session_id", "langfuse_user_id", "langfuse_tags", "langfuse_trace_name"];
/// The tag of runs that are of no interest to readers.
const HIDDEN: &str = "langsmith:hidden";

/// One open run, and what the integration notes on it.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRun {
    observation: Py<Observation>,
    record: Py<Record>,
    parent: Option<Py<Self>>,
    held: usize,
    streams: AtomicBool,
    interrupted: AtomicBool,
    prompt: Mutex<Option<Py<PyAny>>>,
    thread: Mutex<Option<Py<PyAny>>>,
}

/// Replaces a note; what it was is let go outside of the lock.
fn note(place: &Mutex<Option<Py<PyAny>>>, value: Option<Py<PyAny>>) {
    let before = std::mem::replace(&mut *place.lock(), value);
    drop(before);
}

#[pymethods]
impl OpenRun {
    /// Its observation.
    #[getter]
    fn observation(&self, py: Python<'_>) -> Py<Observation> {
        self.observation.clone_ref(py)
    }

    /// The run that it is part of.
    #[getter]
    fn parent(&self, py: Python<'_>) -> Option<Py<Self>> {
        self.parent.as_ref().map(|parent| parent.clone_ref(py))
    }

    /// Whether it waits to be resumed.
    #[getter]
    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_interrupted(&self, value: bool) {
        self.interrupted.store(value, Ordering::Relaxed);
    }

    /// The prompt that the next model below it links to.
    #[getter]
    fn prompt(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.prompt.lock().as_ref().map(|prompt| prompt.clone_ref(py))
    }

    #[setter]
    fn set_prompt(&self, value: Option<Py<PyAny>>) {
        note(&self.prompt, value);
    }

    /// The thread of conversation that it belongs to.
    #[getter]
    fn thread(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.thread.lock().as_ref().map(|thread| thread.clone_ref(py))
    }

    #[setter]
    fn set_thread(&self, value: Option<Py<PyAny>>) {
        note(&self.thread, value);
    }
}

/// Open runs by id, oldest first. Each step is one operation on a dict, so threads need no lock.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRuns {
    open: Py<PyDict>,
    bytes: AtomicUsize,
}

impl OpenRuns {
    /// A run by the number of its id, which hashes faster than the id.
    fn find<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let found = self.open.bind(py).get_item(id.getattr(names(py).int.bind(py))?)?;
        Ok(found.and_then(|run| run.cast_into::<OpenRun>().ok()))
    }

    fn insert(
        &self,
        id: &Bound<'_, PyAny>,
        observation: Bound<'_, Observation>,
        parent: Option<Py<OpenRun>>,
    ) -> PyResult<()> {
        let py = id.py();
        let key = id.getattr(names(py).int.bind(py))?;
        // A handler that was registered twice hears of each run twice.
        let before = self.take(py, &key)?;
        if let Some(before) = &before {
            before.get().observation.get().finish(py, None);
        }
        let record = current::attach(&observation)?.unbind();
        let held = observation.get().core.held_bytes();
        self.bytes.fetch_add(held, Ordering::Relaxed);
        let run = OpenRun {
            observation: observation.unbind(),
            record,
            parent,
            held,
            streams: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            prompt: Mutex::new(None),
            thread: Mutex::new(None),
        };
        self.open.bind(py).set_item(key, Bound::new(py, run)?)
    }

    fn take<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let open = self.open.bind(py);
        let Some(run) = open.get_item(key)? else { return Ok(None) };
        // Another thread may have taken it since; then it is that one's.
        if open.del_item(key).is_err() {
            return Ok(None);
        }
        let run = run.cast_into::<OpenRun>()?;
        run.get().record.get().over.store(true, Ordering::Relaxed);
        self.bytes.fetch_sub(run.get().held, Ordering::Relaxed);
        Ok(Some(run))
    }
}

#[pymethods]
impl OpenRuns {
    #[new]
    fn new(py: Python<'_>) -> Self {
        Self { open: PyDict::new(py).unbind(), bytes: AtomicUsize::new(0) }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.open.bind(py).len()
    }

    /// Bytes that the open runs held when they began.
    #[getter]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The run of this id, `None` where it is not open.
    #[pyo3(signature = (id, /))]
    fn get<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        self.find(id)
    }

    /// Begins a run below an open one and makes it current. `None` where the parent is not open or what is recorded goes
    /// through a mask: `adopt` what was begun in the usual way then.
    #[pyo3(signature = (id, parent, name, kind, input, tags, metadata, /))]
    #[allow(clippy::too_many_arguments)]
    fn begin<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        parent: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
        kind: &Bound<'py, PyAny>,
        input: &Bound<'py, PyAny>,
        tags: &Bound<'py, PyAny>,
        metadata: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, Observation>>> {
        let py = id.py();
        let Some(above) = self.find(parent)? else { return Ok(None) };
        let parent = above.get().observation.bind(py).get();
        if parent.handle.masked() {
            return Ok(None);
        }
        let kind = kind_of(Some(kind), parent.public_key());
        let current = Current::read(py)?;
        let other;
        let name = match name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) {
            Some(name) => name,
            None => {
                other = crate::arguments::plain(name)?;
                &other
            }
        };
        let observation = Observation::start(&parent.handle, name, kind, parent.inside(&current));
        if observation.core.is_recording() {
            describe(&observation, tags, metadata)?;
        }
        let given = Given { input: Some(input.as_borrowed()), ..Given::default() };
        let observation = begun(py, observation, kind, &given)?.cast_into::<Observation>()?;
        self.insert(id, observation.clone(), Some(above.unbind()))?;
        Ok(Some(observation))
    }

    /// Remembers an observation as the run of this id and makes it current.
    #[pyo3(signature = (id, parent, observation, /))]
    fn adopt(
        &self,
        id: &Bound<'_, PyAny>,
        parent: &Bound<'_, PyAny>,
        observation: Bound<'_, Observation>,
    ) -> PyResult<()> {
        let above = if parent.is_none() { None } else { self.find(parent)? };
        self.insert(id, observation, above.map(Bound::unbind))
    }

    /// Ends a run with what is given; what was current before it is so again. Returns it where it has no parent.
    #[pyo3(signature = (id, output, input, model=None, usage=None, /))]
    fn end<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        output: &Bound<'py, PyAny>,
        input: &Bound<'py, PyAny>,
        model: Option<&Bound<'py, PyAny>>,
        usage: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let Some(run) = self.take(py, &id.getattr(names(py).int.bind(py))?)? else { return Ok(None) };
        let observation = run.get().observation.bind(py);
        let this = observation.get();
        let given = Given {
            output: Some(output.as_borrowed()),
            input: (!input.is_none()).then(|| input.as_borrowed()),
            model: model.map(|model| model.as_borrowed()),
            usage_details: usage.map(|usage| usage.as_borrowed()),
            ..Given::default()
        };
        let applied = given.apply(&this.handle, &mut &this.core);
        let detached = current::detach(run.get().record.bind(py));
        this.finish(py, None);
        applied.and(detached)?;
        Ok(run.get().parent.is_none().then_some(run))
    }

    /// The observation of a run at the first call for it, `None` at all others: for the first token of an answer.
    #[pyo3(signature = (id, /))]
    fn first<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Observation>>> {
        let run = self.find(id)?;
        Ok(run.and_then(|run| {
            let first = !run.get().streams.swap(true, Ordering::Relaxed);
            first.then(|| run.get().observation.bind(id.py()).clone())
        }))
    }

    /// Takes out the oldest runs until at most `runs` of them and `bytes` are open, and returns their observations.
    #[pyo3(signature = (runs, bytes, /))]
    fn evict<'py>(&self, py: Python<'py>, runs: usize, bytes: usize) -> PyResult<Bound<'py, PyList>> {
        let evicted = PyList::empty(py);
        for key in self.open.bind(py).keys() {
            if self.open.bind(py).len() <= runs && self.bytes() <= bytes {
                break;
            }
            if let Some(run) = self.take(py, &key)? {
                evicted.append(run.get().observation.bind(py))?;
            }
        }
        Ok(evicted)
    }
}

/// Tags and metadata, without what steers the integration.
fn describe(observation: &Observation, tags: &Bound<'_, PyAny>, metadata: &Bound<'_, PyAny>) -> PyResult<()> {
    let scratch = &mut Scratch::take();
    let mut sink = &observation.core;
    if tags.is_truthy()? {
        if tags.contains(HIDDEN)? {
            sink.level(Level::Debug);
        }
        put_metadata(&mut sink, "tags", tags, scratch)?;
    }
    let Ok(metadata) = metadata.cast::<PyDict>() else { return Ok(()) };
    for_each_item(metadata, |key, value| {
        match key.cast::<PyString>().ok().and_then(|key| key.to_str().ok()) {
            Some(key) if key.starts_with("langfuse_") && STEERING.contains(&key) => Ok(()),
            Some(key) => put_metadata(&mut sink, key, value, scratch),
            None => put_metadata(&mut sink, &crate::arguments::plain(key)?, value, scratch),
        }
    })
}
