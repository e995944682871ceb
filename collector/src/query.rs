//! Reading back what is stored: `/api/v1`, for the page and for tests.
//!
//! Lists take `project`, `limit` (100 unless told, at most 1,000) and `cursor`, and answer `{"data": [...],
//! "next": cursor or null}`. Times are given twice: `start_ns` exactly, `start` to read.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde_json::{Map, Value, json};

use crate::answer::{Problem, json_answer};
use crate::server::App;
use crate::{instant, usage};

type Asked = Query<HashMap<String, String>>;

const LIMIT: i64 = 100;
const MOST: i64 = 1000;
/// Columns that hold JSON.
const JSON: [&str; 10] = [
    "usage",
    "cost",
    "metadata",
    "tags",
    "model_parameters",
    "attributes",
    "resource",
    "scope",
    "otel",
    "sdk",
];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/projects", get(projects))
        .route("/api/v1/counts", get(counts))
        .route("/api/v1/traces", get(traces))
        .route("/api/v1/traces/{id}", get(trace))
        .route("/api/v1/observations", get(observations))
        .route("/api/v1/scores", get(scores))
}

fn answer(value: &Value) -> Response {
    let mut response = json_answer(StatusCode::OK, value);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn projects(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let known = app.keys.projects();
    let list = app
        .store
        .read(move |connection| {
            let mut names = known;
            let mut statement = connection.prepare_cached("SELECT project FROM requests")?;
            for name in statement.query_map([], |row| row.get::<_, String>(0))? {
                names.push(name?);
            }
            names.sort();
            names.dedup();
            let mut list = Vec::with_capacity(names.len());
            for name in names {
                let mut counts = count(connection, Some(&name))?;
                if let Some(map) = counts.as_object_mut() {
                    map.insert("id".into(), name.into());
                }
                list.push(counts);
            }
            Ok(json!({ "data": list }))
        })
        .await?;
    Ok(answer(&list))
}

async fn counts(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let project = asked.get("project").cloned();
    Ok(answer(
        &app.store
            .read(move |connection| count(connection, project.as_deref()))
            .await?,
    ))
}

fn count(connection: &Connection, project: Option<&str>) -> Result<Value, Problem> {
    let table = |name: &str| -> rusqlite::Result<(i64, i64)> {
        let sql = format!(
            "SELECT count(*), total(received) - count(*) FROM {name} WHERE ?1 IS NULL OR project = ?1"
        );
        let sql = if project.is_some() {
            sql.replace("?1 IS NULL OR ", "")
        } else {
            sql
        };
        connection
            .prepare_cached(&sql)?
            .query_row(params![project], |row| {
                Ok((row.get(0)?, row.get::<_, f64>(1)? as i64))
            })
    };
    let (observations, duplicates_observations) = table("observations")?;
    let (scores, duplicates_scores) = table("scores")?;
    let traces: i64 = connection
        .prepare_cached("SELECT count(*) FROM traces WHERE ?1 IS NULL OR project = ?1")?
        .query_row(params![project], |row| row.get(0))?;
    let sql = "SELECT coalesce(sum(requests), 0), coalesce(sum(bytes), 0) FROM requests WHERE ?1 IS NULL OR project = ?1";
    let (requests, bytes): (i64, i64) = connection
        .prepare_cached(sql)?
        .query_row(params![project], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(
        json!({"observations": observations, "scores": scores, "duplicates_observations": duplicates_observations,
        "duplicates_scores": duplicates_scores, "requests": requests, "bytes": bytes, "traces": traces}),
    )
}

/// Conditions that are only there when they are asked for.
#[derive(Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<Sql>,
}

impl Filter {
    fn add(&mut self, condition: &str, value: impl Into<Sql>) {
        self.values.push(value.into());
        self.conditions
            .push(condition.replace('?', &format!("?{}", self.values.len())));
    }

    fn equal(&mut self, asked: &HashMap<String, String>, pairs: &[(&str, &str)]) {
        for (name, column) in pairs {
            if let Some(value) = asked.get(*name).filter(|value| !value.is_empty()) {
                self.add(&format!("{column} = ?"), value.clone());
            }
        }
    }

    fn whole(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }
}

fn limit(asked: &HashMap<String, String>) -> i64 {
    asked
        .get("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(LIMIT)
        .clamp(1, MOST)
}

fn number(asked: &HashMap<String, String>, name: &str) -> Result<Option<i64>, Problem> {
    let text = asked.get(name).filter(|text| !text.is_empty());
    text.map(|text| {
        text.parse()
            .map_err(|_| Problem::invalid(format!("{name}: Expected number")))
    })
    .transpose()
}

/// A point in time: nanoseconds, or RFC 3339.
fn since(asked: &HashMap<String, String>) -> Result<Option<i64>, Problem> {
    let Some(text) = asked.get("since").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let read = text.parse().ok().or_else(|| instant::from_text(text));
    read.map(Some)
        .ok_or_else(|| Problem::invalid("since: Expected nanoseconds or RFC 3339"))
}

async fn observations(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let mut filter = Filter::default();
    let names = [
        "project",
        "trace_id",
        "span_id",
        "name",
        "type",
        "level",
        "user",
        "session",
        "environment",
        "model",
    ];
    filter.equal(&asked, &names.map(|name| (name, name)));
    listing(app, "observations", "start_ns", filter, asked).await
}

async fn scores(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let mut filter = Filter::default();
    let names = [
        "project",
        "id",
        "name",
        "trace_id",
        "observation_id",
        "session_id",
        "data_type",
        "environment",
    ];
    filter.equal(&asked, &names.map(|name| (name, name)));
    listing(app, "scores", "timestamp_ns", filter, asked).await
}

/// Rows in the order of their first arrival.
async fn listing(
    app: Arc<App>,
    table: &'static str,
    time: &str,
    mut filter: Filter,
    asked: HashMap<String, String>,
) -> Result<Response, Problem> {
    let since = since(&asked)?;
    let cursor = number(&asked, "cursor")?;
    let limit = limit(&asked);
    let time = time.to_owned();
    let list = app.store.read(move |connection| {
        if let Some(since) = since {
            filter.add(&format!("{time} >= ?"), since);
        }
        if let Some(cursor) = cursor {
            filter.add("seq > ?", cursor);
        }
        let sql = format!(
            "SELECT * FROM {table} {} ORDER BY seq LIMIT {}",
            filter.whole(),
            limit + 1
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows: Vec<Value> = statement
            .query_map(params_from_iter(&filter.values), to_json)?
            .collect::<Result<_, _>>()?;
        let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
        if more {
            rows.pop();
        }
        let next = rows
            .last()
            .filter(|_| more)
            .and_then(|row| row.get("seq"))
            .cloned();
        Ok(json!({"data": rows, "next": next}))
    });
    Ok(answer(&list.await?))
}

/// A row as an object, its JSON columns as JSON, its times readable.
fn to_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    let statement: &rusqlite::Statement<'_> = row.as_ref();
    let mut object = Map::new();
    for (index, column) in statement.column_names().into_iter().enumerate() {
        let value = match row.get_ref(index)? {
            ValueRef::Integer(number) if matches!(column, "public" | "is_app_root") => {
                Value::Bool(number != 0)
            }
            ValueRef::Integer(number) => {
                if let Some(name) = column.strip_suffix("_ns") {
                    object.insert(name.into(), instant::to_text(number).into());
                }
                Value::from(number)
            }
            ValueRef::Real(number) => Value::from(number),
            ValueRef::Text(text) if JSON.contains(&column) => {
                serde_json::from_slice(text).unwrap_or(Value::Null)
            }
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        };
        object.insert(column.into(), value);
    }
    Ok(Value::Object(object))
}

async fn traces(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let since = since(&asked)?;
    let limit = limit(&asked);
    let mut filter = Filter::default();
    filter.equal(&asked, &[("project", "t.project")]);
    if let Some(cursor) = asked.get("cursor").filter(|cursor| !cursor.is_empty()) {
        let place = cursor
            .split_once(':')
            .and_then(|(start, id)| Some((start.parse::<i64>().ok()?, id)));
        let (start, id) = place.ok_or_else(|| Problem::invalid("cursor: not one of this list"))?;
        let place = filter.values.len();
        filter.values.extend([start.into(), id.to_owned().into()]);
        filter.conditions.push(format!(
            "(t.start_ns, t.trace_id) < (?{}, ?{})",
            place + 1,
            place + 2
        ));
    }
    let of_trace = "SELECT 1 FROM observations o WHERE o.project = t.project AND o.trace_id = t.trace_id";
    if asked
        .get("errors")
        .is_some_and(|value| matches!(value.as_str(), "1" | "true"))
    {
        filter
            .conditions
            .push(format!("EXISTS ({of_trace} AND o.level = 'ERROR')"));
    }
    for (name, column) in [
        ("user", "user"),
        ("session", "session"),
        ("environment", "environment"),
    ] {
        if let Some(value) = asked.get(name).filter(|value| !value.is_empty()) {
            filter.add(&format!("EXISTS ({of_trace} AND o.{column} = ?)"), value.clone());
        }
    }
    if let Some(text) = asked.get("text").filter(|text| !text.is_empty()) {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let place = filter.values.len() + 1;
        filter.values.push(format!("%{escaped}%").into());
        let columns = [
            "trace_id",
            "name",
            "trace_name",
            "user",
            "session",
            "input",
            "output",
            "metadata",
            "model",
        ];
        let any = columns
            .map(|column| format!("o.{column} LIKE ?{place} ESCAPE '\\'"))
            .join(" OR ");
        filter.conditions.push(format!(
            "EXISTS ({of_trace} AND ({any} OR o.status_message LIKE ?{place} ESCAPE '\\'))"
        ));
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
    Ok(statement
        .query_map(params![project, trace], to_json)?
        .collect::<Result<_, _>>()?)
}

/// A trace is its observations: its fields are the non-empty ones of the row written last, its name that of the root.
fn summary(project: &str, id: &str, rows: &[Value]) -> Value {
    let mut by_write: Vec<&Value> = rows.iter().collect();
    by_write.sort_by_key(|row| (row["received_at"].as_i64(), row["seq"].as_i64()));
    let last = |column: &str| {
        let values = by_write.iter().rev().map(|row| &row[column]);
        values
            .into_iter()
            .find(|value| !value.is_null())
            .cloned()
            .unwrap_or(Value::Null)
    };
    let root = rows
        .iter()
        .find(|row| row["parent"].is_null())
        .or_else(|| rows.iter().find(|row| row["is_app_root"] == Value::Bool(true)));
    let start = rows
        .iter()
        .filter_map(|row| row["start_ns"].as_i64())
        .min()
        .unwrap_or(0);
    let end = rows
        .iter()
        .filter_map(|row| row["end_ns"].as_i64())
        .max()
        .unwrap_or(start);
    let sum = |column: &str| {
        let maps = rows.iter().filter_map(|row| row[column].as_object());
        maps.map(usage::total)
            .fold(None, |sum: Option<f64>, part| Some(sum.unwrap_or(0.0) + part))
    };
    let name = match last("trace_name") {
        Value::Null => root
            .or(rows.first())
            .map_or(Value::Null, |row| row["name"].clone()),
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

async fn trace(
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
        let scores: Vec<Value> = statement
            .query_map(params![project, id], to_json)?
            .collect::<Result<_, _>>()?;
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
