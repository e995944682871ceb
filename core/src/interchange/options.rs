//! A client's options and settings as JSON.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::config::ClientOptions;
use crate::encode::dialect::Dialect;

/// What a caller asks for. Absent, or `null`: the environment, then the default; see [`ClientOptions`].
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    public_key: Option<String>,
    secret_key: Option<String>,
    base_url: Option<String>,
    timeout: Option<f64>,
    tracing_enabled: Option<bool>,
    flush_at: Option<f64>,
    flush_interval: Option<f64>,
    environment: Option<String>,
    release: Option<String>,
    sample_rate: Option<f64>,
    additional_headers: Option<HashMap<String, String>>,
    otlp_endpoint: Option<String>,
    dialect: Option<String>,
    service_name: Option<String>,
    gzip: Option<bool>,
    follow_parent_sampling: bool,
    /// The environment variables, on hosts where the core cannot read them.
    pub(super) env: Option<HashMap<String, String>>,
}

impl Asked {
    /// What is wrong with it goes to `problems`, and the default stands.
    pub(super) fn read(text: &str, problems: &mut Vec<String>) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| {
            problems.push(format!("the client's options could not be read ({error}); the defaults stand"));
            Self::default()
        })
    }

    pub(super) fn options(self, problems: &mut Vec<String>) -> ClientOptions {
        let dialect = self.dialect.and_then(|word| {
            Dialect::parse(&word)
                .map_err(|problem| problems.push(format!("{problem}; the default is used")))
                .ok()
        });
        let mut headers: Vec<_> = self.additional_headers.unwrap_or_default().into_iter().collect();
        // They are part of what the cache holds a destination by.
        headers.sort_unstable();
        ClientOptions {
            public_key: self.public_key,
            secret_key: self.secret_key,
            base_url: self.base_url,
            host: None,
            timeout: self.timeout,
            tracing_enabled: self.tracing_enabled,
            flush_at: self.flush_at,
            flush_interval: self.flush_interval,
            environment: self.environment,
            release: self.release,
            sample_rate: self.sample_rate,
            additional_headers: headers,
            otlp_endpoint: self.otlp_endpoint,
            dialect,
            service_name: self.service_name,
            gzip: self.gzip,
            follow_parent_sampling: self.follow_parent_sampling,
        }
    }
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
