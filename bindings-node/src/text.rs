//! Texts of JavaScript, read into a buffer that each of Node's threads keeps.
//!
//! `String` asks for the length in UTF-8 first, which reads the whole text, then reads it again into memory of its own. And what
//! is not ASCII alone Node writes as UTF-8 letter by letter: a long text is faster taken as it is and converted here.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;

use encoding_rs::mem::convert_utf16_to_str_partial;
use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Error, Result, Status, ValueType, check_status, sys};

/// A text as an argument. Lone surrogates become U+FFFD. Gives its buffer back when it is done with.
pub struct Text {
    buffer: String,
    len: usize,
    /// Behind its end there is filling.
    filled: bool,
}

/// UTF-16 units above which a text is converted here.
const LONG: usize = 2048;
/// The most that is kept for the next text.
const KEPT: usize = 256 * 1024;
/// The most bytes of a character, and the null that Node writes after the text.
const MARGIN: usize = 4 + 1;

thread_local! {
    // Taken out and put back whole: nothing is borrowed while Node flattens a text.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static FILLING: Cell<String> = const { Cell::new(String::new()) };
    static UNITS: Cell<Vec<u16>> = const { Cell::new(Vec::new()) };
}

impl Text {
    /// What it says.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.buffer.capacity() > KEPT {
            return;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let _ = if self.filled {
            FILLING.try_with(|kept| kept.set(buffer))
        } else {
            BUFFER.try_with(|kept| kept.set(buffer.into_bytes()))
        };
    }
}

impl TypeName for Text {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Text {}

impl FromNapiValue for Text {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut units = 0;
        // SAFETY: the caller vouches for both; without a buffer only the length is written.
        let status =
            unsafe { sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &raw mut units) };
        check_status!(status, "a text was expected")?;
        if units > LONG { converted(env, value, units) } else { read(env, value, units) }
    }
}

/// Lets Node write UTF-8.
fn read(env: sys::napi_env, value: sys::napi_value, units: usize) -> Result<Text> {
    let mut bytes = BUFFER.try_with(Cell::take).unwrap_or_default();
    bytes.clear();
    // A unit takes three bytes at most.
    bytes.reserve(units * 3 + MARGIN);
    let mut written = 0;
    // SAFETY: the buffer has room for as many bytes as are told, of which Node writes whole characters and a null at most.
    unsafe {
        let (start, room) = (bytes.as_mut_ptr().cast(), bytes.capacity());
        let status = sys::napi_get_value_string_utf8(env, value, start, room, &raw mut written);
        check_status!(status, "a text was expected")?;
        bytes.set_len(written);
    }
    let buffer = String::from_utf8(bytes)
        .map_err(|_| Error::new(Status::StringExpected, "Node gave a text that is no UTF-8"))?;
    Ok(Text { len: buffer.len(), buffer, filled: false })
}

/// Takes UTF-16 and converts it. What the buffer held before stays in it as filling: it is text already, so nothing is looked
/// through twice.
fn converted(env: sys::napi_env, value: sys::napi_value, units: usize) -> Result<Text> {
    let mut wide = UNITS.try_with(Cell::take).unwrap_or_default();
    wide.clear();
    wide.reserve(units + 1);
    let mut written = 0;
    // SAFETY: the buffer has room for as many units as are told, the null included.
    unsafe {
        let (start, room) = (wide.as_mut_ptr().cast(), wide.capacity());
        let status = sys::napi_get_value_string_utf16(env, value, start, room, &raw mut written);
        check_status!(status, "a text was expected")?;
        wide.set_len(written);
    }
    let mut buffer = FILLING.try_with(Cell::take).unwrap_or_default();
    // Most texts have few letters beyond ASCII; for those that have more there is room enough in the second round.
    let mut len = 0;
    for room in [written + written / 8 + MARGIN, written * 3 + MARGIN] {
        buffer.extend(std::iter::repeat_n('\0', room.saturating_sub(buffer.len())));
        let (read, made) = convert_utf16_to_str_partial(&wide, &mut buffer);
        len = made;
        if read == written {
            break;
        }
    }
    if wide.capacity() <= KEPT {
        let _ = UNITS.try_with(|kept| kept.set(wide));
    }
    Ok(Text { buffer, len, filled: true })
}
