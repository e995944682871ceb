//! Where observations start and what they make current: our own variable and OpenTelemetry's context together.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracespool_core::attr::Field;
use tracespool_core::id::{SpanId, TraceId};
use tracespool_core::propagate::{BAGGAGE_PREFIX, Propagated, Propagation};
use tracespool_core::{Chosen, SpanContext, TraceContext};

use crate::current::{self, Current};
use crate::handle::Handle;
use crate::names::names;
use crate::notices::problem;
use crate::observation::{Observation, Place};
use crate::otel::{Around, Before, Foreign};
use crate::stage::interrupt_again;
use crate::started;
use crate::value::for_each_item;

/// All that an observation starts from.
pub(crate) struct Origin<'py> {
    current: Current<'py>,
    around: Option<Around<'py>>,
    /// An observation that is current in OpenTelemetry's context only, which other software carried here.
    carried: Option<Bound<'py, Observation>>,
    foreign: Option<Foreign>,
    /// Attributes from baggage, added to those of the scope.
    mixed: Option<Arc<Propagated>>,
    /// The trace that baggage says has its root elsewhere already.
    claimed: Option<TraceId>,
    parent: Option<SpanContext>,
}

impl<'py> Origin<'py> {
    /// What is current.
    #[inline]
    pub(crate) fn read(py: Python<'py>) -> PyResult<Self> {
        Ok(Self::new(Current::read(py)?, Around::current(py)))
    }

