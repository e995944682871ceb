//! The calls on clients and observations that take an observation's values; see [`crate::fastcall`].

use std::borrow::Cow;
use std::ffi::CStr;

use pyo3::prelude::*;
use tracespool_core::attr::ObservationType;

use crate::arguments::{kind_of, trace_context_of};
use crate::client::Client;
use crate::fastcall::{Method, install};
use crate::keywords::Keywords;
use crate::notices::problem;
use crate::observation::{Observation, Place, begun};
use crate::origin::Origin;
use crate::scope::Scope;

/// `class method "signature" "documentation" (receiver, keywords) body`, each a type that implements [`Method`].
macro_rules! methods {
    ($($class:ident $method:ident $signature:literal $doc:literal ($of:ident, $keywords:ident) $body:block)*) => {
        /// Puts the methods into their classes.
        ///
        /// # Errors
        ///
        /// The interpreter is out of memory.
        pub(crate) fn install_all(py: Python<'_>) -> PyResult<()> {
            $({
                struct This;
                impl Method for This {
                    type Of = $class;
                    type With<'a, 'py: 'a> = Keywords<'a, 'py>;
                    const NAME: &'static CStr = nul(concat!(stringify!($method), "\0"));
                    const DOC: &'static CStr = nul(concat!(stringify!($method), $signature, "\n--\n\n", $doc, "\0"));

                    fn call<'py>($of: &Bound<'py, $class>, $keywords: Keywords<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
                        $keywords.check(concat!(stringify!($method), "()"), $of.get().public_key());
                        $body
                    }
                }
                install::<This>(py)?;
            })*
            Ok(())
        }
    };
}

/// A literal that ends with NUL as a C string.
pub(crate) const fn nul(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

methods! {
    Client start_observation
    "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, trace_context=None)"
    "Starts an observation below the current one. It does not become the current one; end it with `end()`."
    (of, keywords) {
        start(of, &keywords, None)
    }

    Client start_as_current_observation
    "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, trace_context=None, end_on_exit=None)"
    "Starts an observation below the current one with a `with` or `async with` block, or with each call of a function that it decorates; inside, it is the current one."
    (of, keywords) {
        scope(of, &keywords, None)
    }

    Client create_event
    "($self, *, name, trace_context=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "An observation without length below the current one, ended already."
    (of, keywords) {
        start(of, &keywords, Some(ObservationType::Event))
    }

    Client update_current_span
    "($self, *, name=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "`update` on the current observation."
    (of, keywords) {
        update_current(of, &keywords, "update_current_span()")
    }

    Client update_current_generation
    "($self, *, name=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)"
    "`update` on the current observation; a span becomes a generation."
    (of, keywords) {
        if let Some(observation) = Origin::read(of.py())?.observation() {
            observation.get().specify_generation();
        }
        update_current(of, &keywords, "update_current_generation()")
    }

    Client start_span
    "($self, *, trace_context=None, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "`start_observation(as_type='span')`, as Langfuse 3.x named it."
    (of, keywords) {
        start(of, &keywords, Some(ObservationType::Span))
    }

    Client start_generation
    "($self, *, trace_context=None, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)"
    "`start_observation(as_type='generation')`, as Langfuse 3.x named it."
    (of, keywords) {
        start(of, &keywords, Some(ObservationType::Generation))
    }

    Client start_as_current_span
    "($self, *, trace_context=None, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None, end_on_exit=None)"
    "`start_as_current_observation(as_type='span')`, as Langfuse 3.x named it."
    (of, keywords) {
        scope(of, &keywords, Some(ObservationType::Span))
    }

    Client start_as_current_generation
    "($self, *, trace_context=None, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, end_on_exit=None)"
    "`start_as_current_observation(as_type='generation')`, as Langfuse 3.x named it."
    (of, keywords) {
        scope(of, &keywords, Some(ObservationType::Generation))
    }

    Observation update
    "($self, *, name=None, as_type=None, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, **unknown)"
    "Sets what is given and leaves the rest."
    (of, keywords) {
        of.get().retype(&keywords);
        of.get().change(&keywords)?;
        Ok(of.clone().into_any())
    }

    Observation start_observation
    "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)"
    "Starts an observation below this one. It does not become the current one; end it with `end()`."
    (of, keywords) {
        start_inside(of, &keywords, None)
    }

    Observation start_as_current_observation
    "($self, *, name, as_type='span', input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None, end_on_exit=None)"
    "Starts an observation below this one with a `with` or `async with` block; inside, it is the current one."
    (of, keywords) {
        scope_inside(of, &keywords, None)
    }

    Observation create_event
    "($self, *, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "An observation without length below this one, ended already."
    (of, keywords) {
        start_inside(of, &keywords, Some(ObservationType::Event))
    }

    Observation start_span
    "($self, name, *, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "`start_observation(as_type='span')`, as Langfuse 3.x named it."
    (of, keywords) {
        start_inside(of, &keywords, Some(ObservationType::Span))
    }

    Observation start_generation
    "($self, *, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)"
    "`start_observation(as_type='generation')`, as Langfuse 3.x named it."
    (of, keywords) {
        start_inside(of, &keywords, Some(ObservationType::Generation))
    }

    Observation start_as_current_span
    "($self, *, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None)"
    "`start_as_current_observation(as_type='span')`, as Langfuse 3.x named it."
    (of, keywords) {
        scope_inside(of, &keywords, Some(ObservationType::Span))
    }

    Observation start_as_current_generation
    "($self, *, name, input=None, output=None, metadata=None, version=None, level=None, status_message=None, completion_start_time=None, model=None, model_parameters=None, usage_details=None, cost_details=None, prompt=None)"
    "`start_as_current_observation(as_type='generation')`, as Langfuse 3.x named it."
    (of, keywords) {
        scope_inside(of, &keywords, Some(ObservationType::Generation))
    }
}

/// What is to be started: of the type that the method stands for or was told, by default under its type's name.
fn kind_and_name<'a>(
    keywords: &'a Keywords<'_, '_>,
    kind: Option<ObservationType>,
    public_key: &str,
) -> PyResult<(ObservationType, Cow<'a, str>)> {
    let kind = kind.unwrap_or_else(|| kind_of(keywords.as_type().as_deref(), public_key));
    Ok((kind, keywords.name()?.unwrap_or(kind.as_str().into())))
}

