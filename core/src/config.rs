//! Settings: what a caller may ask for, what the environment says, and the defaults with their reasons.
//!
//! A bad value never fails a start: it is told once, by name, and the default stands.

use std::time::Duration;

use crate::attr::check_environment;
use crate::backend::Asked;
use crate::encode::dialect::Dialect;
use crate::endpoint::{BaseUrl, Endpoint, basic_auth, check_header};
use crate::json;
use crate::key::DestinationKey;
pub use crate::limits::{InFlight, Limits};
use crate::number;
use crate::sample::Sampler;

/// Langfuse Cloud, as in the Langfuse SDKs.
pub const DEFAULT_BASE_URL: &str = "https://cloud.langfuse.com";
/// One request, from name resolution to the last byte of the answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// After a destination's first observations; later ones wait for `FLUSH_INTERVAL`. People who try things out see their
/// trace at once.
pub const FIRST_LINGER: Duration = Duration::from_secs(1);
/// How many observations count as a destination's first.
pub const FIRST_OBSERVATIONS: u64 = 10;
/// How long observations wait for company, as in the Langfuse SDKs.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Crowding (more due requests than slots) stretches the wait up to this.
pub const CROWDED_LINGER: Duration = Duration::from_secs(15);
/// Answers of 429 double the wait up to this.
pub const THROTTLED_LINGER: Duration = Duration::from_secs(30);
/// Observations of one request: what the OpenTelemetry SDKs use.
pub const FLUSH_AT: u32 = 512;
/// Bytes that make a batch due before its time.
pub const BATCH_BYTES: usize = 1 << 20;
/// Uncompressed bytes of one request: servers process a request whole or lose it whole, so its blast radius is bounded.
pub const REQUEST_BYTES: usize = 4 << 20;
/// Bytes of one request of scores: servers take 1,000,000 (array) and 3,500,000 (ingestion).
pub const SCORE_REQUEST_BYTES: usize = 900_000;
/// Scores of one request. Servers count requests, not scores, against their rate limit.
pub const SCORE_FLUSH_AT: u32 = 500;
/// One observation; servers truncate rows of about 10 MB.
pub const OBSERVATION_BYTES: usize = 9_000_000;
/// Bytes waiting for one destination.
pub const DESTINATION_BYTES: usize = 16 << 20;
/// While less than half of the process's bytes are in use, a destination whose server answers may hold so large a part of
/// them (one in so many): a burst of one tenant loses nothing for which nobody else needs the room.
pub const BORROWED_PART: usize = 2;
/// Bytes waiting in the process.
pub const PROCESS_BYTES: usize = 64 << 20;
/// Data older than this is given up as expired.
pub const MAX_AGE: Duration = Duration::from_secs(600);
/// Destinations held.
pub const MAX_DESTINATIONS: usize = 1024;
/// A destination unused for this long is forgotten.
pub const IDLE_TTL: Duration = Duration::from_secs(30 * 60);
/// The goodbye at exit, all destinations together.
pub const GOODBYE: Duration = Duration::from_secs(3);
/// How long a prompt is fresh, as in the Langfuse SDKs.
pub const PROMPT_TTL: Duration = Duration::from_secs(60);
/// What `flush` waits without a timeout of its own.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// A destination that the cache closes has this long for its data.
pub const EVICTION_FLUSH: Duration = Duration::from_secs(5);
/// Destinations being closed at once; beyond, the oldest's data is dropped.
pub const MAX_CLOSING: usize = 64;
/// Requests in flight: per destination, per origin, per process.
pub const IN_FLIGHT: InFlight = InFlight { destination: 2, origin: 256, process: 512 };
/// Path of the OTLP endpoint below a Langfuse base URL.
pub const OTLP_PATH: &str = "/api/public/otel/v1/traces";

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn whole(number: f64) -> usize {
    number as usize
}

pub(crate) fn number(
    env: &dyn Fn(&str) -> Option<String>,
    name: &str,
    min: f64,
    max: f64,
    problems: &mut Vec<String>,
) -> Option<f64> {
    let text = env(name).filter(|text| !text.trim().is_empty())?;
    match number::parse(text.trim()) {
        Some(value) if (min..=max).contains(&value) => Some(value),
        _ => {
            problems.push(beyond(name, &shown(&text), min, max));
            None
        }
    }
}

fn beyond(name: &str, value: &str, min: f64, max: f64) -> String {
    let (min, max) = (number::text(min), number::text(max));
    [name, "=", value, " is not a number from ", &min, " to ", &max, "; the default is used"].concat()
}

