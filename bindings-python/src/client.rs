//! The native part of `Client`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString, PyTuple};
use tracespool_core::Dialect;
use tracespool_core::attr::Field;
use tracespool_core::config::ClientOptions;
use tracespool_core::encode::otlp::Value;
use tracespool_core::id::{SpanId, TraceId};

use crate::arguments::{plain, shown};
use crate::block::Block;
use crate::control;
use crate::flush::Ticket;
use crate::handle::{self, Adopted, Handle};
use crate::media;
use crate::notices::{self, problem};
use crate::observation::Observation;
use crate::options::Options;
use crate::origin::Origin;
use crate::prompts::{self, PromptTicket};
use crate::scoring;
use crate::value::for_each_item;

/// A handle on one destination.
#[pyclass(frozen, subclass, weakref, module = "tracespool._native")]
pub(crate) struct Client {
    pub(crate) handle: Arc<Handle>,
}

/// What Langfuse's SDK takes and this one has no use for.
const WITHOUT_EFFECT: [&str; 2] = [
    "media_upload_thread_count",
    // Of versions 3 and 4.
    "blocked_instrumentation_scopes",
];

/// What a client may be given of OpenTelemetry's, and what each must have.
const OF_OPENTELEMETRY: [(&str, &str); 5] = [
    ("should_export_span", "__call__"),
    ("mask_otel_spans", "__call__"),
    ("span_exporter", "export"),
    ("tracer_provider", "add_span_processor"),
    ("id_generator", "generate_span_id"),
];

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*args, **options))]
    #[pyo3(
        text_signature = "(*, public_key=None, secret_key=None, base_url=None, host=None, timeout=None, httpx_client=None, debug=False, tracing_enabled=True, flush_at=None, flush_interval=None, environment=None, release=None, media_upload_thread_count=None, sample_rate=None, mask=None, mask_otel_spans=None, should_export_span=None, additional_headers=None, tracer_provider=None, id_generator=None, span_exporter=None, otel_compression=None, otlp_endpoint=None, headers=None, dialect=None, service_name=None, follow_parent_sampling=False)"
    )]
    fn new(py: Python<'_>, args: &Bound<'_, PyTuple>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        if let Some(adopted) = options.and_then(|options| options.get_item("_handle").ok().flatten())
            && let Ok(adopted) = adopted.cast::<Adopted>()
        {
            return Ok(Self { handle: adopted.get().handle.clone() });
        }
        if let Some(other) = options.and_then(|options| options.get_item("_handle").ok().flatten())
            && let Ok(other) = other.cast::<Self>()
        {
            return Ok(Self { handle: other.get().handle.clone() });
        }
        let mut asked = ClientOptions::default();
        let mut mask = None;
        let given = PyDict::new(py);
        let mut problems = Vec::new();
        if !args.is_empty() {
            problems.push("Client() takes keywords only; positional arguments are ignored".to_owned());
        }
        if let Some(options) = options {
            for_each_item(options, |name, value| {
                let name = name.extract::<&str>().unwrap_or_default();
                if value.is_none() {
                } else if let Some((_, needed)) = OF_OPENTELEMETRY.iter().find(|(known, _)| *known == name) {
                    if value.hasattr(needed).unwrap_or(false) {
                        given.set_item(name, value)?;
                    } else {
                        problems.push(format!("{name} has no {needed}; it is ignored"));
                    }
                } else {
                    take(&mut asked, &mut mask, name, value, &mut problems);
                }
                Ok(())
            })?;
        }
        let handle = Handle::open(asked, mask);
        let options = of_opentelemetry(py, &given, handle.public_key())?;
        let handle = Arc::new(handle.with(options));
        for sentence in problems {
            problem(handle.public_key(), sentence);
        }
        notices::deliver(py, false);
        Ok(Self { handle })
    }

    /// Runs after `__new__`: only a complete object is remembered.
    #[pyo3(signature = (*_args, **_options))]
    fn __init__(
        slf: &Bound<'_, Self>,
        _args: &Bound<'_, PyTuple>,
        _options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        handle::remember(slf);
        let provider = _options.and_then(|options| options.get_item("tracer_provider").ok().flatten());
        if let Some(provider) = provider.filter(|provider| !provider.is_none()) {
            let bridge = slf.py().import("tracespool.otel");
            let attached = bridge.and_then(|bridge| bridge.call_method1("attach", (&provider, slf)));
            if let Err(error) = attached {
                problem(slf.get().public_key(), format!("tracer_provider cannot be used: {error}"));
            }
            return Ok(());
        }
        handle::made(slf.py())
    }

    /// What takes finished spans to the client's own mask or exporter; `None` without either.
    #[getter]
    fn _stage(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.handle.options().stage(py)
    }

    /// The public key of the destination.
    #[getter]
    pub(crate) fn public_key(&self) -> &str {
        self.handle.public_key()
    }

    /// The server's base URL; empty for a client that records nothing.
    #[getter]
    fn base_url(&self) -> String {
        self.handle
            .core
            .settings()
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.url.to_string())
            .unwrap_or_default()
    }

    /// The whole address that traces go to over OTLP; `None` for a client of Langfuse.
    #[getter]
    fn otlp_endpoint(&self) -> Option<String> {
        self.handle.core.settings().otlp_endpoint()
    }

    /// Whose attributes observations are written in: `langfuse`, `openinference` or `gen_ai`.
    #[getter]
    fn dialect(&self) -> &'static str {
        self.handle.core.settings().dialect.as_str()
    }

    /// The environment that is stamped on everything.
    #[getter]
    fn environment(&self) -> Option<&str> {
        self.handle.core.settings().environment.as_deref()
    }

    /// The release that is stamped on every observation.
    #[getter]
    fn release(&self) -> Option<&str> {
        self.handle.core.settings().release.as_deref()
    }

    /// False where nothing is recorded: switched off, or without usable keys.
    #[getter]
    fn enabled(&self) -> bool {
        self.handle.core.enabled()
    }

    /// The headers of every authorised request, credentials included: for clients of other parts of the server's API.
    #[getter]
    fn _headers(&self) -> Vec<(String, String)> {
        self.handle
            .core
            .settings()
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.headers.clone())
            .unwrap_or_default()
    }

    /// One request's total time, in seconds.
    #[getter]
    fn _timeout(&self) -> f64 {
        self.handle.core.settings().timeout.as_secs_f64()
    }

    /// Starts an observation that began at `start_time` (nanoseconds since 1970), below the current one or in `trace_context`. With
    /// the option `id_generator` and `end(end_time=...)` an observation of elsewhere is recorded as it was: for traces that move
    /// here, and for tests.
    #[pyo3(signature = (name, start_time, *, as_type=None, trace_context=None))]
    fn _start_at(
        slf: &Bound<'_, Self>,
        name: &str,
        start_time: u64,
        as_type: Option<&Bound<'_, PyAny>>,
        trace_context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Observation> {
        crate::calls::start_at(slf, name, start_time, as_type, trace_context)
    }

    /// Trace-level attributes on the current observation, as Langfuse 3.x set them.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name=None, user_id=None, session_id=None, version=None, input=None, output=None, metadata=None, tags=None, public=None)"
    )]
    fn update_current_trace(&self, py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        match self.current("update_current_trace()", &Origin::read(py)?) {
            Some(observation) => crate::propagation::update_trace(observation.get(), keywords),
            None => Ok(()),
        }
    }

    /// Lets everybody with its address see the current trace.
    fn set_current_trace_as_public(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(observation) = self.current("set_current_trace_as_public()", &Origin::read(py)?) {
            observation.get().core.set(Field::TracePublic, Value::Bool(true));
        }
        Ok(())
    }

    /// The current trace's id, `None` outside of any.
    fn get_current_trace_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        crate::origin::get_current_trace_id(py)
    }

    /// The current observation's id, `None` outside of any.
    fn get_current_observation_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        crate::origin::get_current_observation_id(py)
    }

    /// A trace's id: random, or the one that `seed` stands for.
    #[staticmethod]
    #[pyo3(signature = (*, seed=None))]
    fn create_trace_id(seed: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        create_trace_id(seed)
    }

    /// An observation's id: random, or the one that `seed` stands for.
    #[staticmethod]
    #[pyo3(signature = (*, seed=None))]
    fn create_observation_id(seed: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        Ok(match seed {
            Some(seed) => SpanId::from_seed(&plain(seed)?),
            None => SpanId::random(),
        }
        .to_string())
    }

    /// Scores a trace, an observation, a session or a dataset run. Only queues it.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, session_id=None, dataset_run_id=None, trace_id=None, observation_id=None, score_id=None, data_type=None, comment=None, config_id=None, metadata=None, timestamp=None, environment=None)"
    )]
    fn create_score(&self, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        scoring::submit(&self.handle, keywords)
    }

    /// Scores the current observation.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None)"
    )]
    fn score_current_span(&self, py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let origin = Origin::read(py)?;
        let Some(observation) = self.current("score_current_span()", &origin) else {
            return Ok(());
        };
        scoring::submit_of(&self.handle, observation.get(), origin.propagated(), false, keywords)
    }

    /// Scores the current trace.
    #[pyo3(signature = (**keywords))]
    #[pyo3(
        text_signature = "($self, *, name, value, score_id=None, data_type=None, comment=None, config_id=None, metadata=None)"
    )]
    fn score_current_trace(&self, py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let origin = Origin::read(py)?;
        let Some(observation) = self.current("score_current_trace()", &origin) else {
            return Ok(());
        };
        scoring::submit_of(&self.handle, observation.get(), origin.propagated(), true, keywords)
    }

    /// A block inside which this is the client of `observe` and `get_client()`.
    #[pyo3(name = "use")]
    fn use_(&self) -> Block {
        Block::using(self.handle.clone())
    }

    /// Sends what this client has pending. Returns by the deadline (seconds; 0 only asks), whatever the server does, with a
    /// report; what is not delivered by then is sent later.
    #[pyo3(signature = (timeout=5.0))]
    fn flush<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyDict>> {
        let (timeout, staged) = self.drain(py, timeout)?;
        let report = Ticket::of(&self.handle, timeout, false).wait(py, Some(timeout))?;
        add_staged(&report, staged)?;
        Ok(report)
    }

    /// Begins a flush and returns at once.
    #[pyo3(signature = (timeout=5.0))]
    fn begin_flush(&self, timeout: f64) -> Ticket {
        Ticket::of(&self.handle, timeout, false)
    }

    /// `flush`, then forgets the connection state; what is left is dropped as `evicted`. The client may be used again.
    #[pyo3(signature = (timeout=3.0))]
    fn shutdown<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyDict>> {
        let (timeout, staged) = self.drain(py, timeout)?;
        let report = Ticket::closing(&self.handle, timeout).wait(py, Some(timeout))?;
        add_staged(&report, staged)?;
        Ok(report)
    }

    /// Asks the server whether it takes the keys. Never raises: a server that does not answer by the client's timeout is a
    /// no, with a line in the log.
    fn auth_check(&self, py: Python<'_>) -> PyResult<bool> {
        control::auth_check(py, &self.handle)
    }

    /// Status and content of a path below the base URL, or of an absolute address, which gets no credentials; status 0 and a
    /// sentence where no answer comes within `timeout` seconds.
    #[pyo3(signature = (place, timeout, /))]
    fn _fetch<'py>(
        &self,
        py: Python<'py>,
        place: &str,
        timeout: f64,
    ) -> PyResult<(u16, Bound<'py, PyBytes>)> {
        media::fetch(py, &self.handle, place, timeout)
    }

    /// Begins to look a prompt up and returns at once; see `Client.get_prompt`.
    #[pyo3(signature = (name, *, chat, version, label, ttl, fallback, retries, timeout))]
    #[allow(clippy::too_many_arguments)] // as many as the request has parts
    fn begin_get_prompt(
        &self,
        name: &str,
        chat: bool,
        version: Option<i64>,
        label: Option<&str>,
        ttl: Option<f64>,
        fallback: bool,
        retries: u32,
        timeout: Option<f64>,
    ) -> PromptTicket {
        prompts::get(&self.handle, name, chat, version, label, ttl, fallback, retries, timeout)
    }

    /// Begins to make a version of a prompt from the JSON that the server takes.
    fn begin_create_prompt(&self, name: &str, body: &str) -> PromptTicket {
        prompts::create(&self.handle, name, body)
    }

    /// Begins to label a version of a prompt with the JSON that the server takes.
    fn begin_update_prompt(&self, name: &str, version: i64, body: &str) -> PromptTicket {
        prompts::update(&self.handle, name, version, body)
    }

    /// Forgets every prompt that is cached for this client's destination.
    fn clear_prompt_cache(&self) {
        self.handle.core.clear_prompts();
    }

    fn __repr__(&self) -> String {
        let settings = self.handle.core.settings();
        match &settings.endpoint {
            Some(endpoint) if settings.tracing => {
                format!("<Client {} of {}>", settings.public_key, endpoint.url)
            }
            _ => "<Client that records nothing>".to_owned(),
        }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        // What others share (observations under way, a span processor) is in use: a mask that were taken away would cost
        // them their content. Without others each object is visited once, as the collector counts.
        if Arc::strong_count(&self.handle) > 1 {
            return Ok(());
        }
        self.handle.traverse(&visit)
    }

    fn __clear__(&self) {
        self.handle.clear();
    }
}

