//! What a client was given of OpenTelemetry's: filters, masks, exporters and id generators, each for this client alone.

use parking_lot::Mutex;
use pyo3::prelude::*;
use tracespool_core::Chosen;
use tracespool_core::id::{SpanId, TraceId};

use crate::notices::problem;
use crate::stage::interrupt_again;

/// The application's own objects. Cleared by the garbage collector where nobody can reach the client any more.
#[derive(Default)]
pub(crate) struct Options {
    /// `(span) -> bool`.
    pub(crate) should_export: Option<Py<PyAny>>,
    /// Takes finished spans to the thread on which masks and exporters run.
    pub(crate) stage: Option<Py<PyAny>>,
    /// Has `generate_trace_id()` and `generate_span_id()`.
    pub(crate) ids: Option<Py<PyAny>>,
}

/// [`Options`] behind a lock that is held for copying references only.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) staged: bool,
    pub(crate) has_filter: bool,
    pub(crate) has_stage: bool,
    pub(crate) has_ids: bool,
    options: Mutex<Options>,
}

impl Extras {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            staged: options.should_export.is_some() || options.stage.is_some(),
            has_filter: options.should_export.is_some(),
            has_stage: options.stage.is_some(),
            has_ids: options.ids.is_some(),
            options: Mutex::new(options),
        }
    }

    pub(crate) fn should_export(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options.lock().should_export.as_ref().map(|option| option.clone_ref(py))
    }

    pub(crate) fn stage(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options.lock().stage.as_ref().map(|option| option.clone_ref(py))
    }

    /// Asks the application's generator. What it gives that is no id is told, and ours is used.
    pub(crate) fn choose(&self, chosen: &mut Chosen, begins_trace: bool, public_key: &str) {
        // Attached already: whoever starts an observation is.
        Python::attach(|py| {
            let ids = self.options.lock().ids.as_ref().map(|ids| ids.clone_ref(py));
            let Some(ids) = ids else { return };
            let ids = ids.bind(py);
            let asked =
                |method: &str| ids.call_method0(method).inspect_err(|error| interrupt_again(py, error)).ok();
            let span: Option<u64> = asked("generate_span_id").and_then(|id| id.extract().ok());
            chosen.span_id = span.filter(|id| *id != 0).map(|id| SpanId(id.to_be_bytes()));
            if begins_trace {
                let trace: Option<u128> = asked("generate_trace_id").and_then(|id| id.extract().ok());
                chosen.trace_id = trace.filter(|id| *id != 0).map(|id| TraceId(id.to_be_bytes()));
            }
            if chosen.span_id.is_none() || (begins_trace && chosen.trace_id.is_none()) {
                problem(public_key, "id_generator failed, or gave no id: a random one is used");
            }
        });
    }

    pub(crate) fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let Some(options) = self.options.try_lock() else { return Ok(()) };
        for object in [&options.should_export, &options.stage, &options.ids].into_iter().flatten() {
            visit.call(object)?;
        }
        Ok(())
    }

    pub(crate) fn clear(&self) {
        let options = std::mem::take(&mut *self.options.lock());
        drop(options);
    }
}
