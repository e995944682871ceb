//! `POST /api/public/scores`, and the rules for a score, which the ingestion endpoint shares.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::facets::normalised;
use crate::fault::RejectFirst;
use crate::instant;
use crate::keys::random_hex;
use crate::server::App;
use crate::store::{Ingest, Score};
use crate::wire::Control;

/// The first server version that takes an array.
const ARRAYS_SINCE: (u32, u32) = (4, 59);
const LONGEST_ID: usize = 800;
const LONGEST_TEXT: usize = 500;

pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    Extension(control): Extension<Arc<Control>>,
    reject: Option<Extension<RejectFirst>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::PublicKey)?;
    let port = control.peer().port();
    let bytes = body.len();
    let value: Value = serde_json::from_slice(&body)
        .map_err(|_| Problem::Text(StatusCode::BAD_REQUEST, "Invalid JSON".into()))?;
    match value {
        Value::Array(items) if takes_arrays(&app.server_version) => {
            let reject = reject.map_or(0, |Extension(RejectFirst(count))| count);
            let mut scores = Vec::with_capacity(items.len());
            let mut errors = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                let score = if index < reject {
                    Err("rejected by a fault".to_owned())
                } else {
                    let timestamp = timestamp(&item);
                    timestamp.and_then(|timestamp| read(&item, timestamp, Origin::Rest, port))
                };
                match score {
                    Ok(score) => scores.push(score),
                    Err(error) => errors.push(json!({"message": format!("Score at index {index}: {error}")})),
                }
            }
            let (accepted, rejected) = (scores.len(), errors.len());
            app.store.ingest(Ingest { project, bytes, observations: Vec::new(), scores }).await?;
            if errors.is_empty() {
                return Ok(json_answer(StatusCode::ACCEPTED, &json!({"message": "Accepted"})));
            }
            let body = json!({"accepted": accepted, "rejected": rejected, "errors": errors});
            Ok(json_answer(StatusCode::MULTI_STATUS, &body))
        }
        Value::Object(_) => {
            // Servers that take no arrays look at no timestamp either.
            let timestamp =
                if takes_arrays(&app.server_version) { timestamp(&value) } else { Ok(instant::now()) };
            let score = timestamp.and_then(|timestamp| read(&value, timestamp, Origin::Rest, port));
            let score = score.map_err(Problem::invalid)?;
            let answer = json!({"id": score.id});
            app.store
                .ingest(Ingest { project, bytes, observations: Vec::new(), scores: vec![score] })
                .await?;
            Ok(json_answer(StatusCode::OK, &answer))
        }
        _ => Err(Problem::invalid("Expected object")),
    }
}

fn takes_arrays(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= ARRAYS_SINCE
}

fn timestamp(item: &Value) -> Result<i64, String> {
    match item.get("timestamp") {
        None | Some(Value::Null) => Ok(instant::now()),
        Some(value) => {
            value.as_str().and_then(instant::from_text).ok_or_else(|| "timestamp: Invalid datetime".into())
        }
    }
}

/// Through which door a score came; the rules differ a little.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Rest,
    Ingestion,
}