    /// What is current where a foreign span starts, which may be told its context.
    pub(crate) fn of_foreign(py: Python<'py>, context: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let around = match context {
            Some(context) if !context.is_none() => Around::given(context),
            _ => Around::current(py),
        };
        Ok(Self::new(Current::read(py)?, around))
    }

    #[inline]
    fn new(current: Current<'py>, around: Option<Around<'py>>) -> Self {
        let mut origin =
            Self { current, around, carried: None, foreign: None, mixed: None, claimed: None, parent: None };
        if origin.around.is_some() {
            origin.look_around();
        }
        origin
    }

    #[inline(never)]
    fn look_around(&mut self) {
        let Some(around) = &self.around else { return };
        if let Some(observation) = around.observation() {
            let ours = self.current.observation();
            if !ours.is_some_and(|ours| ours.is(&observation))
                && (ours.is_none() || around.is_given(&self.current))
            {
                self.carried = Some(observation);
            }
        } else if let Some(span) = &around.span {
            let method = names(span.py()).get_span_context.bind(span.py());
            let context = span.call_method0(method).inspect_err(|error| interrupt_again(span.py(), error));
            self.foreign = context.ok().and_then(|context| Foreign::of(&context));
        }
        if let Some(baggage) = around.baggage() {
            self.read_baggage(&baggage);
        }
    }

    #[cold]
    fn read_baggage(&mut self, baggage: &Bound<'_, PyAny>) {
        if std::env::var("TRACESPOOL_READ_BAGGAGE").is_ok_and(|switch| switch.trim() == "0") {
            return;
        }
        let mut read = Propagated::default();
        let copied = baggage.call_method0("copy").ok().and_then(|copy| copy.cast_into::<PyDict>().ok());
        let Some(entries) = copied else { return };
        let _ = for_each_item(&entries, |name, value| {
            let (Ok(name), Ok(value)) = (name.extract::<&str>(), value.extract::<String>()) else {
                return Ok(());
            };
            if name == "langfuse_trace_id" {
                self.claimed = TraceId::parse(&value);
            } else if name.starts_with(BAGGAGE_PREFIX)
                && let Err(sentence) = read.add_baggage(name, &value)
            {
                problem("", format!("baggage: {sentence}"));
            }
            Ok(())
        });
        if read.is_empty() {
            return;
        }
        self.mixed = Some(Arc::new(read));
        // What was said in this process wins over what came with a request.
        let scope = self.scope_attributes().cloned();
        self.mix(scope.as_deref());
    }

    /// The nearest observation.
    pub(crate) fn observation(&self) -> Option<&Bound<'py, Observation>> {
        self.carried.as_ref().or_else(|| self.current.observation())
    }

    /// The sender's span, where that is what new observations go below.
    pub(crate) fn sender(&self) -> Option<&SpanContext> {
        if self.carried.is_some() { None } else { self.current.sender() }
    }

    #[inline]
    fn scope_attributes(&self) -> Option<&Arc<Propagated>> {
        match &self.carried {
            Some(carried) => carried.get().propagated.as_ref(),
            None => self.current.propagated(),
        }
    }

    /// The attributes that new observations carry.
    #[inline]
    pub(crate) fn propagated(&self) -> Option<&Arc<Propagated>> {
        self.mixed.as_ref().or_else(|| self.scope_attributes())
    }

    /// The client that calls without one go to.
    pub(crate) fn handle(&self) -> Option<&Arc<Handle>> {
        match &self.carried {
            Some(carried) => Some(&carried.get().handle),
            None => self.current.handle(),
        }
    }

    /// The current trace and span, whoever's they are.
    pub(crate) fn ids(&self) -> Option<(TraceId, SpanId)> {
        if let Some(foreign) = &self.foreign {
            return Some((foreign.trace_id, foreign.span_id));
        }
        let context = self.observation().map(|observation| observation.get().core.context());
        context.or_else(|| self.sender()).map(|context| (context.trace_id, context.span_id))
    }

    /// Whether baggage says that this trace has its root in another process.
    pub(crate) fn claims(&self, trace: TraceId) -> bool {
        self.claimed == Some(trace)
    }

    /// Where an observation of `handle` starts.
    pub(crate) fn place(&mut self, handle: &Handle, given: Option<TraceContext>) -> Place<'_> {
        let mut place = Place { trace_context: given, ..Place::default() };
        let destination = handle.core.destination_key();
        let Some(foreign) = self.foreign else {
            place.parent = match &self.carried {
                Some(carried) => Some(carried.get().core.context()),
                None => self.current.observation().map(|observation| observation.get().core.context()),
            };
            if let (None, Some(sender)) = (place.parent, self.sender()) {
                place.parent = Some(sender);
                place.trace_context = given.or(Some(TraceContext {
                    trace_id: sender.trace_id,
                    parent: Some(sender.span_id),
                    sampled: sender.recorded,
                }));
            }
            place.propagated = self.mixed.as_ref().or_else(|| self.scope_attributes());
            return place;
        };
        let Foreign { trace_id, span_id, remote, sampled } = foreign;
        place.chosen = Chosen { unsampled_parent: !sampled, ..Chosen::default() };
        let found = started::find(destination, span_id);
        let sender = self.sender().copied().filter(|sender| sender.trace_id == trace_id);
        let fate = found.map(|found| found.fate).or(sender.map(|sender| sender.fate)).unwrap_or_default();
        let known = |recorded| SpanContext {
            trace_id,
            span_id,
            destination: if recorded { destination } else { 0 },
            recorded,
            fate,
        };
        let above = self.observation().map(|observation| *observation.get().core.context());
        if found.is_some_and(|found| found.exported) || (remote && self.claims(trace_id)) {
            self.parent = Some(known(true));
        } else if let Some(above) = above.filter(|above| above.trace_id == trace_id) {
            // The span is not sent to our server, but it runs inside an observation that is.
            self.parent = Some(above);
        } else if let Some(sender) = sender {
            // Other instrumentation may have a span of its own for the request, which is not sent to our server.
            self.parent = Some(sender);
            let parent = Some(sender.span_id);
            place.trace_context = given.or(Some(TraceContext { trace_id, parent, sampled }));
        } else if remote {
            place.trace_context = given.or(Some(TraceContext { trace_id, parent: Some(span_id), sampled }));
        } else {
            self.parent = Some(known(false));
        }
        place.parent = self.parent.as_ref();
        place.propagated = self.mixed.as_ref().or_else(|| self.scope_attributes());
        place
    }

    /// Where an observation starts that names its parent, whatever is current. What is propagated where it starts wins over
    /// what its parent carries, and both over a request's baggage.
    #[inline]
    pub(crate) fn below<'a>(&'a mut self, parent: &'a Observation) -> Place<'a> {
        if self.mixed.is_some() && self.scope_attributes().is_none() {
            self.mix(parent.propagated.as_deref());
        }
        let propagated = self.propagated().or(parent.propagated.as_ref());
        Place { parent: Some(parent.core.context()), propagated, ..Place::default() }
    }

    /// Adds what wins over baggage.
    #[cold]
    fn mix(&mut self, over: Option<&Propagated>) {
        if let (Some(mixed), Some(over)) = (&mut self.mixed, over) {
            Arc::make_mut(mixed).overlay(over);
        }
    }

    /// What our own variable holds.
    pub(crate) fn into_current(self) -> Current<'py> {
        self.current
    }

    /// Makes `observation` the current one, here and for OpenTelemetry; returns what was.
    pub(crate) fn enter(self, observation: &Bound<'py, Observation>) -> PyResult<Before> {
        current::set(observation.as_any())?;
        let theirs = match self.around {
            Some(around) => around.enter(observation)?,
            None => None,
        };
        Ok(Before { ours: self.current.into_value(), theirs })
    }

    /// Makes `record` current without an observation; `baggage` and the span of a sender also go to OpenTelemetry.
    pub(crate) fn enter_block(
        self,
        record: &Bound<'py, PyAny>,
        baggage: &[(String, String)],
        sender: Option<&SpanContext>,
    ) -> PyResult<Before> {
        current::set(record)?;
        let theirs = match self.around {
            Some(around) => around.enter_block(sender, baggage)?,
            None => None,
        };
        Ok(Before { ours: self.current.into_value(), theirs })
    }
}