/// Starts an observation below the current one.
fn start<'py>(
    of: &Bound<'py, Client>,
    keywords: &Keywords<'_, 'py>,
    kind: Option<ObservationType>,
) -> PyResult<Bound<'py, PyAny>> {
    let handle = &of.get().handle;
    let key = handle.public_key();
    let (kind, name) = kind_and_name(keywords, kind, key)?;
    let trace_context = trace_context_of(keywords.trace_context().as_deref(), key);
    let mut origin = Origin::read(of.py())?;
    let place = origin.place(handle, trace_context);
    begun(of.py(), Observation::start(handle, &name, kind, place), kind, &keywords.given())
}

/// Starts an observation below the current one that has begun already.
pub(crate) fn start_at(
    of: &Bound<'_, Client>,
    name: &str,
    start_time: u64,
    as_type: Option<&Bound<'_, PyAny>>,
    trace_context: Option<&Bound<'_, PyAny>>,
) -> PyResult<Observation> {
    let handle = &of.get().handle;
    let key = handle.public_key();
    let kind = kind_of(as_type, key);
    let mut origin = Origin::read(of.py())?;
    let place = origin.place(handle, trace_context_of(trace_context, key));
    Ok(Observation::start(handle, name, kind, Place { start_time: Some(start_time), ..place }))
}

/// A block below the current observation.
fn scope<'py>(
    of: &Bound<'py, Client>,
    keywords: &Keywords<'_, 'py>,
    kind: Option<ObservationType>,
) -> PyResult<Bound<'py, PyAny>> {
    let handle = &of.get().handle;
    let key = handle.public_key();
    let (kind, name) = kind_and_name(keywords, kind, key)?;
    let trace_context = trace_context_of(keywords.trace_context().as_deref(), key);
    let scope = Scope::plan(
        of.py(),
        handle,
        &name,
        kind,
        trace_context,
        keywords.end_on_exit(),
        &keywords.given(),
        None,
    )?;
    Bound::new(of.py(), scope).map(Bound::into_any)
}

/// A block below another observation.
fn scope_inside<'py>(
    of: &Bound<'py, Observation>,
    keywords: &Keywords<'_, 'py>,
    kind: Option<ObservationType>,
) -> PyResult<Bound<'py, PyAny>> {
    let this = of.get();
    let (kind, name) = kind_and_name(keywords, kind, this.public_key())?;
    let (handle, given) = (&this.handle, keywords.given());
    let scope = Scope::plan(of.py(), handle, &name, kind, None, keywords.end_on_exit(), &given, Some(of))?;
    Bound::new(of.py(), scope).map(Bound::into_any)
}

/// Starts an observation below another.
fn start_inside<'py>(
    of: &Bound<'py, Observation>,
    keywords: &Keywords<'_, 'py>,
    kind: Option<ObservationType>,
) -> PyResult<Bound<'py, PyAny>> {
    let this = of.get();
    let (kind, name) = kind_and_name(keywords, kind, this.public_key())?;
    let mut origin = Origin::read(of.py())?;
    begun(of.py(), Observation::start(&this.handle, &name, kind, origin.below(this)), kind, &keywords.given())
}

fn update_current<'py>(
    of: &Bound<'py, Client>,
    keywords: &Keywords<'_, 'py>,
    function: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let origin = Origin::read(of.py())?;
    match origin.observation() {
        Some(observation) => observation.get().change(keywords)?,
        None => problem(of.get().public_key(), format!("{function} outside of any observation does nothing")),
    }
    Ok(of.py().None().into_bound(of.py()))
}
