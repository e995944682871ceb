//! Who serves a model, as far as its name tells.

/// A provider by the words of both conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    /// `gen_ai.provider.name`.
    pub(super) gen_ai: &'static str,
    /// `llm.provider` and `llm.system`.
    pub(super) openinference: &'static str,
}

const fn provider(gen_ai: &'static str, openinference: &'static str) -> Provider {
    Provider { gen_ai, openinference }
}

const OPENAI: Provider = provider("openai", "openai");
const ANTHROPIC: Provider = provider("anthropic", "anthropic");
const GEMINI: Provider = provider("gcp.gemini", "google");
const VERTEX: Provider = provider("gcp.vertex_ai", "google");
const BEDROCK: Provider = provider("aws.bedrock", "aws");
const COHERE: Provider = provider("cohere", "cohere");
const MISTRAL: Provider = provider("mistral_ai", "mistralai");
const DEEPSEEK: Provider = provider("deepseek", "deepseek");
const XAI: Provider = provider("x_ai", "xai");

/// As gateways write it before the model: `azure/gpt-4o`.
const PREFIXES: [(&str, Provider); 19] = [
    ("openai", OPENAI),
    ("anthropic", ANTHROPIC),
    ("azure", provider("azure.ai.openai", "azure")),
    ("azure_ai", provider("azure.ai.inference", "azure")),
    ("bedrock", BEDROCK),
    ("vertex_ai", VERTEX),
    ("gemini", GEMINI),
    ("google", GEMINI),
    ("cohere", COHERE),
    ("mistral", MISTRAL),
    ("mistralai", MISTRAL),
    ("deepseek", DEEPSEEK),
    ("xai", XAI),
    ("x-ai", XAI),
    ("groq", provider("groq", "groq")),
    ("perplexity", provider("perplexity", "perplexity")),
    ("moonshot", provider("moonshot_ai", "moonshot")),
    ("watsonx", provider("ibm.watsonx.ai", "watsonx")),
    ("ollama", provider("ollama", "ollama")),
];

/// Names that one vendor alone gives its models.
const FAMILIES: [(&str, Provider); 15] = [
    ("gpt-", OPENAI),
    ("chatgpt-", OPENAI),
    ("o1-", OPENAI),
    ("o3-", OPENAI),
    ("o4-", OPENAI),
    ("text-embedding-", OPENAI),
    ("claude-", ANTHROPIC),
    ("gemini-", GEMINI),
    ("command-", COHERE),
    ("mistral-", MISTRAL),
    ("codestral-", MISTRAL),
    ("ministral-", MISTRAL),
    ("deepseek-", DEEPSEEK),
    ("grok-", XAI),
    ("anthropic.claude-", BEDROCK),
];

/// The provider of a model; `None` where its name does not tell.
pub(super) fn of_model(model: &str) -> Option<Provider> {
    let model = model.trim().to_ascii_lowercase();
    if let Some((prefix, _)) = model.split_once('/') {
        return PREFIXES.iter().find(|(known, _)| *known == prefix).map(|(_, provider)| *provider);
    }
    FAMILIES
        .iter()
        .find(|(known, _)| model.starts_with(known) || known.strip_suffix('-') == Some(&model))
        .map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_and_names_that_do_not() {
        for (model, provider) in [
            ("gpt-4o", OPENAI),
            ("o3", OPENAI),
            ("Claude-sonnet-4", ANTHROPIC),
            ("anthropic/claude-sonnet-4", ANTHROPIC),
            ("anthropic.claude-3-haiku", BEDROCK),
            ("vertex_ai/gemini-2.0", VERTEX),
        ] {
            assert_eq!(of_model(model), Some(provider), "{model}");
        }
        for model in ["", "demo-model-1", "my/gpt-4o", "o300", "gptx"] {
            assert_eq!(of_model(model), None, "{model}");
        }
    }
}
