//! Spans of other instrumentation on their way into one client: what the span processor in `tracespool.otel` calls.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyString;
use tracespool_core::Chosen;
use tracespool_core::admission::Fate;
use tracespool_core::attr::Field;
use tracespool_core::encode::foreign::{Any, Foreign, ForeignEnvelope, ForeignHead};
use tracespool_core::encode::otlp::{Envelope, Value};
use tracespool_core::encode::stamps::Stamps;
use tracespool_core::filter;
use tracespool_core::report::DropReason;

use crate::attributes::{
    attribute, for_each_attribute, is_genai, part_attributes, scope_name, text, trace_state, with_any,
};
use crate::client::Client;
use crate::handle::Handle;
use crate::held::Held;
use crate::names::{Names, names};
use crate::notices;
use crate::origin::Origin;
use crate::otel;
use crate::stage;
use crate::started::{self, Started};

/// Pairs of scope and resource whose encoded form is kept.
const MAX_SEEN: usize = 64;

/// A scope and a resource as they were last met.
struct Seen {
    resource: Py<PyAny>,
    scope: Py<PyAny>,
    envelope: Arc<Envelope>,
    kind: ScopeKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScopeKind {
    /// Of instrumentation for language models.
    Known,
    Other,
    /// Of a Langfuse SDK, for another project.
    OtherProject,
}

/// Takes finished spans into one client.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Intake {
    handle: Arc<Handle>,
    seen: Mutex<Vec<Seen>>,
}

#[pymethods]
impl Intake {
    #[new]
    #[pyo3(signature = (client, /))]
    fn new(client: &Bound<'_, Client>) -> Self {
        Self { handle: client.get().handle.clone(), seen: Mutex::default() }
    }

    /// A span has started. Never raises an `Exception`.
    #[pyo3(signature = (span, parent_context=None, /))]
    fn started(&self, span: &Bound<'_, PyAny>, parent_context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        quiet(span.py(), self.start(span, parent_context)).map(drop)
    }

    /// A span has ended. Never raises an `Exception`.
    #[pyo3(signature = (span, /))]
    fn ended(&self, span: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = span.py();
        if quiet(py, self.end(span))?.is_none() {
            self.handle.core.refuse_foreign(DropReason::EncodeFailed);
        }
        notices::look(py);
        Ok(())
    }
}

