//! The end of an observation whose client has a filter, a mask for finished spans or an exporter of its own.

use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use pyo3::prelude::*;
use tracespool_core::report::DropReason;

use crate::handle::Handle;
use crate::held::Held;
use crate::notices::problem;
use crate::observation::Observation;

/// Ends an observation and asks the client's filter about it.
pub(crate) fn finish(py: Python<'_>, observation: &Observation, end_time: Option<u64>) {
    let Some(held) = observation.core.end_held(end_time) else { return };
    let handle = &observation.handle;
    let Ok(held) = Bound::new(py, Held::new(held)) else { return };
    if handle.options().has_filter {
        let view = || {
            let spans = py.import("tracespool._spans")?;
            spans.call_method1("view", (&held, handle.public_key()))
        };
        let wanted = wanted(py, handle, view);
        if !asked(py, handle, wanted) {
            held.get().discard();
            return;
        }
    }
    pass(py, handle, held, None);
}

/// Asks the client's filter.
///
/// # Errors
///
/// What the filter raised; or the collector took it away from a client that nobody can reach.
pub(crate) fn wanted<'py>(
    py: Python<'py>,
    handle: &Handle,
    span: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<bool> {
    let filter =
        handle.options().should_export(py).ok_or_else(|| PyException::new_err("the filter is gone"))?;
    filter.bind(py).call1((span()?,))?.is_truthy()
}

/// What a filter said. One that fails drops the span, which is counted.
pub(crate) fn asked(py: Python<'_>, handle: &Handle, answer: PyResult<bool>) -> bool {
    let error = match answer {
        Ok(wanted) => return wanted,
        Err(error) => error,
    };
    handle.core.refuse_foreign(DropReason::EncodeFailed);
    problem(handle.public_key(), "should_export_span failed: the span is dropped");
    interrupt_again(py, &error);
    false
}

/// Nothing is raised from where this is called: a Ctrl-C that was caught there the interpreter raises again at once.
pub(crate) fn interrupt_again(py: Python<'_>, error: &PyErr) {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        // SAFETY: sets a flag only.
        #[allow(unsafe_code)]
        unsafe {
            pyo3::ffi::PyErr_SetInterrupt();
        }
    }
}

/// Hands a finished span to the thread of masks and exporters where the client has any, else to the core.
pub(crate) fn pass(py: Python<'_>, handle: &Handle, held: Bound<'_, Held>, span: Option<&Bound<'_, PyAny>>) {
    if !handle.options().has_stage {
        held.get().submit();
        return;
    }
    let taken = match handle.options().stage(py) {
        Some(stage) => stage
            .bind(py)
            .call_method1("take", (&held, span))
            .inspect_err(|error| interrupt_again(py, error))
            .is_ok(),
        // The collector took it away from a client that nobody can reach. What was to be masked does not go out.
        None => false,
    };
    if !taken {
        held.get().rejected();
    }
}

/// Ends the observation of a generator that nobody will resume. Called where an object is freed.
pub(crate) fn end_dropped(observation: &Observation) {
    let staged = observation.handle.is_staged();
    if !staged || Python::try_attach(|py| finish(py, observation, None)).is_none() {
        observation.core.end(None);
    }
}
