//! A client's options and settings as JSON.

use std::collections::HashMap;

use serde::Serialize;

use super::members::Members;
use crate::client::Client;
use crate::config::ClientOptions;
use crate::encode::dialect::Dialect;

/// What a caller asks for as [`ClientOptions`], and the environment variables where the core cannot read them. What is wrong
/// with it goes to `problems`, and the default stands.
pub(super) fn read(
    text: &str,
    problems: &mut Vec<String>,
) -> (ClientOptions, Option<HashMap<String, String>>) {
    let mut said = Members::read(text).unwrap_or_else(|error| {
        problems.push(format!("the client's options could not be read ({error}); the defaults stand"));
        Members::nothing()
    });
    let dialect = said.text("dialect").and_then(|word| {
        Dialect::parse(&word).map_err(|problem| problems.push(format!("{problem}; the default is used"))).ok()
    });
    // They are part of what the cache holds a destination by, so they are sorted; an object's members are.
    let headers = said.texts("additional_headers").unwrap_or_default();
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
    problems.extend(said.problems.into_iter().map(|problem| format!("{problem}; it is ignored")));
    (options, env)
}

/// What a handle came to be; no secret is in it.
#[derive(Serialize)]
pub(super) struct Settings<'a> {
    enabled: bool,
    public_key: &'a str,
    base_url: Option<String>,
    environment: Option<&'a str>,
    release: Option<&'a str>,
    sample_rate: f64,
    destination: String,
    langfuse: bool,
    media: bool,
    prompt_ttl: f64,
}

impl<'a> Settings<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        let settings = client.settings();
        Self {
            enabled: client.enabled(),
            public_key: &settings.public_key,
            base_url: settings.endpoint.as_ref().map(|endpoint| endpoint.url.to_string()),
            environment: settings.environment.as_deref(),
            release: settings.release.as_deref(),
            sample_rate: settings.sampler.rate(),
            destination: format!("{:016x}", client.destination_key()),
            langfuse: !settings.backend,
            media: settings.media,
            prompt_ttl: settings.prompt_ttl.as_secs_f64() * 1e3,
        }
    }
}
