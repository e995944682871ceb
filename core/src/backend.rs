//! Clients of any OTLP backend: where their endpoint and headers come from.
//!
//! What a caller passes wins. `TRACESPOOL_OTLP_ENDPOINT` serves callers who pass neither an endpoint nor Langfuse keys or
//! addresses. The variables of the OpenTelemetry SDKs are read only where a dialect is asked for: an application's own
//! spans may go to a place that prompts and answers must not. Headers are read from where the endpoint comes from, so that
//! no vendor gets another one's key.

use bytes::Bytes;

use crate::attr::{SCOPE_LANGFUSE, SCOPE_OTLP};
use crate::config::{ClientOptions, ClientSettings};
use crate::encode::dialect::Dialect;
use crate::encode::otlp::Envelope;
use crate::endpoint::{BaseUrl, Endpoint};
use crate::full::{FULL, Full};
use crate::key::DestinationKey;
use crate::process::Process;

/// Where OTLP over HTTP takes traces below a bare host: the protocol's default path.
pub const TRACES_PATH: &str = "/v1/traces";

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An OTLP endpoint that a client is asked to send to.
#[derive(Clone, PartialEq)]
pub(crate) struct Asked {
    url: String,
    /// The argument or variable that it stands in.
    name: &'static str,
    headers: Vec<(String, String)>,
    pub(crate) dialect: Dialect,
    full: Full,
}

impl Asked {
    /// `None` for a client of Langfuse.
    pub(crate) fn of(options: &ClientOptions, env: Env<'_>, problems: &mut Vec<String>) -> Option<Self> {
        let full = FULL?;
        let set = |name: &str| env(name).filter(|text| !text.trim().is_empty());
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        let langfuse = [&options.public_key, &options.secret_key, &options.base_url, &options.host];
        let explicit = options.otlp_endpoint.clone().filter(|text| !text.trim().is_empty());
        let free = explicit.is_none() && !langfuse.into_iter().any(given);
        let dialect = options.dialect.or_else(|| {
            let word = set("TRACESPOOL_DIALECT").filter(|_| explicit.is_some() || free)?;
            Dialect::parse(&word)
                .map_err(|problem| problems.push(format!("TRACESPOOL_DIALECT: {problem}; it is ignored")))
                .ok()
        });
        for (value, name) in
            [(&options.secret_key, "secret_key"), (&options.base_url, "base_url"), (&options.host, "host")]
        {
            if explicit.is_some() && given(value) {
                problems.push(format!(
                    "{name} has no effect beside otlp_endpoint: no keys are sent there; pass headers, or leave otlp_endpoint out for Langfuse"
                ));
            }
        }
        let foreign = dialect.is_some_and(|dialect| dialect != Dialect::Langfuse);
        let (url, name, headers) = if let Some(url) = explicit {
            (url, "otlp_endpoint", None)
        } else if let Some(url) = set("TRACESPOOL_OTLP_ENDPOINT").filter(|_| free) {
            (url, "TRACESPOOL_OTLP_ENDPOINT", Some("TRACESPOOL_OTLP_HEADERS"))
        } else if !(free && foreign) {
            if foreign {
                problems.push(
                    "dialect is for other backends than Langfuse and has no effect without otlp_endpoint"
                        .into(),
                );
            }
            return None;
        } else if let Some(url) = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            let headers = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
            (url, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", headers.into_iter().find(|name| set(name).is_some()))
        } else if let Some(url) = set("OTEL_EXPORTER_OTLP_ENDPOINT") {
            let url = format!("{}{TRACES_PATH}", url.trim().trim_end_matches('/'));
            let headers = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
            (url, "OTEL_EXPORTER_OTLP_ENDPOINT", headers.into_iter().find(|name| set(name).is_some()))
        } else {
            problems.push(
                "dialect is for other backends than Langfuse and has no effect without otlp_endpoint".into(),
            );
            return None;
        };
        let headers = headers.and_then(set).map(|text| pairs(&text)).unwrap_or_default();
        Some(Self { url, name, headers, dialect: dialect.unwrap_or(Dialect::GenAi), full })
    }

    fn place(&self) -> Result<(BaseUrl, String), String> {
        let mut url = BaseUrl::parse_for(&self.url, self.name, "headers")?;
        let path = std::mem::take(&mut url.path);
        Ok((url, if path.is_empty() { TRACES_PATH.to_owned() } else { path }))
    }

