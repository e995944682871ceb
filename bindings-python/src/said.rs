//! What a framework's run is told beside its content, its tags and metadata: what they say of the run itself, and at a root
//! of its whole trace.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString};
use tracespool_core::attr::{Field, Level, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::media::MediaField;
use tracespool_core::propagate::Propagated;

use crate::arguments::{Given, Sink as _, hand_over, metadata_key, put_metadata};
use crate::names::names;
use crate::observation::Observation;
use crate::propagation::{one_of_metadata, short, told};
use crate::value::{Scratch, for_each_item};

/// What the names of keys that steer the integration begin with.
const STEERING: &str = "langfuse_";
const PROMPT: &str = "langfuse_prompt";
/// Servers take no longer text for a whole trace.
const MAX_TEXT: usize = 200;

/// What was told of one run.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a, 'py> {
    pub(crate) tags: Option<&'a Bound<'py, PyAny>>,
    pub(crate) metadata: Option<&'a Bound<'py, PyDict>>,
    /// Metadata of the run alone.
    pub(crate) more: Option<&'a Bound<'py, PyDict>>,
    pub(crate) kind: ObservationType,
    pub(crate) is_root: bool,
}

/// Whether a key steers the integration: it is not recorded as metadata.
fn steers(key: &str) -> bool {
    key.starts_with(STEERING)
        && matches!(
            key,
            PROMPT | "langfuse_session_id" | "langfuse_user_id" | "langfuse_tags" | "langfuse_trace_name"
        )
}

fn text<'a>(key: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    key.cast::<PyString>().ok().and_then(|key| key.to_str().ok())
}

impl<'py> Said<'_, 'py> {
    /// What a root says of its trace. Further metadata is the trace's only where it comes from the application: a chain's
    /// does, other runs add their own.
    pub(crate) fn of_trace(&self) -> PyResult<Propagated> {
        let mut own = Propagated::default();
        if let Some(metadata) = self.metadata.filter(|metadata| !metadata.is_empty()) {
            let names = names(metadata.py());
            for (name, field) in [
                (&names.langfuse_session_id, Field::SessionId),
                (&names.langfuse_user_id, Field::UserId),
                (&names.langfuse_trace_name, Field::TraceName),
            ] {
                if let Some(value) = metadata.get_item(name)?.filter(PyAnyMethods::is_instance_of::<PyString>)
                {
                    told(own.set(field, &short(&value)?));
                }
            }
            if let Some(more) = metadata.get_item(&names.langfuse_tags)?
                && more.is_instance_of::<PyList>()
            {
                add_tags(&mut own, &more)?;
            }
            if matches!(self.kind, ObservationType::Chain | ObservationType::Agent) {
                let scratch = &mut Scratch::take();
                for_each_item(metadata, |key, value| {
                    let fits = match text(value) {
                        Some(text) => text.len() <= MAX_TEXT || text.chars().count() <= MAX_TEXT,
                        None => value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>(),
                    };
                    if fits && !text(key).is_some_and(steers) {
                        one_of_metadata(&mut own, key, value, scratch)?;
                    }
                    Ok(())
                })?;
            }
        }
        if let Some(tags) = self.tags
            && tags.is_truthy()?
        {
            add_tags(&mut own, tags)?;
        }
        Ok(own)
    }

    /// Puts on the observation what was said of the run.
    pub(crate) fn describe(&self, observation: &mut Observation) -> PyResult<()> {
        if !observation.core.is_recording_mut() {
            return Ok(());
        }
        let tags = match self.tags {
            Some(tags) if tags.is_truthy()? => Some(tags),
            _ => None,
        };
        // The tag of runs that are of no interest to readers.
        if let Some(tags) = tags
            && tags.contains(&names(tags.py()).hidden)?
        {
            observation.core.set_level(Level::Debug);
        }
        if observation.handle.masked() {
            return self.describe_masked(observation, tags);
        }
        let scratch = &mut Scratch::take();
        scratch.seek_media(observation.handle.media());
        let mut sink = &mut observation.core;
        if let Some(tags) = tags {
            put_metadata(&mut sink, "tags", tags, scratch)?;
        }
        self.visit(|key, value| put_metadata(&mut sink, &metadata_key(key)?, value, scratch))?;
        if self.is_root {
            sink.metadata("is_langchain_root", Value::Bool(true));
        }
        hand_over(&mut sink, scratch, MediaField::Metadata);
        Ok(())
    }

    /// The mask is shown all of it at once.
    #[cold]
    fn describe_masked(
        &self,
        observation: &mut Observation,
        tags: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let Some(py) = tags.map(|tags| tags.py()).or_else(|| self.metadata.map(|metadata| metadata.py()))
        else {
            return Ok(());
        };
        let all = PyDict::new(py);
        if let Some(tags) = tags {
            all.set_item("tags", tags)?;
        }
        self.visit(|key, value| all.set_item(key, value))?;
        if self.is_root {
            all.set_item("is_langchain_root", true)?;
        }
        let given = Given { metadata: Some(all.as_any().as_borrowed()), ..Given::default() };
        given.apply(&observation.handle, &mut &mut observation.core)
    }

    /// The metadata that is recorded.
    fn visit(
        &self,
        mut put: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        // A model alone has nothing around it that could show what is said of the trace.
        let alone = self.is_root && self.kind == ObservationType::Generation;
        for dict in [self.metadata, self.more].into_iter().flatten() {
            for_each_item(dict, |key, value| match text(key) {
                Some(PROMPT) => Ok(()),
                Some(key) if !alone && steers(key) => Ok(()),
                _ => put(key, value),
            })?;
        }
        Ok(())
    }
}

fn add_tags(own: &mut Propagated, tags: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut texts = Vec::new();
    for tag in tags.try_iter()? {
        let tag = tag?;
        texts.push(match text(&tag) {
            Some(text) => text.to_owned(),
            None => tag.str()?.to_string_lossy().into_owned(),
        });
    }
    told(own.add_tags(texts));
    Ok(())
}
