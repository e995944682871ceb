//! Reading back what is stored: `/api/v1`, for the page and for tests.
//!
//! Lists take `project`, `limit` (100 unless told, at most 1,000) and `cursor`, and answer `{"data": [...],
//! "next": cursor or null}`. Times are given twice: `start_ns` exactly, `start` to read.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde_json::{Map, Value, json};

use crate::answer::{Problem, json_answer};
use crate::server::App;
use crate::{instant, storage, traces};

pub(crate) type Asked = Query<HashMap<String, String>>;

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
        .route("/api/v1/traces", get(traces::list))
        .route("/api/v1/traces/{id}", get(traces::one))
        .route("/api/v1/observations", get(observations))
        .route("/api/v1/scores", get(scores))
        .route("/api/v1/media", get(media))
        .route("/api/v1/media/{project}/{id}", get(storage::show))
}

pub(crate) fn answer(value: &Value) -> Response {
    let mut response = json_answer(StatusCode::OK, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
    Ok(answer(&app.store.read(move |connection| count(connection, project.as_deref())).await?))
}

fn count(connection: &Connection, project: Option<&str>) -> Result<Value, Problem> {
    let table = |name: &str| -> rusqlite::Result<(i64, i64)> {
        let sql = format!(
            "SELECT count(*), total(received) - count(*) FROM {name} WHERE ?1 IS NULL OR project = ?1"
        );
        let sql = if project.is_some() { sql.replace("?1 IS NULL OR ", "") } else { sql };
        connection
            .prepare_cached(&sql)?
            .query_row(params![project], |row| Ok((row.get(0)?, row.get::<_, f64>(1)? as i64)))
    };
    let (observations, duplicates_observations) = table("observations")?;
    let (scores, duplicates_scores) = table("scores")?;
    let traces: i64 = connection
        .prepare_cached("SELECT count(*) FROM traces WHERE ?1 IS NULL OR project = ?1")?
        .query_row(params![project], |row| row.get(0))?;
    let sql = "SELECT coalesce(sum(requests), 0), coalesce(sum(bytes), 0) FROM requests WHERE ?1 IS NULL OR project = ?1";
    let (requests, bytes): (i64, i64) =
        connection.prepare_cached(sql)?.query_row(params![project], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT count(*), coalesce(sum(announcements), 0), coalesce(sum(uploads), 0), coalesce(sum(confirmations), 0)
               FROM media WHERE ?1 IS NULL OR project = ?1";
    let media = connection.prepare_cached(sql)?.query_row(params![project], |row| {
        Ok(json!({"contents": row.get::<_, i64>(0)?, "announcements": row.get::<_, i64>(1)?,
            "uploads": row.get::<_, i64>(2)?, "confirmations": row.get::<_, i64>(3)?}))
    })?;
    Ok(
        json!({"media": media, "observations": observations, "scores": scores, "duplicates_observations": duplicates_observations,
        "duplicates_scores": duplicates_scores, "requests": requests, "bytes": bytes, "traces": traces}),
    )
}

/// Conditions that are only there when they are asked for.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) conditions: Vec<String>,
    pub(crate) values: Vec<Sql>,
}

impl Filter {
    pub(crate) fn add(&mut self, condition: &str, value: impl Into<Sql>) {
        self.values.push(value.into());
        self.conditions.push(condition.replace('?', &format!("?{}", self.values.len())));
    }

    pub(crate) fn equal(&mut self, asked: &HashMap<String, String>, pairs: &[(&str, &str)]) {
        for (name, column) in pairs {
            if let Some(value) = asked.get(*name).filter(|value| !value.is_empty()) {
                self.add(&format!("{column} = ?"), value.clone());
            }
        }
    }

    pub(crate) fn whole(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }
}

pub(crate) fn limit(asked: &HashMap<String, String>) -> i64 {
    asked.get("limit").and_then(|text| text.parse().ok()).unwrap_or(LIMIT).clamp(1, MOST)
}

fn number(asked: &HashMap<String, String>, name: &str) -> Result<Option<i64>, Problem> {
    let text = asked.get(name).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| Problem::invalid(format!("{name}: Expected number"))))
        .transpose()
}

/// A point in time: nanoseconds, or RFC 3339.
pub(crate) fn since(asked: &HashMap<String, String>) -> Result<Option<i64>, Problem> {
    let Some(text) = asked.get("since").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let read = text.parse().ok().or_else(|| instant::from_text(text));
    read.map(Some).ok_or_else(|| Problem::invalid("since: Expected nanoseconds or RFC 3339"))
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
    let names =
        ["project", "id", "name", "trace_id", "observation_id", "session_id", "data_type", "environment"];
    filter.equal(&asked, &names.map(|name| (name, name)));
    listing(app, "scores", "timestamp_ns", filter, asked).await
}

/// Each use of a media content, with what is known of the content; the bytes are at `/api/v1/media/{project}/{id}`.
async fn media(State(app): State<Arc<App>>, Query(asked): Asked) -> Result<Response, Problem> {
    let mut filter = Filter::default();
    let names = [
        ("project", "media.project"),
        ("id", "media.id"),
        ("trace_id", "trace_id"),
        ("observation_id", "observation_id"),
        ("field", "field"),
    ];
    filter.equal(&asked, &names);
    let limit = limit(&asked);
    let list = app.store.read(move |connection| {
        let sql = format!(
            "SELECT media.project, id, hash, content_type, content_length, trace_id, observation_id, field, received,
               status, error, announcements, uploads, confirmations, content IS NOT NULL AS stored
             FROM media_links JOIN media ON media.project = media_links.project AND media.id = media_links.media_id
             {} ORDER BY seq, trace_id, observation_id, field LIMIT {limit}",
            filter.whole()
        );
        let mut statement = connection.prepare(&sql)?;
        let rows: Vec<Value> =
            statement.query_map(params_from_iter(&filter.values), to_json)?.collect::<Result<_, _>>()?;
        Ok(json!({ "data": rows }))
    });
    Ok(answer(&list.await?))
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
        let sql = format!("SELECT * FROM {table} {} ORDER BY seq LIMIT {}", filter.whole(), limit + 1);
        let mut statement = connection.prepare(&sql)?;
        let mut rows: Vec<Value> =
            statement.query_map(params_from_iter(&filter.values), to_json)?.collect::<Result<_, _>>()?;
        let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
        if more {
            rows.pop();
        }
        let next = rows.last().filter(|_| more).and_then(|row| row.get("seq")).cloned();
        Ok(json!({"data": rows, "next": next}))
    });
    Ok(answer(&list.await?))
}

/// A row as an object, its JSON columns as JSON, its times readable.
pub(crate) fn to_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    let statement: &rusqlite::Statement<'_> = row.as_ref();
    let mut object = Map::new();
    for (index, column) in statement.column_names().enumerate() {
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