    /// Address, path and key. What cannot be used is told in `problems`, and nothing is traced. `headers` are the
    /// caller's, checked; they win over the environment's.
    pub(crate) fn resolve(
        &self,
        label: Option<&str>,
        service_name: Option<&str>,
        headers: Vec<(String, String)>,
        problems: &mut Vec<String>,
    ) -> Option<Backend> {
        let (url, path) = match self.place() {
            Ok(place) => place,
            Err(problem) => {
                problems.push(format!("{problem}: nothing is traced"));
                return None;
            }
        };
        let mut all = crate::config::checked_headers(self.headers.clone(), problems);
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        all.extend(headers);
        all.sort();
        let parts = [self.dialect.as_str(), label.unwrap_or_default(), service_name.unwrap_or_default()];
        let key = DestinationKey::of_otlp(&url, &path, parts, &all);
        let label = label.map_or_else(|| format!("{url}{path}"), str::to_owned);
        Some(Backend { endpoint: Endpoint::new(url, all), path, key, label })
    }
}

/// An OTLP backend, checked.
pub(crate) struct Backend {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    pub(crate) key: DestinationKey,
    /// What reports and the log call it, in place of a public key.
    pub(crate) label: String,
}

/// What a client that is made from the environment alone is called: its public key, or its endpoint.
#[must_use]
pub fn environment_name(env: Env<'_>) -> Option<String> {
    if env("TRACESPOOL_OTLP_ENDPOINT").is_some() || env("TRACESPOOL_DIALECT").is_some() {
        let asked = Asked::of(&ClientOptions::default(), env, &mut Vec::new());
        if let Some((url, path)) = asked.and_then(|asked| asked.place().ok()) {
            return Some(format!("{url}{path}"));
        }
    }
    env("LANGFUSE_PUBLIC_KEY").filter(|key| !key.trim().is_empty())
}

impl ClientSettings {
    /// The endpoint's whole address, for a client of an OTLP backend.
    #[must_use]
    pub fn otlp_endpoint(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref().filter(|_| self.backend)?;
        Some(format!("{}{}", endpoint.url, self.otlp_path))
    }

    /// Refuses what Langfuse's servers alone have, on a client of another backend.
    ///
    /// # Errors
    ///
    /// A sentence that names the mend.
    pub fn langfuse_only(&self, what: &str) -> Result<(), String> {
        match self.otlp_endpoint() {
            None => Ok(()),
            Some(address) => Err(format!(
                "{what} need a Langfuse server; this client sends traces to {address} over OTLP and to nothing else. \
                 Make a Client(public_key=..., secret_key=..., base_url=...) for them"
            )),
        }
    }

    /// An export request without a span: what a backend is asked with whether it takes any. `None` for Langfuse's own.
    #[must_use]
    pub fn empty_export(&self, process: &Process) -> Option<Bytes> {
        self.envelope(&process.shared().envelope.load()).map(|envelope| envelope.prefix(0))
    }

    /// Resource and scope around this client's spans, where they are not the process's own.
    pub(crate) fn envelope(&self, process: &Envelope) -> Option<Envelope> {
        if FULL.is_none() || !self.backend {
            return None;
        }
        let scope = if self.dialect == Dialect::Langfuse { SCOPE_LANGFUSE } else { SCOPE_OTLP };
        Some(process.with(scope, self.service_name.as_deref()))
    }
}

