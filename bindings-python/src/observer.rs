//! What the `observe` decorator calls: one `Observer` for each decorated function, one `Run` for each call.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use tracespool_core::TraceContext;
use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::{SpanId, TraceId};
use tracespool_core::media::MediaField;

use crate::arguments::{content, hand_over, kind_of, plain, shown, span_id_of};
use crate::handle::{self, Handle};
use crate::names::names;
use crate::notices::problem;
use crate::observation::Observation;
use crate::origin::Origin;
use crate::otel::{Before, Inside};
use crate::stream::Stream;
use crate::value::{Scratch, encode_call};

/// What is known of a decorated function.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Observer {
    name: String,
    kind: ObservationType,
    capture_input: bool,
    capture_output: bool,
    skip: usize,
    transform: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Observer {
    #[new]
    #[pyo3(signature = (*, name, as_type=None, capture_input=true, capture_output=true, skip_first=false, transform=None, unknown=None))]
    fn new(
        name: &Bound<'_, PyAny>,
        as_type: Option<&Bound<'_, PyAny>>,
        capture_input: bool,
        capture_output: bool,
        skip_first: bool,
        transform: Option<Py<PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        for name in unknown.iter().flat_map(|unknown| unknown.keys()) {
            problem("", format!("observe() has no argument {:?}; it is ignored", shown(&plain(&name)?)));
        }
        let transform = Mutex::new(transform);
        Ok(Self {
            name: plain(name)?,
            kind: kind_of(as_type, ""),
            capture_input,
            capture_output,
            skip: usize::from(skip_first),
            transform,
        })
    }

    /// Starts the observation of one call and makes it current. Takes the reserved keywords out of `kwargs`.
    #[pyo3(signature = (args, kwargs, /))]
    fn begin(&self, py: Python<'_>, args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>) -> PyResult<Run> {
        let mut origin = Origin::read(py)?;
        let mut trace_context = None;
        let mut chosen = None;
        if !kwargs.is_empty() {
            let reserved = Reserved::take(kwargs)?;
            trace_context = reserved.trace_context();
            chosen = reserved.public_key;
        }
        let handle: Arc<Handle> = match (&chosen, origin.handle()) {
            (None, Some(handle)) => handle.clone(),
            (chosen, _) => handle::resolve(py, chosen.as_deref())?,
        };
        let observation =
            Observation::start(&handle, &self.name, self.kind, origin.place(&handle, trace_context));
        if self.capture_input && observation.core.is_recording() {
            self.input(&observation, args, kwargs)?;
        }
        let transform = self.transform.lock().as_ref().map(|transform| transform.clone_ref(py));
        let items = transform.as_ref().map(|_| PyList::empty(py).unbind());
        let observation = Bound::new(py, observation)?;
        let outside = Some(origin.enter(&observation)?);
        Ok(Run {
            observation: observation.unbind(),
            capture_output: self.capture_output,
            transform,
            items,
            state: Mutex::new(State { outside, inside: None, stream: Stream::default() }),
        })
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.transform
            .try_lock()
            .and_then(|transform| transform.as_ref().map(|transform| visit.call(transform)))
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let transform = self.transform.lock().take();
        drop(transform);
    }
}

impl Observer {
    fn input(
        &self,
        observation: &Observation,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let scratch = &mut Scratch::take();
        if observation.handle.masked() {
            let py = args.py();
            let call = PyDict::new(py);
            call.set_item(names(py).args.bind(py), args.get_slice(self.skip, args.len()).to_list())?;
            call.set_item(names(py).kwargs.bind(py), kwargs)?;
            return content(
                &observation.handle,
                &mut &observation.core,
                scratch,
                Field::Input,
                Some(call.as_any()),
            );
        }
        scratch.seek_media(observation.handle.media());
        encode_call(args, self.skip, kwargs, scratch)?;
        observation.core.set(Field::Input, Value::Str(scratch.text()));
        hand_over(&mut &observation.core, scratch, MediaField::Input);
        Ok(())
    }
}

/// Keywords that a call of a decorated function may pass and that the function does not see.
struct Reserved {
    trace_id: Option<TraceId>,
    parent: Option<SpanId>,
    public_key: Option<String>,
}

impl Reserved {
    fn take(kwargs: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = kwargs.py();
        let pop = |name: &Bound<'_, PyString>| -> PyResult<Option<String>> {
            let Some(value) = kwargs.get_item(name)? else {
                return Ok(None);
            };
            kwargs.del_item(name)?;
            if value.is_none() { Ok(None) } else { plain(&value).map(Some) }
        };
        let public_key = pop(names(py).langfuse_public_key.bind(py))?;
        let trace_id = pop(names(py).langfuse_trace_id.bind(py))?;
        let parent = pop(names(py).langfuse_parent_observation_id.bind(py))?;
        let parsed = trace_id.as_deref().and_then(TraceId::parse);
        if let (None, Some(id)) = (parsed, trace_id) {
            problem(
                "",
                format!("langfuse_trace_id {:?} is not 32 hexadecimal digits; it is ignored", shown(&id)),
            );
        }
        let parent = match parent {
            Some(id) => span_id_of(PyString::new(py, &id).as_any(), ""),
            None => None,
        };
        Ok(Self { trace_id: parsed, parent, public_key })
    }

    /// As in Langfuse's SDK: a parent counts only together with its trace.
    fn trace_context(&self) -> Option<TraceContext> {
        if self.trace_id.is_none() && self.parent.is_some() {
            problem("", "langfuse_parent_observation_id without langfuse_trace_id is ignored; pass both");
        }
        self.trace_id.map(|trace| TraceContext::new(trace, self.parent))
    }
}

