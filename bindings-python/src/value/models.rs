//! The fields of LangChain's own models (messages, prompts, documents, answers), read where pydantic keeps them: each has them
//! in its `__dict__`, and none computes one. By attribute they are found past a hook of their class, five times as slowly.

use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::types;
use crate::names::names;

/// Classes that are known to be LangChain's own; as many as there are in use, and further ones are looked at each time.
static OWN: [AtomicPtr<ffi::PyTypeObject>; 32] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 32];

/// Whether this is a class of `langchain_core` whose fields are pydantic's.
fn is_own(class: &Bound<'_, PyType>) -> bool {
    let kind = class.as_type_ptr();
    for known in &OWN {
        let known = known.load(Ordering::Relaxed);
        if known == kind {
            return true;
        }
        if known.is_null() {
            break;
        }
    }
    look(class)
}

#[cold]
fn look(class: &Bound<'_, PyType>) -> bool {
    let py = class.py();
    types::refresh(py);
    let module = class.getattr(names(py).module.bind(py)).ok();
    let module = module.as_ref().and_then(|module| module.cast::<PyString>().ok());
    let own = module.is_some_and(|module| module.to_string_lossy().starts_with("langchain_core."))
        && types::MODEL.matches(py, class.as_type_ptr());
    if own {
        let free = OWN.iter().find(|known| known.load(Ordering::Relaxed).is_null());
        if let Some(free) = free {
            // It lives as long as the process from here on, so that no other class gets its address.
            free.store(class.clone().into_ptr().cast(), Ordering::Relaxed);
        }
    }
    own
}

/// The fields of a model of LangChain's own, `None` for everything else.
pub(crate) fn fields<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    if !is_own(&object.get_type()) {
        return None;
    }
    let py = object.py();
    // SAFETY: attached, and a live object; the answer is a new reference, or null with an exception set.
    let found = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut()))
    };
    found.ok()?.cast_into().ok()
}

/// Whether a model holds more than its fields.
pub(super) fn has_extra(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    // SAFETY: as above. It is a slot of pydantic's base class, for which its hook is not needed.
    let extra = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyObject_GenericGetAttr(object.as_ptr(), names(py).extra.as_ptr()),
        )
    };
    extra?.is_truthy()
}

/// One attribute of an object whose fields, where it is such a model, are these; `None` where it has none.
pub(crate) fn field<'py>(
    object: &Bound<'py, PyAny>,
    fields: Option<&Bound<'py, PyDict>>,
    name: &Py<PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(fields) = fields
        && let Some(value) = fields.get_item(name)?
    {
        return Ok(Some(value));
    }
    object.getattr_opt(name)
}

/// The same where it has to be there.
///
/// # Errors
///
/// `AttributeError`.
pub(crate) fn required<'py>(
    object: &Bound<'py, PyAny>,
    fields: Option<&Bound<'py, PyDict>>,
    name: &Py<PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    match fields.map(|fields| fields.get_item(name)).transpose()?.flatten() {
        Some(value) => Ok(value),
        None => object.getattr(name),
    }
}
