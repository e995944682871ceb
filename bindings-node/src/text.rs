//! Texts of JavaScript, read in one pass where they are mostly ASCII.
//!
//! `String` asks for the length in UTF-8 first, which reads the whole text, and then reads it again. How many UTF-16 units a text
//! has is known without looking at it, and for ASCII that is the length.

#![allow(unsafe_code)]

use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Error, Result, Status, ValueType, check_status, sys};

/// A text as an argument. Lone surrogates become U+FFFD.
pub struct Text(pub String);

impl TypeName for Text {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Text {}

/// The most bytes of a character, and the null that Node writes after the text.
const MARGIN: usize = 4 + 1;

impl FromNapiValue for Text {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut units = 0;
        // SAFETY: the caller vouches for both; without a buffer only the length is written.
        let status =
            unsafe { sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &raw mut units) };
        check_status!(status, "a text was expected")?;
        // What is not ASCII may take three bytes a unit; a little of it fits without another pass.
        let mut bytes = Vec::new();
        if !read(env, value, &mut bytes, units + units / 8 + 2 * MARGIN)? {
            read(env, value, &mut bytes, units * 3 + 2 * MARGIN)?;
        }
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|_| Error::new(Status::StringExpected, "Node gave a text that is no UTF-8"))
    }
}

/// Reads a text into `bytes`; false where `room` may have been too little for all of it.
fn read(env: sys::napi_env, value: sys::napi_value, bytes: &mut Vec<u8>, room: usize) -> Result<bool> {
    bytes.clear();
    bytes.reserve_exact(room);
    let mut written = 0;
    // SAFETY: the buffer has room for `room` bytes, of which Node writes whole characters and a null at most.
    unsafe {
        let status =
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), room, &raw mut written);
        check_status!(status, "a text was expected")?;
        bytes.set_len(written);
    }
    Ok(written + MARGIN <= room)
}