/// What an own exporter has delivered, and what still waits for a mask or an exporter.
type Staged = (u64, u64, u64);

impl Client {
    /// Waits for the client's mask and exporter; returns the time that is left, and what they did.
    fn drain(&self, py: Python<'_>, timeout: f64) -> PyResult<(f64, Staged)> {
        let Some(stage) = self.handle.options().stage(py) else {
            return Ok((timeout, Staged::default()));
        };
        let started = std::time::Instant::now();
        let staged = stage.bind(py).call_method1("drain", (timeout,))?.extract()?;
        Ok(((timeout - started.elapsed().as_secs_f64()).max(0.0), staged))
    }

    fn current<'a, 'py>(
        &self,
        function: &str,
        origin: &'a Origin<'py>,
    ) -> Option<&'a Bound<'py, Observation>> {
        let observation = origin.observation();
        if observation.is_none() {
            problem(self.handle.public_key(), format!("{function} outside of any observation does nothing"));
        }
        observation
    }
}

/// Adds what passed an own exporter to a report of the core's.
fn add_staged(report: &Bound<'_, PyDict>, staged: Staged) -> PyResult<()> {
    if staged == Staged::default() {
        return Ok(());
    }
    let (delivered, dropped, pending) = staged;
    for (name, more) in [("delivered", delivered), ("dropped", dropped), ("pending", pending)] {
        let sum: u64 = report.get_item(name)?.map_or(Ok(0), |count| count.extract())?;
        report.set_item(name, sum + more)?;
    }
    if pending > 0 {
        report.set_item("complete", false)?;
    }
    Ok(())
}

