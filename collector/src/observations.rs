//! Observations as Langfuse's public API gives them: what batched evaluation and `api.observations.get_many` read.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use serde_json::{Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::instant;
use crate::server::App;

const LIMIT: i64 = 50;
const MOST: i64 = 1000;

/// What can be asked for, as a parameter or as the column of a filter, and where it is stored.
const COLUMNS: [(&str, &str); 9] = [
    ("name", "name"),
    ("type", "type"),
    ("traceId", "trace_id"),
    ("level", "level"),
    ("userId", "user"),
    ("sessionId", "session"),
    ("parentObservationId", "parent"),
    ("environment", "environment"),
    ("version", "version"),
];

/// `GET /api/public/v2/observations`, latest first. All fields are given, whichever are asked for.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let mut wanted = vec!["project = ?".to_owned()];
    let mut values = vec![Sql::from(project)];
    let mut equal = |column: &str, value: &str| -> Result<(), Problem> {
        let known = COLUMNS.iter().find(|(name, _)| *name == column);
        let (name, column) =
            known.ok_or_else(|| Problem::invalid(format!("filter: no column {column:?} here")))?;
        wanted.push(format!("{column} = ?"));
        // Types are written in capitals in this API.
        values.push(Sql::from(if *name == "type" { value.to_lowercase() } else { value.to_owned() }));
        Ok(())
    };
    for (name, _) in COLUMNS {
        if let Some(value) = asked.get(name) {
            equal(name, value)?;
        }
    }
    for condition in filter(&asked)? {
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("operator") != "=" {
            return Err(Problem::invalid("filter: only the operator = is known here"));
        }
        equal(text("column"), text("value"))?;
    }
    for (name, operator) in [("fromStartTime", ">="), ("toStartTime", "<")] {
        if let Some(text) = asked.get(name) {
            let time = instant::from_text(text)
                .ok_or_else(|| Problem::invalid(format!("{name}: Invalid datetime")))?;
            wanted.push(format!("start_ns {operator} ?"));
            values.push(Sql::from(time));
        }
    }
    if let Some(cursor) = asked.get("cursor") {
        let seq: i64 = cursor.parse().map_err(|_| Problem::invalid("cursor: Invalid cursor"))?;
        wanted.push("seq < ?".to_owned());
        values.push(Sql::from(seq));
    }
    let limit = match asked.get("limit").map(|text| text.parse::<i64>()) {
        None => LIMIT,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(Problem::invalid(format!("limit: Expected a number from 1 to {MOST}"))),
    };
    // One more than asked for tells whether there is another page.
    let sql = format!(
        "SELECT seq, span_id, trace_id, parent, project, name, type, level, status_message, start_ns, end_ns, input, output,
           metadata, model, model_parameters, usage, cost, prompt_name, prompt_version, user, session, environment, version,
           trace_name, release
         FROM observations WHERE {} ORDER BY seq DESC LIMIT {}",
        wanted.join(" AND "),
        limit + 1
    );
    let rows: Vec<(i64, Value)> = app
        .store
        .read(move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), observation)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let last = rows.get(page.saturating_sub(1)).filter(|_| rows.len() > page).map(|(seq, _)| seq.to_string());
    let data: Vec<Value> = rows.into_iter().take(page).map(|(_, row)| row).collect();
    let meta = last.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
    Ok(json_answer(StatusCode::OK, &json!({"data": data, "meta": meta})))
}

/// The structured conditions of a request.
fn filter(asked: &HashMap<String, String>) -> Result<Vec<Value>, Problem> {
    match asked.get("filter").map(|text| serde_json::from_str(text)) {
        None => Ok(Vec::new()),
        Some(Ok(Value::Array(conditions))) => Ok(conditions),
        Some(_) => Err(Problem::invalid("filter: Expected an array of conditions")),
    }
}

fn observation(row: &Row<'_>) -> rusqlite::Result<(i64, Value)> {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let parsed = |index: usize| -> rusqlite::Result<Value> {
        Ok(text(index)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null))
    };
    let (start, end): (i64, i64) = (row.get(9)?, row.get(10)?);
    #[allow(clippy::cast_precision_loss)] // seconds, for people
    let latency = (end - start) as f64 / 1e9;
    let mut value = json!({
        "id": text(1)?, "traceId": text(2)?, "parentObservationId": text(3)?, "projectId": text(4)?,
        "isRootObservation": text(3)?.is_none(), "name": text(5)?, "type": text(6)?.unwrap_or_default().to_uppercase(),
        "level": text(7)?, "statusMessage": text(8)?, "startTime": instant::to_text(start),
        "endTime": instant::to_text(end), "createdAt": instant::to_text(start), "updatedAt": instant::to_text(end),
        "latency": latency, "input": text(11)?, "output": text(12)?, "metadata": parsed(13)?, "model": text(14)?,
        "modelParameters": parsed(15)?, "usageDetails": parsed(16)?, "costDetails": parsed(17)?,
        "promptName": text(18)?, "promptVersion": row.get::<_, Option<i64>>(19)?,
    });
    if let Value::Object(fields) = &mut value {
        for (name, index) in [
            ("userId", 20),
            ("sessionId", 21),
            ("environment", 22),
            ("version", 23),
            ("traceName", 24),
            ("release", 25),
        ] {
            fields.insert(name.to_owned(), json!(text(index)?));
        }
    }
    Ok((row.get(0)?, value))
}
