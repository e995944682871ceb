//! `Observation`: what `start_observation` returns and what a `with` block binds.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::{SpanId, TraceId};
use tracespool_core::propagate::Propagated;
use tracespool_core::{SpanContext, Start};

use crate::arguments::{Given, Sink as _, kind_of, name_of, tell_unknown, trace_context_of};
use crate::current::Current;
use crate::handle::Handle;
use crate::keywords::Keywords;
use crate::notices;
use crate::scope::Scope;
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
        let start = Start { name, kind, parent, trace_context, propagated: propagated.map(|all| &**all), start_time: None };
        Self { core: handle.core.start(&start), handle: handle.clone(), propagated: propagated.cloned() }
    }

    /// Where its children start.
    fn inside<'a>(&'a self, current: &'a Current<'_>) -> Place<'a> {
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
        let text = error.str().ok().map(|text| text.to_string_lossy().into_owned()).filter(|text| !text.is_empty());
        let message = text.or_else(|| error.get_type().name().ok().map(|name| name.to_string())).unwrap_or_default();
        self.core.set_level(tracespool_core::attr::Level::Error);
        self.core.set_status_message(&message);
    }

    pub(crate) fn public_key(&self) -> &str {
        self.handle.public_key()
    }

    /// Renames it and sets what was given.
    pub(crate) fn change(&self, name: Option<&Bound<'_, PyAny>>, given: &Given<'_, '_>) -> PyResult<()> {
        if let Some(name) = name {
            let name = crate::arguments::plain(name)?;
            (&self.core).name(&name);
        }
        given.apply(&self.handle, &mut &self.core)
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

    /// Sets what is given and leaves the rest.
    #[pyo3(signature = (*args, name=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None,
        completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, **unknown))]
    #[pyo3(text_signature = "($self, *, name=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, **unknown)")]
    #[allow(clippy::too_many_arguments)]
    fn update<'py>(
        slf: Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        name: Option<&Bound<'py, PyAny>>,
        input: Option<&Bound<'py, PyAny>>,
        output: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        version: Option<&Bound<'py, PyAny>>,
        level: Option<&Bound<'py, PyAny>>,
        status_message: Option<&Bound<'py, PyAny>>,
        completion_start_time: Option<&Bound<'py, PyAny>>,
        model: Option<&Bound<'py, PyAny>>,
        model_parameters: Option<&Bound<'py, PyAny>>,
        usage_details: Option<&Bound<'py, PyAny>>,
        cost_details: Option<&Bound<'py, PyAny>>,
        prompt: Option<&Bound<'py, PyAny>>,
        unknown: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let given = Given {
            input, output, metadata, version, level, status_message, completion_start_time, model, model_parameters,
            usage_details, cost_details, prompt,
        };
        this.change(name, &given)?;
        if !args.is_empty() {
            notices::problem(this.public_key(), "update() takes keywords only; positional arguments are ignored");
        }
        tell_unknown("update()", this.public_key(), unknown);
        Ok(slf)
    }

    /// Ends the observation at `end_time` (nanoseconds since 1970), now by default, and hands it over for sending. A second
    /// call does nothing.
    #[pyo3(signature = (*, end_time=None))]
    fn end<'py>(slf: Bound<'py, Self>, end_time: Option<&Bound<'py, PyAny>>) -> Bound<'py, Self> {
        let this = slf.get();
        let time = end_time.and_then(|time| {
            let time = time.extract::<u64>().ok();
            if time.is_none() {
                notices::problem(this.public_key(), "end_time is no int of nanoseconds since 1970; now is used");
            }
            time
        });
        this.finish(slf.py(), time);
        slf
    }

    /// Starts an observation below this one. It does not become the current one; end it with `end()`.
    #[pyo3(signature = (*args, **keywords))]
    #[pyo3(text_signature = "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)")]
    fn start_observation<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let keywords = Keywords::read("start_observation()", this.public_key(), keywords)?;
        let current = Current::read(slf.py())?;
        let kind = kind_of(keywords.as_type.as_ref(), this.public_key());
        let name = name_of(keywords.name.as_ref(), args, kind.as_str())?;
        let child = Self::start(&this.handle, &name, kind, this.inside(&current));
        begun(slf.py(), child, kind, &keywords.given())
    }

    /// Starts an observation below this one with a `with` block; inside it, it is the current one.
    #[pyo3(signature = (*args, **keywords))]
    #[pyo3(text_signature = "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, end_on_exit=True)")]
    fn start_as_current_observation<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Scope> {
        let this = slf.get();
        let keywords = Keywords::read("start_as_current_observation()", this.public_key(), keywords)?;
        let kind = kind_of(keywords.as_type.as_ref(), this.public_key());
        let name = name_of(keywords.name.as_ref(), args, kind.as_str())?;
        Scope::plan(&this.handle, &name, kind, None, keywords.end_on_exit(), &keywords.given())
            .map(|scope| scope.below(slf.clone().unbind()))
    }

    /// An observation without length below this one, ended already.
    #[pyo3(signature = (*args, **keywords))]
    #[pyo3(text_signature = "($self, *, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None)")]
    fn create_event<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let keywords = Keywords::read("create_event()", this.public_key(), keywords)?;
        let current = Current::read(slf.py())?;
        let name = name_of(keywords.name.as_ref(), args, "event")?;
        let child = Self::start(&this.handle, &name, ObservationType::Event, this.inside(&current));
        begun(slf.py(), child, ObservationType::Event, &keywords.given())
    }

    /// Scores this observation.
    #[pyo3(signature = (**keywords))]
    #[pyo3(text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None)")]
    fn score(&self, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let context = self.core.context();
        scoring::submit(&self.handle, keywords, Some(context.trace_id.to_string()), Some(context.span_id.to_string()))
    }

    /// Scores this observation's trace.
    #[pyo3(signature = (**keywords))]
    #[pyo3(text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None)")]
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
    #[pyo3(text_signature = "($self, *, name=None, user_id=None, session_id=None, version=None, input=None, output=None, metadata=None, tags=None, public=None)")]
    fn update_trace<'py>(slf: Bound<'py, Self>, keywords: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, Self>> {
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
    fn __exit__(&self, py: Python<'_>, _kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, _traceback: &Bound<'_, PyAny>) -> bool {
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
) -> PyResult<Bound<'py, Observation>> {
    given.apply(&observation.handle, &mut &observation.core)?;
    if kind == ObservationType::Event {
        observation.finish(py, None);
    }
    Bound::new(py, observation)
}

/// The trace context of a call, checked.
pub(crate) fn place_of<'a>(
    handle: &Handle,
    current: &'a Current<'_>,
    trace_context: Option<&Bound<'_, PyAny>>,
) -> Place<'a> {
    Place {
        parent: current.observation().map(|observation| observation.get().core.context()),
        trace_context: trace_context_of(trace_context, handle.public_key()),
        propagated: current.propagated(),
    }
}
