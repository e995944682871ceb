//! Texts of JavaScript, read in one pass into a buffer that each of Node's threads keeps.
//!
//! `String` asks for the length in UTF-8 first, which reads the whole text, then reads it again into memory of its own.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Error, Result, Status, ValueType, check_status, sys};

/// A text as an argument. Lone surrogates become U+FFFD. Gives its buffer back when it is done with.
pub struct Text(String);

/// What a buffer begins with, and the most that is kept for the next text.
const ROOM: usize = 64 * 1024;
const KEPT: usize = 256 * 1024;
/// The most bytes of a character, and the null that Node writes after the text.
const MARGIN: usize = 4 + 1;

thread_local! {
    // Taken out and put back whole: nothing is borrowed while Node flattens a text.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Text {
    /// What it says.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT {
            let buffer = std::mem::take(&mut self.0).into_bytes();
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
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
        let mut bytes = BUFFER.try_with(Cell::take).unwrap_or_default();
        if !read(env, value, &mut bytes, ROOM)? {
            let mut units = 0;
            // SAFETY: the caller vouches for both; without a buffer only the length is written.
            let status =
                unsafe { sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &raw mut units) };
            check_status!(status, "a text was expected")?;
            read(env, value, &mut bytes, units * 3 + 2 * MARGIN)?;
        }
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|_| Error::new(Status::StringExpected, "Node gave a text that is no UTF-8"))
    }
}

/// Reads a text into `bytes`, which get room for `room` at least; false where that may have been too little for all of it.
fn read(env: sys::napi_env, value: sys::napi_value, bytes: &mut Vec<u8>, room: usize) -> Result<bool> {
    bytes.clear();
    bytes.reserve_exact(room);
    let (room, mut written) = (bytes.capacity(), 0);
    // SAFETY: the buffer has room for `room` bytes, of which Node writes whole characters and a null at most.
    unsafe {
        let status =
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), room, &raw mut written);
        check_status!(status, "a text was expected")?;
        bytes.set_len(written);
    }
    Ok(written + MARGIN <= room)
}