/// `key=value,...`, percent-encoded, as OpenTelemetry's variables hold headers.
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), percent_decoded(value.trim())))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// Text with its `%41` read; what is no such is kept.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::resolve;

    fn to(endpoint: &str) -> ClientOptions {
        ClientOptions { otlp_endpoint: Some(endpoint.into()), ..ClientOptions::default() }
    }

    #[test]
    fn an_endpoint_needs_no_keys_and_gets_none() {
        let env = [
            ("LANGFUSE_PUBLIC_KEY", "pk"),
            ("LANGFUSE_SECRET_KEY", "sk"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
        ];
        let options = ClientOptions {
            additional_headers: vec![("X-Key".into(), "secret".into())],
            ..to("http://h:6006")
        };
        let (settings, problems) = resolve(options, &env);
        assert_eq!(
            (settings.otlp_endpoint().as_deref(), problems.len()),
            (Some("http://h:6006/v1/traces"), 0)
        );
        assert_eq!(
            (settings.dialect, settings.public_key.as_str()),
            (Dialect::GenAi, "http://h:6006/v1/traces")
        );
        assert_eq!(settings.endpoint.as_ref().unwrap().headers, [("x-key".to_owned(), "secret".to_owned())]);
        assert!(!format!("{settings:?}").contains("secret"));
        let (settings, _) = resolve(to("http://h/api/otel/v1/traces/"), &[]);
        assert_eq!(settings.otlp_endpoint().as_deref(), Some("http://h/api/otel/v1/traces"));
    }

    #[test]
    fn endpoint_headers_dialect_and_service_make_a_destination() {
        let key = |options: ClientOptions| resolve(options, &[]).0.key;
        let base = || to("http://h/v1/traces");
        assert_eq!(key(base()), key(to("http://h")));
        let header = |value: &str| vec![("x".to_owned(), value.to_owned())];
        let others = [
            to("http://h/v1/other"),
            ClientOptions { additional_headers: header("1"), ..base() },
            ClientOptions { additional_headers: header("2"), ..base() },
            ClientOptions { dialect: Some(Dialect::OpenInference), ..base() },
            ClientOptions { service_name: Some("shop".into()), ..base() },
            ClientOptions { public_key: Some("tenant".into()), ..base() },
        ];
        let mut keys: Vec<_> = others.into_iter().map(key).collect();
        keys.push(key(base()));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 7);
    }

    #[test]
    fn the_environment_serves_those_who_say_nothing() {
        let ours =
            [("TRACESPOOL_OTLP_ENDPOINT", "http://ours"), ("TRACESPOOL_OTLP_HEADERS", "k=a%20b, broken,=x")];
        let theirs =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318/"), ("OTEL_EXPORTER_OTLP_HEADERS", "t=1")];
        let keys = [("LANGFUSE_PUBLIC_KEY", "pk"), ("LANGFUSE_SECRET_KEY", "sk")];
        let place = |options: ClientOptions, env: &[(&str, &str)]| resolve(options, env).0.otlp_endpoint();
        let all: Vec<_> = ours.iter().chain(&theirs).chain(&keys).copied().collect();
        assert_eq!(place(ClientOptions::default(), &all).as_deref(), Some("http://ours/v1/traces"));
        assert_eq!(place(to("http://x"), &all).as_deref(), Some("http://x/v1/traces"));
        let langfuse = ClientOptions { public_key: Some("pk".into()), ..ClientOptions::default() };
        assert_eq!(place(langfuse, &all), None);
        let (settings, _) = resolve(ClientOptions::default(), &ours);
        assert_eq!(settings.endpoint.unwrap().headers, [("k".to_owned(), "a b".to_owned())]);
        // The SDKs' own variables: only for who asks for a dialect.
        let foreign: Vec<_> = theirs.iter().chain(&keys).copied().collect();
        assert_eq!(place(ClientOptions::default(), &foreign), None);
        let asks = || ClientOptions { dialect: Some(Dialect::OpenInference), ..ClientOptions::default() };
        assert_eq!(place(asks(), &foreign).as_deref(), Some("http://theirs:4318/v1/traces"));
        let (settings, _) =
            resolve(asks(), &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x"), theirs[0], theirs[1]]);
        assert_eq!(settings.otlp_endpoint().as_deref(), Some("http://t/x"));
        assert_eq!(settings.endpoint.unwrap().headers, [("t".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn what_cannot_be_used_is_told_without_secrets() {
        let (settings, problems) = resolve(to("http://user:sesame@h"), &[]);
        assert!(!settings.enabled() && problems.len() == 1);
        assert!(
            problems[0].contains("otlp_endpoint")
                && problems[0].contains("headers")
                && !problems[0].contains("sesame")
        );
        let (settings, problems) = resolve(to("h:6006"), &[]);
        assert!(!settings.enabled() && problems[0].starts_with("otlp_endpoint must start with http"));
        let lone = ClientOptions { dialect: Some(Dialect::GenAi), ..ClientOptions::default() };
        let (_, problems) = resolve(lone, &[]);
        assert!(problems[0].contains("otlp_endpoint"));
        let keyed = ClientOptions { secret_key: Some("sesame".into()), ..to("http://h") };
        let (settings, problems) = resolve(keyed, &[]);
        assert!(settings.enabled() && problems.len() == 1);
        assert!(problems[0].starts_with("secret_key has no effect") && !problems[0].contains("sesame"));
        let named = ClientOptions { service_name: Some("s".into()), ..ClientOptions::default() };
        let (_, problems) = resolve(named, &[("LANGFUSE_PUBLIC_KEY", "pk"), ("LANGFUSE_SECRET_KEY", "sk")]);
        assert!(problems.len() == 1 && problems[0].contains("OTEL_SERVICE_NAME"));
        let (settings, problems) = resolve(to("http://h"), &[("TRACESPOOL_DIALECT", "klingon")]);
        assert!(
            settings.enabled() && problems[0].contains("klingon") && problems[0].contains("openinference")
        );
    }

    #[test]
    fn the_environments_own_client_has_a_name() {
        let name = |env: &[(&str, &str)]| {
            environment_name(&|name: &str| {
                env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(name(&[]), None);
        assert_eq!(name(&[("LANGFUSE_PUBLIC_KEY", "pk")]).as_deref(), Some("pk"));
        let both = [("LANGFUSE_PUBLIC_KEY", "pk"), ("TRACESPOOL_OTLP_ENDPOINT", "http://H/")];
        assert_eq!(name(&both).as_deref(), Some("http://h/v1/traces"));
    }

    #[test]
    fn what_only_langfuse_has_is_refused_with_the_mend() {
        let (settings, _) = resolve(to("http://h"), &[]);
        let error = settings.langfuse_only("scores").unwrap_err();
        assert!(error.contains("http://h/v1/traces") && error.contains("public_key"));
    }
}
