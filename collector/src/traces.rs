//! Traces, which are not stored as such: what their observations say together.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde_json::{Value, json};

use crate::answer::Problem;
use crate::query::{Asked, Filter, answer, limit, since, to_json};
use crate::server::App;
use crate::{instant, usage};

/// `GET /api/v1/traces`: summaries, newest first.
pub(crate) async fn list(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let since = since(&asked)?;
    let limit = limit(&asked);
    let mut filter = Filter::default();
    filter.equal(&asked, &[("project", "t.project")]);
    if let Some(cursor) = asked.get("cursor").filter(|cursor| !cursor.is_empty()) {
        let place = cursor.split_once(':').and_then(|(start, id)| Some((start.parse::<i64>().ok()?, id)));
        let (start, id) = place.ok_or_else(|| Problem::invalid("cursor: not one of this list"))?;
        let place = filter.values.len();
        filter.values.extend([start.into(), id.to_owned().into()]);
        filter.conditions.push(format!("(t.start_ns, t.trace_id) < (?{}, ?{})", place + 1, place + 2));
    }
    let of_trace = "SELECT 1 FROM observations o WHERE o.project = t.project AND o.trace_id = t.trace_id";
    if asked.get("errors").is_some_and(|value| matches!(value.as_str(), "1" | "true")) {
        filter.conditions.push(format!("EXISTS ({of_trace} AND o.level = 'ERROR')"));
    }
    for (name, column) in [("user", "user"), ("session", "session"), ("environment", "environment")] {
        if let Some(value) = asked.get(name).filter(|value| !value.is_empty()) {
            filter.add(&format!("EXISTS ({of_trace} AND o.{column} = ?)"), value.clone());
        }
    }
    if let Some(text) = asked.get("text").filter(|text| !text.is_empty()) {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let place = filter.values.len() + 1;
        filter.values.push(format!("%{escaped}%").into());
        let columns =
            ["trace_id", "name", "trace_name", "user", "session", "input", "output", "metadata", "model"];
        let any = columns.map(|column| format!("o.{column} LIKE ?{place} ESCAPE '\\'")).join(" OR ");
        filter
            .conditions
            .push(format!("EXISTS ({of_trace} AND ({any} OR o.status_message LIKE ?{place} ESCAPE '\\'))"));
    }
    let list = app.store.read(move |connection| {
        if let Some(since) = since {
            filter.add("t.start_ns >= ?", since);
        }
        let sql = format!(
            "SELECT t.project, t.trace_id, t.start_ns FROM traces t {} ORDER BY t.start_ns DESC, t.trace_id DESC LIMIT {}",
            filter.whole(),
            limit + 1
        );
        let mut statement = connection.prepare(&sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
        let mut found: Vec<_> = statement.query_map(params_from_iter(&filter.values), read)?.collect::<Result<_, _>>()?;
        let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
        if more {
            found.pop();
        }
        let next = found.last().filter(|_| more).map(|(_, id, start)| format!("{start}:{id}"));
        let data: Vec<Value> = found
            .iter()
            .map(|(project, id, _)| Ok(summary(project, id, &observations_of(connection, project, id, BRIEF)?)))
            .collect::<Result<_, Problem>>()?;
        Ok(json!({"data": data, "next": next}))
    });
    Ok(answer(&list.await?))
}

/// The columns that a summary needs, without the large ones.
const BRIEF: &str = "seq, span_id, parent, name, type, level, start_ns, end_ns, usage, cost, trace_name, user, session, \
    tags, public, environment, version, release, is_app_root, received_at";

fn observations_of(
    connection: &Connection,
    project: &str,
    trace: &str,
    columns: &str,
) -> Result<Vec<Value>, Problem> {
    let sql = format!(
        "SELECT {columns} FROM observations WHERE project = ?1 AND trace_id = ?2 ORDER BY start_ns, seq"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map(params![project, trace], to_json)?.collect::<Result<_, _>>()?)
}

/// A trace is its observations: its fields are the non-empty ones of the row written last, its name that of the root.
fn summary(project: &str, id: &str, rows: &[Value]) -> Value {
    let mut by_write: Vec<&Value> = rows.iter().collect();
    by_write.sort_by_key(|row| (row["received_at"].as_i64(), row["seq"].as_i64()));
    let last = |column: &str| {
        let values = by_write.iter().rev().map(|row| &row[column]);
        values.into_iter().find(|value| !value.is_null()).cloned().unwrap_or(Value::Null)
    };
    let root = rows
        .iter()
        .find(|row| row["parent"].is_null())
        .or_else(|| rows.iter().find(|row| row["is_app_root"] == Value::Bool(true)));
    let start = rows.iter().filter_map(|row| row["start_ns"].as_i64()).min().unwrap_or(0);
    let end = rows.iter().filter_map(|row| row["end_ns"].as_i64()).max().unwrap_or(start);
    let sum = |column: &str| {
        let maps = rows.iter().filter_map(|row| row[column].as_object());
        maps.map(usage::total).fold(None, |sum: Option<f64>, part| Some(sum.unwrap_or(0.0) + part))
    };
    let name = match last("trace_name") {
        Value::Null => root.or(rows.first()).map_or(Value::Null, |row| row["name"].clone()),
        name => name,
    };
    json!({
        "project": project, "trace_id": id, "name": name, "user": last("user"), "session": last("session"),
        "tags": last("tags"), "environment": last("environment"), "version": last("version"),
        "release": last("release"), "public": rows.iter().any(|row| row["public"] == Value::Bool(true)),
        "start_ns": start, "start": instant::to_text(start), "end_ns": end, "end": instant::to_text(end),
        "latency_ms": (end - start) as f64 / 1e6, "observations": rows.len(),
        "errors": rows.iter().filter(|row| row["level"] == "ERROR").count(),
        "tokens": sum("usage").map(|tokens| tokens as i64), "cost": sum("cost"),
    })
}

/// `GET /api/v1/traces/{id}`: the trace, its observations and its scores.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Asked,
) -> Result<Response, Problem> {
    let project = asked.get("project").cloned();
    let found = app.store.read(move |connection| {
        let project = match project {
            Some(project) => project,
            None => connection
                .prepare_cached("SELECT project FROM traces WHERE trace_id = ?1 ORDER BY project LIMIT 1")?
                .query_row(params![id], |row| row.get(0))
                .map_err(|_| Problem::missing("Trace not found"))?,
        };
        let rows = observations_of(connection, &project, &id, "*")?;
        let mut statement = connection
            .prepare_cached("SELECT * FROM scores WHERE project = ?1 AND trace_id = ?2 ORDER BY seq")?;
        let scores: Vec<Value> =
            statement.query_map(params![project, id], to_json)?.collect::<Result<_, _>>()?;
        if rows.is_empty() && scores.is_empty() {
            return Err(Problem::missing("Trace not found"));
        }
        let mut trace = summary(&project, &id, &rows);
        let root = rows.iter().find(|row| row["parent"].is_null());
        if let Some(map) = trace.as_object_mut() {
            for column in ["input", "output", "metadata"] {
                map.insert(column.into(), root.map_or(Value::Null, |row| row[column].clone()));
            }
        }
        Ok(json!({"trace": trace, "observations": rows, "scores": scores}))
    });
    Ok(answer(&found.await?))
}
