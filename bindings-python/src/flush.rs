//! Flushes, shutdowns, clean-ups, and their reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tracespool_core::destination::{Destination, Wanted};
use tracespool_core::process::{self, Process};
use tracespool_core::report::{DestinationReport, Report};

use crate::client::Client;
use crate::handle::{Handle, clients};
use crate::home::{home, seconds};
use crate::notices;
use crate::waiting::wait_for;

/// How long after the deadline the core's own report is waited for.
const GRACE: Duration = Duration::from_millis(30);

/// A flush under way.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Ticket {
    /// `None` where there is nothing to flush.
    under_way: Option<(Arc<Process>, process::Ticket)>,
    report: Mutex<Option<Report>>,
}

impl Ticket {
    fn new(under_way: Option<(Arc<Process>, process::Ticket)>) -> Self {
        Self { under_way, report: Mutex::new(None) }
    }

    pub(crate) fn of(handle: &Handle, timeout: f64, close: bool) -> Self {
        Self::new(handle.core.begin_flush(seconds(timeout), close))
    }

    /// Of a client that is forgotten afterwards.
    pub(crate) fn closing(handle: &Handle, timeout: f64) -> Self {
        Self::new(handle.core.begin_shutdown(seconds(timeout)))
    }

    /// Of every destination that matches, to be forgotten afterwards.
    pub(crate) fn cleanup(matches: impl Fn(&Destination) -> bool, timeout: f64) -> Self {
        let process = home();
        let ticket = process.cleanup(matches, seconds(timeout));
        Self::new(Some((process, ticket)))
    }

    fn look(&self, slice: Duration) -> Option<Report> {
        let Some((process, ticket)) = &self.under_way else {
            return Some(Report::of(Vec::new()));
        };
        if let Some(report) = self.report.lock().as_ref() {
            return Some(report.clone());
        }
        let report = if slice.is_zero() { ticket.poll() } else { ticket.wait(slice, process) };
        report.inspect(|report| *self.report.lock() = Some(report.clone()))
    }

    /// What can be said now.
    fn so_far(&self) -> Report {
        self.look(Duration::ZERO)
            .or_else(|| self.under_way.as_ref().map(|(_, ticket)| ticket.give_up()))
            .unwrap_or_default()
    }

    /// Waits for `timeout` at most.
    ///
    /// # Errors
    ///
    /// What a signal handler raises (`KeyboardInterrupt`); the data stays pending.
    fn join(&self, py: Python<'_>, timeout: Duration) -> PyResult<Report> {
        // The core answers at its own deadline with the whole truth; this one is for when it does not.
        let report = wait_for(py, timeout + GRACE, |slice| self.look(slice))?;
        Ok(report.unwrap_or_else(|| self.so_far()))
    }
}

#[pymethods]
impl Ticket {
    /// The report once it has come, else `None`.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let report = self.look(Duration::ZERO).map(|report| dict(py, &report)).transpose()?;
        if report.is_some() {
            notices::deliver(py, false);
        }
        Ok(report)
    }

    /// What can be said now, whether or not the flush is over.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        notices::deliver(py, false);
        dict(py, &self.so_far())
    }

    /// Waits for `timeout` seconds at most and returns what can be said then.
    #[pyo3(signature = (timeout=None))]
    pub(crate) fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.join(py, seconds(timeout.unwrap_or(5.0)))?;
        notices::deliver(py, false);
        dict(py, &report)
    }
}

fn dict<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let Report { complete, delivered, dropped, pending, unconfirmed, destinations } = report;
    let out = counts(py, *delivered, *dropped, *pending, *unconfirmed)?;
    out.set_item("complete", complete)?;
    let parts = PyList::empty(py);
    for DestinationReport { public_key, base_url, delivered, dropped, pending, unconfirmed } in destinations {
        let part = counts(py, *delivered, *dropped, *pending, *unconfirmed)?;
        part.set_item("public_key", public_key)?;
        part.set_item("base_url", base_url)?;
        parts.append(part)?;
    }
    out.set_item("destinations", parts)?;
    Ok(out)
}

fn counts<'py>(
    py: Python<'py>,
    delivered: u64,
    dropped: u64,
    pending: u64,
    unconfirmed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("delivered", delivered)?;
    out.set_item("dropped", dropped)?;
    out.set_item("pending", pending)?;
    out.set_item("unconfirmed", unconfirmed)?;
    Ok(out)
}

/// Begins to send what every client has pending.
#[pyfunction]
#[pyo3(signature = (timeout=5.0))]
pub(crate) fn begin_flush_all(timeout: f64) -> Ticket {
    let process = home();
    let ticket = process.begin_flush(None, seconds(timeout), false);
    Ticket::new(Some((process, ticket)))
}

/// Waits until masks and exporters of these clients have passed on what they have; returns the time that is left.
fn drain(py: Python<'_>, is_meant: impl Fn(&Handle) -> bool, timeout: f64) -> PyResult<f64> {
    let deadline = Instant::now() + seconds(timeout);
    let left = || deadline.saturating_duration_since(Instant::now()).as_secs_f64();
    let of = |client: Py<Client>| {
        let handle = &client.get().handle;
        if is_meant(handle) { handle.options().stage(py) } else { None }
    };
    let stages: Vec<Py<PyAny>> = clients(py).into_iter().filter_map(of).collect();
    for stage in &stages {
        stage.bind(py).call_method1("drain", (left(),))?;
    }
    Ok(if stages.is_empty() { timeout } else { left() })
}

/// Closes every client of `public_key` (with this base URL and secret key, where given): sends what is pending until the
/// deadline, drops the rest as `evicted`, forgets them. Returns the report.
#[pyfunction]
#[pyo3(signature = (public_key, *, base_url=None, secret_key=None, timeout=5.0))]
pub(crate) fn cleanup_client<'py>(
    py: Python<'py>,
    public_key: &str,
    base_url: Option<&str>,
    secret_key: Option<&str>,
    timeout: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let wanted = Wanted::new(Some(public_key), base_url, secret_key);
    let is_meant = |handle: &Handle| {
        let settings = handle.core.settings();
        settings.endpoint.as_ref().is_some_and(|endpoint| wanted.matches(&settings.public_key, endpoint))
    };
    let timeout = drain(py, is_meant, timeout)?;
    crate::handle::forget(is_meant);
    Ticket::cleanup(|destination| wanted.matches(destination.public_key(), destination.endpoint()), timeout)
        .wait(py, Some(timeout))
}

/// `cleanup_client` for all at once, under one deadline.
#[pyfunction]
#[pyo3(signature = (timeout=5.0))]
pub(crate) fn cleanup_all_clients(py: Python<'_>, timeout: f64) -> PyResult<Bound<'_, PyDict>> {
    let timeout = drain(py, |_| true, timeout)?;
    crate::handle::forget(|_| true);
    Ticket::cleanup(|_| true, timeout).wait(py, Some(timeout))
}
