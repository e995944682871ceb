//! What a client and the scope in which a foreign span started add to it.

use super::foreign::{Any, Foreign};
use super::otlp::Value;
use crate::attr::{Field, TRACE_METADATA};
use crate::config::ClientSettings;
use crate::propagate::Propagated;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Stamps<'a> {
    settings: &'a ClientSettings,
    propagated: Option<&'a Propagated>,
}

impl<'a> Stamps<'a> {
    /// Those of a client, and of what was propagated where the span started.
    #[must_use]
    pub fn new(settings: &'a ClientSettings, propagated: Option<&'a Propagated>) -> Self {
        Self { settings, propagated }
    }

    /// Whether the span's own attribute gives way. A prompt that it names itself does not.
    #[must_use]
    pub fn replaces(&self, key: &str) -> bool {
        let Some(propagated) = self.propagated else { return false };
        let prompt = |field: Field| matches!(field, Field::PromptName | Field::PromptVersion);
        propagated.fields().any(|(field, _)| field.key() == key && !prompt(field))
            || key
                .strip_prefix(TRACE_METADATA)
                .and_then(|key| key.strip_prefix('.'))
                .is_some_and(|key| propagated.metadata().any(|(other, _)| other == key))
    }

    /// Adds them; `prompt` says that the span names one itself.
    pub fn write(&self, foreign: &mut Foreign, prompt: bool) {
        let said = |field: Field| self.propagated.is_some_and(|all| all.get(field).is_some());
        for (field, value) in
            [(Field::Environment, &self.settings.environment), (Field::Release, &self.settings.release)]
        {
            if let Some(text) = value
                && !said(field)
            {
                foreign.attribute(field.key(), None, Any::One(Value::Str(text)));
            }
        }
        let Some(propagated) = self.propagated else { return };
        for (field, value) in propagated.fields() {
            if !(prompt && matches!(field, Field::PromptName | Field::PromptVersion)) {
                foreign.attribute(field.key(), None, Any::One(value.value()));
            }
        }
        for (key, value) in propagated.metadata() {
            foreign.attribute(TRACE_METADATA, Some(key), Any::One(value.value()));
        }
    }
}
