//! Prompts: kept on the server, read by name, cached here.
//!
//! [`cache`] decides what is fresh, stale, being fetched or known to fail; [`fetch`] carries it out over the control lane.
//! The cache belongs to the process and is keyed by destination, so that no client ever sees what another's key may read.

pub mod cache;
pub mod fetch;

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::key::DestinationKey;
use crate::transport::{Failure, FailureKind, Outcome, Phase, Response};

/// Error bodies kept: a sentence and a code.
const MAX_ERROR_BODY: usize = 16 * 1024;

/// Which version is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// This one.
    Version(i64),
    /// The one that carries this label.
    Label(Arc<str>),
}

impl Which {
    /// What the server gives where neither is named.
    #[must_use]
    pub fn production() -> Self {
        Self::Label("production".into())
    }
}

/// What a prompt is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One text.
    Text,
    /// A list of messages and placeholders.
    Chat,
}

/// What the cache holds a prompt by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PromptKey {
    /// Base URL, keys and headers: a wrong secret never sees the right one's entry.
    pub destination: DestinationKey,
    /// The prompt's name.
    pub name: Arc<str>,
    /// What the caller takes it for.
    pub kind: Kind,
    /// Which version.
    pub which: Which,
}

impl PromptKey {
    /// Path and query below the base URL.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!("/api/public/v2/prompts/{}", encoded(&self.name));
        let _ = match &self.which {
            Which::Version(version) => write!(path, "?version={version}"),
            Which::Label(label) => write!(path, "?label={}", encoded(label)),
        };
        path
    }
}

/// Percent-encoded but for RFC 3986's unreserved characters: a name may hold slashes, and they are part of it.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A version of a prompt as the server gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: i64,
    /// Text or chat.
    pub kind: Kind,
    /// The text, or the list of messages as JSON.
    pub content: String,
    /// The configuration as JSON.
    pub config: String,
    /// The labels of this version.
    pub labels: Vec<String>,
    /// The tags of all its versions.
    pub tags: Vec<String>,
    /// What whoever made this version said of it.
    pub commit_message: Option<String>,
    /// Bytes that it came in.
    pub size: usize,
}

/// As it stands on the wire. What is absent or null is empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    name: String,
    version: i64,
    #[serde(borrow)]
    prompt: &'a RawValue,
    #[serde(default, borrow)]
    config: Option<&'a RawValue>,
    #[serde(default)]
    labels: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    commit_message: Option<String>,
}

impl Prompt {
    /// Reads an answer's body.
    ///
    /// # Errors
    ///
    /// What is missing or of the wrong form.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let raw = wire.prompt.get();
        let (kind, content) = match raw.as_bytes().first() {
            Some(b'"') => (Kind::Text, serde_json::from_str(raw).map_err(|error| error.to_string())?),
            Some(b'[') => (Kind::Chat, raw.to_owned()),
            _ => return Err("prompt is neither a text nor a list".to_owned()),
        };
        Ok(Self {
            name: wire.name,
            version: wire.version,
            kind,
            content,
            config: wire.config.map_or_else(|| "null".to_owned(), |config| config.get().to_owned()),
            labels: wire.labels.unwrap_or_default(),
            tags: wire.tags.unwrap_or_default(),
            commit_message: wire.commit_message,
            size: body.len(),
        })
    }
}

/// Why there is no prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptError {
    /// The server refused; 404 says that there is none.
    Refused {
        /// The status.
        status: u16,
        /// What it said, a bounded piece of it.
        body: Arc<str>,
    },
    /// No answer came, or none that could be read.
    Failed(Failure),
}

impl PromptError {
    /// True where the server says that there is no such prompt.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// What a caller gets.
pub type Answer = Result<Arc<Prompt>, PromptError>;

/// What an outcome says.
///
/// # Errors
///
/// Why there is no prompt.
pub fn answer(outcome: Outcome) -> Answer {
    let response: Response = match outcome {
        Outcome::Response(response) => response,
        Outcome::Failed(failure) => return Err(PromptError::Failed(failure)),
    };
    if (200..300).contains(&response.status) {
        return Prompt::read(&response.body).map(Arc::new).map_err(|reason| {
            PromptError::Failed(Failure {
                phase: Phase::Receive,
                kind: FailureKind::Protocol,
                detail: format!("the server's answer is no prompt: {reason}"),
            })
        });
    }
    let kept = response.body.get(..MAX_ERROR_BODY).unwrap_or(&response.body);
    let body = String::from_utf8_lossy(kept).into_owned().into();
    Err(PromptError::Refused { status: response.status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_nobody_knows_is_left_out() {
        let body = br#"{"id":"x","name":"a/b","version":3,"type":"text","prompt":"hi {{x}} \u00e9","config":{"t": 1.0, "n":18446744073709551616},
            "labels":["production"],"tags":["t"],"commitMessage":"c","resolutionGraph":null,"new":[]}"#;
        let prompt = Prompt::read(body).unwrap();
        assert_eq!((prompt.name.as_str(), prompt.version, prompt.kind), ("a/b", 3, Kind::Text));
        assert_eq!(prompt.content, "hi {{x}} é");
        assert_eq!(prompt.config, r#"{"t": 1.0, "n":18446744073709551616}"#);
        assert_eq!(prompt.commit_message.as_deref(), Some("c"));
        let chat = br#"{"name":"c","version":1,"prompt":[{"role":"user","content":"x"}],"tags":null}"#;
        let prompt = Prompt::read(chat).unwrap();
        assert_eq!(
            (prompt.kind, prompt.content.as_str()),
            (Kind::Chat, r#"[{"role":"user","content":"x"}]"#)
        );
        assert_eq!((prompt.config.as_str(), prompt.labels.len()), ("null", 0));
        for bad in [&b"<html>"[..], br#"{"name":"c"}"#, br#"{"name":"c","version":1,"prompt":7}"#] {
            assert!(Prompt::read(bad).is_err());
        }
    }

    #[test]
    fn names_and_labels_are_encoded() {
        let url = crate::endpoint::BaseUrl::parse("http://h").unwrap();
        let destination = DestinationKey::new(&url, "pk", "sk", &[]);
        let key = |which| PromptKey { destination, name: "a/b c?é".into(), kind: Kind::Text, which };
        assert_eq!(key(Which::Version(2)).path(), "/api/public/v2/prompts/a%2Fb%20c%3F%C3%A9?version=2");
        assert_eq!(
            key(Which::Label("a&b".into())).path(),
            "/api/public/v2/prompts/a%2Fb%20c%3F%C3%A9?label=a%26b"
        );
    }

    #[test]
    fn a_missing_prompt_is_told_apart() {
        let refused = |status| {
            let body = br#"{"message":"no"}"#.to_vec();
            answer(Outcome::Response(Response { status, body, ..Response::default() })).unwrap_err()
        };
        assert!(refused(404).is_missing() && !refused(500).is_missing());
        let html = Response { status: 200, body: b"<html>".to_vec(), ..Response::default() };
        assert!(matches!(answer(Outcome::Response(html)), Err(PromptError::Failed(_))));
    }
}
