//! What comes back, as JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::Writer;
use crate::notice::{Notice, NoticeKind};
use crate::prompt::{Answer, Kind, PromptError};
use crate::transport::{Failure, FailureKind, Outcome};

fn text(value: &impl Serialize) -> String {
    // Only maps with keys that are no text fail, and there are none.
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize)]
struct Found<'a> {
    prompt: Prompt<'a>,
}

#[derive(Serialize)]
struct Prompt<'a> {
    name: &'a str,
    version: i64,
    r#type: &'static str,
    prompt: Content<'a>,
    config: Option<&'a RawValue>,
    labels: &'a [String],
    tags: &'a [String],
    commit_message: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Chat(Option<&'a RawValue>),
}

#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl<'a> Failed<'a> {
    fn of(failure: &'a Failure) -> Self {
        let kind = if failure.kind == FailureKind::Timeout { "timeout" } else { "failed" };
        Self { error: &failure.detail, kind, status: None }
    }
}

/// A prompt, or why there is none.
pub(super) fn prompt(answer: &Answer) -> String {
    match answer {
        Ok(prompt) => {
            let content = match prompt.kind {
                Kind::Chat => Content::Chat(serde_json::from_str(&prompt.content).ok()),
                Kind::Text => Content::Text(&prompt.content),
            };
            text(&Found {
                prompt: Prompt {
                    name: &prompt.name,
                    version: prompt.version,
                    r#type: if prompt.kind == Kind::Chat { "chat" } else { "text" },
                    prompt: content,
                    config: serde_json::from_str(&prompt.config).ok(),
                    labels: &prompt.labels,
                    tags: &prompt.tags,
                    commit_message: prompt.commit_message.as_deref(),
                },
            })
        }
        Err(PromptError::Refused { status, body }) => {
            text(&Failed { error: body, kind: "refused", status: Some(*status) })
        }
        Err(PromptError::Failed(failure)) => text(&Failed::of(failure)),
    }
}

/// A server's answer, or why there is none.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response(response) => {
            let mut out = Writer::new();
            out.begin("", b'{')
                .whole("status", response.status.into())
                .text("body", &String::from_utf8_lossy(&response.body))
                .end(b'}');
            out.finish()
        }
        Outcome::Failed(failure) => text(&Failed::of(failure)),
    }
}

/// What could not even be asked.
pub(super) fn refused(sentence: &str) -> String {
    text(&Failed { error: sentence, kind: "failed", status: None })
}

/// Lines for the log; empty for none.
pub(super) fn notices(notices: &[Notice]) -> String {
    if notices.is_empty() {
        return String::new();
    }
    let mut out = Writer::new();
    out.begin("", b'[');
    for notice in notices {
        out.begin("", b'{');
        let kind = match &notice.kind {
            NoticeKind::Dropped { lane, reason } => {
                out.text("lane", lane.as_str()).text("reason", reason.as_str());
                "dropped"
            }
            NoticeKind::Configuration => "configuration",
            NoticeKind::Server => "server",
            NoticeKind::CacheThrashing => "cache_thrashing",
            NoticeKind::Panic => "panic",
        };
        out.text("kind", kind)
            .text("public_key", &notice.public_key)
            .text("message", &notice.message)
            .whole("count", notice.count)
            .end(b'}');
    }
    out.end(b']');
    out.finish()
}
