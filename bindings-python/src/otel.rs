//! Beside OpenTelemetry's context. Only where the application has imported `opentelemetry.trace`: its current span is the
//! parent where no observation is nearer, and an observation that is current is its current span too. Contexts are attached
//! and set back by value, never by token, so that no context complains about another's.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use tracespool_core::SpanContext;
use tracespool_core::id::{SpanId, TraceId};

use crate::current::{self, Current};
use crate::names::names;
use crate::notices::problem;
use crate::observation::Observation;

/// What is called of OpenTelemetry, all of it public there.
pub(crate) struct Hooks {
    pub(crate) get_current: Py<PyAny>,
    pub(crate) attach: Py<PyAny>,
    context: Py<PyAny>,
    /// What stands for an observation in a context, and what makes one.
    span: Py<PyAny>,
    new: Py<PyAny>,
    remote_span: Py<PyAny>,
    span_key: Py<PyString>,
    pub(crate) baggage_key: Py<PyString>,
}

/// `sys.modules`, kept at import.
static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
/// How many modules there were when they were looked through last, times two, and one more where OpenTelemetry was there.
static SEEN: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Set once, by a thread that holds the interpreter's lock throughout; see [`crate::names`].
static HOOKS: OnceLock<Option<Hooks>> = OnceLock::new();

/// At import.
pub(crate) fn init(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let _ = MODULES.set(py, modules.unbind());
    if std::env::var("TRACESPOOL_OTEL_CONTEXT").is_ok_and(|switch| switch.trim() == "0") {
        let _ = HOOKS.set(None);
    }
    Ok(())
}

/// What `sys.modules` says now counts. It is asked again only where it has grown or shrunk: an import of OpenTelemetry adds
/// dozens of modules at once.
#[inline]
fn hooks(py: Python<'_>) -> Option<&'static Hooks> {
    let modules = MODULES.get(py)?.bind(py);
    let seen = SEEN.load(Ordering::Relaxed);
    if seen >> 1 != modules.len() {
        return look(py, modules);
    }
    if seen & 1 == 0 { None } else { HOOKS.get()?.as_ref() }
}

#[cold]
fn look(py: Python<'_>, modules: &Bound<'_, PyDict>) -> Option<&'static Hooks> {
    let size = modules.len();
    let Some(module) = modules.get_item(names(py).opentelemetry_trace.bind(py)).ok()? else {
        SEEN.store(size << 1, Ordering::Relaxed);
        return None;
    };
    match HOOKS.get() {
        Some(hooks) => {
            SEEN.store(size << 1 | 1, Ordering::Relaxed);
            hooks.as_ref()
        }
        None => make(py, &module),
    }
}

/// OpenTelemetry has been imported. Where another thread is still at it, or it is too old, nothing is done now.
#[cold]
fn make(py: Python<'_>, module: &Bound<'_, PyAny>) -> Option<&'static Hooks> {
    let importing = module.getattr("__spec__").and_then(|spec| spec.getattr("_initializing"));
    if importing.is_ok_and(|importing| importing.is_truthy().unwrap_or(false)) {
        return None;
    }
    let made = || -> PyResult<Hooks> {
        let bridge = py.import("tracespool._otel_context")?;
        Ok(Hooks {
            get_current: bridge.getattr("get_current")?.unbind(),
            attach: bridge.getattr("attach")?.unbind(),
            context: bridge.getattr("Context")?.unbind(),
            span: bridge.getattr("ObservationSpan")?.unbind(),
            new: bridge.getattr("new")?.unbind(),
            remote_span: bridge.getattr("remote_span")?.unbind(),
            span_key: bridge.getattr("SPAN_KEY")?.cast_into::<PyString>()?.unbind(),
            baggage_key: bridge.getattr("BAGGAGE_KEY")?.cast_into::<PyString>()?.unbind(),
        })
    };
    let made = match made() {
        Ok(hooks) => Some(hooks),
        Err(error) if error.is_instance_of::<PyException>(py) => {
            problem("", format!("OpenTelemetry's context cannot be used: {error}"));
            None
        }
        Err(_) => return None,
    };
    let _ = HOOKS.set(made);
    HOOKS.get().and_then(Option::as_ref)
}

