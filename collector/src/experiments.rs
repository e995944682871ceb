//! Experiments, as they can be read from the observations of their items: nothing else is stored of them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rusqlite::{Row, params};
use serde_json::{Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::instant;
use crate::server::App;

type Asked = Query<HashMap<String, String>>;

/// What a page holds at most; there are no further pages.
const MOST: i64 = 100;
/// An observation is an item's root where the item names it as such.
const ROOTS: &str = "FROM observations WHERE project = ?1 AND start_ns >= ?2 AND start_ns < ?3
    AND attributes ->> '$.\"langfuse.experiment.item.root_observation_id\"' = span_id
    AND (?4 IS NULL OR attributes ->> '$.\"langfuse.experiment.id\"' = ?4)";

fn of(name: &str) -> String {
    format!("attributes ->> '$.\"langfuse.experiment.{name}\"'")
}

/// What a request asks for: an experiment's id, and a time.
struct Range {
    from: i64,
    to: i64,
    id: Option<String>,
}

impl Range {
    fn read(asked: &HashMap<String, String>, id: &str) -> Result<Self, Problem> {
        let time = |name: &str, default: Option<i64>| match asked.get(name) {
            Some(text) => {
                instant::from_text(text).ok_or_else(|| Problem::invalid(format!("{name}: Invalid datetime")))
            }
            None => default.ok_or_else(|| Problem::invalid(format!("{name}: Required"))),
        };
        Ok(Self {
            from: time("fromStartTime", None)?,
            to: time("toStartTime", Some(i64::MAX))?,
            id: asked.get(id).cloned(),
        })
    }
}

/// `GET /api/public/experiments?fromStartTime=&toStartTime=&id=`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let range = Range::read(&asked, "id")?;
    let sql = format!(
        "SELECT {}, max({}), max({}), min(start_ns), max(end_ns), count(DISTINCT {}), max({}) {ROOTS}
         GROUP BY 1 ORDER BY 4 DESC LIMIT {MOST}",
        of("id"),
        of("name"),
        of("description"),
        of("item.id"),
        of("dataset.id")
    );
    let read = |row: &Row<'_>| {
        Ok(json!({
            "id": row.get::<_, String>(0)?, "name": row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            "description": row.get::<_, Option<String>>(2)?, "startTime": instant::to_text(row.get(3)?),
            "endTime": instant::to_text(row.get(4)?), "itemCount": row.get::<_, i64>(5)?,
            "datasetId": row.get::<_, Option<String>>(6)?,
        }))
    };
    answer(&app, project, range, sql, read).await
}

/// `GET /api/public/experiment-items?fromStartTime=&toStartTime=&experimentId=`
pub(crate) async fn items(
    State(app): State<Arc<App>>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let range = Range::read(&asked, "experimentId")?;
    let sql = format!(
        "SELECT span_id, trace_id, start_ns, end_ns, level, environment, {}, {}, {}, {}, input, output, {}
         {ROOTS} ORDER BY start_ns DESC, span_id LIMIT {MOST}",
        of("id"),
        of("name"),
        of("item.id"),
        of("dataset.id"),
        of("item.expected_output")
    );
    let read = |row: &Row<'_>| {
        let text = |index: usize| row.get::<_, Option<String>>(index);
        Ok(json!({
            "id": text(0)?, "traceId": text(1)?, "startTime": instant::to_text(row.get(2)?),
            "endTime": instant::to_text(row.get(3)?), "level": text(4)?, "environment": text(5)?,
            "experimentId": text(6)?, "experimentName": text(7)?.unwrap_or_default(),
            "experimentItemId": text(8)?.unwrap_or_default(), "experimentDatasetId": text(9)?,
            "input": text(10)?, "output": text(11)?, "expectedOutput": text(12)?,
        }))
    };
    answer(&app, project, range, sql, read).await
}

async fn answer(
    app: &Arc<App>,
    project: String,
    range: Range,
    sql: String,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Value> + Send + 'static,
) -> Result<Response, Problem> {
    let rows: Vec<Value> = app
        .store
        .read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![project, range.from, range.to, range.id], read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await?;
    Ok(json_answer(StatusCode::OK, &json!({"data": rows, "meta": {}})))
}
