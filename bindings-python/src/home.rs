//! The process that everything belongs to; after a fork it is another one.

use std::sync::Arc;
use std::time::Duration;

use tracespool_core::process::Process;

/// The process's core, made at the first use. No thread is started here.
pub(crate) fn home() -> Arc<Process> {
    tracespool_core::native::current()
}

/// Seconds as a duration; what is no number of seconds is none.
pub(crate) fn seconds(timeout: f64) -> Duration {
    // A year is as good as forever, and stays clear of overflow.
    if timeout > 0.0 { Duration::from_secs_f64(timeout.min(31_536_000.0)) } else { Duration::ZERO }
}
