//! The goodbye. It blocks, which is allowed where the process is ending, and only there.

use std::time::Duration;

use napi_derive::napi;
use tracespool_core::native::{current, exit};

/// Sends what is pending for `timeout` at most. Unlike a goodbye it leaves the process open: another worker may trace yet.
pub(crate) fn drain(timeout: Duration) {
    let process = current();
    let _ = process.begin_flush(None, timeout, false).join(&process);
}

/// Sends what every client has pending and waits, for `timeout` milliseconds at most. JSON of the report, empty where
/// nothing was ever traced.
#[napi(catch_unwind)]
#[must_use]
pub fn goodbye(timeout: f64) -> String {
    let timeout = Duration::try_from_secs_f64(timeout.max(0.0) / 1e3).unwrap_or_default();
    exit::begin(timeout).map(|goodbye| goodbye.join().to_json()).unwrap_or_default()
}
