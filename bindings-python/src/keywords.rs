//! Keyword arguments of everything that starts or changes an observation, as the interpreter passes them: no tuple, no
//! dict, no reference. Unknown names are told, never raised.
#![allow(unsafe_code)]

use std::borrow::Cow;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::arguments::{Given, plain, shown};
use crate::fastcall::Passed;
use crate::notices::problem;

type Argument<'a, 'py> = Option<Borrowed<'a, 'py, PyAny>>;

macro_rules! names {
    ($($variant:ident $name:literal),* $(,)?) => {
        #[derive(Clone, Copy)]
        enum Slot { $($variant),* }
        const NAMES: [&str; [$($name),*].len()] = [$($name),*];
    };
}

names! {
    Output "output", Input "input", Name "name", Metadata "metadata", AsType "as_type", Model "model",
    UsageDetails "usage_details", Version "version", Level "level", StatusMessage "status_message",
    CompletionStartTime "completion_start_time", ModelParameters "model_parameters", CostDetails "cost_details",
    Prompt "prompt", TraceContext "trace_context", EndOnExit "end_on_exit",
}

/// The names as the interpreter's own interned objects.
static INTERNED: PyOnceLock<[Py<PyString>; NAMES.len()]> = PyOnceLock::new();

/// Makes the names: at import; see [`crate::names`].
pub(crate) fn init(py: Python<'_>) {
    let _ = INTERNED.set(py, NAMES.map(|name| PyString::intern(py, name).unbind()));
}

/// A call's arguments; `None` counts as not passed.
pub(crate) struct Keywords<'a, 'py> {
    slots: [Argument<'a, 'py>; NAMES.len()],
    /// The first positional argument, which is taken for the name.
    first: Argument<'a, 'py>,
    /// The first name that is none of ours.
    unknown: Argument<'a, 'py>,
    surplus: bool,
}

impl<'a, 'py: 'a> Passed<'a, 'py> for Keywords<'a, 'py> {
    unsafe fn sort(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> Self {
        let interned = INTERNED.get_or_init(py, || NAMES.map(|name| PyString::intern(py, name).unbind()));
        let mut keywords =
            Self { slots: [None; NAMES.len()], first: None, unknown: None, surplus: count > 1 };
        // SAFETY: indexes stay below what the caller vouches for.
        unsafe {
            if count > 0 {
                keywords.first = Some(Borrowed::from_ptr(py, *args));
            }
            let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
            for at in 0..named {
                let name = ffi::PyTuple_GetItem(names, at);
                let value = Borrowed::from_ptr(py, *args.add(count + at.unsigned_abs()));
                let known = interned.iter().position(|known| known.as_ptr() == name);
                match known.or_else(|| position(Borrowed::from_ptr(py, name))) {
                    Some(at) if !value.is_none() => keywords.slots[at] = Some(value),
                    Some(_) => {}
                    None => keywords.unknown = Some(Borrowed::from_ptr(py, name)),
                }
            }
        }
        keywords
    }
}

impl<'a, 'py> Keywords<'a, 'py> {
    /// Tells of arguments that `function` does not have.
    #[inline]
    pub(crate) fn check(&self, function: &str, public_key: &str) {
        if self.unknown.is_some() || self.surplus {
            self.tell(function, public_key);
        }
    }

    #[cold]
    fn tell(&self, function: &str, public_key: &str) {
        if let Some(name) = self.unknown {
            let name = plain(&name).unwrap_or_default();
            problem(public_key, format!("{function} has no argument {:?}; it is ignored", shown(&name)));
        }
        if self.surplus {
            problem(public_key, format!("{function} takes keywords only; positional arguments are ignored"));
        }
    }

    fn get(&self, name: Slot) -> Argument<'a, 'py> {
        self.slots[name as usize]
    }

    /// The values of an observation among them.
    pub(crate) fn given(&self) -> Given<'a, 'py> {
        Given {
            input: self.get(Slot::Input),
            output: self.get(Slot::Output),
            metadata: self.get(Slot::Metadata),
            version: self.get(Slot::Version),
            level: self.get(Slot::Level),
            status_message: self.get(Slot::StatusMessage),
            completion_start_time: self.get(Slot::CompletionStartTime),
            model: self.get(Slot::Model),
            model_parameters: self.get(Slot::ModelParameters),
            usage_details: self.get(Slot::UsageDetails),
            cost_details: self.get(Slot::CostDetails),
            prompt: self.get(Slot::Prompt),
        }
    }

    /// The name that was given, by keyword or first.
    pub(crate) fn name(&self) -> PyResult<Option<Cow<'_, str>>> {
        let name = self.slots[Slot::Name as usize].as_ref().or(self.first.as_ref());
        let Some(name) = name else { return Ok(None) };
        let name: &Bound<'py, PyAny> = name;
        match name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) {
            Some(text) => Ok(Some(text.into())),
            None => plain(name).map(|text| Some(text.into())),
        }
    }

    /// What the observation is said to be.
    pub(crate) fn as_type(&self) -> Argument<'a, 'py> {
        self.get(Slot::AsType)
    }

    /// The trace that the observation is said to belong to.
    pub(crate) fn trace_context(&self) -> Argument<'a, 'py> {
        self.get(Slot::TraceContext)
    }

    /// Whether leaving the block ends the observation.
    pub(crate) fn end_on_exit(&self) -> bool {
        self.get(Slot::EndOnExit).is_none_or(|flag| flag.is_truthy().unwrap_or(true))
    }
}

/// Names that were made at run time are not interned.
#[cold]
fn position(name: Borrowed<'_, '_, PyAny>) -> Option<usize> {
    let name = name.extract::<&str>().ok()?;
    NAMES.iter().position(|known| *known == name)
}
