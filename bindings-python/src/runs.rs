//! The open runs of a framework that tells of begins and ends by id (LangChain): which observation stands for which run,
//! bounded whatever is never ended.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arguments::Given;
use crate::current::{self, Current};
use crate::names::names;
use crate::observation::Observation;

/// One open run, and what the integration notes on it. It is also what is current while it is open, see [`crate::current`].
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRun {
    pub(crate) observation: Py<Observation>,
    pub(crate) parent: Option<Py<Self>>,
    /// What was current before it.
    pub(crate) before: Py<PyAny>,
    pub(crate) over: AtomicBool,
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

/// Spreads the addresses of objects: they are multiples of sixteen.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }
    fn write_usize(&mut self, address: usize) {
        let spread = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}

/// A run with its id, which is held, so that no other object gets its address.
struct Entry {
    id: Py<PyAny>,
    run: Py<OpenRun>,
    begun: u64,
}

/// Runs by the address of their id.
#[derive(Default)]
struct Table {
    runs: HashMap<usize, Entry, BuildHasherDefault<Spread>>,
    /// Oldest first; those that have ended leave their places behind for a while.
    order: VecDeque<(usize, u64)>,
    begun: u64,
}

impl Table {
    fn put(&mut self, id: Py<PyAny>, run: Py<OpenRun>) -> Option<Entry> {
        self.begun += 1;
        let (address, begun) = (id.as_ptr() as usize, self.begun);
        self.order.push_back((address, begun));
        let before = self.runs.insert(address, Entry { id, run, begun });
        if self.order.len() > 2 * self.runs.len() + 64 {
            let runs = &self.runs;
            self.order
                .retain(|(address, begun)| runs.get(address).is_some_and(|entry| entry.begun == *begun));
        }
        before
    }

    fn oldest(&mut self) -> Option<Entry> {
        while let Some((address, begun)) = self.order.pop_front() {
            if self.runs.get(&address).is_some_and(|entry| entry.begun == begun) {
                return self.runs.remove(&address);
            }
        }
        None
    }
}

/// Open runs. Frameworks tell the begin and the end of a run, and the begins below it, with the same object as its id, so they
/// are looked for by its address; by the number that it stands for once one was asked for that is not known by address.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct OpenRuns {
    /// Held for looking only; what is taken out is let go outside of it.
    open: Mutex<Table>,
    /// Ids by their number.
    numbers: Py<PyDict>,
    numbered: AtomicBool,
    bytes: AtomicUsize,
    max_runs: AtomicUsize,
    max_bytes: AtomicUsize,
}

impl OpenRuns {
    /// The run of this id.
    pub(crate) fn find<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let known = |id: &Bound<'py, PyAny>| {
            let open = self.open.lock();
            open.runs.get(&(id.as_ptr() as usize)).map(|entry| entry.run.clone_ref(py).into_bound(py))
        };
        if let Some(run) = known(id) {
            return Ok(Some(run));
        }
        Ok(self.equal(id)?.as_ref().and_then(known))
    }

    /// The id that stands for the same run as this one.
    #[cold]
    fn equal<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = id.py();
        let numbers = self.numbers.bind(py);
        if !self.numbered.swap(true, Ordering::Relaxed) {
            let ids: Vec<Py<PyAny>> = {
                let open = self.open.lock();
                open.runs.values().map(|entry| entry.id.clone_ref(py)).collect()
            };
            for known in ids {
                numbers.set_item(known.bind(py).getattr(&names(py).int)?, known)?;
            }
        }
        numbers.get_item(id.getattr(&names(py).int)?)
    }

    /// Remembers an observation, which holds so many bytes, as the run of this id and makes it current instead of `current`.
    pub(crate) fn insert<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        observation: Bound<'py, Observation>,
        held: usize,
        parent: Option<Py<OpenRun>>,
        thread: Option<Py<PyAny>>,
        current: Current<'py>,
    ) -> PyResult<Bound<'py, OpenRun>> {
        let py = id.py();
        // A handler that was registered twice hears of each run twice.
        let numbered = self.numbered.load(Ordering::Relaxed);
        let before = if numbered { self.take(id)? } else { self.taken(id) };
        if let Some(before) = &before {
            before.get().observation.get().finish(py, None);
        }
        self.bytes.fetch_add(held, Ordering::Relaxed);
        let run = OpenRun {
            observation: observation.unbind(),
            parent,
            before: current.into_value(),
            over: AtomicBool::new(false),
            held,
            streams: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            prompt: Mutex::new(None),
            thread,
        };
        let run = Bound::new(py, run)?;
        current::set(run.as_any())?;
        let other = self.open.lock().put(id.clone().unbind(), run.clone().unbind());
        drop(other);
        if numbered {
            self.numbers.bind(py).set_item(id.getattr(&names(py).int)?, id)?;
        }
        Ok(run)
    }

    /// Whether more is open than may be.
    pub(crate) fn is_full(&self) -> bool {
        self.len() > self.max_runs.load(Ordering::Relaxed)
            || self.bytes() > self.max_bytes.load(Ordering::Relaxed)
    }

    /// Takes out the run of this very object.
    fn taken<'py>(&self, id: &Bound<'py, PyAny>) -> Option<Bound<'py, OpenRun>> {
        let entry = self.open.lock().runs.remove(&(id.as_ptr() as usize))?;
        Some(self.over(id.py(), entry))
    }

    fn over<'py>(&self, py: Python<'py>, entry: Entry) -> Bound<'py, OpenRun> {
        let run = entry.run.into_bound(py);
        run.get().over.store(true, Ordering::Relaxed);
        self.bytes.fetch_sub(run.get().held, Ordering::Relaxed);
        run
    }

    /// Takes out the run of this id. Where another thread has taken it since, it is that one's.
    fn take<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let mut run = self.taken(id);
        if run.is_none()
            && let Some(known) = self.equal(id)?
        {
            run = self.taken(&known);
        }
        if run.is_some() {
            self.forget(id)?;
        }
        Ok(run)
    }

    fn forget(&self, id: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.numbered.load(Ordering::Relaxed) {
            let _ = self.numbers.bind(id.py()).del_item(id.getattr(&names(id.py()).int)?);
        }
        Ok(())
    }

    /// Ends a run with what is given; what was current before it is so again. Returns it where it has no parent.
    pub(crate) fn finish<'py>(
        &self,
        id: &Bound<'py, PyAny>,
        given: &Given<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, OpenRun>>> {
        let py = id.py();
        let Some(run) = self.take(id)? else { return Ok(None) };
        let this = run.get().observation.bind(py).get();
        let applied = given.apply(&this.handle, &mut &this.core);
        let is_root = run.get().parent.is_none();
        // One inside another that is over counts no more, and the outer one sets back what was before both.
        let detached = if is_root { current::detach(&run) } else { Ok(()) };
        this.finish(py, None);
        applied.and(detached)?;
        Ok(is_root.then_some(run))
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
            open: Mutex::default(),
            numbers: PyDict::new(py).unbind(),
            numbered: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            max_runs: AtomicUsize::new(usize::MAX),
            max_bytes: AtomicUsize::new(usize::MAX),
        }
    }

    #[pyo3(name = "__len__")]
    fn len(&self) -> usize {
        self.open.lock().runs.len()
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
        while self.len() > runs || self.bytes() > bytes {
            let Some(entry) = self.open.lock().oldest() else { break };
            let id = entry.id.clone_ref(py).into_bound(py);
            let run = self.over(py, entry);
            self.forget(&id)?;
            evicted.append(run.get().observation.bind(py))?;
        }
        Ok(evicted)
    }
}
