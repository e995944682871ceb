//! The process's two clocks, read together.
//!
//! `mono` counts from the first reading in this process, so it stays small and survives a change of the wall clock; `unix`
//! is the wall clock. A reading costs two vDSO calls, no system call.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::transport::Now;

/// Added to every monotonic reading, so that "now minus a little" never underflows in the first seconds.
const HEAD_START: u64 = 3_600_000_000_000;

static START: OnceLock<Instant> = OnceLock::new();

/// Both clocks now.
#[must_use]
pub fn now() -> Now {
    Now { mono: mono(), unix: unix() }
}

/// The wall clock alone, in nanoseconds since 1970.
#[must_use]
pub fn unix() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    u64::try_from(unix).unwrap_or(u64::MAX)
}

/// The monotonic clock alone, in nanoseconds.
#[must_use]
pub fn mono() -> u64 {
    let since = START.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX - HEAD_START).saturating_add(HEAD_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono && first.unix > 1_600_000_000_000_000_000);
    }
}
