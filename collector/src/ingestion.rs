//! `POST /api/public/ingestion`, as a server in `events_only` mode answers it: scores pass, traces do not.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::instant;
use crate::scores::{self, Origin};
use crate::server::App;
use crate::store::Ingest;
use crate::wire::Control;

pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    Extension(control): Extension<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    // A public key alone may create scores here, too.
    let project = auth::project(&app.keys, &headers, Need::PublicKey)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().contains("json") {
        return Err(Problem::invalid("Expected object, received string"));
    }
    let value: Value = serde_json::from_slice(&body)
        .map_err(|_| Problem::Text(StatusCode::BAD_REQUEST, "Invalid JSON".into()))?;
    let Some(batch) = value.get("batch").and_then(Value::as_array) else {
        let body = json!({"message": "Invalid request data", "errors": [{"path": ["batch"], "message": "Required"}]});
        return Ok(json_answer(StatusCode::BAD_REQUEST, &body));
    };
    let mut successes = Vec::new();
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for event in batch {
        let id = event.get("id").and_then(Value::as_str).unwrap_or("unknown");
        match judge(event, control.peer().port()) {
            Ok(Verdict::Score(score)) => {
                successes.push(json!({"id": id, "status": 201}));
                rows.push(*score);
            }
            Ok(Verdict::Lost) => successes.push(json!({"id": id, "status": 201})),
            Ok(Verdict::Logged) => {}
            Err((message, error)) => {
                errors.push(json!({"id": id, "status": 400, "message": message, "error": error}));
            }
        }
    }
    let ingest = Ingest { project, bytes: body.len(), observations: Vec::new(), scores: rows };
    app.store.ingest(ingest).await?;
    Ok(json_answer(StatusCode::MULTI_STATUS, &json!({"successes": successes, "errors": errors})))
}

enum Verdict {
    Score(Box<crate::store::Score>),
    /// Answered with 201 and then dropped, as the server does with a score without an id.
    Lost,
    /// Neither a success nor an error.
    Logged,
}

fn judge(event: &Value, port: u16) -> Result<Verdict, (&'static str, String)> {
    let invalid = |what: String| ("Invalid request data", json!([{"message": what}]).to_string());
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let Some(kind) = text("type") else {
        return Err(invalid("type: Required".into()));
    };
    text("id").filter(|id| (1..=800).contains(&id.len())).ok_or_else(|| invalid("id: Required".into()))?;
    let timestamp = text("timestamp").and_then(instant::from_text);
    let timestamp = timestamp.ok_or_else(|| invalid("timestamp: Invalid datetime".into()))?;
    match kind {
        "sdk-log" => Ok(Verdict::Logged),
        "score-create" => {
            let body = event.get("body").unwrap_or(&Value::Null);
            let score = scores::read(body, timestamp, Origin::Ingestion, port).map_err(invalid)?;
            let named = body.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
            Ok(if named { Verdict::Score(Box::new(score)) } else { Verdict::Lost })
        }
        other => Err((
            "Event type not accepted",
            format!(
                "Event type \"{other}\" is not accepted by /api/public/ingestion when \
                 LANGFUSE_MIGRATION_V4_WRITE_MODE is events_only. Send traces to /api/public/otel/v1/traces."
            ),
        )),
    }
}
