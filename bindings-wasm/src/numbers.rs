//! The host's way from text to numbers and back: functions without effects, the only ones of the host's that are called.

use std::sync::Once;

use tracespool_core::number::{Host, of_host};

// SAFETY: the host reads or writes exactly what it is told, within this module's memory, and calls nothing.
#[allow(unsafe_code)]
#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// The number that a text says; NaN for none.
    safe fn number(at: *const u8, length: usize) -> f64;
    /// Writes a number's digits, 32 bytes at most; how many there are.
    safe fn digits(number: f64, at: *mut u8) -> usize;
}

fn text(value: f64) -> String {
    let mut room = vec![0; 32];
    let length = digits(value, room.as_mut_ptr());
    room.truncate(length);
    String::from_utf8(room).unwrap_or_default()
}

/// Lets the core use them.
pub(crate) fn lend() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| of_host(Host { parse: |text| number(text.as_ptr(), text.len()), text }));
}