/// A value as it may stand in a message: short, and on one line.
fn shown(text: &str) -> String {
    json::shown(&text.chars().take(40).collect::<String>())
}

/// What a caller asks for. `None` leaves it to the environment, then to the default.
#[derive(Clone, Default, PartialEq)]
pub struct ClientOptions {
    /// The project's public key, `LANGFUSE_PUBLIC_KEY`.
    pub public_key: Option<String>,
    /// Its secret key, `LANGFUSE_SECRET_KEY`.
    pub secret_key: Option<String>,
    /// The server, `LANGFUSE_BASE_URL`, then `host`, then `LANGFUSE_HOST`, then Langfuse Cloud.
    pub base_url: Option<String>,
    /// The older name of `base_url`; comes after the environment's `LANGFUSE_BASE_URL`, as in the Langfuse SDKs.
    pub host: Option<String>,
    /// One request's total time, `LANGFUSE_TIMEOUT` in seconds.
    pub timeout: Option<f64>,
    /// `LANGFUSE_TRACING_ENABLED`; only `false` disables.
    pub tracing_enabled: Option<bool>,
    /// Observations that make a batch due, `LANGFUSE_FLUSH_AT`.
    pub flush_at: Option<f64>,
    /// Seconds that observations wait for company, `LANGFUSE_FLUSH_INTERVAL`.
    pub flush_interval: Option<f64>,
    /// Stamped on every observation and score, `LANGFUSE_TRACING_ENVIRONMENT`.
    pub environment: Option<String>,
    /// Stamped on every observation, `LANGFUSE_RELEASE`, then what build services set.
    pub release: Option<String>,
    /// Share of traces kept, `LANGFUSE_SAMPLE_RATE`.
    pub sample_rate: Option<f64>,
    /// Sent with every request; they override ours of the same name.
    pub additional_headers: Vec<(String, String)>,
    /// Where any other backend than Langfuse takes traces over OTLP/HTTP: the whole address, or a bare host, which gets
    /// `/v1/traces`. No keys are needed and none are sent; `additional_headers` carry what the backend asks for.
    /// `TRACESPOOL_OTLP_ENDPOINT`; see [`crate::backend`] for when that is read.
    pub otlp_endpoint: Option<String>,
    /// Whose attributes observations are written in towards `otlp_endpoint`, `TRACESPOOL_DIALECT`; OpenTelemetry's own
    /// where nothing is said. Without an endpoint it is always Langfuse's.
    pub dialect: Option<Dialect>,
    /// `service.name` towards `otlp_endpoint`, `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// Whether observations go out as gzip, `LANGFUSE_OTEL_COMPRESSION` (`gzip` or `none`).
    pub gzip: Option<bool>,
    /// A parent that its own tracer has not sampled takes the observations below it with it.
    pub follow_parent_sampling: bool,
}

impl std::fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientOptions")
            .field("public_key", &self.public_key)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// Where build services put the commit that they build, in the Langfuse SDK's order.
const RELEASE_VARIABLES: [&str; 11] = [
    "LANGFUSE_RELEASE",
    "RENDER_GIT_COMMIT",
    "CI_COMMIT_SHA",
    "CIRCLE_SHA1",
    "SOURCE_VERSION",
    "TRAVIS_COMMIT",
    "GIT_COMMIT",
    "GITHUB_SHA",
    "BITBUCKET_COMMIT",
    "BUILD_SOURCEVERSION",
    "DRONE_COMMIT_SHA",
];

/// A handle's settings, checked. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// What the cache holds the destination by.
    pub key: DestinationKey,
    /// The destination's public key; of an OTLP backend the endpoint's address, where no key names it.
    pub public_key: String,
    /// True for an OTLP backend that is addressed as such: no keys, no scores, no prompts.
    pub backend: bool,
    /// Whose attributes observations are written in.
    pub dialect: Dialect,
    /// `service.name`, where it is not the process's own.
    pub service_name: Option<String>,
    /// Where requests go, credentials included; `None` without usable keys or address.
    pub endpoint: Option<Endpoint>,
    /// False where tracing is switched off. Prompts are there all the same, as in the Langfuse SDKs.
    pub tracing: bool,
    /// Path of the OTLP endpoint below the base URL.
    pub otlp_path: String,
    /// One request's total time.
    pub timeout: Duration,
    /// Observations that make a batch due.
    pub flush_at: u32,
    /// How long observations wait for company.
    pub flush_interval: Duration,
    /// Stamped on every observation and score.
    pub environment: Option<String>,
    /// Stamped on every observation.
    pub release: Option<String>,
    /// Which traces are kept.
    pub sampler: Sampler,
    /// See [`ClientOptions::follow_parent_sampling`].
    pub follow_parent_sampling: bool,
    /// Whether observations go out as gzip.
    pub gzip: bool,
    /// Whether media are taken out of values and uploaded, `LANGFUSE_MEDIA_UPLOAD_ENABLED`; only `false` and `0` say no.
    /// Never for another backend than Langfuse, which has no place for them: there they stay in the value.
    pub media: bool,
    /// How long a prompt is fresh, `LANGFUSE_PROMPT_CACHE_DEFAULT_TTL_SECONDS`.
    pub prompt_ttl: Duration,
}

