//! Scores as JSON: one object each, sent as an array to the score endpoint or as events to the ingestion endpoint.
//! Ids and timestamps are always ours: a server drops a score without an id and answers 201.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::pipeline::{Item, Wrapper};
use crate::transport::Payload;

/// The body for `POST /api/public/scores`.
pub(crate) fn array<'a>(items: impl Iterator<Item = &'a Item>) -> Payload {
    let mut chunks = vec![Bytes::from_static(b"[")];
    for item in items {
        if chunks.len() > 1 {
            chunks.push(Bytes::from_static(b","));
        }
        chunks.push(item.payload.clone());
    }
    chunks.push(Bytes::from_static(b"]"));
    Payload::new(chunks)
}

/// The body for `POST /api/public/ingestion`.
pub(crate) fn ingestion<'a>(items: impl Iterator<Item = &'a Item>) -> Payload {
    let mut chunks = vec![Bytes::from_static(b"{\"batch\":[")];
    for item in items {
        if chunks.len() > 1 {
            chunks.push(Bytes::from_static(b","));
        }
        if let Some(Wrapper::Event(wrapper, _)) = &item.wrapper {
            chunks.push(Bytes::copy_from_slice(wrapper));
        }
        chunks.push(item.payload.clone());
        chunks.push(Bytes::from_static(b"}"));
    }
    chunks.push(Bytes::from_static(b"]}"));
    Payload::new(chunks)
}

/// What goes before a score's object to make it an event; a closing brace goes after it. The event has the score's own
/// id, so that a repeated request overwrites the same file on the server.
pub(crate) fn wrapper(id: &str, timestamp: &str) -> Box<[u8]> {
    let head = Json::Object(Map::from_iter([
        ("id".to_owned(), id.into()),
        ("timestamp".to_owned(), timestamp.into()),
        ("type".to_owned(), "score-create".into()),
    ]));
    let mut text = head.to_string();
    text.pop();
    text.push_str(",\"body\":");
    text.into_bytes().into_boxed_slice()
}

/// How many of `sent` scores an answer took and how many it refused; the rest it did not mention.
pub(crate) fn verdict(status: u16, body: &[u8], sent: u64) -> (u64, u64) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        rejected: Option<u64>,
        successes: Option<Vec<Json>>,
        errors: Option<Vec<Json>>,
    }
    if status != 207 {
        return (sent, 0);
    }
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    match answer {
        Answer { rejected: Some(rejected), .. } => {
            let rejected = rejected.min(sent);
            (sent - rejected, rejected)
        }
        Answer { successes: Some(successes), errors, .. } => {
            let refused = (errors.map_or(0, |errors| errors.len()) as u64).min(sent);
            ((successes.len() as u64).min(sent - refused), refused)
        }
        Answer { errors: Some(errors), .. } => {
            let refused = (errors.len() as u64).min(sent);
            (sent - refused, refused)
        }
        // A 207 that cannot be read says nothing about any item.
        Answer { errors: None, .. } => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::full::FULL;
    use std::time::Duration;

    fn item(id: &str) -> Item {
        let payload = format!("{{\"id\":\"{id}\"}}").into();
        Item {
            payload,
            wrapper: FULL.map(|full| Wrapper::Event(wrapper(id, "2026-01-01T00:00:00Z"), full)),
            content: None,
            submitted: 0,
            timeout: Duration::ZERO,
        }
    }

    #[test]
    fn both_forms_are_json() {
        let items = [item("a"), item("b\"c")];
        assert!(serde_json::from_slice::<Json>(&array(items[..1].iter()).to_vec()).is_ok());
        let body: Json = serde_json::from_slice(&ingestion(items[..1].iter()).to_vec()).unwrap();
        assert_eq!(body["batch"][0]["type"], "score-create");
        assert_eq!(body["batch"][0]["body"]["id"], "a");
    }

    #[test]
    fn a_207_is_counted_per_item() {
        assert_eq!(verdict(202, b"", 3), (3, 0));
        assert_eq!(verdict(207, br#"{"accepted":1,"rejected":2,"errors":[{"message":"m"}]}"#, 3), (1, 2));
        assert_eq!(verdict(207, br#"{"successes":[{"id":"a"}],"errors":[{"id":"b"}]}"#, 3), (1, 1));
        assert_eq!(verdict(207, b"garbage", 3), (0, 0));
    }
}
