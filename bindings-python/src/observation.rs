//! `Observation`: what `start_observation` returns and what a `with` block binds.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::{SpanId, TraceId};
use tracespool_core::propagate::Propagated;
use tracespool_core::{SpanContext, Start};

use crate::arguments::{Given, Sink as _, kind_of};
use crate::current::Current;
use crate::handle::Handle;
use crate::keywords::Keywords;
use crate::notices;
use crate::scoring;

/// An observation under way. Its methods never raise and never wait.
///
/// Every value is encoded by the call that passes it; changing the object later changes nothing, and no reference to it is
/// kept. Setting a field again replaces it; metadata merges by top-level key. An observation that is never ended is not
/// sent and is counted as `never_ended`.
#[pyclass(frozen, weakref, module = "tracespool._native")]
pub(crate) struct Observation {
    pub(crate) core: tracespool_core::Observation,
    pub(crate) handle: Arc<Handle>,
    pub(crate) propagated: Option<Arc<Propagated>>,
}

/// Where an observation starts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) parent: Option<&'a SpanContext>,
    pub(crate) trace_context: Option<(TraceId, Option<SpanId>)>,
    pub(crate) propagated: Option<&'a Arc<Propagated>>,
}

impl Observation {
    pub(crate) fn start(handle: &Arc<Handle>, name: &str, kind: ObservationType, place: Place<'_>) -> Self {
        let Place { parent, trace_context, propagated } = place;
        let start = Start {
            name,
            kind,
            parent,
            trace_context,
            propagated: propagated.map(|all| &**all),
            start_time: None,
        };
        Self { core: handle.core.start(&start), handle: handle.clone(), propagated: propagated.cloned() }
    }

    /// Where its children start.
    pub(crate) fn inside<'a>(&'a self, current: &'a Current<'_>) -> Place<'a> {
        let propagated = current.propagated().or(self.propagated.as_ref());
        Place { parent: Some(self.core.context()), trace_context: None, propagated }
    }

    /// Ends it, and now and then looks for lines to log.
    pub(crate) fn finish(&self, py: Python<'_>, end_time: Option<u64>) {
        self.core.end(end_time);
        notices::look(py);
    }

    /// Sets its level and message to what was raised.
    pub(crate) fn record_error(&self, error: &Bound<'_, PyAny>) {
        if !self.core.is_recording() {
            return;
        }
        let text =
            error.str().ok().map(|text| text.to_string_lossy().into_owned()).filter(|text| !text.is_empty());
        let message =
            text.or_else(|| error.get_type().name().ok().map(|name| name.to_string())).unwrap_or_default();
        self.core.set_level(tracespool_core::attr::Level::Error);
        self.core.set_status_message(&message);
    }

    pub(crate) fn public_key(&self) -> &str {
        self.handle.public_key()
    }

    /// Sets what it is, where that was given.
    pub(crate) fn retype(&self, keywords: &Keywords<'_, '_>) {
        if let Some(kind) = keywords.as_type() {
            let kind = kind_of(Some(&kind), self.public_key());
            self.core.set(Field::Type, Value::Str(kind.as_str()));
        }
    }

    /// Sets what was given.
    pub(crate) fn change(&self, keywords: &Keywords<'_, '_>) -> PyResult<()> {
        if let Some(name) = keywords.name()? {
            (&self.core).name(&name);
        }
        keywords.given().apply(&self.handle, &mut &self.core)
    }
}

#[pymethods]
impl Observation {
    /// The trace's id, 32 hexadecimal digits.
    #[getter]
    fn trace_id(&self) -> String {
        self.core.context().trace_id.to_string()
    }

    /// The observation's id, 16 hexadecimal digits.
    #[getter]
    fn id(&self) -> String {
        self.core.context().span_id.to_string()
    }

    /// True while values can be added: not ended, and not sampled out.
    #[getter]
    fn is_recording(&self) -> bool {
        self.core.is_recording()
    }

    /// Bytes that it holds of its destination's budget until it ends.
    #[getter]
    fn held_bytes(&self) -> usize {
        self.core.held_bytes()
    }

    /// Ends the observation at `end_time` (nanoseconds since 1970), now by default, and hands it over for sending. A second
    /// call does nothing.
    #[pyo3(signature = (*, end_time=None))]
    fn end<'py>(slf: Bound<'py, Self>, end_time: Option<&Bound<'py, PyAny>>) -> Bound<'py, Self> {
        let this = slf.get();
        let time = end_time.and_then(|time| {
            let time = time.extract::<u64>().ok();
            if time.is_none() {
                notices::problem(
                    this.public_key(),
                    "end_time is no int of nanoseconds since 1970; now is used",
                );
            }
            time
        });
        this.finish(slf.py(), time);
        slf
    }

    /// Scores this observation.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None)"
    )]
    fn score(&self, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let context = self.core.context();
        scoring::submit(
            &self.handle,
            keywords,
            Some(context.trace_id.to_string()),
            Some(context.span_id.to_string()),
        )
    }

    /// Scores this observation's trace.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None)"
    )]
    fn score_trace(&self, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        scoring::submit(&self.handle, keywords, Some(self.core.context().trace_id.to_string()), None)
    }

    /// Lets everybody with its address see the trace.
    fn set_trace_as_public<'py>(slf: Bound<'py, Self>) -> Bound<'py, Self> {
        slf.get().core.set(Field::TracePublic, Value::Bool(true));
        slf
    }

    /// Trace-level attributes, as Langfuse 3.x set them; `propagate_attributes` puts them on every observation inside.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name=None, user_id=None, session_id=None, version=None, input=None, output=None, metadata=None, tags=None, public=None)"
    )]
    fn update_trace<'py>(
        slf: Bound<'py, Self>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        crate::propagation::update_trace(slf.get(), keywords)?;
        Ok(slf)
    }

    /// The `traceparent` header by which another process continues this trace below this observation.
    fn traceparent(&self) -> String {
        self.core.context().traceparent().to_string()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Ends it; what was raised is recorded and raised on.
    #[pyo3(signature = (_kind, error, _traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> bool {
        if !error.is_none() {
            self.record_error(error);
        }
        self.finish(py, None);
        false
    }

    fn __repr__(&self) -> String {
        let context = self.core.context();
        let state = if self.core.has_ended() { "ended" } else { "open" };
        format!("<Observation {} of trace {}, {state}>", context.span_id, context.trace_id)
    }
}

/// A new observation as an object, with what was given; an event is over at once.
pub(crate) fn begun<'py>(
    py: Python<'py>,
    observation: Observation,
    kind: ObservationType,
    given: &Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    given.apply(&observation.handle, &mut &observation.core)?;
    if kind == ObservationType::Event {
        observation.finish(py, None);
    }
    Bound::new(py, observation).map(Bound::into_any)
}