impl ClientSettings {
    /// False where nothing is recorded: disabled, or without usable keys or address.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.tracing && self.endpoint.is_some()
    }

    /// Checks options against the environment. Never fails: what cannot be used is told in `problems` and the default
    /// stands; without usable keys or address the client is disabled and the application runs on.
    #[must_use]
    pub fn resolve(
        options: ClientOptions,
        env: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<String>,
    ) -> Self {
        let set = |name: &str| env(name).filter(|text| !text.trim().is_empty());
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let asked = Asked::of(&options, env, problems);
        let label = given(options.public_key.clone());
        let service_name = given(options.service_name).filter(|_| {
            if asked.is_none() {
                problems.push(
                    "service_name has no effect without otlp_endpoint; set OTEL_SERVICE_NAME for the whole process".into(),
                );
            }
            asked.is_some()
        });
        let disabled = options.tracing_enabled == Some(false)
            || (options.tracing_enabled.is_none()
                && set("LANGFUSE_TRACING_ENABLED").is_some_and(|text| {
                    let text = text.trim().to_ascii_lowercase();
                    if !["true", "false", "1", ""].contains(&text.as_str()) {
                        let value = shown(&text);
                        problems.push(
                            [
                                "LANGFUSE_TRACING_ENABLED ",
                                &value,
                                " is neither true nor false; tracing is on",
                            ]
                            .concat(),
                        );
                    }
                    text == "false"
                }));
        let mut public_key = given(options.public_key).or_else(|| set("LANGFUSE_PUBLIC_KEY"));
        let secret_key = given(options.secret_key).or_else(|| set("LANGFUSE_SECRET_KEY"));
        let base_url = given(options.base_url)
            .or_else(|| set("LANGFUSE_BASE_URL"))
            .or_else(|| given(options.host))
            .or_else(|| set("LANGFUSE_HOST"))
            .unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());

        let in_range = |value: Option<f64>,
                        argument: &str,
                        name: &str,
                        min: f64,
                        max: f64,
                        problems: &mut Vec<String>| match value {
            Some(value) if (min..=max).contains(&value) => Some(value),
            Some(value) => {
                problems.push(beyond(argument, &number::text(value), min, max));
                None
            }
            None => number(env, name, min, max, problems),
        };
        let timeout = in_range(options.timeout, "timeout", "LANGFUSE_TIMEOUT", 0.001, 3600.0, problems);
        let flush_at = in_range(options.flush_at, "flush_at", "LANGFUSE_FLUSH_AT", 1.0, 100_000.0, problems);
        let flush_interval = in_range(
            options.flush_interval,
            "flush_interval",
            "LANGFUSE_FLUSH_INTERVAL",
            0.001,
            3600.0,
            problems,
        );
        let sample_rate =
            in_range(options.sample_rate, "sample_rate", "LANGFUSE_SAMPLE_RATE", 0.0, 1.0, problems);
        let environment =
            given(options.environment).or_else(|| set("LANGFUSE_TRACING_ENVIRONMENT")).and_then(|value| {
                let lower = value.trim().to_ascii_lowercase();
                match check_environment(&lower) {
                    Ok(()) => Some(lower),
                    Err(problem) => {
                        problems.push(problem + "; it is not sent");
                        None
                    }
                }
            });
        let gzip = options.gzip.or_else(|| {
            let names = [
                "LANGFUSE_OTEL_COMPRESSION",
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ];
            let (name, text) = names.into_iter().find_map(|name| set(name).map(|text| (name, text)))?;
            match text.trim().to_ascii_lowercase().as_str() {
                "gzip" => Some(true),
                "none" => Some(false),
                _ => {
                    problems
                        .push([name, "=", &shown(&text), " is neither gzip nor none; gzip is used"].concat());
                    None
                }
            }
        });
        let mut otlp_path = set("LANGFUSE_OTEL_TRACES_EXPORT_PATH")
            .map_or_else(|| OTLP_PATH.to_owned(), |path| ["/", path.trim_start_matches('/')].concat());

        let prompt_ttl =
            number(env, "LANGFUSE_PROMPT_CACHE_DEFAULT_TTL_SECONDS", 0.0, 31_536_000.0, problems);
        let endpoint = if disabled && (public_key.is_none() || secret_key.is_none()) {
            // Whoever switches tracing off need not have keys.
            None
        } else if let Some(asked) = &asked {
            let headers = checked_headers(options.additional_headers, problems);
            let backend = asked.resolve(label.as_deref(), service_name.as_deref(), headers, problems);
            public_key = label;
            backend.map(|backend| {
                (otlp_path, public_key) = (backend.path, Some(backend.label));
                (backend.endpoint, backend.key)
            })
        } else {
            Self::endpoint(
                public_key.as_deref(),
                secret_key.as_deref(),
                &base_url,
                options.additional_headers,
                problems,
            )
        };
        let media = asked.is_none()
            && set("LANGFUSE_MEDIA_UPLOAD_ENABLED")
                .is_none_or(|text| !matches!(text.trim().to_ascii_lowercase().as_str(), "false" | "0"));
        let (endpoint, key) = match endpoint {
            Some((endpoint, key)) => (Some(endpoint), key),
            None => (
                None,
                DestinationKey::new(
                    &BaseUrl { tls: false, host: String::new(), port: 0, path: String::new() },
                    "",
                    "",
                    &[],
                ),
            ),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Self {
            key,
            public_key: public_key.unwrap_or_default(),
            backend: asked.is_some(),
            dialect: asked.map(|asked| asked.dialect).unwrap_or_default(),
            service_name,
            endpoint,
            tracing: !disabled,
            otlp_path,
            timeout: timeout.map_or(REQUEST_TIMEOUT, Duration::from_secs_f64),
            flush_at: flush_at.map_or(FLUSH_AT, |count| count as u32),
            flush_interval: flush_interval.map_or(FLUSH_INTERVAL, Duration::from_secs_f64),
            environment,
            release: given(options.release).or_else(|| RELEASE_VARIABLES.into_iter().find_map(set)),
            sampler: sample_rate.and_then(|rate| Sampler::new(rate).ok()).unwrap_or(Sampler::ALL),
            follow_parent_sampling: options.follow_parent_sampling,
            gzip: gzip.unwrap_or(true),
            media,
            prompt_ttl: prompt_ttl.map_or(PROMPT_TTL, Duration::from_secs_f64),
        }
    }

    fn endpoint(
        public_key: Option<&str>,
        secret_key: Option<&str>,
        base_url: &str,
        additional: Vec<(String, String)>,
        problems: &mut Vec<String>,
    ) -> Option<(Endpoint, DestinationKey)> {
        let (Some(public_key), Some(secret_key)) = (public_key, secret_key) else {
            let missing = match (public_key, secret_key) {
                (None, None) => "public_key and secret_key are",
                (None, _) => "public_key is",
                _ => "secret_key is",
            };
            let mend =
                " missing: nothing is traced. Pass them or set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY";
            problems.push([missing, mend].concat());
            return None;
        };
        let url = match BaseUrl::parse(base_url) {
            Ok(url) => url,
            Err(problem) => {
                problems.push(problem + ": nothing is traced");
                return None;
            }
        };
        if let Err(problem) =
            check_header("public_key", public_key).and_then(|()| check_header("secret_key", secret_key))
        {
            problems.push(problem + ": nothing is traced");
            return None;
        }
        let extra = checked_headers(additional, problems);
        let key = DestinationKey::new(&url, public_key, secret_key, &extra);
        let mut headers = vec![
            ("authorization".to_owned(), basic_auth(public_key, secret_key)),
            // Without this header rows appear with ten minutes' delay. Source: server behaviour.
            ("x-langfuse-ingestion-version".to_owned(), "4".to_owned()),
            ("x-langfuse-sdk-name".to_owned(), "tracespool".to_owned()),
            ("x-langfuse-sdk-version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("x-langfuse-public-key".to_owned(), public_key.to_owned()),
        ];
        headers.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        headers.extend(extra);
        Some((Endpoint::new(url, headers), key))
    }
}

