//! `Observation`: what `start_observation` returns and what a `with` block binds.

use std::sync::Arc;

use pyo3::exceptions::{PyGeneratorExit, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::TraceId;
use tracespool_core::propagate::Propagated;
use tracespool_core::{Chosen, Dialect, Raised, SpanContext, Start, TraceContext, Values};

use crate::arguments::{Given, Sink as _, kind_of};
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
    kind: ObservationType,
}

/// Where an observation starts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) parent: Option<&'a SpanContext>,
    pub(crate) trace_context: Option<TraceContext>,
    pub(crate) propagated: Option<&'a Arc<Propagated>>,
    pub(crate) chosen: Chosen,
    /// Nanoseconds since 1970; `None` for now.
    pub(crate) start_time: Option<u64>,
}

impl Place<'_> {
    /// The trace that an observation here belongs to; `None` where it begins one.
    pub(crate) fn known_trace(&self) -> Option<TraceId> {
        let of_parent = self.parent.map(|parent| parent.trace_id);
        self.trace_context.map(|named| named.trace_id).or(of_parent)
    }
}

impl Observation {
    pub(crate) fn start(handle: &Arc<Handle>, name: &str, kind: ObservationType, place: Place<'_>) -> Self {
        Self::start_with(handle, name, kind, place, None)
    }

    /// The same with what was captured before.
    pub(crate) fn start_with(
        handle: &Arc<Handle>,
        name: &str,
        kind: ObservationType,
        place: Place<'_>,
        values: Option<&Values>,
    ) -> Self {
        let Place { parent, trace_context, propagated, mut chosen, start_time } = place;
        if handle.has_ids() && chosen.span_id.is_none() {
            handle.choose_ids(&mut chosen, parent.is_none() && trace_context.is_none());
        }
        let start = Start {
            name,
            kind,
            values,
            parent,
            trace_context,
            propagated: propagated.map(|all| &**all),
            start_time,
        };
        let core = handle.core.start_as(&start, chosen);
        Self { core, handle: handle.clone(), propagated: propagated.cloned(), kind }
    }

    /// Ends it, and now and then looks for lines to log.
    pub(crate) fn finish(&self, py: Python<'_>, end_time: Option<u64>) {
        if self.handle.is_staged() {
            crate::stage::finish(py, self, end_time);
        } else {
            self.core.end(end_time);
        }
        notices::look(py);
    }

    /// Sets its level and message to what was raised; `typed` puts the class before the text, as OpenTelemetry does for
    /// blocks. A generator that is closed and `sys.exit(0)` are no errors.
    pub(crate) fn record_error(&self, error: &Bound<'_, PyAny>, typed: bool) {
        if !self.core.is_recording() || no_error(error) {
            return;
        }
        let text =
            error.str().ok().map(|text| text.to_string_lossy().into_owned()).filter(|text| !text.is_empty());
        let class = error.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        let status = match &text {
            Some(text) if typed => format!("{class}: {text}"),
            Some(text) => text.clone(),
            None => class.clone(),
        };
        // Langfuse has no place for a stack.
        let stack = if self.core.dialect().is_some_and(|dialect| dialect != Dialect::Langfuse) {
            stack(error).unwrap_or_default()
        } else {
            String::new()
        };
        let message = text.as_deref().unwrap_or_default();
        self.core.record_exception(&status, &Raised { kind: &class, message, stack: &stack });
    }

    pub(crate) fn public_key(&self) -> &str {
        self.handle.public_key()
    }

    /// A span, which is what nothing more was said of, becomes a generation; other types stay what they are.
    pub(crate) fn specify_generation(&self) {
        if self.kind == ObservationType::Span {
            self.core.set(Field::Type, Value::Str(ObservationType::Generation.as_str()));
        }
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

/// Frames of a stack at most: a recursion that ran away has a thousand equal ones.
const FRAMES: i32 = 64;

/// What Python would print of an exception, its last frames; runs the application's code.
fn stack(error: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = error.py();
    let options = PyDict::new(py);
    options.set_item("limit", -FRAMES)?;
    let lines = py.import("traceback")?.call_method("format_exception", (error,), Some(&options))?;
    let lines: Vec<String> = lines.extract()?;
    Ok(lines.concat())
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

    /// What it was started as: `"span"`, `"generation"`, `"tool"`, ...
    #[getter]
    fn observation_type(&self) -> &'static str {
        self.kind.as_str()
    }

    /// The client that it was started with.
    #[getter]
    fn client<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, crate::client::Client>> {
        crate::handle::object(py, &self.handle)
    }

    /// Sets an attribute by its key on the wire, as OpenTelemetry's spans do. Keys that Langfuse's servers know
    /// (`langfuse.observation.model.name`, `user.id`, ...) set that field, others become metadata of that name.
    #[pyo3(signature = (key, value, /))]
    fn set_attribute(&self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        crate::propagation::set_attribute(self, key, value)
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
        scoring::submit_of(&self.handle, self, None, false, keywords)
    }

    /// Scores this observation's trace.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None)"
    )]
    fn score_trace(&self, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        scoring::submit_of(&self.handle, self, None, true, keywords)
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

    /// The trace's input and output, as Langfuse 4.x set them: those of its root, so call it on that one.
    #[pyo3(signature = (**keywords))]
    #[pyo3(text_signature = "($self, *, input=None, output=None)")]
    fn set_trace_io<'py>(
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
            self.record_error(error, true);
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

/// What is raised without anything having failed.
fn no_error(error: &Bound<'_, PyAny>) -> bool {
    error.is_instance_of::<PyGeneratorExit>()
        || error.is_instance_of::<PySystemExit>()
            && error.getattr("code").is_ok_and(|code| !code.is_truthy().unwrap_or(true))
}

/// A new observation as an object, with what was given; an event is over at once.
pub(crate) fn begun<'py>(
    py: Python<'py>,
    mut observation: Observation,
    kind: ObservationType,
    given: &Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    given.apply(&observation.handle, &mut &mut observation.core)?;
    if kind == ObservationType::Event {
        observation.finish(py, None);
    }
    Bound::new(py, observation).map(Bound::into_any)
}
