//! How text crosses: as bytes in two buffers that stay, written and read in place by the host. A `&str` of wasm-bindgen is
//! copied character by character, which takes fifty times as long.

use std::cell::RefCell;

/// What is passed for a text that is not there.
const ABSENT: u32 = u32::MAX;
/// A buffer that one large text has made larger than this is given back after use.
const KEPT: usize = 256 * 1024;

thread_local! {
    static IN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for `size` bytes of arguments, one after the other; what was written before stays.
pub(crate) fn room(size: u32) -> *mut u8 {
    IN.with_borrow_mut(|buffer| {
        if buffer.len() < size as usize {
            buffer.resize(size as usize, 0);
        }
        buffer.as_mut_ptr()
    })
}

/// The arguments with these lengths.
pub(crate) fn bytes<T>(lengths: &[u32], work: impl FnOnce(&[Option<&[u8]>]) -> T) -> T {
    IN.with_borrow_mut(|buffer| {
        let mut rest = buffer.as_slice();
        let parts: Vec<Option<&[u8]>> = lengths
            .iter()
            .map(|length| {
                if *length == ABSENT {
                    return None;
                }
                let (part, after) = rest.split_at_checked(*length as usize).unwrap_or((rest, &[]));
                rest = after;
                Some(part)
            })
            .collect();
        let result = work(&parts);
        if buffer.len() > KEPT {
            buffer.truncate(KEPT);
            buffer.shrink_to_fit();
        }
        result
    })
}

/// The same as text. The host encodes, so that it is UTF-8; what is none is empty.
pub(crate) fn with<const N: usize, T>(lengths: [u32; N], work: impl FnOnce([Option<&str>; N]) -> T) -> T {
    bytes(&lengths, |parts| {
        let mut texts = [None; N];
        for (text, part) in texts.iter_mut().zip(parts) {
            *text = part.map(|bytes| std::str::from_utf8(bytes).unwrap_or_default());
        }
        work(texts)
    })
}

/// Leaves a text for the host to read; its length, or -1 for none.
pub(crate) fn give(text: Option<String>) -> i32 {
    let Some(text) = text else {
        return -1;
    };
    let length = i32::try_from(text.len()).unwrap_or(-1);
    OUT.set(text.into_bytes());
    length
}

/// Where the text that was left last begins.
pub(crate) fn left() -> *const u8 {
    OUT.with_borrow(Vec::as_ptr)
}

/// Its length.
pub(crate) fn left_length() -> i32 {
    OUT.with_borrow(|text| i32::try_from(text.len()).unwrap_or(-1))
}
