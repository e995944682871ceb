//! Everything that is not an exact built-in: dates, enums, models, arrays, and objects by their fields.
//!
//! The order of the questions is that of Langfuse's serialiser. Two of its habits are left out: it reads a stream to its end
//! to print it, and it dumps whole modules and classes.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMappingProxy, PyMemoryView, PyString, PyTuple, PyType};

use super::encoder::{Encoder, OBJECT_COST, Outcome, Raised};
use super::{models, types};
use crate::names::names;

/// Arrays above this many elements are named, not listed.
const MAX_ARRAY: usize = 1_000_000;

/// Types that are code, not data.
const CODE: [&str; 6] =
    ["function", "method", "builtin_function_or_method", "module", "coroutine", "generator"];

impl Encoder<'_, '_> {
    /// Appends an object that is not an exact built-in.
    ///
    /// # Errors
    ///
    /// What the object's own code raised; the caller contains it.
    pub(super) fn object(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = self.py;
        types::refresh(py);
        let kind = object.get_type_ptr();
        let is = |known: &types::Known| known.matches(py, kind);
        let secrets =
            [&types::SECRET_STR, &types::SECRET_BYTES, &types::SECRET_STR_V1, &types::SECRET_BYTES_V1];
        if [&types::MESSAGE, &types::DOCUMENT, &types::PROMPT_VALUE].into_iter().any(is)
            && self.plain_fields(object)?
        {
            // Written.
        } else if secrets.into_iter().any(is) {
            self.text("<secret>");
        } else if is(&types::DATETIME) {
            self.text(&timestamp(object)?);
        } else if is(&types::ENUM) {
            return self.inside(object, &object.getattr(names(py).value.bind(py))?);
        } else if is(&types::NUMPY_SCALAR) {
            return self.inside(object, &object.call_method0(names(py).item.bind(py))?);
        } else if is(&types::NUMPY_ARRAY) {
            if object.getattr(names(py).size.bind(py))?.extract::<usize>()? > MAX_ARRAY {
                self.placeholder(object);
            } else {
                return self.inside(object, &object.call_method0(names(py).tolist.bind(py))?);
            }
        } else if is(&types::UUID) || is(&types::PATH) || is(&types::DECIMAL) || is(&types::TIMEDELTA) {
            self.text(&object.str()?.to_string_lossy());
        } else if is(&types::DATE) || is(&types::TIME) {
            self.text(&object.call_method0(names(py).isoformat.bind(py))?.extract::<String>()?);
        } else if is(&types::MEDIA) || is(&types::LANGFUSE_MEDIA) {
            return self.media_object(object);
        } else if (is(&types::MEDIA_REFERENCE) || is(&types::LANGFUSE_MEDIA_REFERENCE))
            && self.media_reference(object)?
        {
        } else if is(&types::ASYNC_QUEUE) {
            self.text(&class_name(object));
        } else {
            return self.subclass(object);
        }
        Ok(())
    }

    /// Exceptions, bytes and subclasses of the built-in types.
    fn subclass(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let raw = object.as_ptr();
        // SAFETY: `raw` is live, and each walk is behind the check of its type.
        unsafe {
            if ffi::PyExceptionInstance_Check(raw) != 0 {
                let text = object.str()?;
                self.text(&format!("{}: {}", class_name(object), text.to_string_lossy()));
            } else if let Ok(bytes) = object.cast::<PyBytes>() {
                self.bytes(bytes.as_bytes());
            } else if object.is_instance_of::<PyByteArray>() || object.is_instance_of::<PyMemoryView>() {
                self.bytes(&py_bytes(object)?);
            } else if ffi::PyUnicode_Check(raw) != 0 {
                self.uri(raw);
            } else if ffi::PyLong_Check(raw) != 0 {
                self.integer(raw);
            } else if ffi::PyFloat_Check(raw) != 0 {
                self.float(ffi::PyFloat_AsDouble(raw));
            } else {
                return self.structure(object);
            }
        }
        Ok(())
    }

