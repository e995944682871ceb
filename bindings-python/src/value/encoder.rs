//! The hot path: exact built-in types, told apart by one pointer comparison each.

use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::Captured;
use super::media::{self, Found, Role, may_be_data_uri, role};
use super::scratch::Scratch;
use super::text::{push_escaped, push_key, push_quoted, unquoted};
use tracespool_core::media::Place;

/// The most that one value may take; the server refuses more, see docs/python.md.
pub(crate) const MAX_BYTES: usize = 9_000_000;

/// Containers nest this deep at most (as in Langfuse's SDK); what lies deeper becomes `<dict>`, `<list>` or `<TypeName>`.
pub(super) const MAX_DEPTH: usize = 20;

/// How much walking one value may cost: a container costs 1, an object that the interpreter must be asked about costs
/// [`OBJECT_COST`]. Keeps a stray reference to half the application from holding the caller for seconds.
const MAX_WORK: u32 = 500_000;
pub(super) const OBJECT_COST: u32 = 50;

/// An exception that is set in the interpreter, as in C.
pub(super) struct Raised;

pub(super) type Outcome = Result<(), Raised>;

/// One value on its way into a buffer.
pub(super) struct Encoder<'py, 'buf> {
    pub(super) py: Python<'py>,
    pub(super) out: &'buf mut Vec<u8>,
    /// Media that were found on the way.
    pub(super) found: &'buf mut Found,
    /// What kind of member the next dict is the value of.
    pub(super) place: Place,
    /// Length of `out` at which the value is full.
    pub(super) end: usize,
    pub(super) work: u32,
    /// The containers that are open, outermost first: for depth and for cycles.
    pub(super) open: [*mut ffi::PyObject; MAX_DEPTH],
    pub(super) depth: usize,
}

/// Appends `object` as JSON.
///
/// # Errors
///
/// Only what is no `Exception`.
pub(crate) fn encode(object: &Bound<'_, PyAny>, scratch: &mut Scratch) -> PyResult<()> {
    let py = object.py();
    let mut encoder = Encoder::new(py, scratch);
    // SAFETY: a live object, and the thread is attached.
    unsafe { encoder.value(object.as_ptr()) }.map_err(|Raised| PyErr::fetch(py))
}

/// See [`super::encode_call`].
pub(super) fn encode_call(
    args: &Bound<'_, PyTuple>,
    skip: usize,
    kwargs: &Bound<'_, PyDict>,
    scratch: &mut Scratch,
) -> PyResult<()> {
    let py = args.py();
    let mut encoder = Encoder::new(py, scratch);
    encoder.out.extend_from_slice(b"{\"args\":[");
    // SAFETY: both containers are held by the caller; a tuple never changes, and `dict` minds that a dict may.
    unsafe {
        for at in skip..args.len() {
            encoder
                .value(ffi::PyTuple_GetItem(args.as_ptr(), at.cast_signed()))
                .map_err(|Raised| PyErr::fetch(py))?;
            encoder.out.push(b',');
        }
        encoder.close(b'[', b']');
        encoder.out.extend_from_slice(b",\"kwargs\":");
        encoder.dict(kwargs.as_ptr()).map_err(|Raised| PyErr::fetch(py))?;
    }
    encoder.out.push(b'}');
    Ok(())
}

/// See [`super::capture`] and, where not `native`, [`super::capture_text`].
pub(super) fn capture<'a>(
    object: &'a Bound<'_, PyAny>,
    scratch: &mut Scratch,
    native: bool,
) -> PyResult<Captured<'a>> {
    let raw = object.as_ptr();
    // SAFETY: a live object, and the thread is attached; `str` is immutable, so its bytes live as long as the reference.
    unsafe {
        let kind = ffi::Py_TYPE(raw);
        if kind == &raw mut ffi::PyUnicode_Type || ffi::PyUnicode_Check(raw) != 0 {
            if let Some(text) = utf8(raw) {
                if may_be_data_uri(text)
                    && let Ok(object) = object.cast::<PyString>()
                    && let Some(reference) = media::of_text(object, scratch.found())
                {
                    push_quoted(scratch.bytes(), reference.as_bytes());
                    return Ok(Captured::Encoded);
                }
                if text.len() <= MAX_BYTES {
                    return Ok(Captured::Text(std::str::from_utf8_unchecked(text)));
                }
                push_cut(scratch.bytes(), text, MAX_BYTES);
            } else {
                ffi::PyErr_Clear();
                scratch.bytes().extend_from_slice(mended(object).as_bytes());
            }
            return Ok(Captured::Encoded);
        }
        if raw == ffi::Py_None() {
            return Ok(Captured::Absent);
        }
        if kind == &raw mut ffi::PyBool_Type {
            return Ok(Captured::Bool(raw == ffi::Py_True()));
        }
        if kind == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            let number = ffi::PyLong_AsLongLongAndOverflow(raw, &raw mut overflow);
            if overflow == 0 && number.unsigned_abs() <= MAX_SAFE {
                return Ok(Captured::Int(number));
            }
        } else if kind == &raw mut ffi::PyFloat_Type {
            let number = ffi::PyFloat_AsDouble(raw);
            if number.is_finite() {
                return Ok(Captured::Double(number));
            }
        }
    }
    let start = scratch.bytes().len();
    encode(object, scratch)?;
    Ok(if native { scalar(scratch.bytes(), start) } else { Captured::Encoded })
}

