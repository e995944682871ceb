//! The attribute keys that Langfuse servers read, and the closed vocabularies of their values.

use std::fmt;

use crate::json::shown;

/// What an observation is. Sent in lower case: other spellings fall through to `span` on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ObservationType {
    Span,
    Generation,
    Event,
    Embedding,
    Agent,
    Tool,
    Chain,
    Retriever,
    Evaluator,
    Guardrail,
}

impl ObservationType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Span,
        Self::Generation,
        Self::Event,
        Self::Embedding,
        Self::Agent,
        Self::Tool,
        Self::Chain,
        Self::Retriever,
        Self::Evaluator,
        Self::Guardrail,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Generation => "generation",
            Self::Event => "event",
            Self::Embedding => "embedding",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Chain => "chain",
            Self::Retriever => "retriever",
            Self::Evaluator => "evaluator",
            Self::Guardrail => "guardrail",
        }
    }

    /// Reads the word; any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for ObservationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How serious an observation is. Sent in upper case: servers of version 3 drop the observation otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Default,
    Warning,
    Error,
}

impl Level {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Default => "DEFAULT",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// Reads the word; any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Debug, Self::Default, Self::Warning, Self::Error]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(word))
    }
}

/// An attribute that an observation holds at most once: setting it again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Field {
    Type,
    Input,
    Output,
    /// Metadata that is not a mapping.
    Metadata,
    Level,
    StatusMessage,
    Model,
    ModelParameters,
    UsageDetails,
    CostDetails,
    CompletionStartTime,
    PromptName,
    PromptVersion,
    Version,
    Release,
    Environment,
    UserId,
    SessionId,
    TraceName,
    TraceTags,
    TracePublic,
    AppRoot,
    AsRoot,
    ExperimentId,
    ExperimentName,
    ExperimentDescription,
    ExperimentMetadata,
    ExperimentDatasetId,
    ExperimentItemId,
    ExperimentItemVersion,
    ExperimentItemExpectedOutput,
    ExperimentItemMetadata,
    ExperimentItemRoot,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 33] = [
        Self::Type,
        Self::Input,
        Self::Output,
        Self::Metadata,
        Self::Level,
        Self::StatusMessage,
        Self::Model,
        Self::ModelParameters,
        Self::UsageDetails,
        Self::CostDetails,
        Self::CompletionStartTime,
        Self::PromptName,
        Self::PromptVersion,
        Self::Version,
        Self::Release,
        Self::Environment,
        Self::UserId,
        Self::SessionId,
        Self::TraceName,
        Self::TraceTags,
        Self::TracePublic,
        Self::AppRoot,
        Self::AsRoot,
        Self::ExperimentId,
        Self::ExperimentName,
        Self::ExperimentDescription,
        Self::ExperimentMetadata,
        Self::ExperimentDatasetId,
        Self::ExperimentItemId,
        Self::ExperimentItemVersion,
        Self::ExperimentItemExpectedOutput,
        Self::ExperimentItemMetadata,
        Self::ExperimentItemRoot,
    ];

    /// The field of an attribute key.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.key() == key)
    }

    /// The attribute key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Type => "langfuse.observation.type",
            Self::Input => "langfuse.observation.input",
            Self::Output => "langfuse.observation.output",
            Self::Metadata => OBSERVATION_METADATA,
            Self::Level => "langfuse.observation.level",
            Self::StatusMessage => "langfuse.observation.status_message",
            Self::Model => "langfuse.observation.model.name",
            Self::ModelParameters => "langfuse.observation.model.parameters",
            Self::UsageDetails => "langfuse.observation.usage_details",
            Self::CostDetails => "langfuse.observation.cost_details",
            Self::CompletionStartTime => "langfuse.observation.completion_start_time",
            Self::PromptName => "langfuse.observation.prompt.name",
            Self::PromptVersion => "langfuse.observation.prompt.version",
            Self::Version => "langfuse.version",
            Self::Release => "langfuse.release",
            Self::Environment => "langfuse.environment",
            Self::UserId => "user.id",
            Self::SessionId => "session.id",
            Self::TraceName => "langfuse.trace.name",
            Self::TraceTags => "langfuse.trace.tags",
            Self::TracePublic => "langfuse.trace.public",
            Self::AppRoot => "langfuse.internal.is_app_root",
            Self::AsRoot => "langfuse.internal.as_root",
            Self::ExperimentId => "langfuse.experiment.id",
            Self::ExperimentName => "langfuse.experiment.name",
            Self::ExperimentDescription => "langfuse.experiment.description",
            Self::ExperimentMetadata => "langfuse.experiment.metadata",
            Self::ExperimentDatasetId => "langfuse.experiment.dataset.id",
            Self::ExperimentItemId => "langfuse.experiment.item.id",
            Self::ExperimentItemVersion => "langfuse.experiment.item.version",
            Self::ExperimentItemExpectedOutput => "langfuse.experiment.item.expected_output",
            Self::ExperimentItemMetadata => "langfuse.experiment.item.metadata",
            Self::ExperimentItemRoot => "langfuse.experiment.item.root_observation_id",
        }
    }
}

/// Prefix of observation metadata, without the dot before the key.
pub const OBSERVATION_METADATA: &str = "langfuse.observation.metadata";

/// Prefix of trace metadata, without the dot before the key.
pub const TRACE_METADATA: &str = "langfuse.trace.metadata";

/// Scope name towards Langfuse: a name that starts with `langfuse-sdk` gives lean rows, and must not be exactly that one
/// (the server then applies rules for old SDKs). Source: server behaviour, `OtelIngestionProcessor`.
pub const SCOPE_LANGFUSE: &str = "langfuse-sdk-tracespool";

/// Scope name towards any other OTLP backend.
pub const SCOPE_OTLP: &str = "tracespool";

/// The environment as the server would store it, or why it would not: lower case letters, digits, `-` and `_`, at most
/// 40, not starting with `langfuse`. Source: server behaviour, and the SDKs' own check.
///
/// # Errors
///
/// A sentence that names the rule.
pub fn check_environment(value: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if value.is_empty() || value.len() > 40 || !value.chars().all(fits) || value.starts_with("langfuse") {
        let value: String = value.chars().take(60).collect();
        let rule = " must be 1 to 40 of a-z, 0-9, '-' and '_' and must not start with 'langfuse'";
        return Err(["environment ", &shown(&value), rule].concat());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_written_in_one() {
        for kind in ObservationType::ALL {
            assert_eq!(ObservationType::parse(&kind.as_str().to_uppercase()), Some(kind));
        }
        assert_eq!(ObservationType::parse("llm"), None);
        assert_eq!(Level::parse("warning"), Some(Level::Warning));
    }

    #[test]
    fn fields_are_found_by_their_keys() {
        for field in Field::ALL {
            assert_eq!(Field::parse(field.key()), Some(field));
        }
        assert_eq!(Field::parse("langfuse.observation"), None);
    }

    #[test]
    fn environments_follow_the_server() {
        for good in ["production", "a-b_9"] {
            assert!(check_environment(good).is_ok());
        }
        for bad in ["", "PROD", "a b", "langfuse-x", &"x".repeat(41)] {
            assert!(check_environment(bad).is_err(), "{bad}");
        }
    }
}
