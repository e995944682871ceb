//! The two headers of an answer that somebody acts on: `Content-Type` and `Retry-After`.

use std::time::Duration;

use ureq_proto::http::{HeaderMap, header};

use crate::native::clock;
use crate::retry_after::parse;

/// The content type in lower case without parameters, and how long the server asks to be left alone.
pub(crate) fn response_headers(headers: &HeaderMap) -> (String, Option<Duration>) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let essence = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    (
        essence.trim().to_ascii_lowercase(),
        text(header::RETRY_AFTER).and_then(|value| parse(value, clock::unix())),
    )
}
