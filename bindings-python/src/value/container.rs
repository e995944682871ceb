//! Dicts, lists and tuples.
//!
//! Other code may run while an element is encoded and may change the container. Elements that can run code are held by a
//! reference meanwhile; a list is read by its current length, and a dict that changed becomes `<dict>`.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::encoder::{Encoder, MAX_DEPTH, Outcome, Raised};
use super::media::Role;
use super::text::push_quoted;
use tracespool_core::media::Place;

/// Calls `visit` with each key and value of a dict; stops where the dict changes its size on the way.
///
/// # Errors
///
/// What `visit` returns.
pub(crate) fn for_each_item<'py>(
    dict: &Bound<'py, PyDict>,
    mut visit: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let (py, raw) = (dict.py(), dict.as_ptr());
    let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: `raw` is a live dict; key and value get their own references before other code can run.
    unsafe {
        let size = ffi::PyDict_Size(raw);
        while ffi::PyDict_Size(raw) == size
            && ffi::PyDict_Next(raw, &raw mut at, &raw mut key, &raw mut value) != 0
        {
            let (key, value) = (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value));
            visit(&key, &value)?;
        }
    }
    Ok(())
}

impl Encoder<'_, '_> {
    /// Opens a container. False: it is too deep, part of itself, or beyond what one value may cost, and stays closed.
    #[inline]
    pub(super) fn enter(&mut self, raw: *mut ffi::PyObject, cost: u32) -> bool {
        if self.depth + 1 >= MAX_DEPTH || self.work < cost || self.open[..self.depth].contains(&raw) {
            return false;
        }
        self.work -= cost;
        self.open[self.depth] = raw;
        self.depth += 1;
        true
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Closes a container whose elements were all followed by a comma.
    #[inline]
    pub(super) fn close(&mut self, open: u8, close: u8) {
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = close,
            _ => {
                debug_assert_eq!(self.out.last(), Some(&open));
                self.out.push(close);
            }
        }
    }

    /// # Safety
    ///
    /// `raw` is a live `dict`.
    pub(super) unsafe fn dict(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        if !self.enter(raw, 1) {
            self.out.extend_from_slice(b"\"<dict>\"");
            return Ok(());
        }
        // SAFETY: as the caller vouches.
        unsafe { self.members(raw, b"\"<dict>\"") }?;
        self.leave();
        Ok(())
    }

    /// The `{...}` of a dict that is already entered; `changed` is written instead if it changes on the way.
    ///
    /// # Safety
    ///
    /// `raw` is a live `dict` (or of a subclass).
    pub(super) unsafe fn members(&mut self, raw: *mut ffi::PyObject, changed: &[u8]) -> Outcome {
        let mark = self.out.len();
        let place = std::mem::take(&mut self.place);
        self.out.push(b'{');
        // SAFETY: `raw` is a dict; key and value are borrowed from it only until the next line that can run other code,
        // which holds its own reference.
        unsafe {
            let size = ffi::PyDict_Size(raw);
            let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
            let mut count = 0;
            while ffi::PyDict_Next(raw, &raw mut at, &raw mut key, &raw mut value) != 0 {
                if self.room() == 0 {
                    self.out.extend_from_slice(b"\"...\":");
                    self.cut_items(size - count);
                    break;
                }
                count += 1;
                if ffi::Py_TYPE(key) == &raw mut ffi::PyUnicode_Type {
                    let role = self.string_key(key);
                    if role != Role::Data && self.leaf(value) {
                        self.out.push(b',');
                        continue;
                    }
                    let held = Bound::from_borrowed_ptr(self.py, value);
                    let outcome = match role {
                        Role::Data if self.data_member(raw, &held, place) => Ok(()),
                        Role::Holder(below) => {
                            self.place = below;
                            self.value(held.as_ptr())
                        }
                        Role::Plain | Role::Data => self.value(held.as_ptr()),
                    };
                    self.place = Place::Anywhere;
                    outcome?;
                } else {
                    let held = Bound::from_borrowed_ptr(self.py, value);
                    self.key(key)?;
                    self.out.push(b':');
                    self.value(held.as_ptr())?;
                }
                if ffi::PyDict_Size(raw) != size || count > size {
                    self.out.truncate(mark);
                    self.out.extend_from_slice(changed);
                    return Ok(());
                }
                self.out.push(b',');
            }
        }
        self.close(b'{', b'}');
        Ok(())
    }

    /// # Safety
    ///
    /// `raw` is a live `list`.
    pub(super) unsafe fn list(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        if !self.enter(raw, 1) {
            self.out.extend_from_slice(b"\"<list>\"");
            return Ok(());
        }
        self.out.push(b'[');
        let mut at = 0;
        // SAFETY: the index is below the current length; `element` holds what it must.
        unsafe {
            while at < ffi::PyList_Size(raw) {
                if self.room() == 0 {
                    self.cut_items(ffi::PyList_Size(raw) - at);
                    break;
                }
                self.element(ffi::PyList_GetItem(raw, at))?;
                self.out.push(b',');
                at += 1;
            }
        }
        self.close(b'[', b']');
        self.leave();
        Ok(())
    }

    /// # Safety
    ///
    /// `raw` is a live `tuple` (or of a subclass).
    pub(super) unsafe fn tuple(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        if !self.enter(raw, 1) {
            self.out.extend_from_slice(b"\"<tuple>\"");
            return Ok(());
        }
        self.out.push(b'[');
        // SAFETY: a tuple never changes and is kept alive by the caller, and with it its elements.
        unsafe {
            let size = ffi::PyTuple_Size(raw);
            for at in 0..size {
                if self.room() == 0 {
                    self.cut_items(size - at);
                    break;
                }
                self.value(ffi::PyTuple_GetItem(raw, at))?;
                self.out.push(b',');
            }
        }
        self.close(b'[', b']');
        self.leave();
        Ok(())
    }

    /// One element that only its container keeps alive.
    ///
    /// # Safety
    ///
    /// `raw` is live at the call.
    #[inline]
    unsafe fn element(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        // SAFETY: encoding a leaf runs no code, so nothing can take `raw` away; everything else gets a reference.
        unsafe {
            if self.leaf(raw) {
                return Ok(());
            }
            ffi::Py_INCREF(raw);
            let outcome = self.value(raw);
            ffi::Py_DECREF(raw);
            outcome
        }
    }

    /// The elements for which there was no room.
    #[cold]
    fn cut_items(&mut self, count: ffi::Py_ssize_t) {
        self.out.extend_from_slice(format!("\"[truncated {count} items]\",").as_bytes());
    }

    /// A key that is no exact `str`: numbers, booleans and `None` as `json` writes them, others as their own value's text.
    ///
    /// # Safety
    ///
    /// `raw` is live at the call.
    #[cold]
    unsafe fn key(&mut self, raw: *mut ffi::PyObject) -> Result<(), Raised> {
        let mark = self.out.len();
        // SAFETY: as the caller vouches; held from here on.
        let held = unsafe { Bound::from_borrowed_ptr(self.py, raw) };
        // SAFETY: `held` keeps it alive.
        unsafe { self.value(held.as_ptr()) }?;
        if self.out.get(mark) != Some(&b'"') {
            let written = self.out.split_off(mark);
            push_quoted(self.out, &written);
        }
        Ok(())
    }
}
