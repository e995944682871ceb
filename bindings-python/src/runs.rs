//! The open runs of a framework that tells of begins and ends by id (LangChain): which observation stands for which run,
//! bounded whatever is never ended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arguments::Given;
use crate::current::{self, Current, Record};
use crate::names::names;
use crate::observation::Observation;

/// One open run, and what the integration notes on it.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRun {
    pub(crate) observation: Py<Observation>,
    record: Py<Record>,
    pub(crate) parent: Option<Py<Self>>,
    held: usize,
    streams: AtomicBool,
    interrupted: AtomicBool,
    prompt: Mutex<Option<Py<PyAny>>>,
    thread: Option<Py<PyAny>>,
}

impl OpenRun {
    /// The prompt that the next model below it links to.
    pub(crate) fn prompt(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.prompt.lock().as_ref().map(|prompt| prompt.clone_ref(py))
    }

    /// The same, and it has it no more.
    pub(crate) fn take_prompt(&self) -> Option<Py<PyAny>> {
        self.prompt.lock().take()
    }

    /// Replaces it; what it was is let go outside of the lock.
    pub(crate) fn note_prompt(&self, prompt: Option<Py<PyAny>>) {
        let before = std::mem::replace(&mut *self.prompt.lock(), prompt);
        drop(before);
    }
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

    /// The thread of conversation that it belongs to.
    #[getter]
    fn thread(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.thread.as_ref().map(|thread| thread.clone_ref(py))
    }
}

/// Open runs by the number of their id, which hashes faster than the id; oldest first. Each step is one operation on a dict,
/// so threads need no lock.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRuns {
    open: Py<PyDict>,
    bytes: AtomicUsize,
    max_runs: AtomicUsize,
    max_bytes: AtomicUsize,
}

impl OpenRuns {
    /// The run of this id.
    pub(crate) fn find<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let found = self.open.bind(py).get_item(id.getattr(&names(py).int)?)?;
        Ok(found.and_then(|run| run.cast_into::<OpenRun>().ok()))
    }

    /// Remembers an observation as the run of this id and makes it current instead of `current`.
    pub(crate) fn insert<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        observation: Bound<'py, Observation>,
        parent: Option<Py<OpenRun>>,
        thread: Option<Py<PyAny>>,
        current: Current<'py>,
    ) -> PyResult<Bound<'py, OpenRun>> {
        let py = id.py();
        let key = id.getattr(&names(py).int)?;
        // A handler that was registered twice hears of each run twice.
        let before = self.take(py, &key)?;
        if let Some(before) = &before {
            before.get().observation.get().finish(py, None);
        }
        let record = current::attach(&observation, current)?.unbind();
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
            thread,
        };
        let run = Bound::new(py, run)?;
        self.open.bind(py).set_item(key, &run)?;
        Ok(run)
    }

    /// Whether more is open than may be.
    pub(crate) fn is_full(&self, py: Python<'_>) -> bool {
        self.open.bind(py).len() > self.max_runs.load(Ordering::Relaxed)
            || self.bytes() > self.max_bytes.load(Ordering::Relaxed)
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

    /// Ends a run with what is given; what was current before it is so again. Returns it where it has no parent.
    pub(crate) fn finish<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        given: &Given<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let Some(run) = self.take(py, &id.getattr(&names(py).int)?)? else { return Ok(None) };
        let this = run.get().observation.bind(py).get();
        let applied = given.apply(&this.handle, &mut &this.core);
        let detached = current::detach(run.get().record.bind(py));
        this.finish(py, None);
        applied.and(detached)?;
        Ok(run.get().parent.is_none().then_some(run))
    }

    /// The observation of a run at the first call for it, `None` at all others: for the first token of an answer.
    pub(crate) fn first<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Observation>>> {
        let run = self.find(id)?;
        Ok(run.and_then(|run| {
            let first = !run.get().streams.swap(true, Ordering::Relaxed);
            first.then(|| run.get().observation.bind(id.py()).clone())
        }))
    }
}

#[pymethods]
impl OpenRuns {
    #[new]
    pub(crate) fn new(py: Python<'_>) -> Self {
        Self {
            open: PyDict::new(py).unbind(),
            bytes: AtomicUsize::new(0),
            max_runs: AtomicUsize::new(usize::MAX),
            max_bytes: AtomicUsize::new(usize::MAX),
        }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.open.bind(py).len()
    }

    /// Bytes that the open runs held when they began.
    #[getter]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many may be open before the handler's bounds are asked to end some.
    #[getter]
    fn max_runs(&self) -> usize {
        self.max_runs.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_max_runs(&self, value: usize) {
        self.max_runs.store(value, Ordering::Relaxed);
    }

    /// The same in bytes.
    #[getter]
    fn max_bytes(&self) -> usize {
        self.max_bytes.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_max_bytes(&self, value: usize) {
        self.max_bytes.store(value, Ordering::Relaxed);
    }

    /// The run of this id, `None` where it is not open.
    #[pyo3(signature = (id, /))]
    fn get<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        self.find(id)
    }

    /// Ends a run with what is given; what was current before it is so again. Returns it where it has no parent.
    #[pyo3(signature = (id, output, input, /))]
    fn end<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        output: &Bound<'py, PyAny>,
        input: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let given = Given {
            output: Some(output.as_borrowed()),
            input: (!input.is_none()).then(|| input.as_borrowed()),
            ..Given::default()
        };
        self.finish(id, &given)
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
