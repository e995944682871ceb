//! A client's options and settings as JSON.

use std::collections::HashMap;

use super::members::Members;
use crate::client::Client;
use crate::config::ClientOptions;
use crate::encode::dialect::Dialect;
use crate::full::FULL;
use crate::json::Writer;

/// What a caller asks for as [`ClientOptions`], and the environment variables where the core cannot read them. What is wrong
/// with it goes to `problems`, and the default stands.
pub(super) fn read(
    text: &str,
    problems: &mut Vec<String>,
) -> (ClientOptions, Option<HashMap<String, String>>) {
    let mut said = Members::read(text).unwrap_or_else(|error| {
        problems.push(["the client's options could not be read (", &error, "); the defaults stand"].concat());
        Members::nothing()
    });
    let dialect = said.text("dialect").filter(|_| FULL.is_some()).and_then(|word| {
        Dialect::parse(&word).map_err(|problem| problems.push(problem + "; the default is used")).ok()
    });
    // They are part of what the cache holds a destination by.
    let mut headers = said.texts("additional_headers").unwrap_or_default();
    headers.sort();
    let options = ClientOptions {
        public_key: said.text("public_key"),
        secret_key: said.text("secret_key"),
        base_url: said.text("base_url"),
        host: None,
        timeout: said.number("timeout"),
        tracing_enabled: said.flag("tracing_enabled"),
        flush_at: said.number("flush_at"),
        flush_interval: said.number("flush_interval"),
        environment: said.text("environment"),
        release: said.text("release"),
        sample_rate: said.number("sample_rate"),
        additional_headers: headers,
        otlp_endpoint: said.text("otlp_endpoint"),
        dialect,
        service_name: said.text("service_name"),
        gzip: said.flag("gzip"),
        follow_parent_sampling: said.flag("follow_parent_sampling").unwrap_or_default(),
    };
    let env = said.texts("env").map(|all| all.into_iter().collect());
    problems.extend(said.problems.into_iter().map(|problem| problem + "; it is ignored"));
    (options, env)
}

/// What a handle came to be, as JSON; no secret is in it.
pub(super) fn settings(client: &Client) -> String {
    let settings = client.settings();
    let base_url = settings.endpoint.as_ref().map(|endpoint| endpoint.url.text());
    let mut out = Writer::new();
    out.begin("", b'{')
        .flag("enabled", client.enabled())
        .text("public_key", &settings.public_key)
        .maybe("base_url", base_url.as_deref())
        .maybe("environment", settings.environment.as_deref())
        .maybe("release", settings.release.as_deref())
        .number("sample_rate", settings.sampler.rate())
        .text("destination", settings.key.short_hex().as_str())
        .flag("langfuse", !settings.backend)
        .flag("media", settings.media)
        .number("prompt_ttl", settings.prompt_ttl.as_secs_f64() * 1e3)
        .end(b'}');
    out.finish()
}