    /// What has parts.
    fn structure(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = self.py;
        let raw = object.as_ptr();
        if object.is_instance_of::<PyType>() || CODE.contains(&&*class_name(object)) {
            self.placeholder(object);
            return Ok(());
        }
        // Cycles and depth of built-in containers are their walks' own business; everything else is entered here.
        // SAFETY: `raw` is live, and each walk is behind the check of its type.
        unsafe {
            if ffi::PyTuple_Check(raw) != 0 {
                return self.caught(|this| this.tuple(raw));
            }
        }
        if self.open[..self.depth].contains(&raw) {
            self.text(&class_name(object));
            return Ok(());
        }
        if !self.enter(raw, OBJECT_COST) {
            self.placeholder(object);
            return Ok(());
        }
        let kind = object.get_type_ptr();
        // SAFETY: as above; `object` is held by the caller.
        unsafe {
            if let Ok(fields) = object.get_type().getattr(names(py).dataclass_fields.bind(py)) {
                self.dataclass(object, &fields)?;
            } else if types::MODEL.matches(py, kind) || types::MODEL_V1.matches(py, kind) {
                let dump = object
                    .getattr_opt(names(py).model_dump.bind(py))?
                    .map_or_else(|| object.getattr(names(py).dict_v1.bind(py)), Ok)?
                    .call0()?;
                self.same_level(&dump)?;
            } else if types::LANGCHAIN.matches(py, kind) {
                let shown = object.call_method0(names(py).to_json.bind(py))?;
                self.same_level(&shown)?;
            } else if ffi::PyAnySet_Check(raw) != 0 || ffi::PyList_Check(raw) != 0 {
                self.iterable(object)?;
            } else if ffi::PyDict_Check(raw) != 0 {
                let changed = format!("\"<{}>\"", class_name(object));
                self.caught(|this| this.members(raw, changed.as_bytes()))?;
            } else if object.is_instance_of::<PyMappingProxy>() {
                let copy = PyDict::new(py);
                copy.update(object.cast::<PyMappingProxy>()?.as_mapping())?;
                self.caught(|this| this.members(copy.as_ptr(), b"\"<mappingproxy>\""))?;
            } else if types::SEQUENCE.matches(py, kind) || is_virtual_sequence(object) {
                self.iterable(object)?;
            } else {
                self.fields(object)?;
            }
        }
        self.leave();
        Ok(())
    }

    /// `[...]` of whatever can be iterated.
    fn iterable(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        self.out.push(b'[');
        for (count, item) in object.try_iter()?.enumerate() {
            let item = item?;
            if self.room() == 0 || count > MAX_ARRAY {
                self.out.extend_from_slice(b"\"[truncated]\",");
                break;
            }
            // SAFETY: `item` is held.
            self.caught(|this| unsafe { this.value(item.as_ptr()) })?;
            self.out.push(b',');
        }
        self.close(b'[', b']');
        Ok(())
    }

    /// LangChain's own messages, prompts and documents have no serialisers of their own: what `model_dump` would copy for each is
    /// what their `__dict__` holds. False where that is not so.
    fn plain_fields(&mut self, object: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Some(fields) = models::fields(object) else { return Ok(false) };
        if models::has_extra(object)?
            || self.open[..self.depth].contains(&object.as_ptr())
            || !self.enter(object.as_ptr(), 1)
        {
            return Ok(false);
        }
        // SAFETY: `fields` is a dict that is held.
        self.caught(|this| unsafe { this.dict(fields.as_ptr()) })?;
        self.leave();
        Ok(true)
    }

    /// `{...}` of a dataclass's fields.
    fn dataclass(&mut self, object: &Bound<'_, PyAny>, fields: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = self.py;
        self.out.push(b'{');
        for (name, field) in fields.cast::<PyDict>()?.copy()? {
            // Class variables and constructor-only arguments are listed too, but are no fields.
            let pseudo = field
                .getattr(names(py).field_type.bind(py))
                .and_then(|mark| mark.repr())
                .is_ok_and(|mark| mark != "_FIELD");
            if !pseudo {
                let name = name.cast_into::<PyString>()?;
                self.member(&name, object.getattr(&name).ok().as_ref())?;
            }
        }
        self.close(b'{', b'}');
        Ok(())
    }