/// OpenTelemetry's context as it was found.
pub(crate) struct Around<'py> {
    pub(crate) hooks: &'static Hooks,
    pub(crate) context: Bound<'py, PyAny>,
    pub(crate) span: Option<Bound<'py, PyAny>>,
}

impl<'py> Around<'py> {
    /// The current one; `None` where OpenTelemetry is not imported.
    #[inline]
    pub(crate) fn current(py: Python<'py>) -> Option<Self> {
        let hooks = hooks(py)?;
        let context = hooks.get_current.bind(py).call0().ok()?;
        Some(Self::of(hooks, context))
    }

    /// One that was passed.
    pub(crate) fn given(context: &Bound<'py, PyAny>) -> Option<Self> {
        Some(Self::of(hooks(context.py())?, context.clone()))
    }

    fn of(hooks: &'static Hooks, context: Bound<'py, PyAny>) -> Self {
        let span = item(&context, hooks.span_key.bind(context.py()));
        Self { hooks, context, span }
    }

    /// The observation that its span stands for.
    pub(crate) fn observation(&self) -> Option<Bound<'py, Observation>> {
        let span = self.span.as_ref()?;
        if !span.get_type().is(self.hooks.span.bind(span.py())) {
            return None;
        }
        span.getattr(names(span.py()).observation.bind(span.py())).ok()?.cast_into::<Observation>().ok()
    }

    /// What was extracted from another process's `baggage`, or put there by `as_baggage`.
    pub(crate) fn baggage(&self) -> Option<Bound<'py, PyAny>> {
        item(&self.context, self.hooks.baggage_key.bind(self.context.py()))
    }

    /// Attaches a context in which these keys have these values; returns it.
    pub(crate) fn attach(
        &self,
        entries: &[(&Py<PyString>, &Bound<'py, PyAny>)],
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.context.py();
        let context = self.hooks.context.bind(py).call1((&self.context,))?;
        // It refuses changes by its own method: this one is nobody else's yet.
        for (key, value) in entries {
            context.cast::<PyDict>()?.set_item(key.bind(py), value)?;
        }
        self.hooks.attach.bind(py).call1((&context,))?;
        Ok(context)
    }
}

fn item<'py>(context: &Bound<'py, PyAny>, key: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
    let context = context.cast::<PyDict>().ok().filter(|context| !context.is_empty())?;
    context.get_item(key).ok()?.filter(|value| !value.is_none())
}

/// A span of other instrumentation that is current.
#[derive(Clone, Copy)]
pub(crate) struct Foreign {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) remote: bool,
    pub(crate) sampled: bool,
}

impl Foreign {
    /// Reads a `SpanContext`; `None` for an invalid one.
    pub(crate) fn of(context: &Bound<'_, PyAny>) -> Option<Self> {
        let py = context.py();
        let names = names(py);
        let number = |name: &Py<PyString>| context.getattr(name.bind(py)).ok();
        let trace_id: u128 = number(&names.trace_id)?.extract().ok().filter(|id| *id != 0)?;
        let span_id: u64 = number(&names.span_id)?.extract().ok().filter(|id| *id != 0)?;
        Some(Self {
            trace_id: TraceId(trace_id.to_be_bytes()),
            span_id: SpanId(span_id.to_be_bytes()),
            remote: number(&names.is_remote).is_some_and(|flag| flag.is_truthy().unwrap_or(false)),
            sampled: number(&names.trace_flags)
                .and_then(|flags| flags.extract::<u64>().ok())
                .is_none_or(|flags| flags & 1 == 1),
        })
    }
}

impl<'py> Around<'py> {
    /// A context that was passed names another observation than the one that is current here.
    pub(crate) fn is_given(&self, current: &Current<'py>) -> bool {
        let now = self.hooks.get_current.bind(self.context.py()).call0();
        current.observation().is_some() && now.is_ok_and(|now| !now.is(&self.context))
    }

