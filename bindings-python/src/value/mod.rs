//! From any Python object to JSON text, in one pass, on the thread that passes the object.
//!
//! What an object becomes follows the table that Langfuse's own serialiser established (docs/python.md): dates as ISO text,
//! models as their fields, unsafe integers as text, and `<TypeName>` for what has no honest form. The application's code that
//! runs on the way (`model_dump`, properties, iterators) may do anything: if it raises an `Exception` the value becomes
//! `<TypeName>`; only `KeyboardInterrupt` and its kin travel on. No lock and no borrow is held meanwhile, and no reference to
//! the object is kept.
//!
//! `unsafe` lives in this module alone: it walks dicts, lists and strings by the interpreter's C API with borrowed references.
#![allow(unsafe_code)]

mod container;
mod encoder;
mod media;
pub(crate) mod models;
mod object;
mod scratch;
mod text;
mod types;

use pyo3::prelude::*;

use pyo3::types::{PyDict, PyTuple};

pub(crate) use container::for_each_item;
pub(crate) use encoder::MAX_BYTES;
pub(crate) use scratch::Scratch;

/// What a value is for a destination's column: plain text stays as it is, everything else is JSON text.
pub(crate) enum Captured<'a> {
    /// `None`: nothing was said.
    Absent,
    /// A `str`, by the interpreter's own bytes.
    Text(&'a str),
    /// JSON text in the buffer that was passed. The text itself for a `str` that had to be cut or mended, and, in a column
    /// that keeps native values, for whatever is written as a JSON string.
    Encoded,
    /// An `int` that a double can hold exactly.
    Int(i64),
    /// A finite `float`.
    Double(f64),
    /// A `bool`.
    Bool(bool),
}

/// Captures `object`; scalars, and what stands for one, are told apart for columns that keep native numbers and bare text.
///
/// # Errors
///
/// Only what is no `Exception`: `KeyboardInterrupt`, `SystemExit`, `GeneratorExit`.
pub(crate) fn capture<'a>(object: &'a Bound<'_, PyAny>, scratch: &mut Scratch) -> PyResult<Captured<'a>> {
    encoder::capture(object, scratch, true)
}

/// Captures `object` where only text counts: scalars come as JSON text.
///
/// # Errors
///
/// As [`capture`].
pub(crate) fn capture_text<'a>(
    object: &'a Bound<'_, PyAny>,
    scratch: &mut Scratch,
) -> PyResult<Captured<'a>> {
    Ok(match encoder::capture(object, scratch, false)? {
        Captured::Int(_) | Captured::Double(_) | Captured::Bool(_) => {
            encode(object, scratch)?;
            Captured::Encoded
        }
        other => other,
    })
}

/// Appends `object` as JSON, text with its quotes.
///
/// # Errors
///
/// As [`capture`].
pub(crate) fn encode(object: &Bound<'_, PyAny>, scratch: &mut Scratch) -> PyResult<()> {
    encoder::encode(object, scratch)
}

/// Appends a call's arguments as `{"args":[...],"kwargs":{...}}`, without the first `skip` of them.
///
/// # Errors
///
/// As [`capture`].
pub(crate) fn encode_call(
    args: &Bound<'_, PyTuple>,
    skip: usize,
    kwargs: &Bound<'_, PyDict>,
    scratch: &mut Scratch,
) -> PyResult<()> {
    encoder::encode_call(args, skip, kwargs, scratch)
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 32);
    text::push_quoted(&mut out, text.as_bytes());
    String::from_utf8(out).unwrap_or_default()
}
