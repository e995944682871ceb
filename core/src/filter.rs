//! Which spans of other instrumentation belong into an LLM trace where nobody says otherwise: those of instrumentation that
//! is known for it, and those that carry the attributes of OpenTelemetry's semantic conventions for generative AI.
//! Source: observed behaviour of the Langfuse SDKs 5.0.4.

use crate::attr::{SCOPE_LANGFUSE, SCOPE_OTLP};

/// What the Langfuse SDKs call their own scope.
pub const SCOPE_LANGFUSE_SDK: &str = "langfuse-sdk";

/// What attribute keys of the semantic conventions for generative AI begin with.
pub const GENAI_PREFIX: &str = "gen_ai.";

/// Scope names, each with all names below it (`name.*`).
pub const KNOWN_SCOPES: [&str; 35] = [
    SCOPE_LANGFUSE_SDK,
    "agent_framework",
    "ai",
    "autogen-core",
    "haystack",
    "langsmith",
    "litellm",
    "openinference",
    "opentelemetry.instrumentation.agno",
    "opentelemetry.instrumentation.alephalpha",
    "opentelemetry.instrumentation.anthropic",
    "opentelemetry.instrumentation.bedrock",
    "opentelemetry.instrumentation.cohere",
    "opentelemetry.instrumentation.crewai",
    "opentelemetry.instrumentation.google_generativeai",
    "opentelemetry.instrumentation.groq",
    "opentelemetry.instrumentation.haystack",
    "opentelemetry.instrumentation.langchain",
    "opentelemetry.instrumentation.llamaindex",
    "opentelemetry.instrumentation.mistralai",
    "opentelemetry.instrumentation.ollama",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.openai_agents",
    "opentelemetry.instrumentation.openai_v2",
    "opentelemetry.instrumentation.replicate",
    "opentelemetry.instrumentation.sagemaker",
    "opentelemetry.instrumentation.together",
    "opentelemetry.instrumentation.transformers",
    "opentelemetry.instrumentation.vertexai",
    "opentelemetry.instrumentation.voyageai",
    "opentelemetry.instrumentation.watsonx",
    "opentelemetry.instrumentation.writer",
    "pydantic-ai",
    "strands-agents",
    "vllm",
];

/// Whether a scope is that of a Langfuse SDK, or of this one.
#[must_use]
pub fn is_langfuse_scope(name: &str) -> bool {
    matches!(name, SCOPE_LANGFUSE_SDK | SCOPE_LANGFUSE | SCOPE_OTLP)
}

/// Whether a scope is that of instrumentation for language models.
#[must_use]
pub fn is_known_scope(name: &str) -> bool {
    is_langfuse_scope(name)
        || KNOWN_SCOPES.iter().any(|known| {
            name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

/// A span that never begins an application's part of a trace below a parent: litellm's copy of its own request.
#[must_use]
pub fn may_be_app_root(scope: &str, name: &str, has_parent: bool) -> bool {
    !(has_parent && scope == "litellm" && name == "raw_gen_ai_request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_a_dot() {
        for known in ["ai", "ai.tool", "openinference.instrumentation.openai", "langfuse-sdk", "vllm"] {
            assert!(is_known_scope(known), "{known}");
        }
        for other in ["", "aiohttp", "openinferences", "opentelemetry.instrumentation.requests", "ai-x"] {
            assert!(!is_known_scope(other), "{other}");
        }
    }
}