/// A caller's headers in lower case and in order, without what would break a request.
pub(crate) fn checked_headers(
    additional: Vec<(String, String)>,
    problems: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut extra = Vec::with_capacity(additional.len());
    for (name, value) in additional {
        let name = name.to_ascii_lowercase();
        if let Err(problem) = check_header(&name, &value) {
            problems.push(["additional_headers: ", &problem, "; it is not sent"].concat());
        } else if matches!(
            name.as_str(),
            "host"
                | "content-length"
                | "content-type"
                | "content-encoding"
                | "transfer-encoding"
                | "connection"
        ) {
            problems.push(
                ["additional_headers: ", &shown(&name), " is set by the transport; it is not sent"].concat(),
            );
        } else {
            extra.push((name, value));
        }
    }
    extra.sort();
    extra
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn resolve(options: ClientOptions, env: &[(&str, &str)]) -> (ClientSettings, Vec<String>) {
        let mut problems = Vec::new();
        let env: Vec<(String, String)> = env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let get = move |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        (ClientSettings::resolve(options, &get, &mut problems), problems)
    }

    fn keys() -> ClientOptions {
        ClientOptions {
            public_key: Some("pk".into()),
            secret_key: Some("sk-secret".into()),
            ..ClientOptions::default()
        }
    }

    #[test]
    fn base_urls_come_in_the_sdks_order() {
        let env = [("LANGFUSE_BASE_URL", "http://a"), ("LANGFUSE_HOST", "http://b")];
        let host = |options, env: &[(&str, &str)]| resolve(options, env).0.endpoint.unwrap().url.host;
        assert_eq!(host(ClientOptions { base_url: Some("http://x".into()), ..keys() }, &env), "x");
        assert_eq!(host(ClientOptions { host: Some("http://h".into()), ..keys() }, &env), "a");
        assert_eq!(host(ClientOptions { host: Some("http://h".into()), ..keys() }, &env[1..]), "h");
        assert_eq!(host(keys(), &env[1..]), "b");
        assert_eq!(host(keys(), &[]), "cloud.langfuse.com");
    }

    #[test]
    fn unreadable_numbers_are_told_and_do_not_stand() {
        let (settings, problems) = resolve(
            keys(),
            &[("LANGFUSE_TIMEOUT", "soon"), ("LANGFUSE_SAMPLE_RATE", "2"), ("LANGFUSE_FLUSH_AT", "0")],
        );
        assert_eq!((settings.timeout, settings.flush_at), (REQUEST_TIMEOUT, FLUSH_AT));
        assert_eq!(problems.len(), 3);
        assert!(problems[0].contains("LANGFUSE_TIMEOUT") && problems[0].contains("soon"));
    }

    #[test]
    fn missing_keys_and_the_switch_disable() {
        let (settings, problems) = resolve(ClientOptions::default(), &[]);
        assert!(!settings.enabled() && problems.len() == 1 && problems[0].contains("LANGFUSE_PUBLIC_KEY"));
        let (settings, problems) = resolve(keys(), &[("LANGFUSE_TRACING_ENABLED", "False")]);
        assert!(!settings.enabled() && problems.is_empty());
        // Prompts can be read all the same.
        assert!(settings.endpoint.is_some());
        let (settings, _) = resolve(
            ClientOptions { tracing_enabled: Some(true), ..keys() },
            &[("LANGFUSE_TRACING_ENABLED", "false")],
        );
        assert!(settings.enabled());
    }

    #[test]
    fn secrets_stay_out_of_debug_and_problems() {
        let (settings, problems) = resolve(
            ClientOptions {
                secret_key: Some("sk-secret\n".into()),
                base_url: Some("nonsense".into()),
                ..keys()
            },
            &[],
        );
        assert!(!format!("{settings:?} {problems:?} {:?}", keys()).contains("sk-secret"));
        let (settings, _) = resolve(keys(), &[]);
        assert!(!format!("{settings:?}").contains("sk-secret"));
    }

    #[test]
    fn headers_that_the_transport_owns_are_refused() {
        let options = ClientOptions {
            additional_headers: vec![
                ("Host".into(), "x".into()),
                ("X-A".into(), "1".into()),
                ("X-Langfuse-Sdk-Name".into(), "mine".into()),
            ],
            ..keys()
        };
        let (settings, problems) = resolve(options, &[]);
        let headers = settings.endpoint.unwrap().headers;
        assert_eq!(problems.len(), 1);
        assert!(headers.contains(&("x-a".into(), "1".into())));
        assert_eq!(headers.iter().filter(|(name, _)| name == "x-langfuse-sdk-name").count(), 1);
    }
}
