//! Reused encode buffers.
//!
//! The buffer is taken out of its thread's cell, not borrowed: encoding runs the application's code, which may trace, switch
//! greenlets or collect garbage, and whoever comes second simply gets a fresh buffer.

use std::cell::Cell;

/// A buffer that grew beyond this is given back to the allocator.
const KEEP: usize = 256 * 1024;

thread_local! {
    static SPARE: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// An empty byte buffer that returns to its thread when dropped.
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    pub(crate) fn take() -> Self {
        // A thread that is being torn down has no cell any more.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        Self(spare.unwrap_or_else(|| Vec::with_capacity(4096)))
    }

    /// Forgets what was encoded.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// For the encoder alone, which writes UTF-8.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// What was encoded.
    pub(crate) fn text(&self) -> &str {
        // SAFETY: only the encoder writes into it, and it writes whole characters.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= KEEP {
            buffer.clear();
            let _ = SPARE.try_with(|cell| cell.set(Some(buffer)));
        }
    }
}