/// One call of a decorated function.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Run {
    observation: Py<Observation>,
    capture_output: bool,
    transform: Option<Py<PyAny>>,
    items: Option<Py<PyList>>,
    state: Mutex<State>,
}

struct State {
    /// What is current outside of the function's own code; `None` once it is set back.
    outside: Option<Before>,
    /// What the function had made current when it yielded.
    inside: Option<Inside>,
    stream: Stream,
}

impl Run {
    /// Sets back what was current outside.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let outside = self.state.lock().outside.take();
        outside.map_or(Ok(()), |outside| outside.leave(self.observation.bind(py).as_any()))
    }

    fn output(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let observation = self.observation.bind(py).get();
        if !self.capture_output || !observation.core.is_recording() {
            return Ok(());
        }
        content(&observation.handle, &mut &observation.core, &mut Scratch::take(), Field::Output, Some(value))
    }

    fn end(&self, py: Python<'_>) {
        self.observation.bind(py).get().finish(py, None);
    }
}

#[pymethods]
impl Run {
    /// The function returned. False, and nothing is done yet, for a response whose body is still to be streamed.
    #[pyo3(signature = (result, /))]
    fn finish(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<bool> {
        if streams(result) {
            return Ok(false);
        }
        let left = self.leave(py);
        let captured = self.output(py, result);
        self.end(py);
        left.and(captured).map(|()| true)
    }

    /// The function raised.
    #[pyo3(signature = (error, /))]
    fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let left = self.leave(py);
        let captured = self.stream_output(py, false);
        self.observation.bind(py).get().record_error(error, false);
        self.end(py);
        left.and(captured)
    }

    /// The generator yielded, or has not begun: what was current outside is current again.
    fn suspend(&self, py: Python<'_>) -> PyResult<()> {
        let outside = self.state.lock().outside.take();
        if let Some(outside) = outside {
            let inside = outside.suspend(py)?;
            self.state.lock().inside = Some(inside);
        }
        Ok(())
    }

    /// The generator goes on, in whatever context: what it had made current is current again.
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        let inside = self.state.lock().inside.take();
        if let Some(inside) = inside {
            let outside = inside.resume(py)?;
            self.state.lock().outside = Some(outside);
        }
        Ok(())
    }

    /// The generator yielded `item`.
    #[pyo3(signature = (item, /))]
    fn collect(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let observation = self.observation.bind(py).get();
        if !self.capture_output || !observation.core.is_recording() {
            return Ok(());
        }
        if let Some(items) = &self.items {
            return items.bind(py).append(item);
        }
        // Encoded without the lock: that may run the application's code.
        let mut scratch = Scratch::take();
        // A mask sees the value whole, and first.
        scratch.seek_media(observation.handle.media() && !observation.handle.masked());
        let piece = Stream::encode(item, &mut scratch)?;
        hand_over(&mut &observation.core, &mut scratch, MediaField::Output);
        self.state.lock().stream.add(&piece);
        Ok(())
    }

    /// The generator is at its end, or was closed.
    fn finish_stream(&self, py: Python<'_>) -> PyResult<()> {
        let left = self.leave(py);
        let captured = self.stream_output(py, true);
        self.end(py);
        left.and(captured)
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        if let Some(transform) = &self.transform {
            visit.call(transform)?;
        }
        self.items.as_ref().map_or(Ok(()), |items| visit.call(items))
    }
}

impl Run {
    /// What a generator has yielded so far, as the output; empty text for one that came to its `end` without an item.
    fn stream_output(&self, py: Python<'_>, end: bool) -> PyResult<()> {
        let observation = self.observation.bind(py).get();
        if !self.capture_output || !observation.core.is_recording() {
            return Ok(());
        }
        if let (Some(transform), Some(items)) = (&self.transform, &self.items) {
            return match transform.bind(py).call1((items,)) {
                Ok(output) => self.output(py, &output),
                Err(error) if error.is_instance_of::<pyo3::exceptions::PyException>(py) => {
                    problem(
                        observation.public_key(),
                        "transform_to_string failed; the items are recorded as they are",
                    );
                    self.output(py, items.bind(py).as_any())
                }
                Err(error) => Err(error),
            };
        }
        let stream = std::mem::take(&mut self.state.lock().stream);
        let Some(output) = stream.finish().or_else(|| end.then(String::new)) else {
            return Ok(());
        };
        if observation.handle.masked() {
            let output = PyString::new(py, &output);
            return self.output(py, output.as_any());
        }
        observation.core.set(Field::Output, Value::Str(&output));
        Ok(())
    }
}

impl Drop for Run {
    /// A generator that was never begun, or is dropped half way, ends here. Nothing in this waits.
    fn drop(&mut self) {
        let unfinished = self.state.get_mut().outside.is_some() || self.state.get_mut().inside.is_some();
        if unfinished {
            crate::stage::end_dropped(self.observation.get());
        }
    }
}

/// A response that frameworks iterate after the function has returned (Starlette's `StreamingResponse`).
fn streams(result: &Bound<'_, PyAny>) -> bool {
    if result.is_none()
        || result.is_exact_instance_of::<PyString>()
        || result.is_exact_instance_of::<PyDict>()
        || result.is_exact_instance_of::<PyList>()
    {
        return false;
    }
    let py = result.py();
    result.get_type().name().is_ok_and(|name| name.to_string_lossy().ends_with("Response"))
        && result.hasattr(names(py).body_iterator.bind(py)).unwrap_or(false)
}
