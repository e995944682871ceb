//! Maps keyed by our own numbers. Nobody outside chooses them, so the standard library's protection against chosen keys
//! is not needed; one multiplication spreads them.

use std::hash::Hasher;

/// A map keyed by numbers of our own making.
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub(crate) type IdMap<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<IdHasher>>;
/// A map keyed by numbers of our own making.
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub(crate) type IdMap<K, V> = crate::map::Map<K, V>;

/// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.write_u64(u64::from(id));
    }

    fn write_u64(&mut self, id: u64) {
        // The table takes its index from the low bits and its tags from the high ones.
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