/// An object that stands for a scalar (an enum, a date, an id, a number of numpy): that scalar. Text loses its quotes.
#[cold]
fn scalar(out: &mut Vec<u8>, start: usize) -> Captured<'static> {
    let (first, text) = match out.get(start..).map(|json| (json.first(), std::str::from_utf8(json))) {
        Some((Some(first), Ok(text))) => (*first, text),
        _ => return Captured::Encoded,
    };
    match first {
        b'"' => {
            let text = unquoted(text);
            out.truncate(start);
            out.extend_from_slice(text.as_bytes());
            Captured::Encoded
        }
        b'n' => Captured::Absent,
        b't' => Captured::Bool(true),
        b'f' => Captured::Bool(false),
        b'{' | b'[' => Captured::Encoded,
        _ => match (text.parse(), text.parse()) {
            (Ok(number), _) => Captured::Int(number),
            (_, Ok(number)) => Captured::Double(number),
            _ => Captured::Encoded,
        },
    }
}

const MAX_SAFE: u64 = (1 << 53) - 1;

/// The UTF-8 of a `str`, `None` (and an exception set) where it holds lone surrogates.
///
/// # Safety
///
/// `raw` is a live `str`; the bytes live as long as it does.
#[inline]
pub(super) unsafe fn utf8<'a>(raw: *mut ffi::PyObject) -> Option<&'a [u8]> {
    let mut len = 0;
    // SAFETY: as the caller vouches; a non-null answer points to `len` bytes that the object owns.
    unsafe {
        let data = ffi::PyUnicode_AsUTF8AndSize(raw, &raw mut len);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data.cast::<u8>(), len.unsigned_abs()))
    }
}

/// A `str` with surrogates: pairs become the character they stand for, lone ones U+FFFD.
#[cold]
pub(super) fn mended(object: &Bound<'_, PyAny>) -> String {
    object
        .call_method1("encode", ("utf-16-le", "surrogatepass"))
        .ok()
        .and_then(|bytes| bytes.extract::<Vec<u8>>().ok())
        .map_or_else(
            || "<str>".to_owned(),
            |bytes| {
                let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            },
        )
}

/// The first bytes of `text`, up to a character's end, and a note on the rest.
fn push_cut(out: &mut Vec<u8>, text: &[u8], keep: usize) {
    let keep = boundary(text, keep);
    out.extend_from_slice(&text[..keep]);
    out.extend_from_slice(format!("[truncated {} bytes]", text.len() - keep).as_bytes());
}

/// The largest index not above `at` that does not split a character.
fn boundary(text: &[u8], at: usize) -> usize {
    let mut at = at.min(text.len());
    while at > 0 && text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at -= 1;
    }
    at
}

impl<'py, 'buf> Encoder<'py, 'buf> {
    fn new(py: Python<'py>, scratch: &'buf mut Scratch) -> Self {
        let (out, found) = scratch.parts();
        let end = out.len() + MAX_BYTES;
        let open = [std::ptr::null_mut(); MAX_DEPTH];
        Self { py, out, found, place: Place::Anywhere, end, work: MAX_WORK, open, depth: 0 }
    }
}