/// Checks one score and makes a row of it; the error says what is wrong with which field.
pub(crate) fn read(item: &Value, timestamp_ns: i64, origin: Origin, port: u16) -> Result<Score, String> {
    let body = item.as_object().ok_or("Expected object")?;
    let name = text(body, "name")?.filter(|name| !name.is_empty()).ok_or("name: Required")?;
    let id = text(body, "id")?.filter(|id| !id.is_empty());
    let id = match id {
        Some(id) if id.len() > LONGEST_ID => return Err(format!("id: longer than {LONGEST_ID}")),
        Some(id) => id,
        None => random_hex()?,
    };
    let trace_id = text(body, "traceId")?;
    let session_id = text(body, "sessionId")?;
    let dataset_run_id = text(body, "datasetRunId")?;
    let observation_id = text(body, "observationId")?;
    let targets = [&trace_id, &session_id, &dataset_run_id].into_iter().flatten().count();
    if targets != 1 {
        return Err("Provide exactly one of traceId, sessionId, datasetRunId".into());
    }
    if observation_id.is_some() && trace_id.is_none() {
        return Err("observationId: needs a traceId".into());
    }
    let given = text(body, "dataType")?;
    let (data_type, value, string_value) =
        value(body.get("value").unwrap_or(&Value::Null), given.as_deref())?;
    let source = text(body, "source")?.unwrap_or_else(|| "API".into());
    let known = match origin {
        Origin::Rest => matches!(source.as_str(), "API" | "ANNOTATION"),
        Origin::Ingestion => matches!(source.as_str(), "API" | "EVAL" | "ANNOTATION"),
    };
    if !known {
        return Err("source: Invalid enum value".into());
    }
    let config_id = text(body, "configId")?;
    if data_type == "CORRECTION" && (config_id.is_some() || trace_id.is_none()) {
        return Err("CORRECTION: needs a traceId and no configId".into());
    }
    Ok(Score {
        id,
        name: if data_type == "CORRECTION" { "output".into() } else { name },
        trace_id,
        observation_id,
        session_id,
        dataset_run_id,
        value,
        string_value,
        data_type,
        comment: text(body, "comment")?,
        metadata: body.get("metadata").filter(|value| !value.is_null()).map(Value::to_string),
        environment: normalised(&text(body, "environment")?.unwrap_or_default()),
        config_id,
        source,
        timestamp_ns,
        client_port: port,
    })
}

type Typed = (&'static str, Option<f64>, Option<String>);

fn value(value: &Value, data_type: Option<&str>) -> Result<Typed, String> {
    match (data_type, value) {
        (Some("NUMERIC") | None, Value::Number(number)) => Ok(("NUMERIC", number.as_f64(), None)),
        (Some("BOOLEAN"), Value::Number(number)) => match number.as_f64() {
            Some(0.0) => Ok(("BOOLEAN", Some(0.0), Some("False".into()))),
            Some(1.0) => Ok(("BOOLEAN", Some(1.0), Some("True".into()))),
            _ => Err("value: a BOOLEAN is 0 or 1".into()),
        },
        (Some("CATEGORICAL") | None, Value::String(text)) => Ok(("CATEGORICAL", None, Some(text.clone()))),
        (Some("CORRECTION"), Value::String(text)) => Ok(("CORRECTION", None, Some(text.clone()))),
        (Some("TEXT"), Value::String(text)) if (1..=LONGEST_TEXT).contains(&text.chars().count()) => {
            Ok(("TEXT", None, Some(text.clone())))
        }
        (Some("TEXT"), Value::String(_)) => Err(format!("value: a TEXT has 1 to {LONGEST_TEXT} characters")),
        (Some("NUMERIC" | "BOOLEAN" | "CATEGORICAL" | "TEXT" | "CORRECTION") | None, _) => {
            Err("value: Invalid type".into())
        }
        (Some(other), _) => Err(format!("dataType: Invalid enum value {other:?}")),
    }
}

fn text(body: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key}: Expected string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_values_and_must_fit() {
        let read = |value: Value| read(&value, 0, Origin::Rest, 1);
        assert_eq!(read(json!({"name": "n", "value": 1, "traceId": "t"})).unwrap().data_type, "NUMERIC");
        assert_eq!(
            read(json!({"name": "n", "value": "a", "sessionId": "s"})).unwrap().data_type,
            "CATEGORICAL"
        );
        for wrong in [
            json!({"name": "n", "value": true, "traceId": "t"}),
            json!({"name": "", "value": 1, "traceId": "t"}),
            json!({"name": "n", "value": 2, "traceId": "t", "dataType": "BOOLEAN"}),
            json!({"name": "n", "value": 1}),
            json!({"name": "n", "value": 1, "traceId": "t", "sessionId": "s"}),
            json!({"name": "n", "value": "", "traceId": "t", "dataType": "TEXT"}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn arrays_need_a_new_server() {
        assert!(takes_arrays("4.59.0") && takes_arrays("5.0.0"));
        assert!(!takes_arrays("4.58.9") && !takes_arrays("3.225.4"));
    }
}
