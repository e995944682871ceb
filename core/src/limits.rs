//! How much a process's core may hold and send at once.

use std::time::Duration;

use crate::config::{
    BORROWED_PART, DESTINATION_BYTES, IDLE_TTL, IN_FLIGHT, MAX_AGE, MAX_DESTINATIONS, PROCESS_BYTES, number,
    whole,
};

/// Bounds on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// To one destination.
    pub destination: usize,
    /// To one origin.
    pub origin: usize,
    /// In the process.
    pub process: usize,
}

/// Bounds of a process's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes waiting for one destination.
    pub destination_bytes: usize,
    /// What that may grow to while the process has room; nothing where it is less. See [`BORROWED_PART`].
    pub borrowed_bytes: usize,
    /// Bytes waiting in the process.
    pub process_bytes: usize,
    /// Destinations held.
    pub max_destinations: usize,
    /// A destination unused for this long is forgotten.
    pub idle_ttl: Duration,
    /// Data older than this is given up.
    pub max_age: Duration,
    /// Requests in flight.
    pub in_flight: InFlight,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            destination_bytes: DESTINATION_BYTES,
            borrowed_bytes: 0,
            process_bytes: PROCESS_BYTES,
            max_destinations: MAX_DESTINATIONS,
            idle_ttl: IDLE_TTL,
            max_age: MAX_AGE,
            in_flight: IN_FLIGHT,
        }
    }
}

impl Limits {
    /// The defaults with `TRACESPOOL_MAX_BYTES`, `TRACESPOOL_MAX_BYTES_PER_CLIENT`, `TRACESPOOL_MAX_CLIENTS` and
    /// `TRACESPOOL_IDLE_TTL` (seconds) over them.
    #[must_use]
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Self {
        let mut limits = Self::default();
        if let Some(bytes) = number(env, "TRACESPOOL_MAX_BYTES", 1_000_000.0, 1e12, problems) {
            limits.process_bytes = whole(bytes);
        }
        // Whoever sets the bound means it.
        match number(env, "TRACESPOOL_MAX_BYTES_PER_CLIENT", 1_000_000.0, 1e12, problems) {
            Some(bytes) => limits.destination_bytes = whole(bytes),
            None => limits.borrowed_bytes = limits.process_bytes / BORROWED_PART,
        }
        if let Some(count) = number(env, "TRACESPOOL_MAX_CLIENTS", 1.0, 1e6, problems) {
            limits.max_destinations = whole(count);
        }
        if let Some(seconds) = number(env, "TRACESPOOL_IDLE_TTL", 1.0, 1e8, problems) {
            limits.idle_ttl = Duration::from_secs_f64(seconds);
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_may_borrow_unless_its_bound_was_set() {
        let read = |variable: &str, bytes: &str| {
            let mut problems = Vec::new();
            let limits =
                Limits::from_env(&|name| (name == variable).then(|| bytes.to_owned()), &mut problems);
            (limits.destination_bytes, limits.borrowed_bytes, problems.len())
        };
        assert_eq!(read("", ""), (DESTINATION_BYTES, PROCESS_BYTES / 2, 0));
        assert_eq!(read("TRACESPOOL_MAX_BYTES", "8000000"), (DESTINATION_BYTES, 4_000_000, 0));
        assert_eq!(read("TRACESPOOL_MAX_BYTES_PER_CLIENT", "2000000"), (2_000_000, 0, 0));
        assert_eq!(
            read("TRACESPOOL_MAX_BYTES_PER_CLIENT", "many"),
            (DESTINATION_BYTES, PROCESS_BYTES / 2, 1)
        );
    }
}