    /// `{...}` of an object's `__slots__` and `__dict__`, `<TypeName>` where it has neither.
    fn fields(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = self.py;
        let slots = names(py).slots.bind(py);
        let values = object.getattr_opt(names(py).dict.bind(py))?;
        let mut found = values.is_some();
        let start = self.out.len();
        self.out.push(b'{');
        for class in object.get_type().mro().iter().rev() {
            let Ok(class) = class.cast_into::<PyType>() else {
                continue;
            };
            let own = class.getattr(names(py).dict.bind(py))?;
            if !own.contains(slots)? {
                continue;
            }
            found = true;
            let declared = own.get_item(slots)?;
            let names = if declared.is_instance_of::<PyString>() {
                PyTuple::new(py, [declared])?.into_any()
            } else {
                declared
            };
            for name in names.try_iter()? {
                let name = name?.cast_into::<PyString>()?;
                let text = name.to_string_lossy();
                if text == "__dict__" || text == "__weakref__" {
                    continue;
                }
                let value = if text.starts_with("__") && !text.ends_with("__") {
                    let owner = class.name()?;
                    object.getattr(format!("_{}{text}", owner.to_string_lossy().trim_start_matches('_')))
                } else {
                    object.getattr(&name)
                };
                self.member(&name, value.ok().as_ref())?;
            }
        }
        if let Some(values) = values {
            let values = values.cast_into::<PyDict>()?;
            if self.out.len() == start + 1 {
                self.out.truncate(start);
                let changed = format!("\"<{}>\"", class_name(object));
                // SAFETY: `values` is a dict that is held.
                return self.caught(|this| unsafe { this.members(values.as_ptr(), changed.as_bytes()) });
            }
            for (name, value) in values.copy()? {
                self.member(name.cast::<PyString>()?, Some(&value))?;
            }
        }
        if found {
            self.close(b'{', b'}');
        } else {
            self.out.truncate(start);
            self.placeholder(object);
        }
        Ok(())
    }

    /// `"name":value,`, `null` where there is no value.
    fn member(&mut self, name: &Bound<'_, PyString>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.room() == 0 {
            return Ok(());
        }
        // SAFETY: both are held.
        unsafe {
            self.string(name.as_ptr());
            self.out.push(b':');
            match value {
                Some(value) => self.caught(|this| this.value(value.as_ptr()))?,
                None => self.out.extend_from_slice(b"null"),
            }
        }
        self.out.push(b',');
        Ok(())
    }

    /// The value that stands for `object`, one level down.
    fn inside(&mut self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.enter(object.as_ptr(), 1) {
            self.placeholder(object);
            return Ok(());
        }
        // SAFETY: `value` is held.
        self.caught(|this| unsafe { this.value(value.as_ptr()) })?;
        self.leave();
        Ok(())
    }

    /// The value that stands for an object that is entered already.
    fn same_level(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: `value` is held.
        self.caught(|this| unsafe { this.value(value.as_ptr()) })
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.text(std::str::from_utf8(bytes).unwrap_or("<not serializable bytes>"));
    }

    /// `"<TypeName>"`: what has no other form.
    pub(super) fn placeholder(&mut self, object: &Bound<'_, PyAny>) {
        let text = format!("<{}>", class_name(object));
        self.text(&text);
    }

    /// Runs a walk; an exception that it left in the interpreter comes out as an error.
    fn caught(&mut self, walk: impl FnOnce(&mut Self) -> Outcome) -> PyResult<()> {
        walk(self).map_err(|Raised| PyErr::fetch(self.py))
    }
}

/// A copy of what a `bytearray` or a `memoryview` holds.
fn py_bytes(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    Ok(object.py().get_type::<PyBytes>().call1((object,))?.cast_into::<PyBytes>()?.as_bytes().to_vec())
}

/// The class's name as it is, whatever `__class__` pretends.
fn class_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// ISO 8601 with an offset, `Z` for none; a naive time is local time.
fn timestamp(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = object.py();
    let zoned = if object.getattr(names(py).tzinfo.bind(py))?.is_none() {
        // The far past and future have no local time.
        object.call_method0(names(py).astimezone.bind(py)).unwrap_or_else(|_| object.clone())
    } else {
        object.clone()
    };
    let text = zoned.call_method0(names(py).isoformat.bind(py))?.extract::<String>()?;
    Ok(text.strip_suffix("+00:00").map_or_else(|| text.clone(), |head| format!("{head}Z")))
}

/// Registered sequences: deques, ranges, protobuf's repeated fields.
fn is_virtual_sequence(object: &Bound<'_, PyAny>) -> bool {
    types::SEQUENCE.class(object.py()).is_some_and(|class| object.is_instance(class).unwrap_or(false))
}