    /// Makes a sender's span, and entries of baggage, current.
    pub(crate) fn enter_block(
        self,
        sender: Option<&SpanContext>,
        baggage: &[(String, String)],
    ) -> PyResult<Option<Theirs>> {
        let py = self.context.py();
        let mut entries = Vec::new();
        let (span, carried);
        if let Some(SpanContext { trace_id, span_id, recorded, .. }) = sender {
            let ids = (u128::from_be_bytes(trace_id.0), u64::from_be_bytes(span_id.0), recorded);
            span = self.hooks.remote_span.bind(py).call1(ids)?;
            entries.push((&self.hooks.span_key, &span));
        }
        if !baggage.is_empty() {
            let all = match self.baggage() {
                Some(outer) => py.get_type::<PyDict>().call1((outer,))?.cast_into::<PyDict>()?,
                None => PyDict::new(py),
            };
            for (name, value) in baggage {
                all.set_item(name, value)?;
            }
            carried = all.into_any();
            entries.push((&self.hooks.baggage_key, &carried));
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let attached = self.attach(&entries)?;
        Ok(Some(Theirs { outside: self.context.unbind(), inside: attached.unbind() }))
    }

    pub(crate) fn enter(self, observation: &Bound<'py, Observation>) -> PyResult<Option<Theirs>> {
        let py = observation.py();
        let span = self.hooks.new.bind(py).call1((&self.hooks.span,))?;
        span.setattr(names(py).observation.bind(py), observation)?;
        if let Some(around) = &self.span {
            span.setattr(names(py).around.bind(py), around)?;
        }
        let attached = self.attach(&[(&self.hooks.span_key, &span)])?;
        Ok(Some(Theirs { outside: self.context.unbind(), inside: attached.unbind() }))
    }
}

/// OpenTelemetry's context before something became current, and the one that was attached for it.
pub(crate) struct Theirs {
    pub(crate) outside: Py<PyAny>,
    pub(crate) inside: Py<PyAny>,
}

/// What was current before something else became so.
pub(crate) struct Before {
    pub(crate) ours: Py<PyAny>,
    pub(crate) theirs: Option<Theirs>,
}

impl Before {
    /// Sets it back where `mine` is still current. In another context than the one in which it became so (a generator that
    /// is closed elsewhere) that context's own value stands.
    pub(crate) fn leave(self, mine: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = mine.py();
        let left = current::leave(mine, self.ours.bind(py));
        if let Some(theirs) = self.theirs
            && let Some(around) = Around::current(py)
        {
            let same = around.context.is(&theirs.inside)
                || around
                    .observation()
                    .is_some_and(|observation| observation.is(mine) || observation.get().core.has_ended());
            if same {
                around.hooks.attach.bind(py).call1((theirs.outside,))?;
            }
        }
        left
    }

    /// Sets it back for a while; returns what was current.
    pub(crate) fn suspend(self, py: Python<'_>) -> PyResult<Inside> {
        let ours = Current::read(py)?.into_value();
        current::set(self.ours.bind(py))?;
        let mut theirs = None;
        if let Some(before) = self.theirs
            && let Some(around) = Around::current(py)
        {
            around.hooks.attach.bind(py).call1((before.outside,))?;
            theirs = Some((around.context.unbind(), before.inside));
        }
        Ok(Inside { ours, theirs })
    }
}

/// What a suspended generator had made current.
pub(crate) struct Inside {
    ours: Py<PyAny>,
    theirs: Option<(Py<PyAny>, Py<PyAny>)>,
}

impl Inside {
    /// Makes it current again, in whatever context; returns what was.
    pub(crate) fn resume(self, py: Python<'_>) -> PyResult<Before> {
        let ours = Current::read(py)?.into_value();
        current::set(self.ours.bind(py))?;
        let mut theirs = None;
        if let Some((context, inside)) = self.theirs
            && let Some(around) = Around::current(py)
        {
            around.hooks.attach.bind(py).call1((context,))?;
            theirs = Some(Theirs { outside: around.context.unbind(), inside });
        }
        Ok(Before { ours, theirs })
    }
}