/// `None` for an `Exception`; what is none goes on.
fn quiet<T>(py: Python<'_>, outcome: PyResult<T>) -> PyResult<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Intake {
    fn start(&self, span: &Bound<'_, PyAny>, parent_context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = span.py();
        let names = names(py);
        let context = span.call_method0(names.get_span_context.bind(py))?;
        let Some(ids) = otel::Foreign::of(&context) else { return Ok(()) };
        if !self.handle.core.enabled() {
            return Ok(());
        }
        let origin = Origin::of_foreign(py, parent_context)?;
        let parent = span.getattr(names.parent.bind(py))?;
        let parent = if parent.is_none() { None } else { otel::Foreign::of(&parent) };
        let destination = self.handle.core.destination_key();
        let above = origin.observation().map(|observation| *observation.get().core.context());
        let above = above.filter(|above| above.trace_id == ids.trace_id);
        let ours = above.is_some_and(|above| above.destination == destination && above.recorded);
        let orphan = match (parent, above) {
            (Some(parent), Some(above)) => parent.span_id == above.span_id && !ours,
            _ => false,
        };
        let exported = quiet(py, self.wants(span))?.unwrap_or(false);
        let known = parent.and_then(|parent| started::find(destination, parent.span_id));
        let below = known.is_some_and(|known| known.exported);
        let shed = match known {
            Some(known) => known.fate == Fate::Shed,
            None => self.handle.core.sheds(above.as_ref(), None, Chosen::default(), ids.trace_id),
        };
        let name = span.getattr(names.name.bind(py))?;
        let scope = scope_name(names, span);
        let app_root = exported
            && !below
            && !ours
            && !origin.claims(ids.trace_id)
            && filter::may_be_app_root(&scope, &text(&name), parent.is_some() && !orphan);
        let started = Started { exported, app_root, shed, orphan, propagated: origin.propagated().cloned() };
        started::put(destination, ids.span_id, started);
        Ok(())
    }

    fn end(&self, span: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = span.py();
        let names = names(py);
        let context = span.call_method0(names.get_span_context.bind(py))?;
        let Some(ids) = otel::Foreign::of(&context) else { return Ok(()) };
        let started = started::take(self.handle.core.destination_key(), ids.span_id);
        // A span that is recorded but not sampled is for others.
        if !ids.sampled || !self.handle.core.enabled() {
            return Ok(());
        }
        let (envelope, kind) = self.envelope(names, span)?;
        if kind == ScopeKind::OtherProject {
            return Ok(());
        }
        let wanted = if self.handle.options().has_filter {
            stage::asked(py, &self.handle, stage::wanted(py, &self.handle, || Ok(span.clone())))
        } else {
            kind == ScopeKind::Known || is_genai(names, span)?
        };
        if !wanted {
            return Ok(());
        }
        if started.as_ref().is_some_and(|started| started.shed) {
            self.handle.core.refuse_foreign(DropReason::Shed);
            return Ok(());
        }
        let (payload, root) = self.encode(names, span, ids, &context, started.as_ref())?;
        let Some(held) = self.handle.core.take_foreign(payload, envelope, ids.trace_id, root) else {
            return Ok(());
        };
        if !self.handle.options().has_stage {
            held.submit();
            return Ok(());
        }
        stage::pass(py, &self.handle, Bound::new(py, Held::new(held))?, Some(span));
        Ok(())
    }

    /// What the filter says at the start, when not all is known.
    fn wants(&self, span: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = span.py();
        let names = names(py);
        if self.handle.options().has_filter {
            return stage::wanted(py, &self.handle, || Ok(span.clone()));
        }
        Ok(match self.envelope(names, span)?.1 {
            ScopeKind::Known => true,
            ScopeKind::Other => is_genai(names, span)?,
            ScopeKind::OtherProject => false,
        })
    }

    /// Scope and resource, encoded once for each pair of objects.
    fn envelope(&self, names: &Names, span: &Bound<'_, PyAny>) -> PyResult<(Arc<Envelope>, ScopeKind)> {
        let py = span.py();
        let resource = span.getattr(names.resource.bind(py))?;
        let scope = span.getattr(names.instrumentation_scope.bind(py))?;
        {
            let mut seen = self.seen.lock();
            let same = |seen: &Seen| scope.is(&seen.scope) && resource.is(&seen.resource);
            if let Some(at) = seen.iter().position(same) {
                let found = (seen[at].envelope.clone(), seen[at].kind);
                if at > 0 {
                    seen.swap(at, at - 1);
                }
                return Ok(found);
            }
        }
        let mut envelope = ForeignEnvelope::default();
        for_each_attribute(names, &resource, |key, value| {
            with_any(value, |any| envelope.resource(key, any)).map(drop)
        })?;
        let mut project = None;
        let optional = |object: &Bound<'_, PyAny>, name: &Py<PyString>| match object.getattr(name.bind(py)) {
            Ok(value) if !value.is_none() => text(&value).into_owned(),
            _ => String::new(),
        };
        if !scope.is_none() {
            for_each_attribute(names, &scope, |key, value| {
                if key == "public_key" {
                    project = Some(text(value).into_owned());
                }
                with_any(value, |any| envelope.scope(key, any)).map(drop)
            })?;
        }
        let name = optional(&scope, &names.name);
        let kind =
            if name == filter::SCOPE_LANGFUSE_SDK && project.as_deref() != Some(self.handle.public_key()) {
                ScopeKind::OtherProject
            } else if filter::is_known_scope(&name) {
                ScopeKind::Known
            } else {
                ScopeKind::Other
            };
        let envelope = Arc::new(envelope.finish(
            &name,
            &optional(&scope, &names.version),
            &optional(&scope, &names.schema_url),
            &optional(&resource, &names.schema_url),
        ));
        let made =
            Seen { resource: resource.unbind(), scope: scope.unbind(), envelope: envelope.clone(), kind };
        let forgotten = {
            let mut seen = self.seen.lock();
            seen.insert(0, made);
            (seen.len() > MAX_SEEN).then(|| seen.pop())
        };
        drop(forgotten);
        Ok((envelope, kind))
    }

    /// The span's final bytes, and whether it is the first of its trace here.
    fn encode(
        &self,
        names: &Names,
        span: &Bound<'_, PyAny>,
        ids: otel::Foreign,
        context: &Bound<'_, PyAny>,
        started: Option<&Started>,
    ) -> PyResult<(Box<[u8]>, bool)> {
        let py = span.py();
        let mut foreign = Foreign::new();
        let propagated = started.and_then(|started| started.propagated.as_deref());
        let stamps = Stamps::new(self.handle.core.settings(), propagated);
        let mut prompt = false;
        for_each_attribute(names, span, |key, value| {
            prompt |= key == Field::PromptName.key();
            if !stamps.replaces(key) {
                attribute(&mut foreign, key, value)?;
            }
            Ok(())
        })?;
        stamps.write(&mut foreign, prompt);
        if started.is_some_and(|started| started.app_root) {
            foreign.attribute(Field::AppRoot.key(), None, Any::One(Value::Bool(true)));
        }
        let mut lost = [0u32; 3];
        let get = |name: &Py<PyString>| span.getattr(name.bind(py));
        for event in get(&names.events)?.try_iter()? {
            let event = event?;
            let time = event.getattr(names.timestamp.bind(py))?.extract().unwrap_or(0);
            let name = event.getattr(names.name.bind(py))?;
            let mut part = Foreign::event(&text(&name), time);
            part_attributes(names, &event, &mut part)?;
            lost[1] += u32::from(!foreign.add(&part));
        }
        for link in get(&names.links)?.try_iter()? {
            let link = link?;
            let to = link.getattr(names.context.bind(py))?;
            let Some(target) = otel::Foreign::of(&to) else { continue };
            let state = trace_state(names, &to);
            let mut part = Foreign::link(target.trace_id, target.span_id, &state, target.remote);
            part_attributes(names, &link, &mut part)?;
            lost[2] += u32::from(!foreign.add(&part));
        }
        let parent = get(&names.parent)?;
        let parent = if parent.is_none() || started.is_some_and(|started| started.orphan) {
            None
        } else {
            otel::Foreign::of(&parent)
        };
        let number = |name: &Py<PyString>| get(name).ok().and_then(|value| value.extract::<u64>().ok());
        let enumerated = |object: Bound<'_, PyAny>| -> u8 {
            object.getattr(names.value.bind(py)).and_then(|value| value.extract()).unwrap_or(0)
        };
        let status = get(&names.status)?;
        let (code, message) = if status.is_none() {
            (0, Cow::Borrowed(""))
        } else {
            let message = status.getattr(names.description.bind(py))?;
            let message =
                if message.is_none() { Cow::Borrowed("") } else { text(&message).into_owned().into() };
            (enumerated(status.getattr(names.status_code.bind(py))?), message)
        };
        for (lost, name) in
            lost.iter_mut().zip([&names.dropped_attributes, &names.dropped_events, &names.dropped_links])
        {
            let dropped = number(name).unwrap_or(0).try_into().unwrap_or(u32::MAX);
            *lost = lost.saturating_add(dropped);
        }
        let name = get(&names.name)?;
        let start = number(&names.start_time).unwrap_or(0);
        let head = ForeignHead {
            trace_id: ids.trace_id,
            span_id: ids.span_id,
            parent: parent.map(|parent| parent.span_id),
            trace_state: &trace_state(names, context),
            name: &text(&name),
            // OpenTelemetry's API counts from 0, its wire from 1.
            kind: enumerated(get(&names.kind)?).saturating_add(1).min(5),
            start,
            end: number(&names.end_time).unwrap_or(start),
            status: (code.min(2), &message),
            remote_parent: parent.is_some_and(|parent| parent.remote),
            dropped: lost,
        };
        let root = parent.is_none() || started.is_some_and(|started| started.app_root);
        Ok((foreign.finish(&head), root))
    }
}

/// Whether a scope name is that of instrumentation for language models.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub(crate) fn is_known_scope(name: &str) -> bool {
    filter::is_known_scope(name)
}

/// Whether a scope name is that of a Langfuse SDK, or of this one.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub(crate) fn is_langfuse_scope(name: &str) -> bool {
    filter::is_langfuse_scope(name)
}
