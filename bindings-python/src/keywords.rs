//! Keyword arguments of everything that starts or changes an observation, as the interpreter passes them: no tuple, no
//! dict, no reference. Unknown names are told, never raised.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::arguments::{Given, plain, shown};
use crate::notices::problem;

type Argument<'a, 'py> = Option<Borrowed<'a, 'py, PyAny>>;

macro_rules! names {
    ($($variant:ident $name:literal),* $(,)?) => {
        #[derive(Clone, Copy)]
        enum Name { $($variant),* }
        const NAMES: [&str; [$($name),*].len()] = [$($name),*];
    };
}

names! {
    Output "output", Input "input", Name "name", Metadata "metadata", AsType "as_type", Model "model",
    UsageDetails "usage_details", Version "version", Level "level", StatusMessage "status_message",
    CompletionStartTime "completion_start_time", ModelParameters "model_parameters", CostDetails "cost_details",
    Prompt "prompt", TraceContext "trace_context", EndOnExit "end_on_exit",
}

/// The names as the interpreter's own interned objects.
static INTERNED: PyOnceLock<[Py<PyString>; NAMES.len()]> = PyOnceLock::new();

/// A call's arguments; `None` counts as not passed.
pub(crate) struct Keywords<'a, 'py> {
    slots: [Argument<'a, 'py>; NAMES.len()],
    first: Argument<'a, 'py>,
}

impl<'a, 'py> Keywords<'a, 'py> {
    /// Sorts a call's arguments. A single positional one is taken for the name.
    pub(crate) fn read(
        py: Python<'py>,
        function: &str,
        public_key: &str,
        positional: &[Borrowed<'a, 'py, PyAny>],
        named: impl Iterator<Item = (Borrowed<'a, 'py, PyString>, Borrowed<'a, 'py, PyAny>)>,
    ) -> Self {
        let interned = INTERNED.get_or_init(py, || NAMES.map(|name| PyString::intern(py, name).unbind()));
        let mut keywords = Self { slots: [None; NAMES.len()], first: positional.first().copied() };
        for (name, value) in named {
            let known = interned.iter().position(|known| known.as_ptr() == name.as_ptr());
            // Names that were made at run time are not interned.
            let known = known.or_else(|| NAMES.iter().position(|known| name.to_str().is_ok_and(|name| *known == name)));
            match known {
                Some(at) if !value.is_none() => keywords.slots[at] = Some(value),
                Some(_) => {}
                None => tell_unknown(function, public_key, &name),
            }
        }
        if positional.len() > 1 {
            problem(public_key, format!("{function} takes keywords only; positional arguments are ignored"));
        }
        keywords
    }

    fn get(&self, name: Name) -> Argument<'a, 'py> {
        self.slots[name as usize]
    }

    /// The values of an observation among them.
    pub(crate) fn given(&self) -> Given<'a, 'py> {
        Given {
            input: self.get(Name::Input),
            output: self.get(Name::Output),
            metadata: self.get(Name::Metadata),
            version: self.get(Name::Version),
            level: self.get(Name::Level),
            status_message: self.get(Name::StatusMessage),
            completion_start_time: self.get(Name::CompletionStartTime),
            model: self.get(Name::Model),
            model_parameters: self.get(Name::ModelParameters),
            usage_details: self.get(Name::UsageDetails),
            cost_details: self.get(Name::CostDetails),
            prompt: self.get(Name::Prompt),
        }
    }

    /// The name that was given, by keyword or first.
    pub(crate) fn name(&self) -> PyResult<Option<std::borrow::Cow<'_, str>>> {
        let Some(name) = self.slots[Name::Name as usize].as_ref().or(self.first.as_ref()) else { return Ok(None) };
        match name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) {
            Some(text) => Ok(Some(text.into())),
            None => plain(name).map(|text| Some(text.into())),
        }
    }

    /// What the observation is said to be.
    pub(crate) fn as_type(&self) -> Argument<'a, 'py> {
        self.get(Name::AsType)
    }

    /// The trace that the observation is said to belong to.
    pub(crate) fn trace_context(&self) -> Argument<'a, 'py> {
        self.get(Name::TraceContext)
    }

    /// Whether leaving the block ends the observation.
    pub(crate) fn end_on_exit(&self) -> bool {
        self.get(Name::EndOnExit).is_none_or(|flag| flag.is_truthy().unwrap_or(true))
    }
}

#[cold]
fn tell_unknown(function: &str, public_key: &str, name: &Bound<'_, PyString>) {
    problem(public_key, format!("{function} has no argument {:?}; it is ignored", shown(&name.to_string_lossy())));
}