/// Both currents, to be set in another thread.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Moment {
    ours: Py<PyAny>,
    theirs: Py<PyAny>,
}

/// What is current: to be set in another thread.
#[pyfunction(name = "current")]
pub(crate) fn py_current(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let ours = Current::read(py)?.into_value();
    match Around::current(py) {
        Some(around) => Ok(Py::new(py, Moment { ours, theirs: around.context.unbind() })?.into_any()),
        None => Ok(ours),
    }
}

/// Makes `record` current and returns what was.
#[pyfunction]
#[pyo3(signature = (record, /))]
pub(crate) fn set_current(record: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = record.py();
    let previous = py_current(py)?;
    match record.cast::<Moment>() {
        Ok(moment) => {
            current::set(moment.get().ours.bind(py))?;
            if let Some(around) = Around::current(py) {
                around.hooks.attach.bind(py).call1((&moment.get().theirs,))?;
            }
        }
        Err(_) => current::set(record)?,
    }
    Ok(previous)
}

/// The current trace's id, `None` outside of any.
#[pyfunction]
pub(crate) fn get_current_trace_id(py: Python<'_>) -> PyResult<Option<String>> {
    Ok(Origin::read(py)?.ids().map(|(trace, _)| trace.to_string()))
}

/// The current observation's id, `None` outside of any.
#[pyfunction]
pub(crate) fn get_current_observation_id(py: Python<'_>) -> PyResult<Option<String>> {
    Ok(Origin::read(py)?.ids().map(|(_, span)| span.to_string()))
}

/// The current observation, `None` outside of any.
#[pyfunction]
pub(crate) fn current_observation(py: Python<'_>) -> PyResult<Option<Bound<'_, Observation>>> {
    Ok(Origin::read(py)?.observation().cloned())
}

/// What goes into a request's headers here: trace, span, whether it is kept, and the entries of `baggage`.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn outgoing(py: Python<'_>) -> PyResult<Option<(String, Vec<(String, String)>)>> {
    let origin = Origin::read(py)?;
    let Some((trace_id, span_id)) = origin.ids() else { return Ok(None) };
    let sampled = match (&origin.foreign, origin.observation()) {
        (Some(foreign), _) => foreign.sampled,
        (None, Some(observation)) => observation.get().core.context().recorded,
        (None, None) => origin.sender().is_some_and(|sender| sender.recorded),
    };
    let traceparent = tracespool_core::id::Traceparent { trace_id, span_id, sampled }.to_string();
    let mut entries = origin.propagated().map(|all| all.baggage().to_vec()).unwrap_or_default();
    if !entries.is_empty() {
        entries.push(("langfuse_trace_id".into(), trace_id.to_string()));
    }
    Ok(Some((traceparent, entries)))
}

/// Entries of a request's `baggage` as keywords of `propagate_attributes`; what servers would not take is told.
#[pyfunction]
#[pyo3(signature = (entries, /))]
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn from_baggage(py: Python<'_>, entries: Vec<(String, String)>) -> PyResult<Bound<'_, PyDict>> {
    let mut read = Propagated::default();
    for (name, value) in &entries {
        if let Err(sentence) = read.add_baggage(name, value) {
            problem("", format!("baggage: {sentence}"));
        }
    }
    let object = |value: &Propagation| -> PyResult<Bound<'_, PyAny>> {
        Ok(match value {
            Propagation::Str(text) => text.into_pyobject(py)?.into_any(),
            Propagation::Int(number) => number.into_pyobject(py)?.into_any(),
            Propagation::Double(number) => number.into_pyobject(py)?.into_any(),
            Propagation::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
            Propagation::Strs(texts) => texts.into_pyobject(py)?.into_any(),
        })
    };
    let (out, prompt, metadata) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
    for (field, value) in read.fields() {
        let (into, name) = match field {
            Field::PromptName => (&prompt, "name"),
            Field::PromptVersion => (&prompt, "version"),
            Field::UserId => (&out, "user_id"),
            Field::SessionId => (&out, "session_id"),
            Field::Version => (&out, "version"),
            Field::TraceTags => (&out, "tags"),
            Field::TraceName => (&out, "trace_name"),
            Field::Environment => (&out, "environment"),
            _ => continue,
        };
        into.set_item(name, object(value)?)?;
    }
    for (key, value) in read.metadata() {
        metadata.set_item(key, object(value)?)?;
    }
    if prompt.len() == 2 {
        out.set_item("prompt", prompt)?;
    }
    if !metadata.is_empty() {
        out.set_item("metadata", metadata)?;
    }
    Ok(out)
}