/// A trace's id: random, or the one that `seed` stands for (as in Langfuse's SDKs).
#[pyfunction]
#[pyo3(signature = (*, seed=None))]
pub(crate) fn create_trace_id(seed: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    Ok(match seed {
        Some(seed) => TraceId::from_seed(&plain(seed)?),
        None => TraceId::random(),
    }
    .to_string())
}

/// Options of OpenTelemetry's, checked already.
fn of_opentelemetry(py: Python<'_>, given: &Bound<'_, PyDict>, public_key: &str) -> PyResult<Options> {
    let option = |name: &str| given.get_item(name).ok().flatten().map(Bound::unbind);
    let (mask, exporter) = (option("mask_otel_spans"), option("span_exporter"));
    let stage = if mask.is_some() || exporter.is_some() {
        Some(py.import("tracespool._stage")?.getattr("Stage")?.call1((mask, exporter, public_key))?.unbind())
    } else {
        None
    };
    Ok(Options { should_export: option("should_export_span"), stage, ids: option("id_generator") })
}

/// Reads one option; what is not usable is told by name, never by value.
fn take(
    asked: &mut ClientOptions,
    mask: &mut Option<Py<PyAny>>,
    name: &str,
    value: &Bound<'_, PyAny>,
    problems: &mut Vec<String>,
) {
    let mut wrong = |wanted: &str| problems.push(format!("{name} is no {wanted}; it is ignored"));
    let text = || value.cast::<PyString>().ok().map(|text| text.to_string_lossy().into_owned());
    let number = || {
        let number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
        if number && !value.is_instance_of::<PyBool>() { value.extract::<f64>().ok() } else { None }
    };
    macro_rules! put {
        ($field:ident, $read:expr, $wanted:literal) => {
            match $read {
                Some(read) => asked.$field = Some(read),
                None => wrong($wanted),
            }
        };
    }
    match name {
        "public_key" => put!(public_key, text(), "str"),
        "secret_key" => put!(secret_key, text(), "str"),
        "base_url" => put!(base_url, text(), "str"),
        "host" => put!(host, text(), "str"),
        "environment" => put!(environment, text(), "str"),
        "release" => put!(release, text(), "str"),
        "otlp_endpoint" => put!(otlp_endpoint, text(), "str"),
        "service_name" => put!(service_name, text(), "str"),
        "dialect" => match text().map(|word| Dialect::parse(&word)) {
            Some(Ok(dialect)) => asked.dialect = Some(dialect),
            Some(Err(problem)) => problems.push(format!("{problem}; it is ignored")),
            None => wrong("str"),
        },
        // 0 is the default in Langfuse's SDK.
        "timeout" if number() == Some(0.0) => {}
        "timeout" => put!(timeout, number(), "number"),
        "flush_at" => put!(flush_at, number(), "number"),
        "flush_interval" => put!(flush_interval, number(), "number"),
        "sample_rate" => put!(sample_rate, number(), "number"),
        "tracing_enabled" => match value.is_truthy() {
            // True is the default there and must not outvote the environment.
            Ok(true) => {}
            Ok(false) => asked.tracing_enabled = Some(false),
            Err(_) => wrong("bool"),
        },
        "follow_parent_sampling" => match value.is_truthy() {
            Ok(follow) => asked.follow_parent_sampling = follow,
            Err(_) => wrong("bool"),
        },
        "debug" => {
            if value.is_truthy().unwrap_or(false) {
                let py = value.py();
                let _ = py.import("tracespool._notices").and_then(|notices| notices.call_method0("debug"));
            }
        }
        "otel_compression" => match text().as_deref() {
            Some("gzip") => asked.gzip = Some(true),
            Some("none") => asked.gzip = Some(false),
            _ => wrong("'gzip' or 'none'"),
        },
        "mask" => {
            // One that cannot be called fails like one that raises: nothing goes out unmasked.
            *mask = Some(value.clone().unbind());
            if !value.is_callable() {
                problems.push("mask is no callable; every value that it would see is left out".to_owned());
            }
        }
        "additional_headers" | "headers" => match value.cast::<PyDict>() {
            Ok(headers) => {
                let argument = name;
                for (name, value) in headers {
                    match (name.extract::<String>(), value.extract::<String>()) {
                        (Ok(name), Ok(value)) => asked.additional_headers.push((name, value)),
                        _ => {
                            problems.push(format!("{argument} holds what is no str; that header is not sent"))
                        }
                    }
                }
            }
            Err(_) => wrong("dict"),
        },
        // The REST client of `tracespool.langfuse` uses it.
        "httpx_client" => {}
        _ if WITHOUT_EFFECT.contains(&name) => {
            problems.push(format!("{name} has no effect here; see docs/compatibility.md"))
        }
        _ => problems.push(format!("Client() has no argument {:?}; it is ignored", shown(name))),
    }
}
