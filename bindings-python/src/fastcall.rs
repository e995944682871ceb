//! Methods and functions that take their keywords as the interpreter has them (`METH_FASTCALL | METH_KEYWORDS`). A generated one with
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
use pyo3::types::PyString;

/// A call's arguments, sorted.
pub(crate) trait Passed<'a, 'py: 'a> {
    /// Sorts them.
    ///
    /// # Safety
    ///
    /// `args` points to `count` objects and one more for each of `names`, a tuple of `str` or null; all live as long as `'a`.
    unsafe fn sort(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> Self;
}

/// One method of a class.
pub(crate) trait Method {
    /// The class.
    type Of: PyClass;
    /// What it is called with.
    type With<'a, 'py: 'a>: Passed<'a, 'py>;
    const NAME: &'static CStr;
    /// `name($self, *, ...)`, a line of `--`, an empty line, and the documentation.
    const DOC: &'static CStr;

    /// What the method does.
    ///
    /// # Errors
    ///
    /// Only what is no `Exception`, from the application's own code.
    fn call<'py>(of: &Bound<'py, Self::Of>, with: Self::With<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// A function of the module.
pub(crate) trait Function {
    const NAME: &'static CStr;
    /// As [`Method::DOC`], without `$self`.
    const DOC: &'static CStr;

    /// What the function does.
    ///
    /// # Errors
    ///
    /// As [`Method::call`].
    fn call<'py>(py: Python<'py>, named: Named<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// A call's keyword arguments, in their order.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a, 'py> {
    py: Python<'py>,
    values: *const *mut ffi::PyObject,
    names: *mut ffi::PyObject,
    /// How many arguments came without a name.
    pub(crate) positional: usize,
    _lives: std::marker::PhantomData<&'a ()>,
}

impl<'a, 'py: 'a> Named<'a, 'py> {
    /// Each name and its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
        let (py, values, names) = (self.py, self.values, self.names);
        // SAFETY: `names` is null or a live tuple, and as many values are there; `enter_function` vouches for both.
        unsafe {
            let count = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
            (0..count).map(move |at| {
                let name = Borrowed::from_ptr(py, ffi::PyTuple_GetItem(names, at));
                (name, Borrowed::from_ptr(py, *values.add(at.unsigned_abs())))
            })
        }
    }
}

struct Way<M>(std::marker::PhantomData<M>);

struct FunctionWay<F>(std::marker::PhantomData<F>);

impl<F: Function> MethodDef<fastcall_cfunction_with_keywords::Func> for FunctionWay<F> {
    const METH: fastcall_cfunction_with_keywords::Func = enter_function::<F>;
}

/// # Safety
///
/// As [`enter`], without `self`.
unsafe fn enter_function<F: Function>(
    py: Python<'_>,
    _module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let positional = count.unsigned_abs();
    // SAFETY: the named arguments follow the others; where there are none, nothing is read.
    let values = if names.is_null() { args } else { unsafe { args.add(positional) } };
    F::call(py, Named { py, values, names, positional, _lives: std::marker::PhantomData })
        .map(Bound::into_ptr)
}

/// Puts a function into the module.
///
/// # Errors
///
/// The interpreter is out of memory.
pub(crate) fn install_function<F: Function>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: F::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: fastcall_cfunction_with_keywords::<FunctionWay<F>>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: F::DOC.as_ptr(),
    }));
    let name = module.name()?;
    // SAFETY: the definition is never freed, and the name of the module is a live `str`.
    let function = unsafe {
        let raw = ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), name.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), raw)?
    };
    module.add(PyString::new(module.py(), F::NAME.to_str().unwrap_or_default()), function)
}

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
        let with = M::With::sort(py, args, count.unsigned_abs(), names);
        M::call(&of, with).map(Bound::into_ptr)
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
