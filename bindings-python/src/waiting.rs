//! Waiting: the interpreter is released meanwhile, signals are looked for every 50 ms, and under gevent the waiting is done
//! by its own sleep.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How long a signal may wait to be noticed.
const SLICE: Duration = Duration::from_millis(50);
/// Pauses between two looks where only polling is possible, in seconds.
const SHORTEST: f64 = 0.001;
const LONGEST: f64 = 0.02;

/// Waits for `timeout` at most for what `look` finds; it is told how long it may block and must not touch the interpreter.
///
/// # Errors
///
/// What a signal handler raises (`KeyboardInterrupt`).
pub(crate) fn wait_for<T: Send>(
    py: Python<'_>,
    timeout: Duration,
    look: impl Fn(Duration) -> Option<T> + Sync,
) -> PyResult<Option<T>> {
    let deadline = Instant::now() + timeout;
    if let Some(found) = look(Duration::ZERO) {
        return Ok(Some(found));
    }
    if let Some(sleep) = patched_sleep(py) {
        let mut pause = SHORTEST;
        while Instant::now() < deadline {
            sleep.call1((pause,))?;
            if let Some(found) = look(Duration::ZERO) {
                return Ok(Some(found));
            }
            pause = (pause * 1.5).min(LONGEST);
        }
        return Ok(None);
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if let Some(found) = py.detach(|| look(SLICE.min(left))) {
            return Ok(Some(found));
        }
        py.check_signals()?;
    }
}

/// Whether gevent runs this process: what blocks a thread then stops everything on it.
pub(crate) fn in_greenlets(py: Python<'_>) -> bool {
    patched_sleep(py).is_some()
}

/// `time.sleep` where gevent has put its own in its place: waiting in the core would stop all greenlets of the thread.
fn patched_sleep(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let monkey = modules.get_item("gevent.monkey").ok()?;
    let patched = monkey.call_method1("is_module_patched", ("time",)).ok()?.is_truthy().ok()?;
    if patched { py.import("time").ok()?.getattr("sleep").ok() } else { None }
}