impl Encoder<'_, '_> {
    /// Appends `raw` if it is an exact scalar; that runs no other code. A text that may be a data URI is left to
    /// [`Encoder::value`].
    ///
    /// # Safety
    ///
    /// `raw` is live; the thread is attached.
    #[inline]
    pub(super) unsafe fn leaf(&mut self, raw: *mut ffi::PyObject) -> bool {
        // SAFETY: as the caller vouches; each branch has established the type that its function wants.
        unsafe {
            let kind = ffi::Py_TYPE(raw);
            if kind == &raw mut ffi::PyUnicode_Type {
                match utf8(raw) {
                    Some(text) if may_be_data_uri(text) => return false,
                    Some(text) if text.len() <= self.room() => push_quoted(self.out, text),
                    _ => self.string(raw),
                }
            } else if kind == &raw mut ffi::PyLong_Type {
                self.integer(raw);
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.float(ffi::PyFloat_AsDouble(raw));
            } else if raw == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
            } else if kind == &raw mut ffi::PyBool_Type {
                self.out.extend_from_slice(if raw == ffi::Py_True() { b"true".as_slice() } else { b"false" });
            } else {
                return false;
            }
        }
        true
    }

    /// Appends one value of any type.
    ///
    /// # Safety
    ///
    /// `raw` is a live object that somebody keeps alive during the call; the thread is attached.
    pub(super) unsafe fn value(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        // SAFETY: as the caller vouches; each branch has established the type that its function wants.
        unsafe {
            let kind = ffi::Py_TYPE(raw);
            if kind == &raw mut ffi::PyDict_Type {
                self.dict(raw)
            } else if kind == &raw mut ffi::PyList_Type {
                self.list(raw)
            } else if self.leaf(raw) {
                Ok(())
            } else if kind == &raw mut ffi::PyUnicode_Type {
                self.uri(raw);
                Ok(())
            } else if kind == &raw mut ffi::PyTuple_Type {
                self.tuple(raw)
            } else {
                self.other(raw)
            }
        }
    }

    /// # Safety
    ///
    /// `raw` is a live `str` (or of a subclass).
    #[inline]
    pub(super) unsafe fn string(&mut self, raw: *mut ffi::PyObject) {
        // SAFETY: as the caller vouches.
        let text = unsafe { utf8(raw) };
        match text {
            Some(text) if text.len() <= self.room() => push_quoted(self.out, text),
            Some(text) => self.cut_string(text),
            None => {
                // SAFETY: attached, and a live object; held, since mending may run a collection.
                let object = unsafe {
                    let held = Bound::from_borrowed_ptr(self.py, raw);
                    ffi::PyErr_Clear();
                    held
                };
                let text = mended(&object);
                self.text(&text);
            }
        }
    }

    /// Appends a key and its colon; returns what the key means for its value.
    ///
    /// # Safety
    ///
    /// `raw` is a live `str`.
    #[inline]
    pub(super) unsafe fn string_key(&mut self, raw: *mut ffi::PyObject) -> Role {
        // SAFETY: as the caller vouches.
        unsafe {
            match utf8(raw) {
                Some(text) if text.len() <= self.room() => {
                    push_key(self.out, text);
                    role(text)
                }
                _ => {
                    self.string(raw);
                    self.out.push(b':');
                    Role::Plain
                }
            }
        }
    }

    /// Appends text that is not the interpreter's.
    pub(super) fn text(&mut self, text: &str) {
        if text.len() <= self.room() {
            push_quoted(self.out, text.as_bytes());
        } else {
            self.cut_string(text.as_bytes());
        }
    }

    #[cold]
    fn cut_string(&mut self, text: &[u8]) {
        let keep = boundary(text, self.room());
        self.out.push(b'"');
        push_escaped(self.out, &text[..keep]);
        self.out.extend_from_slice(format!("[truncated {} bytes]\"", text.len() - keep).as_bytes());
    }

    /// How many bytes the value may still take.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// # Safety
    ///
    /// `raw` is a live `int` (or of a subclass).
    #[inline]
    pub(super) unsafe fn integer(&mut self, raw: *mut ffi::PyObject) {
        let mut overflow = 0;
        // SAFETY: as the caller vouches; an `int` cannot fail.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(raw, &raw mut overflow) };
        if overflow == 0 && number.unsigned_abs() <= MAX_SAFE {
            self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        } else {
            // SAFETY: a live object; held, since printing it may run a collection.
            let object = unsafe { Bound::from_borrowed_ptr(self.py, raw) };
            self.large_integer(&object);
        }
    }

    /// JavaScript, which reads it on the server, would round it: so it goes as text.
    #[cold]
    fn large_integer(&mut self, object: &Bound<'_, PyAny>) {
        // `int.__repr__` whatever the subclass says; it fails above the interpreter's limit of digits.
        let digits = object.extract::<i128>().map(|number| number.to_string()).or_else(|_| {
            self.py.get_type::<pyo3::types::PyInt>().call_method1("__repr__", (object,))?.extract::<String>()
        });
        self.text(digits.as_deref().unwrap_or("<int>"));
    }

    #[inline]
    pub(super) fn float(&mut self, number: f64) {
        if number.is_finite() {
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
        } else {
            let word: &[u8] = if number.is_nan() {
                b"\"NaN\""
            } else if number > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            };
            self.out.extend_from_slice(word);
        }
    }

    /// Whatever is not an exact built-in. A failure of the object's own code is contained here.
    ///
    /// # Safety
    ///
    /// `raw` is a live object.
    #[cold]
    #[inline(never)]
    unsafe fn other(&mut self, raw: *mut ffi::PyObject) -> Outcome {
        // SAFETY: as the caller vouches.
        let object = unsafe { Borrowed::from_ptr(self.py, raw) };
        let (mark, depth) = (self.out.len(), self.depth);
        match self.object(&object) {
            Ok(()) => Ok(()),
            Err(error) if error.is_instance_of::<PyException>(self.py) => {
                drop(error);
                self.out.truncate(mark);
                self.depth = depth;
                self.placeholder(&object);
                Ok(())
            }
            Err(error) => {
                error.restore(self.py);
                Err(Raised)
            }
        }
    }
}
