//! Methods that take their keywords as the interpreter has them (`METH_FASTCALL | METH_KEYWORDS`). A generated method with
//! `**unknown` would be given a tuple and a dict made for each call, and without it unknown names would raise; on the way of
//! every observation neither will do.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::impl_::pyclass::PyClassImpl;
use pyo3::prelude::*;
use pyo3::pyclass::PyClass;
use pyo3::types::PyString;

use crate::keywords::Keywords;

/// One method of a class.
pub(crate) trait Method {
    /// The class.
    type Of: PyClass;
    /// Name and parentheses, for messages.
    const FUNCTION: &'static str;
    /// The name.
    const NAME: &'static CStr;
    /// `name($self, *, ...)`, a line of `--`, an empty line, and the documentation.
    const DOC: &'static CStr;

    fn public_key(of: &Self::Of) -> &str;

    fn call<'py>(of: &Bound<'py, Self::Of>, keywords: &Keywords<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// Puts the method into its class.
pub(crate) fn install<M: Method>(py: Python<'_>) -> PyResult<()>
where
    M::Of: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync,
{
    let class = py.get_type::<M::Of>();
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: enter::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: M::DOC.as_ptr(),
    }));
    // SAFETY: the class is live and the definition is never freed; a descriptor checks that `self` is of the class.
    let descriptor = unsafe {
        let raw = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(py, raw)?
    };
    class.setattr(M::NAME, descriptor)
}
