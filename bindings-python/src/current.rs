//! What is current here: one `contextvars.ContextVar` whose value never changes. It holds an observation, or a record that
//! adds propagated attributes or a client. Scopes set it and set it back by value, never by token, so that a generator may
//! be closed in another context than it was begun in.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use tracespool_core::SpanContext;
use tracespool_core::propagate::Propagated;

use crate::block::Block;
use crate::handle::Handle;
use crate::observation::Observation;
use crate::runs::OpenRun;

/// The variable, and the two ways to it.
struct Variable {
    object: Py<PyAny>,
    get: Py<PyAny>,
    set: Py<PyAny>,
    direct: Option<Direct>,
}

/// `PyContextVar_Get` and `PyContextVar_Set`: exported with these signatures by every CPython since 3.7.1, but no part of
/// the limited API, so they are looked up when the module is loaded. An interpreter without them is asked by the
/// variable's methods, which takes a little longer.
#[derive(Clone, Copy)]
struct Direct {
    get: Get,
    set: Set,
}

type Get = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> c_int;
type Set = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

impl Direct {
    #[cfg(unix)]
    #[allow(unsafe_code)]
    fn find() -> Option<Self> {
        // SAFETY: the names end with a null; what is found under them has had these signatures ever since.
        unsafe {
            let get = libc::dlsym(libc::RTLD_DEFAULT, c"PyContextVar_Get".as_ptr());
            let set = libc::dlsym(libc::RTLD_DEFAULT, c"PyContextVar_Set".as_ptr());
            if get.is_null() || set.is_null() {
                return None;
            }
            Some(Self {
                get: std::mem::transmute::<*mut c_void, Get>(get),
                set: std::mem::transmute::<*mut c_void, Set>(set),
            })
        }
    }

    #[cfg(not(unix))]
    fn find() -> Option<Self> {
        None
    }
}

/// Made at import; see [`crate::names`] for why nothing is made later.
static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();

fn variable(py: Python<'_>) -> PyResult<&Variable> {
    VARIABLE.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("default", py.None())?;
        let object =
            py.import("_contextvars")?.getattr("ContextVar")?.call(("tracespool",), Some(&options))?;
        let (get, set) = (object.getattr("get")?.unbind(), object.getattr("set")?.unbind());
        Ok(Variable { object: object.unbind(), get, set, direct: Direct::find() })
    })
}

/// Makes the variable: at import.
pub(crate) fn init(py: Python<'_>) -> PyResult<()> {
    variable(py).map(drop)
}

/// What is current besides, or instead of, an observation.
pub(crate) struct Inside {
    pub(crate) observation: Option<Py<Observation>>,
    /// The sender's span of a trace that goes on here, while no observation is below it.
    pub(crate) sender: Option<SpanContext>,
    pub(crate) propagated: Option<Arc<Propagated>>,
    pub(crate) handle: Option<Arc<Handle>>,
}

/// The same as a value of the variable.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Record {
    inside: Inside,
}

impl Record {
    pub(crate) fn new(inside: Inside) -> Self {
        Self { inside }
    }
}

/// The variable's value as it was read.
pub(crate) struct Current<'py>(Bound<'py, PyAny>);

impl<'py> Current<'py> {
    /// Reads the variable. A run that is over counts no more: frameworks tell of the begin and the end of work, but not always in
    /// the same context; where its end was seen elsewhere, what was current before is found again all the same.
    pub(crate) fn read(py: Python<'py>) -> PyResult<Self> {
        let mut current = Self::raw(py)?;
        while let Some(before) = current.lapsed() {
            current = Self(before);
        }
        Ok(current)
    }

    fn raw(py: Python<'py>) -> PyResult<Self> {
        let variable = variable(py)?;
        let Some(direct) = variable.direct else {
            return variable.get.bind(py).call0().map(Self);
        };
        // SAFETY: attached; the variable is one, and the value that comes is a new reference, its default at least.
        #[allow(unsafe_code)]
        unsafe {
            let mut value = std::ptr::null_mut();
            if (direct.get)(variable.object.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Self(Bound::from_owned_ptr_or_opt(py, value).unwrap_or_else(|| py.None().into_bound(py))))
        }
    }

