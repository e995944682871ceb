//! The arguments of a handler's events as the interpreter passes them: no dict and no tuple; what nothing is recorded of is
//! passed over.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::fastcall::Passed;

type Argument<'a, 'py> = Option<Borrowed<'a, 'py, PyAny>>;

macro_rules! arguments {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// One argument.
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        pub(crate) enum Argued { $($variant),* }
        const NAMES: [&str; [$($name),*].len()] = [$($name),*];
    };
}

arguments! {
    RunId "run_id", ParentRunId "parent_run_id", Tags "tags", Metadata "metadata", Name "name", Inputs "inputs",
    InvocationParams "invocation_params", Serialized "serialized", Outputs "outputs", Messages "messages",
    Prompts "prompts", Response "response",
    // Known, so that they are not taken for names that were made at run time.
    RunType "run_type", Options "options", BatchSize "batch_size",
}

static INTERNED: PyOnceLock<[Py<PyString>; NAMES.len()]> = PyOnceLock::new();

/// Makes the names: at import; see [`crate::names`].
pub(crate) fn init(py: Python<'_>) {
    let _ = INTERNED.set(py, NAMES.map(|name| PyString::intern(py, name).unbind()));
}

/// What an event was told; `None` counts as not told.
pub(crate) struct Told<'a, 'py> {
    named: [Argument<'a, 'py>; NAMES.len()],
    first: [Argument<'a, 'py>; 2],
}

impl<'a, 'py: 'a> Passed<'a, 'py> for Told<'a, 'py> {
    unsafe fn sort(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> Self {
        let interned = INTERNED.get_or_init(py, || NAMES.map(|name| PyString::intern(py, name).unbind()));
        let mut told = Self { named: [None; NAMES.len()], first: [None; 2] };
        // SAFETY: indexes stay below what the caller vouches for.
        unsafe {
            for at in 0..count.min(2) {
                told.first[at] = Some(Borrowed::from_ptr(py, *args.add(at)));
            }
            let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
            for at in 0..named {
                let name = ffi::PyTuple_GetItem(names, at);
                let value = Borrowed::from_ptr(py, *args.add(count + at.unsigned_abs()));
                let known = interned.iter().position(|known| known.as_ptr() == name);
                if let Some(known) = known.or_else(|| position(Borrowed::from_ptr(py, name)))
                    && !value.is_none()
                {
                    told.named[known] = Some(value);
                }
            }
        }
        told
    }
}

/// Names that were made at run time are not interned.
#[cold]
fn position(name: Borrowed<'_, '_, PyAny>) -> Option<usize> {
    let name = name.extract::<&str>().ok()?;
    NAMES.iter().position(|known| *known == name)
}

impl<'a, 'py> Told<'a, 'py> {
    /// An argument that has a name only.
    pub(crate) fn get(&self, name: Argued) -> Option<&Bound<'py, PyAny>> {
        self.named[name as usize].as_deref()
    }

    /// One that usually comes without its name, as the `at`th.
    pub(crate) fn at(&self, at: usize, name: Argued) -> Option<&Bound<'py, PyAny>> {
        self.first[at].as_ref().or(self.named[name as usize].as_ref()).map(|value| &**value)
    }

    /// A dict.
    pub(crate) fn dict(&self, name: Argued) -> Option<&Bound<'py, PyDict>> {
        self.get(name)?.cast().ok()
    }
}
