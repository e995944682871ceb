//! Reused encode buffers.
//!
//! The buffer is taken out of its thread's cell, not borrowed: encoding runs the application's code, which may trace, switch
//! greenlets or collect garbage, and whoever comes second simply gets a fresh buffer.

use std::cell::Cell;

use tracespool_core::media::Media;

use super::media::Found;

/// A buffer that grew beyond this is given back to the allocator.
const KEEP: usize = 256 * 1024;

thread_local! {
    static SPARE: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// An empty byte buffer that returns to its thread when dropped.
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    found: Found,
}

impl Scratch {
    pub(crate) fn take() -> Self {
        // A thread that is being torn down has no cell any more.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        Self { bytes: spare.unwrap_or_else(|| Vec::with_capacity(4096)), found: Found::default() }
    }

    /// Whether what is encoded from now on is searched for media.
    pub(crate) fn seek_media(&mut self, wanted: bool) {
        self.found.wanted = wanted;
    }

    /// What was found since this was asked last, where there is anything.
    #[inline]
    pub(crate) fn take_media(&mut self) -> Option<Vec<Media>> {
        if self.found.contents.is_empty() { None } else { Some(std::mem::take(&mut self.found.contents)) }
    }

    /// Forgets what was encoded.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// For the encoder alone, which writes UTF-8.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn found(&mut self) -> &mut Found {
        &mut self.found
    }

    pub(super) fn parts(&mut self) -> (&mut Vec<u8>, &mut Found) {
        (&mut self.bytes, &mut self.found)
    }

    /// What was encoded.
    pub(crate) fn text(&self) -> &str {
        // SAFETY: only the encoder writes into it, and it writes whole characters.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.bytes);
        if buffer.capacity() <= KEEP {
            buffer.clear();
            let _ = SPARE.try_with(|cell| cell.set(Some(buffer)));
        }
    }
}
