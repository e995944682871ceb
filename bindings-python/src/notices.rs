//! Lines for the application's logger. The core queues them; here they are handed to `logging` and to `on_drop` callbacks,
//! on an application thread, with no lock held.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use tracespool_core::notice::NoticeKind;

use crate::home::home;

/// Ends that pass between two looks at the queue.
const LOOK_EVERY: u32 = 16;
/// And the least time between two deliveries from `end`, in nanoseconds.
const PERIOD: u64 = 1_000_000_000;

static ENDS: AtomicU32 = AtomicU32::new(0);
static DELIVERED_AT: AtomicU64 = AtomicU64::new(0);
static CALLBACKS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// Tells the application, once a minute at most for the same text, that something it passed is not usable.
pub(crate) fn problem(public_key: &str, message: impl Into<String>) {
    let process = home();
    let message = message.into();
    let now = process.now().mono;
    process.shared().notices.add(NoticeKind::Configuration, public_key, 1, now, || message.clone());
}

/// The look that `end` takes: rarely, and never twice a second.
#[inline]
pub(crate) fn look(py: Python<'_>) {
    if ENDS.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
        glance(py);
    }
}

#[inline(never)]
fn glance(py: Python<'_>) {
    let process = home();
    if process.shared().notices.is_empty() {
        return;
    }
    let now = process.now().mono;
    let last = DELIVERED_AT.load(Ordering::Relaxed);
    if now.saturating_sub(last) >= PERIOD
        && DELIVERED_AT.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        deliver(py, false);
    }
}

/// Delivers what is due; `all` does not wait for a kind's next minute. A failing logger is the application's own affair and
/// never reaches the traced code.
pub(crate) fn deliver(py: Python<'_>, all: bool) {
    let process = home();
    let notices = process.shared().notices.take(process.now().mono, all);
    if notices.is_empty() {
        return;
    }
    if let Err(error) = hand_over(py, notices) {
        drop(error);
    }
}

fn hand_over(py: Python<'_>, notices: Vec<tracespool_core::notice::Notice>) -> PyResult<()> {
    let lines = PyList::empty(py);
    let drops = PyList::empty(py);
    for notice in notices {
        let level = if notice.kind == NoticeKind::Panic { "error" } else { "warning" };
        let message = if notice.public_key.is_empty() {
            notice.message
        } else {
            format!("[{}] {}", notice.public_key, notice.message)
        };
        lines.append((level, message.as_str(), notice.count))?;
        if let NoticeKind::Dropped { lane, reason } = notice.kind {
            let drop = PyDict::new(py);
            drop.set_item("reason", reason.as_str())?;
            drop.set_item("lane", lane.as_str())?;
            drop.set_item("count", notice.count)?;
            drop.set_item("public_key", notice.public_key)?;
            drop.set_item("message", message)?;
            drops.append(drop)?;
        }
    }
    let callbacks: Vec<Py<PyAny>> = CALLBACKS.lock().iter().map(|callback| callback.clone_ref(py)).collect();
    let callbacks = PyTuple::new(py, callbacks)?;
    py.import("tracespool._notices")?.call_method1("deliver", (lines, drops, callbacks)).map(drop)
}

/// Calls `callback` with `{"reason", "lane", "count", "public_key", "message"}` whenever data was given up: on an
/// application thread, in `flush`, `shutdown`, `stats`, now and then in `end`, and at exit. Returns the callback.
#[pyfunction]
#[pyo3(signature = (callback, /))]
pub(crate) fn on_drop(callback: Bound<'_, PyAny>) -> Bound<'_, PyAny> {
    if callback.is_callable() {
        CALLBACKS.lock().push(callback.clone().unbind());
    } else {
        problem("", "on_drop takes a callable; it is ignored");
    }
    callback
}
