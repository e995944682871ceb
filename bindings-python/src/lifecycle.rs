//! The process as a whole: counters, fork, exit.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tracespool_core::config::GOODBYE;
use tracespool_core::native::{exit, fork};
use tracespool_core::stats::{DestinationStats, LaneStats, Stats};

use crate::home::home;
use crate::notices;

const SLICE: Duration = Duration::from_millis(50);

/// Counters of the process and of each client: what was submitted, and what became of it.
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    notices::deliver(py, false);
    let stats = py.detach(|| home().stats());
    let Stats {
        observations,
        scores,
        media,
        bytes,
        bytes_limit,
        admission,
        clients,
        requests,
        retries,
        panics,
        largest_lag,
        delivery_p50,
        delivery_p99,
        destinations,
    } = &stats;
    let out = PyDict::new(py);
    out.set_item("observations", lane(py, observations)?)?;
    out.set_item("scores", lane(py, scores)?)?;
    out.set_item("media", lane(py, media)?)?;
    out.set_item("bytes", bytes)?;
    out.set_item("bytes_limit", bytes_limit)?;
    out.set_item("admission", admission)?;
    out.set_item("clients", clients)?;
    out.set_item("requests", requests)?;
    out.set_item("retries", retries)?;
    out.set_item("panics", panics)?;
    out.set_item("largest_lag", largest_lag)?;
    out.set_item("delivery_p50", delivery_p50)?;
    out.set_item("delivery_p99", delivery_p99)?;
    let parts = PyList::empty(py);
    for DestinationStats { public_key, base_url, bytes, observations, scores, media } in destinations {
        let part = PyDict::new(py);
        part.set_item("public_key", public_key)?;
        part.set_item("base_url", base_url)?;
        part.set_item("bytes", bytes)?;
        part.set_item("observations", lane(py, observations)?)?;
        part.set_item("scores", lane(py, scores)?)?;
        part.set_item("media", lane(py, media)?)?;
        parts.append(part)?;
    }
    out.set_item("destinations", parts)?;
    Ok(out)
}

fn lane<'py>(py: Python<'py>, lane: &LaneStats) -> PyResult<Bound<'py, PyDict>> {
    let LaneStats { submitted, delivered, pending, unconfirmed, dropped, mask_failed } = lane;
    let out = PyDict::new(py);
    out.set_item("submitted", submitted)?;
    out.set_item("delivered", delivered)?;
    out.set_item("pending", pending)?;
    out.set_item("unconfirmed", unconfirmed)?;
    out.set_item("dropped", reasons(py, dropped)?)?;
    out.set_item("mask_failed", mask_failed)?;
    Ok(out)
}

fn reasons<'py>(py: Python<'py>, dropped: &[(&'static str, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (reason, count) in dropped {
        out.set_item(reason, count)?;
    }
    Ok(out)
}

/// Sets the share of new traces that this process records, from 0 (none) to 1 (all, the default): what a process that runs out of
/// memory gives up first. In between, the trace's id decides. What begins below an observation shares its fate, so that a
/// trace is kept or shed as a whole. What is shed is counted as `shed`. Anything else than such a number is a warning and changes
/// nothing. The child of a fork begins with 1.
#[pyfunction]
#[pyo3(signature = (share, /))]
pub(crate) fn set_admission(share: &Bound<'_, PyAny>) {
    let set = match share.extract::<f64>() {
        Ok(share) => home().shared().admission.set(share),
        Err(_) => {
            let kind = share.get_type().name().map(|name| name.to_string()).unwrap_or_default();
            Err(format!("the share of traces to admit is a number from 0 to 1, not {kind}"))
        }
    };
    if let Err(sentence) = set {
        notices::problem("", format!("set_admission: {sentence}; it is ignored"));
    }
}

/// The share of new traces that this process records.
#[pyfunction]
pub(crate) fn admission() -> f64 {
    home().shared().admission.share()
}

/// How long after the goodbye's deadline its report is waited for.
const LATE: Duration = Duration::from_millis(200);

/// Says that the process ends within `timeout` seconds; how many of them are left where that was said before. The child of a fork has
/// a deadline of its own.
#[pyfunction]
#[pyo3(signature = (timeout, /))]
pub(crate) fn announce_goodbye(timeout: f64) -> f64 {
    let timeout = crate::home::seconds(timeout);
    exit::announce(timeout).unwrap_or(timeout).as_secs_f64()
}

/// Says goodbye: sends what all clients have pending, for `timeout` seconds at most, and logs what was lost. What the
/// application traces afterwards, and another goodbye, has the rest of that time.
#[pyfunction]
#[pyo3(signature = (timeout=None))]
pub(crate) fn goodbye(py: Python<'_>, timeout: Option<f64>) {
    let timeout = timeout.map_or(GOODBYE, crate::home::seconds);
    if let Some(goodbye) = exit::begin(timeout) {
        let deadline = Instant::now() + goodbye.left();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let report = py.detach(|| goodbye.wait(SLICE.min(left.max(Duration::from_millis(1)))));
            if let Some(report) = report {
                if !report.complete {
                    notices::problem(
                        "",
                        format!(
                            "at exit {} items were still unsent and {} unconfirmed",
                            report.pending, report.unconfirmed
                        ),
                    );
                }
                break;
            }
            // Ctrl-C at exit means now; other handlers may raise what they like, there is nobody to catch it.
            if py.check_signals().is_err() {
                notices::problem("", "the goodbye was interrupted: items may still be unsent");
                break;
            }
            // The report comes at the deadline whatever happens; this is for when it does not.
            if Instant::now() > deadline + LATE {
                break;
            }
        }
        notices::deliver(py, true);
    }
}

/// The parent's part before a fork.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    py.detach(fork::before);
}

/// The parent's part after a fork.
#[pyfunction]
pub(crate) fn after_fork_parent() {
    fork::after_in_parent();
}

/// The child's part after a fork.
#[pyfunction]
pub(crate) fn after_fork_child() {
    fork::after_in_child();
}
