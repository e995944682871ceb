//! Methods that take their keywords as the interpreter has them (`METH_FASTCALL | METH_KEYWORDS`). A generated method with
//! `**unknown` would be given a tuple and a dict made for each call, and without it unknown names would raise; on the way of
//! every observation neither will do.
//!
//! The way in is PyO3's own trampoline, which its macros use and its documentation hides: it keeps PyO3's account of attached
//! threads and turns panics into exceptions.
#![allow(unsafe_code)]

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::impl_::trampoline::{MethodDef, fastcall_cfunction_with_keywords};
use pyo3::prelude::*;
use pyo3::pyclass::PyClass;

use crate::keywords::Keywords;

/// One method of a class.
pub(crate) trait Method {
    /// The class.
    type Of: PyClass;
    const NAME: &'static CStr;
    /// `name($self, *, ...)`, a line of `--`, an empty line, and the documentation.
    const DOC: &'static CStr;

    /// What the method does.
    ///
    /// # Errors
    ///
    /// Only what is no `Exception`, from the application's own code.
    fn call<'py>(of: &Bound<'py, Self::Of>, keywords: Keywords<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
}

struct Way<M>(std::marker::PhantomData<M>);

impl<M: Method> MethodDef<fastcall_cfunction_with_keywords::Func> for Way<M> {
    const METH: fastcall_cfunction_with_keywords::Func = enter::<M>;
}

/// # Safety
///
/// To be called by the trampoline with what the interpreter passed: `self` of the method's class, `count` positional
/// arguments and one more for each of `names`, a tuple of `str` or null.
unsafe fn enter<M: Method>(
    py: Python<'_>,
    of: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: as above; a method descriptor has checked `self`, and the caller holds all arguments during the call.
    unsafe {
        let of = Borrowed::from_ptr(py, of).cast_unchecked::<M::Of>();
        let keywords = Keywords::new(py, args, count.unsigned_abs(), names);
        M::call(&of, keywords).map(Bound::into_ptr)
    }
}

/// Puts a method into its class.
///
/// # Errors
///
/// The interpreter is out of memory.
pub(crate) fn install<M: Method>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Of>();
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: fastcall_cfunction_with_keywords::<Way<M>>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: M::DOC.as_ptr(),
    }));
    // SAFETY: the class is live, and the definition is never freed.
    let descriptor = unsafe {
        let raw = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(py, raw)?
    };
    class.setattr(M::NAME, descriptor)
}
