//! Waiting: flushes, shutdowns, the goodbye. The interpreter is released meanwhile, signals are looked for every 50 ms, and
//! under gevent the waiting is done by its own sleep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tracespool_core::destination::Destination;
use tracespool_core::endpoint::{BaseUrl, Endpoint, basic_auth};
use tracespool_core::process::{self, Process};
use tracespool_core::report::{DestinationReport, Report};

use crate::handle::Handle;
use crate::home::{home, seconds};
use crate::notices;

/// How long after the deadline the core's own report is waited for.
const GRACE: Duration = Duration::from_millis(30);
/// How long a signal may wait to be noticed.
const SLICE: Duration = Duration::from_millis(50);
/// Pauses between two looks where only polling is possible, in seconds.
const SHORTEST: f64 = 0.001;
const LONGEST: f64 = 0.02;

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
        let Some(endpoint) = &handle.core.settings().endpoint else {
            return Self::new(None);
        };
        let process = handle.core.process();
        let same = |other: &Endpoint| other.url == endpoint.url && other.headers == endpoint.headers;
        let ticket = process.cleanup(|destination| same(destination.endpoint()), seconds(timeout));
        Self::new(Some((process, ticket)))
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
        let deadline = Instant::now() + timeout + GRACE;
        if let Some(report) = self.look(Duration::ZERO) {
            return Ok(report);
        }
        if let Some(sleep) = patched_sleep(py) {
            let mut pause = SHORTEST;
            while Instant::now() < deadline {
                sleep.call1((pause,))?;
                if let Some(report) = self.look(Duration::ZERO) {
                    return Ok(report);
                }
                pause = (pause * 1.5).min(LONGEST);
            }
            return Ok(self.so_far());
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(self.so_far());
            }
            if let Some(report) = py.detach(|| self.look(SLICE.min(left))) {
                return Ok(report);
            }
            py.check_signals()?;
        }
    }
}

/// `time.sleep` where gevent has put its own in its place: waiting in the core would stop all greenlets of the thread.
pub(crate) fn patched_sleep(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let monkey = modules.get_item("gevent.monkey").ok()?;
    let patched = monkey.call_method1("is_module_patched", ("time",)).ok()?.is_truthy().ok()?;
    if patched { py.import("time").ok()?.getattr("sleep").ok() } else { None }
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
    let authorization = secret_key.map(|secret| basic_auth(public_key, secret));
    let base_url =
        base_url.map(|url| BaseUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.to_string()));
    let matches = |key: &str, endpoint: &Endpoint| {
        key == public_key
            && base_url.as_ref().is_none_or(|url| *url == endpoint.url.to_string())
            && authorization.as_ref().is_none_or(|wanted| {
                endpoint.headers.iter().any(|(name, value)| name == "authorization" && value == wanted)
            })
    };
    crate::handle::forget(|handle| {
        let settings = handle.core.settings();
        settings.endpoint.as_ref().is_some_and(|endpoint| matches(&settings.public_key, endpoint))
    });
    Ticket::cleanup(|destination| matches(destination.public_key(), destination.endpoint()), timeout)
        .wait(py, Some(timeout))
}

/// `cleanup_client` for all at once, under one deadline.
#[pyfunction]
#[pyo3(signature = (timeout=5.0))]
pub(crate) fn cleanup_all_clients(py: Python<'_>, timeout: f64) -> PyResult<Bound<'_, PyDict>> {
    crate::handle::forget(|_| true);
    Ticket::cleanup(|_| true, timeout).wait(py, Some(timeout))
}
