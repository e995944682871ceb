//! Trace and span ids, and the W3C `traceparent` header that carries them between processes.
//!
//! Ids come from a generator per thread that is seeded by the operating system and seeded anew after a fork, so that a
//! child never repeats its parent's ids.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// The 16 bytes that name a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// The 8 bytes that name an observation within a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

static SEED_GENERATION: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static STATE: Cell<([u64; 4], u64)> = const { Cell::new(([0; 4], 0)) };
}

/// Makes every thread seed its generator anew: called in the child of a fork.
pub fn reseed() {
    SEED_GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Fills a buffer with randomness; false where it cannot.
pub type SeedSource = fn(&mut [u8]) -> bool;

static SEED_SOURCE: OnceLock<SeedSource> = OnceLock::new();

/// Where seeds come from on a host without an operating system. To be called before the first id is made.
pub fn seed_from(source: SeedSource) {
    let _ = SEED_SOURCE.set(source);
}

fn fill(bytes: &mut [u8]) -> bool {
    if let Some(source) = SEED_SOURCE.get() {
        return source(bytes);
    }
    #[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
    let filled = getrandom::fill(bytes).is_ok();
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    let filled = false;
    filled
}

/// The next 64 random bits of this thread (xoshiro256++, Blackman and Vigna 2019; not for secrets).
fn next_u64() -> u64 {
    let wanted = SEED_GENERATION.load(Ordering::Relaxed);
    STATE.with(|cell| {
        let (mut s, generation) = cell.get();
        if generation != wanted {
            s = seed();
        }
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        cell.set((s, wanted));
        result
    })
}

fn seed() -> [u64; 4] {
    let mut bytes = [0u8; 32];
    if !fill(&mut bytes) {
        // Without an operating system's randomness, an address and a counter still tell processes and threads apart.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        hash.update(count.to_le_bytes());
        hash.update((&raw const COUNTER as usize).to_le_bytes());
        hash.update((bytes.as_ptr() as usize).to_le_bytes());
        bytes = hash.finalize().into();
    }
    let mut s = [0u64; 4];
    for (word, chunk) in s.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk.iter().fold(0, |acc, b| (acc << 8) | u64::from(*b));
    }
    s[0] |= 1; // the state must not be all zero
    s
}

/// A random number in `0.0..1.0`, for jitter.
#[must_use]
pub fn jitter() -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let unit = (next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    unit
}

impl TraceId {
    /// A random id.
    #[must_use]
    pub fn random() -> Self {
        loop {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&next_u64().to_be_bytes());
            bytes[8..].copy_from_slice(&next_u64().to_be_bytes());
            if bytes != [0; 16] {
                return Self(bytes);
            }
        }
    }

    /// The id that a seed stands for: the first 16 bytes of its SHA-256, as in the Langfuse SDKs.
    #[must_use]
    pub fn from_seed(seed: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(seed.as_bytes()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// Reads 32 hexadecimal digits; upper case is accepted, all zeros is not (W3C Trace Context, section 3.2.2.3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).filter(|bytes| *bytes != [0; 16]).map(Self)
    }

    /// The low 64 bits, which decide sampling.
    #[must_use]
    pub fn low(self) -> u64 {
        let mut low = [0; 8];
        low.copy_from_slice(&self.0[8..]);
        u64::from_be_bytes(low)
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> Hex<32> {
        Hex::new(&self.0)
    }
}

impl SpanId {
    /// A random id.
    #[must_use]
    pub fn random() -> Self {
        loop {
            let value = next_u64();
            if value != 0 {
                return Self(value.to_be_bytes());
            }
        }
    }

    /// The id that a seed stands for: the first 8 bytes of its SHA-256, as in the Langfuse SDKs.
    #[must_use]
    pub fn from_seed(seed: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(seed.as_bytes()).into();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Self(bytes)
    }

    /// Reads 16 hexadecimal digits; upper case is accepted, all zeros is not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).filter(|bytes| *bytes != [0; 8]).map(Self)
    }

    /// 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> Hex<16> {
        Hex::new(&self.0)
    }
}

/// Hexadecimal digits on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [b'0'; N];
        for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(out)
    }

    /// The digits as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    // What is no digit is seen at the end: a look for each would cost as much as the rest.
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (seen < 16).then_some(out)
}

/// The value of each hexadecimal digit; 16 and more for what is none.
const NIBBLES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut at = 0;
    while at < 16 {
        let lower = b"0123456789abcdef"[at];
        values[lower as usize] = at as u8;
        values[lower.to_ascii_uppercase() as usize] = at as u8;
        at += 1;
    }
    values
};

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

/// What a `traceparent` header says (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace_id: TraceId,
    /// The sender's span.
    pub span_id: SpanId,
    /// The sender's sampled flag.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads a header. `None` where the specification says that it is to be ignored: version `ff`, zero ids, wrong
    /// lengths, upper-case digits, or surplus text under version `00`.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        if header.len() < 55 || !header.is_ascii() || header.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let (head, tail) = header.split_at(55);
        let mut parts = head.split('-');
        let version: [u8; 1] = parse_hex(parts.next()?)?;
        let trace_id = TraceId::parse(parts.next()?)?;
        let span_id = SpanId::parse(parts.next()?)?;
        let flags: [u8; 1] = parse_hex(parts.next()?)?;
        let surplus_allowed = version[0] != 0 && tail.starts_with('-');
        if version[0] == 0xff || parts.next().is_some() || !(tail.is_empty() || surplus_allowed) {
            return None;
        }
        Some(Self { trace_id, span_id, sampled: flags[0] & 1 == 1 })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_the_ids_of_the_langfuse_sdks() {
        // sha256("seed") = 19b25856e1c150ca834cffc8b59b23adbd0ec0389e58eb22b3b64768098d002b
        assert_eq!(TraceId::from_seed("seed").to_string(), "19b25856e1c150ca834cffc8b59b23ad");
        assert_eq!(SpanId::from_seed("seed").to_string(), "19b25856e1c150ca");
    }

    #[test]
    fn ids_are_read_and_refused() {
        assert_eq!(
            TraceId::parse("0123456789ABCDEF0123456789abcdef").unwrap().to_string(),
            "0123456789abcdef0123456789abcdef"
        );
        for bad in [
            "",
            "00000000000000000000000000000000",
            "xyz",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdeg",
        ] {
            assert!(TraceId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn traceparent_follows_the_specification() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parsed = Traceparent::parse(header).unwrap();
        assert!(parsed.sampled);
        assert_eq!(parsed.to_string(), header);
        assert!(Traceparent::parse(&format!("{header}-extra")).is_none());
        assert!(Traceparent::parse(&format!("01{}-extra", &header[2..])).is_some());
        assert!(Traceparent::parse(&format!("ff{}", &header[2..])).is_none());
        assert!(Traceparent::parse(&header.to_uppercase()).is_none());
        assert!(Traceparent::parse("00-00000000000000000000000000000000-b7ad6b7169203331-01").is_none());
        assert!(Traceparent::parse("é".repeat(40).as_str()).is_none());
    }

    #[test]
    fn random_ids_differ_and_stay_different_after_a_reseed() {
        let mut seen = std::collections::HashSet::new();
        for round in 0..2000 {
            assert!(seen.insert(TraceId::random()));
            if round == 1000 {
                reseed();
            }
        }
    }
}