    /// What was current before a run that is over.
    fn lapsed(&self) -> Option<Bound<'py, PyAny>> {
        let run = self.run()?;
        run.over.load(Ordering::Relaxed).then(|| run.before.bind(self.0.py()).clone())
    }

    fn run(&self) -> Option<&OpenRun> {
        if self.0.is_none() {
            return None;
        }
        self.0.cast_exact::<OpenRun>().ok().map(Bound::get)
    }

    /// The observation that new ones go below.
    pub(crate) fn observation(&self) -> Option<&Bound<'py, Observation>> {
        if let Ok(observation) = self.0.cast_exact::<Observation>() {
            return Some(observation);
        }
        match self.inside() {
            Some(inside) => inside.observation.as_ref().map(|observation| observation.bind(self.0.py())),
            None => Some(self.run()?.observation.bind(self.0.py())),
        }
    }

    /// The attributes that new observations carry.
    pub(crate) fn propagated(&self) -> Option<&Arc<Propagated>> {
        if let Ok(observation) = self.0.cast_exact::<Observation>() {
            return observation.get().propagated.as_ref();
        }
        match self.inside() {
            Some(inside) => inside.propagated.as_ref(),
            None => self.run()?.observation.get().propagated.as_ref(),
        }
    }

    /// The sender's span, where that is what new observations go below.
    pub(crate) fn sender(&self) -> Option<&SpanContext> {
        self.inside()?.sender.as_ref()
    }

    /// The client that calls without one go to.
    pub(crate) fn handle(&self) -> Option<&Arc<Handle>> {
        if let Ok(observation) = self.0.cast_exact::<Observation>() {
            return Some(&observation.get().handle);
        }
        match self.inside() {
            Some(inside) => inside.handle.as_ref(),
            None => Some(&self.run()?.observation.get().handle),
        }
    }

    fn inside(&self) -> Option<&Inside> {
        if self.0.is_none() {
            return None;
        }
        match self.0.cast_exact::<Block>() {
            Ok(block) => block.get().inside(),
            Err(_) => self.0.cast_exact::<Record>().ok().map(|record| &record.get().inside),
        }
    }

    /// The value, to be set back later.
    pub(crate) fn into_value(self) -> Py<PyAny> {
        self.0.unbind()
    }
}

/// Sets the variable.
pub(crate) fn set(value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let variable = variable(py)?;
    // SAFETY: attached, all are live objects, and a list of arguments ends with a null; the answer is a new reference or
    // null with an exception set. Unlike `call1` neither way makes a tuple, on the way of every observation.
    #[allow(unsafe_code)]
    unsafe {
        let token = match variable.direct {
            Some(direct) => (direct.set)(variable.object.as_ptr(), value.as_ptr()),
            None => ffi::PyObject_CallFunctionObjArgs(
                variable.set.as_ptr(),
                value.as_ptr(),
                std::ptr::null_mut::<ffi::PyObject>(),
            ),
        };
        Bound::from_owned_ptr_or_err(py, token).map(drop)
    }
}

/// Leaves a scope: sets `previous` back where `mine` is still current. In another context (a generator that is closed
/// elsewhere) that context's own value stands, unless it is an observation that has ended.
pub(crate) fn leave(mine: &Bound<'_, PyAny>, previous: &Bound<'_, PyAny>) -> PyResult<()> {
    let current = Current::read(mine.py())?;
    let ended =
        || current.0.cast_exact::<Observation>().is_ok_and(|observation| observation.get().core.has_ended());
    if current.0.is(mine) || ended() { set(previous) } else { Ok(()) }
}

/// Sets back what was current before a run, where it is still current in this context, or another one was made so inside of it
/// that is over as well.
pub(crate) fn detach(run: &Bound<'_, OpenRun>) -> PyResult<()> {
    let mut current = Current::raw(run.py())?;
    loop {
        let before = current.lapsed();
        match before {
            Some(before) if current.0.is(run) => return set(&before),
            Some(before) => current = Current(before),
            None => return Ok(()),
        }
    }
}
